"""Settlement at scale: bit-identical to fractions, bounded, and strict with its input."""

from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pendel.adapters.settle_scale import COLUMNS, ScalePrices, ScaleSettlement
from pendel.errors import InputError, InvariantError
from pendel.settle.ledger import money_units
from pendel.settle.rulesets import DECISION_2026, DRAFT_2025, RuleSet
from pendel.settle.split import month_formulas, sum_quarters

QUARTERS = 96
NAMES = ("site_id", "quarter", "z1nb_wh", "z1ne_wh", "z2v_wh", "z2e_wh")
NANO_PER_WH = 10**6
Rows = list[tuple[int | None, ...]]


def prices(random: Random) -> ScalePrices:
    return ScalePrices(
        import_price_kwh=[
            Fraction(random.randint(-5000, 60_000), 119_000) for _ in range(QUARTERS)
        ],
        funded=[random.random() < 0.8 for _ in range(QUARTERS)],
        relief_kwh=Fraction("0.11566"),
        premium_kwh=Fraction("0.0786"),
    )


def day(random: Random, sites: int) -> Rows:
    def wh() -> int:
        return random.choice((0, random.randrange(2750)))

    rows: Rows = []
    for site in range(sites):
        for quarter in range(QUARTERS):
            drawn, fed = wh(), wh()
            charged = random.choice((0, drawn, wh()))
            rows.append((site, quarter, drawn, fed, charged, random.choice((0, fed, wh()))))
    return rows


def write(folder: Path, rows: Rows, name: str = "day.parquet") -> str:
    types = [pa.int32(), pa.int16(), *[pa.int32()] * 4]
    columns = list(zip(*rows, strict=True)) or [()] * len(NAMES)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    pq.write_table(pa.table(arrays, names=NAMES), folder / name)
    return str(folder / "*.parquet")


def oracle(rows: Rows, given: ScalePrices, rules: RuleSet) -> dict[str, int]:
    """One site through the formulas in fractions."""
    columns: dict[str, list[int]] = {
        name: [(row[place] or 0) * NANO_PER_WH for row in rows]
        for place, name in enumerate(("z1nb", "z1ne", "z2v", "z2e"), 2)
    }
    columns["aw_ct_kwh"] = [int(given.funded[row[1] or 0]) for row in rows]
    f = month_formulas("A2", sum_quarters("A2", columns), rules)
    found = {f"n{n}": int((f[f"({n})"] or 0) * 1000) for n in (3, 4, 5, 6, 9, 11, 26, 29)}
    bill = sum(
        (given.import_price_kwh[row[1] or 0] * Fraction(row[2] or 0, 1000) for row in rows),
        Fraction(0),
    )
    found["bill_units"] = money_units(bill)
    found["relief_units"] = money_units((f["(20)"] or Fraction(0)) * given.relief_kwh)
    found["premium_units"] = money_units((f["(32)"] or Fraction(0)) * given.premium_kwh)
    return found


@pytest.mark.parametrize("rules", [DECISION_2026, DRAFT_2025], ids=lambda rules: rules.name)
def test_every_site_is_bit_identical_to_fractions(rules: RuleSet, tmp_path: Path) -> None:
    random = Random(f"scale {rules.name}")
    given, rows = prices(random), day(random, 60)
    shuffled = random.sample(rows, len(rows))
    files = write(tmp_path, shuffled[:2000], "a.parquet")
    write(tmp_path, shuffled[2000:], "b.parquet")
    with ScaleSettlement(memory_mb=200, threads=1) as engine:
        found = engine.sites(files, given, rules, list(range(60)))
        totals = engine.settle(files, given, rules)
        assert engine.settle(files, given, rules) == totals
    expected = {
        site: oracle([row for row in rows if row[0] == site], given, rules) for site in range(60)
    }
    assert found == expected
    sums = {name: sum(site[name] for site in expected.values()) for name in COLUMNS}
    assert (totals.sums, totals.sites, totals.rows) == (sums, 60, 60 * QUARTERS)
    assert totals.provisional == 0
    assert sums["relief_units"] > 0


