"""Fleets of 50, 200 and 500 coupled cars, 96 steps: plan beside HiGHS on the same instance.

Sites of 20 cars with load, PV, import and export limits and a demand charge; a feeder, portfolio
limits and a market position tie the sites together. CPU seconds; HiGHS is given its best of
simplex and interior point (one thread, model built outside the clock).
"""

import time
from typing import Any

import numpy as np

SIZES = (50, 200, 500)
STEPS = 96
CARS_PER_SITE = 20


def fleet_problem(cars: int, seed: int) -> Any:
    """A PlanProblem of `cars` sessions with losses, wear, buy above sell and coupling limits."""
    from pendel.control.problem import PlanProblem, Units
    from pendel.scenario.columns import Feeders, Market

    rng = np.random.default_rng(seed)
    sites = max(1, cars // CARS_PER_SITE)
    hour = np.arange(STEPS) / 4.0
    first = np.clip(rng.normal(20.0, 18.0, cars), 0, 70).astype(np.int64)
    last = np.minimum(first + rng.integers(16, 60, cars), STEPS)
    capacity = rng.choice([40.0, 58.0, 77.0], cars)
    start = capacity * rng.uniform(0.2, 0.6, cars)
    room = np.minimum(0.7 * (last - first) * 0.25 * 11.0 * 0.9, 0.95 * capacity - start)
    units = Units(
        site=rng.integers(0, sites, cars),
        first=first,
        last=last,
        capacity_kwh=capacity,
        energy_start_kwh=start,
        target_kwh=start + room * rng.uniform(0.3, 1.0, cars),
        energy_min_kwh=0.1 * capacity,
        charge_max_kw=np.full(cars, 11.0),
        discharge_max_kw=np.where(rng.random(cars) < 0.8, 10.0, 0.0),
        charge_efficiency=rng.uniform(0.90, 0.96, cars),
        discharge_efficiency=rng.uniform(0.90, 0.96, cars),
        wear_eur_kwh=rng.uniform(0.01, 0.03, cars),
        terminal_eur_kwh=np.zeros(cars),
        is_session=np.ones(cars, dtype=np.bool_),
    )
    buy = 0.25 + 0.09 * np.sin(hour / 24.0 * 4.0 * np.pi) + rng.normal(0.0, 0.02, STEPS)
    load = rng.gamma(2.0, 5.0, (sites, STEPS))
    sun = np.maximum(np.sin((hour - 6.0) / 12.0 * np.pi), 0.0)
    pv = sun * rng.uniform(10.0, 60.0, (sites, 1)) * rng.uniform(0.6, 1.0, (sites, STEPS))
    per_site = cars / sites
    full = 11.0 * cars
    return PlanProblem(
        step_h=0.25,
        steps=STEPS,
        units=units,
        import_limit_kw=np.full((sites, STEPS), 25.0 + 5.0 * per_site),
        export_limit_kw=np.full((sites, STEPS), 3.0 * per_site),
        load_kw=load,
        pv_kw=pv,
        price_row=np.zeros(sites, dtype=np.int64),
        import_eur_kwh=buy[None, :],
        export_eur_kwh=(0.5 * buy)[None, :],
        demand_charge_eur_kw=np.full(sites, 0.5),
        peak_so_far_kw=np.zeros(sites),
        feeder=np.where(np.arange(sites) % 2 == 0, 0, -1),
        feeders=Feeders(
            np.array(["east"]), np.array([-1]), np.array([0.3 * full]), np.array([0.2 * full])
        ),
        portfolio_import_limit_kw=np.full(STEPS, 0.5 * full),
        portfolio_export_limit_kw=np.full(STEPS, 0.3 * full),
        market=Market(
            0.15 * full * rng.uniform(0.5, 1.5, STEPS), np.full(STEPS, 0.05), np.full(STEPS, 0.03)
        ),
    )


def peer_run(problem: Any, solver: str) -> tuple[float, float]:
    """CPU seconds and objective of HiGHS with one algorithm."""
    from pendel.control.linear_model import build_model
    from pendel.control.linear_solve import Engine
    from pendel.control.reach import reach_of

    engine = Engine(build_model(problem, reach_of(problem)), lambda: float("inf"))
    begin = time.process_time()
    engine.run(solver)
    return time.process_time() - begin, engine.objective()


def measure() -> dict[str, Any]:
    """One row per size: CPU seconds of both, ratio, relative difference of the objectives."""
    from pendel.control.plan import plan

    plan(fleet_problem(50, 99))
    rows = []
    for cars in SIZES:
        problem = fleet_problem(cars, 1)
        begin = time.process_time()
        found = plan(problem)
        own = time.process_time() - begin
        peers = {solver: peer_run(problem, solver) for solver in ("simplex", "ipm")}
        best = min(seconds for seconds, _ in peers.values())
        optimum = peers["simplex"][1]
        rows.append(
            {
                "cars": cars,
                "plan_cpu_s": own,
                "highs_simplex_cpu_s": peers["simplex"][0],
                "highs_ipm_cpu_s": peers["ipm"][0],
                "ratio": best / own,
                "objective_difference": abs(found.objective_eur - optimum) / max(1.0, abs(optimum)),
                "gap": found.gap,
                "shortfall_kwh": float(found.shortfall_kwh.sum()),
                "feasible": found.feasible,
                "method": found.method,
            }
        )
    return {
        "what": "coupled fleets, 96 steps",
        "rows": rows,
        "target": "objective equal to HiGHS within 1e-6 up to 500 cars",
        "met": all(row["objective_difference"] <= 1e-6 for row in rows),
    }
