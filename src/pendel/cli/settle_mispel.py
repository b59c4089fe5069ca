"""`pendel settle mispel` and `pendel settle pauschal`: the exact split, formula by formula."""

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

from pendel.cli.options import Options
from pendel.cli.outcome import Outcome
from pendel.errors import InputError
from pendel.settle import pauschal, split
from pendel.settle.mispel import (
    Result,
    plant_shares,
    settle_pauschal,
    settle_table,
    settlement_data,
)
from pendel.settle.quarter_file import QuarterTable, read_quarters
from pendel.settle.rulesets import NEWEST, RULESETS, RuleSet
from pendel.tariff.exact import parse_fraction
from pendel.tariff.periods import BERLIN, first_quarter, local_day
from pendel.units import QUARTER_HOUR_S

SHOWN_MISPEL = ("(16)", "(20)", "(21)", "(26)", "(31)", "(32)")
SHOWN_PAUSCHAL = ("(P4)", "(P10)", "(P11)", "(P15)")


def configure(commands: Any) -> Sequence[argparse.ArgumentParser]:
    """The two parsers; values are checked in `run`, so that all faults are listed at once."""
    mispel = commands.add_parser("mispel", help="Abgrenzungsoption, cases A1-A5, A10, A11")
    mispel.add_argument("input", metavar="INPUT.csv")
    mispel.add_argument("--case", help=", ".join(split.CASES))
    mispel.add_argument(
        "--split",
        action="append",
        default=[],
        metavar="DAY",
        help="a part of a month begins on this local day (may be repeated)",
    )
    mispel.add_argument("--quarters", action="store_true", help="formulas of each quarter hour")
    mispel.add_argument("--fuse-kw", metavar="KW", help="refuse more energy than this carries")
    mispel.add_argument("--plant-kw", metavar="PA,PB", help="powers of the plants of case A5")
    mispel.set_defaults(settle_run=run_mispel)
    fixed = commands.add_parser("pauschal", help="Pauschaloption, cases P1-P3")
    fixed.add_argument("input", metavar="INPUT.csv")
    fixed.add_argument("--case", help=", ".join(pauschal.CASES))
    fixed.add_argument("--pv-kwp", metavar="KWP", help="installed PV power")
    fixed.add_argument("--storage-kwh", metavar="KWH", help="installed storage capacity")
    fixed.add_argument("--from", dest="from_day", metavar="DAY", help="first local day")
    fixed.add_argument("--until", dest="until_day", metavar="DAY", help="local day after the last")
    fixed.set_defaults(settle_run=run_pauschal)
    for parser in (mispel, fixed):
        parser.add_argument("--ruleset", default=NEWEST.name, help=", ".join(RULESETS))
        parser.add_argument("--as-of", metavar="TIME", help="judge periods as of then (now)")
        parser.add_argument(
            "--values",
            default="operator",
            help="who read the meter: operator or device (never final)",
        )
    return mispel, fixed


def run_mispel(args: argparse.Namespace) -> Outcome:
    """Split, months and years. Raises InputError with every problem."""
    options = Options(args)
    case = _mispel_case(options)
    rules, now, operator = _common(options)
    splits = [day for text in args.split for day in _days(options, text)]
    fuse_kw = options.positive("--fuse-kw", args.fuse_kw)
    shares = _shares(options, case)
    used = split.COLUMNS.get(case or "", ())
    table = _read(options, used, fuse_kw)
    _check_splits(options, splits, table)
    if options.problems:
        raise InputError(options.problems)
    settled = settle_table(
        table,
        case or "",
        rules,
        now,
        splits=splits,
        shares=shares,
        metering_operator=operator,
        with_quarters=args.quarters,
    )
    data = settlement_data(settled, args.quarters)
    return Outcome(data=data, text=_words([*settled.months, *settled.years], SHOWN_MISPEL))


def _mispel_case(options: Options) -> str | None:
    case: str | None = options.args.case
    if case in split.UNSUPPORTED:
        problem = f"{case} is not supported: its formulas (34)-(40) are not implemented"
        options.fault("--case", problem, ", ".join(split.CASES))
        return None
    return options.choice("--case", case, split.CASES)


def _common(options: Options) -> tuple[RuleSet, int, bool]:
    name = options.choice("--ruleset", options.args.ruleset, tuple(RULESETS))
    values = options.choice("--values", options.args.values, ("operator", "device"))
    when = options.moment("--as-of", options.args.as_of)
    now = int(when.timestamp()) // QUARTER_HOUR_S
    return RULESETS.get(name or "", NEWEST), now, values == "operator"


def _days(options: Options, text: str) -> list[date]:
    days = [options.day("--split", part.strip()) for part in text.split(",")]
    return [day for day in days if day is not None]


