"""What can go wrong, as a tree.

    PendelError                      every error pendel raises on purpose
    ├── InputError                   bad input: exit status 2, carries every Problem
    ├── InvariantError               a check on power or money failed: a fault of the program
    ├── StoreError                   the event log cannot be opened, read or appended to
    │   └── ChainError               the hash chain of the log is broken at a named place
    └── NotFoundError                an id that nothing answers to

Validators return lists of Problem; the boundary that owns the input raises InputError once, with
all of them. `require` stays on in production (`assert` would vanish under `python -O`).
"""

from collections.abc import Sequence

import msgspec

PROBLEMS_LISTED_MAX = 1_000


class Problem(msgspec.Struct, frozen=True, omit_defaults=False):
    """One thing wrong with an input, and where.

    file: last part of the path; line: counted from 1 (0 = the file as a whole);
    field: column or key; problem: what is wrong; allowed: what would be right ("" if obvious).
    """

    file: str
    line: int
    field: str
    problem: str
    allowed: str = ""

    def __str__(self) -> str:
        allowed = f" ({self.allowed})" if self.allowed else ""
        field = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {field}{self.problem}{allowed}"


class PendelError(Exception):
    """Root of all errors raised on purpose."""


class InputError(PendelError):
    """Bad input. Carries at most the first 1,000 problems and the count of all."""

    def __init__(self, problems: Sequence[Problem], count: int | None = None) -> None:
        self.problems = list(problems[:PROBLEMS_LISTED_MAX])
        self.count = len(problems) if count is None else count
        super().__init__(f"{self.count} problem(s) in the input")


class InvariantError(PendelError):
    """An invariant of power or money does not hold: stop rather than go on wrong."""


class StoreError(PendelError):
    """The store cannot do what was asked."""


class ChainError(StoreError):
    """The hash chain of a log is broken; the message names the first bad sequence number."""


class NotFoundError(PendelError):
    """Nothing has this id."""


def require(condition: bool, message: str) -> None:
    """Raise InvariantError(message) unless condition holds; on in production."""
    if not condition:
        raise InvariantError(message)
