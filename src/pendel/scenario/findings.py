"""Collects problems file by file: the first 1,000 of each in memory, the rest only counted."""

from collections.abc import Callable

import numpy as np

from pendel.errors import PROBLEMS_LISTED_MAX, InputError, Problem
from pendel.units import BoolArray, IntArray


class FileFindings:
    """Problems of one file; bounded memory however many there are."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.count = 0

    def add(self, line: int, field: str, problem: str, allowed: str = "") -> None:
        """Add one problem."""
        self.count += 1
        if len(self.problems) < PROBLEMS_LISTED_MAX:
            self.problems.append(Problem(self.file, int(line), field, problem, allowed))

    def add_problem(self, problem: Problem) -> None:
        """Add a problem made elsewhere."""
        self.add(problem.line, problem.field, problem.problem, problem.allowed)

    def add_where(
        self,
        wrong: BoolArray,
        lines: IntArray,
        field: str,
        words: Callable[[int], str],
        allowed: str = "",
    ) -> None:
        """One problem for every row [n] that is wrong; words(row) says what is wrong with it."""
        rows = np.flatnonzero(wrong)
        if not len(rows):
            return
        room = max(0, PROBLEMS_LISTED_MAX - len(self.problems))
        for row in rows[:room]:
            self.add(int(lines[row]), field, words(int(row)), allowed)
        self.count += max(0, len(rows) - room)


class Findings:
    """Problems of a whole folder, in the order in which its files were first asked for."""

    def __init__(self) -> None:
        self._files: dict[str, FileFindings] = {}

    def of(self, file: str) -> FileFindings:
        """The collector of one file."""
        return self._files.setdefault(file, FileFindings(file))

    @property
    def count(self) -> int:
        """Problems so far, listed or not."""
        return sum(found.count for found in self._files.values())

    def raise_if_any(self) -> None:
        """Raise InputError with everything found, by file and line."""
        if self.count:
            problems: list[Problem] = []
            for found in self._files.values():
                problems += sorted(found.problems, key=lambda problem: problem.line)
            raise InputError(problems, self.count)
