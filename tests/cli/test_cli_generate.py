"""`pendel generate` as a user meets it."""

import json
from pathlib import Path

import pytest

from pendel.cli.main import main
from pendel.scenario.read import read_scenario


def test_generate_then_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "city"
    words = ["generate", "--vehicles", "300", "--seed", "7", "--out", str(out)]
    assert main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    scenario = read_scenario(out)
    assert data["sessions"] == len(scenario.sessions) > 100
    assert data["sites"] == len(scenario.sites)
    assert json.loads((out / "generated.json").read_text())["settings"]["seed"] == 7
    assert "CC BY 4.0" in (out / "SOURCE.md").read_text()
    before = (out / "sessions.csv").read_bytes()
    assert main(words) == 0  # its own folder may be replaced
    assert "300 cars" in capsys.readouterr().out
    assert (out / "sessions.csv").read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["city"]


def test_formats(tmp_path: Path) -> None:
    out = tmp_path / "city"
    assert main(["generate", "--vehicles", "50", "--out", str(out), "--format", "parquet"]) == 0
    assert (out / "sessions.parquet").is_file()
    assert not (out / "sessions.csv").exists()


def test_nothing_of_the_user_is_lost(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sites.csv").write_text("precious")
    assert main(["generate", "--out", str(tmp_path / "mine")]) == 2
    assert (tmp_path / "mine" / "sites.csv").read_text() == "precious"
    (tmp_path / "file").write_text("precious")
    assert main(["generate", "--out", str(tmp_path / "file")]) == 2


def test_bad_options_are_listed_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = ["--vehicles", "0", "--date", "tomorrow", "--mix", "home", "--step-minutes", "7"]
    assert main(["generate", "--out", str(tmp_path / "x"), *bad, "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {p["field"] for p in problems} == {"--vehicles", "--date", "--mix", "--step-minutes"}
    assert all(p["allowed"] for p in problems)
    assert not (tmp_path / "x").exists()
