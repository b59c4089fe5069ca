"""The interior point over shards: whole sites wherever their worker is, the nodes here.

A shard keeps all state of its sites; what travels is prices and steps down, and sums up: net
imports and right-hand sides [F + 2, T] and the nodes' matrices of a shard (those of nodes that its
sites hang under). A shard is a function of its part of the problem and of the calls it has had, so
a lost one is made again elsewhere by repeating those calls, to the same last digit.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Protocol

import numpy as np

from pendel.control.arrow import Arrow
from pendel.control.interior import COST, PRICE, Interior, V
from pendel.control.phase_kernels import affine_sites, open_sites, step_sites
from pendel.control.start_kernels import price_sites, start_sites
from pendel.units import FloatArray, IntArray

SUMMED: dict[str, Callable[..., Any]] = {"start_sites": start_sites, "open_sites": open_sites}
OVER: dict[str, Callable[..., Any]] = {
    "price_sites": price_sites,
    "affine_sites": affine_sites,
    "step_sites": step_sites,
}


class Team(Protocol):
    """Shards somewhere; every call reaches all of them and answers in their order."""

    def call(self, method: str, *args: Any) -> list[Any]:
        """The results of shard.method(*args), one per shard."""
        ...


class Shard(Interior):
    """The sites of one part. One piece: the sums of a shard do not depend on who holds it."""

    def __init__(self, part: Arrow, scale: float) -> None:
        part = replace(part, **{f.name: owned(getattr(part, f.name)) for f in fields(part)})
        super().__init__(part)
        self.scale = scale
        self.X[COST] = part.cost / scale
        self.pieces = [(0, len(part.node_of))]
        used = np.unique(part.node_of[part.node_of >= 0])
        self.used: IntArray = used.astype(np.int64)

    def summed(self, name: str, *more: Any) -> tuple[list[Any], FloatArray, IntArray, FloatArray]:
        """A pass of SUMMED: its results, flows and right-hand sides, and S of the nodes used."""
        found, sums = self._summed(SUMMED[name], *map(owned, more))
        return found, sums, self.used, self.nodes.S[self.used]

    def over(self, name: str, *more: Any) -> list[Any]:
        """A pass of OVER: its results."""
        return self._over_sites(OVER[name], *map(owned, more))

    def pulled(self, aim: float) -> FloatArray:
        """Right-hand sides of the centring pass."""
        return self._pulled(aim)

    def columns(self) -> tuple[FloatArray, FloatArray]:
        """Values of the sites' columns and prices of their rows."""
        width, height = self.arrow.block_begin, rows_before(self.arrow)
        return self.X[V, : width[-1]].copy(), self.Y[PRICE, : height[-1]].copy()


def owned(value: Any) -> Any:
    """The value; an array as one of our own: what came over a wire may be read-only, and a kernel
    for read-only arrays would have to be compiled first."""
    return np.array(value) if isinstance(value, np.ndarray) else value


def rows_before(arrow: Arrow) -> IntArray:
    """[S + 1] first row of each site's block; the last is that of the nodes."""
    pairs = arrow.offset[arrow.site_begin]
    return pairs + np.arange(len(pairs)) * 2 * arrow.steps


def part_of(arrow: Arrow, begin: int, end: int) -> Arrow:
    """The sites begin <= s < end as an arrow of their own, under the same nodes."""
    u0, u1 = int(arrow.site_begin[begin]), int(arrow.site_begin[end])
    a, b = int(arrow.offset[u0]), int(arrow.offset[u1])
    column, row = arrow.block_begin, rows_before(arrow)

    def cut(values: FloatArray, before: IntArray) -> FloatArray:
        return np.concatenate([values[before[begin] : before[end]], values[before[-1] :]])

    return replace(
        arrow,
        pair=arrow.pair[a:b],
        site_begin=arrow.site_begin[begin : end + 1] - u0,
        offset=arrow.offset[u0 : u1 + 1] - a,
        unit_step=arrow.unit_step[u0:u1],
        gain=arrow.gain[u0:u1],
        loss=arrow.loss[u0:u1],
        has_demand=arrow.has_demand[begin:end],
        node_of=arrow.node_of[begin:end],
        cost=cut(arrow.cost, column),
        lo=cut(arrow.lo, column),
        hi=cut(arrow.hi, column),
        due=cut(arrow.due, row),
        fixed_kw=np.zeros(0),
        constant_eur=0.0,
        site_constant_eur=np.zeros(end - begin),
        end=arrow.end[begin:end],
    )


def cuts_of(arrow: Arrow, count: int) -> list[int]:
    """Borders of at most `count` runs of whole sites, about equal in pairs."""
    sites = len(arrow.node_of)
    before = arrow.offset[arrow.site_begin]
    inner = np.searchsorted(before, arrow.pairs * np.arange(1, count) / count)
    return sorted({0, sites, *(int(c) for c in inner if 0 < c < sites)})


class SpreadInterior(Interior):
    """The interior point whose sites are worked on by a team."""

    def __init__(
        self, arrow: Arrow, team: Callable[[list[Arrow], float], Team], count: int
    ) -> None:
        """team: makes the team of the parts, given the scale of costs; count: of shards wanted."""
        super().__init__(arrow)
        self.cuts = cuts_of(arrow, count)
        parts = [part_of(arrow, a, b) for a, b in zip(self.cuts[:-1], self.cuts[1:], strict=True)]
        self.team = team(parts, self.scale)

    def _over_sites(self, kernel: Callable[..., Any], *more: Any) -> list[Any]:
        answers = self.team.call("over", _name(kernel), *more)
        return [found for answer in answers for found in answer]

    def _summed(self, kernel: Callable[..., Any], *more: Any) -> tuple[list[Any], FloatArray]:
        answers = self.team.call("summed", _name(kernel), *more)
        self.nodes.S[:] = 0.0
        for _, _, used, S in answers:
            self.nodes.S[used] += S
        sums = np.asarray(np.sum([answer[1] for answer in answers], axis=0))
        return [found for answer in answers for found in answer[0]], sums

    def _pulled(self, aim: float) -> FloatArray:
        return np.asarray(np.sum(self.team.call("pulled", aim), axis=0))

    def settle(self) -> None:
        """Fetch the columns and prices of all shards."""
        column, row = self.arrow.block_begin, rows_before(self.arrow)
        borders = zip(self.cuts[:-1], self.cuts[1:], strict=True)
        for (a, b), (values, prices) in zip(borders, self.team.call("columns"), strict=True):
            self.X[V, column[a] : column[b]] = values
            self.Y[PRICE, row[a] : row[b]] = prices


def _name(kernel: Callable[..., Any]) -> str:
    """The name of a pass, by which a shard finds it."""
    return next(name for name, one in (SUMMED | OVER).items() if one is kernel)
