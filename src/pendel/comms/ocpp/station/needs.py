"""NotifyEVChargingNeeds: what a car tells of itself (K15, K17, Q01)."""

from collections.abc import Callable
from typing import Any

from pendel.comms.ocpp.station.der_in_car import DER_TRANSFER, der_parameters, speaks_der
from pendel.comms.ocpp.station.equipment import Car, StationSettings
from pendel.units import W_PER_KW

Payload = dict[str, Any]
CURRENT_LEAST_A = 6
DC_VOLTAGE_V = 500
DC_CURRENT_A = 200


def charging_needs(
    settings: StationSettings,
    car: Car,
    bidirectional: bool,
    stamp: Callable[[float], str],
    is_21: bool,
) -> Payload:
    """ChargingNeedsType; with V2X parameters where car, station and backend allow discharging.

    bidirectional: the backend allows it (2.1 only). stamp: epoch seconds to wire time.
    """
    plain = "DC" if settings.is_dc else _AC_MODES.get(settings.phases, "AC_three_phase")
    wanted: Payload = {"requestedEnergyTransfer": plain}
    if car.depart_s is not None:
        wanted["departureTime"] = stamp(car.depart_s)
    if bidirectional and settings.v2x and car.discharge_max_kw > 0.0:
        modes = ["DC_BPT" if settings.is_dc else "AC_BPT", plain]
        if speaks_der(settings, car):
            modes.insert(0, DER_TRANSFER)
            wanted["derChargingParameters"] = der_parameters(settings, car)
        return wanted | {
            "requestedEnergyTransfer": modes[0],
            "availableEnergyTransfer": modes,
            "controlMode": "DynamicControl",
            "mobilityNeedsMode": "EVCC_SECC",
            "v2xChargingParameters": _v2x_parameters(settings, car),
        }
    target_wh = round(max(car.target_kwh - car.energy_kwh, 0.0) * W_PER_KW)
    if settings.is_dc:
        wanted["dcChargingParameters"] = {
            "evMaxCurrent": DC_CURRENT_A,
            "evMaxVoltage": DC_VOLTAGE_V,
            "evMaxPower": round(car.charge_max_kw * W_PER_KW),
            "evEnergyCapacity": round(car.capacity_kwh * W_PER_KW),
            "energyAmount": target_wh,
            "stateOfCharge": round(100.0 * car.soc),
        }
    else:
        power_kw = min(car.charge_max_kw, settings.power_max_kw)
        ampere = round(power_kw * W_PER_KW / (settings.voltage_v * settings.phases))
        wanted["acChargingParameters"] = {
            "energyAmount": target_wh,
            "evMinCurrent": CURRENT_LEAST_A,
            "evMaxCurrent": max(ampere, CURRENT_LEAST_A),
            "evMaxVoltage": round(settings.voltage_v),
        }
    if is_21:
        wanted["availableEnergyTransfer"] = [plain]
    return wanted


_AC_MODES = {1: "AC_single_phase", 2: "AC_two_phase", 3: "AC_three_phase"}


def _v2x_parameters(settings: StationSettings, car: Car) -> Payload:
    def wh(kwh: float) -> float:
        return round(kwh * W_PER_KW, 1)

    most_kw = settings.power_max_kw
    return {
        "minChargePower": 0,
        "maxChargePower": min(car.charge_max_kw, most_kw) * W_PER_KW,
        "minDischargePower": 0,
        "maxDischargePower": min(car.discharge_max_kw, most_kw) * W_PER_KW,
        "evTargetEnergyRequest": wh(car.target_kwh - car.energy_kwh),
        "evMinEnergyRequest": wh(car.energy_min_kwh - car.energy_kwh),
        "evMaxEnergyRequest": wh(car.capacity_kwh - car.energy_kwh),
        "evMinV2XEnergyRequest": wh(car.energy_min_kwh - car.energy_kwh),
        "evMaxV2XEnergyRequest": wh(car.capacity_kwh - car.energy_kwh),
        "targetSoC": round(100.0 * car.target_kwh / car.capacity_kwh),
    }
