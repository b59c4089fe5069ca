"""Odd fleets planned as large ones are: a verified plan, a bound below what the exact one costs."""

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pendel.control.fleet as fleet
from pendel.control.plan import PlanOptions, plan
from pendel.control.problem import PlanProblem, Units
from pendel.control.verify import verify

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from plan_scale import scale_problem

CARS = 100


def of_units(problem: PlanProblem, **columns: Any) -> PlanProblem:
    return replace(problem, units=replace(problem.units, **columns))


def some(problem: PlanProblem, count: int) -> PlanProblem:
    columns = {f.name: getattr(problem.units, f.name)[:count] for f in fields(Units)}
    return replace(problem, units=Units(**columns))


def identical(problem: PlanProblem) -> PlanProblem:
    names = [f.name for f in fields(Units) if f.name != "site"]
    return of_units(problem, **{n: np.full(CARS, getattr(problem.units, n)[0]) for n in names})


def no_limits_left(problem: PlanProblem) -> PlanProblem:
    none = np.zeros_like(problem.import_limit_kw)
    return replace(problem, import_limit_kw=none, export_limit_kw=none)


def feeder_below_load(problem: PlanProblem) -> PlanProblem:
    one = np.ones(len(problem.feeders))
    return replace(
        problem, feeders=replace(problem.feeders, import_limit_kw=one, export_limit_kw=0.0 * one)
    )


def prices(problem: PlanProblem, buy: float, sell: float) -> PlanProblem:
    return replace(
        problem,
        import_eur_kwh=np.full_like(problem.import_eur_kwh, buy),
        export_eur_kwh=np.full_like(problem.export_eur_kwh, sell),
    )


def low(problem: PlanProblem) -> PlanProblem:
    """All arrive below their minimum; a third of the sites has no limit left to lift them."""
    capacity = problem.units.capacity_kwh
    dead = np.arange(problem.sites)[:, None] % 3 == 0
    return of_units(
        replace(problem, import_limit_kw=np.where(dead, 0.0, problem.import_limit_kw)),
        energy_start_kwh=0.05 * capacity, energy_min_kwh=0.3 * capacity,
    )  # fmt: skip


ODD: dict[str, Callable[[PlanProblem], PlanProblem]] = {
    "empty": lambda p: some(p, 0),
    "one car": lambda p: some(p, 1),
    "identical": identical,
    "limits 0": no_limits_left,
    "feeder below load": feeder_below_load,
    "prices equal": lambda p: prices(p, 0.2, 0.2),
    "prices nothing": lambda p: prices(p, 0.0, 0.0),
    "prices negative": lambda p: prices(p, -0.1, -0.15),
    "targets out of reach": lambda p: of_units(
        p, target_kwh=p.units.capacity_kwh, last=np.minimum(p.units.first + 2, p.steps)
    ),
    "one step": lambda p: of_units(p, last=np.minimum(p.units.first + 1, p.steps)),
    "never connected": lambda p: of_units(p, last=p.units.first),
    "ten days": lambda p: of_units(p, first=np.full(CARS, -400), last=np.full(CARS, 560)),
    "no power": lambda p: of_units(
        p, charge_max_kw=np.zeros(CARS), discharge_max_kw=np.zeros(CARS)
    ),
    "full": lambda p: of_units(
        p, energy_start_kwh=p.units.capacity_kwh, target_kwh=p.units.capacity_kwh
    ),
    "below the minimum": low,
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_fleets_get_a_verified_plan_and_a_true_bound(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = ODD[kind](scale_problem(CARS, 3))
    exact = plan(problem, PlanOptions(method="exact"))
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 1)
    found = plan(problem, PlanOptions(method="decomposed", gap=1e-3))
    verdict = verify(
        problem, found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw,
        found.reserve_kw, float(found.shortfall_kwh.sum()),
    )  # fmt: skip
    assert found.feasible == verdict.violations.within(1e-5)
    assert verdict.violations.power_kw <= 1e-5
    assert verdict.objective_eur == pytest.approx(found.objective_eur, abs=1e-6)
    assert found.feasible == exact.feasible
    slack = 1e-6 * max(1.0, abs(exact.objective_eur))
    assert found.bound_eur <= min(found.objective_eur, exact.objective_eur) + slack
    assert found.over_limit_kwh == pytest.approx(exact.over_limit_kwh, rel=1e-5, abs=1e-4)
    short = float(exact.shortfall_kwh.sum())
    assert float(found.shortfall_kwh.sum()) == pytest.approx(short, rel=1e-5, abs=2e-3)
    assert found.feasible or len(found.unmet) > 0
    if short <= 1e-6 and exact.feasible:
        assert exact.bound_eur <= found.objective_eur + slack


def test_no_time_at_all_is_still_a_verified_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 1)
    clock = iter(range(10_000))
    problem = low(scale_problem(CARS, 3))
    options = PlanOptions(
        method="decomposed", time_limit_s=1.0, elapsed_s=lambda: float(next(clock))
    )
    found = plan(problem, options)
    assert found.method == "greedy"
    assert found.bound_eur <= found.objective_eur
