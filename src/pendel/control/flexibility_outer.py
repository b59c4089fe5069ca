"""What a fleet could do at most: power per step and energy drawn so far, of all cars and batteries
together. Every feasible plan lies inside; not every curve inside is a plan (docs/concepts/
flexibility.md).
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.nodes import bottom_up
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.schedule import promised_lo
from pendel.control.schedule_kernels import tighten_backward
from pendel.units import FloatArray


@dataclass(frozen=True, slots=True)
class Outer:
    """Outer envelopes [T] of cars and batteries together, AC: least_kw <= power <= most_kw in each
    step, and energy drawn [kWh] from the begin of the horizon to the end of the step."""

    least_kw: FloatArray
    most_kw: FloatArray
    drawn_least_kwh: FloatArray
    drawn_most_kwh: FloatArray


def outer_of(problem: PlanProblem) -> Outer:
    """Outer envelopes of a problem; O(connected unit-steps).

    Each unit within its own limits and targets, cut by what sites, feeders and the portfolio let
    through. Where limits or targets cannot be kept at all there is no plan to enclose.
    """
    from pendel.control.flexibility_kernels import unit_envelopes

    units, h, reach = problem.units, problem.step_h, reach_of(problem)
    gain, loss = h * units.charge_efficiency, h / units.discharge_efficiency
    up, down = gain * units.charge_max_kw, loss * units.discharge_max_kw
    lo, hi = promised_lo(reach), reach.hi.copy()
    tighten_backward(reach.offset, up, down, lo, hi)
    shape = (problem.sites, problem.steps)
    least, most, drawn_least, drawn_most = (np.zeros(shape) for _ in range(4))
    unit_envelopes(
        h, units.site, np.clip(units.first, 0, problem.steps), reach.offset, reach.start, up, down,
        gain, loss, lo, hi, least, most, drawn_least, drawn_most,
    )  # fmt: skip
    import_kw, export_kw = reach.import_kw, reach.export_kw
    most_through = import_kw - problem.load_kw + problem.pv_kw
    least, most = _cut(least, most, -export_kw - problem.load_kw, most_through)
    low_kw, high_kw = _through_tree(problem, least, most)
    low, high = drawn_least.sum(axis=0), drawn_most.sum(axis=0)
    for t in range(1, problem.steps):
        low[t] = max(low[t], low[t - 1] + h * low_kw[t])
        high[t] = min(high[t], high[t - 1] + h * high_kw[t])
    return Outer(low_kw, high_kw, low, high)


def _cut(
    least: FloatArray, most: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Intervals cut to limits; where nothing is left the nearest point."""
    cut_least = np.minimum(np.maximum(least, low), np.maximum(most, low))
    return cut_least, np.maximum(np.minimum(most, high), cut_least)


def _through_tree(
    problem: PlanProblem, least: FloatArray, most: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Sums [T] of site intervals [S, T], cut at every feeder and at the portfolio."""
    feeders, count = problem.feeders, len(problem.feeders)
    sums = [np.zeros((count + 1, problem.steps)) for _ in range(4)]
    columns = (least, most, problem.load_kw, problem.load_kw - problem.pv_kw)
    for total, of_sites in zip(sums, columns, strict=True):
        np.add.at(total, problem.feeder, of_sites)
    low, high, load, net = sums
    for f in bottom_up(feeders.parent).tolist():
        low[f], high[f] = _cut(
            low[f], high[f], -feeders.export_limit_kw[f] - load[f],
            feeders.import_limit_kw[f] - net[f],
        )  # fmt: skip
        for total in sums:
            total[feeders.parent[f]] += total[f]
    return _cut(
        low[-1], high[-1], -problem.portfolio_export_limit_kw - load[-1],
        problem.portfolio_import_limit_kw - net[-1],
    )  # fmt: skip
