"""Reads a scenario folder with a line of progress on stderr, where that is a terminal."""

import sys
from pathlib import Path
from typing import TextIO

from pendel.scenario.columns import Scenario
from pendel.scenario.read import read_scenario

LINE_COLUMNS = 60
BAR_COLUMNS = 20


def read_with_progress(folder: Path, stream: TextIO | None = None) -> Scenario:
    """Read a scenario. Raises InputError with every problem; the line is cleared before that."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        return read_scenario(folder)
    line = _Line(stream)
    try:
        return read_scenario(folder, line.show)
    finally:
        line.clear()


class _Line:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = ""

    def show(self, file: str, share: float) -> None:
        """Draw the bar of a file, when it has grown."""
        filled = int(BAR_COLUMNS * min(1.0, share))
        bar = "#" * filled + "." * (BAR_COLUMNS - filled)
        text = f"reading {file[:30]} [{bar}]"
        if text != self._shown:
            self._stream.write(f"\r{text:{LINE_COLUMNS}}")
            self._stream.flush()
            self._shown = text

    def clear(self) -> None:
        """Leave an empty line behind."""
        if self._shown:
            self._stream.write("\r" + " " * LINE_COLUMNS + "\r")
            self._stream.flush()
