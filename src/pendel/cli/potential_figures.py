"""Quick figures of `pendel potential`: energy and power of a fleet on the back of an envelope."""

import argparse
from fractions import Fraction
from typing import Any

from pendel.cli.options import Options
from pendel.cli.outcome import Outcome
from pendel.errors import InputError
from pendel.power.potential import MILLION, REFERENCE, Figure
from pendel.tariff.exact import exact_text, parse_fraction

GIVEN = "given"
VEHICLES_MAX = 10_000_000_000
SHARES = ("plugged_share", "usable_share")
OPTIONS = {
    "vehicles": "--vehicles",
    "plugged_share": "--plugged-share",
    "energy_kwh": "--energy-kwh",
    "usable_share": "--usable-share",
    "power_kw": "--power-kw",
}


def configure_figures(parser: argparse.ArgumentParser) -> None:
    """The options of the quick figures, all decimals."""
    parser.add_argument("--vehicles", metavar="N", help="cars in all")
    parser.add_argument("--plugged-share", metavar="X", help="0..1 of them plugged in (0.7)")
    parser.add_argument("--energy-kwh", metavar="KWH", help="usable battery of a car (20)")
    parser.add_argument("--usable-share", metavar="X", help="0..1 of it that may be moved (0.5)")
    parser.add_argument("--power-kw", metavar="KW", help="power of a charging point (3)")
    parser.add_argument(
        "--sources", action="store_true", help="with --json: every assumption and its source too"
    )


def asks_for_figures(args: argparse.Namespace) -> bool:
    """Whether any option of the quick figures was given."""
    return any(getattr(args, name) is not None for name in OPTIONS)


def run_figures(args: argparse.Namespace) -> Outcome:
    """One figure from the options, or the quoted ones without any. Raises InputError."""
    if not asks_for_figures(args):
        data = {"figures": [{"name": f.name, **figure_data(f, True)} for f in REFERENCE]}
        return Outcome(data=data, text="\n\n".join(words(figure) for figure in REFERENCE))
    figure = figure_of(Options(args))
    return Outcome(data=figure_data(figure, args.sources), text=words(figure))


def figure_of(options: Options) -> Figure:
    """The figure of the options; what is not given is taken from the million cars."""
    given: dict[str, Fraction] = {}
    for name, option in OPTIONS.items():
        text: str | None = getattr(options.args, name)
        if text is None:
            continue
        value = parse_fraction(text)
        if name == "vehicles":
            fits = value is not None and value.denominator == 1 and 0 <= value <= VEHICLES_MAX
            allowed = f"a whole number from 0 to {VEHICLES_MAX}"
        elif name in SHARES:
            fits, allowed = value is not None and 0 <= value <= 1, "a decimal from 0 to 1"
        else:
            fits, allowed = value is not None and value >= 0, "a decimal of 0 or more"
        if value is None or not fits:
            options.fault(option, f"{text} is not allowed here", allowed)
        else:
            given[name] = value
    if options.problems:
        raise InputError(options.problems)
    return MILLION.with_values(given, GIVEN)


def figure_data(figure: Figure, sources: bool) -> dict[str, Any]:
    """The contract's two keys, and on demand what they rest on."""
    data: dict[str, Any] = {
        "energy_gwh": exact_text(figure.energy_gwh),
        "power_gw": exact_text(figure.power_gw),
    }
    if sources:
        data["assumptions"] = [
            {
                "name": a.name,
                "value": exact_text(a.value),
                "unit": a.unit,
                "meaning": a.meaning,
                "source": a.source,
            }
            for a in figure.assumptions
        ]
    return data


def words(figure: Figure) -> str:
    """A figure for people: the result first, then what it rests on."""
    own = any(a.source == GIVEN for a in figure.assumptions)
    head = "this fleet" if own else figure.name
    lines = [f"{head}: {_short(figure.energy_gwh)} GWh and {_short(figure.power_gw)} GW"]
    for a in figure.assumptions:
        value = f"{_short(a.value)} {a.unit}".rstrip()
        source = "given" if a.source == GIVEN else f"assumed: {a.source}"
        lines.append(f"  {value:>12}  {a.meaning} ({source})")
    if figure.note and not own:
        lines.append(f"  {figure.note}")
    return "\n".join(lines)


def _short(value: Fraction) -> str:
    """At most four digits that say something, thousands set apart."""
    number = float(value)
    if value.denominator == 1:
        return f"{int(value):,d}"
    return f"{number:,.1f}" if number >= 1_000 else f"{number:.4g}"
