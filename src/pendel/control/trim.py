"""The last hair of a large fleet's plan: limits missed by rounding, targets missed by a margin.

Sections keep powers in float32 and plan a hair inside the limits of nodes; a battery that charged
and discharged at once, merged, gives more than both did. Where limits and targets give way, that
hair would cost more than the wanted gap at their prices; and a limit comes before a target, a
target before cost.
"""

import numpy as np

from pendel.control.blend import Flows, limits_of
from pendel.control.problem import PlanProblem
from pendel.control.reach import export_limits, goals_of
from pendel.control.schedule import Schedule
from pendel.control.trim_kernels import fill_targets, trim_exports, trim_imports

TRIM_KW = 1e-4
"""What rounding puts over an import limit of a site at most."""


def trim(problem: PlanProblem, schedule: Schedule) -> float:
    """Change a schedule in place: nothing a hair over an import limit or over an export limit that
    cars could keep, and no target missed that the limits leave room for. Returns how much batteries
    kept that had given it over export limits [kWh]."""
    units = problem.units
    if problem.floor_kwh is not None or len(units) == 0:
        return 0.0
    order = np.argsort(units.site, kind="stable")
    begin = np.searchsorted(units.site[order], np.arange(problem.sites + 1))
    places = order, begin, units.first, units.last
    power, energy, net = schedule.power_kw, schedule.energy_kwh, schedule.net_kw
    capacity = np.maximum(units.capacity_kwh, units.energy_start_kwh)
    # Who arrived below its minimum is lifted as fast as can be: nothing is taken from it.
    lifted = units.energy_start_kwh < np.minimum(units.energy_min_kwh, units.capacity_kwh)
    least = np.where(lifted, np.inf, np.minimum(units.energy_min_kwh, units.energy_start_kwh))
    eta_c, eta_d = units.charge_efficiency, units.discharge_efficiency
    kept = trim_exports(
        problem.step_h, *places, capacity, eta_c, eta_d, export_limits(problem), power, energy, net
    )
    trim_imports(
        problem.step_h, TRIM_KW, *places, least, units.target_kwh, units.discharge_max_kw, eta_c,
        eta_d, problem.import_limit_kw, power, energy, net, schedule.curtailed_kw,
    )  # fmt: skip
    limits, nodes = limits_of(problem, 0.0), len(problem.feeders)
    above = np.where(problem.feeder >= 0, problem.feeder, nodes)
    parent = np.append(np.where(problem.feeders.parent >= 0, problem.feeders.parent, nodes), -1)
    used, at = np.unique(above, return_inverse=True)
    flow = np.zeros((len(used), problem.steps))
    np.add.at(flow, at, net)
    flows = Flows(used, np.zeros_like(used), flow, np.zeros(1))
    room = limits.high_kw - limits.total_kw(flows)
    fill_targets(
        problem.step_h, *places, capacity, goals_of(problem)[0], units.charge_max_kw, eta_c, eta_d,
        problem.import_limit_kw, above, parent, room, power, energy, net,
    )  # fmt: skip
    return float(kept)
