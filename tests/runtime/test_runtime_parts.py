"""Parts of the runtime on their own: fallback, promises, risk, loop, words."""

import logging
import signal
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from small_world import START, small

from pendel.clock import SimulatedClock
from pendel.control.state import FleetState, Knowledge
from pendel.records import Limit, Needs, PlanRecord, Promise, Rank, SessionEvent
from pendel.runtime.area import Meters, fleet_state, knowledge, open_sessions, site_limits
from pendel.runtime.fallback_decision import fallback_decision
from pendel.runtime.loop import Loop, Stop, stop_on_signals
from pendel.runtime.promising import Terms, next_morning, terms, tightened
from pendel.runtime.reasons import Moment, Order, causes, reason
from pendel.runtime.risk import Risk, outlook
from pendel.runtime.state import SessionView
from pendel.runtime.words import words


def event(**changes: object) -> SessionEvent:
    fields: dict[str, object] = {
        "id": "session-1",
        "at_utc": START,
        "session_id": "s",
        "site_id": "home",
        "phase": "plugged",
        "capacity_kwh": 50.0,
        "energy_kwh": 10.0,
        "charge_max_kw": 10.0,
        "discharge_max_kw": 0.0,
        "charge_efficiency": 0.9,
    }
    return SessionEvent(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "morning"),
    [
        ("2026-03-28T20:00:00+00:00", "2026-03-29T05:00:00+00:00"),  # summer time begins
        ("2026-10-24T20:00:00+00:00", "2026-10-25T06:00:00+00:00"),  # and ends
        ("2026-06-01T04:59:00+00:00", "2026-06-01T05:00:00+00:00"),
        ("2026-06-01T05:00:00+00:00", "2026-06-02T05:00:00+00:00"),
    ],
)
def test_the_next_morning_is_seven_local(now: str, morning: str) -> None:
    when = datetime.fromisoformat(now)
    assert next_morning(when, "Europe/Berlin") == datetime.fromisoformat(morning)


def told_to(plugged: SessionEvent, energy_kwh: float, *wishes: Needs) -> Terms:
    view = SessionView(plugged)
    for wish in wishes:
        view.wish(wish)
    return terms(view, small().area.spec, energy_kwh, START)


def test_without_a_word_it_is_eighty_percent_by_seven_never_below_twenty() -> None:
    told = told_to(event(), 10.0)
    assert (told.target_kwh, told.asked_kwh, told.energy_min_kwh) == (40.0, 40.0, 10.0)
    assert told.ready_by_utc == datetime(2026, 3, 3, 6, 0, tzinfo=UTC)
    assert told.reason == ""


