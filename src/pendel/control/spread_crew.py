"""The price method on shards: whole sections wherever their worker is, the prices here.

A shard keeps points, plans and multipliers of its sections. Each answers section by section and
sums are taken here in the order of the sections, so the plan is the same to the last digit for
any number of shards, and the same as in one process. Like the shards of the interior point, one is
a function of its part and of the calls it has had: a lost one is made again by repeating those.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np

from pendel.control.crew import Found, Placed, SectionWork, TimeUpError
from pendel.control.sections import Sections
from pendel.control.shards import Team, owned
from pendel.units import FloatArray

SECTIONS_AT_ONCE = 8
"""Sections of a shard between two looks at the clock."""


class SectionShard:
    """A run of sections at work on one machine; positions are those of its own problem."""

    def __init__(self, sections: Sections, first: int) -> None:
        """first: place of the run among all sections."""
        self.first = first
        problem, units = sections.problem, sections.problem.units
        units = replace(units, **{f.name: owned(getattr(units, f.name)) for f in fields(units)})
        others = {f.name: owned(getattr(problem, f.name)) for f in fields(problem)}
        sections.problem = replace(problem, **(others | {"units": units}))
        self.work = [SectionWork(sections, index) for index in range(len(sections))]

    def run(self, begin: int, end: int, price: FloatArray, aim: float, blur: float) -> list[Found]:
        """A pass over the sections begin..end-1 (as many of them as there are)."""
        price = owned(price)
        return [work.run(price, aim, blur) for work in self.work[begin:end]]

    def mix(self, shares: list[FloatArray]) -> None:
        """`Crew.mix`; the shares are those of all sections."""
        for index, work in enumerate(self.work):
            work.mix(owned(shares[self.first + index]))

    def mark(self) -> None:
        """`Crew.mark`."""
        for work in self.work:
            work.mark()

    def place(self, index: int, price: FloatArray) -> Placed | None:
        """The plan of one section; None where there are not so many."""
        return self.work[index].place(owned(price)) if index < len(self.work) else None


class SpreadCrew:
    """A crew whose sections are worked on by a team (see `Crew`)."""

    def __init__(
        self,
        sections: Sections,
        team: Callable[[list[tuple[Sections, int]]], Team],
        count: int,
    ) -> None:
        """team: makes the team of the runs of sections; count: of shards wanted."""
        cuts = np.unique(np.linspace(0, len(sections), count + 1).astype(np.int64)).tolist()
        self.length = max(int(np.diff(cuts).max(initial=0)), 0)
        shares = [sections.share(a, b) for a, b in pairwise(cuts)]
        self.places = [(sites, units) for _, sites, units in shares]
        parts = [(part, a) for (part, _, _), a in zip(shares, cuts[:-1], strict=True)]
        self.team = team(parts)

    def run(
        self, price: FloatArray, aim: float, blur: float, remaining_s: Callable[[], float]
    ) -> list[Found]:
        """See `Crew.run`."""
        found: list[list[Found]] = [[] for _ in self.places]
        for begin in range(0, self.length, SECTIONS_AT_ONCE):
            if remaining_s() <= 0.0:
                raise TimeUpError
            answers = self.team.call("run", begin, begin + SECTIONS_AT_ONCE, price, aim, blur)
            for (sites, _), own, answer in zip(self.places, found, answers, strict=True):
                own += [
                    replace(one, failed=[int(sites[site]) for site in one.failed]) for one in answer
                ]
        return [one for own in found for one in own]

    def mix(self, shares: list[FloatArray]) -> None:
        """See `Crew.mix`."""
        self.team.call("mix", shares)

    def mark(self) -> None:
        """See `Crew.mark`."""
        self.team.call("mark")

    def place(self, price: FloatArray, take: Callable[[Placed], None]) -> list[float]:
        """See `Crew.place`."""
        bounds: list[list[float]] = [[] for _ in self.places]
        for index in range(self.length):
            parts = self.team.call("place", index, price)
            for (sites, units), own, part in zip(self.places, bounds, parts, strict=True):
                if part is not None:
                    own.append(float(part.bound.sum()))
                    take(replace(part, sites=sites[part.sites], units=units[part.units]))
        return [bound for own in bounds for bound in own]
