"""Who works on the sections of a fleet: what a section does in a pass, and the crew that does it.

A section's state (its point, its plan, its multipliers) stays with whoever works on it. What
travels is prices and shares down; net imports, answers and parts of the bound up, always in the
order of the sections, so that sums do not depend on who came first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from pendel.control.blur import add_to_prices, noise
from pendel.control.bound_kernels import bound_sites
from pendel.control.schedule import merge_directions, schedule_of
from pendel.control.sections import Section, Sections
from pendel.control.site_kernels import (
    CENTRED,
    COLD,
    WARM,
    pack_state,
    solve_sites,
    unpack_state,
)
from pendel.kernel.threads import in_threads
from pendel.units import FloatArray, IntArray

COST, LO, HI, V = range(4)
DUE, PRICE = 0, 1
ROUNDS_COLD, ROUNDS_WARM = 60, 12
MISSED_KWH = 2e-5


class TimeUpError(Exception):
    """The time limit was reached within a pass."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a pass found at one section: answers [L, T, T] at the nodes [L] its sites hang under;
    net imports flow [E, T] of its groups of sites by node and group [E]; the cost of each group's
    plan [g] and what of that is the price of limits and targets that gave way [g]; its part of
    the proven bound [scaled], and the sites that did not settle."""

    below: IntArray
    answers: FloatArray
    node: IntArray
    group: IntArray
    flow: FloatArray
    cost_eur: FloatArray
    given_eur: FloatArray
    bound: float
    failed: list[int]


@dataclass(frozen=True, slots=True)
class Placed:
    """A section's part of the final plan: positions of its units and sites, power and energy
    [n, T], net and curtailment [s, T], cost [s] of each site, what gave way included, and its
    proven bound [s] [scaled; -inf: none] (of a block: all with its first site); for a block its
    feeders and the prices [L, T] of that bound there."""

    units: IntArray
    sites: IntArray
    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    cost_eur: FloatArray
    bound: FloatArray
    feeders: tuple[IntArray, FloatArray] | None = None


class Crew(Protocol):
    """Works on all sections; every list is in their order."""

    def run(
        self, price: FloatArray, aim: float, blur: float, remaining_s: Callable[[], float]
    ) -> list[Found]:
        """Solve every site at the prices [F + 2, T], blurred by so much (`blur`; 0: not), to
        complementarity aim. Raises TimeUpError."""
        ...

    def mix(self, shares: list[FloatArray]) -> None:
        """Move the plan of each section's groups by their shares [g] to what was found last."""
        ...

    def mark(self) -> None:
        """Keep the multipliers of the last pass for the final bound."""
        ...

    def place(self, price: FloatArray, take: Callable[[Placed], None]) -> list[float]:
        """Hand the plan to `take`, section by section in any order; parts of the bound [scaled] at
        the marked multipliers and the prices. Points of the passes are forgotten."""
        ...


