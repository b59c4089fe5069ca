"""Options and files of commands, checked by hand: every fault is a Problem with its place."""

import argparse
import io
import sys
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

from pendel.clock import parse_utc
from pendel.errors import Problem
from pendel.tariff.exact import parse_fraction

COMMAND_LINE = "command line"
FILE_BYTES_MAX = 1 << 30


class Options:
    """Reads options of one command and collects what is wrong with them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.problems: list[Problem] = []

    def fault(self, option: str, problem: str, allowed: str = "") -> None:
        """Note a problem of an option."""
        self.problems.append(Problem(COMMAND_LINE, 0, option, problem, allowed))

    def choice(self, option: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
        """One of several words; None where missing or wrong."""
        if value in allowed:
            return value
        problem = "missing" if value is None else f"{value} is not supported"
        self.fault(option, problem, ", ".join(allowed))
        return None

    def positive(self, option: str, value: str | None) -> Fraction | None:
        """A decimal above 0; None where absent or wrong."""
        if value is None:
            return None
        number = parse_fraction(value)
        if number is None or number <= 0:
            self.fault(option, f"{value} is not a number here", "a decimal above 0")
            return None
        return number

    def day(self, option: str, value: str | None) -> date | None:
        """A local day; None where absent or wrong."""
        if value is None:
            return None
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fault(option, f"{value} is not a day", "like 2026-11-16")
            return None

    def moment(self, option: str, value: str | None) -> datetime:
        """A time with offset, the present where absent."""
        if value is not None:
            try:
                return parse_utc(value)
            except (ValueError, OverflowError) as error:
                self.fault(option, f"{value}: {error}", "like 2027-02-01T00:00:00Z")
        return datetime.now(UTC)

    def text_lines(self, path: str) -> list[str] | None:
        """The lines of a UTF-8 file, byte order mark dropped; None where it cannot be read."""
        name = Path(path).name
        try:
            if path == "-":
                return list(sys.stdin)
            if Path(path).stat().st_size > FILE_BYTES_MAX:
                self.problems.append(Problem(name, 0, "", "too large", "at most 1 GiB"))
                return None
            text = Path(path).read_bytes().decode("utf-8-sig")
        except OSError as error:
            self.problems.append(Problem(name, 0, "", error.strerror or "cannot be read"))
            return None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self.problems.append(Problem(name, line, "", "not UTF-8"))
            return None
        return list(io.StringIO(text, newline=""))
