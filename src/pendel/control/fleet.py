"""Planning of very large fleets: prices above the sites, every site solved by itself in cache.

The prices of feeders, portfolio and market are few; the sites are many and independent at given
prices. A sample of sites, solved as a whole, gives first prices. Then a few passes over all
sites: each is brought to its central path at the prices, where its net import is smooth, and the
sum of the sites' answers gives a Newton step for the prices (`nodes`). Between passes a site
keeps only its point, in float32. Any prices give a proven bound by the units' exact programmes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pendel.control.blend import (
    OVER_EUR_KW,
    Flows,
    beside,
    best_shares,
    deviation_eur,
    limits_of,
)
from pendel.control.blur import BLUR_SHARE, are_alike
from pendel.control.crew import Crew, LocalCrew, Placed, TimeUpError
from pendel.control.elastic import Give
from pendel.control.feeder_blocks import blocks_of
from pendel.control.giving import dearest_eur, give_of
from pendel.control.polish import polished
from pendel.control.price_steps import BlurredSteps, NewtonSteps, Steps
from pendel.control.problem import PlanProblem
from pendel.control.sample import rough_cost_eur, sample_prices
from pendel.control.schedule import Schedule, verify_schedule
from pendel.control.sections import Sections
from pendel.control.warm import FleetMemory
from pendel.units import LIMIT_TOLERANCE, BoolArray, FloatArray, IntArray

COST, LO, HI, V = range(4)
FLEET_PAIRS = 700_000
WHOLE_PAIRS_MAX = 10_000_000
FLEET_SITES = 100
SAMPLE_GAP, START_GAP = 3e-3, 1e-3
PASSES_MAX = 25
OVER_KW = 1e-6
AIM_SHARE = 0.2
STOP_SHARE = 0.9
HALF_MARGIN = 1e-5
NODE_MARGIN = 2e-5
START_CENTRAL = 0.3
BALANCE_MAX = 60


@dataclass(frozen=True, slots=True)
class FleetResult:
    """power_kw, energy_kwh [N, T], net_kw, curtailed_kw [S, T] of the plan; bound_eur proven;
    passes over all sites; node_eur_kw [F + 2, T] last prices; stopped: time ran out before the
    wanted gap; give: prices of what gave way, in bound_eur, too (None: nothing could); memory for
    the next cycle, where nothing gave way."""

    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    bound_eur: float
    passes: int
    node_eur_kw: FloatArray
    stopped: bool
    give: Give | None = None
    memory: FleetMemory | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a solve begins instead of with a sample: prices of the nodes [F + 2, T], and a rough
    cost of the whole."""

    node_eur_kw: FloatArray
    cost_eur: float


@dataclass(frozen=True, slots=True)
class Made:
    """Schedules of the worked-on sites and their units, zero (energy: NaN) elsewhere: power,
    energy [N, T], net, curtailment [S, T], cost and proven bound [scaled] of each site [S]; bound:
    their sum, in the order of the sections; prices [F + 2, T] of all feeders, those inside blocks
    included, market and none [scaled]."""

    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    cost_eur: FloatArray
    site_bound: FloatArray
    bound: float
    prices: FloatArray


@dataclass(slots=True)
class Pass:
    """What one pass over all sites found: net imports [F + 2, T] and answers [F + 2, T, T] at
    the nodes, the bound of the sites [scaled], flows of all groups of sites [G], the price of what
    gave way in each [G], sites that did not settle."""

    flow: FloatArray
    answers: FloatArray
    bound: float
    flows: Flows
    given_eur: FloatArray
    failed: list[int]


