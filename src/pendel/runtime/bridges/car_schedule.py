"""What a car in scheduled control is offered: the coming steps of its plan as one schedule.

Each new schedule is a renegotiation with the car, so one that still says what is ordered now stays.
An order for less goes out at once, the first one after the needs, and one of an operator; one for
more, or another plan, at most each RAISE_S.
"""

from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from pendel.comms.ocpp.backend.stations import Evse, Station
from pendel.records import PlanRecord

CHANGED_KW = 0.1
LIMIT_EPSILON_KW = 1e-3
RAISE_S = 5.0
REFRESH_S = 900.0
"""The last period of a schedule is given anew after this time."""
KW_DIGITS = 2
POINTS_MAX = 1_024
"""Of a schedule by the schemas of OCPP."""


@dataclass(frozen=True, slots=True)
class CarSchedule:
    """From begin_s [epoch s] on: (seconds after it, kW), a charging limit, or for a car that gives
    back a setpoint (signed); the last has no end."""

    begin_s: int
    periods: tuple[tuple[int, float], ...]

    def kw(self, at_s: float) -> float:
        """The value at a time [kW]."""
        found = self.periods[0][1]
        for offset_s, limit_kw in self.periods:
            if self.begin_s + offset_s > at_s:
                break
            found = limit_kw
        return found

    def differs(self, other: "CarSchedule", from_s: float) -> bool:
        """Whether the two differ by CHANGED_KW or more at any time from from_s on."""
        edges = {from_s}
        for each in (self, other):
            edges |= {each.begin_s + s for s, _ in each.periods if each.begin_s + s > from_s}
        return any(abs(self.kw(at) - other.kw(at)) >= CHANGED_KW for at in edges)


def takes_schedule(needs: Any, points: int, bidirectional: bool) -> bool:
    """Whether a car wants a schedule to follow: it said how many entries it takes, and does not
    let the station lead it (K15, K18); one that may give back must have said so in words."""
    if needs is None or points <= 0:
        return False
    control = getattr(needs, "controlMode", UNSET)
    return control == "ScheduledControl" if bidirectional else control != "DynamicControl"


def points_of(station: Station, evse: Evse) -> int:
    """Most periods a schedule may have for the car and the station; 0 = the car takes none."""
    told = station.variable("SmartChargingCtrlr", "PeriodsPerSchedule", evse.evse_id)
    most = int(told) if told is not None and told.isdigit() and int(told) > 0 else POINTS_MAX
    return min(evse.needs_points, most, POINTS_MAX)


def schedule_of(
    plan: PlanRecord | None,
    device_id: str,
    now_s: float,
    order_kw: float,
    band_kw: tuple[float, float],
    points_max: int,
) -> CarSchedule:
    """The order now, from the next step on the plan, within band_kw (lowest, highest) and
    points_max periods (the last of them then runs on until there is a newer schedule)."""
    begin_s, (low_kw, high_kw) = int(now_s), band_kw
    periods = [(0, round(max(order_kw, low_kw), 6))]
    powers = [] if plan is None else plan.power_kw.get(device_id, [])
    if plan is not None and powers:
        first_s = int(plan.begin_utc.timestamp())
        for step, power_kw in enumerate([*powers, 0.0]):
            offset_s = first_s + step * plan.step_s - begin_s
            limit_kw = round(min(max(power_kw, low_kw), high_kw), KW_DIGITS)
            if offset_s > 0 and abs(limit_kw - periods[-1][1]) >= LIMIT_EPSILON_KW:
                periods.append((offset_s, limit_kw))
    return CarSchedule(begin_s, tuple(periods[: max(points_max, 1)]))


@dataclass(slots=True)
class CarSchedules:
    """The schedules that stand, by device and transaction."""

    standing: dict[tuple[str, str], CarSchedule] = field(default_factory=dict)

    def wanted(self, key: tuple[str, str], fresh: CarSchedule, at_once: bool) -> CarSchedule:
        """The schedule that shall hold: the standing one while that is good enough, else the fresh
        one (made now)."""
        old = self.standing.get(key)
        if old is not None and not self._outdated(old, fresh, at_once):
            return old
        for other in [k for k in self.standing if k[0] == key[0]]:
            del self.standing[other]
        self.standing[key] = fresh
        return fresh

    @staticmethod
    def _outdated(old: CarSchedule, fresh: CarSchedule, at_once: bool) -> bool:
        now_s = float(fresh.begin_s)
        stands, ordered = old.kw(now_s), fresh.kw(now_s)
        over = now_s >= old.begin_s + old.periods[-1][0] + REFRESH_S
        if over or not min(ordered, 0.0) <= stands <= max(ordered, 0.0) + LIMIT_EPSILON_KW:
            return True
        return (at_once or now_s >= old.begin_s + RAISE_S) and old.differs(fresh, now_s)
