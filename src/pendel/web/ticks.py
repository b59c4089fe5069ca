"""Where axes carry marks: round numbers, and round local times on days of 23, 24 and 25 hours."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TICKS_MAX = 40
_MINUTES = (15, 30, 60, 120, 180, 360, 720)
_DAYS = (1, 2, 7, 14, 28, 91, 182, 365, 1_826, 3_652)
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_LARGE = 1e9


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where it stands (data units), what it says, and its second line."""

    value: float
    label: str
    below: str = ""


def nice_step(span: float, count: int = 5) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that needs at most `count` steps.

    >>> nice_step(10.0, 5), nice_step(0.7, 5), nice_step(1300.0, 4)
    (2.0, 0.2, 500.0)
    """
    rough = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in _ROUND:
        if factor * power >= rough * (1.0 - 1e-9):
            return factor * power
    return 10.0 * power


def nice_ticks(low: float, high: float, count: int = 5) -> list[Tick]:
    """Round marks whose first is at or below `low` and whose last is at or above `high`.

    Both must be finite; equal (or nearly equal) values are given some room around them.

    >>> [tick.label for tick in nice_ticks(0.0, 9.2)]
    ['0', '2', '4', '6', '8', '10']
    """
    low, high = min(low, high), max(low, high)
    size = max(abs(low), abs(high))
    if high - low <= max(size * 1e-6, 1e-12):
        room = size * 0.1 if size > 1e-9 else 0.5
        low, high = low - room, high + room
    step = nice_step(high - low, count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [Tick(k * step, number_label(k * step, step)) for k in range(first, last + 1)]


def number_label(value: float, step: float) -> str:
    """The number with just the digits that `step` needs; thin spaces between thousands.

    >>> number_label(0.30000000000000004, 0.1), number_label(12000.0, 500.0)
    ('0.3', '12\u202f000')
    """
    if abs(value) >= _LARGE or 0.0 < step < 1.0 / _LARGE:
        return f"{value:.3g}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if digits < 9 and abs(round(step, digits) - step) > step * 1e-6:
        digits += 1  # steps of 2.5
    text = f"{value:,.{digits}f}".replace(",", "\u202f")
    return text.replace("-", "\u2212") if float(f"{value:.{digits}f}") != 0.0 else "0"


def time_ticks(begin_s: float, end_s: float, zone: str, count: int = 8) -> list[Tick]:
    """Round local times from begin_s to end_s (epoch seconds), at most about `count`.

    Labels are local clock times, the second line names the day where it begins (or at the first
    mark). A clock time that a DST change skips gets no mark, one that comes twice the first only.
    """
    tz = ZoneInfo(zone)
    begin = datetime.fromtimestamp(begin_s, UTC).astimezone(tz).replace(tzinfo=None)
    span_min = max((end_s - begin_s) / 60.0, 1.0)
    for minutes in _MINUTES:
        if span_min / minutes <= count:
            return _clock_ticks(begin, begin_s, end_s, tz, minutes)
    for days in _DAYS:
        if span_min / (1440 * days) <= count:
            return _day_ticks(begin, begin_s, end_s, tz, days)
    return _day_ticks(begin, begin_s, end_s, tz, math.ceil(span_min / 1440 / count))


def _clock_ticks(
    begin: datetime, begin_s: float, end_s: float, tz: ZoneInfo, minutes: int
) -> list[Tick]:
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    ticks: list[Tick] = []
    wall, named = midnight, None
    for _count in range(TICKS_MAX * 96):
        when_s = _epoch_s(wall, tz)
        if when_s is not None and when_s > end_s:
            break
        if when_s is not None and when_s >= begin_s:
            below = day_label(wall) if wall.date() != named else ""
            named = wall.date()
            ticks.append(Tick(when_s, f"{wall:%H:%M}", below))
        wall += timedelta(minutes=minutes)
    return ticks


def _day_ticks(
    begin: datetime, begin_s: float, end_s: float, tz: ZoneInfo, days: int
) -> list[Tick]:
    wall = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    ticks: list[Tick] = []
    year = None
    for _count in range(TICKS_MAX):
        when_s = _epoch_s(wall, tz)
        if when_s is not None and when_s > end_s:
            break
        if when_s is not None and when_s >= begin_s:
            label = f"{wall.day} {MONTHS[wall.month - 1]}"
            below = str(wall.year) if wall.year != year else ""
            below = WEEKDAYS[wall.weekday()] if days == 1 else below
            year = wall.year
            ticks.append(Tick(when_s, label, below))
        wall += timedelta(days=days)
    return ticks


def _epoch_s(wall: datetime, tz: ZoneInfo) -> float | None:
    """Epoch seconds of a local clock time; None where the clocks skip it."""
    when = wall.replace(tzinfo=tz)
    there_and_back = when.astimezone(UTC).astimezone(tz).replace(tzinfo=None)
    return when.timestamp() if there_and_back == wall else None


def day_label(wall: datetime) -> str:
    """`Mon 24 Mar`, the same in every locale."""
    return f"{WEEKDAYS[wall.weekday()]} {wall.day} {MONTHS[wall.month - 1]}"


def moment_label(epoch_s: float, zone: str) -> str:
    """`Mon 24 Mar 12:15` in the zone."""
    wall = datetime.fromtimestamp(epoch_s, UTC).astimezone(ZoneInfo(zone))
    return f"{day_label(wall)} {wall:%H:%M}"
