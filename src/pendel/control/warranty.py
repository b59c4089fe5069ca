"""Warranty budget of a vehicle: what its maker allows to be discharged, as a limit.

Makers cap vehicle-to-grid use by energy and hours per month and year. The budget is a limit on
discharging, and what is left is shown to the driver.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from pendel.scenario.columns import StrArray
from pendel.units import SECONDS_PER_HOUR, FloatArray


class WarrantyBudget(msgspec.Struct, frozen=True):
    """Caps of one vehicle; inf = none. Energy discharged at the AC side [kWh], hours of V2X."""

    month_kwh: float = float("inf")
    year_kwh: float = float("inf")
    month_h: float = float("inf")
    year_h: float = float("inf")


class BudgetLeft(msgspec.Struct, frozen=True):
    """What a driver is shown: left of this month and year (never negative; inf = no cap)."""

    month_kwh: float
    year_kwh: float
    month_h: float
    year_h: float

    @property
    def open(self) -> bool:
        """Whether discharging is still allowed."""
        return min(self.month_kwh, self.year_kwh, self.month_h, self.year_h) > 0.0

    def after(self, discharged_kwh: float, hours: float) -> "BudgetLeft":
        """What is left when so much more has been used."""
        return BudgetLeft(
            max(self.month_kwh - discharged_kwh, 0.0),
            max(self.year_kwh - discharged_kwh, 0.0),
            max(self.month_h - hours, 0.0),
            max(self.year_h - hours, 0.0),
        )


@dataclass(slots=True)
class Use:
    """What a vehicle gave back in a month or year: AC energy, and hours of V2X."""

    discharged_kwh: float = 0.0
    hours: float = 0.0


@dataclass(slots=True)
class UseBook:
    """What vehicles used, per local calendar month (1-12) and year (month 0)."""

    used: dict[tuple[str, int, int], Use] = field(default_factory=dict)

    def add(
        self, vehicle_id: str, discharged_kwh: float, hours: float, at_s: float, timezone: str
    ) -> None:
        """Book energy [kWh] and hours of discharging that began at at_s [epoch s]."""
        year, month = calendar(at_s, timezone)
        for key in ((vehicle_id, year, month), (vehicle_id, year, 0)):
            use = self.used.setdefault(key, Use())
            use.discharged_kwh += discharged_kwh
            use.hours += hours

    def of(self, vehicle_id: str, year: int, month: int = 0) -> Use:
        """What was used in a month, or in a whole year."""
        return self.used.get((vehicle_id, year, month), Use())


def calendar(at_s: float, timezone: str) -> tuple[int, int]:
    """Local (year, month) of a moment."""
    local = datetime.fromtimestamp(at_s, ZoneInfo(timezone))
    return local.year, local.month


@dataclass(slots=True)
class WarrantyBook:
    """Budgets per vehicle_id and what was used, per local calendar month and year."""

    budgets: Mapping[str, WarrantyBudget]
    timezone: str = "UTC"
    use: UseBook = field(default_factory=UseBook)

    def record(self, vehicle_id: StrArray, power_kw: FloatArray, now_s: int, step_s: int) -> None:
        """Book one step of AC powers [N]; only discharging counts."""
        step_h = step_s / SECONDS_PER_HOUR
        for n in np.nonzero(power_kw < 0.0)[0]:
            vehicle = str(vehicle_id[n])
            if vehicle in self.budgets:
                energy_kwh = -float(power_kw[n]) * step_h
                self.use.add(vehicle, energy_kwh, step_h, now_s, self.timezone)

    def left(self, vehicle_id: str, now_s: int) -> BudgetLeft:
        """What is left of the caps at now_s."""
        budget = self.budgets.get(vehicle_id, WarrantyBudget())
        year, month = calendar(now_s, self.timezone)
        in_month, in_year = self.use.of(vehicle_id, year, month), self.use.of(vehicle_id, year)
        return BudgetLeft(
            max(budget.month_kwh - in_month.discharged_kwh, 0.0),
            max(budget.year_kwh - in_year.discharged_kwh, 0.0),
            max(budget.month_h - in_month.hours, 0.0),
            max(budget.year_h - in_year.hours, 0.0),
        )

    def discharge_limit_kw(
        self, vehicle_id: StrArray, discharge_max_kw: FloatArray, now_s: int, step_s: int
    ) -> FloatArray:
        """Discharge power allowed in the coming step [N]: the car's own, less where the budget
        ends within the step, 0 where it is used up."""
        if not self.budgets:
            return discharge_max_kw
        step_h = step_s / SECONDS_PER_HOUR
        limit = discharge_max_kw.copy()
        for n, vehicle in enumerate(vehicle_id):
            if str(vehicle) not in self.budgets:
                continue
            left = self.left(str(vehicle), now_s)
            if min(left.month_h, left.year_h) < step_h - 1e-9:
                limit[n] = 0.0
            limit[n] = min(limit[n], min(left.month_kwh, left.year_kwh) / step_h)
        return limit
