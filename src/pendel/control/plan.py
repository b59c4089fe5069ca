"""Plan: the cheapest schedule inside every limit that keeps every promise, with a proof.

`plan` never answers "infeasible" and never answers nothing: limits come before targets, targets
before cost, and every wish that cannot be met is named. Each plan is recomputed by the
independent verifier before it is returned; one that fails gives way to the safe path (`greedy`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from pendel.control.again import solve_again
from pendel.control.arrow import Arrow, applies, arrow_of, effort_s, general_effort_s
from pendel.control.crew import Crew, LocalCrew
from pendel.control.feeder_blocks import blocks_of
from pendel.control.fleet import WHOLE_PAIRS_MAX, FleetResult, Start, is_fleet, solve_fleet
from pendel.control.fleet_unmet import joint_limits
from pendel.control.giving import give_of, given_of, keeps_ranks
from pendel.control.greedy import greedy_schedule
from pendel.control.interior import Interior, solve_interior
from pendel.control.linear_plan import ROUNDS_MAX, solve_linear
from pendel.control.plan_result import Plan, Unmet
from pendel.control.problem import PlanProblem, no_numbers
from pendel.control.reach import Reach, reach_of
from pendel.control.schedule import (
    Schedule,
    merge_directions,
    schedule_in_blocks,
    schedule_of,
    verify_schedule,
)
from pendel.control.sections import Sections
from pendel.control.stragglers import Ways, give_way, schedule_in
from pendel.control.trim import trim
from pendel.control.unmet import unmet_in_large, unmet_wishes
from pendel.control.verify import Verdict
from pendel.control.warm import Warm
from pendel.units import LIMIT_TOLERANCE, BoolArray, FloatArray

METHODS = ("auto", "exact", "decomposed")
INF = float("inf")
Progress: TypeAlias = Callable[[int, float, float], None]
FINE_UNITS = 2_000
FINE_GAP = 1e-7
RANKED_PAIRS, RANKED_S = 12_000, 30.0
"""Up to so many (unit, step) pairs the general solver ranks what gives way in seconds, if it needs
no binaries: it is given so many seconds."""
KEPT_KWH, WIDE_GAP = 1e-2, 3.0
INNER_GAP_SHARE = 0.1
ELASTIC_GAP, ELASTIC_USEFUL = 1e-12, 1e-4
PROOF_SLACK = 1e-6
SAFE_PAIRS = 3_000_000
WHOLE_CELLS_MAX = 5_000_000
"""Sites times steps up to which a problem may be one interior point, however few cars there are."""


def _no_clock() -> float:
    """Elapsed seconds for callers that set no time limit."""
    return 0.0


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How to plan. gap: wanted (objective - bound) / max(1, |bound|); time_limit_s [s] counts on
    elapsed_s, a function that gives seconds since the start of planning (the core has no clock).
    method: auto, exact (general solver) or decomposed (structured interior point).
    warm_kw [N, T]: powers of an earlier plan, taken where time runs out and they still fit;
    warm: what a large fleet left when it was planned last (`Plan.memory`), and which units and
    steps are the same; a place to begin, never believed;
    progress(round, objective_eur, bound_eur) is called as planning goes on.
    binary_rounds: how often binaries may be added where the relaxation uses both directions at
    once (0: both are merged at the cost of exactness, and the work stays that of a linear
    programme; live replans do so).
    make, crew: where the structured interior point and the price method work on their sites
    (`shards`, `spread_crew` for more machines)."""

    gap: float = 1e-6
    time_limit_s: float = INF
    method: str = "auto"
    elapsed_s: Callable[[], float] = _no_clock
    warm_kw: FloatArray | None = None
    warm: Warm | None = None
    progress: Progress | None = None
    binary_rounds: int = ROUNDS_MAX
    make: Callable[[Arrow], Interior] = Interior
    crew: Callable[[Sections], Crew] = LocalCrew


