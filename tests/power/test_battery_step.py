"""Batteries over one step: balance, limits, round trip, and the kernel against a plain twin."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.errors import InvariantError
from pendel.power.battery import (
    MODELS,
    Batteries,
    advance,
    charge_on_curve,
    instant_limits_kw,
    limits_of,
    limits_under_curve,
    model_named,
    power_bounds_kw,
    temperature_factors,
    unknown_models,
)
from pendel.power.kernels import charge_at_once
from pendel.units import stored_change_kwh

share = st.floats(0.0, 1.0)
efficiency = st.floats(0.3, 1.0)
capacity = st.floats(1.0, 500.0)
limit_kw = st.floats(0.0, 350.0)
model = st.sampled_from(sorted(MODELS))
temperature = st.floats(-30.0, 65.0)
step_h = st.sampled_from([1 / 60, 0.25, 1.0])


def one(cap: float, charge: float, discharge: float, eta_c: float, eta_d: float) -> Batteries:
    return Batteries(*(np.array([x]) for x in (cap, charge, discharge, eta_c, eta_d)))


def twin(request_kw, energy, b, lim, h, pieces=4000):
    """Plain twin: the differential equation in many small midpoint steps."""
    dt, begin = h / pieces, energy
    cap, eta_c, eta_d = b.capacity_kwh[0], b.charge_efficiency[0], b.discharge_efficiency[0]

    def bound(room, plateau, taper, end):
        if math.isinf(plateau) or room >= taper:
            return plateau
        return end + (plateau - end) * max(room, 0.0) / taper

    def speed(e):
        if request_kw > 0.0:
            wanted = min(request_kw, b.charge_max_kw[0]) * eta_c
            room = cap - e
            top = bound(room, lim.store_kw[0], lim.full_taper_kwh[0], lim.full_kw[0])
            return min(wanted, top) if room > 0.0 else 0.0
        wanted = min(-request_kw, b.discharge_max_kw[0]) / eta_d
        top = bound(e, lim.draw_kw[0], lim.empty_taper_kwh[0], lim.empty_kw[0])
        return -min(wanted, top) if e > 0.0 else 0.0

    for _ in range(pieces):
        middle = energy + 0.5 * dt * speed(energy)
        energy = min(max(energy + dt * speed(middle), 0.0), cap)
    change = energy - begin
    return (change / eta_c if change > 0.0 else change * eta_d) / h, energy


@settings(max_examples=60, deadline=None)
@given(model, capacity, share, limit_kw, limit_kw, efficiency, efficiency, temperature, step_h,
       st.floats(-400.0, 400.0))  # fmt: skip
def test_step_follows_the_equation(name, cap, soc, cmax, dmax, eta_c, eta_d, temp, h, request):
    b = one(cap, cmax, dmax, eta_c, eta_d)
    limits = limits_of([name], b, temp)
    energy = np.array([soc * cap])
    power, after = advance(np.array([request]), energy, b, h, limits)
    expected_kw, expected_kwh = twin(request, soc * cap, b, limits, h)
    scale = max(cap, cmax, dmax, 1.0)
    assert after[0] == pytest.approx(expected_kwh, abs=2e-3 * scale)
    assert power[0] == pytest.approx(expected_kw, abs=2e-3 * scale / h)


@settings(max_examples=300, deadline=None)
@given(model, capacity, share, limit_kw, limit_kw, efficiency, efficiency, temperature, step_h,
       st.floats(-1000.0, 1000.0))  # fmt: skip
def test_balance_closes_and_no_limit_is_passed(
    name, cap, soc, cmax, dmax, eta_c, eta_d, temp, h, request
):
    b = one(cap, cmax, dmax, eta_c, eta_d)
    energy = np.array([soc * cap])
    power, after = advance(np.array([request]), energy, b, h, limits_of([name], b, temp))
    p, e = float(power[0]), float(after[0])
    assert e - energy[0] == pytest.approx(stored_change_kwh(p, h, eta_c, eta_d), abs=1e-9)
    assert 0.0 <= e <= cap
    assert -dmax <= p <= cmax
    assert abs(p) <= abs(request)
    assert p * request >= 0.0


@settings(max_examples=150, deadline=None)
@given(model, capacity, share, limit_kw, temperature, st.floats(-400.0, 400.0))
def test_two_half_steps_are_one_step(name, cap, soc, most, temp, request):
    b = one(cap, most, most, 0.93, 0.91)
    limits = limits_of([name], b, temp)
    start, ask = np.array([soc * cap]), np.array([request])
    _, whole = advance(ask, start, b, 0.5, limits)
    _, half = advance(ask, start, b, 0.25, limits)
    _, halves = advance(ask, half, b, 0.25, limits)
    assert halves[0] == pytest.approx(whole[0], abs=1e-9 * max(cap, 1.0))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["taper", "lfp", "nmc"]), capacity, limit_kw, temperature)
def test_limits_are_monotone_in_soc(name, cap, most, temp):
    soc = np.linspace(0.001, 0.999, 60)
    many = Batteries(*(np.full(60, x) for x in (cap, most, most, 0.9, 0.9)))
    limits = limits_of([name] * 60, many, temp)
    charge, discharge = instant_limits_kw(soc * cap, many, limits)
    assert np.all(np.diff(charge) <= 1e-12 * max(most, 1.0))
    assert np.all(np.diff(discharge) >= -1e-12 * max(most, 1.0))
    mean_in, mean_out = power_bounds_kw(soc * cap, many, 0.25, limits)
    assert np.all(mean_in <= charge + 1e-9) and np.all(mean_out <= discharge + 1e-9)


def test_round_trip_is_exactly_the_product():
    """0.9 x 0.9 = 0.81: in at 10 kW for an hour, out again until empty."""
    b = one(60.0, 11.0, 11.0, 0.9, 0.9)
    power_in, full = advance(np.array([10.0]), np.array([0.0]), b, 1.0)
    power_out, empty = advance(np.array([-11.0]), full, b, 1.0)
    assert (power_in[0], full[0], empty[0]) == (10.0, 9.0, 0.0)
    assert power_out[0] == -8.1
    assert -power_out[0] / power_in[0] == pytest.approx(0.9 * 0.9, rel=1e-15)


def test_charging_at_once_is_step_after_step():
    draw = np.random.default_rng(3)
    count = 40
    capacity = draw.uniform(20.0, 90.0, count)
    batteries = Batteries(
        capacity, draw.uniform(3.0, 150.0, count), np.full(count, 11.0),
        draw.uniform(0.85, 1.0, count), np.full(count, 0.9),
    )  # fmt: skip
    limits = limits_of(draw.choice(["taper", "lfp", "nmc", ""], count), batteries)
    start, steps = capacity * draw.random(count), draw.integers(0, 40, count)
    found = start.copy()
    charge_at_once(
        steps, capacity, batteries.charge_max_kw, batteries.charge_efficiency, limits.store_kw,
        limits.full_taper_kwh, limits.full_kw, 0.25, found,
    )  # fmt: skip
    expected = start.copy()
    for step in range(40):
        _, after = advance(batteries.charge_max_kw, expected, batteries, 0.25, limits)
        expected = np.where(steps > step, after, expected)
    assert found == pytest.approx(expected, abs=1e-12)


def test_constant_is_the_physics_of_the_contract():
    rng = np.random.default_rng(3)
    count = 400
    b = Batteries(rng.uniform(5, 90, count), *(np.full(count, x) for x in (11.0, 7.0, 0.92, 0.95)))
    energy, ask = b.capacity_kwh * rng.uniform(0, 1, count), rng.uniform(-14, 14, count)
    plain = advance(ask, energy, b, 0.25)
    named = advance(ask, energy, b, 0.25, limits_of(["constant"] * count, b))
    np.testing.assert_array_equal(plain[1], named[1])
    np.testing.assert_allclose(plain[0], named[0], rtol=1e-14)


def test_some_rows_behave_as_in_the_whole():
    rng = np.random.default_rng(5)
    names = ["nmc", "constant", "taper", "lfp"] * 25
    b = Batteries(rng.uniform(5, 90, 100), *(np.full(100, x) for x in (50.0, 50.0, 0.92, 0.95)))
    limits, energy = limits_of(names, b), b.capacity_kwh * rng.uniform(0, 1, 100)
    ask, rows = rng.uniform(-60, 60, 100), rng.permutation(100)[:30]
    power, after = advance(ask, energy, b, 0.25, limits)
    some = advance(ask[rows], energy[rows], b.take(rows), 0.25, limits.take(rows))
    np.testing.assert_array_equal(some[0], power[rows])
    np.testing.assert_array_equal(some[1], after[rows])


def test_what_is_no_number_moves_nothing():
    b = one(50.0, 11.0, 11.0, 0.9, 0.9)
    power, energy = advance(np.array([math.nan]), np.array([20.0]), b, 0.25)
    assert (power[0], energy[0]) == (0.0, 20.0)


def test_cold_and_hot_cells_take_less():
    charge, discharge = temperature_factors(MODELS["nmc"], np.array([-25.0, 10.0, 25.0, 70.0]))
    assert charge.tolist() == [0.0, 0.7, 1.0, 0.0]
    assert discharge.tolist() == [0.2, 0.65, 1.0, 0.0]
    b = one(50.0, 22.0, 22.0, 0.9, 0.9)
    power, energy = advance(
        np.array([22.0]), np.array([10.0]), b, 0.25, limits_of(["lfp"], b, -25.0)
    )
    assert (power[0], energy[0]) == (0.0, 10.0)


def test_model_names():
    assert model_named("").name == "constant"
    assert unknown_models(["", "lfp", "lead", "nmc", "lead"]) == ["lead"]
    with pytest.raises(KeyError, match="one of constant, taper, lfp, nmc"):
        model_named("lead")


SOC = [0.0, 0.1, 0.5, 0.8, 1.0]
KW = [60.0, 100.0, 100.0, 40.0, 8.0]


@settings(max_examples=60, deadline=None)
@given(share, st.floats(0.0, 150.0), step_h)
def test_dc_curve_is_followed(soc, request, h):
    power, after = charge_on_curve(request, soc * 70.0, 70.0, 0.95, SOC, KW, h)
    energy, pieces = soc * 70.0, 6000
    for _ in range(pieces):
        middle = energy + 0.5 * h / pieces * min(request * 0.95, np.interp(energy / 70.0, SOC, KW))
        rate = min(request * 0.95, float(np.interp(middle / 70.0, SOC, KW)))
        energy = min(energy + h / pieces * rate, 70.0)
    assert after == pytest.approx(energy, abs=0.02)
    assert after <= 70.0 and power <= request
    assert after - soc * 70.0 == pytest.approx(power * h * 0.95, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(3.0, 250.0), min_size=3, max_size=12), capacity)
def test_one_knee_lies_below_the_curve(powers, cap):
    soc = np.linspace(0.0, 1.0, len(powers))
    plateau, taper, full = limits_under_curve(list(soc), powers, cap)
    grid = np.linspace(0.1, 1.0, 181)
    room = (1.0 - grid) * cap
    knee = np.where(room < taper, full + (plateau - full) * room / max(taper, 1e-12), plateau)
    assert np.all(knee <= np.interp(grid, soc, powers) * (1 + 1e-9) + 1e-9)
    assert 0.0 < full <= plateau


def test_curves_that_are_none_are_refused():
    with pytest.raises(InvariantError):
        charge_on_curve(10.0, 0.0, 70.0, 0.9, [0.0, 0.9], [50.0, 20.0], 0.25)
    with pytest.raises(InvariantError):
        limits_under_curve([0.0, 0.0, 1.0], [5.0, 5.0, 5.0], 70.0)
