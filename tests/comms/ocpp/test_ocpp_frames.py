"""Frames and the connection state machine: every malformed case gets its code, nothing raises."""

import itertools
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from frame_fuzz import fuzz

from pendel.comms.ocpp import frames, v16, v21
from pendel.comms.ocpp.frames import Call, ErrorCode
from pendel.comms.ocpp.peer import Answered, Deviation, Failed, Peer, Request, Streamed
from pendel.comms.ocpp.release import Version

HEARTBEAT = '[2,"m1","Heartbeat",{}]'


def new_peer(version: Version = Version.V21) -> Peer:
    numbers = itertools.count(1)
    return Peer(version, lambda: f"id{next(numbers)}")


def reply(text: str, version: Version = Version.V21) -> list[object]:
    peer = new_peer(version)
    peer.feed(text, 0.0)
    return json.loads(peer.outbox.popleft()) if peer.outbox else []


@pytest.mark.parametrize(
    ("text", "code", "message_id"),
    [
        ("no json", "RpcFrameworkError", "-1"),
        ('{"a":1}', "RpcFrameworkError", "-1"),
        ("[]", "RpcFrameworkError", "-1"),
        ("[" * 5000, "RpcFrameworkError", "-1"),
        ('[9,"x","Heartbeat",{}]', "MessageTypeNotSupported", "x"),
        ('["2","x","Heartbeat",{}]', "RpcFrameworkError", "x"),
        ('[2,"x","Heartbeat"]', "FormatViolation", "x"),
        ('[2,"x","Heartbeat",{},1]', "FormatViolation", "x"),
        ('[2,7,"Heartbeat",{}]', "FormatViolation", 7),
        ('[2,"x",5,{}]', "FormatViolation", "x"),
        ('[2,"x","Teleport",{}]', "NotImplemented", "x"),
        ('[2,"x","Heartbeat",[]]', "TypeConstraintViolation", "x"),
        ('[2,"x","Heartbeat",{"a":1}]', "FormatViolation", "x"),
        ('[2,"x","Authorize",{}]', "OccurrenceConstraintViolation", "x"),
        (
            '[2,"x","Authorize",{"idToken":{"idToken":5,"type":"Central"}}]',
            "TypeConstraintViolation",
            "x",
        ),
        (
            '[2,"x","ClearedChargingLimit",{"chargingLimitSource":"' + "x" * 21 + '"}]',
            "PropertyConstraintViolation",
            "x",
        ),
        ('[2,"x","Heartbeat",{"customData":{}}]', "OccurrenceConstraintViolation", "x"),
        ('[2,"x","NotifyPeriodicEventStream",{}]', "NotImplemented", "x"),
    ],
)
def test_malformed_calls_get_their_code(text: str, code: str, message_id: object) -> None:
    kind, answered_id, found, *_ = reply(text)
    assert (kind, answered_id, found) == (4, message_id, code)


def test_malformed_calls_of_1_6() -> None:
    assert reply("no json", Version.V16) == []
    assert reply('[2,7,"Heartbeat",{}]', Version.V16)[1:3] == [7, "ProtocolError"]
    assert reply('[2,"x","Heartbeat",{"a":1}]', Version.V16)[2] == "FormationViolation"
    assert reply('[2,"x","Authorize",{}]', Version.V16)[2] == "OccurenceConstraintViolation"
    assert reply('[2,"x","SetDERControl",{}]', Version.V16)[2] == "NotImplemented"
    assert reply('[5,"x","a","b",{}]', Version.V16) == []


def test_custom_data_survives() -> None:
    text = '[2,"x","Heartbeat",{"customData":{"vendorId":"v","more":[1,{"a":2}]}}]'
    frame = frames.parse(text, Version.V21)
    assert isinstance(frame, Call)
    assert json.loads(frames.encode(frame)) == json.loads(text)


def test_request_and_answer() -> None:
    peer = new_peer()
    (event,) = peer.feed(HEARTBEAT, 0.0)
    assert isinstance(event, Request)
    assert event.action == "Heartbeat"
    peer.respond(event.message_id, {"currentTime": "2026-01-01T00:00:00Z"})
    peer.respond(event.message_id, {"currentTime": "again"})
    assert json.loads(peer.outbox.popleft())[:2] == [3, "m1"]
    assert not peer.outbox


