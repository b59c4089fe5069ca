"""What people type into forms, as typed wishes; all problems at once."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from pendel.api.bodies import PromiseBody
from pendel.clock import as_utc
from pendel.errors import InputError, Problem

FORM = "form"


def promise_from_form(fields: Mapping[str, str], zone: str) -> PromiseBody:
    """ready_by (local), target_pct, minimum_pct, charge_now, paused. Raises InputError."""
    problems: list[Problem] = []
    wish = PromiseBody(
        charge_now=fields.get("charge_now") == "yes", paused=fields.get("paused") == "yes"
    )
    wish.target_soc = _share(fields, "target_pct", problems)
    wish.minimum_soc = _share(fields, "minimum_pct", problems)
    ready = fields.get("ready_by", "")
    if ready:
        try:
            local = datetime.fromisoformat(ready)
            wish.ready_by_utc = as_utc(local.replace(tzinfo=local.tzinfo or ZoneInfo(zone)))
        except (ValueError, OverflowError):
            allowed = "a date and a time"
            problems.append(Problem(FORM, 0, "ready by", "is not a time", allowed))
    if problems:
        raise InputError(problems)
    return wish


def _share(fields: Mapping[str, str], name: str, problems: list[Problem]) -> float | None:
    text = fields.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 <= value <= 100.0:
        problems.append(Problem(FORM, 0, name, f"{text[:20]!r} is no percentage", "0 to 100"))
        return None
    return value / 100.0
