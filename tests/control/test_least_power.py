"""Least powers: pulses give in the mean what dispatch gave, inside every limit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import NOON_S, fleet
from test_controller_rules import NOW_S, controller, knowledge

from pendel.control.dispatch import Dispatched, Network, network_of
from pendel.control.least_power import RUN_S, LeastPowers
from pendel.control.state import Knowledge
from pendel.scenario.columns import Feeders

AC_LEAST_KW = 4.14
NONE_HELD = np.zeros(1, dtype=np.bool_)


def tree(site_feeder: list[int], parent: list[int], limits: list[float]) -> Network:
    names = np.array([f"f{i}" for i in range(len(parent))])
    bound = np.array(limits)
    above = np.array(parent, dtype=np.int64)
    return network_of(
        np.array(site_feeder, dtype=np.int64), Feeders(names, above, bound, bound), 60.0, 60.0
    )


def dispatched(power_kw: list[float], promise_kw: float = -50.0) -> Dispatched:
    power = np.array(power_kw)
    levels = np.zeros((len(power), 7))
    levels[:, 0], levels[:, 2] = -50.0, promise_kw
    return Dispatched(power, np.zeros(1), np.zeros(1), np.zeros(2), levels)


@pytest.mark.parametrize("given_kw", [0.3, 1.64, 3.0, 4.0])
def test_pulses_give_in_the_mean_what_was_given(given_kw: float) -> None:
    pulses, state = LeastPowers(), fleet(1, charge_least_kw=AC_LEAST_KW)
    done, switched = [], 0
    for tick in range(8 * 360):
        known = knowledge(NOW_S + 10 * tick)
        result = dispatched([given_kw])
        pulses.apply(result, state, known, controller().network, NONE_HELD)
        done.append(float(result.power_kw[0]))
        switched += len(done) > 1 and done[-1] != done[-2]
    assert set(done) == {0.0, AC_LEAST_KW}
    assert np.mean(done) == pytest.approx(given_kw, abs=0.06)
    # A pulse of q = least RUN_S takes q at least, so there are no more of them than that.
    most = 2 * given_kw * 8 * 3600 / (AC_LEAST_KW * RUN_S)
    assert switched <= 2 + most


def test_what_is_possible_stays_as_it_is() -> None:
    state = fleet(4, charge_least_kw=[4.14, 4.14, 0.0, 4.14], discharge_least_kw=1.4)
    result = dispatched([4.14, 7.0, 1.0, -3.0])
    changed = LeastPowers().apply(
        result, state, knowledge(), controller().network, np.zeros(4, dtype=np.bool_)
    )
    assert result.power_kw.tolist() == [4.14, 7.0, 1.0, -3.0] and not changed.any()


def test_a_hand_is_obeyed_as_it_is() -> None:
    state = fleet(2, charge_least_kw=4.14)
    result, held = dispatched([2.0, 2.0]), np.array([True, False])
    LeastPowers().apply(result, state, knowledge(), controller().network, held)
    assert result.power_kw.tolist() == [2.0, 0.0]


def test_a_pressing_promise_runs_at_once_and_first() -> None:
    """Room for one: the car whose promise presses takes it, though the other is owed more."""
    state = fleet(2, charge_least_kw=4.14)
    pulses, network = LeastPowers(), controller().network
    known = knowledge(import_limit_kw=np.array([6.0]))
    held = np.zeros(2, dtype=np.bool_)
    pulses.apply(dispatched([3.0, 1.0]), state, known, network, held)
    later = replace(known, now_s=known.now_s + 300)
    result = dispatched([3.0, 1.0])
    result.levels[1, 2] = 0.5
    pulses.apply(result, state, later, network, held)
    assert result.power_kw.tolist() == [0.0, 4.14]


def test_cars_of_a_narrow_site_take_turns() -> None:
    """Six cars want 2 kW each behind 12 kW: two at a time, everybody gets the same."""
    state, held = fleet(6, charge_least_kw=4.14), np.zeros(6, dtype=np.bool_)
    pulses, total = LeastPowers(), np.zeros(6)
    for tick in range(2_000):
        known = knowledge(NOW_S + 10 * tick, import_limit_kw=np.array([12.0]))
        result = dispatched([2.0] * 6)
        pulses.apply(result, state, known, controller().network, held)
        assert result.power_kw.sum() <= 12.0
        total += result.power_kw
    assert total.max() <= 1.3 * total.min()
    assert total.mean() / 2_000 == pytest.approx(8.28 / 6, rel=0.05)  # two of 4.14 kW fit


def test_a_discharge_that_keeps_a_limit_is_not_dropped() -> None:
    state = fleet(1, discharge_least_kw=1.4)
    held, network = np.zeros(1, dtype=np.bool_), controller().network
    calm = dispatched([-0.5])
    LeastPowers().apply(calm, state, knowledge(load_kw=np.array([5.0])), network, held)
    assert calm.power_kw[0] == 0.0
    tight = dispatched([-0.5])
    known = knowledge(load_kw=np.array([5.0]), import_limit_kw=np.array([4.5]))
    LeastPowers().apply(tight, state, known, network, held)
    assert tight.power_kw[0] == -1.4


@given(seed=st.integers(0, 100_000))
@settings(max_examples=150, deadline=None)
def test_no_limit_is_passed_that_dispatch_kept(seed: int) -> None:
    """Random trees: net powers recomputed here, node by node, never pass a limit anew."""
    draw = np.random.default_rng(seed)
    network = tree([0, 0, 1, -1], [2, 2, -1], draw.choice([5.0, 12.0, 30.0], 3).tolist())
    count = int(draw.integers(1, 12))
    site = draw.integers(0, 4, count)
    state = fleet(count, site=site, charge_least_kw=4.14, discharge_least_kw=1.4)
    load, limit = draw.uniform(0.0, 8.0, 4), draw.choice([6.0, 15.0, 40.0], 4)
    known = _four_sites(load, limit)
    power = draw.uniform(-4.0, 6.0, count)
    before = _nodes(power, site, load, network)
    high = np.concatenate([limit, network.import_limit_kw, [60.0]])
    result = Dispatched(power.copy(), np.zeros(4), np.zeros(4), np.zeros(8), np.zeros((count, 7)))
    result.levels[:, 0] = -11.0
    LeastPowers().apply(result, state, known, network, np.zeros(count, dtype=np.bool_))
    after = _nodes(result.power_kw, site, load, network)
    large = (power >= 4.14) | (power <= -1.4)
    rests = _nodes(np.where(large, power, 0.0), site, load, network)
    # What was inside stays inside, unless only a discharge too small to be had kept it there.
    assert (after <= np.maximum(np.maximum(high, before), rests) + 1e-6).all()
    amounts = np.abs(result.power_kw[result.power_kw != power])
    assert np.isin(np.round(amounts, 9), [0.0, 4.14, 1.4]).all()


def _four_sites(load: np.ndarray, limit: np.ndarray) -> Knowledge:
    return replace(
        knowledge(NOON_S), load_kw=load, pv_kw=np.zeros(4), import_limit_kw=limit,
        export_limit_kw=np.full(4, 40.0), grid_up=np.ones(4, dtype=np.bool_),
    )  # fmt: skip


def _nodes(power: np.ndarray, site: np.ndarray, load: np.ndarray, network: Network) -> np.ndarray:
    """Net power of the four sites, the three feeders and the portfolio, added up one by one."""
    sites = [float(load[s]) + sum(power[site == s]) for s in range(4)]
    feeders = [0.0, 0.0, 0.0]
    for s, kw in enumerate(sites):
        above = int(network.feeder[s])
        while above >= 0:
            feeders[above] += kw
            above = int(network.parent[above])
    return np.array([*sites, *feeders, sum(sites)])


def test_the_controller_pulses_what_its_plan_wants_slowly() -> None:
    """A car that would be charged with 2 kW at the site's limit gets 4.14 kW half of the time."""
    steered = controller()
    state = fleet(1, charge_least_kw=AC_LEAST_KW, stated_depart_s=NOW_S + 8 * 3600)
    seen = set()
    for tick in range(120):
        known = knowledge(NOW_S + 15 * tick % 900, import_limit_kw=np.array([4.3]))
        known = replace(known, load_kw=np.array([2.2 if tick % 8 else 0.1]))
        decision = steered.decide(state, known)
        assert decision.power_kw[0] == 0.0 or decision.power_kw[0] >= AC_LEAST_KW - 1e-9
        seen.add(round(float(decision.power_kw[0]), 2))
    assert 0.0 in seen


def test_who_may_not_take_its_least_rests() -> None:
    """A limit at the station below 6 A per phase: a pulse would pass it."""
    state = fleet(1, charge_least_kw=AC_LEAST_KW, charge_max_kw=3.0)
    pulses = LeastPowers()
    for tick in range(200):
        result = dispatched([3.0], promise_kw=3.0)
        known = knowledge(NOW_S + 30 * tick)
        pulses.apply(result, state, known, controller().network, NONE_HELD)
        assert result.power_kw[0] == 0.0
