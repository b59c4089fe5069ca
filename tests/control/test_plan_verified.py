"""Whatever is asked: always a plan, verified, within limits, or said to be over them."""

from dataclasses import replace

import numpy as np
import pytest
from random_problems import random_problem

from pendel.control.plan import PlanOptions, plan
from pendel.control.plan_result import Plan
from pendel.control.problem import PlanProblem
from pendel.control.verify import Verdict, verify

PROOF_BLOCKS = 100
PROOF_PER_BLOCK = 100


def shape_of(seed: int) -> dict[str, object]:
    rng = np.random.default_rng([seed, 1])
    kind = {name: bool(rng.random() < 0.4) for name in ("negative", "tight", "extras")}
    return kind | {
        "sites": int(rng.integers(1, 4)),
        "cars": int(rng.integers(0, 8)),
        "storages": int(rng.integers(0, 3)),
        "steps": int(rng.integers(1, 20)),
        "odd": float(rng.random()),
        "dearer": bool(rng.random() < 0.15),
        "reserves": bool(rng.random() < 0.2),
    }


def verdict_of(problem: PlanProblem, found: Plan) -> Verdict:
    return verify(
        problem, found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw,
        found.reserve_kw, float(found.shortfall_kwh.sum()),
    )  # fmt: skip


def check(seed: int) -> None:
    problem = random_problem(seed, **shape_of(seed))
    found = plan(problem)
    verdict = verdict_of(problem, found)
    off = verdict.violations
    assert max(off.power_kw, off.target_kwh) <= 1e-5
    assert off.within(1e-5) == found.feasible
    assert found.bound_eur <= found.objective_eur + 1e-9
    assert found.objective_eur == pytest.approx(verdict.objective_eur, abs=1e-9)
    if not found.feasible or found.shortfall_kwh.sum() > 1e-5:
        assert found.unmet
        assert all(wish.reason and wish.lacking_kwh > 0.0 for wish in found.unmet)
    if not found.feasible:
        assert found.over_limit_kwh > 0.0 or off.energy_kwh > 1e-5


@pytest.mark.parametrize("seed", range(60))
def test_always_a_verified_plan(seed: int) -> None:
    check(seed)


@pytest.mark.proof
@pytest.mark.parametrize("block", range(PROOF_BLOCKS))
def test_always_a_verified_plan_10000(block: int) -> None:
    for seed in range(1000 + block * PROOF_PER_BLOCK, 1000 + (block + 1) * PROOF_PER_BLOCK):
        check(seed)


def test_verifier_sees_each_kind_of_violation() -> None:
    problem = random_problem(3, sites=2, cars=4, extras=True, odd=0.0)
    found = plan(problem)
    assert verdict_of(problem, found).violations.within(1e-5)
    here = np.argwhere(np.isfinite(found.energy_kwh))
    unit, step = (int(x) for x in here[len(here) // 2])
    power = found.power_kw.copy()
    power[unit, step] += 0.5
    off = verdict_of(problem, replace(found, power_kw=power)).violations
    assert off.energy_kwh > 0.1
    assert off.site_kw == pytest.approx(0.5, abs=1e-6)
    power[unit, step] = 1000.0
    off = verdict_of(problem, replace(found, power_kw=power)).violations
    assert min(off.power_kw, off.site_kw, off.portfolio_kw) > 500.0
    idle = replace(found, power_kw=0.0 * power, energy_kwh=np.full(power.shape, np.nan))
    off = verify(
        problem, idle.power_kw, idle.energy_kwh, idle.net_kw, idle.curtailed_kw,
        idle.reserve_kw, 0.0,
    ).violations  # fmt: skip
    assert off.target_kwh > 1.0
    curtailed = found.curtailed_kw - 1.0
    assert verdict_of(problem, replace(found, curtailed_kw=curtailed)).violations.site_kw >= 1.0
    not_finite = replace(found, power_kw=np.full(power.shape, np.nan))
    assert not verdict_of(problem, not_finite).violations.within(1e-5)


def test_no_time_left_still_gives_a_plan_inside_the_limits() -> None:
    problem = random_problem(5, sites=2, cars=6, odd=0.0)
    ticking = iter(range(1000))
    found = plan(problem, PlanOptions(time_limit_s=1e-9, elapsed_s=lambda: float(next(ticking))))
    assert found.method == "greedy"
    assert found.feasible
    assert verdict_of(problem, found).violations.within(1e-5)
    best = plan(problem)
    assert found.bound_eur <= best.objective_eur <= found.objective_eur + 1e-9
    ticking = iter(range(1000))
    warm = plan(
        problem,
        PlanOptions(
            time_limit_s=1e-9, elapsed_s=lambda: float(next(ticking)), warm_kw=best.power_kw
        ),
    )
    assert warm.objective_eur <= found.objective_eur


def test_reasons_name_what_is_in_the_way() -> None:
    problem = random_problem(1, sites=1, cars=2, storages=0, odd=0.0)
    units = replace(
        problem.units,
        first=np.array([0, 2]),
        last=np.array([2, 10]),
        capacity_kwh=np.array([60.0, 60.0]),
        energy_start_kwh=np.array([10.0, 10.0]),
        target_kwh=np.array([40.0, 30.0]),
        energy_min_kwh=np.zeros(2),
        charge_max_kw=np.array([11.0, 11.0]),
        discharge_max_kw=np.zeros(2),
        terminal_eur_kwh=np.zeros(2),
    )
    limit = np.full_like(problem.import_limit_kw, 6.0)
    found = plan(replace(problem, units=units, import_limit_kw=limit, pv_kw=0.0 * problem.pv_kw))
    reasons = {wish.unit: wish.reason for wish in found.unmet}
    assert "too short to reach 40 kWh at 11 kW" in reasons[0]
    assert "site limit 6 kW" in reasons[1]


def test_refuses_an_unknown_method() -> None:
    with pytest.raises(ValueError, match="method"):
        plan(random_problem(0), PlanOptions(method="guess"))
