"""What the demonstration prints while it runs."""

import io
from datetime import timedelta

import pytest
from rich.console import Console
from small_world import START, small

from pendel.cli.live_table import LiveTable, PlainLines, display_for


def test_the_table_shows_the_most_urgent_cars() -> None:
    run, said = small(), io.StringIO()
    run.to(60)
    terminal = Console(file=said, force_terminal=True, width=140, height=50)
    table = LiveTable(run.runtime, "pendel demo (simulated)", terminal)
    table.show(START + timedelta(minutes=60))
    table.close()
    for part in ("simulated", "Small", "promise", "car-s1", "yes", "setpoints"):
        assert part in said.getvalue(), part


def test_plain_lines_come_once_per_hour(capsys: pytest.CaptureFixture[str]) -> None:
    run = small()
    lines = PlainLines(run.runtime)
    for minutes in range(0, 150, 15):
        run.to(minutes)
        lines.show(START + timedelta(minutes=minutes))
    run.decider.fault = ValueError("deliberate")
    run.to(180)
    lines.show(START + timedelta(minutes=180))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5
    assert said[0].startswith("Mon 13:00 simulated small")
    assert said[-1].startswith("attention: ") and "deliberate" in said[-1]


def test_without_a_terminal_there_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(display_for(small().runtime, "x"), PlainLines)
