"""`pendel settle tariff`: what usage costs under a tariff, exact, line by line."""

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pendel.adapters.tariff_files import open_tariff
from pendel.cli.options import Options
from pendel.cli.outcome import Outcome
from pendel.config import parse_toml
from pendel.errors import InputError, Problem
from pendel.settle.quantities import read_quantities
from pendel.settle.quarter_file import KNOWN_TARIFF, QuarterTable, read_quarters
from pendel.settle.status import gaps
from pendel.tariff.bill import MonthBill, bill
from pendel.tariff.check import columns_needed, usage_problems
from pendel.tariff.currency import MINOR_DIGITS
from pendel.tariff.exact import exact_text, rounded_text
from pendel.tariff.model import Tariff, Usage
from pendel.tariff.periods import quarter_text
from pendel.tariff.read import read_tariff


def configure(commands: Any) -> Sequence[argparse.ArgumentParser]:
    """The parser; values are checked in `run`, so that all faults are listed at once."""
    parser = commands.add_parser("tariff", help="bill usage under a tariff")
    parser.add_argument(
        "tariff", metavar="TARIFF.toml", help="a file, or the name of a shipped one"
    )
    parser.add_argument("input", metavar="INPUT.csv")
    parser.add_argument(
        "--quantities",
        metavar="FILE.csv",
        help="month, component, quantity: what is counted elsewhere (relief, penalties)",
    )
    parser.set_defaults(settle_run=run)
    return (parser,)


def run(args: argparse.Namespace) -> Outcome:
    """Bill each month. Raises InputError with every problem of tariff and usage."""
    options = Options(args)
    tariff = load_tariff(options, args.tariff)
    if tariff is None:
        raise InputError(options.problems)
    table = _usage_table(options, args.input, tariff)
    quantities: dict[tuple[str, str], Fraction] = {}
    if args.quantities is not None:
        lines = options.text_lines(args.quantities)
        names = {component.name for component in tariff.components}
        if lines is not None:
            file = Path(args.quantities).name
            quantities, problems = read_quantities(lines, file, names)
            options.problems.extend(problems)
    usage = usage_of(table, quantities)
    if not options.problems:
        file = Path(args.input).name
        for fault in usage_problems(tariff, usage):
            line = table.lines[fault.row] if fault.row >= 0 else 0
            problem = Problem(file, line, fault.field, fault.problem, fault.allowed)
            options.problems.append(problem)
    if options.problems:
        raise InputError(options.problems)
    bills = bill(tariff, usage)
    _report_gaps(bills, usage.begins)
    return Outcome(data=bill_data(tariff, bills), text=_words(tariff, bills))


def load_tariff(options: Options, given: str) -> Tariff | None:
    """A tariff by path (- = stdin), or by the name of a shipped one; problems go to the options."""
    if given == "-":
        try:
            tariff, problems = read_tariff(parse_toml("".join(sys.stdin), given))
        except InputError as error:
            tariff, problems = None, list(error.problems)
    else:
        tariff, problems = open_tariff(given)
    options.problems.extend(problems)
    return tariff


def _usage_table(options: Options, path: str, tariff: Tariff) -> QuarterTable:
    lines = options.text_lines(path)
    if lines is None:
        return QuarterTable()
    used = columns_needed(tariff)
    table, problems = read_quarters(lines, Path(path).name, used, KNOWN_TARIFF)
    options.problems.extend(problems)
    return table


def usage_of(table: QuarterTable, quantities: dict[tuple[str, str], Fraction]) -> Usage:
    """Usage as the tariff bills it, from a table of quarter hours."""
    columns = table.columns
    return Usage(
        begins=table.begins,
        import_nano=columns.get("import_kwh", ()),
        export_nano=columns.get("export_kwh", ()),
        spot_nano=columns.get("spot_eur_mwh", ()),
        plugged_nano=columns.get("plugged_min", ()),
        quantities=quantities,
    )


def bill_data(tariff: Tariff, bills: Sequence[MonthBill]) -> dict[str, Any]:
    """The answer of `pendel settle tariff --json`; the currency is in the names of amounts."""
    code, digits = tariff.currency.lower(), MINOR_DIGITS[tariff.currency]
    return {
        "tariff": tariff.name,
        "currency": tariff.currency,
        "months": [
            {
                "month": month.period.key,
                "lines": [
                    {
                        "component": line.component.name,
                        "kind": line.component.kind.value,
                        "quantity": exact_text(line.quantity),
                        "unit": line.unit,
                        f"amount_{code}": exact_text(line.amount),
                        f"rounded_{code}": rounded_text(line.amount, digits),
                    }
                    for line in month.lines
                ],
            }
            for month in bills
        ],
    }


def _report_gaps(bills: Sequence[MonthBill], begins: Sequence[int]) -> None:
    for month in bills:
        missing = gaps(month.period, begins)
        if missing:
            first, last = quarter_text(missing[0][0]), quarter_text(missing[-1][1])
            count = sum(end - begin for begin, end in missing)
            text = f"provisional, {count} quarter hours missing from {first} to {last}"
            print(f"{month.period.key}: {text}", file=sys.stderr)


def _words(tariff: Tariff, bills: Sequence[MonthBill]) -> str:
    digits = MINOR_DIGITS[tariff.currency]
    lines = [f"{tariff.name} ({tariff.currency}, net)"]
    for month in bills:
        for line in month.lines:
            quantity = f"{rounded_text(line.quantity, 3)} {line.unit}"
            amount = rounded_text(line.amount, digits)
            lines.append(
                f"{month.period.key}  {line.component.name:28} {quantity:>20} {amount:>12}"
            )
        total = rounded_text(month.total, digits)
        lines.append(f"{month.period.key}  {'total':28} {'':>20} {total:>12}")
    return "\n".join(lines)
