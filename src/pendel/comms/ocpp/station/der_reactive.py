"""Reactive power asked for by DER controls (block R). Pure.

    FixedVar        share of rated power, of rated reactive power, or of what is left beside P
    FixedPFAbsorb   Q = |P| tan(acos(cos phi)) while the car charges (Inject: while it discharges)
    VoltVar         a share by the voltage [percent of vRef]
    WattVar         a share by the active power [percent, production positive]
    WattPF          Q = |P| tan(acos(|y|)): y > 0 absorbs, y < 0 injects

Inside, positive reactive power absorbs (inductive, under-excited), as positive active power
charges. On the wire shares are positive where they inject (FixedVar: "positive refers to
discharging"); power factors the other way round.

Of several controls the strongest priority leads. `PctVarAvail` leaves active power alone; the
others come first and push active power back where both do not fit (2030.5: precedence by the unit).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pendel.comms.ocpp.station.der_curves import PERCENT, line, points_of
from pendel.comms.ocpp.station.inverter import Inverter

KINDS = ("FixedVar", "FixedPFAbsorb", "FixedPFInject", "VoltVar", "WattVar", "WattPF")
V_REF_LOW, V_REF_HIGH = 95.0, 105.0
"""An autonomous vRef stays in here (IEEE 1547-2018, 5.3.3)."""
LEAST_KW = 1e-6


@dataclass(frozen=True, slots=True)
class Reactive:
    """Active and reactive power that go together [kW, kvar], and the control behind it ("")."""

    power_kw: float
    kvar: float
    kind: str = ""


def leading(controls: Mapping[str, Mapping[str, Any]], power_kw: float) -> str | None:
    """The reactive control in force: the strongest priority, then the order of KINDS."""
    usable = [kind for kind in KINDS if kind in controls and _applies(kind, power_kw)]
    return min(usable, key=lambda kind: int(controls[kind].get("priority", 0)), default=None)


def _applies(kind: str, power_kw: float) -> bool:
    if kind == "FixedPFAbsorb":
        return power_kw > LEAST_KW
    return kind != "FixedPFInject" or power_kw < -LEAST_KW


def fitted(
    kind: str, control: Mapping[str, Any], power_kw: float, percent: float, inverter: Inverter
) -> Reactive:
    """What one control makes of an active power. percent: y of VoltVar (lagged by its owner)."""
    if kind in ("FixedPFAbsorb", "FixedPFInject"):
        sign = 1.0 if control["excitation"] else -1.0
        return _by_factor(kind, float(control["displacement"]), sign, power_kw, inverter)
    if kind == "WattPF":
        y = line(points_of(control), -PERCENT * power_kw / max(inverter.active_kw, LEAST_KW))
        return _by_factor(kind, abs(y), math.copysign(1.0, y), power_kw, inverter)
    if kind == "FixedVar":
        percent, unit = float(control["setpoint"]), control["unit"]
    else:
        unit = control["yUnit"]
        if kind == "WattVar":
            x = -PERCENT * power_kw / max(inverter.active_kw, LEAST_KW)
            percent = line(points_of(control), x)
    base = {
        "PctMaxW": inverter.active_kw,
        "PctMaxVar": inverter.reactive_kvar,
        "PctVarAvail": inverter.room_kvar(power_kw),
    }[unit]
    wanted = -base * percent / PERCENT
    if unit == "PctVarAvail":
        return Reactive(power_kw, wanted, kind)
    return both(kind, power_kw, wanted, inverter)


def both(kind: str, power_kw: float, kvar: float, inverter: Inverter) -> Reactive:
    """Reactive power first, inside its rating; active power takes what is left."""
    kvar = min(max(kvar, -inverter.reactive_kvar), inverter.reactive_kvar)
    room = inverter.room_kw(kvar)
    return Reactive(min(max(power_kw, -room), room), kvar, kind)


def _by_factor(
    kind: str, factor: float, sign: float, power_kw: float, inverter: Inverter
) -> Reactive:
    factor = min(max(factor, LEAST_KW), 1.0)
    tangent = math.sqrt(1.0 - factor**2) / factor
    room = max(inverter.apparent_kva * factor, inverter.room_kw(inverter.reactive_kvar))
    power_kw = min(max(power_kw, -room), room)
    kvar = min(abs(power_kw) * tangent, inverter.reactive_kvar)
    return Reactive(power_kw, sign * kvar, kind)


def v_ref(params: Mapping[str, Any], before: float, volts: float, passed_s: float) -> float:
    """vRef [percent] after passed_s at a voltage [percent]: as told, or following by itself."""
    told = float(params.get("vRef", PERCENT))
    if not params.get("autonomousVRefEnable", False):
        return told
    constant_s = max(float(params.get("autonomousVRefTimeConstant", 0.0)), 1e-3)
    moved = volts + (before - volts) * math.exp(-passed_s / constant_s)
    return min(max(moved, V_REF_LOW), V_REF_HIGH)
