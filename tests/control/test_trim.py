"""What rounding put over the limits of sites is taken off their cars again."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pendel.control.giving import trim
from pendel.control.greedy import greedy_schedule
from pendel.control.problem import PlanProblem
from pendel.control.schedule import Schedule, verify_schedule

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
    trim(problem, made.power_kw, made.energy_kwh, made.net_kw, made.curtailed_kw)
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
    trim(problem, power, energy, made.net_kw, made.curtailed_kw)
    assert (-made.net_kw - exports).max() <= 1e-12
    again = replace(made, power_kw=power, energy_kwh=energy)
    verdict = verify_schedule(problem, again)
    assert verdict.violations.energy_kwh <= 1e-9
    assert (power[giving, step] > -0.5).all()


def test_who_is_lifted_to_its_minimum_and_what_is_truly_over_stay() -> None:
    problem, made = a_hair_over(2)
    units = problem.units
    problem = replace(problem, units=replace(units, energy_min_kwh=units.energy_start_kwh + 0.1))
    power = made.power_kw.copy()
    trim(problem, made.power_kw, made.energy_kwh, made.net_kw, made.curtailed_kw)
    assert np.array_equal(power, made.power_kw)
    problem, made = a_hair_over(2)
    problem = replace(problem, import_limit_kw=problem.import_limit_kw - 1.5)
    power = made.power_kw.copy()
    trim(problem, made.power_kw, made.energy_kwh, made.net_kw, made.curtailed_kw)
    assert np.array_equal(power, made.power_kw)
