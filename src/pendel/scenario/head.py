"""`scenario.toml`: name, time zone, horizon and the limits of the portfolio."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from pendel.config import decode, load_toml
from pendel.config.zones import zone_exists
from pendel.errors import InputError
from pendel.scenario.columns import Horizon
from pendel.scenario.findings import FileFindings

FILE = "scenario.toml"
STEPS_MAX = 527_040
"""A leap year of minutes."""
CELLS_MAX = 100_000_000
"""Sites times steps."""

_Limit = Annotated[float, msgspec.Meta(ge=0.0)] | None


class PortfolioHead(msgspec.Struct, frozen=True):
    """Limits on |sum over sites| per step [kW]; None = not limited."""

    import_limit_kw: _Limit = None
    export_limit_kw: _Limit = None


class ScenarioHead(msgspec.Struct, frozen=True):
    """The contract's `scenario.toml`."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    timezone: str
    start: Annotated[datetime, msgspec.Meta(tz=True)]
    steps: Annotated[int, msgspec.Meta(ge=1, le=STEPS_MAX)]
    step_minutes: Annotated[int, msgspec.Meta(ge=1, le=60)]
    portfolio: PortfolioHead = PortfolioHead()


def read_head(folder: Path, found: FileFindings) -> tuple[ScenarioHead, Horizon] | None:
    """The head and its horizon; None (and the problems in `found`) when it cannot be used."""
    try:
        document = load_toml(folder / FILE)
    except InputError as error:
        for problem in error.problems:
            found.add_problem(problem)
        return None
    head, problems = decode(document, ScenarioHead)
    # Checks of single keys run even where another key is wrong, so that all come at once.
    zone, start = document.data.get("timezone"), document.data.get("start")
    minutes = document.data.get("step_minutes")
    if isinstance(zone, str) and not zone_exists(zone):
        allowed = "an IANA name such as Europe/Berlin"
        problems.append(document.problem(("timezone",), f'"{zone}" is not known', allowed))
    if type(minutes) is int and 1 <= minutes <= 60:
        if 60 % minutes:
            allowed = "a divisor of 60: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60"
            problems.append(
                document.problem(("step_minutes",), f"{minutes} does not divide the hour", allowed)
            )
        elif isinstance(start, datetime) and start.tzinfo is not None:
            try:
                off = start.timestamp() % (minutes * 60) != 0.0
                start.astimezone(UTC)
            except (OverflowError, ValueError):
                off = True
            if off or not 1970 <= start.year <= 2200:
                allowed = f"a multiple of {minutes} min in UTC, years 1970 to 2200"
                reason = f"{start.isoformat()} is off the grid of the steps"
                problems.append(document.problem(("start",), reason, allowed))
    for problem in problems:
        found.add_problem(problem)
    if head is None or problems:
        return None
    begin = head.start.astimezone(UTC)
    return head, Horizon(begin, head.steps, head.step_minutes * 60, head.timezone)
