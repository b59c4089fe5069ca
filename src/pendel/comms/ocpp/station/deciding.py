"""What every EVSE of a virtual station does from now on, all of them together."""

import math
from typing import TYPE_CHECKING

from pendel.comms.ocpp.composite import Situation, point_at, station_limits_w
from pendel.comms.ocpp.profile import Purpose
from pendel.comms.ocpp.station.balancing import Want, shares_kw
from pendel.comms.ocpp.station.behaviour import POWER_LEAST_KW, settle, situation
from pendel.comms.ocpp.station.equipment import Evse
from pendel.units import W_PER_KW

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.core import VirtualStation


def decide(station: "VirtualStation") -> None:
    """Power of every EVSE as of now, balanced; tells what changed by that."""
    draw_delays(station)
    busy = [evse for evse in station.evses.values() if evse.car is not None]
    csms_first = station.dialect.csms_setpoint_first
    for evse in busy:
        evse.power_kw = settle(
            evse,
            station.settings,
            station.profiles,
            station.around,
            station.now_s,
            station.offline_since_s,
            station.der_power,
            csms_first,
        )
    _balance(station, busy)
    for evse in busy:
        _note(station, evse)
    station.dialect.settled(station.now_s)


def draw_delays(station: "VirtualStation") -> None:
    """Random delays of each transaction, once for each profile (K01.FR.93)."""
    for profile in station.profiles.by_id.values():
        if profile.random_delay_s <= 0.0:
            continue
        most = int(profile.random_delay_s)
        for evse in station.evses.values():
            transaction = evse.transaction
            if transaction is not None and profile.id not in transaction.delays:
                drawn = (float(station.rng.randint(0, most)) for _ in profile.periods[1:])
                transaction.delays[profile.id] = (0.0, *drawn)


def _balance(station: "VirtualStation", busy: list[Evse]) -> None:
    for evse in busy:
        evse.share_kw = None
    active = [evse for evse in busy if evse.power_kw]
    alone = len(station.evses) == 1 and station.settings.smart.connection_kw is None
    if not active or alone:
        return  # what holds at EVSE 0 holds for a single EVSE already
    most_kw, least_kw = _room_kw(station, active)
    wants = [_want(evse) for evse in active]
    for evse, share_kw in zip(active, shares_kw(wants, most_kw, least_kw), strict=True):
        if share_kw != evse.power_kw:
            evse.power_kw = share_kw if abs(share_kw) >= POWER_LEAST_KW else 0.0
            evse.share_kw = evse.power_kw


def _want(evse: Evse) -> Want:
    if evse.transaction is None:
        return Want(evse.power_kw)
    return Want(
        evse.power_kw,
        evse.least_kw,
        evse.transaction.charging_priority,
        evse.transaction.start_s,
    )


def _room_kw(station: "VirtualStation", active: list[Evse]) -> tuple[float, float]:
    """(most, least) of all EVSEs together [kW, signed]."""
    profiles = station.profiles.by_id.values()
    where = Situation(
        0,
        offline_since_s=station.offline_since_s,
        timezone=station.settings.timezone,
        csms_setpoint_first=station.dialect.csms_setpoint_first,
    )
    high_w, low_w, more_w = station_limits_w(profiles, where, station.now_s)
    built = station.settings.smart.connection_kw
    built_kw = math.inf if built is None else built
    most_kw = min(high_w / W_PER_KW, built_kw)
    if more_w > 0.0 and len(active) > 1:
        # what is generated at the station is there once, however many EVSEs it is offered to
        own_kw = sum(_without_generation_kw(station, evse) for evse in active)
        most_kw = min(most_kw, own_kw + more_w / W_PER_KW)
    return most_kw, max(low_w / W_PER_KW, -built_kw)


def _without_generation_kw(station: "VirtualStation", evse: Evse) -> float:
    where = situation(evse, station.settings, station.offline_since_s)
    others = [
        profile
        for profile in station.profiles.by_id.values()
        if profile.purpose is not Purpose.LOCAL_GENERATION or profile.evse_id != 0
    ]
    high_kw = point_at(others, where, station.now_s).high_w[0] / W_PER_KW
    return min(evse.power_kw, high_kw)


def _note(station: "VirtualStation", evse: Evse) -> None:
    transaction = evse.transaction
    if transaction is None or not transaction.authorized:
        return
    if evse.mode != transaction.mode:
        transaction.mode = evse.mode
        station.dialect.mode_changed(evse, station.now_s)
    if evse.charging_state != transaction.charging_state:
        station.dialect.state_changed(evse, station.now_s)
