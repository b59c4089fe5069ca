"""What rounding put over the limits of sites is taken off their cars again."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pendel.control.greedy import greedy_schedule
from pendel.control.problem import PlanProblem
from pendel.control.schedule import Schedule, verify_schedule
from pendel.control.trim import trim

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from plan_fleet import fleet_problem


def a_hair_over(seed: int) -> tuple[PlanProblem, Schedule]:
    """A plan, and limits that it breaks by up to 5e-5 kW wherever cars charge."""
    problem, rng = fleet_problem(60, seed), np.random.default_rng(seed)
    made = greedy_schedule(problem)
    here = np.zeros_like(made.net_kw)
    np.add.at(here, problem.units.site, np.maximum(made.power_kw, 0.0))
    hair = np.where(here > 1e-3, rng.uniform(0.0, 5e-5, here.shape), -1.0)
    return replace(problem, import_limit_kw=np.maximum(made.net_kw - hair, 0.0)), made


@pytest.mark.parametrize("seed", range(4))
def test_a_hair_over_a_limit_is_taken_off_the_cars(seed: int) -> None:
    problem, made = a_hair_over(seed)
    before = verify_schedule(problem, made)
    assert before.over_limit_kwh > 1e-5
    trim(problem, made)
    after = verify_schedule(problem, made)
    assert after.over_limit_kwh <= 1e-10
    assert max(after.violations.energy_kwh, after.violations.power_kw) <= 1e-9
    taken = before.over_limit_kwh - after.over_limit_kwh
    missing = float(after.shortfall_kwh.sum() - before.shortfall_kwh.sum())
    assert 0.0 <= missing <= taken / float(problem.units.discharge_efficiency.min())


def test_exports_a_hair_over_are_taken_back() -> None:
    problem = fleet_problem(60, 1)
    units = problem.units
    made = greedy_schedule(problem)
    giving = np.flatnonzero(units.discharge_max_kw > 1.0)[:5]
    step = np.minimum(units.first[giving] + 3, units.last[giving] - 2)
    for unit, t in zip(giving.tolist(), step.tolist(), strict=True):
        # It gives 0.5 kW for a step, from a battery that is not full.
        moved = -0.5 - made.power_kw[unit, t]
        made.net_kw[units.site[unit], t] += moved
        made.power_kw[unit, t] = -0.5
    start = units.energy_start_kwh[:, None]
    power = made.power_kw
    gain = np.where(
        power > 0.0, power * units.charge_efficiency[:, None],
        power / units.discharge_efficiency[:, None],
    )  # fmt: skip
    stored = start + problem.step_h * np.cumsum(gain, axis=1)
    energy = np.where(np.isnan(made.energy_kwh), np.nan, stored)
    exports = np.full_like(problem.export_limit_kw, 1e3)
    sites = units.site[giving]
    exports[sites, step] = -made.net_kw[sites, step] - 3e-5
    problem = replace(
        problem,
        export_limit_kw=exports,
        units=replace(units, capacity_kwh=units.capacity_kwh + 1.0),
    )
    again = replace(made, power_kw=power, energy_kwh=energy)
    trim(problem, again)
    assert (-made.net_kw - exports).max() <= 1e-12
    verdict = verify_schedule(problem, again)
    assert verdict.violations.energy_kwh <= 1e-9
    assert (power[giving, step] > -0.5).all()


def test_who_is_lifted_to_its_minimum_and_what_is_truly_over_stay() -> None:
    problem, made = a_hair_over(2)
    units = problem.units
    problem = replace(problem, units=replace(units, energy_min_kwh=units.energy_start_kwh + 0.1))
    power = made.power_kw.copy()
    trim(problem, made)
    assert np.array_equal(power, made.power_kw)
    problem, made = a_hair_over(2)
    problem = replace(problem, import_limit_kw=problem.import_limit_kw - 1.5)
    power = made.power_kw.copy()
    trim(problem, made)
    assert np.array_equal(power, made.power_kw)


def missing_a_little(seed: int) -> tuple[PlanProblem, Schedule, np.ndarray]:
    """A plan that keeps all targets, and the same with 0.01 kWh less in cars that could have it."""
    problem = fleet_problem(60, seed)
    made = greedy_schedule(problem)
    units = problem.units
    end = made.energy_kwh[np.arange(60), units.last - 1]
    short = np.flatnonzero((end > units.energy_start_kwh + 0.1) & (units.target_kwh >= end - 1e-9))
    for unit in short.tolist():
        t = int(np.flatnonzero(made.power_kw[unit] > 0.05)[0])
        less = 0.01 / (problem.step_h * units.charge_efficiency[unit])
        made.power_kw[unit, t] -= less
        made.net_kw[units.site[unit], t] -= less
        made.energy_kwh[unit, t : units.last[unit]] -= 0.01
    return problem, made, short


@pytest.mark.parametrize("seed", range(3))
def test_targets_missed_by_a_margin_are_filled(seed: int) -> None:
    problem, made, short = missing_a_little(seed)
    assert len(short) > 10
    before = verify_schedule(problem, made)
    assert float(before.shortfall_kwh.sum()) == pytest.approx(0.01 * len(short), abs=1e-6)
    trim(problem, made)
    after = verify_schedule(problem, made)
    assert float(after.shortfall_kwh.sum()) <= 1e-9
    assert after.over_limit_kwh <= 1e-9
    assert max(after.violations.energy_kwh, after.violations.power_kw) <= 1e-9


def test_filling_takes_no_more_than_a_feeder_and_the_portfolio_leave() -> None:
    problem, made, short = missing_a_little(1)
    flow = made.net_kw.sum(axis=0)
    room = 0.4 * 0.01 * len(short) / (problem.step_h * problem.steps)
    narrow = replace(problem, portfolio_import_limit_kw=flow + room)
    trim(narrow, made)
    assert (made.net_kw.sum(axis=0) <= narrow.portfolio_import_limit_kw + 1e-9).all()
    after = verify_schedule(narrow, made)
    assert 0.0 < float(after.shortfall_kwh.sum()) < 0.01 * len(short)
    assert after.over_limit_kwh <= 1e-9


def test_a_full_battery_that_gave_too_much_charges_less_later() -> None:
    """It gives 1 kW with 0.2 kW of that over the limit, then is charged until it is full."""
    problem = fleet_problem(1, 0)
    units = problem.units
    site, h = int(units.site[0]), problem.step_h
    units = replace(
        units,
        first=np.array([0]), last=np.array([4]), energy_start_kwh=np.array([9.0]),
        capacity_kwh=np.array([10.0]), energy_min_kwh=np.zeros(1), target_kwh=np.array([10.0]),
        charge_max_kw=np.array([11.0]), discharge_max_kw=np.array([11.0]),
    )  # fmt: skip
    power = np.zeros((1, problem.steps))
    power[0, 0] = -1.0
    after = 9.0 - h / units.discharge_efficiency[0]
    power[0, 2] = (10.0 - after) / (h * units.charge_efficiency[0])
    energy = np.full((1, problem.steps), np.nan)
    energy[0, :4] = after, after, 10.0, 10.0
    net = np.zeros_like(problem.load_kw)
    net[site] = power[0]
    problem = replace(
        problem, units=units, load_kw=0.0 * net, pv_kw=0.0 * net,
        export_limit_kw=np.full_like(net, 0.8), import_limit_kw=np.full_like(net, 50.0),
    )  # fmt: skip
    made = Schedule(power, energy, net, np.zeros_like(net), np.zeros(0))
    trim(problem, made)
    verdict = verify_schedule(problem, made)
    assert verdict.violations.site_kw <= 1e-12
    assert power[0, 0] == pytest.approx(-0.8)
    assert verdict.violations.energy_kwh <= 1e-9
    assert float(verdict.shortfall_kwh.sum()) <= 1e-9
