"""House with PV, battery, two V2G cars and a demand charge, 96 steps: exact plan beside HiGHS.

Times are CPU seconds of one warm plan (median of several), verification included for pendel and
left out for HiGHS (model built outside the clock, one thread, its own choice of algorithm).
"""

import time
from typing import Any

import numpy as np

REPEATS = 15
PEER_REPEATS = 5
STEPS = 96


def house_problem(seed: int) -> Any:
    """A PlanProblem: one site, two cars, one stationary battery, a day of quarter hours."""
    from pendel.control.problem import PlanProblem, Units
    from pendel.scenario.columns import Feeders

    rng = np.random.default_rng(seed)
    hour = np.arange(STEPS) / 4.0
    sun = np.maximum(np.sin((hour - 6.0) / 12.0 * np.pi), 0.0)
    buy = 0.28 + 0.08 * np.sin(hour / 24.0 * 4.0 * np.pi) + rng.normal(0.0, 0.02, STEPS)
    none = np.empty(0)
    units = Units(
        site=np.zeros(3, dtype=np.int64),
        first=np.array([0, 68, 0]),
        last=np.array([30, 96, 96]),
        capacity_kwh=np.array([60.0, 77.0, 10.0]),
        energy_start_kwh=np.array([25.0, 30.0, 4.0]),
        target_kwh=np.array([48.0, 55.0, 4.0]),
        energy_min_kwh=np.array([12.0, 15.0, 0.0]),
        charge_max_kw=np.array([11.0, 11.0, 5.0]),
        discharge_max_kw=np.array([10.0, 10.0, 5.0]),
        charge_efficiency=np.array([0.93, 0.94, 0.96]),
        discharge_efficiency=np.array([0.92, 0.93, 0.96]),
        wear_eur_kwh=np.array([0.02, 0.02, 0.01]),
        terminal_eur_kwh=np.zeros(3),
        is_session=np.array([True, True, False]),
    )
    return PlanProblem(
        step_h=0.25,
        steps=STEPS,
        units=units,
        import_limit_kw=np.full((1, STEPS), 17.0),
        export_limit_kw=np.full((1, STEPS), 11.0),
        load_kw=(0.4 + rng.gamma(1.5, 0.5, STEPS))[None, :],
        pv_kw=(8.0 * sun * rng.uniform(0.5, 1.0, STEPS))[None, :],
        price_row=np.zeros(1, dtype=np.int64),
        import_eur_kwh=buy[None, :],
        export_eur_kwh=(0.3 * buy)[None, :],
        demand_charge_eur_kw=np.array([0.8]),
        peak_so_far_kw=np.zeros(1),
        feeder=np.array([-1]),
        feeders=Feeders(np.empty(0, dtype=str), np.empty(0, dtype=np.int64), none, none),
        portfolio_import_limit_kw=np.full(STEPS, np.inf),
        portfolio_export_limit_kw=np.full(STEPS, np.inf),
    )


def peer_seconds(problem: Any) -> tuple[float, float]:
    """CPU seconds and objective of HiGHS alone on the same problem, model already built."""
    from pendel.control.linear_model import build_model
    from pendel.control.linear_solve import Engine
    from pendel.control.reach import reach_of

    engine = Engine(build_model(problem, reach_of(problem)), lambda: float("inf"))
    begin = time.process_time()
    engine.run()
    return time.process_time() - begin, engine.objective()


def measure() -> dict[str, Any]:
    """Median CPU seconds over seeds and repeats, objective difference, ratio."""
    from pendel.control.plan import plan

    problems = [house_problem(seed) for seed in range(PEER_REPEATS)]
    found = [plan(problem) for problem in problems]
    own = []
    for repeat in range(REPEATS):
        begin = time.process_time()
        plan(problems[repeat % len(problems)])
        own.append(time.process_time() - begin)
    peer = [peer_seconds(problem) for problem in problems]
    difference = max(
        abs(mine.objective_eur - theirs[1]) / max(1.0, abs(theirs[1]))
        for mine, theirs in zip(found, peer, strict=True)
    )
    mine, theirs = float(np.median(own)), float(np.median([seconds for seconds, _ in peer]))
    return {
        "what": "house, 2 cars, battery, PV, demand charge, 96 steps",
        "plan_cpu_s": mine,
        "highs_cpu_s": theirs,
        "ratio": theirs / mine,
        "objective_difference": difference,
        "gap": max(one.gap for one in found),
        "method": found[0].method,
        "target": "at most 0.020 s",
        "met": mine <= 0.020 and difference <= 1e-6,
    }
