"""The schedule a car is offered, against its plan looked at second by second."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.release import Version, messages_of
from pendel.records import PlanRecord
from pendel.runtime.bridges.car_schedule import (
    CarSchedules,
    points_of,
    schedule_of,
    takes_schedule,
)
from pendel.runtime.bridges.dialects import Dialect, Manner
from pendel.runtime.bridges.wire_profiles import Wish, tx_profile

BEGIN_S = 1_700_000_100.0  # a round quarter hour
STEP_S = 900


def plan(powers: list[float]) -> PlanRecord:
    return PlanRecord(
        id="p", at_utc=datetime.fromtimestamp(BEGIN_S, UTC), site_id="home",
        begin_utc=datetime.fromtimestamp(BEGIN_S, UTC), step_s=STEP_S, objective_eur=0.0,
        bound_eur=0.0, shortfall_kwh=0.0, method="m", power_kw={"CP1/1": powers},
    )  # fmt: skip


@pytest.mark.proves("K15.FR.07", "K17.FR.07", "K18.FR.07")
@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(-110, 110).map(lambda x: x / 10), max_size=12),
    st.integers(0, 3_000),
    st.integers(0, 110).map(lambda x: x / 10),
    st.integers(1, 15),
)
def test_the_offer_is_the_plan_cut_to_what_the_car_takes(
    powers: list[float], late_s: int, order_kw: float, points: int
) -> None:
    now_s, most_kw = BEGIN_S + late_s, 9.0
    found = schedule_of(plan(powers), "CP1/1", now_s, order_kw, (0.0, most_kw), points)
    assert 1 <= len(found.periods) <= points and found.periods[0] == (0, order_kw)
    whole = schedule_of(plan(powers), "CP1/1", now_s, order_kw, (0.0, most_kw), 1_000)
    for at_s in range(int(now_s), int(BEGIN_S) + STEP_S * (len(powers) + 2), 60):
        step = int(at_s - BEGIN_S) // STEP_S
        current = step == int(now_s - BEGIN_S) // STEP_S
        planned = powers[step] if step < len(powers) else 0.0
        expected = order_kw if current or not powers else min(max(planned, 0.0), most_kw)
        if late_s // STEP_S >= len(powers):
            expected = order_kw  # the plan was over before: the order stands
        assert whole.kw(at_s) == pytest.approx(expected), (at_s, step)


def test_a_schedule_stays_while_it_says_what_is_ordered() -> None:
    schedules = CarSchedules()

    def wanted(after_s: float, order_kw: float, powers: list[float], at_once: bool = False) -> Any:
        fresh = schedule_of(plan(powers), "CP1/1", BEGIN_S + after_s, order_kw, (-11.0, 11.0), 24)
        return schedules.wanted(("CP1/1", "T"), fresh, at_once)

    first = wanted(0, 6.0, [6.0, 3.0])
    assert wanted(100, 6.0, [6.0, 3.0]) is first
    assert wanted(100, 6.05, [6.0, 3.0]) is first
    assert wanted(1_000, 3.0, [6.0, 3.0]) is first  # the next step, as was said
    lower = wanted(1_001, 2.5, [6.0, 3.0])
    assert lower.kw(BEGIN_S + 1_001) == 2.5  # at once
    assert wanted(1_004, 2.9, [6.0, 3.0]) is lower  # higher: not each tick
    higher = wanted(1_007, 2.9, [6.0, 3.0])
    assert higher.kw(BEGIN_S + 1_007) == 2.9
    assert wanted(1_008, 4.0, [6.0, 3.0], at_once=True).kw(BEGIN_S + 1_008) == 4.0
    other = schedules.wanted(("CP1/1", "U"), first, False)
    assert other is first and len(schedules.standing) == 1


@pytest.mark.parametrize(
    ("control", "points", "gives", "takes"),
    [
        (None, 24, False, True),
        ("ScheduledControl", 24, False, True),
        ("DynamicControl", 24, False, False),
        (None, 0, False, False),
        (None, 24, True, False),
        ("ScheduledControl", 24, True, True),
        ("DynamicControl", 24, True, False),
    ],
)
def test_who_takes_schedules(control: str | None, points: int, gives: bool, takes: bool) -> None:
    messages: Any = messages_of(Version.V21)
    more = {} if control is None else {"controlMode": control}
    needs = messages.ChargingNeedsType(requestedEnergyTransfer="DC", **more)
    assert takes_schedule(needs, points, gives) is takes
    assert not takes_schedule(None, 24, gives)


@pytest.mark.parametrize(
    ("old", "new", "goes"),
    [
        (-5.0, 0.0, True),
        (-5.0, -2.0, True),
        (-5.0, 3.0, True),
        (6.0, -1.0, True),
        (0.0, -5.0, False),
        (-2.0, -5.0, False),
        (-5.0, -5.0, False),
    ],
)
def test_a_setpoint_for_less_goes_at_once(old: float, new: float, goes: bool) -> None:
    schedules = CarSchedules()

    def wanted(after_s: float, order_kw: float) -> Any:
        fresh = schedule_of(None, "CP1/1", BEGIN_S + after_s, order_kw, (-11.0, 11.0), 24)
        return schedules.wanted(("CP1/1", "T"), fresh, False)

    first = wanted(0, old)
    assert (wanted(2, new) is not first) is goes
    assert wanted(40, new).kw(BEGIN_S + 40) == new
    again = wanted(40, new)
    assert wanted(40 + 901, new) is not again  # its last period is given anew


@pytest.mark.proves("Q03.FR.01", "Q03.FR.02")
def test_setpoints_to_come_are_central_setpoints_without_limits() -> None:
    schedule = schedule_of(plan([6.0, -3.0, 0.0]), "CP1/1", BEGIN_S, 6.0, (-11.0, 11.0), 24)
    wish = Wish(6.0, 11.0, 11.0, True, schedule=schedule)
    found = tx_profile(12, "T", wish, Manner(Dialect.NATIVE, "W"), "2.1", False)
    periods = found["chargingSchedule"][0]["chargingSchedulePeriod"]
    assert [p["setpoint"] for p in periods] == [6_000.0, -3_000.0, 0.0]
    for each in periods:
        assert set(each) == {"startPeriod", "operationMode", "setpoint"}
        assert each["operationMode"] == "CentralSetpoint"


@pytest.mark.proves("K15.FR.07", "K17.FR.07", "K18.FR.07")
@pytest.mark.parametrize(
    ("car", "station", "points"),
    [(24, None, 24), (24, "8", 8), (8, "24", 8), (5_000, None, 1_024), (0, "8", 0), (24, "?", 24)],
)
def test_both_the_car_and_the_station_bound_the_periods(
    car: int, station: str | None, points: int
) -> None:
    known = Station("CP1")
    known.evse(1).needs_points = car
    if station is not None:
        known.variables["SmartChargingCtrlr", 0, "PeriodsPerSchedule"] = station
    assert points_of(known, known.evse(1)) == points


@pytest.mark.parametrize(("unit", "limits"), [("W", [6_000.0, 3_000.0]), ("A", [8.6, 4.3])])
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_it_goes_out_as_one_absolute_schedule(version: str, unit: str, limits: Any) -> None:
    schedule = schedule_of(plan([6.0, 3.0, 3.0]), "CP1/1", BEGIN_S + 5, 6.0, (0.0, 11.0), 2)
    wish = Wish(6.0, 11.0, 0.0, False, schedule=schedule)
    dialect = Dialect.NATIVE if version == "2.1" else Dialect.LIMIT
    found = tx_profile(12, "T", wish, Manner(dialect, unit), version, False)
    (only,) = found["chargingSchedule"]
    assert found["chargingProfileKind"] == "Absolute"
    assert datetime.fromisoformat(only["startSchedule"]).timestamp() == BEGIN_S + 5
    periods = only["chargingSchedulePeriod"]
    assert [(p["startPeriod"], p["limit"]) for p in periods] == list(
        zip((0, 895), limits, strict=True)
    )
    if version == "2.1":
        assert {p["operationMode"] for p in periods} == {"ChargingOnly"}
