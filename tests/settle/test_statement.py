"""Statements: complete, explained to the meter, the same in every form and language."""

import csv
import io
import json
from datetime import date
from fractions import Fraction
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.config import parse_toml
from pendel.errors import NotFoundError
from pendel.settle.booking import entries_of
from pendel.settle.exact_money import coins_text
from pendel.settle.ledger import CENT_UNITS, Ledger, Run, result_hash
from pendel.settle.statement import (
    Settled,
    Source,
    Statement,
    build_statement,
    explain_line,
    line_id,
)
from pendel.settle.statement_pdf import statement_pdf
from pendel.settle.statement_view import (
    CSV_COLUMNS,
    statement_csv,
    statement_data,
    statement_html,
    statement_view,
)
from pendel.settle.status import Reason
from pendel.settle.wording import LANGUAGES, WORDS
from pendel.tariff.bill import bill
from pendel.tariff.exact import NANO
from pendel.tariff.model import Tariff, Usage
from pendel.tariff.periods import first_quarter
from pendel.tariff.read import read_tariff

RELIEFS = ("kwkg-levy", "offshore-levy", "special-grid-use", "grid-energy")
QUANTITIES = {("2026-03", f"relief-{name}"): Fraction(80) for name in RELIEFS}
SHARES = {
    "*": {"anna": Fraction(1)},
    "relief-kwkg-levy": {"anna": Fraction(2, 3), "pool": Fraction(1, 3)},
}


def tariff() -> Tariff:
    text = files("pendel").joinpath("data", "tariffs", "de-dynamic-v2g.toml").read_text("utf-8")
    read, problems = read_tariff(parse_toml(text, "t"))
    assert read is not None, problems
    return read


def usage(energies: list[int] | None = None) -> Usage:
    energies = energies or [NANO * (n % 5) for n in range(96)]
    begin = first_quarter(date(2026, 3, 2))
    count = len(energies)
    spot = [(n % 100) * NANO for n in range(count)]
    return Usage(list(range(begin, begin + count)), energies, (), spot, (), QUANTITIES)


def settled() -> Settled:
    return Settled(
        run="run-2026-03-a",
        site_id="home <1>",
        ruleset="2026-10-01",
        formulas={"(16)": Fraction(80), "(18)": None, "(20)": Fraction(80)},
        reasons=(Reason("gap", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),),
        sources=(Source("Z1", "import", "ab" * 32, 96, True),),
        counterfactual={"uncontrolled": Fraction(90), "v1g": Fraction("80.5")},
    )


def statement(party: str = "anna", audience: str = "driver") -> Statement:
    rules = tariff()
    return build_statement(audience, party, rules, bill(rules, usage())[0], SHARES, settled())


def test_lines_carry_everything_and_add_up() -> None:
    made = statement()
    assert made.status == "provisional"
    assert made.total_cents == sum(line.cents for line in made.lines)
    relief = next(line for line in made.lines if line.component == "relief-kwkg-levy")
    assert relief.amount == -Fraction(80) * Fraction("0.446") / 100 * Fraction(2, 3)
    assert relief.formula == "(20)"
    assert relief.price == Fraction("-0.00446")
    assert relief.legal_ref == "EnFG, KWKG section 26"
    assert len({line.id for line in made.lines}) == len(made.lines)
    pool = statement("pool", "aggregator")
    assert [line.component for line in pool.lines] == ["relief-kwkg-levy"]
    assert pool.lines[0].amount + relief.amount == -Fraction(80) * Fraction("0.446") / 100


def test_counterfactual_shows_the_saving() -> None:
    made = statement()
    saving = made.saving("uncontrolled")
    assert saving == 90 - made.actual
    assert made.saving("v2g") is None


def test_the_same_run_gives_the_same_ids_and_bytes() -> None:
    assert statement_data(statement()) == statement_data(statement())
    assert statement_pdf(statement(), "de") == statement_pdf(statement(), "de")
    assert line_id("a", "2026-03", "x", 0) != line_id("b", "2026-03", "x", 0)


def test_explain_leads_from_line_to_meter() -> None:
    made = statement()
    relief = next(line for line in made.lines if line.component == "relief-grid-energy")
    steps = "\n".join(explain_line(made, relief.id))
    for part in (relief.id, "80 kWh", "section 118(6)", "(20) = 80", "(18) = not defined"):
        assert part in steps
    assert "series Z1 import: 96 quarter hours, signed, version abab" in steps
    with pytest.raises(NotFoundError):
        explain_line(made, "line-unknown")


def test_json_and_csv_hold_exact_values() -> None:
    made = statement()
    data = json.loads(json.dumps(statement_data(made), default=lambda reason: reason.code))
    assert data["total_eur"] == coins_text(made.total_cents, "EUR")
    rows = list(csv.DictReader(io.StringIO(statement_csv(made))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [Fraction(row["amount_exact"]) for row in rows] == [line.amount for line in made.lines]
    assert [row["amount"] for row in rows] == [line["rounded_eur"] for line in data["lines"]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_html_shows_every_line_and_escapes(language: str) -> None:
    made = statement()
    page = statement_html(made, language)
    for line in made.lines:
        assert f'id="{line.id}"' in page
    assert "home &lt;1&gt;" in page
    assert "<1>" not in page
    assert "http" not in page
    assert WORDS["title"][language] in page
    mark = "." if language == "en" else ","
    assert f"80{mark}000 kWh" in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_pdf_is_made_with_embedded_fonts(language: str) -> None:
    document = statement_pdf(statement(), language)
    assert document.startswith(b"%PDF-")
    assert document.rstrip().endswith(b"%%EOF")
    assert b"DejaVuSans" in document
    assert b"/FontFile2" in document


def test_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="xx"):
        statement_view(statement(), "xx")


def test_every_word_is_there_in_every_language() -> None:
    for key, words in WORDS.items():
        assert set(words) == set(LANGUAGES), key
        assert all(words.values()), key


@settings(max_examples=30, deadline=None)
@given(
    energies=st.lists(st.integers(0, 3 * NANO), min_size=1, max_size=8),
    part=st.fractions(0, 1, max_denominator=7),
)
def test_bookings_sum_to_zero_and_match_the_statements(energies: list[int], part: Fraction) -> None:
    rules = tariff()
    month = bill(rules, usage(energies))[0]
    shares = {"*": {"anna": part, "pool": 1 - part}}
    entries = entries_of("r", rules, month, shares)
    run = Run(
        run="r",
        scope="s",
        period="2026-03",
        ruleset="",
        status="final",
        reasons=(),
        result=result_hash(entries),
        created_utc="2026-04-01T00:00:00Z",
    )
    ledger = Ledger()
    ledger.book(run, entries)
    ledger.post("r", "2026-04-01T00:00:00Z")
    balances = ledger.balances()
    assert sum(money for money, _ in balances.values()) == 0
    for party in ("anna", "pool"):
        made = build_statement("site", party, rules, month, shares, Settled("r", "s"))
        money, _ = balances.get((party, "EUR"), (0, 0))
        assert abs(money - made.total_cents * CENT_UNITS) <= CENT_UNITS * len(made.lines)
        assert money % CENT_UNITS == 0
