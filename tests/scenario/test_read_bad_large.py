"""Faults in large tables: all counted, the first 1,000 told with their lines, in bounded memory."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from test_read_large import head

ROWS = 40_000
PROOF_ROWS = 1_000_000
LISTED = 1_000
LONG = 20_000_000
READ = """
import json, resource, sys
from pathlib import Path
import pyarrow.csv, pyarrow.compute, pyarrow.parquet
from pendel.errors import InputError
from pendel.scenario.read import read_scenario
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count, told = 0, []
try:
    read_scenario(Path(sys.argv[1]))
except InputError as error:
    count = error.count
    told = [(p.file, p.line, p.field, p.problem) for p in error.problems]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([count, told, (after - before) // 1024]))
"""


def sessions(rows: int) -> dict[str, list[object]]:
    numbers = range(rows)
    return {
        "session_id": [f"c{i}" for i in numbers],
        "site_id": [f"site{i % 100}" for i in numbers],
        "arrive_utc": ["2025-03-03T18:00:00Z"] * rows,
        "depart_utc": ["2025-03-04T06:00:00Z"] * rows,
        "capacity_kwh": [60.0] * rows,
        "energy_arrive_kwh": [20.0] * rows,
        "energy_target_kwh": [50.0] * rows,
        "charge_max_kw": [11.0] * rows,
        "vehicle_id": [f"v{i}" for i in numbers],
    }


def not_numbers(table: dict[str, list[object]]) -> None:
    table["capacity_kwh"] = ["sixty"] * len(table["capacity_kwh"])


def out_of_range(table: dict[str, list[object]]) -> None:
    table["capacity_kwh"] = [6_000.0] * len(table["capacity_kwh"])


def not_finite(table: dict[str, list[object]]) -> None:
    table["energy_arrive_kwh"] = [float("nan")] * len(table["capacity_kwh"])


def unknown_sites(table: dict[str, list[object]]) -> None:
    table["site_id"] = [f"nowhere{i}" for i in range(len(table["site_id"]))]


def ids_twice(table: dict[str, list[object]]) -> None:
    table["session_id"] = [f"c{i // 2}" for i in range(len(table["session_id"]))]


def overlaps(table: dict[str, list[object]]) -> None:
    """Each vehicle once in the first half and once in the second: other row groups."""
    half = len(table["vehicle_id"]) // 2
    table["vehicle_id"] = [f"v{i % half}" for i in range(len(table["vehicle_id"]))]


Fault = Callable[[dict[str, list[object]]], None]
FAULTS: dict[str, tuple[Fault, str, float]] = {
    "not numbers": (not_numbers, "capacity_kwh", 1.0),
    "out of range": (out_of_range, "capacity_kwh", 1.0),
    "not finite": (not_finite, "energy_arrive_kwh", 1.0),
    "unknown sites": (unknown_sites, "site_id", 1.0),
    "ids twice": (ids_twice, "session_id", 0.5),
    "overlaps": (overlaps, "vehicle_id", 0.5),
}


def folder_of(path: Path, table: dict[str, list[object]], ending: str) -> Path:
    head(path, 100)
    written = pa.table(table)
    if ending == "parquet":
        pq.write_table(written, path / "sessions.parquet", row_group_size=10_000)
    elif ending == "csv":
        pa_csv.write_csv(written, path / "sessions.csv")
    else:
        with pa.CompressedOutputStream(str(path / "sessions.csv.gz"), "gzip") as stream:
            pa_csv.write_csv(written, stream)
    return path


def read(folder: Path) -> tuple[int, list[list[object]], int]:
    """Problems in all, those told, and the MiB that reading took."""
    command = [sys.executable, "-c", READ, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, told, peak_mib = json.loads(done.stdout)
    return count, told, peak_mib


def check(path: Path, rows: int, name: str, ending: str, most_mib: int) -> None:
    fault, field, share = FAULTS[name]
    table = sessions(rows)
    fault(table)
    count, told, peak_mib = read(folder_of(path, table, ending))
    assert count == round(share * rows)
    assert len(told) == LISTED
    assert {(file, column) for file, _, column, _ in told} == {(f"sessions.{ending}", field)}
    assert len({line for _, line, _, _ in told}) == LISTED
    assert all(2 <= int(str(line)) <= rows + 1 for _, line, _, _ in told)
    assert peak_mib < most_mib


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("name", FAULTS)
def test_every_row_faulty(name: str, ending: str, tmp_path: Path) -> None:
    check(tmp_path, ROWS, name, ending, 250)


@pytest.mark.proof
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_million_rows_faulty(name: str, ending: str, tmp_path: Path) -> None:
    check(tmp_path, PROOF_ROWS, name, ending, 1_000)


@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_a_few_faults_far_apart(ending: str, tmp_path: Path) -> None:
    table = sessions(ROWS)
    wrong = [0, ROWS // 2, ROWS - 1]
    for row in wrong:
        table["energy_target_kwh"][row] = 61.0
    count, told, _ = read(folder_of(tmp_path, table, ending))
    assert count == 3
    assert [line for _, line, _, _ in told] == [row + 2 for row in wrong]


def test_one_long_text_in_every_row(tmp_path: Path) -> None:
    """Texts of a parquet file may be kept once and stand in every row: nobody unfolds them."""
    table = sessions(ROWS)
    table["vehicle_id"] = ["x" * LONG] + ["y"] * (ROWS - 1)
    written = pa.table(table)
    index = pa.array(np.zeros(ROWS, dtype=np.int32))
    long = pa.DictionaryArray.from_arrays(index, pa.array(["x" * LONG]))
    at = written.schema.get_field_index("vehicle_id")
    head(tmp_path, 100)
    pq.write_table(written.set_column(at, "vehicle_id", long), tmp_path / "sessions.parquet")
    count, told, peak_mib = read(tmp_path)
    assert count == ROWS
    assert "is longer than 255 characters" in str(told[0][3])
    assert peak_mib < 500


@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_a_truncated_file(ending: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, sessions(ROWS), ending)
    path = folder / f"sessions.{ending}"
    data = path.read_bytes()
    path.write_bytes(data[: 2 * len(data) // 3])
    count, told, peak_mib = read(folder)
    assert count == 1
    assert told[0][:2] == [path.name, 0]
    assert ("unpacked" if ending == "csv.gz" else "not valid parquet") in str(told[0][3])
    assert peak_mib < 250


def test_wrong_kinds_of_columns(tmp_path: Path) -> None:
    """A parquet column of another kind: every row is told, none is guessed."""
    table = sessions(2_000)
    table["arrive_utc"] = list(range(2_000))
    count, told, _ = read(folder_of(tmp_path, table, "parquet"))
    assert count == 2_000
    assert told[0][2] == "arrive_utc"


def test_feeders_in_a_large_circle(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, sessions(10), "csv")
    count = 20_000
    rows = "".join(f"f{i},f{(i + 1) % count},10,10\n" for i in range(count))
    with gzip.open(folder / "feeders.csv.gz", "wt") as file:
        file.write("feeder_id,parent_id,import_limit_kw,export_limit_kw\n" + rows)
    found, told, _ = read(folder)
    assert found == count
    assert "is above itself" in str(told[0][3])
