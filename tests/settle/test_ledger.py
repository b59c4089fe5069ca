"""The ledger: sums to zero, cannot be changed, corrects by reversing."""

import json
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.cli.main import main
from pendel.errors import ChainError, InvariantError
from pendel.settle.ledger import (
    PENDING,
    POSTED,
    VOID,
    Entry,
    Ledger,
    Leg,
    Run,
    cents_with_rounding,
    money_units,
    read_ledger,
    result_hash,
    share_out,
)

NOW = "2026-11-01T00:00:00Z"


def entry(run: str, amount: int, energy: int = 0, account: str = "driver") -> Entry:
    legs = (Leg(account, amount, -energy), Leg("site", -amount, energy))
    return Entry(run=run, component="bonus", currency="EUR", legs=legs, line="1")


def run_of(name: str, entries: list[Entry], supersedes: str = "") -> Run:
    return Run(
        run=name,
        scope="site",
        period="2026-10",
        ruleset="2026-10-01",
        status="corrected" if supersedes else "provisional",
        reasons=("gap",),
        result=result_hash(entries),
        created_utc=NOW,
        supersedes=supersedes,
    )


def booked(ledger: Ledger, name: str, amounts: list[int], supersedes: str = "") -> bool:
    entries = [entry(name, amount, amount * 3) for amount in amounts]
    return ledger.book(run_of(name, entries, supersedes), entries)


def small_ledger() -> Ledger:
    ledger = Ledger()
    booked(ledger, "r1", [100, 250])
    ledger.post("r1", NOW)
    booked(ledger, "r2", [100, 300], supersedes="r1")
    ledger.post("r2", NOW, "late value")
    booked(ledger, "r3", [7])
    ledger.void("r3", NOW, "wrong contract")
    return ledger


def test_correction_reverses_and_books_anew() -> None:
    ledger = small_ledger()
    assert ledger.balances() == {("driver", "EUR"): (400, -1200), ("site", "EUR"): (-400, 1200)}
    assert [ledger.state(name) for name in ("r1", "r2", "r3")] == [POSTED, POSTED, VOID]
    reversals = [r for r in ledger.records if isinstance(r, Entry) and r.reverses]
    assert [r.legs[0].money for r in reversals] == [-100, -250]


def test_the_same_result_is_not_booked_again() -> None:
    ledger = small_ledger()
    head = ledger.head
    assert booked(ledger, "r4", [100, 300], supersedes="r2") is False
    assert ledger.head == head


def test_the_same_inputs_have_the_same_hash() -> None:
    assert small_ledger().lines() == small_ledger().lines()
    first, second = [entry("a", 1)], [entry("b", 1)]
    assert result_hash(first) == result_hash(second) != result_hash([entry("a", 2)])
    assert result_hash(first, {"series": "x"}) != result_hash(first, {"series": "y"})


def test_what_may_not_be_booked() -> None:
    ledger = small_ledger()
    head = ledger.head
    skew = Entry(run="x", component="c", currency="EUR", legs=(Leg("a", 1),))
    leak = Entry(run="x", component="c", currency="EUR", legs=(Leg("a", 0, 5), Leg("b", 0, -4)))
    for wrong in (skew, leak, entry("other", 1)):
        with pytest.raises(InvariantError):
            ledger.book(run_of("x", [wrong]), [wrong])
    for call in (
        lambda: booked(ledger, "r1", [1]),
        lambda: booked(ledger, "r5", [1], supersedes="r1"),
        lambda: booked(ledger, "r5", [1], supersedes="r3"),
        lambda: ledger.post("r1", NOW),
        lambda: ledger.void("r1", NOW, "no"),
        lambda: ledger.post("unknown", NOW),
    ):
        with pytest.raises(InvariantError):
            call()
    assert ledger.head == head


def test_stored_text_reads_back() -> None:
    ledger = small_ledger()
    again = read_ledger(ledger.lines())
    assert (again.records, again.head) == (ledger.records, ledger.head)
    assert read_ledger("").records == []


