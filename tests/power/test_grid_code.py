"""Grid code curves, the gate and the protection: on measured data and on invented collapses."""

import csv
import math
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.errors import InvariantError, NotFoundError
from pendel.power.grid_code import (
    Gate,
    GridSample,
    Link,
    advance_protection,
    cos_phi,
    droop_kw,
    frequency_response_kw,
    gate,
    grid_code,
    must_stay_connected,
    new_protection,
    reactive_kvar,
    respond,
    return_limit_kw,
)

TOLEDO = Path(__file__).parents[1] / "cases" / "power" / "frequency" / "toledo_1200_1218.csv"
NOMINAL_V = 27_600.0
CODES = ["vde_ar_n_4105_2018", "en_50549_1_2019"]
VDE = grid_code(CODES[0])


def toledo() -> list[GridSample]:
    with TOLEDO.open() as handle:
        rows = list(csv.DictReader(handle))

    def number(text: str) -> float:
        return float(text) if text else math.nan

    return [
        GridSample(
            datetime.fromisoformat(row["time"]).timestamp(),
            number(row["frequency_hz"]),
            tuple(number(row[f"l{i}_v"]) / NOMINAL_V for i in (1, 2, 3)),
        )
        for row in rows
    ]


def good(at_s: float, hz: float = 50.0, volts: float = 1.0) -> GridSample:
    return GridSample(at_s, hz, (volts, volts, volts))


def connected(code=VDE):
    state = new_protection(code)
    for second in range(62):
        state = advance_protection(code, state, good(float(second) - 62.0))
    assert state.link is Link.CONNECTED
    return state


@pytest.mark.parametrize("name", CODES)
def test_settings_are_sane_and_marked(name: str) -> None:
    code = grid_code(name)
    assert code.name == name and code.certainty == "unverified" and code.source
    r = code.reactive
    assert list(r.voltage_pu) == sorted(r.voltage_pu) and list(r.q_share) == sorted(r.q_share)
    ride = code.ride_through
    assert list(ride.duration_s) == sorted(ride.duration_s)
    assert list(ride.under_pu) == sorted(ride.under_pu)
    assert list(ride.over_pu) == sorted(ride.over_pu, reverse=True)
    assert code.frequency_response.under_hz < code.nominal_hz < code.frequency_response.over_hz


def test_unknown_code() -> None:
    with pytest.raises(NotFoundError, match="en_50549_1_2019"):
        grid_code("g99")


@pytest.mark.parametrize("name", CODES)
def test_frequency_response_by_hand(name: str) -> None:
    code = grid_code(name)
    response = code.frequency_response
    assert frequency_response_kw(code, 50.0, -3.0, 11.0, 11.0) == -3.0
    assert frequency_response_kw(code, 50.2, -3.0, 11.0, 11.0) == pytest.approx(-3.0)
    rise = 10.0 * 0.3 / (response.over_droop * 50.0)
    assert frequency_response_kw(code, 50.5, -3.0, 10.0, 10.0) == pytest.approx(-3.0 + rise)
    fall = 10.0 * 0.1 / (response.under_droop * 50.0)
    assert frequency_response_kw(code, 49.7, 2.0, 10.0, 10.0) == pytest.approx(2.0 - fall)
    assert frequency_response_kw(code, 48.0, 5.0, 10.0, 0.0) == 0.0
    assert frequency_response_kw(code, 53.0, 0.0, 10.0, 10.0) == 10.0


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CODES), st.floats(46.0, 54.0), st.floats(0.0, 1.0), st.floats(-11.0, 11.0))
def test_response_is_monotone_and_inside_limits(name, hz, more, reference) -> None:
    code = grid_code(name)
    low = frequency_response_kw(code, hz, reference, 11.0, 7.0)
    high = frequency_response_kw(code, hz + more, reference, 11.0, 7.0)
    assert -7.0 <= low <= high + 1e-12 and high <= 11.0


def test_reactive_and_cos_phi() -> None:
    assert reactive_kvar(VDE, 1.0, 10.0) == 0.0
    assert reactive_kvar(VDE, 1.10, 10.0) == pytest.approx(4.36)
    assert reactive_kvar(VDE, 0.95, 10.0) == pytest.approx(-2.18)
    assert np.all(np.diff(reactive_kvar(VDE, np.linspace(0.85, 1.15, 50), 10.0)) >= 0.0)
    assert cos_phi(VDE, 5.0, 10.0) == 1.0
    assert cos_phi(VDE, -10.0, 10.0) == pytest.approx(0.9)


def test_ride_through() -> None:
    assert must_stay_connected(VDE, 0.15, 0.15)
    assert not must_stay_connected(VDE, 0.14, 0.15)
    assert must_stay_connected(VDE, 0.15 + 0.7 * 0.5, 0.15 + 2.85 * 0.5)
    assert not must_stay_connected(VDE, 0.80, 10.0)
    assert must_stay_connected(VDE, 1.2, 0.05)
    assert not must_stay_connected(VDE, 1.2, 1.0)
    assert must_stay_connected(VDE, 1.0, 1e6)
    assert not must_stay_connected(VDE, 1.2, 1e6)


def test_reserve_droop() -> None:
    f = np.array([49.8, 49.9, 49.99, 50.0, 50.01, 50.1, 50.3])
    expected = [-100.0, -50.0, 0.0, 0.0, 0.0, 50.0, 100.0]
    np.testing.assert_allclose(droop_kw(f, 50.0, 0.01 + 1e-9, 0.2, 100.0), expected, atol=1e-6)
    with pytest.raises(InvariantError):
        droop_kw(50.0, 50.0, 0.3, 0.2, 100.0)


