"""From what a driver, a car or nobody asked for to the promise that is told at plug-in.

Without a word from anybody: 80 % by 07:00 local, never below 20 % (contract). What cannot be
reached by charging at once until then is said, with the best possible instead.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pendel.clock import as_utc
from pendel.records import Needs, Promise, SessionEvent
from pendel.runtime.state import SessionView
from pendel.units import SECONDS_PER_HOUR

DEFAULT_TARGET_SOC = 0.8
DEFAULT_MINIMUM_SOC = 0.2
DEFAULT_READY_HOUR = 7
UNREACHED_KWH = 0.05


@dataclass(frozen=True, slots=True)
class Terms:
    """A promise in the making; energies kWh, reason in words ("" = all that was asked)."""

    ready_by_utc: datetime
    target_kwh: float
    asked_kwh: float
    energy_min_kwh: float
    reason: str


def next_morning(now_utc: datetime, timezone: str) -> datetime:
    """The next 07:00 local after now, in UTC."""
    local = now_utc.astimezone(ZoneInfo(timezone))
    day = local.date() + timedelta(days=int(local.hour >= DEFAULT_READY_HOUR))
    morning = datetime(day.year, day.month, day.day, DEFAULT_READY_HOUR, tzinfo=ZoneInfo(timezone))
    return as_utc(morning)


def terms(
    event: SessionEvent, energy_kwh: float, needs: Needs | None, now_utc: datetime, timezone: str
) -> Terms:
    """What can be promised to a session that holds energy_kwh now."""
    ready_by = event.stated_depart_utc
    asked, minimum = DEFAULT_TARGET_SOC * event.capacity_kwh, None
    if needs is not None:
        ready_by = needs.ready_by_utc or ready_by
        asked = asked if needs.target_kwh is None else needs.target_kwh
        minimum = needs.energy_min_kwh
    if minimum is None:
        minimum = min(DEFAULT_MINIMUM_SOC * event.capacity_kwh, asked)
    ready_by = ready_by or next_morning(now_utc, timezone)
    hours = max((ready_by - now_utc).total_seconds() / SECONDS_PER_HOUR, 0.0)
    highest = energy_kwh + hours * event.charge_max_kw * event.charge_efficiency
    highest = min(max(highest, energy_kwh), event.capacity_kwh)
    reason = ""
    if asked - highest > UNREACHED_KWH:
        reason = (
            f"charging at once with {event.charge_max_kw:.0f} kW for {hours:.1f} h reaches "
            f"{highest:.1f} kWh, not {asked:.1f} kWh"
        )
    return Terms(ready_by, min(asked, highest), asked, minimum, reason)


def needed_kwh(view: SessionView, now_utc: datetime, step_s: int) -> float | None:
    """Energy a car must hold at the end of this step so that charging at once from then on still
    keeps its promise [kWh]; None without a promise. An operator's hand may go down to it."""
    if view.promise is None:
        return None
    event, promise = view.event, view.promise
    left_s = (promise.ready_by_utc - now_utc).total_seconds() - step_s
    reach_kwh = max(left_s, 0.0) / SECONDS_PER_HOUR * event.charge_max_kw * event.charge_efficiency
    return max(promise.target_kwh - reach_kwh, 0.0)


def tightened(needs: Needs, promise: Promise | None) -> Needs:
    """Wishes of somebody else than the driver: only those that ask for more than was promised."""
    if promise is None or needs.source == "driver":
        return needs

    def more(wish: float | None, told: float) -> float | None:
        return None if wish is None else max(wish, told)

    ready_by = needs.ready_by_utc
    return Needs(
        id=needs.id,
        at_utc=needs.at_utc,
        causes=needs.causes,
        session_id=needs.session_id,
        target_kwh=more(needs.target_kwh, promise.asked_kwh),
        energy_min_kwh=more(needs.energy_min_kwh, promise.energy_min_kwh),
        ready_by_utc=None if ready_by is None else min(ready_by, promise.ready_by_utc),
        charge_now=needs.charge_now,
        paused=False,
        source=needs.source,
    )
