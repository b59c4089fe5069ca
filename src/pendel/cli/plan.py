"""`pendel plan`: the cheapest plan of a scenario inside every limit, with a proof."""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendel.cli.outcome import DONE, UNMET, Outcome
from pendel.errors import InputError, Problem

if TYPE_CHECKING:
    from pendel.control.plan_result import Plan
    from pendel.control.problem import PlanProblem
    from pendel.scenario.columns import Scenario

METHODS = ("auto", "exact", "decomposed")
ENGINES = ("local", "dask")
PARQUET_ROWS = 2_000_000
PART_UNITS = 32_768
UNMET_KWH = 1e-5
UNMET_LISTED_MAX = 1_000
UNMET_SHOWN_MAX = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel plan`."""
    parser.add_argument("scenario", metavar="SCENARIO", help="scenario folder")
    parser.add_argument("--out", metavar="DIR", help="folder for the plan and its summary")
    parser.add_argument(
        "--gap",
        type=float,
        default=0.001,
        metavar="G",
        help="proven (objective - bound) / max(1, |bound|) at which large problems may stop "
        "(default 0.001; up to 2,000 sessions are always planned to 1e-6 and better)",
    )
    parser.add_argument(
        "--time-limit", type=float, default=math.inf, metavar="S", help="seconds for planning"
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="local",
        help="where to compute: this process, or a dask cluster (optional extra)",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="exact = general solver, decomposed = by sites (interior point; large fleets by "
        "prices); default auto",
    )
    parser.add_argument(
        "--warm", metavar="DIR", help="result folder of an earlier plan of nearly this scenario"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Read, plan, write, verify what was written. Raises InputError for bad input."""
    check_options(args)
    from pendel.cli.reading import read_with_progress
    from pendel.control.plan import PlanOptions, plan
    from pendel.control.problem import problem_of

    if args.out:
        from pendel.scenario.results import check_replaceable

        check_replaceable(Path(args.out).absolute())
    scenario = read_with_progress(Path(args.scenario))
    problem = problem_of(scenario)
    warm = None
    if args.warm:
        from pendel.scenario.plan_folder import read_plan_folder

        warm = read_plan_folder(Path(args.warm), scenario, strict=False).power_kw
    line = _Line()
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    options = PlanOptions(
        gap=args.gap,
        time_limit_s=args.time_limit,
        method=args.method,
        elapsed_s=lambda: time.perf_counter() - begin_s,
        warm_kw=warm,
        progress=line.show,
    )
    with engine_of(args.engine) as engine:
        # What is to be spread is what can be: many machines do not help the general solver.
        spread = {"make": engine, "crew": engine.crew, "method": "decomposed"} if engine else {}
        found = plan(problem, replace(options, **spread))
    seconds, cpu_seconds = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
    line.done()
    summary = summary_of(scenario, found) | {"seconds": seconds, "cpu_seconds": cpu_seconds}
    summary = write_plan(Path(args.out) if args.out else None, scenario, problem, found, summary)
    unmet = summary["shortfall_kwh"] > UNMET_KWH or not summary["feasible"] or bool(found.unmet)
    return Outcome(
        status=UNMET if unmet else DONE, data=summary, text=text_of(scenario, summary, args.out)
    )


@contextmanager
def engine_of(name: str) -> Iterator[Any]:
    """What makes interior points and crews on an engine; None for this process."""
    if name == "local":
        yield None
        return
    from pendel.adapters.dask_engine import dask_engine

    with dask_engine() as engine:
        yield engine


def check_options(args: argparse.Namespace) -> None:
    """Every option out of range at once. Raises InputError."""
    problems = []
    if args.engine == "dask":
        from pendel.adapters.dask_engine import is_installed

        if not is_installed():
            text = "the optional extra dask is not installed"
            problems.append(Problem("plan", 0, "--engine", text, "pip install 'pendel[dask]'"))
        if args.method == "exact":
            text = "exact plans in one process"
            problems.append(Problem("plan", 0, "--method", text, "auto or decomposed with dask"))
    if not (math.isfinite(args.gap) and args.gap > 0.0):
        problems.append(Problem("plan", 0, "--gap", f"{args.gap} is out of range", "above 0"))
    if not args.time_limit > 0.0:
        text = f"{args.time_limit} is out of range"
        problems.append(Problem("plan", 0, "--time-limit", text, "seconds above 0"))
    if problems:
        raise InputError(problems)


def summary_of(scenario: "Scenario", found: "Plan") -> dict[str, Any]:
    """`summary.json` of the contract, without what only the written files can tell."""
    names = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    sites = scenario.sites.site_id.tolist()
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
        "unmet_count": len(found.unmet),
        "unmet": [
            {
                "id": names[wish.unit] if wish.unit >= 0 else None,
                "site_id": sites[wish.site] if wish.site >= 0 else None,
                "lacking_kwh": wish.lacking_kwh,
                "reason": wish.reason,
            }
            for wish in found.unmet[:UNMET_LISTED_MAX]
        ],
    }


def write_plan(
    out: Path | None,
    scenario: "Scenario",
    problem: "PlanProblem",
    found: "Plan",
    summary: dict[str, Any],
) -> dict[str, Any]:
    """Write the result folder (a temporary one without --out), read it back, let the verifier
    judge what was written, and complete the summary with its findings."""
    from pendel.scenario.results import result_folder

    if out is None:
        with tempfile.TemporaryDirectory(prefix="pendel-plan-") as scratch:
            return write_plan(Path(scratch) / "plan", scenario, problem, found, summary)
    with result_folder(out) as folder:
        rows = scenario.horizon.steps * max(len(problem.units), len(scenario.sites))
        kind: Any = "parquet" if rows > PARQUET_ROWS else "csv"
        folder.write_parts("plan", plan_parts(scenario, found), kind)
        for name, columns in tables_of(scenario, found).items():
            folder.write_table(name, columns, kind)
        folder.write_summary(summary)
        summary = summary | judged(folder.path, scenario, problem, summary)
        folder.write_summary(summary)
    return summary


def plan_parts(scenario: "Scenario", found: "Plan") -> Iterator[dict[str, Any]]:
    """The table `plan` some units at a time; units only while they are connected."""
    import numpy as np

    from pendel.scenario.results import Texts

    horizon = scenario.horizon
    times = horizon.start_s + horizon.step_s * np.arange(horizon.steps, dtype=np.int64)
    ids = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    for begin in range(0, max(1, len(ids)), PART_UNITS):
        power = found.power_kw[begin : begin + PART_UNITS]
        energy = found.energy_kwh[begin : begin + PART_UNITS]
        unit, step = np.nonzero(np.isfinite(energy))
        yield {
            "time_utc": times[step],
            "id": Texts(unit, ids[begin : begin + PART_UNITS]),
            "power_kw": power[unit, step],
            "energy_kwh": energy[unit, step],
        }


def tables_of(scenario: "Scenario", found: "Plan") -> dict[str, dict[str, Any]]:
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

    from pendel.control.verify import verify
    from pendel.scenario.plan_folder import read_plan_folder

    written = read_plan_folder(folder, scenario)
    verdict = verify(
        problem,
        written.power_kw,
        written.energy_kwh,
        np.nan_to_num(written.net_kw),
        np.nan_to_num(written.curtailed_kw),
        np.nan_to_num(written.reserve_kw),
        summary["shortfall_kwh"],
    )
    return {
        "objective_eur": verdict.objective_eur,
        "gap": (verdict.objective_eur - summary["bound_eur"]) / max(1.0, abs(summary["bound_eur"])),
        "violations": msgspec.structs.asdict(verdict.violations)
        if isinstance(verdict.violations, msgspec.Struct)
        else msgspec.to_builtins(verdict.violations),
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


class _Line:
    """One line of progress on stderr, only where that is a terminal."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._shown = False

    def show(self, round_number: int, objective_eur: float, bound_eur: float) -> None:
        """Show where the planner stands."""
        if not self._on:
            return
        gap = (objective_eur - bound_eur) / max(1.0, abs(bound_eur))
        text = (
            f"round {round_number}: {objective_eur:.6g} EUR, bound {bound_eur:.6g}, gap {gap:.1e}"
        )
        print(f"\r{text[:78]:78}", end="", file=sys.stderr)
        sys.stderr.flush()
        self._shown = True

    def done(self) -> None:
        """Clear the line."""
        if self._shown:
            print("\r" + " " * 78 + "\r", end="", file=sys.stderr)
