"""One round of control: what becomes a record, what becomes an order, what happens on faults."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from small_world import START, Small, small

from pendel.adapters.event_log import SqliteEventLog
from pendel.adapters.memory_log import MemoryEventLog
from pendel.errors import InputError, NotFoundError, StoreError
from pendel.records import Deviation, Limit, Needs, Rank, Reading, Setpoint, Signal, Tick
from pendel.runtime.state import fold


def records(run: Small) -> list[object]:
    return [record for _, record in run.runtime.store.replay()]


def of(run: Small, kind: type) -> list[object]:
    return [record for record in records(run) if isinstance(record, kind)]


def test_the_state_is_the_fold_of_the_log_at_every_moment() -> None:
    run = small()
    for minutes in range(10, 500, 35):
        run.to(minutes, every_min=5.0)
        assert fold(r for _, r in run.runtime.store.replay()) == run.runtime.state
    assert run.runtime.state.sessions_ended == 4


def test_every_session_gets_a_promise_and_setpoints_with_causes() -> None:
    run = small()
    run.to(475)
    ids = {record.id for record in records(run)}
    setpoints = [r for r in of(run, Setpoint) if "#" not in r.device_id]
    assert {r.session_id for r in records(run) if type(r).__name__ == "Promise"} == {
        "s1", "s2", "s3", "s4",
    }  # fmt: skip
    assert len(setpoints) > 30
    for setpoint in setpoints:
        assert set(setpoint.causes) <= ids
        kinds = {cause.partition("-")[0] for cause in setpoint.causes}
        assert {"tick", "promise", "signal", "limit", "plan"} <= kinds
        assert setpoint.reason
        assert setpoint.simulated
    for record in records(run):
        assert set(record.causes) <= ids


def test_what_cannot_be_kept_is_said_at_plug_in() -> None:
    run = small()
    run.to(45)
    promise = run.runtime.state.sessions["s2"].promise
    assert promise is not None
    hours = (12.0 - 2.5) / 4
    assert promise.target_kwh == pytest.approx(10.0 + hours * 11.0 * 0.9)
    assert promise.asked_kwh == 45.0
    assert promise.reason.startswith("45.0 kWh cannot be reached, the best possible is 33.5: ")


def test_departures_are_learned_and_kept_promises_counted() -> None:
    run = small()
    run.to(480)
    assert run.decider.learned == ["s2", "s1", "s3", "s4"]
    state = run.runtime.state
    # s2 asked for more than charging at once could reach: it does not count.
    assert state.promises_total == 3
    assert 0 <= state.promises_kept <= 3


def test_orders_are_durable_before_they_are_given() -> None:
    run = small()
    seen: list[str] = []

    class Watching:
        def apply(self, setpoints: Iterable[Setpoint]) -> None:
            for setpoint in setpoints:
                assert run.runtime.store.find(setpoint.id) == setpoint
                seen.append(setpoint.id)
            run.world.apply(setpoints)

    run.area.ports = type(run.area.ports)(Watching(), run.world, run.world, run.world)
    run.to(240)
    assert len(seen) > 10


def test_a_limit_acts_at_once_and_its_end_too() -> None:
    run = small()
    run.to(60)
    free = sum(car.ordered_kw for d, car in run.world.cars.items() if d.startswith("home"))
    assert free > 5.0
    limit = run.runtime.add_limit(
        Limit(id="", at_utc=START, site_id="home", source="grid operator", import_limit_kw=2.0)
    )
    held = sum(car.ordered_kw for d, car in run.world.cars.items() if d.startswith("home"))
    assert held == pytest.approx(2.0 - 1.0 + 0.5)
    newest = [r for r in of(run, Setpoint) if r.device_id.startswith("home")][-1]
    assert limit.id in newest.causes
    run.runtime.delete_limit("home", limit.id)
    after = sum(car.ordered_kw for d, car in run.world.cars.items() if d.startswith("home"))
    assert after == pytest.approx(free)
    with pytest.raises(NotFoundError):
        run.runtime.delete_limit("home", limit.id)
    with pytest.raises(NotFoundError):
        run.runtime.add_limit(Limit(id="", at_utc=START, site_id="moon", source="x"))
    assert run.runtime.state.limits_broken == 0


def test_a_limit_for_later_waits() -> None:
    run = small()
    begin = START + timedelta(hours=2)
    run.runtime.add_limit(
        Limit(
            id="",
            at_utc=START,
            site_id="home",
            source="x",
            import_limit_kw=1.0,
            from_utc=begin,
            until_utc=begin + timedelta(hours=1),
        )
    )
    powers = {}
    for minutes in (105, 120, 165, 180):
        run.to(minutes)
        powers[minutes] = sum(c.ordered_kw for d, c in run.world.cars.items() if "home" in d)
    assert powers[105] > 2.0 and powers[180] > 2.0
    assert powers[120] <= 0.5 + 1e-9 and powers[165] <= 0.5 + 1e-9


def test_an_operators_hand_stands_for_its_time_inside_the_limits() -> None:
    run = small()
    run.to(30)
    device = "home-cp01/1"
    given = run.runtime.hand(device, -50.0, 1_800.0, "operator")
    assert isinstance(given, Setpoint)
    assert given.power_kw == pytest.approx(-11.0)
    assert given.rank == Rank.SERVICE
    assert any(cause.startswith("signal-") for cause in given.causes)
    run.to(45)
    assert run.world.cars[device].power_kw == pytest.approx(-11.0)
    run.to(75)
    assert run.world.cars[device].ordered_kw >= 0.0
    unheard = run.runtime.hand("home-cp09/1", 1.0, 60.0, "operator")
    assert isinstance(unheard, Signal)
    assert unheard.topic == "operator_unheard"


def test_wishes_of_others_only_tighten() -> None:
    run = small()
    run.to(15)
    before = run.runtime.state.sessions["s1"].promise
    assert before is not None

    def wish(source: str, target: float, hours: float) -> None:
        run.runtime.set_needs(
            Needs(
                id="",
                at_utc=START,
                session_id="s1",
                target_kwh=target,
                source=source,
                ready_by_utc=START + timedelta(hours=hours),
            )
        )

    wish("operator", 10.0, 7.9)
    after = run.runtime.state.sessions["s1"].promise
    assert after is not None
    assert (after.asked_kwh, after.ready_by_utc) == (before.asked_kwh, before.ready_by_utc)
    wish("operator", 50.0, 4.0)
    tight = run.runtime.state.sessions["s1"].promise
    assert tight is not None
    assert (tight.asked_kwh, tight.ready_by_utc) == (50.0, START + timedelta(hours=4))
    wish("operator", 45.0, 4.5)  # nobody takes back what was promised, not even who asked for it
    kept = run.runtime.state.sessions["s1"].promise
    assert kept is not None
    assert (kept.asked_kwh, kept.ready_by_utc) == (50.0, START + timedelta(hours=4))
    wish("driver", 30.0, 3.0)  # the driver restates his own, what others need stays
    own = run.runtime.state.sessions["s1"].promise
    assert own is not None
    assert (own.asked_kwh, own.ready_by_utc) == (50.0, START + timedelta(hours=3))
    wish("driver", 55.0, 6.0)
    more = run.runtime.state.sessions["s1"].promise
    assert more is not None
    assert (more.asked_kwh, more.ready_by_utc) == (55.0, START + timedelta(hours=4))


def test_impossible_wishes_are_all_named() -> None:
    run = small()
    with pytest.raises(InputError) as caught:
        run.runtime.set_needs(
            Needs(
                id="",
                at_utc=START,
                session_id="s1",
                target_kwh=61.0,
                energy_min_kwh=-1.0,
                ready_by_utc=START - timedelta(hours=1),
            )
        )
    assert {p.field for p in caught.value.problems} == {
        "target_kwh", "energy_min_kwh", "ready_by_utc",
    }  # fmt: skip
    with pytest.raises(NotFoundError):
        run.runtime.set_needs(Needs(id="", at_utc=START, session_id="nobody"))


def test_a_failing_controller_is_replaced_and_named() -> None:
    run = small()
    run.decider.fault = ZeroDivisionError("deliberate")
    run.to(60)
    assert "safe fallback" in run.runtime.health
    assert "ZeroDivisionError" in run.runtime.health
    assert sum(car.ordered_kw for car in run.world.cars.values()) > 1.0
    assert all(car.ordered_kw >= 0.0 for car in run.world.cars.values())
    ticks = of(run, Tick)
    assert "safe fallback" in ticks[-1].health
    run.decider.fault = None
    run.to(75)
    assert run.runtime.health == "ok"


class Brittle(MemoryEventLog):
    """A log whose disk is full when told so."""

    full = False

    def append(self, records):  # type: ignore[no-untyped-def]
        if self.full:
            raise StoreError("database or disk is full")
        super().append(records)


def test_a_full_store_keeps_standing_orders_and_recovers() -> None:
    log = Brittle()
    run = small(log)
    run.to(30)
    before, orders = log.last_sequence, {d: c.ordered_kw for d, c in run.world.cars.items()}
    log.full = True
    run.to(45)
    assert "disk is full" in run.runtime.health
    assert log.last_sequence == before
    assert orders.items() <= {d: c.ordered_kw for d, c in run.world.cars.items()}.items()
    log.full = False
    run.to(60)
    assert run.runtime.health == "ok"
    assert fold(r for _, r in log.replay()) == run.runtime.state


def test_a_fault_of_the_outside_stays_in_its_area() -> None:
    run, other = small(), small()
    run.runtime.areas.append(other.area)

    class Broken:
        def readings(self, now_utc):  # type: ignore[no-untyped-def]
            raise OSError("no meter")

    run.area.ports = type(run.area.ports)(run.world, Broken(), run.world, run.world)
    run.runtime.tick(START + timedelta(minutes=15))
    assert "no meter" in run.runtime.health
    assert other.area.health == "ok"


def test_a_station_that_does_not_follow_is_found_and_its_return_too() -> None:
    run = small()
    run.to(15)
    car = run.world.cars["home-cp01/1"]
    real = type(run.world).apply
    stuck = {"on": True}

    def apply(setpoints: Iterable[Setpoint]) -> None:
        kept = car.ordered_kw
        real(run.world, setpoints)
        if stuck["on"]:
            car.ordered_kw = 0.0
        del kept

    port = type("Stuck", (), {"apply": staticmethod(apply)})()
    run.area.ports = type(run.area.ports)(port, run.world, run.world, run.world)
    car.ordered_kw = 0.0
    run.to(60)
    found = [r for r in of(run, Deviation) if r.device_id == "home-cp01/1"]
    assert len(found) == 1
    assert found[0].measured_kw == 0.0
    assert abs(found[0].ordered_kw) > 1.0
    assert found[0].causes[0].startswith("setpoint-")
    assert run.runtime.state.deviations.keys() == {"home-cp01/1"}
    stuck["on"] = False
    for setpoint in run.runtime.state.setpoints.values():
        real(run.world, [setpoint])
    run.to(90)
    assert of(run, Deviation)[-1].ended
    assert run.runtime.state.deviations == {}


def test_meters_keep_the_mean_of_each_step_for_forecasts() -> None:
    run = small()
    run.to(120)
    past = run.runtime.state.past_kw["shop#load"]
    expected = small().world.scenario.series.load_kw[1, :8]
    assert list(past.values()) == pytest.approx(list(expected))
    assert [r for r in of(run, Reading) if r.device_id == "home#grid"]


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The same life in one piece and in pieces: the same batteries in the end."""
    whole = small()
    whole.to(300)
    path = tmp_path / "log.db"
    for minutes in (70, 140, 225, 300):
        log = SqliteEventLog(path)
        run = small(log)
        run.to(minutes)
        energies = {d: c.energy_kwh for d, c in run.world.cars.items()}
        log.close()
    assert energies == pytest.approx(
        {d: c.energy_kwh for d, c in whole.world.cars.items()}, abs=0.3
    )
    log = SqliteEventLog(path)
    assert fold(r for _, r in log.replay()).promises_total == whole.runtime.state.promises_total
    log.close()
