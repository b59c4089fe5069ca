"""Charging profiles of all three versions in one internal shape, in signed watts.

A wire value is a total, or, where L2/L3 fields are present, the value of L1 beside L2 and L3.
Inside, a Quad holds (total, L1, L2, L3) in W; what was not said is infinite (limits) or None.
Amperes become watts with the voltage and the phases in use. Source: OCPP 2.1 part 2, block K
(ChargingProfileType and its parts), block Q (V2X fields).
"""

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

Quad: TypeAlias = tuple[float, float, float, float]
"""Total, L1, L2, L3 [W]."""

UNLIMITED: Quad = (math.inf,) * 4
NO_BOUND: Quad = (-math.inf,) * 4
NO_DISCHARGE: Quad = (0.0,) * 4


class Purpose(StrEnum):
    """The six purposes of 2.1; ChargePointMaxProfile of 1.6 is ChargingStationMaxProfile."""

    EXTERNAL = "ChargingStationExternalConstraints"
    STATION_MAX = "ChargingStationMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"
    PRIORITY = "PriorityCharging"
    LOCAL_GENERATION = "LocalGeneration"


class OperationMode(StrEnum):
    """V2X operation modes; ChargingOnly is the default."""

    IDLE = "Idle"
    CHARGING_ONLY = "ChargingOnly"
    CENTRAL_SETPOINT = "CentralSetpoint"
    EXTERNAL_SETPOINT = "ExternalSetpoint"
    EXTERNAL_LIMITS = "ExternalLimits"
    CENTRAL_FREQUENCY = "CentralFrequency"
    LOCAL_FREQUENCY = "LocalFrequency"
    LOCAL_LOAD_BALANCING = "LocalLoadBalancing"


