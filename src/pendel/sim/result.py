"""What one simulated run of one strategy leaves behind; reports and summaries are made of it."""

from dataclasses import dataclass
from typing import Any

from pendel.scenario.columns import Scenario
from pendel.units import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Run:
    """One strategy over one scenario. Shapes: N sessions, B storages, S sites, T steps.

    summary: exactly the contract's `summary.json` of `pendel simulate`.
    power_kw, energy_kwh [N + B, T]: AC power in each step and stored energy at its end (NaN while
    not connected); net_kw, curtailed_kw [S, T]; promised, kept [N]: whether the session counts as
    a promise, and whether it was kept; energy_leave_kwh [N]: in the battery at the real departure.
    """

    strategy: str
    scenario: Scenario
    summary: dict[str, Any]
    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    promised: BoolArray
    kept: BoolArray
    energy_leave_kwh: FloatArray
