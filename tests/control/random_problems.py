"""Random homes and fleets for planner tests, seeded; every odd case of the contract occurs."""

import numpy as np

from pendel.control.problem import PlanProblem, Units
from pendel.scenario.columns import Feeders, Market, Reserves


def no_feeders() -> Feeders:
    return Feeders(np.empty(0, dtype=str), np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))


def random_units(
    rng: np.random.Generator, cars: int, storages: int, sites: int, steps: int, odd: float
) -> Units:
    """Cars with windows anywhere, storages over all steps; `odd` is the share of odd wishes."""
    n = cars + storages
    is_session = np.arange(n) < cars
    a, b = rng.integers(0, steps, n), rng.integers(0, steps + 1, n)
    first = np.where(is_session, np.minimum(a, b), 0)
    last = np.where(is_session, np.maximum(a, b), steps)
    capacity = rng.uniform(20.0, 90.0, n)
    start = capacity * rng.uniform(0.05, 0.95, n)
    charge = rng.choice([3.7, 7.4, 11.0, 22.0], n)
    discharge = np.where(rng.random(n) < 0.7, rng.choice([3.0, 10.0, 11.0], n), 0.0)
    lossless = rng.random(n) < 0.3
    eta_c = np.where(lossless, 1.0, rng.uniform(0.85, 0.99, n))
    eta_d = np.where(lossless, 1.0, rng.uniform(0.85, 0.99, n))
    room = np.minimum((last - first) * 0.25 * charge * eta_c * 0.7, capacity - start)
    target = np.where(is_session, start + room * rng.uniform(0.0, 1.0, n), 0.0)
    late = rng.random(n) < odd
    target = np.where(late & is_session, capacity * rng.uniform(0.3, 1.0, n), target)
    target = np.where(~is_session & (rng.random(n) < 0.5), start * 0.8, target)
    minimum = np.where(rng.random(n) < 0.4, start * rng.uniform(0.2, 1.0, n), 0.0)
    minimum = np.where(rng.random(n) < odd, capacity * rng.uniform(0.0, 0.6, n), minimum)
    minimum = np.where(is_session, minimum, 0.0)
    return Units(
        site=rng.integers(0, sites, n),
        first=first.astype(np.int64),
        last=last.astype(np.int64),
        capacity_kwh=capacity,
        energy_start_kwh=start,
        target_kwh=target,
        energy_min_kwh=minimum,
        charge_max_kw=charge,
        discharge_max_kw=discharge,
        charge_efficiency=eta_c,
        discharge_efficiency=eta_d,
        wear_eur_kwh=np.where(rng.random(n) < 0.5, rng.uniform(0.0, 0.05, n), 0.0),
        terminal_eur_kwh=np.where(
            is_session & (rng.random(n) < 0.3), rng.uniform(0.0, 0.25, n), 0.0
        ),
        is_session=is_session,
    )


def random_grid(
    rng: np.random.Generator, sites: int, steps: int, most: float
) -> tuple[Feeders, np.ndarray, Market]:
    """Two feeders in a row, sites below them or not, a market position."""
    feeders = Feeders(
        np.array(["east", "street"]),
        np.array([-1, 0]),
        np.array([most * 0.5, most * 0.3]),
        np.array([most * 0.4, most * 0.3]),
    )
    market = Market(
        rng.uniform(0.0, most * 0.3, steps),
        rng.uniform(0.0, 0.2, steps),
        rng.uniform(0.0, 0.1, steps),
    )
    return feeders, rng.integers(-1, 2, sites), market


def random_blocks(rng: np.random.Generator, steps: int) -> Reserves:
    """A symmetric block, then an upward and a downward one that overlap."""
    half = steps // 2
    return Reserves(
        np.array(["FCR", "aFRR up", "aFRR down"]),
        np.array([0, half, half]),
        np.array([half, steps, steps]),
        np.array([0, 1, -1]),
        rng.uniform(5.0, 40.0, 3),
        np.array([0.25, 1.0, 0.5]),
        np.array([np.inf, 8.0, np.inf]),
    )


def random_problem(
    seed: int,
    sites: int = 1,
    cars: int = 2,
    storages: int = 1,
    steps: int = 24,
    odd: float = 0.15,
    negative: bool = False,
    dearer: bool = False,
    tight: bool = False,
    extras: bool = False,
    reserves: bool = False,
) -> PlanProblem:
    """One seeded problem. negative: prices below 0 at times; dearer: export above import at
    times; tight: limits that bind or break; extras: feeders, portfolio limit and market."""
    rng = np.random.default_rng(seed)
    units = random_units(rng, cars, storages, sites, steps, odd)
    load = rng.uniform(0.0, 4.0, (sites, steps))
    pv = np.maximum(rng.normal(0.0, 4.0, (sites, steps)), 0.0)
    buy = rng.uniform(0.05, 0.5, (1, steps))
    if negative:
        buy = buy - np.where(rng.random((1, steps)) < 0.3, rng.uniform(0.2, 0.6), 0.0)
    sell = buy - rng.uniform(0.0, 0.15, (1, steps))
    if dearer:
        sell = sell + np.where(rng.random((1, steps)) < 0.4, rng.uniform(0.0, 0.5), 0.0)
    per_site = max(1, cars // sites)
    top = rng.uniform(3.0, 9.0, sites) if tight else rng.uniform(8.0, 14.0, sites) * per_site
    import_limit = np.repeat((top + (0.0 if tight else 6.0))[:, None], steps, axis=1)
    export = np.where(rng.random(sites) < 0.3, 0.0, rng.uniform(2.0, 20.0, sites))
    if tight and rng.random() < 0.3:
        import_limit[:, : steps // 3] = 0.0
    feeders, feeder = no_feeders(), np.full(sites, -1, dtype=np.int64)
    portfolio = np.full(steps, np.inf), np.full(steps, np.inf)
    market = None
    if extras:
        most = float(import_limit.max(axis=1).sum())
        feeders, feeder, market = random_grid(rng, sites, steps, most)
        portfolio = np.full(steps, most * rng.uniform(0.3, 0.8)), np.full(steps, most * 0.5)
    blocks = random_blocks(rng, steps) if reserves else None
    return PlanProblem(
        step_h=0.25,
        steps=steps,
        units=units,
        import_limit_kw=import_limit,
        export_limit_kw=np.repeat(export[:, None], steps, axis=1),
        load_kw=load,
        pv_kw=pv,
        price_row=np.zeros(sites, dtype=np.int64),
        import_eur_kwh=buy,
        export_eur_kwh=sell,
        demand_charge_eur_kw=np.where(rng.random(sites) < 0.5, rng.uniform(0.0, 2.0, sites), 0.0),
        peak_so_far_kw=np.zeros(sites),
        feeder=feeder,
        feeders=feeders,
        portfolio_import_limit_kw=portfolio[0],
        portfolio_export_limit_kw=portfolio[1],
        market=market,
        reserves=blocks,
    )
