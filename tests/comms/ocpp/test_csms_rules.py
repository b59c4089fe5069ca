"""The backend's rules without any socket: answers, transactions, metering, replays."""

import itertools
import json
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))

from schema_examples import example

import generate_ocpp
from pendel.comms.ocpp.backend.csms import Csms, Reply
from pendel.comms.ocpp.backend.tokens import TokenInfo
from pendel.comms.ocpp.backend.transactions import SequenceSet
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.release import Version, messages_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOLDERS = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}


class OpenPolicy:
    def token(self, token: str, now_utc: datetime) -> TokenInfo:
        return TokenInfo("Invalid" if token == "stolen" else "Accepted")

    def boot_status(self, station_id: str) -> str:
        return {"WAITING": "Pending", "UNWANTED": "Rejected"}.get(station_id, "Accepted")

    def v2x_allowed(self, station_id: str, token: str, evcc_id: str) -> bool | None:
        return token != "one-way"

    def steers(self, station_id: str) -> bool:
        return station_id != "UNSTEERED"


def csms() -> Csms:
    count = itertools.count(1)
    return Csms(OpenPolicy(), lambda: f"record-{next(count)}")


def typed(version: Version, action: str, payload: dict[str, Any]) -> Any:
    text = json.dumps(payload)
    return msgspec.json.decode(text, type=messages_of(version).REQUESTS[action])


def ask(
    backend: Csms,
    version: Version,
    action: str,
    payload: dict[str, Any],
    station: str = "S",
    now: datetime = NOW,
) -> Reply:
    request = typed(version, action, payload)
    return backend.handle(station, version, "m", action, request, now)


def booted(version: Version, station: str = "S") -> Csms:
    backend = csms()
    backend.network.station(station).booted = True
    return backend


def event(
    seq: int,
    kind: str = "Updated",
    transaction: str = "T",
    wh: float | None = None,
    minute: int | None = None,
    **extra: Any,
) -> dict[str, Any]:
    when = (NOW + timedelta(minutes=seq if minute is None else minute)).isoformat()
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": when,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": seq,
        "transactionInfo": {"transactionId": transaction},
        "evse": {"id": 1},
        **extra,
    }
    if wh is not None:
        payload["meterValue"] = [{"timestamp": when, "sampledValue": [{"value": wh}]}]
    return payload


@pytest.mark.parametrize("version", list(Version))
def test_every_request_of_the_schemas_is_answered_by_its_schema(version: Version) -> None:
    schemas = generate_ocpp.schemas(FOLDERS[version])
    rng = random.Random(3)
    answered = set()
    for name, schema in schemas.items():
        action = name.removesuffix("Request")
        if name.endswith("Response") or f"{action}Response" not in schemas:
            continue
        backend = booted(version)
        judge = jsonschema_rs.validator_for(schemas[f"{action}Response"])
        for full in (True, False):
            payload = example(rng, schema, schema, full)
            reply = ask(backend, version, action, payload)
            if reply.code is not None:
                assert reply.code is ErrorCode.NOT_SUPPORTED
                continue
            answered.add(action)
            assert judge.is_valid(json.loads(msgspec.json.encode(reply.response))), name
    from_station = {
        Version.V16: {"BootNotification", "StartTransaction", "StopTransaction", "MeterValues"},
        Version.V201: {"TransactionEvent", "NotifyReport", "SignCertificate", "NotifyEvent"},
        Version.V21: {"NotifyDERAlarm", "NotifyDERStartStop", "ReportDERControl", "BatterySwap"},
    }[version]
    assert from_station <= answered
    assert not answered & {"Reset", "SetChargingProfile", "ChangeAvailability"}


