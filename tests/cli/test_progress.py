"""The line of progress of long work: what is going on, on terminals only."""

import io

import pytest

from pendel.cli import progress
from pendel.cli.progress import ProgressLine, progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_and_standing() -> None:
    terminal = Terminal()
    with progress_line(terminal) as line:
        line.bar("writing the plan", 0.5)
        line.bar("writing the plan", 0.51)  # not drawn again: it looks the same
        line.standing(7, 120.0, 100.0)
    drawn = [text.strip() for text in terminal.getvalue().split("\r") if text.strip()]
    assert drawn == [
        "writing the plan [##########..........]",
        "round 7: 120 EUR, bound 100, gap 2.0e-01",
    ]
    assert terminal.getvalue().endswith("\r" + " " * progress.LINE_COLUMNS + "\r")


def test_long_texts_stay_on_the_line() -> None:
    terminal = Terminal()
    ProgressLine(terminal).show("x" * 500)
    assert len(terminal.getvalue()) == 1 + progress.LINE_COLUMNS


def test_nothing_elsewhere() -> None:
    stream = io.StringIO()
    with progress_line(stream) as line:
        line.bar("reading", 0.5)
        line.standing(1, 2.0, 1.0)
    assert stream.getvalue() == ""


def test_compiling_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    monkeypatch.setattr(progress._CompileNote, "_said", False)
    monkeypatch.setattr("pendel.kernel.on_compile", heard.append)
    for _ in range(2):
        progress.say_when_compiling()
    for listener in heard:
        listener("walk")
        listener("solve")
    assert capsys.readouterr().err == progress.COMPILING + "\n"
