"""From the powers of a solver to a schedule that holds to the last digit.

Solvers keep constraints within a tolerance; what is handed over is recomputed: stored energy is
walked forward and kept inside its bounds, curtailment inside its own, net follows from both.
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.control.verify import Verdict, verify
from pendel.units import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule in full: power_kw, energy_kwh [N, T] (energy NaN outside the window), net_kw,
    curtailed_kw [S, T], reserve_kw [K]."""

    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    reserve_kw: FloatArray


def schedule_of(
    problem: PlanProblem,
    reach: Reach,
    power_kw: FloatArray,
    curtailed_kw: FloatArray,
    reserve_kw: FloatArray,
    promised: bool = True,
) -> Schedule:
    """Schedule from signed powers [W] of the connected pairs and curtailment [S, T].

    promised: minimum, floors and targets hold too (False where a rank had to give way).
    """
    units, steps, h = problem.units, problem.steps, problem.step_h
    count = len(units)
    power = np.zeros((count, steps))
    power[reach.unit, reach.step] = power_kw
    lo = np.full((count, steps), -np.inf)
    hi = np.full((count, steps), np.inf)
    lo[reach.unit, reach.step] = promised_lo(reach) if promised else reach.lo
    hi[reach.unit, reach.step] = reach.hi
    here = np.zeros((count, steps), dtype=np.bool_)
    here[reach.unit, reach.step] = True
    eta_c, eta_d = units.charge_efficiency, units.discharge_efficiency
    up, down = h * eta_c * units.charge_max_kw, h * units.discharge_max_kw / eta_d
    least_lo, least_hi = _tube(reach, lo, hi, here, up, down)
    energy = np.full((count, steps), np.nan)
    current = reach.start.copy()
    for t in range(steps):
        p = power[:, t]
        change = h * np.where(p > 0.0, eta_c * p, p / eta_d)
        change = np.clip(change, -down, up)
        aim = np.clip(current + change, least_lo[:, t], least_hi[:, t])
        change = np.where(here[:, t], np.clip(aim - current, -down, up), 0.0)
        power[:, t] = np.clip(
            np.where(change > 0.0, change / (h * eta_c), change * eta_d / h),
            -units.discharge_max_kw,
            units.charge_max_kw,
        )
        current = current + change
        energy[:, t] = np.where(here[:, t], current, np.nan)
    return with_net(problem, reach, power, energy, curtailed_kw, reserve_kw)


def merge_directions(
    problem: PlanProblem, reach: Reach, charge: FloatArray, discharge: FloatArray, pair: IntArray
) -> FloatArray:
    """Signed power that changes the stored energy as both amounts did, for rows `pair` of W."""
    who = reach.unit[pair]
    eta_c = problem.units.charge_efficiency[who]
    eta_d = problem.units.discharge_efficiency[who]
    change = eta_c * charge - discharge / eta_d
    return np.where(change > 0.0, change / eta_c, change * eta_d)


def promised_lo(reach: Reach) -> FloatArray:
    """[W] least energy at the end of each step with minimum, floors and targets kept."""
    lo = np.maximum(np.maximum(reach.lo, reach.minimum), reach.floor)
    last = reach.last_pair
    at = last[last >= 0]
    lo[at] = np.maximum(lo[at], reach.target[last >= 0])
    return lo


def with_net(
    problem: PlanProblem,
    reach: Reach,
    power: FloatArray,
    energy: FloatArray,
    curtailed_kw: FloatArray,
    reserve_kw: FloatArray,
) -> Schedule:
    """Complete a schedule: curtail what the export limit asks for, sum up the net."""
    flow = problem.load_kw - problem.pv_kw
    np.add.at(flow, problem.units.site, power)
    curtailed = np.clip(curtailed_kw, 0.0, problem.pv_kw)
    curtailed = np.clip(np.maximum(curtailed, -reach.export_kw - flow), 0.0, problem.pv_kw)
    # Curtailing the last digits beyond the import limit helps nobody.
    excess = np.clip(flow + curtailed - reach.import_kw, 0.0, curtailed)
    curtailed = curtailed - np.where(excess < 1e-6, excess, 0.0)
    if problem.reserves is not None:
        reserve_kw = np.clip(reserve_kw, 0.0, problem.reserves.max_kw)
    return Schedule(power, energy, flow + curtailed, curtailed, reserve_kw)


def _tube(
    reach: Reach,
    lo: FloatArray,
    hi: FloatArray,
    here: BoolArray,
    up: FloatArray,
    down: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Bounds [N, T] from which the bounds of all later steps can still be kept."""
    lo, hi = lo.copy(), hi.copy()
    for t in range(lo.shape[1] - 2, -1, -1):
        linked = here[:, t] & here[:, t + 1]
        lo[:, t] = np.where(linked, np.maximum(lo[:, t], lo[:, t + 1] - up), lo[:, t])
        hi[:, t] = np.where(linked, np.minimum(hi[:, t], hi[:, t + 1] + down), hi[:, t])
    return lo, hi


def verify_schedule(
    problem: PlanProblem, schedule: Schedule, stated_shortfall_kwh: float = float("inf")
) -> Verdict:
    """What the independent verifier says of a schedule."""
    return verify(
        problem,
        schedule.power_kw,
        schedule.energy_kwh,
        schedule.net_kw,
        schedule.curtailed_kw,
        schedule.reserve_kw,
        stated_shortfall_kwh,
    )
