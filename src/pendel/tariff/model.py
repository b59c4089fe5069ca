"""A tariff: dated components, each of one of 17 kinds, for every country the same.

Amounts are exact (`Fraction`), net, in the currency of the tariff; positive = the customer pays.
A component is valid on local days valid_from <= day < valid_until in the zone of the tariff.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias


class Direction(StrEnum):
    """Which register a component counts."""

    IMPORT = "import"
    EXPORT = "export"
    NONE = "none"


class Kind(StrEnum):
    """The 17 kinds of components (facts: settlement, section 3)."""

    FIXED_FEE = "fixed_fee"
    FLAT_ENERGY = "flat_energy"
    TOU_ENERGY = "tou_energy"
    DYNAMIC_ENERGY = "dynamic_energy"
    EXPORT_ENERGY = "export_energy"
    NET_METERING = "net_metering"
    DEMAND_CHARGE = "demand_charge"
    CAPACITY_PAYMENT = "capacity_payment"
    PLUG_IN_BONUS = "plug_in_bonus"
    SESSION_BONUS = "session_bonus"
    FREE_ALLOWANCE = "free_allowance"
    LEVY = "levy"
    TAX = "tax"
    LEVY_RELIEF = "levy_relief"
    PENALTY = "penalty"
    CAP = "cap"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of local days: from_min <= minute < until_min (may wrap midnight), on weekdays
    (0 = Monday; holidays count as Sunday) and in months (1..12); ct_kwh where it carries a price.
    """

    from_min: int = 0
    until_min: int = 1440
    weekdays: frozenset[int] = frozenset(range(7))
    months: frozenset[int] = frozenset(range(1, 13))
    ct_kwh: Fraction = Fraction(0)

    def holds(self, minute: int, weekday: int, month: int) -> bool:
        """Whether a local minute of the day lies in the window."""
        if weekday not in self.weekdays or month not in self.months:
            return False
        if self.from_min <= self.until_min:
            return self.from_min <= minute < self.until_min
        return minute >= self.from_min or minute < self.until_min


Value: TypeAlias = Fraction | str | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Component:
    """One dated component. numbers, words: its parameters by name (see `tariff.kinds`);
    source and legal_ref say where the numbers come from."""

    name: str
    kind: Kind
    direction: Direction
    valid_from: date
    valid_until: date | None
    numbers: dict[str, Fraction] = field(default_factory=dict)
    of: tuple[str, ...] = ()
    negative_price_rule: bool = False
    windows: tuple[Window, ...] = ()
    holidays: frozenset[date] = frozenset()
    source: str = ""
    legal_ref: str = ""

    def number(self, key: str, default: Fraction | int = 0) -> Fraction:
        """A parameter, or the default where it is not given."""
        return self.numbers.get(key, Fraction(default))


@dataclass(frozen=True, slots=True)
class Tariff:
    """Components in the order in which a bill lists them."""

    name: str
    currency: str
    timezone: str
    components: tuple[Component, ...]

    def of_kind(self, *kinds: Kind) -> list[Component]:
        """Components of some kinds, in order."""
        return [component for component in self.components if component.kind in kinds]


@dataclass(frozen=True, slots=True)
class Usage:
    """What is billed: ascending quarter hours (see `tariff.periods`) and integers of 1e-9.

    import_nano, export_nano [1e-9 kWh], spot_nano [1e-9 EUR/MWh], plugged_nano [1e-9 minutes];
    empty where a tariff does not need them. export_spot_nano: where export has own prices.
    quantities: per month key and component name what is counted elsewhere (kWh of MiSpeL (20),
    missed promises).
    """

    begins: Sequence[int]
    import_nano: Sequence[int] = ()
    export_nano: Sequence[int] = ()
    spot_nano: Sequence[int] = ()
    plugged_nano: Sequence[int] = ()
    quantities: dict[tuple[str, str], Fraction] = field(default_factory=dict)
    export_spot_nano: Sequence[int] = ()

    def spots(self, direction: Direction) -> Sequence[int]:
        """The spot prices of a direction."""
        own = direction is Direction.EXPORT and self.export_spot_nano
        return self.export_spot_nano if own else self.spot_nano


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill. quantity and amount exact; unit of the quantity; amount in the
    currency of the tariff, positive = the customer pays."""

    component: Component
    quantity: Fraction
    unit: str
    amount: Fraction
