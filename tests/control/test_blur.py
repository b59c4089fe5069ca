"""Blurred prices: the same everywhere, gone after a pass, and a plan with its proof for cars that
are all alike."""

from dataclasses import replace

import numpy as np
import pytest
from random_problems import random_problem

from pendel.control.arrow import arrow_of
from pendel.control.blur import BLUR_SHARE, are_alike, noise
from pendel.control.crew import SectionWork
from pendel.control.feeder_blocks import blocks_of
from pendel.control.fleet import Fleet, FleetResult, solve_fleet
from pendel.control.interior import Interior
from pendel.control.linear_model import build_model
from pendel.control.linear_solve import Engine
from pendel.control.price_steps import BlurredSteps
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.sample import sampled_sites, scaled_down
from pendel.control.schedule import Schedule, verify_schedule
from pendel.control.sections import Sections
from pendel.control.site_kernels import unpack_state

FOREVER = float("inf")


def alike_fleet(seed: int, sites: int = 30, cars: int = 240) -> PlanProblem:
    """Cars of one efficiency at sites under a few feeders, with a market position."""
    problem = random_problem(seed, sites=sites, cars=cars, storages=3, extras=True, steps=24, odd=0)
    count = len(problem.units)
    units = replace(
        problem.units,
        charge_efficiency=np.full(count, 0.9),
        discharge_efficiency=np.full(count, 0.9),
    )
    return replace(
        problem,
        units=units,
        import_limit_kw=problem.import_limit_kw + 300.0,
        demand_charge_eur_kw=np.full(sites, 0.3),
        portfolio_import_limit_kw=problem.portfolio_import_limit_kw + 3_000.0,
        feeders=replace(problem.feeders, import_limit_kw=problem.feeders.import_limit_kw + 2_000.0),
    )


def mixed_twin(value: int) -> int:
    """SplitMix64's mixing function on one integer, in Python's own arithmetic."""
    mask = 2**64 - 1
    z = value * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


def test_noise_is_that_of_its_twin_wherever_a_site_is_worked_on() -> None:
    number, steps = np.array([0, 7, 123_456]), 5
    found = noise(number, steps)
    for row, site in enumerate(number.tolist()):
        for t in range(steps):
            mixed = mixed_twin(site * steps + t + 1)
            assert found[row, t] == (mixed >> 11) / 2**52 - 1.0
    assert np.array_equal(noise(number[1:], steps), found[1:])
    many = noise(np.arange(20_000), 96)
    assert many.min() >= -1.0 and many.max() < 1.0
    assert abs(float(many.mean())) < 0.005
    assert float((many**2).mean()) == pytest.approx(1.0 / 3.0, abs=0.005)


def test_cars_of_one_efficiency_are_alike_and_others_are_not() -> None:
    problem = alike_fleet(1)
    assert are_alike(problem)
    count = len(problem.units)
    many = replace(problem.units, charge_efficiency=np.linspace(0.8, 0.95, count))
    assert not are_alike(replace(problem, units=many))


def test_a_blurred_pass_costs_what_its_point_costs_at_true_prices() -> None:
    """The blur moves what sites do, not what that is worth."""
    fleet = Fleet(alike_fleet(2))
    price = np.zeros((fleet.top.count + 2, fleet.problem.steps))
    moved = 0.0
    for index in range(len(fleet.sections)):
        work = SectionWork(fleet.sections, index)
        sharp, blurred = work.run(price, 1e-5), work.run(price, 1e-5, 0.5)
        moved += float(np.abs(sharp.flow - blurred.flow).sum())
        section = fleet.sections.build(index)
        assert work.point is not None
        unpack_state(section.X, section.Y, *work.point, 1e-5)
        cost = float(section.cost_eur(fleet.sections.scale).sum())
        assert float(blurred.cost_eur.sum()) == pytest.approx(cost, rel=1e-5, abs=1e-4)
        assert float(blurred.cost_eur.sum()) >= float(sharp.cost_eur.sum()) - 0.05
    assert moved > 10.0


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_alike_cars_are_planned_between_bound_and_optimum(seed: int, blocks: bool) -> None:
    problem = alike_fleet(seed)
    engine = Engine(build_model(problem, reach_of(problem)), lambda: FOREVER)
    assert engine.run() == "optimal"
    best = engine.objective()
    gaps: list[float] = []

    def progress(number: int, cost: float, bound: float) -> None:
        gaps.append((cost - bound) / abs(bound))

    found = solve_fleet(problem, 2e-3, lambda: FOREVER, progress, blocks=blocks)
    assert isinstance(found, FleetResult)
    schedule = Schedule(
        found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw, np.zeros(0)
    )
    verdict = verify_schedule(problem, schedule)
    slack = 1e-6 * max(1.0, abs(best))
    assert verdict.violations.within(1e-3)
    assert found.bound_eur <= best + slack
    assert best <= verdict.objective_eur + slack
    assert gaps[-1] <= gaps[0]
    assert verdict.objective_eur - found.bound_eur <= 2e-2 * abs(best)


def test_steps_go_from_sharp_to_blurred_and_halve_the_blur() -> None:
    fleet = Fleet(alike_fleet(3))
    price = np.zeros((fleet.top.count + 2, fleet.problem.steps))
    steps = BlurredSteps(fleet, price, 1e-5, lambda: price + 1.0)
    assert steps.blur == 0.0
    found = fleet.one_pass(price, lambda: FOREVER)
    steps.follow(found, 0.0, 0.0, 1.0, 1e-5)
    assert steps.blur == BLUR_SHARE
    assert np.array_equal(steps.price, price + 1.0)
    found = fleet.one_pass(steps.price, lambda: FOREVER, steps.blur)
    steps.follow(found, 0.0, 0.0, 1.0, 1e-5)
    assert steps.blur == 0.5 * BLUR_SHARE
    assert steps.follow(found, 0.0, 0.0, 0.9, 1e-5)
    assert not steps.follow(found, 0.0, 0.0, 0.85, 1e-5)  # two passes ago it was 1.0


def test_a_sample_sees_what_blocks_may_do_together() -> None:
    """Sites of blocks hang under one feeder below their node, with a share of all their limits."""
    problem = alike_fleet(4)
    count = len(problem.feeders)
    feeders = replace(problem.feeders, parent=np.full(count, -1, dtype=np.int64))
    problem = replace(problem, feeder=np.arange(problem.sites) % count, feeders=feeders)
    blocks = blocks_of(problem)
    assert (blocks.root >= 0).all()
    sections = Sections(problem, blocks=blocks)
    sites = sampled_sites(sections, len(sections.parent), 0)[::2]
    sample = scaled_down(sections, sites, 0.5)
    assert len(sample.feeders) == 1
    assert (sample.feeder == 0).all()
    total = float(feeders.import_limit_kw.sum())
    assert sample.feeders.import_limit_kw == pytest.approx([0.5 * total])


def test_centring_ends_on_the_central_path() -> None:
    """Every bound's distance times its multiplier is the wanted complementarity."""
    problem = alike_fleet(5, sites=6, cars=30)
    arrow = arrow_of(problem, reach_of(problem))
    method = Interior(arrow)
    aim = 1e-4
    assert method.centre(aim, False, 120)
    tail = int(arrow.block_begin[-1])
    lo, hi, v, zl, zu = (method.X[k, :tail] for k in (1, 2, 3, 4, 5))
    free = hi > lo
    for product in ((v - lo)[free] * zl[free], (hi - v)[free] * zu[free]):
        assert np.median(product) == pytest.approx(aim, rel=0.05)
    assert not method.centre(aim, False, 120, lambda: 0.0)
