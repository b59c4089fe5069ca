"""Sites planned apart and held: what they leave proven, against the general solver with ranks."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pendel.control.fleet as fleet
from pendel.control import stragglers
from pendel.control.giving import Give, give_of
from pendel.control.plan import PlanOptions, plan
from pendel.control.problem import PlanProblem
from pendel.control.sections import Sections
from pendel.control.stragglers import dearer, lack_kwh, least_eur

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from plan_fleet import fleet_problem

FOREVER = float("inf")


def lifted_fleet(seed: int, share: float, cars: int = 160) -> PlanProblem:
    """A fleet where a third of the sites is narrow, and half of the cars there arrive below their
    minimum: with a small share what the sites can supply does not lift them as fast as could be."""
    problem, rng = fleet_problem(cars, seed), np.random.default_rng(seed)
    units = problem.units
    narrow = np.arange(problem.sites) % 3 == 0
    imports = problem.import_limit_kw.copy()
    imports[narrow] *= share
    low = narrow[units.site] & (rng.random(cars) < 0.5)
    return replace(
        problem,
        import_limit_kw=imports,
        portfolio_import_limit_kw=np.full(problem.steps, np.inf),
        units=replace(
            units,
            energy_start_kwh=np.where(low, 0.05, 1.0) * units.energy_start_kwh,
            energy_min_kwh=np.where(low, 0.3 * units.capacity_kwh, units.energy_min_kwh),
        ),
    )


@pytest.mark.parametrize(("seed", "share"), [(0, 0.3), (1, 0.2), (2, 0.12), (3, 0.12)])
def test_held_sites_leave_a_tight_bound(
    seed: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = lifted_fleet(seed, share)
    exact = plan(problem, PlanOptions(method="exact"))
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 1)
    held = []
    real = stragglers.hold
    monkeypatch.setattr(stragglers, "hold", lambda *args: held.append(real(*args)) or held[-1])
    found = plan(problem, PlanOptions(method="decomposed", gap=1e-3))
    assert found.method == "decomposed"
    assert held
    assert max(one.lack_kwh.max() for one in held) > (1.0 if share < 0.2 else -1.0)
    scale = abs(exact.objective_eur)
    assert found.bound_eur <= exact.objective_eur + 1e-6 * scale
    assert found.over_limit_kwh == pytest.approx(exact.over_limit_kwh, rel=1e-6, abs=1e-6)
    assert float(found.shortfall_kwh.sum()) == pytest.approx(exact.shortfall_kwh.sum(), abs=2e-3)
    assert found.feasible == exact.feasible
    assert found.gap <= 1e-3


@pytest.mark.parametrize("seed", range(6))
def test_the_least_of_a_site_is_what_the_general_solver_finds(seed: int) -> None:
    """At prices far above money: least cost at the best ranks, plus the price of what gave way."""
    whole = lifted_fleet(seed, 0.15, cars=30)
    rng = np.random.default_rng(seed)
    part = Sections(whole).part(np.array([0]))[0]
    part = dearer(part, rng.uniform(-0.1, 0.2, part.steps))
    best = plan(part, PlanOptions(method="exact"))
    give = give_of(part)
    over, lack = best.over_limit_kwh, lack_kwh(part, best.energy_kwh)
    least = least_eur(part, give, over, lack, lambda: FOREVER)
    short = float(best.shortfall_kwh.sum()) - float(never_kwh(part).sum())
    ranks = give.over_eur_kwh * over + give.short_eur_kwh * short
    assert least <= best.objective_eur + ranks + 1e-6 * abs(ranks)
    assert least == pytest.approx(best.objective_eur + ranks, rel=1e-6)
    assert least_eur(part, give, over + 1.0, lack, lambda: FOREVER) == -FOREVER
    assert least_eur(part, give, over, lack + 1.0, lambda: FOREVER) == -FOREVER
    assert least_eur(part, give, over, lack, lambda: 0.0) == -FOREVER


def never_kwh(part: PlanProblem) -> np.ndarray:
    """What charging at once does not reach of target or minimum."""
    units = part.units
    hours = part.step_h * (units.last - units.first)
    reached = units.energy_start_kwh + hours * units.charge_efficiency * units.charge_max_kw
    wanted = np.maximum(units.target_kwh, units.energy_min_kwh)
    return np.maximum(wanted - np.minimum(reached, units.capacity_kwh), 0.0)


def test_a_dearer_target_does_not_make_the_bound_stand_above_a_plan() -> None:
    """At a low price the least is below what the ranks find: never above."""
    part = Sections(lifted_fleet(4, 0.15, cars=30)).part(np.array([0]))[0]
    best = plan(part, PlanOptions(method="exact"))
    lack, short = lack_kwh(part, best.energy_kwh), float(best.shortfall_kwh.sum())
    for price in (0.0, 0.01, 0.3, 5.0, 1e3):
        give = Give(30.0 * price, price)
        least = least_eur(part, give, best.over_limit_kwh, lack, lambda: FOREVER)
        paid = give.over_eur_kwh * best.over_limit_kwh + price * short
        assert least <= best.objective_eur + paid + 1e-6 * max(1.0, paid)
