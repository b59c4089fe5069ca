"""Charging profiles and DER controls that somebody sends by hand pass the limits of the site.

Numbers of profiles are cut to what the EVSE may draw and give now, and what was cut is told; a DER
control that could feed the grid where nothing may be fed is refused.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pendel.runtime.bridges.wire_profiles import PHASES, VOLTAGE_V

FEEDING_CONTROLS = frozenset({"FreqDroop", "FreqWatt", "WattVar", "VoltWatt"})
_SUFFIXES = ("", "_L2", "_L3")


@dataclass(frozen=True, slots=True)
class Band:
    """Most that may be given and drawn [kW, amounts]."""

    discharge_kw: float
    charge_kw: float


@dataclass(slots=True)
class Guarded:
    """The payload that may be sent, what was changed, and why it may not be sent at all ("")."""

    payload: dict[str, Any]
    reasons: list[str] = field(default_factory=list)
    refusal: str = ""


def guarded(action: str, payload: dict[str, Any], band: Band) -> Guarded:
    """A command's payload inside a band; other actions pass as they are."""
    found = Guarded(copy.deepcopy(payload))
    if action == "SetDERControl":
        control = payload.get("controlType")
        if band.discharge_kw <= 0.0 and control in FEEDING_CONTROLS:
            found.refusal = f"{control} could export, and 0 kW of export are allowed here"
        return found
    for unit, period in _periods(action, found.payload):
        _cut(period, unit, band, found.reasons)
    return found


def _periods(action: str, payload: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Unit and period (or update) of every part of a payload that carries power."""
    if action == "UpdateDynamicSchedule":
        update = payload.get("scheduleUpdate")
        if isinstance(update, dict):
            yield "W", update
        return
    names = ("chargingProfile", "csChargingProfiles")
    for profile in (payload.get(name) for name in names):
        if not isinstance(profile, dict):
            continue
        schedules = profile.get("chargingSchedule")
        for schedule in schedules if isinstance(schedules, list) else [schedules]:
            if not isinstance(schedule, dict):
                continue
            unit = str(schedule.get("chargingRateUnit", "W"))
            periods = schedule.get("chargingSchedulePeriod")
            for period in periods if isinstance(periods, list) else []:
                if isinstance(period, dict):
                    yield unit, period
            beyond = schedule.get("limitAtSoC")
            if isinstance(beyond, dict):
                yield unit, beyond


def _cut(period: dict[str, Any], unit: str, band: Band, reasons: list[str]) -> None:
    scale = 1e3 if unit == "W" else 1e3 / (VOLTAGE_V * PHASES)
    for name in ("limit", "dischargeLimit", "setpoint"):
        per_phase = unit == "W" and any(f"{name}{s}" in period for s in _SUFFIXES[1:])
        share = scale / PHASES if per_phase else scale
        for suffix in _SUFFIXES:
            _clip(
                period, name + suffix, -band.discharge_kw * share, band.charge_kw * share, reasons
            )
    _clip(period, "v2xBaseline", -band.discharge_kw * 1e3, band.charge_kw * 1e3, reasons)
    baseline = period.get("v2xBaseline", 0.0)
    curves = (("v2xFreqWattCurve", baseline), ("v2xSignalWattCurve", 0.0))
    for name, base in curves:
        points = period.get(name)
        for point in points if isinstance(points, list) else []:
            if isinstance(point, dict) and isinstance(base, int | float):
                low, high = -band.discharge_kw * 1e3 - base, band.charge_kw * 1e3 - base
                _clip(point, "power", low, high, reasons)


def _clip(of: dict[str, Any], name: str, low: float, high: float, reasons: list[str]) -> None:
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not low <= value <= high:
        of[name] = (min(max(float(value), low), high)) + 0.0
        reasons.append(f"{name} {value:g} is cut to {of[name]:g} by the limits of the site")
