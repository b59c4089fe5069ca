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
from dataclasses import dataclass
from typing import Any

import numpy as np

from pendel.control.blend import Flows, best_shares, deviation_eur, limits_of
from pendel.control.bound_kernels import bound_sites
from pendel.control.problem import PlanProblem
from pendel.control.sample import sample_prices
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
from pendel.units import FloatArray

COST, LO, HI, V = range(4)
DUE, PRICE = 0, 1
FLEET_PAIRS = 700_000
WHOLE_PAIRS_MAX = 10_000_000
FLEET_SITES = 100
SAMPLE_GAP = 3e-3
STEP_FIRST, STEP_MOST = 0.05, 0.15
SMOOTH_SLACK = 0.3
SMOOTH_SHARE = 0.4
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
    """power_kw, energy_kwh [N, T], net_kw, curtailed_kw [S, T] of the plan; bound_eur proven;
    passes over all sites; node_eur_kw [F + 2, T] last prices; stopped: time ran out before the
    wanted gap."""

    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    bound_eur: float
    passes: int
    node_eur_kw: FloatArray
    stopped: bool


class TimeUpError(Exception):
    """The time limit was reached within a pass."""


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

    def __init__(self, problem: PlanProblem) -> None:
        self.problem = problem
        self.sections = Sections(problem)
        self.scale = self.sections.scale
        self.state: list[tuple[FloatArray, FloatArray] | None] = [None] * len(self.sections)
        self.lock = threading.Lock()
        self.top, self.wide = self.sections.nodes(NODE_MARGIN), self.sections.nodes(0.0)
        self.aim, self.kept_aim = 1.0, 1.0

    def one_pass(self, price: FloatArray, remaining_s: Callable[[], float]) -> Pass:
        """Solve every site at the prices [F + 2, T]. Raises TimeUpError."""
        top, steps = self.top, self.problem.steps
        shape = (top.count + 2, steps)
        out = Pass(np.zeros(shape), np.zeros((*shape, steps)), 0.0, [None] * len(self.sections), [])

        def one(index: int) -> None:
            if remaining_s() <= 0.0:
                raise TimeUpError
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
            rounds = ROUNDS_COLD if warm == COLD else ROUNDS_WARM
            args: list[Any] = [0, len(status), *section.shape(node), price[local], self.aim]
            args += [warm, rounds, flow, answers, status]
            _, cost, _ = solve_sites(*args)
            kept = np.empty(X.shape[1], dtype=np.float32), np.empty(Y.shape[1], dtype=np.float32)
            pack_state(X, Y, *kept)
            powers = section.powers()
            Y[PRICE] = kept[1]
            bound = self._proven(section, price)
            with self.lock:
                self.state[index] = kept
                out.parts[index] = (
                    local, flow, self.scale * cost + arrow.constant_eur, powers, kept[1],
                )  # fmt: skip
                out.flow[local] += flow
                out.answers[local] += answers
                out.bound += bound
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

    def _proven(self, section: Section, price: FloatArray) -> float:
        """Proven bound [scaled] of a section's sites at its multipliers, at the true limits."""
        self.sections.widen(section)
        arrow, X, Y = section.arrow, section.X, section.Y
        bound = bound_sites(
            0, len(section.sites), self.problem.steps, arrow.site_begin, arrow.offset,
            arrow.unit_step, section.rates, section.node_of, X[COST], X[LO], X[HI], Y[DUE],
            Y[PRICE], price,
        )  # fmt: skip
        return float(bound) + arrow.constant_eur / self.scale

    def schedule(
        self, plans: list[FloatArray], rows: list[FloatArray], price: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]:
        """Power, energy [N, T], net, curtailment [S, T] of the sections' plans, and the proven
        bound [scaled] at the multipliers of rows and the prices of the nodes."""
        problem = self.problem
        power = np.zeros((len(problem.units), problem.steps))
        energy = np.full(power.shape, np.nan)
        net, curtailed = np.zeros_like(problem.pv_kw), np.zeros_like(problem.pv_kw)

        def one(index: int) -> float:
            section = self.sections.build(index)
            arrow, Y = section.arrow, section.Y
            charge, discharge, cut = section.split(plans[index])
            flat = arrow.fixed_kw.copy()
            flat[arrow.pair] = merge_directions(
                section.problem, section.reach, charge, discharge, arrow.pair
            )
            Y[PRICE] = rows[index]
            made = schedule_of(section.problem, section.reach, flat, cut, np.zeros(0))
            power[section.units] = made.power_kw
            energy[section.units] = made.energy_kwh
            net[section.sites] = made.net_kw
            curtailed[section.sites] = made.curtailed_kw
            return self._proven(section, price)

        bounds = in_threads(one, range(len(self.sections)))
        return power, energy, net, curtailed, sum(bounds)


def solve_fleet(
    problem: PlanProblem,
    gap: float,
    remaining_s: Callable[[], float],
    progress: Callable[[int, float, float], None] | None = None,
) -> FleetResult | list[int]:
    """Plan a fleet to a proven gap; else the sites that cannot keep their limits and targets
    (none of them: time ran out before there was a plan)."""
    fleet = Fleet(problem)
    scale = fleet.scale
    price_eur, cost_eur = sample_prices(fleet.sections, fleet.top.count, SAMPLE_GAP, remaining_s)
    price, cost = price_eur / scale, cost_eur / scale
    columns = 6 * fleet.sections.pairs + 8 * problem.sites * problem.steps
    final = AIM_SHARE * gap * max(abs(cost), 1.0 / scale) / max(columns, 1)
    fleet.aim = max(final, final * SAMPLE_GAP / gap)
    length, change, centre = 1.0, np.zeros_like(price), price
    best, reach, stopped, number = -math.inf, STEP_FIRST, False, 0
    plans: list[FloatArray] = []
    rows: list[FloatArray] = []
    limits, flows, best_price = limits_of(problem, HALF_MARGIN), None, price
    for number in range(1, PASSES_MAX + 1):
        try:
            found = fleet.one_pass(price, remaining_s)
        except TimeUpError:
            stopped = True
            break
        if found.failed:
            return found.failed
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
        smooth = fleet.aim * columns * scale
        if bound >= best - SMOOTH_SLACK * smooth:
            centre, change = price, fleet.balance(found, price) - price
            size = fleet.size(found, change) / columns
            length = min(1.0, math.sqrt(reach / max(size, 1e-300)))
            reach = min(2.0 * reach, STEP_MOST)
            if smooth > SMOOTH_SHARE * (cost - best):
                fleet.aim = max(fleet.aim / 4.0, final)
        else:
            # The step was too long: back to where it began, and less of it.
            length *= 0.3
            reach *= 0.3
        price = centre + length * change
    if not plans:
        return []
    fleet.state.clear()
    power, energy, net_kw, cut, sites_bound = fleet.schedule(plans, rows, best_price)
    proven = scale * (sites_bound + fleet.node_bound(best_price))
    prices = scale * best_price
    return FleetResult(power, energy, net_kw, cut, proven, number, prices, stopped)


def is_fleet(problem: PlanProblem) -> bool:
    """Whether a problem is so large that its sites are solved by themselves: with few sites at a
    feeder only where the interior point as a whole would need too much memory."""
    pairs = int(np.maximum(problem.units.last - problem.units.first, 0).sum())
    many = problem.sites >= FLEET_SITES * (len(problem.feeders) + 1)
    return pairs >= (FLEET_PAIRS if many else WHOLE_PAIRS_MAX)
