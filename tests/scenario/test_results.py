"""Result folders appear whole or not at all, and read back as they were written."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_folders import START, small_folder, utc, write_folder

from pendel.errors import InputError
from pendel.scenario.plan_folder import read_plan_folder
from pendel.scenario.read import read_scenario
from pendel.scenario.results import Format, result_folder, write_table

S = int(START.timestamp())


def test_folder_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with result_folder(target) as out:
        out.write_table("plan", {"time_utc": np.array([S]), "power_kw": np.array([1.5])})
        out.write_summary({"gap": np.float64(0.5), "bad": float("nan"), "list": np.arange(2)})
        assert not target.exists()
    assert sorted(path.name for path in target.iterdir()) == ["plan.csv", "summary.json"]
    assert (target / "plan.csv").read_text() == f"time_utc,power_kw\n{utc(0)},1.5\n"
    assert json.loads((target / "summary.json").read_text()) == {
        "gap": 0.5,
        "bad": None,
        "list": [0, 1],
    }
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), result_folder(tmp_path / "out") as out:
        out.write_summary({})
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_old_result_is_replaced(tmp_path: Path) -> None:
    for number in range(3):
        with result_folder(tmp_path / "out") as out:
            out.write_summary({"number": number})
            if number == 0:
                out.write_text("report.html", "x")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["notes", "scenario", "file", "repository"])
def test_what_is_no_result_is_kept(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    if kind == "file":
        target.write_text("x")
    else:
        target.mkdir()
        (target / "summary.json").write_text("{}")
        name = {"notes": "notes.txt", "scenario": "scenario.toml", "repository": ".git"}[kind]
        (target / name).write_text("x")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught, result_folder(target):
        pass
    assert caught.value.problems[0].field == "--out"
    assert sorted(tmp_path.rglob("*")) == before


def test_parent_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError), result_folder(tmp_path / "file" / "out"):
        pass


KILLED = """
import sys, time
from pathlib import Path
from pendel.scenario.results import result_folder
with result_folder(Path(sys.argv[1])) as out:
    out.write_summary({"half": 1})
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("existing", [False, True])
def test_killed_run_leaves_no_half_result(tmp_path: Path, existing: bool) -> None:
    target = tmp_path / "out"
    if existing:
        with result_folder(target) as out:
            out.write_summary({"old": 1})
    command = [sys.executable, "-c", KILLED, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    assert target.exists() == existing
    if existing:
        assert json.loads((target / "summary.json").read_text()) == {"old": 1}
    with result_folder(target) as out:
        out.write_summary({"new": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_result_between_two_renames_is_given_back(tmp_path: Path) -> None:
    """Killed after the old folder moved away and before the new one came."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    old = tmp_path / f".out.old-{process.pid}"
    old.mkdir()
    (old / "summary.json").write_text('{"old": 1}')
    with pytest.raises(RuntimeError), result_folder(tmp_path / "out"):
        raise RuntimeError
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == {"old": 1}


def test_a_running_neighbour_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f".out.partial-{os.getppid()}"
    other.mkdir()
    with result_folder(tmp_path / "out") as out:
        out.write_summary({})
    assert other.exists()


FLOATS = st.floats(allow_nan=True, allow_infinity=False, width=64)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(FLOATS, min_size=1, max_size=30))
def test_floats_are_exact_in_csv(values: list[float]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = write_table(Path(folder), "x", {"n": range(len(values)), "v": np.array(values)})
        with path.open(newline="") as file:
            cells = [row["v"] for row in csv.DictReader(file)]
    back = [float(cell) if cell else float("nan") for cell in cells]
    assert np.array_equal(back, values, equal_nan=True)


def test_parquet_types(tmp_path: Path) -> None:
    columns = {
        "time_utc": np.array([S, S + 900]),
        "id": np.array(["a", "ü"], dtype=np.dtypes.StringDType()),
        "power_kw": np.array([0.1, np.nan]),
    }
    table = pq.read_table(write_table(tmp_path, "plan", columns, "parquet"))
    assert str(table.schema.field("time_utc").type) == "timestamp[ms, tz=UTC]"
    assert table["id"].to_pylist() == ["a", "ü"]
    assert table["power_kw"].to_pylist() == [0.1, None]


def test_half_a_million_rows_are_fast(tmp_path: Path) -> None:
    rows = 500_000
    columns = {
        "time_utc": S + 900 * (np.arange(rows) % 96),
        "id": np.array([f"s{i // 96}" for i in range(rows)], dtype=np.dtypes.StringDType()),
        "power_kw": np.random.default_rng(1).normal(size=rows),
    }
    before = time.process_time()
    path = write_table(tmp_path, "plan", columns)
    assert path.read_bytes().count(b"\n") == rows + 1
    assert time.process_time() - before < 60.0  # a runaway, not a measurement


def plan_folder(folder: Path, file_format: Format, **change: object) -> Path:
    """A written plan of the small folder: car s1 in steps 1 and 2."""
    tables = {
        "plan": {
            "time_utc": np.array([S + 900, S + 1800, S]),
            "id": ["s1", "s1", "st1"],
            "power_kw": [11.0, -3.5, 0.25],
            "energy_kwh": [22.475, 21.5, 5.0],
        },
        "sites": {
            "time_utc": np.array([S, S + 900]),
            "site_id": ["a", "b"],
            "net_kw": [1.5, -2.0],
            "curtailed_kw": [0.0, 1.0],
        },
        "reserves": {"from_utc": np.array([S]), "product": ["FCR"], "kw": [2.5]},
    }
    for name, columns in change.items():
        tables[name].update(columns)  # type: ignore[call-overload]
    with result_folder(folder) as out:
        for name, columns in tables.items():
            out.write_table(name, columns, file_format)
        out.write_summary({"objective_eur": 1.25})
    return folder


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_plan_reads_back(tmp_path: Path, file_format: Format) -> None:
    scenario = read_scenario(write_folder(tmp_path / "in", small_folder()))
    plan = read_plan_folder(plan_folder(tmp_path / "out", file_format), scenario)
    assert plan.power_kw.shape == (4, 16)
    assert plan.power_kw[0, :4].tolist() == [0.0, 11.0, -3.5, 0.0]
    assert plan.power_kw[3, 0] == 0.25
    assert plan.energy_kwh[0, 1] == 22.475
    assert np.isnan(plan.energy_kwh[0, 3])
    assert plan.net_kw[0, 0] == 1.5
    assert plan.curtailed_kw[1, 1] == 1.0
    assert plan.reserve_kw[0] == 2.5
    assert np.isnan(plan.reserve_kw[1])
    assert plan.summary == {"objective_eur": 1.25}


def test_plan_of_another_scenario(tmp_path: Path) -> None:
    scenario = read_scenario(write_folder(tmp_path / "in", small_folder()))
    change = {"id": ["s1", "who", "st1"], "time_utc": np.array([S + 900, S, S + 7])}
    folder = plan_folder(tmp_path / "out", "csv", plan=change)
    with pytest.raises(InputError) as caught:
        read_plan_folder(folder, scenario)
    places = [(p.file, p.line, p.field) for p in caught.value.problems]
    assert places == [("plan.csv", 3, "id"), ("plan.csv", 4, "time_utc")]
    plan = read_plan_folder(folder, scenario, strict=False)
    assert plan.foreign_rows == 2
    assert plan.power_kw[0, 1] == 11.0


def test_plan_rows_twice_and_missing_files(tmp_path: Path) -> None:
    scenario = read_scenario(write_folder(tmp_path / "in", small_folder()))
    change = {"id": ["s1", "s1", "s1"], "time_utc": np.array([S, S + 900, S])}
    folder = plan_folder(tmp_path / "out", "csv", plan=change)
    (folder / "sites.csv").unlink()
    (folder / "summary.json").write_text("[")
    with pytest.raises(InputError) as caught:
        read_plan_folder(folder, scenario)
    assert {(p.file, p.line) for p in caught.value.problems} == {
        ("plan.csv", 4),
        ("sites.csv", 0),
        ("summary.json", 1),
    }
