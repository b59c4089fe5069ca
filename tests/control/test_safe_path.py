"""The safe path and what it says of itself, also for fleets that are too large for more."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from greedy_twin import greedy_powers
from random_problems import random_problem

from pendel.control import fleet, schedule, unmet
from pendel.control import plan as plan_module
from pendel.control.greedy import greedy_schedule
from pendel.control.plan import PlanOptions, plan, safe_plan
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.schedule import schedule_of
from pendel.scenario.columns import Reserves


def some(seed: int, **more: object) -> PlanProblem:
    rng = np.random.default_rng([seed, 9])
    shape: dict[str, object] = {
        "sites": int(rng.integers(1, 5)), "cars": int(rng.integers(1, 14)), "storages": 1,
        "extras": True, "tight": bool(seed % 2), "odd": 0.2,
    }  # fmt: skip
    return random_problem(seed, **shape | more)


@pytest.mark.parametrize("seed", range(12))
def test_greedy_is_its_twin(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "BLOCK_UNITS", 3)
    problem = some(seed)
    reach = reach_of(problem)
    power = greedy_powers(problem, reach)
    found = greedy_schedule(problem)
    other = schedule_of(
        problem, reach, power[reach.unit, reach.step], found.curtailed_kw, np.zeros(0), False
    )
    np.testing.assert_allclose(found.power_kw, other.power_kw, atol=1e-9)
    np.testing.assert_allclose(found.energy_kwh, other.energy_kwh, atol=1e-9)
    np.testing.assert_allclose(found.net_kw, other.net_kw, atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_large_says_what_small_says(seed: int) -> None:
    """Without the bounds of all units at hand: the same plan, the same wishes, the same words."""
    problem = some(seed)
    small = safe_plan(problem, reach_of(problem), -np.inf)
    large = safe_plan(problem, None, -np.inf)
    assert large.objective_eur == pytest.approx(small.objective_eur, abs=1e-9)
    assert large.bound_eur == pytest.approx(small.bound_eur, abs=1e-9)
    assert large.unmet == small.unmet
    assert large.unmet_more == small.unmet_more == 0


def test_of_many_wishes_the_first_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmet, "LISTED_UNITS_MAX", 2)
    problem = some(5, cars=14)
    units = problem.units
    problem = replace(
        problem, units=replace(units, target_kwh=units.capacity_kwh, last=units.first + 1)
    )
    whole = safe_plan(problem, reach_of(problem), -np.inf)
    found = safe_plan(problem, None, -np.inf)
    lacking = [wish for wish in whole.unmet if wish.unit >= 0]
    assert len(lacking) > 2
    assert [wish for wish in found.unmet if wish.unit >= 0] == lacking[:2]
    assert found.unmet_more == len(lacking) - 2


@pytest.mark.parametrize("asked", [0, 3, 30, 90])
def test_fleet_whose_time_is_up(asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the time ends (after so many looks at the clock): a plan and a true bound."""
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 0)
    monkeypatch.setattr(plan_module, "SAFE_PAIRS", 0)
    problem = some(1, odd=0.0, tight=False, sites=4, cars=12)
    best = plan(problem, PlanOptions(method="exact"))
    clock = itertools.count()
    options = PlanOptions(
        gap=1e-9, method="decomposed", time_limit_s=asked, elapsed_s=lambda: float(next(clock))
    )
    found = plan(problem, options)
    slack = 1e-6 * max(1.0, abs(best.objective_eur))
    assert found.bound_eur <= best.objective_eur + slack
    assert found.gap >= -1e-9
    if found.feasible and found.shortfall_kwh.sum() <= best.shortfall_kwh.sum() + 1e-6:
        assert found.objective_eur >= best.objective_eur - slack


def test_fleet_with_reserves_sells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large fleets leave reserves alone; the bound says what they could be worth at most."""
    problem = some(1, odd=0.0, tight=False, sites=4, cars=12)
    blocks = Reserves(
        product=np.array(["FCR"]), from_step=np.array([2]), until_step=np.array([6]),
        direction=np.array([0]), price_eur_mw_h=np.array([50.0]), hold_h=np.array([0.25]),
        max_kw=np.array([np.inf]),
    )  # fmt: skip
    offered = replace(problem, reserves=blocks)
    best = plan(offered)
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 0)
    found = plan(offered, PlanOptions(gap=1e-4, method="decomposed"))
    assert found.method == "decomposed"
    assert found.reserve_kw.tolist() == [0.0]
    assert found.feasible
    assert found.bound_eur <= best.objective_eur + 1e-6
    assert found.objective_eur >= best.objective_eur - 1e-6


def test_many_sites_and_few_cars_are_a_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be too wide for one interior point is planned site by site."""
    problem = some(1, odd=0.0, tight=False, sites=4, cars=12)
    best = plan(problem)
    monkeypatch.setattr(plan_module, "WHOLE_CELLS_MAX", problem.sites * problem.steps - 1)
    found = plan(problem, PlanOptions(gap=1e-4))
    assert found.method == "decomposed"
    slack = 1e-3 * max(1.0, abs(best.objective_eur))
    assert found.objective_eur == pytest.approx(best.objective_eur, abs=slack)
