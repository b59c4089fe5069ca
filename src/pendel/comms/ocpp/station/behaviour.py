"""What power an EVSE takes or gives now: what profiles ask, what car and station can do."""

import math
from dataclasses import dataclass, field

from pendel.comms.ocpp.composite import Point, Situation, change_times, curve_power_w, point_at
from pendel.comms.ocpp.profile import Installed, OperationMode
from pendel.comms.ocpp.station.der_power import DerPower
from pendel.comms.ocpp.station.equipment import Car, Evse, StationSettings
from pendel.comms.ocpp.station.ev_offers import next_edge_s
from pendel.comms.ocpp.station.ev_side import held
from pendel.comms.ocpp.station.grid import Grid, GridRecord
from pendel.comms.ocpp.station.inverter import inverter_of
from pendel.comms.ocpp.station.load_balancing import READ_EVERY_S, Balance
from pendel.units import SECONDS_PER_HOUR, W_PER_KW

POWER_LEAST_KW = 0.001
STEP_LEAST_S = 1.0
"""Time in which a battery may run full or empty at most once."""
HZ_SLACK = 1e-9


@dataclass(slots=True)
class Surroundings:
    """What the station measures around it: grid frequency, voltage as a share of nominal (phases_pu
    where the phases differ), whether there is a grid; the power at the upstream meter [kW, import
    positive], or building_kw: the load beside the EVSEs, from which the meter's power follows; an
    external energy manager's setpoint [kW]. record: frequency and voltage over time.

    flows: power of each EVSE; balancing: EVSEs that share the upstream meter."""

    frequency_hz: float | None = None
    voltage_pu: float = 1.0
    upstream_kw: float = 0.0
    grid_up: bool = True
    external_setpoint_kw: float | None = None
    phases_pu: tuple[float, ...] = ()
    nominal_hz: float = 50.0
    building_kw: float | None = None
    record: GridRecord | None = None
    flows: dict[int, float] = field(default_factory=dict)
    balancing: set[int] = field(default_factory=set)

    def grid(self, now_s: float) -> Grid:
        """The grid as it is now."""
        if self.record is not None:
            sample = self.record.at(now_s)
            self.frequency_hz, self.voltage_pu = sample.frequency_hz, sample.voltage_pu
            self.phases_pu = sample.phases_pu
        hertz = self.nominal_hz if self.frequency_hz is None else self.frequency_hz
        phases = self.phases_pu if self.record is not None or self.phases_pu else ()
        return Grid(hertz, self.voltage_pu, self.grid_up, phases, self.nominal_hz)

    def next_s(self, now_s: float) -> float:
        """When the record says something else [epoch s]; inf: nothing changes by itself."""
        return math.inf if self.record is None else self.record.next_s(now_s)

    def meter_kw(self) -> float:
        """Power at the upstream meter."""
        if self.building_kw is None:
            return self.upstream_kw
        return self.building_kw + sum(self.flows.values())

    def gone(self, evse_id: int) -> None:
        """Nothing flows at an EVSE any more."""
        self.flows.pop(evse_id, None)
        self.balancing.discard(evse_id)


def wanted_kw(
    evse: Evse, point: Point, around: Surroundings, grid: Grid, now_s: float
) -> tuple[float, float | None]:
    """(power the profiles ask for [kW], setpoint if the mode has one). The car charges as fast
    as it may in ChargingOnly; in the other modes the mode's own value leads."""
    low_kw, high_kw = point.low_w[0] / W_PER_KW, point.high_w[0] / W_PER_KW
    setpoint = _setpoint_kw(evse, point, around, grid, now_s)
    if setpoint is not None:
        held = min(max(setpoint, low_kw), max(high_kw, low_kw))
        return held, held
    if point.mode is OperationMode.IDLE:
        return 0.0, None
    if point.mode is not OperationMode.CHARGING_ONLY:
        return max(high_kw, 0.0), None
    if high_kw < 0.0:  # a negative limit: discharge, told in the way of stations before 2.1
        return high_kw, high_kw
    return high_kw, None


