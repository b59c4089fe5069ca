"""The safe path once more, car by car, to be read."""

import numpy as np

from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.units import FloatArray


def greedy_powers(problem: PlanProblem, reach: Reach) -> FloatArray:
    """Powers [N, T]: each step the most urgent first, each as much as all above it have room."""
    units, h = problem.units, problem.step_h
    flow = problem.load_kw - problem.pv_kw
    flow = flow + np.clip(-reach.export_kw - flow, 0.0, problem.pv_kw)
    power = np.zeros((len(units), problem.steps))
    stored = reach.start.copy()
    aim = np.maximum(reach.target, np.minimum(units.energy_min_kwh, reach.reachable))
    for t in range(problem.steps):
        room = {("site", s): float(reach.import_kw[s, t]) for s in range(problem.sites)}
        room |= {
            ("feeder", f): float(limit) for f, limit in enumerate(problem.feeders.import_limit_kw)
        }
        room["all", 0] = float(problem.portfolio_import_limit_kw[t])
        for site in range(problem.sites):
            for node in way(problem, site):
                room[node] -= float(flow[site, t])
        room = {node: max(left, 0.0) for node, left in room.items()}
        waiting = []
        for unit in range(len(units)):
            if units.first[unit] <= t < units.last[unit] and aim[unit] > stored[unit]:
                rate = max(units.charge_efficiency[unit] * units.charge_max_kw[unit], 1e-9)
                left_h = (units.last[unit] - t) * h
                waiting.append((left_h - (aim[unit] - stored[unit]) / rate, unit))
        for _, unit in sorted(waiting):
            nodes = way(problem, int(units.site[unit]))
            most = min(
                float(units.charge_max_kw[unit]),
                float((aim[unit] - stored[unit]) / (h * units.charge_efficiency[unit])),
                *(room[node] for node in nodes),
            )
            if most > 0.0:
                power[unit, t] = most
                for node in nodes:
                    room[node] -= most
        stored = stored + h * units.charge_efficiency * power[:, t]
    return power


def way(problem: PlanProblem, site: int) -> list[tuple[str, int]]:
    """What a site's power flows through."""
    nodes, above = [("site", site)], int(problem.feeder[site])
    while above >= 0:
        nodes.append(("feeder", above))
        above = int(problem.feeders.parent[above])
    return [*nodes, ("all", 0)]
