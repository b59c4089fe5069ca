"""What a car says of itself (NotifyEVChargingNeeds, SoC, its owner's [[vehicle]]) as flexibility.

Wire amounts are W, Wh, A, V, percent; inside kW, kWh, 0..1. ISO 15118-20 energies are relative to
now: the battery lacks `evMaxEnergyRequest` to be full, `evTargetEnergyRequest` to the target; a
negative `evMinV2XEnergyRequest` is what it may give (OCPP 2.1 V2XChargingParametersType).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec import UNSET

from pendel.comms.ocpp.backend.metering import in_utc
from pendel.power.charger import CURRENT_MIN_A, PHASE_VOLTAGE_V, phase_kw
from pendel.units import CAPACITY_MAX_KWH, POWER_MAX_KW

CAPACITY_DEFAULT_KWH = 60.0
SOC_DEFAULT = 0.5
"""What a battery is taken to hold of which nobody says anything: a usual evening."""
CHARGE_DEFAULT_KW = 11.0
READY_WITHIN = timedelta(days=14)
ONE_PHASE_MAX_KW, AC_MAX_KW = 7.4, 22.1
"""What is charged on one phase (32 A) and on three at the most; more is DC."""
PHASES_OF_MODE = {"AC_single_phase": 1, "AC_two_phase": 2, "AC_three_phase": 3}
EFFICIENCY = 0.95
"""Each way, where nobody says better."""


@dataclass(frozen=True, slots=True)
class Car:
    """A car at an EVSE at the moment of its needs. kW and kWh, amounts; None = not said.

    floor_kwh: the lower end of the band in which the car may be cycled (V2X), as stored energy.
    charge_least_kw, discharge_least_kw: less than this the car does not do, other than nothing.
    """

    capacity_kwh: float
    energy_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    target_kwh: float | None = None
    minimum_kwh: float | None = None
    floor_kwh: float | None = None
    ready_by_utc: datetime | None = None
    bidirectional: bool = False
    charge_least_kw: float = 0.0
    discharge_least_kw: float = 0.0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the needs: of the car (capacity, its owner's leave to discharge), the
    station (power, dialect can discharge) and the last SoC 0..1."""

    capacity_kwh: float | None = None
    soc: float | None = None
    station_max_kw: float | None = None
    v2x_allowed: bool = False
    discharges_unasked: bool = False


def car_of(needs: Any, known: Known, now_utc: datetime) -> Car:
    """needs: chargingNeeds of 2.0.1 or 2.1, or None where the car says nothing."""
    if needs is None:
        return _silent_car(known)
    v2x: Any = getattr(needs, "v2xChargingParameters", UNSET)
    dc, ac = needs.dcChargingParameters, needs.acChargingParameters
    capacity, energy = _battery(v2x, dc, ac, known)
    charge_kw = min(_charge_kw(v2x, dc, ac, known), known.station_max_kw or POWER_MAX_KW)
    bidirectional = "BPT" in needs.requestedEnergyTransfer and v2x is not UNSET
    discharge_kw, floor = 0.0, None
    if bidirectional and known.v2x_allowed:
        discharge_kw = _phases(v2x, "maxDischargePower") / 1e3
        if discharge_kw == 0.0:
            discharge_kw = _times(v2x.maxDischargeCurrent, v2x.maxVoltage) / 1e3
        discharge_kw = min(discharge_kw, known.station_max_kw or POWER_MAX_KW)
        floor, inside = _band(v2x, energy, capacity)
        discharge_kw = discharge_kw if inside else 0.0
    return Car(
        capacity_kwh=capacity,
        energy_kwh=energy,
        charge_max_kw=charge_kw,
        discharge_max_kw=discharge_kw,
        target_kwh=_target(v2x, dc, ac, energy, capacity),
        minimum_kwh=_beyond(v2x, "evMinEnergyRequest", energy, capacity),
        floor_kwh=floor,
        ready_by_utc=_departure(needs, now_utc),
        bidirectional=bidirectional and known.v2x_allowed,
        charge_least_kw=min(_charge_least_kw(needs, v2x, ac), charge_kw),
        discharge_least_kw=min(_v2x_least_kw(v2x, "Discharge"), discharge_kw),
    )


def _silent_car(known: Known) -> Car:
    capacity = known.capacity_kwh or CAPACITY_DEFAULT_KWH
    charge_kw = known.station_max_kw or CHARGE_DEFAULT_KW
    gives = known.discharges_unasked and known.v2x_allowed and known.soc is not None
    return Car(
        capacity_kwh=capacity,
        energy_kwh=(SOC_DEFAULT if known.soc is None else known.soc) * capacity,
        charge_max_kw=charge_kw,
        discharge_max_kw=charge_kw if gives else 0.0,
        bidirectional=gives,
        charge_least_kw=0.0 if gives else _usual_least_kw(charge_kw),
    )


def _charge_least_kw(needs: Any, v2x: Any, ac: Any) -> float:
    """What the car says, else what AC charging begins with; DC is taken to go down to nothing."""
    if v2x is not UNSET:
        return _v2x_least_kw(v2x, "Charge")
    mode = str(needs.requestedEnergyTransfer)
    if ac is UNSET or mode.startswith("DC"):
        return 0.0
    phases = PHASES_OF_MODE.get(mode, 3)
    return phases * max(float(ac.evMinCurrent), 0.0) * PHASE_VOLTAGE_V / 1e3


