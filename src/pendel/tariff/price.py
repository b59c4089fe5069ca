"""Prices per quarter hour: what one kilowatt hour costs or earns, exact.

Prices that vary are grouped by a key (window, spot price), so that a year is billed by one sum of
integers per distinct price instead of a fraction per quarter hour.
"""

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from pendel.tariff.exact import NANO
from pendel.tariff.model import Component, Direction, Kind, Tariff, Usage, Window
from pendel.tariff.periods import first_quarter, utc_of_quarter

ENERGY_KINDS = (
    Kind.FLAT_ENERGY,
    Kind.TOU_ENERGY,
    Kind.DYNAMIC_ENERGY,
    Kind.EXPORT_ENERGY,
)
_CT = Fraction(1, 100)
_NO_PAY = None


class LocalTimes:
    """Local minute, weekday and month of quarter hours; computed once per usage and zone."""

    def __init__(self, begins: Sequence[int], zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._begins = begins
        self._times: list[tuple[int, date]] = []

    def __getitem__(self, row: int) -> tuple[int, date]:
        """(minute of the local day, local day) of a row."""
        if not self._times:
            local = (utc_of_quarter(begin).astimezone(self._zone) for begin in self._begins)
            self._times = [(when.hour * 60 + when.minute, when.date()) for when in local]
        return self._times[row]


def in_window(window: Window, minute: int, day: date, holidays: frozenset[date]) -> bool:
    """Whether a quarter hour lies in a window; holidays count as Sunday."""
    weekday = 6 if day in holidays else day.weekday()
    return window.holds(minute, weekday, day.month)


def window_of(component: Component, minute: int, day: date) -> int:
    """Number of the first window that holds, -1 for none."""
    for number, window in enumerate(component.windows):
        if in_window(window, minute, day, component.holidays):
            return number
    return -1


def validity(component: Component, zone: str) -> tuple[int, int]:
    """Quarter hours of validity: begin, and end (exclusive, far away where open)."""
    begin = 0 if component.valid_from.year < 1971 else first_quarter(component.valid_from, zone)
    until = component.valid_until
    return begin, 1 << 40 if until is None else first_quarter(until, zone)


def rows_valid(
    component: Component, zone: str, begins: Sequence[int], low: int, high: int
) -> tuple[int, int]:
    """The rows of low <= row < high in which a component is valid."""
    begin, end = validity(component, zone)
    return bisect_left(begins, begin, low, high), bisect_left(begins, end, low, high)


def spot_of(component: Component, usage: Usage, row: int) -> Fraction | int:
    """The spot price that applies [1e-9 EUR/MWh]: of the quarter hour, or the mean of the half
    or full hour it lies in."""
    quarters = int(component.number("resolution_min", 15)) // 15
    spots = usage.spots(component.direction)
    if quarters == 1:
        return spots[row]
    first = usage.begins[row] - usage.begins[row] % quarters
    low = bisect_left(usage.begins, first)
    high = bisect_left(usage.begins, first + quarters)
    return Fraction(sum(spots[low:high]), high - low)


def price_key(component: Component, usage: Usage, times: LocalTimes, row: int) -> Hashable:
    """What the price of a row depends on; equal keys have equal prices."""
    if component.kind is Kind.TOU_ENERGY:
        return window_of(component, *times[row])
    if component.negative_price_rule and usage.spots(component.direction)[row] < 0:
        return _NO_PAY
    if "factor" in component.numbers:
        return spot_of(component, usage, row)
    return 0


def price_kwh(component: Component, key: Hashable) -> Fraction:
    """Price of one kWh for a key of `price_key`, in the currency of the tariff."""
    if key is _NO_PAY:
        return Fraction(0)
    numbers = component.numbers
    if component.kind is Kind.TOU_ENERGY and isinstance(key, int) and key >= 0:
        return component.windows[key].ct_kwh * _CT
    if "factor" not in numbers:
        fixed = numbers["ct_kwh"] if "ct_kwh" in numbers else numbers["aw_ct_kwh"]
        return fixed * _CT
    spot = key if isinstance(key, int | Fraction) else 0
    price = numbers["factor"] * Fraction(spot, 1000 * NANO) + component.number("adder_ct_kwh") * _CT
    if "floor_ct_kwh" in numbers:
        price = max(price, numbers["floor_ct_kwh"] * _CT)
    if "ceiling_ct_kwh" in numbers:
        price = min(price, numbers["ceiling_ct_kwh"] * _CT)
    return price


def unit_prices(tariff: Tariff, usage: Usage, direction: Direction) -> list[Fraction]:
    """Price of one kWh per quarter hour of the usage, taxes and levies included.

    Import: what the customer pays; export: what the customer is paid. Bonuses, fees, demand
    charges and netting are not prices per kWh and are not in it. usage needs begins, and
    spot_nano where the tariff is dynamic.
    """
    times = LocalTimes(usage.begins, tariff.timezone)
    rows = len(usage.begins)
    prices = [Fraction(0)] * rows
    metered = [c for c in tariff.components if _is_price(c) and c.direction is direction]
    for component in metered:
        low, high = rows_valid(component, tariff.timezone, usage.begins, 0, rows)
        rates = [
            (tax, *rows_valid(tax, tariff.timezone, usage.begins, 0, rows))
            for tax in percent_taxes(tariff, component)
        ]
        known: dict[Hashable, Fraction] = {}
        charged = component.kind in (Kind.LEVY, Kind.TAX) and direction is Direction.EXPORT
        for row in range(low, high):
            key = price_key(component, usage, times, row)
            price = known.get(key)
            if price is None:
                price = known[key] = price_kwh(component, key)
            for tax, begin, end in rates:
                if begin <= row < end:
                    price *= 1 + tax.numbers["percent"] * _CT
            prices[row] += -price if charged else price
    return prices


def percent_taxes(tariff: Tariff, component: Component) -> list[Component]:
    """The taxes in percent that are raised on a component."""
    return [
        tax
        for tax in tariff.of_kind(Kind.TAX)
        if "percent" in tax.numbers
        and tax.name != component.name
        and (not tax.of or component.name in tax.of)
    ]


def _is_price(component: Component) -> bool:
    if component.kind in (Kind.LEVY, Kind.TAX):
        return "ct_kwh" in component.numbers
    return component.kind in ENERGY_KINDS
