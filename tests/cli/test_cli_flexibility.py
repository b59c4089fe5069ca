"""`pendel potential SCENARIO`: the product as files, and a plan that follows a wanted power."""

import csv
import errno
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pendel.cli.main import main
from pendel.control.problem import problem_of
from pendel.control.verify import verify
from pendel.scenario.plan_folder import read_plan_folder
from pendel.scenario.read import read_scenario

FAST = ["--blocks", "2", "--incentives", "0.2"]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("flex") / "city"
    words = ["generate", "--vehicles", "16", "--step-minutes", "60", "--out", str(out)]
    assert main(words) == 0
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_product_as_files(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "flex"
    capsys.readouterr()
    assert main(["potential", str(city), "--out", str(out), *FAST, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads((out / "summary.json").read_text())
    assert data["schedules"] == 5
    for name, columns in data["columns"].items():
        table = rows(out / f"{name}.csv")
        assert list(table[0]) == list(columns)
        assert all(columns.values())
    for row in rows(out / "envelope.csv"):
        values = [float(row[name]) for name in (
            "power_least_kw", "inner_least_kw", "base_kw", "inner_most_kw", "power_most_kw",
        )]  # fmt: skip
        assert all(a <= b + 1e-6 for a, b in pairwise(values))
        assert float(row["drawn_least_kwh"]) <= float(row["drawn_most_kwh"])
    assert len(rows(out / "offers.csv")) == len(data["offers"]) == 4
    text_status = main(["potential", str(city), *FAST])
    text = capsys.readouterr().out
    assert text_status == 0
    assert "guaranteed (inner)" in text
    assert "ct/kWh" in text


def test_a_wanted_power_is_followed_by_a_plan_of_every_unit(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, wanted = tmp_path / "flex", tmp_path / "wanted.csv"
    assert main(["potential", str(city), "--out", str(out), *FAST]) == 0
    powers: dict[str, list[float]] = {}
    for row in rows(out / "schedules.csv"):
        powers.setdefault(row["time_utc"], []).append(float(row["power_kw"]))
    lines = [f"{time},{0.5 * (p[1] + p[2])}" for time, p in powers.items()]
    wanted.write_text("time_utc,power_kw\n" + "\n".join(lines) + "\n")
    capsys.readouterr()
    again = tmp_path / "again"
    words = ["potential", str(city), "--out", str(again), *FAST, "--follow", str(wanted)]
    assert main([*words, "--json"]) == 0
    met = json.loads(capsys.readouterr().out)["follow"]
    assert met["deviation_mean_kw"] < 0.6
    assert max(met["violations"].values()) <= 1e-5
    scenario = read_scenario(city)
    plan = read_plan_folder(again, scenario)
    verdict = verify(
        problem_of(scenario), plan.power_kw, plan.energy_kwh, plan.net_kw, plan.curtailed_kw,
        plan.reserve_kw, 1e-5,
    )  # fmt: skip
    assert verdict.violations.within(1e-5)


def test_envelopes_alone_need_no_plan(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    both = [tmp_path / "alone", tmp_path / "all"]
    assert main(["potential", str(city), "--out", str(both[0]), "--blocks", "0", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert "offers" not in data
    assert main(["potential", str(city), "--out", str(both[1]), *FAST]) == 0
    alone, all_of_it = (rows(out / "envelope.csv") for out in both)
    assert [{key: row[key] for key in alone[0]} for row in all_of_it] == alone
    assert list(alone[0]) == list(data["columns"]["envelope"])


def test_bad_input(city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()

    def fields(*words: str) -> list[str]:
        assert main(["potential", *words, "--json"]) == 2
        return [p["field"] for p in json.loads(capsys.readouterr().out)["problems"]]

    assert fields(str(city), "--blocks", "-1", "--incentives", "x") == ["--blocks", "--incentives"]
    assert fields(str(city), "--vehicles", "5") == ["SCENARIO"]
    assert fields("--out", "x") == ["--out"]
    assert fields(str(city), "--blocks", "0", "--follow", "x.csv") == ["--follow"]
    assert fields(str(city), "--follow", str(tmp_path / "none.csv")) == [""]
    off = tmp_path / "off.csv"
    off.write_text("time_utc,power_kw\n2025-06-18T10:07:00Z,3\n2025-06-18T11:00:00Z,lots\n")
    assert fields(str(city), "--follow", str(off)) == ["time_utc", "power_kw"]


def test_what_is_written_adds_up_without_error(
    city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Units that were moved: written energies, read back as text, give the written powers."""
    monkeypatch.setattr("pendel.control.flexibility.PLANNED_MAX", 0)
    out = tmp_path / "flex"
    assert main(["potential", str(city), "--out", str(out), *FAST]) == 0
    capsys.readouterr()
    data = json.loads((out / "summary.json").read_text())
    assert data["method"] == "moved"
    assert data["feasible"]
    gap = data["base_cost_eur"] - data["base_bound_eur"]
    assert 0.0 <= gap <= 1e-3 * abs(data["base_cost_eur"])
    for offer in data["offers"]:
        assert offer["cost_most_eur"] == pytest.approx(offer["cost_eur"] + gap)
    assert any(offer["power_kw"] > 1.0 for offer in data["offers"])
    scenario = read_scenario(city)
    sessions, hours = scenario.sessions, scenario.horizon.step_h
    of = {str(name): i for i, name in enumerate(sessions.session_id)}
    now = {(k, name): sessions.energy_arrive_kwh[i] for name, i in of.items() for k in range(5)}
    sums: dict[tuple[str, str], float] = {}
    for row in rows(out / "units.csv"):
        i, key = of[row["id"]], (int(row["schedule"]), row["id"])
        change = float(row["energy_kwh"]) - now[key]
        now[key] = float(row["energy_kwh"])
        power = change / hours
        power = (
            power / sessions.charge_efficiency[i]
            if change > 0.0
            else power * sessions.discharge_efficiency[i]
        )
        at = row["schedule"], row["time_utc"]
        sums[at] = sums.get(at, 0.0) + power
    for row in rows(out / "schedules.csv"):
        total = sums.get((row["schedule"], row["time_utc"]), 0.0)
        assert float(row["power_kw"]) == pytest.approx(total, abs=1e-9)


def test_too_much_to_keep_says_what_would_fit(
    city: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    monkeypatch.setattr("pendel.cli.potential_files.VALUES_MAX", 2_000)
    assert main(["potential", str(city), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["field"] == "--blocks"
    assert problem["problem"].startswith("37 schedules of ")
    fits = int(problem["allowed"].split(" at most ")[1].split(";")[0])
    assert 1 <= fits < 18
    few = ["--blocks", str(fits), "--incentives", "0.1", "--json"]
    assert main(["potential", str(city), *few]) == 0
    assert json.loads(capsys.readouterr().out)["schedules"] == 1 + 2 * fits
    monkeypatch.setattr("pendel.cli.potential_files.VALUES_MAX", 100)
    assert main(["potential", str(city), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["problems"][0]["allowed"].startswith("--blocks 0")


@pytest.mark.parametrize(
    ("fault", "status"),
    [(OSError(errno.ENOSPC, "No space left on device"), 2), (KeyboardInterrupt(), 130)],
)
def test_a_full_disk_and_an_interrupt_leave_nothing_half(
    city: Path,
    tmp_path: Path,
    fault: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While the largest table is written; a result that was there before stays."""
    out = tmp_path / "flex"
    assert main(["potential", str(city), "--out", str(out), "--blocks", "0"]) == 0
    before = (out / "summary.json").read_text()

    def failing(*_: Any) -> Any:
        yield {"schedule": [0], "id": ["a"], "time_utc": [0], "energy_kwh": [1.0]}
        raise fault

    monkeypatch.setattr("pendel.cli.potential_files.unit_parts", failing)
    assert main(["potential", str(city), "--out", str(out), *FAST, "--json"]) == status
    capsys.readouterr()
    assert [path.name for path in tmp_path.iterdir()] == ["flex"]
    assert (out / "summary.json").read_text() == before
