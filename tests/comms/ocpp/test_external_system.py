"""K11-K13, K27, K29: an outside system sets limits, setpoints and local generation."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import Pair, a_car, profile_2
from smart_charging_world import (
    Wire,
    absolute,
    default,
    outside,
    powers,
    put,
    refusal,
    set_variable,
    triggers,
    tx_id,
    world,
)

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.external_system import ORDERS_MAX, Order
from pendel.comms.ocpp.station.smart_charging import SmartCharging

V2 = [Version.V201, Version.V21]


def told(pair: Pair, action: str = "NotifyChargingLimit") -> list[Wire]:
    pair.pump()
    return pair.backend.payloads(action)


def reported(pair: Pair, **criterion: Any) -> list[Wire]:
    pair.ask("GetChargingProfiles", {"requestId": 1, "chargingProfile": criterion})
    pair.pump()
    parts = pair.backend.payloads("ReportChargingProfiles")
    pair.backend.told = [each for each in pair.backend.told if each[0] != "ReportChargingProfiles"]
    return [profile for part in parts for profile in part["chargingProfile"]]


def limit(pair: Pair, kw: float, source: str = "EMS", **more: Any) -> str:
    fields = {name: more.pop(name) for name in ("evse_id", "generation") if name in more}
    return outside(pair).set(source, Order(limit_kw=kw, **more), pair.now_s, **fields)


@pytest.mark.proves(
    "K11.FR.01", "K11.FR.02", "K11.FR.04", "K11.FR.05", "K11.FR.06", "K12.FR.05", "K13.FR.01",
    "K13.FR.02", "K13.FR.03",
)  # fmt: skip
@pytest.mark.parametrize("version", V2)
@pytest.mark.parametrize(("source", "critical"), [("EMS", None), ("SO", True), ("Other", False)])
def test_a_limit_during_a_transaction(version: Version, source: str, critical: bool | None) -> None:
    pair = world(version)
    pair.run(30)
    assert limit(pair, 4.0, source, critical=critical) == ""
    assert powers(pair) == [4.0]
    (notice,) = told(pair)
    shown = {"chargingLimitSource": source}
    if critical is not None:
        shown["isGridCritical"] = critical  # type: ignore[assignment]
    assert notice == {"chargingLimit": shown}
    assert triggers(pair).count("ChargingRateChanged") == 1
    (profile,) = reported(pair, chargingLimitSource=[source])
    assert profile["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
    assert profile["id"] < 0
    pair.run(60)
    assert powers(pair) == [4.0]
    outside(pair).release(source, pair.now_s)
    assert powers(pair) == [11.0]
    assert told(pair, "ClearedChargingLimit") == [{"chargingLimitSource": source}]
    assert triggers(pair).count("ChargingRateChanged") == 2
    assert reported(pair, chargingLimitSource=[source]) == []
    assert len(told(pair)) == 1


@pytest.mark.proves("K11.FR.02", "K11.FR.04", "K12.FR.02", "K13.FR.03")
@pytest.mark.parametrize(
    ("steps", "notices", "rates"),
    [
        ((4.0, 4.1, 4.15, 4.5), 2, 2),  # 10 %: 4.15 is nearer to 4 than that, 4.5 is not
        ((4.0, 4.3, 4.39, 4.41), 2, 2),  # what was told last counts, small steps do not creep
        ((12.0, 14.0, 16.0), 3, 0),  # the car never drew that much: no rate changed
        ((4.0, 0.0, 0.0, 4.0), 3, 3),
    ],
)
def test_small_changes_are_not_told(steps: tuple[float, ...], notices: int, rates: int) -> None:
    pair = world()
    pair.run(30)
    assert set_variable(pair, "LimitChangeSignificance", "10") == "Accepted"
    for kw in steps:
        limit(pair, kw)
        assert powers(pair) == [min(kw, 11.0)], "followed all the same"
    assert len(told(pair)) == notices
    assert triggers(pair).count("ChargingRateChanged") == rates


@pytest.mark.proves("K11.FR.03", "K12.FR.02", "K12.FR.03", "K12.FR.04", "K12.FR.05", "K12.FR.01")
@pytest.mark.parametrize("version", V2)
def test_a_limit_without_a_transaction(version: Version) -> None:
    pair = world(version, cars=0, evses=2)
    set_variable(pair, "NotifyChargingLimitWithSchedules", "true")
    assert limit(pair, 7.0, "SO") == ""
    (notice,) = told(pair)
    assert notice["chargingLimit"]["chargingLimitSource"] == "SO"
    (schedule,) = notice["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "W"
    assert schedule["chargingSchedulePeriod"][0]["limit"] == 7000.0
    (profile,) = reported(pair, chargingLimitSource=["SO"])
    assert profile["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
    for evse_id in (1, 2):
        pair.plug(a_car(id_token=f"TAG{evse_id}"), evse_id)
    assert powers(pair) == [3.5, 3.5]


def test_of_two_systems_both_limits_hold() -> None:
    pair = world()
    for ems, so, expected in ((5.0, 8.0, 5.0), (5.0, 3.0, 3.0), (9.0, 3.0, 3.0)):
        limit(pair, ems, "EMS")
        limit(pair, so, "SO")
        assert powers(pair) == [expected]
    outside(pair).release("SO", pair.now_s)
    assert powers(pair) == [9.0]


@pytest.mark.proves("K11.FR.03", "K11.FR.06", "K11.FR.02")
def test_a_schedule_is_an_absolute_profile_whose_steps_are_told() -> None:
    pair = world()
    set_variable(pair, "NotifyChargingLimitWithSchedules", "true")
    order = Order(schedule=((0.0, 6.0), (300.0, 2.0)), duration_s=600)
    assert outside(pair).set("SO", order, pair.now_s, evse_id=1) == ""
    assert powers(pair) == [6.0]
    pair.run(300)
    assert powers(pair) == [2.0]
    notices = told(pair)
    assert [notice["evseId"] for notice in notices] == [1, 1]
    periods = [n["chargingSchedule"][0]["chargingSchedulePeriod"] for n in notices]
    assert [[p["limit"] for p in each] for each in periods] == [[6000.0, 2000.0]] * 2
    (profile,) = reported(pair, chargingLimitSource=["SO"])
    assert profile["chargingProfileKind"] == "Absolute"
    pair.run(300)
    assert powers(pair) == [11.0]


@pytest.mark.proves("K11.FR.07")
def test_signals_that_are_not_wanted_are_ignored() -> None:
    for name, value in (("ExternalConstraintsProfileDisallowed", "true"),
                        ("ExternalControlSignalsEnabled", "false")):  # fmt: skip
        pair = world()
        assert set_variable(pair, name, value) == "Accepted"
        assert limit(pair, 2.0) != ""
        assert powers(pair) == [11.0]
        assert told(pair) == [] and reported(pair) == []
        set_variable(pair, name, "false" if value == "true" else "true")
        assert limit(pair, 2.0) == ""
        assert powers(pair) == [2.0]


def test_what_happened_offline_is_told_afterwards() -> None:
    pair = world()
    limit(pair, 5.0)
    assert len(told(pair)) == 1
    pair.cut()
    limit(pair, 3.0)
    limit(pair, 7.0, "SO")
    outside(pair).release("SO", pair.now_s)
    assert powers(pair) == [3.0]
    assert len(told(pair)) == 1
    pair.connect()
    pair.run(10)
    assert len(told(pair)) == 2
    assert told(pair, "ClearedChargingLimit") == [{"chargingLimitSource": "SO"}]


def test_wrong_words_are_refused_with_what_is_right() -> None:
    pair = world(cars=0)
    for source, evse_id, generation in (("CSO", 0, False), ("SO", 0, True), ("EMS", 5, False)):
        with pytest.raises(ValueError, match=r"source|EVSE"):
            limit(pair, 1.0, source, evse_id=evse_id, generation=generation)
    with pytest.raises(ValueError, match="no limit of EMS"):
        outside(pair).release("EMS", pair.now_s)
    crowd = world(cars=0, evses=ORDERS_MAX)
    for evse_id in range(ORDERS_MAX):
        limit(crowd, 1.0, evse_id=evse_id)
    with pytest.raises(ValueError, match="orders stand"):
        limit(crowd, 1.0, evse_id=ORDERS_MAX)


# K27: local generation


@pytest.mark.proves("K27.FR.01", "K27.FR.02", "K27.FR.03", "K27.FR.04", "K27.FR.05")
@pytest.mark.parametrize("as_schedule", [True, False])
def test_local_generation_comes_on_top(as_schedule: bool) -> None:
    pair = world()
    put(pair, default(3, 5000))
    set_variable(pair, "NotifyChargingLimitWithSchedules", "true")

    def generate(kw: float) -> None:
        steps = ((0.0, 2.0), (600.0, 1.0)) if as_schedule else ()
        order = Order(limit_kw=None if as_schedule else kw, schedule=steps)
        if not as_schedule or not told(pair):
            assert outside(pair).set("EMS", order, pair.now_s, generation=True) == ""

    generate(2.0)
    assert powers(pair) == [7.0]
    limit(pair, 6.0)
    assert powers(pair) == [7.0], "5 kW are below 6 kW, and 2 kW come on top"
    pair.run(600)
    generate(1.0)
    assert powers(pair) == [6.0]
    kinds = [(n["chargingLimit"].get("isLocalGeneration", False), len(n["chargingSchedule"]))
             for n in told(pair)]  # fmt: skip
    assert kinds == [(True, 1), (False, 1), (True, 1)], "never both in one message"
    assert {n["chargingLimit"]["chargingLimitSource"] for n in told(pair)} == {"EMS"}
    first = told(pair)[0]["chargingSchedule"][0]["chargingSchedulePeriod"]
    assert [p["limit"] for p in first] == ([2000.0, 1000.0] if as_schedule else [2000.0])
    found = {p["chargingProfilePurpose"]: p for p in reported(pair)}
    generation = found["LocalGeneration"]
    assert generation["chargingProfileKind"] == ("Absolute" if as_schedule else "Dynamic")
    assert "ChargingStationExternalConstraints" in found
    outside(pair).release("EMS", pair.now_s, generation=True)
    assert powers(pair) == [5.0]
    assert told(pair)[-1]["chargingLimit"].get("isLocalGeneration", False) is False


def test_a_station_before_21_knows_no_local_generation() -> None:
    pair = world(Version.V201)
    put(pair, default(3, 5000))
    assert limit(pair, 2.0, generation=True) != ""
    assert powers(pair) == [5.0]


# K29: dynamic profiles


@pytest.mark.proves(
    "K29.FR.01", "K29.FR.02", "K29.FR.04", "K29.FR.05", "K29.FR.06", "K01.FR.82", "K11.FR.06"
)
@pytest.mark.parametrize("most", [None, 100])
def test_single_values_are_one_dynamic_profile(most: int | None) -> None:
    pair = world(smart=SmartCharging(external_id_max=most))
    ids = set()
    for kw in (5.0, 3.0, 7.0):
        pair.run(60)
        limit(pair, kw, "SO")
        (profile,) = reported(pair, chargingLimitSource=["SO"])
        assert profile["chargingProfileKind"] == "Dynamic"
        (schedule,) = profile["chargingSchedule"]
        (period,) = schedule["chargingSchedulePeriod"]
        assert (period["startPeriod"], period["limit"]) == (0, kw * 1000)
        assert period["operationMode"] == "ExternalLimits"
        now = datetime.fromtimestamp(pair.now_s, UTC)
        assert profile["dynUpdateTime"] == f"{now:%Y-%m-%dT%H:%M:%SZ}"
        ids.add(profile["id"])
        assert powers(pair) == [kw]
    (number,) = ids
    assert number < 0 if most is None else number <= most


@pytest.mark.proves("K29.FR.07", "K29.FR.08")
def test_a_silent_outside_system_is_not_obeyed_for_ever() -> None:
    """Errata K29.FR.07, FR.08: duration counts from the last update."""
    pair = world()
    limit(pair, 5.0, duration_s=60)
    pair.run(58)
    assert powers(pair) == [5.0]
    pair.run(2)
    assert powers(pair) == [11.0]
    limit(pair, 4.0, duration_s=60)
    assert powers(pair) == [4.0]


def invitation(pair: Pair, mode: str, purpose: str = "TxProfile", **period: Any) -> Wire:
    more = {"transactionId": tx_id(pair)} if purpose == "TxProfile" else {}
    return profile_2(4, purpose, [{"startPeriod": 0, "operationMode": mode, **period}],
                     chargingProfileKind="Dynamic", **more)  # fmt: skip


@pytest.mark.proves("K29.FR.03", "K11.FR.07")
@pytest.mark.parametrize("purpose", ["TxProfile", "TxDefaultProfile"])
@pytest.mark.parametrize("disallowed", ["true", "false"])
def test_values_go_into_the_profile_that_invites_them(purpose: str, disallowed: str) -> None:
    pair = world()
    set_variable(pair, "ExternalConstraintsProfileDisallowed", disallowed)
    wire = invitation(pair, "ExternalLimits", purpose, limit=9000.0, dischargeLimit=-4000.0)
    assert refusal(put(pair, wire)) == ""
    assert powers(pair) == [9.0]
    for kw, held in ((5.0, 5.0), (10.0, 9.0), (3.0, 3.0)):
        pair.run(5)
        assert limit(pair, kw) == ""
        assert powers(pair) == [held], "never above what the backend allows"
        (profile,) = reported(pair)
        assert profile["id"] == 4 and profile["chargingProfilePurpose"] == purpose
        (period,) = profile["chargingSchedule"][0]["chargingSchedulePeriod"]
        assert period["limit"] == held * 1000
    assert len(told(pair)) == 3
    assert refusal(put(pair, wire | {"stackLevel": 1})) == "", "set anew, the value stands"
    assert powers(pair) == [3.0]
    outside(pair).release("EMS", pair.now_s)
    assert powers(pair) == [9.0]
    (profile,) = reported(pair)
    assert profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 9000.0


@pytest.mark.proves("K29.FR.03")
def test_setpoints_from_outside() -> None:
    pair = world()
    put(pair, default(3, 2000))
    wire = invitation(pair, "ExternalSetpoint", limit=9000.0, dischargeLimit=-6000.0)
    assert refusal(put(pair, wire)) == ""
    for kw, held in ((5.0, 5.0), (-4.0, -4.0), (-10.0, -6.0), (0.0, 0.0)):
        order = Order(setpoint_kw=kw)
        assert outside(pair).set("EMS", order, pair.now_s) == ""
        assert powers(pair) == [held]


@pytest.mark.parametrize(("priority", "expected"), [("ExternalSystem", 3.0), ("CSMS", 6.0)])
def test_whose_setpoint_comes_first(priority: str, expected: float) -> None:
    pair = world()
    assert set_variable(pair, "SetpointPriority", priority) == "Accepted"
    period = {"setpoint": 6000.0, "operationMode": "CentralSetpoint", "limit": 11_000.0}
    wire = absolute(4, "TxProfile", 0, transactionId=tx_id(pair), period=period)
    assert refusal(put(pair, wire)) == ""
    assert outside(pair).set("EMS", Order(setpoint_kw=3.0), pair.now_s) == ""
    assert powers(pair) == [expected]


def test_only_charging_stays_only_charging_whatever_is_wished_outside() -> None:
    pair = world()
    put(pair, default(3, 2000))
    assert outside(pair).set("EMS", Order(setpoint_kw=-5.0), pair.now_s) == ""
    assert powers(pair) == [0.0]
