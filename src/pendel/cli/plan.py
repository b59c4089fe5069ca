"""`pendel plan`: the cheapest plan of a scenario inside every limit, with a proof."""

import argparse
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendel.cli.outcome import DONE, UNMET, Outcome
from pendel.cli.progress import progress_line, say_when_compiling
from pendel.errors import InputError, Problem

if TYPE_CHECKING:
    from pendel.control.plan_result import Plan
    from pendel.control.problem import PlanProblem
    from pendel.scenario.columns import Scenario

METHODS = ("auto", "exact", "decomposed")
ENGINES = ("local", "dask")
UNMET_KWH = 1e-5
CELLS_MAX = 20_000_000


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
    from pendel.cli.plan_files import folder_for, judged, text_of, write_tables
    from pendel.cli.reading import read_with_progress
    from pendel.control.problem import problem_of
    from pendel.kernel.memory import give_back_memory

    give_back_memory()
    say_when_compiling()
    out = Path(args.out).absolute() if args.out else None
    if out is not None:
        from pendel.scenario.results import check_replaceable

        check_replaceable(out)
    scenario = read_with_progress(Path(args.scenario))
    check_size(scenario)
    problem = problem_of(scenario)
    found, summary = planned(args, scenario, problem)
    unmet = summary["shortfall_kwh"] > UNMET_KWH or not summary["feasible"] or bool(found.unmet)
    with folder_for(out) as folder:
        write_tables(folder, scenario, found)
        if found.memory is not None:
            from pendel.cli.plan_memory import write_memory

            write_memory(folder, scenario, found.memory)
        folder.write_summary(summary)
        del found  # its arrays are as large as what is now read back
        summary |= judged(folder.path, scenario, problem, summary)
        folder.write_summary(summary)
    return Outcome(
        status=UNMET if unmet else DONE, data=summary, text=text_of(scenario, summary, args.out)
    )


def check_size(scenario: "Scenario") -> None:
    """Refuse what could not be planned in memory. Raises InputError."""
    sites, steps = len(scenario.sites), scenario.horizon.steps
    if sites * steps > CELLS_MAX:
        text = f"{sites:,d} sites times {steps:,d} steps is too much to plan at once"
        allowed = f"at most {CELLS_MAX:,d}: fewer sites or a shorter horizon"
        raise InputError([Problem("scenario.toml", 0, "steps", text, allowed)])


def planned(
    args: argparse.Namespace, scenario: "Scenario", problem: "PlanProblem"
) -> tuple["Plan", dict[str, Any]]:
    """The plan and its summary, without what only the written files can tell."""
    from pendel.cli.plan_files import summary_of
    from pendel.control.plan import PlanOptions, plan

    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    with progress_line() as line, engine_of(args.engine) as engine:
        line.show(f"planning {len(problem.units):,d} units at {problem.sites:,d} sites")
        warm = warm_options(args.warm, scenario, problem) if args.warm else {}
        options = PlanOptions(
            gap=args.gap,
            time_limit_s=args.time_limit,
            method=args.method,
            elapsed_s=lambda: time.perf_counter() - begin_s,
            progress=line.standing,
            **warm,
        )
        # What is to be spread is what can be: many machines do not help the general solver.
        spread = {"make": engine, "crew": engine.crew, "method": "decomposed"} if engine else {}
        found = plan(problem, replace(options, **spread))
    seconds, cpu_seconds = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
    return found, summary_of(scenario, found) | {"seconds": seconds, "cpu_seconds": cpu_seconds}


def warm_options(folder: str, scenario: "Scenario", problem: "PlanProblem") -> dict[str, Any]:
    """What an earlier plan gives to begin with. Raises InputError where there is no plan."""
    from pendel.cli.plan_memory import read_memory
    from pendel.scenario.plan_folder import read_plan_folder

    written = read_plan_folder(Path(folder), scenario, strict=False)
    found = read_memory(Path(folder), scenario, problem, written)
    power_kw = written.power_kw if found is None else found.memory.power_kw
    return {"warm_kw": power_kw, "warm": found}


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