class Fleet:
    """One solve of a fleet; `crew` works on the sections; beside_kw [F + 2, T]: net imports at
    the nodes of sites that are not worked on."""

    def __init__(
        self,
        problem: PlanProblem,
        crew: Callable[[Sections], Crew] = LocalCrew,
        elastic: BoolArray | None = None,
        chosen: IntArray | None = None,
        blocks: bool = False,
    ) -> None:
        """elastic [S]: where limits and targets may give way (None: nowhere); chosen: the sites
        to work on (None: all); blocks: whether feeders with few sites are solved with them."""
        self.problem = problem
        give = None if elastic is None else give_of(problem, fine=False)
        own = blocks_of(problem) if blocks and chosen is None else None
        self.sections = Sections(problem, give, elastic, own, chosen)
        self.scale = self.sections.scale
        self.crew = crew(self.sections)
        self.top, self.wide = self.sections.nodes(NODE_MARGIN), self.sections.nodes(0.0)
        self.aim = 1.0
        self.beside_kw = np.zeros((self.top.count + 2, problem.steps))
        groups = [self.sections.groups(index) for index in range(len(self.sections))]
        self.group_begin = np.concatenate([[0], np.cumsum(groups)]).astype(np.int64)

    @property
    def columns(self) -> int:
        """Number of bounds of what the worked-on sites may do, about."""
        return 6 * self.sections.pairs + 8 * int(self.sections.cuts[-1]) * self.problem.steps

    def final_aim(self, gap: float, cost_eur: float) -> float:
        """Complementarity at which a plan of this cost is near enough to the best."""
        cost = max(abs(cost_eur), 1.0) / self.scale
        return AIM_SHARE * gap * cost / max(self.columns, 1)

    def mix(self, shares: FloatArray) -> None:
        """Move the plan of each group of sites by its share [G] to what the last pass found."""
        self.crew.mix(np.split(shares, self.group_begin[1:-1]))

    def one_pass(
        self, price: FloatArray, remaining_s: Callable[[], float], blur: float = 0.0
    ) -> Pass:
        """Solve every site at the prices [F + 2, T]. Raises TimeUpError."""
        found = self.crew.run(price, self.aim, blur, remaining_s)
        shape = (self.top.count + 2, self.problem.steps)
        flow, answers = self.beside_kw.copy(), np.zeros((*shape, self.problem.steps))
        begin = self.group_begin
        for one in found:
            np.add.at(flow, one.node, one.flow)
            answers[one.below] += one.answers
        flows = Flows(
            np.concatenate([one.node for one in found]),
            np.concatenate([one.group + a for one, a in zip(found, begin[:-1], strict=True)]),
            np.concatenate([one.flow for one in found]),
            np.concatenate([one.cost_eur for one in found]),
        )
        given = np.concatenate([one.given_eur for one in found])
        failed = [site for one in found for site in one.failed]
        return Pass(flow, answers, sum(one.bound for one in found), flows, given, failed)

    def balance(self, found: Pass, price: FloatArray) -> FloatArray:
        """Prices at which nodes and market balance with the sites' answers around `price`."""
        top, upper = self.top, np.triu(found.answers)
        mirrored = upper + np.triu(upper, 1).swapaxes(1, 2)
        top.price = price.copy()
        top.place(found.flow)
        top.start(START_CENTRAL)
        count = max(2 * int((top.x[HI] > top.x[LO]).sum()), 1)
        for _ in range(BALANCE_MAX):
            moved = np.einsum("fij,fj->fi", mirrored, top.price - price)
            at = top.open(found.flow - moved)
            mean = at[2] / count
            scale = 1.0 + float(np.abs(found.flow).max())
            if mean <= 1.01 * self.aim and at[3] <= 1e-7 * scale:
                break
            top.S[:] = found.answers[: top.count + 1]
            if not top.factor():
                break
            half = top.affine(top.change(np.zeros_like(top.miss)))
            primal, dual = 1.0 / half[0], 1.0 / half[1]
            after = at[2] + dual * half[2] + primal * half[3] + primal * dual * half[4]
            aim = max((max(after, 0.0) / at[2]) ** 3 * mean, self.aim)
            top.centre(aim)
            longest = max(top.step(top.change(np.zeros_like(top.miss)), aim))
            length = min(0.9995 / longest, 1.0)
            if not np.isfinite(length) or length < 1e-8:
                break
            top.advance(aim, length, length)
        return top.price.copy()

    def size(self, found: Pass, change: FloatArray) -> float:
        """Square of a change of prices in the sites' own measure, over the aim."""
        upper = np.triu(found.answers)
        both = upper + np.triu(upper, 1).swapaxes(1, 2)
        return float(np.einsum("fi,fij,fj->", change, both, change)) / self.aim

    def node_bound(self, price: FloatArray) -> float:
        """The nodes' part of the proven bound [scaled] at prices [F + 2, T], at the true limits."""
        x, top = self.wide.x, self.wide
        reduced = x[COST] - top.transpose(price)
        box = float((reduced * np.where(reduced > 0.0, x[LO], x[HI])).sum())
        return box + float((top.due * price[: top.count + 1]).sum())

    def schedule(self, price: FloatArray) -> Made:
        """The sections' plans, and bounds at the marked multipliers and prices of the nodes."""
        problem, root = self.problem, self.sections.blocks.root
        kept = np.flatnonzero(root < 0)
        prices = np.zeros((len(root) + len(price) - len(kept), problem.steps))
        prices[kept], prices[len(root) :] = price[: len(kept)], price[len(kept) :]
        power = np.zeros((len(problem.units), problem.steps))
        energy = np.full(power.shape, np.nan)
        net, curtailed = np.zeros_like(problem.pv_kw), np.zeros_like(problem.pv_kw)
        cost, each = np.zeros(problem.sites), np.zeros(problem.sites)

        def take(part: Placed) -> None:
            power[part.units], energy[part.units] = part.power_kw, part.energy_kwh
            net[part.sites], curtailed[part.sites] = part.net_kw, part.curtailed_kw
            cost[part.sites], each[part.sites] = part.cost_eur, part.bound
            if part.feeders is not None:
                prices[part.feeders[0]] = part.feeders[1]

        bounds = self.crew.place(price, take)
        return Made(power, energy, net, curtailed, cost, each, sum(bounds), prices)


