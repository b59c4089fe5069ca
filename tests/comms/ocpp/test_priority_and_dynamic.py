"""K21, K22: priority charging, from afar and by a button; K28: dynamic profiles."""

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
    charging,
    default,
    powers,
    put,
    refusal,
    tx_id,
    world,
)


def shown(at_s: float) -> str:
    """A time as the station writes it."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def dynamic(pair: Pair, number: int = 2, watts: float = 4000.0, **more: Any) -> Wire:
    more.setdefault("schedule", {})
    period = {"startPeriod": 0, "limit": watts}
    return profile_2(number, "TxProfile", [period], chargingProfileKind="Dynamic",
                     transactionId=tx_id(pair), stackLevel=1, **more)  # fmt: skip


def update(pair: Pair, number: int, **values: float) -> Any:
    order = {"chargingProfileId": number, "scheduleUpdate": values}
    return pair.ask("UpdateDynamicSchedule", order)


# K21, K22: priority charging


@pytest.mark.proves(
    "K21.FR.01", "K21.FR.02", "K21.FR.03", "K21.FR.04", "K21.FR.05", "K21.FR.06", "K21.FR.07",
    "K21.FR.08",
)  # fmt: skip
def test_priority_charging_from_afar() -> None:
    pair = world()
    put(pair, default(3, 2000))

    def use(activate: bool, transaction: str = "") -> Any:
        order = {"transactionId": transaction or tx_id(pair), "activate": activate}
        return pair.ask("UsePriorityCharging", order)

    def told() -> list[bool]:
        return [p["activated"] for p in pair.backend.payloads("NotifyPriorityCharging")]

    none = use(True)
    assert (none.status, none.statusInfo.reasonCode) == ("NoProfile", "NotFound")
    assert refusal(put(pair, absolute(7, "PriorityCharging", 9000), 0)) == ""
    assert refusal(put(pair, absolute(8, "ChargingStationMaxProfile", 8000), 0)) == ""
    assert refusal(use(True, "another")) == "TxNotFound"
    assert use(False).status == "Accepted" and told() == []
    assert powers(pair) == [2.0]
    assert use(True).status == "Accepted"
    assert powers(pair) == [8.0], "the limit of the station remains"
    assert told() == [True]
    assert use(False).status == "Accepted"
    assert powers(pair) == [2.0]
    assert told() == [True, False]
    use(True)
    pair.unplug()
    pair.plug(a_car(id_token="TAG2"))
    assert powers(pair) == [2.0], "it ends with its transaction"


@pytest.mark.proves("K22.FR.01", "K22.FR.02", "K22.FR.03", "K22.FR.04", "K22.FR.05")
def test_the_button_for_priority_charging() -> None:
    pair = world()
    put(pair, default(3, 2000))
    with pytest.raises(ValueError, match="not possible here"):
        charging(pair).press_button(1, True, pair.now_s)
    with pytest.raises(ValueError, match="not active"):
        charging(pair).press_button(1, False, pair.now_s)
    put(pair, absolute(7, "PriorityCharging", 9000))
    charging(pair).press_button(1, True, pair.now_s)
    assert powers(pair) == [9.0]
    pair.cut()
    charging(pair).press_button(1, False, pair.now_s)
    pair.run(60)
    assert powers(pair) == [2.0]
    pair.connect()
    pair.run(10)
    told = pair.backend.payloads("NotifyPriorityCharging")
    assert [p["activated"] for p in told] == [True, False], "offline it waits in the queue"
    assert {p["transactionId"] for p in told} == {tx_id(pair)}


# K28: dynamic profiles


@pytest.mark.proves("K28.FR.05", "K28.FR.06", "K28.FR.09", "K28.FR.11")
def test_dynamic_profiles_take_updates_at_once() -> None:
    pair = world()

    def reported(number: int) -> Wire:
        asked = {"requestId": 1, "chargingProfile": {"chargingProfileId": [number]}}
        pair.ask("GetChargingProfiles", asked)
        (found,) = pair.backend.payloads("ReportChargingProfiles")[-1]["chargingProfile"]
        return dict(found)

    assert refusal(put(pair, dynamic(pair))) == ""
    begun = reported(2)["dynUpdateTime"]
    assert begun == shown(pair.now_s)
    assert powers(pair) == [4.0]
    pair.run(59)
    assert update(pair, 2, limit=3000.0).status == "Accepted"
    assert pair.power_kw == 3.0
    assert reported(2)["dynUpdateTime"] == shown(pair.now_s)
    assert reported(2)["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 3000.0
    put(pair, default(3, 2500))
    assert refusal(update(pair, 3, limit=1.0)) == "InvalidProfile"
    assert refusal(update(pair, 9, limit=1.0)) == "NotFound"


@pytest.mark.proves("K28.FR.08", "K28.FR.10", "K28.FR.13", "K28.FR.14", "K28.FR.15")
def test_a_silent_dynamic_profile_ends_and_comes_back() -> None:
    """Errata K28.FR.13, FR.14: duration counts from the last update."""
    pair = world()
    put(pair, default(3, 2000))
    assert refusal(put(pair, dynamic(pair, schedule={"duration": 60}))) == ""
    pair.run(50)
    assert update(pair, 2, limit=3000.0).status == "Accepted"
    pair.run(58)
    assert powers(pair) == [3.0]
    pair.run(2)
    assert powers(pair) == [2.0]
    assert update(pair, 2, limit=5000.0).status == "Accepted"
    assert powers(pair) == [5.0]
    put(pair, dynamic(pair, schedule={"duration": 60}, dynUpdateInterval=30))
    pair.backend.updates[2] = {"limit": 1500.0}
    for _ in range(5):
        pair.run(31)
        assert powers(pair) == [1.5], "what is pulled keeps it alive"
    count = len(pair.backend.payloads("PullDynamicScheduleUpdate"))
    put(pair, dynamic(pair, dynUpdateInterval=0))
    pair.run(300)
    assert len(pair.backend.payloads("PullDynamicScheduleUpdate")) == count