def test_every_flipped_byte_is_found() -> None:
    text = small_ledger().lines().encode()
    for place in range(len(text)):
        for flip in (0x01, 0x20):
            changed = text[:place] + bytes([text[place] ^ flip]) + text[place + 1 :]
            with pytest.raises(ChainError):
                read_ledger(changed.decode("latin-1"))


def test_command_checks_the_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger, path = small_ledger(), tmp_path / "books.ledger"
    path.write_text(ledger.lines(), "utf-8")
    assert main(["settle", "verify", str(path), "--json", "--head", ledger.head]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == {"valid": True, "records": len(ledger.records), "head": ledger.head}
    assert main(["settle", "verify", str(path), "--head", "0" * 64]) == 2
    path.write_text(ledger.lines().replace("late value", "lost value"), "utf-8")
    capsys.readouterr()
    assert main(["settle", "verify", str(path), "--json"]) == 2
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert (problem["file"], problem["line"]) == ("books.ledger", 10)


def test_cut_and_reordered_lines_are_found() -> None:
    lines = small_ledger().lines().splitlines(keepends=True)
    for broken in (lines[1:], lines[:2] + lines[3:], [*lines[:2], lines[3], lines[2], *lines[4:]]):
        with pytest.raises(ChainError):
            read_ledger("".join(broken))
    assert read_ledger("".join(lines[:-1])).head != small_ledger().head


SHARES = st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(lambda parts: sum(parts) > 0)


@settings(max_examples=200, deadline=None)
@given(units=st.integers(-(10**12), 10**12), parts=SHARES)
def test_shares_add_up_with_the_remainder_booked(units: int, parts: list[int]) -> None:
    shares = {f"a{place}": Fraction(part, sum(parts)) for place, part in enumerate(parts)}
    legs = share_out(units, shares)
    assert sum(leg.money for leg in legs) == units
    rest = sum(leg.money for leg in legs if leg.account == "rounding")
    assert abs(rest) <= len(parts)


def test_shares_must_be_whole() -> None:
    for shares in ({"a": Fraction(1, 2)}, {"a": Fraction(3, 2), "b": Fraction(-1, 2)}):
        with pytest.raises(InvariantError):
            share_out(100, shares)


def test_rounding_to_cents_is_half_up_and_kept() -> None:
    assert money_units(Fraction("0.000005")) == 1
    assert cents_with_rounding(money_units(Fraction("1.005"))) == (101_000, 500)
    assert cents_with_rounding(money_units(Fraction("-1.005"))) == (-101_000, -500)


def random_history(random: Random) -> None:
    """Book, post, void and correct at random; the books must balance after every step."""
    ledger = Ledger()
    live: dict[str, int] = {}
    pending: list[tuple[str, str, int]] = []
    for number in range(random.randint(1, 10)):
        name = f"r{number}"
        choice = random.random()
        busy = {old for _, old, _ in pending}
        free = [old for old in live if old not in busy]
        if pending and choice < 0.5:
            run, old, amount = pending.pop(random.randrange(len(pending)))
            if random.random() < 0.8:
                ledger.post(run, NOW)
                live.pop(old, None)
                live[run] = amount
            else:
                ledger.void(run, NOW, "dropped")
        else:
            old = random.choice(free) if free and choice < 0.8 else ""
            amount = random.randint(-1000, 1000)
            if booked(ledger, name, [amount], old):
                pending.append((name, old, amount))
        for states in ((POSTED,), (POSTED, PENDING)):
            balances = ledger.balances(states)
            assert sum(money for money, _ in balances.values()) == 0
            assert sum(energy for _, energy in balances.values()) == 0
        driver = ledger.balances().get(("driver", "EUR"), (0, 0))
        assert driver == (sum(live.values()), -3 * sum(live.values()))
    assert read_ledger(ledger.lines()).head == ledger.head


def test_ledger_balances_over_random_corrections() -> None:
    random = Random("ledger")
    for _ in range(150):
        random_history(random)


@pytest.mark.proof
def test_ledger_balances_over_10_000_random_corrections() -> None:
    random = Random("ledger proof")
    for _ in range(10_000):
        random_history(random)
