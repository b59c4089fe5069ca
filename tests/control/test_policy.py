"""The lone policy against a plain twin, against an exact linear programme, and its promises."""

import numpy as np
import pytest
from policy_twin import twin_value
from states import NOON_S, fleet

from pendel.control.policy import counts_in_steps, lone_paths, lone_power
from pendel.control.policy_kernels import grid_levels, lone_unit

STEP_S = 900


def presence_of(rng: np.random.Generator, steps: int, worst: float = 0.2) -> np.ndarray:
    return np.concatenate([[1.0], np.cumprod(1.0 - rng.uniform(0.001, worst, steps - 1))])


@pytest.mark.parametrize("seed", range(25))
def test_kernel_agrees_with_the_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps, levels, spacing = int(rng.integers(1, 9)), 4, 0.5
    low, high = -int(rng.integers(2, 9)), int(rng.integers(0, 7))
    target, down = 20.0, int(rng.integers(0, 5))
    charge = rng.normal(0.1, 0.1, steps)
    give = np.minimum(charge, rng.normal(0.1, 0.1, steps))
    floor = np.where(rng.random(steps) < 0.2, target - spacing, np.nan)
    given = {
        "presence": presence_of(rng, steps),
        "charge": charge,
        "give": give,
        "floor": floor,
        "counts_in": int(rng.integers(0, steps + 1)),
        "miss": float(rng.choice([0.0, 0.3, 5.0])),
        "terminal": float(rng.choice([0.0, 0.05])),
    }
    start = int(rng.integers(low, high + 1))
    cost, to = twin_value(
        start, 0, low=low, high=high, goal=0, up=levels, down=down, spacing=spacing,
        target=target, **given,
    )  # fmt: skip
    change = lone_unit(
        target + start * spacing, target, target + low * spacing, target + high * spacing,
        levels * spacing, down * spacing, given["counts_in"], given["presence"], charge, give,
        floor, given["miss"], given["terminal"], levels, np.empty((steps + 2, 512)),
        np.empty((0, 0)), np.full(steps, levels * spacing), np.full(steps, down * spacing),
    )  # fmt: skip
    other = start + round(change / spacing)
    assert -down <= other - start <= levels
    restricted = {"low": low, "high": high, "goal": 0, "spacing": spacing, "target": target}
    found = cost if other == to else forced_cost(start, other, levels, down, restricted, given)
    assert found == pytest.approx(cost, abs=1e-9)


def forced_cost(start, other, levels, down, grid, given) -> float:
    """Cost when the first move is forced: every other move in step 0 is made dear."""
    wide = dict(given.items())
    steps = len(given["presence"])
    after = {**wide}
    for name in ("presence", "charge", "give", "floor"):
        after[name] = given[name][1:]
    leave = 1.0 - (given["presence"][1] if steps > 1 else 0.0)
    cost = 0.0
    if steps > 1:
        after["presence"] = after["presence"] / after["presence"][0]
        after["counts_in"] = given["counts_in"] - 1
        cost, _ = twin_value(other, 0, up=levels, down=down, **grid, **after)
        cost *= 1.0 - leave
    if other < 0 and given["counts_in"] <= 1:
        cost += leave * given["miss"]
    if other > 0:
        cost -= leave * given["terminal"] * grid["spacing"] * other
    if not np.isnan(given["floor"][0]):
        cost += 1e4 * grid["spacing"] * max(-1 - other, 0)
    x = (other - start) * grid["spacing"]
    return cost + (given["charge"][0] if x > 0 else given["give"][0]) * x


@pytest.mark.parametrize("seed", range(6))
def test_known_departure_equals_the_linear_programme(seed: int) -> None:
    """With a sure departure, no losses and a dear promise the path costs what HiGHS finds."""
    rng = np.random.default_rng(seed)
    steps = 16
    price = rng.normal(0.1, 0.08, steps)
    state = fleet(charge_efficiency=1.0, discharge_efficiency=1.0, wear_eur_kwh=0.01,
                  target_kwh=32.0, energy_kwh=10.0, capacity_kwh=54.0)  # fmt: skip
    energy, missed = lone_paths(
        state, np.ones((1, steps)), None, 1e5, price[None], price[None], np.zeros(1, int),
        NOON_S, STEP_S,
    )  # fmt: skip
    x = np.diff(energy[0], prepend=10.0)
    cost = float((x * price + 0.01 * np.abs(x)).sum())
    assert missed.sum() == 0.0
    assert cost == pytest.approx(linear_cost(price, 10.0, 32.0, 54.0, 2.75, 0.01), abs=1e-7)


