"""From kilowatts to the charging profiles of the wire, the only place where signs and units turn.

Inside a power is signed (negative = discharge). On the wire: `setpoint` signed W; `limit` W or A,
never negative except where the dialect says that this discharges; `dischargeLimit` <= 0.
A CentralSetpoint period carries no limits (Q03.FR.02). Sources: OCPP 2.1 part 2, K and Q.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pendel.runtime.bridges.car_schedule import CarSchedule
from pendel.runtime.bridges.dialects import Dialect, Manner

DEFAULT_STACK, TX_STACK = 0, 1
VOLTAGE_V, PHASES = 230.0, 3
WATT_DIGITS, AMPERE_DIGITS = 1, 1


@dataclass(frozen=True, slots=True)
class Mode:
    """The operation mode of an EVSE, as of OCPP 2.1; CentralSetpoint follows the setpoints.

    baseline_kw and curve belong to LocalFrequency (frequency_hz, kW) and CentralFrequency
    (signal, kW). limit_kw, discharge_kw: amounts that hold in the External and Local modes.
    """

    name: str = "CentralSetpoint"
    baseline_kw: float = 0.0
    curve: tuple[tuple[float, float], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Wish:
    """What an EVSE shall do: signed power_kw inside [-discharge_max_kw, charge_max_kw]; schedule:
    the same with the steps to come, for a car that follows one."""

    power_kw: float
    charge_max_kw: float
    discharge_max_kw: float
    bidirectional: bool
    mode: Mode = Mode()
    schedule: CarSchedule | None = None


def default_profile(profile_id: int, limit_kw: float, version: str, unit: str) -> dict[str, Any]:
    """The ChargingOnly TxDefaultProfile under everything else: limit_kw >= 0, never an export."""
    period: dict[str, Any] = {"startPeriod": 0, "limit": in_unit(max(limit_kw, 0.0), unit)}
    if version == "2.1":
        period["operationMode"] = "ChargingOnly"
    return _profile(
        profile_id, DEFAULT_STACK, "TxDefaultProfile", "Relative", period, version, unit
    )


def tx_profile(
    profile_id: int, transaction_id: str, wish: Wish, manner: Manner, version: str, dynamic: bool
) -> dict[str, Any]:
    """The TxProfile that carries a wish in the dialect of the station."""
    native = manner.dialect in (Dialect.NATIVE, Dialect.HYBRID)
    unit = "W" if native and wish.bidirectional else manner.unit
    period: dict[str, Any] = {"startPeriod": 0}
    if native:
        period.update(v2x_period(wish, unit))
    else:
        period["limit"] = in_unit(limit_kw(wish, manner), unit)
    kind = "Dynamic" if dynamic and version == "2.1" else "Relative"
    found = _profile(profile_id, TX_STACK, "TxProfile", kind, period, version, unit)
    if wish.schedule is not None:
        _as_schedule(found, wish.schedule, period, unit)
    if version != "1.6":
        found["transactionId"] = transaction_id
    elif transaction_id.isdigit():  # else it was begun by another version
        found["transactionId"] = int(transaction_id)
    return found


def _as_schedule(
    profile: dict[str, Any], schedule: CarSchedule, period: dict[str, Any], unit: str
) -> None:
    """All periods of a schedule, with its begin, instead of the one for now."""
    (only,) = profile["chargingSchedule"]
    profile["chargingProfileKind"] = "Absolute"
    name = "setpoint" if "setpoint" in period else "limit"
    only["startSchedule"] = datetime.fromtimestamp(schedule.begin_s, UTC).isoformat()
    only["chargingSchedulePeriod"] = [
        {**period, "startPeriod": offset_s, name: in_unit(power_kw, unit)}
        for offset_s, power_kw in schedule.periods
    ]


def v2x_period(wish: Wish, unit: str = "W") -> dict[str, Any]:
    """Fields of a 2.1 period for a wish."""
    if not wish.bidirectional:
        limit = in_unit(max(wish.power_kw, 0.0), unit)
        return {"operationMode": "ChargingOnly", "limit": limit}
    mode = wish.mode
    period: dict[str, Any] = {"operationMode": mode.name}
    if mode.name == "CentralSetpoint":
        period["setpoint"] = watts(wish.power_kw)
    elif mode.name == "ChargingOnly":
        period["limit"] = watts(max(wish.power_kw, 0.0))
    elif mode.name in ("ExternalSetpoint", "ExternalLimits", "LocalLoadBalancing"):
        period["limit"] = watts(wish.charge_max_kw)
        period["dischargeLimit"] = watts(-wish.discharge_max_kw)
    elif mode.name == "CentralFrequency":
        period["setpoint"] = watts(wish.power_kw)
        if mode.curve:
            period["v2xSignalWattCurve"] = [
                {"signal": round(x), "power": watts(clipped(kw, wish))} for x, kw in mode.curve
            ]
    elif mode.name == "LocalFrequency":
        baseline_kw = clipped(mode.baseline_kw, wish)
        period["v2xBaseline"] = watts(baseline_kw)
        period["v2xFreqWattCurve"] = [
            {"frequency": x, "power": watts(clipped(baseline_kw + kw, wish) - baseline_kw)}
            for x, kw in mode.curve
        ]
    return period


def update(wish: Wish, unit: str) -> dict[str, float]:
    """The UpdateDynamicSchedule of a wish: the fields of its period that change; empty where
    nothing does (Idle, LocalFrequency)."""
    if not wish.bidirectional:
        return {"limit": in_unit(max(wish.power_kw, 0.0), unit)}
    name = wish.mode.name
    if name in ("Idle", "LocalFrequency"):
        return {}
    if name in ("CentralSetpoint", "CentralFrequency"):
        return {"setpoint": watts(wish.power_kw)}
    if name == "ChargingOnly":
        return {"limit": watts(max(wish.power_kw, 0.0))}
    return {"limit": watts(wish.charge_max_kw), "dischargeLimit": watts(-wish.discharge_max_kw)}


def clipped(power_kw: float, wish: Wish) -> float:
    """A power inside what the EVSE may do now."""
    return min(max(power_kw, -wish.discharge_max_kw), wish.charge_max_kw)


def limit_kw(wish: Wish, manner: Manner) -> float:
    """The limit of a station that knows no setpoints; below 0 only where that discharges.

    A limit of 0 is a limit of 0: it never becomes a small negative number by rounding."""
    if manner.dialect is Dialect.NEGATIVE_LIMIT and wish.bidirectional:
        return wish.power_kw
    return max(wish.power_kw, 0.0)


def watts(power_kw: float) -> float:
    """kW as W of the wire; -0.0 does not exist there."""
    return round(power_kw * 1e3, WATT_DIGITS) + 0.0


def in_unit(power_kw: float, unit: str) -> float:
    """kW as W, or as A per phase (230 V, three phases; rounded down so that no fuse is passed)."""
    if unit == "W":
        return watts(power_kw)
    amperes = power_kw * 1e3 / (VOLTAGE_V * PHASES)
    scale = 10.0**AMPERE_DIGITS
    return int(amperes * scale + 1e-9) / scale + 0.0


def _profile(
    profile_id: int,
    stack: int,
    purpose: str,
    kind: str,
    period: dict[str, Any],
    version: str,
    unit: str,
) -> dict[str, Any]:
    schedule: dict[str, Any] = {"chargingRateUnit": unit, "chargingSchedulePeriod": [period]}
    if version != "1.6":
        schedule["id"] = profile_id
    return {
        "chargingProfileId" if version == "1.6" else "id": profile_id,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule if version == "1.6" else [schedule],
    }


def set_request(evse_id: int, profile: dict[str, Any], version: str) -> dict[str, Any]:
    """The SetChargingProfile of a profile as plain data."""
    if version == "1.6":
        return {"connectorId": evse_id, "csChargingProfiles": profile}
    return {"evseId": evse_id, "chargingProfile": profile}