def plan(problem: PlanProblem, options: PlanOptions | None = None) -> Plan:
    """Solve a PlanProblem; always returns a verified plan.

    Raises ValueError for an unknown method, and where something is not a number.
    """
    options = options or PlanOptions()
    if options.method not in METHODS:
        raise ValueError(f"method {options.method!r}: one of {', '.join(METHODS)}")
    if wrong := no_numbers(problem):
        raise ValueError("; ".join(wrong))
    bare = replace(problem, reserves=None)
    wide = problem.sites * problem.steps > WHOLE_CELLS_MAX
    large = is_fleet(problem) or wide
    if options.method != "exact" and large and applies(bare):
        found = _fleet(bare, options)
        if found is None and options.warm is not None:
            found = _fleet(bare, replace(options, warm=None))
        if found is not None and problem.reserves is not None and len(problem.reserves) > 0:
            found = _selling_none(problem, found)
        if found is not None:
            return found
        if wide or _pairs(problem) > SAFE_PAIRS:
            return safe_plan(problem, None, -INF, options.warm_kw)
    reach = reach_of(problem)
    if problem.presence is not None and (problem.presence[reach.unit, reach.step] == 1.0).all():
        problem = replace(problem, presence=None)
    if options.method != "exact" and applies(problem):
        found = _structured(problem, reach, options)
        if found is not None:
            return found
    return _general(problem, reach, options)


def _pairs(problem: PlanProblem) -> int:
    """Number of connected (unit, step) pairs."""
    return int(np.maximum(problem.units.last - problem.units.first, 0).sum())


def _remaining(options: PlanOptions) -> Callable[[], float]:
    """Seconds left, as a function."""
    return lambda: options.time_limit_s - options.elapsed_s()


def _fleet(problem: PlanProblem, options: PlanOptions) -> Plan | None:
    """A plan by prices above independent sites; None where it does not end verified."""
    remaining = _remaining(options)
    blocks = options.crew is LocalCrew

    def solve(
        of: PlanProblem, elastic: BoolArray | None, start: Start | None, blocks: bool
    ) -> FleetResult | list[int]:
        limits = options.gap, remaining, options.progress, options.crew
        return solve_fleet(of, *limits, elastic, start, blocks)

    if options.warm is None or (blocks and bool((blocks_of(problem).root >= 0).any())):
        found = solve(problem, None, None, blocks)
    else:
        again = options.gap, remaining, options.progress, options.crew
        found = solve_again(problem, options.warm, *again)
    if isinstance(found, FleetResult) and (found.stopped or not joint_limits(problem, found)):
        return _verified(problem, options, found)
    alone = replace(options, method="exact", progress=None)
    ways = Ways(
        solve=solve,
        verified=lambda of, made, missed_kwh: _verified(of, options, made, missed_kwh),
        alone=lambda part: plan(part, alone),
        # Mixing plans of sites would leave joint limits broken: better all in one, if it fits.
        together=(lambda: _elastic(problem, reach_of(problem), options))
        if _pairs(problem) <= WHOLE_PAIRS_MAX
        else None,
        gap=options.gap,
        remaining_s=remaining,
        blocks=blocks,
    )
    return give_way(problem, found, ways)


def _verified(
    problem: PlanProblem, options: PlanOptions, found: FleetResult, missed_kwh: float = 0.0
) -> Plan | None:
    """The plan of a fleet; None where units cannot follow it, where stiff limits do not hold, or
    where batteries that charged and discharged at once leave a gap that all in one would not.
    missed_kwh: how far minima are missed that cannot be kept."""
    schedule = schedule_in(found)
    kept_kwh = trim(problem, schedule)
    verdict = verify_schedule(problem, schedule)
    bound, off = found.bound_eur, verdict.violations
    if max(off.energy_kwh - missed_kwh, off.power_kw) > LIMIT_TOLERANCE:
        return None
    if found.give is not None:
        bound -= given_of(problem, verdict).eur(found.give)
    elif not verdict.violations.within(LIMIT_TOLERANCE):
        return None
    made = finish(problem, None, schedule, verdict, bound, "decomposed")
    wide = kept_kwh > KEPT_KWH and made.gap > WIDE_GAP * options.gap
    if wide and not found.stopped and _pairs(problem) <= WHOLE_PAIRS_MAX:
        return None
    return replace(made, memory=found.memory)


def _selling_none(problem: PlanProblem, found: Plan) -> Plan:
    """A plan made without reserves as one of the problem with them: a large fleet sells none.

    Holding reserves only narrows what units may do, so the bound without them less the most that
    they could earn is one."""
    schedule = Schedule(
        found.power_kw,
        found.energy_kwh,
        found.net_kw,
        found.curtailed_kw,
        np.zeros(0 if problem.reserves is None else len(problem.reserves)),
    )
    verdict = verify_schedule(problem, schedule)
    bound_eur = found.bound_eur - most_reserve_eur(problem)
    return finish(problem, None, schedule, verdict, bound_eur, found.method)


