"""Large fleets in small: bound <= HiGHS <= plan, verified, whatever the instance."""

from dataclasses import replace

import numpy as np
import pytest
from random_problems import random_problem

import pendel.control.fleet as fleet
from pendel.control.blend import Flows, best_shares, limits_of
from pendel.control.linear_model import build_model
from pendel.control.linear_solve import Engine
from pendel.control.plan import PlanOptions, plan
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.schedule import Schedule, verify_schedule
from pendel.control.verify import verify


def small_fleet(seed: int, sites: int = 10, cars: int = 60) -> PlanProblem:
    problem = random_problem(seed, sites=sites, cars=cars, storages=3, extras=True, steps=24)
    return replace(problem, demand_charge_eur_kw=np.full(sites, 0.3))


def optimum(problem: PlanProblem) -> float | None:
    engine = Engine(build_model(problem, reach_of(problem)), lambda: float("inf"))
    return engine.objective() if engine.run() == "optimal" else None


@pytest.mark.parametrize("seed", range(6))
def test_bound_is_below_and_plan_above_the_optimum(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = small_fleet(seed)
    best = optimum(problem)
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 1)
    found = plan(problem, PlanOptions(gap=1e-3, method="decomposed"))
    verdict = verify(
        problem, found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw,
        found.reserve_kw, float(found.shortfall_kwh.sum()),
    )  # fmt: skip
    assert verdict.objective_eur == pytest.approx(found.objective_eur, abs=1e-9)
    if best is None:
        assert found.method != "decomposed"
        return
    slack = 1e-6 * max(1.0, abs(best))
    assert verdict.violations.within(1e-5)
    assert found.bound_eur <= best + slack
    assert best <= found.objective_eur + slack
    assert found.gap <= 1e-2


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_any_pass_gives_a_proven_bound_and_a_schedule(seed: int, blocks: bool) -> None:
    """Stopped after one pass, bound and plan still stand on both sides of the optimum."""
    problem = small_fleet(seed)
    best = optimum(problem)
    left = iter([1.0] * 4000)
    found = fleet.solve_fleet(problem, 1e-12, lambda: next(left, 0.0), blocks=blocks)
    if isinstance(found, list) or best is None:
        return
    schedule = Schedule(
        found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw, np.zeros(0)
    )
    verdict = verify_schedule(problem, schedule)
    slack = 1e-6 * max(1.0, abs(best))
    assert found.bound_eur <= best + slack
    if verdict.violations.within(1e-5):
        assert verdict.objective_eur >= best - slack


def test_no_time_gives_no_result_and_the_plan_is_still_safe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 1)
    problem = small_fleet(1)
    assert fleet.solve_fleet(problem, 1e-3, lambda: 0.0) == []
    found = plan(problem, PlanOptions(method="decomposed", time_limit_s=0.0))
    assert found.bound_eur <= found.objective_eur


@pytest.mark.parametrize("seed", range(4))
def test_a_site_that_cannot_keep_its_targets_is_planned_apart(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fuse is too small for its cars: the least shortfall is named, the rest stays proven."""
    problem = small_fleet(seed + 20)
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 1)
    loose = np.full(problem.steps, np.inf)
    imports = problem.import_limit_kw + 500.0
    imports[4] = problem.load_kw[4] + 0.5
    problem = replace(
        problem,
        import_limit_kw=imports,
        feeder=np.full(problem.sites, -1),
        portfolio_import_limit_kw=loose,
        portfolio_export_limit_kw=loose,
    )
    exact = plan(problem, PlanOptions(method="exact"))
    found = plan(problem, PlanOptions(gap=1e-3, method="decomposed"))
    assert found.feasible and found.method == "decomposed"
    assert found.gap <= 0.5
    assert float(found.shortfall_kwh.sum()) <= float(exact.shortfall_kwh.sum()) + 1e-3
    assert found.bound_eur <= exact.objective_eur + 1e-6 * abs(exact.objective_eur)
    named = {wish.unit for wish in found.unmet}
    assert set(np.flatnonzero(found.shortfall_kwh > 1e-5).tolist()) <= named
    assert len(exact.unmet) > 0


def test_shares_mix_two_plans_to_meet_a_position() -> None:
    """One section takes 2 kW too much, the fresh one 2 too little: half of each fits."""
    problem = replace(small_fleet(0, sites=2, cars=4), feeder=np.full(2, -1))
    steps = problem.steps
    assert problem.market is not None
    market = replace(
        problem.market,
        position_kw=np.zeros(steps),
        short_eur_kwh=np.full(steps, 0.2),
        long_eur_kwh=np.full(steps, 0.2),
    )
    free = np.full(steps, np.inf)
    problem = replace(
        problem, market=market, portfolio_import_limit_kw=free, portfolio_export_limit_kw=free
    )
    node, section = np.array([len(problem.feeders)]), np.array([0])
    kept = Flows(node, section, np.full((1, steps), 2.0), np.zeros(1))
    fresh = Flows(node, section, np.full((1, steps), -2.0), np.zeros(1))
    shares = best_shares(problem, limits_of(problem, 0.0), kept, fresh, 1)
    assert shares == pytest.approx([0.5], abs=1e-9)
