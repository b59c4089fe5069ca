"""Reads a CSV of quarter-hour values: every problem with its line, nothing guessed.

Rows in any order; `time_utc` is the begin of the quarter hour. Energies become integers of
1e-9 kWh. An empty value in a used column makes the quarter hour a gap; columns that are not used
are not read.
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Protocol

from pendel.clock import as_utc
from pendel.errors import Problem
from pendel.tariff.exact import (
    AMOUNT_ALLOWED,
    NANO,
    SIGNED_ALLOWED,
    parse_nano,
    parse_signed_nano,
)
from pendel.tariff.periods import YEAR_MAX, YEAR_MIN, quarter_of, quarter_text

ROWS_MAX = 4_000_000
TIME = "time_utc"
PRICES = frozenset({"aw_ct_kwh", "aw_a_ct_kwh", "aw_b_ct_kwh", "spot_eur_mwh"})
ENERGIES = frozenset({"z1nb", "z1ne", "z2v", "z2e", "z3v", "z3e"})
BILLED = frozenset({"import_kwh", "export_kwh"})
MINUTES = "plugged_min"
MINUTES_MAX = 15 * NANO
KNOWN = frozenset({TIME}) | PRICES | ENERGIES
KNOWN_TARIFF = frozenset({TIME, "spot_eur_mwh", MINUTES}) | BILLED
TIME_ALLOWED = "begin of a quarter hour with offset, like 2026-10-01T00:15:00Z"


@dataclass(slots=True)
class QuarterTable:
    """Quarter hours in ascending order.

    begins: those with every used value; columns: per used column one integer each (1e-9 kWh,
    1e-9 ct/kWh, 1e-9 EUR/MWh); mentioned: every quarter hour that has a row, gaps included;
    first: the quarter hour of the first row in the file; lines: per entry of begins its line.
    """

    begins: list[int] = field(default_factory=list)
    columns: dict[str, list[int]] = field(default_factory=dict)
    mentioned: list[int] = field(default_factory=list)
    first: int = 0
    lines: list[int] = field(default_factory=list)


class _Rows(Protocol):
    """What `csv.reader` gives."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass(slots=True)
class _Reading:
    """State of one pass over a file."""

    file: str
    used: tuple[str, ...]
    energy_max: int | None
    parsers: list[tuple[str, int, Callable[[str], int | None]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    rows: dict[int, tuple[int, ...] | None] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)

    def fault(self, line: int, column: str, problem: str, allowed: str = "") -> None:
        self.problems.append(Problem(self.file, line, column, problem, allowed))


def read_quarters(
    text: Iterable[str],
    file: str,
    used: Sequence[str],
    known: frozenset[str] = KNOWN,
    fuse_kw: Fraction | None = None,
) -> tuple[QuarterTable, list[Problem]]:
    """Parse lines of CSV with a header.

    used: the columns that must be there (time_utc is always one); known: columns that may be
    there; fuse_kw: the connection's power; more energy than it can carry in a quarter hour is a
    problem (Wh or W given as kWh). Returns the table and all problems; use it only without any.
    """
    limit = None if fuse_kw is None else math.floor(fuse_kw * NANO / 4)
    reading = _Reading(file, tuple(used), limit)
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, None)
        columns = _check_header(reading, header, known)
        if columns is None:
            return QuarterTable(), reading.problems
        _read_rows(reading, reader, columns)
    except csv.Error as error:
        reading.fault(reader.line_num, "", f"not CSV: {error}")
    except UnicodeDecodeError:
        reading.fault(reader.line_num + 1, "", "not UTF-8")
    if not reading.rows and not reading.problems:
        reading.fault(1, TIME, "no quarter hour in the file", "at least one row")
    return _table(reading), reading.problems


