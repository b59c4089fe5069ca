"""May a station take this charging profile? What its variables and what stands there already say.

`profile_rules` looks at the profile alone; here are the rules that need the message as it came (a
field may be absent or said) beside what the station supports. The first reason goes out.
Source: OCPP 2.1 part 2, K01, K28 and the appendix of reason codes; the errata of 2025-09 win.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pendel.comms.ocpp.profile import Profile, Purpose
from pendel.comms.ocpp.profile_rules import Reason

Wire = dict[str, Any]
FEATURES = frozenset(
    ("DynamicProfiles", "MaxOfflineDuration", "UseLocalTime", "RandomizedDelay", "LimitAtSoC")
)
"""Instances of SmartChargingCtrlr.SupportsFeature that concern a profile; EvseSleep is another."""
_SCHEDULE_FIELDS = (
    ("useLocalTime", "UseLocalTime"),
    ("randomizedDelay", "RandomizedDelay"),
    ("limitAtSoC", "LimitAtSoC"),
)
_OWN = (Purpose.TX.value, Purpose.TX_DEFAULT.value)
_OVERRULED = frozenset((Purpose.TX, Purpose.TX_DEFAULT, Purpose.PRIORITY))


@dataclass(frozen=True, slots=True)
class Support:
    """What a station says of its smart charging (component SmartChargingCtrlr).

    purposes: SupportedAdditionalPurposes; phases: of the supply; switches_phases: fewer phases can
    be ensured (Phases3to1); chooses_phase: ACPhaseSwitchingSupported; own_phase: what is used
    otherwise; external_id_max: MaxExternalConstraintsId.
    """

    rate_units: frozenset[str] = frozenset(("A", "W"))
    purposes: frozenset[str] = frozenset(("PriorityCharging", "LocalGeneration"))
    features: frozenset[str] = FEATURES
    phases: int = 3
    is_dc: bool = False
    dc_phase_control: bool = False
    switches_phases: bool = True
    chooses_phase: bool = True
    own_phase: int = 1
    external_id_max: int | None = None
    entries_max: int = 100


def support_problems(
    wire: Wire, evse_id: int, support: Support, installed: Iterable[Profile]
) -> list[Reason]:
    """All reasons why this station refuses a profile from its backend; empty = none."""
    known = list(installed)
    schedules: list[Wire] = wire["chargingSchedule"]
    found = [*_identity(wire, support, known), *_kind(wire, support, schedules)]
    for schedule in schedules:
        found += _schedule(wire["chargingProfilePurpose"], schedule, support)
        for period in schedule["chargingSchedulePeriod"]:
            found += _period(period, support)
    chosen = {p["phaseToUse"] for s in schedules for p in s["chargingSchedulePeriod"]
              if "phaseToUse" in p}  # fmt: skip
    return [*found, *_phase_conflicts(wire, evse_id, chosen, known)]


def duplicates(profile: Profile, installed: Iterable[Profile]) -> list[Reason]:
    """K01.FR.06, FR.39: another id at the same place (purpose, stack level, EVSE, transaction) that
    may be valid at the same time."""
    return [
        Reason("DuplicateProfile", f"profile {other.id} holds this purpose and stack level")
        for other in installed
        if other.id != profile.id
        and (other.purpose, other.stack_level) == (profile.purpose, profile.stack_level)
        and (other.evse_id, other.transaction_id) == (profile.evse_id, profile.transaction_id)
        and _overlap(profile, other)
    ]


def _overlap(one: Profile, other: Profile) -> bool:
    def starts_in_time(first: Profile, second: Profile) -> bool:
        if first.valid_to_s is None or second.valid_from_s is None:
            return True
        return second.valid_from_s < first.valid_to_s

    return starts_in_time(one, other) and starts_in_time(other, one)


def _identity(wire: Wire, support: Support, known: list[Profile]) -> Iterator[Reason]:
    number, purpose = wire["id"], wire["chargingProfilePurpose"]
    if purpose == Purpose.EXTERNAL.value:
        yield Reason("InvalidProfile", "external constraints are not for a backend (K01.FR.22)")
    additional = purpose in (Purpose.PRIORITY.value, Purpose.LOCAL_GENERATION.value)
    if additional and purpose not in support.purposes:
        yield Reason("UnsupportedPurpose", f"{purpose} is not supported")
    most = support.external_id_max
    if most is not None and number <= most:
        yield Reason("InvalidProfileId", f"ids up to {most} belong to external constraints")
    same = next((p for p in known if p.id == number), None)
    if same is not None and same.source != "CSO":
        yield Reason("InvalidProfileId", f"profile {number} was set by {same.source}")
    if same is None and len(known) >= support.entries_max:
        yield Reason("TooManyElements", f"{support.entries_max} profiles are installed")


def _kind(wire: Wire, support: Support, schedules: list[Wire]) -> Iterator[Reason]:
    kind = wire["chargingProfileKind"]
    if kind == "Dynamic":
        if "DynamicProfiles" not in support.features:
            yield Reason("UnsupportedKind", "dynamic profiles are not supported")
        if len(schedules) != 1:
            yield Reason("InvalidSchedule", "a dynamic profile has exactly one schedule")
    elif "dynUpdateInterval" in wire or "dynUpdateTime" in wire:
        yield Reason("InvalidProfile", "dynamic updates go only with a dynamic profile")
    if kind in ("Absolute", "Recurring") and any("startSchedule" not in s for s in schedules):
        yield Reason("InvalidSchedule", f"{kind} needs a startSchedule (K01.FR.40)")
    if kind == "Relative" and wire["chargingProfilePurpose"] == Purpose.STATION_MAX.value:
        yield Reason("InvalidProfile", "the limit of a station is relative to nothing (K01.FR.38)")
    offline = "maxOfflineDuration" in wire or "invalidAfterOfflineDuration" in wire
    if offline and "MaxOfflineDuration" not in support.features:
        yield Reason("UnsupportedParam", "maxOfflineDuration is not supported")


def _schedule(purpose: str, schedule: Wire, support: Support) -> Iterator[Reason]:
    if schedule["chargingRateUnit"] not in support.rate_units:
        yield Reason("UnsupportedRateUnit", f"{schedule['chargingRateUnit']} is not supported")
    for name, feature in _SCHEDULE_FIELDS:
        if schedule.get(name) and feature not in support.features:
            yield Reason("InvalidSchedule", f"{name} is not supported")
    if schedule.get("randomizedDelay", 0) > 0 and purpose not in _OWN:
        yield Reason("InvalidSchedule", "a random delay is for Tx and TxDefault profiles only")
    if purpose == Purpose.PRIORITY.value and "duration" in schedule:
        yield Reason("InvalidSchedule", "priority charging has no duration (K01.FR.70)")


def _period(period: Wire, support: Support) -> Iterator[Reason]:
    sleeps = period.get("evseSleep", False) and period.get("operationMode") != "Idle"
    if sleeps and "EvseSleep" not in support.features:
        yield Reason("InvalidSchedule", "evseSleep is for Idle, and not supported here")
    for name in ("limit", "dischargeLimit", "setpoint", "setpointReactive"):
        if name not in period and (f"{name}_L2" in period or f"{name}_L3" in period):
            yield Reason("PhaseConflict", f"{name} of L2 or L3 without {name} (K01.FR.146)")
    phases, chosen = period.get("numberPhases"), period.get("phaseToUse")
    if support.is_dc:
        if (phases is not None or chosen is not None) and not support.dc_phase_control:
            yield Reason("NoPhaseForDC", "the phases of a DC EVSE cannot be chosen")
        return
    if chosen is not None and (phases != 1 or chosen == 0):
        yield Reason("InvalidSchedule", "phaseToUse 1 to 3 goes only with numberPhases 1")
    if phases == 0:
        yield Reason("InvalidSchedule", "charging on no phase at all")
    elif phases is not None and phases < support.phases and not support.switches_phases:
        yield Reason("InvalidSchedule", f"{support.phases} phases are used, not {phases}")
    if chosen is not None and not support.chooses_phase and chosen != support.own_phase:
        yield Reason("InvalidSchedule", f"the phase is {support.own_phase} and cannot be changed")


def _phase_conflicts(
    wire: Wire, evse_id: int, chosen: set[int], known: list[Profile]
) -> Iterator[Reason]:
    """K01.FR.141: a phase that another profile which holds at the same time excludes."""
    own = Purpose(wire["chargingProfilePurpose"])
    for other in known:
        together = other.purpose is not own and not {other.purpose, own} <= _OVERRULED
        reaches = 0 in (other.evse_id, evse_id) or other.evse_id == evse_id
        theirs = {p.phase_to_use for p in other.periods if p.phase_to_use is not None}
        differ = bool(chosen and theirs) and len(chosen | theirs) > 1
        if other.id != wire["id"] and together and reaches and differ:
            yield Reason("PhaseConflict", f"profile {other.id} uses phase {min(theirs)}")
