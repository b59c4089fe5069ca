"""The demonstration's stations over real OCPP 2.1: the same world as inside the process."""

import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))

from small_world import START, small, small_scenario

from pendel.records import Needs, Rank, SessionEvent, Setpoint
from pendel.sim.ocpp_fleet import OcppFleet
from pendel.sim.ocpp_world import OcppWorld, stations_of
from pendel.sim.virtual_station import VirtualWorld

MINUTE = timedelta(minutes=1)


def order(device: str, power_kw: float, begin: datetime, minutes: float) -> Setpoint:
    return Setpoint(
        id="x",
        at_utc=begin,
        device_id=device,
        site_id=device.partition("-")[0],
        power_kw=power_kw,
        requested_kw=power_kw,
        rank=Rank.PLAN,
        reason="test",
        until_utc=begin + minutes * MINUTE,
    )


@pytest.fixture
def fleet() -> Iterator[OcppFleet]:
    found = OcppFleet(stations_of([small_scenario()]), START.timestamp(), 0)
    yield found
    found.close()


def lived(world: VirtualWorld) -> list[tuple[object, ...]]:
    """What readings say over eight hours of the same orders."""
    found: list[tuple[object, ...]] = []
    world.plug_events(START)
    powers = (7.0, -11.0, 0.0, 22.0, -3.5, 11.0)
    for quarter in range(32):
        now = START + quarter * 15 * MINUTE
        world.plug_events(now)
        found += [
            (
                reading.device_id,
                round(reading.import_kwh or 0.0, 5),
                round(reading.export_kwh or 0.0, 5),
                round(reading.energy_kwh or 0.0, 4),
            )
            for reading in world.readings(now)
        ]
        for number, device in enumerate(sorted(world.cars)):
            power_kw = powers[(quarter + number) % len(powers)]
            world.apply([order(device, power_kw, now, 10 if quarter % 3 == 0 else 15)])
    return found


def test_the_wire_changes_nothing(fleet: OcppFleet) -> None:
    inside = lived(VirtualWorld(small_scenario(), START))
    wired = lived(OcppWorld(small_scenario(), START, fleet=fleet))
    assert len(inside) == len(wired) > 200
    for one, other in zip(inside, wired, strict=True):
        assert one[0] == other[0]
        assert other[1:] == pytest.approx(one[1:], abs=2e-3)
    assert max(float(str(row[2])) for row in wired) > 5.0
    transactions = fleet.network.csms.network.stations["home-cp01"].transactions.values()
    assert all(t.gaps() == [] for t in transactions)


def test_a_line_that_falls_is_taken_up_and_the_order_sent_again(fleet: OcppFleet) -> None:
    world = OcppWorld(small_scenario(), START, fleet=fleet)
    world.plug_events(START)
    client = fleet.clients["home-cp01"]
    fleet._call(client.cut(0.1))
    world.apply([order("home-cp01/1", 8.0, START, 60)])
    for _ in range(50):
        if client.connections == 2 and client.station.accepted:
            break
        time.sleep(0.1)
    assert client.connections == 2
    world.plug_events(START + 5 * MINUTE)
    world.plug_events(START + 70 * MINUTE)
    car = world.cars["home-cp01/1"]
    assert car.import_kwh == pytest.approx(8.0)
    assert car.power_kw == 0.0  # the order has run out


def test_a_run_goes_on_where_it_stopped(fleet: OcppFleet) -> None:
    before = small()
    now = before.to(40.0, every_min=5.0)
    state = before.runtime.state
    inside, wired = (
        VirtualWorld(small_scenario(), now),
        OcppWorld(small_scenario(), now, fleet=fleet),
    )
    fleet.advance(now.timestamp())
    for world in (inside, wired):
        world.resume(state, now)
        world.plug_events(now + 10 * MINUTE)
    assert set(wired.cars) == set(inside.cars) != set()
    for device, car in inside.cars.items():
        other = wired.cars[device]
        assert other.import_kwh == pytest.approx(car.import_kwh, abs=2e-3)
        assert other.energy_kwh == pytest.approx(car.energy_kwh, abs=2e-3)


def test_arrivals_and_needs_come_through_the_transaction(fleet: OcppFleet) -> None:
    """What control is told of a car is what it said over the wire, and equals what it is."""
    inside, wired = (
        VirtualWorld(small_scenario(), START),
        OcppWorld(small_scenario(), START, fleet=fleet),
    )
    for quarter in range(32):
        now = START + quarter * 15 * MINUTE
        told, expected = wired.plug_events(now), inside.plug_events(now)
        assert [type(e) for e in told] == [type(e) for e in expected]
        for one, other in zip(told, expected, strict=True):
            assert one.session_id == other.session_id
            if isinstance(one, SessionEvent) and isinstance(other, SessionEvent):
                assert (one.phase, one.device_id, one.vehicle_id) == (
                    (other.phase, other.device_id, other.vehicle_id)
                )
                assert one.energy_kwh == pytest.approx(other.energy_kwh, abs=1e-3)
                assert one.charge_max_kw == pytest.approx(other.charge_max_kw)
                assert one.discharge_max_kw == pytest.approx(other.discharge_max_kw)
                assert one.phase != "plugged" or one.stated_depart_utc == other.stated_depart_utc
            if isinstance(one, Needs) and isinstance(other, Needs):
                assert one.source == "car"
                assert one.target_kwh == pytest.approx(other.target_kwh, abs=1e-3)
    transactions = fleet.network.csms.network.stations["home-cp01"].transactions.values()
    assert {t.is_open for t in transactions} == {False}


def test_a_car_that_nobody_heard_of_is_told_when_it_is_heard(fleet: OcppFleet) -> None:
    world = OcppWorld(small_scenario(), START, fleet=fleet)
    client = fleet.clients["home-cp01"]
    fleet._call(client.cut(1.0))
    assert world.plug_events(START) == [] and "home-cp01/1" in world.cars
    told: list[object] = []
    for _ in range(100):
        told += world.plug_events(START)
        if told:
            break
        time.sleep(0.1)
    (event, needs) = told
    assert isinstance(event, SessionEvent) and event.session_id == "s1"
    assert isinstance(needs, Needs) and needs.target_kwh == pytest.approx(40.0, abs=0.01)
    # it leaves while the line is down: control hears of that with the queued events
    fleet._call(client.cut(1.0))
    leaves = START + 300 * MINUTE
    assert [e for e in world.plug_events(leaves) if e.session_id == "s1"] == []
    left: list[object] = []
    for _ in range(100):
        left += [e for e in world.plug_events(leaves) if e.session_id == "s1"]
        if left:
            break
        time.sleep(0.1)
    (event,) = left
    assert isinstance(event, SessionEvent) and event.phase == "unplugged"
