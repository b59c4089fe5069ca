"""Stays at home from trips: when cars leave, come back, and what they have driven.

Per car and local day: a number of trips (trips_per_day), the first departure (of work or other
trips), the last way home after it, and kilometres (distances). A stay lasts from one way home to
the next departure, over as many days as the car stands. Between first departure and last way home
the car counts as away, also where a survey trip led home in between.
"""

from dataclasses import dataclass

import numpy as np

from pendel.sim.generator.tables import ENDS_KM_LEAST, SLOTS, Trips
from pendel.units import BoolArray, FloatArray, IntArray

SLOT_MIN = 30.0
DAY_MIN = 1_440
LOOK_BACK_DAYS = 6
WORKER_SHARE = 0.6
FULL_TIME_SHARE = 0.75
STAY_FULL_TIME_MIN = 420.0
STAY_PART_TIME_MIN = 210.0
STAY_OTHER_MIN = 30.0


@dataclass(frozen=True, slots=True)
class Stands:
    """Stays of cars [n]: car index; arrive_min, depart_min since the begin of day 0 (negative =
    before it); energy_kwh wanted from the grid side into the battery; stated_error_min: stated
    minus real departure; stated [n]: whether a departure was stated at all."""

    car: IntArray
    arrive_min: FloatArray
    depart_min: FloatArray
    energy_kwh: FloatArray
    stated_error_min: FloatArray
    stated: BoolArray


def weekday_kind(weekday: int) -> int:
    """Index into DAYS for a day of the week (0 = Monday)."""
    return max(0, weekday - 4)


def home_stays(
    cars: int,
    consumption_kwh_km: FloatArray,
    plug_in_share: float,
    first_weekday: int,
    days: int,
    tables: Trips,
    rng: np.random.Generator,
) -> Stands:
    """Plugged-in stays at home that touch days 0..days of cars [cars].

    first_weekday: of day 0 (0 = Monday). Energy is what was driven since the last plug-in.
    """
    worker = rng.random(cars) < WORKER_SHARE
    full_time = rng.random(cars) < FULL_TIME_SHARE
    begin, end = -LOOK_BACK_DAYS, days + 1
    count = end - begin
    leaves = np.full((count, cars), np.inf)
    returns = np.full((count, cars), -np.inf)
    driven = np.zeros((count, cars))
    for row in range(count):
        kind = weekday_kind((first_weekday + begin + row) % 7)
        trips = draw(tables.count_share[min(kind, 1)], rng.random(cars))
        goes = np.flatnonzero(trips > 0)
        out, back = _day(goes, trips[goes], worker, full_time, kind, tables, rng)
        leaves[row, goes] = out + (begin + row) * DAY_MIN
        returns[row, goes] = back + (begin + row) * DAY_MIN
        km = np.zeros(len(goes))
        for trip in range(int(trips.max(initial=0))):
            lengths = _kilometres(tables, rng.random(len(goes)), rng.random(len(goes)))
            km += np.where(trips[goes] > trip, lengths, 0.0)
        driven[row, goes] = km * consumption_kwh_km[goes]
    plugged = (driven > 0.0) & (rng.random((count, cars)) < plug_in_share)
    return _chain(leaves, returns, driven, plugged, (days + 1) * DAY_MIN)


def _chain(
    leaves: FloatArray, returns: FloatArray, driven: FloatArray, plugged: BoolArray, end_min: float
) -> Stands:
    """Stays from each plugged-in way home to the next departure; energy since the last plug-in."""
    count, cars = leaves.shape
    next_out = np.full(cars, end_min)
    departs = np.empty((count, cars))
    for row in range(count - 1, -1, -1):
        departs[row] = next_out
        next_out = np.where(np.isfinite(leaves[row]), leaves[row], next_out)
    since = np.zeros(cars)
    energy = np.empty((count, cars))
    for row in range(count):
        since = since + driven[row]
        energy[row] = since
        since = np.where(plugged[row], 0.0, since)
    touches = plugged & (departs > 0.0) & (returns < departs)
    car, day = np.nonzero(touches.T)
    nothing = np.zeros(len(car))
    return Stands(
        car.astype(np.int64),
        returns[day, car],
        departs[day, car],
        energy[day, car],
        nothing,
        np.zeros(len(car), dtype=np.bool_),
    )