class Mixture:
    """The plan so far, a mixture of what the passes found: flows and prices of what gave way."""

    def __init__(self, fleet: Fleet) -> None:
        self.give, upper = fleet.sections.give, fleet.sections.upper
        self.problem, self.limits = beside(upper, limits_of(upper, HALF_MARGIN), fleet.beside_kw)
        self.flows: Flows | None = None
        self.given_eur = np.zeros(int(fleet.group_begin[-1]))
        self.over_eur_kw = OVER_EUR_KW
        if self.give is not None:
            self.over_eur_kw = fleet.problem.step_h * self.give.over_eur_kwh

    def shares_towards(self, found: Pass) -> FloatArray:
        """[G] how far each group goes towards a pass; the mixture goes there."""
        count = len(self.given_eur)
        if self.flows is None:
            self.flows, self.given_eur = found.flows, found.given_eur
            return np.ones(count)
        shares = best_shares(
            self.problem, self.limits, self.flows, found.flows, count, self.over_eur_kw
        )
        self.flows = self.flows.towards(found.flows, shares)
        self.given_eur = self.given_eur + shares * (found.given_eur - self.given_eur)
        return shares

    def stands(self, bound_eur: float) -> tuple[float, float, float]:
        """Cost with what gave way, the money by which its gap is measured, worst excess [kW] over
        a joint limit that may not give way."""
        if self.flows is None:
            return math.inf, 1.0, math.inf
        net = self.limits.total_kw(self.flows)[-1]
        cost = float(self.flows.cost_eur.sum()) + deviation_eur(self.problem, net)
        if self.give is None:
            return cost, abs(bound_eur), self.limits.over_kw(self.flows)
        money = abs(cost - float(self.given_eur.sum()))
        return cost + self.over_eur_kw * self.limits.excess_kw(self.flows), money, 0.0


def solve_fleet(
    problem: PlanProblem,
    gap: float,
    remaining_s: Callable[[], float],
    progress: Callable[[int, float, float], None] | None = None,
    crew: Callable[[Sections], Crew] = LocalCrew,
    elastic: BoolArray | None = None,
    start: Start | None = None,
    blocks: bool = False,
) -> FleetResult | list[int]:
    """Plan a fleet to a proven gap; else the sites that cannot keep their limits and targets (all
    of them: not together; none: time ran out before there was a plan).

    crew: who works on the sections. elastic [S]: sites whose limits and targets may give way, and
    then joint limits do, too; bound_eur is then at the prices of giving way (`giving`). start:
    prices instead of a sample's. blocks: feeders with few sites are solved with them (LocalCrew).
    """
    fleet = Fleet(problem, crew, elastic, blocks=blocks)
    scale, give = fleet.scale, fleet.sections.give
    dearest = dearest_eur(problem) if give is None else math.inf
    steps, together = first_steps(fleet, gap, start, remaining_s)
    mixture, best, best_price = Mixture(fleet), -math.inf, steps.price
    stopped, number = False, 0
    for number in range(1, PASSES_MAX + 1):
        try:
            found = fleet.one_pass(steps.price, remaining_s, steps.blur)
        except TimeUpError:
            stopped = True
            break
        if found.failed:
            return found.failed
        fleet.mix(mixture.shares_towards(found))
        bound = scale * (found.bound + fleet.node_bound(steps.price))
        if bound > best:
            best, best_price = bound, steps.price
            fleet.crew.mark()
        if best > dearest or not together:
            return list(range(problem.sites))
        cost, money, over = mixture.stands(best)
        if progress is not None:
            progress(number, cost, best)
        if cost - best <= STOP_SHARE * gap * max(money, 1.0) and over <= OVER_KW:
            break
        stopped = remaining_s() <= 0.0
        if stopped or number == PASSES_MAX:
            break
        if steps.polishes and number == 1:
            made = finished(fleet, best_price, number, stopped)
            made = polished(problem, made, remaining_s)
            cost = cost_eur(problem, made)
            if progress is not None:
                progress(number, cost, best)
            if cost - made.bound_eur <= gap * max(abs(made.bound_eur), 1.0):
                return made
        if not steps.follow(found, bound, best, cost, fleet.final_aim(gap, money)):
            break
    if mixture.flows is None:
        return []
    made = finished(fleet, best_price, number, stopped)
    if not steps.polishes or number == 1 or stopped:
        return made
    made = polished(problem, made, remaining_s)
    if cost_eur(problem, made) < math.inf:
        return made
    return finished(fleet, best_price, number, stopped)


