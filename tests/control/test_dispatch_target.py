"""A target for the whole tree, and the tree at size: exact sums, and numpy as a second opinion."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.control.dispatch import dispatch, missed_kw, network_of, tracking
from pendel.control.state import FleetState, Knowledge
from pendel.scenario.columns import Feeders

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import dispatch_tree  # the numpy twin lives beside the measurement

STEP_H = 0.25


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_cars_hold_target_and_limits(seed: int) -> None:
    case = dispatch_tree.fleet(10_000, seed)
    case["tick"] = dispatch_tree.state_of(case)
    _, power, curtail = dispatch_tree.run_tick(case)
    assert dispatch_tree.violation_kw(case, power, curtail) <= 1e-9
    _, twin_power, twin_curtail = dispatch_tree.run_numpy(case)
    assert np.abs(power - twin_power).max() <= 1e-9
    assert np.abs(curtail - twin_curtail).max() <= 1e-9


def small(seed: int) -> tuple[dict, FleetState, Knowledge, object]:
    """A few sites without PV under one feeder wide enough for all; prices never negative."""
    case = dispatch_tree.fleet(60, seed)
    case["pv"][:] = 0.0
    case["export"][:] = 1e3
    case["home"][:] = False
    case["costs"][:] = False
    case["limits"] = tuple(np.full(len(limit), 1e4) for limit in case["limits"])
    state, knowledge, _ = dispatch_tree.state_of(case)
    feeders = Feeders(np.zeros(len(case["parent"]), str), case["parent"], *case["limits"])
    return case, state, knowledge, network_of(case["feeder"], feeders)


@given(st.integers(0, 2**32 - 1), st.floats(-700.0, 700.0))
@settings(max_examples=150, deadline=None)
def test_a_target_in_reach_is_met_and_another_one_is_missed_by_the_least(
    seed: int, target_kw: float
) -> None:
    case, state, knowledge, network = small(seed)
    wish, floor = case["units"][0], case["units"][2]
    found = dispatch(
        wish, floor, state, knowledge, tracking(network, target_kw), STEP_H, case["home"]
    )
    net = math.fsum((*found.power_kw, *case["load"], *found.curtail_kw))
    # What each site alone could do, by plain sums: least and most of its cars inside its limits.
    count_s = len(case["load"])
    least = np.bincount(case["site"], found.levels[:, 0], count_s) + case["load"]
    most = np.bincount(case["site"], found.levels[:, 6], count_s) + case["load"]
    low = np.maximum(least, -case["export"]).sum()
    high = np.maximum(np.minimum(most, case["import"]), least).sum()
    assert net == pytest.approx(min(max(target_kw, low), high), abs=1e-9)
    assert missed_kw(found, knowledge, target_kw) == pytest.approx(target_kw - net, abs=1e-9)


def test_a_target_is_shared_by_equal_stress() -> None:
    """Fair within a level: cars that can spare twice as much give twice as much."""
    case, state, knowledge, network = small(1)
    units = list(case["units"])
    count = len(case["site"])
    units[0] = np.zeros(count)  # nobody wishes anything
    units[2] = np.full(count, np.nan)
    state.energy_kwh[:] = 0.5 * state.capacity_kwh
    state.discharge_max_kw[:] = np.where(np.arange(count) % 2, 10.0, 5.0)
    knowledge.load_kw[:] = 0.0
    found = dispatch(
        units[0], units[2], state, knowledge, tracking(network, -100.0), STEP_H, case["home"]
    )
    weak, strong = found.power_kw[::2], found.power_kw[1::2]
    assert np.ptp(weak) < 1e-9
    assert np.ptp(strong) < 1e-9
    assert strong[0] == pytest.approx(2.0 * weak[0])
    assert found.power_kw.sum() == pytest.approx(-100.0)
    assert (found.lacking_kw == 0.0).all()
