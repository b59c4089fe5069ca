"""Chargers: steps, least power, efficiency, phases, and the small state machine over time."""

import csv
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.errors import InvariantError
from pendel.power.charger import (
    BelowMinimum,
    Charger,
    ChargerState,
    Conversion,
    Phase,
    ac_efficiency_table,
    advance_charger,
    battery_side_kw,
    efficiency,
    grid_kw,
    maximum_kw,
    may_discharge,
    minimum_kw,
    phase_kw,
    plugged_in,
    reactive_max_kvar,
    realisable_columns_kw,
    realisable_kw,
)

AC = Charger(Conversion.AC, 11.04, 11.04, switches_phases=True, apparent_max_kva=11.04)
DC = Charger(
    Conversion.DC, 10.0, 10.0, power_min_kw=0.3, below_minimum=BelowMinimum.PAUSE,
    apparent_max_kva=11.0,
)  # fmt: skip
DATA = Path(__file__).parents[2] / "src" / "pendel" / "data" / "vehicles" / "ac_efficiency.csv"

wish = st.floats(-30.0, 30.0)
chargers = st.sampled_from(
    [AC, DC, replace(AC, phases=1), replace(AC, below_minimum=BelowMinimum.MINIMUM)]
)


@settings(max_examples=300, deadline=None)
@given(chargers, wish, st.sampled_from([1, 3]))
def test_realisable_is_never_more_than_asked_or_allowed(charger, request, phases) -> None:
    power = realisable_kw(charger, request, phases)
    most = maximum_kw(charger, phases, request > 0.0)
    assert abs(power) <= most + 1e-9
    assert power * request >= 0.0
    if charger.below_minimum is BelowMinimum.PAUSE:
        assert abs(power) <= abs(request) + 1e-9
    assert power == 0.0 or abs(power) >= minimum_kw(charger, phases) - 1e-9
    if charger.conversion is Conversion.AC:
        current = abs(power) * 1000.0 / (phases * 230.0)
        assert current == pytest.approx(round(current), abs=1e-6)
        assert (
            abs(request) - abs(power)
            <= max(phase_kw(1.0, phases), minimum_kw(charger, phases), abs(request) - most) + 1e-9
            if most > 0.0
            else power == 0.0
        )


def test_six_amperes_are_the_least() -> None:
    assert realisable_kw(AC, 4.13, 3) == 0.0
    assert realisable_kw(AC, 4.14, 3) == pytest.approx(4.14)
    assert realisable_kw(AC, 1.38, 1) == pytest.approx(1.38)
    stays = replace(AC, below_minimum=BelowMinimum.MINIMUM)
    assert realisable_kw(stays, 1.0, 3) == pytest.approx(4.14)
    assert realisable_kw(stays, 0.0, 3) == 0.0
    assert realisable_kw(stays, -1.0, 3) == 0.0


@settings(max_examples=60, deadline=None)
@given(st.lists(wish, min_size=1, max_size=20))
def test_columns_do_what_one_does(requests) -> None:
    ask = np.array(requests)
    count = len(ask)
    least, most = minimum_kw(AC, 3), maximum_kw(AC, 3, True)
    columns = realisable_columns_kw(
        ask, np.full(count, least), np.full(count, most), np.full(count, phase_kw(1.0, 3))
    )
    one = [realisable_kw(AC, float(x), 3) for x in ask]
    np.testing.assert_allclose(columns, one, atol=1e-9)


def test_efficiency_meets_the_published_points() -> None:
    """Every point of the table, and the median over the eight cars by plain counting."""
    with DATA.open() as handle:
        rows = list(csv.DictReader(handle))
    assert len({row["model"] for row in rows}) == 8
    for row in rows:
        charger = replace(AC, car_model=row["model"])
        phases, current = int(row["phases"]), float(row["current_a"])
        got = efficiency(charger, phase_kw(current, phases), phases)
        assert got == pytest.approx(float(row["efficiency"]), abs=1e-12)
    sixteen = sorted(
        float(r["efficiency"]) for r in rows if r["phases"] == "3" and r["current_a"] == "16"
    )
    expected = (sixteen[3] + sixteen[4]) / 2
    assert efficiency(AC, phase_kw(16.0, 3), 3) == pytest.approx(expected)


def test_efficiency_bounds_and_part_load() -> None:
    for currents, curve in ac_efficiency_table().values():
        assert np.all(np.diff(currents) > 0.0)
        assert np.all((curve > 0.5) & (curve < 1.0))
    powers = np.linspace(0.1, 10.0, 100)
    curve = efficiency(DC, powers, 3)
    assert np.all((curve > 0.0) & (curve < 1.0))
    assert curve[0] < curve[62] and curve[62] > curve[-1]
    assert efficiency(DC, 10.0, 3) == pytest.approx(1.0 / 1.055)
    with pytest.raises(InvariantError):
        efficiency(replace(AC, car_model="nobody"), 5.0, 3)


def test_losses_work_both_ways() -> None:
    share = float(efficiency(DC, 8.0, 3))
    assert battery_side_kw(DC, 8.0, 3) == pytest.approx(8.0 * share)
    assert battery_side_kw(DC, -8.0, 3) == pytest.approx(-8.0 / share)


