"""The safe path: a schedule without any solver, always there, always inside the units' limits.

Cars charge at once towards their target, the most urgent first, as far as site, feeders and
portfolio have room; stationary batteries rest; PV is curtailed where the export limit asks for
it. Used when time runs out before the first solution, or when a solver's plan fails the verifier.
A million cars take some seconds, and no more memory than the schedule itself.
"""

import numpy as np

from pendel.control.greedy_kernels import add_flows, charge_in_order
from pendel.control.problem import PlanProblem
from pendel.control.reach import export_limits, goals_of
from pendel.control.schedule import Schedule, schedule_in_blocks
from pendel.units import FloatArray, IntArray


def greedy_schedule(problem: PlanProblem) -> Schedule:
    """Charge at once within the limits, most urgent first. O(N T log N)."""
    units, h = problem.units, problem.step_h
    flow = problem.load_kw - problem.pv_kw
    curtailed = np.clip(-export_limits(problem) - flow, 0.0, problem.pv_kw)
    flow = flow + curtailed
    above = _above(problem)
    power = np.zeros((len(units), problem.steps))
    stored = units.energy_start_kwh.copy()
    target, reachable = goals_of(problem)
    aim = np.maximum(target, np.minimum(units.energy_min_kwh, reachable))
    rate = np.maximum(units.charge_efficiency * units.charge_max_kw, 1e-9)
    for t in range(problem.steps):
        here = np.flatnonzero((units.first <= t) & (t < units.last) & (aim > stored))
        if len(here) == 0:
            continue
        lack = (aim - stored)[here]
        slack = (units.last[here] - t) * h - lack / rate[here]
        most, taken = np.zeros(len(units)), np.zeros(len(units))
        most[here] = np.minimum(
            units.charge_max_kw[here], lack / (h * units.charge_efficiency[here])
        )
        order = here[np.argsort(slack, kind="stable")]
        room = _room(problem, above, np.ascontiguousarray(flow[:, t]), t)
        charge_in_order(order, units.site, above, most, room, taken)
        power[:, t] = taken
        stored += h * units.charge_efficiency * taken
    count_k = 0 if problem.reserves is None else len(problem.reserves)
    return schedule_in_blocks(problem, power, curtailed, np.zeros(count_k), promised=False)


def _above(problem: PlanProblem) -> IntArray:
    """The node above each site and feeder, and -1 for the last node, the portfolio."""
    sites, count = problem.sites, len(problem.feeders)
    below = np.concatenate([problem.feeder, problem.feeders.parent])
    return np.append(np.where(below >= 0, sites + below, sites + count), -1).astype(np.int64)


def _room(problem: PlanProblem, above: IntArray, flow_kw: FloatArray, t: int) -> FloatArray:
    """Room [kW] left for import at every node (sites, feeders, portfolio) in step t."""
    load = np.zeros(len(above))
    add_flows(above, flow_kw, load)
    limit = np.concatenate(
        [
            problem.import_limit_kw[:, t],
            problem.feeders.import_limit_kw,
            problem.portfolio_import_limit_kw[t : t + 1],
        ]
    )
    return np.maximum(limit - load, 0.0)
