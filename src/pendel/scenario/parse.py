"""Cells to typed columns.

Two forms of raw cells, one meaning: a list of texts (small files, or whatever the fast way did
not take) and arrow arrays (large files, parquet). The list way defines what is accepted; the
arrow way is only taken for a whole batch that it converts without a doubt.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np

from pendel.scenario.columns import StrArray
from pendel.units import BoolArray, IntArray

Cells: TypeAlias = Any
"""A list of texts (`list[str]`), or a pyarrow Array."""

UNKNOWN_US = -(2**62)
SHOWN_CHARACTERS_MAX = 60

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Parsed:
    """values [n]; empty [n]: the cell holds nothing; bad: row -> what is wrong with the cell."""

    values: Any
    empty: BoolArray
    bad: dict[int, str] = field(default_factory=dict)


def shown(text: str) -> str:
    """A cell as it may stand in a message: quoted, cut at 60 characters."""
    short = text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "..."
    return f'"{short}"'


def numbers(cells: Cells) -> Parsed:
    """Finite floats [n]; NaN where empty or bad."""
    if not isinstance(cells, list):
        parsed = _arrow_numbers(cells)
        if parsed is not None:
            return parsed
        cells = as_texts(cells)
    empty = np.fromiter((not cell for cell in cells), dtype=np.bool_, count=len(cells))
    if not empty.any() and "_" not in "".join(cells):
        try:
            values = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
        except ValueError:
            pass
        else:
            if np.isfinite(values).all():
                return Parsed(values, empty)
    return _numbers_one_by_one(cells)


def _numbers_one_by_one(cells: list[str]) -> Parsed:
    values = np.full(len(cells), np.nan)
    empty = np.zeros(len(cells), dtype=np.bool_)
    bad: dict[int, str] = {}
    for row, cell in enumerate(cells):
        if not cell.strip():
            empty[row] = True
            continue
        try:
            value = float(cell) if "_" not in cell else None
        except ValueError:
            value = None
        if value is None:
            bad[row] = f"{shown(cell)} is not a number"
        elif not np.isfinite(value):
            bad[row] = f"{shown(cell)} is not finite"
        else:
            values[row] = value
    return Parsed(values, empty, bad)


def times(cells: Cells) -> Parsed:
    """Microseconds since the epoch (int64) [n]; UNKNOWN_US where empty or bad."""
    if not isinstance(cells, list):
        parsed = _arrow_times(cells)
        if parsed is not None:
            return parsed
        cells = as_texts(cells)
    values = np.full(len(cells), UNKNOWN_US, dtype=np.int64)
    empty = np.zeros(len(cells), dtype=np.bool_)
    bad: dict[int, str] = {}
    known: dict[str, int] = {}
    for row, cell in enumerate(cells):
        moment = known.get(cell)
        if moment is None:
            text = cell.strip()
            if not text:
                empty[row] = True
                continue
            try:
                when = datetime.fromisoformat(text)
            except ValueError:
                bad[row] = f"{shown(cell)} is not a time"
                continue
            if when.tzinfo is None:
                bad[row] = f"time without offset: {shown(cell)}"
                continue
            moment = known[cell] = (when - _EPOCH) // _MICROSECOND
        values[row] = moment
    return Parsed(values, empty, bad)


def texts(cells: Cells) -> StrArray:
    """Texts as a compact numpy array [n]."""
    return np.array(as_texts(cells), dtype=np.dtypes.StringDType())


def as_texts(cells: Cells) -> list[str]:
    """The cells as a list of texts; "" where there is nothing."""
    if isinstance(cells, list):
        return cells
    import pyarrow as pa

    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if not pa.types.is_string(cells.type):
        cells = cells.cast(pa.string())
    listed: list[str] = cells.fill_null("").to_pylist()
    return listed


def without_long(cells: Cells, characters: int) -> Cells:
    """The cells with "" for texts of more characters."""
    if isinstance(cells, list):
        return [cell if len(cell) <= characters else "" for cell in cells]
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        names = without_long(cells.dictionary, characters)
        return pa.DictionaryArray.from_arrays(cells.indices, names)
    if not pa.types.is_string(cells.type):
        cells = cells.cast(pa.string())
    return pc.if_else(pc.greater(pc.utf8_length(cells), characters), "", cells)


class NameCodes:
    """Index of names in a table [n]; the names of an arrow dictionary are looked up once for all
    batches that share it (those of one row group of a parquet file do)."""

    def __init__(self, index_of: dict[str, int]) -> None:
        self._index_of = index_of
        self._names: Any = None
        self._positions: IntArray = np.zeros(0, dtype=np.int64)

    def of(self, cells: Cells) -> IntArray:
        """Index of each cell [n]; -1 where the name is not known."""
        if isinstance(cells, list):
            known = (self._index_of.get(cell, -1) for cell in cells)
            return np.fromiter(known, dtype=np.int64, count=len(cells))
        import pyarrow as pa

        if not pa.types.is_dictionary(cells.type):
            if not pa.types.is_string(cells.type):
                cells = cells.cast(pa.string())
            cells = cells.fill_null("").dictionary_encode()
        names = cells.dictionary
        if self._names is None or not names.equals(self._names):
            listed = [self._index_of.get(name, -1) for name in as_texts(names)]
            self._positions = np.array([*listed, self._index_of.get("", -1)], dtype=np.int64)
            self._names = names
        chosen = cells.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
        indices: IntArray = self._positions[chosen]
        return indices


def codes(cells: Cells, index_of: dict[str, int]) -> IntArray:
    """Index of each cell [n] in a name table; -1 where the name is not known."""
    return NameCodes(index_of).of(cells)


def _arrow_numbers(cells: Any) -> Parsed | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = cells.type
    if pa.types.is_string(kind):
        cells = pc.if_else(pc.equal(cells, ""), None, cells)
    elif not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        return None
    try:
        numeric = cells.cast(pa.float64(), safe=False)
    except pa.ArrowInvalid:
        return None
    empty = numeric.is_null().to_numpy(zero_copy_only=False)
    values = numeric.to_numpy(zero_copy_only=False)
    if not np.isfinite(values[~empty]).all():
        return None
    return Parsed(values, empty)


def _arrow_times(cells: Any) -> Parsed | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = cells.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            return None
    elif pa.types.is_string(kind):
        cells = pc.if_else(pc.equal(cells, ""), None, cells)
    elif not pa.types.is_null(kind):
        return None
    try:
        stamped = cells.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    empty = stamped.is_null().to_numpy(zero_copy_only=False)
    return Parsed(stamped.fill_null(UNKNOWN_US).to_numpy(zero_copy_only=False), empty)
