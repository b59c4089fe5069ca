"""Units moved towards the market position: never dearer, never outside a limit, and at the best
where an oracle can tell."""

from dataclasses import replace

import numpy as np
import pytest
from random_problems import random_problem

from pendel.control.fleet import FleetResult, cost_eur
from pendel.control.linear_model import build_model
from pendel.control.linear_solve import Engine
from pendel.control.plan import PlanOptions, plan
from pendel.control.polish import polished
from pendel.control.problem import Market, PlanProblem
from pendel.control.reach import reach_of
from pendel.control.warm import FleetMemory
from pendel.units import FloatArray

FOREVER = float("inf")


def fleet_of(seed: int, sites: int = 20, cars: int = 120) -> PlanProblem:
    problem = random_problem(seed, sites=sites, cars=cars, storages=3, extras=True, steps=24, odd=0)
    feeders = replace(
        problem.feeders,
        import_limit_kw=problem.feeders.import_limit_kw + 300.0,
        export_limit_kw=problem.feeders.export_limit_kw + 100.0,
    )
    return replace(
        problem,
        import_limit_kw=problem.import_limit_kw + 60.0,
        demand_charge_eur_kw=np.where(np.arange(sites) % 2 == 0, 0.3, 0.0),
        portfolio_import_limit_kw=problem.portfolio_import_limit_kw + 400.0,
        feeders=feeders,
    )


def planned_without_market(problem: PlanProblem) -> FleetResult:
    """A plan that knows nothing of the market, with prices 0."""
    found = plan(replace(problem, market=None), PlanOptions(method="exact"))
    return result(problem, found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw)


def result(
    problem: PlanProblem, power: FloatArray, energy: FloatArray, net: FloatArray, cut: FloatArray
) -> FleetResult:
    prices = np.zeros((len(problem.feeders) + 3, problem.steps))
    return FleetResult(power, energy, net, cut, -FOREVER, 1, prices, False)


@pytest.mark.parametrize("seed", range(12))
def test_no_move_makes_the_whole_dearer_or_breaks_a_limit(seed: int) -> None:
    problem = fleet_of(seed)
    begin = planned_without_market(problem)
    before = cost_eur(problem, begin)
    after = cost_eur(problem, polished(problem, begin))
    assert np.isfinite(before)
    assert after <= before + 1e-7 * max(1.0, abs(before))
    engine = Engine(build_model(problem, reach_of(problem)), lambda: FOREVER)
    assert engine.run() == "optimal"
    assert after >= engine.objective() - 1e-6 * max(1.0, abs(engine.objective()))


def test_most_of_what_the_market_costs_is_found() -> None:
    """Over all seeds the moves win most of what the optimum wins over a plan without a market."""
    won, possible = 0.0, 0.0
    for seed in range(8):
        problem = fleet_of(seed)
        begin = planned_without_market(problem)
        before = cost_eur(problem, begin)
        won += before - cost_eur(problem, polished(problem, begin))
        engine = Engine(build_model(problem, reach_of(problem)), lambda: FOREVER)
        engine.run()
        possible += before - engine.objective()
    assert possible > 1.0
    assert won >= 0.5 * possible


def test_joint_limits_bound_every_move() -> None:
    """A feeder that is full takes nothing more, whatever the market pays for it."""
    problem = fleet_of(3)
    steps, count = problem.steps, len(problem.feeders)
    market = Market(np.full(steps, 1e4), np.full(steps, 0.5), np.full(steps, 0.5))
    problem = replace(problem, market=market)
    begin = planned_without_market(problem)
    flow = np.zeros((count, steps))
    inside = problem.feeder >= 0
    np.add.at(flow, problem.feeder[inside], begin.net_kw[inside])
    for node in range(count - 1, -1, -1):
        if problem.feeders.parent[node] >= 0:
            flow[problem.feeders.parent[node]] += flow[node]
    full = replace(problem.feeders, import_limit_kw=np.maximum(flow.max(axis=1), 1.0) + 1e-9)
    problem = replace(problem, feeders=full)
    before = cost_eur(problem, begin)
    after = polished(problem, begin)
    assert np.isfinite(cost_eur(problem, after))
    assert cost_eur(problem, after) < before


def test_without_a_market_nothing_moves() -> None:
    problem = replace(fleet_of(1), market=None)
    begin = planned_without_market(problem)
    assert polished(problem, begin) is begin


def test_what_moves_do_not_know_stays_as_it_is() -> None:
    """Sites that may not feed in from cars, and floors in steps."""
    problem = fleet_of(1)
    begin = planned_without_market(problem)
    home = replace(problem, home_only=np.ones(problem.sites, dtype=np.bool_))
    assert polished(home, begin) is begin
    floor = np.zeros((len(problem.units), problem.steps))
    assert polished(replace(problem, floor_kwh=floor), begin) is begin


def test_when_time_is_up_the_plan_is_that_of_before() -> None:
    problem = fleet_of(2)
    begin = planned_without_market(problem)
    cost, power = cost_eur(problem, begin), begin.power_kw.copy()
    after = polished(problem, begin, lambda: 0.0)
    assert np.allclose(after.power_kw, power, atol=1e-9)
    assert cost_eur(problem, after) == pytest.approx(cost, rel=1e-9)


def test_what_is_left_for_the_next_cycle_costs_what_the_verifier_says() -> None:
    """Costs of the sites change with the plan: a market apart, their sum is that of the whole."""
    for seed in range(6):
        problem = fleet_of(seed)
        begin = planned_without_market(problem)
        bare = replace(problem, market=None)
        start = cost_eur(bare, begin)
        share = np.full(problem.sites, start / problem.sites)
        nothing = np.zeros(problem.sites)
        memory = FleetMemory(
            problem, begin.node_eur_kw, begin.power_kw, begin.energy_kwh, begin.net_kw,
            begin.curtailed_kw, share, nothing,
        )  # fmt: skip
        after = polished(problem, replace(begin, memory=memory))
        assert after.memory is not None
        assert after.memory.net_kw is after.net_kw
        assert after.memory.power_kw is after.power_kw
        total = float(after.memory.cost_eur.sum())
        assert total == pytest.approx(cost_eur(bare, after), rel=1e-9, abs=1e-7)
