"""Write ahead: records become durable first, then part of the state, then orders to devices.

Ids are `kind-number` with the number of the event in the log, so that they are unique, ordered
and short enough to be typed after `pendel explain`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from pendel.ports import EventLog
from pendel.records import AnyRecord, Record
from pendel.runtime.state import State

AnyKind = TypeVar("AnyKind", bound=Record)


class CountedLog(EventLog, Protocol):
    """An event log that knows its last number."""

    @property
    def last_sequence(self) -> int:
        """Number of the last durable event (0 = empty)."""
        ...


class Batch:
    """Records of one round, in order, each with its final id, not yet stored."""

    def __init__(self, now_utc: datetime, last_sequence: int) -> None:
        self.now_utc = now_utc
        self.records: list[AnyRecord] = []
        self._last_sequence = last_sequence

    def add(self, kind: type[AnyKind], **fields: Any) -> AnyKind:
        """Make and add a record of a kind; id and time are filled in. Returns it."""
        tag = str(kind.__struct_config__.tag)
        fields.setdefault("at_utc", self.now_utc)
        number = self._last_sequence + len(self.records) + 1
        record = kind(id=f"{tag}-{number}", **fields)
        self.records.append(cast(AnyRecord, record))
        return record

    def adopt(self, record: AnyKind, causes: tuple[str, ...] = ()) -> AnyKind:
        """Add a record that came from outside under an id of this log. Returns it renamed."""
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        del fields["id"]
        fields["causes"] = (*record.causes, *causes)
        return self.add(type(record), **fields)


class Journal:
    """The log and the state that is its fold. Not safe to share without the runtime's lock."""

    def __init__(self, log: CountedLog, timezones: Mapping[str, str] | None = None) -> None:
        """Replay the log; timezones: of the sites. Raises ChainError, StoreError."""
        self.log = log
        self.state = State(timezones or {})
        for _, record in log.replay():
            self.state.apply(record)

    def batch(self, now_utc: datetime) -> Batch:
        """A new empty batch at now_utc; only one may be open at a time."""
        return Batch(now_utc, self.log.last_sequence)

    def commit(self, batch: Batch) -> None:
        """Store the batch, then apply it. Raises StoreError, and then nothing was applied."""
        if batch.records:
            self.log.append(batch.records)
            for record in batch.records:
                self.state.apply(record)
