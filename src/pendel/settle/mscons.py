"""Meter values from MSCONS (EDI@Energy, EDIFACT D.04B): true values and flagged substitutes.

`LOC+172` metering point, `PIA+5` OBIS, `QTY+220` true, `QTY+67` substitute, `DTM+163/164` begin
and end of the interval in format 303 (UTC offset). A truncated or miscounted file is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pendel.clock import as_utc
from pendel.settle.meter import IntervalReading, Quality, Readings, Refused
from pendel.settle.obis import ALLOWED, Obis, parse_obis
from pendel.tariff.exact import AMOUNT_ALLOWED, parse_nano
from pendel.tariff.periods import quarter_of
from pendel.units import QUARTER_HOUR_S

BYTES_MAX = 64 << 20
_QUALITY = {"220": Quality.TRUE, "67": Quality.SUBSTITUTE}
_TIME = re.compile(r"([0-9]{12})([+-][0-9]{2})")
Segment = list[list[str]]


def segments(text: str) -> Iterator[tuple[int, Segment]]:
    """(line, segment) of an interchange; a segment is a list of elements, each a list of
    components. Separators as in UNA, else the default `:+.? '`."""
    component, element, release, end = ":", "+", "?", "'"
    position, line = 0, 1
    if text.startswith("UNA") and len(text) >= 9:
        component, element, release, end = text[3], text[4], text[6], text[8]
        position = 9
    current: Segment = [[""]]
    started = line
    while position < len(text):
        char = text[position]
        line += char == "\n"
        if char == release and position + 1 < len(text):
            position += 1
            current[-1][-1] += text[position]
        elif char == component:
            current[-1].append("")
        elif char == element:
            current.append([""])
        elif char == end:
            yield started, current
            current, started = [[""]], line
        elif char in "\r\n" and current == [[""]]:
            started = line
        elif char not in "\r\n":
            current[-1][-1] += char
        position += 1
    if current != [[""]]:
        yield started, [["TRUNCATED"], *current]


@dataclass(slots=True)
class _Message:
    """What is known at one point of the interchange."""

    found: Readings = field(default_factory=Readings)
    point: str = ""
    obis: Obis | None = None
    quantity: tuple[int, str, str] | None = None
    begin: datetime | None = None
    counted: int = 0
    messages: int = 0
    closed: bool = False

    def refuse(self, line: int, name: str, text: str, reason: str) -> None:
        self.found.refused.append(Refused(line, name, text, reason))


def read_mscons(text: str) -> Readings:
    """Quarter-hour values of an interchange; with any fault of its frame, none of them."""
    state = _Message()
    if len(text) > BYTES_MAX:
        state.refuse(1, "", "", f"more than {BYTES_MAX} bytes")
        return state.found
    frame_faults = 0
    for line, segment in segments(text):
        tag = segment[0][0]
        state.counted += 1
        before = len(state.found.refused)
        if tag in ("UNH", "UNT", "UNZ", "TRUNCATED"):
            _frame(state, line, tag, segment)
            frame_faults += len(state.found.refused) - before
        elif tag in _READERS:
            _READERS[tag](state, line, segment)
    if not state.closed:
        state.refuse(text.count("\n") + 1, "UNZ", "", "the file is truncated: no UNZ at its end")
        frame_faults += 1
    if frame_faults:
        state.found.intervals.clear()
    return state.found


def _frame(state: _Message, line: int, tag: str, segment: Segment) -> None:
    if tag == "UNH":
        state.counted, state.point, state.obis = 1, "", None
        kind = segment[2][0] if len(segment) > 2 else ""
        if kind != "MSCONS":
            state.refuse(line, "UNH", kind, "not a MSCONS message")
    elif tag == "UNT":
        _flush(state, line)
        state.messages += 1
        _check_count(state, line, tag, segment, state.counted)
    elif tag == "UNZ":
        state.closed = True
        _check_count(state, line, tag, segment, state.messages)
    else:
        state.refuse(line, "", segment[1][0][:40], "the file is truncated inside a segment")


def _check_count(state: _Message, line: int, tag: str, segment: Segment, counted: int) -> None:
    stated = segment[1][0] if len(segment) > 1 else ""
    if stated != str(counted):
        state.refuse(line, tag, stated, f"counted {counted}: something is missing or too much")


def _location(state: _Message, line: int, segment: Segment) -> None:
    if segment[1][0] == "172":
        _flush(state, line)
        state.point, state.obis = (segment[2][0] if len(segment) > 2 else ""), None


def _product(state: _Message, line: int, segment: Segment) -> None:
    if segment[1][0] != "5":
        return
    _flush(state, line)
    parts = segment[2] if len(segment) > 2 else [""]
    code = ":".join(part for part in parts if part not in ("SRW", "Z08"))
    state.obis = parse_obis(code)
    if state.obis is None or not state.obis.interval:
        state.obis = None
        state.refuse(line, "PIA", code, f"unknown register; {ALLOWED}")


def _quantity(state: _Message, line: int, segment: Segment) -> None:
    _flush(state, line)
    kind, value, *unit = segment[1] if len(segment) > 1 else ["", ""]
    if unit and unit[0] not in ("", "KWH"):
        state.refuse(line, "QTY", unit[0], "not kWh")
        return
    state.quantity = (line, kind, value)
    state.begin = None


def _time(state: _Message, line: int, segment: Segment) -> None:
    kind, value, form = (*segment[1], "", "")[:3] if len(segment) > 1 else ("", "", "")
    if state.quantity is None or kind not in ("163", "164"):
        return
    when = _parse_303(value) if form == "303" else None
    if when is None:
        state.refuse(line, "DTM", value, "not a time in format 303")
        state.quantity = None
    elif kind == "163":
        state.begin = when
    else:
        _take(state, line, when)


def _take(state: _Message, line: int, end: datetime) -> None:
    """The quantity is complete: a value of one quarter hour, or refused."""
    at, kind, text = state.quantity or (line, "", "")
    begin, obis, state.quantity = state.begin, state.obis, None
    quality, value = _QUALITY.get(kind), parse_nano(text)
    if not state.point:
        return state.refuse(at, "LOC", "", "no metering point before the value")
    if obis is None:
        return state.refuse(at, "QTY", text, "no known register before the value")
    if quality is None:
        return state.refuse(at, "QTY", kind, "neither a true value (220) nor a substitute (67)")
    if value is None:
        return state.refuse(at, "QTY", text, f"not a number here; {AMOUNT_ALLOWED}")
    quarter = None if begin is None else quarter_of(begin)
    if begin is None or quarter is None or end - begin != timedelta(seconds=QUARTER_HOUR_S):
        return state.refuse(at, "DTM", "", "not one quarter hour from :00, :15, :30 or :45")
    reading = IntervalReading(state.point, obis, quarter, value, quality, at)
    return state.found.intervals.append(reading)


def _flush(state: _Message, line: int) -> None:
    """A quantity whose times never came."""
    if state.quantity is not None:
        at, _, text = state.quantity
        state.refuse(at or line, "QTY", text, "no begin and end of its interval")
        state.quantity = None


def _parse_303(text: str) -> datetime | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        stamp = match[1]
        day = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}"
        return as_utc(datetime.fromisoformat(f"{day}T{stamp[8:10]}:{stamp[10:12]}:00{match[2]}:00"))
    except ValueError:
        return None


_READERS = {"LOC": _location, "PIA": _product, "QTY": _quantity, "DTM": _time}
