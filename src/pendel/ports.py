"""The ports through which the core meets the world: one or two methods each, units in names.

Adapters implement them; simulations implement them too, and the core cannot tell the difference.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Protocol

from pendel.records import AnyRecord, Needs, Reading, SessionEvent, Setpoint


class EventLog(Protocol):
    """Append-only, hash-chained, durable when append returns."""

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Store records in order, all or none; durable on return. Raises StoreError."""
        ...

    def replay(self, after_sequence: int = 0) -> Iterator[tuple[int, AnyRecord]]:
        """Yield (sequence, record) in order. Raises ChainError at a broken link."""
        ...


class RecordFinder(Protocol):
    """Looks up single records of a log."""

    def find(self, record_id: str) -> AnyRecord | None:
        """The record of this id, or None. Raises StoreError."""
        ...

    def near_ids(self, record_id: str, count: int = 5) -> list[str]:
        """At most count ids that look like record_id, best first."""
        ...


class ChargerPort(Protocol):
    """Orders to devices that can be steered."""

    def apply(self, setpoints: Iterable[Setpoint]) -> None:
        """Send setpoints; a device that cannot be reached keeps its own fallback."""
        ...


class MeterPort(Protocol):
    """Measurements of devices and grid connections."""

    def readings(self, now_utc: datetime) -> Sequence[Reading]:
        """The newest reading of each device, with its own time (it may be stale)."""
        ...


class PlugPort(Protocol):
    """Cars coming and going."""

    def plug_events(self, now_utc: datetime) -> Sequence[SessionEvent | Needs]:
        """What was plugged in, asked for or unplugged since the last call, in order.

        Ids and causes of these records are given by whoever stores them."""
        ...


class PriceSource(Protocol):
    """Prices with their publication time."""

    def published(
        self, site_id: str, now_utc: datetime
    ) -> tuple[Sequence[datetime], Sequence[float], Sequence[float]]:
        """Known at now_utc: begins, import_eur_kwh, export_eur_kwh (equal lengths)."""
        ...


class SpotSource(Protocol):
    """Day-ahead prices of one bidding zone. trouble: "" or why nothing new came."""

    trouble: str

    def spot(self, now_utc: datetime) -> Mapping[int, Fraction]:
        """EUR/MWh by quarter hour since the epoch, only what is published at now_utc."""
        ...

    def close(self) -> None:
        """Stop whatever runs."""
        ...
