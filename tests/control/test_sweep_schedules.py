"""Schedules of the sweep against the general solver on the same single-unit problem."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import fleet
from sweep_twin import twin_changes

from pendel.control.plan import plan
from pendel.control.problem import PlanProblem, Units
from pendel.control.sweep_check import faulty_schedules
from pendel.control.sweep_kernels import PRESENCE_LEAST, sweep
from pendel.scenario.columns import Feeders

STEP_H = 0.25
STEPS = 24


def one_unit_problem(seed: int) -> PlanProblem:
    """One car behind a meter with load and PV, prices in order, limits that leave room."""
    draw = np.random.default_rng(seed)
    capacity = float(draw.uniform(20.0, 80.0))
    buy = draw.uniform(0.05, 0.5, (1, STEPS))
    sell = buy * draw.uniform(0.2, 1.0)
    energy = float(draw.uniform(0.0, 1.0)) * capacity
    rate = 11.0 * 0.9 * STEP_H
    at_once = energy + rate * np.arange(1, STEPS + 1)
    target = min(float(draw.uniform(0.0, 1.0)) * capacity, at_once[-1])
    ramp = target - rate * (STEPS - 1 - np.arange(STEPS)) * float(draw.choice([1.0, 0.5]))
    floor = np.minimum(np.maximum(ramp, 0.0), np.minimum(at_once, capacity))
    one = np.ones(1)
    return PlanProblem(
        step_h=STEP_H,
        steps=STEPS,
        units=Units(
            site=np.zeros(1, dtype=np.int64), first=np.zeros(1, dtype=np.int64),
            last=np.full(1, STEPS, dtype=np.int64), capacity_kwh=capacity * one,
            energy_start_kwh=energy * one, target_kwh=max(target, 0.0) * one,
            energy_min_kwh=0.0 * one, charge_max_kw=11.0 * one,
            discharge_max_kw=float(draw.choice([0.0, 11.0])) * one, charge_efficiency=0.9 * one,
            discharge_efficiency=0.95 * one, wear_eur_kwh=float(draw.choice([0.0, 0.03])) * one,
            terminal_eur_kwh=0.0 * one, is_session=np.ones(1, dtype=np.bool_),
        ),
        import_limit_kw=np.full((1, STEPS), 50.0),
        export_limit_kw=np.full((1, STEPS), float(draw.choice([0.0, 3.0, 50.0]))),
        load_kw=draw.uniform(0.0, 5.0, (1, STEPS)),
        pv_kw=draw.uniform(0.0, 3.0, (1, STEPS)) * float(draw.choice([0.0, 1.0])),
        price_row=np.zeros(1, dtype=np.int64),
        import_eur_kwh=buy,
        export_eur_kwh=sell,
        demand_charge_eur_kw=np.zeros(1),
        peak_so_far_kw=np.zeros(1),
        feeder=np.full(1, -1, dtype=np.int64),
        feeders=Feeders(
            np.array([], dtype="U1"), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0)
        ),
        portfolio_import_limit_kw=np.full(STEPS, np.inf),
        portfolio_export_limit_kw=np.full(STEPS, np.inf),
        floor_kwh=floor[None, :],
        presence=np.ones((1, STEPS)),
    )  # fmt: skip


def swept(problem: PlanProblem) -> np.ndarray:
    """The sweep's powers [T] for the single unit of a problem."""
    units = problem.units
    schedule, energy, cars = np.zeros((1, STEPS)), np.zeros((1, STEPS)), np.zeros((1, STEPS))
    zero = np.zeros(1, dtype=np.int64)
    sweep(
        zero, zero, units.site, problem.price_row, units.energy_start_kwh, units.capacity_kwh,
        units.energy_min_kwh, units.charge_max_kw, units.discharge_max_kw,
        units.charge_efficiency, units.discharge_efficiency, units.wear_eur_kwh, np.zeros(1),
        problem.presence, problem.floor_kwh, problem.import_eur_kwh, problem.export_eur_kwh,
        problem.load_kw - problem.pv_kw, -problem.export_limit_kw, problem.import_limit_kw,
        np.full(1, np.inf), np.zeros(1), STEP_H, 0,
        schedule, energy, cars,
    )  # fmt: skip
    return schedule[0]


def cost_of(problem: PlanProblem, power: np.ndarray) -> float:
    """EUR by the contract, PV held back where the export limit asks for it."""
    net = problem.load_kw[0] - problem.pv_kw[0] + power
    net = np.maximum(net, -problem.export_limit_kw[0])
    units = problem.units
    stored = np.where(
        power > 0, power * units.charge_efficiency, -power / units.discharge_efficiency
    )
    energy = np.where(net > 0, problem.import_eur_kwh[0] * net, problem.export_eur_kwh[0] * net)
    return float(STEP_H * (energy + units.wear_eur_kwh * stored).sum())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=120, deadline=None)
