"""Confidence against cost: the same scenario at several confidences, for table and report."""

from collections.abc import Callable, Sequence
from typing import Any

from pendel.records import Mode
from pendel.scenario.columns import Scenario
from pendel.sim.engine import Progress, simulate
from pendel.sim.result import Run

CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Where no others are named."""
CHARGED_AT_ONCE = "at once"
DEEPEST = (Mode.V2G, Mode.V2B, Mode.V2H, Mode.V1G)


def frontier_of(
    scenario: Scenario,
    runs: Sequence[Run],
    confidence: float,
    confidences: Sequence[float],
    seed: int = 0,
    progress: Callable[[str], Progress | None] | None = None,
) -> list[dict[str, Any]]:
    """Points (strategy, confidence, cost_eur, promises_kept, promises_total, kept_share).

    For the strategy among the runs that may do the most; runs were made at `confidence` and are
    taken where it is asked for again. Where charging at once is among them it is a point too
    (label "at once"). No points where every run was uncontrolled.
    """
    made = {run.strategy: run for run in runs}
    mode = next((mode for mode in DEEPEST if str(mode) in made), None)
    if mode is None:
        return []
    points = []
    for asked in sorted(set(confidences)):
        run = made[str(mode)]
        if asked != confidence:
            shown = None if progress is None else progress(f"{mode} {asked:g}")
            run = simulate(scenario, mode, asked, seed, shown)
        points.append({"strategy": str(mode), "confidence": asked, **outcome_of(run)})
    if str(Mode.UNCONTROLLED) in made:
        run = made[str(Mode.UNCONTROLLED)]
        points.append({"strategy": run.strategy, "label": CHARGED_AT_ONCE, **outcome_of(run)})
    return points


def outcome_of(run: Run) -> dict[str, Any]:
    """What a run cost and kept; kept_share is 1 where nothing counted."""
    total, kept = int(run.summary["promises_total"]), int(run.summary["promises_kept"])
    return {
        "cost_eur": float(run.summary["cost_eur"]),
        "promises_kept": kept,
        "promises_total": total,
        "kept_share": kept / total if total else 1.0,
    }
