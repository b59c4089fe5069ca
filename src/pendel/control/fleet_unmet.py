"""What a large fleet's plan leaves unmet, looked at only where something is."""

import numpy as np

from pendel.control.blend import Flows, limits_of
from pendel.control.fleet import FleetResult
from pendel.control.plan_result import Unmet
from pendel.control.problem import PlanProblem
from pendel.control.schedule import Schedule
from pendel.control.unmet import over_limits


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
