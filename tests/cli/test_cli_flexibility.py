"""`pendel potential SCENARIO`: the product as files, and a plan that follows a wanted power."""

import csv
import json
from itertools import pairwise
from pathlib import Path

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


def test_bad_input(city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()

    def fields(*words: str) -> list[str]:
        assert main(["potential", *words, "--json"]) == 2
        return [p["field"] for p in json.loads(capsys.readouterr().out)["problems"]]

    assert fields(str(city), "--blocks", "0", "--incentives", "x") == ["--blocks", "--incentives"]
    assert fields(str(city), "--vehicles", "5") == ["SCENARIO"]
    assert fields("--out", "x") == ["--out"]
    assert fields(str(city), "--follow", str(tmp_path / "none.csv")) == [""]
    off = tmp_path / "off.csv"
    off.write_text("time_utc,power_kw\n2025-06-18T10:07:00Z,3\n2025-06-18T11:00:00Z,lots\n")
    assert fields(str(city), "--follow", str(off)) == ["time_utc", "power_kw"]
