"""Parquet: typed columns as well as texts, naive times refused, broken files told."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from scenario_folders import same, small_folder, write_folder

from pendel.errors import InputError
from pendel.scenario.read import read_scenario


def as_parquet(folder: Path, stem: str, **change: object) -> None:
    """Turn x.csv into x.parquet, with the types pyarrow infers; change: column -> function."""
    path = folder / f"{stem}.csv"
    table = pa_csv.read_csv(path)
    for name, function in change.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, function(table[name]))  # type: ignore[operator]
    pq.write_table(table, folder / f"{stem}.parquet")
    path.unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "new", small_folder())


def problems(folder: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(InputError) as caught:
        read_scenario(folder)
    return [(p.file, p.line, p.field) for p in caught.value.problems]


def test_all_tables(folder: Path, tmp_path: Path) -> None:
    expected = read_scenario(write_folder(tmp_path / "old", small_folder()))
    for stem in ("sites", "prices", "series", "sessions", "storages", "market", "feeders"):
        as_parquet(folder, stem)
    assert same(read_scenario(folder), expected)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_kinds_of_text(folder: Path, tmp_path: Path, kind: pa.DataType) -> None:
    expected = read_scenario(write_folder(tmp_path / "old", small_folder()))
    as_parquet(folder, "series", site_id=lambda column: column.cast(kind))
    assert same(read_scenario(folder), expected)


def test_naive_times(folder: Path) -> None:
    as_parquet(folder, "co2", time_utc=lambda column: column.cast(pa.timestamp("us")))
    assert problems(folder) == [("co2.parquet", line, "time_utc") for line in range(2, 10)]


def test_lines_are_row_numbers_plus_one(folder: Path) -> None:
    def spoil(column: pa.ChunkedArray) -> pa.Array:
        values = column.to_numpy().astype(np.float64).copy()
        values[2] = np.nan
        values[1] = -4.0
        return pa.array(values)

    as_parquet(folder, "sessions", capacity_kwh=spoil)
    assert problems(folder) == [
        ("sessions.parquet", 3, "capacity_kwh"),
        ("sessions.parquet", 4, "capacity_kwh"),
    ]


def test_wrong_types(folder: Path) -> None:
    as_parquet(folder, "storages", capacity_kwh=lambda column: pa.array([True]))
    as_parquet(folder, "sites", import_limit_kw=lambda column: pa.array([[1.0], [2.0]]))
    assert problems(folder) == [
        ("sites.parquet", 2, "import_limit_kw"),
        ("sites.parquet", 3, "import_limit_kw"),
        ("storages.parquet", 2, "capacity_kwh"),
    ]


def test_not_parquet(folder: Path) -> None:
    (folder / "co2.csv").rename(folder / "co2.parquet")
    assert problems(folder) == [("co2.parquet", 0, "")]
