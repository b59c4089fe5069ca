"""Generated fleets against the tables they are made from, and against the contract."""

from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from pendel.control.plan import plan
from pendel.control.problem import problem_of
from pendel.scenario.columns import UNKNOWN_S, Scenario
from pendel.scenario.read import read_scenario
from pendel.scenario.write import write_scenario
from pendel.sim.generator import tables
from pendel.sim.generator.build import cars_per_kind, generate
from pendel.sim.generator.measured import measured_stays
from pendel.sim.generator.mobility import (
    Stands,
    expected_driving_share,
    expected_kwh_per_day,
    home_stays,
)
from pendel.sim.generator.settings import KINDS, FleetSettings, problems_of

MANY = 20_000
WEDNESDAY, SATURDAY = date(2025, 6, 18), date(2025, 6, 21)


def day_of(kind: str, day: date = WEDNESDAY, **more: object) -> Scenario:
    return generate(
        FleetSettings(vehicles=MANY, first_day=day, start_hour=0, mix={kind: 1.0}, **more)
    )


def connected(scenario: Scenario) -> np.ndarray:
    """Share of the cars plugged in, per step."""
    sessions, steps = scenario.sessions, scenario.horizon.steps
    change = np.bincount(sessions.arrive_step, minlength=steps + 1)
    change -= np.bincount(sessions.depart_step, minlength=steps + 1)
    return np.cumsum(change)[:steps] / MANY


