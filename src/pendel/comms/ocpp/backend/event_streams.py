"""Periodic event streams of 2.1 stations (N11 to N15): what they bring, the newest of it in memory.

Everything that came is in the log; here the last values of each stream are kept to be looked at.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec import UNSET

from pendel.comms.ocpp.backend.metering import in_utc

STREAMS_MAX = 100
"""Open streams of one station; more are Rejected (N11.FR.05)."""
VALUES_KEPT = 200
VALUE_CHARS_MAX = 200
YEAR_MIN, YEAR_MAX = 2000, 2199
OFFSET_MAX_S = 86_400.0 * 366


@dataclass(slots=True)
class EventStream:
    """One open stream of the monitor monitor_id. interval_s, values: how often and how much it
    sends, None = not said; pending: values the station held back last; growing: how often in a
    row that number grew (N15.FR.05: then the stream is too slow); count: values that came."""

    id: int
    monitor_id: int
    opened_utc: datetime
    interval_s: int | None = None
    values: int | None = None
    pending: int = 0
    growing: int = 0
    count: int = 0
    newest: deque[tuple[datetime, str]] = field(default_factory=lambda: deque(maxlen=VALUES_KEPT))

    def adjust(self, params: Any) -> None:
        """Other parameters hold from now on."""
        self.interval_s = None if params.interval is UNSET else params.interval
        self.values = None if params.values is UNSET else params.values
        self.growing = 0

    def take(self, told: Any) -> None:
        """Take in a NotifyPeriodicEventStream."""
        base_utc = in_utc(told.basetime)
        for each in told.data:
            if YEAR_MIN <= base_utc.year <= YEAR_MAX and abs(each.t) <= OFFSET_MAX_S:
                at_utc = base_utc + timedelta(seconds=each.t)
                self.newest.append((at_utc, each.v[:VALUE_CHARS_MAX]))
        self.count += len(told.data)
        self.growing = self.growing + 1 if told.pending > self.pending else 0
        self.pending = told.pending


def opened(told: Any, at_utc: datetime) -> EventStream:
    """The stream of a ConstantStreamDataType."""
    found = EventStream(told.id, told.variableMonitoringId, at_utc)
    found.adjust(told.params)
    return found
