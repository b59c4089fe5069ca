"""Bills usage under a tariff, month by month, exact: one line per valid component.

Months are local; a quarter hour belongs to the month in which it begins. Amounts are net,
positive = the customer pays, a bonus is negative.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from pendel.tariff import counted
from pendel.tariff.exact import NANO
from pendel.tariff.model import Component, Direction, Kind, Line, Tariff, Usage
from pendel.tariff.month import Context, Lines
from pendel.tariff.periods import Period, month_periods
from pendel.tariff.price import LocalTimes, price_key, price_kwh, validity

_CT = Fraction(1, 100)


@dataclass(frozen=True, slots=True)
class MonthBill:
    """Lines of one local month in the order of the tariff."""

    period: Period
    lines: list[Line]

    @property
    def total(self) -> Fraction:
        """Sum of the lines, exact."""
        return sum((line.amount for line in self.lines), Fraction(0))


def bill(tariff: Tariff, usage: Usage, splits: Iterable[date] = ()) -> list[MonthBill]:
    """Bill every local month that holds a quarter hour of the usage, ascending.

    splits: local days on which a part of a month begins; what is capped or counted per month is
    then counted per part. Check the usage first (`tariff.check.usage_problems`): what has no price
    is not billed.
    """
    state: dict[tuple[str, str], Fraction] = {}
    times = LocalTimes(usage.begins, tariff.timezone)
    bills: list[MonthBill] = []
    for period in month_periods(usage.begins, tuple(splits), tariff.timezone):
        low = bisect_left(usage.begins, period.begin)
        high = bisect_left(usage.begins, period.end)
        context = Context(tariff, usage, times, state, period, low, high)
        _main_lines(context)
        _group_lines(context)
        order = range(len(tariff.components))
        lines = [line for index in order for line in context.lines.get(index, [])]
        bills.append(MonthBill(period, lines))
    return bills


def _main_lines(context: Context) -> None:
    """Everything that does not depend on other lines."""
    for index, component in enumerate(context.tariff.components):
        if not _is_group(component) and _is_valid(context, component):
            context.lines[index] = _BILLERS[component.kind](context, component)


def _group_lines(context: Context) -> None:
    """Caps and floors over groups, then taxes in percent over everything they name."""
    for kinds in ((Kind.CAP, Kind.FLOOR), (Kind.TAX,)):
        for index, component in enumerate(context.tariff.components):
            if component.kind not in kinds or not _is_group(component):
                continue
            if _is_valid(context, component):
                context.lines[index] = [_group_line(context, component)]


def _group_line(context: Context, component: Component) -> Line:
    total = Fraction(0)
    for lines in context.lines.values():
        for line in lines:
            part = line.component
            named = part.name in component.of if component.of else "percent" not in part.numbers
            if named and part.name != component.name:
                total += line.amount
    if component.kind is Kind.TAX:
        amount = total * component.numbers["percent"] * _CT
    else:
        bound = component.numbers["cur_month"]
        amount = bound - total
        wrong_side = amount > 0 if component.kind is Kind.CAP else amount < 0
        amount = Fraction(0) if wrong_side else amount
    return Line(component, total, context.tariff.currency, amount)


def _is_group(component: Component) -> bool:
    return component.kind in (Kind.CAP, Kind.FLOOR) or "percent" in component.numbers


def _is_valid(context: Context, component: Component) -> bool:
    begin, end = validity(component, context.tariff.timezone)
    return begin < context.period.end and end > context.period.begin


def _energy(context: Context, component: Component) -> Lines:
    """flat, tou, dynamic, export_energy, levy, tax per kWh: sums per distinct price."""
    energy = (
        context.usage.export_nano
        if component.direction is Direction.EXPORT
        else context.usage.import_nano
    )
    sums: dict[Hashable, int] = {}
    for row in context.rows(component):
        nano = energy[row]
        if nano:
            key = price_key(component, context.usage, context.times, row)
            sums[key] = sums.get(key, 0) + nano
    amount = Fraction(0)
    for key, nano in sums.items():
        amount += price_kwh(component, key) * Fraction(nano, NANO)
    earned = component.direction is Direction.EXPORT and component.kind not in (
        Kind.LEVY,
        Kind.TAX,
    )
    quantity = Fraction(sum(sums.values()), NANO)
    return [Line(component, quantity, "kWh", -amount if earned else amount)]


Biller = Callable[[Context, Component], Lines]
_BILLERS: dict[Kind, Biller] = {
    Kind.FIXED_FEE: counted.fixed_fee,
    Kind.FLAT_ENERGY: _energy,
    Kind.TOU_ENERGY: _energy,
    Kind.DYNAMIC_ENERGY: _energy,
    Kind.EXPORT_ENERGY: _energy,
    Kind.LEVY: _energy,
    Kind.TAX: _energy,
    Kind.NET_METERING: counted.net_metering,
    Kind.DEMAND_CHARGE: counted.demand_charge,
    Kind.CAPACITY_PAYMENT: counted.capacity_payment,
    Kind.PLUG_IN_BONUS: counted.plug_in_bonus,
    Kind.SESSION_BONUS: counted.session_bonus,
    Kind.FREE_ALLOWANCE: counted.free_allowance,
    Kind.LEVY_RELIEF: counted.levy_relief,
    Kind.PENALTY: counted.penalty,
}
