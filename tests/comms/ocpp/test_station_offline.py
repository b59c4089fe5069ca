"""Nothing is lost while the line is down, and what comes back comes in order."""

from typing import Any

import pytest
from scripted_backend import START_S, Pair, a_car, profile_2

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings, Transaction
from pendel.comms.ocpp.station.transaction_queue import Queued, TransactionQueue

ALL = list(Version)
V2 = [Version.V201, Version.V21]


def events(pair: Pair) -> list[dict[str, Any]]:
    return pair.backend.payloads("TransactionEvent")


@pytest.mark.parametrize("version", V2)
def test_a_session_without_a_line_is_told_afterwards(version: Version) -> None:
    pair = Pair(version).connect()
    pair.cut()
    pair.plug()
    pair.run(3600)
    pair.unplug()
    assert events(pair) == []
    pair.connect()
    pair.run(20)
    told = events(pair)
    assert [e["seqNo"] for e in told] == list(range(len(told)))
    assert all(e["offline"] for e in told)
    assert [e["eventType"] for e in (told[0], told[-1])] == ["Started", "Ended"]
    times = [e["timestamp"] for e in told]
    assert times == sorted(times)


def test_16_starts_and_stops_offline_and_gets_its_number_later() -> None:
    pair = Pair(Version.V16).connect()
    pair.cut()
    for _ in range(2):
        pair.plug()
        pair.run(600)
        pair.unplug()
    pair.connect()
    pair.run(20)
    told = [(a, p) for a, p in pair.backend.told if a.endswith("Transaction") or a == "MeterValues"]
    numbers = [p.get("transactionId") for a, p in told]
    first = numbers.index(2) - 1
    assert told[0][0] == "StartTransaction"
    assert set(numbers[1:first]) == {1}
    assert told[first - 1][0] == "StopTransaction"
    assert told[first][0] == "StartTransaction"
    assert set(numbers[first + 1 :]) == {2}


@pytest.mark.parametrize("version", ALL)
def test_the_message_under_way_is_sent_again(version: Version) -> None:
    pair = Pair(version).connect()
    action = "MeterValues" if version is Version.V16 else "TransactionEvent"
    pair.plug()
    pair.run(30)
    pair.backend.silent.add(action)
    pair.run(60)
    waiting = len(pair.station.queue.waiting)
    assert waiting > 0
    pair.cut()
    pair.run(10)
    pair.backend.silent.clear()
    pair.connect()
    pair.run(10)
    assert len(pair.station.queue.waiting) == 0
    if version is not Version.V16:
        assert [e["seqNo"] for e in events(pair)] == list(range(len(events(pair))))


def test_no_answer_is_tried_for_ever_and_a_refusal_three_times() -> None:
    pair = Pair(Version.V21, StationSettings("CS1", attempt_interval_s=10.0)).connect()
    pair.plug()
    pair.run(30)
    pair.backend.silent.add("TransactionEvent")
    pair.run(600)
    assert pair.station.queue.given_up == 0
    pair.backend.silent.clear()
    pair.run(60)
    assert len(pair.station.queue.waiting) == 0
    pair.backend.refuse["TransactionEvent"] = 2
    pair.run(120)
    assert pair.station.queue.given_up == 0
    pair.backend.refuse["TransactionEvent"] = 3
    pair.run(300)
    assert pair.station.queue.given_up == 1
    assert len(pair.station.queue.waiting) == 0


@pytest.mark.parametrize("version", ALL)
def test_ten_thousand_events_come_in_order(version: Version) -> None:
    pair = Pair(version, StationSettings("CS1", meter_interval_s=60.0)).connect()
    pair.plug(a_car(target_kwh=24.0))  # content: it stays plugged in without charging
    pair.run(10)
    pair.cut()
    pair.run(10_000 * 60.0, step_s=100_000.0)
    assert len(pair.station.queue.waiting) >= 10_000
    pair.connect()
    pair.unplug()
    assert len(pair.station.queue.waiting) == 0
    if version is Version.V16:
        times = [p["meterValue"][0]["timestamp"] for p in pair.backend.payloads("MeterValues")]
    else:
        times = [p["timestamp"] for p in events(pair)]
        assert [e["seqNo"] for e in events(pair)] == list(range(len(times)))
    assert len(times) >= 10_000
    assert times == sorted(times)


@pytest.mark.parametrize("version", ALL)
def test_who_came_in_offline_and_is_not_known_is_stopped(version: Version) -> None:
    pair = Pair(version).connect()
    pair.backend.blocked.add("TAG1")
    pair.cut()
    pair.plug()
    pair.run(120)
    assert pair.power_kw == 11.0
    pair.connect()
    pair.run(10)
    assert pair.power_kw == 0.0
    if version is Version.V16:
        assert pair.backend.payloads("StopTransaction")[0]["reason"] == "DeAuthorized"
    else:
        assert events(pair)[-1]["transactionInfo"]["stoppedReason"] == "DeAuthorized"


@pytest.mark.parametrize("version", ALL)
def test_a_line_lost_between_question_and_answer_starts_offline(version: Version) -> None:
    pair = Pair(version).connect()
    pair.backend.silent.add("Authorize")
    pair.plug()
    pair.run(10)
    assert pair.power_kw == 0.0
    pair.cut()
    pair.run(10)
    assert pair.power_kw == 11.0


@pytest.mark.proves("K01.FR.101", "K01.FR.102", "K06.FR.02")
def test_a_profile_that_ran_out_offline_stays_away_if_it_says_so() -> None:
    for forget, kept in ((True, 0), (False, 1)):
        pair = Pair(Version.V21).connect()
        profile = profile_2(
            1,
            "TxDefaultProfile",
            [{"startPeriod": 0, "limit": 4000}],
            maxOfflineDuration=300,
            invalidAfterOfflineDuration=forget,
        )
        profile["chargingSchedule"][0]["startSchedule"] = "2023-11-14T00:00:00Z"
        order = {"evseId": 1, "chargingProfile": profile}
        assert pair.ask("SetChargingProfile", order).status == "Accepted"
        pair.plug()
        pair.run(60)
        assert pair.power_kw == 4.0
        pair.cut()
        pair.run(290)
        assert pair.power_kw == 4.0
        pair.run(20)
        assert pair.power_kw == 11.0  # no fallback below: charging, never exporting
        pair.connect()
        pair.run(10)
        assert len(pair.station.profiles.by_id) == kept
        assert pair.power_kw == (11.0 if forget else 4.0)


def test_needs_are_told_again_when_the_line_swallowed_them() -> None:
    pair = Pair(Version.V21).connect()
    pair.backend.silent.add("NotifyEVChargingNeeds")
    pair.plug()
    pair.run(10)
    pair.cut()
    pair.backend.silent.clear()
    pair.connect()
    pair.run(10)
    assert len(pair.backend.payloads("NotifyEVChargingNeeds")) == 1


def test_a_full_queue_keeps_first_and_last_messages() -> None:
    queue = TransactionQueue(3, 60.0, most=4)
    transaction = Transaction("t", 1, START_S, None)

    def item(name: str, in_between: bool) -> Queued:
        return Queued(name, dict, lambda _: None, transaction, in_between)

    for name in ("start", "a", "b", "c", "d"):
        queue.add(item(name, name != "start"))
    queue.add(item("stop", False))
    assert [q.action for q in queue.waiting] == ["start", "c", "d", "stop"]
    assert queue.dropped == 2
