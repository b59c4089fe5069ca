"""Forecasts of load, PV and prices: a point and a band, from nothing but the past.

One method serves all, because it is robust where history is short (a run begins with none):

    profile   weighted mean of the same local time on earlier days, recent days and days of the
              same type (working day, Saturday, Sunday) weighing more; combined with the day and
              the week before by how well each did so far
    level     the mean error of the last hour, fading as errors faded in the past
    band      quantiles of the errors the profile made at that time of day on the days before,
              narrower where the level still tells something

PV is forecast as an index of a shape: the clear sky of pvlib where the place is known, else the
envelope of the last weeks. Every input ends before now: nothing later can enter, and
`benchmarks/forecast_calibration.py` measures coverage and skill against naive baselines.
"""

import warnings
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from pendel.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, FloatArray, IntArray

DAYS_BACK = 14
BACKTEST_DAYS = 14
DAY_FADE = 0.85
OTHER_TYPE_WEIGHT = 0.05
MEMORY_GUESS, MEMORY_MOST = 0.6, 0.97
TIME_WINDOW_H = 1.0
COVERAGE = 0.8
SHAPE_LEAST = 0.02
OPTIMISM = 0.8
"""Errors to come are somewhat larger than those the weights were chosen on."""


@dataclass(frozen=True, slots=True)
class Band:
    """Forecast [rows, steps]: point, and the band in which COVERAGE of the values should lie."""

    point: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True)
class Place:
    """Where a PV generator stands: degrees; azimuth from north, clockwise; nominal power [kW]."""

    latitude: float
    longitude: float
    tilt: float = 30.0
    azimuth: float = 180.0


def forecast_series(
    past_kw: FloatArray,
    now_s: int,
    step_s: int,
    steps: int,
    timezone: str,
    kind: str = "load",
    place: Place | None = None,
    coverage: float = COVERAGE,
) -> Band:
    """Forecast of power [S, steps] from past_kw [S, P], whose last column ends at now_s.

    kind "load" or "pv"; powers are amounts >= 0. place: for pv only, gives the clear-sky shape.
    coverage 0: only the point is wanted (the band is the point), which is much faster.
    """
    past = np.maximum(past_kw, 0.0)
    if kind == "pv":
        return _pv(past, now_s, step_s, steps, timezone, place, coverage)
    band = _extend(past, now_s, step_s, steps, timezone, True, coverage)
    return Band(*(np.maximum(part, 0.0) for part in (band.point, band.low, band.high)))


