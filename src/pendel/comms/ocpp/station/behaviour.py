"""What power an EVSE takes or gives now: what profiles ask, what car and station can do."""

import math
from dataclasses import dataclass

from pendel.comms.ocpp.composite import Point, Situation, curve_power_w, point_at
from pendel.comms.ocpp.profile import Installed, OperationMode
from pendel.comms.ocpp.station.equipment import Evse, StationSettings
from pendel.units import W_PER_KW

FREQUENCY_NOMINAL_HZ = 50.0


@dataclass(slots=True)
class Surroundings:
    """What the station measures around it: grid frequency, upstream power [kW, import positive],
    whether the grid voltage is valid, an external energy manager's setpoint or limits [kW]."""

    frequency_hz: float = FREQUENCY_NOMINAL_HZ
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


def settle(
    evse: Evse,
    settings: StationSettings,
    installed: Installed,
    around: Surroundings,
    now_s: float,
    offline_since_s: float | None,
) -> float:
    """AC power [kW] of an EVSE from now on. 0 without a transaction, in a fault, on a dead grid."""
    car, transaction = evse.car, evse.transaction
    evse.setpoint_kw = None
    if car is None or transaction is None or evse.stopped or evse.fault is not None:
        return 0.0
    if not around.grid_up or not evse.available:
        return 0.0
    where = Situation(
        evse_id=evse.id,
        transaction_id=str(transaction.wire_id if transaction.wire_id else transaction.id),
        transaction_start_s=transaction.start_s,
        offline_since_s=offline_since_s,
        priority=evse.priority,
        soc=car.soc,
        timezone=settings.timezone,
    )
    point = point_at(installed.by_id.values(), where, now_s)
    wanted, evse.setpoint_kw = wanted_kw(evse, point, around)
    if point.setpoint_w is None and car.is_content and wanted > 0.0 and evse.setpoint_kw is None:
        return 0.0  # the car itself stops at its target
    low = -settings.power_max_kw if settings.v2x else 0.0
    power_kw = min(max(wanted, low), settings.power_max_kw)
    return car.possible_kw(power_kw, 1.0 / 3600.0)
