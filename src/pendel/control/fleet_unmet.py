"""What a large fleet's plan leaves unmet, looked at only where something is."""

from dataclasses import replace

import numpy as np

from pendel.control.blend import Flows, limits_of
from pendel.control.fleet import FleetResult
from pendel.control.plan_result import Unmet
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.schedule import Schedule
from pendel.control.sections import Sections
from pendel.control.unmet import TOLERANCE_KWH, over_limits, unmet_wishes
from pendel.units import LIMIT_TOLERANCE, BoolArray, FloatArray


def unmet_of_fleet(
    problem: PlanProblem, schedule: Schedule, shortfall_kwh: FloatArray
) -> tuple[Unmet, ...]:
    """What is unmet, looked at only where something is."""
    lacking = shortfall_kwh > TOLERANCE_KWH
    over = schedule.net_kw - problem.import_limit_kw > LIMIT_TOLERANCE
    has_wish: BoolArray = np.asarray(over.any(axis=1))
    has_wish[problem.units.site[lacking]] = True
    sites = np.flatnonzero(has_wish)
    joint = tuple(joint_limits(problem, schedule))
    if len(sites) == 0:
        return joint
    part, units = Sections(problem).part(sites)
    own = Schedule(
        schedule.power_kw[units],
        schedule.energy_kwh[units],
        schedule.net_kw[sites],
        schedule.curtailed_kw[sites],
        schedule.reserve_kw,
    )
    found = unmet_wishes(part, reach_of(part), own, shortfall_kwh[units])
    own_wishes = tuple(
        replace(
            wish,
            unit=int(units[wish.unit]) if wish.unit >= 0 else -1,
            site=int(sites[wish.site]) if wish.site >= 0 else -1,
        )
        for wish in found
    )
    return own_wishes + joint


def joint_limits(problem: PlanProblem, schedule: Schedule | FleetResult) -> list[Unmet]:
    """Feeders and the portfolio over their limits."""
    limits, count = limits_of(problem, 0.0), len(problem.feeders)
    node = np.where(problem.feeder >= 0, problem.feeder, count)
    used, at = np.unique(node, return_inverse=True)
    flow = np.zeros((len(used), problem.steps))
    np.add.at(flow, at, schedule.net_kw)
    total = limits.total_kw(Flows(used, np.zeros_like(used), flow, np.zeros(1)))
    names = [f"feeder {name}" for name in problem.feeders.feeder_id.tolist()]
    high, low = limits.high_kw, -limits.low_kw
    return [
        wish
        for i, name in enumerate([*names, "portfolio"])
        for wish in over_limits(-1, name, total[i], high[i], low[i], problem.step_h)
    ]
