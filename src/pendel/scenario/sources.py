"""Files of a folder as batches of raw cells: CSV, gzipped CSV and parquet under one stem.

Small CSV files are read by the standard library (pyarrow costs 0.3 s to import); large ones by
pyarrow in streamed batches. What pyarrow cannot split into rows is read again the plain way, which
knows the exact line of every row; so both ways find the same.
Lines count from 1 with the header as line 1; for parquet they are row number + 1.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from pendel.scenario.findings import FileFindings
from pendel.scenario.parse import Cells, shown
from pendel.scenario.tables import Table
from pendel.units import IntArray

SUFFIXES = (".csv", ".csv.gz", ".parquet")
SMALL_BYTES = 1 << 20
BATCH_ROWS = 65_536
BLOCK_BYTES = 4 << 20
LINE_CHARACTERS_MAX = 1 << 20
GZIP_FACTOR = 6
"""How much larger such tables are when unpacked, about; for progress only."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a table. cells: raw cells per column present; lines [n]: where each row is."""

    cells: dict[str, Cells]
    lines: IntArray

    def __len__(self) -> int:
        return len(self.lines)


class _UnsplittableError(Exception):
    """The fast way cannot split this file into rows; the plain way will say why."""


def files_of(folder: Path, stem: str) -> list[Path]:
    """The files of the folder that could hold this table, in a fixed order."""
    return [path for suffix in SUFFIXES if (path := folder / (stem + suffix)).is_file()]


def batches(
    path: Path, table: Table, found: FileFindings, progress: Progress | None = None
) -> Iterator[Batch]:
    """Stream a file. Problems of form (header, row shapes, encoding) go to `found`."""
    if path.suffix == ".parquet":
        yield from _parquet_batches(path, table, found, progress)
        return
    if path.stat().st_size > SMALL_BYTES:
        counted = 0
        try:
            for batch in _arrow_batches(path, table, progress):
                counted += len(batch)
                yield batch
            return
        except _UnsplittableError:
            skip = counted
    else:
        skip = 0
    yield from _plain_batches(path, table, found, skip, progress)


def check_header(names: list[str], table: Table, found: FileFindings) -> bool:
    """Whether rows can be read under this header: every required column once. Unknown columns
    are problems, but the others can still be checked."""
    known = [column.name for column in table.columns]
    readable = True
    for position, name in enumerate(names):
        if name not in known:
            found.add(1, name or f"column {position + 1}", "unknown column", ", ".join(known))
        elif name in names[:position]:
            found.add(1, name, "column appears twice", "once")
            readable = False
    for column in table.columns:
        if column.required and column.name not in names:
            found.add(1, column.name, "required column is missing", column.allowed)
            readable = False
    return readable


def _plain_batches(
    path: Path, table: Table, found: FileFindings, skip: int, progress: Progress | None
) -> Iterator[Batch]:
    """The standard library's csv reader; `skip` good rows were already handed out."""
    try:
        with path.open("rb") as raw:
            text = io.TextIOWrapper(_unpacked(raw, path), encoding="utf-8-sig", newline="")
            yield from _read_rows(text, raw, path, table, found, skip, progress)
    except UnicodeDecodeError:
        found.add(_bad_utf8_line(path), "", "not valid UTF-8", "UTF-8")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        found.add(0, "", f"cannot be unpacked: {error}")
    except OSError as error:
        found.add(0, "", f"cannot be read: {error.strerror or error}")


def _unpacked(raw: IO[bytes], path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw


def _bounded_lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LINE_CHARACTERS_MAX):
        if len(line) >= LINE_CHARACTERS_MAX:
            raise csv.Error(f"line longer than {LINE_CHARACTERS_MAX} characters")
        yield line


def _read_rows(
    text: io.TextIOWrapper,
    raw: IO[bytes],
    path: Path,
    table: Table,
    found: FileFindings,
    skip: int,
    progress: Progress | None,
) -> Iterator[Batch]:
    reader = csv.reader(_bounded_lines(text))
    size = max(1, path.stat().st_size)
    try:
        header = next(reader, None)
        if header is None:
            found.add(1, "", "file is empty", "a header line")
            return
        if not check_header(header, table, found):
            return
        rows: list[list[str]] = []
        lines: list[int] = []
        line = reader.line_num + 1
        for row in reader:
            if not row:
                pass  # an empty line
            elif len(row) != len(header):
                found.add(line, "", f"{len(row)} values in the row", f"{len(header)} values")
            elif skip:
                skip -= 1
            else:
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
            if len(rows) == BATCH_ROWS:
                yield _batch(header, rows, lines)
                rows, lines = [], []
                if progress is not None:
                    progress(path.name, raw.tell() / size)
    except csv.Error as error:
        found.add(reader.line_num, "", f"not valid CSV: {error}")
        return
    if rows:
        yield _batch(header, rows, lines)


