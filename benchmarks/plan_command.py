"""`pendel plan` as a command, files in and verified files out: wall and CPU seconds, peak memory.

The coupled fleets of `plan_scale` written as scenario folders (parquet): 1,000 sites at a feeder,
portfolio limits, market. Planning is what `summary.json` says of itself; the rest is reading,
writing and verifying. `python benchmarks/plan_command.py --full` measures the million;
`--city N` plans a generated city of N cars instead.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from plan_scale import scale_problem

SIZES = (10_000, 100_000)
FULL = 1_000_000
GAP = 1e-4
REST_MAX_S = 60.0
PLANNING_MAX_S = 300.0
MEMORY_MAX_MIB = 6_144.0


def scenario_of(problem: Any, name: str) -> Any:
    """A PlanProblem of `plan_scale` as a scenario."""
    from pendel.scenario.columns import (
        UNKNOWN_S,
        Horizon,
        Prices,
        Scenario,
        Series,
        Sessions,
        Sites,
        Storages,
    )

    units, count = problem.units, len(problem.units)
    text = np.dtypes.StringDType()
    horizon = Horizon(datetime(2025, 6, 18, tzinfo=UTC), problem.steps, 900, "UTC")
    ids = np.array([f"car{i:07d}" for i in range(count)], dtype=text)
    sites = np.array([f"site{i:06d}" for i in range(problem.sites)], dtype=text)
    feeders = problem.feeders
    none = np.zeros(0)
    return Scenario(
        name=name,
        horizon=horizon,
        sites=Sites(
            sites,
            problem.import_limit_kw[:, 0].copy(),
            problem.export_limit_kw[:, 0].copy(),
            problem.demand_charge_eur_kw,
            problem.feeder,
        ),
        prices=Prices(problem.import_eur_kwh, problem.export_eur_kwh, problem.price_row),
        series=Series(problem.load_kw, problem.pv_kw),
        sessions=Sessions(
            session_id=ids,
            site=units.site,
            arrive_step=units.first,
            depart_step=units.last,
            arrive_s=horizon.start_s + 900 * units.first,
            depart_s=horizon.start_s + 900 * units.last,
            stated_depart_s=np.full(count, UNKNOWN_S),
            capacity_kwh=units.capacity_kwh,
            energy_arrive_kwh=units.energy_start_kwh,
            energy_target_kwh=units.target_kwh,
            energy_min_kwh=units.energy_min_kwh,
            charge_max_kw=units.charge_max_kw,
            discharge_max_kw=units.discharge_max_kw,
            charge_efficiency=units.charge_efficiency,
            discharge_efficiency=units.discharge_efficiency,
            wear_eur_kwh=units.wear_eur_kwh,
            terminal_eur_kwh=units.terminal_eur_kwh,
            vehicle_id=ids,
            battery_model=np.full(count, "", dtype=text),
        ),
        storages=Storages(np.array([], dtype=text), none.astype(np.int64), *[none] * 8),
        feeders=feeders,
        market=problem.market,
        portfolio_import_limit_kw=float(problem.portfolio_import_limit_kw[0]),
        portfolio_export_limit_kw=float(problem.portfolio_export_limit_kw[0]),
    )


def write_fleet(cars: int, seed: int, folder: Path) -> None:
    """The fleet as a scenario folder."""
    from pendel.scenario.write import write_scenario

    write_scenario(scenario_of(scale_problem(cars, seed), f"{cars} cars"), folder, "parquet")


def command(*words: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Run pendel in a process of its own: its JSON, and seconds and peak memory of the process.

    Peak memory is that of the largest child so far: run sizes in ascending order.
    """
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [sys.executable, "-m", "pendel", *words, "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        raise RuntimeError(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), {
        "wall_s": time.perf_counter() - begin,
        "cpu_s": cpu,
        "peak_mib": after.ru_maxrss / 1024.0,
    }


def planned(folder: Path, out: Path, cars: int) -> dict[str, Any]:
    """Plan a folder by the command: figures as a row."""
    summary, used = command("plan", str(folder), "--out", str(out), "--gap", str(GAP))
    return {
        "cars": cars,
        "planning_s": summary["seconds"],
        "planning_cpu_s": summary["cpu_seconds"],
        "rest_s": used["wall_s"] - summary["seconds"],
        "rest_cpu_s": used["cpu_s"] - summary["cpu_seconds"],
        "peak_mib": used["peak_mib"],
        "gap": summary["gap"],
        "feasible": summary["feasible"],
        "worst": max(summary["violations"].values()),
        "plan_mib": sum(path.stat().st_size for path in out.iterdir()) / 2**20,
    }


def measure(full: bool = False, city: int = 0) -> dict[str, Any]:
    """Each size once, after a small one that leaves compiled kernels behind."""
    sizes = (city,) if city else (*SIZES, FULL) if full else SIZES
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, cars in enumerate((400, *sizes)):
            folder, out = Path(scratch) / f"in{cars}", Path(scratch) / f"out{cars}"
            if city and number:
                command("generate", "--vehicles", str(cars), "--out", str(folder))
            else:
                write_fleet(cars, 1, folder)
            rows.append(planned(folder, out, cars))
    rows = rows[1:]
    return {
        "what": f"pendel plan, files to verified files, 96 steps, wanted gap {GAP}",
        "rows": rows,
        "target": f"proven and feasible; a million: planning {PLANNING_MAX_S:g} s, the rest "
        f"{REST_MAX_S:g} s, {MEMORY_MAX_MIB:g} MiB",
        "met": all(
            row["feasible"]
            and row["gap"] <= GAP
            and row["planning_s"] <= PLANNING_MAX_S
            and row["rest_s"] <= REST_MAX_S
            and row["peak_mib"] <= MEMORY_MAX_MIB
            for row in rows
        ),
    }


if __name__ == "__main__":
    wanted = int(sys.argv[sys.argv.index("--city") + 1]) if "--city" in sys.argv else 0
    for name, value in measure("--full" in sys.argv, wanted).items():
        print(name, value)
