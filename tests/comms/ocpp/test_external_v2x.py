"""Q05, Q06: an outside system's setpoints and limits in both directions."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import Pair, profile_2
from smart_charging_world import (
    Wire,
    absolute,
    default,
    outside,
    powers,
    put,
    refusal,
    set_variable,
    tx_id,
    world,
)

from pendel.comms.ocpp.station.external_system import Order


def shown(pair: Pair, source: str) -> list[Wire]:
    """Profiles of a source as they are reported, without their periods' bookkeeping."""
    asked = {"requestId": 1, "chargingProfile": {"chargingLimitSource": [source]}}
    pair.ask("GetChargingProfiles", asked)
    parts = pair.backend.payloads("ReportChargingProfiles")
    pair.backend.told = [each for each in pair.backend.told if each[0] != "ReportChargingProfiles"]
    return [profile for part in parts for profile in part["chargingProfile"]]


def periods(profile: Wire) -> list[Wire]:
    return list(profile["chargingSchedule"][0]["chargingSchedulePeriod"])


def now(pair: Pair) -> str:
    return f"{datetime.fromtimestamp(pair.now_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def invite(pair: Pair, mode: str, **more: Any) -> None:
    """A dynamic TxProfile of the backend that leaves its values to others, above a default."""
    put(pair, default(3, 2000))
    wire = profile_2(4, "TxProfile", [{"startPeriod": 0, "operationMode": mode}],
                     chargingProfileKind="Dynamic", transactionId=tx_id(pair), **more)  # fmt: skip
    assert refusal(put(pair, wire)) == ""


@pytest.mark.proves("Q05.FR.01", "Q05.FR.03", "Q05.FR.05")
def test_a_setpoint_from_outside_in_a_profile_of_the_backend() -> None:
    pair = world()
    invite(pair, "ExternalSetpoint")
    for kw, kvar in ((5.0, 1.0), (-4.0, -0.5), (0.0, 0.0)):
        pair.run(30)
        order = Order(setpoint_kw=kw, reactive_kvar=kvar)
        assert outside(pair).set("EMS", order, pair.now_s) == ""
        (profile,) = [p for p in shown(pair, "CSO") if p["id"] == 4]
        (period,) = periods(profile)
        assert (period["setpoint"], period["setpointReactive"]) == (kw * 1000, kvar * 1000)
        assert profile["dynUpdateTime"] == now(pair)
        asked = pair.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60})
        assert asked.schedule.chargingSchedulePeriod[0].setpointReactive == kvar * 1000
        assert powers(pair) == [kw]


@pytest.mark.proves("Q05.FR.02", "Q05.FR.04", "Q05.FR.06", "Q05.FR.07")
def test_limits_from_outside_in_a_profile_of_the_backend() -> None:
    pair = world()
    invite(pair, "ExternalLimits", schedule={"duration": 60})
    for kw in (5.0, 3.0):
        pair.run(30)
        order = Order(limit_kw=kw, discharge_kw=kw)
        assert outside(pair).set("EMS", order, pair.now_s) == ""
        (profile,) = [p for p in shown(pair, "CSO") if p["id"] == 4]
        (period,) = periods(profile)
        assert (period["limit"], period["dischargeLimit"]) == (kw * 1000, -kw * 1000)
        assert profile["dynUpdateTime"] == now(pair)
        assert powers(pair) == [kw]
    pair.run(57)
    assert powers(pair) == [3.0]
    pair.run(2)
    assert powers(pair) == [2.0], "nobody updates it: the next profile holds"


@pytest.mark.proves("Q06.FR.01", "Q06.FR.02", "Q06.FR.03", "Q06.FR.04", "Q06.FR.05", "Q06.FR.06",
                    "Q06.FR.07")  # fmt: skip
