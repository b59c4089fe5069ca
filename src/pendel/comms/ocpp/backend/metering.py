"""Meter values of all three versions in one shape: registers in Wh, power signed in W, SoC 0..1.

A value that cannot be right (unknown unit, not finite, negative register, beyond every bound) is
refused with its reason and used nowhere; the message that carried it is kept as it came.
Sources: OCPP 1.6 section 7.43 (SampledValue), OCPP 2.1 part 2 (SampledValueType, defaults).
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET

REGISTER_MAX_WH = 1e12
POWER_MAX_W = 1e7
MULTIPLIER_MAX = 12
REFUSED_MAX = 20
IMPORT_REGISTER = "Energy.Active.Import.Register"
EXPORT_REGISTER = "Energy.Active.Export.Register"
_IMPORT_POWER, _EXPORT_POWER = "Power.Active.Import", "Power.Active.Export"
_NAN = math.nan
_PHASES = frozenset({"L1", "L2", "L3", "L1-N", "L2-N", "L3-N"})
_SOC = ("SoC", "Display.PresentSOC")
_UNITS = {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6, "W": 1.0, "kW": 1e3, "MW": 1e6}
_ENERGY = ({UNSET: 1.0, "Wh": 1.0, "kWh": 1e3, "MWh": 1e6}, 0.0, REGISTER_MAX_WH)
_POWER = ({UNSET: 1.0, "W": 1.0, "kW": 1e3, "MW": 1e6}, -POWER_MAX_W, POWER_MAX_W)
_PERCENT: tuple[dict[Any, float], float, float] = ({}, 0.0, 100.0)
_MEASURED: dict[Any, tuple[dict[Any, float], float, float]] = {
    UNSET: _ENERGY,
    IMPORT_REGISTER: _ENERGY,
    EXPORT_REGISTER: _ENERGY,
    _IMPORT_POWER: _POWER,
    _EXPORT_POWER: _POWER,
    **dict.fromkeys(_SOC, _PERCENT),
}
"""Factor of each unit, least and most, by measurand; percent is read whatever the unit."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What one meter value says at one moment; None = nothing about it."""

    at_utc: datetime
    import_wh: float | None = None
    export_wh: float | None = None
    power_w: float | None = None
    soc: float | None = None


def in_utc(when: datetime) -> datetime:
    """A time of the wire in UTC; without offset it is UTC (OCPP-J, date-time). At the ends of the
    calendar the offset is left out, where it would lead beyond."""
    if when.tzinfo is UTC:
        return when
    try:
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except OverflowError:
        return when.replace(tzinfo=UTC)


def samples(meter_values: Iterable[Any], main: bool = False) -> tuple[list[Sample], list[str]]:
    """MeterValue structs of any version to samples in their order, and what was refused.

    main: of a station's main meter, which may be told as at the inlet."""
    place = "Inlet" if main else "Outlet"
    found: list[Sample] = []
    refused: list[str] = []
    for meter_value in meter_values:
        totals: dict[str, float] = {}
        phases: dict[str, float] = {}
        for value in meter_value.sampledValue:
            bounds = _MEASURED.get(value.measurand)
            if bounds is None:
                continue
            # the meter that is billed is at the outlet; a SoC is of the car
            location = value.location
            if (
                location is not UNSET
                and location not in ("Outlet", place)
                and bounds is not _PERCENT
            ):
                continue
            measurand = IMPORT_REGISTER if value.measurand is UNSET else value.measurand
            number = value.value
            if type(number) is float:  # 2.x: in one look where nothing about it is unusual
                factors, least, most = bounds
                measure = value.unitOfMeasure
                if measure is not UNSET:
                    if measure.multiplier is not UNSET and measure.multiplier:
                        number = _NAN
                    elif factors:
                        number *= factors.get(measure.unit, _NAN)
            else:
                least, most, number = 0.0, 0.0, _NAN
            if not least <= number <= most:
                number = _number(value, measurand)
                if isinstance(number, str):
                    refused.append(f"{measurand}: {number}")
                    continue
            if value.phase is UNSET:
                totals.setdefault(measurand, number)
            elif value.phase in _PHASES:
                phases[measurand] = phases.get(measurand, 0.0) + number
        if phases:
            totals = {**phases, **totals}
        found.append(_sample(in_utc(meter_value.timestamp), totals))
    return found, refused[:REFUSED_MAX]


def register_problem(value_wh: float) -> str | None:
    """Why a register [Wh] cannot be right, or None."""
    if not math.isfinite(value_wh):
        return "not finite"
    if value_wh < 0.0:
        return f"{value_wh:g} Wh is negative"
    if value_wh > REGISTER_MAX_WH:
        return f"{value_wh:g} Wh is beyond every meter"
    return None


def _sample(at_utc: datetime, values: dict[str, float]) -> Sample:
    drawn, given = values.get(_IMPORT_POWER), values.get(_EXPORT_POWER)
    power_w = drawn if given is None else (drawn or 0.0) - given
    soc = values.get("SoC")
    if soc is None:
        soc = values.get("Display.PresentSOC")
    return Sample(
        at_utc,
        values.get(IMPORT_REGISTER),
        values.get(EXPORT_REGISTER),
        power_w,
        None if soc is None else soc / 100.0,
    )


def _number(value: Any, measurand: str) -> float | str:
    """The value in Wh, W or percent, or why not."""
    raw = value.value
    if isinstance(raw, str):
        if getattr(value, "format", UNSET) == "SignedData":
            return "signed data is kept, not read"
        unit, multiplier = value.unit, 0
        try:
            raw = float(raw)
        except ValueError:
            return f"{raw[:20]!r} is no number"
    else:
        measure = value.unitOfMeasure
        unit = UNSET if measure is UNSET else measure.unit
        multiplier = 0 if measure is UNSET or measure.multiplier is UNSET else measure.multiplier
    number = float(raw)
    if multiplier:
        if abs(multiplier) > MULTIPLIER_MAX:
            return f"multiplier {multiplier}"
        number *= 10.0**multiplier
    if measurand in _SOC:
        return number if 0.0 <= number <= 100.0 else f"{number:g} percent"
    energy = measurand in (IMPORT_REGISTER, EXPORT_REGISTER)
    name = ("Wh" if energy else "W") if unit is UNSET else unit
    factor = _UNITS.get(name) if name.endswith("h") is energy else None
    if factor is None:
        return f"unit {name[:20]!r}"
    number *= factor
    if energy:
        return register_problem(number) or number
    sound = math.isfinite(number) and abs(number) <= POWER_MAX_W
    return number if sound else f"{number:g} W"
