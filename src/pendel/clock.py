"""Time: UTC inside, local zones for calendars and people only.

A Clock is an argument of everything that needs the time, so that what is tested under a simulated
clock runs live unchanged. Quarter hours are counted in UTC; a local day has 92, 96 or 100 of them.
"""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from pendel.units import QUARTER_HOUR_S


class Clock(Protocol):
    """Tells the time, and waits until one."""

    def now_utc(self) -> datetime:
        """The current time, timezone-aware UTC."""
        ...

    def sleep_until(self, when_utc: datetime) -> None:
        """Block until the clock shows when_utc (a simulated clock jumps there)."""
        ...


class RealClock:
    """Wall clock, optionally running `speed` times faster than the world (for demonstrations)."""

    def __init__(self, speed: float = 1.0, start_utc: datetime | None = None) -> None:
        if not speed > 0.0:
            raise ValueError(f"speed must be positive, got {speed}")
        self._speed = speed
        self._origin_s = time.monotonic()
        self._start_utc = start_utc if start_utc is not None else datetime.now(UTC)

    def now_utc(self) -> datetime:
        """The current time; monotonic between calls, whatever the system clock does."""
        elapsed_s = (time.monotonic() - self._origin_s) * self._speed
        return self._start_utc + timedelta(seconds=elapsed_s)

    def sleep_until(self, when_utc: datetime) -> None:
        """Sleep until when_utc; returns at once when it is past."""
        wait_s = (when_utc - self.now_utc()).total_seconds() / self._speed
        if wait_s > 0.0:
            time.sleep(wait_s)


class SimulatedClock:
    """A clock that stands still until it is moved; never backwards."""

    def __init__(self, start_utc: datetime) -> None:
        self._now_utc = as_utc(start_utc)

    def now_utc(self) -> datetime:
        """The simulated time."""
        return self._now_utc

    def sleep_until(self, when_utc: datetime) -> None:
        """Jump to when_utc; a time in the past changes nothing."""
        self._now_utc = max(self._now_utc, as_utc(when_utc))


def as_utc(when: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError for a time without offset."""
    if when.tzinfo is None:
        raise ValueError(f"time without offset: {when.isoformat()}")
    return when.astimezone(UTC)


def parse_utc(text: str) -> datetime:
    """ISO 8601 with offset or Z to UTC. Raises ValueError with the reason.

    >>> parse_utc("2025-03-03T12:00:00+01:00").isoformat()
    '2025-03-03T11:00:00+00:00'
    """
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError("time without offset")
    return when.astimezone(UTC)


def format_utc(when_utc: datetime) -> str:
    """UTC as `2025-03-03T11:00:00Z` (fractions of a second only where present)."""
    return as_utc(when_utc).isoformat().replace("+00:00", "Z")


def floor_to_step(when_utc: datetime, step_s: int = QUARTER_HOUR_S) -> datetime:
    """Begin of the step that holds when_utc; steps are counted from the epoch in UTC."""
    seconds = int(as_utc(when_utc).timestamp() // step_s) * step_s
    return datetime.fromtimestamp(seconds, UTC)


def local_day_bounds_utc(day: date, zone: str) -> tuple[datetime, datetime]:
    """Begin (inclusive) and end (exclusive) of a local calendar day, in UTC."""
    tz = ZoneInfo(zone)
    begin = datetime(day.year, day.month, day.day, tzinfo=tz)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=tz)
    return begin.astimezone(UTC), end.astimezone(UTC)


def local_day_quarters_utc(day: date, zone: str) -> list[datetime]:
    """Begins of the quarter hours of a local day: 96, or 92 and 100 on the days of DST changes.

    >>> [len(local_day_quarters_utc(date(2026, m, d), "Europe/Berlin"))
    ...  for m, d in ((3, 29), (10, 25), (6, 1))]
    [92, 100, 96]
    """
    begin, end = local_day_bounds_utc(day, zone)
    count = int((end - begin).total_seconds()) // QUARTER_HOUR_S
    return [begin + timedelta(seconds=QUARTER_HOUR_S * i) for i in range(count)]
