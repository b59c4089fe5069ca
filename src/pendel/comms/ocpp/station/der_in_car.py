"""Who carries out which DER control: the inverter of the car, or the station (R02, R03).

A car that knows AC_BPT_DER is given every control it supports (R03.FR.05); the station emulates
those of the others that it can (ACDERCtrlr.ModesSupported); the rest nobody does. How the car is
told is ISO 15118-20; this module only decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pendel.comms.ocpp.station.equipment import Car, StationSettings
from pendel.comms.ocpp.station.inverter import (
    HARDWARE,
    POWER_FACTOR,
    inverter_of,
    modes_of,
)
from pendel.units import W_PER_KW

DER_TRANSFER = "AC_BPT_DER"


@dataclass(frozen=True, slots=True)
class Share:
    """Control types: in_car configured in the car, emulated by the station, unsupported."""

    in_car: tuple[str, ...]
    emulated: tuple[str, ...]
    unsupported: tuple[str, ...]


def shared(settings: StationSettings, car: Car | None, kinds: Iterable[str]) -> Share:
    """Who does which of these control types, for a station and the car at it."""
    own = modes_of(settings)
    able = () if settings.is_dc or car is None else car.der_controls or ()
    known = list(kinds)
    return Share(
        in_car=tuple(kind for kind in known if kind in able),
        emulated=tuple(kind for kind in known if kind in own and kind not in able),
        unsupported=tuple(kind for kind in known if kind not in own and kind not in able),
    )


def speaks_der(settings: StationSettings, car: Car) -> bool:
    """Whether a session may use AC_BPT_DER."""
    return not settings.is_dc and car.der_controls is not None


def der_parameters(settings: StationSettings, car: Car) -> dict[str, Any]:
    """derChargingParameters of NotifyEVChargingNeeds: what the car's inverter can do, and what
    car and EVSE can do together."""
    inverter = inverter_of(settings, car)

    def watts(kilo: float) -> float:
        return round(kilo * W_PER_KW, 1)

    partly = watts(POWER_FACTOR * min(car.discharge_max_kw, inverter.apparent_kva))
    reactive = watts(inverter.reactive_kvar)
    return {
        "evSupportedDERControl": list(car.der_controls or ()),
        "evOverExcitedMaxDischargePower": partly,
        "evOverExcitedPowerFactor": POWER_FACTOR,
        "evUnderExcitedMaxDischargePower": partly,
        "evUnderExcitedPowerFactor": POWER_FACTOR,
        "maxApparentPower": watts(inverter.apparent_kva),
        "maxChargeApparentPower": watts(inverter.charge_kw),
        "maxDischargeApparentPower": watts(inverter.discharge_kw),
        "maxChargeReactivePower": reactive,
        "maxDischargeReactivePower": reactive,
        "minChargeReactivePower": 0.0,
        "minDischargeReactivePower": 0.0,
        "nominalVoltage": settings.voltage_v,
        "evInverterManufacturer": settings.vendor[:50],
        "evInverterModel": "virtual car",
        "evInverterHwVersion": HARDWARE,
        "evInverterSwVersion": settings.firmware[:50],
    }
