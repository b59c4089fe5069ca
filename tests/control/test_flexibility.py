"""Flexibility as a product: outer contains every plan, every blend of the inner one is a plan."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import random_problem

from pendel.control.flexibility import (
    GIVE,
    Inner,
    blend,
    blendable,
    inner_of,
    saved_kw,
    steered,
    weights_for,
)
from pendel.control.flexibility_outer import outer_of
from pendel.control.greedy import greedy_schedule
from pendel.control.moves import Steer, windows_of
from pendel.control.plan import PlanOptions, plan
from pendel.control.problem import PlanProblem, Units, problem_of
from pendel.control.reach import reach_of
from pendel.control.schedule import verify_schedule
from pendel.scenario.columns import Feeders
from pendel.sim.generator.build import generate
from pendel.sim.generator.settings import FleetSettings

SLACK = 1e-6


def fleet(seed: int, vehicles: int = 24) -> PlanProblem:
    """A generated fleet of two-hour steps: coupled by sites, feeder-free, with PV."""
    made = generate(
        FleetSettings(vehicles=vehicles, seed=seed, step_minutes=60, cars_per_home_site=6.0)
    )
    return problem_of(made)


@pytest.fixture(scope="module", params=["planned", "moved"])
def products(request: pytest.FixtureRequest) -> list[tuple[PlanProblem, Inner]]:
    """The same fleets with a plan for each stored schedule, and with units that move instead."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "moved":
            patch.setattr("pendel.control.flexibility.PLANNED_MAX", 0)
        made = [(problem, inner_of(problem, 3, (0.1, 0.4))) for problem in (fleet(1), fleet(2))]
    assert all(inner.planned == (request.param == "planned") for _, inner in made)
    return made


def test_every_blend_is_a_plan(products: list[tuple[PlanProblem, Inner]]) -> None:
    """Judged by the independent verifier against the problem itself, not the tightened one."""
    rng = np.random.default_rng(0)
    for problem, inner in products:
        assert inner.feasible
        for draw in range(40):
            weights = rng.dirichlet(np.full(len(inner), 0.2 if draw % 2 else 1.0))
            found = blend(inner, weights)
            verdict = verify_schedule(problem, found, float(inner.shortfall_kwh.max()))
            assert verdict.violations.within(1e-6)
            # the units' powers are the fleet's, and nobody charges and discharges at once
            total, average = found.power_kw.sum(axis=0), weights @ inner.power_kw
            assert (total <= average + SLACK).all()
            here = np.isfinite(found.energy_kwh)
            saved = (saved_kw(inner.problem)[:, None] * here).sum(axis=0)
            assert (total >= average - saved - SLACK).all()
            # convex money: a blend costs at most the average (no price below 0 here)
            cost = verify_schedule(inner.problem, found).objective_eur
            assert cost <= weights @ inner.cost_eur + SLACK


def test_stored_schedules_come_back(products: list[tuple[PlanProblem, Inner]]) -> None:
    for _, inner in products:
        for k in range(len(inner)):
            weights = (np.arange(len(inner)) == k).astype(float)
            power = blend(inner, weights).power_kw.sum(axis=0)
            assert power == pytest.approx(inner.power_kw[k], abs=1e-6)
            assert weights_for(inner, inner.power_kw[k]) @ inner.power_kw == pytest.approx(
                inner.power_kw[k], abs=0.5
            )


def test_offers_move_and_cost(products: list[tuple[PlanProblem, Inner]]) -> None:
    for _, inner in products:
        assert len(inner.offers) == len(inner) - 1 == 12
        for offer in inner.offers:
            assert offer.cost_eur >= -1e-5 * abs(inner.cost_eur[0])
            assert offer.power_kw >= -1e-3
            hours = (offer.until_step - offer.from_step) * inner.problem.step_h
            # nobody moves for less than it costs
            assert offer.cost_eur <= offer.incentive_eur_kwh * offer.power_kw * hours + 1e-3
        weak, strong = inner.offers[0::2], inner.offers[1::2]
        for little, much in zip(weak, strong, strict=True):
            assert little.power_kw <= much.power_kw + 1e-3
        assert max(offer.power_kw for offer in inner.offers) > 1.0


def inside(problem: PlanProblem, power_kw: np.ndarray) -> None:
    outer = outer_of(problem)
    total = power_kw.sum(axis=0)
    drawn = problem.step_h * np.cumsum(total)
    assert (total >= outer.least_kw - SLACK).all()
    assert (total <= outer.most_kw + SLACK).all()
    assert (drawn >= outer.drawn_least_kwh - SLACK).all()
    assert (drawn <= outer.drawn_most_kwh + SLACK).all()