def test_gate_names_its_reason() -> None:
    assert gate(VDE, good(0.0), 1.0) is Gate.OPEN
    assert gate(VDE, None, 1.0) is Gate.NO_SAMPLE
    assert gate(VDE, good(0.0), 2.1) is Gate.STALE
    assert gate(VDE, good(10.0), 2.1) is Gate.STALE
    assert gate(VDE, good(0.0, math.nan), 1.0) is Gate.NOT_A_NUMBER
    assert gate(VDE, GridSample(0.0, 50.0, ()), 1.0) is Gate.NOT_A_NUMBER
    assert gate(VDE, GridSample(0.0, 50.0, (1.0, 0.2, 1.0)), 1.0) is Gate.DEAD
    assert gate(VDE, good(0.0, 50.0, 1.12), 1.0) is Gate.VOLTAGE
    assert gate(VDE, good(0.0, 60.0), 1.0) is Gate.FREQUENCY
    assert gate(VDE, good(1.0, 50.9), 1.0, good(0.9, 50.0)) is Gate.ROCOF


def test_measured_day_is_followed_and_gaps_are_not() -> None:
    """Toledo before the blackout: LFSM silent, the reserve answers, empty rows open nothing."""
    samples, previous, answered, shut = toledo(), None, 0, 0
    for sample in samples:
        opened = gate(VDE, sample, sample.at_s + 0.5, previous)
        if not math.isfinite(sample.frequency_hz):
            assert opened is Gate.NOT_A_NUMBER
            assert respond(VDE, opened, Link.CONNECTED, -5.0, -5.0) == 0.0
            shut += 1
            continue
        previous = sample
        assert opened is Gate.OPEN
        asked = float(frequency_response_kw(VDE, sample.frequency_hz, -5.0, 11.0, 11.0))
        assert respond(VDE, opened, Link.CONNECTED, asked, -5.0) == -5.0
        answered += float(droop_kw(sample.frequency_hz, 50.0, 0.01, 0.2, 10.0)) != 0.0
    assert shut == 3
    assert answered > 100


@settings(max_examples=60, deadline=None)
@given(
    st.integers(5, 530), st.floats(0.0, 0.39), st.lists(st.floats(47.6, 51.4), min_size=5),
    st.sampled_from(CODES),
)  # fmt: skip
def test_never_export_into_a_dead_grid(at, volts, fancies, name) -> None:
    """The voltage collapses, the analyser goes on printing frequencies: nothing flows."""
    code = grid_code(name)
    samples = [s for s in toledo() if math.isfinite(s.frequency_hz)]
    state = new_protection(code)
    for sample in samples[:at]:
        state = advance_protection(code, state, sample)
    begin = samples[at - 1].at_s
    for number, hz in enumerate(fancies, 1):
        now = begin + 2.0 * number
        dead = GridSample(now, hz, (volts, volts, volts))
        state = advance_protection(code, state, dead)
        opened = gate(code, dead, now + 0.1)
        asked = float(frequency_response_kw(code, hz, -11.0, 11.0, 11.0))
        assert opened is Gate.DEAD
        assert respond(code, opened, state.link, asked, -11.0) == 0.0
    assert state.link is Link.TRIPPED


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(list(Gate)), st.sampled_from(list(Link)),
    st.floats(-50.0, 50.0), st.floats(-50.0, 50.0),
)  # fmt: skip
def test_only_an_open_gate_exports(opened, link, asked, planned) -> None:
    power = respond(VDE, opened, link, asked, planned)
    if power < 0.0:
        assert opened is Gate.OPEN and link is Link.CONNECTED and power == asked
    if link is Link.TRIPPED:
        assert power == 0.0


def test_protection_waits_trips_and_returns() -> None:
    state = new_protection(VDE)
    for second in range(60):
        state = advance_protection(VDE, state, good(float(second)))
        assert state.link is Link.TRIPPED
    state = advance_protection(VDE, state, good(60.0))
    assert state.link is Link.CONNECTED
    assert return_limit_kw(VDE, state, 60.0, 10.0) == 0.0
    assert return_limit_kw(VDE, state, 180.0, 10.0) == pytest.approx(2.0)
    assert return_limit_kw(VDE, state, 7200.0, 10.0) == 10.0
    for tenth in range(30):
        state = advance_protection(VDE, state, good(200.0 + tenth / 10.0, 50.0, 0.75))
        assert state.link is Link.CONNECTED
    state = advance_protection(VDE, state, good(203.05, 50.0, 0.75))
    assert (state.link, state.reason) == (Link.TRIPPED, "undervoltage")
    state = advance_protection(VDE, state, good(204.0))
    assert state.link is Link.TRIPPED
    assert return_limit_kw(VDE, state, 205.0, 10.0) == 0.0


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (good(1.0, 52.0), "frequency"),
        (good(1.0, 47.0), "frequency"),
        (good(1.0, math.nan), "frequency"),
        (good(1.0, 50.0, 1.3), "overvoltage"),
        (GridSample(1.0, 50.0, (math.nan, 1.0, 1.0)), "undervoltage"),
    ],
)
def test_each_limit_trips(sample: GridSample, reason: str) -> None:
    state = connected()
    for at_s in (0.0, 0.5, 1.0, 1.5):
        step = GridSample(at_s, sample.frequency_hz, sample.voltage_pu)
        state = advance_protection(VDE, state, step)
    assert (state.link, state.reason) == (Link.TRIPPED, reason)


def test_one_missing_sample_is_ridden_through() -> None:
    state = advance_protection(VDE, connected(), GridSample(0.0, math.nan, (math.nan,) * 3))
    assert state.link is Link.CONNECTED
    state = advance_protection(VDE, state, good(0.05))
    assert state.link is Link.CONNECTED
    with pytest.raises(InvariantError):
        respond(VDE, Gate.OPEN, Link.CONNECTED, math.nan, 0.0)
