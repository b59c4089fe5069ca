"""Fleet flexibility as a product: what a fleet could do at most, and what it surely can do.

Outer envelopes (`outer_of`): power per step and energy drawn so far, of all cars and batteries
together. Every feasible plan lies inside; not every curve inside is a plan.

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

from dataclasses import dataclass, replace

import numpy as np

from pendel.control.plan import PlanOptions, plan
from pendel.control.plan_result import Plan
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.schedule import Schedule, promised_lo
from pendel.control.schedule_kernels import tighten_backward
from pendel.control.verify import verify
from pendel.scenario.columns import Feeders
from pendel.units import BoolArray, FloatArray

GIVE, TAKE = 1, -1
WEIGHT_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Outer:
    """Outer envelopes [T] of cars and batteries together, AC: least_kw <= power <= most_kw in each
    step, and energy drawn [kWh] from the begin of the horizon to the end of the step."""

    least_kw: FloatArray
    most_kw: FloatArray
    drawn_least_kwh: FloatArray
    drawn_most_kwh: FloatArray


def outer_of(problem: PlanProblem) -> Outer:
    """Outer envelopes of a problem; O(connected unit-steps).

    Each unit within its own limits and targets, cut by what sites, feeders and the portfolio let
    through. Where limits or targets cannot be kept at all there is no plan to enclose.
    """
    from pendel.control.flexibility_kernels import unit_envelopes

    units, h, reach = problem.units, problem.step_h, reach_of(problem)
    gain, loss = h * units.charge_efficiency, h / units.discharge_efficiency
    up, down = gain * units.charge_max_kw, loss * units.discharge_max_kw
    lo, hi = promised_lo(reach), reach.hi.copy()
    tighten_backward(reach.offset, up, down, lo, hi)
    shape = (problem.sites, problem.steps)
    least, most, drawn_least, drawn_most = (np.zeros(shape) for _ in range(4))
    unit_envelopes(
        h, units.site, np.clip(units.first, 0, problem.steps), reach.offset, reach.start, up, down,
        gain, loss, lo, hi, least, most, drawn_least, drawn_most,
    )  # fmt: skip
    import_kw, export_kw = reach.import_kw, reach.export_kw
    most_through = import_kw - problem.load_kw + problem.pv_kw
    least, most = _cut(least, most, -export_kw - problem.load_kw, most_through)
    low_kw, high_kw = _through_tree(problem, least, most)
    low, high = drawn_least.sum(axis=0), drawn_most.sum(axis=0)
    for t in range(1, problem.steps):
        low[t] = max(low[t], low[t - 1] + h * low_kw[t])
        high[t] = min(high[t], high[t - 1] + h * high_kw[t])
    return Outer(low_kw, high_kw, low, high)


def _cut(
    least: FloatArray, most: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Intervals cut to limits; where nothing is left the nearest point."""
    cut_least = np.minimum(np.maximum(least, low), np.maximum(most, low))
    return cut_least, np.maximum(np.minimum(most, high), cut_least)


