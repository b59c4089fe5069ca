"""Smart charging of OCPP 1.6 edition 2: sections 3.13, 5.5, 5.7, 5.16 and 9.4."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import Pair, a_car
from smart_charging_world import BEFORE, Wire, powers, world

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.smart_charging import SmartCharging

Make = Callable[[], Wire]


def profile(number: int, watts: float, purpose: str = "TxDefaultProfile", **more: Any) -> Wire:
    period = {"startPeriod": 0, "limit": watts, **more.pop("period", {})}
    schedule = {"chargingRateUnit": "W", "startSchedule": BEFORE,
                "chargingSchedulePeriod": [period], **more.pop("schedule", {})}  # fmt: skip
    return {
        "chargingProfileId": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **more,
    }


def put(pair: Pair, wire: Wire, connector: int = 1) -> str:
    order = {"connectorId": connector, "csChargingProfiles": wire}
    return str(pair.ask("SetChargingProfile", order).status)


def clear(pair: Pair, **criteria: Any) -> str:
    return str(pair.ask("ClearChargingProfile", criteria).status)


def composite(pair: Pair, connector: int, seconds: int = 600, **more: Any) -> list[list[float]]:
    order = {"connectorId": connector, "duration": seconds, **more}
    schedule = pair.ask("GetCompositeSchedule", order).chargingSchedule
    return [[p.startPeriod, p.limit] for p in schedule.chargingSchedulePeriod]


REFUSED: list[tuple[str, SmartCharging, int, Make]] = [
    ("maximum at connector 0 only", SmartCharging(), 1,
     lambda: profile(3, 1, "ChargePointMaxProfile")),
    ("TxProfile without a transaction", SmartCharging(), 2, lambda: profile(3, 1, "TxProfile")),
    ("TxProfile at connector 0", SmartCharging(), 0, lambda: profile(3, 1, "TxProfile")),
    ("another transaction", SmartCharging(), 1,
     lambda: profile(3, 1, "TxProfile", transactionId=99)),
    ("no such connector", SmartCharging(), 7, lambda: profile(3, 1)),
    ("stack level", SmartCharging(stack_level_max=2), 1, lambda: profile(3, 1, stackLevel=3)),
    ("unit", SmartCharging(rate_units=("A",)), 1, lambda: profile(3, 1)),
    ("periods", SmartCharging(periods_max=1), 1, lambda: profile(3, 1, schedule={
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1}, {"startPeriod": 9, "limit": 2}],
    })),
    ("installed", SmartCharging(entries_max=0), 1, lambda: profile(3, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("why", "smart", "connector", "make"), REFUSED, ids=lambda v: str(v)[:24])
def test_refused(why: str, smart: SmartCharging, connector: int, make: Make) -> None:
    pair = world(Version.V16, cars=1, evses=2, smart=smart)
    assert put(pair, make(), connector) == "Rejected", why
    assert not pair.station.profiles.by_id


def test_a_default_of_one_connector_goes_before_that_of_all() -> None:
    pair = world(Version.V16, cars=2)
    assert put(pair, profile(3, 4000), 0) == "Accepted"
    assert powers(pair) == [4.0, 4.0]
    assert put(pair, profile(4, 2000), 1) == "Accepted"
    assert powers(pair) == [2.0, 4.0]
    assert put(pair, profile(5, 3000), 1) == "Accepted", "the same place: replaced"
    assert sorted(pair.station.profiles.by_id) == [3, 5]
    assert powers(pair) == [3.0, 4.0]
    assert put(pair, profile(6, 1000, stackLevel=1), 0) == "Accepted"
    assert powers(pair) == [1.0, 1.0]


def test_tx_profile_over_default_and_the_maximum_for_all_together() -> None:
    pair = world(Version.V16, cars=2)
    put(pair, profile(3, 6000), 0)
    assert put(pair, profile(4, 9000, "TxProfile", transactionId=1), 1) == "Accepted"
    assert powers(pair) == [9.0, 6.0]
    assert put(pair, profile(5, 10_000, "ChargePointMaxProfile"), 0) == "Accepted"
    assert powers(pair) == [5.0, 5.0]
    assert composite(pair, 1) == [[0, 9000.0]]
    assert composite(pair, 0) == [[0, 10_000.0]]
    pair.unplug(1)
    assert 4 not in pair.station.profiles.by_id
    assert powers(pair) == [0.0, 6.0]
    pair.plug(a_car(id_token="TAG3"), 1)
    assert powers(pair) == [5.0, 5.0]


def test_an_update_that_begins_later_leaves_a_gap() -> None:
    pair = world(Version.V16)
    put(pair, profile(3, 4000))
    assert put(pair, profile(4, 2000, validFrom="2023-11-14T22:18:20Z")) == "Accepted"
    assert powers(pair) == [11.0]
    pair.run(300)
    assert powers(pair) == [2.0]


def test_composite_schedules() -> None:
    pair = world(Version.V16, smart=SmartCharging(rate_units=("A", "W")))
    steps = [{"startPeriod": 0, "limit": 6900.0}, {"startPeriod": 300, "limit": 2300.0,
                                                  "numberPhases": 1}]  # fmt: skip
    wire = profile(3, 0, chargingProfileKind="Relative")
    wire["chargingSchedule"] = {"chargingRateUnit": "W", "chargingSchedulePeriod": steps}
    assert put(pair, wire) == "Accepted"
    assert composite(pair, 1) == [[0, 6900.0], [300, 2300.0]]
    assert composite(pair, 1, chargingRateUnit="A") == [[0, 10.0], [300, 10.0]]
    assert composite(pair, 1, seconds=300) == [[0, 6900.0]]
    for connector in (1, 2):
        order = {"connectorId": connector, "duration": 60, "chargingRateUnit": "W"}
        status = pair.ask("GetCompositeSchedule", order).status
        assert status == ("Accepted" if connector == 1 else "Rejected")
    amperes = world(Version.V16, smart=SmartCharging(rate_units=("A",)))
    order = {"connectorId": 1, "duration": 60, "chargingRateUnit": "W"}
    assert amperes.ask("GetCompositeSchedule", order).status == "Rejected"


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({"id": 3}, {4, 5, 6}),
        ({"connectorId": 0}, {4, 5}),
        ({"chargingProfilePurpose": "ChargePointMaxProfile"}, {3, 4, 5}),
        ({"stackLevel": 1}, {3, 4, 6}),
        ({"connectorId": 1, "stackLevel": 0}, {3, 5, 6}),
        ({}, set()),
        ({"id": 9}, {3, 4, 5, 6}),
    ],
)
def test_clearing(criteria: Wire, left: set[int]) -> None:
    pair = world(Version.V16)
    put(pair, profile(3, 1000), 0)
    put(pair, profile(4, 1000), 1)
    put(pair, profile(5, 1000, stackLevel=1), 1)
    put(pair, profile(6, 1000, "ChargePointMaxProfile"), 0)
    status = clear(pair, **criteria)
    assert status == ("Accepted" if len(left) < 4 else "Unknown")
    assert set(pair.station.profiles.by_id) == left


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda: profile(4, 3000, "TxProfile"), "Accepted"),
        (lambda: profile(4, 3000), "Rejected"),
        (lambda: profile(4, 3000, "TxProfile", schedule={
            "chargingSchedulePeriod": [{"startPeriod": 5, "limit": 1}]}), "Rejected"),
    ],
)  # fmt: skip
def test_remote_start_with_a_profile(make: Make, status: str) -> None:
    pair = world(Version.V16, cars=0)
    pair.plug(a_car(id_token=""))
    order = {"idTag": "TAG1", "connectorId": 1, "chargingProfile": make()}
    assert pair.ask("RemoteStartTransaction", order).status == status
    if status == "Rejected":
        assert powers(pair) == [0.0]
        return
    assert powers(pair) == [3.0]
    again = profile(8, 2000, "TxProfile", transactionId=pair.backend.transactions)
    assert put(pair, again) == "Accepted"
    assert set(pair.station.profiles.by_id) == {8}, "the same stack level: replaced (5.16.2)"
    assert powers(pair) == [2.0]


def test_what_a_charge_point_can_is_in_its_configuration() -> None:
    smart = SmartCharging(stack_level_max=8, periods_max=24, entries_max=10, rate_units=("A",))
    pair = world(Version.V16, smart=smart)
    keys = {
        "ChargeProfileMaxStackLevel": "8",
        "ChargingScheduleAllowedChargingRateUnit": "Current",
        "ChargingScheduleMaxPeriods": "24",
        "MaxChargingProfilesInstalled": "10",
        "ConnectorSwitch3to1PhaseSupported": "true",
    }
    told = pair.ask("GetConfiguration", {"key": list(keys)}).configurationKey
    assert {each.key: each.value for each in told} == keys
    assert all(each.readonly for each in told)


def test_offline_the_profiles_go_on() -> None:
    pair = world(Version.V16)
    put(pair, profile(3, 6000))
    put(pair, profile(4, 2000, "TxProfile"))
    pair.cut()
    pair.run(600)
    assert powers(pair) == [2.0]
    pair.unplug()
    pair.plug()
    assert powers(pair) == [6.0]
    bare = world(Version.V16, cars=0)
    bare.cut()
    bare.plug()
    assert powers(bare) == [11.0]
