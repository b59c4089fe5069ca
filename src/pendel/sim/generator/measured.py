"""Stays at work, in public and in depots.

Work and public: drawn again from measured stays (arrival, length and energy stay together), a few
minutes and per cent apart. Depot: a timetable; no log of one with a free licence exists.
"""

import numpy as np

from pendel.sim.generator.mobility import DAY_MIN, Stands, weekday_kind
from pendel.sim.generator.tables import Stays
from pendel.units import FloatArray

LOOK_BACK_DAYS = 3
APART_MIN = 10.0
APART_SHARE = 0.05
OUT_MEAN_MIN, OUT_SPREAD_MIN = 6.25 * 60.0, 40.0
BACK_MEAN_MIN, BACK_SPREAD_MIN = 17.25 * 60.0, 60.0
DEPOT_DAYS = (True, True, True, True, True, True, False)
"""Vans go out from Monday to Saturday."""
DEPOT_KM_MEAN, DEPOT_KM_SPREAD = 110.0, 45.0
DEPOT_KWH_KM = 0.28


def measured_stays(
    cars: int,
    per_weekday: float,
    per_weekend_day: float,
    first_weekday: int,
    days: int,
    table: Stays,
    rng: np.random.Generator,
) -> Stands:
    """Stays that touch days 0..days, of cars that come with a chance per day of the week.

    A stay that would begin while the car still stands from the day before is left out.
    """
    free_from = np.full(cars, -np.inf)
    stated = bool(table.stated_error_min.any())
    parts = []
    for day in range(-LOOK_BACK_DAYS, days + 1):
        kind = weekday_kind((first_weekday + day) % 7)
        rows = np.flatnonzero(table.weekend == (kind > 0))
        comes = np.flatnonzero(rng.random(cars) < (per_weekend_day if kind else per_weekday))
        row = rows[rng.integers(0, len(rows), len(comes))]
        apart = rng.uniform(-1.0, 1.0, (3, len(comes)))
        arrive = day * DAY_MIN + table.arrive_min[row] + APART_MIN * apart[0]
        depart = arrive + table.stay_min[row] * (1.0 + APART_SHARE * apart[1])
        kept = arrive >= free_from[comes]
        free_from[comes[kept]] = depart[kept]
        parts.append(
            (
                comes[kept],
                arrive[kept],
                depart[kept],
                (table.energy_kwh[row] * (1.0 + APART_SHARE * apart[2]))[kept],
                table.stated_error_min[row][kept],
            )
        )
    car, arrive, depart, energy, error = (np.concatenate(p) for p in zip(*parts, strict=True))
    touches = depart > 0.0
    order = np.argsort(car[touches], kind="stable")
    columns = (array[touches][order] for array in (car, arrive, depart, energy, error))
    car, arrive, depart, energy, error = columns
    has = np.full(len(car), stated)
    return Stands(car.astype(np.int64), arrive, depart, energy, error.astype(np.float64), has)


def depot_stays(cars: int, first_weekday: int, days: int, rng: np.random.Generator) -> Stands:
    """Stays of vans between their tours; departures are stated and kept (a timetable)."""
    leaves, returns, driven = _tours(cars, first_weekday, days, rng)
    count = len(leaves)
    departs, next_out = np.empty((count, cars)), np.full(cars, (days + 2.0) * DAY_MIN)
    for row in range(count - 1, -1, -1):
        departs[row] = next_out
        next_out = np.where(np.isfinite(leaves[row]), leaves[row], next_out)
    car, day = np.nonzero((np.isfinite(returns) & (departs > 0.0) & (returns < departs)).T)
    return Stands(
        car.astype(np.int64),
        returns[day, car],
        departs[day, car],
        driven[day, car],
        np.zeros(len(car)),
        np.ones(len(car), dtype=np.bool_),
    )


def _tours(
    cars: int, first_weekday: int, days: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Departure, return [min] and energy [kWh] of each day's tour [days, cars]."""
    count = days + 1 + LOOK_BACK_DAYS
    leaves = np.full((count, cars), np.inf)
    returns = np.full((count, cars), -np.inf)
    driven = np.zeros((count, cars))
    usual_out = rng.normal(OUT_MEAN_MIN, OUT_SPREAD_MIN, cars)
    usual_back = rng.normal(BACK_MEAN_MIN, BACK_SPREAD_MIN, cars)
    usual_km = np.clip(rng.normal(DEPOT_KM_MEAN, DEPOT_KM_SPREAD, cars), 20.0, 240.0)
    for row in range(count):
        day = row - LOOK_BACK_DAYS
        apart = rng.normal(0.0, 1.0, (3, cars))
        if not DEPOT_DAYS[(first_weekday + day) % 7]:
            continue
        leaves[row] = day * DAY_MIN + usual_out + 5.0 * apart[0]
        returns[row] = np.maximum(
            day * DAY_MIN + usual_back + 15.0 * apart[1], leaves[row] + 4.0 * 60.0
        )
        driven[row] = DEPOT_KWH_KM * np.clip(usual_km * (1.0 + 0.1 * apart[2]), 10.0, 250.0)
    return leaves, returns, driven