@pytest.mark.parametrize("what", ["limit", "setpoint"])
def test_outside_profiles_by_value_and_by_schedule(what: str) -> None:
    pair = world()
    steps = ((0.0, 6.0), (300.0, 2.0))
    mode = "ExternalLimits" if what == "limit" else "ExternalSetpoint"

    def order(kw: float, schedule: tuple[tuple[float, float], ...] = ()) -> Order:
        if what == "limit":
            return Order(limit_kw=kw, discharge_kw=4.0, schedule=schedule)
        return Order(setpoint_kw=kw, reactive_kvar=0.5, schedule=schedule)

    assert outside(pair).set("EMS", order(0.0, steps), pair.now_s) == ""
    (profile,) = shown(pair, "EMS")
    assert profile["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
    assert profile["chargingProfileKind"] == "Absolute"
    assert [(p[what], p["operationMode"]) for p in periods(profile)] == [
        (6000.0, mode), (2000.0, mode)]  # fmt: skip
    beside = {"limit": ("dischargeLimit", -4000.0), "setpoint": ("setpointReactive", 500.0)}[what]
    assert all(p[beside[0]] == beside[1] for p in periods(profile))
    assert powers(pair) == [6.0]
    pair.run(300)
    assert powers(pair) == [2.0]
    outside(pair).release("EMS", pair.now_s)
    for kw in (5.0, 7.0):
        pair.run(10)
        assert outside(pair).set("EMS", order(kw), pair.now_s) == ""
        (profile,) = shown(pair, "EMS")
        assert profile["chargingProfileKind"] == "Dynamic"
        (period,) = periods(profile)
        assert (period[what], period["operationMode"]) == (kw * 1000, mode)
        assert profile["dynUpdateTime"] == now(pair)
        assert powers(pair) == [kw]


@pytest.mark.proves("Q06.FR.08")
def test_disallowed_profiles_are_refused() -> None:
    pair = world()
    set_variable(pair, "ExternalConstraintsProfileDisallowed", "true")
    for order in (Order(limit_kw=2.0), Order(setpoint_kw=2.0), Order(schedule=((0.0, 2.0),))):
        assert outside(pair).set("EMS", order, pair.now_s) != ""
    assert shown(pair, "EMS") == []
    assert powers(pair) == [11.0]


@pytest.mark.proves("Q06.FR.20", "Q06.FR.21", "Q06.FR.22")
@pytest.mark.parametrize(("first", "kw", "var"), [("ExternalSystem", 3.0, 100.0),
                                                  ("CSMS", 6.0, 400.0)])  # fmt: skip
def test_whose_setpoint_leads(first: str, kw: float, var: float) -> None:
    pair = world()
    assert set_variable(pair, "SetpointPriority", first) == "Accepted"
    period = {"setpoint": 6000.0, "setpointReactive": 400.0, "operationMode": "CentralSetpoint"}
    wire = absolute(4, "TxProfile", 11_000, transactionId=tx_id(pair), period=period)
    assert refusal(put(pair, wire)) == ""
    order = Order(setpoint_kw=3.0, reactive_kvar=0.1)
    assert outside(pair).set("EMS", order, pair.now_s) == ""
    asked = pair.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    (row,) = asked.schedule.chargingSchedulePeriod
    assert (row.setpoint, row.setpointReactive) == (kw * 1000, var)
    assert powers(pair) == [kw]


@pytest.mark.proves("Q06.FR.30", "Q06.FR.31")
def test_at_evse_0_all_together_are_meant() -> None:
    pair = world(cars=2)
    for evse in pair.station.evses.values():
        evse.v2x_allowed = True

    def total(order: Order) -> float:
        assert outside(pair).set("EMS", order, pair.now_s) == ""
        return sum(powers(pair))

    assert total(Order(limit_kw=9.0)) == pytest.approx(9.0)
    for kw in (8.0, 3.0, -6.0, 0.0):
        assert total(Order(setpoint_kw=kw)) == pytest.approx(kw)
    for evse_id in (1, 2):
        period = {"setpoint": -9000.0, "operationMode": "CentralSetpoint"}
        wire = absolute(10 + evse_id, "TxProfile", 11_000, period=period,
                        transactionId=tx_id(pair, evse_id))  # fmt: skip
        assert refusal(put(pair, wire, evse_id)) == ""
    assert total(Order(limit_kw=9.0, discharge_kw=5.0)) == pytest.approx(-5.0)
