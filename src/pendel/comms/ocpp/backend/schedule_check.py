"""Does the schedule a car wants to follow lie within what it was offered? (K15.FR.11, FR.12)

Kept is what stations accepted: SetChargingProfile, its updates and clearings. The composite engine
says what that allows at each moment; the car's schedule is held against it.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import UNSET

from pendel.comms.ocpp.composite import Point, Situation, change_times, point_at
from pendel.comms.ocpp.profile import Profile, Purpose, Supply, profile_of, updated
from pendel.comms.ocpp.release import Version, messages_of

KEPT_MAX = 200
SCHEDULES_MAX = 3
LATE_MAX = 4
"""Dynamic updates name the same fields each time: the last few say it all."""
HORIZON_S = 7 * 86_400.0
SLACK_W, SLACK_SHARE = 1.0, 0.001
"""Rounding between watts and amperes."""
SKEW_S = 5.0
"""A station took a profile earlier than its answer was heard, by a clock of its own."""
BRIEF_S = 2.0 * SKEW_S
"""A stretch that short is no breach: two clocks and a message lie between the schedules."""
_SUPPLY = Supply()


@dataclass(slots=True)
class Offered:
    """Profiles a station accepted, by id, each with all its schedules as profiles of one; ids of
    those schedules; late: dynamic updates that are only taken in when somebody asks."""

    by_id: dict[int, tuple[Profile, ...]] = field(default_factory=dict)
    ids: dict[int, tuple[int, ...]] = field(default_factory=dict)
    late: dict[int, list[tuple[Any, float]]] = field(default_factory=dict)

    def ordered(self, action: str, payload: Any, now_s: float) -> None:
        """The station accepted a request (typed, of 2.x)."""
        if action == "SetChargingProfile":
            self._set(payload.evseId, payload.chargingProfile, now_s)
        elif action == "UpdateDynamicSchedule":
            late = self.late.setdefault(payload.chargingProfileId, [])
            late.append((payload.scheduleUpdate, now_s))
            del late[:-LATE_MAX]
        elif action == "ClearChargingProfile":
            self._clear(payload)

    def _set(self, evse_id: int, wire: Any, now_s: float) -> None:
        each = [msgspec.structs.replace(wire, chargingSchedule=[s]) for s in wire.chargingSchedule]
        found = tuple(profile_of(one, evse_id, now_s - SKEW_S, _SUPPLY) for one in each)
        first = found[0]
        for number, (old, *_) in list(self.by_id.items()):
            same = (old.purpose, old.stack_level, old.evse_id, old.transaction_id)
            if same == (first.purpose, first.stack_level, evse_id, first.transaction_id):
                self._drop(number)
        if len(self.by_id) >= KEPT_MAX:
            self._drop(next(iter(self.by_id)))
        self._drop(wire.id)
        self.by_id[wire.id] = found
        self.ids[wire.id] = tuple(schedule.id for schedule in wire.chargingSchedule)

    def _clear(self, payload: Any) -> None:
        wanted = payload.chargingProfileId
        asked = payload.chargingProfileCriteria
        told = {} if asked is UNSET else msgspec.to_builtins(asked)
        for number, (kept, *_) in list(self.by_id.items()):
            same = wanted in (UNSET, number)
            same = same and told.get("evseId", kept.evse_id) == kept.evse_id
            same = same and told.get("stackLevel", kept.stack_level) == kept.stack_level
            if same and told.get("chargingProfilePurpose", kept.purpose) == kept.purpose:
                self._drop(number)

    def ended(self, transaction_id: str) -> None:
        """TxProfiles end with their transaction."""
        for number, (kept, *_) in list(self.by_id.items()):
            if kept.purpose is Purpose.TX and kept.transaction_id == transaction_id:
                self._drop(number)

    def _drop(self, number: int) -> None:
        self.by_id.pop(number, None)
        self.late.pop(number, None)
        self.ids.pop(number, None)

    def problem(self, told: Any, version: Version, transaction_id: str, begun_s: float) -> str:
        """Why a NotifyEVChargingSchedule (typed) leaves what its transaction was offered, "" = it
        does not, or nothing was. begun_s: when the transaction began [epoch s]."""
        self._catch_up()
        where = Situation(told.evseId, transaction_id, begun_s)
        if not any(p[0].transaction_id == transaction_id for p in self.by_id.values()):
            return ""
        wanted = _as_profile(told, version)
        chosen = getattr(told, "selectedChargingScheduleId", UNSET)
        numbers = self._numbers(transaction_id, chosen)
        problems = [self._breach(wanted, where, number) for number in numbers]
        return "" if "" in problems else problems[0]

    def _catch_up(self) -> None:
        for number, late in self.late.items():
            kept = self.by_id.get(number, ())
            for update, at_s in late if len(kept) == 1 else ():
                kept = (updated(kept[0], update, at_s - SKEW_S, _SUPPLY),)
            if kept:
                self.by_id[number] = kept
        self.late.clear()

    def _numbers(self, transaction_id: str, chosen: Any) -> list[int]:
        """Places of the schedules that may be meant: the one that was named, else all."""
        own = [self.ids[n] for n, p in self.by_id.items() if p[0].transaction_id == transaction_id]
        named = [ids.index(chosen) for ids in own if chosen in ids]
        return named or list(range(min(max(len(ids) for ids in own), SCHEDULES_MAX)))

    def _breach(self, wanted: Profile, where: Situation, number: int) -> str:
        offered = [all_of[min(number, len(all_of) - 1)] for all_of in self.by_id.values()]
        begin_s = wanted.start_s or 0.0
        last_s = wanted.periods[-1].start_s + 1.0
        lasts_s = min(wanted.duration_s or last_s, HORIZON_S)
        end_s = begin_s + max(lasts_s, 1.0)
        edges = set(change_times(offered, where, begin_s, end_s))
        edges |= {begin_s + p.start_s for p in wanted.periods if p.start_s < HORIZON_S}
        for at_s, until_s in pairwise([*sorted(edges), max(end_s, max(edges) + BRIEF_S + 1.0)]):
            if until_s - at_s <= BRIEF_S:
                continue
            period = [p for p in wanted.periods if begin_s + p.start_s <= at_s][-1]
            watts = period.limit_w[0] if period.setpoint_w is None else period.setpoint_w[0]
            low, high = _band(point_at(offered, where, at_s))
            slack = SLACK_W + SLACK_SHARE * abs(watts)
            if not low - slack <= watts <= high + slack:
                after = round(at_s - begin_s)
                return f"{watts:.0f} W after {after} s, offered {low:.0f} to {high:.0f} W"
        return ""


def _band(point: Point) -> tuple[float, float]:
    """What a car may draw at a point [W]: up to its limits, towards its setpoint."""
    if point.setpoint_w is not None:
        return min(point.setpoint_w[0], 0.0), max(point.setpoint_w[0], 0.0)
    return min(point.low_w[0], 0.0), point.high_w[0]


def _as_profile(told: Any, version: Version) -> Profile:
    messages: Any = messages_of(version)
    wire = messages.ChargingProfileType(
        id=0,
        stackLevel=0,
        chargingProfilePurpose="TxProfile",
        chargingProfileKind="Absolute",
        chargingSchedule=[told.chargingSchedule],
    )
    found = profile_of(wire, told.evseId, told.timeBase.timestamp(), _SUPPLY)
    base = told.timeBase
    return replace(found, start_s=found.start_s or base.timestamp())