@settings(max_examples=100, deadline=None)
@given(
    energy=st.floats(0, 50),
    target=st.floats(0, 50),
    hours=st.floats(-5, 20),
    minimum=st.none() | st.floats(0, 50),
)
def test_a_promise_is_reachable_and_at_most_what_was_asked(
    energy: float, target: float, hours: float, minimum: float | None
) -> None:
    ready = START + timedelta(hours=hours)
    needs = Needs(
        id="n", at_utc=START, session_id="s", target_kwh=target, energy_min_kwh=minimum,
        ready_by_utc=ready,
    )  # fmt: skip
    told = told_to(event(energy_kwh=energy), energy, needs)
    left = max((ready - START).total_seconds() // 1 / 3600, 0.0)
    highest = min(energy + left * 9.0, 50.0)
    assert told.target_kwh == pytest.approx(min(target, max(highest, energy)))
    assert told.asked_kwh == target
    assert bool(told.reason) == (target - max(highest, energy) > 0.05)


def test_nobody_else_loosens_or_pauses() -> None:
    def wish(source: str, target: float, least: float, hours: float, paused: bool) -> Needs:
        return Needs(
            id=f"n-{source}", at_utc=START, session_id="s", target_kwh=target,
            energy_min_kwh=least, ready_by_utc=START + timedelta(hours=hours), paused=paused,
            source=source,
        )  # fmt: skip

    own = wish("driver", 30.0, 8.0, 5.0, False)
    told = told_to(event(), 10.0, own, wish("operator", 1.0, 0.0, 9.0, True))
    assert told == told_to(event(), 10.0, own)
    assert told.ready_by_utc == START + timedelta(hours=5)
    assert (told.target_kwh, told.energy_min_kwh) == (30.0, 8.0)
    state = columns_of(30)[0]
    asked = {"s1": [wish("operator", 1.0, 0.0, 9.0, True)], "s3": [wish("driver", 1, 0, 9, True)]}
    assert tightened(state, asked).paused.tolist() == [False, True]
    assert state.paused.tolist() == [False, False]


def test_the_car_speaks_for_the_driver_and_is_overruled_by_him() -> None:
    car = Needs(id="a", at_utc=START, session_id="s", target_kwh=45.0, source="car")
    driver = Needs(id="b", at_utc=START, session_id="s", target_kwh=20.0)
    assert told_to(event(), 10.0, car).asked_kwh == 45.0
    modest = structs.replace(car, target_kwh=25.0)  # less than the usual 80 %
    assert told_to(event(), 10.0, modest).asked_kwh == 25.0
    told = told_to(event(), 10.0, car, driver)
    assert (told.asked_kwh, told.energy_min_kwh) == (20.0, 10.0)


@pytest.mark.parametrize(
    ("energy", "hours", "risk"),
    [
        (30.0, 0.0, Risk.READY),
        (29.95, 0.0, Risk.READY),
        (21.0, 1.5, Risk.TIGHT),
        (21.0, 3.0, Risk.ON_THE_WAY),
        (21.0, 0.9, Risk.LATE),
        (10.0, -1.0, Risk.LATE),
    ],
)
def test_risk(energy: float, hours: float, risk: Risk) -> None:
    promise = Promise(
        id="p", at_utc=START, session_id="s", ready_by_utc=START + timedelta(hours=hours),
        target_kwh=30.0, asked_kwh=30.0, energy_min_kwh=8.0, confidence=0.99,
    )  # fmt: skip
    seen = outlook(SessionView(event(), promise=promise), energy, START)
    assert seen.risk == risk
    assert seen.will_be_kept == (risk != Risk.LATE)


def columns_of(minutes: float) -> tuple[FleetState, Knowledge]:
    run = small()
    run.to(minutes)
    state, spec = run.runtime.state, run.area.spec
    now = START + timedelta(minutes=minutes)
    meters = Meters(now, {r.device_id: r for r in run.world.readings(now)})
    limits = site_limits(spec, state, now)
    known = knowledge(
        spec, state, meters, limits, run.area.book.rows(spec), int(START.timestamp()), {}
    )
    return fleet_state(spec, open_sessions(spec, state), meters), known


def test_what_the_controller_sees_is_what_the_scenario_says() -> None:
    state, known = columns_of(120)
    scenario = small().world.scenario
    assert state.unit_id.tolist() == ["s1", "s3", "s2"]
    assert known.load_past_kw == pytest.approx(scenario.series.load_kw[:, :8])
    assert known.pv_past_kw == pytest.approx(scenario.series.pv_kw[:, :8])
    assert known.import_past_eur_kwh[0] == pytest.approx(scenario.prices.import_eur_kwh[0, :8])
    assert known.import_eur_kwh[0, :24] == pytest.approx(scenario.prices.import_eur_kwh[0, 8:])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_fallback_keeps_limits_and_never_discharges(data: st.DataObject) -> None:
    state, known = columns_of(60)
    share = st.floats(0, 1)
    state.energy_kwh = state.capacity_kwh * np.array([data.draw(share) for _ in range(len(state))])
    known.load_kw = np.array([data.draw(st.floats(0, 40)) for _ in range(2)])
    known.import_limit_kw = np.array([data.draw(st.floats(0, 40)) for _ in range(2)])
    state.paused = np.array([data.draw(st.booleans()) for _ in range(len(state))])
    decision = fallback_decision(state, known)
    assert (decision.power_kw >= 0.0).all()
    assert (decision.power_kw <= state.charge_max_kw + 1e-9).all()
    assert (decision.power_kw[state.paused] == 0.0).all()
    cars = np.bincount(state.site, decision.power_kw, minlength=2)
    room = np.maximum(known.import_limit_kw - known.load_kw + known.pv_kw, 0.0)
    assert (cars <= room + 1e-9).all()
    after = state.energy_kwh + decision.power_kw * state.charge_efficiency * 0.25
    assert (after <= state.capacity_kwh + 1e-9).all()


def test_the_fallback_of_nobody_is_nothing() -> None:
    state, known = columns_of(0)
    empty = FleetState(**{name: getattr(state, name)[:0] for name in FleetState.__slots__})
    assert len(fallback_decision(empty, known).power_kw) == 0


def test_a_fast_loop_ticks_at_steps_and_events_and_survives_faults(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    run, seen = small(), []

    def shown(now: datetime) -> None:
        seen.append((now - START).total_seconds() / 60)

    def tick(now: datetime) -> list[object]:
        if now == START + timedelta(minutes=30):
            raise MemoryError("deliberate")
        return []

    run.runtime.tick = tick  # type: ignore[method-assign,assignment]
    loop = Loop(
        run.runtime, SimulatedClock(START), 1.0, Stop(), shown, next_event=run.world.next_event
    )
    loop.run_fast(START + timedelta(minutes=61), 900)
    assert seen == [0, 15, 30, 37.5, 45, 60]
    assert (loop.ticks, loop.failures) == (6, 1)


def test_a_loop_that_is_asked_to_stop_stops() -> None:
    run, stop = small(), Stop()
    loop = Loop(run.runtime, SimulatedClock(START), 60.0, stop, lambda now: stop.set())
    loop.run()
    assert loop.ticks == 1
    loop.stop = Stop()
    loop.on_tick = None
    loop.run(START + timedelta(minutes=5))
    assert loop.ticks == 6


def test_every_record_of_a_run_has_words() -> None:
    run = small()
    run.runtime.add_limit(
        Limit(id="", at_utc=START, site_id="home", source="x", import_limit_kw=1.0)
    )
    run.to(200)
    for _, record in run.runtime.store.replay():
        text = words(record)
        assert text and "\n" not in text and "nan" not in text.split()
    plan = PlanRecord(
        id="p", at_utc=START, site_id="home", begin_utc=START, step_s=900, objective_eur=2.0,
        bound_eur=1.5, shortfall_kwh=3.0, method="exact",
    )  # fmt: skip
    assert "at least 1.50 EUR were needed" in words(plan)
    assert "3.0 kWh short" in words(plan)
    swept = structs.replace(plan, objective_eur=None, bound_eur=None, method="sweep")
    assert "what it costs as a whole is not computed" in words(swept)
    shared = structs.replace(plan, bound_eur=None, sites=12)
    assert "2.00 EUR for 12 sites together, no bound is proven" in words(shared)


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (17.0, "import limit of 17 kW by fuse"),
        (-11.0, "export limit of 11 kW by fuse"),
        (3.0, "a limit above the site"),
    ],
)
def test_the_limit_that_binds_is_the_one_named(net: float, said: str) -> None:
    run = small()
    run.to(15)
    _, known = columns_of(15)
    limits = site_limits(run.area.spec, run.runtime.state, START)
    moment = Moment(known, limits, ["", ""], ["", ""], "Europe/Berlin", [net, 0.0])
    view = run.runtime.state.sessions["s1"]
    for requested in (-5.0, 4.0, 9.0):
        order = Order(0, 4.0, requested, Rank.GRID_LIMIT, 20.0, 0.0)
        assert reason(order, view, moment, None).startswith(said)


