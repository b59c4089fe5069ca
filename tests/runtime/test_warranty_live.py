"""Warranty budgets in the live loop: a limit on discharging, counted from the log, told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from real_world import Real, full_scenario
from real_world import real as real_world
from small_world import START

from pendel.adapters.event_log import SqliteEventLog
from pendel.api import views
from pendel.control.warranty import UseBook, WarrantyBudget
from pendel.records import Reading, Setpoint, Signal
from pendel.runtime.causes import as_text, chain
from pendel.runtime.state import fold, given_back

CAR, DEVICE = "car-s1", "home-cp01/1"
BUDGET = {CAR: WarrantyBudget(month_kwh=3.0, year_kwh=50.0)}


def real(*log: SqliteEventLog, **options: Any) -> Real:
    return real_world(*log, scenario=full_scenario(), **options)


def given_kwh(run: Real) -> float:
    """What the first car gave back, by its own register."""
    return run.world.cars[DEVICE].export_kwh


def discharging(run: Real, minutes: float) -> None:
    run.runtime.hand(DEVICE, -8.0, minutes * 60.0, "operator")


@pytest.mark.parametrize("every_min", [15.0, 1.7])
def test_a_budget_is_a_limit_however_often_the_loop_ticks(every_min: float) -> None:
    run = real(budgets=BUDGET)
    run.to(5)
    discharging(run, 120.0)
    run.to(155, every_min)
    assert 3.0 - 0.1 <= given_kwh(run) <= 3.0 + 1e-6
    free = real()
    free.to(5)
    discharging(free, 120.0)
    free.to(95, every_min)
    assert given_kwh(free) > 4.0


def test_what_is_left_is_said_with_its_reason_and_explained() -> None:
    run = real(budgets=BUDGET)
    run.to(5)
    before = views.session(run.runtime, run.runtime.session("s1"))["warranty"]
    used = given_kwh(run)
    assert before == {
        "month_kwh_left": round(3.0 - used, 3), "year_kwh_left": round(50.0 - used, 3),
        "month_h_left": None, "year_h_left": None, "spent": False,
    }  # fmt: skip
    assert views.session(run.runtime, run.runtime.session("s1"))["reasons"]
    discharging(run, 120.0)
    run.to(125, 5.0)
    told = views.session(run.runtime, run.runtime.session("s1"))
    assert told["warranty"]["spent"] and told["warranty"]["month_kwh_left"] < 0.03
    assert told["warranty"]["year_kwh_left"] == pytest.approx(47.0, abs=0.03)
    assert "warranty budget of 3 kWh a month is used up" in told["reasons"][0]
    setpoint = run.runtime.state.setpoints[DEVICE]
    assert setpoint.power_kw == 0.0
    tree = as_text(chain(run.runtime.store, setpoint.id))
    assert "signal warranty" in tree and f"vehicle_id {CAR}" in tree
    signals = [r for _, r in run.runtime.store.replay() if isinstance(r, Signal)]
    assert len([s for s in signals if s.topic == "warranty"]) == 1  # it does not flutter


def test_hours_are_a_budget_too_and_other_cars_are_free() -> None:
    run = real(budgets={CAR: WarrantyBudget(year_h=0.5)})
    run.to(15)
    discharging(run, 120.0)
    run.to(90, 5.0)
    used = run.runtime.state.use.of(CAR, 2026)
    assert 0.2 < used.hours <= 0.5
    assert given_kwh(run) == pytest.approx(used.discharged_kwh, abs=1e-6)
    assert given_kwh(run) > 1.0
    other = views.session(run.runtime, run.runtime.session("s3"))
    assert other["warranty"] is None


def test_a_restarted_server_knows_what_was_used(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteEventLog(path)
    run = real(log, budgets=BUDGET)
    run.to(5)
    discharging(run, 120.0)
    run.to(20, 5.0)
    used = run.runtime.state.use
    assert 0.5 < used.of(CAR, 2026, 3).discharged_kwh < 2.9
    log.close()
    log = SqliteEventLog(path)
    again = real(log, budgets=BUDGET)
    assert again.runtime.state.use == used
    discharging(again, 120.0)
    again.to(125, 5.0)
    total = again.runtime.state.use.of(CAR, 2026, 3).discharged_kwh
    assert total == pytest.approx(3.0, abs=0.03)
    state = again.runtime.state
    assert fold((r for _, r in log.replay()), state.timezones) == state
    log.close()


def test_the_last_minutes_before_unplugging_count() -> None:
    run = real()
    run.to(275)
    discharging(run, 60.0)
    car = run.world.cars[DEVICE]
    run.to(310)
    assert "s1" not in run.runtime.state.sessions
    used = run.runtime.state.use.of(CAR, 2026, 3).discharged_kwh
    assert car.export_kwh > 1.0
    assert used == pytest.approx(car.export_kwh, abs=1e-6)


def test_months_are_those_of_the_site() -> None:
    book = UseBook()
    late = datetime(2026, 3, 31, 22, 30, tzinfo=UTC).timestamp()
    book.add("v", 2.0, 0.25, late, "Europe/Berlin")  # half past midnight, 1 April
    book.add("v", 1.0, 0.25, late, "UTC")
    assert book.of("v", 2026, 4).discharged_kwh == 2.0
    assert book.of("v", 2026, 3).discharged_kwh == 1.0
    assert book.of("v", 2026).discharged_kwh == 3.0
    run = real(timezone="Pacific/Kiritimati")  # there it is March already; START is at 02:00
    assert run.runtime.state.timezones["home"] == "Pacific/Kiritimati"


def reading(minutes: float, power: float, export: float | None) -> Reading:
    return Reading(
        id="", at_utc=START + timedelta(minutes=minutes), device_id="d", site_id="home",
        power_kw=power, import_kwh=None if export is None else 0.0, export_kwh=export,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "given"),
    [
        (reading(0, -8.0, None), reading(15, 0.0, None), (2.0, 0.25)),
        (reading(0, 8.0, None), reading(15, -8.0, None), (0.0, 0.0)),
        (reading(0, 8.0, 5.0), reading(15, -8.0, 6.5), (1.5, 0.25)),
        (reading(0, -8.0, 5.0), reading(15, -8.0, 5.0), (0.0, 0.0)),
        (reading(0, -8.0, 5.0), reading(15, -8.0, 1.0), (2.0, 0.25)),  # a register that began anew
        (reading(0, -8.0, 5.0), reading(61, -8.0, 13.0), (0.0, 0.0)),  # a gap
        (reading(5, -8.0, 5.0), reading(5, -8.0, 13.0), (0.0, 0.0)),
    ],
)
def test_given_back(before: Reading, after: Reading, given: tuple[float, float]) -> None:
    assert given_back(before, after) == pytest.approx(given)


def test_setpoints_of_cars_without_budget_are_untouched() -> None:
    plain, limited = real(), real(budgets={"nobody": WarrantyBudget(month_kwh=0.0)})
    for run in (plain, limited):
        run.to(60)

    def orders(run: Real) -> list[tuple[str, float]]:
        found = [r for _, r in run.runtime.store.replay() if isinstance(r, Setpoint)]
        return [(r.device_id, r.power_kw) for r in found]

    assert orders(plain) == orders(limited)
