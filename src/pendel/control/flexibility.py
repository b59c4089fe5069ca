"""Fleet flexibility as a product: what a fleet surely can do (at most: `flexibility_outer`).

Inner product (`inner_of`): stored fleet schedules, each feasible, and every blend of them. A
blend averages *stored energy*, unit by unit with the same weights, and power is recomputed from
it: averaging powers would let a car charge and discharge at once and break its energy balance.
AC energy f(x) of a change x of stored energy is convex (x / eta_c above 0, x eta_d below), so

    f(sum w x) <= sum w f(x):   a blend draws at most the average, less what cycling would waste.

Unit limits, targets and import limits follow from that; export limits do not, because a blend may
export the saved losses. So the schedules are made inside export limits that are tighter by the
most that can be saved (`saved_kw`), and where those have no room for it cars only charge: then f is
linear and nothing is saved. Every blend is then feasible, with zero error in its disaggregation.
Cf. Al Taha et al. arXiv 2207.07067 for inner approximations; the margin against saved losses is
this project's own.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np

from pendel.control.arrow import applies
from pendel.control.fleet import FLEET_PAIRS, FleetResult, solve_fleet
from pendel.control.moves import (
    GIVE,
    TAKE,
    Moves,
    Steer,
    net_of,
    rows_of,
    standing_of,
    windows_of,
)
from pendel.control.nodes import bottom_up
from pendel.control.plan import PlanOptions, finish, plan
from pendel.control.plan_result import Plan
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.schedule import Schedule, verify_schedule
from pendel.control.verify import verify_rows
from pendel.scenario.unit_rows import Windows
from pendel.units import LIMIT_TOLERANCE, BoolArray, FloatArray

WEIGHT_SLACK = 1e-9
SAME_SHARE = 1e-9
PLANNED_MAX = 1_000_000
"""Unit-steps of all stored schedules up to which each of them is planned for itself."""


def saved_kw(problem: PlanProblem) -> FloatArray:
    """[N] most power that a blend can save a unit in a step by not cycling against itself:
    (1 / eta_c - eta_d) a b / (a + b) / h with a, b the most energy won and lost in a step."""
    units, h = problem.units, problem.step_h
    up = h * units.charge_efficiency * units.charge_max_kw
    down = h * units.discharge_max_kw / units.discharge_efficiency
    kappa = 1.0 / units.charge_efficiency - units.discharge_efficiency
    both = np.divide(up * down, up + down, out=np.zeros_like(up), where=up + down > 0.0)
    return np.asarray(kappa * both / h)


def blendable(problem: PlanProblem) -> tuple[PlanProblem, BoolArray]:
    """The problem whose schedules may be blended, and which sites [S] only charge in it.

    Market and reserves are left out: what is sold here would take their place.
    """
    saved = saved_kw(problem)
    units, count_s, count_f = problem.units, problem.sites, len(problem.feeders)
    charging = np.zeros(count_s, dtype=np.bool_)
    export_kw = reach_of(problem).export_kw
    order = bottom_up(problem.feeders.parent).tolist()
    for _ in range(count_f + 2):
        margin = _margin(problem, np.where(charging[units.site], 0.0, saved))
        short = (margin > export_kw).any(axis=1) & ~charging
        tree = np.zeros((count_f + 1, problem.steps))
        np.add.at(tree, problem.feeder, margin)
        for f in order:
            tree[problem.feeders.parent[f]] += tree[f]
        limits = np.append(problem.feeders.export_limit_kw, np.inf)
        tight = np.asarray((tree > limits[:, None]).any(axis=1))
        tight[-1] = bool((tree[-1] > problem.portfolio_export_limit_kw).any())
        for f in reversed(order):
            tight[f] |= tight[problem.feeders.parent[f]]
        short |= tight[problem.feeder] & ~charging
        if not short.any():
            break
        charging |= short
    margin_tree = tree.max(axis=1)
    feeders = replace(
        problem.feeders, export_limit_kw=problem.feeders.export_limit_kw - margin_tree[:-1]
    )
    may_give = np.where(charging[units.site], 0.0, units.discharge_max_kw)
    return replace(
        problem,
        units=replace(units, discharge_max_kw=may_give),
        export_limit_kw=np.where(charging[:, None], export_kw, export_kw - margin),
        home_only=None,
        feeders=feeders,
        portfolio_export_limit_kw=problem.portfolio_export_limit_kw - margin_tree[-1],
        market=None,
        reserves=None,
    ), charging


def _margin(problem: PlanProblem, saved: FloatArray) -> FloatArray:
    """Sum [S, T] of what the connected units [N] could save."""
    units, width = problem.units, problem.steps + 1
    first = np.clip(units.first, 0, problem.steps)
    last = np.maximum(np.clip(units.last, 0, problem.steps), first)
    size = problem.sites * width
    flat = np.bincount(units.site * width + first, weights=saved, minlength=size)
    flat -= np.bincount(units.site * width + last, weights=saved, minlength=size)
    total = np.cumsum(flat.reshape(problem.sites, width), axis=1)[:, : problem.steps]
    return np.where(total > 1e-12, total, 0.0)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a schedule moves against the base in a block of steps, and what that costs.

    direction GIVE: less power drawn (or more given), TAKE: more drawn. incentive_eur_kwh moved it;
    power_kw: mean change of fleet power in the block (an amount); cost_eur against the base, by
    the problem's own prices.
    """

    schedule: int
    from_step: int
    until_step: int
    direction: int
    incentive_eur_kwh: float
    power_kw: float
    cost_eur: float


