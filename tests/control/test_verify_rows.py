"""The verifier on rows of connected steps: what it says of tables, and what a plain walk says."""

import numpy as np
import pytest
from random_problems import random_problem

from pendel.control.plan import plan
from pendel.control.plan_result import Plan
from pendel.control.problem import PlanProblem
from pendel.control.verify import Verdict, verify, verify_rows
from pendel.scenario.unit_rows import UnitRows, Windows
from pendel.units import FloatArray


def case(seed: int) -> tuple[PlanProblem, Plan]:
    rng = np.random.default_rng([seed, 5])
    problem = random_problem(
        seed, sites=int(rng.integers(1, 4)), cars=int(rng.integers(1, 8)), storages=1,
        extras=True, odd=0.3, reserves=bool(seed % 3 == 0),
    )  # fmt: skip
    return problem, plan(problem)


def rows_of(problem: PlanProblem, power: FloatArray, energy: FloatArray) -> UnitRows:
    """The connected steps of tables, one after the other."""
    units = problem.units
    first = np.clip(units.first, 0, problem.steps).astype(np.int64)
    last = np.maximum(np.clip(units.last, 0, problem.steps), first)
    offset = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
    parts = [slice(a, b) for a, b in zip(first, last, strict=True)]
    return UnitRows(
        Windows(first, offset),
        np.concatenate([power[i, part] for i, part in enumerate(parts)]),
        np.concatenate([energy[i, part] for i, part in enumerate(parts)]),
    )


def shaken(power: FloatArray, problem: PlanProblem, seed: int) -> FloatArray:
    """Some connected powers changed: a plan that breaks things."""
    rng = np.random.default_rng([seed, 6])
    steps = np.arange(problem.steps)
    here = (problem.units.first[:, None] <= steps) & (steps < problem.units.last[:, None])
    hit = here & (rng.random(power.shape) < 0.1)
    return np.where(hit, power + rng.normal(0.0, 9.0, power.shape), power)


def both(problem: PlanProblem, found: Plan, power: FloatArray) -> tuple[Verdict, Verdict]:
    rest = (found.net_kw, found.curtailed_kw, found.reserve_kw, 0.0)
    rows = rows_of(problem, power, found.energy_kwh)
    return verify(problem, power, found.energy_kwh, *rest), verify_rows(problem, rows, *rest)


@pytest.mark.parametrize("seed", range(24))
def test_rows_and_tables_agree(seed: int) -> None:
    problem, found = case(seed)
    for power in (found.power_kw, shaken(found.power_kw, problem, seed)):
        table, rows = both(problem, found, power)
        assert rows.violations == table.violations
        assert rows.objective_eur == pytest.approx(table.objective_eur, abs=1e-9)
        assert rows.over_limit_kwh == pytest.approx(table.over_limit_kwh, abs=1e-9)
        np.testing.assert_array_equal(rows.shortfall_kwh, table.shortfall_kwh)


@pytest.mark.parametrize("seed", range(24))
def test_rows_against_a_plain_walk(seed: int) -> None:
    """Energy, power and net of sites once more, step by step, of a plan that breaks things."""
    problem, found = case(seed)
    if problem.reserves is not None:
        return  # headroom counts as power there: test_plan_verified
    power = shaken(found.power_kw, problem, seed)
    units, h = problem.units, problem.step_h
    energy_off = power_off = 0.0
    net = problem.load_kw - problem.pv_kw + found.curtailed_kw
    for unit in range(len(units)):
        now = float(units.energy_start_kwh[unit])
        at_once, top = now, max(float(units.capacity_kwh[unit]), now)
        least = float(units.energy_min_kwh[unit])
        met = now >= least
        for t in range(problem.steps):
            if not units.first[unit] <= t < units.last[unit]:
                continue
            p = float(power[unit, t])
            power_off = max(
                power_off, p - units.charge_max_kw[unit], -p - units.discharge_max_kw[unit]
            )
            eta_c, eta_d = units.charge_efficiency[unit], units.discharge_efficiency[unit]
            now += h * (p * eta_c if p > 0 else p / eta_d)
            at_once = min(at_once + h * eta_c * units.charge_max_kw[unit], top)
            floor = least if met else min(least, at_once)
            energy_off = max(
                energy_off, now - top, floor - now, abs(now - found.energy_kwh[unit, t])
            )
            net[units.site[unit], t] += p
    _, verdict = both(problem, found, power)
    assert verdict.violations.energy_kwh == pytest.approx(energy_off, abs=1e-9)
    assert verdict.violations.power_kw == pytest.approx(power_off, abs=1e-9)
    over = np.maximum(net - problem.import_limit_kw, -net - problem.export_limit_kw)
    worst = max(over.max(), 0.0, np.abs(net - found.net_kw).max())
    assert verdict.violations.site_kw == pytest.approx(worst, abs=1e-6)


def test_power_outside_the_windows_counts() -> None:
    problem, found = case(1)
    rows = rows_of(problem, found.power_kw, found.energy_kwh)
    outside = UnitRows(rows.windows, rows.power_kw, rows.energy_kwh, outside_kw=3.0)
    rest = (found.net_kw, found.curtailed_kw, found.reserve_kw, 0.0)
    assert verify_rows(problem, outside, *rest).violations.power_kw == 3.0
    assert verify_rows(problem, rows, *rest).violations.power_kw <= 1e-9
