"""Trip and cessation curves of DER controls: when a station leaves the grid, and when it may not.

A curve says after how many seconds (y) beyond a value x [Hz, percent of nominal voltage] something
happens; linear between its points, never on the mild side of the first, at once as the last
beyond it. Every level counts for itself: whoever has been beyond *some* x for longer than y(x).

    must trip   leave the grid
    may trip    until then: stay. Without a must-trip curve of the same side, leave then (R04)
    cessation   no power while it lasts, and back at once
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pendel.comms.ocpp.station.der_curves import PERCENT, line, points_of
from pendel.comms.ocpp.station.grid import Grid

LEVELS_MAX = 100
MEAN_WINDOW_S = 600.0
MEAN_EVERY_S = 3.0
OVER, UNDER = 1.0, -1.0

SIDE = {
    "HFMustTrip": OVER,
    "HFMayTrip": OVER,
    "HVMustTrip": OVER,
    "HVMayTrip": OVER,
    "HVMomCess": OVER,
    "LFMustTrip": UNDER,
    "LVMustTrip": UNDER,
    "LVMayTrip": UNDER,
    "LVMomCess": UNDER,
}
"""On which side of nominal a curve works."""
TRIPS = ("HFMustTrip", "LFMustTrip", "HVMustTrip", "LVMustTrip")
CESSATIONS = ("HVMomCess", "LVMomCess")
_MAY_OF = {"HFMustTrip": "HFMayTrip", "HVMustTrip": "HVMayTrip", "LVMustTrip": "LVMayTrip"}
_FAULTS = {
    ("F", OVER): "OverFrequency",
    ("F", UNDER): "UnderFrequency",
    ("V", OVER): "OverVoltage",
    ("V", UNDER): "UnderVoltage",
}


def fault_of(kind: str) -> str:
    """The grid event behind a curve's action (GridEventFaultEnumType)."""
    return _FAULTS[kind[1], SIDE[kind]]


def measured(kind: str, grid: Grid) -> float:
    """What a curve looks at [Hz or percent of nominal]: of the phases the one that is worst."""
    if kind[1] == "F":
        return grid.frequency_hz
    return PERCENT * (grid.highest_pu if SIDE[kind] == OVER else grid.lowest_pu)


@dataclass(slots=True)
class Beyond:
    """How long a value has been beyond each level: (level, since) with both ascending, levels
    counted so that more is worse. Holds at most LEVELS_MAX levels."""

    levels: list[tuple[float, float]] = field(default_factory=list)

    def see(self, level: float, first: float, now_s: float) -> None:
        """A measurement; first: the mildest level that counts at all."""
        since_s = now_s
        while self.levels and self.levels[-1][0] >= level:
            since_s = self.levels.pop()[1]
        if level <= first or not math.isfinite(level):
            return
        if len(self.levels) >= LEVELS_MAX:
            since_s = self.levels.pop()[1]
        self.levels.append((level, since_s))

    def due_s(self, points: Sequence[tuple[float, float]], side: float) -> float:
        """When the curve's time is over if nothing changes [epoch s]; inf = never."""
        return min(
            (since_s + line(points, side * level) for level, since_s in self.levels),
            default=math.inf,
        )


@dataclass(slots=True)
class MeanVoltage:
    """Mean of the highest phase over the last ten minutes, taken every three seconds."""

    _parts: deque[tuple[float, float]] = field(default_factory=deque)
    _seen_s: float | None = None
    _percent: float = 0.0
    above_s: float | None = None

    def see(self, percent: float, now_s: float) -> None:
        """The voltage [percent of nominal] from now on."""
        if self._seen_s is None:
            self._seen_s, self._percent = now_s, percent
            return
        passed_s = now_s - self._seen_s
        if passed_s < MEAN_EVERY_S and percent == self._percent:
            return
        if passed_s > 0.0:
            self._parts.append((passed_s, self._percent))
        self._seen_s, self._percent = now_s, percent
        spare_s = sum(s for s, _ in self._parts) - MEAN_WINDOW_S
        while self._parts and spare_s > 0.0:
            first_s, value = self._parts.popleft()
            if first_s > spare_s:
                self._parts.appendleft((first_s - spare_s, value))
            spare_s -= first_s

    @property
    def mean(self) -> float:
        """The mean [percent of nominal]; before ten minutes have passed over what there is."""
        total_s = sum(s for s, _ in self._parts)
        if total_s <= 0.0:
            return self._percent
        return sum(s * v for s, v in self._parts) / total_s


