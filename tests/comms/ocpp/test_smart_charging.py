"""K01, K02, K05-K10: what a station does with the profiles it took."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import START_S, Pair, a_car, profile_2
from smart_charging_world import (
    BEFORE,
    Wire,
    absolute,
    default,
    for_tx,
    outside,
    powers,
    put,
    refusal,
    tx_id,
    world,
)

from pendel.comms.ocpp.station.external_system import Order
from pendel.comms.ocpp.station.smart_charging import SmartCharging

STEPS = [{"startPeriod": 0, "limit": 6000}, {"startPeriod": 300, "limit": 3000}]


def at(seconds: float) -> str:
    """A time after the start of the test."""
    return datetime.fromtimestamp(START_S + seconds, UTC).isoformat()


def composite(pair: Pair, evse_id: int = 1, seconds: int = 900, **more: Any) -> list[Wire]:
    asked = pair.ask("GetCompositeSchedule", {"evseId": evse_id, "duration": seconds, **more})
    assert asked.status == "Accepted"
    names = ("startPeriod", "limit")
    return [{n: getattr(p, n) for n in names} for p in asked.schedule.chargingSchedulePeriod]


# K01: when what holds


@pytest.mark.proves("K01.FR.10", "K01.FR.13", "K01.FR.30")
@pytest.mark.parametrize(
    ("schedule", "more", "expected"),
    [
        ({"startSchedule": BEFORE}, {}, {0: 4.0, 9 * 86_400: 4.0}),
        ({"startSchedule": at(300)}, {}, {0: 11.0, 290: 11.0, 310: 4.0}),
        ({"startSchedule": at(-60), "duration": 360},
         {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"},
         {0: 4.0, 290: 4.0, 310: 11.0, 86_400: 4.0, 86_710: 11.0}),
        ({"startSchedule": at(-60), "duration": 360},
         {"chargingProfileKind": "Recurring", "recurrencyKind": "Weekly"},
         {0: 4.0, 310: 11.0, 86_400: 11.0, 7 * 86_400: 4.0}),
        ({"startSchedule": BEFORE}, {"validFrom": at(100), "validTo": at(200)},
         {0: 11.0, 110: 4.0, 210: 11.0}),
    ],
)  # fmt: skip
def test_when_a_default_holds(schedule: Wire, more: Wire, expected: dict[int, float]) -> None:
    pair = world()
    car = pair.station.evses[1].car
    assert car is not None
    car.capacity_kwh = car.target_kwh = 1e6
    assert refusal(put(pair, default(3, 4000, schedule=schedule, **more))) == ""
    for seconds, kw in expected.items():
        pair.run(START_S + seconds - pair.now_s, step_s=3600.0)
        assert powers(pair) == [kw], seconds


@pytest.mark.proves("K01.FR.04", "K01.FR.42")
def test_a_relative_schedule_begins_when_energy_may_flow() -> None:
    pair = world(cars=0)
    assert refusal(put(pair, profile_2(3, "TxDefaultProfile", STEPS, chargingProfileKind="Relative")
                       )) == ""  # fmt: skip
    pair.plug(a_car(id_token=""))
    pair.run(200)
    assert powers(pair) == [0.0], "nobody was let in yet"
    pair.station.show_card(1, "TAG1", pair.now_s)
    pair.pump()
    pair.run(290)
    assert powers(pair) == [6.0]
    pair.run(10)
    assert powers(pair) == [3.0]
    tx = for_tx(pair, 4, 2000, schedule={"minChargingRate": 100.0})
    assert refusal(put(pair, tx)) == ""
    assert powers(pair) == [2.0]


@pytest.mark.proves("K01.FR.90", "K01.FR.91")
def test_local_time_disregards_the_offset_that_is_written() -> None:
    pair = world(timezone="Europe/Berlin")  # 23:13:20 on the wall
    start = "2023-11-14T23:20:00Z"
    for local, seconds in ((True, 400), (False, 4000)):
        wire = default(3, 4000, schedule={"startSchedule": start, "useLocalTime": local})
        assert refusal(put(pair, wire)) == ""
        assert [row["startPeriod"] for row in composite(pair, seconds=5000)] == [0, seconds]


@pytest.mark.proves("K01.FR.92", "K01.FR.93", "K01.FR.94", "K08.FR.06")
def test_random_delays_are_drawn_once_for_a_transaction() -> None:
    pair = world(cars=0, evses=1)
    periods = [{"startPeriod": 600 * i, "limit": 1000 * (i + 1)} for i in range(5)]
    wire = profile_2(3, "TxDefaultProfile", periods, chargingProfileKind="Relative",
                     schedule={"randomizedDelay": 300, "duration": 3000})  # fmt: skip

    def starts() -> list[int]:
        return [int(row["startPeriod"]) for row in composite(pair, seconds=3600)]

    assert refusal(put(pair, wire)) == ""
    plain = [0, 600, 1200, 1800, 2400, 3000]
    assert starts() == plain, "without a transaction nothing is delayed"
    drawn = []
    for _ in range(6):
        pair.plug()
        found = starts()
        assert starts() == found, "the same each time it is asked"
        assert (found[0], found[-1]) == (0, 3000), "begin and end stay"
        delays = [late - start for late, start in zip(found, plain, strict=True)]
        assert all(0 <= delay <= 300 for delay in delays)
        drawn.append(tuple(delays[1:-1]))
        pair.unplug()
        pair.run(10)
    assert len(set(drawn)) == 6, "each transaction draws anew"
    assert len({delay for delays in drawn for delay in delays}) > 6, "each period its own"
    pair.plug()
    before = starts()
    assert refusal(put(pair, wire)) == ""
    assert starts() != before, "and a new submission too"


@pytest.mark.proves("K01.FR.100")
def test_limit_at_soc() -> None:
    pair = world()
    car = pair.station.evses[1].car
    assert car is not None
    schedule = {"limitAtSoC": {"soc": 50, "limit": 2000.0}}
    assert refusal(put(pair, default(3, 8000, schedule=schedule))) == ""
    assert powers(pair) == [8.0]
    car.energy_kwh = 0.5 * car.capacity_kwh
    assert powers(pair) == [2.0]
    period = {"limit": 9000.0, "operationMode": "CentralSetpoint", "setpoint": 7000.0}
    wire = for_tx(pair, 4, 0, period=period, schedule=schedule)
    assert refusal(put(pair, wire)) == ""
    assert powers(pair) == [2.0], "the setpoint is capped too"


@pytest.mark.proves("K01.FR.103", "K06.FR.01", "K07.FR.01", "K06.FR.02")
@pytest.mark.parametrize("started_offline", [True, False])
def test_offline_the_profiles_go_on(started_offline: bool) -> None:
    pair = world(cars=0 if started_offline else 1)
    assert refusal(put(pair, default(3, 4000))) == ""
    if not started_offline:
        assert refusal(put(pair, for_tx(pair, 4, 2000))) == ""
    pair.cut()
    if started_offline:
        pair.plug()
    for _ in range(3):
        pair.run(3600, step_s=600.0)
        assert powers(pair) == [4.0 if started_offline else 2.0]
    bare = world()
    bare.cut()
    assert powers(bare) == [11.0]


# K05: a remote start with its profile


def start(pair: Pair, profile: Wire | None) -> Any:
    order = {"idToken": {"idToken": "TAG1", "type": "ISO14443"}, "remoteStartId": 7, "evseId": 1}
    if profile is not None:
        order["chargingProfile"] = profile
    return pair.ask("RequestStartTransaction", order)


@pytest.mark.proves("K05.FR.03", "K05.FR.05")
@pytest.mark.parametrize("plugged", [True, False])
def test_a_remote_start_brings_its_profile(plugged: bool) -> None:
    pair = world(cars=0)
    if plugged:
        pair.plug(a_car(id_token=""))
    wrong = default(4, 3000)
    assert refusal(start(pair, wrong)) == "InvalidProfile"
    crooked = absolute(4, "TxProfile", 3000, period={"startPeriod": 5})
    assert refusal(start(pair, crooked)) == "InvalidSchedule"
    assert powers(pair) == [0.0]
    assert start(pair, absolute(4, "TxProfile", 3000)).status == "Accepted"
    if not plugged:
        pair.plug(a_car(id_token=""))
    assert powers(pair) == [3.0]
    assert composite(pair) == [{"startPeriod": 0, "limit": 3000.0}]
    assert pair.station.profiles.by_id[4].transaction_id == tx_id(pair)


@pytest.mark.proves("K05.FR.04")
def test_without_smart_charging_a_remote_start_ignores_the_profile() -> None:
    pair = world(cars=0, smart=SmartCharging(available=False))
    pair.plug(a_car(id_token=""))
    assert start(pair, absolute(4, "TxProfile", 3000)).status == "Accepted"
    assert powers(pair) == [11.0]
    assert not pair.station.profiles.by_id


# K08 to K10: asked, reported, cleared


@pytest.mark.proves("K08.FR.03", "K08.FR.04", "K08.FR.06")
def test_the_composite_of_the_whole_station_is_the_sum_inside_its_limits() -> None:
    pair = world(cars=1, evses=2)
    assert refusal(put(pair, default(3, 4000), 1)) == ""
    assert refusal(put(pair, profile_2(4, "TxDefaultProfile", STEPS, stackLevel=1,
                                       chargingProfileKind="Relative"), 2)) == ""  # fmt: skip
    assert composite(pair, 1) == [{"startPeriod": 0, "limit": 4000.0}]
    own = [{"startPeriod": 0, "limit": 6000.0}, {"startPeriod": 300, "limit": 3000.0}]
    assert composite(pair, 2) == own, "as if a transaction began now"
    total = [{"startPeriod": 0, "limit": 10_000.0}, {"startPeriod": 300, "limit": 7000.0}]
    assert composite(pair, 0) == total
    cap = absolute(5, "ChargingStationMaxProfile", 8000)
    assert refusal(put(pair, cap, 0)) == ""
    total[0]["limit"] = 8000.0
    assert composite(pair, 0) == total
    assert outside(pair).set("EMS", Order(limit_kw=3.5), pair.now_s) == ""
    assert composite(pair, 0) == [{"startPeriod": 0, "limit": 3500.0}]
    more = absolute(6, "LocalGeneration", 1000)
    assert refusal(put(pair, more, 0)) == ""
    assert composite(pair, 0) == [{"startPeriod": 0, "limit": 4500.0}]


@pytest.mark.proves("K08.FR.07")
def test_a_unit_that_is_not_configured() -> None:
    pair = world(smart=SmartCharging(rate_units=("A",)))
    order = {"evseId": 1, "duration": 60, "chargingRateUnit": "W"}
    assert refusal(pair.ask("GetCompositeSchedule", order)) == "UnsupportedRateUnit"
    assert composite(pair, chargingRateUnit="A")[0]["limit"] == pytest.approx(
        11_000 / 690, abs=1e-3
    )


@pytest.mark.proves("K08.FR.08")
def test_setpoints_are_capped_in_the_composite() -> None:
    pair = world()
    for setpoint, low, high, expected in ((9e3, -5e3, 9e3, 4e3), (-9e3, -9e3, 9e3, -2e3)):
        period = {"limit": high, "dischargeLimit": low, "setpoint": setpoint,
                  "operationMode": "CentralSetpoint", "setpointReactive": 400.0}  # fmt: skip
        assert refusal(put(pair, for_tx(pair, 4, 0, period=period))) == ""
        order = Order(limit_kw=4.0, discharge_kw=2.0)
        assert outside(pair).set("SO", order, pair.now_s) == ""
        asked = pair.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60})
        (row,) = asked.schedule.chargingSchedulePeriod
        assert (row.setpoint, row.setpointReactive) == (expected, 400.0)
        assert powers(pair) == [expected / 1000]


@pytest.mark.proves("K08.FR.09")
def test_values_of_the_phases_are_in_the_composite() -> None:
    pair = world()
    wire = for_tx(pair, 4, 3000, period={"limit_L2": 2000, "limit_L3": 1000})
    assert refusal(put(pair, wire)) == ""
    asked = pair.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    (row,) = asked.schedule.chargingSchedulePeriod
    assert (row.limit, row.limit_L2, row.limit_L3) == (3000, 2000, 1000)
    assert powers(pair) == [6.0]
    assert refusal(put(pair, absolute(5, "ChargingStationMaxProfile", 4500), 0)) == ""
    asked = pair.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    (row,) = asked.schedule.chargingSchedulePeriod
    assert (row.limit, row.limit_L2, row.limit_L3) == (1500, 1500, 1000)
    assert powers(pair) == [4.0]


@pytest.mark.proves("K09.FR.01", "K09.FR.02", "K09.FR.04", "K09.FR.05", "K09.FR.06", "K11.FR.06")
def test_reports_by_evse_source_purpose_level_and_id() -> None:
    pair = world(cars=2)
    for number in range(3, 15):  # more than one message holds
        assert refusal(put(pair, default(number, 4000, level=number), 1)) == ""
    assert refusal(put(pair, default(20, 4000), 2)) == ""
    assert refusal(put(pair, absolute(21, "ChargingStationMaxProfile", 9000), 0)) == ""
    outside(pair).set("EMS", Order(limit_kw=8.0), pair.now_s)
    pair.pump()
    own = set(range(3, 15))
    for number, (evse_id, criterion, expected) in enumerate(
        (
            (None, {}, own | {20, 21, -1}),
            (1, {}, own),
            (2, {}, {20}),
            (0, {}, {21, -1}),
            (None, {"chargingLimitSource": ["EMS"]}, {-1}),
            (None, {"chargingLimitSource": ["CSO", "EMS"], "stackLevel": 0}, {20, 21, -1}),
            (1, {"chargingProfileId": [4, 20]}, {4}),
            (None, {"chargingProfilePurpose": "ChargingStationExternalConstraints"}, {-1}),
        )
    ):
        asked = {"requestId": 100 + number, "chargingProfile": criterion}
        if evse_id is not None:
            asked["evseId"] = evse_id
        assert pair.ask("GetChargingProfiles", asked).status == "Accepted"
        told = [p for p in pair.backend.payloads("ReportChargingProfiles")
                if p["requestId"] == 100 + number]  # fmt: skip
        assert {p["id"] for part in told for p in part["chargingProfile"]} == expected
        assert [part.get("tbc", False) for part in told] == [True] * (len(told) - 1) + [False]
        for part in told:
            is_outside = part["chargingLimitSource"] != "CSO"
            assert is_outside is all(p["id"] < 0 for p in part["chargingProfile"])


@pytest.mark.proves(
    "K10.FR.01", "K10.FR.03", "K10.FR.04", "K10.FR.05", "K10.FR.07", "K10.FR.08", "K10.FR.09",
    "K13.FR.01",
)  # fmt: skip
def test_what_is_cleared_and_what_never_is() -> None:
    pair = world()
    outside(pair).set("EMS", Order(limit_kw=8.0), pair.now_s)
    outside(pair).set("EMS", Order(limit_kw=1.0), pair.now_s, generation=True)
    pair.pump()

    def clear(number: int | None = None, **criteria: Any) -> str:
        order: Wire = {} if number is None else {"chargingProfileId": number}
        if criteria:
            order["chargingProfileCriteria"] = criteria
        return str(pair.ask("ClearChargingProfile", order).status)

    put(pair, default(3, 4000), 1)
    put(pair, default(4, 3000, level=1), 1)
    put(pair, absolute(5, "ChargingStationMaxProfile", 7000), 0)
    assert powers(pair) == [4.0]
    assert clear(9) == "Unknown" and clear(stackLevel=7) == "Unknown"
    assert clear(evseId=1, stackLevel=1) == "Accepted"
    assert powers(pair) == [5.0]
    assert clear(3) == "Accepted"
    assert powers(pair) == [8.0], "the transaction goes on as if it had begun without"
    assert tx_id(pair)
    assert refusal(put(pair, default(-1, 1, level=9))) == "InvalidProfileId"
    for gone in (clear(-1), clear(-2), clear(chargingProfilePurpose="LocalGeneration"),
                 clear(chargingProfilePurpose="ChargingStationExternalConstraints"),
                 ):  # fmt: skip
        assert gone == "Unknown"
    assert clear(evseId=0, stackLevel=0) == "Accepted"
    assert set(pair.station.profiles.by_id) == {-1, -2}
    assert powers(pair) == [9.0]


@pytest.mark.proves("K02.FR.08", "K02.FR.04")
@pytest.mark.parametrize(
    "ends", [{"schedule": {"duration": 120, "startSchedule": at(0)}}, {"validTo": at(120)}]
)
def test_after_a_tx_profile_the_lowest_of_the_rest_holds(ends: Wire) -> None:
    pair = world()
    put(pair, default(3, 6000))
    put(pair, absolute(4, "ChargingStationMaxProfile", 5000), 0)
    assert refusal(put(pair, for_tx(pair, 5, 1000, **ends))) == ""
    assert powers(pair) == [1.0]
    pair.run(120)
    assert powers(pair) == [5.0]
    pair.ask("ClearChargingProfile", {"chargingProfileId": 4})
    assert powers(pair) == [6.0]
    pair.ask("ClearChargingProfile", {"chargingProfileId": 3})
    assert powers(pair) == [11.0], "the local limit of the station"


def test_a_station_without_features_says_so() -> None:
    smart = replace(SmartCharging(), features=frozenset())
    pair = world(smart=smart)
    wire = default(3, 4000) | {"maxOfflineDuration": 60}
    assert refusal(put(pair, wire)) == "UnsupportedParam"
