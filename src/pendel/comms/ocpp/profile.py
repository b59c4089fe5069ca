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
from zoneinfo import ZoneInfo

import msgspec

Quad: TypeAlias = tuple[float, float, float, float]
"""Total, L1, L2, L3 [W]."""

UNLIMITED: Quad = (math.inf,) * 4
NO_BOUND: Quad = (-math.inf,) * 4
NO_DISCHARGE: Quad = (0.0,) * 4
PHASES_ASSUMED = 3
"""numberPhases of an AC period that says none (K01.FR.49)."""


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
    phases: numberPhases, 3 where not said, 0 on DC; per_phase: L2 or L3 have their own values;
    reactive_var: setpointReactive in total [var], + inductive; sleep and precondition: what Idle
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
    beyond_w: Quad = UNLIMITED
    phase_to_use: int | None = None
    per_phase: bool = False
    reactive_var: float | None = None
    has_baseline: bool = True
    sleep: bool = False
    precondition: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as installed. Times in epoch seconds; None = absent.

    evse_id 0 = whole station; kind Absolute, Recurring, Relative or Dynamic; received_s is when
    it was installed; updated_s the last dynamic update; random_delay_s the longest random delay of
    a period. beyond_soc: from this state of charge (0..1) on the periods' `beyond_w` applies.
    source: who set it (CSO, EMS, SO, Other); least_w: below this charging is inefficient
    (minChargingRate).
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
    random_delay_s: float = 0.0
    beyond_soc: float | None = None
    source: str = "CSO"
    least_w: float = 0.0


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
    timezone: str = "UTC",
    source: str = "CSO",
) -> Profile:
    """A profile message part of any version to the internal shape.

    timezone: the station's, for schedules in local time (K01.FR.90).
    """
    data: dict[str, Any] = msgspec.to_builtins(wire, builtin_types=(datetime,))
    schedules = data["chargingSchedule"]
    schedule: dict[str, Any] = schedules[0] if isinstance(schedules, list) else schedules
    unit = schedule["chargingRateUnit"]
    purpose = data["chargingProfilePurpose"]
    if purpose == "ChargePointMaxProfile":
        purpose = Purpose.STATION_MAX.value
    soc, local = schedule.get("limitAtSoC"), schedule.get("useLocalTime", False)
    start, phases = schedule.get("startSchedule"), 0 if supply.is_dc else PHASES_ASSUMED
    transaction = data.get("transactionId")
    return Profile(
        id=data["id"] if "id" in data else data["chargingProfileId"],
        evse_id=evse_id,
        stack_level=data["stackLevel"],
        purpose=Purpose(purpose),
        kind=data["chargingProfileKind"],
        unit=unit,
        periods=tuple(_period_of(p, unit, supply, soc) for p in schedule["chargingSchedulePeriod"]),
        recurrence_s=_RECURRENCE_S.get(data.get("recurrencyKind", "")),
        start_s=_wall_s(start, timezone) if local and start is not None else _seconds(start),
        duration_s=schedule.get("duration"),
        valid_from_s=_seconds(data.get("validFrom")),
        valid_to_s=_seconds(data.get("validTo")),
        transaction_id=None if transaction is None else str(transaction),
        max_offline_s=data.get("maxOfflineDuration"),
        invalid_after_offline=data.get("invalidAfterOfflineDuration", False),
        update_interval_s=data.get("dynUpdateInterval") or None,
        use_local_time=local,
        received_s=now_s,
        updated_s=_seconds(data.get("dynUpdateTime")),
        random_delay_s=float(schedule.get("randomizedDelay", 0)),
        beyond_soc=None if soc is None else soc["soc"] / 100.0,
        source=source,
        least_w=_watts(schedule.get("minChargingRate", 0.0), unit, supply, phases),
    )


def updated(profile: Profile, update: msgspec.Struct, now_s: float, supply: Supply) -> Profile:
    """A dynamic profile after an UpdateDynamicSchedule (or a pulled update): its one period takes
    the fields that were sent, keeps the others, and its watchdog starts anew (K28)."""
    period = with_values(profile.periods[0], msgspec.to_builtins(update), profile.unit, supply)
    return replace(profile, periods=(period,), updated_s=now_s)


