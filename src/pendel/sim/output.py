"""The result folder of a run: summary.json, steps.parquet, sites.parquet, report.html."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pendel.scenario.results import ResultFolder, result_folder
from pendel.sim.result import Run


def write_results(
    folder: Path, runs: Sequence[Run], frontier: Sequence[dict[str, Any]] = ()
) -> None:
    """Write the results of one run, or of several: then each has a folder of its strategy's name,
    and summary.json holds all under `strategies`. Raises InputError where that is not possible.

    frontier: points of confidence against cost (`sim.frontier`), in summary.json and the report.
    """
    from pendel.sim.report import write_report

    with result_folder(folder) as result:
        if len(runs) == 1:
            write_run(result, runs[0], frontier)
        else:
            for run in runs:
                (result.path / run.strategy).mkdir()
                write_run(ResultFolder(result.path / run.strategy), run)
            strategies = {run.strategy: run.summary for run in runs}
            result.write_summary(with_frontier({"strategies": strategies}, frontier))
        write_report(result.path / "report.html", list(runs), list(frontier) or None)


def with_frontier(summary: dict[str, Any], frontier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary with the points of a frontier, where there are any."""
    return {**summary, "frontier": list(frontier)} if frontier else summary


def write_run(folder: ResultFolder, run: Run, frontier: Sequence[dict[str, Any]] = ()) -> None:
    """summary.json, steps.parquet and sites.parquet of one run.

    steps: connected steps only, stationary batteries under their own id; sites: every step.
    """
    folder.write_summary(with_frontier(run.summary, frontier))
    scenario, horizon = run.scenario, run.scenario.horizon
    ids = np.concatenate([scenario.sessions.session_id, scenario.storages.storage_id])
    unit, step = np.nonzero(~np.isnan(run.energy_kwh))
    steps = {
        "time_utc": horizon.start_s + step * horizon.step_s,
        "session_id": ids[unit],
        "power_kw": run.power_kw[unit, step],
        "energy_kwh": run.energy_kwh[unit, step],
    }
    folder.write_table("steps", steps, "parquet")
    site, step = np.divmod(np.arange(run.net_kw.size), horizon.steps)
    sites = {
        "time_utc": horizon.start_s + step * horizon.step_s,
        "site_id": scenario.sites.site_id[site],
        "net_kw": run.net_kw.ravel(),
        "curtailed_kw": run.curtailed_kw.ravel(),
    }
    folder.write_table("sites", sites, "parquet")
