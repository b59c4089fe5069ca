"""What is not a number is refused with its place, whatever the way to plan; nothing hangs."""

from dataclasses import replace

import numpy as np
import pytest
from random_problems import random_problem

import pendel.control.fleet as fleet
from pendel.control.plan import PlanOptions, plan
from pendel.control.problem import PlanProblem, no_numbers
from pendel.control.sections import Sections

PLACES = (
    "import_eur_kwh", "export_eur_kwh", "load_kw", "pv_kw", "import_limit_kw", "export_limit_kw",
    "demand_charge_eur_kw", "portfolio_import_limit_kw",
)  # fmt: skip
OF_UNITS = ("capacity_kwh", "energy_start_kwh", "target_kwh", "charge_max_kw", "wear_eur_kwh")


def small() -> PlanProblem:
    return random_problem(3, sites=4, cars=10, storages=1, extras=True, steps=16)


def with_nan(problem: PlanProblem, name: str, at: int = -1, value: float = np.nan) -> PlanProblem:
    owner = problem.units if name in OF_UNITS else problem
    column = getattr(owner, name).astype(np.float64).copy()
    column.ravel()[at] = value
    if name in OF_UNITS:
        return replace(problem, units=replace(problem.units, **{name: column}))
    return replace(problem, **{name: column})


@pytest.mark.parametrize("way", ["exact", "auto", "decomposed", "prices"])
@pytest.mark.parametrize("name", PLACES + OF_UNITS)
def test_what_is_not_a_number_is_refused_with_its_place(
    name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "prices":
        monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
        monkeypatch.setattr(fleet, "FLEET_SITES", 0)
    method = "decomposed" if way == "prices" else way
    problem = with_nan(small(), name)
    shape = getattr(problem.units if name in OF_UNITS else problem, name).shape
    place = ", ".join(str(length - 1) for length in shape)
    with pytest.raises(ValueError, match="not a number") as refused:
        plan(problem, PlanOptions(method=method))
    assert f"{name}[{place}]" in str(refused.value)


def test_everything_that_is_wrong_is_listed() -> None:
    problem = with_nan(with_nan(small(), "load_kw", 0), "wear_eur_kwh", 2)
    problem = with_nan(problem, "import_eur_kwh", 1, np.inf)
    found = no_numbers(problem)
    assert len(found) == 3
    assert any(line.startswith("wear_eur_kwh[2]") for line in found)
    assert no_numbers(small()) == []


def test_limits_may_be_infinite_and_floors_may_be_missing() -> None:
    problem = small()
    floor = np.full((len(problem.units), problem.steps), np.nan)
    loose = np.full_like(problem.import_limit_kw, np.inf)
    assert no_numbers(replace(problem, import_limit_kw=loose, floor_kwh=floor)) == []


def test_sections_of_a_long_horizon_hold_few_sites() -> None:
    """A section is not left before it is done: that may take seconds, not minutes."""
    problem = random_problem(1, sites=600, cars=600, storages=0, steps=16)
    series = ("load_kw", "pv_kw", "import_limit_kw", "export_limit_kw")
    columns = {name: np.tile(getattr(problem, name), (1, 60)) for name in series}
    long = replace(problem, steps=960, **columns)
    usual, few = (int(np.diff(Sections(one).cuts).max()) for one in (problem, long))
    assert usual > 10
    assert few <= 4
