"""What a transaction costs so far: what stations are told to show a driver (OCPP 2.x, block I).

    messages -> marks -> quarter hours -> tariff.bill -> totalCost

These are the statement's own steps: `runtime.metered` reads the registers, `runtime.flows` places
them in quarter hours, `tariff.bill` prices them, all exact. Of the site's tariff what hangs on
energy counts; fees, peaks, allowances and bonuses of a month are no transaction's. Where a price or
a register is missing nothing is told, because a number that is not there is not 0.00 (I03.FR.04).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from pendel.ports import SpotSource
from pendel.records import StationMessage
from pendel.runtime.contracts import Contracts
from pendel.runtime.flows import session_flow
from pendel.runtime.metered import Mark, Metered
from pendel.settle.exact_money import cents_of
from pendel.tariff.bill import bill
from pendel.tariff.check import usage_problems
from pendel.tariff.currency import MINOR_DIGITS
from pendel.tariff.exact import NANO
from pendel.tariff.model import Kind, Tariff, Usage
from pendel.tariff.periods import utc_of_quarter
from pendel.tariff.planning import needs_spot
from pendel.units import QUARTER_HOUR_S

RUNNING_S = 60.0
"""A running cost is told at most this often."""
RUNNING_MAX = 100_000
ENDED_MAX = 10_000
OVER_MAX = 1_000
MARKS_MAX = 64
"""From so many marks on those inside a quarter hour are dropped; again when there are twice as
many as were left."""
PER_HOUR = 4
_ENERGY = (
    Kind.FLAT_ENERGY,
    Kind.TOU_ENERGY,
    Kind.DYNAMIC_ENERGY,
    Kind.EXPORT_ENERGY,
    Kind.LEVY,
    Kind.TAX,
)

Key = tuple[str, str]
"""station_id and transaction_id."""


@dataclass(slots=True)
class _Running:
    """Registers of a transaction, and market prices of its quarter hours as far as they were
    known once."""

    marks: list[Mark] = field(default_factory=list)
    spots: dict[int, Fraction] = field(default_factory=dict)
    told_utc: datetime | None = None
    thin_at: int = MARKS_MAX


class TransactionCosts:
    """Implements `comms.ocpp.backend.csms.Costs`. site_of: by station_id; keys: of meters."""

    def __init__(
        self,
        site_of: Mapping[str, str],
        contracts: Contracts,
        market: SpotSource | None = None,
        keys: Mapping[str, bytes] | None = None,
    ) -> None:
        priced = {
            site_id
            for site_id, agreed in contracts.by_site.items()
            if any(each.tariff is not None for each in agreed)
        }
        self._site_of = {s: site_id for s, site_id in site_of.items() if site_id in priced}
        self._contracts = contracts
        self._market = market
        self._metered = Metered(keys or {})
        self._running: dict[Key, _Running] = {}
        self._ended: dict[Key, float | None] = {}
        self._over: dict[Key, None] = {}

    def heard(self, record: StationMessage, transaction_id: str) -> None:
        """Take in what a message of a transaction metered."""
        metered, key = self._metered, (record.station_id, transaction_id)
        if record.station_id not in self._site_of or key in self._ended:
            return
        if "sampledValue" in record.payload:
            metered.take(record)
        found = [mark for marks in metered.marks.values() for mark in marks]
        metered.marks.clear()
        metered.refused.clear()
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= RUNNING_MAX:
                self._running.pop(next(iter(self._running)))
            running = self._running[key] = _Running()
        running.marks += found
        if len(running.marks) >= running.thin_at:
            running.marks = thinned(running.marks)
            running.thin_at = max(2 * len(running.marks), MARKS_MAX)

    def over(self, station_id: str, transaction_id: str) -> None:
        """By the log a transaction ended: its last message may come again, of the newest ones."""
        self._over[station_id, transaction_id] = None
        if len(self._over) > OVER_MAX:
            oldest = next(iter(self._over))
            del self._over[oldest]
            self._running.pop(oldest, None)
            self._metered.forget(*oldest)

    def told(
        self, station_id: str, transaction_id: str, ended: bool, now_utc: datetime
    ) -> float | None:
        """The cost to tell now [currency of the tariff], None = nothing; ended: the final one."""
        key = (station_id, transaction_id)
        if key in self._ended:
            return self._ended[key]
        running = self._running.get(key)
        if running is None:
            return None
        before = running.told_utc
        if not ended and before is not None and (now_utc - before).total_seconds() < RUNNING_S:
            return None
        cost = self._cost(self._site_of[station_id], running, now_utc)
        running.told_utc = now_utc
        if ended:
            del self._running[key]
            self._metered.forget(station_id, transaction_id)
            self._ended[key] = cost
            while len(self._ended) > ENDED_MAX:
                self._ended.pop(next(iter(self._ended)))
        return cost

    def _cost(self, site_id: str, running: _Running, now_utc: datetime) -> float | None:
        """The sum in whole coins, gross where the tariff has taxes; None where it is not known."""
        if not running.marks:
            return None
        values = session_flow(running.marks).values
        if self._market is not None:
            running.spots |= {
                q: price for q, price in self._market.spot(now_utc).items() if _near(q, values)
            }
        total, currency = Fraction(0), ""
        by_tariff: dict[int, tuple[Tariff, list[int]]] = {}
        for quarter in values or [int(now_utc.timestamp()) // QUARTER_HOUR_S]:
            agreed = self._contracts.at(site_id, utc_of_quarter(quarter))
            if agreed is None or agreed.tariff is None:
                return None
            by_tariff.setdefault(id(agreed.tariff), (agreed.tariff, []))[1].append(quarter)
        for tariff, quarters in by_tariff.values():
            usage = _usage(tariff, quarters, values, running.spots)
            if usage is None:
                return None
            total += sum((month.total for month in bill(energy_part(tariff), usage)), Fraction(0))
            currency = tariff.currency
        return float(Fraction(cents_of(total, currency), 10 ** MINOR_DIGITS[currency]))


def energy_part(tariff: Tariff) -> Tariff:
    """The components of a tariff that hang on the energy of each quarter hour, and their taxes."""
    return Tariff(
        tariff.name,
        tariff.currency,
        tariff.timezone,
        tuple(component for component in tariff.components if component.kind in _ENERGY),
    )


def thinned(marks: list[Mark]) -> list[Mark]:
    """Fewer marks with the same quarter hours: what lies between two others of the same piece of
    one counter says nothing that these do not."""
    kept: list[Mark] = []
    for direction in ("import", "export"):
        own = sorted((m for m in marks if m.direction == direction), key=lambda m: m.at_utc)
        for place, mark in enumerate(own):
            inside = 0 < place < len(own) - 1
            if inside and _between(own[place - 1], mark, own[place + 1]):
                continue
            kept.append(mark)
    return kept


def _between(before: Mark, mark: Mark, after: Mark) -> bool:
    same = before.meter == mark.meter == after.meter
    rising = before.nano <= mark.nano <= after.nano
    return same and rising and _piece(before) == _piece(mark) == _piece(after)


def _piece(mark: Mark) -> tuple[int, bool]:
    """The quarter hour of a mark; its begin is a piece of its own."""
    second = mark.at_utc.timestamp()
    return int(second) // QUARTER_HOUR_S, second % QUARTER_HOUR_S == 0


def _near(quarter: int, values: Mapping[int, list[int]]) -> bool:
    """Whether a quarter hour is in the hour of one that counts."""
    first = quarter - quarter % PER_HOUR
    return any(first + place in values for place in range(PER_HOUR))


def _usage(
    tariff: Tariff,
    quarters: list[int],
    values: Mapping[int, list[int]],
    spots: Mapping[int, Fraction],
) -> Usage | None:
    """What a tariff bills of a transaction; None where a price is missing. Hours are whole, since
    a price may be the mean of one."""
    hours = sorted({quarter - quarter % PER_HOUR for quarter in quarters})
    begins = [first + place for first in hours for place in range(PER_HOUR)]
    own = set(quarters)
    nothing = [0, 0]
    market = needs_spot(tariff)
    if market:
        if any(quarter not in spots for quarter in own if quarter in values):
            return None
        begins = [quarter for quarter in begins if quarter in spots]
    usage = Usage(
        begins=begins,
        import_nano=[values.get(q, nothing)[0] if q in own else 0 for q in begins],
        export_nano=[values.get(q, nothing)[1] if q in own else 0 for q in begins],
        spot_nano=[round(spots[q] * NANO) for q in begins] if market else [],
    )
    return None if usage_problems(energy_part(tariff), usage) else usage