def _structured(problem: PlanProblem, reach: Reach, options: PlanOptions) -> Plan | None:
    """The structured interior point; None where it does not end with a proven, verified plan.

    That is so where limits and targets cannot all be kept, and where burning energy pays.
    """
    wanted = min(options.gap, FINE_GAP) if len(problem.units) <= FINE_UNITS else options.gap
    arrow = arrow_of(problem, reach)
    if options.method == "auto" and general_effort_s(arrow) < effort_s(arrow):
        return None
    result = solve_interior(
        arrow, INNER_GAP_SHARE * wanted, _remaining(options), options.progress, options.make
    )
    if result is None:
        return _elastic(problem, reach, options)
    for keep_net in (False, True):
        power = arrow.fixed_kw.copy()
        power[arrow.pair] = merge_directions(
            problem, reach, result.charge_kw, result.discharge_kw, arrow.pair, keep_net
        )
        schedule = schedule_of(problem, reach, power, result.curtailed_kw, np.zeros(0))
        verdict = verify_schedule(problem, schedule)
        gap = (verdict.objective_eur - result.bound_eur) / max(1.0, abs(result.bound_eur))
        verified = verdict.violations.within(LIMIT_TOLERANCE)
        if verified and (gap <= wanted or result.stopped):
            return finish(problem, reach, schedule, verdict, result.bound_eur, "interior")
    if result.stopped:
        return safe_plan(problem, reach, result.bound_eur, options.warm_kw)
    return None


def _elastic(problem: PlanProblem, reach: Reach, options: PlanOptions) -> Plan | None:
    """Where limits and targets cannot all be kept: the interior point with prices on what gives
    way; None where that does not end well, or the general solver can still prove more."""
    give = give_of(problem)
    arrow = arrow_of(problem, reach, give)
    result = solve_interior(
        arrow, ELASTIC_GAP, _remaining(options), options.progress, options.make, ELASTIC_USEFUL
    )
    if result is None:
        return None
    found: Plan | None = None
    for keep_net in (False, True):
        power = arrow.fixed_kw.copy()
        power[arrow.pair] = merge_directions(
            problem, reach, result.charge_kw, result.discharge_kw, arrow.pair, keep_net
        )
        schedule = schedule_of(
            problem, reach, power, result.curtailed_kw, np.zeros(0), targets=False
        )
        verdict = verify_schedule(problem, schedule)
        if not keeps_ranks(problem, reach, schedule, verdict):
            continue
        bound = result.bound_eur - given_of(problem, verdict).eur(give)
        one = finish(problem, reach, schedule, verdict, bound, "interior")
        found = one if found is None or one.gap < found.gap else found
    is_large = arrow.pairs > RANKED_PAIRS
    if found is not None and result.stopped:
        return min(found, safe_plan(problem, reach, -INF, options.warm_kw), key=_order)
    if found is None or is_large or found.gap <= options.gap:
        return found
    until_s = min(options.time_limit_s, options.elapsed_s() + RANKED_S)
    ranked = _general(problem, reach, replace(options, time_limit_s=until_s))
    return min(ranked, found, key=_order)


def _general(problem: PlanProblem, reach: Reach, options: PlanOptions) -> Plan:
    """The general solver with all its ranks; the safe path where it has no answer."""
    solution = solve_linear(problem, reach, _remaining(options), options.binary_rounds)
    if solution is None:
        return safe_plan(problem, reach, -INF, options.warm_kw)
    for power in (solution.power_kw, solution.site_power_kw):
        schedule = schedule_of(
            problem,
            reach,
            power,
            solution.curtailed_kw,
            solution.reserve_kw,
            promised=not solution.ranked,
        )
        verdict = verify_schedule(problem, schedule)
        if verdict.violations.within(LIMIT_TOLERANCE) or (solution.ranked and solution.exact):
            break
    if not solution.ranked and not verdict.violations.within(LIMIT_TOLERANCE):
        return safe_plan(problem, reach, solution.bound_eur, options.warm_kw)
    method = "highs" if solution.binaries == 0 else "highs-mip"
    return finish(problem, reach, schedule, verdict, solution.bound_eur, method)


def safe_plan(
    problem: PlanProblem,
    reach: Reach | None,
    bound_eur: float,
    warm_kw: FloatArray | None = None,
) -> Plan:
    """The plan of the safe path, verified like any other; an earlier plan that fits and is
    better takes its place. reach: of the problem, None where it would be too large."""
    schedule = greedy_schedule(problem)
    verdict = verify_schedule(problem, schedule)
    safe = finish(problem, reach, schedule, verdict, bound_eur, "greedy")
    if warm_kw is None or warm_kw.shape != safe.power_kw.shape:
        return safe
    schedule = schedule_in_blocks(problem, warm_kw.copy(), 0.0 * problem.pv_kw, safe.reserve_kw)
    verdict = verify_schedule(problem, schedule)
    warm = finish(problem, reach, schedule, verdict, bound_eur, "warm")
    return warm if _order(warm) < _order(safe) else safe