@pytest.mark.parametrize("seed", range(4))
def test_outer_holds_every_plan(seed: int) -> None:
    """Plans under random prices reach for the corners; charging at once is one too."""
    problem = fleet(seed + 10)
    rng = np.random.default_rng(seed)
    for _ in range(4):
        prices = rng.uniform(0.01, 0.6, problem.import_eur_kwh.shape)
        other = replace(
            problem, import_eur_kwh=prices + 0.001, export_eur_kwh=prices, market=None,
            demand_charge_eur_kw=np.zeros(problem.sites),
        )  # fmt: skip
        found = plan(other)
        assert found.feasible
        inside(problem, found.power_kw)
    inside(problem, greedy_schedule(problem).power_kw)


def lone(draw: np.random.Generator) -> PlanProblem:
    """One to three units at a site that binds nothing."""
    count, steps = int(draw.integers(1, 4)), 6
    capacity = draw.uniform(10.0, 60.0, count)
    start = capacity * draw.uniform(0.1, 0.9, count)
    first = draw.integers(0, 3, count)
    units = Units(
        site=np.zeros(count, dtype=np.int64), first=first, last=first + draw.integers(1, 4, count),
        capacity_kwh=capacity, energy_start_kwh=start,
        target_kwh=np.minimum(start + draw.uniform(-5.0, 10.0, count), capacity).clip(0.0),
        energy_min_kwh=np.minimum(start, 0.2 * capacity),
        charge_max_kw=draw.choice([0, 7, 11.0], count),
        discharge_max_kw=draw.choice([0, 5, 10.0], count),
        charge_efficiency=draw.uniform(0.8, 1.0, count),
        discharge_efficiency=draw.uniform(0.8, 1.0, count), wear_eur_kwh=np.zeros(count),
        terminal_eur_kwh=np.zeros(count), is_session=np.ones(count, dtype=np.bool_),
    )  # fmt: skip
    wide, none, flat = np.full((1, steps), 1e3), np.zeros((1, steps)), np.full((1, steps), 0.2)
    return PlanProblem(
        step_h=1.0, steps=steps, units=units, import_limit_kw=wide, export_limit_kw=wide,
        load_kw=none, pv_kw=none, price_row=np.zeros(1, dtype=np.int64), import_eur_kwh=flat,
        export_eur_kwh=flat, demand_charge_eur_kw=np.zeros(1), peak_so_far_kw=np.zeros(1),
        feeder=np.array([-1]),
        feeders=Feeders(np.empty(0, str), np.empty(0, np.int64), np.empty(0), np.empty(0)),
        portfolio_import_limit_kw=wide[0], portfolio_export_limit_kw=wide[0],
    )  # fmt: skip


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_outer_holds_random_walks(seed: int) -> None:
    """Walks of each unit inside what it can reach, step by step, with much cycling."""
    draw = np.random.default_rng(seed)
    problem = lone(draw)
    units, reach = problem.units, reach_of(problem)
    power = np.zeros((len(units), problem.steps))
    for i in range(len(units)):
        eta_c, eta_d = units.charge_efficiency[i], units.discharge_efficiency[i]
        up, down = eta_c * units.charge_max_kw[i], units.discharge_max_kw[i] / eta_d
        last = min(units.last[i], problem.steps)
        floor = min(units.energy_min_kwh[i], units.energy_start_kwh[i])
        need = max(reach.target[i], floor)
        energy = units.energy_start_kwh[i]
        for t in range(units.first[i], last):
            left = last - 1 - t
            low = max(floor, energy - down, need - left * up)
            high = min(units.capacity_kwh[i], energy + up)
            after = max(low, draw.choice([low, high, draw.uniform(low, max(low, high))]))
            change = after - energy
            power[i, t] = change / eta_c if change > 0 else change * eta_d
            energy = after
    inside(problem, power)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_envelope_of_power_is_exact_where_nothing_couples(seed: int) -> None:
    """Each bound of a step is met by a plan that is paid to meet it."""
    draw = np.random.default_rng(seed)
    problem = lone(draw)
    outer = outer_of(problem)
    step = int(draw.integers(0, problem.steps))
    for sign, bound in ((1.0, outer.least_kw), (-1.0, outer.most_kw)):
        price = np.full((1, problem.steps), 0.5 if sign < 0 else 0.01)
        price[0, step] = 9.0 if sign > 0 else 0.001
        found = plan(replace(problem, import_eur_kwh=price, export_eur_kwh=price))
        total = found.power_kw.sum(axis=0)[step]
        if sign > 0:
            assert total == pytest.approx(bound[step], abs=1e-6)
        else:
            assert total <= bound[step] + 1e-6


