"""Changes from one cycle to the next, for the benchmark of warm plans.

`sessions`: some sessions leave, others arrive, others get another target. `forecast`: prices,
loads, sun and the market position move a little everywhere. `roll`: the horizon moves on; stored
energy is what the last plan made it. Each gives the new problem, which unit each of its units was
(-1: new), and by how many steps the horizon moved.
"""

from dataclasses import fields, replace
from typing import Any

import numpy as np

SHARE = 0.02
PRICE_NOISE, LOAD_NOISE, POSITION_NOISE = 0.01, 0.03, 0.02
STAY_STEPS = 12


def taken(units: Any, rows: Any) -> Any:
    """Some units, in this order."""
    return type(units)(**{f.name: getattr(units, f.name)[rows] for f in fields(units)})


def reachable(problem: Any, units: Any, want: Any) -> Any:
    """Targets at a share `want` of what 0.7 of full power reaches."""
    hours = (units.last - units.first) * problem.step_h
    room = np.minimum(
        0.7 * hours * units.charge_max_kw * units.charge_efficiency,
        0.95 * units.capacity_kwh - units.energy_start_kwh,
    )
    return units.energy_start_kwh + np.maximum(room, 0.0) * want


def sessions(problem: Any, found: Any, seed: int, share: float = SHARE) -> tuple[Any, Any, int]:
    """A third of the changed sessions leaves, a third is new, a third gets another target."""
    rng = np.random.default_rng(seed)
    count = len(problem.units)
    pick = rng.permutation(count)[: max(3, int(share * count))]
    gone, twins, other = np.array_split(pick, 3)
    stay = np.setdiff1d(np.arange(count), gone)
    rows = np.concatenate([stay, twins])
    same = np.concatenate([stay, np.full(len(twins), -1)])
    units = taken(problem.units, rows)
    new = same < 0
    start = units.energy_start_kwh.copy()
    start[new] = units.capacity_kwh[new] * rng.uniform(0.2, 0.6, int(new.sum()))
    units = replace(units, energy_start_kwh=start)
    changed = new | np.isin(same, other)
    wanted = reachable(problem, units, rng.uniform(0.3, 1.0, len(units)))
    target = np.where(changed, wanted, units.target_kwh)
    return replace(problem, units=replace(units, target_kwh=target)), same, 0


def forecast(problem: Any, found: Any, seed: int) -> tuple[Any, Any, int]:
    """New prices, loads, sun and position."""
    rng = np.random.default_rng(seed)
    steps = problem.steps
    buy = problem.import_eur_kwh * rng.normal(1.0, PRICE_NOISE, (1, steps))
    load = problem.load_kw * rng.normal(1.0, LOAD_NOISE, problem.load_kw.shape)
    sun = problem.pv_kw * rng.normal(1.0, LOAD_NOISE, problem.pv_kw.shape)
    market = problem.market
    position = market.position_kw * rng.normal(1.0, POSITION_NOISE, steps)
    return (
        replace(
            problem,
            import_eur_kwh=buy,
            export_eur_kwh=0.5 * buy,
            load_kw=np.maximum(load, 0.0),
            pv_kw=np.maximum(sun, 0.0),
            market=replace(market, position_kw=position),
        ),
        np.arange(len(problem.units)),
        0,
    )


def roll(problem: Any, found: Any, seed: int, by: int = 1) -> tuple[Any, Any, int]:
    """The horizon moves on by some steps: energies as planned, departed cars gone, cars at its
    end stay on, new ones arrive there."""
    rng = np.random.default_rng(seed)
    units, steps = problem.units, problem.steps
    stay = np.flatnonzero(units.last > by)
    old = taken(units, stay)
    begun = old.first < by
    energy = found.energy_kwh[stay, by - 1]
    peak = np.maximum(problem.peak_so_far_kw, found.net_kw[:, :by].max(axis=1))
    moved = replace(
        old,
        first=np.maximum(old.first - by, 0),
        last=np.where(old.last >= steps, steps, old.last - by),
        energy_start_kwh=np.where(begun, energy, old.energy_start_kwh),
    )
    arrive = rng.integers(0, len(units), max(1, len(units) * by // steps))
    new = taken(units, arrive)
    first = np.maximum(steps - STAY_STEPS - rng.integers(0, by, len(arrive)), 0)
    new = replace(new, first=first, last=np.full(len(arrive), steps))
    new = replace(new, target_kwh=reachable(problem, new, rng.uniform(0.3, 1.0, len(arrive))))
    both = {
        f.name: np.concatenate([getattr(moved, f.name), getattr(new, f.name)])
        for f in fields(units)
    }
    noise = rng.normal(1.0, POSITION_NOISE, by)

    def on(values: Any, factor: Any = 1.0) -> Any:
        return np.concatenate([values[..., by:], values[..., :by] * factor], axis=-1)

    market = problem.market
    market = replace(
        market,
        position_kw=on(market.position_kw, noise),
        short_eur_kwh=on(market.short_eur_kwh),
        long_eur_kwh=on(market.long_eur_kwh),
    )
    following = replace(
        problem,
        units=type(units)(**both),
        load_kw=on(problem.load_kw),
        pv_kw=on(problem.pv_kw),
        import_limit_kw=on(problem.import_limit_kw),
        export_limit_kw=on(problem.export_limit_kw),
        import_eur_kwh=on(problem.import_eur_kwh, noise),
        export_eur_kwh=on(problem.export_eur_kwh, noise),
        portfolio_import_limit_kw=on(problem.portfolio_import_limit_kw),
        portfolio_export_limit_kw=on(problem.portfolio_export_limit_kw),
        peak_so_far_kw=peak,
        market=market,
    )
    return following, np.concatenate([stay, np.full(len(arrive), -1)]), by


CHANGES = {"sessions": sessions, "forecast": forecast, "roll": roll}
