"""Feeders with few sites as blocks: whole subtrees that are solved together in the price method.

A price needs many sites to answer it: where a feeder has few, one that moves makes the sum jump.
Such a feeder is therefore worked on with its sites as one problem (`block_work`), and only what
stands above keeps prices that move by the answers of all: the upper problem, in which each site
hangs under what is above its block.
"""

from dataclasses import dataclass, replace

import numpy as np

from pendel.control.nodes import bottom_up
from pendel.control.problem import PlanProblem
from pendel.scenario.columns import Feeders
from pendel.units import BoolArray, IntArray

BLOCK_SITES, BLOCK_PAIRS = 200, 300_000
"""Sites and (unit, step) pairs of a block at most: what stays near a core, and is much less than
what hangs under a node above."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """root [F]: top feeder of the block of each feeder, -1 where it is in none; of_site [S] the
    same of each site; upper: the problem in which blocks hang under what is above them."""

    root: IntArray
    of_site: IntArray
    upper: PlanProblem


def no_blocks(problem: PlanProblem) -> Blocks:
    """No feeder is a block: all of them have prices."""
    none = np.full(len(problem.feeders), -1, dtype=np.int64)
    return Blocks(none, np.full(problem.sites, -1, dtype=np.int64), problem)


def blocks_of(problem: PlanProblem) -> Blocks:
    """The largest subtrees of feeders with at most BLOCK_SITES sites and BLOCK_PAIRS pairs."""
    feeders, units = problem.feeders, problem.units
    count = len(feeders)
    if count == 0:
        return no_blocks(problem)
    has = problem.feeder >= 0
    length = np.maximum(units.last - units.first, 0)
    pairs = np.bincount(units.site, weights=length, minlength=problem.sites)
    sites = np.bincount(problem.feeder[has], minlength=count)
    total = np.bincount(problem.feeder[has], weights=pairs[has], minlength=count)
    order = bottom_up(feeders.parent)
    for node in order:
        above = int(feeders.parent[node])
        if above >= 0:
            sites[above] += sites[node]
            total[above] += total[node]
    small = (sites <= BLOCK_SITES) & (total <= BLOCK_PAIRS)
    root = np.full(count, -1, dtype=np.int64)
    for node in order[::-1]:
        above = int(feeders.parent[node])
        if above >= 0 and root[above] >= 0:
            root[node] = root[above]
        elif small[node]:
            root[node] = node
    of_site = np.full(problem.sites, -1, dtype=np.int64)
    of_site[has] = root[problem.feeder[has]]
    above_block = np.where(of_site >= 0, feeders.parent[of_site], problem.feeder)
    kept, place = some_feeders(feeders, root < 0)
    feeder = np.where(above_block >= 0, place[above_block], -1)
    return Blocks(root, of_site, replace(problem, feeder=feeder, feeders=kept))


def some_feeders(feeders: Feeders, keep: BoolArray) -> tuple[Feeders, IntArray]:
    """Some feeders, those whose parent is not among them on top, and the place of each [F] there
    (-1: left out; the last entry stands for "none")."""
    place = np.full(len(feeders) + 1, -1, dtype=np.int64)
    place[:-1][keep] = np.arange(int(keep.sum()))
    parent = feeders.parent[keep]
    return Feeders(
        feeders.feeder_id[keep],
        np.where(parent >= 0, place[parent], -1),
        feeders.import_limit_kw[keep],
        feeders.export_limit_kw[keep],
    ), place
