"""Columns of what gives way where limits and targets cannot all be kept, and their prices.

At a site the excess over its import limit and the shortfall of each unit stand beside the other
columns of its block (`elastic_kernels`); above the sites the import beyond a node's limit stands
beside its flow (`nodes`). Export limits need none: PV can be curtailed and nobody must discharge.
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.control.schedule import promised_lo
from pendel.units import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Give:
    """What gives way, and at what price: a kWh over a limit and one below a target [EUR].

    Both are so high that a limit is never broken to save a target, nor a target to save money.
    """

    over_eur_kwh: float
    short_eur_kwh: float


def beside_columns(
    problem: PlanProblem,
    reach: Reach,
    unit: IntArray,
    most: FloatArray,
    imports: FloatArray,
    give: Give | None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cost, lower and upper bound of what gives way at the sites: excess [S T] and shortfall [U];
    none where nothing does. most [S, T]: what a site could import at most."""
    if give is None:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    h, price = problem.step_h, problem.import_eur_kwh[problem.price_row].ravel()
    over = np.maximum(most.ravel() + 1.0 - imports, 0.0)
    last = reach.last_pair[unit]
    short = np.maximum(promised_lo(reach)[last] - promised_lo(reach, False)[last], 0.0)
    cost = np.concatenate([h * (price + give.over_eur_kwh), np.full(len(unit), give.short_eur_kwh)])
    return cost, np.zeros(len(cost)), np.concatenate([over, short])


def over_columns(
    problem: PlanProblem, nodes: int, total_in: FloatArray, node_hi: FloatArray, give: Give | None
) -> tuple[FloatArray, FloatArray]:
    """Cost and upper bound [F T] of what nodes import beyond their limits; none where nothing
    gives way. total_in [T] as of `upper_columns`."""
    if give is None:
        return np.zeros(0), np.zeros(0)
    most = np.maximum(np.tile(total_in, nodes) - node_hi, 0.0)
    return np.full(len(most), problem.step_h * give.over_eur_kwh), most
