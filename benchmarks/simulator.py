"""Simulator: vehicle-steps per CPU second at 5,000 vehicles, beside a loop over objects.

5,000 cars at 250 sites with losses, site limits and V2G over a day of quarter hours, every strategy
with all its decisions (departures are learned, plans renewed on events, limits shared out within
each step), once with the contract's constant efficiencies and once with taper (`battery_model`).
A vehicle-step is a step in which a car is connected. Beside it, in the same run: a plain loop over
objects that only charges at once, and EV2Gym where EV2GYM_PYTHON names a Python that has it.
"""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

VEHICLES, SITES, STEPS = 5_000, 250, 96
BASELINE_VEHICLES = 500


def fleet_scenario(vehicles: int = VEHICLES, taper: bool = False, seed: int = 1) -> Any:
    """Cars that come early and leave late in one day, 20 at each site, limits that bind."""
    from pendel.scenario import columns as c

    draw = np.random.default_rng(seed)
    sites = max(vehicles * SITES // VEHICLES, 1)
    horizon = c.Horizon(datetime(2025, 3, 2, 23, tzinfo=UTC), STEPS, 900, "Europe/Berlin")
    arrive = draw.integers(0, 8, vehicles)
    depart = STEPS - draw.integers(0, 8, vehicles)
    capacity = draw.choice([40.0, 58.0, 77.0], vehicles)
    zeros, none = np.zeros(vehicles), np.zeros(0)
    hours = np.arange(STEPS) / 4.0
    price = (0.25 + 0.09 * np.sin(hours / 24.0 * 4.0 * np.pi))[None, :]
    at_s = horizon.start_s
    return c.Scenario(
        name="fleet",
        horizon=horizon,
        sites=c.Sites(
            np.array([f"s{i}" for i in range(sites)]), np.full(sites, 100.0),
            np.full(sites, 60.0), np.zeros(sites), np.full(sites, -1, dtype=np.int64),
        ),
        prices=c.Prices(price, price - 0.04, np.zeros(sites, dtype=np.int64)),
        series=c.Series(np.full((sites, STEPS), 2.0), np.zeros((sites, STEPS))),
        sessions=c.Sessions(
            session_id=np.array([f"x{i}" for i in range(vehicles)]),
            site=np.arange(vehicles) % sites,
            arrive_step=arrive, depart_step=depart,
            arrive_s=at_s + 900 * arrive, depart_s=at_s + 900 * depart,
            stated_depart_s=at_s + 900 * (depart + draw.integers(-4, 5, vehicles)),
            capacity_kwh=capacity,
            energy_arrive_kwh=capacity * draw.uniform(0.1, 0.6, vehicles),
            energy_target_kwh=capacity * draw.uniform(0.6, 0.9, vehicles),
            energy_min_kwh=0.1 * capacity,
            charge_max_kw=zeros + 11.0, discharge_max_kw=zeros + 10.0,
            charge_efficiency=draw.uniform(0.9, 0.96, vehicles),
            discharge_efficiency=draw.uniform(0.9, 0.96, vehicles),
            wear_eur_kwh=zeros + 0.02, terminal_eur_kwh=zeros,
            vehicle_id=np.array([f"v{i}" for i in range(vehicles)]),
            battery_model=np.full(vehicles, "taper" if taper else ""),
        ),
        storages=c.Storages(
            np.array([], dtype="U1"), np.zeros(0, dtype=np.int64), *(none for _ in range(8))
        ),
        feeders=c.Feeders(np.array([], dtype="U1"), np.zeros(0, dtype=np.int64), none, none),
    )  # fmt: skip


class Car:
    """The baseline: one object per car, one method call per step."""

    def __init__(self, row: dict[str, float]) -> None:
        self.__dict__.update(row)
        self.energy_kwh = row["energy_arrive_kwh"]

    def step(self, step_h: float) -> float:
        """Charge at once for a step; returns the power [kW]."""
        lacking = max(self.energy_target_kwh - self.energy_kwh, 0.0)
        power = min(self.charge_max_kw, lacking / (self.charge_efficiency * step_h))
        self.energy_kwh += power * self.charge_efficiency * step_h
        return power


def baseline_steps_per_second(world: Any) -> float:
    """Vehicle-steps per CPU second of the loop over objects, site totals included."""
    sessions = world.sessions
    names = ("energy_arrive_kwh", "energy_target_kwh", "charge_max_kw", "charge_efficiency")
    cars = [
        Car({name: float(getattr(sessions, name)[i]) for name in names})
        for i in range(len(sessions))
    ]
    begin, count = time.process_time(), 0
    for step in range(STEPS):
        net = [0.0] * len(world.sites)
        for i, car in enumerate(cars):
            if sessions.arrive_step[i] <= step < sessions.depart_step[i]:
                net[sessions.site[i]] += car.step(0.25)
                count += 1
    return count / (time.process_time() - begin)


def ev2gym_steps_per_second() -> float | None:
    """Vehicle-steps per CPU second of EV2Gym, by the Python named in EV2GYM_PYTHON (see
    ev2gym_peer.py how to make one); None without it, or where it fails."""
    python = os.environ.get("EV2GYM_PYTHON", sys.executable)
    peer = Path(__file__).with_name("ev2gym_peer.py")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run(
        [python, str(peer)], capture_output=True, text=True, check=False, env=environment
    )
    if run.returncode != 0:
        return None
    return float(run.stdout.split()[-1])


def round_trip() -> float:
    """Energy given back per energy charged, 0.9 each way, over one forced swing."""
    from pendel.units import stored_change_kwh

    stored = stored_change_kwh(10.0, 1.0, 0.9, 0.9)
    out_kw = -stored * 0.9
    rest = stored + stored_change_kwh(out_kw, 1.0, 0.9, 0.9)
    return -out_kw / 10.0 if abs(rest) < 1e-12 else float("nan")


def measure() -> dict[str, Any]:
    """Vehicle-steps per CPU second per strategy, balance gap, round trip, and the peers."""
    from pendel.records import Mode
    from pendel.sim.engine import simulate

    rows = []
    for taper in (False, True):
        world = fleet_scenario(taper=taper)
        for mode in Mode:
            simulate(world, mode)  # kernels are loaded, caches are warm
            run = min(
                (simulate(world, mode) for _ in range(2)), key=lambda r: r.summary["cpu_seconds"]
            )
            rows.append(
                {
                    "strategy": str(mode),
                    "taper": taper,
                    "vehicle_steps_per_cpu_second": run.summary["vehicle_steps_per_second"],
                    "balance_gap_kwh": run.summary["balance_gap_kwh"],
                    "cost_eur": run.summary["cost_eur"],
                    "promises_kept": run.summary["promises_kept"],
                    "promises_total": run.summary["promises_total"],
                }
            )
    baseline = baseline_steps_per_second(fleet_scenario(BASELINE_VEHICLES))
    slowest = min(row["vehicle_steps_per_cpu_second"] for row in rows)
    return {
        "vehicles": VEHICLES,
        "rows": rows,
        "round_trip": round_trip(),
        "object_loop_steps_per_cpu_second": baseline,
        "ratio_slowest_strategy_to_object_loop": slowest / baseline,
        "ev2gym_steps_per_cpu_second": ev2gym_steps_per_second(),
    }


def main() -> None:
    """Print the measurement as JSON."""
    import msgspec

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(measure())) + b"\n")


if __name__ == "__main__":
    main()
