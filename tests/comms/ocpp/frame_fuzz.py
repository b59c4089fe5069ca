"""Mutated frames against one side of an OCPP connection: `fuzz(count, seed)`.

The seeds are valid frames of every message of the three versions, made from the official schemas.
Mutations are those of bytes (flipped, cut, doubled, spliced) and of JSON (deep nests, numbers out
of range, lone surrogates, wrong text). Each case goes the whole way of a frame: read, judged,
answered; what is answered must itself be a frame and small.
"""

import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))

from schema_examples import example

import generate_ocpp
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.peer import Deviation, Peer, Request
from pendel.comms.ocpp.release import Version, messages_of

FOLDERS = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}
ANSWER_BYTES_MAX = 4_096
PIECES = (
    b"null", b"1e999", b"-1e-999", b"1" * 400, b'"\\ud800"', b'"\\u0000"', b"\xff", b"\xc3",
    b"\xed\xa0\x80", b"[" * 3_000, b'{"a":' * 900, b"[]", b"{}", b'"', b"\\", b",", b":", b"\x00",
    b"true", b"NaN", b"Infinity", b"[2,", b"[6,", b'"customData":{}', b'{"vendorId":1}', b"\n" * 99,
    b"x" * 140_000,
)  # fmt: skip


@dataclass
class Found:
    """What a run found. grown_mb: resident memory after the first tenth against the end."""

    cases: int = 0
    refused: int = 0
    grown_mb: float = 0.0
    slowest_ms: float = 0.0
    cpu_s: float = 0.0


def resident_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096 / 1e6


def seeds(rng: random.Random) -> list[tuple[Version, str, bytes]]:
    """(version, action that is asked for by us or "", frame) of every message."""
    found = []
    for version, folder in FOLDERS.items():
        for name, schema in generate_ocpp.schemas(folder).items():
            payload = example(rng, schema, schema, full=rng.random() < 0.5)
            action = name.removesuffix("Request").removesuffix("Response")
            if name.endswith("Response"):
                frame, asked = [3, "ours", payload], action
            else:
                kind = 2 if action in messages_of(version).RESPONSES else 6
                frame, asked = [kind, "theirs", action, payload], ""
            found.append((version, asked, json.dumps(frame, ensure_ascii=False).encode()))
        found.append((version, "Reset", b'[4,"ours","GenericError","text",{}]'))
        found.append((version, "Reset", b'[5,"ours","GenericError","text",{}]'))
    return found


def mutated(rng: random.Random, frame: bytes, other: bytes) -> bytes:
    """One change, or up to four."""
    data = bytearray(frame)
    for _ in range(1 if rng.random() < 0.7 else rng.randint(2, 4)):
        at = rng.randrange(len(data) + 1)
        choice = rng.random()
        if choice < 0.3 and at < len(data):
            data[at] = rng.randrange(256)
        elif choice < 0.5:
            del data[at : at + rng.randint(1, 20)]
        elif choice < 0.6:
            del data[at:]
        elif choice < 0.75:
            data[at:at] = data[: rng.randint(1, 60)]
        elif choice < 0.9:
            data[at:at] = rng.choice(PIECES)
        else:
            begin = rng.randrange(len(other))
            data[at:] = other[begin:]
    return bytes(data)


def one_case(peer: Peer, asked: str, data: bytes) -> bool:
    """Feed a frame; whether it was refused. Raises AssertionError where an answer is none."""
    if asked:
        peer.call(asked, {}, 0.0)
        peer.outbox.clear()
    refused = False
    for event in peer.feed(data, 0.0):
        refused = refused or isinstance(event, Deviation)
        if isinstance(event, Request):
            peer.refuse(event.message_id, ErrorCode.NOT_SUPPORTED, "a test")
    for text in peer.outbox:
        answer = json.loads(text)
        assert isinstance(answer, list) and answer[0] in (4, 5), answer
        echoed = len(text) - len(json.dumps(answer[1], ensure_ascii=False).encode())
        assert echoed <= ANSWER_BYTES_MAX, f"an answer of {len(text)} bytes"
    peer.outbox.clear()
    peer.close()
    return refused


def fuzz(count: int, seed: int) -> Found:
    """So many cases. Whatever is raised is a fault."""
    rng = random.Random(seed)
    corpus = seeds(rng)
    peers = {version: Peer(version, lambda: "ours") for version in Version}
    found = Found()
    settled_mb, begun_s = resident_mb(), time.process_time()
    for number in range(count):
        version, asked, frame = rng.choice(corpus)
        data = mutated(rng, frame, rng.choice(corpus)[2])
        case_s = time.process_time()
        found.refused += one_case(peers[version], asked, data)
        found.slowest_ms = max(found.slowest_ms, (time.process_time() - case_s) * 1e3)
        if number == count // 10:
            settled_mb = resident_mb()
    found.cases, found.cpu_s = count, time.process_time() - begun_s
    found.grown_mb = resident_mb() - settled_mb
    return found
