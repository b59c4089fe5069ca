"""From the powers of a solver to a schedule that holds to the last digit.

Solvers keep constraints within a tolerance; what is handed over is recomputed: stored energy is
walked forward and kept inside its bounds, curtailment inside its own, net follows from both.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from pendel.control.problem import PlanProblem, Units
from pendel.control.reach import Reach, export_limits, reach_of
from pendel.control.schedule_kernels import tighten_backward, walk
from pendel.control.verify import Verdict, verify
from pendel.units import FloatArray, IntArray

BLOCK_UNITS = 65_536


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
    targets: bool = True,
) -> Schedule:
    """Schedule from signed powers [W] of the connected pairs and curtailment [S, T].

    promised: minimum, floors and targets hold too (False where a rank had to give way); targets
    False: all of these but the targets do.
    """
    power = np.zeros((len(problem.units), problem.steps))
    energy = np.full((len(problem.units), problem.steps), np.nan)
    followed = _followed(problem, reach, power_kw, promised, targets)
    power[reach.unit, reach.step], energy[reach.unit, reach.step] = followed
    return with_net(problem, power, energy, curtailed_kw, reserve_kw, promised)


def schedule_in_blocks(
    problem: PlanProblem,
    power_kw: FloatArray,
    curtailed_kw: FloatArray,
    reserve_kw: FloatArray,
    promised: bool = True,
) -> Schedule:
    """Like `schedule_of`, from powers [N, T], which become those of the schedule: some units at a
    time, so that the bounds of the units take no memory worth speaking of."""
    energy = np.full((len(problem.units), problem.steps), np.nan)
    for begin in range(0, len(problem.units), BLOCK_UNITS):
        rows = slice(begin, begin + BLOCK_UNITS)
        part = with_units(problem, rows)
        reach = reach_of(part)
        flat = power_kw[rows][reach.unit, reach.step]
        power_kw[rows] = 0.0
        followed = _followed(part, reach, flat, promised)
        power_kw[rows][reach.unit, reach.step], energy[rows][reach.unit, reach.step] = followed
    return with_net(problem, power_kw, energy, curtailed_kw, reserve_kw, promised)


def with_units(problem: PlanProblem, rows: slice | IntArray) -> PlanProblem:
    """The problem with some of its units only, at the same sites."""
    return replace(
        problem,
        units=Units(**{f.name: getattr(problem.units, f.name)[rows] for f in fields(Units)}),
        floor_kwh=None if problem.floor_kwh is None else problem.floor_kwh[rows],
        presence=None if problem.presence is None else problem.presence[rows],
    )


def _followed(
    problem: PlanProblem, reach: Reach, power_kw: FloatArray, promised: bool, targets: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Powers and stored energies [W] that follow the powers inside all bounds of the units."""
    units, h = problem.units, problem.step_h
    gain, loss = h * units.charge_efficiency, h / units.discharge_efficiency
    up, down = gain * units.charge_max_kw, loss * units.discharge_max_kw
    lo = promised_lo(reach, targets) if promised else reach.lo.copy()
    hi, flat, stored = reach.hi.copy(), power_kw.copy(), np.empty(reach.pairs)
    tighten_backward(reach.offset, up, down, lo, hi)
    walk(reach.offset, reach.start, up, down, gain, loss, lo, hi, flat, stored)
    return flat, stored


def merge_directions(
    problem: PlanProblem,
    reach: Reach,
    charge: FloatArray,
    discharge: FloatArray,
    pair: IntArray,
    keep_net: bool = False,
) -> FloatArray:
    """One signed power for both amounts, for rows `pair` of W.

    It changes the stored energy as both did; with keep_net the power at the site stays instead
    and nothing is burnt (the battery ends fuller).
    """
    if keep_net:
        return charge - discharge
    who = reach.unit[pair]
    eta_c = problem.units.charge_efficiency[who]
    eta_d = problem.units.discharge_efficiency[who]
    change = eta_c * charge - discharge / eta_d
    return np.where(change > 0.0, change / eta_c, change * eta_d)


def promised_lo(reach: Reach, targets: bool = True) -> FloatArray:
    """[W] least energy at the end of each step with minimum, floors and targets kept (targets
    False: these need not be)."""
    lo = np.maximum(np.maximum(reach.lo, reach.minimum), reach.floor)
    if not targets:
        return lo
    last = reach.last_pair
    at = last[last >= 0]
    lo[at] = np.maximum(lo[at], reach.target[last >= 0])
    return lo


def with_net(
    problem: PlanProblem,
    power: FloatArray,
    energy: FloatArray,
    curtailed_kw: FloatArray,
    reserve_kw: FloatArray,
    limited: bool,
) -> Schedule:
    """Complete a schedule: sum up the net.

    limited: every limit can be kept, so curtailment makes up for the last digits at site limits.
    """
    flow = problem.load_kw - problem.pv_kw
    np.add.at(flow, problem.units.site, power)
    curtailed = np.clip(curtailed_kw, 0.0, problem.pv_kw)
    if limited:
        curtailed = np.clip(
            np.maximum(curtailed, -export_limits(problem) - flow), 0.0, problem.pv_kw
        )
        excess = np.clip(flow + curtailed - problem.import_limit_kw, 0.0, curtailed)
        curtailed = curtailed - np.where(excess < 1e-6, excess, 0.0)
    if problem.reserves is not None:
        reserve_kw = np.clip(reserve_kw, 0.0, problem.reserves.max_kw)
    return Schedule(power, energy, flow + curtailed, curtailed, reserve_kw)


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