@dataclass(slots=True)
class SectionWork:
    """One section and its state between passes: the point (signed distances to bounds, prices of
    rows; float32) at complementarity `aim`, powers found last, the plan, and the cost of each
    site [S] with them; marked multipliers; free [S]: pairs of each site that can move."""

    sections: Sections
    index: int
    point: tuple[FloatArray, FloatArray] | None = None
    aim: float = 0.0
    fresh: FloatArray | None = None
    plan: FloatArray | None = None
    fresh_eur: FloatArray | None = None
    plan_eur: FloatArray | None = None
    marked: FloatArray | None = None
    free: IntArray | None = None

    def run(self, price: FloatArray, aim: float, blur: float = 0.0) -> Found:
        """One pass over the section (`Crew.run`)."""
        section = self.sections.build(self.index)
        arrow, X, Y, steps = section.arrow, section.X, section.Y, section.arrow.steps
        if self.point is not None:
            unpack_state(X, Y, *self.point, self.aim)
        local, node = np.unique(section.node_of, return_inverse=True)
        pushed = np.zeros((len(local), steps))
        answers = np.zeros((len(local), steps, steps))
        status = np.zeros(len(arrow.node_of), dtype=np.int64)
        warm = COLD if self.point is None else WARM if aim < self.aim else CENTRED
        rounds = ROUNDS_COLD if warm == COLD else ROUNDS_WARM
        args: list[Any] = [0, len(status), *section.shape(node), price[local], aim]
        args += [warm, rounds, pushed, answers, status]
        change = self.blurred(section, blur)
        solve_sites(*args)
        add_to_prices(X[COST], arrow, -change)
        point: Any = tuple(np.empty(a.shape[1], dtype=np.float32) for a in (X, Y))
        pack_state(X, Y, *point)
        self.point, self.aim, self.fresh = point, aim, section.powers()
        self.free = np.diff(arrow.offset[arrow.site_begin])
        Y[PRICE] = point[1]
        group, groups = self.sections.group_of(self.index), self.sections.groups(self.index)
        pairs, place = np.unique(np.stack([section.node_of, group]), axis=1, return_inverse=True)
        flow = np.zeros((pairs.shape[1], steps))
        np.add.at(flow, place.ravel(), section.net_kw())
        self.fresh_eur = section.cost_eur(self.sections.scale)
        cost, given = (
            np.bincount(group, each, groups).astype(np.float64)
            for each in (self.fresh_eur, given_eur(section))
        )
        bound = float(self.proven(section, price).sum())
        failed = section.sites[status == 0].tolist()
        return Found(local, answers, pairs[0], pairs[1], flow, cost, given, bound, failed)

    def blurred(self, section: Section, blur: float) -> FloatArray:
        """Blur the section's prices; by how much [S, T] (nothing: no rows)."""
        number = self.sections.number[section.sites] if blur > 0.0 else np.zeros(0, np.int64)
        change = blur * noise(number, section.arrow.steps)
        add_to_prices(section.X[COST], section.arrow, change)
        return change

    def mix(self, shares: FloatArray) -> None:
        """Move the plan towards what was found last; the first is taken as it is."""
        if self.fresh is None or self.fresh_eur is None or self.free is None:
            return
        if self.plan is None or self.plan_eur is None:
            self.plan, self.plan_eur = self.fresh, self.fresh_eur
        else:
            of_site = shares[self.sections.group_of(self.index)]
            self.plan_eur += of_site * (self.fresh_eur - self.plan_eur)
            share = of_site.astype(np.float32)
            of_pair = np.repeat(share, self.free)
            cut = np.repeat(share, self.sections.problem.steps)
            self.plan += np.concatenate([of_pair, of_pair, cut]) * (self.fresh - self.plan)
        self.fresh = None

    def mark(self) -> None:
        """Keep the multipliers of the last pass."""
        self.marked = None if self.point is None else self.point[1]

    def place(self, price: FloatArray) -> Placed:
        """The section's part of the final plan (`Crew.place`)."""
        section = self.sections.build(self.index)
        self.point = None
        arrow, Y = section.arrow, section.Y
        charge, discharge, cut = section.split(np.zeros(0) if self.plan is None else self.plan)
        flat = arrow.fixed_kw.copy()
        flat[arrow.pair] = merge_directions(
            section.problem, section.reach, charge, discharge, arrow.pair
        )
        Y[PRICE] = 0.0 if self.marked is None else self.marked
        reach, stiff = section.reach, arrow.give is None
        made = schedule_of(section.problem, reach, flat, cut, np.zeros(0), targets=stiff)
        if not stiff and reach.pairs > 0:
            # A target that is missed by rounding is kept; what was given up stays given up.
            at = reach.last_pair
            end = made.energy_kwh[reach.unit[at], reach.step[at]]
            lowered = np.where(end < reach.target - MISSED_KWH, end, reach.target)
            reach = replace(reach, target=np.where(at >= 0, lowered, reach.target))
            made = schedule_of(section.problem, reach, flat, cut, np.zeros(0))
        bound = self.proven(section, price)
        cost = np.zeros(len(section.sites)) if self.plan_eur is None else self.plan_eur
        return Placed(
            section.units, section.sites, made.power_kw, made.energy_kwh, made.net_kw,
            made.curtailed_kw, cost, bound, self.feeders(section),
        )  # fmt: skip

    def feeders(self, section: Section) -> tuple[IntArray, FloatArray] | None:
        """The feeders that belong to the section, and the prices [L, T] of its bound there."""
        return None

    def proven(self, section: Section, price: FloatArray) -> FloatArray:
        """[S] proven bound [scaled] of the section at its multipliers, at the true limits."""
        return proven(self.sections, section, price)


def given_eur(section: Section) -> FloatArray:
    """[S] price of what gives way at each of a section's sites."""
    arrow, sites = section.arrow, len(section.sites)
    if arrow.give is None:
        return np.zeros(sites)
    over, short = arrow.beside
    site = np.repeat(np.arange(sites), np.diff(arrow.site_begin))
    lacking = np.bincount(site, section.X[V][short], sites)
    kwh = section.problem.step_h * section.X[V][over].sum(axis=1)
    return np.asarray(arrow.give.over_eur_kwh * kwh + arrow.give.short_eur_kwh * lacking)


def proven(sections: Sections, section: Section, price: FloatArray) -> FloatArray:
    """[S] proven bound [scaled] of a section's sites at its multipliers, at the true limits."""
    sections.widen(section)
    arrow, X, Y = section.arrow, section.X, section.Y
    each = np.empty(len(section.sites))
    bound_sites(
        0, len(section.sites), arrow.steps, arrow.site_begin, arrow.offset, arrow.unit_step,
        section.rates, arrow.has_demand, section.node_of, X[COST], X[LO], X[HI], Y[DUE], Y[PRICE],
        price, each,
    )  # fmt: skip
    each += arrow.site_constant_eur / sections.scale
    return np.where(np.isfinite(each), each, -np.inf)


class LocalCrew:
    """A crew of threads in this process (see `Crew`)."""

    def __init__(self, sections: Sections) -> None:
        from pendel.control.block_work import BlockWork

        self.work = [
            (BlockWork if sections.is_block(index) else SectionWork)(sections, index)
            for index in range(len(sections))
        ]

    def run(
        self, price: FloatArray, aim: float, blur: float, remaining_s: Callable[[], float]
    ) -> list[Found]:
        """See `Crew.run`."""

        def one(work: SectionWork) -> Found:
            if remaining_s() <= 0.0:
                raise TimeUpError
            return work.run(price, aim, blur)

        return in_threads(one, self.work)

    def mix(self, shares: list[FloatArray]) -> None:
        """See `Crew.mix`."""
        for work, share in zip(self.work, shares, strict=True):
            work.mix(share)

    def mark(self) -> None:
        """See `Crew.mark`."""
        for work in self.work:
            work.mark()

    def place(self, price: FloatArray, take: Callable[[Placed], None]) -> list[float]:
        """See `Crew.place`."""

        def one(work: SectionWork) -> float:
            placed = work.place(price)
            take(placed)
            return float(placed.bound.sum())

        return in_threads(one, self.work)