def _setpoint_kw(
    evse: Evse, point: Point, around: Surroundings, grid: Grid, now_s: float
) -> float | None:
    own = None if point.setpoint_w is None else point.setpoint_w[0] / W_PER_KW
    match point.mode:
        case OperationMode.CENTRAL_SETPOINT:
            return 0.0 if own is None else own
        case OperationMode.EXTERNAL_SETPOINT:
            return around.external_setpoint_kw if around.external_setpoint_kw is not None else own
        case OperationMode.CENTRAL_FREQUENCY:
            if evse.signal is not None and point.signal_curve:
                base = point.baseline_w + curve_power_w(point.signal_curve, evse.signal)
                return base / W_PER_KW
            return 0.0 if own is None else own
        case OperationMode.LOCAL_FREQUENCY:
            return _by_frequency(evse, point, grid)
        case OperationMode.LOCAL_LOAD_BALANCING:
            return _balanced(evse, point, around, now_s)
    return None


def _by_frequency(evse: Evse, point: Point, grid: Grid) -> float:
    """Baseline plus the curve at the frequency, looked at anew when it moved far enough (Q08.FR.07)
    or another profile leads, plus the delta of an aFRR signal (Q08.FR.10)."""
    if not grid.up or not math.isfinite(grid.frequency_hz):
        evse.followed_hz = None
        return 0.0
    step_hz = 0.0 if evse.v2x is None else evse.v2x.frequency_step_hz
    before = evse.followed_hz
    moved = before is None or abs(grid.frequency_hz - before) >= step_hz - HZ_SLACK
    if moved or before is None:
        evse.followed_hz = before = grid.frequency_hz
    watts = point.baseline_w + curve_power_w(point.frequency_curve, before)
    if evse.signal is not None and point.signal_curve:
        watts += curve_power_w(point.signal_curve, evse.signal)
    return watts / W_PER_KW


def _balanced(evse: Evse, point: Point, around: Surroundings, now_s: float) -> float:
    """The setpoint after the newest reading of the upstream meter (Q09)."""
    thresholds = None if evse.v2x is None else evse.v2x.thresholds
    if thresholds is None:
        return 0.0
    around.balancing.add(evse.id)
    car_kw = 0.0 if evse.car is None else evse.car.discharge_max_kw
    low_kw = max(point.low_w[0] / W_PER_KW, -car_kw)
    high_kw = point.high_w[0] / W_PER_KW
    if evse.car is not None:
        high_kw = min(high_kw, evse.car.charge_max_kw)
    sharing = len(around.balancing)
    return evse.balance.read(around.meter_kw(), thresholds, sharing, low_kw, high_kw, now_s)


def situation(
    evse: Evse,
    settings: StationSettings,
    offline_since_s: float | None,
    csms_setpoint_first: bool = False,
) -> Situation:
    """What the validity of profiles depends on at an EVSE."""
    transaction = evse.transaction
    return Situation(
        evse_id=evse.id,
        transaction_id=None if transaction is None else transaction.known_as,
        transaction_start_s=None if transaction is None else transaction.begin_s,
        offline_since_s=offline_since_s,
        priority=evse.priority,
        soc=None if evse.car is None else evse.car.soc,
        timezone=settings.timezone,
        phases=0 if settings.is_dc else settings.phases,
        delays={} if transaction is None else transaction.delays,
        csms_setpoint_first=csms_setpoint_first,
        sharers=evse.sharers,
    )


def most_kw(settings: StationSettings, phases: int) -> float:
    """What the EVSE can do on so many phases [kW]; 0 = DC."""
    if settings.is_dc or not phases:
        return settings.power_max_kw
    return settings.power_max_kw * min(phases, settings.phases) / settings.phases


def settle(
    evse: Evse,
    settings: StationSettings,
    installed: Installed,
    around: Surroundings,
    now_s: float,
    offline_since_s: float | None,
    der: DerPower,
    csms_setpoint_first: bool = False,
) -> float:
    """AC power [kW] of an EVSE from now on; notes mode, setpoint, phases and reactive power there.
    0 without an authorised transaction, in a fault, on a dead grid. der: DER controls in force."""
    car, transaction = evse.car, evse.transaction
    evse.setpoint_kw, evse.least_kw = None, 0.0
    if car is None or transaction is None or not transaction.authorized:
        evse.kvar, evse.asleep = 0.0, False
        der.rest(evse.id)
        around.gone(evse.id)
        return 0.0
    where = situation(evse, settings, offline_since_s, csms_setpoint_first)
    point = point_at(installed.by_id.values(), where, now_s)
    _note(evse, settings, point, around)
    if point.sources and point.sources[0] in installed.by_id:
        evse.least_kw = installed.by_id[point.sources[0]].least_w / W_PER_KW
    grid = around.grid(now_s)
    power_kw = 0.0
    if evse.fault is not None or evse.ev_hold:
        der.rest(evse.id)
    else:
        power_kw = _powered(evse, car, settings, point, around, grid, now_s, der)
    evse.kvar = der.kvar(evse.id)
    around.flows[evse.id] = power_kw
    return power_kw