def with_values(period: Period, data: dict[str, Any], unit: str, supply: Supply) -> Period:
    """A period with the limits and setpoints of an update in place of its own."""
    changes: dict[str, Any] = {}
    for name, wire in (("limit_w", "limit"), ("discharge_w", "dischargeLimit")):
        if wire in data:
            changes[name] = _quad(data, wire, unit, supply, period.phases)
    if "setpoint" in data:
        changes["setpoint_w"] = _quad(data, "setpoint", unit, supply, period.phases)
    if "setpointReactive" in data:
        changes["reactive_var"] = _reactive_var(data, unit, supply, period.phases)
    return replace(period, **changes)


def _period_of(
    data: dict[str, Any], unit: str, supply: Supply, soc: dict[str, Any] | None
) -> Period:
    assumed = 0 if supply.is_dc else PHASES_ASSUMED
    phases = assumed if data.get("numberPhases") is None else data["numberPhases"]
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
        beyond_w=UNLIMITED if soc is None else _quad(soc, "limit", unit, supply, phases),
        phase_to_use=data.get("phaseToUse"),
        per_phase=any(name.endswith(("_L2", "_L3")) for name in data),
        reactive_var=_reactive_var(data, unit, supply, phases),
        has_baseline="v2xBaseline" in data,
        sleep=bool(data.get("evseSleep", False)),
        precondition=bool(data.get("preconditioningRequest", False)),
    )


def _quad(data: dict[str, Any], name: str, unit: str, supply: Supply, phases: int) -> Quad:
    """(total, L1, L2, L3). A limit binds each phase by its share (K01.FR.50, FR.51); the others
    bind their total only, unless L2 or L3 was given."""
    base = float(data[name])
    if f"{name}_L2" not in data and f"{name}_L3" not in data:
        total = _watts(base, unit, supply, phases)
        if name == "limit":
            free = math.inf if supply.is_dc else total / max(phases, 1)
        else:
            free = math.nan if name == "setpoint" else -math.inf
        return (total, free, free, free)
    each = [
        _watts(float(value), unit, supply, 1)
        for value in (base, data.get(f"{name}_L2", 0.0), data.get(f"{name}_L3", 0.0))
    ]
    return (sum(each), each[0], each[1], each[2])


def _reactive_var(data: dict[str, Any], unit: str, supply: Supply, phases: int) -> float | None:
    name = "setpointReactive"
    return _quad(data, name, unit, supply, phases)[0] if name in data else None


def _watts(value: float, unit: str, supply: Supply, phases: int) -> float:
    if unit == "W":
        return value
    return value * supply.voltage_v * (1 if supply.is_dc else max(phases, 1))


def _wall_s(when: datetime, timezone: str) -> float:
    """Epoch seconds of a time whose offset is disregarded: it is the station's wall clock."""
    return when.replace(tzinfo=ZoneInfo(timezone)).timestamp()


def _seconds(when: datetime | None) -> float | None:
    if when is None:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


@dataclass(slots=True)
class Installed:
    """The profiles of a station, by id; what SetChargingProfile and ClearChargingProfile change."""

    by_id: dict[int, Profile] = field(default_factory=dict)

    def put(self, profile: Profile, by_place: bool = True) -> None:
        """Install; the same id (K01.FR.05) and, by_place, the same purpose, stack level and EVSE
        (1.6) is replaced. A TxProfile replaces only within its transaction."""
        for old in list(self.by_id.values()):
            same_place = by_place and (
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
        """Remove what matches all given criteria, never what outside systems set (K10.FR.04,
        FR.08, FR.09); returns how many were removed."""
        gone = [
            p.id
            for p in self.by_id.values()
            if (profile_id is None or p.id == profile_id)
            and (evse_id is None or p.evse_id == evse_id)
            and (purpose is None or p.purpose == purpose)
            and (stack_level is None or p.stack_level == stack_level)
            and p.purpose not in (Purpose.EXTERNAL, Purpose.LOCAL_GENERATION)
        ]
        for key in gone:
            del self.by_id[key]
        return len(gone)

    def end_transaction(self, transaction_id: str) -> None:
        """A TxProfile lives no longer than its transaction."""
        for profile in list(self.by_id.values()):
            if profile.purpose is Purpose.TX and profile.transaction_id == transaction_id:
                del self.by_id[profile.id]
