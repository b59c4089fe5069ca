"""What a backend shall not send in block K, whoever asks for it (OCPP 2.1 part 2, K01, K05, K09,
K10, with the errata of 2025-09). A command by hand that breaks one of these is refused with its id.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

Payload = dict[str, Any]
_OUTSIDE = ("ChargingStationExternalConstraints", "LocalGeneration")
_CRITERIA = ("stackLevel", "chargingLimitSource", "chargingProfilePurpose")


def refusal_of(version: str, action: str, payload: Payload) -> str:
    """Why a command may not be sent to a station of this version, or "". 1.6 has no such rules."""
    return "" if version == "1.6" else next(_problems(action, payload), "")


def _problems(action: str, payload: Payload) -> Iterator[str]:
    profile = payload.get("chargingProfile")
    if action == "SetChargingProfile" and isinstance(profile, dict):
        yield from _target(payload.get("evseId"), profile)
        yield from _profile(profile)
    elif action == "RequestStartTransaction" and isinstance(profile, dict):
        if profile.get("chargingProfilePurpose") != "TxProfile":
            yield "a start takes a TxProfile (K05.FR.02)"
        yield from _profile(profile)
    elif action == "ClearChargingProfile":
        yield from _clear(payload)
    elif action == "GetChargingProfiles" and isinstance(profile, dict):
        by_id = "chargingProfileId" in profile
        if by_id == any(name in profile for name in _CRITERIA):
            yield "either ids, or at least one of level, source and purpose (K09.FR.03)"


def _target(evse_id: Any, profile: Payload) -> Iterator[str]:
    purpose = profile.get("chargingProfilePurpose")
    if purpose == "ChargingStationExternalConstraints":
        yield "external constraints are set by external systems only (K01.FR.22)"
    if purpose == "TxProfile" and "transactionId" not in profile:
        yield "a TxProfile names its transactionId (K01.FR.03)"
    if purpose == "TxProfile" and evse_id == 0:
        yield "a TxProfile belongs to one EVSE (K01.FR.16)"


def _profile(profile: Payload) -> Iterator[str]:
    purpose, kind = profile.get("chargingProfilePurpose"), profile.get("chargingProfileKind")
    schedules = profile.get("chargingSchedule")
    for schedule in schedules if isinstance(schedules, list) else []:
        if not isinstance(schedule, dict):
            continue
        if purpose == "PriorityCharging" and "duration" in schedule:
            yield "priority charging has no duration (K01.FR.73)"
        if kind in ("Absolute", "Recurring") and "startSchedule" not in schedule:
            yield f"{kind} needs a startSchedule (K01.FR.40)"
        if kind == "Relative" and "startSchedule" in schedule:
            yield "Relative has no startSchedule (K01.FR.41)"
        periods = [p for p in schedule.get("chargingSchedulePeriod", ()) if isinstance(p, dict)]
        yield from _periods(periods, purpose == "TxProfile")


def _periods(periods: list[Payload], is_tx: bool) -> Iterator[str]:
    starts = [period.get("startPeriod", 0) for period in periods]
    if starts and starts[0] != 0:
        yield "the first period starts at 0 (K01.FR.31)"
    if any(later <= earlier for earlier, later in pairwise(starts)):
        yield "periods start one after another (K01.FR.35)"
    for period in periods:
        if "phaseToUse" in period and period.get("numberPhases") != 1:
            yield "phaseToUse goes only with numberPhases 1 (K01.FR.19)"
        for name in ("limit", "dischargeLimit", "setpoint", "setpointReactive"):
            if f"{name}_L2" in period or f"{name}_L3" in period:
                if not is_tx:
                    yield f"{name} of L2 and L3 is for a TxProfile (K01.FR.143)"
                if name not in period:
                    yield f"{name} of L2 and L3 goes only with {name} (K01.FR.145)"


def _clear(payload: Payload) -> Iterator[str]:
    criteria = payload.get("chargingProfileCriteria")
    chosen = criteria if isinstance(criteria, dict) else {}
    if chosen.get("chargingProfilePurpose") in _OUTSIDE:
        yield "what external systems set is not cleared (K10.FR.06)"
    if not chosen and "chargingProfileId" not in payload:
        yield "an id, or at least one of EVSE, purpose and level (K10.FR.02)"