def test_one_call_outstanding_and_crossing_calls() -> None:
    peer = new_peer()
    first = peer.call("Reset", v21.ResetRequest(type="Immediate"), 0.0)
    second = peer.call("Reset", v21.ResetRequest(type="OnIdle"), 0.0)
    assert len(peer.outbox) == 1
    (crossing,) = peer.feed(HEARTBEAT, 1.0)
    assert isinstance(crossing, Request)
    (answered,) = peer.feed(f'[3,"{first}",{{"status":"Accepted"}}]', 2.0)
    assert isinstance(answered, Answered)
    assert answered.response.status == "Accepted"
    assert len(peer.outbox) == 2
    (failed,) = peer.feed(f'[4,"{second}","NotSupported","",{{}}]', 3.0)
    assert failed == Failed(second, "Reset", "NotSupported", "")


def test_late_answer_disturbs_nobody() -> None:
    peer = new_peer()
    first = peer.call("Reset", v21.ResetRequest(type="Immediate"), 0.0, timeout_s=5.0)
    second = peer.call("Reset", v21.ResetRequest(type="OnIdle"), 0.0, timeout_s=5.0)
    assert peer.tick(4.9) == []
    (timeout,) = peer.tick(5.0)
    assert isinstance(timeout, Failed)
    assert timeout.message_id == first
    (late,) = peer.feed(f'[3,"{first}",{{"status":"Rejected"}}]', 6.0)
    assert isinstance(late, Deviation)
    (right,) = peer.feed(f'[3,"{second}",{{"status":"Accepted"}}]', 6.5)
    assert isinstance(right, Answered)
    assert right.message_id == second


def test_a_wrong_answer_is_refused_in_2_1_only() -> None:
    for version, sent in ((Version.V21, 2), (Version.V201, 1)):
        peer = new_peer(version)
        first = peer.call("Reset", {"type": "Immediate"}, 0.0)
        (failed,) = peer.feed(f'[3,"{first}",{{"status":"Perhaps"}}]', 1.0)
        assert isinstance(failed, Failed)
        assert failed.code == ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
        assert len(peer.outbox) == sent


def test_streams_and_result_errors() -> None:
    peer = new_peer()
    text = (
        '[6,"s","NotifyPeriodicEventStream",{"id":1,"pending":0,'
        '"basetime":"2026-01-01T00:00:00Z","data":[{"t":0,"v":"1"}]}]'
    )
    (event,) = peer.feed(text, 0.0)
    assert isinstance(event, Streamed)
    assert not peer.outbox
    assert isinstance(peer.feed('[5,"x","FormatViolation","",{}]', 0.0)[0], Deviation)


def test_closing_fails_everything_that_waits() -> None:
    peer = new_peer()
    ids = [peer.call("Reset", v21.ResetRequest(type="Immediate"), 0.0) for _ in range(3)]
    assert [e.message_id for e in peer.close() if isinstance(e, Failed)] == ids
    assert peer.deadline_s is None


def test_what_waits_is_bounded() -> None:
    peer = new_peer()
    with pytest.raises(OverflowError):
        for _ in range(1_100):
            peer.call("Reset", {"type": "Immediate"}, 0.0)
    flooded = new_peer()
    for number in range(70):
        flooded.feed(f'[2,"m{number}","Heartbeat",{{}}]', 0.0)
    assert json.loads(flooded.outbox[0])[2] == "ProtocolError"


def test_fuzz_sample() -> None:
    found = fuzz(15_000, seed=1)
    assert found.refused > 5_000 and found.refused < 15_000


@pytest.mark.proof
@pytest.mark.timeout(1_200)
def test_fuzz_a_million_cases() -> None:
    found = fuzz(1_000_000, seed=2)
    assert found.cases == 1_000_000
    assert found.grown_mb < 32.0, "memory is bounded"


def test_names_of_1_6_are_those_of_the_wire() -> None:
    assert "idTag" in v16.StartTransactionRequest.__struct_fields__
