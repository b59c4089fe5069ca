"""Settles a table of quarter hours under MiSpeL: months, years, status, exact and rounded.

The shapes of the answers are those users script against (`pendel settle mispel|pauschal`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from pendel.settle import pauschal, split
from pendel.settle.quarter_file import QuarterTable
from pendel.settle.rulesets import RuleSet
from pendel.settle.split import Formulas
from pendel.settle.status import Evidence, Reason, reasons, status_of
from pendel.tariff.exact import exact_text, rounded_text
from pendel.tariff.periods import (
    Period,
    first_quarter,
    month_periods,
    quarter_text,
    year_periods,
)

ROUNDED_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Result:
    """One period of a settlement: formula values exact, None = quotient not defined."""

    period: Period
    formulas: Formulas
    reasons: list[Reason]

    @property
    def status(self) -> str:
        """final or provisional."""
        return status_of(self.reasons)

    def as_data(self, kind: str) -> dict[str, Any]:
        """As JSON; kind: `month` or `year`, the name of the key."""
        return {
            kind: self.period.key,
            "status": self.status,
            "reasons": self.reasons,
            "formulas": formulas_text(self.formulas),
            "rounded": formulas_rounded(self.formulas),
        }


@dataclass(frozen=True, slots=True)
class Settlement:
    """A settled series: case, name of the rule set, months (or parts) and years, ascending."""

    case: str
    ruleset: str
    months: list[Result]
    years: list[Result]
    quarters: list[tuple[int, Formulas]] = field(default_factory=list)


def formulas_text(formulas: Formulas) -> dict[str, str | None]:
    """Formula values as `num/den`, in the order of their numbers."""
    return {
        key: None if value is None else exact_text(value)
        for key, value in sorted(formulas.items(), key=lambda item: split.formula_order(item[0]))
    }


def formulas_rounded(formulas: Formulas) -> dict[str, str]:
    """Formula values as decimals with 3 digits, half up; those not defined are left out."""
    return {
        key: rounded_text(value, ROUNDED_DIGITS)
        for key, value in sorted(formulas.items(), key=lambda item: split.formula_order(item[0]))
        if value is not None
    }


def plant_shares(plant_kw: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    """ZFa and ZFb of case A5 from the two plants' powers."""
    first, second = plant_kw
    return first / (first + second), second / (first + second)


def settle_table(
    table: QuarterTable,
    case: str,
    rules: RuleSet,
    now: int,
    *,
    splits: Sequence[date] = (),
    shares: tuple[Fraction, Fraction] | None = None,
    metering_operator: bool = True,
    with_quarters: bool = False,
) -> Settlement:
    """Abgrenzungsoption over all months and years the table mentions.

    now: the first quarter hour that is not over yet; splits: days on which part months begin;
    shares: ZFa, ZFb in A5; with_quarters adds the formulas of each quarter hour.
    """
    evidence = Evidence(table.begins, now, metering_operator)
    months: list[Result] = []
    position = 0
    for period in month_periods(table.mentioned, splits):
        low = position
        while position < len(table.begins) and table.begins[position] < period.end:
            position += 1
        sums = split.sum_quarters(case, table.columns, low, position)
        formulas = split.month_formulas(case, sums, rules, shares)
        months.append(Result(period, formulas, reasons(period, evidence)))
    years: list[Result] = []
    for period in year_periods(table.mentioned):
        inside = [
            month.formulas for month in months if period.begin <= month.period.begin < period.end
        ]
        formulas = split.year_formulas(case, inside)
        years.append(Result(period, formulas, reasons(period, evidence)))
    quarters = _quarters(table, case, shares) if with_quarters else []
    return Settlement(case, rules.name, months, years, quarters)


def _quarters(
    table: QuarterTable, case: str, shares: tuple[Fraction, Fraction] | None
) -> list[tuple[int, Formulas]]:
    names = split.COLUMNS[case]
    columns = [table.columns[name] for name in names]
    return [
        (quarter, split.quarter_formulas(case, dict(zip(names, values, strict=True)), shares))
        for quarter, *values in zip(table.begins, *columns, strict=True)
    ]


def settlement_data(settlement: Settlement, with_quarters: bool = False) -> dict[str, Any]:
    """The answer of `pendel settle mispel --json`."""
    data: dict[str, Any] = {
        "case": settlement.case,
        "ruleset": settlement.ruleset,
        "months": [month.as_data("month") for month in settlement.months],
        "years": [year.as_data("year") for year in settlement.years],
    }
    if with_quarters:
        data["quarters"] = [
            {"time_utc": quarter_text(quarter), "formulas": formulas_text(formulas)}
            for quarter, formulas in settlement.quarters
        ]
    return data


def settle_pauschal(
    table: QuarterTable,
    plant: pauschal.Plant,
    part: pauschal.PartYear,
    rules: RuleSet,
    now: int,
    metering_operator: bool = True,
) -> Result:
    """Pauschaloption of one calendar year or a part of it; rows outside it do not count."""
    period = Period(str(part.begin.year), first_quarter(part.begin), first_quarter(part.end))
    kept = [row for row, quarter in enumerate(table.begins) if period.begin <= quarter < period.end]
    columns = {name: [table.columns[name][row] for row in kept] for name in pauschal.COLUMNS}
    begins = [table.begins[row] for row in kept]
    formulas = pauschal.year_formulas(plant, part, rules, columns)
    return Result(period, formulas, reasons(period, Evidence(begins, now, metering_operator)))
