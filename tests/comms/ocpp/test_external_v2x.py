"""Q05, Q06: an outside system moves setpoints and limits of bidirectional charging."""

from datetime import datetime
from typing import Any

import pytest
from scripted_backend import START_S, Pair, profile_2
from smart_charging_world import BEFORE, Wire, outside, powers, put, set_variable, tx_id, world
from test_external_system import reported, told

from pendel.comms.ocpp.station.external_system import Order


def inviting(pair: Pair, mode: str, level: int = 1, duration: int | None = None) -> Wire:
    """A dynamic TxProfile that leaves its values to an outside system."""
    period = {"startPeriod": 0, "operationMode": mode}
    schedule = {} if duration is None else {"duration": duration}
    return profile_2(5, "TxProfile", [period], chargingProfileKind="Dynamic", stackLevel=level,
                     transactionId=tx_id(pair), schedule=schedule)  # fmt: skip


def below(pair: Pair, setpoint_w: float, mode: str = "CentralSetpoint") -> None:
    """A TxProfile to fall back to."""
    period = {"startPeriod": 0, "operationMode": mode, "setpoint": setpoint_w}
    wire = profile_2(4, "TxProfile", [period], transactionId=tx_id(pair),
                     schedule={"startSchedule": BEFORE})  # fmt: skip
    assert put(pair, wire).status == "Accepted"


def order(pair: Pair, evse_id: int = 0, **values: Any) -> str:
    return outside(pair).set("EMS", Order(**values), pair.now_s, evse_id)


def disallowed() -> Pair:
    """A station whose backend keeps external profiles out."""
    pair = world()
    assert set_variable(pair, "ExternalConstraintsProfileDisallowed", "true") == "Accepted"
    return pair


def shown(pair: Pair, number: int = 5) -> tuple[Wire, float]:
    """Period and dynUpdateTime [s after the start] of a profile as reported."""
    profile = next(p for p in reported(pair) if p["id"] == number)
    (period,) = profile["chargingSchedule"][0]["chargingSchedulePeriod"]
    return period, datetime.fromisoformat(profile["dynUpdateTime"]).timestamp() - START_S


@pytest.mark.proves("Q05.FR.01", "Q05.FR.03", "Q05.FR.05")
def test_an_invited_setpoint_moves_the_car_and_the_profile() -> None:
    pair = disallowed()
    assert put(pair, inviting(pair, "ExternalSetpoint")).status == "Accepted"
    for number, kw in enumerate((-3.0, 2.5), 1):
        pair.run(20)
        assert order(pair, setpoint_kw=kw, reactive_kvar=1.5 * number) == ""
        at_s = pair.now_s - START_S
        assert powers(pair) == [kw]
        assert pair.station.evses[1].kvar == pytest.approx(1.5 * number)
        period, updated_s = shown(pair)
        assert (period["setpoint"], period["setpointReactive"]) == (kw * 1e3, 1_500.0 * number)
        assert updated_s == pytest.approx(at_s)


@pytest.mark.proves("Q05.FR.02", "Q05.FR.04", "Q05.FR.06")
def test_invited_limits_bind_and_stand_in_the_profile() -> None:
    pair = disallowed()
    assert put(pair, inviting(pair, "ExternalLimits")).status == "Accepted"
    for charge_kw, discharge_kw in ((4.0, 2.0), (6.0, 3.0)):
        pair.run(20)
        assert order(pair, limit_kw=charge_kw, discharge_kw=discharge_kw) == ""
        at_s = pair.now_s - START_S
        assert powers(pair) == [charge_kw]
        period, updated_s = shown(pair)
        assert (period["limit"], period["dischargeLimit"]) == (1e3 * charge_kw, -1e3 * discharge_kw)
        assert updated_s == pytest.approx(at_s)
        asked = {"evseId": 1, "duration": 60, "chargingRateUnit": "W"}
        (row,) = pair.ask("GetCompositeSchedule", asked).schedule.chargingSchedulePeriod
        assert (row.limit, row.dischargeLimit) == (1e3 * charge_kw, -1e3 * discharge_kw)


@pytest.mark.proves("Q05.FR.07", "Q05.FR.08")
def test_an_outside_system_that_falls_silent_gives_way_and_may_come_back() -> None:
    pair = disallowed()
    below(pair, -1_000)
    assert put(pair, inviting(pair, "ExternalSetpoint", duration=60)).status == "Accepted"
    order(pair, setpoint_kw=5.0)
    pair.run(55)
    assert powers(pair) == [5.0]
    pair.run(10)
    assert powers(pair) == [-1.0]
    order(pair, setpoint_kw=4.0)
    assert powers(pair) == [4.0]
    pair.run(70)
    assert powers(pair) == [-1.0]