def _shares(options: Options, case: str | None) -> tuple[Fraction, Fraction] | None:
    text: str | None = options.args.plant_kw
    allowed = "two powers above 0, like 10,5.5"
    if case != "A5":
        if text is not None and case is not None:
            options.fault("--plant-kw", f"{text} is not used in case {case}", "only in case A5")
        return None
    if text is None:
        options.fault("--plant-kw", "missing in case A5", allowed)
        return None
    powers = [parse_fraction(part.strip()) for part in text.split(",")]
    valid = [power for power in powers if power is not None and power > 0]
    if len(valid) != 2 or len(powers) != 2:
        options.fault("--plant-kw", f"{text} is wrong", allowed)
        return None
    return plant_shares(valid)


def _read(options: Options, used: Sequence[str], fuse_kw: Fraction | None) -> QuarterTable:
    path: str = options.args.input
    lines = options.text_lines(path)
    if lines is None:
        return QuarterTable()
    table, problems = read_quarters(lines, Path(path).name, used, fuse_kw=fuse_kw)
    options.problems.extend(problems)
    return table


def _check_splits(options: Options, splits: Sequence[date], table: QuarterTable) -> None:
    if options.problems:
        return
    months = {(day.year, day.month) for day in _local_days(table)}
    for day in splits:
        if (day.year, day.month) not in months:
            options.fault("--split", f"{day} lies in no month of the input")


def _local_days(table: QuarterTable) -> set[date]:
    """The first of each month that the table mentions."""
    days: set[date] = set()
    until = None
    for quarter in table.mentioned:
        if until is None or quarter >= until:
            day = local_day(quarter)
            days.add(day)
            until = quarter + 1 if day.day >= 28 else first_quarter(day.replace(day=28))
    return days


def run_pauschal(args: argparse.Namespace) -> Outcome:
    """One calendar year or a part of it. Raises InputError with every problem."""
    options = Options(args)
    case = options.choice("--case", args.case, pauschal.CASES)
    rules, now, operator = _common(options)
    pv_kwp = options.positive("--pv-kwp", args.pv_kwp)
    if args.pv_kwp is None:
        options.fault("--pv-kwp", "missing", f"above 0, at most {rules.pv_max_kwp}")
    elif pv_kwp is not None and pv_kwp > rules.pv_max_kwp:
        problem = f"{args.pv_kwp} is too much for the Pauschaloption"
        options.fault("--pv-kwp", problem, f"at most {rules.pv_max_kwp}")
    storage_kwh = options.positive("--storage-kwh", args.storage_kwh)
    if case in pauschal.STORAGE_CASES and args.storage_kwh is None:
        options.fault("--storage-kwh", f"missing in case {case}", "a decimal above 0")
    table = _read(options, pauschal.COLUMNS, None)
    part = _part_year(options, table)
    if options.problems or part is None or pv_kwp is None:
        raise InputError(options.problems)
    plant = pauschal.Plant(case or "", pv_kwp, storage_kwh)
    result = settle_pauschal(table, plant, part, rules, now, operator)
    outside = sum(not result.period.begin <= q < result.period.end for q in table.mentioned)
    if outside:
        print(
            f"{outside} quarter hours outside {part.begin} to {part.end} do not count",
            file=sys.stderr,
        )
    data = {"case": case, "ruleset": rules.name, "years": [result.as_data("year")]}
    return Outcome(data=data, text=_words([result], SHOWN_PAUSCHAL))


def _part_year(options: Options, table: QuarterTable) -> pauschal.PartYear | None:
    begin = options.day("--from", options.args.from_day)
    end = options.day("--until", options.args.until_day)
    if begin is not None:
        year = begin.year
    elif end is not None:
        year = end.year if (end.month, end.day) != (1, 1) else end.year - 1
    elif table.mentioned:
        year = local_day(table.first, BERLIN).year
    else:
        return None
    begin = begin or date(year, 1, 1)
    end = end or date(year + 1, 1, 1)
    if not begin < end:
        options.fault("--until", f"{end} is not after {begin}")
        return None
    if end > date(begin.year + 1, 1, 1):
        options.fault("--until", f"{end}: not in the year of {begin}", "one calendar year")
        return None
    return pauschal.PartYear(begin, end)


def _words(results: Sequence[Result], shown: Sequence[str]) -> str:
    lines = []
    for result in results:
        values = ", ".join(
            f"{key} {text}"
            for key, text in result.as_data("period")["rounded"].items()
            if key.rstrip("ab)") + ")" in shown or key in ("(22)", "(33)")
        )
        codes = sorted({reason.code for reason in result.reasons})
        because = f" ({', '.join(codes)})" if codes else ""
        lines.append(f"{result.period.key:>10}  {result.status}{because}: {values} kWh")
    return "\n".join(lines)
