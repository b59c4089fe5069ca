"""Deliveries: exact quarter hours of both metering points, gaps where a round was late."""

from datetime import timedelta
from decimal import Decimal

from small_world import START, Small, small

from pendel.records import Delivery, Signal


def deliveries(world: Small, device: str) -> list[Delivery]:
    records = (record for _, record in world.runtime.store.replay())
    return [r for r in records if isinstance(r, Delivery) and r.device_id == device]


def test_every_quarter_hour_is_delivered_and_adds_up_to_the_registers() -> None:
    world = small()
    world.to(240.0, every_min=5.0)
    readings = {r.device_id: r for r in world.world.readings(START + timedelta(minutes=240))}
    for device in ("home#grid", "home#cars", "shop#grid", "shop#cars"):
        found = deliveries(world, device)
        begins = [delivery.begin_utc for delivery in found]
        assert begins == [START + timedelta(minutes=15 * n) for n in range(16)]
        taken = sum((Decimal(delivery.import_kwh) for delivery in found), Decimal(0))
        given = sum((Decimal(delivery.export_kwh) for delivery in found), Decimal(0))
        assert abs(taken - Decimal(readings[device].import_kwh or 0.0)) < Decimal("0.000001")
        assert abs(given - Decimal(readings[device].export_kwh or 0.0)) < Decimal("0.000001")
    cars = sum(Decimal(d.import_kwh) for d in deliveries(world, "home#cars"))
    assert cars > 10


def test_prices_of_the_quarter_hour_are_among_the_causes() -> None:
    world = small()
    world.to(30.0)
    finder = {record.id: record for _, record in world.runtime.store.replay()}
    for delivery in deliveries(world, "home#grid"):
        (cause,) = (finder[name] for name in delivery.causes)
        assert isinstance(cause, Signal)
        assert cause.topic == "price"


def test_a_late_round_leaves_a_gap_on_both_sides() -> None:
    world = small()
    world.to(30.0)
    for minutes in (46.0, 60.0, 75.0):
        world.runtime.tick(START + timedelta(minutes=minutes))
    begins = [d.begin_utc for d in deliveries(world, "shop#grid")]
    assert begins == [START + timedelta(minutes=minutes) for minutes in (0, 15, 60)]


def test_a_restart_does_not_invent_the_quarter_hour_it_missed() -> None:
    first = small()
    first.to(20.0, every_min=5.0)
    second = small(first.runtime.store)
    second.to(60.0, every_min=5.0)
    begins = [d.begin_utc for d in deliveries(second, "home#grid")]
    assert START + timedelta(minutes=15) not in begins
    assert begins[0] == START
    assert begins[-1] == START + timedelta(minutes=45)
