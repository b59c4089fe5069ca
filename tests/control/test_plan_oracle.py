"""`plan` against an independent oracle on random homes and fleets, rank by rank."""

from dataclasses import replace

import numpy as np
import pytest
from oracle_plan import Oracle
from random_problems import random_problem

from pendel.control.plan import PlanOptions, plan
from pendel.control.problem import PlanProblem
from pendel.control.verify import verify

KINDS: dict[str, dict[str, object]] = {
    "home": {},
    "negative": {"negative": True},
    "dearer": {"dearer": True, "steps": 16},
    "tight": {"tight": True},
    "fleet": {"sites": 3, "cars": 8, "storages": 2, "extras": True},
    "reserves": {"sites": 2, "cars": 5, "reserves": True, "steps": 16},
    "worst": {"sites": 2, "cars": 4, "tight": True, "extras": True, "negative": True},
}
CASES = [(kind, seed) for kind in KINDS for seed in range(8)]


def live(problem: PlanProblem, seed: int) -> PlanProblem:
    """The same with what live replans add: floors, weights, V2H, a peak so far."""
    rng = np.random.default_rng(seed + 7)
    units, steps = problem.units, problem.steps
    floor = np.full((len(units), steps), np.nan)
    rows = rng.random((len(units), steps)) < 0.1
    floor[rows] = (units.capacity_kwh[:, None] * rng.uniform(0.0, 0.8, floor.shape))[rows]
    presence = np.clip(1.0 - 0.5 * np.arange(steps) / steps, 0.0, 1.0)
    return replace(
        problem,
        floor_kwh=floor,
        presence=np.where(units.is_session[:, None], presence, 1.0),
        home_only=rng.random(problem.sites) < 0.5,
        peak_so_far_kw=rng.uniform(0.0, 5.0, problem.sites),
    )


def judge(problem: PlanProblem, method: str = "auto") -> None:
    best = Oracle(problem).solve()
    found = plan(problem, PlanOptions(method=method))
    stated = float(found.shortfall_kwh.sum())
    verdict = verify(
        problem, found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw,
        found.reserve_kw, stated,
    )  # fmt: skip
    scale = max(1.0, abs(best["cost"]))
    kept = best["over"] + best["below"] + best["short"] <= 1e-6
    never = float(never_reachable(problem).sum())
    assert found.over_limit_kwh == pytest.approx(best["over"], abs=1e-4)
    assert found.feasible == (best["over"] <= 1e-5 and best["below"] <= 1e-5)
    if problem.floor_kwh is None and best["below"] <= 1e-6:
        assert stated == pytest.approx(never + best["short"], abs=1e-4)
    if found.feasible:
        assert verdict.violations.within(1e-5)
    assert found.objective_eur == pytest.approx(verdict.objective_eur, abs=1e-9)
    assert found.gap <= 1e-5 or not kept
    assert found.bound_eur <= best["cost"] + 1e-6 * scale + (0.0 if kept else 1e-3)
    tolerance = (1e-6 if kept else 1e-3) * scale
    assert found.objective_eur == pytest.approx(best["cost"], abs=tolerance)


def never_reachable(problem: PlanProblem) -> np.ndarray:
    units = problem.units
    hours = (units.last - units.first) * problem.step_h
    reach = np.minimum(
        units.capacity_kwh,
        units.energy_start_kwh + hours * units.charge_efficiency * units.charge_max_kw,
    )
    minimum = np.where(hours > 0.0, units.energy_min_kwh, 0.0)
    return np.maximum(np.maximum(units.target_kwh, minimum) - reach, 0.0)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_plan_equals_oracle(kind: str, seed: int) -> None:
    judge(random_problem(seed, **KINDS[kind]))


@pytest.mark.parametrize("seed", range(8))
def test_structured_method_equals_oracle(seed: int) -> None:
    judge(random_problem(seed, sites=2, cars=6, extras=seed % 2 == 0), method="decomposed")


@pytest.mark.parametrize("seed", range(10))
def test_live_replans_equal_oracle(seed: int) -> None:
    judge(live(random_problem(seed, sites=2, cars=4), seed))


@pytest.mark.proof
@pytest.mark.parametrize("block", range(20))
def test_plan_equals_oracle_often(block: int) -> None:
    for seed in range(100 + 20 * block, 120 + 20 * block):
        for kind in KINDS:
            judge(random_problem(seed, **KINDS[kind]))
        judge(live(random_problem(seed, sites=2, cars=4), seed))
