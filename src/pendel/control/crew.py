"""Who works on the sections of a fleet: what a section does in a pass, and the crew that does it.

A section's state (its point, its plan, its multipliers) stays with whoever works on it. What
travels is prices and shares down; net imports, answers and parts of the bound up, always in the
order of the sections, so that sums do not depend on who came first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

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
    """What a pass found at one section: the nodes [L] its sites hang under, net imports
    flow [L, T] and answers [L, T, T] there, the cost of its plan, what of that is the price of
    limits and targets that gave way, its part of the proven bound [scaled], and the sites that did
    not settle."""

    node: IntArray
    flow: FloatArray
    answers: FloatArray
    cost_eur: float
    given_eur: float
    bound: float
    failed: list[int]


@dataclass(frozen=True, slots=True)
class Placed:
    """A section's part of the final plan: positions of its units and sites, power and energy
    [n, T], net and curtailment [s, T], its part of the proven bound [scaled], and for a block its
    feeders and the prices [L, T] of that bound there."""

    units: IntArray
    sites: IntArray
    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    bound: float
    feeders: tuple[IntArray, FloatArray] | None = None


class Crew(Protocol):
    """Works on all sections; every list is in their order."""

    def run(self, price: FloatArray, aim: float, remaining_s: Callable[[], float]) -> list[Found]:
        """Solve every site at the prices [F + 2, T] to complementarity aim. Raises TimeUpError."""
        ...

    def mix(self, shares: FloatArray) -> None:
        """Move each section's plan by its share [G] towards what the last pass found."""
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
    rows; float32) at complementarity `aim`, powers found last, the plan, marked multipliers."""

    sections: Sections
    index: int
    point: tuple[FloatArray, FloatArray] | None = None
    aim: float = 0.0
    fresh: FloatArray | None = None
    plan: FloatArray | None = None
    marked: FloatArray | None = None

    def run(self, price: FloatArray, aim: float) -> Found:
        """One pass over the section (`Crew.run`)."""
        section = self.sections.build(self.index)
        arrow, X, Y, steps = section.arrow, section.X, section.Y, section.arrow.steps
        if self.point is not None:
            unpack_state(X, Y, *self.point, self.aim)
        local, node = np.unique(section.node_of, return_inverse=True)
        flow = np.zeros((len(local), steps))
        answers = np.zeros((len(local), steps, steps))
        status = np.zeros(len(arrow.node_of), dtype=np.int64)
        warm = COLD if self.point is None else WARM if aim < self.aim else CENTRED
        rounds = ROUNDS_COLD if warm == COLD else ROUNDS_WARM
        args: list[Any] = [0, len(status), *section.shape(node), price[local], aim]
        args += [warm, rounds, flow, answers, status]
        _, cost, _ = solve_sites(*args)
        point: Any = tuple(np.empty(a.shape[1], dtype=np.float32) for a in (X, Y))
        pack_state(X, Y, *point)
        self.point, self.aim, self.fresh = point, aim, section.powers()
        Y[PRICE] = point[1]
        bound = self.proven(section, price)
        cost_eur = self.sections.scale * cost + arrow.constant_eur
        given, failed = given_eur(section), section.sites[status == 0].tolist()
        return Found(local, flow, answers, cost_eur, given, bound, failed)

    def mix(self, share: float) -> None:
        """Move the plan towards what was found last; the first is taken as it is."""
        if self.fresh is None:
            return
        if self.plan is None:
            self.plan = self.fresh
        else:
            self.plan += np.float32(share) * (self.fresh - self.plan)
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
        if not stiff:
            # A target that is missed by rounding is kept; what was given up stays given up.
            at = reach.last_pair
            end = made.energy_kwh[reach.unit[at], reach.step[at]]
            lowered = np.where(end < reach.target - MISSED_KWH, end, reach.target)
            reach = replace(reach, target=np.where(at >= 0, lowered, reach.target))
            made = schedule_of(section.problem, reach, flat, cut, np.zeros(0))
        bound = self.proven(section, price)
        return Placed(
            section.units, section.sites, made.power_kw, made.energy_kwh, made.net_kw,
            made.curtailed_kw, bound,
        )  # fmt: skip

    def proven(self, section: Section, price: FloatArray) -> float:
        """Proven bound [scaled] of the section at its multipliers, at the true limits."""
        return proven(self.sections, section, price)


def given_eur(section: Section) -> float:
    """Price of what gives way at a section's sites."""
    arrow = section.arrow
    if arrow.give is None:
        return 0.0
    over, short = arrow.beside
    kwh = section.problem.step_h * float(section.X[V][over].sum())
    lacking = float(section.X[V][short].sum())
    return arrow.give.over_eur_kwh * kwh + arrow.give.short_eur_kwh * lacking


def proven(sections: Sections, section: Section, price: FloatArray) -> float:
    """Proven bound [scaled] of a section's sites at its multipliers, at the true limits."""
    sections.widen(section)
    arrow, X, Y = section.arrow, section.X, section.Y
    bound = bound_sites(
        0, len(section.sites), arrow.steps, arrow.site_begin, arrow.offset, arrow.unit_step,
        section.rates, arrow.has_demand, section.node_of, X[COST], X[LO], X[HI], Y[DUE], Y[PRICE],
        price,
    )  # fmt: skip
    return float(bound) + arrow.constant_eur / sections.scale


class LocalCrew:
    """A crew of threads in this process (see `Crew`)."""

    def __init__(self, sections: Sections) -> None:
        from pendel.control.block_work import BlockWork

        self.work = [
            (BlockWork if sections.is_block(index) else SectionWork)(sections, index)
            for index in range(len(sections))
        ]

    def run(self, price: FloatArray, aim: float, remaining_s: Callable[[], float]) -> list[Found]:
        """See `Crew.run`."""

        def one(work: SectionWork) -> Found:
            if remaining_s() <= 0.0:
                raise TimeUpError
            return work.run(price, aim)

        return in_threads(one, self.work)

    def mix(self, shares: FloatArray) -> None:
        """See `Crew.mix`."""
        for work, share in zip(self.work, shares.tolist(), strict=True):
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
            return placed.bound

        return in_threads(one, self.work)
