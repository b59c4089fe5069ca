"""The safe path: a schedule without any solver, always there, always inside the units' limits.

Cars charge at once towards their target, the most urgent first, as far as site, feeders and
portfolio have room; stationary batteries rest; PV is curtailed where the export limit asks for
it. Used when time runs out before the first solution, or when a solver's plan fails the verifier.
"""

import numpy as np

from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.control.schedule import Schedule, schedule_of
from pendel.units import FloatArray


def greedy_schedule(problem: PlanProblem, reach: Reach) -> Schedule:
    """Charge at once within the limits, most urgent first. O(N T log N)."""
    units, h = problem.units, problem.step_h
    flow = problem.load_kw - problem.pv_kw
    curtailed = np.clip(-reach.export_kw - flow, 0.0, problem.pv_kw)
    flow = flow + curtailed
    parents = _ancestors(problem)
    power = np.zeros((len(units), problem.steps))
    stored = reach.start.copy()
    aim = np.maximum(reach.target, np.minimum(units.energy_min_kwh, reach.reachable))
    last = units.last
    for t in range(problem.steps):
        here = (units.first <= t) & (t < last) & (aim > stored)
        lack = aim - stored
        need_h = lack / np.maximum(units.charge_efficiency * units.charge_max_kw, 1e-9)
        slack = (last - t) * h - need_h
        room = _rooms(problem, reach, flow[:, t], t)
        for unit in sorted(np.flatnonzero(here), key=lambda u: (slack[u], u)):
            nodes = parents[int(units.site[unit])]
            most = min(
                float(units.charge_max_kw[unit]),
                float(lack[unit] / (h * units.charge_efficiency[unit])),
                float(room[nodes].min()),
            )
            if most > 0.0:
                power[unit, t] = most
                room[nodes] -= most
        stored = stored + h * units.charge_efficiency * power[:, t]
    count_k = 0 if problem.reserves is None else len(problem.reserves)
    flat = power[reach.unit, reach.step]
    return schedule_of(problem, reach, flat, curtailed, np.zeros(count_k), promised=False)


def _ancestors(problem: PlanProblem) -> list[list[int]]:
    """Per site the nodes its power flows through: site, then S + feeder, last the portfolio."""
    sites, feeders = problem.sites, problem.feeders
    ways = []
    for site in range(sites):
        way, above = [site], int(problem.feeder[site])
        while above >= 0:
            way.append(sites + above)
            above = int(feeders.parent[above])
        ways.append([*way, sites + len(feeders)])
    return ways


def _rooms(problem: PlanProblem, reach: Reach, flow: FloatArray, t: int) -> FloatArray:
    """Room [kW] left for import at every node (sites, feeders, portfolio) in step t."""
    sites, feeders = problem.sites, problem.feeders
    load = np.zeros(sites + len(feeders) + 1)
    for site, way in enumerate(_ancestors(problem)):
        load[way] += flow[site]
    limit = np.concatenate(
        [
            reach.import_kw[:, t],
            feeders.import_limit_kw,
            problem.portfolio_import_limit_kw[t : t + 1],
        ]
    )
    return np.maximum(limit - load, 0.0)