def _check_header(
    reading: _Reading, header: list[str] | None, known: frozenset[str]
) -> dict[str, int] | None:
    if not header:
        reading.fault(1, "", "no header", ", ".join((TIME, *reading.used)))
        return None
    names = [name.strip().removeprefix("\ufeff") for name in header]
    for position, name in enumerate(names):
        if name in names[:position]:
            reading.fault(1, name, "column twice")
        elif name not in known:
            reading.fault(1, name, "unknown column", ", ".join(sorted(known)))
    for name in (TIME, *reading.used):
        if name not in names:
            reading.fault(1, name, "column missing")
    if reading.problems:
        return None
    columns = {name: position for position, name in enumerate(names)}
    reading.parsers = [
        (name, columns[name], parse_signed_nano if name in PRICES else parse_nano)
        for name in reading.used
    ]
    return columns | {"": len(names)}


def _read_rows(reading: _Reading, reader: _Rows, columns: dict[str, int]) -> None:
    width, time_at = columns[""], columns[TIME]
    for row in reader:
        line = reader.line_num
        if not row:
            continue
        if len(reading.rows) >= ROWS_MAX:
            reading.fault(line, "", f"more than {ROWS_MAX} rows", "split the file by year")
            return
        if len(row) != width:
            reading.fault(line, "", f"{len(row)} values", f"{width}, as in the header")
            continue
        quarter = _quarter(reading, line, row[time_at])
        values = _values(reading, line, row)
        if quarter is None:
            continue
        if quarter in reading.rows:
            first = reading.lines[quarter]
            text = f"{quarter_text(quarter)} is there twice, first in line {first}"
            reading.fault(line, TIME, text, "each quarter hour once")
            continue
        reading.rows[quarter] = values
        reading.lines[quarter] = line


def _quarter(reading: _Reading, line: int, text: str) -> int | None:
    try:
        when = as_utc(datetime.fromisoformat(text.strip()))
    except ValueError as error:
        reason = str(error) if text.strip() else "empty"
        reading.fault(line, TIME, reason, TIME_ALLOWED)
        return None
    except OverflowError:
        reading.fault(line, TIME, f"{text}: outside the calendar", TIME_ALLOWED)
        return None
    if not YEAR_MIN <= when.year <= YEAR_MAX:
        reading.fault(line, TIME, f"year {when.year}", f"{YEAR_MIN} to {YEAR_MAX}")
        return None
    quarter = quarter_of(when)
    if quarter is None:
        reading.fault(line, TIME, f"{text} is not the begin of a quarter hour", TIME_ALLOWED)
    return quarter


def _values(reading: _Reading, line: int, row: list[str]) -> tuple[int, ...] | None:
    """The used values of a row; None where one is missing (a gap) or wrong (a problem)."""
    values: list[int] = []
    for name, position, parse in reading.parsers:
        text = row[position].strip()
        if not text:
            continue
        value = parse(text)
        if value is None:
            signed = name in PRICES
            shown = text if len(text) <= 40 else text[:40] + "..."
            allowed = SIGNED_ALLOWED if signed else AMOUNT_ALLOWED
            reading.fault(line, name, f"{shown!r} is not a number here", allowed)
            continue
        if (
            reading.energy_max is not None
            and name in ENERGIES | BILLED
            and value > reading.energy_max
        ):
            reading.fault(line, name, _too_much(text), f"at most {_kwh(reading.energy_max)} kWh")
            continue
        if name == MINUTES and value > MINUTES_MAX:
            reading.fault(line, name, f"{text} minutes of a quarter hour", "at most 15")
            continue
        values.append(value)
    return tuple(values) if len(values) == len(reading.parsers) else None


def _too_much(text: str) -> str:
    return f"{text} kWh is more than the fuse carries in a quarter hour (W or Wh given as kWh?)"


def _kwh(nano: int) -> str:
    whole, part = divmod(nano, NANO)
    return f"{whole}.{part:09d}".rstrip("0").rstrip(".")


def _table(reading: _Reading) -> QuarterTable:
    mentioned = sorted(reading.rows)
    complete = [(quarter, reading.rows[quarter]) for quarter in mentioned]
    kept = [(quarter, values) for quarter, values in complete if values is not None]
    columns = {
        name: [values[position] for _, values in kept] for position, name in enumerate(reading.used)
    }
    first = next(iter(reading.rows), 0)
    lines = [reading.lines[quarter] for quarter, _ in kept]
    return QuarterTable([quarter for quarter, _ in kept], columns, mentioned, first, lines)
