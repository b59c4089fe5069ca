"""Statements: what a driver, a site owner or an aggregator pays and earns in a month, and why.

Every line names its quantity, price, source, formula number and legal reference, and has an id
for `pendel explain`. The counterfactual shows the same month under other strategies, so that a
saving is shown, not claimed. Amounts are exact; each line is rounded to cents once, half up.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pendel.errors import NotFoundError
from pendel.settle.exact_money import cents_of
from pendel.settle.split import Formulas
from pendel.settle.status import Reason, status_of
from pendel.tariff.bill import MonthBill
from pendel.tariff.exact import exact_text, rounded_text
from pendel.tariff.model import Kind, Tariff

AUDIENCES = ("driver", "site", "aggregator")
UNCONTROLLED = "uncontrolled"
STRATEGIES = (UNCONTROLLED, "v1g", "v2g")
RELIEF_FORMULA = "(20)"


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line. amount: of this party, exact, positive = it pays; cents: the same, rounded;
    share: of the whole line; formula: number of the rule that gave the quantity, or ""."""

    id: str
    component: str
    kind: str
    quantity: Fraction
    unit: str
    amount: Fraction
    cents: int
    share: Fraction
    source: str
    formula: str
    legal_ref: str

    @property
    def price(self) -> Fraction | None:
        """Amount per unit of the quantity of this party's share; None without a quantity."""
        return self.amount / (self.quantity * self.share) if self.quantity and self.share else None


@dataclass(frozen=True, slots=True)
class Source:
    """A series that the quantities came from: point, direction, its version hash, and how many
    values it has; signed: whether every value carries a valid signature."""

    point: str
    direction: str
    version: str
    values: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Note:
    """Something a party is told beside the bill, not part of its total. worth: in the currency of
    the statement, positive = a cost; None = no money hangs on it."""

    name: str
    quantity: Fraction
    unit: str
    worth: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A month of one party. formulas: of the MiSpeL month, exact; counterfactual: total of the
    whole site per strategy, with the same tariff, data given by the caller; notes: energy and
    wear of a driver."""

    id: str
    audience: str
    party: str
    site_id: str
    period: str
    currency: str
    tariff: str
    run: str
    ruleset: str
    lines: tuple[StatementLine, ...]
    formulas: Formulas = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    sources: tuple[Source, ...] = ()
    counterfactual: Mapping[str, Fraction] = field(default_factory=dict)
    actual: Fraction = Fraction(0)
    notes: tuple[Note, ...] = ()

    @property
    def status(self) -> str:
        """final or provisional."""
        return status_of(self.reasons)

    @property
    def total_cents(self) -> int:
        """Sum of the rounded lines: what is paid (positive) or paid out (negative)."""
        return sum(line.cents for line in self.lines)

    def saving(self, strategy: str) -> Fraction | None:
        """What the site pays less than under a strategy; None where it is not given."""
        other = self.counterfactual.get(strategy)
        return None if other is None else other - self.actual


@dataclass(frozen=True, slots=True)
class Settled:
    """What a statement is made of besides the bill."""

    run: str
    site_id: str
    ruleset: str = ""
    formulas: Formulas = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    sources: tuple[Source, ...] = ()
    counterfactual: Mapping[str, Fraction] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


Shares = Mapping[str, Mapping[str, Fraction]]
"""Per component name (or "*") the share of each party; shares of a component sum to 1."""


def shares_of(shares: Shares, component: str) -> Mapping[str, Fraction]:
    """The share key of a component; "*" stands for all that are not named."""
    return shares[component] if component in shares else shares["*"]


def line_id(run: str, period: str, component: str, place: int) -> str:
    """Stable id of a line: the same run, the same id."""
    text = f"{run}\n{period}\n{component}\n{place}"
    return "line-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def build_statement(
    audience: str, party: str, tariff: Tariff, bill: MonthBill, shares: Shares, settled: Settled
) -> Statement:
    """The statement of one party: the lines it has a share in, in the order of the bill."""
    lines: list[StatementLine] = []
    for place, line in enumerate(bill.lines):
        component = line.component
        share = shares_of(shares, component.name).get(party, Fraction(0))
        if not share:
            continue
        amount = line.amount * share
        lines.append(
            StatementLine(
                id=line_id(settled.run, bill.period.key, component.name, place),
                component=component.name,
                kind=component.kind.value,
                quantity=line.quantity,
                unit=line.unit,
                amount=amount,
                cents=cents_of(amount, tariff.currency),
                share=share,
                source=component.source,
                formula=RELIEF_FORMULA if component.kind is Kind.LEVY_RELIEF else "",
                legal_ref=component.legal_ref,
            )
        )
    return Statement(
        id=line_id(settled.run, bill.period.key, f"{audience} {party}", -1).replace("line", "st"),
        audience=audience,
        party=party,
        site_id=settled.site_id,
        period=bill.period.key,
        currency=tariff.currency,
        tariff=tariff.name,
        run=settled.run,
        ruleset=settled.ruleset,
        lines=tuple(lines),
        formulas=settled.formulas,
        reasons=settled.reasons,
        sources=settled.sources,
        counterfactual=settled.counterfactual,
        actual=bill.total,
        notes=settled.notes,
    )


def explain_line(statement: Statement, wanted: str) -> list[str]:
    """The chain from a line to the meter: amount, price, quantity, formula, series, readings.

    Raises NotFoundError for an id that is not on the statement.
    """
    for line in statement.lines:
        if line.id == wanted:
            break
    else:
        raise NotFoundError(f"{wanted}: no line of statement {statement.id}")
    price = "" if line.price is None else f" at {rounded_text(line.price, 6)}"
    steps = [
        f"{line.id}: {line.component}, {rounded_text(line.amount, 2)} {statement.currency} "
        f"(exact {exact_text(line.amount)})",
        f"quantity {exact_text(line.quantity)} {line.unit}{price} {statement.currency}, "
        f"share {exact_text(line.share)}",
        f"tariff {statement.tariff}, kind {line.kind}"
        + (f", source: {line.source}" if line.source else "")
        + (f", law: {line.legal_ref}" if line.legal_ref else ""),
        f"run {statement.run}, period {statement.period}, {statement.status}",
    ]
    if line.formula:
        steps.append(f"MiSpeL {line.formula} under rule set {statement.ruleset}:")
        steps += [
            f"  {key} = {'not defined' if value is None else exact_text(value)}"
            for key, value in statement.formulas.items()
        ]
    steps += [
        f"series {source.point} {source.direction}: {source.values} quarter hours, "
        f"{'signed' if source.signed else 'not signed'}, version {source.version}"
        for source in statement.sources
    ]
    return steps


def reason_codes(reasons: Sequence[Reason]) -> list[str]:
    """Each code once, in order."""
    return list(dict.fromkeys(reason.code for reason in reasons))