@dataclass(frozen=True, slots=True)
class Period:
    """One period of a schedule. limit is the highest charging power, discharge (<= 0) the
    strongest discharge; setpoint None where the mode has none. Curves: points (x, power_w).
    reactive_var: setpointReactive, absorbing positive (total); sleep and precondition: what Idle
    asks of the EVSE and the car; has_baseline: v2xBaseline was told."""

    start_s: float
    mode: OperationMode
    limit_w: Quad
    discharge_w: Quad
    setpoint_w: Quad | None
    baseline_w: float
    phases: int
    frequency_curve: tuple[tuple[float, float], ...]
    signal_curve: tuple[tuple[float, float], ...]
    reactive_var: float | None = None
    has_baseline: bool = True
    sleep: bool = False
    precondition: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as installed. Times in epoch seconds; None = absent.

    evse_id 0 = whole station; kind Absolute, Recurring, Relative or Dynamic; received_s is when
    it was installed; updated_s the last dynamic update; delay_s the random delay drawn for it.
    limit_at_soc: (soc 0..1, limit_w) beyond which a lower limit applies.
    """

    id: int
    evse_id: int
    stack_level: int
    purpose: Purpose
    kind: str
    unit: str
    periods: tuple[Period, ...]
    recurrence_s: float | None = None
    start_s: float | None = None
    duration_s: float | None = None
    valid_from_s: float | None = None
    valid_to_s: float | None = None
    transaction_id: str | None = None
    max_offline_s: float | None = None
    invalid_after_offline: bool = False
    update_interval_s: float | None = None
    use_local_time: bool = False
    received_s: float = 0.0
    updated_s: float | None = None
    delay_s: float = 0.0
    limit_at_soc: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Supply:
    """What turns amperes into watts: voltage per phase, phases in use; DC counts as one total."""

    voltage_v: float = 230.0
    phases: int = 3
    is_dc: bool = False


_RECURRENCE_S = {"Daily": 86_400.0, "Weekly": 604_800.0}


def profile_of(
    wire: msgspec.Struct,
    evse_id: int,
    now_s: float,
    supply: Supply,
    random_delay: float = 0.0,
) -> Profile:
    """A profile message part of any version to the internal shape.

    random_delay in 0..1: the share of `randomizedDelay` drawn for this installation.
    """
    data: dict[str, Any] = msgspec.to_builtins(wire, builtin_types=(datetime,))
    schedules = data["chargingSchedule"]
    schedule: dict[str, Any] = schedules[0] if isinstance(schedules, list) else schedules
    unit = schedule["chargingRateUnit"]
    purpose = data["chargingProfilePurpose"]
    if purpose == "ChargePointMaxProfile":
        purpose = Purpose.STATION_MAX.value
    soc = schedule.get("limitAtSoC")
    transaction = data.get("transactionId")
    return Profile(
        id=data["id"] if "id" in data else data["chargingProfileId"],
        evse_id=evse_id,
        stack_level=data["stackLevel"],
        purpose=Purpose(purpose),
        kind=data["chargingProfileKind"],
        unit=unit,
        periods=tuple(_period_of(p, unit, supply) for p in schedule["chargingSchedulePeriod"]),
        recurrence_s=_RECURRENCE_S.get(data.get("recurrencyKind", "")),
        start_s=_seconds(schedule.get("startSchedule")),
        duration_s=schedule.get("duration"),
        valid_from_s=_seconds(data.get("validFrom")),
        valid_to_s=_seconds(data.get("validTo")),
        transaction_id=None if transaction is None else str(transaction),
        max_offline_s=data.get("maxOfflineDuration"),
        invalid_after_offline=data.get("invalidAfterOfflineDuration", False),
        update_interval_s=data.get("dynUpdateInterval") or None,
        use_local_time=schedule.get("useLocalTime", False),
        received_s=now_s,
        updated_s=_seconds(data.get("dynUpdateTime")),
        delay_s=random_delay * schedule.get("randomizedDelay", 0),
        limit_at_soc=None
        if soc is None
        else (soc["soc"] / 100.0, _watts(soc["limit"], unit, supply, supply.phases)),
    )


def updated(profile: Profile, update: msgspec.Struct, now_s: float, supply: Supply) -> Profile:
    """A dynamic profile after an UpdateDynamicSchedule (or a pulled update): its one period takes
    the fields that were sent, keeps the others, and its watchdog starts anew (K28)."""
    data = msgspec.to_builtins(update)
    old = profile.periods[0]
    phases = supply.phases if old.phases == 0 else old.phases
    changes: dict[str, Any] = {}
    if "limit" in data:
        changes["limit_w"] = _quad(data, "limit", profile.unit, supply, phases)
    if "dischargeLimit" in data:
        changes["discharge_w"] = _quad(data, "dischargeLimit", profile.unit, supply, phases)
    if "setpoint" in data:
        changes["setpoint_w"] = _quad(data, "setpoint", profile.unit, supply, phases)
    if "setpointReactive" in data:
        changes["reactive_var"] = _reactive(data, profile.unit, supply, phases)
    period = replace(old, **changes)
    return replace(profile, periods=(period,), updated_s=now_s)


def _period_of(data: dict[str, Any], unit: str, supply: Supply) -> Period:
    phases = supply.phases if data.get("numberPhases") is None else data["numberPhases"]
    mode = OperationMode(data.get("operationMode", OperationMode.CHARGING_ONLY))
    limit = _quad(data, "limit", unit, supply, phases) if "limit" in data else UNLIMITED
    low = NO_BOUND
    if "dischargeLimit" in data:
        low = _quad(data, "dischargeLimit", unit, supply, phases)
    setpoint = _quad(data, "setpoint", unit, supply, phases) if "setpoint" in data else None
    return Period(
        start_s=float(data["startPeriod"]),
        mode=mode,
        limit_w=limit,
        discharge_w=low,
        setpoint_w=setpoint,
        baseline_w=float(data.get("v2xBaseline", 0.0)),
        phases=phases,
        frequency_curve=tuple(
            (p["frequency"], p["power"]) for p in data.get("v2xFreqWattCurve", ())
        ),
        signal_curve=tuple((p["signal"], p["power"]) for p in data.get("v2xSignalWattCurve", ())),
        reactive_var=_reactive(data, unit, supply, phases),
        has_baseline="v2xBaseline" in data,
        sleep=bool(data.get("evseSleep", False)),
        precondition=bool(data.get("preconditioningRequest", False)),
    )


def _quad(data: dict[str, Any], name: str, unit: str, supply: Supply, phases: int) -> Quad:
    """(total, L1, L2, L3): only the total is bound unless L2 or L3 was given."""
    base = float(data[name])
    if f"{name}_L2" not in data and f"{name}_L3" not in data:
        free = math.inf if name == "limit" else -math.inf
        if name == "setpoint":
            free = math.nan
        return (_watts(base, unit, supply, phases), free, free, free)
    each = [
        _watts(float(value), unit, supply, 1)
        for value in (base, data.get(f"{name}_L2", 0.0), data.get(f"{name}_L3", 0.0))
    ]
    return (sum(each), each[0], each[1], each[2])


def _reactive(data: dict[str, Any], unit: str, supply: Supply, phases: int) -> float | None:
    """setpointReactive of all phases together [var], or None."""
    if "setpointReactive" not in data:
        return None
    return _quad(data, "setpointReactive", unit, supply, phases)[0]


def _watts(value: float, unit: str, supply: Supply, phases: int) -> float:
    if unit == "W":
        return value
    return value * supply.voltage_v * (1 if supply.is_dc else max(phases, 1))


def _seconds(when: datetime | None) -> float | None:
    if when is None:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


@dataclass(slots=True)
class Installed:
    """The profiles of a station, by id; what SetChargingProfile and ClearChargingProfile change."""

    by_id: dict[int, Profile] = field(default_factory=dict)

    def put(self, profile: Profile) -> None:
        """Install; the same id, or the same purpose, stack level and EVSE, is replaced
        (K01.FR.05, FR.06). A TxProfile replaces only within its transaction."""
        for old in list(self.by_id.values()):
            same_place = (
                old.purpose == profile.purpose
                and old.stack_level == profile.stack_level
                and old.evse_id == profile.evse_id
                and old.transaction_id == profile.transaction_id
            )
            if old.id == profile.id or same_place:
                del self.by_id[old.id]
        self.by_id[profile.id] = profile

    def clear(
        self,
        profile_id: int | None = None,
        evse_id: int | None = None,
        purpose: Purpose | None = None,
        stack_level: int | None = None,
    ) -> int:
        """Remove what matches all given criteria (external constraints only by id, K10); returns
        how many were removed."""
        gone = [
            p.id
            for p in self.by_id.values()
            if (profile_id is None or p.id == profile_id)
            and (evse_id is None or p.evse_id == evse_id)
            and (purpose is None or p.purpose == purpose)
            and (stack_level is None or p.stack_level == stack_level)
            and (profile_id is not None or p.purpose is not Purpose.EXTERNAL)
        ]
        for key in gone:
            del self.by_id[key]
        return len(gone)

    def end_transaction(self, transaction_id: str) -> None:
        """A TxProfile lives no longer than its transaction."""
        for profile in list(self.by_id.values()):
            if profile.purpose is Purpose.TX and profile.transaction_id == transaction_id:
                del self.by_id[profile.id]
