"""The controller's memory of units: rows follow names, whatever comes, leaves or changes place."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from states import fleet

from pendel.control.slots import Slots, keys_of


def names_of(slots: Slots, ids: np.ndarray, seen: dict[str, int]) -> None:
    """Each name keeps the row it got; no two share one."""
    assert len(set(slots.row.tolist())) == len(ids)
    for name, row in zip(ids.tolist(), slots.row.tolist(), strict=True):
        assert seen.setdefault(name, row) == row
    for gone in set(seen) - set(ids.tolist()):
        del seen[gone]


@given(st.lists(st.lists(st.integers(0, 30), unique=True, max_size=12), max_size=12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_rows_follow_names(rounds: list[list[int]], sort: bool) -> None:
    slots, seen = Slots(ring=4, sites=1), {}
    for numbers in rounds:
        ids = np.array([f"car{n}" for n in (sorted(numbers) if sort else numbers)], dtype="U8")
        state = fleet(len(ids), unit_id=ids)
        fresh = slots.match(state)
        assert set(ids[fresh].tolist()) == set(ids.tolist()) - set(seen)
        names_of(slots, ids, seen)


def test_a_unit_that_left_takes_its_plan_along() -> None:
    slots = Slots(ring=4, sites=1)
    two = fleet(2, unit_id=np.array(["a", "b"]))
    slots.match(two)
    slots.put(np.array([0, 1]), np.array([[1.0, 2.0], [4.0, 8.0]]), begin=9)
    assert slots.cars_kw[0].sum() == 15.0
    one = fleet(1, unit_id=np.array(["b"]))
    assert len(slots.match(one)) == 0
    assert slots.cars_kw[0].sum() == 12.0
    assert slots.follow(one, 10, 0.25)[0].tolist() == [8.0]


def test_keys_tell_ids_apart() -> None:
    ids = np.array([f"session-{n}" for n in range(5_000)])
    assert len(np.unique(keys_of(ids))) == 5_000
    assert len(keys_of(ids.astype(object))) == 0