def cost_eur(problem: PlanProblem, made: FleetResult) -> float:
    """What a plan costs by the verifier [EUR]; inf where it breaks a limit."""
    schedule = Schedule(made.power_kw, made.energy_kwh, made.net_kw, made.curtailed_kw, np.zeros(0))
    verdict = verify_schedule(problem, schedule)
    return verdict.objective_eur if verdict.violations.within(LIMIT_TOLERANCE) else math.inf


def first_steps(
    fleet: Fleet, gap: float, start: Start | None, remaining_s: Callable[[], float]
) -> tuple[Steps, bool]:
    """How the prices move, from a start or from a sample's prices; whether the sample could be
    solved (where that tells anything)."""
    stiff, nodes = fleet.sections.give is None, fleet.top.count
    alike = start is None and stiff and are_alike(fleet.problem)
    together, first = True, START_GAP
    if start is None:
        aim = fleet.final_aim(gap, rough_cost_eur(fleet.problem)) if alike else None
        sample = sample_prices(fleet.sections, nodes, SAMPLE_GAP, remaining_s, aim=aim)
        start, first = Start(sample[0], sample[1]), SAMPLE_GAP
        together = sample[2] or not stiff or fleet.sections.pairs > WHOLE_PAIRS_MAX
    price = start.node_eur_kw / fleet.scale
    final = fleet.final_aim(gap, start.cost_eur)
    if not alike:
        return NewtonSteps(fleet, price, max(final, final * first / gap), final), together

    def blurred() -> FloatArray | None:
        found = sample_prices(
            fleet.sections, nodes, SAMPLE_GAP, remaining_s, aim=final, blur=BLUR_SHARE
        )
        return found[0] / fleet.scale if found[2] else None

    return BlurredSteps(fleet, price, final, blurred), together


def finished(fleet: Fleet, price: FloatArray, passes: int, stopped: bool) -> FleetResult:
    """The plan of all sites with its bound at the marked multipliers and these prices [scaled]."""
    made, give, memory = fleet.schedule(price), fleet.sections.give, None
    prices = fleet.scale * made.prices
    if give is None and not fleet.sections.has_blocks:
        memory = FleetMemory(
            fleet.problem, prices, made.power_kw, made.energy_kwh, made.net_kw, made.curtailed_kw,
            made.cost_eur, fleet.scale * made.site_bound,
        )  # fmt: skip
    return FleetResult(
        made.power_kw, made.energy_kwh, made.net_kw, made.curtailed_kw,
        fleet.scale * (made.bound + fleet.node_bound(price)), passes, prices, stopped, give, memory,
    )  # fmt: skip


def is_fleet(problem: PlanProblem) -> bool:
    """Whether a problem is so large that its sites are solved by themselves: with few sites at a
    feeder only where the interior point as a whole would need too much memory."""
    pairs = int(np.maximum(problem.units.last - problem.units.first, 0).sum())
    many = problem.sites >= FLEET_SITES * (len(problem.feeders) + 1)
    return pairs >= (FLEET_PAIRS if many else WHOLE_PAIRS_MAX)
