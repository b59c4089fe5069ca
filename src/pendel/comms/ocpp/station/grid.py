"""The grid around a virtual station: frequency and voltage, fixed or from a record over time.

A record is a CSV with a header: `time_s` (seconds from the first row on), `frequency_hz`, and
`voltage_pu` or `voltage_l1_pu`, `voltage_l2_pu`, `voltage_l3_pu`. Empty cells keep the last value.
"""

import csv
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pendel.errors import InputError, Problem

ROWS_MAX = 1_000_000
PHASES = ("voltage_l1_pu", "voltage_l2_pu", "voltage_l3_pu")
COLUMNS = ("time_s", "frequency_hz", "voltage_pu", *PHASES)
NOMINAL_HZ = 50.0
_RANGES = {"time_s": (0.0, 1e10), "frequency_hz": (0.0, 1_000.0)}
_VOLTAGE_RANGE = (0.0, 10.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Frequency [Hz], voltage as a share of nominal (mean of the phases), whether there is a
    grid; phases_pu: each phase where they differ."""

    frequency_hz: float
    voltage_pu: float
    up: bool
    phases_pu: tuple[float, ...] = ()
    nominal_hz: float = NOMINAL_HZ

    @property
    def lowest_pu(self) -> float:
        """The lowest phase."""
        return min(self.phases_pu, default=self.voltage_pu)

    @property
    def highest_pu(self) -> float:
        """The highest phase."""
        return max(self.phases_pu, default=self.voltage_pu)


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a record."""

    at_s: float
    frequency_hz: float
    phases_pu: tuple[float, ...]

    @property
    def voltage_pu(self) -> float:
        """Mean of the phases."""
        return sum(self.phases_pu) / len(self.phases_pu)


@dataclass(frozen=True, slots=True)
class GridRecord:
    """Samples in order, from begin_s [epoch s] on; each holds until the next, the last for ever."""

    samples: Sequence[Sample]
    begin_s: float = 0.0

    def begun(self, begin_s: float) -> "GridRecord":
        """The same record, its first row at begin_s [epoch s]."""
        return replace(self, begin_s=begin_s)

    def _place(self, now_s: float) -> int:
        return bisect_right(self.samples, now_s - self.begin_s, key=lambda s: s.at_s)

    def at(self, now_s: float) -> Sample:
        """The sample that holds at now_s (before the first: the first)."""
        return self.samples[max(self._place(now_s) - 1, 0)]

    def next_s(self, now_s: float) -> float:
        """When the next sample begins [epoch s]; inf after the last."""
        place = self._place(now_s)
        if place >= len(self.samples):
            return math.inf
        return self.begin_s + self.samples[place].at_s


def grid_record(lines: Sequence[str], name: str) -> GridRecord:
    """A record from the lines of its CSV. Raises InputError with file, line and column."""
    rows = csv.DictReader(lines)
    header = rows.fieldnames or []
    problems = [Problem(name, 1, column, "unknown", ", ".join(COLUMNS)) for column in header
                if column not in COLUMNS]  # fmt: skip
    if "time_s" not in header or "frequency_hz" not in header:
        missing = "time_s" if "time_s" not in header else "frequency_hz"
        problems.append(Problem(name, 1, missing, "missing", ", ".join(COLUMNS)))
    if problems:
        raise InputError(problems)
    samples: list[Sample] = []
    last = {"frequency_hz": NOMINAL_HZ, **dict.fromkeys(("voltage_pu", *PHASES), 1.0)}
    for number, row in enumerate(rows, 2):
        values: dict[str, float] = {}
        for column in header:
            value = _number(row.get(column), column, name, number, problems)
            values[column] = last.get(column, math.nan) if value is None else value
        if len(samples) >= ROWS_MAX:
            problems.append(Problem(name, number, "", "too many rows", f"{ROWS_MAX:,}"))
            break
        if samples and not values["time_s"] > samples[-1].at_s:
            text = f"{values['time_s']:g} is not after the row before"
            problems.append(Problem(name, number, "time_s", text, "ascending times"))
        last |= values
        named = [values[phase] for phase in PHASES if phase in values]
        phases = tuple(named) or (values.get("voltage_pu", 1.0),)
        samples.append(Sample(values["time_s"], values["frequency_hz"], phases))
        if len(problems) > 20:
            break
    if not samples:
        problems.append(Problem(name, 2, "time_s", "no row", "at least one row"))
    if problems:
        raise InputError(problems)
    first_s = samples[0].at_s
    return GridRecord([Sample(s.at_s - first_s, s.frequency_hz, s.phases_pu) for s in samples])


def _number(
    text: str | None, column: str, name: str, line: int, problems: list[Problem]
) -> float | None:
    if (text is None or not text.strip()) and column != "time_s":
        return None
    low, high = _RANGES.get(column, _VOLTAGE_RANGE)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if low <= value <= high:
        return value
    problems.append(Problem(name, line, column, repr(text), f"{low:g} to {high:g}"))
    return low


def read_grid_record(path: Path) -> GridRecord:
    """A record from a file. Raises InputError."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Problem(path.name, 0, "", str(error), "a CSV file")]) from error
    return grid_record(lines, path.name)
