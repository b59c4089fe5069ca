"""Small made-up runs for testing reports; no controller, no files."""

from datetime import UTC, datetime

import numpy as np

from pendel.scenario.columns import (
    UNKNOWN_S,
    Feeders,
    Horizon,
    Prices,
    Scenario,
    Series,
    Sessions,
    Sites,
    Storages,
)
from pendel.sim.result import Run

STEPS, STEP_S = 96, 900


def scenario(count: int = 6, name: str = "three <homes> & a van", steps: int = STEPS) -> Scenario:
    """Two sites, `count` cars, a sine of load and a midday sun, in Berlin in March."""
    horizon = Horizon(datetime(2025, 3, 29, 11, tzinfo=UTC), steps, STEP_S, "Europe/Berlin")
    ints = lambda values: np.asarray(values, dtype=np.int64)  # noqa: E731
    full = lambda value: np.full(count, float(value))  # noqa: E731
    arrive, depart = ints([4 + i for i in range(count)]), ints([60 + i for i in range(count)])
    start_s = horizon.start_s
    stated = depart * STEP_S + start_s + 7_200
    stated[0] = UNKNOWN_S
    sessions = Sessions(
        session_id=np.array([f"s<{i}>" for i in range(count)]),
        site=ints([i % 2 for i in range(count)]),
        arrive_step=arrive,
        depart_step=depart,
        arrive_s=arrive * STEP_S + start_s,
        depart_s=depart * STEP_S + start_s,
        stated_depart_s=stated,
        capacity_kwh=full(50),
        energy_arrive_kwh=full(20),
        energy_target_kwh=full(40),
        energy_min_kwh=full(5),
        charge_max_kw=full(11),
        discharge_max_kw=full(11),
        charge_efficiency=full(0.9),
        discharge_efficiency=full(0.9),
        wear_eur_kwh=full(0.015),
        terminal_eur_kwh=full(0),
        vehicle_id=np.array([f"v{i}" for i in range(count)]),
        battery_model=np.array([""] * count),
    )
    hours = np.arange(steps) / 4.0
    load = np.vstack([2 + np.sin(hours / 4), 1 + np.cos(hours / 3) ** 2])
    pv = np.vstack([np.maximum(0, 5 * np.sin(hours / 4)), np.zeros(steps)])
    price = np.vstack([0.3 + 0.1 * np.sin(hours / 2)])
    nothing = np.zeros(0)
    empty = Storages(np.array([], dtype=str), ints([]), *([nothing] * 8))
    return Scenario(
        name=name,
        horizon=horizon,
        sites=Sites(
            np.array(["home", "yard"]),
            np.array([17.0, 30.0]),
            np.array([11.0, 0.0]),
            np.zeros(2),
            ints([-1, -1]),
        ),
        prices=Prices(price, price - 0.2, ints([0, 0])),
        series=Series(load, pv),
        sessions=sessions,
        storages=empty,
        feeders=Feeders(np.array([], dtype=str), ints([]), nothing, nothing),
    )


def run(strategy: str, cost_eur: float, missed: int = 0, co2_kg: float | None = None) -> Run:
    """A run whose cars charge at once; the last `missed` of them lack 4 kWh at departure."""
    world = scenario()
    sessions, count = world.sessions, len(world.sessions)
    power = np.zeros((count, STEPS))
    energy = np.full((count, STEPS), np.nan)
    leave = np.full(count, 40.0)
    leave[count - missed :] = 36.0
    for i in range(count):
        first, last = int(sessions.arrive_step[i]), int(sessions.depart_step[i])
        level = 20.0
        for t in range(first, last):
            power[i, t] = min(11.0, (leave[i] - level) / 0.9 / 0.25) if level < leave[i] else 0.0
            level += power[i, t] * 0.9 * 0.25
            energy[i, t] = level
    site = sessions.site
    net = world.series.load_kw - world.series.pv_kw
    net = net + np.vstack([power[site == s].sum(axis=0) for s in range(2)])
    summary = {
        "strategy": strategy,
        "cost_eur": cost_eur,
        "energy_cost_eur": cost_eur - 3.21,
        "wear_eur": 3.21,
        "import_kwh": 321.0,
        "export_kwh": 12.0,
        "charged_kwh": 133.0,
        "discharged_kwh": 45.0,
        "peak_import_kw": float(net.sum(axis=0).max()),
        "promises_total": count,
        "promises_kept": count - missed,
        "shortfall_kwh": 4.0 * missed,
        "self_consumption": 0.62,
        "vehicle_steps_per_second": 1e6,
        "seconds": 0.12,
    }
    if co2_kg is not None:
        summary["co2_kg"] = co2_kg
    kept = np.arange(count) < count - missed
    return Run(
        strategy, world, summary, power, energy, net, np.zeros((2, STEPS)),
        np.ones(count, dtype=np.bool_), kept, leave,
    )  # fmt: skip


FRONTIER = [
    {"confidence": 0.9, "kept_share": 0.93, "cost_eur": 90.5},
    {"confidence": 0.99, "promises_kept": 594, "promises_total": 600, "cost_eur": 99.25},
    {"label": "always ready", "kept_share": 1.0, "cost_eur": 120.75},
]
