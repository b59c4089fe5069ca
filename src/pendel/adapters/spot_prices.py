"""Day-ahead prices of a bidding zone: read from a file or fetched, as quarter hours in EUR/MWh.

What is not published yet is not told, whatever a file already holds (`scenario.publication`, or
the file's own `published_utc`). Shapes: CSV `time_utc, spot_eur_mwh[, published_utc]`; JSON of
energy-charts (`unix_seconds`, `price`) and of aWATTar (`data[].start_timestamp`, `marketprice`).
A row holds until the next one, at most an hour; a longer distance is a gap, never filled.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from pendel.clock import parse_utc
from pendel.errors import Problem
from pendel.scenario.publication import published_until_s
from pendel.tariff.exact import NANO, parse_signed_nano
from pendel.units import QUARTER_HOUR_S

FILE_BYTES_MAX = 64 << 20
ROWS_MAX = 1_000_000
PRICE_MAX_EUR_MWH = 10_000
HOUR_S = 3_600
COLUMNS = ("time_utc", "spot_eur_mwh", "published_utc")
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class SpotError(ValueError):
    """Prices that cannot be read; the message says where and why."""


@dataclass(slots=True)
class SpotTable:
    """Prices by quarter hour since the epoch [EUR/MWh, exact] and when each became known, where
    the source says so."""

    eur_mwh: dict[int, Fraction] = field(default_factory=dict)
    published_utc: dict[int, datetime] = field(default_factory=dict)

    def known(self, now_utc: datetime, timezone: str) -> dict[int, Fraction]:
        """What is published at now_utc, of yesterday and later."""
        now_s = int(now_utc.timestamp())
        until = published_until_s(now_s, timezone) // QUARTER_HOUR_S
        oldest = int((now_utc - timedelta(days=1)).timestamp()) // QUARTER_HOUR_S
        return {
            quarter: price
            for quarter, price in self.eur_mwh.items()
            if quarter >= oldest
            and (
                self.published_utc[quarter] <= now_utc
                if quarter in self.published_utc
                else quarter < until
            )
        }


def read_table(text: str, file: str) -> SpotTable:
    """Prices from CSV or from one of the JSON shapes. Raises SpotError."""
    if text.lstrip()[:1] == "{":
        return read_json(text, file)
    return read_csv(text.splitlines(), file)


def read_csv(lines: Iterable[str], file: str) -> SpotTable:
    """Prices from CSV. Raises SpotError with the first line that is wrong."""
    reader = csv.reader(lines)
    header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
    if not set(COLUMNS[:2]) <= set(header) or not set(header) <= set(COLUMNS):
        raise SpotError(f"{file}:1: the columns are {', '.join(COLUMNS)} (the last is optional)")
    rows: list[tuple[int, Fraction]] = []
    told: dict[int, datetime] = {}
    for row in reader:
        if not row:
            continue
        if reader.line_num > ROWS_MAX or len(row) != len(header):
            raise SpotError(f"{file}:{reader.line_num}: not {len(header)} values, or too many rows")
        named = dict(zip(header, map(str.strip, row), strict=True))
        try:
            begin_s = int(parse_utc(named["time_utc"]).timestamp())
            if named.get("published_utc"):
                told[begin_s] = parse_utc(named["published_utc"])
        except (ValueError, OverflowError) as error:
            raise SpotError(f"{file}:{reader.line_num}: {error}") from None
        nano = parse_signed_nano(named["spot_eur_mwh"])
        if nano is None:
            raise SpotError(f"{file}:{reader.line_num}: spot_eur_mwh: no decimal")
        rows.append((begin_s, Fraction(nano, NANO)))
    return _spread(rows, file, told)


def read_json(text: str, file: str) -> SpotTable:
    """Prices from the JSON of energy-charts or aWATTar. Raises SpotError."""
    try:
        data = json.loads(text, parse_float=Fraction, parse_int=Fraction)
    except (ValueError, RecursionError) as error:
        raise SpotError(f"{file}: not JSON: {str(error)[:100]}") from None
    rows: list[tuple[int, Fraction]] = []
    try:
        if "unix_seconds" in data:
            pairs = zip(data["unix_seconds"], data["price"], strict=True)
            rows = [(int(begin), Fraction(price)) for begin, price in pairs if price is not None]
        else:
            for entry in data["data"]:
                if str(entry["unit"]).lower() != "eur/mwh":
                    raise SpotError(f"{file}: unit {str(entry['unit'])[:20]}, not EUR/MWh")
                rows.append((int(entry["start_timestamp"]) // 1000, Fraction(entry["marketprice"])))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, SpotError):
            raise
        shapes = "unix_seconds and price, or data[] with start_timestamp, marketprice, unit"
        raise SpotError(f"{file}: not the expected shape: {shapes}") from None
    return _spread(rows, file, {})


def _spread(rows: list[tuple[int, Fraction]], file: str, told: Mapping[int, datetime]) -> SpotTable:
    """Rows of 15, 30 or 60 minutes as quarter hours. Raises SpotError."""
    rows.sort(key=lambda row: row[0])
    found = SpotTable()
    lasts_s = HOUR_S
    ends = [(begin, after) for (begin, _), (after, _) in pairwise(rows)]
    if ends:
        lasts_s = min((after - begin for begin, after in ends), default=HOUR_S)
    for place, (begin_s, price) in enumerate(rows):
        if begin_s % QUARTER_HOUR_S or abs(price) > PRICE_MAX_EUR_MWH:
            when = datetime.fromtimestamp(begin_s, UTC).isoformat()
            raise SpotError(f"{file}: {when}: off the quarter hour, or not a price in EUR/MWh")
        if place + 1 < len(rows):
            distance_s = rows[place + 1][0] - begin_s
            if distance_s == 0:
                when = datetime.fromtimestamp(begin_s, UTC).isoformat()
                raise SpotError(f"{file}: {when} is there twice")
            if distance_s <= HOUR_S:
                lasts_s = distance_s
        first = begin_s // QUARTER_HOUR_S
        for quarter in range(first, first + max(min(lasts_s, HOUR_S) // QUARTER_HOUR_S, 1)):
            found.eur_mwh[quarter] = price
            if told:
                found.published_utc[quarter] = told.get(begin_s, _ALWAYS)
    return found


class SpotFile:
    """Implements `ports.SpotSource` with a file that somebody keeps up to date; read again when it
    changes. A file that cannot be read leaves what was read before."""

    def __init__(self, path: Path, timezone: str) -> None:
        self.trouble = ""
        self._path, self._timezone = path, timezone
        self._seen: tuple[int, int] | None = None
        self._table = SpotTable()

    def spot(self, now_utc: datetime) -> Mapping[int, Fraction]:
        """What is published at now_utc, by quarter hour [EUR/MWh]."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                if status.st_size > FILE_BYTES_MAX:
                    raise SpotError(f"{self._path.name}: larger than {FILE_BYTES_MAX} bytes")
                self._seen = seen
                text = self._path.read_text("utf-8-sig")
                self._table, self.trouble = read_table(text, self._path.name), ""
        except (OSError, ValueError) as error:
            self.trouble = str(error)
        return self._table.known(now_utc, self._timezone)

    def close(self) -> None:
        """Nothing runs."""


def check_file(path: Path) -> list[Problem]:
    """Why a file cannot serve as a source of prices; empty = it can."""
    try:
        read_table(path.read_text("utf-8-sig"), path.name)
    except (OSError, ValueError) as error:
        return [Problem("prices", 0, "source", str(error), "a file of day-ahead prices")]
    return []


__all__: list[Any] = ["SpotError", "SpotFile", "SpotTable", "check_file", "read_table"]
