"""`pendel bench`: measure pendel beside its peers.

A benchmark is a file in `benchmarks/` of the source tree with a docstring and a function
`measure() -> dict`; its name is the file's. A result may hold `target` (words), `met` (truth) and
`rows` (a list of dicts, shown as a table). Nothing has to be registered.
"""

import argparse
import ast
import importlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

from pendel.cli.outcome import DONE, UNMET, Outcome
from pendel.errors import InputError, Problem

ALL = "all"
FOLDER = "benchmarks"
UPWARDS_MAX = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel bench`."""
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="benchmarks to run, or all; none = list them"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Run the named benchmarks one after another. Raises InputError for unknown names."""
    folder = benchmark_folder()
    known = {path.stem: path for path in sorted(folder.glob("*.py")) if _measures(path)}
    if not args.names:
        about = {name: _first_line(path) for name, path in known.items()}
        text = "\n".join(f"{name:22}{line}" for name, line in about.items())
        return Outcome(data={"benchmarks": about}, text=text)
    names = list(known) if ALL in args.names else list(dict.fromkeys(args.names))
    unknown = [name for name in names if name not in known]
    if unknown:
        allowed = ", ".join([ALL, *known])
        raise InputError(
            [Problem("bench", 0, "NAME", f"{name} is not known", allowed) for name in unknown]
        )
    results: dict[str, Any] = {}
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        results[name] = load_benchmark(known[name]).measure()
    missed = [name for name, result in results.items() if result.get("met") is False]
    data = {"machine": machine(), "results": results, "missed": missed}
    text = "\n\n".join(text_of(name, result) for name, result in results.items())
    return Outcome(status=UNMET if missed else DONE, data=data, text=f"{machine()}\n\n{text}")


def benchmark_folder() -> Path:
    """The `benchmarks` folder of the source tree, seen from here or from the working directory.

    Raises InputError where there is none (an installed package does not carry it).
    """
    for begin in (Path(__file__).resolve(), Path.cwd().resolve() / "x"):
        for above in list(begin.parents)[:UPWARDS_MAX]:
            if (above / FOLDER).is_dir() and (above / "pyproject.toml").is_file():
                return above / FOLDER
    reason = "folder not found: benchmarks live in the source tree, not in the installed package"
    raise InputError([Problem(FOLDER, 0, "", reason, "run inside a clone of the repository")])


def load_benchmark(path: Path) -> Any:
    """Import a benchmark by its path, under its own name: benchmarks import each other, and the
    processes that they start import them again."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.import_module(path.stem)
    if not callable(getattr(module, "measure", None)):
        raise InputError([Problem(path.name, 0, "measure", "function is missing")])
    return module


def machine() -> str:
    """What the figures were measured on, in a few words."""
    name = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            name = next(line.split(":", 1)[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def text_of(name: str, result: dict[str, Any]) -> str:
    """A result for people: one line per figure, then its rows as a table."""
    lines = [f"{name}: {result.get('what', '')}".rstrip(": ")]
    lines += [
        f"  {key:26}{_cell(value)}"
        for key, value in result.items()
        if key not in ("what", "rows") and not isinstance(value, list | dict)
    ]
    rows = result.get("rows")
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        table = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines += [
            "  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
            for row in table
        ]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.4g}"


def _measures(path: Path) -> bool:
    """Whether the file defines `measure` (others in the folder are helpers), without importing."""
    return any(
        isinstance(node, ast.FunctionDef) and node.name == "measure"
        for node in ast.parse(path.read_text("utf-8")).body
    )


def _first_line(path: Path) -> str:
    """First line of a benchmark's docstring, without importing it."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.split("\n", 1)[0]
