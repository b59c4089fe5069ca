"""A fleet planned again after a change: bound <= HiGHS <= plan, whatever is remembered."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from random_problems import random_problem

import pendel.control.feeder_blocks as feeder_blocks
import pendel.control.fleet as fleet
from pendel.control.again import Patch
from pendel.control.crew import LocalCrew
from pendel.control.linear_model import build_model
from pendel.control.linear_solve import Engine
from pendel.control.plan import PlanOptions, plan
from pendel.control.plan_result import Plan
from pendel.control.problem import PlanProblem, Units
from pendel.control.reach import reach_of
from pendel.control.schedule import Schedule, verify_schedule
from pendel.control.sections import Sections
from pendel.control.spread_crew import SectionShard, SpreadCrew
from pendel.control.warm import FleetMemory, Warm, same_units, touched_sites

GAP = 1e-4
ALWAYS = float("inf")


def small_fleet(seed: int, sites: int = 10, cars: int = 60) -> PlanProblem:
    problem = random_problem(seed, sites=sites, cars=cars, storages=3, extras=True, steps=24)
    return replace(problem, demand_charge_eur_kw=np.full(sites, 0.3))


def optimum(problem: PlanProblem) -> float | None:
    engine = Engine(build_model(problem, reach_of(problem)), lambda: ALWAYS)
    return engine.objective() if engine.run() == "optimal" else None


@pytest.fixture(autouse=True)
def always_a_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 1)
    monkeypatch.setattr(feeder_blocks, "BLOCK_SITES", -1)  # blocks leave no memory


def solved(problem: PlanProblem, warm: Warm | None = None, gap: float = GAP) -> Plan:
    return plan(problem, PlanOptions(gap=gap, method="decomposed", warm=warm))


def check(problem: PlanProblem, found: Plan) -> None:
    """Sandwich and verifier."""
    best = optimum(problem)
    assert best is not None
    verdict = verify_schedule(
        problem,
        Schedule(found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw, np.zeros(0)),
    )
    slack = 1e-6 * max(1.0, abs(best))
    assert verdict.violations.within(1e-5)
    assert found.bound_eur <= best + slack
    assert best <= verdict.objective_eur + slack
    assert verdict.objective_eur - found.bound_eur <= 1e-2 * max(1.0, abs(best))


def some(units: Units, rows: Any) -> Units:
    return Units(**{f.name: getattr(units, f.name)[rows] for f in fields(Units)})


def sessions_changed(problem: PlanProblem, found: Plan) -> tuple[PlanProblem, Any, int]:
    """One car leaves, one comes twice, another wants less."""
    units = problem.units
    wanted = units.target_kwh.copy()
    wanted[7] = min(wanted[7], units.energy_start_kwh[7])
    rows = np.append(np.delete(np.arange(len(units)), 3), 11)
    same = np.append(rows[:-1], -1)
    return replace(problem, units=some(replace(units, target_kwh=wanted), rows)), same, 0


def prices_changed(problem: PlanProblem, found: Plan) -> tuple[PlanProblem, Any, int]:
    """Prices, loads and the position."""
    rng = np.random.default_rng(1)
    market = problem.market
    assert market is not None
    return (
        replace(
            problem,
            import_eur_kwh=problem.import_eur_kwh * 1.05,
            load_kw=problem.load_kw * rng.uniform(0.9, 1.0, problem.load_kw.shape),
            market=replace(market, position_kw=market.position_kw * 1.02),
        ),
        None,
        0,
    )


def position_changed(problem: PlanProblem, found: Plan) -> tuple[PlanProblem, Any, int]:
    """Only what stands above the sites: no site is touched."""
    market = problem.market
    assert market is not None
    return replace(problem, market=replace(market, position_kw=market.position_kw + 1.0)), None, 0


def rolled_on(problem: PlanProblem, found: Plan) -> tuple[PlanProblem, Any, int]:
    """Two steps later: energies as planned, the last steps as those before them."""
    by, units, steps = 2, problem.units, problem.steps
    stay = np.flatnonzero(units.last > by)
    old = some(units, stay)
    begun = old.first < by
    start = np.where(begun, found.energy_kwh[stay, by - 1], old.energy_start_kwh)
    last = np.where(old.last == steps, steps, old.last - by)
    target = np.where(last == steps, np.minimum(old.target_kwh, start), old.target_kwh)
    moved = replace(
        old,
        first=np.maximum(old.first - by, 0),
        last=last,
        energy_start_kwh=start,
        target_kwh=target,
    )

    def on(values: Any) -> Any:
        return np.concatenate([values[..., by:], values[..., -by:]], axis=-1)

    market = problem.market
    assert market is not None
    names = (
        "import_limit_kw", "export_limit_kw", "load_kw", "pv_kw", "import_eur_kwh",
        "export_eur_kwh", "portfolio_import_limit_kw", "portfolio_export_limit_kw",
    )  # fmt: skip
    peak = np.maximum(problem.peak_so_far_kw, found.net_kw[:, :by].max(axis=1))
    following = replace(
        problem,
        units=moved,
        peak_so_far_kw=peak,
        market=replace(
            market,
            position_kw=on(market.position_kw),
            short_eur_kwh=on(market.short_eur_kwh),
            long_eur_kwh=on(market.long_eur_kwh),
        ),
        **{name: on(getattr(problem, name)) for name in names},
    )
    return following, stay, by


CHANGES = (sessions_changed, prices_changed, position_changed, rolled_on)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", (2, 3, 5))
def test_planned_again_after_a_change(seed: int, change: Callable[..., Any]) -> None:
    problem = small_fleet(seed)
    if optimum(problem) is None:
        pytest.skip("limits and targets of this instance cannot all be kept")
    found = solved(problem)
    assert found.memory is not None
    following, same, rolled = change(problem, found)
    if optimum(following) is None:
        pytest.skip("the changed instance cannot keep everything")
    again = solved(following, Warm(found.memory, same, rolled))
    check(following, again)


def test_only_touched_sites_are_worked_on() -> None:
    """Sites that nothing touches keep their schedules to the last digit, and the proof stands."""
    problem = random_problem(3, sites=40, cars=240, storages=3, extras=True, odd=0.0)
    problem = replace(problem, export_limit_kw=np.maximum(problem.export_limit_kw, 5.0))
    found = solved(problem, gap=1e-3)
    assert found.memory is not None
    following, same, _ = sessions_changed(problem, found)
    warm = Warm(found.memory, same)
    touched = touched_sites(warm, following, same_units(warm, following))
    expected = {int(problem.units.site[car]) for car in (3, 7, 11)}
    assert int(problem.units.site[3]) in np.flatnonzero(touched).tolist()
    assert set(np.flatnonzero(touched).tolist()) <= expected
    again = solved(following, warm, gap=1e-2)
    check(following, again)
    rows = np.flatnonzero(~touched[following.units.site])
    assert np.array_equal(again.net_kw[~touched], found.net_kw[~touched])
    assert np.array_equal(again.power_kw[rows], found.power_kw[same[rows]])


def test_the_same_problem_needs_no_pass() -> None:
    problem = small_fleet(3)
    found = solved(problem)
    assert found.memory is not None
    passes: list[int] = []
    options = PlanOptions(gap=GAP, method="decomposed", warm=Warm(found.memory))
    again = plan(problem, replace(options, progress=lambda number, _c, _b: passes.append(number)))
    assert passes == []
    assert np.array_equal(again.power_kw, found.power_kw)
    check(problem, again)


def spoilt(memory: FleetMemory, how: str, other: FleetMemory) -> FleetMemory:
    return {
        "nan prices": replace(memory, node_eur_kw=np.full_like(memory.node_eur_kw, np.nan)),
        "wild prices": replace(memory, node_eur_kw=100.0 * memory.node_eur_kw + 3.0),
        "another scenario": other,
        "other shapes": replace(memory, node_eur_kw=memory.node_eur_kw[:, 1:]),
        "unknown bounds": replace(memory, bound_eur=np.full_like(memory.bound_eur, -np.inf)),
    }[how]


@pytest.mark.parametrize(
    "how",
    ["nan prices", "wild prices", "another scenario", "other shapes", "unknown bounds"],
)  # fmt: skip
def test_wrong_memories_do_no_harm(how: str) -> None:
    problem = small_fleet(3)
    found = solved(problem)
    assert found.memory is not None
    other = solved(small_fleet(2)).memory
    assert other is not None
    memory = spoilt(found.memory, how, other)
    following, same, rolled = prices_changed(problem, found)
    check(following, solved(following, Warm(memory, same, rolled)))


@pytest.mark.parametrize(
    "same", [np.full(63, -1), np.arange(63)[::-1], np.arange(5), np.full(63, 10_000)]
)
def test_wrong_mappings_do_no_harm(same: Any) -> None:
    problem = small_fleet(3)
    found = solved(problem)
    assert found.memory is not None
    following, _, _ = prices_changed(problem, found)
    check(following, solved(following, Warm(found.memory, same)))
    check(problem, solved(problem, Warm(found.memory, same)))


def test_a_roll_out_of_range_is_no_roll() -> None:
    problem = small_fleet(3)
    found = solved(problem)
    assert found.memory is not None
    for rolled in (-1, 24, 1000):
        check(problem, solved(problem, Warm(found.memory, None, rolled)))


class Here:
    """Shards in this process."""

    def __init__(self, parts: list[tuple[Sections, int]]) -> None:
        self.shards = [SectionShard(*part) for part in parts]

    def call(self, method: str, *args: Any) -> list[Any]:
        return [getattr(shard, method)(*args) for shard in self.shards]


@pytest.mark.parametrize("count", [1, 3, 50])
def test_touched_sites_on_shards_as_in_one_process(count: int) -> None:
    problem = small_fleet(3)
    found = solved(problem)
    assert found.memory is not None
    following, same, _ = sessions_changed(problem, found)
    warm = Warm(found.memory, same)
    touched = touched_sites(warm, following, same_units(warm, following))
    sites = np.flatnonzero(touched | (np.arange(following.sites) % 2 == 0))
    crew = lambda sections: SpreadCrew(sections, Here, count)  # noqa: E731
    plans = []
    for who in (LocalCrew, crew):
        patch = Patch(following, found.memory, same_units(warm, following), sites, who)
        plans.append(patch.run(1e-2, lambda: ALWAYS, None))
    whole, spread = plans
    assert whole is not None
    assert spread is not None
    assert np.array_equal(whole.power_kw, spread.power_kw)
    assert np.array_equal(whole.net_kw, spread.net_kw)
    assert whole.bound_eur == spread.bound_eur


def test_a_plan_that_no_longer_holds_is_made_anew() -> None:
    """A memory whose schedules are not those of its units: found out, and planned from nothing."""
    problem = small_fleet(3)
    found = solved(problem)
    assert found.memory is not None
    memory = replace(found.memory, power_kw=found.memory.power_kw + 1.0)
    again = solved(problem, Warm(memory))
    assert np.array_equal(again.power_kw, found.power_kw)
    check(problem, again)