def forecast_prices(
    known: FloatArray,
    past: FloatArray,
    now_s: int,
    step_s: int,
    steps: int,
    timezone: str,
    coverage: float = COVERAGE,
) -> Band:
    """Prices [R, steps] from now_s on: the published ones as they are, then a forecast.

    known [R, H]: published, from the current step on; past [R, P]: before it, oldest first.
    """
    horizon = known.shape[1]
    if horizon >= steps:
        exact = np.ascontiguousarray(known[:, :steps])
        return Band(exact, exact, exact)
    day = SECONDS_PER_DAY // step_s
    series = np.concatenate([past, known], axis=1)[:, -(DAYS_BACK + BACKTEST_DAYS) * day :]
    begin_s = now_s + horizon * step_s
    missing = steps - horizon
    rest = _remembered(
        series.tobytes(),
        series.shape,
        begin_s,
        step_s,
        -(-missing // day) * day,
        timezone,
        coverage,
    )
    return Band(
        np.concatenate([known, rest.point[:, :missing]], axis=1),
        np.concatenate([known, rest.low[:, :missing]], axis=1),
        np.concatenate([known, rest.high[:, :missing]], axis=1),
    )


@lru_cache(maxsize=16)
def _remembered(
    series: bytes, shape: tuple[int, int], begin_s: int, step_s: int, steps: int, timezone: str,
    coverage: float,
) -> Band:  # fmt: skip
    """`_extend` of a price series; between two publications the question stays the same."""
    array = np.frombuffer(series, dtype=np.float64).reshape(shape)
    return _extend(array, begin_s, step_s, steps, timezone, True, coverage)


def _pv(
    past: FloatArray, now_s: int, step_s: int, steps: int, timezone: str,
    place: Place | None, coverage: float,
) -> Band:  # fmt: skip
    """PV as shape times index; where the shape is dark the forecast is dark."""
    count = past.shape[1]
    begin_s = now_s - count * step_s
    if place is not None:
        shape = clear_sky(place, begin_s, step_s, count + steps)[None, :]
        shape = np.repeat(shape, past.shape[0], axis=0)
    else:
        shape = _envelope(past, step_s, steps)
    lit = shape > SHAPE_LEAST * np.max(shape, axis=1, keepdims=True, initial=1e-12)
    index = np.where(
        lit[:, :count], past / np.where(shape[:, :count] > 0, shape[:, :count], 1), np.nan
    )
    band = _extend(index, now_s, step_s, steps, timezone, False, coverage)
    ahead = np.where(lit[:, count:], shape[:, count:], 0.0)
    return Band(*(np.maximum(part, 0.0) * ahead for part in (band.point, band.low, band.high)))


def clear_sky(place: Place, begin_s: int, step_s: int, steps: int) -> FloatArray:
    """Clear-sky irradiance on the plane of the modules, per step of step_s [steps], kW/m2.

    pvlib: solar position at the middle of the step, Haurwitz clear sky, isotropic sky [1].
    [1] Anderson et al., pvlib python: 2023 project update, JOSS 8(92), 5994, 2023.
    """
    import pandas as pd
    import pvlib

    middle = begin_s + (np.arange(steps) + 0.5) * step_s
    times = pd.to_datetime(middle, unit="s", utc=True)
    sun = pvlib.solarposition.get_solarposition(times, place.latitude, place.longitude)
    ghi = pvlib.clearsky.haurwitz(sun["apparent_zenith"])["ghi"]
    split = pvlib.irradiance.erbs(ghi, sun["zenith"], times)
    plane = pvlib.irradiance.get_total_irradiance(
        place.tilt, place.azimuth, sun["apparent_zenith"], sun["azimuth"],
        split["dni"], ghi, split["dhi"],
    )  # fmt: skip
    return np.nan_to_num(np.asarray(plane["poa_global"], dtype=np.float64)) / 1e3


def _envelope(past: FloatArray, step_s: int, steps: int) -> FloatArray:
    """Highest power of the last DAYS_BACK days at the same time of day [S, P + steps]."""
    day = SECONDS_PER_DAY // step_s
    rows, count = past.shape
    recent = past[:, max(0, count - DAYS_BACK * day) :]
    padded = np.zeros((rows, -(-max(recent.shape[1], 1) // day) * day))
    if recent.shape[1]:
        padded[:, -recent.shape[1] :] = recent
    top = padded.reshape(rows, -1, day).max(axis=1)
    top = np.maximum(top, 0.5 * (np.roll(top, 1, axis=1) + np.roll(top, -1, axis=1)))
    return np.asarray(top[:, (np.arange(count + steps) - count) % day])


def _extend(
    series: FloatArray, now_s: int, step_s: int, steps: int, timezone: str, day_types: bool,
    coverage: float,
) -> Band:  # fmt: skip
    """The common method on series [S, P] (NaN = missing); see the module docstring."""
    day = SECONDS_PER_DAY // step_s
    back = (DAYS_BACK + BACKTEST_DAYS) * day
    series = series[:, max(0, series.shape[1] - back) :]
    count = series.shape[1]
    stamps = now_s + step_s * np.arange(-count, steps)
    kind, offset_s = _calendar(stamps, timezone)
    kind = kind if day_types else np.zeros_like(kind)
    profile = _combined(series, kind, offset_s // step_s, day, steps)
    errors = series - profile[:, :count]
    level, memory = _level(errors, step_s)
    lead_h = (np.arange(steps) + 0.5) * step_s / SECONDS_PER_HOUR
    fade = memory[:, None] ** lead_h
    point = profile[:, count:] + level[:, None] * fade
    low, high = _error_quantiles(errors, step_s, day, steps, coverage)
    widen = np.sqrt(1.0 - fade**2)
    return Band(point, point + low * widen, point + high * widen)


def _combined(
    series: FloatArray, kind: IntArray, offset: IntArray, day: int, steps: int
) -> FloatArray:
    """Profile, day before and week before, weighted by how well each did so far (inverse
    squared mean square error), for past and coming steps [S, P + steps]."""
    count = series.shape[1]
    profile = _profile(series, kind, offset, day, steps)
    total, weight = np.zeros_like(profile), np.zeros((series.shape[0], 1))
    lags = [_lagged(series, profile, offset, lag) for lag in (day, 7 * day)]
    for guess in (profile, *lags):
        error = series[:, day:] - guess[:, day:count]
        seen = np.isfinite(error)
        square = np.where(seen, error, 0.0) ** 2
        mean = square.sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
        w = 1.0 / np.maximum(mean, 1e-12) ** 2 if error.shape[1] else np.ones_like(weight)
        total, weight = total + w * guess, weight + w
    return np.asarray(total / weight)


def _lagged(series: FloatArray, profile: FloatArray, offset: IntArray, lag: int) -> FloatArray:
    """The value at the same local time a whole number of lags earlier, as late as known; the
    profile where none is."""
    count, ends = series.shape[1], profile.shape[1]
    target = np.arange(ends)
    source = target - lag * np.maximum((target - count) // lag + 1, 1)
    inside = source >= 0
    source = source + np.where(inside, offset[target] - offset[np.maximum(source, 0)], 0)
    inside &= (source >= 0) & (source < np.minimum(target, count))
    at = np.where(inside, source, 0)
    value = np.where(inside, series[:, at], np.nan) if count else profile
    return np.where(np.isfinite(value), value, profile)


def _level(errors: FloatArray, step_s: int) -> tuple[FloatArray, FloatArray]:
    """Mean error of the last hour [S], and how much of an error is left an hour later [S]: the
    autocorrelation of past errors, 0..MEMORY_MOST (errors as a first-order process)."""
    rows, count = errors.shape
    window = max(1, round(SECONDS_PER_HOUR / step_s))
    known = np.nan_to_num(errors)
    recent = errors[:, max(0, count - window) :]
    level = np.nan_to_num(recent).sum(axis=1) / np.maximum(np.isfinite(recent).sum(axis=1), 1)
    memory = np.full(rows, MEMORY_GUESS)
    if count > 2 * SECONDS_PER_DAY // step_s:
        later, earlier = known[:, window:], known[:, :-window]
        power = np.maximum((known**2).mean(axis=1), 1e-12)
        memory = (later * earlier).mean(axis=1) / power
    return level, np.clip(memory, 0.0, MEMORY_MOST)


def _profile(
    series: FloatArray, kind: IntArray, offset: IntArray, day: int, steps: int
) -> FloatArray:
    """Weighted mean of the same local time on earlier days, for past and coming steps
    [S, P + steps]; where there is no earlier day, the mean of what came before now (0 if none)."""
    rows, count = series.shape
    total, weight = np.zeros((rows, count + steps)), np.zeros((rows, count + steps))
    target = np.arange(count + steps)
    for j in range(1, DAYS_BACK + 1):
        source = target - j * day
        inside = source >= 0
        moved = source + np.where(inside, offset[target] - offset[np.maximum(source, 0)], 0)
        inside &= (moved >= 0) & (moved < np.minimum(target, count))
        if not inside.any():
            continue
        at = target[inside]
        value = series[:, moved[inside]]
        same = np.where(kind[moved[inside]] == kind[at], 1.0, OTHER_TYPE_WEIGHT)
        w = np.where(np.isfinite(value), DAY_FADE**j * same, 0.0)
        total[:, at] += w * np.nan_to_num(value)
        weight[:, at] += w
    finite = np.isfinite(series)
    mean = np.where(finite, series, 0.0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    has = weight > 0.0
    return np.where(has, total / np.where(has, weight, 1.0), mean[:, None])


def _error_quantiles(
    errors: FloatArray, step_s: int, day: int, steps: int, coverage: float
) -> tuple[FloatArray, FloatArray]:
    """Quantiles of past errors near the same time of day [S, steps]; all errors if few."""
    rows, count = errors.shape
    edge = 0.5 * (1.0 - coverage) * OPTIMISM
    if count == 0 or coverage <= 0.0 or not np.isfinite(errors).any():
        return np.zeros((rows, steps)), np.zeros((rows, steps))
    width = max(1, round(TIME_WINDOW_H * SECONDS_PER_HOUR / step_s))
    slots = min(day, steps)
    low, high = np.zeros((rows, slots)), np.zeros((rows, slots))
    skip = day if count > 2 * day else 0  # the first day has no earlier one to compare with
    known = errors[:, skip:]
    ages = np.arange(skip - count, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for slot in range(slots):
            apart = (ages - slot) % day
            near = (apart <= width) | (apart >= day - width)
            chosen = known[:, near] if near.any() else known
            low[:, slot] = np.nanquantile(chosen, edge, axis=1)
            high[:, slot] = np.nanquantile(chosen, 1.0 - edge, axis=1)
    which = np.arange(steps) % slots if slots == day else np.arange(steps)
    low, high = np.nan_to_num(low), np.nan_to_num(high)
    return np.minimum(low, 0.0)[:, which], np.maximum(high, 0.0)[:, which]


def _calendar(stamps: IntArray, timezone: str) -> tuple[IntArray, IntArray]:
    """Day type (0 working day, 1 Saturday, 2 Sunday) and UTC offset [s] of each time stamp."""
    hours, inverse = np.unique(stamps // SECONDS_PER_HOUR, return_inverse=True)
    known = np.array([_hour(int(hour), timezone) for hour in hours], dtype=np.int64).reshape(-1, 2)
    return known[inverse, 0], known[inverse, 1]


@lru_cache(maxsize=65_536)
def _hour(hour: int, timezone: str) -> tuple[int, int]:
    """Day type and UTC offset [s] of an hour since the epoch."""
    moment = datetime.fromtimestamp(hour * SECONDS_PER_HOUR, ZoneInfo(timezone))
    offset = moment.utcoffset()
    return max(moment.weekday() - 4, 0), 0 if offset is None else int(offset.total_seconds())