def test_before_boot_2x_is_refused_and_asked_to_boot_and_1_6_is_served() -> None:
    for version in (Version.V201, Version.V21):
        backend = csms()
        first = ask(backend, version, "Heartbeat", {})
        assert first.code is ErrorCode.SECURITY_ERROR
        assert [order.action for order in first.orders] == ["TriggerMessage"]
        assert not ask(backend, version, "Heartbeat", {}).orders, "asked once a minute at most"
        boot = {"chargingStation": {"vendorName": "v", "model": "m"}, "reason": "PowerUp"}
        assert ask(backend, version, "BootNotification", boot).response.status == "Accepted"
        assert ask(backend, version, "Heartbeat", {}).code is None
    assert ask(csms(), Version.V16, "Heartbeat", {}).code is None


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(range(8)), st.lists(st.integers(0, 7), max_size=8), st.sets(st.integers(1, 6))
)
def test_events_in_any_order_and_repeated_give_the_same_transaction(
    order: list[int], repeats: list[int], lost: set[int]
) -> None:
    backend = booted(Version.V21)
    kinds = {0: "Started", 7: "Ended"}
    stored = []
    for seq in [*order, *repeats]:
        if seq in lost:
            continue
        reply = ask(
            backend,
            Version.V21,
            "TransactionEvent",
            event(seq, kinds.get(seq, "Updated"), wh=1000.0 + 100 * seq),
        )
        assert reply.code is None
        assert reply.repeat is (reply.record is None)
        stored += [reply.record] if reply.record else []
    transaction = backend.network.station("S").transactions["T"]
    assert transaction.events == len(stored) == 8 - len(lost)
    assert transaction.gaps() == sorted(lost)
    assert transaction.imported.kwh == pytest.approx(0.7)
    assert transaction.started_utc == NOW
    assert transaction.ended_utc == NOW + timedelta(minutes=7)
    again = csms()
    again.replay(stored)
    assert again.network.station("S").transactions["T"] == transaction


def test_same_seq_under_a_new_id_is_answered_and_counted_once() -> None:
    backend = booted(Version.V21)
    payload = event(0, "Started", idToken={"idToken": "stolen", "type": "ISO14443"})
    first = ask(backend, Version.V21, "TransactionEvent", payload)
    second = ask(backend, Version.V21, "TransactionEvent", {**payload, "offline": True})
    assert first.response == second.response
    assert first.response.idTokenInfo.status == "Invalid"
    assert first.record is not None and second.record is None and second.repeat
    assert backend.network.station("S").transactions["T"].events == 1


def test_an_event_that_could_not_be_stored_counts_when_it_comes_again() -> None:
    backend = booted(Version.V21)
    first = ask(backend, Version.V21, "TransactionEvent", event(0, "Started"))
    assert first.key is not None
    backend.forget("S", first.key)
    assert backend.network.station("S").transactions == {}
    assert ask(backend, Version.V21, "TransactionEvent", event(0, "Started")).record is not None
    old = booted(Version.V16)
    start = {"connectorId": 1, "idTag": "T", "meterStart": 5, "timestamp": NOW.isoformat()}
    lost = ask(old, Version.V16, "StartTransaction", start)
    assert lost.key is not None
    old.forget("S", lost.key)
    assert not ask(old, Version.V16, "StartTransaction", start).repeat


def test_transactions_of_two_stations_do_not_touch() -> None:
    backend = booted(Version.V21)
    backend.network.station("OTHER").booted = True
    ask(backend, Version.V21, "TransactionEvent", event(0, "Started"), "S")
    reply = ask(backend, Version.V21, "TransactionEvent", event(0, "Started"), "OTHER")
    assert not reply.repeat
    start = {"connectorId": 1, "idTag": "T", "meterStart": 5, "timestamp": NOW.isoformat()}
    given_s = ask(backend, Version.V16, "StartTransaction", start, "S").response.transactionId
    given_o = ask(backend, Version.V16, "StartTransaction", start, "OTHER").response.transactionId
    assert given_s != given_o
    stop = {"transactionId": given_s, "meterStop": 9, "timestamp": NOW.isoformat()}
    foreign = ask(backend, Version.V16, "StopTransaction", stop, "OTHER")
    assert foreign.record is not None and foreign.record.refused
    assert backend.network.station("S").transactions[str(given_s)].is_open


