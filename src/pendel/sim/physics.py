"""What batteries really do within a step: the columns' physics, richer where a model is named.

Constant efficiencies and no taper by default (contract); the column `battery_model` brings the
power limits over the state of charge of `pendel.power.battery`.
"""

from dataclasses import dataclass

import numpy as np

from pendel.power.battery import Batteries, BatteryLimits, advance, limits_of, power_bounds_kw
from pendel.scenario.columns import Scenario
from pendel.sim.fleet import Fleet
from pendel.units import FloatArray, IntArray


@dataclass(slots=True)
class Physics:
    """The batteries of a run. limits [U] is None where no battery names a model."""

    fleet: Fleet
    step_h: float
    limits: BatteryLimits | None
    _gathered: tuple[IntArray, Batteries, BatteryLimits | None] | None = None

    @property
    def is_constant(self) -> bool:
        """Whether every battery has constant efficiencies and no taper."""
        return self.limits is None

    def bounds_kw(self) -> tuple[FloatArray, FloatArray]:
        """Highest mean power over the coming step of the connected units: (charging, discharging)
        [N], amounts."""
        batteries, limits = self._connected()
        energy = self.fleet.energy_kwh[self.fleet.active]
        return power_bounds_kw(energy, batteries, self.step_h, limits)

    def trial(self, power_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(power, energy after the step) [N] of the connected units if asked for power_kw."""
        batteries, limits = self._connected()
        energy = self.fleet.energy_kwh[self.fleet.active]
        return advance(power_kw, energy, batteries, self.step_h, limits)

    def commit(self, power_kw: FloatArray, energy_kwh: FloatArray) -> None:
        """Let the step be over for the connected units."""
        self.fleet.power_kw[self.fleet.active] = power_kw
        self.fleet.energy_kwh[self.fleet.active] = energy_kwh

    def highest_kwh(self, sessions: int) -> FloatArray:
        """Energy [N] that charging at once from arrival reaches by the real departure."""
        fleet = self.fleet
        stay = (fleet.last - fleet.first)[:sessions]
        rate = self.step_h * fleet.charge_max_kw[:sessions] * fleet.charge_efficiency[:sessions]
        reached = fleet.energy_arrive_kwh[:sessions] + stay.clip(0) * rate
        highest = np.minimum(reached, fleet.capacity_kwh[:sessions])
        if self.limits is None:
            return highest
        from pendel.power.kernels import charge_at_once

        units = np.flatnonzero(np.isfinite(self.limits.store_kw[:sessions]))
        energy, limits = fleet.energy_arrive_kwh[units], self.limits.take(units)
        charge_at_once(
            stay[units], fleet.capacity_kwh[units], fleet.charge_max_kw[units],
            fleet.charge_efficiency[units], limits.store_kw, limits.full_taper_kwh, limits.full_kw,
            self.step_h, energy,
        )  # fmt: skip
        highest[units] = energy
        return highest

    def _connected(self) -> tuple[Batteries, BatteryLimits | None]:
        """Columns of the connected units, gathered anew only when others are connected."""
        fleet, units = self.fleet, self.fleet.active
        if self._gathered is None or self._gathered[0] is not units:
            batteries = Batteries(
                fleet.capacity_kwh[units],
                fleet.charge_max_kw[units],
                fleet.discharge_max_kw[units],
                fleet.charge_efficiency[units],
                fleet.discharge_efficiency[units],
            )
            limits = None if self.limits is None else self.limits.take(units)
            self._gathered = (units, batteries, limits)
        return self._gathered[1:]


def physics_of(scenario: Scenario, fleet: Fleet) -> Physics:
    """The physics of a scenario's batteries (stationary ones have no model column)."""
    names = [str(name) for name in scenario.sessions.battery_model]
    limits = None
    if any(names):
        names += [""] * len(scenario.storages)
        everything = Batteries(
            fleet.capacity_kwh,
            fleet.charge_max_kw,
            fleet.discharge_max_kw,
            fleet.charge_efficiency,
            fleet.discharge_efficiency,
        )
        limits = limits_of(names, everything)
    return Physics(fleet, scenario.horizon.step_h, limits)