@dataclass(slots=True)
class Trips:
    """All trip and cessation curves of a station. tripped: the kind that took it off the grid and
    has not been released; ceased: kinds whose momentary cessation runs."""

    beyond: dict[str, Beyond] = field(default_factory=dict)
    mean: MeanVoltage = field(default_factory=MeanVoltage)
    tripped: str | None = None
    inside_s: float | None = None
    ceased: list[str] = field(default_factory=list)
    next_s: float = math.inf

    def see(self, controls: Mapping[str, Mapping[str, Any]], grid: Grid, now_s: float) -> None:
        """Take a measurement and decide."""
        self.next_s = math.inf
        due = {
            kind: self._due_s(kind, controls[kind], grid, now_s)
            for kind in SIDE
            if kind in controls
        }
        self.ceased = [kind for kind in CESSATIONS if due.get(kind, math.inf) <= now_s]
        leaving = self._leaving(controls, due, grid, now_s)
        if leaving is not None:
            if self.tripped is None:
                self.tripped = leaving
            self.inside_s = None
        elif self.tripped is not None:
            self._release(controls.get(self.tripped, {}), grid, now_s)
        waiting = [at_s for at_s in due.values() if now_s < at_s < math.inf]
        self.next_s = min([self.next_s, *waiting])

    def _due_s(self, kind: str, curve: Mapping[str, Any], grid: Grid, now_s: float) -> float:
        side, points = SIDE[kind], points_of(curve)
        first = side * (points[0][0] if side == OVER else points[-1][0])
        seen = self.beyond.setdefault(kind, Beyond())
        seen.see(side * measured(kind, grid), first, now_s)
        return seen.due_s(points, side)

    def _leaving(
        self,
        controls: Mapping[str, Mapping[str, Any]],
        due: Mapping[str, float],
        grid: Grid,
        now_s: float,
    ) -> str | None:
        for kind in TRIPS:
            ruling = kind if kind in due else _MAY_OF.get(kind, "")
            if due.get(ruling, math.inf) <= now_s:
                return ruling
        params = controls.get("HVMustTrip", {}).get("voltageParams", {})
        if "hv10MinMeanValue" not in params:
            self.mean.above_s = None
            return None
        self.mean.see(PERCENT * grid.highest_pu, now_s)
        self.next_s = now_s + MEAN_EVERY_S
        if self.mean.mean <= params["hv10MinMeanValue"]:
            self.mean.above_s = None
            return None
        self.mean.above_s = now_s if self.mean.above_s is None else self.mean.above_s
        over = now_s - self.mean.above_s >= params["hv10MinMeanTripDelay"]
        return "HVMustTrip" if over else None

    def _release(self, curve: Mapping[str, Any], grid: Grid, now_s: float) -> None:
        """A trip ends when its value is back, inside its hysteresis for the delay of it."""
        hysteresis, kind = curve.get("hysteresis", {}), self.tripped or ""
        low, high = hysteresis.get("hysteresisLow"), hysteresis.get("hysteresisHigh")
        if kind in SIDE and low is not None and high is not None:
            values = [measured(kind, grid)]
            if not all(low <= value <= high for value in values):
                self.inside_s = None
                return
        elif kind in self.beyond and self.beyond[kind].levels:
            return
        self.inside_s = now_s if self.inside_s is None else self.inside_s
        ready_s = self.inside_s + float(hysteresis.get("hysteresisDelay", 0.0))
        if now_s >= ready_s:
            self.tripped, self.inside_s = None, None
        else:
            self.next_s = min(self.next_s, ready_s)


@dataclass(slots=True)
class Monitoring:
    """Power monitoring (VDE-AR-N 4105, 5.5.2): feed-in above a share of rated power must come
    back under a curve over time [s -> percent]. over_s: since when it is above."""

    over_s: float | None = None
    next_s: float = math.inf

    def see(self, threshold: float, curve: Mapping[str, Any], percent: float, now_s: float) -> bool:
        """Whether the station must leave the grid. percent: feed-in of rated discharge power."""
        self.next_s = math.inf
        if percent <= threshold:
            self.over_s = None
            return False
        self.over_s = now_s if self.over_s is None else self.over_s
        self.next_s = now_s + 1.0
        return percent > line(points_of(curve), now_s - self.over_s)


def axis(kind: str, grid: Grid) -> tuple[float, float]:
    """What a control looks at, and its nominal value."""
    if kind.startswith("Freq"):
        return grid.frequency_hz, grid.nominal_hz
    return PERCENT * grid.voltage_pu, PERCENT


def side(kind: str, grid: Grid) -> str:
    """The grid event a control answers to."""
    if not kind.startswith(("Freq", "Volt")):
        return ""
    x, nominal = axis(kind, grid)
    what = "Frequency" if kind.startswith("Freq") else "Voltage"
    return "" if x == nominal else f"{'Over' if x > nominal else 'Under'}{what}"
