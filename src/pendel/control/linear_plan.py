"""Plan with the general solver: ranks one after the other, binaries only where needed.

First the plain model with closed slacks. If that has no solution, the ranks of the contract in
order: least energy over limits, least lack of the minimum, least shortfall, least cost, each
fixed before the next. Where the relaxation charges and discharges (or imports and exports) at
once, that step gets a binary and the model is solved again: every round is a relaxation, so the
last one is exact and its dual bound is proven.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pendel.control.linear_model import Model, build_model
from pendel.control.linear_reserves import add_reserves
from pendel.control.linear_solve import Engine
from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.control.schedule import merge_directions, schedule_of, verify_schedule
from pendel.units import BoolArray, FloatArray, IntArray

TOGETHER_KW = 1e-7
HARMLESS = 1e-8
ROUNDS_MAX = 30
FIXED_ROUNDS_MAX = 6
"""Without binaries: rounds in which directions are fixed as the relaxation used them most."""
LIMIT_SLACKS = (
    "over_import",
    "over_export",
    "feeder_over_import",
    "feeder_over_export",
    "portfolio_over_import",
    "portfolio_over_export",
)


@dataclass(frozen=True, slots=True)
class LinearPlan:
    """A solution of the model. power_kw [W] signed per connected pair; curtailed_kw [S, T];
    reserve_kw [K]; bound_eur proven lower bound; exact: no step was left that would charge and
    discharge or import and export at once, otherwise power_kw stores what both did and
    site_power_kw gives what both gave at the site; ranked: limits or targets could not all be
    kept."""

    power_kw: FloatArray
    site_power_kw: FloatArray
    curtailed_kw: FloatArray
    reserve_kw: FloatArray
    bound_eur: float
    exact: bool
    ranked: bool
    binaries: int


def solve_linear(
    problem: PlanProblem, reach: Reach, remaining_s: Callable[[], float], rounds: int = ROUNDS_MAX
) -> LinearPlan | None:
    """The plan of least cost at the best ranks, or None where time ran out before any point.

    rounds: how often binaries may be added, 0..ROUNDS_MAX; with 0 directions are fixed instead
    as the relaxation used them most, and all stays a linear programme.
    """
    model = build_model(problem, reach)
    add_reserves(model, problem, reach)
    engine = Engine(model, remaining_s)
    status = engine.run()
    if status == "infeasible":
        engine.ranked = True
        status = _rank(engine, model, problem, reach)
    bound = engine.bound(status == "optimal")
    values, power, binaries, bound = _exclude_both(engine, model, problem, reach, bound, rounds)
    if values is None:
        return None
    exact = power is not None
    return LinearPlan(
        power_kw=_merged(values, model, problem, reach, False) if power is None else power,
        site_power_kw=_merged(values, model, problem, reach, True) if power is None else power,
        curtailed_kw=values[model.blocks["curtail"]].reshape(problem.sites, problem.steps),
        reserve_kw=_reserve(values, model),
        bound_eur=bound,
        exact=exact,
        ranked=engine.ranked,
        binaries=binaries,
    )


def _merged(
    values: FloatArray, model: Model, problem: PlanProblem, reach: Reach, keep_net: bool
) -> FloatArray:
    """[W] signed power of a solution (see `merge_directions`)."""
    pairs = values[model.blocks["charge"]], values[model.blocks["discharge"]]
    return merge_directions(problem, reach, *pairs, np.arange(reach.pairs), keep_net)


def _reserve(values: FloatArray, model: Model) -> FloatArray:
    """[K] reserve amounts of a solution, none where nothing is sold."""
    return values[model.blocks["reserve"]] if "reserve" in model.blocks else np.zeros(0)


def _rank(engine: Engine, model: Model, problem: PlanProblem, reach: Reach) -> str:
    """Open the slacks rank by rank; returns the status of the last stage (cost)."""
    h = problem.step_h
    over = np.concatenate([model.blocks[name] for name in LIMIT_SLACKS])
    short = np.concatenate([model.blocks["shortfall"], model.blocks["floor_lack"]])
    stages = (over, h), (model.blocks["minimum_lack"], 1.0), (short, 1.0)
    for columns, _ in stages:
        engine.open_columns(columns)
    for columns, weight in stages:
        if len(columns) == 0:
            continue
        weights = np.full(len(columns), weight)
        engine.set_cost(columns, weights)
        if engine.run() != "optimal":
            break
        engine.keep_optimum()
    engine.restore_cost()
    return engine.run()


def _exclude_both(
    engine: Engine, model: Model, problem: PlanProblem, reach: Reach, bound: float, rounds: int
) -> tuple[FloatArray | None, FloatArray | None, int, float]:
    """Solve again with binaries where both directions were used, until none is (rounds 0: with
    the lesser direction closed).

    Returns the last values (None where there are none), the signed powers if they are exact, the
    number of binaries, and the best proven bound.
    """
    blocks, units = model.blocks, problem.units
    upper = np.concatenate(model.upper)
    lossy = (units.charge_efficiency * units.discharge_efficiency < 1.0)[reach.unit]
    row = problem.price_row
    dearer = (problem.export_eur_kwh > problem.import_eur_kwh)[row].ravel()
    cell = units.site[reach.unit] * problem.steps + reach.step
    values, best, count = engine.values(), None, 0
    for _ in range(rounds if rounds > 0 else FIXED_ROUNDS_MAX):
        if values is None:
            return best, None, count, bound
        best = values
        pair_bad = _both(values, blocks["charge"], blocks["discharge"]) & lossy
        cell_bad = _both(values, blocks["import"], blocks["export"]) & dearer
        power: FloatArray | None = _merged(values, model, problem, reach, False)
        if pair_bad.any():
            power = _harmless(values, model, problem, reach, engine)
        if power is not None and not cell_bad.any():
            return best, power, count, bound
        # Where one unit burns energy in a step, its neighbours would do so next.
        spread = np.zeros(len(dearer), dtype=np.bool_)
        spread[cell[pair_bad]] = True
        pair_bad |= spread[cell] & lossy & (upper[blocks["discharge"]] > 0.0)
        for mask, first, second in (
            (pair_bad, blocks["charge"], blocks["discharge"]),
            (cell_bad, blocks["import"], blocks["export"]),
        ):
            at = np.flatnonzero(mask)
            if rounds > 0:
                engine.exclude(first[at], second[at], upper[first[at]], upper[second[at]])
                count += len(at)
            else:
                less = values[second[at]] <= values[first[at]]
                engine.close(np.where(less, second[at], first[at]))
        lossy = lossy & ~pair_bad
        dearer = dearer & ~cell_bad
        status = engine.run()
        if rounds > 0:
            bound = max(bound, engine.bound(status == "optimal"))
        values = engine.values()
    return best, None, count, bound


def _both(values: FloatArray, first: IntArray, second: IntArray) -> BoolArray:
    """Whether both of two amounts are in use."""
    return np.minimum(values[first], values[second]) > TOGETHER_KW


def _harmless(
    values: FloatArray, model: Model, problem: PlanProblem, reach: Reach, engine: Engine
) -> FloatArray | None:
    """Signed powers [W] if merging both directions keeps limits and cost (burning was merely
    free), else None."""
    if problem.reserves is not None and len(problem.reserves) > 0:
        return None
    over = values[np.concatenate([model.blocks[name] for name in LIMIT_SLACKS])].sum()
    curtailed = values[model.blocks["curtail"]].reshape(problem.sites, problem.steps)
    objective = engine.objective()
    for keep_net in (False, True):
        power = _merged(values, model, problem, reach, keep_net)
        schedule = schedule_of(
            problem, reach, power, curtailed, _reserve(values, model), promised=not engine.ranked
        )
        verdict = verify_schedule(problem, schedule)
        if (
            verdict.over_limit_kwh <= problem.step_h * over + HARMLESS
            and verdict.objective_eur <= objective + HARMLESS * max(1.0, abs(objective))
        ):
            return power
    return None
