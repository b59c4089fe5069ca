"""Meter readings: registers that count up, values per interval, and what goes wrong with them.

Energies are integers of 1e-9 kWh. A reading that cannot be used is refused with a reason and kept
(`Refused`), never dropped and never re-binned in silence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pendel.settle.obis import Obis
from pendel.tariff.exact import NANO
from pendel.tariff.periods import quarter_of, utc_of_quarter
from pendel.units import QUARTER_HOUR_S

CLOCK_TOLERANCE_S = 27
"""A reading this near to the begin of a quarter hour belongs to it (unconfirmed rule: data)."""


class Quality(StrEnum):
    """Where a value comes from; only `true` values of a metering operator can become final."""

    TRUE = "true"
    SUBSTITUTE = "substitute"
    ESTIMATED = "estimated"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class RegisterReading:
    """A register at a time. meter: serial number; value_nano: 1e-9 kWh; line: of the source."""

    meter: str
    obis: Obis
    at_utc: datetime
    value_nano: int
    quality: Quality = Quality.TRUE
    line: int = 0


@dataclass(frozen=True, slots=True)
class IntervalReading:
    """Energy of one quarter hour [1e-9 kWh]; point: metering point or meter."""

    point: str
    obis: Obis
    begin: int
    value_nano: int
    quality: Quality = Quality.TRUE
    line: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A reading that was not used: where it stands, what it said, why."""

    line: int
    field: str
    text: str
    reason: str


@dataclass(slots=True)
class Readings:
    """What an import found, and what it refused."""

    registers: list[RegisterReading] = field(default_factory=list)
    intervals: list[IntervalReading] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MeterType:
    """What limits a register: digits before the point (it rolls over at 10**digits kWh) and the
    fuse's power [W], which bounds the energy between two readings."""

    digits: int
    fuse_w: int


def snap(when_utc: datetime, tolerance_s: int = CLOCK_TOLERANCE_S) -> int | None:
    """The quarter hour that begins within tolerance_s of a reading; None where none does."""
    exact = quarter_of(when_utc)
    if exact is not None:
        return exact
    nearest = (int(when_utc.timestamp()) + QUARTER_HOUR_S // 2) // QUARTER_HOUR_S
    shift = abs(when_utc - utc_of_quarter(nearest))
    return nearest if shift <= timedelta(seconds=tolerance_s) else None


def intervals_of(
    readings: Iterable[RegisterReading],
    meter_type: MeterType,
    point: str,
    tolerance_s: int = CLOCK_TOLERANCE_S,
) -> Readings:
    """Energy per quarter hour from the readings of one direction, in any order.

    Differences of the same meter one quarter hour apart become values. Further apart is a gap
    (its energy is known, its quarter hours are not). A change of serial number starts anew from
    the opening reading. A register that falls has rolled over if the difference is one that the
    fuse can carry; otherwise the reading is refused.
    """
    found = Readings()
    kept = _ordered(readings, found, tolerance_s)
    previous: tuple[int, RegisterReading] | None = None
    for quarter, reading in kept:
        if previous is None or previous[1].meter != reading.meter:
            previous = (quarter, reading)
            continue
        before, last = previous
        delta = _delta(last.value_nano, reading.value_nano, quarter - before, meter_type)
        if delta is None:
            text = f"{_kwh(last.value_nano)} to {_kwh(reading.value_nano)} kWh"
            reason = "register fell, or rose by more than the fuse carries"
            found.refused.append(Refused(reading.line, "value", text, reason))
            continue
        if quarter == before + 1:
            found.intervals.append(
                IntervalReading(point, reading.obis, before, delta, _worse(last, reading))
            )
        previous = (quarter, reading)
    return found


def _ordered(
    readings: Iterable[RegisterReading], found: Readings, tolerance_s: int
) -> list[tuple[int, RegisterReading]]:
    """Readings by quarter hour; equal duplicates once, different ones refused, shifted marked.

    At one quarter hour two meters may have a reading: the closing one first, then the opening one
    of the meter that goes on.
    """
    seen: dict[tuple[int, str], RegisterReading] = {}
    order: dict[str, int] = {}
    for reading in sorted(readings, key=lambda r: r.at_utc):
        quarter = snap(reading.at_utc, tolerance_s)
        if quarter is None:
            text = reading.at_utc.isoformat()
            reason = f"clock is more than {tolerance_s} s off the quarter hour"
            found.refused.append(Refused(reading.line, "time_utc", text, reason))
            continue
        first = seen.get((quarter, reading.meter))
        if first is None:
            order.setdefault(reading.meter, quarter)
            seen[quarter, reading.meter] = reading
        elif first.value_nano != reading.value_nano:
            text = f"{_kwh(reading.value_nano)} kWh"
            reason = f"a different value than line {first.line} for the same time"
            found.refused.append(Refused(reading.line, "value", text, reason))
    return sorted(
        ((quarter, reading) for (quarter, _), reading in seen.items()),
        key=lambda item: (item[0], order[item[1].meter]),
    )


def _delta(before: int, after: int, quarters: int, meter_type: MeterType) -> int | None:
    """Energy between two readings, or None where it cannot be; bounds: the fuse."""
    most = meter_type.fuse_w * quarters * NANO // 4000
    delta = after - before
    if delta < 0:
        delta += int(10**meter_type.digits) * NANO
    return delta if 0 <= delta <= most else None


def _worse(first: RegisterReading, second: RegisterReading) -> Quality:
    order = (Quality.TRUE, Quality.DEVICE, Quality.SUBSTITUTE, Quality.ESTIMATED)
    return max(first.quality, second.quality, key=order.index)


def _kwh(nano: int) -> str:
    whole, part = divmod(nano, NANO)
    return f"{whole}.{part:09d}".rstrip("0").rstrip(".")


def sum_of(intervals: Sequence[IntervalReading]) -> int:
    """Sum of intervals [1e-9 kWh]; must agree with the register's difference."""
    return sum(interval.value_nano for interval in intervals)
