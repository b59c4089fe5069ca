"""An event log in memory, for tests and measurements: nothing is kept (`memory://`)."""

import threading
from collections.abc import Iterator, Sequence
from itertools import islice

from pendel.adapters.log_format import GENESIS_HASH, decode, encode, link
from pendel.adapters.near_ids import near
from pendel.errors import ChainError, StoreError
from pendel.records import AnyRecord


class MemoryEventLog:
    """Same bounds, same chain, same errors as the log on disk, without the disk."""

    in_memory = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[tuple[bytes, bytes]] = []
        self._sequence_of: dict[str, int] = {}
        self._closed = False

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Store records in order, all or none. Raises StoreError."""
        entries = encode(records)
        with self._lock:
            self._require_open()
            fresh = {entry.record_id for entry in entries}
            if len(fresh) < len(entries) or fresh & self._sequence_of.keys():
                raise StoreError("an id of these records is already in the log")
            hash_before = self._entries[-1][1] if self._entries else GENESIS_HASH
            for entry in entries:
                sequence = len(self._entries) + 1
                hash_before = link(hash_before, sequence, entry.body)
                self._entries.append((entry.body, hash_before))
                self._sequence_of[entry.record_id] = sequence

    def replay(self, after_sequence: int = 0) -> Iterator[tuple[int, AnyRecord]]:
        """Yield (sequence, record) in order. Raises ChainError at a broken link."""
        with self._lock:
            self._require_open()
            count = len(self._entries)
        if after_sequence > count:
            raise ChainError(f"event {after_sequence} is not in the log (it ends at {count})")
        before = self._entries[after_sequence - 1][1] if after_sequence > 0 else GENESIS_HASH
        rows = islice(self._entries, after_sequence, count)
        for sequence, (body, stored) in enumerate(rows, after_sequence + 1):
            if link(before, sequence, body) != stored:
                raise ChainError(f"the chain is broken at event {sequence}")
            before = stored
            yield sequence, decode(sequence, body)

    def find(self, record_id: str) -> AnyRecord | None:
        """The record of this id, or None."""
        sequence = self._sequence_of.get(record_id)
        return None if sequence is None else decode(sequence, self._entries[sequence - 1][0])

    def near_ids(self, record_id: str, count: int = 5) -> list[str]:
        """At most count ids that look like record_id, best first."""
        return near(record_id, list(self._sequence_of), count)

    @property
    def last_sequence(self) -> int:
        """Number of the last event (0 = empty)."""
        return len(self._entries)

    def close(self) -> None:
        """Afterwards every call raises StoreError."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError("the log is closed")
