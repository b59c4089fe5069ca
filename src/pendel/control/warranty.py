"""Warranty budget of a vehicle: what its maker allows to be discharged, as a limit.

Makers cap vehicle-to-grid use by energy and hours per month and year. The budget is a limit on
discharging, and what is left is shown to the driver.
"""

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


@dataclass(slots=True)
class WarrantyBook:
    """Budgets per vehicle_id and what was used, per local calendar month and year."""

    budgets: dict[str, WarrantyBudget]
    timezone: str = "UTC"
    _used: dict[tuple[str, int, int], list[float]] = field(default_factory=dict)

    def record(self, vehicle_id: StrArray, power_kw: FloatArray, now_s: int, step_s: int) -> None:
        """Book one step of AC powers [N]; only discharging counts."""
        year, month = self._calendar(now_s)
        step_h = step_s / SECONDS_PER_HOUR
        for n in np.nonzero(power_kw < 0.0)[0]:
            vehicle = str(vehicle_id[n])
            if vehicle not in self.budgets:
                continue
            for key in ((vehicle, year, month), (vehicle, year, 0)):
                used = self._used.setdefault(key, [0.0, 0.0])
                used[0] += -float(power_kw[n]) * step_h
                used[1] += step_h

    def left(self, vehicle_id: str, now_s: int) -> BudgetLeft:
        """What is left of the caps at now_s."""
        budget = self.budgets.get(vehicle_id, WarrantyBudget())
        year, month = self._calendar(now_s)
        in_month = self._used.get((vehicle_id, year, month), [0.0, 0.0])
        in_year = self._used.get((vehicle_id, year, 0), [0.0, 0.0])
        return BudgetLeft(
            max(budget.month_kwh - in_month[0], 0.0),
            max(budget.year_kwh - in_year[0], 0.0),
            max(budget.month_h - in_month[1], 0.0),
            max(budget.year_h - in_year[1], 0.0),
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

    def _calendar(self, now_s: int) -> tuple[int, int]:
        local = datetime.fromtimestamp(now_s, ZoneInfo(self.timezone))
        return local.year, local.month
