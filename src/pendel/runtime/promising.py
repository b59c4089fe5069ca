"""From what a driver, a car or nobody asked for to the promise that is told at plug-in.

The rules are those of `control.promise.PromiseKeeper`; here stand only the wishes of who says
nothing: 80 % by 07:00 local, never below 20 % (contract). What cannot be reached by charging at
once until then is said, with the best possible instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import structs

from pendel.clock import as_utc
from pendel.control.promise import PromiseKeeper
from pendel.control.state import FleetState
from pendel.records import Needs
from pendel.runtime.area import AreaSpec, Meters, fleet_state
from pendel.runtime.state import SessionView
from pendel.units import SECONDS_PER_HOUR

DEFAULT_READY_HOUR = 7
NOBODY = "usual"
"""Source of the ready-by of a driver who says nothing."""
GRAIN_S = 1
"""A promise told live counts whole seconds until ready-by."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A promise in the making; energies kWh, reason in words ("" = all that was asked)."""

    ready_by_utc: datetime
    target_kwh: float
    asked_kwh: float
    energy_min_kwh: float
    confidence: float
    reason: str

    @property
    def fields(self) -> dict[str, Any]:
        """As fields of a `records.Promise`."""
        return {name: getattr(self, name) for name in self.__slots__}


def next_morning(now_utc: datetime, timezone: str) -> datetime:
    """The next 07:00 local after now, in UTC."""
    local = now_utc.astimezone(ZoneInfo(timezone))
    day = local.date() + timedelta(days=int(local.hour >= DEFAULT_READY_HOUR))
    morning = datetime(day.year, day.month, day.day, DEFAULT_READY_HOUR, tzinfo=ZoneInfo(timezone))
    return as_utc(morning)


def wishes_of(view: SessionView, spec: AreaSpec, now_utc: datetime) -> list[Needs]:
    """All that is asked of a session; where nobody says when, the usual morning (that of the
    promise where one was told)."""
    wishes = [structs.replace(wish, source=voice) for voice, wish in view.wishes.items()]
    if view.event.stated_depart_utc or any(wish.ready_by_utc for wish in wishes):
        return wishes
    told = view.promise
    ready_by = next_morning(now_utc, spec.timezone) if told is None else told.ready_by_utc
    event = view.event
    usual = Needs(
        id="",
        at_utc=event.at_utc,
        session_id=event.session_id,
        ready_by_utc=ready_by,
        source=NOBODY,
    )
    return [*wishes, usual]


def tightened(state: FleetState, wishes: Mapping[str, Sequence[Needs]]) -> FleetState:
    """The state with all wishes applied, by the rules of the promise keeper."""
    keeper = PromiseKeeper()
    keeper.restate(wishes)
    return keeper.with_needs(state)[0]


def terms(view: SessionView, spec: AreaSpec, energy_kwh: float, now_utc: datetime) -> Terms:
    """What can be promised to a session that holds energy_kwh now.

    view: with all wishes, and without a promise where a new one is made.
    """
    state = replace(
        fleet_state(spec, [view], Meters(now_utc)), energy_kwh=np.array([float(energy_kwh)])
    )
    keeper = PromiseKeeper(spec.confidence)
    keeper.restate({view.event.session_id: wishes_of(view, spec, now_utc)})
    offer = keeper.at_plug_in(state, int(now_utc.timestamp()), GRAIN_S)
    target, asked = float(offer.target_kwh[0]), float(offer.asked_kwh[0])
    reason = str(offer.reason[0])
    if reason:
        reason = f"{asked:.1f} kWh cannot be reached, the best possible is {target:.1f}: {reason}"
    return Terms(
        ready_by_utc=datetime.fromtimestamp(int(offer.ready_by_s[0]), UTC),
        target_kwh=target,
        asked_kwh=asked,
        energy_min_kwh=float(offer.energy_min_kwh[0]),
        confidence=spec.confidence,
        reason=reason,
    )


def needed_kwh(view: SessionView, now_utc: datetime, step_s: int) -> float | None:
    """Energy a car must hold at the end of this step so that charging at once from then on still
    keeps its promise [kWh]; None without a promise. An operator's hand may go down to it."""
    if view.promise is None:
        return None
    event, promise = view.event, view.promise
    left_s = (promise.ready_by_utc - now_utc).total_seconds() - step_s
    reach_kwh = max(left_s, 0.0) / SECONDS_PER_HOUR * event.charge_max_kw * event.charge_efficiency
    return max(promise.target_kwh - reach_kwh, 0.0)