def _batch(header: list[str], rows: list[list[str]], lines: list[int]) -> Batch:
    columns = map(list, zip(*rows, strict=True))
    return Batch(dict(zip(header, columns, strict=True)), np.array(lines, dtype=np.int64))


def _bad_utf8_line(path: Path) -> int:
    with path.open("rb") as raw:
        number = 0
        for number, line in enumerate(_unpacked(raw, path), 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return number


def _arrow_batches(path: Path, table: Table, progress: Progress | None) -> Iterator[Batch]:
    """All columns as texts, streamed. Only rows that stand on exactly one line get through."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pa_csv

    names = [column.name for column in table.columns]
    try:
        reader = pa_csv.open_csv(
            path,
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=True),
            parse_options=pa_csv.ParseOptions(
                newlines_in_values=False, ignore_empty_lines=False, double_quote=True
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
            ),
        )
        header = reader.schema.names
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError):
        raise _UnsplittableError from None
    if len(set(header)) != len(header) or not set(header) <= set(names):
        raise _UnsplittableError
    if any(column.required and column.name not in header for column in table.columns):
        raise _UnsplittableError
    key = next(column.name for column in table.columns if column.required)
    textual = [c.name for c in table.columns if c.kind == "text" and c.name in header]
    size = max(1, path.stat().st_size) * (GZIP_FACTOR if path.suffix == ".gz" else 1)
    line, read_bytes = 2, 0
    while True:
        try:
            chunk = reader.read_next_batch()
        except StopIteration:
            if progress is not None:
                progress(path.name, 1.0)
            return
        except (pa.ArrowInvalid, OSError):
            raise _UnsplittableError from None
        cells = dict(zip(header, chunk.columns, strict=True))
        if any(pc.any(pc.match_substring(cells[name], "\n")).as_py() for name in textual):
            raise _UnsplittableError  # a row over several lines: the plain way counts them right
        if pc.any(pc.equal(cells[key], "")).as_py():
            raise _UnsplittableError  # an empty line reads like a row of empty cells
        lines = np.arange(line, line + len(chunk), dtype=np.int64)
        line += len(chunk)
        read_bytes += chunk.nbytes
        if len(chunk):
            yield Batch(cells, lines)
        if progress is not None:
            progress(path.name, min(1.0, read_bytes / size))


def _parquet_batches(
    path: Path, table: Table, found: FileFindings, progress: Progress | None
) -> Iterator[Batch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # As dictionaries texts stay small, even one long text in a million rows.
        kinds = pq.read_schema(path)
        header = list(kinds.names)
        texts = [
            column.name
            for column in table.columns
            if column.kind == "text"
            and header.count(column.name) == 1
            and _is_text(kinds.field(column.name).type)
        ]
        file = pq.ParquetFile(path, read_dictionary=texts)
        if not check_header(header, table, found):
            return
        total = max(1, file.metadata.num_rows)
        line = 2
        for chunk in file.iter_batches(batch_size=BATCH_ROWS):
            cells = {
                name: _plain_type(column)
                for name, column in zip(header, chunk.columns, strict=True)
            }
            lines = np.arange(line, line + len(chunk), dtype=np.int64)
            line += len(chunk)
            if len(chunk):
                yield Batch(cells, lines)
            if progress is not None:
                progress(path.name, (line - 2) / total)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        found.add(0, "", f"not valid parquet: {shown(reason)}")


def _plain_type(column: Any) -> Any:
    """Large and binary texts as plain texts, dictionaries of other things than texts without
    them; everything else as it is."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        if _is_text(kind.value_type) and column.dictionary.null_count == 0:
            names = column.dictionary.cast(pa.string())
            return pa.DictionaryArray.from_arrays(column.indices, names)
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_nested(kind):
        return [str(value) for value in column.to_pylist()]
    return column.cast(pa.string()) if _is_text(kind) else column


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