def _day(
    goes: IntArray,
    trips: IntArray,
    worker: BoolArray,
    full_time: BoolArray,
    kind: int,
    tables: Trips,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Minutes of the first departure and of the return home of the cars that drive."""
    count = len(goes)
    out, back = np.empty(count), np.empty(count)
    first, last = rng.random(count), rng.random(count)
    inside_out, inside_back = rng.random(count), rng.random(count)
    commutes = worker[goes] & (kind == 0)
    stay = np.where(full_time[goes], STAY_FULL_TIME_MIN, STAY_PART_TIME_MIN)
    stay = np.where(commutes, stay, STAY_OTHER_MIN)
    legs_out = np.maximum(trips - 1, 1)
    legs_home = np.maximum(trips // 2, 1)
    for who in (0, 1):
        for commuting in (False, True):
            mine = np.flatnonzero((worker[goes] == (who == 0)) & (commutes == commuting))
            if not len(mine):
                continue
            share = tables.work[who, kind] if commuting else tables.away[who, kind]
            # Of several departures the first one counts, on days to work the one to work.
            u = first[mine] if commuting else 1.0 - (1.0 - first[mine]) ** (1.0 / legs_out[mine])
            out[mine] = (draw(share, u) + inside_out[mine]) * SLOT_MIN
            ready = out[mine] + stay[mine]
            back[mine] = _after(
                tables.home[who, kind], ready, last[mine] ** (1.0 / legs_home[mine])
            )
    back = np.maximum(back + inside_back * SLOT_MIN, out + stay)
    return out, back


def _after(share: FloatArray, ready_min: FloatArray, u: FloatArray) -> FloatArray:
    """Begin [min] of a half hour drawn from those at or after a minute."""
    below = np.concatenate([[0.0], np.cumsum(share)])
    slot = np.clip((ready_min // SLOT_MIN).astype(np.int64), 0, SLOTS - 1)
    passed = below[slot]
    target = passed + (below[-1] - passed) * u
    drawn = np.searchsorted(below[1:], target, side="right")
    return np.asarray(np.clip(drawn, slot, SLOTS - 1) * SLOT_MIN)


def draw(share: FloatArray, u: FloatArray) -> IntArray:
    """Classes [n] of a discrete distribution from even random numbers [n] in 0..1."""
    below = np.cumsum(share)
    drawn = np.searchsorted(below, u * below[-1], side="right")
    return np.asarray(np.minimum(drawn, len(share) - 1), dtype=np.int64)


def _kilometres(tables: Trips, u: FloatArray, inside: FloatArray) -> FloatArray:
    """Lengths of trips, even within their class [km]."""
    lower = np.concatenate([[ENDS_KM_LEAST], tables.km_upper[:-1]])
    which = draw(tables.km_share, u)
    return np.asarray(lower[which] + inside * (tables.km_upper[which] - lower[which]))


def expected_kwh_per_day(tables: Trips, consumption_kwh_km: float) -> float:
    """Energy a car drives per day on average over a week [kWh]."""
    trips = tables.count_share @ np.arange(tables.count_share.shape[1])
    per_day = (5.0 * trips[0] + 2.0 * trips[1]) / 7.0
    return float(per_day * tables.km_mean * consumption_kwh_km)


def expected_driving_share(tables: Trips) -> float:
    """Share of days on which a car is driven at all."""
    drives = 1.0 - tables.count_share[:, 0]
    return float((5.0 * drives[0] + 2.0 * drives[1]) / 7.0)
