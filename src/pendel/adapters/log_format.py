"""The form of one entry of an event log, and the chain that ties the entries together.

    body_n = msgpack(record_n)                 fields by name, maps sorted, times as UTC instants
    hash_n = sha256(hash_(n-1) || n as 8 bytes, big endian || body_n),   hash_0 = 32 zero bytes

Whoever changes, removes or swaps an entry breaks the chain from there on; whoever removes the end
of the log leaves a chain that is shorter than the head the log keeps beside it. Both are found by
reading, and named by sequence number. Source of the scheme: docs/concepts/events.md.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pendel.errors import ChainError, StoreError
from pendel.records import AnyRecord

RECORD_BYTES_MAX = 4 << 20
"""Largest body of one record: a plan of 1,000 units over 400 steps."""
APPEND_RECORDS_MAX = 100_000
"""Most records of one append."""
ID_CHARACTERS_MAX = 200
GENESIS_HASH = bytes(32)

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(AnyRecord)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record ready to be stored: its id and its canonical bytes."""

    record_id: str
    body: bytes


def encode(records: Sequence[AnyRecord]) -> list[Entry]:
    """Canonical bytes of records, checked against every bound. Raises StoreError."""
    if len(records) > APPEND_RECORDS_MAX:
        raise StoreError(f"{len(records)} records in one append (at most {APPEND_RECORDS_MAX})")
    entries = []
    for record in records:
        if not record.id or len(record.id) > ID_CHARACTERS_MAX:
            raise StoreError(f"record id {record.id[:40]!r}: 1 to {ID_CHARACTERS_MAX} characters")
        if record.at_utc.tzinfo is None:
            raise StoreError(f"record {record.id}: at_utc has no offset")
        try:
            body = _ENCODER.encode(record)
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
            raise StoreError(f"record {record.id} cannot be stored: {error}") from error
        if len(body) > RECORD_BYTES_MAX:
            raise StoreError(f"record {record.id}: {len(body)} bytes (at most {RECORD_BYTES_MAX})")
        entries.append(Entry(record.id, body))
    return entries


def decode(sequence: int, body: bytes) -> AnyRecord:
    """The record of a body. Raises ChainError when the bytes are not a record."""
    try:
        record: AnyRecord = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ChainError(f"event {sequence} cannot be read: {error}") from error
    return record


def link(previous_hash: bytes, sequence: int, body: bytes) -> bytes:
    """Hash of an entry (32 bytes) from the hash before it, its number and its body."""
    return hashlib.sha256(previous_hash + sequence.to_bytes(8, "big") + body).digest()
