"""Planning of very large fleets: prices above the sites, every site solved by itself in cache.

The prices of feeders, portfolio and market are few; the sites are many and independent at given
prices. A sample of sites, solved as a whole, gives first prices. Then a few passes over all
sites: each is brought to its central path at the prices, where its net import is smooth, and the
sum of the sites' answers gives a Newton step for the prices (`nodes`). Between passes a site
keeps only its point, in float32. Any prices give a proven bound by the units' exact programmes.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pendel.control.arrow import arrow_of
from pendel.control.blend import Flows, best_shares, deviation_eur, limits_of
from pendel.control.bound_kernels import bound_sites
from pendel.control.interior import solve_interior
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.schedule import merge_directions, schedule_of
from pendel.control.sections import Sections
from pendel.control.site_kernels import (
    CENTRED,
    COLD,
    WARM,
    pack_state,
    solve_sites,
    unpack_state,
)
from pendel.kernel.threads import in_threads
from pendel.units import FloatArray

COST, LO, HI, V = range(4)
DUE, PRICE = 0, 1
SAMPLE_SITES = 400
SAMPLE_EACH = 8
SAMPLE_GAP = 3e-3
WARM_AIMS = 3.0
STEP_MAX = 0.01
PASSES_MAX = 25
OVER_KW = 1e-6
ROUNDS_COLD, ROUNDS_WARM = 60, 12
AIM_SHARE = 0.2
STOP_SHARE = 0.9
HALF_MARGIN = 1e-5
NODE_MARGIN = 2e-5
START_CENTRAL = 0.3
BALANCE_MAX = 60


@dataclass(frozen=True, slots=True)
class FleetResult:
    """power_kw, energy_kwh [N, T], curtailed_kw [S, T] of the plan; bound_eur proven; passes over
    all sites; node_eur_kw [F + 2, T] last prices; stopped: time ran out before the wanted gap."""

    power_kw: FloatArray
    energy_kwh: FloatArray
    curtailed_kw: FloatArray
    bound_eur: float
    passes: int
    node_eur_kw: FloatArray
    stopped: bool


@dataclass(slots=True)
class Pass:
    """What one pass over all sites found: net imports [F + 2, T] and answers [F + 2, T, T] at
    the nodes, the bound of the sites [scaled], flows and plan of each section, the multipliers of
    their rows, sites that did not settle."""

    flow: FloatArray
    answers: FloatArray
    bound: float
    parts: list[Any]
    failed: list[int]

    def flows(self) -> Flows:
        """The sections' flows as one."""
        sizes = [len(part[0]) for part in self.parts]
        return Flows(
            np.concatenate([part[0] for part in self.parts]),
            np.repeat(np.arange(len(sizes)), sizes),
            np.concatenate([part[1] for part in self.parts]),
            np.array([part[2] for part in self.parts]),
        )