def linear_cost(price, start, target, capacity, most, wear) -> float:
    import highspy

    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    steps = len(price)
    for k in range(steps):
        solver.addVar(0.0, most)
        solver.changeColCost(2 * k, price[k] + wear)
        solver.addVar(0.0, most)
        solver.changeColCost(2 * k + 1, -price[k] + wear)
        low = target if k == steps - 1 else 0.0
        index = np.arange(2 * k + 2, dtype=np.int32)
        signs = np.tile([1.0, -1.0], k + 1)
        solver.addRow(low - start, capacity - start, len(index), index, signs)
    solver.run()
    return solver.getObjectiveValue()


@pytest.mark.parametrize("seed", range(10))
def test_a_dear_promise_never_falls_behind_charging_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = 24
    price = rng.normal(0.1, 0.1, steps)
    need = rng.uniform(2.0, 30.0)
    state = fleet(target_kwh=10.0 + need)
    presence = presence_of(rng, steps, 0.05)[None]
    energy, missed = lone_paths(
        state, presence, None, 1e6, price[None], price[None] - 0.01, np.zeros(1, int), NOON_S,
        STEP_S,
    )  # fmt: skip
    counts = int(counts_in_steps(state, NOON_S, STEP_S)[0])
    at_end = energy[0, counts - 1 :]
    assert (at_end >= 10.0 + need - 1e-6).all()
    assert missed.sum() == 0.0


def test_leaving_before_the_promise_counts_costs_nothing() -> None:
    """A car that surely leaves before charging at once would be done is not charged for it."""
    state = fleet(target_kwh=60.0)
    presence = np.array([[1.0, 1.0, 1.0, 0.0, 0.0]])
    price = np.full((1, 5), 0.2)
    power = lone_power(state, presence, None, 1e6, price, price, np.zeros(1, int), NOON_S, STEP_S)
    assert power[0] <= 0.0


def test_powers_and_energies_stay_inside_their_limits() -> None:
    rng = np.random.default_rng(3)
    count, steps = 60, 40
    capacity = rng.uniform(20.0, 90.0, count)
    energy = capacity * rng.uniform(0.0, 1.0, count)
    least = capacity * rng.uniform(0.0, 0.3, count)
    state = fleet(
        count, capacity_kwh=capacity, energy_kwh=energy, energy_arrive_kwh=energy,
        energy_min_kwh=least, target_kwh=np.maximum(capacity * rng.random(count), least),
        discharge_max_kw=rng.choice([0.0, 3.7, 11.0], count),
        charge_max_kw=rng.choice([3.7, 11.0, 22.0], count),
    )  # fmt: skip
    presence = np.array([presence_of(rng, steps) for _ in range(count)])
    price = rng.normal(0.1, 0.2, (1, steps))
    path, _ = lone_paths(
        state, presence, None, 10.0, price, price, np.zeros(count, int), NOON_S, STEP_S
    )
    change = np.diff(path, axis=1, prepend=energy[:, None])
    assert (path <= capacity[:, None] + 1e-6).all()
    assert (path >= np.minimum(least, energy)[:, None] - 1e-6).all()
    assert (change <= (state.charge_max_kw * 0.95 * 0.25)[:, None] + 1e-9).all()
    assert (change >= -(state.discharge_max_kw / 0.95 * 0.25)[:, None] - 1e-9).all()


def test_grid_loses_little_of_the_discharge_power() -> None:
    for ratio in (1.0, 0.95**-2, 0.9**-2, 0.5, 2.0, 1.3):
        levels = grid_levels(ratio)
        assert np.floor(ratio * levels + 1e-9) / (ratio * levels) > 0.93


def test_paused_and_stationary_units_rest() -> None:
    state = fleet(2, paused=np.array([True, False]), is_session=np.array([True, False]))
    price = np.array([[-0.5, 0.5]])
    power = lone_power(
        state, np.ones((2, 2)), None, 5.0, price, price, np.zeros(2, int), NOON_S, STEP_S
    )
    assert (power == 0.0).all()
