"""Shards of whole sites: the same plan as in one piece, also when shards are lost on the way."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_cluster import FakeClient

from pendel.adapters.dask_engine import ATTEMPTS_MAX, DaskTeam
from pendel.control.arrow import Arrow, arrow_of
from pendel.control.plan import PlanOptions, plan
from pendel.control.problem import PlanProblem, problem_of
from pendel.control.reach import reach_of
from pendel.control.shards import (
    Shard,
    SpreadInterior,
    cuts_of,
    part_of,
    rows_before,
)
from pendel.errors import PendelError
from pendel.sim.generator.build import generate
from pendel.sim.generator.settings import FleetSettings

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from plan_fleet import fleet_problem


class Here:
    """A team in this process."""

    def __init__(self, parts: list[Arrow], scale: float) -> None:
        self.shards = [Shard(part, scale) for part in parts]

    def call(self, method: str, *args: Any) -> list[Any]:
        return [getattr(shard, method)(*args) for shard in self.shards]


def spread(problem: PlanProblem, team: Any, count: int) -> Any:
    make = lambda arrow: SpreadInterior(arrow, team, count)  # noqa: E731
    return plan(problem, PlanOptions(method="decomposed", make=make))


def test_parts_are_the_whole() -> None:
    problem = fleet_problem(100, 3)
    arrow = arrow_of(problem, reach_of(problem))
    cuts = cuts_of(arrow, 3)
    assert cuts[0] == 0
    assert cuts[-1] == problem.sites
    parts = [part_of(arrow, a, b) for a, b in pairwise(cuts)]
    assert sum(part.pairs for part in parts) == arrow.pairs
    begins = lambda arrow: arrow.block_begin  # noqa: E731
    for name, before in (("cost", begins), ("hi", begins), ("due", rows_before)):
        joined = [getattr(part, name)[: before(part)[-1]] for part in parts]
        whole = getattr(arrow, name)
        tail = whole[before(arrow)[-1] :]
        assert np.array_equal(np.concatenate([*joined, tail]), whole)
        assert all(np.array_equal(getattr(p, name)[before(p)[-1] :], tail) for p in parts)


@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_shards_plan_like_one_piece(count: int) -> None:
    problem = fleet_problem(120, 2)
    whole = plan(problem, PlanOptions(method="decomposed"))
    found = spread(problem, Here, count)
    assert found.method == whole.method
    assert found.objective_eur == pytest.approx(whole.objective_eur, rel=1e-7)
    assert found.bound_eur <= found.objective_eur + 1e-6
    assert found.gap < 1e-6


def test_shards_under_a_tree_of_feeders() -> None:
    problem = problem_of(generate(FleetSettings(vehicles=150, seed=3, cars_per_home_site=2.0)))
    whole = plan(problem, PlanOptions(method="decomposed"))
    found = spread(problem, Here, 3)
    assert found.objective_eur == pytest.approx(whole.objective_eur, rel=1e-7)
    assert found.feasible


@pytest.mark.parametrize("lost_at", [{1}, {2, 9, 40, 41}, {7, 30, 55}])
def test_a_lost_shard_is_brought_back_to_the_last_digit(lost_at: set[int]) -> None:
    problem = fleet_problem(60, 1)
    teams: list[DaskTeam] = []

    def team(parts: list[Arrow], scale: float) -> DaskTeam:
        teams.append(DaskTeam(FakeClient(lost_at), Shard, [(part, scale) for part in parts]))
        return teams[-1]

    kept, found = spread(problem, Here, 2), spread(problem, team, 2)
    assert teams[0].replaced >= len(lost_at) - 1
    assert np.array_equal(found.power_kw, kept.power_kw)
    assert found.bound_eur == kept.bound_eur


def test_a_shard_that_cannot_be_kept_alive_is_an_error() -> None:
    problem = fleet_problem(60, 1)

    def team(parts: list[Arrow], scale: float) -> DaskTeam:
        return DaskTeam(FakeClient(set(range(5, 500))), Shard, [(part, scale) for part in parts])

    with pytest.raises(PendelError, match=f"lost {ATTEMPTS_MAX} times"):
        spread(problem, team, 2)