def two_cars(export_kw: float) -> PlanProblem:
    """Two equal cars that can feed each other behind a connection that may not export."""
    problem = lone(np.random.default_rng(1))
    two = lambda value: np.full(2, value)  # noqa: E731
    units = Units(
        site=np.zeros(2, dtype=np.int64), first=np.zeros(2, dtype=np.int64),
        last=np.full(2, 4), capacity_kwh=two(60.0), energy_start_kwh=two(30.0),
        target_kwh=two(10.0), energy_min_kwh=two(0.0), charge_max_kw=two(9.0),
        discharge_max_kw=two(9.0), charge_efficiency=two(0.9), discharge_efficiency=two(0.9),
        wear_eur_kwh=two(0.0), terminal_eur_kwh=two(0.0), is_session=np.ones(2, dtype=np.bool_),
    )  # fmt: skip
    return replace(problem, units=units, export_limit_kw=np.full((1, 6), export_kw))


def test_why_the_margin_is_needed() -> None:
    """A naive blend of two plans without export exports: the saved losses have to go somewhere."""
    problem = two_cars(0.0)
    power = np.zeros((2, 6))
    power[:, 0] = (9.0, -9.0)
    energies = 30.0 + np.cumsum(np.where(power > 0, power * 0.9, power / 0.9), axis=1)
    windows, there = windows_of(problem), energies[:, :4]
    stored = np.stack([there.ravel(), there[::-1].ravel()])
    naive = Inner(
        problem, windows, stored, np.zeros((2, 1, 6)), np.zeros((2, 6)), np.zeros(2), 0.0,
        np.zeros(2), np.zeros(1, dtype=np.bool_), True, (),
    )  # fmt: skip
    for weights, broken in (((1.0, 0.0), 0.0), ((0.5, 0.5), 1.71)):
        found = blend(naive, np.array(weights))
        verdict = verify_schedule(problem, found)
        assert verdict.violations.site_kw == pytest.approx(broken, abs=1e-9)
    offered, charging = blendable(problem)
    assert charging.all()
    assert (offered.units.discharge_max_kw == 0.0).all()
    room = float(saved_kw(problem).sum())
    assert room == pytest.approx(2 * (1 / 0.9 - 0.9) * 8.1 * 10.0 / 18.1)
    offered, charging = blendable(two_cars(room + 0.5))
    assert not charging.any()
    assert offered.export_limit_kw[0, 0] == pytest.approx(0.5)
    assert offered.export_limit_kw[0, 5] == pytest.approx(room + 0.5)  # nobody is there


def test_feeders_and_portfolio_get_their_margin() -> None:
    problem = two_cars(100.0)
    room = float(saved_kw(problem).sum())
    chain = Feeders(
        np.array(["street", "town"]), np.array([1, -1]), np.full(2, 1e3),
        np.array([room + 2.0, room + 1.0]),
    )  # fmt: skip
    fed = replace(
        problem, feeder=np.array([0]), feeders=chain, portfolio_export_limit_kw=np.full(6, 50.0)
    )
    offered, charging = blendable(fed)
    assert not charging.any()
    assert offered.feeders.export_limit_kw == pytest.approx([2.0, 1.0])
    assert offered.portfolio_export_limit_kw == pytest.approx(50.0 - room)
    tight = replace(fed, feeders=replace(chain, export_limit_kw=np.array([1e3, room - 0.1])))
    offered, charging = blendable(tight)
    assert charging.all()
    assert offered.feeders.export_limit_kw == pytest.approx([1e3, room - 0.1])


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_a_fleet_without_units_and_one_of_a_single_car(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone a car moves to the plan that the general solver finds; nobody moves where nobody is."""
    monkeypatch.setattr("pendel.control.flexibility.PLANNED_MAX", limit)
    for cars in (0, 1):
        problem = random_problem(3, cars=cars, storages=0, steps=12)
        inner = inner_of(problem, 2, (0.1,))
        assert inner.feasible
        assert len(inner) == 5
        moved = [offer.power_kw for offer in inner.offers]
        if cars == 0:
            assert moved == pytest.approx([0.0] * 4)
            continue
        for offer in inner.offers:
            reason = Steer(offer.from_step, offer.until_step, offer.direction, 0.1)
            best = plan(steered(inner.problem, reason), PlanOptions(method="exact"))
            power = best.power_kw.sum(axis=0)[offer.from_step : offer.until_step].mean()
            base = inner.power_kw[0][offer.from_step : offer.until_step].mean()
            assert offer.power_kw == pytest.approx(offer.direction * (base - power), abs=1e-5)
        assert max(moved) > 1.0


def test_bad_weights_and_steering() -> None:
    problem = two_cars(100.0)
    inner = inner_of(problem, 1, (0.1,))
    for wrong in (np.ones(3), np.ones(2) / 2, np.array([1.5, -0.5, 0.0]), np.full(3, np.nan)):
        with pytest.raises(ValueError, match="weights"):
            blend(inner, wrong)
    for direction in (GIVE, -GIVE):
        moved = steered(problem, Steer(0, 2, direction, 0.1))
        assert (moved.import_eur_kwh >= problem.import_eur_kwh).all()
        assert ((moved.import_eur_kwh - problem.import_eur_kwh)[0, :2] > 0).all() == (
            direction == GIVE
        )
