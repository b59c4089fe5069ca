"""What power an EVSE takes or gives now: what profiles ask, what car and station can do."""

import math
from dataclasses import dataclass

from pendel.comms.ocpp.composite import Point, Situation, change_times, curve_power_w, point_at
from pendel.comms.ocpp.profile import Installed, OperationMode
from pendel.comms.ocpp.station.der_power import DerPower, Grid
from pendel.comms.ocpp.station.equipment import Car, Evse, StationSettings
from pendel.comms.ocpp.station.ev_offers import next_edge_s
from pendel.comms.ocpp.station.ev_side import held
from pendel.units import SECONDS_PER_HOUR, W_PER_KW

FREQUENCY_NOMINAL_HZ = 50.0
POWER_LEAST_KW = 0.001
STEP_LEAST_S = 1.0
"""Time in which a battery may run full or empty at most once."""


@dataclass(slots=True)
class Surroundings:
    """What the station measures around it: grid frequency, upstream power [kW, import positive],
    voltage as a share of nominal, whether there is a grid, an external energy manager's setpoint
    or limits [kW]."""

    frequency_hz: float = FREQUENCY_NOMINAL_HZ
    voltage_pu: float = 1.0
    upstream_kw: float = 0.0
    grid_up: bool = True
    external_setpoint_kw: float | None = None
    balance_threshold_kw: float = 0.0


def wanted_kw(evse: Evse, point: Point, around: Surroundings) -> tuple[float, float | None]:
    """(power the profiles ask for [kW], setpoint if the mode has one). The car charges as fast
    as it may in ChargingOnly; in the other modes the mode's own value leads."""
    low_kw, high_kw = point.low_w[0] / W_PER_KW, point.high_w[0] / W_PER_KW
    setpoint = _setpoint_kw(evse, point, around)
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


def _setpoint_kw(evse: Evse, point: Point, around: Surroundings) -> float | None:
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
            if not around.grid_up or not math.isfinite(around.frequency_hz):
                return 0.0
            base = point.baseline_w + curve_power_w(point.frequency_curve, around.frequency_hz)
            return base / W_PER_KW
        case OperationMode.LOCAL_LOAD_BALANCING:
            # hold the power at the upstream meter at its threshold (block Q, section 2.2)
            return evse.power_kw + around.balance_threshold_kw - around.upstream_kw
    return None


def situation(evse: Evse, settings: StationSettings, offline_since_s: float | None) -> Situation:
    """What the validity of profiles depends on at an EVSE."""
    transaction = evse.transaction
    return Situation(
        evse_id=evse.id,
        transaction_id=None if transaction is None else transaction.known_as,
        transaction_start_s=None if transaction is None else transaction.start_s,
        offline_since_s=offline_since_s,
        priority=evse.priority,
        soc=None if evse.car is None else evse.car.soc,
        timezone=settings.timezone,
    )


def settle(
    evse: Evse,
    settings: StationSettings,
    installed: Installed,
    around: Surroundings,
    now_s: float,
    offline_since_s: float | None,
    der: DerPower,
) -> float:
    """AC power [kW] of an EVSE from now on; notes mode and setpoint there. 0 without an authorised
    transaction, in a fault, on a dead grid. der: the DER controls in force."""
    car, transaction = evse.car, evse.transaction
    evse.setpoint_kw = None
    if car is None or transaction is None or not transaction.authorized:
        return 0.0
    where = situation(evse, settings, offline_since_s)
    point = point_at(installed.by_id.values(), where, now_s)
    evse.mode = point.mode.value
    grid = Grid(around.frequency_hz, around.voltage_pu, around.grid_up)
    if evse.fault is not None or evse.ev_hold or not around.grid_up:
        return der.power_kw(evse.id, 0.0, 0.0, 0.0, grid, now_s)
    wanted, evse.setpoint_kw = wanted_kw(evse, point, around)
    wanted = held(evse.ev_profile, now_s, wanted * W_PER_KW) / W_PER_KW
    if evse.setpoint_kw is None and wanted > 0.0 and car.is_content:
        return 0.0  # the car itself stops at its target
    may_discharge = settings.v2x and evse.v2x_allowed is not False
    low = der.lowest_kw(settings.power_max_kw) if may_discharge else 0.0
    power_kw = der.power_kw(evse.id, wanted, low, settings.power_max_kw, grid, now_s)
    power_kw = car.possible_kw(power_kw, STEP_LEAST_S / SECONDS_PER_HOUR)
    return power_kw if abs(power_kw) >= POWER_LEAST_KW else 0.0


def next_change_s(
    evse: Evse, car: Car, installed: Installed, where: Situation, begin_s: float, end_s: float
) -> float:
    """The first moment in (begin_s, end_s] at which the power of a running transaction may change
    by itself or its meter falls due [epoch s] (begin_s itself for an overdue meter)."""
    end_s = min(end_s, max(evse.next_meter_s, begin_s))
    end_s = min(end_s, begin_s + max(car.lasts_s(evse.power_kw), STEP_LEAST_S))
    end_s = next_edge_s(evse.ev_profile, begin_s, end_s)
    edges = change_times(installed.by_id.values(), where, begin_s, end_s)
    return edges[1] if len(edges) > 1 else end_s
