"""Result folders: written beside their place, renamed when complete.

A killed run leaves no half result: everything goes to `.NAME.partial-PID` first. What a killed
run left there is cleared by the next one that writes the same result.
"""

import csv
import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from pendel.errors import InputError, Problem
from pendel.units import IntArray

Format: TypeAlias = Literal["csv", "parquet"]

WRITE_ROWS = 65_536
RESULT_SUFFIXES = {".csv", ".gz", ".parquet", ".json", ".html", ".svg"}
SUMMARY = "summary.json"
STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES}
"""What a disk says when it cannot take more."""


class ResultFolder:
    """A result under way; the files appear in their place when the `with` block ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write_table(
        self, name: str, columns: Mapping[str, Any], file_format: Format = "csv"
    ) -> None:
        """Write `name.csv` or `name.parquet`. Columns of equal length [n]: arrays or lists;
        `*_utc` in epoch seconds (written as ISO 8601), floats exactly, NaN as nothing."""
        write_table(self.path, name, columns, file_format)

    def write_parts(
        self, name: str, parts: Iterable[Mapping[str, Any]], file_format: Format = "csv"
    ) -> None:
        """Write one table from parts with the same columns, one at a time in memory."""
        write_parts(self.path, name, parts, file_format)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`; numbers that are not finite become null."""
        self.write_text(SUMMARY, json_text(summary))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file such as `report.html`."""
        (self.path / name).write_text(text, encoding="utf-8")


@contextmanager
def result_folder(target: Path) -> Iterator[ResultFolder]:
    """Make a result folder; it is there completely or not at all.

    An existing folder is replaced only when it is empty or a result folder. Raises InputError.
    """
    target = Path(os.path.abspath(target))
    check_replaceable(target)
    with whole_folder(target) as partial:
        yield ResultFolder(partial)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder beside its place; it takes it when the `with` block ends, and leaves nothing
    behind where the block fails. What was there before stays until then.

    Raises InputError where the disk is full or cannot be written.
    """
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(target)
        partial.mkdir()
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield partial
        if target.exists():
            target.rename(old)
        partial.rename(target)
    except BaseException as error:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
            raise _unwritable(target, error) from error
        raise
    shutil.rmtree(old, ignore_errors=True)


def _unwritable(target: Path, error: OSError) -> InputError:
    reason = f"cannot be written: {error.strerror or error}"
    return InputError([Problem(target.name, 0, "--out", reason, "a folder with room")])


def check_replaceable(target: Path) -> None:
    """Raise InputError unless nothing of the user's would be lost by writing a result here."""
    if target.is_dir():
        entries = list(target.iterdir())
        if not entries or looks_like_result(target):
            return
        reason = "folder exists and is not a result folder"
    elif target.exists() or target.is_symlink():
        reason = "exists and is not a folder"
    else:
        return
    problem = Problem(target.name, 0, "--out", reason, "a new, empty or result folder")
    raise InputError([problem])


def looks_like_result(folder: Path) -> bool:
    """Whether a folder holds a summary and nothing but files that results consist of."""
    if not (folder / SUMMARY).is_file() or (folder / "scenario.toml").exists():
        return False
    return all(
        looks_like_result(path) if path.is_dir() else path.suffix in RESULT_SUFFIXES
        for path in folder.iterdir()
    )


def _clear_leftovers(target: Path) -> None:
    """Remove what killed runs left; give back an old result whose replacement never came."""
    for path in target.parent.glob(f".{target.name}.*-*"):
        kind, _, pid = path.name.removeprefix(f".{target.name}.").rpartition("-")
        if kind not in ("partial", "old") or not pid.isdigit() or _alive(int(pid)):
            continue
        if kind == "old" and not target.exists():
            path.rename(target)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def json_text(data: Any) -> str:
    """JSON with two spaces of indent; numpy scalars and arrays as plain numbers."""
    encoded = msgspec.json.encode(data, enc_hook=_plain)
    return msgspec.json.format(encoded, indent=2).decode("utf-8") + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts of which many are equal: names[index] for each row [n]."""

    index: IntArray
    names: Any

    def __len__(self) -> int:
        return len(self.index)


def write_table(
    folder: Path, name: str, columns: Mapping[str, Any], file_format: Format = "csv"
) -> Path:
    """Write one table; see ResultFolder.write_table. Returns the path of the file."""
    return write_parts(folder, name, [columns], file_format)


def write_parts(
    folder: Path, name: str, parts: Iterable[Mapping[str, Any]], file_format: Format = "csv"
) -> Path:
    """Write one table from parts (at least one); see ResultFolder.write_parts."""
    path = folder / f"{name}.{file_format}"
    arrays = (
        {key: v if isinstance(v, Texts) else np.asarray(v) for key, v in columns.items()}
        for columns in parts
    )
    if file_format == "parquet":
        _write_parquet(path, arrays)
    else:
        _write_csv(path, arrays)
    return path


def _write_csv(path: Path, parts: Iterable[dict[str, Any]]) -> None:
    texts: dict[int, str] = {}
    header: list[str] | None = None
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for columns in parts:
            if header is None:
                header = list(columns)
                writer.writerow(header)
            for begin in range(0, len(columns[header[0]]), WRITE_ROWS):
                part = slice(begin, begin + WRITE_ROWS)
                cells = [_cells(key, values, part, texts) for key, values in columns.items()]
                writer.writerows(zip(*cells, strict=True))


def _cells(name: str, column: Any, part: slice, texts: dict[int, str]) -> list[Any]:
    """Some cells of a column; texts remembers how times read (many rows share few times)."""
    if isinstance(column, Texts):
        return [column.names[index] for index in column.index[part].tolist()]
    values: np.ndarray = column[part]
    listed: list[Any] = values.tolist()
    if name.endswith("_utc") and values.dtype.kind in "iu":
        if len(texts) > 4 * WRITE_ROWS:
            texts.clear()
        new = np.array([s for s in set(listed) if s not in texts], dtype="datetime64[s]")
        written = np.datetime_as_string(new, unit="s").tolist()
        texts.update(zip(new.astype(np.int64).tolist(), written, strict=True))
        return [texts[second] + "Z" if second >= 0 else "" for second in listed]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return [cell if np.isfinite(cell) else None for cell in listed]
    return listed


def _write_parquet(path: Path, parts: Iterable[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for columns in parts:
            table = pa.table({name: _arrow(name, column) for name, column in columns.items()})
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _arrow(name: str, column: Any) -> Any:
    """A column as an arrow array; times in milliseconds, missing numbers as null."""
    import pyarrow as pa

    if isinstance(column, Texts):
        named = pa.array(list(column.names), pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(column.index.astype(np.int32)), named)
    values: np.ndarray = column
    if name.endswith("_utc") and values.dtype.kind in "iu":
        missing = values < 0
        whole = np.where(missing, 0, values) * 1_000
        return pa.array(whole, pa.timestamp("ms", "UTC"), mask=missing)
    if values.dtype.kind == "f":
        return pa.array(values, mask=~np.isfinite(values))
    if values.dtype.kind in "TUO":
        return pa.array(values.tolist(), pa.string())
    return pa.array(values)