class Fleet:
    """One solve of a fleet."""

    def __init__(self, problem: PlanProblem, gap: float) -> None:
        self.problem, self.gap = problem, gap
        self.sections = Sections(problem)
        self.scale = self.sections.scale
        self.state: list[tuple[FloatArray, FloatArray] | None] = [None] * len(self.sections)
        self.lock = threading.Lock()
        self.top, self.wide = self.sections.nodes(NODE_MARGIN), self.sections.nodes(0.0)
        self.aim, self.kept_aim = 1.0, 1.0

    def one_pass(self, price: FloatArray) -> Pass:
        """Solve every site at the prices [F + 2, T]."""
        top, steps = self.top, self.problem.steps
        shape = (top.count + 2, steps)
        out = Pass(np.zeros(shape), np.zeros((*shape, steps)), 0.0, [None] * len(self.sections), [])

        def one(index: int) -> None:
            section = self.sections.build(index)
            arrow, X, Y = section.arrow, section.X, section.Y
            kept = self.state[index]
            if kept is not None:
                unpack_state(X, Y, *kept, self.kept_aim)
            local, node = np.unique(section.node_of, return_inverse=True)
            flow = np.zeros((len(local), steps))
            answers = np.zeros((len(local), steps, steps))
            status = np.zeros(len(arrow.node_of), dtype=np.int64)
            warm = COLD if kept is None else WARM if self.aim < self.kept_aim else CENTRED
            bound, cost, _ = solve_sites(
                0, len(status), *section.shape(node), price[local], self.aim, warm,
                ROUNDS_COLD if warm == COLD else ROUNDS_WARM, flow, answers, status,
            )  # fmt: skip
            kept = np.empty(X.shape[1], dtype=np.float32), np.empty(Y.shape[1], dtype=np.float32)
            pack_state(X, Y, *kept)
            with self.lock:
                self.state[index] = kept
                out.parts[index] = (
                    local, flow, self.scale * cost + arrow.constant_eur, section.powers(), kept[1],
                )  # fmt: skip
                out.flow[local] += flow
                out.answers[local] += answers
                out.bound += bound + arrow.constant_eur / self.scale
                out.failed += section.sites[status == 0].tolist()

        in_threads(one, range(len(self.sections)))
        self.kept_aim = self.aim
        return out

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

    def schedule(
        self, plans: list[FloatArray], rows: list[FloatArray], price: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """Power, energy [N, T], curtailment [S, T] of the sections' plans, and the proven bound
        [scaled] at the multipliers of rows and the prices of the nodes."""
        problem = self.problem
        power = np.zeros((len(problem.units), problem.steps))
        energy = np.full(power.shape, np.nan)
        curtailed = np.zeros_like(problem.pv_kw)

        def one(index: int) -> float:
            section = self.sections.build(index)
            arrow, X, Y = section.arrow, section.X, section.Y
            charge, discharge, cut = section.split(plans[index])
            flat = arrow.fixed_kw.copy()
            flat[arrow.pair] = merge_directions(
                section.problem, section.reach, charge, discharge, arrow.pair
            )
            Y[PRICE] = rows[index]
            made = schedule_of(section.problem, section.reach, flat, cut, np.zeros(0))
            power[section.units] = made.power_kw
            energy[section.units] = made.energy_kwh
            curtailed[section.sites] = made.curtailed_kw
            self.sections.widen(section)
            bound = bound_sites(
                0, len(section.sites), problem.steps, arrow.site_begin, arrow.offset,
                arrow.unit_step, section.rates, section.node_of, X[COST], X[LO], X[HI], Y[DUE],
                Y[PRICE], price,
            )  # fmt: skip
            return float(bound) + arrow.constant_eur / self.scale

        bounds = in_threads(one, range(len(self.sections)))
        return power, energy, curtailed, sum(bounds)


def solve_fleet(
    problem: PlanProblem,
    gap: float,
    remaining_s: Callable[[], float],
    progress: Callable[[int, float, float], None] | None = None,
    price_eur_kw: FloatArray | None = None,
) -> FleetResult | None:
    """Plan a fleet to a proven gap; None where some site or the whole cannot keep its limits.

    price_eur_kw [F + 2, T]: prices of an earlier plan in the place of those of a sample.
    """
    fleet = Fleet(problem, gap)
    scale = fleet.scale
    price, cost = first_prices(fleet, remaining_s, price_eur_kw)
    columns = 6 * fleet.sections.pairs + 8 * problem.sites * problem.steps
    final = AIM_SHARE * gap * max(abs(cost), 1.0 / scale) / max(columns, 1)
    fleet.aim = max(final, final * SAMPLE_GAP / gap) if price_eur_kw is None else WARM_AIMS * final
    best, stopped, number = -math.inf, False, 0
    plans: list[FloatArray] = []
    rows: list[FloatArray] = []
    limits, flows, best_price = limits_of(problem, HALF_MARGIN), None, price
    for number in range(1, PASSES_MAX + 1):
        found = fleet.one_pass(price)
        if found.failed:
            return None
        fresh = found.flows()
        if flows is None:
            flows, plans = fresh, [part[3] for part in found.parts]
        else:
            shares = best_shares(problem, limits, flows, fresh, len(fleet.sections))
            flows = flows.towards(fresh, shares)
            for part, plan, share in zip(found.parts, plans, shares, strict=True):
                plan += np.float32(share) * (part[3] - plan)
        bound = scale * (found.bound + fleet.node_bound(price))
        if bound > best:
            best, best_price, rows = bound, price, [part[4] for part in found.parts]
        net = limits.total_kw(flows)[-1]
        cost = float(flows.cost_eur.sum()) + deviation_eur(problem, net)
        over = limits.over_kw(flows)
        if progress is not None:
            progress(number, cost, best)
        if cost - best <= STOP_SHARE * gap * max(abs(best), 1.0) and over <= OVER_KW:
            break
        stopped = remaining_s() <= 0.0
        if stopped or number == PASSES_MAX:
            break
        change = fleet.balance(found, price) - price
        size = fleet.size(found, change) / columns
        length = min(1.0, math.sqrt(STEP_MAX / max(size, 1e-300)))
        price = price + length * change
        if length == 1.0:
            fleet.aim = max(fleet.aim / (8.0 if size < 0.1 * STEP_MAX else 3.0), final)
    fleet.state.clear()
    power, energy, curtailed, sites_bound = fleet.schedule(plans, rows, best_price)
    proven = scale * (sites_bound + fleet.node_bound(best_price))
    return FleetResult(power, energy, curtailed, proven, number, scale * best_price, stopped)


def first_prices(
    fleet: Fleet, remaining_s: Callable[[], float], known: FloatArray | None
) -> tuple[FloatArray, float]:
    """Prices [F + 2, T] and a rough cost of the whole, both scaled, from a sample of sites."""
    problem, top = fleet.problem, fleet.top
    node_of = fleet.sections.node_of
    share = min(max(SAMPLE_SITES, SAMPLE_EACH * top.count) / max(problem.sites, 1), 1.0)
    order = fleet.sections.order
    begin = np.searchsorted(node_of[order], np.arange(top.count + 2))
    chosen = []
    for node in range(top.count + 2):
        own = order[begin[node] : begin[node + 1]] if node <= top.count else order[begin[node] :]
        many = min(math.ceil(share * len(own)), len(own))
        chosen.append(own[np.linspace(0, len(own) - 1, many).astype(np.int64)])
    sites = np.sort(np.concatenate(chosen))
    sample, _ = fleet.sections.part(sites)
    share = len(sites) / max(problem.sites, 1)
    feeders = problem.feeders
    # The sample's mean load per node is made that of all its sites: less noise in the prices.
    base = problem.load_kw - problem.pv_kw
    load = sample.load_kw.copy()
    for node in np.unique(node_of[sites]):
        mine = node_of[sites] == node
        load[mine] += base[node_of == node].mean(axis=0) - base[sites[mine]].mean(axis=0)
    sample = replace(
        sample,
        load_kw=load,
        feeder=problem.feeder[sites],
        feeders=replace(
            feeders,
            import_limit_kw=share * feeders.import_limit_kw,
            export_limit_kw=share * feeders.export_limit_kw,
        ),
        portfolio_import_limit_kw=share * problem.portfolio_import_limit_kw,
        portfolio_export_limit_kw=share * problem.portfolio_export_limit_kw,
        market=None
        if problem.market is None
        else replace(problem.market, position_kw=share * problem.market.position_kw),
    )
    arrow = arrow_of(sample, reach_of(sample))
    found = solve_interior(arrow, SAMPLE_GAP if known is None else 1.0, remaining_s)
    if found is None:
        return np.zeros_like(top.price), 0.0
    prices = found.node_eur_kw if known is None else known
    return prices / fleet.scale, found.objective_eur / share / fleet.scale
