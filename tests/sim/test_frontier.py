"""Confidence against cost on the first day of a packaged example, in command, summary, report."""

import json
import shutil
from pathlib import Path

import pytest

from pendel.cli.main import main
from pendel.scenario.examples import example_folder


@pytest.fixture
def one_day(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    shutil.copytree(example_folder("home"), folder)
    text = (folder / "scenario.toml").read_text("utf-8")
    lines = ["steps = 144" if line.startswith("steps") else line for line in text.splitlines()]
    (folder / "scenario.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_the_frontier_is_in_the_summary_and_in_the_report(
    one_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["simulate", str(one_day), "--strategy", "v1g", "--confidences", "0.5,0.99"]
    assert main([*command, "--out", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    points = json.loads((out / "summary.json").read_text("utf-8"))["frontier"]
    assert shown["frontier"] == points
    assert [point["confidence"] for point in points] == [0.5, 0.99]
    assert points[1]["cost_eur"] == shown["cost_eur"]  # the run itself, not made again
    assert "Confidence against cost" in (out / "report.html").read_text("utf-8")


def test_wrong_confidences_are_all_named(one_day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["simulate", str(one_day), "--strategy", "v1g", "--confidences", "0.4,often,0.9"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "0.4 is out of range" in said and "often is out of range" in said
