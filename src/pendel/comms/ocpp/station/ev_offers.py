"""Composite schedules as offers to a car, and a car's own profile as a chargingSchedule. Pure."""

import math
from dataclasses import replace
from typing import Any

from pendel.comms.ocpp.composite import Point, Stretch
from pendel.comms.ocpp.station.ev_side import Choice, Offer, Step, power_at, prices_of

Payload = dict[str, Any]
WATT_DIGITS = 1
NO_SCHEDULE = 0
"""Id of an offer that no TxProfile made."""
Profile = tuple[tuple[float, float], ...]


def offer_of(
    stretches: list[Stretch], wire: Payload | None, now_s: float, lasts_s: float, most_w: float
) -> Offer:
    """An offer over lasts_s [s] from stretches (relative to now_s); wire: the chargingSchedule that
    leads it, for its id and prices; most_w: what the EVSE can."""
    prices = [] if wire is None else prices_of(wire, now_s)
    edges = {stretch.start_s for stretch in stretches}
    edges |= {start_s for start_s, _ in prices if 0.0 < start_s < lasts_s}
    steps = []
    for start_s in sorted(edges):
        point = [s for s in stretches if s.start_s <= start_s][-1].point
        price = power_at(tuple(prices), start_s) if prices else None
        steps.append(_step(start_s, point, most_w, price if price != math.inf else None))
    number = NO_SCHEDULE if wire is None else int(wire["id"])
    return Offer(number, tuple(steps), lasts_s)


def _step(start_s: float, point: Point, most_w: float, price: float | None) -> Step:
    high_w = min(point.high_w[0], most_w)
    low_w = max(point.low_w[0], -most_w)
    setpoint = None if point.setpoint_w is None else point.setpoint_w[0]
    if setpoint is not None:
        setpoint = min(max(setpoint, -most_w), most_w)
    return Step(start_s, low_w, high_w, setpoint, price)


def reported(choice: Choice, is_21: bool) -> Payload:
    """The car's profile as ChargingScheduleType with the id of the schedule it took: limits where
    it charges, setpoints where it follows one (2.1; before, a negative limit)."""
    offer = choice.offer
    periods = []
    for start_s, watts in choice.profile:
        step = next(s for s in reversed(offer.steps) if s.start_s <= start_s)
        value = round(watts, WATT_DIGITS) + 0.0
        period: Payload = {"startPeriod": round(start_s)}
        if is_21 and step.setpoint_w is not None:
            period |= {"operationMode": "CentralSetpoint", "setpoint": value}
        else:
            period["limit"] = value
        periods.append(period)
    return {
        "id": offer.schedule_id,
        "chargingRateUnit": "W",
        "duration": round(offer.duration_s),
        "chargingSchedulePeriod": periods,
    }


def cut_by(stretches: list[Stretch], profile: Profile, lasts_s: float) -> list[Stretch]:
    """A composite schedule of lasts_s [s] with the car's own power profile as a further charging
    limit."""
    if not stretches or not profile:
        return stretches
    own_edges = {max(s, 0.0) for s, _ in profile if s < lasts_s}
    edges = sorted({s.start_s for s in stretches} | own_edges)
    found: list[Stretch] = []
    for start_s in edges:
        point = [s for s in stretches if s.start_s <= start_s][-1].point
        own = max(power_at(profile, start_s), 0.0)
        if own < point.high_w[0]:
            point = replace(point, high_w=(own, *point.high_w[1:]))
        if not found or found[-1].point != point:
            found.append(Stretch(start_s, point))
    return found


def next_edge_s(profile: Profile, begin_s: float, end_s: float) -> float:
    """The first moment in (begin_s, end_s] at which a car's profile changes, else end_s."""
    return next((s for s, _ in profile if begin_s < s < end_s), end_s)
