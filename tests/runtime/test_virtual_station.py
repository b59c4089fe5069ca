"""Virtual stations: physics, registers, orders that run out, a scenario that begins anew."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import START, STEP_S, STEPS, small, small_scenario

from pendel.errors import InvariantError
from pendel.records import Needs, Rank, SessionEvent, Setpoint
from pendel.sim.combine import combined, first_steps
from pendel.sim.virtual_schedule import stays_of
from pendel.sim.virtual_station import VirtualWorld

MINUTE = timedelta(minutes=1)


def order(device: str, power_kw: float, begin: datetime, minutes: float) -> Setpoint:
    return Setpoint(
        id="x",
        at_utc=begin,
        device_id=device,
        site_id=device.replace("#", "-").partition("-")[0],
        power_kw=power_kw,
        requested_kw=power_kw,
        rank=Rank.PLAN,
        reason="test",
        until_utc=begin + minutes * MINUTE,
    )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_batteries_registers_and_grid_balance_for_any_orders(data: st.DataObject) -> None:
    """Oracle: energy at plug-in plus what the registers say, through the efficiencies."""
    world = VirtualWorld(small_scenario(), START)
    world.plug_events(START)
    now, flowed = START, 0.0
    for _ in range(12):
        for device in list(world.cars):
            if data.draw(st.booleans()):
                power = data.draw(st.floats(-40, 40))
                world.apply([order(device, power, now, data.draw(st.floats(1, 60)))])
        now += data.draw(st.floats(0.5, 30)) * MINUTE
        world.plug_events(now)
        for car in world.cars.values():
            stay = car.stay
            assert -1e-9 <= car.energy_kwh <= stay.capacity_kwh + 1e-9
            assert -stay.discharge_max_kw - 1e-9 <= car.power_kw <= stay.charge_max_kw + 1e-9
            expected = stay.energy_kwh + car.import_kwh * 0.9 - car.export_kwh / 0.9
            assert car.energy_kwh == pytest.approx(expected, abs=1e-6)
        readings = {r.device_id: r for r in world.readings(now)}
        assert all(r.simulated for r in readings.values())
        cars = sum(r.power_kw for d, r in readings.items() if d.startswith("home-"))
        net = readings["home#load"].power_kw + readings["home#pv"].power_kw + cars
        assert readings["home#grid"].power_kw == pytest.approx(net)
        flowed = readings["home#grid"].import_kwh or 0.0
    assert flowed >= 0.0


def test_an_order_runs_out_and_the_station_rests() -> None:
    world = VirtualWorld(small_scenario(), START)
    world.plug_events(START)
    world.apply([order("home-cp01/1", 8.0, START, 10)])
    world.plug_events(START + 60 * MINUTE)
    car = world.cars["home-cp01/1"]
    assert car.import_kwh == pytest.approx(8.0 / 6)
    assert car.power_kw == 0.0


def test_who_comes_and_goes_is_told_once_in_order() -> None:
    whole = VirtualWorld(small_scenario(), START)
    pieces = VirtualWorld(small_scenario(), START)
    whole.plug_events(START)
    pieces.plug_events(START)
    end = START + timedelta(seconds=STEPS * STEP_S)
    all_at_once = whole.plug_events(end)
    in_pieces: list[SessionEvent | Needs] = []
    now = START
    while now < end:
        now = min(now + 7 * MINUTE, end)
        in_pieces += pieces.plug_events(now)
    told = [(type(e).__name__, e.session_id, e.at_utc) for e in all_at_once]
    assert [(type(e).__name__, e.session_id, e.at_utc) for e in in_pieces] == told
    phases = [(e.session_id, e.phase) for e in all_at_once if isinstance(e, SessionEvent)]
    assert sorted(phases) == sorted(
        [("s1~1", "plugged"), ("s1", "unplugged")]
        + [(s, p) for s in ("s2", "s3", "s4") for p in ("plugged", "unplugged")]
    )


def test_the_scenario_begins_anew_with_new_sessions() -> None:
    run = small()
    run.to(2 * STEPS * 15 + 30)
    state = run.runtime.state
    names = {view.event.session_id for view in state.ended} | set(state.sessions)
    assert {"s1", "s1~1", "s1~2", "s2~1", "s3~1"} <= names
    assert state.limits_broken == 0


def test_next_event_is_the_next_change() -> None:
    world = VirtualWorld(small_scenario(), START)
    now, seen = START, []
    while now < START + 170 * MINUTE:
        now = world.next_event(now) or now
        seen.append((now - START) / MINUTE)
    assert 37.5 in seen and 154.5 in seen
    assert set(range(15, 166, 15)) <= set(seen)


def test_a_station_takes_one_car_at_a_time() -> None:
    stays = stays_of(small_scenario())
    for device in {stay.device_id for stay in stays}:
        own = sorted((s.arrive_utc, s.depart_utc) for s in stays if s.device_id == device)
        assert all(a[1] <= b[0] for a, b in pairwise(own))


def test_sun_is_held_back_by_order_until_it_runs_out() -> None:
    world = VirtualWorld(small_scenario(), START)
    world.plug_events(START)
    world.apply([order("home#pv", -0.2, START, 30)])
    world.plug_events(START + 60 * MINUTE)
    meters = {r.device_id: r for r in world.readings(START + 60 * MINUTE)}
    assert meters["home#pv"].export_kwh == pytest.approx(0.1 + 0.25)
    assert meters["home#pv"].power_kw == -0.5


def test_combined_scenarios_keep_their_sites_apart() -> None:
    one = small_scenario("one")
    whole = combined([one], "same")
    assert len(whole.sessions) == 4
    with pytest.raises(InvariantError, match="twice"):
        combined([one, small_scenario("two")], "both")


def test_first_steps_cut_what_reaches_beyond() -> None:
    cut = first_steps(small_scenario(), 11)
    assert cut.horizon.steps == 11
    assert cut.sessions.session_id.tolist() == ["s1", "s2", "s3"]
    assert cut.sessions.depart_step.tolist() == [11, 10, 11]
    assert cut.ignored_sessions == 1
    assert cut.series.load_kw.shape == (2, 11)
    assert first_steps(small_scenario(), 99).horizon.steps == STEPS
