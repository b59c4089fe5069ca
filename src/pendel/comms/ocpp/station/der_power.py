"""What DER controls do to the power of an EVSE (OCPP 2.1 block R, facts 7.5).

In this order, each on what the one before left:

    trips, EnterService  off the grid, and back: the band for `delay` and a drawn part of
                         `randomDelay`, then a ramp over `rampRate` seconds (der_trip)
    LimitMaxDischarge    a share of the highest discharge power
    FreqDroop            P += P_r (f - overFreq) / (overDroop f_n), and likewise below underFreq
    FreqWatt, VoltWatt   above nominal the curve bounds what is fed in, below it what is drawn
    reactive power       der_reactive; pushes active power back where both do not fit
    Gradients            power moves by at most rated power in `gradient` seconds; the first rise
                         after a return in `softGradient` seconds

Positive power = charging. In curves y is production in percent (PctMaxW: of rated power,
PctWAvail: of what would flow without the control), so a negative y is charging. The bounds of car
and profile hold in any case: a control never makes a car discharge that may not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pendel.comms.ocpp.station import der_reactive
from pendel.comms.ocpp.station.der_curves import PERCENT, Answer, answer_of, approached, points_of
from pendel.comms.ocpp.station.der_trip import Monitoring, Trips, axis, fault_of, side
from pendel.comms.ocpp.station.grid import Grid
from pendel.comms.ocpp.station.inverter import Inverter, rated
from pendel.power.grid_code import FrequencyResponse, droop_response_kw

RAMP_STEP_S = 1.0
LEAST_KW = 0.001
SETTLED_KW = 1e-4
MONITORING = "PowerMonitoringMustTrip"
MONITORING_OFF_S = 60.0
"""Off after power monitoring tripped, at least: what trips is the station's own power."""
Bodies = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Deviation:
    """A control that moves power away from what was asked: its type, the grid event behind it
    ("" = none), since when [epoch s]. rank: higher is told rather than lower."""

    kind: str
    fault: str
    since_s: float
    rank: int = 0


@dataclass(slots=True)
class Path:
    """What one EVSE did last, and how its curves stand."""

    power_kw: float = 0.0
    at_s: float = -math.inf
    kvar: float = 0.0
    shift_kw: float = 0.0
    answers: dict[str, Answer] = field(default_factory=dict)
    v_ref: float = PERCENT
    deviation: Deviation | None = None
    moving: bool = False


