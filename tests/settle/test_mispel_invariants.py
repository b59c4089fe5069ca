"""Invariants of MiSpeL over random months, against an oracle written from the formulas alone."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.settle.mispel import plant_shares
from pendel.settle.rulesets import DECISION_2026
from pendel.settle.split import CASES, COLUMNS, Sums, month_formulas, sum_quarters
from pendel.tariff.exact import NANO

ENERGY = st.one_of(st.just(0), st.integers(0, 3).map(lambda n: n * NANO), st.integers(0, 12 * NANO))
WORTH = st.integers(-2, 8).map(lambda n: n * NANO)
NAMES = ("z1nb", "z1ne", "z2v", "z2e", "z3v", "z3e", "aw_ct_kwh", "aw_a_ct_kwh", "aw_b_ct_kwh")
ROW = st.tuples(*([ENERGY] * 6), *([WORTH] * 3))
MONTH = st.lists(ROW, min_size=1, max_size=24)
SHARES = plant_shares([Fraction(7), Fraction(3)])
ZERO = Fraction(0)


def columns_of(rows: list[tuple[int, ...]]) -> dict[str, list[int]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(NAMES)}


def settled(case: str, rows: list[tuple[int, ...]]) -> dict[str, Fraction]:
    sums = sum_quarters(case, columns_of(rows))
    formulas = month_formulas(case, sums, DECISION_2026, SHARES if case == "A5" else None)
    return {key: ZERO if value is None else value for key, value in formulas.items()}


def oracle(case: str, rows: list[tuple[int, ...]]) -> dict[str, Fraction]:
    """Annex 1 in the order of its formula numbers, one fraction per quarter hour."""
    q = [dict(zip(NAMES, (Fraction(v, NANO) for v in row), strict=True)) for row in rows]
    for x in q:
        x["1"], x["2"] = min(x["z1nb"], x["z2v"]), min(x["z1ne"], x["z2e"])
        x["24"] = Fraction(1) if x["aw_ct_kwh"] > 0 else ZERO

    def total(value: str) -> Fraction:
        return sum((x[value] for x in q), ZERO)

    m = {"3": total("z1nb"), "4": total("z1ne"), "5": total("z2v"), "6": total("z2e")}
    m["9"], m["11"] = total("1"), total("2")
    m["10"] = m["5"] - m["9"]
    m["12"] = max(m["6"] - m["5"], ZERO)
    m["13"] = max(m["11"] - m["12"], ZERO)
    m["14"] = Fraction("0.85")
    if case in ("A1", "A5"):
        m["14"] = m["6"] / m["5"] if m["5"] else ZERO
    m["15"] = m["14"] * m["10"]
    m["16"] = max(m["13"] - m["15"], ZERO)
    m["19"] = ZERO
    if case in ("A1", "A4", "A5"):
        lost = m["5"] - m["6"] if case != "A4" else total("z3v") - total("z3e")
        m["17"] = max(lost, ZERO)
        m["18"] = m["16"] / m["6"] if m["6"] else ZERO
        m["19"] = m["18"] * m["17"]
    m["20"] = min(m["16"] + m["19"], m["3"])
    m["21"] = m["3"] - m["20"]
    m["28"] = min(m["13"], m["15"])
    if case == "A5":
        return m
    m["26"] = sum((x["24"] * (x["z1ne"] - x["2"]) for x in q), ZERO)
    m["29"] = sum((x["24"] * x["2"] for x in q), ZERO)
    m["30"] = m["29"] / m["11"] if m["11"] else ZERO
    m["31"] = m["30"] * m["28"]
    m["32"] = m["26"] + m["31"]
    return m


def check_invariants(case: str, rows: list[tuple[int, ...]]) -> None:
    f = settled(case, rows)
    assert ZERO <= f["(20)"] <= f["(3)"]
    assert f["(21)"] >= 0
    assert f["(20)"] + f["(21)"] == f["(3)"]
    if case in ("A10", "A11"):
        grey = f.get("(16)", f["(3)"])
        assert f["(20)"] == min(grey, f["(3)"])
        return
    for key, value in oracle(case, rows).items():
        assert f[f"({key})"] == value, key
    assert f["(9)"] <= min(f["(3)"], f["(5)"])
    assert f["(16)"] + f["(28)"] == f["(13)"] <= f["(11)"] <= min(f["(4)"], f["(6)"])
    if case == "A5":
        assert f["(28a)"] + f["(28b)"] == f["(28)"]
        funded = f["(32a)"] + f["(32b)"]
        assert f["(31a)"] <= f["(28a)"]
        assert funded + f["(16)"] <= f["(4)"]
        return
    assert f["(31)"] <= f["(28)"]
    assert f["(26)"] + f["(31)"] + f["(16)"] <= f["(4)"]
    if case == "A3":
        assert f["(20)"] <= settled("A4", rows)["(20)"]


def check_partition(case: str, rows: list[tuple[int, ...]], labels: list[int]) -> None:
    """Sums over any partition of the quarter hours, added, are the sums of the month."""
    parts = [
        [row for row, label in zip(rows, labels, strict=False) if label == part]
        for part in range(3)
    ]
    parts[0] += rows[len(labels) :]
    added = sum((sum_quarters(case, columns_of(part)) for part in parts), Sums())
    assert added == sum_quarters(case, columns_of(rows))


LABELS = st.lists(st.integers(0, 2), min_size=24, max_size=24)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=60, deadline=None)
@given(rows=MONTH, labels=LABELS)
def test_invariants_hold(case: str, rows: list[tuple[int, ...]], labels: list[int]) -> None:
    check_invariants(case, rows)
    check_partition(case, rows, labels)


def random_row(random: Random) -> tuple[int, ...]:
    energies = [
        random.choice((0, random.randrange(3) * NANO, random.randrange(12 * NANO)))
        for _ in range(6)
    ]
    return (*energies, *(random.randint(-2, 8) * NANO for _ in range(3)))


@pytest.mark.proof
@pytest.mark.parametrize("case", CASES)
def test_invariants_hold_over_10_000_months(case: str) -> None:
    random = Random(f"mispel {case}")
    for _ in range(10_000):
        rows = [random_row(random) for _ in range(random.randint(1, 24))]
        check_invariants(case, rows)
        check_partition(case, rows, [random.randrange(3) for _ in rows])


@settings(max_examples=100, deadline=None)
@given(grid=st.lists(ENERGY, min_size=1, max_size=12), back_pct=st.integers(1, 100))
def test_a1_equals_a10_on_full_cycles(grid: list[int], back_pct: int) -> None:
    """All energy from the grid into the storage and back: (20) is all of (3) (vector V5)."""
    inward = [(n, 0, n, 0, 0, 0, NANO, 0, 0) for n in grid]
    back = [(0, n * back_pct // 100, 0, n * back_pct // 100, 0, 0, NANO, 0, 0) for n in grid]
    rows = [*inward, *back]
    if sum(row[3] for row in rows) == 0:
        return
    assert settled("A1", rows)["(20)"] == settled("A10", rows)["(20)"]


def test_minimum_of_sums_is_not_the_sum_of_minima() -> None:
    """What a monthly minimum would get wrong: grid draw and charging never met."""
    rows = [(10 * NANO, 0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 10 * NANO, 0, 0, 0, 0, 0, 0)]
    f = settled("A2", rows)
    assert f["(9)"] == 0
    assert min(f["(3)"], f["(5)"]) == 10


def test_registers_of_one_quarter_are_not_netted() -> None:
    """Import and export in one quarter hour both count in full."""
    f = settled("A11", [(5 * NANO, 4 * NANO, 0, 0, 0, 0, 0, 0, 0)])
    assert (f["(3)"], f["(4)"], f["(20)"], f["(21)"]) == (5, 4, 4, 1)


def test_energy_from_elsewhere_is_never_settled() -> None:
    """Of 30 kWh discharged only the 10 that were charged here count (Fremdtankstrom)."""
    rows = [(10 * NANO, 0, 10 * NANO, 0, 0, 0, NANO, 0, 0), (0, 30 * NANO, 0, 30 * NANO) + (0,) * 5]
    f = settled("A2", rows)
    assert (f["(12)"], f["(13)"], f["(16)"], f["(20)"]) == (20, 10, 10, 10)


def test_every_case_names_its_columns() -> None:
    assert set(COLUMNS) == set(CASES)