def test_as_cheap_as_the_general_solver(seed: int) -> None:
    problem = one_unit_problem(seed)
    power = swept(problem)
    units = problem.units
    change = np.where(power > 0, power * 0.9, power / 0.95) * STEP_H
    energy = units.energy_start_kwh + np.cumsum(change)
    assert (energy >= problem.floor_kwh[0] - 1e-7).all()
    assert (energy <= units.capacity_kwh + 1e-7).all()
    assert (power <= 11.0 + 1e-9).all()
    assert (power >= -units.discharge_max_kw - 1e-9).all()
    best = plan(problem)
    assert best.feasible
    assert best.shortfall_kwh.sum() == pytest.approx(0.0, abs=1e-6)
    assert cost_of(problem, power) == pytest.approx(best.objective_eur, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_one_unit_agrees_with_the_twin(seed: int) -> None:
    """Every kind of segment: PV that would be lost, surplus, import, above the peak, home, export;
    prices of any order and sign, presence that fades, floors that cannot be kept."""
    draw = np.random.default_rng(seed)
    steps = int(draw.integers(1, STEPS))
    capacity = float(draw.uniform(20.0, 80.0))
    car = {
        "energy_kwh": capacity * float(draw.uniform(0.0, 1.1)), "capacity_kwh": capacity,
        "energy_min_kwh": capacity * float(draw.choice([0.0, 0.2])),
        "charge_max_kw": float(draw.choice([0.0, 4.0, 11.0])),
        "discharge_max_kw": float(draw.choice([0.0, 4.0, 11.0])),
        "charge_efficiency": float(draw.uniform(0.8, 1.0)),
        "discharge_efficiency": float(draw.uniform(0.8, 1.0)),
        "wear_eur": float(draw.choice([0.0, 0.03])),
        "end_value_eur": float(draw.choice([0.0, 0.1])),
    }  # fmt: skip
    buy = draw.normal(0.2, 0.15, steps).round(2)  # rounded: equal prices happen
    sell = buy - draw.choice([0.0, 0.05, -0.02], steps)
    base = draw.uniform(-12.0, 12.0, steps)
    low, high = -float(draw.choice([0.0, 3.0, 20.0])), float(draw.choice([5.0, 9.0, 30.0]))
    peak = float(draw.choice([0.0, 6.0, np.inf]))
    peak_eur = float(draw.choice([0.0, 40.0])) if np.isfinite(peak) else 0.0
    weight = np.cumprod(np.append(1.0, draw.uniform(0.7, 1.0, steps - 1)))
    floor = np.where(draw.random(steps) < 0.5, np.nan, draw.uniform(0.0, capacity, steps))
    row, one = np.zeros(1, dtype=np.int64), np.ones(1)
    schedule, energy, cars = np.zeros((1, STEPS)), np.zeros((1, STEPS)), np.zeros((1, STEPS))
    sweep(
        row, row, row, row, car["energy_kwh"] * one, capacity * one, car["energy_min_kwh"] * one,
        car["charge_max_kw"] * one, car["discharge_max_kw"] * one, car["charge_efficiency"] * one,
        car["discharge_efficiency"] * one, car["wear_eur"] * one, car["end_value_eur"] * one,
        weight[None], floor[None], buy[None], sell[None], base[None], np.full((1, steps), low),
        np.full((1, steps), high), peak * one, peak_eur * one, STEP_H, 7, schedule, energy, cars,
    )  # fmt: skip
    ahead = [
        {
            "rest_kw": base[k], "low_kw": low, "high_kw": high, "peak_kw": peak,
            "peak_eur": peak_eur, "import_eur": buy[k], "export_eur": sell[k],
            "weight": weight[k], "hours": STEP_H, "floor_kwh": floor[k],
        }
        for k in range(steps) if k == 0 or weight[k] >= PRESENCE_LEAST
    ]  # fmt: skip
    expected = car["energy_kwh"] + np.cumsum(twin_changes(ahead, car))
    columns = (7 + np.arange(len(ahead))) % STEPS
    assert energy[0, columns] == pytest.approx(expected, abs=1e-8)
    assert cars[0] == pytest.approx(schedule[0])


def test_a_sweep_leaves_the_ring_as_the_sum_of_its_units() -> None:
    """Planning again replaces the old schedule; the site's total stays the sum of its units."""
    draw = np.random.default_rng(5)
    count, steps, ring = 6, 12, 16
    schedule, energy = np.zeros((8, ring)), np.zeros((8, ring))
    cars = np.zeros((2, ring))
    slot, site = np.arange(2, 8), np.array([0, 1, 0, 1, 0, 1])
    buy = draw.uniform(0.1, 0.4, (1, steps))
    base = draw.uniform(0.0, 3.0, (2, steps))

    def go(begin: int, todo: np.ndarray) -> None:
        sweep(
            todo, slot, site, np.zeros(2, dtype=np.int64), np.full(count, 10.0),
            np.full(count, 40.0), np.zeros(count), np.full(count, 7.0), np.full(count, 7.0),
            np.full(count, 0.9), np.full(count, 0.9), np.full(count, 0.01), np.zeros(count),
            np.ones((len(todo), steps)), np.full((len(todo), steps), np.nan), buy, 0.8 * buy,
            base, np.full((2, steps), -50.0), np.full((2, steps), 50.0), np.full(2, np.inf),
            np.zeros(2), STEP_H, begin, schedule, energy, cars,
        )  # fmt: skip

    go(100, np.arange(count))
    go(101, np.array([1, 4]))
    for s in range(2):
        assert cars[s] == pytest.approx(schedule[slot[site == s]].sum(axis=0), abs=1e-9)


def test_the_check_sees_every_kind_of_fault() -> None:
    """Too much power either way, an overfull and an emptied battery, a number that is none."""
    state = fleet(6, energy_kwh=10.0, capacity_kwh=20.0, energy_min_kwh=5.0)
    power = np.zeros((6, 8))
    power[0, 3] = 11.1
    power[1, 3] = -11.1
    power[2] = 8.0  # 15.2 kWh into 10 kWh of room
    power[3] = -3.0  # 6.3 kWh out of 5 kWh above the minimum
    power[4, 7] = np.nan
    power[5] = 1.0
    rows = np.arange(6)[::-1].copy()  # as a ring: column 3 is the first step
    ring = np.roll(power, 3, axis=1)[::-1].copy()
    wrong = faulty_schedules(state, np.arange(6), rows, ring, 11, 8, np.full(6, 11.0), STEP_H)
    assert wrong.tolist() == [True, True, True, True, True, False]
