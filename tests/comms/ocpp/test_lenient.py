"""Lenient mode: what is mended, what stays refused, and that nothing is mended in silence."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))

from schema_examples import example, with_fault

import generate_ocpp
from pendel.comms.ocpp.lenient import mended_call, mended_response
from pendel.comms.ocpp.peer import Answered, Deviation, Peer, Request
from pendel.comms.ocpp.release import Version, messages_of

FOLDERS = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}


def call(payload: Any, action: str = "MeterValues", message_id: Any = "m") -> str:
    return json.dumps([2, message_id, action, payload])


def meter_16(**changes: Any) -> dict[str, Any]:
    sampled = {"value": "12.5", "unit": "Wh"}
    value = {"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [sampled]}
    return {"connectorId": 1, "meterValue": [value]} | changes


def both(frame: str, version: Version = Version.V16) -> tuple[list[Any], list[Any]]:
    """What a strict and a lenient peer make of a frame."""
    strict = Peer(version, lambda: "x")
    lenient = Peer(version, lambda: "x", is_lenient=True)
    return strict.feed(frame, 0.0), lenient.feed(frame, 0.0)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (meter_16(vendorThing={"a": 1}), 'vendorThing is not known: {"a": 1}'),
        (meter_16(connectorId="1"), 'connectorId: Expected `int`, got `str`: "1"'),
        (meter_16(connectorId=1.0), "connectorId: Expected `int`, got `float`: 1.0"),
        (meter_16(transactionId="no number"), "transactionId: Expected `int`"),
    ],
)
def test_what_is_beyond_doubt_is_mended(payload: Any, told: str) -> None:
    strict, lenient = both(call(payload))
    assert [type(e) for e in strict] == [Deviation]
    deviation, request = lenient
    assert isinstance(deviation, Deviation) and deviation.mended and told in deviation.reason
    assert isinstance(request, Request) and request.payload.connectorId == 1


def test_values_and_times_in_the_field() -> None:
    sampled = {"value": 12.5, "unit": "Furlong"}
    value = {"timestamp": "20260301T120000Z", "sampledValue": [sampled]}
    _, lenient = both(call(meter_16(meterValue=[value])))
    deviation, request = lenient
    taken = request.payload.meterValue[0]
    assert taken.timestamp.isoformat() == "2026-03-01T12:00:00+00:00"
    assert taken.sampledValue[0].value == "12.5"
    assert taken.sampledValue[0].unit is msgspec.UNSET
    assert deviation.reason.count(";") == 2, "each change is told"


def test_texts_are_cut_and_anonymous_custom_data_goes() -> None:
    boot = {
        "chargingStation": {"vendorName": "v" * 80, "model": "m", "customData": {"x": 1}},
        "reason": "PowerUp",
    }
    strict, lenient = both(call(boot, "BootNotification"), Version.V201)
    assert [type(e) for e in strict] == [Deviation]
    assert len(lenient[1].payload.chargingStation.vendorName) == 50
    assert "customData without a vendorId" in lenient[0].reason


@pytest.mark.parametrize(
    "frame",
    [
        call({"connectorId": 1}),  # no meterValue
        call(meter_16(connectorId="one")),  # mandatory and senseless
        call({}, "Nonsense"),
        call(meter_16(), message_id=["a"]),
        call(meter_16(), message_id=True),
        '[2,"m"]',
        "[" * 10_000,
        b"\xff\xfe".decode("latin-1"),
        '{"no":"array"}',
    ],
)
def test_what_would_be_guessing_stays_refused(frame: str) -> None:
    strict, lenient = both(frame)
    assert [type(e) for e in strict] == [type(e) for e in lenient] == [Deviation]
    assert not lenient[0].mended


def test_a_number_as_message_id_is_echoed_as_it_came() -> None:
    peer = Peer(Version.V16, lambda: "x", is_lenient=True)
    _, request = peer.feed('[2,7,"Heartbeat"]', 0.0)
    now = messages_of(Version.V16).RESPONSES["Heartbeat"](currentTime="2026-03-01T12:00:00Z")
    peer.respond(request.message_id, now)
    assert peer.outbox[0].startswith(b"[3,7,")


def test_answers_are_mended_too() -> None:
    for is_lenient in (False, True):
        peer = Peer(Version.V201, lambda: "x", is_lenient)
        peer.call("Reset", {"type": "OnIdle"}, 0.0)
        events = peer.feed('[3,"x",{"status":"Accepted","note":"why not"}]', 0.0)
        assert isinstance(events[-1], Answered) is is_lenient


@pytest.mark.parametrize("version", list(Version))
def test_what_was_mended_satisfies_the_official_schema(version: Version) -> None:
    rng, mended = random.Random(4), 0
    schemas = generate_ocpp.schemas(FOLDERS[version])
    for name, schema in schemas.items():
        action = name.removesuffix("Request")
        if name.endswith("Response") or f"{action}Response" not in schemas:
            continue
        judge, text = jsonschema_rs.validator_for(schema), json.dumps(schema)
        if "multipleOf" in text or '"uri"' in text:
            continue  # not enforced by the messages: see tools/generate_ocpp.py
        for _ in range(6):
            broken = with_fault(rng, example(rng, schema, schema, rng.random() < 0.7))
            found = mended_call(json.dumps([2, "m", action, broken]), version)
            if found is None:
                continue
            assert judge.is_valid(json.loads(msgspec.json.encode(found.payload))), (name, broken)
            was_valid = judge.is_valid(broken)
            assert was_valid or found.changes, (name, broken)
            mended += not was_valid
        answer = with_fault(rng, example(rng, schema, schema, True))
        mended_response(json.dumps(answer).encode(), action, version)
    assert mended > 40