def _order(found: Plan) -> tuple[float, float, float]:
    """Ranks of the contract: energy over limits, shortfall, cost."""
    over = round(found.over_limit_kwh, 6)
    return over, round(float(found.shortfall_kwh.sum()), 6), found.objective_eur


def finish(
    problem: PlanProblem,
    reach: Reach | None,
    schedule: Schedule,
    verdict: Verdict,
    bound_eur: float,
    method: str,
) -> Plan:
    """Put the verdict on the plan: objective, shortfall, what is unmet and why. reach: of the
    problem, None where it would be too large: then only the first units are looked at."""
    if reach is None:
        unmet, more = unmet_in_large(problem, schedule, verdict.shortfall_kwh)
    else:
        unmet, more = unmet_wishes(problem, reach, schedule, verdict.shortfall_kwh), 0
    plan = judged(problem, schedule, verdict, bound_eur, unmet, method)
    return replace(plan, unmet_more=more)


def judged(
    problem: PlanProblem,
    schedule: Schedule,
    verdict: Verdict,
    bound_eur: float,
    unmet: tuple[Unmet, ...],
    method: str,
) -> Plan:
    """The plan with its verdict; a bound that contradicts the verified cost is discarded."""
    off = verdict.violations
    worst = max(off.energy_kwh, off.power_kw, off.site_kw, off.feeder_kw, off.portfolio_kw)
    objective = verdict.objective_eur
    if not np.isfinite(bound_eur) or bound_eur > objective + PROOF_SLACK * max(1.0, abs(objective)):
        # No proof, or one that contradicts the verified plan: say only what is certain.
        bound_eur = trivial_bound(problem)
    return Plan(
        power_kw=schedule.power_kw,
        energy_kwh=schedule.energy_kwh,
        net_kw=schedule.net_kw,
        curtailed_kw=schedule.curtailed_kw,
        reserve_kw=schedule.reserve_kw,
        objective_eur=objective,
        bound_eur=min(bound_eur, objective),
        shortfall_kwh=verdict.shortfall_kwh,
        over_limit_kwh=verdict.over_limit_kwh if worst > LIMIT_TOLERANCE else 0.0,
        feasible=worst <= LIMIT_TOLERANCE,
        unmet=unmet,
        method=method,
    )


def trivial_bound(problem: PlanProblem) -> float:
    """A bound that needs no solver: every step at the best imaginable import or export [EUR].

    Prices times the largest possible flows, no wear, the most reserve and terminal value.
    """
    units, h = problem.units, problem.step_h
    most, least = problem.load_kw.copy(), np.negative(problem.pv_kw)
    for t in range(problem.steps):
        here = (units.first <= t) & (t < units.last)
        count = problem.sites
        most[:, t] += np.bincount(units.site, here * units.charge_max_kw, count)
        least[:, t] -= np.bincount(units.site, here * units.discharge_max_kw, count)
    row = problem.price_row
    buy, sell = problem.import_eur_kwh[row], problem.export_eur_kwh[row]
    best = np.minimum(buy * np.maximum(most, 0.0), 0.0)
    best = best + np.minimum(sell * np.minimum(least, 0.0), 0.0)
    bound = h * float(best.sum())
    bound += float((problem.demand_charge_eur_kw * problem.peak_so_far_kw).sum())
    above = np.maximum(np.maximum(units.capacity_kwh, units.energy_start_kwh), 0.0)
    bound -= float((np.maximum(units.terminal_eur_kwh, 0.0) * above).sum())
    return bound - most_reserve_eur(problem)


def most_reserve_eur(problem: PlanProblem) -> float:
    """The most that reserves could earn [EUR]: all power held in every block."""
    reserves, units = problem.reserves, problem.units
    if reserves is None:
        return 0.0
    hours = (reserves.until_step - reserves.from_step) * problem.step_h
    held = np.minimum(reserves.max_kw, float((units.charge_max_kw + units.discharge_max_kw).sum()))
    return float((np.maximum(reserves.price_eur_mw_h, 0.0) * held * hours).sum()) / 1000.0