@dataclass(frozen=True, slots=True)
class Inner:
    """Stored schedules of a fleet: K schedules, N units, S sites, T steps; the first is the
    cheapest.

    problem: the one they solve (`blendable`); energy_kwh [K, W] at the end of each step of the
    windows, unit after unit; curtailed_kw [K, S, T]; power_kw [K, T] of all units together;
    cost_eur, shortfall_kwh [K]; bound_eur: proven, no schedule of the problem costs less;
    charging [S]: sites that offer charging only; feasible: whether every limit is kept; planned:
    whether each schedule is a plan of its own (else units were moved, `moves`).
    """

    problem: PlanProblem
    windows: Windows
    energy_kwh: FloatArray
    curtailed_kw: FloatArray
    power_kw: FloatArray
    cost_eur: FloatArray
    bound_eur: float
    shortfall_kwh: FloatArray
    charging: BoolArray
    feasible: bool
    offers: tuple[Offer, ...]
    planned: bool = True

    def __len__(self) -> int:
        return len(self.cost_eur)

    @property
    def base_gap_eur(self) -> float:
        """By how much a schedule could be cheaper than the first one, at most [EUR]."""
        return float(self.cost_eur[0]) - self.bound_eur


def inner_of(
    problem: PlanProblem,
    blocks: int = 6,
    incentives_eur_kwh: tuple[float, ...] = (0.03, 0.1, 0.3),
    options: PlanOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inner:
    """Stored schedules: the cheapest, and per block of the horizon and incentive one that gives
    and one that takes: 1 + 2 * blocks * incentives. progress(made, of).

    Up to PLANNED_MAX unit-steps in all of them each is planned for itself, and where units cannot
    be moved (`movable`); else the cheapest is, and its units move.
    """
    offered, charging = blendable(problem)
    edges = np.unique(np.linspace(0, problem.steps, blocks + 1).round().astype(np.int64)).tolist()
    reasons = [
        Steer(begin, end, direction, incentive)
        for begin, end in pairwise(edges)
        for direction in (GIVE, TAKE)
        for incentive in sorted(incentives_eur_kwh)
    ]
    count, windows = 1 + len(reasons), windows_of(offered)
    planned = count * windows.pairs <= PLANNED_MAX or not movable(offered)
    base = plan(offered, options) if planned else cheapest(offered, options)
    bound_eur = base.bound_eur
    made = (_plans if planned else _moves)(offered, base, reasons, options)
    del base  # of a large fleet gigabytes, of which only the energies are kept
    energy = np.empty((count, windows.pairs))
    curtailed = np.empty((count, problem.sites, problem.steps))
    power, cost, shortfall = np.empty((count, problem.steps)), np.empty(count), np.empty(count)
    feasible = True
    for k, (energy[k], curtailed[k]) in enumerate(made):
        rows = rows_of(offered, windows, energy[k])
        net = net_of(offered, rows, curtailed[k])
        power[k] = (net - (offered.load_kw - offered.pv_kw + curtailed[k])).sum(axis=0)
        verdict = verify_rows(offered, rows, net, curtailed[k], np.zeros(0), math.inf)
        cost[k], shortfall[k] = verdict.objective_eur, verdict.shortfall_kwh.sum()
        feasible &= verdict.violations.within(LIMIT_TOLERANCE)
        if progress is not None:
            progress(k + 1, count)
    least = int(np.argmin(cost))
    if cost[least] < cost[0] - SAME_SHARE * abs(cost[0]):
        for column in (energy, curtailed, power, cost, shortfall):
            column[0] = column[least]
    offers = tuple(_offer(k, reason, power, cost) for k, reason in enumerate(reasons, start=1))
    return Inner(
        offered, windows, energy, curtailed, power, cost, min(bound_eur, float(cost[0])),
        shortfall, charging, feasible, offers, planned,
    )  # fmt: skip


def _offer(k: int, reason: Steer, power_kw: FloatArray, cost_eur: FloatArray) -> Offer:
    """What schedule k does against the first."""
    less_kw = (power_kw[0] - power_kw[k])[reason.begin : reason.end]
    return Offer(
        k, reason.begin, reason.end, reason.direction, reason.eur_kwh,
        reason.direction * float(less_kw.mean()), float(cost_eur[k] - cost_eur[0]),
    )  # fmt: skip


def _plans(
    problem: PlanProblem, base: Plan, reasons: list[Steer], options: PlanOptions | None
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Energies [W], curtailment [S, T] of the cheapest schedule and of a plan for each reason."""
    moves, inside = Moves(problem), np.isfinite(base.energy_kwh)
    for k, found in enumerate(chain([base], (plan(steered(problem, r), options) for r in reasons))):
        made = standing_of(problem, moves.windows, found.energy_kwh[inside], found.curtailed_kw)
        made = moves.curtailed(made) if k > 0 and movable(problem) else made
        yield made.energy_kwh, made.curtailed_kw


def _moves(
    problem: PlanProblem, base: Plan, reasons: list[Steer], options: PlanOptions | None
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """As `_plans`, but units move: from the cheapest schedule, the higher the incentive the
    further on."""
    moves = Moves(problem)
    flat = base.energy_kwh[np.isfinite(base.energy_kwh)]
    first = standing_of(problem, moves.windows, flat, base.curtailed_kw)
    del base
    first = now = moves.moved(first, Steer(0, problem.steps, GIVE, 0.0))
    yield first.energy_kwh, first.curtailed_kw
    before: Steer | None = None
    for reason in reasons:
        goes_on = before is not None and (before.begin, before.direction) == (
            reason.begin, reason.direction,
        )  # fmt: skip
        now = moves.moved(now if goes_on else first, reason)
        before = reason
        yield now.energy_kwh, now.curtailed_kw


def movable(problem: PlanProblem) -> bool:
    """Whether units may be moved: costs are convex, and no floors or weights depend on steps."""
    return applies(problem) and problem.floor_kwh is None


def cheapest(problem: PlanProblem, options: PlanOptions | None) -> Plan:
    """The cheapest plan of a large fleet without market or reserves: by prices where it is large
    enough, with feeders as blocks."""
    options = options or PlanOptions()
    if windows_of(problem).pairs >= FLEET_PAIRS:
        found = solve_fleet(
            problem, options.gap, lambda: math.inf, options.progress, options.crew, blocks=True
        )
        if isinstance(found, FleetResult):
            made = Schedule(
                found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw, np.zeros(0)
            )
            verdict = verify_schedule(problem, made)
            if verdict.violations.within(LIMIT_TOLERANCE):
                return finish(problem, None, made, verdict, found.bound_eur, "decomposed")
    return plan(problem, options)


def steered(problem: PlanProblem, reason: Steer) -> PlanProblem:
    """The problem with a reason to draw less or more in a block of steps."""
    return replace(
        problem,
        import_eur_kwh=reason.on(problem.import_eur_kwh),
        export_eur_kwh=reason.on(problem.export_eur_kwh),
    )


def blend(inner: Inner, weights: FloatArray) -> Schedule:
    """The schedule of weights [K] (0 or more, sum 1), unit by unit. Raises ValueError.

    Feasible for the problem the product was made from; its fleet power is at most the average of
    those stored and at least that less `saved_kw`.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(inner),) or not (
        (weights >= -WEIGHT_SLACK).all() and abs(weights.sum() - 1.0) <= WEIGHT_SLACK
    ):
        raise ValueError(f"weights: {len(inner)} numbers of 0 or more with sum 1")
    weights = np.maximum(weights, 0.0) / np.maximum(weights, 0.0).sum()
    energy = np.zeros(inner.windows.pairs)
    curtailed = np.zeros_like(inner.problem.pv_kw)
    for k in np.flatnonzero(weights).tolist():
        energy += weights[k] * inner.energy_kwh[k]
        curtailed += weights[k] * inner.curtailed_kw[k]
    rows, steps = rows_of(inner.problem, inner.windows, energy), inner.problem.steps
    net = net_of(inner.problem, rows, curtailed)
    return Schedule(
        inner.windows.dense(rows.power_kw, steps, 0.0),
        inner.windows.dense(energy, steps, math.nan),
        net, curtailed, np.zeros(0),
    )  # fmt: skip


def weights_for(inner: Inner, power_kw: FloatArray, rounds: int = 2_000) -> FloatArray:
    """Weights [K] whose average of stored fleet powers comes nearest to a wanted one [T].

    Projected gradient with momentum on the simplex; NaN steps are not looked at.
    """
    asked = np.isfinite(power_kw)
    stored, target = inner.power_kw[:, asked], np.asarray(power_kw)[asked]
    gram, pull = stored @ stored.T, stored @ target
    speed = 1.0 / max(float(np.linalg.norm(gram, 2)), 1e-12)
    weights = ahead = np.full(len(inner), 1.0 / len(inner))
    momentum = 1.0
    for _ in range(rounds):
        moved = _onto_simplex(ahead - speed * (gram @ ahead - pull))
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = moved + (momentum - 1.0) / following * (moved - weights)
        weights, momentum = moved, following
    return weights


def _onto_simplex(point: FloatArray) -> FloatArray:
    """Nearest weights of 0 or more with sum 1 (sorting; Held, Wolfe, Crowder 1974)."""
    ordered = np.sort(point)[::-1]
    above = (np.cumsum(ordered) - 1.0) / np.arange(1, len(point) + 1)
    return np.asarray(np.maximum(point - above[np.flatnonzero(ordered > above)[-1]], 0.0))
