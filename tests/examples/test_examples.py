"""Every example is read without a problem, stays small, names its sources, and runs."""

import csv
import importlib.util
import shutil
import sys
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pendel.control.plan import plan
from pendel.control.problem import problem_of
from pendel.control.verify import verify
from pendel.records import Mode
from pendel.scenario.columns import UNKNOWN_S, Scenario
from pendel.scenario.examples import example_folder, example_names
from pendel.scenario.read import read_scenario
from pendel.sim.engine import simulate
from pendel.units import LIMIT_TOLERANCE

NAMES = ("carshare", "depot", "home", "island", "street", "workplace")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDER_BYTES_MAX = 300_000


@pytest.fixture(scope="module")
def whole() -> dict[str, Scenario]:
    return {name: read_scenario(example_folder(name)) for name in NAMES}


def first_day(name: str, tmp_path: Path) -> Scenario:
    """The example cut to its first 24 hours, by its `steps` alone."""
    folder = tmp_path / name
    shutil.copytree(example_folder(name), folder)
    text = (folder / "scenario.toml").read_text("utf-8")
    lines = ["steps = 96" if line.startswith("steps") else line for line in text.splitlines()]
    (folder / "scenario.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return read_scenario(folder)


def module(name: str) -> ModuleType:
    """A module of the generator; they import each other by their bare names."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def test_the_six_are_found() -> None:
    assert tuple(example_names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_small_and_with_its_sources(name: str) -> None:
    files = [path for path in example_folder(name).iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < FOLDER_BYTES_MAX
    source = (example_folder(name) / "SOURCE.md").read_text("utf-8")
    assert "licence" in source and "## Conversion" in source
    assert f"[{name}]({name})" in (EXAMPLES / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_read_whole_and_sensible(name: str, whole: dict[str, Scenario]) -> None:
    scenario = whole[name]
    horizon, sessions = scenario.horizon, scenario.sessions
    assert horizon.step_s == 900
    assert horizon.steps >= 3 * 96
    local = horizon.start_utc.astimezone(ZoneInfo(horizon.timezone))
    assert (local.hour, local.minute) in ((0, 0), (12, 0))
    assert scenario.ignored_sessions == 0
    assert len(sessions) > 0
    assert (sessions.depart_s > sessions.arrive_s).all()
    assert (sessions.discharge_max_kw > 0).any()
    assert scenario.prices.import_eur_kwh.std() > 0.01
    # A wish that charging at once could not fulfil is a rarity, not the rule.
    hours = (sessions.depart_s - sessions.arrive_s) / 3600.0
    most = sessions.energy_arrive_kwh + hours * sessions.charge_max_kw * sessions.charge_efficiency
    assert (most < sessions.energy_target_kwh - 0.1).mean() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_stated_departures_are_wrong_as_people_are(name: str, whole: dict[str, Scenario]) -> None:
    sessions = whole[name].sessions
    stated = sessions.stated_depart_s != UNKNOWN_S
    wrong = np.abs(sessions.stated_depart_s - sessions.depart_s)[stated]
    assert stated.mean() > 0.5
    assert (wrong > 60).mean() > 0.8
    if name not in ("depot", "home"):  # a timetable is kept better; a home has four sessions
        assert 0.5 < np.median(wrong) / 3600.0 < 2.5
        early = sessions.depart_s < sessions.stated_depart_s - 900
        assert 0.15 < early[stated].mean() < 0.5
        assert not stated.all()


def test_each_example_shows_what_it_promises(whole: dict[str, Scenario]) -> None:
    assert len(whole["home"].storages) == 1
    assert whole["home"].horizon.steps == 5 * 96 - 4  # the night that loses an hour
    assert len(whole["street"].sites) == 12 and len(whole["street"].feeders) == 1
    assert len(set(whole["depot"].sessions.vehicle_id.tolist())) == 60
    assert (whole["depot"].sites.demand_charge_eur_kw > 0).all()
    assert whole["workplace"].co2_g_kwh is not None and len(whole["workplace"].sessions) == 777
    assert np.isfinite(whole["island"].portfolio_export_limit_kw)
    assert len(set(whole["island"].sessions.vehicle_id.tolist())) == 20
    cars = whole["carshare"].sessions.vehicle_id.tolist()
    assert len(set(cars)) == 24 and len(cars) > 4 * 24


def test_limits_bind_where_the_example_says_so(whole: dict[str, Scenario]) -> None:
    """Charging at once without limits would go above what the depot and the street may draw."""
    for name, limit_kw in (("depot", 350.0), ("street", 45.0)):
        scenario = whole[name]
        sessions, horizon = scenario.sessions, scenario.horizon
        demand = (scenario.series.load_kw - scenario.series.pv_kw).sum(axis=0)
        for i in range(len(sessions)):
            lacking = sessions.energy_target_kwh[i] - sessions.energy_arrive_kwh[i]
            full_kw = sessions.charge_max_kw[i]
            steps = lacking / (full_kw * sessions.charge_efficiency[i] * horizon.step_h)
            first = int(sessions.arrive_step[i])
            demand[first : first + int(steps)] += full_kw
        assert 1.1 * limit_kw < demand.max() < 2.0 * limit_kw


@pytest.mark.parametrize("name", NAMES)
def test_a_day_is_planned_within_limits(name: str, tmp_path: Path) -> None:
    problem = problem_of(first_day(name, tmp_path))
    result = plan(problem)
    assert result.feasible
    found = verify(
        problem, result.power_kw, result.energy_kwh, result.net_kw, result.curtailed_kw,
        result.reserve_kw, float(result.shortfall_kwh.sum()),
    )  # fmt: skip
    assert found.violations.within(LIMIT_TOLERANCE)
    assert result.bound_eur <= result.objective_eur + 1e-6


@pytest.mark.parametrize("name", ["street", "depot"])
def test_giving_energy_back_saves_money_in_the_demo(name: str, tmp_path: Path) -> None:
    scenario = first_day(name, tmp_path)
    cost = {mode: plan(problem_of(scenario, mode)).objective_eur for mode in (Mode.V1G, Mode.V2G)}
    assert cost[Mode.V2G] < cost[Mode.V1G] - 1.0


@pytest.mark.parametrize("name", ["home", "street"])
def test_a_day_is_simulated(name: str, tmp_path: Path) -> None:
    run = simulate(first_day(name, tmp_path), Mode.V1G)
    assert 0 < run.summary["promises_kept"] <= run.summary["promises_total"]
    assert (run.net_kw <= run.scenario.sites.import_limit_kw[:, None] + LIMIT_TOLERANCE).all()


def test_moving_keeps_the_weekday_and_the_hour() -> None:
    measured = module("measured")
    for day in range(0, 365, 13):
        wall = datetime(2025, 1, 1, day % 24) + timedelta(days=day)  # noqa: DTZ001
        hours = measured.home_hour(wall)
        there = measured.HOMES_BEGIN + timedelta(hours=hours)
        assert 0 <= hours < 8_760
        assert (there.weekday(), there.hour) == (wall.weekday(), wall.hour)
        office = datetime(2017, 1, 1) + timedelta(hours=measured.office_hour(wall))  # noqa: DTZ001
        assert office.hour == wall.hour


def test_draws_are_the_same_everywhere() -> None:
    draw = module("measured").Draw(7)
    assert [round(draw.unit(), 6) for _ in range(3)] == [0.323833, 0.150849, 0.650934]


def test_times_in_the_files_carry_an_offset() -> None:
    for name in NAMES:
        with (EXAMPLES / name / "sessions.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                for column in ("arrive_utc", "depart_utc", "stated_depart_utc"):
                    if row[column]:
                        assert datetime.fromisoformat(row[column]).tzinfo is not None


def test_the_home_gets_through_its_outage_and_keeps_the_reserve() -> None:
    outage = module("outage")
    told = tomllib.loads((EXAMPLES / "home" / "outage.toml").read_text("utf-8"))
    scenario = read_scenario(EXAMPLES / "home")
    result = outage.outage_of(scenario, told["begin"], told["end"], told["reserve_kwh"])
    hours = (told["end"] - told["begin"]).total_seconds() / 3600.0
    assert result.autonomy_h == pytest.approx(hours)
    car_kwh = [home.car.energy_kwh for home in result.homes]
    assert min(car_kwh) >= told["reserve_kwh"] - 1e-9
    assert min(step.car_kw for step in result.steps) < -0.1  # the car helped
    for step in result.steps:  # what is served comes from somewhere
        given = step.pv_used_kw - step.battery_kw - step.car_kw
        assert given == pytest.approx(step.served_kw)
