"""Units that move one after the other: alone exactly the best, together never worse and inside all
limits. Oracles: the general solver, the independent verifier, and plain loops."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import random_problem

from pendel.control.flexibility import blendable, steered
from pendel.control.move_kernels import curtailed, step_segments
from pendel.control.moves import GIVE, TAKE, Moves, Standing, Steer, net_of, rows_of
from pendel.control.plan import PlanOptions, plan
from pendel.control.problem import PlanProblem
from pendel.control.verify import Verdict, verify_rows

EXACT = PlanOptions(method="exact")


def standing(moves: Moves, problem: PlanProblem) -> Standing:
    """The cheapest plan of a problem as a schedule of these moves."""
    found = plan(problem, EXACT)
    energy = found.energy_kwh[np.isfinite(found.energy_kwh)]
    rows = rows_of(problem, moves.windows, energy)
    return Standing(energy, net_of(problem, rows, found.curtailed_kw), found.curtailed_kw)


def judge(problem: PlanProblem, moves: Moves, at: Standing) -> Verdict:
    rows = rows_of(problem, moves.windows, at.energy_kwh)
    return verify_rows(problem, rows, at.net_kw, at.curtailed_kw, np.zeros(0), float("inf"))


def reason_of(rng: np.random.Generator, steps: int) -> Steer:
    begin = int(rng.integers(0, steps - 1))
    end = int(rng.integers(begin + 1, steps + 1))
    return Steer(begin, end, int(rng.choice([GIVE, TAKE])), float(rng.choice([0.02, 0.1, 0.4])))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_unit_alone_ends_at_the_best(seed: int) -> None:
    """Beside load and PV, from the best schedule at other prices; HiGHS says what is best."""
    tight = seed % 3 == 0
    problem = random_problem(seed % 2**31, cars=1, storages=0, steps=16, odd=0.1, tight=tight)
    problem = replace(problem, demand_charge_eur_kw=np.zeros(1))
    moves = Moves(problem)
    other = replace(problem, import_eur_kwh=problem.import_eur_kwh[:, ::-1] + 0.2)
    begin = standing(moves, other)
    before = judge(problem, moves, begin)
    if not before.violations.within(1e-7):
        return  # limits that cannot be kept: nothing to compare
    made = judge(problem, moves, moves.moved(begin, Steer(0, problem.steps, GIVE, 0.0)))
    best = plan(problem, EXACT)
    assert made.violations.within(1e-6)
    assert made.shortfall_kwh.sum() <= before.shortfall_kwh.sum() + 1e-7
    assert made.objective_eur == pytest.approx(best.objective_eur, abs=1e-5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_moves_keep_every_limit_and_pay(seed: int) -> None:
    """Odd wishes, tight sites, feeders and a portfolio, negative prices: what the first schedule
    keeps is kept, and with its reason counted no schedule is dearer than where it began."""
    rng = np.random.default_rng(seed)
    problem, _ = blendable(
        random_problem(
            seed % 2**31, sites=3, cars=6, storages=2, steps=12, odd=0.2, extras=True,
            tight=seed % 2 == 0, negative=seed % 5 == 0,
        )
    )  # fmt: skip
    if seed % 3 > 0:
        problem = replace(problem, pv_kw=np.zeros_like(problem.pv_kw))
    moves, reason = Moves(problem), reason_of(rng, problem.steps)
    begin = standing(moves, problem)
    first = judge(problem, moves, begin)
    after = moves.moved(begin, reason)
    made = judge(problem, moves, after)
    for name in ("energy_kwh", "power_kw", "site_kw", "feeder_kw", "portfolio_kw"):
        allowed = max(getattr(first.violations, name), 0.0) + 1e-6
        assert getattr(made.violations, name) <= allowed, name
    assert made.shortfall_kwh.sum() <= first.shortfall_kwh.sum() + 1e-6
    if (problem.pv_kw == 0.0).all():  # else curtailment is made best without the reason
        paid = steered(problem, reason)
        assert (
            judge(paid, moves, after).objective_eur
            <= judge(paid, moves, begin).objective_eur + 1e-6
        )


def test_scarce_room_is_shared_and_not_exceeded() -> None:
    """Two equal sites below a feeder with little room: both take the same, together all of it."""
    single = random_problem(5, cars=1, storages=0, steps=8, odd=0.0)
    units = single.units
    double = {name: np.repeat(getattr(units, name), 2) for name in units.__slots__}
    double |= {
        "site": np.array([0, 1]), "first": np.zeros(2, dtype=np.int64), "last": np.full(2, 8),
        "capacity_kwh": np.full(2, 80.0), "energy_start_kwh": np.full(2, 20.0),
        "target_kwh": np.full(2, 20.0), "energy_min_kwh": np.zeros(2),
        "charge_max_kw": np.full(2, 11.0), "wear_eur_kwh": np.zeros(2),
        "terminal_eur_kwh": np.zeros(2),
    }  # fmt: skip
    none, wide = np.zeros((2, 8)), np.full((2, 8), 50.0)
    feeders = replace(
        single.feeders, feeder_id=np.array(["street"]), parent=np.array([-1]),
        import_limit_kw=np.array([6.0]), export_limit_kw=np.array([50.0]),
    )  # fmt: skip
    problem = replace(
        single, units=type(units)(**double), import_limit_kw=wide, export_limit_kw=wide,
        load_kw=none, pv_kw=none, price_row=np.zeros(2, dtype=np.int64),
        import_eur_kwh=np.full((1, 8), 0.2), export_eur_kwh=np.full((1, 8), 0.1),
        demand_charge_eur_kw=np.zeros(2), peak_so_far_kw=np.zeros(2), feeder=np.zeros(2, dtype=int),
        feeders=feeders,
    )  # fmt: skip
    moves = Moves(problem)
    still = Standing(np.full(16, 20.0), none, none)
    made = moves.moved(still, Steer(2, 5, TAKE, 5.0))
    assert made.net_kw[:, 2:5] == pytest.approx(3.0, abs=0.2)
    assert made.net_kw.sum(axis=0).max() <= 6.0 + 1e-9


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_segments_are_the_cost_of_a_step(seed: int) -> None:
    """Sums of slopes times lengths against the least cost found by trying curtailments."""
    rng = np.random.default_rng(seed)
    low, high = -float(rng.choice([0.0, 5.0])), float(rng.choice([4.0, 12.0]))
    buy = float(rng.uniform(-0.2, 0.4))
    sell = buy - float(rng.uniform(0.0, 0.2))
    pv, wear = float(rng.choice([0.0, 3.0])), 0.2  # wear above what burning could earn
    eta_c, eta_d, h = 0.9, 0.85, 0.25
    charge, discharge = float(rng.choice([0.0, 7.0])), float(rng.choice([0.0, 6.0]))
    rest = float(rng.uniform(low - pv, high))

    def cost_at(p: float) -> float:
        g, least = rest + p, np.inf
        cuts = np.concatenate([np.linspace(0.0, pv, 7), np.clip([low - g, -g, high - g], 0.0, pv)])
        for cut in cuts:
            net = g + cut
            if low - 1e-9 <= net <= high + 1e-9:
                least = min(least, h * (buy if net > 0.0 else sell) * net)
        stored = p * eta_c if p > 0.0 else p / eta_d
        return least + wear * h * abs(stored)

    slopes, lengths = np.zeros(6), np.zeros(6)
    first, end, lowest = step_segments(
        rest, low, high, buy, sell, pv, charge, discharge, eta_c, eta_d, wear, h, slopes, lengths
    )
    assert (np.diff(slopes[first:end]) >= -1e-12).all()
    change, p = lowest, lowest / h
    p = p / eta_c if p > 0.0 else p * eta_d
    cost = cost_at(p)
    for k in range(first, end):
        for share in (0.5, 1.0):
            at = (change + share * lengths[k]) / h
            power = at / eta_c if at > 0.0 else at * eta_d
            assert cost + share * lengths[k] * slopes[k] == pytest.approx(cost_at(power), abs=1e-9)
        change, cost = change + lengths[k], cost + lengths[k] * slopes[k]
    top = min(charge, high - rest)
    assert change == pytest.approx(h * (top * eta_c if top > 0.0 else top / eta_d), abs=1e-9)


def test_curtailment_is_the_cheapest() -> None:
    for buy, sell in ((0.3, 0.1), (0.3, -0.1), (-0.1, -0.3)):
        for g in np.linspace(-9.0, 5.0, 29):
            cut = curtailed(float(g), -6.0, 5.0, buy, sell, 4.0)
            costs = {
                float(c): (buy if g + c > 0.0 else sell) * (g + c)
                for c in np.linspace(0.0, 4.0, 81)
                if -6.0 - 1e-9 <= g + c <= 5.0 + 1e-9
            }
            assert (buy if g + cut > 0.0 else sell) * (g + cut) <= min(costs.values()) + 1e-9