def test_missing_events_are_asked_for() -> None:
    backend = booted(Version.V201)
    ask(backend, Version.V201, "TransactionEvent", event(0, "Started"))
    reply = ask(backend, Version.V201, "TransactionEvent", event(4, "Ended"))
    assert [order.action for order in reply.orders] == ["GetTransactionStatus"]
    assert reply.orders[0].payload.transactionId == "T"
    assert backend.network.station("S").transactions["T"].gaps() == [1, 2, 3]


def test_1_6_counts_from_start_to_stop_and_never_twice() -> None:
    backend = booted(Version.V16)
    start = {"connectorId": 2, "idTag": "T", "meterStart": 1_000, "timestamp": NOW.isoformat()}
    first = ask(backend, Version.V16, "StartTransaction", start)
    again = ask(backend, Version.V16, "StartTransaction", start)
    assert first.response == again.response and again.repeat
    number = first.response.transactionId

    def values(minute: int, export_kwh: str) -> dict[str, Any]:
        when = (NOW + timedelta(minutes=minute)).isoformat()
        sampled = [
            {"value": export_kwh, "measurand": "Energy.Active.Export.Register", "unit": "kWh"},
            {"value": "2500"},
            {"value": "-3.5", "measurand": "Power.Active.Import", "unit": "kW"},
            {"value": "not a number", "measurand": "SoC"},
        ]
        meter = [{"timestamp": when, "sampledValue": sampled}]
        return {"connectorId": 2, "transactionId": number, "meterValue": meter}

    for minute, kwh in ((10, "2.5"), (10, "2.5"), (20, "4.0")):
        reply = ask(backend, Version.V16, "MeterValues", values(minute, kwh))
        assert reply.repeat or (reply.record is not None and len(reply.record.refused) == 1)
    stop = {
        "transactionId": number,
        "meterStop": 4_000,
        "timestamp": (NOW + timedelta(hours=1)).isoformat(),
        "transactionData": values(50, "4.5")["meterValue"],
    }
    for repeat in (False, True):
        assert ask(backend, Version.V16, "StopTransaction", stop).repeat is repeat
    transaction = backend.network.station("S").transactions[str(number)]
    assert transaction.events == 4
    assert transaction.imported.kwh == 3.0
    assert transaction.exported.kwh == 2.0
    assert transaction.evse_id == 2 and not transaction.is_open and transaction.refused == 3


def test_units_multipliers_phases_and_places() -> None:
    backend = booted(Version.V21)

    def send(seq: int, sampled: list[dict[str, Any]]) -> Reply:
        payload = event(seq)
        payload["meterValue"] = [{"timestamp": payload["timestamp"], "sampledValue": sampled}]
        return ask(backend, Version.V21, "TransactionEvent", payload)

    register, export = "Energy.Active.Import.Register", "Energy.Active.Export.Register"
    send(0, [{"value": 1.0, "unitOfMeasure": {"unit": "kWh"}}, {"value": 3, "measurand": export}])
    send(
        1, [{"value": 1.5, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}, "measurand": register}]
    )
    transaction = backend.network.station("S").transactions["T"]
    assert transaction.imported.kwh == pytest.approx(0.5)
    phases = [
        {"value": 700 + i, "phase": f"L{i}", "measurand": register, "location": "Outlet"}
        for i in (1, 2, 3)
    ]
    send(2, [*phases, {"value": 9e9, "location": "Inlet"}, {"value": 1, "measurand": "Voltage"}])
    assert transaction.imported.kwh == pytest.approx(1.106)
    power = [
        {"value": 1.0, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "kW"}},
        {"value": 4.5, "measurand": "Power.Active.Export", "unitOfMeasure": {"multiplier": 3}},
        {"value": 45, "measurand": "SoC", "location": "EV"},
    ]
    send(3, power)
    assert transaction.power_w == -3_500.0 and transaction.soc == 0.45
    for wrong in (
        [{"value": 1, "unitOfMeasure": {"unit": "banana"}}],
        [{"value": 1, "unitOfMeasure": {"multiplier": 400}}],
        [{"value": -5}],
        [{"value": 1e300}],
        [{"value": 101, "measurand": "SoC"}],
        [{"value": 100.0}],
    ):
        seq = transaction.sequence.highs[-1] + 1
        reply = send(seq, wrong)
        assert reply.code is None and reply.record is not None and reply.record.refused, wrong
        assert json.loads(reply.record.payload)["meterValue"][0]["sampledValue"] == wrong
    assert transaction.imported.kwh == pytest.approx(1.106)
    assert transaction.refused == 6


