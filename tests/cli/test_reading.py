"""The line of progress: on terminals only, and gone at the end."""

import io
from pathlib import Path

import pytest

from pendel.cli.reading import read_with_progress
from pendel.errors import InputError
from pendel.scenario import sources

FILES = {
    "scenario.toml": (
        'name = "x"\ntimezone = "UTC"\nstart = 2025-03-03T11:00:00Z\nsteps = 4\nstep_minutes = 15\n'
    ),
    "sites.csv": "site_id,import_limit_kw,export_limit_kw\na,17,11\n",
    "prices.csv": (
        "time_utc,import_eur_kwh,export_eur_kwh\n2025-03-03T11:00:00Z,0.3,0\n"
        "2025-03-03T11:30:00Z,0.3,0\n"
    ),
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sources, "SMALL_BYTES", 0)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_on_a_terminal(folder: Path) -> None:
    terminal = Terminal()
    assert read_with_progress(folder, terminal).horizon.steps == 4
    assert "reading prices.csv [####################]" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r" + " " * 78 + "\r")


def test_elsewhere_nothing_is_drawn(folder: Path) -> None:
    stream = io.StringIO()
    read_with_progress(folder, stream)
    assert stream.getvalue() == ""


def test_cleared_before_problems(folder: Path) -> None:
    (folder / "prices.csv").write_text(FILES["prices.csv"] + "x,0,0\n")
    terminal = Terminal()
    with pytest.raises(InputError):
        read_with_progress(folder, terminal)
    assert terminal.getvalue().endswith("\r")
