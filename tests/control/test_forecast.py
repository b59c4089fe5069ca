"""Forecasts: nothing from the future, published prices as they are, bands that hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.control.forecast import (
    COVERAGE,
    Place,
    clear_sky,
    forecast_prices,
    forecast_series,
)

NOW_S = 1_743_292_800  # 30 March 2025 00:00 UTC, the night summer time begins in Berlin
DAY = 96
ZONE = "Europe/Berlin"


def daily(days: int, noise: float, seed: int = 0) -> np.ndarray:
    """Load with a daily shape, lower at weekends, and independent noise [1, days * DAY]."""
    step = np.arange(days * DAY)
    local = NOW_S + 3_600 + 900 * (step - days * DAY)
    weekend = (local // 86_400 + 3) % 7 >= 5
    shape = 3.0 + np.sin(2 * np.pi * step / DAY) - 1.0 * weekend
    rng = np.random.default_rng(seed)
    return np.maximum(shape + noise * rng.standard_normal(len(step)), 0.0)[None]


def test_changing_the_future_changes_nothing() -> None:
    series = daily(20, 0.3)
    other = series.copy()
    cut = 15 * DAY
    other[:, cut:] += 5.0
    first = forecast_series(series[:, :cut], NOW_S, 900, DAY, ZONE)
    again = forecast_series(other[:, :cut], NOW_S, 900, DAY, ZONE)
    assert (first.point == again.point).all()
    assert (first.high == again.high).all()


@pytest.mark.parametrize("kind", ["load", "pv"])
@pytest.mark.parametrize("count", [0, 1, 3, 95, 96, 97, 250])
def test_short_pasts_give_finite_bands(kind: str, count: int) -> None:
    past = daily(3, 0.2)[:, :count] if count else np.zeros((1, 0))
    band = forecast_series(past, NOW_S, 900, 200, ZONE, kind)
    for part in (band.point, band.low, band.high):
        assert part.shape == (1, 200)
        assert np.isfinite(part).all()
        assert (part >= 0.0).all()
    assert (band.low <= band.point + 1e-12).all()
    assert (band.point <= band.high + 1e-12).all()


def test_bands_cover_what_they_say() -> None:
    hits = []
    for seed in range(12):
        series = daily(24, 0.4, seed)
        band = forecast_series(series[:, :-DAY], NOW_S - 86_400, 900, DAY, ZONE)
        truth = series[:, -DAY:]
        hits.append(((truth >= band.low) & (truth <= band.high)).mean())
    assert np.mean(hits) == pytest.approx(COVERAGE, abs=0.08)


def test_better_than_yesterday_where_weekends_differ() -> None:
    errors = np.zeros(2)
    for day in range(2, 9):
        series = daily(30, 0.3)
        cut = series.shape[1] - day * DAY
        truth = series[:, cut : cut + DAY]
        band = forecast_series(series[:, :cut], NOW_S - day * 86_400, 900, DAY, ZONE)
        errors[0] += np.abs(band.point - truth).mean()
        errors[1] += np.abs(series[:, cut - DAY : cut] - truth).mean()
    assert errors[0] < 0.85 * errors[1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 80), st.integers(0, 300), st.integers(1, 120))
def test_published_prices_are_exact(known: int, past: int, steps: int) -> None:
    rng = np.random.default_rng(known + past)
    published, before = rng.normal(0.1, 0.1, (2, known)), rng.normal(0.1, 0.1, (2, past))
    band = forecast_prices(published, before, NOW_S, 900, steps, ZONE)
    exact = min(known, steps)
    assert band.point.shape == (2, steps)
    for part in (band.point, band.low, band.high):
        assert (part[:, :exact] == published[:, :exact]).all()
        assert np.isfinite(part).all()


def test_local_time_counts_across_the_change_of_clocks() -> None:
    """A peak at 07:00 local is forecast at 07:00 local on the day after clocks went forward."""
    step = np.arange(10 * DAY)
    past = np.where((step * 900 + 3_600) % 86_400 // 3_600 == 7, 5.0, 1.0)[None]
    band = forecast_series(past, NOW_S, 900, DAY, ZONE)  # begins at 01:00 local, CET
    peak_utc = np.flatnonzero(band.point[0] > 3.0) * 900
    assert ((peak_utc + 7_200) // 3_600 == 7).all()
    assert len(peak_utc) == 4


def test_pv_is_dark_at_night_and_scales_with_the_clear_sky() -> None:
    place = Place(52.5, 13.4)
    days = 10
    begin_s = NOW_S - days * 86_400
    sky = clear_sky(place, begin_s, 900, (days + 1) * DAY)
    rng = np.random.default_rng(1)
    cloud = np.repeat(rng.uniform(0.4, 1.0, days + 1), DAY)
    truth = 8.0 * sky * cloud
    band = forecast_series(truth[None, :-DAY], NOW_S, 900, DAY, ZONE, "pv", place)
    night = sky[-DAY:] <= 0.0
    assert night.sum() > 30
    assert (band.point[0][night] == 0.0).all() and (band.high[0][night] == 0.0).all()
    ratio = band.point[0][~night].sum() / truth[-DAY:][~night].sum()
    assert 0.5 < ratio < 2.0
    learned = forecast_series(truth[None, :-DAY], NOW_S, 900, DAY, ZONE, "pv")
    assert (learned.point[0][np.roll(night, 0) & (sky[-2 * DAY : -DAY] <= 0.0)] < 0.05).all()
