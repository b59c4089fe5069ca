"""The loop that owns time: ticks until told to stop, whatever happens in a tick.

A tick that raises is counted and said, never silently skipped; the devices meanwhile follow their
standing setpoints, which run out by themselves (`until_utc`), and then their own fallback.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType

from pendel.clock import Clock, floor_to_step
from pendel.runtime.engine import Runtime

LOG = logging.getLogger("pendel.runtime")
SLICE_S = 0.2
"""Longest wait between two looks at the stop flag [s of the world]."""


class Stop:
    """A flag that signals raise and loops look at; safe in signal handlers."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask everybody to come to an end."""
        self._event.set()

    @property
    def asked(self) -> bool:
        """Whether to come to an end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most seconds; True when asked to stop."""
        return self._event.wait(seconds)


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM set the flag; who insists gets KeyboardInterrupt. The handlers of before
    come back afterwards."""

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class Loop:
    """tick_s: seconds of the clock between ticks; on_tick: told after each tick (for displays);
    next_event: when something is known to happen after a moment, so that a tick comes right then
    (virtual worlds know; real ones call in)."""

    runtime: Runtime
    clock: Clock
    tick_s: float
    stop: Stop
    on_tick: Callable[[datetime], None] | None = None
    next_event: Callable[[datetime], datetime | None] | None = None
    ticks: int = 0
    failures: int = 0

    def run(self, until_utc: datetime | None = None) -> None:
        """Tick until stopped or until_utc (exclusive), then close the books of that moment."""
        while not self.stop.asked:
            now_utc = self.clock.now_utc()
            if until_utc is not None and now_utc >= until_utc:
                self.runtime.close_books(until_utc)
                return
            self.once(now_utc)
            self._wait(self._sooner(now_utc, now_utc + timedelta(seconds=self.tick_s)), until_utc)

    def run_fast(self, until_utc: datetime, step_s: int) -> None:
        """Tick at every step boundary and event up to until_utc (exclusive) without waiting, then
        close the books of that moment."""
        now_utc = self.clock.now_utc()
        while not self.stop.asked and now_utc < until_utc:
            self.once(now_utc)
            boundary = floor_to_step(now_utc, step_s) + timedelta(seconds=step_s)
            now_utc = self._sooner(now_utc, boundary)
            self.clock.sleep_until(now_utc)
        if not self.stop.asked:
            self.runtime.close_books(until_utc)

    def _sooner(self, now_utc: datetime, planned_utc: datetime) -> datetime:
        """The planned time of the next tick, or that of an event before it."""
        event = None if self.next_event is None else self.next_event(now_utc)
        return planned_utc if event is None or event <= now_utc else min(planned_utc, event)

    def once(self, now_utc: datetime) -> None:
        """One tick; a fault in it is logged and counted."""
        try:
            self.runtime.tick(now_utc)
        except Exception:  # supervision: the next tick must come, whatever this one met
            self.failures += 1
            LOG.exception("tick at %s failed", now_utc.isoformat())
        self.ticks += 1
        if self.on_tick is not None:
            self.on_tick(now_utc)

    def _wait(self, next_utc: datetime, until_utc: datetime | None) -> None:
        """Wait in slices, so that a signal ends the wait soon."""
        if until_utc is not None:
            next_utc = min(next_utc, until_utc)
        while not self.stop.asked and self.clock.now_utc() < next_utc:
            before = self.clock.now_utc()
            self.stop.wait(SLICE_S / 4)
            if self.clock.now_utc() == before:
                self.clock.sleep_until(next_utc)
