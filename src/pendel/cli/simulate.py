"""`pendel simulate`: run a scenario in closed loop with one strategy, or compare all of them."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pendel.cli.outcome import Outcome
from pendel.errors import InputError, Problem
from pendel.records import Mode

ALL = "all"
CONFIDENCE_RANGE = (0.5, 0.999)


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel simulate`."""
    parser.add_argument("scenario", metavar="SCENARIO", help="scenario folder")
    parser.add_argument(
        "--strategy",
        required=True,
        choices=[*(str(mode) for mode in Mode), ALL],
        help="how much of the cars' flexibility may be used; all = compare every one",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.99,
        metavar="C",
        help="share of the promises to keep, early leavers included (0.5 to 0.999, default 0.99)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="same seed, same run (default 0)"
    )
    parser.add_argument(
        "--frontier",
        action="store_true",
        help="run the strategy that may do the most at several confidences: cost against kept",
    )
    parser.add_argument(
        "--confidences",
        metavar="C,C,...",
        help="the confidences of the frontier (default 0.5,0.8,0.9,0.95,0.99; implies --frontier)",
    )
    parser.add_argument("--out", metavar="DIR", help="folder for results and report.html")


def run(args: argparse.Namespace) -> Outcome:
    """Read, simulate, write. Raises InputError for a bad scenario or confidence."""
    confidences = _confidences(args)
    from pendel.cli.reading import read_with_progress
    from pendel.sim.engine import simulate

    scenario = read_with_progress(Path(args.scenario))
    modes = list(Mode) if args.strategy == ALL else [Mode(args.strategy)]
    runs = []
    for mode in modes:
        bar = _Bar(str(mode))
        runs.append(simulate(scenario, mode, args.confidence, args.seed, bar.show))
        bar.done()
    points: list[dict[str, Any]] = []
    if confidences:
        from pendel.sim.frontier import frontier_of

        points = frontier_of(
            scenario, runs, args.confidence, confidences, args.seed, lambda s: _Bar(s).show
        )
        _Bar("").done()
    if args.out:
        from pendel.sim.output import write_results

        write_results(Path(args.out), runs, points)
    summaries = [run.summary for run in runs]
    data = (
        {"strategies": {str(s["strategy"]): s for s in summaries}}
        if args.strategy == ALL
        else summaries[0]
    )
    if points:
        data = {**data, "frontier": points}
    text = table_of(summaries, scenario.name, args.out)
    return Outcome(data=data, text=text + frontier_table(points))


def _confidences(args: argparse.Namespace) -> list[float]:
    """The confidences of the frontier, none where none is asked for; raises InputError."""
    from pendel.sim.frontier import CONFIDENCES

    low, high = CONFIDENCE_RANGE
    problems, found = [], []
    asked = [("--confidence", str(args.confidence))]
    asked += [("--confidences", part) for part in (args.confidences or "").split(",") if part]
    for name, part in asked:
        try:
            value = float(part)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            problems.append(
                Problem("simulate", 0, name, f"{part} is out of range", f"{low} to {high}")
            )
        found.append(value)
    if args.confidences is not None and len(found) == 1:
        problems.append(Problem("simulate", 0, "--confidences", "is empty", "e.g. 0.9,0.99"))
    if problems:
        raise InputError(problems)
    if len(found) > 1:
        return found[1:]
    return list(CONFIDENCES) if args.frontier else []


def frontier_table(points: list[dict[str, Any]]) -> str:
    """The points of the frontier as text; empty without any."""
    if not points:
        return ""
    lines = ["", "", f"{'confidence':22}{'kept':>18}{'cost':>18}"]
    for point in points:
        name = f"{point['strategy']} {point.get('label') or format(point['confidence'], 'g')}"
        lines.append(f"{name:22}{point['kept_share']:>18.2%}{point['cost_eur']:>14,.2f} EUR")
    return "\n".join(lines)


class _Bar:
    """A progress bar on stderr, only where that is a terminal; redrawn per hundredth."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = -1
        self._on = sys.stderr.isatty()

    def show(self, done: int, steps: int) -> None:
        """Show done of steps."""
        percent = done * 100 // steps
        if not self._on or percent == self._shown:
            return
        self._shown = percent
        filled = "█" * (percent * 30 // 100)
        print(f"\r{self._label:>12} [{filled:<30}] {percent:3d} %", end="", file=sys.stderr)
        sys.stderr.flush()

    def done(self) -> None:
        """Clear the line."""
        if self._on:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr)


ROWS: tuple[tuple[str, str, str], ...] = (
    ("cost", "cost_eur", "{:,.2f} EUR"),
    ("  energy", "energy_cost_eur", "{:,.2f} EUR"),
    ("  wear", "wear_eur", "{:,.2f} EUR"),
    ("  demand charge", "demand_charge_eur", "{:,.2f} EUR"),
    ("  deviations", "deviation_eur", "{:,.2f} EUR"),
    ("import", "import_kwh", "{:,.1f} kWh"),
    ("export", "export_kwh", "{:,.1f} kWh"),
    ("charged", "charged_kwh", "{:,.1f} kWh"),
    ("discharged", "discharged_kwh", "{:,.1f} kWh"),
    ("highest import", "peak_import_kw", "{:,.1f} kW"),
    ("promises kept", "promises_kept", "{:,d}"),
    ("  of", "promises_total", "{:,d}"),
    ("shortfall", "shortfall_kwh", "{:,.2f} kWh"),
    ("self-consumption", "self_consumption", "{:.1%}"),
    ("CO2", "co2_kg", "{:,.1f} kg"),
    ("vehicle-steps/CPU s", "vehicle_steps_per_second", "{:,.0f}"),
    ("seconds", "seconds", "{:.2f}"),
)


def table_of(summaries: list[dict[str, Any]], name: str, out: str | None) -> str:
    """The summaries side by side, one column per strategy, as text for people."""
    lines = [name, f"{'':22}" + "".join(f"{s['strategy']:>18}" for s in summaries)]
    for label, key, form in ROWS:
        if all(s.get(key) is None for s in summaries):
            continue
        cells = ("-" if s.get(key) is None else form.format(s[key]) for s in summaries)
        lines.append(f"{label:22}" + "".join(f"{cell:>18}" for cell in cells))
    if out:
        lines.append(f"written to {out} (open {Path(out) / 'report.html'})")
    return "\n".join(lines)