def _through_tree(
    problem: PlanProblem, least: FloatArray, most: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Sums [T] of site intervals [S, T], cut at every feeder and at the portfolio."""
    feeders, count = problem.feeders, len(problem.feeders)
    sums = [np.zeros((count + 1, problem.steps)) for _ in range(4)]
    columns = (least, most, problem.load_kw, problem.load_kw - problem.pv_kw)
    for total, of_sites in zip(sums, columns, strict=True):
        np.add.at(total, problem.feeder, of_sites)
    low, high, load, net = sums
    for f in children_first(feeders):
        low[f], high[f] = _cut(
            low[f], high[f], -feeders.export_limit_kw[f] - load[f],
            feeders.import_limit_kw[f] - net[f],
        )  # fmt: skip
        for total in sums:
            total[feeders.parent[f]] += total[f]
    return _cut(
        low[-1], high[-1], -problem.portfolio_export_limit_kw - load[-1],
        problem.portfolio_import_limit_kw - net[-1],
    )  # fmt: skip


def children_first(feeders: Feeders) -> list[int]:
    """Feeders so that each stands before its parent."""
    depth = np.zeros(len(feeders), dtype=np.int64)
    for f in range(len(feeders)):
        above = int(feeders.parent[f])
        while above >= 0:
            depth[f] += 1
            above = int(feeders.parent[above])
    return [int(f) for f in np.argsort(-depth, kind="stable")]


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
    order = children_first(problem.feeders)
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
    """Stored schedules of a fleet: K schedules, N units, S sites, T steps; the first is the base.

    problem: the one they solve (`blendable`); energy_kwh [K, N, T] at the end of the step (NaN
    outside the window), curtailed_kw [K, S, T], power_kw [K, T] of all units together, cost_eur
    [K]; charging [S]: sites that offer charging only; feasible: whether every limit is kept.
    """

    problem: PlanProblem
    energy_kwh: FloatArray
    curtailed_kw: FloatArray
    power_kw: FloatArray
    cost_eur: FloatArray
    shortfall_kwh: FloatArray
    charging: BoolArray
    feasible: bool
    offers: tuple[Offer, ...]

    def __len__(self) -> int:
        return len(self.cost_eur)


def inner_of(
    problem: PlanProblem,
    blocks: int = 6,
    incentives_eur_kwh: tuple[float, ...] = (0.03, 0.1, 0.3),
    options: PlanOptions | None = None,
) -> Inner:
    """Stored schedules: the cheapest, and per block of the horizon and incentive one that gives
    and one that takes. 1 + 2 * blocks * incentives plans are made."""
    offered, charging = blendable(problem)
    edges = np.unique(np.linspace(0, problem.steps, blocks + 1).round().astype(np.int64))
    base = plan(offered, options)
    plans, wanted = [base], []
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        for direction in (GIVE, TAKE):
            for incentive in incentives_eur_kwh:
                wanted.append((begin, end, direction, incentive))
                plans.append(plan(steered(offered, begin, end, direction, incentive), options))
    verdicts = [_cost(offered, found) for found in plans]
    power = np.stack([found.power_kw.sum(axis=0) for found in plans])
    offers = tuple(
        Offer(
            k,
            begin,
            end,
            direction,
            incentive,
            direction * float((power[0] - power[k])[begin:end].mean()),
            verdicts[k] - verdicts[0],
        )
        for k, (begin, end, direction, incentive) in enumerate(wanted, start=1)
    )
    return Inner(
        problem=offered,
        energy_kwh=np.stack([found.energy_kwh for found in plans]),
        curtailed_kw=np.stack([found.curtailed_kw for found in plans]),
        power_kw=power,
        cost_eur=np.array(verdicts),
        shortfall_kwh=np.array([found.shortfall_kwh.sum() for found in plans]),
        charging=charging,
        feasible=all(found.feasible for found in plans),
        offers=offers,
    )


def steered(
    problem: PlanProblem, begin: int, end: int, direction: int, incentive_eur_kwh: float
) -> PlanProblem:
    """The problem with a reason to draw less (GIVE) or more (TAKE) in a block: dearer energy there,
    or everywhere else, so that no price becomes negative that was not."""
    inside = np.zeros(problem.steps, dtype=np.bool_)
    inside[begin:end] = True
    more = incentive_eur_kwh * (inside if direction == GIVE else ~inside)
    return replace(
        problem,
        import_eur_kwh=problem.import_eur_kwh + more,
        export_eur_kwh=problem.export_eur_kwh + more,
    )


def _cost(problem: PlanProblem, found: Plan) -> float:
    return verify(
        problem, found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw,
        found.reserve_kw, float("inf"),
    ).objective_eur  # fmt: skip


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
    problem, units = inner.problem, inner.problem.units
    weights = np.maximum(weights, 0.0) / np.maximum(weights, 0.0).sum()
    energy = np.tensordot(weights, inner.energy_kwh, axes=1)
    curtailed = np.tensordot(weights, inner.curtailed_kw, axes=1)
    begin = units.energy_start_kwh[:, None]
    before = np.concatenate([begin, energy[:, :-1]], axis=1)
    before = np.where(np.isnan(before), begin, before)
    change = np.where(np.isnan(energy), 0.0, energy - before) / problem.step_h
    power = np.where(
        change > 0.0,
        change / units.charge_efficiency[:, None],
        change * units.discharge_efficiency[:, None],
    )
    net = problem.load_kw - problem.pv_kw + curtailed
    np.add.at(net, units.site, power)
    return Schedule(power, energy, net, curtailed, np.zeros(0))


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
