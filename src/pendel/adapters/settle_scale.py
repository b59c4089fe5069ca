"""Settlement at scale: quarter hours in Parquet to ledger totals, on DuckDB, in integers.

One pass, nothing held but one row of sums per site. Rows: `site_id, quarter, z1nb_wh, z1ne_wh,
z2v_wh, z2e_wh` (integers, Wh; quarter counts from 0 within the day or month). MiSpeL cases A2, A3
and A11 with a tariff and relief per kWh; amounts per site are rounded half up to 1e-5 of the
currency by integer division, which is what `settle` does with fractions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pendel.errors import InputError, Problem, require
from pendel.settle.ledger import MONEY_UNIT
from pendel.settle.rulesets import RuleSet

WH_PER_KWH = 1_000
WH_MAX_PER_SITE = 1 << 31
MASK_BITS = 50
CASES = ("A2", "A3", "A11")
"""A3 is A2 in simplified form: the same formulas; A11 needs Z1 alone (Z2 columns may be 0)."""
_INT64_MAX = (1 << 63) - 1
COLUMNS = (
    "n3",
    "n4",
    "n5",
    "n6",
    "n9",
    "n11",
    "n26",
    "n29",
    "bill_units",
    "relief_units",
    "premium_units",
)
"""Per site: sums of Annex 1 [Wh] and amounts [1e-5 of the currency]."""


@dataclass(frozen=True, slots=True)
class ScalePrices:
    """What a kWh costs per quarter hour [Q], all taxes included, and whether feed-in is funded
    then (AW > 0); relief and premium per kWh."""

    import_price_kwh: Sequence[Fraction]
    funded: Sequence[bool]
    relief_kwh: Fraction
    premium_kwh: Fraction


@dataclass(frozen=True, slots=True)
class ScaleTotals:
    """Sums over all sites of COLUMNS, and a digest of every site's values (order-free).

    provisional: sites that lack a quarter hour (a gap is a gap: sums run over what is there).
    """

    sites: int
    rows: int
    provisional: int
    sums: dict[str, int]
    digest: str


class ScaleSettlement:
    """A DuckDB connection with bounded memory and threads. Use as a context manager."""

    def __init__(self, memory_mb: int = 800, threads: int = 2, spill: Path | None = None) -> None:
        import duckdb

        self._connection: Any = duckdb.connect(":memory:")
        self._connection.execute("SET enable_progress_bar = false")
        self._connection.execute(f"SET memory_limit = '{int(memory_mb)}MB'")
        self._connection.execute(f"SET threads = {int(threads)}")
        self._connection.execute("SET preserve_insertion_order = false")
        folder = "" if spill is None else str(spill).replace("'", "''")
        self._connection.execute(f"SET temp_directory = '{folder}'")

    def __enter__(self) -> "ScaleSettlement":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def settle(
        self, files: str, prices: ScalePrices, rules: RuleSet, case: str = "A2"
    ) -> ScaleTotals:
        """Totals over all sites. files: a path or glob of Parquet files; case: one of CASES.

        Raises InputError for rows that are no quarter hours of the period, hold a null or a
        negative value, or are there twice.
        """
        sites = self._sites_query(prices, rules, case)
        sums = ", ".join(f"sum({name})::HUGEINT" for name in COLUMNS)
        digest = ", ".join(COLUMNS)
        query = (
            f"WITH sites AS ({sites}) SELECT count(*), coalesce(sum(row_count), 0)::HUGEINT, "
            f"count(*) FILTER (WHERE row_count < {len(prices.funded)}), "
            "coalesce(sum(bad_rows), 0)::HUGEINT, count(*) FILTER (WHERE row_count <> quarters), "
            f"coalesce(bit_xor(hash(site_id, {digest})), 0), {sums} FROM sites"
        )
        row = self._connection.execute(query, [files]).fetchone()
        count, rows, provisional, bad, doubled, mixed, *values = row
        self._refuse(Path(files).name, int(bad), int(doubled))
        named = {name: int(value or 0) for name, value in zip(COLUMNS, values, strict=True)}
        return ScaleTotals(int(count), int(rows), int(provisional), named, f"{int(mixed):016x}")

    @staticmethod
    def _refuse(file: str, bad: int, doubled: int) -> None:
        problems = []
        if bad:
            text = f"{bad} rows with a null, a negative value or a quarter outside the period"
            problems.append(Problem(file, 0, "", text))
        if doubled:
            problems.append(Problem(file, 0, "quarter", f"{doubled} sites have a quarter twice"))
        if problems:
            raise InputError(problems)

    def sites(
        self,
        files: str,
        prices: ScalePrices,
        rules: RuleSet,
        wanted: Sequence[int],
        case: str = "A2",
    ) -> dict[int, dict[str, int]]:
        """COLUMNS of some sites, for statements and for checks."""
        query = self._sites_query(prices, rules, case, "WHERE list_contains(?, site_id)")
        names = ("site_id", *COLUMNS)
        rows = self._connection.execute(
            f"SELECT {', '.join(names)} FROM ({query})", [files, list(wanted)]
        ).fetchall()
        return {
            int(site): {n: int(v) for n, v in zip(COLUMNS, values, strict=True)}
            for site, *values in rows
        }

    def _price_table(self, units: Sequence[int], funded: Sequence[bool]) -> None:
        """What a quarter hour costs, whether feed-in is funded then (0, 1), and its bit."""
        self._connection.execute(
            "CREATE OR REPLACE TABLE price_of (quarter SMALLINT PRIMARY KEY, units BIGINT, "
            "funded INTEGER, early BIGINT, late BIGINT)"
        )
        rows = []
        for quarter, (price, paid) in enumerate(zip(units, funded, strict=True)):
            early = 1 << quarter if quarter < MASK_BITS else 0
            late = 1 << quarter - MASK_BITS if MASK_BITS <= quarter < 2 * MASK_BITS else 0
            rows.append((quarter, price, int(paid), early, late))
        self._connection.executemany("INSERT INTO price_of VALUES (?, ?, ?, ?, ?)", rows)

    def _sites_query(self, prices: ScalePrices, rules: RuleSet, case: str, where: str = "") -> str:
        """SQL of one row per site; `?` stands for the files (and the wanted sites)."""
        require(case in CASES, f"case {case}: one of {', '.join(CASES)}")
        scale = math.lcm(*(price.denominator for price in prices.import_price_kwh))
        units = [int(price * scale) for price in prices.import_price_kwh]
        require(
            max(map(abs, units), default=0) * WH_MAX_PER_SITE < _INT64_MAX // 2,
            "prices are too fine for 64-bit sums",
        )
        self._price_table(units, prices.funded)
        share = rules.charge_point_efficiency
        num, den = share.numerator, share.denominator
        green = f"least({den} * n13, {num} * n10)"
        grey = f"{den} * n13"
        if rules.grey_without_green:
            grey = f"greatest({den} * n13 - {num} * n10, 0)"
        if case == "A11":  # only Z1: all feed-in is grey
            grey = f"{den} * n4"
        relieved = f"least({grey}, {den} * n3)"
        ratio = f"CASE WHEN n11 = 0 THEN 0 ELSE n29::HUGEINT * {green} END"
        funded = f"(n26::HUGEINT * {den} * greatest(n11, 1) + {ratio})"
        if case == "A11":
            funded = "0"  # no funding side
        return f"""
            WITH sums AS (
                SELECT site_id, count(*) AS row_count, {_distinct(len(units))} AS quarters,
                    count(*) - count(units + z1nb_wh + z1ne_wh + z2v_wh + z2e_wh)
                        + count(*) FILTER (WHERE negative) AS bad_rows,
                    sum(z1nb_wh)::BIGINT AS n3, sum(z1ne_wh)::BIGINT AS n4,
                    sum(z2v_wh)::BIGINT AS n5, sum(z2e_wh)::BIGINT AS n6,
                    sum(drawn_wh)::BIGINT AS n9, sum(stored_wh)::BIGINT AS n11,
                    sum((z1ne_wh - stored_wh) * funded)::BIGINT AS n26,
                    sum(stored_wh * funded)::BIGINT AS n29, sum(z1nb_wh * units)::BIGINT AS bill
                FROM (SELECT *, least(z1nb_wh, z2v_wh) AS drawn_wh,
                        least(z1ne_wh, z2e_wh) AS stored_wh,
                        z1nb_wh < 0 OR z1ne_wh < 0 OR z2v_wh < 0 OR z2e_wh < 0 AS negative
                    FROM read_parquet(?) LEFT JOIN price_of USING (quarter) {where})
                GROUP BY site_id),
            green AS (
                SELECT *, n5 - n9 AS n10, greatest(n11 - greatest(n6 - n5, 0), 0) AS n13
                FROM sums)
            SELECT site_id, row_count, quarters, bad_rows, n3, n4, n5, n6, n9, n11, n26, n29,
                {_half_up("bill", Fraction(MONEY_UNIT, WH_PER_KWH * scale))} AS bill_units,
                {_half_up(relieved, prices.relief_kwh * MONEY_UNIT / (WH_PER_KWH * den))}
                    AS relief_units,
                {
            _half_up(
                funded, prices.premium_kwh * MONEY_UNIT / (WH_PER_KWH * den), "greatest(n11, 1)"
            )
        } AS premium_units
            FROM green"""


def _distinct(quarters: int) -> str:
    """SQL: how many different quarter hours a site has; bit masks where two of them suffice."""
    if quarters > 2 * MASK_BITS:
        return "count(DISTINCT quarter)"
    return "bit_count(coalesce(bit_or(early), 0)) + bit_count(coalesce(bit_or(late), 0))"


def _half_up(value: str, factor: Fraction, divisor: str = "1") -> str:
    """SQL: value * factor / divisor, rounded half up away from zero, in 128-bit integers."""
    numerator = f"(({value})::HUGEINT * {factor.numerator})"
    denominator = f"({factor.denominator}::HUGEINT * {divisor})"
    return (
        f"(CASE WHEN {numerator} < 0 THEN -1 ELSE 1 END * "
        f"((2 * abs({numerator}) + {denominator}) // (2 * {denominator})))"
    )