def arrivals(scenario: Scenario) -> np.ndarray:
    """Share of the plug-ins of the day per hour of it [24], and their number per car."""
    begin = scenario.horizon.start_s
    inside = scenario.sessions.arrive_s[scenario.sessions.arrive_s > begin]
    return np.bincount((inside - begin) // 3600, minlength=24)[:24] / MANY


def test_home_plug_ins_are_as_many_as_measured() -> None:
    per_day = np.mean([arrivals(day_of("home", date(2025, 6, 16 + d))).sum() for d in range(7)])
    assert per_day == pytest.approx(tables.rates().home_plug_in_days_per_day, rel=0.06)


def test_home_energy_is_that_of_the_trips_and_near_the_measured_one() -> None:
    consumption, cars, days = np.full(MANY, 0.18), MANY, 7
    stands = home_stays(cars, consumption, 0.7, 0, days, tables.trips(), np.random.default_rng(5))
    week = (stands.arrive_min > 0) & (stands.arrive_min < days * 1440)
    per_day = stands.energy_kwh[week].sum() / cars / days
    assert per_day == pytest.approx(expected_kwh_per_day(tables.trips(), 0.18), rel=0.05)
    assert per_day == pytest.approx(tables.rates().home_kwh_per_day, rel=0.3)
    # every car drives on as many days as the survey says
    often = home_stays(cars, consumption, 1.0, 0, days, tables.trips(), np.random.default_rng(6))
    week = (often.arrive_min > 0) & (often.arrive_min < days * 1440)
    share = week.sum() / cars / days
    assert share == pytest.approx(expected_driving_share(tables.trips()), rel=0.03)


def test_home_cars_come_when_measured_cars_come() -> None:
    share = arrivals(day_of("home"))
    share = share / share.sum()
    measured = np.array(tables.rates().home_plug_ins_by_hour)
    hours = np.arange(24)
    assert (share * hours).sum() == pytest.approx((measured * hours).sum(), abs=1.5)
    assert np.abs(share - measured).sum() / 2 < 0.3  # two countries, two kinds of survey
    assert share[15:23].sum() > 0.7


def test_stays_of_one_car_follow_each_other() -> None:
    rng = np.random.default_rng(2)
    homes = home_stays(3_000, np.full(3_000, 0.18), 1.0, 3, 5, tables.trips(), rng)
    works = measured_stays(3_000, 0.9, 0.9, 3, 5, tables.stays("public"), rng)
    for stands in (homes, works):
        same = stands.car[1:] == stands.car[:-1]
        assert same.any()
        assert (stands.arrive_min[1:] >= stands.depart_min[:-1])[same].all()
        assert (stands.depart_min > stands.arrive_min).all()
        assert (stands.energy_kwh >= 0.0).all()


def test_plugged_in_over_the_day() -> None:
    home, work = connected(day_of("home")), connected(day_of("workplace"))
    night, noon = slice(4, 14), slice(44, 56)
    assert home[night].mean() > home[noon].mean() + 0.2
    assert work[noon].mean() > work[night].mean() + 0.4
    depot = connected(day_of("depot"))
    assert depot[night].min() > 0.99
    assert depot[noon].max() < 0.05


@pytest.mark.parametrize("kind", ["workplace", "public"])
def test_measured_stays_keep_their_means(kind: str) -> None:
    table = tables.stays(kind)
    rng = np.random.default_rng(3)
    stands = measured_stays(MANY, 0.3, 0.3, 0, 4, table, rng)
    weekdays = table.weekend == 0
    inside = (stands.arrive_min > 15.0) & (stands.arrive_min < 5 * 1440 - 15.0)
    stands = Stands(*(getattr(stands, item.name)[inside] for item in fields(stands)))
    assert stands.energy_kwh.mean() == pytest.approx(table.energy_kwh[weekdays].mean(), rel=0.05)
    clock = stands.arrive_min % 1440
    assert clock.mean() == pytest.approx(table.arrive_min[weekdays].mean(), abs=15.0)
    if kind == "workplace":
        length = stands.depart_min - stands.arrive_min
        assert length.mean() == pytest.approx(table.stay_min[weekdays].mean(), rel=0.05)
        assert stands.stated.all()
        error = np.abs(stands.stated_error_min)
        assert np.median(error) > 30.0  # drivers do not leave when they say


def test_the_weekend_is_another_day() -> None:
    work = arrivals(day_of("workplace", SATURDAY)).sum() / arrivals(day_of("workplace")).sum()
    assert work == pytest.approx(tables.rates().workplace_weekend_per_weekday, rel=0.25)
    home = arrivals(day_of("home", SATURDAY)).sum() / arrivals(day_of("home")).sum()
    assert home == pytest.approx((1 - 0.5068) / (1 - 0.3541), rel=0.06)
    assert arrivals(day_of("depot", date(2025, 6, 22))).sum() == 0.0


def test_options_do_what_they_say() -> None:
    few, many = day_of("home", plug_in_share=0.2), day_of("home", plug_in_share=1.0)
    ratio = arrivals(few).sum() / arrivals(many).sum()
    assert ratio == pytest.approx(0.2, rel=0.05)
    half = day_of("home", v2g_share=0.5).sessions
    assert (half.discharge_max_kw > 0).mean() == pytest.approx(0.5, abs=0.02)
    houses = day_of("home", cars_per_home_site=1.5)
    assert MANY / len(houses.sites) == pytest.approx(1.5, rel=0.02)
    assert cars_per_kind(FleetSettings(vehicles=7)) == {
        "home": 5, "workplace": 1, "public": 1, "depot": 0,
    }  # fmt: skip


def same(one: Scenario, other: Scenario) -> bool:
    """Whether two scenarios are equal in every column."""
    for part in ("sites", "prices", "series", "sessions", "feeders", "market"):
        mine, theirs = getattr(one, part), getattr(other, part)
        for item in fields(mine):
            if not np.array_equal(getattr(mine, item.name), getattr(theirs, item.name)):
                return False
    return one.horizon == other.horizon


def test_the_seed_decides_everything() -> None:
    settings = FleetSettings(vehicles=3_000, seed=4)
    assert same(generate(settings), generate(settings))
    assert not same(generate(settings), generate(replace(settings, seed=5)))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_is_written_reads_back(kind: str, tmp_path: Path) -> None:
    made = generate(FleetSettings(vehicles=400, days=2, start_hour=6, step_minutes=30))
    write_scenario(made, tmp_path, kind)  # type: ignore[arg-type]
    read = read_scenario(tmp_path)
    assert same(made, read)
    assert read.ignored_sessions == 0
    assert read.portfolio_import_limit_kw == made.portfolio_import_limit_kw


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("vehicles", [1, 3, 60, 3_000])
def test_charging_evenly_keeps_every_limit_and_target(vehicles: int, seed: int) -> None:
    """So a plan without shortfall exists, whatever the size."""
    made = generate(FleetSettings(vehicles=vehicles, seed=seed, cars_per_home_site=4.0))
    problem = problem_of(made)
    units, steps = problem.units, problem.steps
    hours = (units.last - units.first) * problem.step_h
    even = (units.target_kwh - units.energy_start_kwh) / (hours * units.charge_efficiency)
    assert (even <= units.charge_max_kw).all()
    assert (units.target_kwh >= units.energy_start_kwh).all()
    assert (units.target_kwh <= units.capacity_kwh).all()
    assert (units.energy_min_kwh <= units.energy_start_kwh).all()
    inside = np.arange(steps)[None, :]
    power = np.where(
        (units.first[:, None] <= inside) & (inside < units.last[:, None]), even[:, None], 0.0
    )
    net = problem.load_kw.copy()  # PV could be held back
    np.add.at(net, units.site, power)
    assert (net <= problem.import_limit_kw).all()
    flow = np.zeros((len(problem.feeders) + 1, steps))
    np.add.at(flow, problem.feeder, net)
    for feeder in range(len(problem.feeders)):  # feeders stand before their areas
        assert (flow[feeder] <= problem.feeders.import_limit_kw[feeder]).all()
        flow[problem.feeders.parent[feeder]] += flow[feeder]
    assert (net.sum(axis=0) <= problem.portfolio_import_limit_kw).all()


def test_a_small_fleet_plans_without_shortfall() -> None:
    found = plan(problem_of(generate(FleetSettings(vehicles=40, seed=2))))
    assert found.feasible
    assert found.shortfall_kwh.sum() < 1e-5
    assert found.gap < 1e-6


def test_stated_departures() -> None:
    sessions = generate(FleetSettings(vehicles=2_000)).sessions
    stated = sessions.stated_depart_s != UNKNOWN_S
    kind = np.array([name[0] for name in sessions.vehicle_id.tolist()])
    assert stated[(kind == "w") | (kind == "d")].all()
    assert not stated[(kind == "h") | (kind == "p")].any()


def test_settings_are_checked_all_at_once() -> None:
    wrong = FleetSettings(
        vehicles=0, seed=-1, first_day=date(2030, 1, 1), start_hour=24, days=0, step_minutes=7,
        v2g_share=float("nan"), plug_in_share=2.0, mix={"home": 0.5, "moon": 0.5},
        cars_per_home_site=0.5, fees_eur_kwh=-1.0,
    )  # fmt: skip
    assert len({problem.field for problem in problems_of(wrong)}) == 11
    assert problems_of(FleetSettings()) == []
    assert set(FleetSettings().mix) == set(KINDS)
