"""Is a charging profile acceptable? The rules that the schema does not enforce.

Each rule returns its reason or nothing; `problems_of` collects them all. The first reason's code
goes into StatusInfo.reasonCode of the answer (`InvalidSchedule`, `InvalidProfile`, ...).
Sources: OCPP 2.1 part 2: K01, K28, Q10, V2X.03-V2X.09 (with the errata of 2025-09).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from pendel.comms.ocpp.profile import OperationMode, Period, Profile, Purpose

_TX = (Purpose.TX, Purpose.TX_DEFAULT)
_V2X = set(OperationMode) - {OperationMode.CHARGING_ONLY, OperationMode.IDLE}
_MODES_ALLOWED: dict[Purpose, set[OperationMode]] = {
    Purpose.TX: set(OperationMode),
    Purpose.TX_DEFAULT: set(OperationMode),
    Purpose.PRIORITY: {OperationMode.CHARGING_ONLY},
    Purpose.STATION_MAX: {OperationMode.CHARGING_ONLY},
    Purpose.EXTERNAL: {
        OperationMode.CHARGING_ONLY,
        OperationMode.EXTERNAL_LIMITS,
        OperationMode.EXTERNAL_SETPOINT,
    },
    Purpose.LOCAL_GENERATION: {OperationMode.CHARGING_ONLY, OperationMode.EXTERNAL_LIMITS},
}


@dataclass(frozen=True, slots=True)
class StationAbility:
    """What the answer depends on: modes the EVSE supports, phases the car reported (1 or 3),
    whether dynamic profiles are known, the highest stack level and number of periods; balances: the
    thresholds of LocalLoadBalancing are set (Q09)."""

    modes: frozenset[OperationMode] = frozenset(OperationMode)
    ev_phases: int = 3
    dynamic: bool = True
    stack_level_max: int = 100
    periods_max: int = 1024
    transactions: frozenset[str] = frozenset()
    balances: bool = True


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a profile is refused: code for StatusInfo (at most 20 characters) and words."""

    code: str
    text: str


Rule = Callable[[Profile, StationAbility], Iterable[Reason]]


def problems_of(
    profile: Profile, ability: StationAbility, installed: Iterable[Profile] = ()
) -> list[Reason]:
    """All reasons to refuse a profile; empty = acceptable."""
    found = [reason for rule in _RULES for reason in rule(profile, ability)]
    for other in installed:
        same = other.purpose is profile.purpose and other.stack_level == profile.stack_level
        overlapping = 0 in (other.evse_id, profile.evse_id) and other.evse_id != profile.evse_id
        if other.id != profile.id and same and overlapping and profile.purpose in _TX:
            text = f"profile {other.id} holds this purpose and stack level on EVSE {other.evse_id}"
            found.append(Reason("DuplicateProfile", text))
    return found


def _purpose(profile: Profile, ability: StationAbility) -> Iterable[Reason]:
    if profile.purpose is Purpose.STATION_MAX and profile.evse_id != 0:
        yield Reason("InvalidProfile", "ChargingStationMaxProfile belongs to EVSE 0")
    if profile.purpose is Purpose.TX:
        if profile.evse_id == 0:
            yield Reason("InvalidProfile", "a TxProfile belongs to one EVSE, not to 0")
        if profile.transaction_id is None:
            yield Reason("MissingParam", "a TxProfile needs its transactionId")
        elif profile.transaction_id not in ability.transactions:
            yield Reason("TxNotFound", "no such transaction at this EVSE")
    elif profile.transaction_id is not None:
        yield Reason("InvalidProfile", "transactionId goes only with a TxProfile")
    if profile.stack_level > ability.stack_level_max:
        yield Reason("InvalidStackLevel", f"stackLevel over {ability.stack_level_max}")


