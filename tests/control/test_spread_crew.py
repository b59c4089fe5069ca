"""The price method on shards: the plan of one process to the last digit, whatever is lost."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from fake_cluster import FakeClient
from random_problems import random_problem

import pendel.control.fleet as fleet
from pendel.adapters.dask_engine import DaskTeam
from pendel.control.crew import LocalCrew
from pendel.control.fleet import FleetResult, solve_fleet
from pendel.control.problem import PlanProblem, Units
from pendel.control.sections import Sections
from pendel.control.spread_crew import SectionShard, SpreadCrew

FOREVER = float("inf")


def fleet_of(seed: int, sites: int = 12) -> PlanProblem:
    problem = random_problem(seed, sites=sites, cars=70, storages=4, extras=True, steps=24, odd=0.0)
    return replace(
        problem,
        demand_charge_eur_kw=np.full(sites, 0.3),
        import_limit_kw=problem.import_limit_kw + 100.0,
        portfolio_import_limit_kw=problem.portfolio_import_limit_kw + 300.0,
        feeders=replace(problem.feeders, import_limit_kw=problem.feeders.import_limit_kw + 300.0),
    )


class Here:
    """Shards in this process."""

    def __init__(self, parts: list[tuple[Sections, int]]) -> None:
        self.shards = [SectionShard(*part) for part in parts]

    def call(self, method: str, *args: Any) -> list[Any]:
        return [getattr(shard, method)(*args) for shard in self.shards]


def same(found: FleetResult | list[int], other: FleetResult | list[int]) -> None:
    assert isinstance(found, FleetResult)
    assert isinstance(other, FleetResult)
    for name in ("power_kw", "energy_kwh", "net_kw", "curtailed_kw", "node_eur_kw"):
        assert np.array_equal(getattr(found, name), getattr(other, name), equal_nan=True)
    assert found.bound_eur == other.bound_eur
    assert found.passes == other.passes


@pytest.mark.parametrize("seed", range(3))
def test_a_share_builds_its_sections_like_the_whole(seed: int) -> None:
    sections = Sections(fleet_of(seed))
    part, sites, units = sections.share(2, 5)
    assert len(part) == 3
    for index in range(3):
        own, whole = part.build(index), sections.build(2 + index)
        assert np.array_equal(sites[own.sites], whole.sites)
        assert np.array_equal(units[own.units], whole.units)
        assert np.array_equal(own.node_of, whole.node_of)
        assert np.array_equal(own.X, whole.X)
        assert np.array_equal(own.Y, whole.Y)
        for field in fields(Units):
            assert np.array_equal(
                getattr(own.problem.units, field.name), getattr(whole.problem.units, field.name)
            )


@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_any_number_of_shards_is_one_process_to_the_last_digit(count: int) -> None:
    problem = fleet_of(1)
    whole = solve_fleet(problem, 1e-3, lambda: FOREVER)
    crew = lambda sections: SpreadCrew(sections, Here, count)  # noqa: E731
    same(solve_fleet(problem, 1e-3, lambda: FOREVER, crew=crew), whole)


@pytest.mark.parametrize("lost_at", [{1}, {4, 11, 12}, {7, 15, 20}, {20}])
def test_a_lost_shard_is_brought_back_to_the_last_digit(lost_at: set[int]) -> None:
    problem = fleet_of(2)
    teams: list[DaskTeam] = []

    def crew(sections: Sections) -> SpreadCrew:
        def team(parts: list[tuple[Sections, int]]) -> DaskTeam:
            teams.append(DaskTeam(FakeClient(lost_at), SectionShard, list(parts)))
            return teams[-1]

        return SpreadCrew(sections, team, 3)

    found = solve_fleet(problem, 1e-3, lambda: FOREVER, crew=crew)
    assert teams[0].replaced == len(lost_at), teams[0].client.calls
    same(found, solve_fleet(problem, 1e-3, lambda: FOREVER))


def test_sites_that_do_not_settle_are_named_as_in_one_process() -> None:
    problem = fleet_of(3)
    imports = problem.import_limit_kw.copy()
    imports[7] = 0.0
    problem = replace(problem, import_limit_kw=imports)
    prices = np.zeros((fleet.Fleet(problem).top.count + 2, problem.steps))
    for crew in (LocalCrew, lambda sections: SpreadCrew(sections, Here, 4)):
        one = fleet.Fleet(problem, crew)
        one.aim = 1e-3
        assert one.one_pass(prices, lambda: FOREVER).failed == [7]


def test_sites_give_way_on_shards_as_in_one_process() -> None:
    problem = fleet_of(3)
    imports = problem.import_limit_kw.copy()
    imports[7] = 0.0
    problem = replace(problem, import_limit_kw=imports)
    elastic = np.arange(problem.sites) == 7
    crew = lambda sections: SpreadCrew(sections, Here, 4)  # noqa: E731
    found = solve_fleet(problem, 1e-3, lambda: FOREVER, crew=crew, elastic=elastic)
    whole = solve_fleet(problem, 1e-3, lambda: FOREVER, elastic=elastic)
    assert isinstance(found, FleetResult)
    assert found.give is not None
    same(found, whole)


def test_time_ends_between_sections() -> None:
    left = iter([1.0] * 4)
    crew = lambda sections: SpreadCrew(sections, Here, 1)  # noqa: E731
    found = solve_fleet(fleet_of(1), 1e-9, lambda: next(left, 0.0), crew=crew)
    assert isinstance(found, FleetResult) or found == []
