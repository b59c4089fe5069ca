"""Outages: balance, the reserve for the next trip, shedding, and switching that never backfeeds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.power.outage import (
    Home,
    Island,
    IslandSettings,
    Stage,
    Store,
    advance_island,
    autonomy_h,
    black_start,
    island_step,
    run_outage,
    store_problems,
    v2l_kw,
)
from pendel.units import stored_change_kwh

CAR = Store(60.0, 40.0, 20.0, 11.0, 11.0, 0.9, 0.9)
BATTERY = Store(10.0, 8.0, 1.0, 5.0, 5.0, 0.95, 0.95)

share = st.floats(0.0, 1.0)
stores = st.builds(
    lambda cap, e, f, c, d, ec, ed, forms: Store(cap, e * cap, f * cap, c, d, ec, ed, forms),
    st.floats(1.0, 100.0), share, share, st.floats(0.0, 22.0), st.floats(0.0, 22.0),
    st.floats(0.5, 1.0), st.floats(0.5, 1.0), st.booleans(),
)  # fmt: skip
homes = st.builds(Home, st.none() | stores, st.none() | stores, st.booleans())
amounts = st.floats(0.0, 15.0)


@settings(max_examples=300, deadline=None)
@given(homes, st.lists(amounts, min_size=1, max_size=6), amounts, st.sampled_from([0.05, 0.25, 1]))
def test_each_step_balances_and_keeps_the_reserve(home, loads, pv, hours) -> None:
    step, after = island_step(home, np.array(loads), pv, hours)
    assert step.served_kw == pytest.approx(
        sum(x for x, s in zip(loads, step.served, strict=True) if s)
    )
    assert step.served_kw + step.shed_kw == pytest.approx(sum(loads))
    assert step.pv_used_kw + step.curtailed_kw == pytest.approx(pv)
    assert step.served_kw + step.battery_kw + step.car_kw == pytest.approx(
        step.pv_used_kw if step.alive else 0.0, abs=1e-8
    )
    for before, now, power in (
        (home.battery, after.battery, step.battery_kw),
        (home.car, after.car, step.car_kw),
    ):
        if before is None:
            assert power == 0.0 and now is None
            continue
        assert -before.discharge_max_kw - 1e-9 <= power <= before.charge_max_kw + 1e-9
        assert now.energy_kwh >= min(before.floor_kwh, before.energy_kwh) - 1e-9
        assert now.energy_kwh <= before.capacity_kwh
        change = stored_change_kwh(
            power, hours, before.charge_efficiency, before.discharge_efficiency
        )
        assert now.energy_kwh - before.energy_kwh == pytest.approx(change, abs=1e-9)
    if step.curtailed_kw > 1e-6 and step.alive:
        for store in (home.battery, home.car):
            assert store is None or store.can_take_kw(hours) <= 1e-6 + max(
                step.battery_kw if store is home.battery else step.car_kw, 0.0
            )


def test_dearest_loads_first_and_what_fits_runs() -> None:
    home = Home(None, replace(CAR, discharge_max_kw=3.0))
    step, _ = island_step(home, np.array([0.5, 4.0, 2.0, 1.0]), 0.0, 0.25)
    assert step.served.tolist() == [True, False, True, False]
    assert (step.served_kw, step.car_kw) == (2.5, -2.5)


def test_battery_before_car_or_the_other_way() -> None:
    load = np.array([6.0])
    step, _ = island_step(Home(BATTERY, CAR), load, 0.0, 0.25)
    assert (step.battery_kw, step.car_kw) == (-5.0, -1.0)
    step, _ = island_step(Home(BATTERY, CAR, car_first=True), load, 0.0, 0.25)
    assert (step.battery_kw, step.car_kw) == (0.0, -6.0)


def test_surplus_fills_the_reserve_then_the_battery_then_the_car() -> None:
    low = replace(CAR, energy_kwh=19.1)
    step, _ = island_step(Home(BATTERY, low), np.array([1.0]), 9.0, 1.0)
    assert step.car_kw >= 1.0 and step.battery_kw == pytest.approx(2.0 / 0.95)
    full = replace(CAR, energy_kwh=60.0)
    step, _ = island_step(Home(replace(BATTERY, energy_kwh=10.0), full), np.array([1.0]), 9.0, 1.0)
    assert (step.curtailed_kw, step.pv_used_kw) == (8.0, 1.0)


def test_pv_alone_makes_no_island() -> None:
    step, after = island_step(Home(None, None), np.array([1.0]), 5.0, 0.25)
    assert not step.alive and step.curtailed_kw == 5.0 and after == Home(None, None)
    follower = Home(None, replace(CAR, forms=False))
    assert not island_step(follower, np.array([1.0]), 5.0, 0.25)[0].alive
    empty = Home(None, replace(CAR, energy_kwh=20.0))
    assert island_step(empty, np.array([1.0]), 5.0, 0.25, was_alive=True)[0].alive
    assert not island_step(empty, np.array([1.0]), 5.0, 0.25, was_alive=False)[0].alive


def test_the_reserve_ends_the_supply_not_the_trip() -> None:
    """20 kWh above the reserve at 0.9: 18 kWh for 2 kW are nine hours; then it is dark."""
    outage = run_outage(Home(None, CAR), np.full((1, 48), 2.0), np.zeros(48), 0.25)
    assert outage.autonomy_h == pytest.approx(9.0, abs=0.25)
    assert autonomy_h(Home(None, CAR), 2.0) == pytest.approx(9.0)
    assert all(home.car.energy_kwh >= 20.0 - 1e-9 for home in outage.homes if home.car)
    assert not outage.steps[-1].alive and outage.steps[-1].served_kw == 0.0


def test_a_car_that_leaves_supplies_nothing() -> None:
    here = np.array([True] * 4 + [False] * 4 + [True] * 4)
    outage = run_outage(Home(None, CAR), np.full((1, 12), 2.0), np.zeros(12), 0.25, 1, here)
    assert [step.alive for step in outage.steps] == here.tolist()
    assert outage.autonomy_h == 1.0
    assert outage.homes[7].car == outage.homes[3].car


@settings(max_examples=60, deadline=None)
@given(homes, st.floats(0.05, 12.0), st.floats(0.0, 5.0))
def test_autonomy_in_closed_form_agrees_with_steps(home, load, pv) -> None:
    """Fine steps with both stores shared as well as possible: never longer, seldom shorter."""
    expected = autonomy_h(home, load, pv)
    steps, hours = 400, 0.02
    stepped = run_outage(home, np.full((1, steps), load), np.full(steps, pv), hours).autonomy_h
    assert stepped <= expected + hours + 1e-9 or expected == float("inf")
    alone = home.battery is None or home.car is None
    if alone and expected < steps * hours:
        assert stepped == pytest.approx(expected, abs=2 * hours)


def test_autonomy_of_two_equal_stores() -> None:
    twin = Home(CAR, CAR)
    assert autonomy_h(twin, 4.0) == pytest.approx(9.0)
    assert autonomy_h(twin, 30.0) == 0.0
    assert autonomy_h(twin, 1.0, 1.5) == float("inf")
    weak = Home(replace(CAR, discharge_max_kw=1.0), replace(CAR, energy_kwh=22.0))
    assert autonomy_h(weak, 4.0) == pytest.approx(1.8 / 3.0)


def test_socket_on_the_car() -> None:
    assert v2l_kw(CAR, 3.6, 5.0, 0.25) == 3.6
    assert v2l_kw(CAR, 3.6, 2.0, 0.25) == 2.0
    assert v2l_kw(replace(CAR, energy_kwh=20.5), 3.6, 3.0, 1.0) == pytest.approx(0.45)
    assert v2l_kw(replace(CAR, energy_kwh=15.0), 3.6, 3.0, 1.0) == 0.0


def test_problems_are_listed() -> None:
    bad = Store(-1.0, 5.0, 9.0, -1.0, 5.0, 0.0, 1.1)
    assert len(store_problems(bad, "car")) == 6
    assert store_problems(CAR, "car") == []


TIMES = IslandSettings()


def test_switching_in_order() -> None:
    state = Island(Stage.GRID, 0.0)
    state = advance_island(TIMES, state, False, False, False, 1.0)
    assert state.stage is Stage.GRID
    state = advance_island(TIMES, state, False, False, False, 3.0)
    assert (state.stage, state.open_switch, state.former_on) == (Stage.OPENING, True, False)
    state = advance_island(TIMES, state, False, False, False, 4.0)
    assert state.stage is Stage.OPENING
    state = advance_island(TIMES, state, False, True, False, 5.0)
    assert (state.stage, state.former_on) == (Stage.FORMING, True)
    state = advance_island(TIMES, state, False, True, True, 9.0)
    assert state.stage is Stage.ISLAND
    state = advance_island(TIMES, state, True, True, True, 100.0)
    state = advance_island(TIMES, state, True, True, True, 159.0)
    assert state.stage is Stage.ISLAND
    state = advance_island(TIMES, state, True, True, True, 160.0)
    assert (state.stage, state.former_on, state.open_switch) == (Stage.STOPPING, False, True)
    state = advance_island(TIMES, state, True, True, False, 161.0)
    assert (state.stage, state.open_switch) == (Stage.GRID, False)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.floats(0.1, 90.0)),
                min_size=1, max_size=40))  # fmt: skip
def test_no_sequence_lets_two_sources_meet(events) -> None:
    """The former is only on with the switch confirmed open; the switch closes only with it off."""
    state, now = Island(Stage.GRID, 0.0), 0.0
    for valid, opened, running, dt in events:
        now += dt
        before = state
        state = advance_island(TIMES, state, valid, opened, running, now)
        if state.former_on:
            assert opened and state.open_switch
        if before.open_switch and not state.open_switch:
            assert not state.former_on
            assert before.stage is Stage.OPENING or not running


def test_black_start_order() -> None:
    order = [what for _, what in black_start(TIMES, Home(BATTERY, CAR), 2)]
    assert order == ["former: home battery", "load 0", "load 1", "pv", "car"]
    follower = Home(replace(BATTERY, forms=False), CAR)
    assert black_start(TIMES, follower, 1)[0] == (0.0, "former: car")
    assert black_start(TIMES, Home(None, None), 3) == []