def _v2x_least_kw(v2x: Any, way: str) -> float:
    if v2x is UNSET:
        return 0.0
    told = _phases(v2x, f"min{way}Power") / 1e3
    return told or _times(getattr(v2x, f"min{way}Current"), v2x.minVoltage) / 1e3


def _usual_least_kw(charge_max_kw: float) -> float:
    """6 A on one phase, or on three where one could not carry the most; above AC powers: any."""
    if charge_max_kw > AC_MAX_KW:
        return 0.0
    phases = 1 if charge_max_kw <= ONE_PHASE_MAX_KW else 3
    return min(phase_kw(CURRENT_MIN_A, phases), charge_max_kw)


def _battery(v2x: Any, dc: Any, ac: Any, known: Known) -> tuple[float, float]:
    """Capacity and stored energy [kWh] at the moment of the needs."""
    capacity = known.capacity_kwh
    told = 0.0 if dc is UNSET else _amount(dc.evEnergyCapacity) / 1e3
    if capacity is None and 0.0 < told <= CAPACITY_MAX_KWH:
        capacity = told
    lacking = None
    if v2x is not UNSET and v2x.evMaxEnergyRequest is not UNSET:
        lacking = v2x.evMaxEnergyRequest / 1e3
    elif v2x is not UNSET and v2x.evTargetEnergyRequest is not UNSET:
        lacking = v2x.evTargetEnergyRequest / 1e3
    elif dc is not UNSET and dc.energyAmount is not UNSET:
        lacking = dc.energyAmount / 1e3
    elif ac is not UNSET:
        lacking = ac.energyAmount / 1e3
    soc = known.soc
    if dc is not UNSET and dc.stateOfCharge is not UNSET:
        soc = dc.stateOfCharge / 100.0
    if capacity is None:
        capacity = max(CAPACITY_DEFAULT_KWH, lacking or 0.0)
    if soc is not None:
        energy = soc * capacity
    else:
        energy = capacity - lacking if lacking is not None else SOC_DEFAULT * capacity
    return capacity, min(max(energy, 0.0), capacity)


def _charge_kw(v2x: Any, dc: Any, ac: Any, known: Known) -> float:
    found = 0.0 if v2x is UNSET else _phases(v2x, "maxChargePower") / 1e3
    if found == 0.0 and dc is not UNSET:
        found = _amount(dc.evMaxPower) / 1e3 or _times(dc.evMaxCurrent, dc.evMaxVoltage) / 1e3
    if found == 0.0 and ac is not UNSET:
        found = _times(ac.evMaxCurrent, min(_amount(ac.evMaxVoltage), 240.0)) * 3.0 / 1e3
    if not 0.0 < found <= POWER_MAX_KW:
        found = known.station_max_kw or CHARGE_DEFAULT_KW
    return found


def _target(v2x: Any, dc: Any, ac: Any, energy: float, capacity: float) -> float | None:
    asked: float
    if v2x is not UNSET and v2x.evTargetEnergyRequest is not UNSET:
        asked = v2x.evTargetEnergyRequest / 1e3
    elif v2x is not UNSET and v2x.targetSoC is not UNSET:
        asked = v2x.targetSoC / 100.0 * capacity - energy
    elif dc is not UNSET and dc.energyAmount is not UNSET:
        asked = dc.energyAmount / 1e3
    elif ac is not UNSET and ac.energyAmount > 0.0:
        asked = ac.energyAmount / 1e3
    else:
        return None
    return min(max(energy + asked, 0.0), capacity)


def _band(v2x: Any, energy: float, capacity: float) -> tuple[float | None, bool]:
    """The lower end of the V2X band as stored energy, and whether the car is inside the band."""
    low, high = v2x.evMinV2XEnergyRequest, v2x.evMaxV2XEnergyRequest
    floor = None if low is UNSET else min(max(energy + low / 1e3, 0.0), capacity)
    return floor, (low is UNSET or low <= 0.0) and (high is UNSET or high >= 0.0)


def _beyond(v2x: Any, name: str, energy: float, capacity: float) -> float | None:
    value = UNSET if v2x is UNSET else getattr(v2x, name)
    return None if value is UNSET else min(max(energy + value / 1e3, 0.0), capacity)


def _departure(needs: Any, now_utc: datetime) -> datetime | None:
    """The stated departure; one in the past or in the far future is none."""
    if needs.departureTime is UNSET:
        return None
    when = in_utc(needs.departureTime)
    return when if now_utc < when <= now_utc + READY_WITHIN else None


def _phases(v2x: Any, name: str) -> float:
    """L1 (or the total) plus L2 and L3 where they are told [W]."""
    return sum(_amount(getattr(v2x, name + suffix)) for suffix in ("", "_L2", "_L3"))


def _times(current: Any, voltage: Any) -> float:
    return _amount(current) * _amount(voltage)


def _amount(value: Any) -> float:
    return 0.0 if value is UNSET else abs(float(value))