def the_profile(pair: Pair) -> Wire:
    (profile,) = reported(pair, chargingLimitSource=["EMS"])
    assert profile["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
    return profile


@pytest.mark.proves("Q06.FR.01", "Q06.FR.10")
def test_a_schedule_of_limits_is_an_absolute_profile() -> None:
    pair = world()
    set_variable(pair, "NotifyChargingLimitWithSchedules", "true")
    order(pair, schedule=((0.0, 6.0), (60.0, 2.0)), discharge_kw=1.0)
    profile = the_profile(pair)
    assert profile["chargingProfileKind"] == "Absolute"
    periods = profile["chargingSchedule"][0]["chargingSchedulePeriod"]
    assert [(p["startPeriod"], p["limit"], p["dischargeLimit"], p["operationMode"])
            for p in periods] == [(0, 6_000.0, -1_000.0, "ExternalLimits"),
                                  (60, 2_000.0, -1_000.0, "ExternalLimits")]  # fmt: skip
    (notice,) = told(pair)
    assert notice["chargingLimit"]["chargingLimitSource"] == "EMS"
    assert notice["chargingSchedule"][0]["chargingSchedulePeriod"] == periods
    pair.run(50)
    assert powers(pair) == [6.0]
    pair.run(15)
    assert powers(pair) == [2.0]


@pytest.mark.proves("Q06.FR.02", "Q06.FR.05", "Q06.FR.07")
def test_a_single_limit_is_a_dynamic_profile_that_may_vary() -> None:
    pair = world()
    for kw in (6.0, 3.0):
        pair.run(20)
        order(pair, limit_kw=kw, discharge_kw=2.0)
        at_s = pair.now_s - START_S
        profile = the_profile(pair)
        assert profile["chargingProfileKind"] == "Dynamic"
        (period,) = profile["chargingSchedule"][0]["chargingSchedulePeriod"]
        assert (period["operationMode"], period["limit"]) == ("ExternalLimits", 1e3 * kw)
        assert period["dischargeLimit"] == -2_000.0
        updated = datetime.fromisoformat(profile["dynUpdateTime"]).timestamp() - START_S
        assert updated == pytest.approx(at_s)
        assert powers(pair) == [kw]


@pytest.mark.proves("Q06.FR.03", "Q06.FR.10")
def test_a_schedule_of_setpoints_is_an_absolute_profile() -> None:
    pair = world()
    set_variable(pair, "NotifyChargingLimitWithSchedules", "true")
    below(pair, 0)
    order(pair, setpoints=((0.0, 4.0), (60.0, -2.0)), reactive_kvar=1.0)
    profile = the_profile(pair)
    assert profile["chargingProfileKind"] == "Absolute"
    periods = profile["chargingSchedule"][0]["chargingSchedulePeriod"]
    assert [(p["setpoint"], p["setpointReactive"], p["operationMode"]) for p in periods] == [
        (4_000.0, 1_000.0, "ExternalSetpoint"), (-2_000.0, 1_000.0, "ExternalSetpoint"),
    ]  # fmt: skip
    assert told(pair)[0]["chargingSchedule"][0]["chargingSchedulePeriod"] == periods
    pair.run(50)
    assert powers(pair) == [4.0]
    pair.run(15)
    assert powers(pair) == [-2.0]


@pytest.mark.proves("Q06.FR.04", "Q06.FR.06")
def test_a_single_setpoint_is_a_dynamic_profile_that_may_vary() -> None:
    pair = world()
    below(pair, 0)
    for kw in (4.0, -3.0):
        order(pair, setpoint_kw=kw, reactive_kvar=-2.0)
        profile = the_profile(pair)
        assert profile["chargingProfileKind"] == "Dynamic"
        (period,) = profile["chargingSchedule"][0]["chargingSchedulePeriod"]
        assert (period["operationMode"], period["setpoint"]) == ("ExternalSetpoint", 1e3 * kw)
        assert period["setpointReactive"] == -2_000.0
        assert powers(pair) == [kw]
        assert pair.station.evses[1].kvar == pytest.approx(-2.0)


@pytest.mark.proves("Q06.FR.08")
@pytest.mark.parametrize(
    "values",
    [
        {"limit_kw": 3.0},
        {"setpoint_kw": -3.0},
        {"schedule": ((0.0, 3.0),)},
        {"setpoints": ((0.0, -3.0),)},
    ],
)
def test_what_is_disallowed_makes_no_profile(values: dict[str, Any]) -> None:
    pair = disallowed()
    assert "ExternalConstraintsProfileDisallowed" in order(pair, **values)
    assert reported(pair, chargingLimitSource=["EMS"]) == [] and powers(pair) == [11.0]
    assert told(pair) == []


@pytest.mark.proves("Q06.FR.20", "Q06.FR.21", "Q06.FR.22")
def test_setpoint_priority_decides_between_outside_and_backend() -> None:
    pair = world()
    below(pair, -5_000)
    order(pair, setpoint_kw=3.0)
    assert powers(pair) == [3.0]  # ExternalSystem is the default
    assert set_variable(pair, "SetpointPriority", "CSMS") == "Accepted"
    assert powers(pair) == [-5.0]
    assert set_variable(pair, "SetpointPriority", "ExternalSystem") == "Accepted"
    assert powers(pair) == [3.0]


@pytest.mark.proves("Q06.FR.30", "Q06.FR.31")
def test_values_for_the_whole_station_are_shared_by_its_evses() -> None:
    pair = world(cars=3)
    default = profile_2(9, "TxDefaultProfile", [
        {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": 0}],
        schedule={"startSchedule": BEFORE})  # fmt: skip
    assert order(pair, limit_kw=12.0) == ""
    assert sum(powers(pair)) <= 12.0 + 1e-6 and min(powers(pair)) > 0.0
    outside(pair).release("EMS", pair.now_s)
    assert put(pair, default, 0).status == "Accepted"
    for kw in (9.0, -6.0):
        order(pair, setpoint_kw=kw)
        assert sum(powers(pair)) == pytest.approx(kw)


@pytest.mark.proves("Q06.FR.40", "Q06.FR.41")
def test_an_external_profile_runs_out_and_comes_back_with_an_update() -> None:
    pair = world()
    order(pair, limit_kw=3.0, duration_s=60)
    pair.run(55)
    assert powers(pair) == [3.0]
    pair.run(10)
    assert powers(pair) == [11.0]
    order(pair, limit_kw=2.0, duration_s=60)
    assert powers(pair) == [2.0]