@pytest.mark.parametrize("year", [1970, 2099])
def test_a_wrong_clock_loses_nothing(year: int) -> None:
    backend = booted(Version.V21)
    for seq, kind in ((0, "Started"), (1, "Updated"), (2, "Ended")):
        payload = event(seq, kind, wh=100.0 * seq)
        if seq == 1:
            payload["timestamp"] = f"{year}-01-01T00:00:00Z"
            payload["meterValue"][0]["timestamp"] = payload["timestamp"]
        assert ask(backend, Version.V21, "TransactionEvent", payload).code is None
    transaction = backend.network.station("S").transactions["T"]
    assert (transaction.events, transaction.imported.kwh) == (3, pytest.approx(0.2))


@pytest.mark.proves(
    "K18.FR.02", "K18.FR.03", "K18.FR.05", "K19.FR.02", "K19.FR.03", "K19.FR.05", "Q01.FR.07"
)
def test_needs_are_answered_at_once_by_version() -> None:
    needs = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}}
    backend = booted(Version.V21)
    assert ask(backend, Version.V21, "NotifyEVChargingNeeds", needs).response.status == "Processing"
    ask(backend, Version.V21, "TransactionEvent", event(0, "Started"))
    assert ask(backend, Version.V21, "NotifyEVChargingNeeds", needs).response.status == "Accepted"
    for version, status in ((Version.V21, "NoChargingProfile"), (Version.V201, "Rejected")):
        free = booted(version, "UNSTEERED")
        reply = ask(free, version, "NotifyEVChargingNeeds", needs, "UNSTEERED")
        assert reply.response.status == status


@pytest.mark.proves("Q01.FR.01")
def test_v2x_is_offered_only_to_cars_that_may() -> None:
    backend = booted(Version.V21)

    def allowed(token: str) -> Any:
        payload = {"idToken": {"idToken": token, "type": "ISO14443"}}
        return ask(backend, Version.V21, "Authorize", payload).response.allowedEnergyTransfer

    assert "DC_BPT" in allowed("two-way")
    assert "DC_BPT" not in allowed("one-way") and "DC" in allowed("one-way")
    assert allowed("stolen") is msgspec.UNSET


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 25), st.booleans()), max_size=60))
def test_sequence_set_is_a_set(steps: list[tuple[int, bool]]) -> None:
    found, plain = SequenceSet(), set()
    for number, put in steps:
        if put:
            found.add(number)
            plain.add(number)
        else:
            found.discard(number)
            plain.discard(number)
        assert len(found) == len(plain)
        assert all((n in found) is (n in plain) for n in range(26))
        top = max(plain, default=-1)
        assert found.gaps(0) == [n for n in range(top) if n not in plain]


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_times_at_the_ends_of_the_calendar_are_taken(when: str) -> None:
    backend = booted(Version.V21)
    told = {**event(0, "Started"), "timestamp": when}
    told["meterValue"] = [{"timestamp": when, "sampledValue": [{"value": 5.0}]}]
    reply = ask(backend, Version.V21, "TransactionEvent", told)
    assert reply.code is None and reply.record is not None
    assert backend.network.station("S").transactions["T"].events == 1