@dataclass(slots=True)
class DerPower:
    """The controls in force by kind (their wire objects), and what moves with time.

    share: of randomDelay that was drawn; since_s: since when the band of EnterService holds (None:
    it does not); entered_s: when power came back (-inf: nothing ramps any more); off_kind: why
    there is no power; edge_s: when a scheduled control begins or ends next; fed_in_kw: feed-in that
    power monitoring looks at."""

    controls: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    share: float = 0.0
    trips: Trips = field(default_factory=Trips)
    monitoring: Monitoring = field(default_factory=Monitoring)
    paths: dict[int, Path] = field(default_factory=dict)
    since_s: float | None = None
    entered_s: float = -math.inf
    off_kind: str = ""
    off_fault: str = ""
    off_s: float = -math.inf
    edge_s: float = math.inf
    fed_in_kw: float = 0.0
    _seen: tuple[Grid, float] | None = None

    def until_s(self, begin_s: float, longest_s: float) -> float:
        """Until when power may be taken as constant [epoch s]."""
        end_s = begin_s + longest_s
        edges = (self.edge_s, self.trips.next_s, self.monitoring.next_s)
        end_s = min([end_s, *(edge for edge in edges if edge > begin_s)])
        waiting = self.off_kind == MONITORING or (self.off_kind and self.since_s is not None)
        if waiting or any(path.moving for path in self.paths.values()):
            end_s = min(end_s, begin_s + RAMP_STEP_S)
        return end_s

    def observe(self, grid: Grid, now_s: float) -> bool:
        """Take a measurement; whether power may flow."""
        if self._seen == (grid, now_s) and not self.off_kind:
            return True
        self._seen = (grid, now_s)
        self.trips.see(self.controls, grid, now_s)
        if not grid.up:
            self._off("EnterService", "UnderVoltage")
            return False
        kind = self.trips.tripped
        if kind is not None:
            self._off(kind, fault_of(kind))
            return False
        if not self.off_kind:
            return True
        return self._returns(grid, now_s)

    def _off(self, kind: str, fault: str) -> None:
        if not self.off_kind:
            self.off_kind, self.off_fault = kind, fault
        self.since_s, self.entered_s = None, -math.inf

    def _returns(self, grid: Grid, now_s: float) -> bool:
        """Back after an outage or trip: by EnterService where it is set."""
        enter = self.controls.get("EnterService")
        held = now_s - self.off_s < MONITORING_OFF_S or self.monitoring.over_s is not None
        if self.off_kind == MONITORING and self.controls and held:
            return False
        if enter is not None:
            good = (
                enter["lowVoltage"] <= PERCENT * grid.lowest_pu
                and PERCENT * grid.highest_pu <= enter["highVoltage"]
                and enter["lowFreq"] <= grid.frequency_hz <= enter["highFreq"]
            )
            if not good:
                self.since_s = None
                return False
            self.since_s = now_s if self.since_s is None else self.since_s
            wait_s = enter.get("delay", 0.0) + self.share * enter.get("randomDelay", 0.0)
            if now_s - self.since_s < wait_s:
                return False
        self.off_kind, self.off_fault, self.entered_s = "", "", now_s
        return True

    def monitor(self, own_kw: float, upstream_kw: float, rated_kw: float, now_s: float) -> None:
        """Power monitoring: the feed-in at the meter or of the station itself, whichever is
        more, of rated discharge power [kW]."""
        limit = self.controls.get("LimitMaxDischarge", {})
        curve = limit.get("powerMonitoringMustTrip", self.controls.get(MONITORING))
        if curve is None or rated_kw <= 0.0:
            self.monitoring = Monitoring()
            return
        threshold = points_of(curve)[-1][1]
        if "powerMonitoringMustTrip" in limit:
            threshold = float(limit["pctMaxDischargePower"])
        percent = PERCENT * max(-own_kw, -upstream_kw, 0.0) / rated_kw
        if self.monitoring.see(threshold, curve, percent, now_s):
            self.off_s = now_s
            self._off(MONITORING, "")

    def power_kw(
        self,
        evse_id: int,
        wanted_kw: float,
        low_kw: float,
        high_kw: float,
        grid: Grid,
        now_s: float,
        inverter: Inverter | None = None,
        reactive_kvar: float | None = None,
    ) -> float:
        """The power of an EVSE [kW] that would be wanted_kw without controls; low_kw <= 0 and
        high_kw bound it in any case. reactive_kvar: what the profile asks for; what flows is then
        in `kvar`."""
        path = self.paths.get(evse_id)
        if path is None:
            path = self.paths[evse_id] = Path()
        if not self.controls and reactive_kvar is None and grid.up and not self.off_kind:
            return self._plain(path, min(max(wanted_kw, low_kw), high_kw), now_s)
        inverter = inverter or rated(high_kw, max(-low_kw, high_kw))
        if not self.observe(grid, now_s) or self.off_kind:
            self._deviates(path, self.off_kind, self.off_fault, now_s, 2)
            path.power_kw = path.kvar = path.shift_kw = 0.0
            path.at_s, path.moving = now_s, False
            return 0.0
        asked = min(max(wanted_kw, low_kw), high_kw)
        power, kind, fault = self._active(path, asked, low_kw, high_kw, grid, now_s, inverter)
        kept = power
        power, kvar, by = self._reactive(path, power, reactive_kvar, grid, now_s, inverter)
        if by and abs(power - kept) > LEAST_KW:
            kind, fault = by, ""
        elif by and reactive_kvar is not None and abs(kvar - reactive_kvar) > LEAST_KW and not kind:
            kind, fault = by, side(by, grid)
        power, kvar, ceased = self._ceased(power, kvar)
        if ceased:
            kind, fault = ceased, fault_of(ceased)
        aim, power = power, self._ramped(path, power, inverter.active_kw, now_s)
        if abs(aim - power) > LEAST_KW:
            kind, fault = (kind, fault) if kind else ("Gradients", "")
            if math.isfinite(self.entered_s) and "Gradients" not in self.controls:
                kind = "EnterService"
        moved = abs(power - asked) > LEAST_KW or (kind in der_reactive.KINDS)
        self._deviates(path, kind if moved or ceased else "", fault, now_s, 1 if ceased else 0)
        moving = any(a.moving for a in path.answers.values())
        path.moving = moving or abs(aim - power) > SETTLED_KW or path.moving
        path.power_kw, path.kvar, path.at_s = power, kvar, now_s
        return power

    def _plain(self, path: Path, power_kw: float, now_s: float) -> float:
        """Nothing is asked of this EVSE but its profile: what almost every station does."""
        if path.answers or path.deviation is not None or path.kvar:
            path.answers, path.deviation, path.kvar = {}, None, 0.0
        path.power_kw, path.at_s, path.shift_kw, path.moving = power_kw, now_s, 0.0, False
        self.trips.tripped = None
        return power_kw

    def rest(self, evse_id: int) -> None:
        """Nothing is asked of an EVSE: no deviation, no reactive power."""
        self.paths.pop(evse_id, None)

    def kvar(self, evse_id: int) -> float:
        """Reactive power of an EVSE [kvar, absorbing positive]."""
        path = self.paths.get(evse_id)
        return 0.0 if path is None else path.kvar

    def deviation(self) -> Deviation | None:
        """The one deviation that is told of the station (there are no levels of alarm, R05)."""
        found = [p.deviation for p in self.paths.values() if p.deviation is not None]
        return max(found, key=lambda d: (d.rank, -d.since_s), default=None)

    def _deviates(self, path: Path, kind: str, fault: str, now_s: float, rank: int) -> None:
        before = path.deviation
        if not kind:
            path.deviation = None
        elif before is None or (before.kind, before.fault) != (kind, fault):
            path.deviation = Deviation(kind, fault, now_s, rank)

    def _active(
        self,
        path: Path,
        power: float,
        low_kw: float,
        high_kw: float,
        grid: Grid,
        now_s: float,
        inverter: Inverter,
    ) -> tuple[float, str, str]:
        """Power after the active controls; the last one that moved it and why."""
        kind = fault = ""
        passed_s = max(now_s - path.at_s, 0.0) if math.isfinite(path.at_s) else 0.0
        path.moving = False
        limit = self.controls.get("LimitMaxDischarge")
        if limit is not None:
            share = float(limit.get("pctMaxDischargePower", PERCENT)) / PERCENT
            cap_kw = -inverter.discharge_kw * min(max(share, 0.0), 1.0)
            if power < cap_kw - LEAST_KW:
                kind = "LimitMaxDischarge"
            low_kw = max(low_kw, cap_kw)
            power = max(power, cap_kw)
        droop = self.controls.get("FreqDroop")
        if droop is None or not math.isfinite(grid.frequency_hz):
            path.shift_kw = 0.0
        else:
            goal = _droop(droop, grid, power, low_kw, high_kw, inverter) - power
            shift = approached(path.shift_kw, goal, float(droop.get("responseTime", 0.0)), passed_s)
            path.moving = abs(shift - goal) > SETTLED_KW
            path.shift_kw = shift
            if abs(shift) > LEAST_KW:
                kind, fault = "FreqDroop", side("FreqDroop", grid)
            power += shift
        for name in ("FreqWatt", "VoltWatt"):
            curve = self.controls.get(name)
            x, nominal = axis(name, grid)
            if curve is None or not math.isfinite(x):
                path.answers.pop(name, None)
                continue
            bounded = self._bounded(path, name, curve, x, nominal, power, now_s, inverter)
            if abs(bounded - power) > LEAST_KW:
                kind, fault = name, side(name, grid)
            power = bounded
        return min(max(power, low_kw), max(high_kw, 0.0)), kind, fault

    def _bounded(
        self,
        path: Path,
        name: str,
        curve: Mapping[str, Any],
        x: float,
        nominal: float,
        power: float,
        now_s: float,
        inverter: Inverter,
    ) -> float:
        """Above nominal at most y is fed in; below it at most -y is drawn (a y above 0 bounds
        nothing there: a control of the grid never empties a car)."""
        answer = path.answers.get(name)
        if answer is None:
            answer = path.answers[name] = answer_of(curve, nominal, now_s)
        percent = answer.move(curve, x, nominal, points_of(curve), now_s)
        event = answer.held.extreme if answer.held.extreme is not None else x
        base_kw = abs(power) if curve.get("yUnit") == "PctWAvail" else inverter.active_kw
        bound_kw = -base_kw * percent / PERCENT
        if event >= nominal:
            return max(power, bound_kw)
        return min(power, bound_kw) if bound_kw >= 0.0 else power

    def _reactive(
        self,
        path: Path,
        power: float,
        asked_kvar: float | None,
        grid: Grid,
        now_s: float,
        inverter: Inverter,
    ) -> tuple[float, float, str]:
        """Active and reactive power, and the control that decided ("" = the profile or nobody)."""
        kind = der_reactive.leading(self.controls, power)
        if kind != "VoltVar":
            path.answers.pop("VoltVar", None)
        if kind is None:
            if asked_kvar is None:
                return power, 0.0, ""
            room = inverter.room_kvar(power)
            return power, min(max(asked_kvar, -room), room), ""
        control, percent = self.controls[kind], 0.0
        if kind == "VoltVar" and math.isfinite(grid.voltage_pu):
            percent = self._volt_var(path, control, PERCENT * grid.voltage_pu, now_s)
        found = der_reactive.fitted(kind, control, power, percent, inverter)
        return found.power_kw, found.kvar, kind

    def _volt_var(self, path: Path, curve: Mapping[str, Any], volts: float, now_s: float) -> float:
        answer = path.answers.get("VoltVar")
        params = curve.get("reactivePowerParams", {})
        if answer is None:
            answer = path.answers["VoltVar"] = answer_of(curve, PERCENT, now_s)
            path.v_ref = float(params.get("vRef", PERCENT))
        passed_s = max(now_s - answer.at_s, 0.0)
        path.v_ref = der_reactive.v_ref(params, path.v_ref, volts, passed_s)
        x = PERCENT * volts / path.v_ref
        percent = answer.move(curve, x, PERCENT, points_of(curve), now_s)
        if params.get("autonomousVRefEnable", False) and abs(path.v_ref - volts) > 0.01:
            path.moving = True
        return percent

    def _ceased(self, power: float, kvar: float) -> tuple[float, float, str]:
        """Momentary cessation: no power, unless the curve wants some through the fault."""
        if not self.trips.ceased:
            return power, kvar, ""
        kind = self.trips.ceased[0]
        during = self.controls[kind].get("voltageParams", {}).get("powerDuringCessation")
        return power if during == "Active" else 0.0, kvar if during == "Reactive" else 0.0, kind

    def _ramped(self, path: Path, power_kw: float, rated_kw: float, now_s: float) -> float:
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
            before_kw = path.power_kw
            passed_s = max(now_s - path.at_s, 0.0) if math.isfinite(path.at_s) else 0.0
            step_kw = rated_kw * passed_s / seconds
            power_kw = min(max(power_kw, before_kw - step_kw), before_kw + step_kw)
        return power_kw


def _droop(
    droop: Mapping[str, Any],
    grid: Grid,
    power_kw: float,
    low_kw: float,
    high_kw: float,
    inverter: Inverter,
) -> float:
    """P(f) of the grid code with the settings of the control, inside the bounds."""
    settings = FrequencyResponse(
        over_hz=float(droop["overFreq"]),
        over_droop=float(droop["overDroop"]),
        under_hz=float(droop["underFreq"]),
        under_droop=float(droop["underDroop"]),
    )
    rated_kw = inverter.active_kw
    hertz = grid.frequency_hz
    asked = droop_response_kw(settings, grid.nominal_hz, hertz, power_kw, rated_kw, rated_kw)
    return min(max(float(asked), low_kw), high_kw)
