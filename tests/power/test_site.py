"""Fuses, phases, imbalance: which limit binds, and that none is ever broken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.errors import InvariantError
from pendel.power.site import (
    Bound,
    Devices,
    FuseTree,
    fuse_flows_kw,
    guaranteed_minimum_kw,
    headroom,
    imbalance_kva,
    phase_net_kw,
    phase_share,
    shrink_to_fit,
    tree_problems,
    violations,
)

PHASE_63 = 63 * 0.23
STREET = FuseTree(
    ("connection", "garage", "house"), np.array([-1, 0, 0]), np.array([63.0, 32.0, 35.0]),
    import_limit_kw=30.0, export_limit_kw=20.0,
)  # fmt: skip


def devices(*rows: tuple[int, int, int]) -> Devices:
    """rows: fuse, phases, first phase."""
    return Devices(
        np.array([row[0] for row in rows]),
        np.array([phase_share(row[1], row[2]) for row in rows]),
    )


def test_net_per_phase() -> None:
    load, pv = np.array([1.0, 2.0, 0.5]), np.array([3.0, 3.0, 3.0])
    cars = np.array([[0.0, 3.7, 0.0], [-2.0, -2.0, -2.0]])
    net = phase_net_kw(load, pv, np.array([0.5, 0.0, 0.0]), cars)
    np.testing.assert_allclose(net, [-3.5, 0.7, -4.5])
    with pytest.raises(InvariantError):
        phase_net_kw(load, pv, np.array([4.0, 0.0, 0.0]), cars)


def test_a_single_phase_car_meets_the_fuse_of_its_phase() -> None:
    """Three-phase charging fills L1 of the 32 A garage; a car on L1 has 0.36 kW left there."""
    both = devices((1, 3, 0), (1, 1, 0))
    tree = FuseTree(STREET.fuse_id, STREET.parent, STREET.current_a, imbalance_limit_kva=99.0)
    room = headroom(tree, both, np.array([21.0, 0.0]), 1)
    assert room.more_import_kw == pytest.approx(32 * 0.23 - 7.0)
    assert (room.import_bound, room.import_fuse) == (Bound.FUSE, "garage")
    other = devices((1, 3, 0), (2, 1, 0))
    room = headroom(tree, other, np.array([21.0, 0.0]), 1)
    assert room.more_import_kw == pytest.approx(PHASE_63 - 7.0)
    assert room.import_fuse == "connection"


def test_imbalance_and_connection_bind() -> None:
    cars = devices((1, 1, 0), (1, 1, 1), (1, 3, 0))
    room = headroom(STREET, cars, np.zeros(3), 0)
    assert (room.more_import_kw, room.import_bound) == (4.6, Bound.IMBALANCE)
    assert (room.more_export_kw, room.export_bound) == (4.6, Bound.IMBALANCE)
    room = headroom(STREET, cars, np.array([0.0, -3.0, 0.0]), 0)
    assert room.more_import_kw == pytest.approx(1.6)
    room = headroom(STREET, cars, np.array([0.0, 0.0, 0.0]), 2)
    assert (room.more_export_kw, room.export_bound) == (20.0, Bound.EXPORT)
    wide = FuseTree(("c",), np.array([-1]), np.array([200.0]), import_limit_kw=30.0)
    room = headroom(wide, devices((0, 3, 0)), np.array([22.0]), 0)
    assert (room.more_import_kw, room.import_bound) == (8.0, Bound.IMPORT)
    assert room.more_export_kw == pytest.approx(22.0 + 3 * 46.0)


def test_three_phase_devices_do_not_tilt() -> None:
    cars = devices((1, 3, 0), (1, 1, 2))
    assert imbalance_kva(cars, np.array([11.0, 3.7])) == pytest.approx(3.7)


def test_violations_are_named() -> None:
    cars = devices((1, 1, 0), (2, 3, 0))
    words = violations(STREET, cars, np.array([8.0, 23.0]))
    assert words[0].startswith("connection L1") and words[1].startswith("garage L1")
    assert any("imbalance" in w for w in words) and any("import" in w for w in words)
    assert violations(STREET, cars, np.array([0.0, -21.0])) == ["export 21.000 kW above 20.0"]
    assert violations(STREET, cars, np.zeros(2)) == []


def twin_flows(tree: FuseTree, devs: Devices, power: np.ndarray) -> np.ndarray:
    """Plain twin: for each fuse add the devices whose way to the root passes it."""
    flows = np.zeros((len(tree.fuse_id), 3))
    for d in range(len(devs)):
        fuse = int(devs.fuse[d])
        while fuse >= 0:
            flows[fuse] += devs.share[d] * power[d]
            fuse = int(tree.parent[fuse])
    return flows


trees = st.integers(1, 6).flatmap(
    lambda n: st.builds(
        lambda parents, amps, tilt, imp, exp: FuseTree(
            tuple(f"f{i}" for i in range(n)),
            np.array([-1, *[p % (i + 1) for i, p in enumerate(parents)]]),
            np.array(amps), imp, exp, tilt,
        ),
        st.lists(st.integers(0, 5), min_size=n - 1, max_size=n - 1),
        st.lists(st.floats(6.0, 250.0), min_size=n, max_size=n),
        st.floats(0.0, 20.0), st.floats(0.0, 200.0), st.floats(0.0, 200.0),
    )
)  # fmt: skip
rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(0, 2), st.floats(-30.0, 30.0)),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(trees, rows)
def test_granted_wishes_break_nothing(tree, entries) -> None:
    devs = devices(*[(e[0] % len(tree.fuse_id), e[1], e[2]) for e in entries])
    assert tree_problems(tree, devs) == []
    wish = np.array([e[3] for e in entries])
    np.testing.assert_allclose(
        fuse_flows_kw(tree, devs, wish), twin_flows(tree, devs, wish), atol=1e-12
    )
    given_kw = shrink_to_fit(tree, devs, np.zeros(len(wish)), wish)
    assert violations(tree, devs, given_kw) == []
    assert np.all(np.abs(given_kw) <= np.abs(wish) + 1e-12)
    assert np.all(given_kw * wish >= 0.0)
    if not violations(tree, devs, wish) and np.all(wish >= 0.0) and np.ptp(devs.share) == 0.0:
        np.testing.assert_allclose(given_kw, wish, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(trees, rows)
def test_headroom_is_exact(tree, entries) -> None:
    """Using all of it breaks nothing; a little more breaks something."""
    devs = devices(*[(e[0] % len(tree.fuse_id), e[1], e[2]) for e in entries])
    power = shrink_to_fit(tree, devs, np.zeros(len(entries)), np.array([e[3] for e in entries]))
    room = headroom(tree, devs, power, 0)
    for more, sign in ((room.more_import_kw, 1.0), (room.more_export_kw, -1.0)):
        to = power.copy()
        to[0] += sign * more
        assert violations(tree, devs, to) == []
        to[0] += sign * 1e-3
        assert violations(tree, devs, to) != []


def test_a_broken_tree_is_named() -> None:
    tree = FuseTree(("a", "b"), np.array([-1, 1]), np.array([63.0, -1.0]), import_limit_kw=-1.0)
    bad = Devices(np.array([7]), np.array([[0.5, 0.2, 0.2]]))
    problems = [str(p) for p in tree_problems(tree, bad)]
    assert len(problems) == 5
    assert "an earlier fuse or -1" in problems[0]


def test_paragraph_14a() -> None:
    factors = {2: 0.8, 3: 0.75, 4: 0.7, 5: 0.65, 6: 0.6, 7: 0.55, 8: 0.5, 9: 0.45, 40: 0.45}
    assert guaranteed_minimum_kw(0) == 0.0
    assert guaranteed_minimum_kw(1) == 4.2
    for n, factor in factors.items():
        assert guaranteed_minimum_kw(n) == pytest.approx(4.2 + (n - 1) * factor * 4.2)
