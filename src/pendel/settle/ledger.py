"""The ledger: double entry, append-only, hash-chained; corrections are new runs that reverse.

Money is an integer of 1e-5 of the currency, energy an integer of 1e-9 kWh. Every entry's legs sum
to zero in both, so every run does. A run is pending, then posted or void; a posted run is never
changed: a correction reverses its entries and books the new ones. The same results give the same
run hash, and then nothing is booked again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import msgspec

from pendel.errors import ChainError, InvariantError, require
from pendel.tariff.exact import NANO, rounded_int

MONEY_DIGITS = 5
MONEY_UNIT = 100_000
CENT_UNITS = 1_000
GENESIS = "0" * 64
LINE_BYTES_MAX = 1 << 20
ROUNDING = "rounding"
PENDING, POSTED, VOID = "pending", "posted", "void"


class Leg(msgspec.Struct, frozen=True):
    """One side of an entry. money: 1e-5 of the currency, positive = debit (the account owes);
    energy: 1e-9 kWh, positive = received by the account."""

    account: str
    money: int
    energy: int = 0


class Entry(msgspec.Struct, frozen=True, tag="entry", kw_only=True):
    """A booking: legs that sum to zero. line: the statement line it belongs to; reverses: hash of
    the record whose booking it takes back."""

    run: str
    component: str
    currency: str
    legs: tuple[Leg, ...]
    line: str = ""
    reverses: str = ""


class Run(msgspec.Struct, frozen=True, tag="run", kw_only=True):
    """Begin of a run. result: SHA-256 of what it books; status provisional | final | corrected;
    supersedes: the run it corrects; created_utc: when, not part of the result."""

    run: str
    scope: str
    period: str
    ruleset: str
    status: str
    reasons: tuple[str, ...]
    result: str
    created_utc: str
    supersedes: str = ""


class Mark(msgspec.Struct, frozen=True, tag="mark", kw_only=True):
    """A pending run becomes posted or void, with the reason."""

    run: str
    state: str
    reason: str
    created_utc: str


Record = Entry | Run | Mark


def canonical(record: Record, previous: str) -> str:
    """The text that is hashed and stored: JSON, sorted keys, no spaces, integers only."""
    data: dict[str, Any] = msgspec.to_builtins(record)
    data["previous"] = previous
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def record_hash(text: str) -> str:
    """SHA-256 of a canonical record."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def result_hash(entries: Sequence[Entry], inputs: Mapping[str, str] | None = None) -> str:
    """SHA-256 over what a run books (without names of runs) and the versions of its inputs."""
    content = [
        [e.component, e.currency, e.line, [[leg.account, leg.money, leg.energy] for leg in e.legs]]
        for e in entries
    ]
    text = json.dumps([content, dict(sorted((inputs or {}).items()))], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def money_units(amount: Fraction) -> int:
    """An exact amount in ledger units of 1e-5, half up."""
    return rounded_int(amount, MONEY_DIGITS)


def energy_units(kwh: Fraction) -> int:
    """Exact kWh in ledger units of 1e-9; the rest below 1e-9 kWh is rounded half up."""
    return rounded_int(kwh * NANO, 0)


def cents_with_rounding(units: int) -> tuple[int, int]:
    """An amount in whole cents (in ledger units), and what rounding has added."""
    cents = rounded_int(Fraction(units, CENT_UNITS), 0) * CENT_UNITS
    return cents, cents - units


def share_out(units: int, shares: Mapping[str, Fraction]) -> list[Leg]:
    """Divide an amount by shares that sum to 1; the remainder goes to the rounding account.

    Raises InvariantError for shares that do not sum to 1 or are negative.
    """
    require(sum(shares.values()) == 1, "shares do not sum to 1")
    require(all(share >= 0 for share in shares.values()), "a share is negative")
    legs = [Leg(account, rounded_int(units * share, 0)) for account, share in shares.items()]
    rest = units - sum(leg.money for leg in legs)
    return [*legs, Leg(ROUNDING, rest)] if rest else legs


class Ledger:
    """Records in order, each with its canonical text and hash."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.records: list[Record] = []
        self.hashes: list[str] = []
        self._state: dict[str, str] = {}
        self._entries: dict[str, list[int]] = {}
        self._runs: dict[str, Run] = {}

    @property
    def head(self) -> str:
        """Hash of the newest record; kept elsewhere, it also proves that nothing was cut off."""
        return self.hashes[-1] if self.hashes else GENESIS

    def _append(self, record: Record) -> None:
        self._check(record)
        text = canonical(record, self.head)
        self.texts.append(text)
        self.records.append(record)
        self.hashes.append(record_hash(text))
        if isinstance(record, Run):
            self._state[record.run] = PENDING
            self._entries[record.run] = []
            self._runs[record.run] = record
        elif isinstance(record, Entry):
            self._entries[record.run].append(len(self.records) - 1)
        else:
            self._state[record.run] = record.state

    def _check(self, record: Record) -> None:
        state = self._state.get(record.run)
        if isinstance(record, Run):
            require(state is None, f"run {record.run} is there already")
            return
        require(state == PENDING, f"run {record.run} is {state or 'unknown'}, not pending")
        if isinstance(record, Entry):
            require(sum(leg.money for leg in record.legs) == 0, "money does not sum to zero")
            require(sum(leg.energy for leg in record.legs) == 0, "energy does not sum to zero")
        else:
            require(record.state in (POSTED, VOID), f"unknown state {record.state}")

    def state(self, run: str) -> str:
        """pending, posted or void. Raises InvariantError for an unknown run."""
        require(run in self._state, f"unknown run {run}")
        return self._state[run]

    def latest(self, scope: str, period: str) -> Run | None:
        """The newest run of a scope and period that is not void."""
        for run in reversed(self._runs.values()):
            if (run.scope, run.period) == (scope, period) and self._state[run.run] != VOID:
                return run
        return None

    def standing(self, scope: str) -> list[Run]:
        """Runs of a scope that count: not void, and not corrected by a later one."""
        gone = self._superseded()
        return [
            run
            for name, run in self._runs.items()
            if run.scope == scope and self._state[name] != VOID and name not in gone
        ]

    def free_name(self, run: str) -> str:
        """The name itself, or with a number where a run of that name was booked before."""
        name, number = run, 1
        while name in self._runs:
            number += 1
            name = f"{run}.{number}"
        return name

    def book(self, run: Run, entries: Iterable[Entry]) -> bool:
        """Begin a pending run with its entries; all or none. False where the run it supersedes
        has the same result: then there is nothing to book."""
        entries = list(entries)
        reversing: list[Entry] = []
        if run.supersedes:
            require(self.state(run.supersedes) == POSTED, f"run {run.supersedes} is not posted")
            require(run.supersedes not in self._superseded(), f"{run.supersedes} is corrected")
            if self._runs[run.supersedes].result == run.result:
                return False
            reversing = [self._reversal(index, run.run) for index in self._live(run.supersedes)]
        for entry in (*reversing, *entries):
            require(entry.run == run.run, "an entry belongs to another run")
            require(sum(leg.money for leg in entry.legs) == 0, "money does not sum to zero")
            require(sum(leg.energy for leg in entry.legs) == 0, "energy does not sum to zero")
        self._append(run)
        for entry in (*reversing, *entries):
            self._append(entry)
        return True

    def _superseded(self) -> set[str]:
        return {
            run.supersedes
            for name, run in self._runs.items()
            if run.supersedes and self._state[name] != VOID
        }

    def _live(self, run: str) -> list[int]:
        """Entries of a run that are its own, not reversals of an older one."""
        found = []
        for index in self._entries[run]:
            record = self.records[index]
            if isinstance(record, Entry) and not record.reverses:
                found.append(index)
        return found

    def _reversal(self, index: int, run: str) -> Entry:
        entry = self.records[index]
        if not isinstance(entry, Entry):
            raise InvariantError("only an entry can be reversed")
        legs = tuple(Leg(leg.account, -leg.money, -leg.energy) for leg in entry.legs)
        return msgspec.structs.replace(entry, run=run, legs=legs, reverses=self.hashes[index])

    def post(self, run: str, created_utc: str, reason: str = "") -> None:
        """A pending run becomes final in the books. Raises InvariantError otherwise."""
        self._append(Mark(run=run, state=POSTED, reason=reason, created_utc=created_utc))

    def void(self, run: str, created_utc: str, reason: str) -> None:
        """A pending run is dropped. A posted one must be corrected by a new run instead."""
        self._append(Mark(run=run, state=VOID, reason=reason, created_utc=created_utc))

    def balances(self, states: Sequence[str] = (POSTED,)) -> dict[tuple[str, str], tuple[int, int]]:
        """(money, energy) by (account, currency) over runs in the given states."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for record in self.records:
            if isinstance(record, Entry) and self._state[record.run] in states:
                for leg in record.legs:
                    key = (leg.account, record.currency)
                    money, energy = found.get(key, (0, 0))
                    found[key] = (money + leg.money, energy + leg.energy)
        return found

    def lines(self) -> str:
        """The whole ledger as text: per line a canonical record and its hash."""
        pairs = zip(self.texts, self.hashes, strict=True)
        return "".join(f"{text} {digest}\n" for text, digest in pairs)


_DECODER = msgspec.json.Decoder(Entry | Run | Mark)


def read_ledger(text: str) -> Ledger:
    """Read and check a ledger: every byte, link, sum and state. Raises ChainError with the line
    of the first thing that is wrong."""
    ledger = Ledger()
    if text and not text.endswith("\n"):
        raise ChainError(f"line {text.count(chr(10)) + 1}: the last record is cut off")
    for number, stored in enumerate(text.split("\n")[:-1], 1):
        if len(stored) > LINE_BYTES_MAX:
            raise ChainError(f"line {number}: longer than {LINE_BYTES_MAX} bytes")
        line, _, digest = stored.rpartition(" ")
        try:
            previous = json.loads(line)["previous"]
            record = _DECODER.decode(line)
        except (ValueError, KeyError, TypeError, RecursionError, msgspec.MsgspecError):
            raise ChainError(f"line {number}: not a record") from None
        if previous != ledger.head:
            raise ChainError(f"line {number}: does not follow the record before it")
        if canonical(record, previous) != line:
            raise ChainError(f"line {number}: not in canonical form")
        _replay(ledger, record, number)
        if digest != ledger.head:
            raise ChainError(f"line {number}: its hash does not fit its content")
    return ledger


def _replay(ledger: Ledger, record: Record, number: int) -> None:
    try:
        ledger._append(record)
    except InvariantError as error:
        raise ChainError(f"line {number}: {error}") from None