def _note(evse: Evse, settings: StationSettings, point: Point, around: Surroundings) -> None:
    """Mode, and what Idle makes of the EVSE; another leading profile begins anew."""
    if evse.mode != point.mode.value or evse.sources != point.sources:
        evse.followed_hz = None
        if evse.mode != OperationMode.LOCAL_LOAD_BALANCING.value:
            evse.balance = Balance(evse.power_kw)
        if point.mode is not OperationMode.LOCAL_LOAD_BALANCING:
            around.balancing.discard(evse.id)
    evse.mode, evse.sources = point.mode.value, point.sources
    evse.asleep = point.sleep and "EvseSleep" in settings.smart.features
    evse.preconditions = point.precondition
    evse.phases = point.phases
    evse.phase = (point.phase_to_use or 1) if point.phases == 1 else None


def _powered(
    evse: Evse,
    car: Car,
    settings: StationSettings,
    point: Point,
    around: Surroundings,
    grid: Grid,
    now_s: float,
    der: DerPower,
) -> float:
    """The power between what the profiles want and what DER controls, station and car allow."""
    hours = STEP_LEAST_S / SECONDS_PER_HOUR
    wanted, evse.setpoint_kw = wanted_kw(evse, point, around, grid, now_s)
    wanted = held(evse.ev_profile, now_s, wanted * W_PER_KW) / W_PER_KW
    if evse.setpoint_kw is None and wanted > 0.0 and car.is_content:
        wanted = 0.0  # the car itself stops at its target
    if not grid.up:
        wanted = 0.0
    built = most_kw(settings, point.phases)
    may_discharge = settings.v2x and evse.v2x_allowed is not False
    # No control goes beyond what the profiles allow: a limit of 0 W never exports.
    low = max(-built, min(point.low_w[0] / W_PER_KW, 0.0)) if may_discharge else 0.0
    if may_discharge and wanted < 0.0:
        low = max(min(low, wanted), -built)
    high = min(built, max(point.high_w[0] / W_PER_KW, 0.0))
    wanted = car.possible_kw(min(max(wanted, low), high), hours)
    reactive = None if point.reactive_var is None else point.reactive_var / W_PER_KW
    if evse.asleep:
        der.rest(evse.id)
        return 0.0
    inverter = None
    if der.controls or der.off_kind or reactive is not None:
        inverter = inverter_of(settings, car)
        der.monitor(sum(around.flows.values()), around.meter_kw(), inverter.discharge_kw, now_s)
    power_kw = der.power_kw(evse.id, wanted, low, high, grid, now_s, inverter, reactive)
    if power_kw != wanted:
        power_kw = car.possible_kw(power_kw, hours)
    return power_kw if abs(power_kw) >= POWER_LEAST_KW else 0.0


def next_change_s(
    evse: Evse, car: Car, installed: Installed, where: Situation, begin_s: float, end_s: float
) -> float:
    """The first moment in (begin_s, end_s] at which the power of a running transaction may change
    by itself or its meter falls due [epoch s] (begin_s itself for an overdue meter)."""
    end_s = min(end_s, max(evse.next_meter_s, begin_s))
    end_s = min(end_s, begin_s + max(car.lasts_s(evse.power_kw), STEP_LEAST_S))
    if evse.mode == OperationMode.LOCAL_LOAD_BALANCING.value and evse.balance.moving:
        end_s = min(end_s, begin_s + READ_EVERY_S)
    end_s = next_edge_s(evse.ev_profile, begin_s, end_s)
    edges = change_times(installed.by_id.values(), where, begin_s, end_s)
    return edges[1] if len(edges) > 1 else end_s
