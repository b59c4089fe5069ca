"""A large fleet planned again: only what a change touches, where that closes the gap.

Sites that nothing touches keep their plan, and at the nodes' prices of the last solve also their
proven bound. The touched ones are worked on beside them; so are sites whose plan is furthest from
their bound, which makes room. Where that does not close the gap, all are solved from these prices;
after a new forecast, which touches all, from those of a small sample beside the last plan.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from pendel.control.arrow import nodes_above
from pendel.control.blend import no_flows
from pendel.control.crew import Crew, LocalCrew, TimeUpError
from pendel.control.fleet import (
    OVER_KW,
    START_GAP,
    STOP_SHARE,
    Fleet,
    FleetResult,
    Mixture,
    Start,
    solve_fleet,
)
from pendel.control.price_steps import STEP_MOST
from pendel.control.problem import PlanProblem
from pendel.control.sample import sample_prices
from pendel.control.sections import Sections
from pendel.control.warm import (
    FleetMemory,
    Warm,
    fits,
    reference_kw,
    same_units,
    take_price,
    touched_sites,
)
from pendel.units import BoolArray, FloatArray, IntArray

PATCH_SHARE = 0.6
PATCH_PASSES = 3
MORE_SHARE = 0.15
"""Share of all sites that may be worked on beside the touched ones."""
REST_SHARE = 0.35
"""Part of the wanted gap that sites with their old plan may take."""


def solve_again(
    problem: PlanProblem,
    warm: Warm,
    gap: float,
    remaining_s: Callable[[], float],
    progress: Callable[[int, float, float], None] | None = None,
    crew: Callable[[Sections], Crew] = LocalCrew,
) -> FleetResult | list[int]:
    """`solve_fleet` from what the last solve left; from nothing where that does not fit."""
    if not fits(warm, problem):
        return solve_fleet(problem, gap, remaining_s, progress, crew)
    same = same_units(warm, problem)
    touched = touched_sites(warm, problem, same)
    wanted_eur = STOP_SHARE * gap * abs(float(warm.memory.cost_eur.sum()))
    try:
        for sites in worked_on(problem, warm.memory, touched, wanted_eur):
            patch = Patch(problem, warm.memory, same, sites, crew)
            found = patch.run(gap, remaining_s, progress)
            if found is not None:
                return found
    except TimeUpError:
        pass
    price, cost_eur = take_price(warm, problem), float(warm.memory.cost_eur.sum())
    if warm.rolled == 0 and touched.mean() > PATCH_SHARE:
        sections = Sections(problem)
        known = reference_kw(warm.memory, problem)
        nodes = len(sections.parent)
        sample = sample_prices(sections, nodes, START_GAP, remaining_s, known)
        price = sample[0] if sample[2] else price
    return solve_fleet(problem, gap, remaining_s, progress, crew, start=Start(price, cost_eur))


def worked_on(
    problem: PlanProblem, memory: FleetMemory, touched: BoolArray, wanted_eur: float
) -> Iterator[IntArray]:
    """The sites of each attempt: those that are touched, and with them as many of those furthest
    from their bound as leave the others a small part of the wanted gap; then more of these."""
    sites, own = problem.sites, int(touched.sum())
    if own > PATCH_SHARE * sites:
        return
    above = memory.node_eur_kw[node_above(problem)] * memory.net_kw
    slack = memory.cost_eur + above.sum(axis=1) - memory.bound_eur
    order = np.argsort(np.where(touched, -np.inf, -slack), kind="stable")
    left = np.cumsum(slack[order[own:]][::-1])[::-1]
    needed = int((left > REST_SHARE * wanted_eur).sum()) if own > 0 else 0
    most = math.ceil(MORE_SHARE * sites)
    for more in sorted({min(needed, most), most}):
        yield np.sort(order[: own + more])


def node_above(problem: PlanProblem) -> IntArray:
    """[S] row of the node above each site among prices of nodes."""
    node, parent, _ = nodes_above(problem)
    return np.where(node < 0, len(parent) + 1, node)


class Patch:
    """Some sites of a fleet, worked on beside all others as they are."""

    def __init__(
        self,
        problem: PlanProblem,
        memory: FleetMemory,
        same: IntArray,
        sites: IntArray,
        crew: Callable[[Sections], Crew],
    ) -> None:
        self.problem, self.memory, self.same = problem, memory, same
        self.rest = np.ones(problem.sites, dtype=np.bool_)
        self.rest[sites] = False
        self.fleet = Fleet(problem, crew, chosen=sites)
        node_of = node_above(problem)
        np.add.at(self.fleet.beside_kw, node_of[self.rest], memory.net_kw[self.rest])

    def run(
        self,
        gap: float,
        remaining_s: Callable[[], float],
        progress: Callable[[int, float, float], None] | None,
    ) -> FleetResult | None:
        """The plan; None where the gap is not closed. Raises TimeUpError."""
        fleet, first = self.fleet, self.memory.node_eur_kw / self.fleet.scale
        price, mixture = first, Mixture(fleet)
        proven = float(self.memory.bound_eur[self.rest].sum())
        proven += fleet.scale * fleet.node_bound(first)
        if self.rest.all():
            mixture.flows = no_flows(self.problem.steps)
            return self.result(first, 0) if self.closed(mixture, proven, gap) else None
        fleet.aim = fleet.final_aim(gap, float(self.memory.cost_eur.sum()))
        for number in range(1, PATCH_PASSES + 1):
            found = fleet.one_pass(price, remaining_s)
            if found.failed:
                return None
            fleet.mix(mixture.shares_towards(found))
            if number == 1:
                proven += fleet.scale * found.bound
                fleet.crew.mark()
            if progress is not None:
                progress(number, self.cost_eur(mixture), proven)
            if self.closed(mixture, proven, gap):
                return self.result(first, number)
            change = fleet.balance(found, price) - price
            size = fleet.size(found, change) / fleet.columns
            price = price + min(1.0, math.sqrt(STEP_MOST / max(size, 1e-300))) * change
        return None

    def cost_eur(self, mixture: Mixture) -> float:
        """Cost of the mixture beside all others."""
        return mixture.stands(0.0)[0] + float(self.memory.cost_eur[self.rest].sum())

    def closed(self, mixture: Mixture, proven_eur: float, gap: float) -> bool:
        """Whether the wanted gap is reached, inside all joint limits."""
        left = self.cost_eur(mixture) - proven_eur
        near = left <= STOP_SHARE * gap * max(abs(proven_eur), 1.0)
        return near and mixture.stands(0.0)[2] <= OVER_KW

    def result(self, price: FloatArray, passes: int) -> FleetResult:
        """The whole plan, and what it leaves."""
        problem, memory, rest = self.problem, self.memory, self.rest
        made = self.fleet.schedule(price)
        unit = np.flatnonzero(rest[problem.units.site])
        made.power_kw[unit] = memory.power_kw[self.same[unit]]
        made.energy_kwh[unit] = memory.energy_kwh[self.same[unit]]
        made.net_kw[rest], made.curtailed_kw[rest] = memory.net_kw[rest], memory.curtailed_kw[rest]
        cost = np.where(rest, memory.cost_eur, made.cost_eur)
        bound = np.where(rest, memory.bound_eur, self.fleet.scale * made.site_bound)
        proven = float(bound.sum()) + self.fleet.scale * self.fleet.node_bound(price)
        left = FleetMemory(
            problem, memory.node_eur_kw, made.power_kw, made.energy_kwh, made.net_kw,
            made.curtailed_kw, cost, bound,
        )  # fmt: skip
        return FleetResult(
            made.power_kw, made.energy_kwh, made.net_kw, made.curtailed_kw, proven, passes,
            memory.node_eur_kw, False, None, left,
        )  # fmt: skip
