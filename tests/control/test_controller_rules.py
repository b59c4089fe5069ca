"""One tick at a time: precedence, fallbacks when blind, calm, and cars that do not follow."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import NOON_S, fleet

from pendel.control.controller import Controller
from pendel.control.dispatch import Network, network_of, smoothed
from pendel.control.limits import FUSE, GRID_DOWN, PERMIT, in_force, limit_of_site
from pendel.control.state import RANKS, Decision, Knowledge
from pendel.records import Limit, Mode, Rank
from pendel.scenario.columns import Feeders

STEP_S = 900
NOW_S = NOON_S
NIGHT = np.where(np.arange(96) < 48, 0.5, 0.1)[None, :]


def network(sites: int = 1) -> Network:
    none = np.zeros(0)
    feeders = Feeders(np.array([], dtype="U1"), np.zeros(0, dtype=np.int64), none, none)
    return network_of(np.full(sites, -1, dtype=np.int64), feeders)


def knowledge(now_s: int = NOW_S, **changed: object) -> Knowledge:
    """One site, dear for half a day and cheap afterwards, wide limits."""
    one, none = np.ones(1), np.zeros((1, 0))
    known = Knowledge(
        now_s=now_s, step_s=STEP_S, timezone="Europe/Berlin",
        price_row=np.zeros(1, dtype=np.int64), import_eur_kwh=NIGHT, export_eur_kwh=NIGHT,
        import_past_eur_kwh=none, export_past_eur_kwh=none, load_kw=0.0 * one, pv_kw=0.0 * one,
        load_past_kw=none, pv_past_kw=none, import_limit_kw=100.0 * one,
        export_limit_kw=100.0 * one, demand_charge_eur_kw=0.0 * one, peak_so_far_kw=0.0 * one,
        grid_up=np.ones(1, dtype=np.bool_), reading_age_s=0.0 * one,
    )  # fmt: skip
    return replace(known, **changed)


def controller(mode: Mode = Mode.V2G, **options: float) -> Controller:
    return Controller(mode, 0.99, STEP_S, "Europe/Berlin", network(), **options)


def rank_of(decision: Decision, unit: int = 0) -> Rank:
    return RANKS[decision.rank[unit]]


def full_car(**columns: object) -> object:
    """A car far above its target that will stay long: at 0.5 EUR/kWh it wants to sell."""
    base = {"energy_kwh": 55.0, "target_kwh": 20.0, "stated_depart_s": NOW_S + 20 * 3600}
    return fleet(1, **(base | columns))


def test_a_full_car_sells_when_it_is_dear() -> None:
    decision = controller().decide(full_car(), knowledge())
    assert decision.power_kw[0] == pytest.approx(-11.0, abs=0.3)
    assert rank_of(decision) == Rank.PLAN


def test_a_limit_of_the_grid_outranks_the_plan() -> None:
    decision = controller().decide(full_car(), knowledge(export_limit_kw=np.array([4.0])))
    assert -4.0 <= decision.power_kw[0] < -3.5
    steered, state = controller(), full_car()
    steered.refresh(state, knowledge())
    surprised = steered.dispatch(state, knowledge(export_limit_kw=np.array([4.0])))
    assert surprised.power_kw[0] == pytest.approx(-4.0)
    assert rank_of(surprised) == Rank.GRID_LIMIT


@pytest.mark.parametrize("mode", [Mode.UNCONTROLLED, Mode.V1G])
def test_modes_that_never_discharge(mode: Mode) -> None:
    assert controller(mode).decide(full_car(), knowledge()).power_kw[0] >= 0.0


def test_home_mode_follows_the_real_load() -> None:
    """The plan was made without load; within the step 3 kW flow: the car gives no more."""
    steered, state = controller(Mode.V2H), full_car()
    past = np.full((1, 200), 5.0)
    seen = knowledge(load_kw=np.array([5.0]), load_past_kw=past, pv_past_kw=0.0 * past)
    steered.refresh(state, seen)
    got = steered.dispatch(state, replace(seen, load_kw=np.array([3.0])))
    assert got.power_kw[0] == pytest.approx(-3.0)
    assert rank_of(got) == Rank.GRID_LIMIT


def test_never_into_a_dead_grid() -> None:
    decision = controller().decide(full_car(), knowledge(grid_up=np.zeros(1, dtype=np.bool_)))
    assert decision.power_kw[0] == 0.0
    assert rank_of(decision) == Rank.SAFETY


def test_blind_to_the_car_never_discharges_but_charges_on() -> None:
    stale = full_car(reading_age_s=3_600.0)
    assert controller().decide(stale, knowledge()).power_kw[0] == 0.0
    hungry = full_car(reading_age_s=3_600.0, energy_kwh=10.0)
    decision = controller().decide(hungry, knowledge())
    assert 0.0 < decision.power_kw[0] < 11.0
    assert rank_of(decision) in (Rank.COMFORT, Rank.PROMISE)


def test_without_any_price_it_charges_modestly() -> None:
    none = np.zeros((1, 0))
    blind = knowledge(import_eur_kwh=none, export_eur_kwh=none)
    decision = controller().decide(full_car(energy_kwh=10.0), blind)
    half_of_the_stay_h = 10.0
    assert decision.power_kw[0] == pytest.approx(10.0 / 0.95 / half_of_the_stay_h)
    approx_04 = pytest.approx(0.4)
    limited = replace(blind, import_limit_kw=np.array([0.4]))
    assert controller().decide(full_car(energy_kwh=10.0), limited).power_kw[0] == approx_04


def test_paused_rests_and_charge_now_charges() -> None:
    paused = full_car(energy_kwh=10.0, paused=True)
    decision = controller().decide(paused, knowledge())
    assert decision.power_kw[0] == 0.0
    assert rank_of(decision) == Rank.SAFETY
    now = controller().decide(full_car(charge_now=True), knowledge())
    assert now.power_kw[0] == pytest.approx(11.0)
    assert rank_of(now) == Rank.PROMISE


def test_a_car_that_does_not_follow_is_noticed_and_believed() -> None:
    steered, state = controller(Mode.UNCONTROLLED), fleet(1, energy_kwh=5.0)
    steered.decide(state, knowledge())
    steered = controller(Mode.V1G)
    state.charge_now[:] = True
    steered.decide(state, knowledge())
    assert steered.planning.slots.ordered_kw[steered.planning.slots.row[0]] == 11.0
    for turn in range(1, 4):  # ordered 11, takes 6
        state.power_kw = np.array([6.0])
        steered.decide(state, knowledge(NOW_S + turn * STEP_S))
        row = steered.planning.slots.row[0]
        assert steered.planning.slots.deviations[row] == turn
        assert steered.planning.slots.accepted_kw[row] == 6.0
    state.power_kw = np.array([11.0])
    steered.decide(state, knowledge(NOW_S + 4 * STEP_S))
    assert steered.planning.slots.deviations[row] == 0
    assert steered.planning.slots.accepted_kw[row] > 6.0


@given(
    st.lists(st.floats(-0.02, 0.02), min_size=5, max_size=60),
    st.floats(-8.0, 8.0),
)
@settings(max_examples=100, deadline=None)
def test_small_noise_never_moves_a_setpoint(noise: list[float], level: float) -> None:
    """Wishes that tremble by less than the dead band leave the setpoint alone after the first."""
    setpoint = smoothed(np.array([level]), np.zeros(1), 0.05, 50.0)
    for tremble in noise:
        again = smoothed(setpoint + tremble, setpoint, 0.05, 50.0)
        assert (again == setpoint).all()
        setpoint = again


@given(st.lists(st.floats(-11.0, 11.0), min_size=2, max_size=40), st.floats(0.1, 5.0))
@settings(max_examples=100, deadline=None)
def test_ramps_bound_every_change(wishes: list[float], ramp: float) -> None:
    setpoint = np.zeros(1)
    for wish in wishes:
        moved = smoothed(np.array([wish]), setpoint, 0.05, ramp)
        assert abs(moved[0] - setpoint[0]) <= ramp + 1e-12
        setpoint = moved


AT = datetime(2025, 3, 3, 12, tzinfo=UTC)


def order(name: str, imports: float | None, exports: float | None, hours: tuple[int, int]) -> Limit:
    return Limit(
        id=name, at_utc=AT, site_id="s", source=name, import_limit_kw=imports,
        export_limit_kw=exports, from_utc=AT.replace(hour=hours[0]),
        until_utc=AT.replace(hour=hours[1]),
    )  # fmt: skip


def test_of_overlapping_orders_the_strictest_wins_in_each_direction() -> None:
    orders = [order("a", 4.2, None, (11, 13)), order("b", 6.0, 1.0, (12, 14))]
    got = limit_of_site("s", 17.0, 11.0, orders, AT)
    assert (got.import_limit_kw, got.import_source) == (4.2, "a")
    assert (got.export_limit_kw, got.export_source) == (1.0, "b")
    assert got.causes == ("a", "b")
    assert limit_of_site("other", 17.0, 11.0, orders, AT).import_source == FUSE
    assert not in_force(orders[0], AT.replace(hour=13))
    assert in_force(orders[0], AT.replace(hour=11))


def test_permit_and_dead_grid() -> None:
    got = limit_of_site("s", 17.0, 11.0, [], AT, export_permitted=False)
    assert (got.export_limit_kw, got.export_source, got.import_limit_kw) == (0.0, PERMIT, 17.0)
    dead = limit_of_site("s", 17.0, 11.0, [], AT, grid_up=False)
    assert (dead.import_limit_kw, dead.export_limit_kw) == (0.0, 0.0)
    assert dead.import_source == GRID_DOWN
