"""Flexibility of generated cities: CPU of the stored schedules, and moved units beside plans.

Rows `size`: default blocks and incentives; blends drawn at random are judged by the verifier
against the problem itself. Rows `beside`: the same small city with a plan for each stored schedule
and with units that move; per incentive the kW of all offers, their price, and which share of what
the incentive pays beyond the cost the moved ones keep.
`python benchmarks/flexibility_scale.py 100000` measures one size.
"""

import json
import resource
import sys
import time
from typing import Any

import numpy as np

SIZES = (20_000,)
BESIDE_CARS, BESIDE_SEEDS = 500, (1, 2, 3)
INCENTIVES = (0.03, 0.1, 0.3)
GAP, BLOCKS, BLENDS = 1e-4, 6, 3
CPU_S_PER_CAR = 0.004


def city(cars: int, seed: int) -> Any:
    """The problem of a generated city, a quarter of an hour a step."""
    from pendel.control.problem import problem_of
    from pendel.sim.generator.build import generate
    from pendel.sim.generator.settings import FleetSettings

    return problem_of(generate(FleetSettings(vehicles=cars, seed=seed)))


def product(problem: Any, planned_max: int | None = None) -> tuple[Any, float]:
    """The inner product and its CPU seconds; planned_max: limit for a plan of each schedule."""
    from pendel.control import flexibility
    from pendel.control.plan import PlanOptions

    kept = flexibility.PLANNED_MAX
    flexibility.PLANNED_MAX = kept if planned_max is None else planned_max
    begin = time.process_time()
    try:
        made = flexibility.inner_of(problem, BLOCKS, INCENTIVES, PlanOptions(gap=GAP))
    finally:
        flexibility.PLANNED_MAX = kept
    return made, time.process_time() - begin


def of_size(cars: int, seed: int = 1) -> dict[str, Any]:
    """One size with what random blends violate."""
    from pendel.control.flexibility import blend
    from pendel.control.schedule import verify_schedule

    problem = city(cars, seed)
    made, cpu = product(problem)
    rng, worst = np.random.default_rng(seed), 0.0
    for _ in range(BLENDS):
        found = blend(made, rng.dirichlet(np.full(len(made), 0.3)))
        off = verify_schedule(problem, found, float(made.shortfall_kwh.max())).violations
        worst = max(
            worst, off.energy_kwh, off.power_kw, off.site_kw, off.feeder_kw, off.portfolio_kw
        )
    prices = [offer.cost_eur for offer in made.offers if offer.cost_eur > 0.0]
    return {
        "row": "size",
        "cars": cars,
        "schedules": len(made),
        "method": "planned" if made.planned else "moved",
        "cpu_s": cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "base_gap_eur": made.base_gap_eur,
        "median_offer_eur": float(np.median(prices)) if prices else 0.0,
        "worst_violation": worst,
        "feasible": made.feasible,
    }


def beside(cars: int, seed: int) -> list[dict[str, Any]]:
    """Moved units beside a plan for each schedule: one row per incentive."""
    problem = city(cars, seed)
    planned, planned_s = product(problem, sys.maxsize)
    moved, moved_s = product(problem, 0)
    rows = []
    for incentive in INCENTIVES:
        row: dict[str, Any] = {"row": "beside", "cars": cars, "seed": seed, "eur_kwh": incentive}
        rents = []
        for name, made in (("planned", planned), ("moved", moved)):
            offers = [offer for offer in made.offers if offer.incentive_eur_kwh == incentive]
            hours = [problem.step_h * (offer.until_step - offer.from_step) for offer in offers]
            kwh = sum(offer.power_kw * h for offer, h in zip(offers, hours, strict=True))
            eur = sum(offer.cost_eur for offer in offers)
            rents.append(incentive * kwh - eur)
            row[f"{name}_kw"] = sum(offer.power_kw for offer in offers)
            row[f"{name}_ct_kwh"] = 100.0 * eur / kwh if kwh > 0.0 else 0.0
        row["share_kept"] = rents[1] / rents[0] if rents[0] > 0.0 else 1.0
        rows.append(row | {"planned_cpu_s": planned_s, "moved_cpu_s": moved_s})
    return rows


def measure(sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """All rows; met where every blend is feasible and the CPU per car is in the budget."""
    of_size(200)  # kernels are compiled before anything is measured
    rows = [of_size(cars) for cars in sizes]
    met = all(
        row["feasible"]
        and row["worst_violation"] <= 1e-6
        and row["cpu_s"] <= CPU_S_PER_CAR * row["cars"]
        for row in rows
    )
    for seed in BESIDE_SEEDS:
        rows += beside(BESIDE_CARS, seed)
    return {
        "target": f"every blend feasible; at most {1e3 * CPU_S_PER_CAR:g} CPU ms per car",
        "met": met,
        "rows": rows,
    }


if __name__ == "__main__":
    print(json.dumps(measure(tuple(int(word) for word in sys.argv[1:]) or SIZES), indent=2))
