"""Monitors of a station's variables, and the streams some of them report by: rules without a wire.

A monitor makes events; one with a periodic event stream (2.1, N11) puts its values into a buffer
instead, which goes out every interval, or as soon as so many values are there (N15).
Sources: OCPP 2.1 part 2, N04 (set), N06 (clear), N07 and N08 (events), N11 to N15 (streams).
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

MONITORS_MAX = 100
BUFFER_MAX = 1_000
"""Values a stream holds while it cannot send; the oldest go first."""
THRESHOLDS = ("UpperThreshold", "LowerThreshold")
PERIODIC = ("Periodic", "PeriodicClockAligned")
TYPES = (*THRESHOLDS, *PERIODIC, "Delta")

Place = tuple[str, int | None, str]
"""Component, its EVSE (or None), variable."""


@dataclass(slots=True)
class Stream:
    """How a monitor streams: every interval_s and at most `values` at once, 0 = unbounded; is_open:
    the backend took it; next_s: when the buffer goes out by its interval."""

    id: int
    interval_s: float
    values: int
    is_open: bool = False
    next_s: float = math.inf
    buffer: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=BUFFER_MAX))

    def begin(self, now_s: float) -> None:
        """The backend took it, or its parameters changed."""
        self.is_open = True
        self.next_s = now_s + self.interval_s if self.interval_s > 0.0 else math.inf

    def is_due(self, now_s: float) -> bool:
        """Whether a message must go out now."""
        if not self.buffer or not self.is_open:
            return False
        return now_s >= self.next_s or 0 < self.values <= len(self.buffer)

    def take(self, now_s: float) -> list[tuple[float, str]]:
        """The values of the next message: at most `values` of them (N15.FR.07)."""
        if now_s >= self.next_s:
            self.next_s = now_s + self.interval_s
        count = min(len(self.buffer), self.values or len(self.buffer))
        return [self.buffer.popleft() for _ in range(count)]


@dataclass(slots=True)
class Monitor:
    """One monitor. value: threshold, difference or seconds; next_s: of a periodic one; before:
    value at the last event (Delta); beyond: the threshold is passed."""

    id: int
    place: Place
    kind: str
    value: float
    severity: int
    in_transaction: bool = False
    stream: Stream | None = None
    next_s: float = math.inf
    before: float | None = None
    beyond: bool = False

    def begin(self, now_s: float) -> None:
        """Set the clock of a periodic monitor: from now, or at round times of the clock."""
        if self.kind == "Periodic":
            self.next_s = now_s + self.value
        elif self.kind == "PeriodicClockAligned":
            self.next_s = (now_s // self.value + 1.0) * self.value

    def event(self, told: float, now_s: float) -> tuple[str, bool] | None:
        """The event a value makes now: its trigger, and whether it says that all is well again."""
        if self.kind in PERIODIC:
            if now_s < self.next_s:
                return None
            self.begin(now_s)
            return "Periodic", False
        if self.kind == "Delta":
            if self.before is None:
                self.before = told
                return None
            if abs(told - self.before) < self.value or told == self.before:
                return None
            self.before = told
            return "Delta", False
        upper = self.kind == "UpperThreshold"
        beyond = told > self.value if upper else told < self.value
        if beyond == self.beyond:
            return None
        self.beyond = beyond
        return "Alerting", not beyond


class Monitors:
    """All monitors of a station, by id."""

    def __init__(self) -> None:
        self.by_id: dict[int, Monitor] = {}
        self._next = 1

    def status_of(self, asked: Any, place: Place) -> str:
        """What a SetMonitoringData of a known variable is answered with."""
        if asked.type not in TYPES:
            return "UnsupportedMonitorType"
        periodic = asked.type in PERIODIC
        if asked.value < 0.0 or (periodic and asked.value < 1.0) or asked.severity > 9:
            return "Rejected"
        own = self.by_id.get(asked.id) if isinstance(asked.id, int) else None
        if isinstance(asked.id, int) and (own is None or own.place != place):
            return "Rejected"
        for other in self.by_id.values():
            if other is own or (other.place, other.kind) != (place, asked.type):
                continue
            if other.severity == asked.severity:
                return "Duplicate"
        return "Rejected" if own is None and len(self.by_id) >= MONITORS_MAX else "Accepted"

    def put(self, asked: Any, place: Place, now_s: float) -> tuple[Monitor, Monitor | None]:
        """The monitor of an accepted SetMonitoringData, and the one it replaces."""
        before = self.by_id.get(asked.id) if isinstance(asked.id, int) else None
        if before is None:
            while self._next in self.by_id:
                self._next += 1
        number = self._next if before is None else before.id
        found = Monitor(number, place, asked.type, asked.value, asked.severity)
        found.in_transaction = asked.transaction is True
        found.begin(now_s)
        self.by_id[number] = found
        return found, before

    @property
    def next_s(self) -> float:
        """When the next periodic event or stream message falls due [epoch s]."""
        times = [monitor.next_s for monitor in self.by_id.values()]
        times += [s.next_s for s in self.streams() if s.is_open]
        return min(times, default=math.inf)

    def streams(self) -> list[Stream]:
        """Streams, open or asked for."""
        return [m.stream for m in self.by_id.values() if m.stream is not None]

    def of_stream(self, stream_id: int) -> Monitor | None:
        """The monitor behind an open stream."""
        for monitor in self.by_id.values():
            stream = monitor.stream
            if stream is not None and stream.is_open and stream.id == stream_id:
                return monitor
        return None
