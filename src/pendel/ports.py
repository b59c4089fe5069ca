"""The ports through which the core meets the world: one or two methods each, units in names.

Adapters implement them; simulations implement them too, and the core cannot tell the difference.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from pendel.records import AnyRecord, Reading, Setpoint


class EventLog(Protocol):
    """Append-only, hash-chained, durable when append returns."""

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Store records in order, all or none; durable on return. Raises StoreError."""
        ...

    def replay(self, after_sequence: int = 0) -> Iterator[tuple[int, AnyRecord]]:
        """Yield (sequence, record) in order. Raises ChainError at a broken link."""
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


class PriceSource(Protocol):
    """Prices with their publication time."""

    def published(
        self, site_id: str, now_utc: datetime
    ) -> tuple[Sequence[datetime], Sequence[float], Sequence[float]]:
        """Known at now_utc: begins, import_eur_kwh, export_eur_kwh (equal lengths)."""
        ...
