"""The exact programme of one unit against its twin and against HiGHS."""

from collections.abc import Callable

import numpy as np
import pytest
from unit_twin import highs_cost, twin_cost

from pendel.control.storage_kernels import solve_storages
from pendel.control.unit_kernels import solve_units

RANDOM = range(150)
Result = Callable[[dict[str, object]], tuple[float, np.ndarray]]


def random_unit(seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    capacity = rng.uniform(10.0, 80.0)
    eta_c, eta_d = rng.uniform(0.8, 1.0, 2)
    wear = rng.uniform(0.0, 0.05) if seed % 2 else 0.0
    price = rng.normal(0.25, 0.15, n) if seed % 3 else np.round(rng.uniform(0.1, 0.4, n), 1)
    charge = price / eta_c + wear
    discharge = np.minimum(price * eta_d - wear, charge)
    start = rng.uniform(0.0, capacity)
    lo = np.where(rng.random(n) < 0.1, rng.uniform(0.0, 0.5 * capacity, n), 0.0)
    hi = np.where(rng.random(n) < 0.1, rng.uniform(0.6, 1.0, n) * capacity, capacity)
    lo[-1] = rng.uniform(0.0, capacity) if seed % 5 else 0.0
    hi[-1] = max(hi[-1], lo[-1])
    return {
        "charge": charge.tolist(),
        "discharge": discharge.tolist(),
        "up": rng.uniform(0.5, 6.0),
        "down": rng.uniform(0.5, 6.0) if seed % 4 else 0.0,
        "lo": lo.tolist(),
        "hi": hi.tolist(),
        "start": start,
        "worth": rng.uniform(0.0, 0.3) if seed % 2 else 0.0,
    }


def kernel_result(unit: dict[str, object]) -> tuple[float, np.ndarray]:
    charge, discharge = np.array(unit["charge"]), np.array(unit["discharge"])
    n = len(charge)
    up, down = float(unit["up"]), float(unit["down"])
    change, cost = np.zeros(n), np.zeros(1)
    solve_units(
        np.array([0, n]),
        np.stack([discharge, charge]),
        np.stack([np.full(n, down), np.full(n, up)]),
        np.full(n, -down),
        -discharge * down,
        np.array(unit["lo"]),
        np.array(unit["hi"]),
        np.array([unit["start"]]),
        np.array([-float(unit["worth"])]),
        np.zeros(1),
        np.zeros(1),
        change,
        cost,
    )
    return float(cost[0]), change


def storage_result(unit: dict[str, object]) -> tuple[float, np.ndarray]:
    """The same by the kernel with two slopes per step."""
    n = len(np.array(unit["charge"]))
    change, cost = np.zeros((1, n)), np.zeros(1)
    rows = (np.array([unit[name]]) for name in ("charge", "discharge", "up", "down", "lo", "hi"))
    solve_storages(
        *rows, np.array([unit["start"]]), np.array([-float(unit["worth"])]), change, cost
    )
    return float(cost[0]), change[0]


@pytest.mark.parametrize("result", [kernel_result, storage_result])
@pytest.mark.parametrize("seed", RANDOM)
def test_kernel_equals_twin_and_highs(seed: int, result: Result) -> None:
    unit = random_unit(seed)
    cost, change = result(unit)
    twin, highs = twin_cost(**unit), highs_cost(**unit)
    assert np.isinf(cost) == np.isinf(highs) == np.isinf(twin)
    if np.isinf(highs):
        return
    assert cost == pytest.approx(highs, abs=1e-9, rel=1e-9)
    assert twin == pytest.approx(highs, abs=1e-9, rel=1e-9)
    energy = unit["start"] + np.cumsum(change)
    assert (energy >= np.array(unit["lo"]) - 1e-9).all()
    assert (energy <= np.array(unit["hi"]) + 1e-9).all()
    assert (change <= unit["up"] + 1e-12).all()
    assert (change >= -unit["down"] - 1e-12).all()


@pytest.mark.proof
@pytest.mark.parametrize("block", range(20))
def test_kernel_equals_highs_often(block: int) -> None:
    for seed in range(1000 + 500 * block, 1500 + 500 * block):
        unit = random_unit(seed)
        highs = highs_cost(**unit)
        for result in (kernel_result, storage_result):
            cost = result(unit)[0]
            assert np.isinf(cost) == np.isinf(highs), seed
            if np.isfinite(highs):
                assert cost == pytest.approx(highs, abs=1e-9, rel=1e-9), seed


def test_soft_goal_costs_what_is_missing() -> None:
    """A goal out of reach is approached at the penalty; one in reach is met."""
    n = 4
    slope = np.stack([np.zeros(n), np.full(n, 0.3)])
    length = np.stack([np.zeros(n), np.ones(n)])
    for goal, expected in ((10.0, 4 * 0.3 + 6 * 5.0), (3.0, 3 * 0.3)):
        change, cost = np.zeros(n), np.zeros(1)
        solve_units(
            np.array([0, n]), slope, length, np.zeros(n), np.zeros(n), np.zeros(n),
            np.full(n, 20.0), np.zeros(1), np.zeros(1), np.array([goal]), np.array([5.0]),
            change, cost,
        )  # fmt: skip
        assert cost[0] == pytest.approx(expected, abs=1e-12)
        assert change.sum() == pytest.approx(min(goal, 4.0), abs=1e-12)


def test_many_segments_equal_fine_two_segment_split() -> None:
    """A charging cost in three rising blocks is filled block by block where it is cheapest."""
    slope = np.array([[0.1, 0.2], [0.3, 0.25], [0.5, 0.6]])
    length = np.ones((3, 2))
    change, cost = np.zeros(2), np.zeros(1)
    solve_units(
        np.array([0, 2]), slope, length, np.zeros(2), np.zeros(2), np.array([0.0, 4.0]),
        np.full(2, 10.0), np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1), change, cost,
    )  # fmt: skip
    assert cost[0] == pytest.approx(0.1 + 0.2 + 0.25 + 0.3, abs=1e-12)
    assert change.tolist() == pytest.approx([2.0, 2.0])
