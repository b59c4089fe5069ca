"""Best schedules of units that only see prices: the exact programme, vectorised over units.

At AC price p [EUR/kWh] a stored kWh costs ac = p / eta_c + wear when charging and saves
ad = p eta_d - wear when discharging. Where ac < ad burning energy would pay; one chord segment
then solves exactly the relaxation that may share a step between charging and discharging (a valid
lower bound), and `exact` says where that happened.
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.reach import Reach
from pendel.control.unit_kernels import solve_units
from pendel.units import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """Per connected pair [W], in EUR per stored kWh: cost of charging, worth of discharging;
    charge_kwh, discharge_kwh: most of each in a step; end_eur_kwh [N] worth of a kWh at the end;
    goal_kwh, goal_eur_kwh [N]: soft target and penalty per kWh below it (0 = none)."""

    charge_eur_kwh: FloatArray
    discharge_eur_kwh: FloatArray
    charge_kwh: FloatArray
    discharge_kwh: FloatArray
    end_eur_kwh: FloatArray
    goal_kwh: FloatArray
    goal_eur_kwh: FloatArray


@dataclass(frozen=True, slots=True)
class UnitSchedules:
    """change_kwh [W] of stored energy; cost_eur [N] (inf where the bounds cannot be kept);
    exact [W] False where the step was relaxed because burning energy would pay."""

    change_kwh: FloatArray
    cost_eur: FloatArray
    exact: BoolArray


def best_schedules(
    reach: Reach, prices: UnitPrices, lo: FloatArray, hi: FloatArray
) -> UnitSchedules:
    """Least-cost schedules within lo <= energy at the end of the step <= hi [W]."""
    exact = prices.charge_eur_kwh >= prices.discharge_eur_kwh
    both = prices.charge_kwh + prices.discharge_kwh
    worth = (
        prices.charge_eur_kwh * prices.charge_kwh + prices.discharge_eur_kwh * prices.discharge_kwh
    )
    chord = worth / np.maximum(both, 1e-300)
    slope = np.stack(
        [
            np.where(exact, prices.discharge_eur_kwh, chord),
            np.where(exact, prices.charge_eur_kwh, chord),
        ]
    )
    length = np.stack([prices.discharge_kwh, prices.charge_kwh])
    change, cost = np.zeros(reach.pairs), np.zeros(len(reach.start))
    solve_units(
        reach.offset,
        slope,
        length,
        -prices.discharge_kwh,
        -prices.discharge_eur_kwh * prices.discharge_kwh,
        lo,
        hi,
        reach.start,
        -prices.end_eur_kwh,
        prices.goal_kwh,
        prices.goal_eur_kwh,
        change,
        cost,
    )
    return UnitSchedules(change, cost, exact | (both <= 0.0))
