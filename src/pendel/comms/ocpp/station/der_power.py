"""What DER controls do to the power of an EVSE (OCPP 2.1 block R, facts 7.5).

    FreqDroop          P += P_r (f - overFreq) / (overDroop f_n), and likewise below underFreq
    FreqWatt           above nominal frequency the curve bounds what is fed in, below it what is
    VoltWatt           drawn; VoltWatt likewise with the voltage in percent of nominal
    LimitMaxDischarge  a share of the highest discharge power
    EnterService       after the grid was gone: voltage and frequency in their band for `delay`
                       (plus a drawn part of `randomDelay`), then a ramp over `rampRate` seconds
    Gradients          power moves by at most rated power in `gradient` seconds; the first rise
                       after the grid was gone in `softGradient` seconds

Positive power = charging. In curves y is production in percent (PctMaxW: of the highest discharge
power, PctWAvail: of what would flow without the control), so a negative y is charging. A control
never makes a car discharge that would not without it, and FreqDroop only one that may.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from pendel.power.grid_code import FrequencyResponse, droop_response_kw

KINDS = (
    "FreqDroop",
    "FreqWatt",
    "VoltWatt",
    "LimitMaxDischarge",
    "EnterService",
    "Gradients",
)
NOMINAL_HZ = 50.0
RAMP_STEP_S = 1.0
PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Frequency [Hz], voltage as a share of nominal, and whether there is a grid."""

    frequency_hz: float
    voltage_pu: float
    up: bool


@dataclass(slots=True)
class DerPower:
    """The controls in force by kind (their wire objects), and what moves with time.

    since_s: since when the band of EnterService holds (None: it does not); entered_s: when power
    came back after an outage (-inf: there was none); share: of randomDelay that was drawn;
    ramping: whether a ramp holds power back now."""

    controls: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    share: float = 0.0
    was_down: bool = False
    since_s: float | None = None
    entered_s: float = -math.inf
    ramping: bool = False
    _last: dict[int, tuple[float, float]] = field(default_factory=dict)

    def piece_s(self, longest_s: float) -> float:
        """How long power may be taken as constant: short while something ramps or waits."""
        waiting = self.was_down and "EnterService" in self.controls
        return RAMP_STEP_S if waiting or self.ramping else longest_s

    def lowest_kw(self, rated_kw: float) -> float:
        """The strongest discharge [kW, <= 0] that LimitMaxDischarge leaves."""
        percent = float(self.controls.get("LimitMaxDischarge", {}).get(_CAP, PERCENT))
        return -rated_kw * min(max(percent, 0.0), PERCENT) / PERCENT

    def power_kw(
        self,
        evse_id: int,
        wanted_kw: float,
        low_kw: float,
        high_kw: float,
        grid: Grid,
        now_s: float,
    ) -> float:
        """The power of an EVSE [kW] that would be wanted_kw without controls; low_kw <= 0 and
        high_kw bound it in any case."""
        if not self._in_service(grid, now_s):
            self._last[evse_id] = (0.0, now_s)
            return 0.0
        power = min(max(wanted_kw, low_kw), high_kw)
        droop = self.controls.get("FreqDroop")
        if droop is not None and math.isfinite(grid.frequency_hz):
            power = _droop(droop, grid.frequency_hz, power, low_kw, high_kw)
        for kind, x, nominal in (
            ("FreqWatt", grid.frequency_hz, NOMINAL_HZ),
            ("VoltWatt", PERCENT * grid.voltage_pu, PERCENT),
        ):
            curve = self.controls.get(kind)
            if curve is not None and math.isfinite(x):
                power = _curve(curve, x, nominal, power, high_kw)
        power = min(max(power, low_kw), high_kw)
        aim, power = power, self._ramped(evse_id, power, max(high_kw, -low_kw), now_s)
        self.ramping = power != aim
        self._last[evse_id] = (power, now_s)
        return power

    def _in_service(self, grid: Grid, now_s: float) -> bool:
        """Whether power may flow: there is a grid, and EnterService lets it back."""
        if not grid.up:
            self.was_down, self.since_s, self.entered_s = True, None, -math.inf
            return False
        enter = self.controls.get("EnterService")
        if not self.was_down:
            return True
        if enter is not None:
            voltage = PERCENT * grid.voltage_pu
            good = (
                enter["lowVoltage"] <= voltage <= enter["highVoltage"]
                and enter["lowFreq"] <= grid.frequency_hz <= enter["highFreq"]
            )
            if not good:
                self.since_s = None
                return False
            self.since_s = now_s if self.since_s is None else self.since_s
            wait_s = enter.get("delay", 0.0) + self.share * enter.get("randomDelay", 0.0)
            if now_s - self.since_s < wait_s:
                return False
        self.was_down, self.entered_s = False, now_s
        return True

    def _ramped(self, evse_id: int, power_kw: float, rated_kw: float, now_s: float) -> float:
        """Power inside the ramps after a return and of Gradients."""
        gradients = self.controls.get("Gradients", {})
        ramp_s = float(self.controls.get("EnterService", {}).get("rampRate", 0.0))
        ramp_s = max(ramp_s, float(gradients.get("softGradient", 0.0)))
        if math.isfinite(self.entered_s) and ramp_s > 0.0:
            share = (now_s - self.entered_s) / ramp_s
            if share >= 1.0:
                self.entered_s = -math.inf
            else:
                most_kw = rated_kw * max(share, 0.0)
                power_kw = min(max(power_kw, -most_kw), most_kw)
        seconds = float(gradients.get("gradient", 0.0))
        if seconds > 0.0:
            before_kw, at_s = self._last.get(evse_id, (0.0, now_s))
            step_kw = rated_kw * max(now_s - at_s, 0.0) / seconds
            power_kw = min(max(power_kw, before_kw - step_kw), before_kw + step_kw)
        return power_kw


_CAP = "pctMaxDischargePower"


def _droop(
    droop: Mapping[str, Any], frequency_hz: float, power_kw: float, low_kw: float, high_kw: float
) -> float:
    settings = FrequencyResponse(
        over_hz=float(droop["overFreq"]),
        over_droop=float(droop["overDroop"]),
        under_hz=float(droop["underFreq"]),
        under_droop=float(droop["underDroop"]),
    )
    if settings.over_droop <= 0.0 or settings.under_droop <= 0.0:
        return power_kw
    asked = droop_response_kw(settings, NOMINAL_HZ, frequency_hz, power_kw, high_kw, -low_kw)
    return float(asked)


def _curve(
    curve: Mapping[str, Any], x: float, nominal: float, power_kw: float, rated_kw: float
) -> float:
    """Above nominal at most y is fed in; below it at most -y is drawn (a y above 0 bounds nothing
    there: a control of the grid never empties a car)."""
    points = sorted((float(p["x"]), float(p["y"])) for p in curve["curveData"])
    base_kw = abs(power_kw) if curve.get("yUnit") == "PctWAvail" else rated_kw
    bound_kw = -base_kw * _interpolated(points, x) / PERCENT
    if x >= nominal:
        return max(power_kw, bound_kw)
    return min(power_kw, bound_kw) if bound_kw >= 0.0 else power_kw


def _interpolated(points: list[tuple[float, float]], x: float) -> float:
    """Piecewise linear, constant beyond the ends."""
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y1 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]
