"""What `pendel plan` writes, and what the verifier says of it once it is written."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendel.cli.progress import ProgressLine, progress_line

if TYPE_CHECKING:
    from pendel.control.plan_result import Plan
    from pendel.control.problem import PlanProblem
    from pendel.control.schedule import Schedule
    from pendel.scenario.columns import Scenario
    from pendel.scenario.results import ResultFolder

PARQUET_ROWS = 2_000_000
PART_UNITS = 32_768
UNMET_LISTED_MAX = 1_000
UNMET_SHOWN_MAX = 20


@contextmanager
def folder_for(out: Path | None) -> Iterator["ResultFolder"]:
    """The result folder; without --out a temporary one, so that what is judged was written."""
    from pendel.scenario.results import result_folder

    if out is not None:
        with result_folder(out) as folder:
            yield folder
        return
    with (
        tempfile.TemporaryDirectory(prefix="pendel-plan-") as scratch,
        result_folder(Path(scratch) / "plan") as folder,
    ):
        yield folder


def write_tables(folder: "ResultFolder", scenario: "Scenario", found: "Plan") -> None:
    """Write all tables of a plan, as parquet where they are large."""
    rows = scenario.horizon.steps * max(len(found.power_kw), len(scenario.sites))
    kind: Any = "parquet" if rows > PARQUET_ROWS else "csv"
    with progress_line() as line:
        folder.write_parts("plan", plan_parts(scenario, found, line), kind)
        for name, columns in tables_of(scenario, found).items():
            folder.write_table(name, columns, kind)


def summary_of(scenario: "Scenario", found: "Plan") -> dict[str, Any]:
    """`summary.json` of the contract, without what only the written files can tell."""
    sessions, storages = scenario.sessions.session_id, scenario.storages.storage_id
    count = len(sessions)
    sites = scenario.sites.site_id
    return {
        "objective_eur": found.objective_eur,
        "bound_eur": found.bound_eur,
        "gap": found.gap,
        "feasible": found.feasible,
        "shortfall_kwh": float(found.shortfall_kwh.sum()),
        "curtailed_kwh": float(scenario.horizon.step_h * found.curtailed_kw.sum()),
        "violations": {},
        "method": found.method,
        "sessions": len(scenario.sessions),
        "storages": len(scenario.storages),
        "sites": len(scenario.sites),
        "steps": scenario.horizon.steps,
        "ignored_sessions": scenario.ignored_sessions,
        "over_limit_kwh": found.over_limit_kwh,
        "unmet_count": len(found.unmet) + found.unmet_more,
        "unmet": [
            {
                "id": str(sessions[wish.unit] if wish.unit < count else storages[wish.unit - count])
                if wish.unit >= 0
                else None,
                "site_id": str(sites[wish.site]) if wish.site >= 0 else None,
                "lacking_kwh": wish.lacking_kwh,
                "reason": wish.reason,
            }
            for wish in found.unmet[:UNMET_LISTED_MAX]
        ],
    }


def plan_parts(
    scenario: "Scenario", found: "Plan | Schedule", line: ProgressLine
) -> Iterator[dict[str, Any]]:
    """The table `plan` some units at a time; units only while they are connected."""
    import numpy as np

    from pendel.scenario.results import Texts

    horizon = scenario.horizon
    times = horizon.start_s + horizon.step_s * np.arange(horizon.steps, dtype=np.int64)
    ids = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    for begin in range(0, max(1, len(ids)), PART_UNITS):
        line.bar("writing the plan", begin / max(1, len(ids)))
        power = found.power_kw[begin : begin + PART_UNITS]
        energy = found.energy_kwh[begin : begin + PART_UNITS]
        unit, step = np.nonzero(np.isfinite(energy))
        yield {
            "time_utc": times[step],
            "id": Texts(unit, ids[begin : begin + PART_UNITS]),
            "power_kw": power[unit, step],
            "energy_kwh": energy[unit, step],
        }


def tables_of(scenario: "Scenario", found: "Plan | Schedule") -> dict[str, dict[str, Any]]:
    """The other tables of the result folder as columns."""
    import numpy as np

    from pendel.scenario.results import Texts

    horizon = scenario.horizon
    times = horizon.start_s + horizon.step_s * np.arange(horizon.steps, dtype=np.int64)
    names = scenario.sites.site_id.tolist()
    tables: dict[str, dict[str, Any]] = {
        "sites": {
            "time_utc": np.tile(times, len(names)),
            "site_id": Texts(np.repeat(np.arange(len(names)), horizon.steps), names),
            "net_kw": found.net_kw.ravel(),
            "curtailed_kw": found.curtailed_kw.ravel(),
        },
    }
    if scenario.reserves is not None:
        blocks = scenario.reserves
        tables["reserves"] = {
            "from_utc": times[blocks.from_step],
            "product": np.array(blocks.product.tolist(), dtype=object),
            "kw": found.reserve_kw,
        }
    return tables


def judged(
    folder: Path, scenario: "Scenario", problem: "PlanProblem", summary: dict[str, Any]
) -> dict[str, Any]:
    """What the independent verifier says of the written files."""
    import msgspec
    import numpy as np

    from pendel.control.verify import verify_rows
    from pendel.scenario.plan_folder import read_plan_folder

    with progress_line() as line:
        written = read_plan_folder(
            folder,
            scenario,
            progress=lambda file, share: line.bar(f"verifying {file}", share),
        )
        verdict = verify_rows(
            problem,
            written.rows,
            np.nan_to_num(written.net_kw),
            np.nan_to_num(written.curtailed_kw),
            np.nan_to_num(written.reserve_kw),
            summary["shortfall_kwh"],
        )
    bound_eur = summary["bound_eur"]
    return {
        "objective_eur": verdict.objective_eur,
        "gap": (verdict.objective_eur - bound_eur) / max(1.0, abs(bound_eur)),
        "violations": msgspec.to_builtins(verdict.violations),
    }


def text_of(scenario: "Scenario", summary: dict[str, Any], out: str | None) -> str:
    """The result in words: a small table, then every wish that could not be met."""
    lines = [
        scenario.name,
        f"{'sessions, storages, sites':26}{summary['sessions']:,d}, {summary['storages']:,d}, "
        f"{summary['sites']:,d} over {summary['steps']:,d} steps",
        f"{'cost':26}{summary['objective_eur']:,.4f} EUR",
        f"{'proven lower bound':26}{summary['bound_eur']:,.4f} EUR (gap {summary['gap']:.2e})",
        f"{'shortfall':26}{summary['shortfall_kwh']:,.3f} kWh",
        f"{'curtailed':26}{summary['curtailed_kwh']:,.3f} kWh",
        f"{'inside every limit':26}{'yes' if summary['feasible'] else 'no'} (largest violation "
        f"{max(summary['violations'].values()):.1e})",
        f"{'method':26}{summary['method']}, {summary['seconds']:.3f} s",
    ]
    if summary["ignored_sessions"]:
        lines.append(f"{'outside the horizon':26}{summary['ignored_sessions']:,d} sessions ignored")
    for wish in summary["unmet"][:UNMET_SHOWN_MAX]:
        name = wish["id"] or wish["site_id"] or "portfolio"
        lines.append(f"unmet: {name}: lacks {wish['lacking_kwh']:.3f} kWh: {wish['reason']}")
    if summary["unmet_count"] > UNMET_SHOWN_MAX:
        lines.append(f"... and {summary['unmet_count'] - UNMET_SHOWN_MAX:,d} more unmet wishes")
    if out:
        lines.append(f"written to {out}")
    return "\n".join(lines)
