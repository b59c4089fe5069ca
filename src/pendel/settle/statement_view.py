"""Statements as data (JSON, CSV) and as what a page shows, in one of three languages."""

import csv
import io
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2

from pendel.settle.exact_money import coins_text
from pendel.settle.mispel import formulas_rounded, formulas_text
from pendel.settle.statement import Note, Statement, StatementLine, reason_codes
from pendel.settle.wording import LANGUAGES, local_number, word
from pendel.tariff.exact import exact_text, rounded_text

PRICE_DIGITS = 5
QUANTITY_DIGITS = 3
CSV_COLUMNS = (
    "id",
    "component",
    "kind",
    "quantity",
    "unit",
    "price",
    "share",
    "amount_exact",
    "amount",
    "currency",
    "formula",
    "legal_ref",
    "source",
)


def statement_data(statement: Statement) -> dict[str, Any]:
    """Everything, language-free, exact values as `num/den`."""
    code = statement.currency.lower()
    return {
        "id": statement.id,
        "audience": statement.audience,
        "party": statement.party,
        "site_id": statement.site_id,
        "period": statement.period,
        "currency": statement.currency,
        "tariff": statement.tariff,
        "run": statement.run,
        "ruleset": statement.ruleset,
        "status": statement.status,
        "reasons": list(statement.reasons),
        "lines": [_line_data(line, statement) for line in statement.lines],
        f"total_{code}": coins_text(statement.total_cents, statement.currency),
        "formulas": formulas_text(statement.formulas),
        "rounded": formulas_rounded(statement.formulas),
        "sources": [
            {
                "point": source.point,
                "direction": source.direction,
                "version": source.version,
                "values": source.values,
                "signed": source.signed,
            }
            for source in statement.sources
        ],
        "counterfactual": {
            strategy: {
                f"cost_{code}": exact_text(cost),
                f"saving_{code}": exact_text(cost - statement.actual),
            }
            for strategy, cost in statement.counterfactual.items()
        },
        f"actual_{code}": exact_text(statement.actual),
        "notes": [
            {
                "name": note.name,
                "quantity": exact_text(note.quantity),
                "unit": note.unit,
                f"worth_{code}": None if note.worth is None else exact_text(note.worth),
            }
            for note in statement.notes
        ],
    }


def _line_data(line: StatementLine, statement: Statement) -> dict[str, Any]:
    code = statement.currency.lower()
    return {
        "id": line.id,
        "component": line.component,
        "kind": line.kind,
        "quantity": exact_text(line.quantity),
        "unit": line.unit,
        "price": None if line.price is None else exact_text(line.price),
        "share": exact_text(line.share),
        f"amount_{code}": exact_text(line.amount),
        f"rounded_{code}": coins_text(line.cents, statement.currency),
        "formula": line.formula,
        "legal_ref": line.legal_ref,
        "source": line.source,
    }


def statement_csv(statement: Statement) -> str:
    """One row per line, decimals with a point, cells that could run as formulas disarmed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for line in statement.lines:
        row = (
            line.id,
            _disarmed(line.component),
            line.kind,
            exact_text(line.quantity),
            line.unit,
            "" if line.price is None else rounded_text(line.price, PRICE_DIGITS),
            exact_text(line.share),
            exact_text(line.amount),
            coins_text(line.cents, statement.currency),
            statement.currency,
            line.formula,
            _disarmed(line.legal_ref),
            _disarmed(line.source),
        )
        writer.writerow(row)
    return out.getvalue()


def _disarmed(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows: rows of words, numbers already in the language."""

    language: str
    title: str
    facts: list[tuple[str, str]]
    head: list[str]
    rows: list[list[str]]
    ids: list[str]
    total: list[str]
    note: str
    counterfactual: list[list[str]]
    formulas: list[tuple[str, str]]
    sources: list[str]
    notes: list[list[str]]


def statement_view(statement: Statement, language: str) -> View:
    """The page of a statement. Raises ValueError for a language that is not spoken here."""
    if language not in LANGUAGES:
        raise ValueError(f"language {language}: one of {', '.join(LANGUAGES)}")

    def say(key: str) -> str:
        return word(key, language)

    def show(text: str) -> str:
        return local_number(text, language)

    currency = statement.currency
    codes = ", ".join(say(code) for code in reason_codes(statement.reasons))
    status = say(statement.status) + (f" ({codes})" if codes else "")
    total = coins_text(statement.total_cents, currency)
    side = "to_receive" if statement.total_cents < 0 else "to_pay"
    sources = [
        f"{source.point}, {say(source.direction)}: {source.values} {say('values')}, "
        f"{say('signed' if source.signed else 'unsigned')}, {source.version[:16]}"
        for source in statement.sources
    ]
    return View(
        language=language,
        title=f"{say('title')} {statement.period}",
        facts=[
            (say(statement.audience), statement.party),
            (say("site"), statement.site_id),
            (say("period"), statement.period),
            (say("tariff"), statement.tariff),
            (say("status"), status),
            (say("run"), statement.run),
        ],
        head=[
            say("line"),
            say("quantity"),
            f"{say('price')} [{currency}]",
            f"{say('amount')} [{currency}]",
            say("basis"),
        ],
        rows=[_row(line, statement, language) for line in statement.lines],
        ids=[line.id for line in statement.lines],
        total=[f"{say('total')}, {say(side)}", "", "", show(total), ""],
        note=say("net"),
        counterfactual=_counterfactual(statement, language),
        formulas=[(k, show(v)) for k, v in formulas_rounded(statement.formulas).items()],
        sources=sources,
        notes=[_note(note, statement.currency, language) for note in statement.notes],
    )


def _row(line: StatementLine, statement: Statement, language: str) -> list[str]:
    price = "" if line.price is None else rounded_text(line.price, PRICE_DIGITS)
    formula = f"{word('formula', language)} {line.formula}" if line.formula else ""
    basis = "; ".join(part for part in (formula, line.legal_ref, line.source) if part)
    quantity = rounded_text(line.quantity * line.share, QUANTITY_DIGITS)
    return [
        word(line.component, language),
        f"{local_number(quantity, language)} {word(line.unit, language)}",
        local_number(price, language),
        local_number(coins_text(line.cents, statement.currency), language),
        basis,
    ]


def _note(note: Note, currency: str, language: str) -> list[str]:
    quantity = local_number(rounded_text(note.quantity, QUANTITY_DIGITS), language)
    worth = "" if note.worth is None else local_number(rounded_text(note.worth, 2), language)
    return [
        word(note.name, language),
        f"{quantity} {word(note.unit, language)}",
        f"{worth} {currency}" if worth else "",
    ]


def _counterfactual(statement: Statement, language: str) -> list[list[str]]:
    if not statement.counterfactual:
        return []
    rows = [[word(key, language) for key in ("strategy", "cost", "saving")]]
    for strategy, cost in statement.counterfactual.items():
        saving = rounded_text(cost - statement.actual, 2)
        numbers = [local_number(text, language) for text in (rounded_text(cost, 2), saving)]
        rows.append([word(strategy, language), *numbers])
    actual = local_number(rounded_text(statement.actual, 2), language)
    return [*rows, [word("actual", language), actual, ""]]


def statement_html(statement: Statement, language: str) -> str:
    """A page that opens without a network."""
    folder = files("pendel").joinpath("data", "statement")
    template = folder.joinpath("statement.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    view = statement_view(statement, language)
    say = {
        key: word(key, language) for key in ("counterfactual", "quantities", "readings", "notes")
    }
    return environment.from_string(template).render(view=view, say=say, statement=statement)
