"""The result folder of a run: summary.json, steps.parquet, sites.parquet, report.html.

A folder is written under a temporary name beside its place and renamed when complete, so that a
killed run leaves no half result.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from pendel.scenario.columns import Horizon
from pendel.sim.result import Run
from pendel.units import FloatArray


def write_results(folder: Path, runs: Sequence[Run]) -> None:
    """Write the results of one run, or of several: then each has a folder of its strategy's name,
    and summary.json holds all under `strategies`. An older result of that name is replaced."""
    from pendel.sim.report import write_report

    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        if len(runs) == 1:
            write_run(draft, runs[0])
        else:
            for run in runs:
                (draft / run.strategy).mkdir()
                write_run(draft / run.strategy, run)
            write_json(
                draft / "summary.json", {"strategies": {r.strategy: r.summary for r in runs}}
            )
        write_report(draft / "report.html", list(runs))
        draft.chmod(0o755)
        replace_folder(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def replace_folder(draft: Path, folder: Path) -> None:
    """Put a complete draft in the place of folder; what was there is removed last."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    folder.rename(old / folder.name)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, data: object) -> None:
    """One JSON object, indented, durable on return."""
    with path.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def write_run(folder: Path, run: Run) -> None:
    """summary.json, steps.parquet and sites.parquet of one run into an existing folder."""
    write_json(folder / "summary.json", run.summary)
    scenario = run.scenario
    ids = np.concatenate([scenario.sessions.session_id, scenario.storages.storage_id])
    unit, step = np.nonzero(~np.isnan(run.energy_kwh))
    write_table(
        folder / "steps.parquet",
        scenario.horizon,
        step,
        ("session_id", ids[unit]),
        {"power_kw": run.power_kw[unit, step], "energy_kwh": run.energy_kwh[unit, step]},
    )
    count_s, steps = run.net_kw.shape
    site, step = np.divmod(np.arange(count_s * steps), steps)
    write_table(
        folder / "sites.parquet",
        scenario.horizon,
        step,
        ("site_id", scenario.sites.site_id[site]),
        {"net_kw": run.net_kw.ravel(), "curtailed_kw": run.curtailed_kw.ravel()},
    )


def write_table(
    path: Path,
    horizon: Horizon,
    step: np.ndarray,
    who: tuple[str, np.ndarray],
    values: dict[str, FloatArray],
) -> None:
    """A parquet table: time_utc (begin of the step), an id column, float columns."""
    import pyarrow
    import pyarrow.parquet

    seconds = horizon.start_s + step.astype(np.int64) * horizon.step_s
    when = pyarrow.array(seconds * 1000, type=pyarrow.timestamp("ms", tz="UTC"))
    ids = pyarrow.array(who[1].astype(object), type=pyarrow.string())
    columns = {"time_utc": when, who[0]: ids, **values}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
