"""Reads a scenario folder with a line of progress on stderr, where that is a terminal."""

from pathlib import Path
from typing import TextIO

from pendel.cli.progress import progress_line
from pendel.scenario.columns import Scenario
from pendel.scenario.read import read_scenario


def read_with_progress(folder: Path, stream: TextIO | None = None) -> Scenario:
    """Read a scenario. Raises InputError with every problem; the line is cleared before that."""
    with progress_line(stream) as line:
        if not line.on:
            return read_scenario(folder)
        return read_scenario(folder, lambda file, share: line.bar(f"reading {file}", share))
