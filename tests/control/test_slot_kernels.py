"""Kernels of the controller's memory against plain Python, and the ranks of a dispatch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import fleet

from pendel.control import slot_kernels as kernels
from pendel.control.dispatch_kernels import rank_units
from pendel.control.slots import FOLLOWS_KW, LEAST_TAKEN, NEVER, RELAXED, Slots

SEEDS = st.integers(0, 2**32 - 1)


@given(
    st.lists(st.integers(0, 40), unique=True, max_size=20),
    st.lists(st.integers(0, 40), unique=True, max_size=20),
)
@settings(deadline=None)
def test_the_head_that_keeps_its_order_is_found(last: list[int], keys: list[int]) -> None:
    stays = np.zeros(len(last), dtype=np.bool_)
    count = kernels.keep_order(np.array(last, np.int64), np.array(keys, np.int64), stays)
    assert [key for key, kept in zip(last, stays, strict=True) if kept] == keys[:count]
    if count < len(keys) and keys[count] in last:  # it stands before the one found last
        assert count > 0 and last.index(keys[count]) < last.index(keys[count - 1])


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_rows_of_rings(seed: int) -> None:
    draw = np.random.default_rng(seed)
    ring, count = int(draw.integers(3, 9)), 6
    rows, begin = draw.permutation(count)[:4], int(draw.integers(0, 1_000))
    values = draw.normal(size=(4, int(draw.integers(1, ring + 1))))
    table = draw.normal(size=(count, ring))
    expected = table.copy()
    for row, line in zip(rows, values, strict=True):
        for k, value in enumerate(line):
            expected[row, (begin + k) % ring] = value
    kernels.write_rows(rows, begin, values, table)
    assert (table == expected).all()
    site = draw.integers(0, 2, count)
    cars = np.array([table[site == s].sum(axis=0) for s in range(2)])
    kernels.clear_rows(rows, site, table, cars)
    assert (table[rows] == 0.0).all()
    assert cars == pytest.approx(np.array([table[site == s].sum(axis=0) for s in range(2)]))


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_plan_is_followed_until_its_energy_is_reached(seed: int) -> None:
    """Never more power than planned, never past the planned energy, exactly one of them if less."""
    draw = np.random.default_rng(seed)
    slots, left_h = Slots(ring=3, sites=1), float(draw.choice([0.25, 0.1]))
    state = fleet(9, energy_kwh=draw.uniform(8.0, 12.0, 9))
    slots.match(state)
    planned_kw = draw.choice([-8.0, -1.0, 0.0, 2.0, 9.0], 9)
    planned_kwh = np.where(draw.random(9) < 0.2, np.nan, draw.uniform(8.0, 12.0, 9))
    slots.put(np.arange(9), planned_kw[:, None], begin=7)
    slots.put_energies(np.arange(9), planned_kwh[:, None], begin=7)
    slots.put_floors(np.arange(9), np.arange(9.0)[:, None], begin=7)
    power, floor = slots.follow(state, 7, left_h)
    assert floor.tolist() == list(range(9))
    after = state.energy_kwh + left_h * np.where(power > 0.0, 0.95 * power, power / 0.95)
    for n in range(9):
        sign = np.sign(planned_kw[n])
        assert 0.0 <= sign * power[n] <= abs(planned_kw[n])
        if np.isnan(planned_kwh[n]) or sign * power[n] == abs(planned_kw[n]):
            assert power[n] == planned_kw[n]
        elif sign * (planned_kwh[n] - state.energy_kwh[n]) > 0.0:
            assert after[n] == pytest.approx(planned_kwh[n])
        else:
            assert power[n] == 0.0


def test_due_is_who_is_off_or_was_planned_before() -> None:
    slots = Slots(ring=4, sites=1)
    slots.match(fleet(4))
    slots.put_energies(np.arange(4), np.array([[10.0], [10.0], [13.0], [10.0]]), begin=8)
    slots.planned_at[slots.row] = [8, 8, 8, NEVER]
    energy = np.array([10.0, 12.5, 12.5, 10.0])
    assert slots.due(energy, 2.0, since=8, step=9).tolist() == [False, True, False, True]
    assert slots.due(energy, 2.0, since=9, step=9).all()


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_obedience_agrees_with_the_twin(seed: int) -> None:
    draw = np.random.default_rng(seed)
    slots = Slots(ring=2, sites=1)
    state = fleet(
        8, power_kw=draw.uniform(-11.0, 11.0, 8).round(1), reading_age_s=draw.choice([0, 5.0], 8),
        energy_kwh=draw.choice([10.0, 59.95], 8),
    )  # fmt: skip
    slots.match(state)
    rows = slots.row
    off_by = draw.choice([0.0, 0.2, 0.5, 6.0, -6.0], 8)
    slots.ordered_kw[rows] = np.where(draw.random(8) < 0.2, np.nan, state.power_kw + off_by)
    slots.accepted_kw[rows] = draw.choice([np.inf, 4.0], 8)
    slots.deviations[rows] = draw.integers(0, 3, 8)
    accepted, deviations, fresh = slots.accepted_kw[rows], slots.deviations[rows], []
    for n in range(8):
        ordered, power = slots.ordered_kw[rows[n]], state.power_kw[n]
        if np.isnan(ordered) or state.reading_age_s[n] > 0.0:
            continue
        if abs(power - ordered) <= FOLLOWS_KW:
            deviations[n], accepted[n] = 0, RELAXED * accepted[n]
            continue
        if deviations[n] == 0:
            fresh.append(n)
        deviations[n] += 1
        if state.energy_kwh[n] < 59.9 and ordered > 0.0 and power < ordered:
            accepted[n] = max(power, LEAST_TAKEN * state.charge_max_kw[n])
    assert slots.watch(state).tolist() == fresh
    assert slots.accepted_kw[rows].tolist() == accepted.tolist()
    assert slots.deviations[rows].tolist() == deviations.tolist()
    assert (slots.planned_at[rows[fresh]] == NEVER).all()


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_ranks_agree_with_their_rule(seed: int) -> None:
    draw = np.random.default_rng(seed)
    levels = np.sort(draw.integers(-5, 6, (12, 7)).astype(float), axis=1)
    power = np.where(draw.random(12) < 0.5, levels[:, 3], draw.integers(-5, 6, 12))
    wanted = np.where(draw.random(12) < 0.5, levels[:, 3], draw.integers(-5, 6, 12))
    paused = draw.random(12) < 0.2
    rank = np.full(12, 9)
    rank_units(levels, power, wanted, paused, 1e-9, 0, 1, 2, rank)
    for n in range(12):
        if paused[n]:
            expected = 0
        elif power[n] != levels[n, 3]:
            expected = 1
        elif levels[n, 3] > wanted[n]:
            expected = 2 if levels[n, 2] > levels[n, 0] else 0
        else:
            expected = 0 if levels[n, 3] < wanted[n] else 9
        assert rank[n] == expected
