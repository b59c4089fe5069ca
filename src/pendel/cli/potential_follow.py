"""`pendel potential SCENARIO --follow FILE`: a wanted power becomes a plan of every unit."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pendel.control.flexibility import Inner
    from pendel.control.schedule import Schedule
    from pendel.scenario.columns import Scenario
    from pendel.units import FloatArray

SHORTFALL_SLACK_KWH = 1e-5


def profile_of(path: Path, scenario: "Scenario") -> "FloatArray":
    """Wanted power [T], NaN where the file says nothing. Raises InputError."""
    import numpy as np

    from pendel.scenario.findings import Findings
    from pendel.scenario.grid import US_PER_S
    from pendel.scenario.tables import Column, Table
    from pendel.scenario.typed import TableReader

    columns = (Column("time_utc", "time", True), Column("power_kw", "number", True))
    findings = Findings()
    horizon = scenario.horizon
    table = Table(path.name.split(".")[0], columns, required=True)
    reader = TableReader(path.parent, table, findings, None)
    result = np.full(horizon.steps, np.nan)
    for batch in reader.typed():
        start_us, step_us = horizon.start_s * US_PER_S, horizon.step_s * US_PER_S
        step, rest = np.divmod(batch.time_us["time_utc"] - start_us, step_us)
        good = batch.ok & (rest == 0) & (step >= 0) & (step < horizon.steps)
        reader.found.add_where(
            batch.ok & ~good,
            batch.lines,
            "time_utc",
            lambda _: "is not a step of the scenario",
        )
        result[step[good]] = batch.number["power_kw"][good]
    if not findings.of(path.name).count and not np.isfinite(result).any():
        reader.found.add(0, "", "no row", "at least one step with a power")
    findings.raise_if_any()
    return result


def follow(
    scenario: "Scenario", inner: "Inner", wanted: "FloatArray"
) -> tuple["Schedule", dict[str, Any]]:
    """The nearest blend as a schedule of every unit, judged by the verifier against the scenario
    itself (not the tightened problem)."""
    from dataclasses import replace

    import msgspec
    import numpy as np

    from pendel.control.flexibility import blend, weights_for
    from pendel.control.problem import problem_of
    from pendel.control.schedule import verify_schedule

    weights = weights_for(inner, wanted)
    schedule = blend(inner, weights)
    problem = problem_of(scenario)
    if problem.reserves is not None:
        problem = replace(problem, reserves=None)
    verdict = verify_schedule(
        problem, schedule, float(inner.shortfall_kwh.max()) + SHORTFALL_SLACK_KWH
    )
    off = schedule.power_kw.sum(axis=0) - wanted
    off = off[np.isfinite(off)]
    return schedule, {
        "weights": {str(k): float(w) for k, w in enumerate(weights) if w > 0.0},
        "deviation_mean_kw": float(np.abs(off).mean()),
        "deviation_most_kw": float(np.abs(off).max()),
        "violations": msgspec.to_builtins(verdict.violations),
    }