def _kind(profile: Profile, ability: StationAbility) -> Iterable[Reason]:
    if profile.kind == "Recurring" and (profile.recurrence_s is None or profile.start_s is None):
        yield Reason("InvalidProfile", "a recurring profile needs recurrencyKind and startSchedule")
    if profile.kind == "Relative" and profile.start_s is not None:
        yield Reason("InvalidProfile", "a relative profile has no startSchedule")
    if profile.kind == "Dynamic":
        if not ability.dynamic:
            yield Reason("UnsupportedKind", "dynamic profiles are not supported")
        if len(profile.periods) != 1 or profile.periods[0].start_s != 0:
            yield Reason("InvalidSchedule", "a dynamic profile has exactly one period, from 0 on")
    elif profile.update_interval_s is not None:
        yield Reason("InvalidProfile", "dynUpdateInterval goes only with a dynamic profile")


def _periods(profile: Profile, ability: StationAbility) -> Iterable[Reason]:
    if len(profile.periods) > ability.periods_max:
        yield Reason("TooManyElements", f"over {ability.periods_max} periods")
    starts = [period.start_s for period in profile.periods]
    if starts[0] != 0:
        yield Reason("InvalidSchedule", "the first period starts at 0")
    if any(b <= a for a, b in pairwise(starts)):
        yield Reason("InvalidSchedule", "periods do not start one after another")
    for period in profile.periods:
        yield from _period(profile, period, ability)


def _period(profile: Profile, period: Period, ability: StationAbility) -> Iterable[Reason]:
    mode = period.mode
    if mode not in _MODES_ALLOWED[profile.purpose]:
        yield Reason("InvalidOperationMode", f"{mode} is not for {profile.purpose}")
    if mode not in ability.modes:
        local = mode is OperationMode.LOCAL_LOAD_BALANCING  # Q09.FR.01 names its own code
        code = "UnsupportedParam" if local else "InvalidOperationMode"
        yield Reason(code, f"{mode} is not supported by this EVSE")
    limit, low = period.limit_w[0], period.discharge_w[0]
    has_limit, has_low = math.isfinite(limit), math.isfinite(low)
    setpoint = period.setpoint_w
    reactive = period.reactive_var is not None
    for silent, use_case in ((OperationMode.IDLE, "Q10"), (OperationMode.LOCAL_FREQUENCY, "Q08")):
        if mode is silent and (has_limit or has_low or setpoint is not None or reactive):
            yield Reason("InvalidSchedule", f"{mode} takes no limit and no setpoint ({use_case})")
    if mode is OperationMode.LOCAL_LOAD_BALANCING and not ability.balances:
        yield Reason("MissingDevModelInfo", "LocalLoadBalancing: thresholds are not set (Q09)")
    if mode is OperationMode.CHARGING_ONLY and not has_limit:
        yield Reason("InvalidSchedule", "ChargingOnly needs a limit")
    if has_low and low > 0:
        yield Reason("InvalidSchedule", "a dischargeLimit is not positive")
    if mode in _V2X and profile.unit != "W":
        yield Reason("InvalidSchedule", "V2X modes are in W")
    if setpoint is not None and not (low <= setpoint[0] <= limit):
        yield Reason("InvalidSchedule", "setpoint outside [dischargeLimit, limit] (V2X.05)")
    if mode is OperationMode.CENTRAL_SETPOINT and setpoint is None and profile.kind != "Dynamic":
        yield Reason("InvalidSchedule", "CentralSetpoint needs a setpoint (Q03)")
    has_curve = len(period.frequency_curve) >= 2 and period.has_baseline
    if mode is OperationMode.LOCAL_FREQUENCY and not has_curve:
        text = "LocalFrequency needs v2xBaseline and a v2xFreqWattCurve of 2 points or more (Q08)"
        yield Reason("NoFreqWattCurve", text)
    if mode is OperationMode.CENTRAL_FREQUENCY and not (
        setpoint is not None or period.signal_curve or profile.kind == "Dynamic"
    ):
        yield Reason("InvalidSchedule", "CentralFrequency needs a setpoint or a signal curve (Q06)")
    if period.per_phase and profile.purpose is not Purpose.TX:
        yield Reason("PhaseConflict", "L2 and L3 values go only with a TxProfile (V2X.07)")
    if period.per_phase and ability.ev_phases < 3:
        yield Reason("PhaseConflict", "the car reported no values for L2 and L3 (V2X.08)")


_RULES: tuple[Rule, ...] = (_purpose, _kind, _periods)
