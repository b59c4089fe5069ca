"""The inverter behind an EVSE: what it can do, and how it says so (R01, block R nameplate).

rated apparent power S = rated active power; power factor 0.9 both ways, so that reactive
power reaches Q = S sqrt(1 - 0.9^2), and 0.9 S of active power is left beside it
"""

import math
from dataclasses import dataclass

from pendel.comms.ocpp.der_rules import TYPES
from pendel.comms.ocpp.station.equipment import Car, StationSettings
from pendel.units import W_PER_KW

POWER_FACTOR = 0.9
HARDWARE = "1"


@dataclass(frozen=True, slots=True)
class Inverter:
    """Ratings: active [kW] per direction, apparent [kVA] and reactive [kvar] (amounts)."""

    charge_kw: float
    discharge_kw: float
    apparent_kva: float
    reactive_kvar: float

    @property
    def active_kw(self) -> float:
        """The larger of both directions."""
        return max(self.charge_kw, self.discharge_kw)

    def room_kvar(self, power_kw: float) -> float:
        """Reactive power that fits beside an active power."""
        room = math.sqrt(max(self.apparent_kva**2 - power_kw**2, 0.0))
        return min(room, self.reactive_kvar)

    def room_kw(self, kvar: float) -> float:
        """Active power that fits beside a reactive power."""
        return math.sqrt(max(self.apparent_kva**2 - kvar**2, 0.0))


def rated(charge_kw: float, discharge_kw: float) -> Inverter:
    """An inverter of this power."""
    most = max(charge_kw, discharge_kw)
    return Inverter(charge_kw, discharge_kw, most, most * math.sqrt(1.0 - POWER_FACTOR**2))


def inverter_of(settings: StationSettings, car: Car) -> Inverter:
    """That of the station (DC), or what car and station can do together (AC)."""
    if settings.is_dc:
        return rated(settings.power_max_kw, settings.power_max_kw)
    most = settings.power_max_kw
    return rated(min(car.charge_max_kw, most), min(car.discharge_max_kw, most))


def modes_of(settings: StationSettings) -> tuple[str, ...]:
    """DER controls that the station itself carries out: in its inverter (DC), or by what it tells
    the car again and again (AC, R03.FR.03)."""
    return TYPES if settings.der_modes is None else settings.der_modes


def nameplate(settings: StationSettings) -> dict[str, tuple[str, str, str]]:
    """Variables of DCDERCtrlr: value, data type, unit."""
    inverter = rated(settings.power_max_kw, settings.power_max_kw)

    def number(value: float, unit: str) -> tuple[str, str, str]:
        return (f"{round(value * W_PER_KW)}", "decimal", unit)

    partly = number(POWER_FACTOR * inverter.apparent_kva, "W")
    factor = (f"{POWER_FACTOR:g}", "decimal", "")
    volts = settings.voltage_v
    return {
        "MaxW": number(inverter.active_kw, "W"),
        "OverExcitedW": partly,
        "OverExcitedPF": factor,
        "UnderExcitedW": partly,
        "UnderExcitedPF": factor,
        "MaxVA": number(inverter.apparent_kva, "VA"),
        "MaxVar": number(inverter.reactive_kvar, "var"),
        "MaxVarNeg": number(inverter.reactive_kvar, "var"),
        "MaxChargeRateW": number(inverter.charge_kw, "W"),
        "MaxChargeRateVA": number(inverter.apparent_kva, "VA"),
        "VNom": (f"{volts:g}", "decimal", "V"),
        "ModesSupported": (",".join(modes_of(settings)), "MemberList", ""),
        "InverterManufacturer": (settings.vendor, "string", ""),
        "InverterModel": (settings.model, "string", ""),
        "InverterSerialNumber": (settings.serial, "string", ""),
        "InverterSwVersion": (settings.firmware, "string", ""),
        "InverterHwVersion": (HARDWARE, "string", ""),
        "ReactiveSusceptance": ("0", "decimal", "S"),
    }
