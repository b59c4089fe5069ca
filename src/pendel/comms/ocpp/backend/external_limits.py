"""Limits that somebody else set at a station, as far as it tells of them (K11 to K14, K27).

NotifyChargingLimit names the source, and with NotifyChargingLimitWithSchedules the schedule; else
the backend asks for it (GetChargingProfiles) and learns it from ReportChargingProfiles.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from msgspec import UNSET

from pendel.comms.ocpp.composite import Situation, active_period
from pendel.comms.ocpp.profile import Profile, Purpose, Supply, profile_of
from pendel.comms.ocpp.release import Version, messages_of

LIMITS_MAX = 100
"""External limits a station's memory holds."""
PROFILES_EACH = 20
OURS = "CSO"
Key = tuple[int, str, bool]
"""EVSE (0 = the whole station), source, whether it is local generation."""


@dataclass(frozen=True, slots=True)
class ExternalLimit:
    """One source's limit. record_id, at_utc: of the message that told of it; critical: the grid is
    at stake, None = not said; profiles: what it says, none where that is not known."""

    evse_id: int
    source: str
    is_generation: bool
    critical: bool | None
    record_id: str
    at_utc: datetime
    profiles: tuple[Profile, ...] = ()

    def most_kw(self, at_utc: datetime) -> tuple[float | None, float | None]:
        """(import, export) it allows at a moment [kW, amounts]; None = it says nothing."""
        imports, exports = [], []
        for profile in self.profiles:
            where = Situation(profile.evse_id)
            period = active_period(profile, where, at_utc.timestamp())
            if period is None:
                continue
            if abs(period.limit_w[0]) != float("inf"):
                imports.append(max(period.limit_w[0], 0.0) / 1e3)
            if abs(period.discharge_w[0]) != float("inf"):
                exports.append(max(-period.discharge_w[0], 0.0) / 1e3)
        return min(imports, default=None), min(exports, default=None)


def notified(told: Any, version: Version, record_id: str, at_utc: datetime) -> ExternalLimit:
    """What a NotifyChargingLimit says."""
    limit = told.chargingLimit
    evse_id = 0 if told.evseId is UNSET else told.evseId
    generation = getattr(limit, "isLocalGeneration", UNSET)
    schedules = [] if told.chargingSchedule is UNSET else told.chargingSchedule[:PROFILES_EACH]
    return ExternalLimit(
        evse_id,
        str(limit.chargingLimitSource),
        generation is True,
        None if limit.isGridCritical is UNSET else limit.isGridCritical,
        record_id,
        at_utc,
        tuple(_profile(schedule, version, evse_id, at_utc) for schedule in schedules),
    )


def reported(
    told: Any, known: dict[Key, ExternalLimit], record_id: str, at_utc: datetime
) -> list[ExternalLimit]:
    """External limits of a ReportChargingProfiles: those of other sources than ourselves. What was
    said of grid and cause before stays."""
    source = str(told.chargingLimitSource)
    if source == OURS:
        return []
    groups: dict[bool, list[Profile]] = {}
    for wire in told.chargingProfile[:PROFILES_EACH]:
        profile = profile_of(wire, told.evseId, at_utc.timestamp(), Supply())
        groups.setdefault(profile.purpose is Purpose.LOCAL_GENERATION, []).append(profile)
    found = []
    for generation, profiles in groups.items():
        before = known.get((told.evseId, source, generation))
        found.append(
            ExternalLimit(
                told.evseId,
                source,
                generation,
                None if before is None else before.critical,
                record_id if before is None else before.record_id,
                at_utc if before is None else before.at_utc,
                tuple(profiles),
            )
        )
    return found


def learn_notice(
    known: dict[Key, ExternalLimit], told: Any, version: Version, record_id: str, at_utc: datetime
) -> None:
    """A NotifyChargingLimit: without schedules what was known holds until it was asked for."""
    limit = notified(told, version, record_id, at_utc)
    before = known.get((limit.evse_id, limit.source, limit.is_generation))
    if not limit.profiles and before is not None:
        limit = replace(limit, profiles=before.profiles)
    _keep(known, limit)


def learn_report(
    known: dict[Key, ExternalLimit], told: Any, record_id: str, at_utc: datetime
) -> None:
    """A ReportChargingProfiles."""
    for limit in reported(told, known, record_id, at_utc):
        _keep(known, limit)


def learn_release(known: dict[Key, ExternalLimit], told: Any) -> None:
    """A ClearedChargingLimit: the message names no kind, so both are gone (what stays is told
    anew)."""
    evse_id = 0 if told.evseId is UNSET else told.evseId
    for generation in (False, True):
        known.pop((evse_id, str(told.chargingLimitSource), generation), None)


def _keep(known: dict[Key, ExternalLimit], limit: ExternalLimit) -> None:
    key = limit.evse_id, limit.source, limit.is_generation
    if key in known or len(known) < LIMITS_MAX:
        known[key] = limit


def question(told: Any, version: Version, request_id: int) -> Any | None:
    """The GetChargingProfiles that asks for what a NotifyChargingLimit left out, or None."""
    if told.chargingSchedule is not UNSET:
        return None
    messages: Any = messages_of(version)
    criterion = messages.ChargingProfileCriterionType(
        chargingLimitSource=[told.chargingLimit.chargingLimitSource]
    )
    return messages.GetChargingProfilesRequest(requestId=request_id, chargingProfile=criterion)


def _profile(schedule: Any, version: Version, evse_id: int, at_utc: datetime) -> Profile:
    """A bare schedule as a profile that holds from its own start, or from now, on."""
    messages: Any = messages_of(version)
    starts = schedule.startSchedule is not UNSET
    wire = messages.ChargingProfileType(
        id=schedule.id,
        stackLevel=0,
        chargingProfilePurpose="ChargingStationExternalConstraints",
        chargingProfileKind="Absolute" if starts else "Relative",
        chargingSchedule=[schedule],
    )
    return profile_of(wire, evse_id, at_utc.timestamp(), Supply())
