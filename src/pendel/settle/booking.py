"""From a bill to the ledger: who owes whom, in money and in energy.

Each line becomes one entry: the parties with a share owe it (or are owed), the other side is the
account that its kind belongs to; what rounding to cents adds goes to the rounding account.
"""

from collections.abc import Mapping
from fractions import Fraction

from pendel.settle.ledger import (
    ROUNDING,
    Entry,
    Leg,
    cents_with_rounding,
    energy_units,
    money_units,
    share_out,
)
from pendel.settle.statement import Shares, line_id, shares_of
from pendel.tariff.bill import MonthBill
from pendel.tariff.model import Direction, Kind, Tariff

COUNTER_ACCOUNT = {
    Kind.LEVY: "grid",
    Kind.LEVY_RELIEF: "grid",
    Kind.DEMAND_CHARGE: "grid",
    Kind.TAX: "tax",
    Kind.PLUG_IN_BONUS: "aggregator-pool",
    Kind.SESSION_BONUS: "aggregator-pool",
    Kind.CAPACITY_PAYMENT: "aggregator-pool",
    Kind.PENALTY: "aggregator-pool",
}
SUPPLIER = "supplier"
_ENERGY = (Kind.FLAT_ENERGY, Kind.TOU_ENERGY, Kind.DYNAMIC_ENERGY, Kind.EXPORT_ENERGY)


def entries_of(run: str, tariff: Tariff, bill: MonthBill, shares: Shares) -> list[Entry]:
    """Entries of a month; money in 1e-5, energy moves only on lines that price energy."""
    entries: list[Entry] = []
    for place, line in enumerate(bill.lines):
        component = line.component
        units = money_units(line.amount)
        counter = COUNTER_ACCOUNT.get(component.kind, SUPPLIER)
        energy = 0
        if component.kind in _ENERGY:
            energy = energy_units(line.quantity)
            energy = -energy if component.direction is Direction.EXPORT else energy
        key = shares_of(shares, component.name)
        legs = _party_legs(units, energy, key)
        booked = sum(leg.money for leg in legs)
        moved = sum(leg.energy for leg in legs)
        entries.append(
            Entry(
                run=run,
                component=component.name,
                currency=tariff.currency,
                legs=(*legs, Leg(counter, -booked, -moved)),
                line=line_id(run, bill.period.key, component.name, place),
            )
        )
    return entries


def _party_legs(units: int, energy: int, shares: Mapping[str, Fraction]) -> tuple[Leg, ...]:
    """Each party in whole cents; the difference to the exact share is the rounding account's."""
    legs: list[Leg] = []
    rounding = 0
    moved = {leg.account: leg.money for leg in share_out(energy, shares)}
    for leg in share_out(units, shares):
        if leg.account == ROUNDING:
            rounding += leg.money
            continue
        cents, added = cents_with_rounding(leg.money)
        rounding -= added
        legs.append(Leg(leg.account, cents, moved.get(leg.account, 0)))
    rest = moved.get(ROUNDING, 0)
    return (*legs, Leg(ROUNDING, rounding, rest)) if rounding or rest else tuple(legs)
