"""From registers to energy: per quarter hour of an EVSE, and per session of a car.

Registers at the begin of quarter hours (clock-aligned values) give quarter hours by
`settle.meter.intervals_of`. Between two readings of the same value nothing flowed, so the quarter
hours between are exactly 0. Everything else is a gap: its energy is known, its quarter hours not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from pendel.runtime.metered import Mark, RefusedValue
from pendel.settle.meter import (
    MeterType,
    Quality,
    RegisterReading,
    intervals_of,
    snap,
)
from pendel.settle.obis import Obis
from pendel.tariff.periods import utc_of_quarter
from pendel.units import POWER_MAX_KW, QUARTER_HOUR_S, W_PER_KW

DIRECTIONS = ("import", "export")
DIGITS = 9
"""Digits before the point of a counter nobody described: it never rolls over."""
IDLE_QUARTERS_MAX = 96 * 400
_OBIS = {"import": Obis("1-0:1.8.0", "import", False), "export": Obis("1-0:2.8.0", "export", False)}


@dataclass(slots=True)
class DeviceFlow:
    """Energy of a device by quarter hour [1e-9 kWh] per direction; signed: every register was;
    first: the first quarter hour of which anything is known."""

    device_id: str
    values: dict[str, dict[int, int]] = field(default_factory=dict)
    signed: bool = True
    first: int = 0
    refused: list[RefusedValue] = field(default_factory=list)
    records: dict[int, list[str]] = field(default_factory=dict)
    """Ids of the records whose readings end a quarter hour, by its begin."""

    def pair(self, quarter: int) -> tuple[int, int] | None:
        """Import and export of a quarter hour; None where one of them is a gap."""
        taken = self.values["import"].get(quarter)
        given = self.values["export"].get(quarter)
        return None if taken is None or given is None else (taken, given)


@dataclass(slots=True)
class SessionFlow:
    """Energy of one transaction [1e-9 kWh] by quarter hour; whole: every quarter hour is exact,
    False: the quarter hours of some of it are not known and stand at the end of that piece."""

    values: dict[int, list[int]] = field(default_factory=dict)
    whole: bool = True
    signed: bool = True

    def total(self, direction: str) -> int:
        """All of a direction."""
        place = DIRECTIONS.index(direction)
        return sum(pair[place] for pair in self.values.values())

    def add(self, quarter: int, direction: str, nano: int) -> None:
        """Add energy to a quarter hour."""
        self.values.setdefault(quarter, [0, 0])[DIRECTIONS.index(direction)] += nano


def device_flow(device_id: str, marks: Sequence[Mark], fuse_kw: float | None = None) -> DeviceFlow:
    """Quarter hours of a device. fuse_kw: what its connection carries, None = any power allowed
    here. A counter that is never told in one direction is one that does not count there: 0."""
    found = DeviceFlow(device_id, signed=all(mark.signed for mark in marks))
    found.first = min(_quarter(mark.at_utc) for mark in marks)
    meter_type = MeterType(DIGITS, round((fuse_kw or POWER_MAX_KW) * W_PER_KW))
    for direction in DIRECTIONS:
        own = _numbered([mark for mark in marks if mark.direction == direction])
        readings = _boundaries(own)
        for reading in readings:
            ended = _quarter(reading.at_utc) - 1
            found.records.setdefault(ended, []).append(own[reading.line][1].record_id)
        result = intervals_of(readings, meter_type, device_id)
        found.values[direction] = {i.begin: i.value_nano for i in result.intervals}
        found.refused += [
            RefusedValue(own[refused.line][1].record_id, device_id, refused.text, refused.reason)
            for refused in result.refused
        ]
    told = {mark.direction for mark in marks}
    for direction, other in zip(DIRECTIONS, reversed(DIRECTIONS), strict=True):
        if direction not in told:
            found.values[direction] = dict.fromkeys(found.values[other], 0)
    return found


def session_flow(marks: Iterable[Mark]) -> SessionFlow:
    """Energy of one transaction from its own marks, oldest first per register."""
    found = SessionFlow()
    listed = list(marks)
    found.signed = bool(listed) and all(mark.signed for mark in listed)
    for direction in DIRECTIONS:
        own = sorted((m for m in listed if m.direction == direction), key=lambda m: m.at_utc)
        for before, after in pairwise(own):
            moved = after.nano - before.nano
            if moved < 0 or before.meter != after.meter:
                continue
            begin, end = _quarter(before.at_utc), _quarter(after.at_utc)
            if after.at_utc == utc_of_quarter(end) and end > begin:
                end -= 1
            found.whole = found.whole and (moved == 0 or begin == end)
            found.add(end, direction, moved)
    return found


def _numbered(marks: list[Mark]) -> list[tuple[str, Mark]]:
    """Marks in order of time with the name of their counter. A counter that begins anew with a
    transaction (some count per session) is another one from then on."""
    found: list[tuple[str, Mark]] = []
    number, last = 0, dict[str, Mark]()
    for mark in sorted(marks, key=lambda mark: mark.at_utc):
        before = last.get(mark.meter)
        fell = before is not None and mark.nano < before.nano
        if fell and before is not None and mark.transaction_id != before.transaction_id:
            number += 1
        last[mark.meter] = mark
        found.append((f"{mark.meter}~{number}", mark))
    return found


def _boundaries(marks: list[tuple[str, Mark]]) -> list[RegisterReading]:
    """Readings at begins of quarter hours: told, or between two equal readings."""
    nearest: dict[tuple[str, int], tuple[float, RegisterReading]] = {}

    def offer(meter: str, quarter: int, place: int, distance_s: float) -> None:
        mark = marks[place][1]
        reading = RegisterReading(
            meter, _OBIS[mark.direction], utc_of_quarter(quarter), mark.nano, Quality.DEVICE, place
        )
        known = nearest.get((meter, quarter))
        if known is None or distance_s < known[0]:
            nearest[meter, quarter] = (distance_s, reading)

    for place, (meter, mark) in enumerate(marks):
        quarter = snap(mark.at_utc)
        if quarter is not None:
            distance_s = abs((mark.at_utc - utc_of_quarter(quarter)).total_seconds())
            offer(meter, quarter, place, distance_s)
    for place, ((meter, before), (same, after)) in enumerate(pairwise(marks)):
        if meter == same and before.nano == after.nano:
            begin, end = _quarter(before.at_utc) + 1, _quarter(after.at_utc)
            for quarter in range(begin, min(end, begin + IDLE_QUARTERS_MAX) + 1):
                offer(meter, quarter, place, 0.0)
    return [reading for _, reading in nearest.values()]


def _quarter(when_utc: datetime) -> int:
    return int(when_utc.timestamp()) // QUARTER_HOUR_S
