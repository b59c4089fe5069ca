"""Batches of raw cells to typed, range-checked columns: the checks that look at one cell."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pendel.scenario import parse
from pendel.scenario.columns import StrArray
from pendel.scenario.findings import FileFindings, Findings
from pendel.scenario.parse import UNKNOWN_US, Cells
from pendel.scenario.sources import Batch, Progress, batches, files_of
from pendel.scenario.tables import Column, Table
from pendel.units import BoolArray, FloatArray, IntArray

ID_CHARACTERS_MAX = 255
ROWS_MAX = 200_000_000


@dataclass(frozen=True, slots=True)
class TypedBatch:
    """Checked rows [n]: number [n] NaN and time_us UNKNOWN_US where a cell is bad; ok [n] tells
    rows without a problem. Columns absent from the file hold their default (read-only views)."""

    number: dict[str, FloatArray]
    time_us: dict[str, IntArray]
    text: dict[str, Cells]
    lines: IntArray
    ok: BoolArray

    def __len__(self) -> int:
        return len(self.lines)

    def texts(self, name: str) -> StrArray:
        """A text column [n]; "" where it is absent."""
        if name not in self.text:
            return np.broadcast_to(np.array("", dtype=np.dtypes.StringDType()), len(self))
        return parse.texts(self.text[name])


class TableReader:
    """One table of the folder: finds its file, streams typed batches, knows its findings."""

    def __init__(
        self, folder: Path, table: Table, findings: Findings, progress: Progress | None
    ) -> None:
        paths = files_of(folder, table.stem)
        self.table = table
        self.path = paths[0] if paths else None
        self.found: FileFindings = findings.of(paths[0].name if paths else f"{table.stem}.csv")
        self._progress = progress
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            self.found.add(0, "", f"both {names} exist", "one of them")
        if not paths and table.required:
            self.found.add(0, "", "file is missing", "a CSV, gzipped CSV or parquet file")

    @property
    def present(self) -> bool:
        """Whether the folder has this table."""
        return self.path is not None

    def typed(self) -> Iterator[TypedBatch]:
        """Typed batches in file order; nothing when the file is absent."""
        if self.path is None:
            return
        rows = 0
        for batch in batches(self.path, self.table, self.found, self._progress):
            rows += len(batch)
            if rows > ROWS_MAX:
                self.found.add(0, "", f"more than {ROWS_MAX} rows", "a smaller file")
                return
            yield typed_batch(batch, self.table, self.found)


def typed_batch(batch: Batch, table: Table, found: FileFindings) -> TypedBatch:
    """Parse and range-check every column of a batch."""
    count = len(batch)
    ok = np.ones(count, dtype=np.bool_)
    result = TypedBatch({}, {}, {}, batch.lines, ok)
    for column in table.columns:
        cells = batch.cells.get(column.name)
        if column.kind == "number":
            result.number[column.name] = _numbers(column, cells, batch.lines, ok, found)
        elif column.kind == "time":
            result.time_us[column.name] = _times(column, cells, batch.lines, ok, found)
        elif cells is not None:
            result.text[column.name] = _checked_texts(column, cells, batch.lines, ok, found)
    return result


def _numbers(
    column: Column, cells: Cells | None, lines: IntArray, ok: BoolArray, found: FileFindings
) -> FloatArray:
    if cells is None:
        return np.broadcast_to(np.float64(column.default), len(lines))
    parsed = parse.numbers(cells)
    values: FloatArray = parsed.values
    _report_bad(column, parsed, lines, ok, found)
    if parsed.empty.any():
        if not values.flags.writeable:
            values = values.copy()
        values[parsed.empty] = np.nan if column.required else column.default
    given = ~parsed.empty
    wrong = given & ((values < column.ge) | (values > column.le))
    if column.positive:
        wrong |= given & (values == 0.0)
    if wrong.any():
        ok &= ~wrong
        found.add_where(
            wrong,
            lines,
            column.name,
            lambda row: f"{values[row]:.12g} is out of range",
            column.allowed,
        )
    return values


def _times(
    column: Column, cells: Cells | None, lines: IntArray, ok: BoolArray, found: FileFindings
) -> IntArray:
    if cells is None:
        return np.broadcast_to(np.int64(UNKNOWN_US), len(lines))
    parsed = parse.times(cells)
    _report_bad(column, parsed, lines, ok, found)
    values: IntArray = parsed.values
    return values


def _report_bad(
    column: Column, parsed: parse.Parsed, lines: IntArray, ok: BoolArray, found: FileFindings
) -> None:
    for row, reason in parsed.bad.items():
        ok[row] = False
        found.add(int(lines[row]), column.name, reason, column.allowed)
    if column.required and parsed.empty.any():
        ok &= ~parsed.empty
        found.add_where(parsed.empty, lines, column.name, lambda _: "is empty", column.allowed)


def _checked_texts(
    column: Column, cells: Cells, lines: IntArray, ok: BoolArray, found: FileFindings
) -> Cells:
    """The cells, without those that are too long: nobody keeps them."""
    if column.choices:
        index_of = {choice: index for index, choice in enumerate(column.choices)}
        wrong = parse.codes(cells, index_of) < 0
        problem = "is not known"
    else:
        lengths = text_lengths(cells)
        wrong = lengths > ID_CHARACTERS_MAX
        problem = f"is longer than {ID_CHARACTERS_MAX} characters"
        if column.required:
            empty = lengths == 0
            ok &= ~empty
            found.add_where(empty, lines, column.name, lambda _: "is empty", column.allowed)
    if wrong.any():
        ok &= ~wrong
        found.add_where(
            wrong,
            lines,
            column.name,
            lambda row: f"{parse.shown(cell_text(cells, row))} {problem}",
            column.allowed,
        )
        if not column.choices:
            return parse.without_long(cells, ID_CHARACTERS_MAX)
    return cells


def text_lengths(cells: Cells) -> IntArray:
    """Characters in each cell [n]."""
    if isinstance(cells, list):
        return np.fromiter(map(len, cells), dtype=np.int64, count=len(cells))
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        each = np.append(text_lengths(cells.dictionary), 0)
        index = cells.indices.fill_null(len(each) - 1).to_numpy(zero_copy_only=False)
        return np.asarray(each[index], dtype=np.int64)
    if not pa.types.is_string(cells.type):
        cells = cells.cast(pa.string())
    lengths: Any = pc.utf8_length(cells).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(lengths, dtype=np.int64)


def cell_text(cells: Cells, row: int) -> str:
    """One cell as text."""
    if isinstance(cells, list):
        return str(cells[row])
    return str(parse.as_texts(cells.slice(row, 1))[0])
