"""`pendel plan` and `pendel bench` as a user meets them."""

import json
from pathlib import Path

import pytest

from pendel.cli import bench
from pendel.cli.main import main

SCENARIO = {
    "scenario.toml": (
        'name = "two cars"\ntimezone = "Europe/Berlin"\nstart = 2025-03-03T11:00:00Z\n'
        "steps = 8\nstep_minutes = 60\n"
    ),
    "sites.csv": "site_id,import_limit_kw,export_limit_kw\nhome,12,5\n",
    "prices.csv": (
        "time_utc,import_eur_kwh,export_eur_kwh\n2025-03-03T11:00:00Z,0.40,0.05\n"
        + "".join(f"2025-03-03T{h}:00:00Z,{0.4 if h % 2 else 0.1},0.05\n" for h in range(12, 19))
    ),
    "sessions.csv": (
        "session_id,site_id,arrive_utc,depart_utc,capacity_kwh,energy_arrive_kwh,"
        "energy_target_kwh,charge_max_kw,discharge_max_kw\n"
        "a,home,2025-03-03T11:00:00Z,2025-03-03T19:00:00Z,60,10,30,11,10\n"
        "b,home,2025-03-03T11:00:00Z,2025-03-03T13:00:00Z,60,10,TARGET,11,0\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, "20")


def write(tmp_path: Path, target: str) -> Path:
    folder = tmp_path / "scenario"
    folder.mkdir(exist_ok=True)
    for name, text in SCENARIO.items():
        (folder / name).write_text(text.replace("TARGET", target))
    return folder


def test_plan_writes_what_it_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["plan", str(folder), "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((out / "summary.json").read_text())
    assert written == printed
    assert printed["objective_eur"] == pytest.approx(30 * 0.1)
    assert printed["gap"] <= 1e-6
    assert max(printed["violations"].values()) <= 1e-5
    assert printed["sessions"] == 2 and printed["steps"] == 8 and printed["sites"] == 1
    assert (out / "plan.csv").read_text().startswith("time_utc,id,power_kw,energy_kwh\n")
    assert len((out / "sites.csv").read_text().splitlines()) == 9


def test_what_cannot_be_met_is_named_and_exit_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path, "40")
    assert main(["plan", str(folder)]) == 3
    text = capsys.readouterr().out
    assert "unmet: b: lacks 8.000 kWh: 2 h are too short to reach 40 kWh at 11 kW" in text


def test_warm_plan_and_methods_agree(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = []
    for method in ("exact", "decomposed", "auto"):
        warm = ["--warm", str(tmp_path / "exact")] if method != "exact" else []
        out = ["--out", str(tmp_path / method)]
        assert main(["plan", str(folder), "--method", method, "--json", *out, *warm]) == 0
        costs.append(json.loads(capsys.readouterr().out)["objective_eur"])
    assert max(costs) - min(costs) <= 1e-6


def test_every_bad_option_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pendel.adapters.dask_engine.is_installed", lambda: False)
    options = ["--engine", "dask", "--method", "exact", "--gap", "-1", "--time-limit", "0"]
    assert main(["plan", str(folder), *options, "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {p["field"] for p in problems} == {"--engine", "--method", "--gap", "--time-limit"}
    assert any("pendel[dask]" in p["allowed"] for p in problems)


def test_a_folder_that_is_no_result_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(folder), "--out", str(folder)]) == 2
    assert "--out" in capsys.readouterr().err
    assert (folder / "scenario.toml").exists()


def test_more_sites_than_memory_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pendel.cli.plan.CELLS_MAX", 7)
    assert main(["plan", str(folder), "--json"]) == 2
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert (problem["file"], problem["field"]) == ("scenario.toml", "steps")
    assert problem["problem"].startswith("1 sites times 8 steps")


def test_bench_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["benchmarks"]
    assert {"plan_house", "plan_fleet"} <= set(listed)
    assert main(["bench", "no_such"]) == 2
    assert "plan_house" in capsys.readouterr().err


def test_bench_says_where_benchmarks_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "FOLDER", "no-benchmarks-here")
    monkeypatch.chdir(tmp_path)
    assert main(["bench"]) == 2
    assert "source tree" in capsys.readouterr().err


def test_bench_shows_figures_and_tells_what_was_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = '"""A benchmark."""\n\ndef measure():\n    return '
    (tmp_path / "good.py").write_text(body + '{"what": "x", "met": True, "rows": [{"n": 1}]}\n')
    (tmp_path / "bad.py").write_text(body + '{"figure": 0.5, "met": False}\n')
    (tmp_path / "helper.py").write_text('"""No benchmark."""\n')
    monkeypatch.setattr(bench, "benchmark_folder", lambda: tmp_path)
    assert main(["bench", "good"]) == 0
    assert "good: x" in capsys.readouterr().out
    assert main(["bench", "all", "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert data["missed"] == ["bad"]
    assert set(data["results"]) == {"good", "bad"}
