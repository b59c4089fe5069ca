"""Prices that differ a little from site to site, where many cars are alike.

Cars of the same efficiency answer together: at equal prices of two steps all of them change their
minds at once, and the sum of their answers is a staircase on which no derivative helps. With a
small price of its own for each site and step the sum is smooth again, and its mean derivative is
that of the sites. What a site then does costs little more: it may pass over what is cheaper by
less than that. (Perturbed optimisers: Berthet et al., NeurIPS 2020, arXiv 2002.08676.)
"""

import numpy as np

from pendel.control.arrow import Arrow
from pendel.control.problem import PlanProblem
from pendel.units import FloatArray, IntArray

ALIKE_SHARE = 0.5
"""Share of units with one efficiency from which on they are told apart by blurred prices."""
BLUR_SHARE = 0.015
"""Largest difference of a site's price, as a share of the mean price."""
DIGITS = 4
COST = 0


def are_alike(problem: PlanProblem) -> bool:
    """Whether so many units have the same efficiency that they would answer together."""
    efficiency = np.round(problem.units.charge_efficiency, DIGITS)
    _, count = np.unique(efficiency, return_counts=True)
    return len(efficiency) > 0 and bool(count.max() >= ALIKE_SHARE * len(efficiency))


def noise(number: IntArray, steps: int) -> FloatArray:
    """[S, T] numbers in [-1, 1), a fixed function of a site's number [S] and the step.

    The mixing function is that of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    place = number[:, None] * np.int64(steps) + np.arange(1, steps + 1)
    mixed: np.ndarray[tuple[int, int], np.dtype[np.uint64]]
    mixed = place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0)


def add_to_prices(cost: FloatArray, arrow: Arrow, change: FloatArray) -> None:
    """Change what import costs and export earns at the first sites of an arrow by [S, T], in the
    costs of its columns."""
    at = arrow.import_column[: len(change), None] + np.arange(arrow.steps)
    cost[at] += change
    cost[at + arrow.steps] -= change