def test_one_changed_value_changes_the_digest(tmp_path: Path) -> None:
    random = Random("digest")
    given, rows = prices(random), day(random, 3)
    with ScaleSettlement(threads=1) as engine:
        before = engine.settle(write(tmp_path, rows), given, DECISION_2026)
        changed = (*rows[50][:2], (rows[50][2] or 0) + 1, *rows[50][3:])
        after = engine.settle(
            write(tmp_path, [*rows[:50], changed, *rows[51:]]), given, DECISION_2026
        )
    assert before.digest != after.digest


def test_missing_quarters_are_gaps_not_errors(tmp_path: Path) -> None:
    random = Random("gap")
    given, rows = prices(random), day(random, 3)
    with ScaleSettlement(threads=1) as engine:
        totals = engine.settle(write(tmp_path, rows[1:]), given, DECISION_2026)
        assert (totals.provisional, totals.rows) == (1, 3 * QUARTERS - 1)
        assert engine.settle(write(tmp_path, []), given, DECISION_2026).sites == 0


BAD: dict[str, Any] = {
    "null": (1, 5, None, 1, 1, 1),
    "null_storage": (1, 5, 1, 1, 1, None),
    "negative": (1, 5, 1, 1, -1, 1),
    "outside": (1, QUARTERS, 1, 1, 1, 1),
    "before": (1, -1, 1, 1, 1, 1),
}


@pytest.mark.parametrize("row", BAD.values(), ids=BAD)
def test_bad_rows_are_refused(row: tuple[int | None, ...], tmp_path: Path) -> None:
    random = Random("bad")
    rows = [one for one in day(random, 2) if one[:2] != row[:2]]
    with ScaleSettlement(threads=1) as engine, pytest.raises(InputError):
        engine.settle(write(tmp_path, [*rows, row]), prices(random), DECISION_2026)


@pytest.mark.parametrize("quarter", [0, 49, 50, 95])
def test_doubled_quarters_are_refused(quarter: int, tmp_path: Path) -> None:
    random = Random("double")
    rows = day(random, 2)
    again = next(row for row in rows if row[:2] == (1, quarter))
    with ScaleSettlement(threads=1) as engine, pytest.raises(InputError, match="1 problem"):
        engine.settle(write(tmp_path, [*rows, again]), prices(random), DECISION_2026)


def test_prices_that_would_overflow_are_refused(tmp_path: Path) -> None:
    fine = ScalePrices(
        [Fraction(1, 10**12 + n) for n in range(3)], [True] * 3, Fraction(0), Fraction(0)
    )
    with ScaleSettlement(threads=1) as engine, pytest.raises(InvariantError):
        engine.settle(write(tmp_path, []), fine, DECISION_2026)


@pytest.mark.parametrize("case", ["A3", "A11"])
def test_other_cases_relieve_what_their_formulas_say(case: str, tmp_path: Path) -> None:
    random = Random(f"case {case}")
    given, rows = prices(random), day(random, 20)
    with ScaleSettlement(threads=1) as engine:
        found = engine.sites(write(tmp_path, rows), given, DECISION_2026, list(range(20)), case)
        with pytest.raises(InvariantError):
            engine.settle(str(tmp_path / "*.parquet"), given, DECISION_2026, "A5")
    for site in range(20):
        columns = {
            name: [(row[place] or 0) * NANO_PER_WH for row in rows if row[0] == site]
            for place, name in enumerate(("z1nb", "z1ne", "z2v", "z2e"), 2)
        }
        columns["aw_ct_kwh"] = [int(funded) for funded in given.funded]
        f = month_formulas(case, sum_quarters(case, columns), DECISION_2026)
        relief = money_units((f["(20)"] or Fraction(0)) * given.relief_kwh)
        premium = money_units((f.get("(32)") or Fraction(0)) * given.premium_kwh)
        assert (found[site]["relief_units"], found[site]["premium_units"]) == (relief, premium)
