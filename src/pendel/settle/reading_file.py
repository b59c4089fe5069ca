"""Meter readings from CSV: `time_utc, meter, obis, value, unit` and optionally `quality`.

Every line is either a reading or refused with its reason; nothing is guessed from other lines.
"""

import csv
from collections.abc import Iterable

from pendel.clock import parse_utc
from pendel.settle.meter import IntervalReading, Quality, Readings, Refused, RegisterReading
from pendel.settle.obis import ALLOWED, parse_obis
from pendel.tariff.exact import AMOUNT_ALLOWED, parse_nano
from pendel.tariff.periods import quarter_of

REQUIRED = ("time_utc", "meter", "obis", "value", "unit")
ROWS_MAX = 4_000_000
_DIVISOR = {"kWh": 1, "Wh": 1000}


def read_csv(text: Iterable[str]) -> Readings:
    """Registers (OBIS D = 8) and intervals (D = 29) of a file."""
    found = Readings()
    reader = csv.reader(text)
    header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
    known = (*REQUIRED, "quality")
    missing = [name for name in REQUIRED if name not in header]
    wrong = [name for name in header if name not in known or header.count(name) > 1]
    if missing or wrong:
        reason = f"missing {missing}, unknown or twice {wrong}; needed: {', '.join(known)}"
        found.refused.append(Refused(1, "", ",".join(header), reason))
        return found
    for row in reader:
        if not row:
            continue
        if reader.line_num > ROWS_MAX:
            found.refused.append(Refused(reader.line_num, "", "", f"more than {ROWS_MAX} rows"))
            break
        if len(row) != len(header):
            reason = f"{len(row)} values, {len(header)} in the header"
            found.refused.append(Refused(reader.line_num, "", ",".join(row), reason))
            continue
        _read_row(found, reader.line_num, dict(zip(header, map(str.strip, row), strict=True)))
    return found


def _read_row(found: Readings, line: int, row: dict[str, str]) -> None:
    def refuse(name: str, reason: str) -> None:
        found.refused.append(Refused(line, name, row.get(name, ""), reason))

    obis = parse_obis(row["obis"])
    if obis is None:
        return refuse("obis", f"unknown; {ALLOWED}")
    if row["unit"] not in _DIVISOR:
        return refuse("unit", "not an energy unit known here; kWh, Wh")
    value = parse_nano(row["value"])
    if value is None:
        return refuse("value", f"not a number here; {AMOUNT_ALLOWED}")
    value, rest = divmod(value, _DIVISOR[row["unit"]])
    if rest:
        return refuse("value", "finer than 1e-9 kWh")
    quality = row.get("quality") or Quality.TRUE.value
    if quality not in [flag.value for flag in Quality]:
        return refuse("quality", "unknown; " + ", ".join(Quality))
    try:
        when = parse_utc(row["time_utc"])
    except (ValueError, OverflowError) as error:
        return refuse("time_utc", str(error))
    if not obis.interval:
        reading = RegisterReading(row["meter"], obis, when, value, Quality(quality), line)
        return found.registers.append(reading)
    begin = quarter_of(when)
    if begin is None:
        return refuse("time_utc", "an interval begins on :00, :15, :30 or :45")
    interval = IntervalReading(row["meter"], obis, begin, value, Quality(quality), line)
    return found.intervals.append(interval)
