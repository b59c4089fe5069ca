"""NotifyEVChargingNeeds: what a car tells of itself (K15, K17-K20, Q01)."""

from collections.abc import Callable
from typing import Any

from pendel.comms.ocpp.station.der_in_car import DER_TRANSFER, der_parameters, speaks_der
from pendel.comms.ocpp.station.equipment import Car, StationSettings
from pendel.comms.ocpp.station.ev_session import EvSession
from pendel.comms.ocpp.station.ev_side import DYNAMIC
from pendel.units import SECONDS_PER_HOUR, W_PER_KW

Payload = dict[str, Any]
CURRENT_LEAST_A = 6
DC_VOLTAGE_V = 500
DC_CURRENT_A = 200
OFFERED_FEE_KWH = 0.2
"""What a car that tells an energy offer asks for a kWh it gives back."""
_AC_MODES = {1: "AC_single_phase", 2: "AC_two_phase", 3: "AC_three_phase"}


def services_of(settings: StationSettings, car: Car, protocol: str, is_21: bool) -> tuple[str, ...]:
    """Energy transfers that car and station have in common, the best first."""
    plain = "DC" if settings.is_dc else _AC_MODES.get(settings.phases, "AC_three_phase")
    both = "DC_BPT" if settings.is_dc else "AC_BPT"
    gives = is_21 and protocol == "-20" and settings.v2x and car.discharge_max_kw > 0.0
    common = (both, plain) if gives else (plain,)
    if gives and speaks_der(settings, car):
        common = (DER_TRANSFER, *common)
    wanted = [s for s in car.ev_side.services if s in common] if car.ev_side.services else common
    return tuple(wanted) or (plain,)


def charging_needs(
    settings: StationSettings,
    car: Car,
    session: EvSession,
    stamp: Callable[[float], str],
    is_21: bool,
) -> Payload:
    """ChargingNeedsType: V2X parameters in a -20 session, else AC or DC parameters (K15.FR.06,
    K18.FR.06). stamp: epoch seconds to wire time."""
    wanted: Payload = {"requestedEnergyTransfer": session.service}
    if car.depart_s is not None:
        wanted["departureTime"] = stamp(car.depart_s)
    if is_21:
        wanted["availableEnergyTransfer"] = list(session.services)
    if session.protocol != "-20":
        return wanted | _iso2(settings, car)
    wanted["controlMode"] = session.side.control
    # [V2G20-2663]: only in dynamic control may anybody but the car set mobility needs
    dynamic = session.side.control == DYNAMIC
    wanted["mobilityNeedsMode"] = session.side.mobility if dynamic else "EVCC"
    if DER_TRANSFER in session.services and session.is_bidirectional:
        wanted["derChargingParameters"] = der_parameters(settings, car)
    wanted["v2xChargingParameters"] = _v2x_parameters(settings, car, session.is_bidirectional)
    if session.side.offers_energy and session.is_bidirectional and not dynamic:
        wanted["evEnergyOffer"] = _energy_offer(settings, car, stamp(session.needs_s))
    return wanted


def _iso2(settings: StationSettings, car: Car) -> Payload:
    target_wh = round(max(car.target_kwh - car.energy_kwh, 0.0) * W_PER_KW)
    if settings.is_dc:
        told = {
            "evMaxCurrent": DC_CURRENT_A,
            "evMaxVoltage": DC_VOLTAGE_V,
            "evMaxPower": round(car.charge_max_kw * W_PER_KW),
            "evEnergyCapacity": round(car.capacity_kwh * W_PER_KW),
            "energyAmount": target_wh,
            "stateOfCharge": round(100.0 * car.soc),
        }
        return {"dcChargingParameters": told}
    power_kw = min(car.charge_max_kw, settings.power_max_kw)
    ampere = round(power_kw * W_PER_KW / (settings.voltage_v * settings.phases))
    told = {
        "energyAmount": target_wh,
        "evMinCurrent": CURRENT_LEAST_A,
        "evMaxCurrent": max(ampere, CURRENT_LEAST_A),
        "evMaxVoltage": round(settings.voltage_v),
    }
    return {"acChargingParameters": told}


def _v2x_parameters(settings: StationSettings, car: Car, bidirectional: bool) -> Payload:
    def wh(kwh: float) -> float:
        return round(kwh * W_PER_KW, 1)

    most_kw = settings.power_max_kw
    told: Payload = {
        "minChargePower": 0,
        "maxChargePower": min(car.charge_max_kw, most_kw) * W_PER_KW,
        "evTargetEnergyRequest": wh(car.target_kwh - car.energy_kwh),
        "evMinEnergyRequest": wh(car.energy_min_kwh - car.energy_kwh),
        "evMaxEnergyRequest": wh(car.capacity_kwh - car.energy_kwh),
        "targetSoC": round(100.0 * car.target_kwh / car.capacity_kwh),
    }
    if bidirectional:
        told |= {
            "minDischargePower": 0,
            "maxDischargePower": min(car.discharge_max_kw, most_kw) * W_PER_KW,
            "evMinV2XEnergyRequest": wh(car.energy_min_kwh - car.energy_kwh),
            "evMaxV2XEnergyRequest": wh(car.capacity_kwh - car.energy_kwh),
        }
    return told


def _energy_offer(settings: StationSettings, car: Car, anchor: str) -> Payload:
    """The car would give what it may at full power, for a fee per kWh."""
    power_w = min(car.discharge_max_kw, settings.power_max_kw) * W_PER_KW
    spare_kwh = max(car.energy_kwh - car.energy_min_kwh, 0.0) * car.discharge_efficiency
    lasts_s = round(spare_kwh * W_PER_KW / power_w * SECONDS_PER_HOUR) if power_w else 0
    rule = {"energyFee": OFFERED_FEE_KWH, "powerRangeStart": -power_w}
    return {
        "evPowerSchedule": {
            "timeAnchor": anchor,
            "evPowerScheduleEntries": [{"duration": lasts_s, "power": -power_w}],
        },
        "evAbsolutePriceSchedule": {
            "timeAnchor": anchor,
            "currency": "EUR",
            "priceAlgorithm": "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power",
            "evAbsolutePriceScheduleEntries": [{"duration": lasts_s, "evPriceRule": [rule]}],
        },
    }