def test_reactive_power_and_grid_code_sit_where_the_converter_is() -> None:
    assert (AC.conversion.converter_in, DC.conversion.converter_in) == ("car", "station")
    assert reactive_max_kvar(AC, 8.0, may_feed_in=False) == 0.0
    assert reactive_max_kvar(AC, 8.0, may_feed_in=True) == pytest.approx(
        8.0 * math.tan(math.acos(0.9))
    )
    assert reactive_max_kvar(DC, 10.9, may_feed_in=False) == pytest.approx(
        math.sqrt(11.0**2 - 10.9**2)
    )
    assert may_discharge(AC, "DE", car_grid_code="DE", station_grid_code="")
    assert not may_discharge(AC, "DE", car_grid_code="", station_grid_code="DE")
    assert may_discharge(DC, "DE", car_grid_code="", station_grid_code="DE")
    assert not may_discharge(DC, "", car_grid_code="", station_grid_code="")


def run(charger: Charger, wishes: list[tuple[float, float]], end_s: float, dt: float = 1.0):
    """States at every dt; wishes: (from second, kW) in order."""
    state, states, now = plugged_in(charger, 0.0), [], 0.0
    while now < end_s:
        now += dt
        ask = [kw for begin, kw in wishes if begin <= now - dt][-1]
        state = advance_charger(charger, state, ask, now)
        states.append(state)
    return states


def test_response_then_ramp_from_six_amperes() -> None:
    states = run(replace(AC, response_s=3.0), [(0.0, 11.04)], 20.0)
    powers = [s.power_kw for s in states]
    assert powers[:2] == [0.0, 0.0]
    assert powers[2] == pytest.approx(4.14 + 1.0)
    assert np.all(np.diff(powers) <= 1.0 + 4.14 + 1e-9)
    assert powers[-1] == pytest.approx(11.04)
    assert np.all(np.diff(powers[3:]) <= 1.0 + 1e-9)


def test_newer_orders_do_not_wait_longer() -> None:
    wishes = [(float(i), 6.0 + 0.3 * i) for i in range(10)]
    states = run(replace(AC, response_s=3.0), wishes, 10.0)
    assert states[2].power_kw > 0.0


def test_changing_direction_goes_through_zero() -> None:
    states = run(replace(AC, ramp_kw_s=100.0), [(0.0, 11.04), (30.0, -11.04)], 90.0)
    phases = [s.phase for s in states]
    assert Phase.SWITCHING in phases
    pause = [s for s in states if s.phase is Phase.SWITCHING]
    assert len(pause) == pytest.approx(AC.phase_switch_s, abs=1.0)
    assert all(s.power_kw == 0.0 for s in pause)
    assert states[-1].power_kw == pytest.approx(-11.04)


def test_phases_switch_with_a_pause_and_hold() -> None:
    wishes = [(0.0, 11.04), (60.0, 2.0), (120.0, 11.04)]
    states = run(replace(AC, ramp_kw_s=100.0), wishes, 700.0)
    assert states[55].phases == 3
    assert states[100].phases == 1 and states[100].power_kw == pytest.approx(phase_kw(8.0, 1))
    assert states[200].phases == 1 and states[200].power_kw == pytest.approx(phase_kw(16.0, 1))
    assert states[-1].phases == 3 and states[-1].power_kw == pytest.approx(11.04)
    changes = [a.at_s for a, b in pairwise(states) if a.phases != b.phases]
    assert len(changes) == 2 and changes[1] - changes[0] >= AC.hold_s - 1.0


def test_a_wish_around_six_amperes_does_not_oscillate() -> None:
    fixed = replace(AC, switches_phases=False)
    wishes = [(float(i), 4.5 if (i // 20) % 2 else 3.9) for i in range(0, 3600, 20)]
    states = run(fixed, [(0.0, 6.0), *wishes[1:]], 3600.0)
    running = [s.phase is Phase.RUNNING for s in states]
    starts = sum(not a and b for a, b in pairwise(running))
    assert starts <= 1
    steady = run(fixed, [(0.0, 6.0), (60.0, 3.0), (120.0, 4.2)], 600.0)
    assert steady[-1].power_kw == pytest.approx(4.14)
    resumed = next(s.at_s for s in steady if s.at_s > 120.0 and s.power_kw > 0.0)
    assert resumed >= 120.0 + fixed.hold_s


@settings(max_examples=80, deadline=None)
@given(
    chargers,
    st.lists(st.tuples(wish, st.floats(0.1, 400.0)), min_size=1, max_size=25),
)
def test_any_sequence_stays_inside(charger, orders) -> None:
    state = plugged_in(charger, 0.0)
    for ask, dt in orders:
        before: ChargerState = state
        state = advance_charger(charger, state, ask, before.at_s + dt)
        least = minimum_kw(charger, state.phases)
        assert -charger.discharge_max_kw - 1e-9 <= state.power_kw <= charger.charge_max_kw + 1e-9
        assert state.power_kw == 0.0 or abs(state.power_kw) >= least - 1e-9
        assert before.power_kw * state.power_kw >= 0.0
        assert (state.phase is Phase.RUNNING) == (state.power_kw != 0.0)
        assert grid_kw(charger, state) >= state.power_kw


def test_standby_is_drawn_while_paused_and_no_number_is_no_order() -> None:
    state = advance_charger(AC, plugged_in(AC, 0.0), math.nan, 10.0)
    assert state.power_kw == 0.0
    assert grid_kw(AC, state) == pytest.approx(0.005)
    with pytest.raises(InvariantError):
        advance_charger(AC, state, 5.0, 9.0)