def test_each_rank_has_its_reason_and_causes() -> None:
    run = small()
    run.to(15)
    _, known = columns_of(15)
    limits = site_limits(run.area.spec, run.runtime.state, START)
    moment = Moment(known, limits, ["p", "p"], ["q", "q"], "Europe/Berlin", [0.0, 0.0])
    view = run.runtime.state.sessions["s1"]
    promise = view.promise.id if view.promise is not None else ""
    said = {}
    for rank in Rank:
        for power in (5.0, 0.0, -5.0):
            order = Order(0, power, power, rank, 20.0, 0.0, floor_kwh=20.0)
            said[rank, power] = reason(order, view, moment, None)
            found = causes(order, view, moment, "t", None)
            assert {"t", "p", "q", promise} <= set(found)
            assert len(found) == len(set(found))
    assert "energy costs" in said[Rank.PLAN, 5.0]
    assert said[Rank.PLAN, 0.0].startswith("waits")
    assert "selling brings" in said[Rank.PLAN, -5.0] or "serves" in said[Rank.PLAN, -5.0]
    assert said[Rank.PROMISE, 5.0] == "to be ready by Mon 18:00 with 40 kWh"
    assert (
        causes(Order(0, 5.0, 5.0, Rank.PROMISE, 20.0, 0.0), view, moment, "t", None)[0] == promise
    )
    pressed = Order(0, 5.0, 5.0, Rank.PLAN, 20.0, 0.0, floor_kwh=21.0)
    assert "no later hour is sure enough" in reason(pressed, view, moment, None)


def test_one_signal_asks_two_insist() -> None:
    stop, before = Stop(), signal.getsignal(signal.SIGTERM)
    with stop_on_signals(stop):
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
