"""What a tariff means for decisions: prices of the coming quarter hours, and the worth of relief.

The same components that bill (`tariff.bill`) price a plan. What is counted over a month and not
per kilowatt hour enters as what one more kWh or kW of it would change.
"""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from pendel.tariff.check import columns_needed, usage_problems
from pendel.tariff.model import Component, Direction, Kind, Tariff, Usage
from pendel.tariff.periods import first_quarter
from pendel.tariff.price import percent_taxes, unit_prices, validity

_CT = Fraction(1, 100)
_FIELDS = frozenset({"import_kwh", "export_kwh", "spot_eur_mwh"})


def needs_spot(tariff: Tariff) -> bool:
    """Whether a price of this tariff follows the spot market."""
    return "spot_eur_mwh" in columns_needed(tariff)


def known_rows(tariff: Tariff, usage: Usage) -> int:
    """How many quarter hours of the usage, from the first on, have a price without a gap.

    usage: begins, and spot_nano where the tariff needs it."""
    count = len(usage.begins)
    asked = Usage(
        begins=usage.begins,
        import_nano=[1] * count,
        export_nano=[1] * count,
        spot_nano=usage.spot_nano,
    )
    rows = [f.row for f in usage_problems(tariff, asked) if f.field in _FIELDS and f.row >= 0]
    return min(rows, default=count)


def planning_prices(tariff: Tariff, usage: Usage) -> tuple[list[Fraction], list[Fraction]]:
    """Import and export price per kWh of each quarter hour, exact, taxes included; energy that is
    netted is worth its credit. Relief is not in it (see `relief_kwh`)."""
    imported = unit_prices(tariff, usage, Direction.IMPORT)
    exported = unit_prices(tariff, usage, Direction.EXPORT)
    for component in tariff.of_kind(Kind.NET_METERING):
        begin, end = validity(component, tariff.timezone)
        credit = component.number("credit_share", 1) * component.numbers["ct_kwh"] * _CT
        for row, quarter in enumerate(usage.begins):
            if begin <= quarter < end:
                exported[row] += credit * _taxed(tariff, component, quarter)
    return imported, exported


def relief_kwh(tariff: Tariff, quarter: int) -> Fraction:
    """What one kWh of MiSpeL quantity (20) saves [currency/kWh], taxes included."""
    return sum(
        (
            component.numbers["ct_kwh"] * _CT * _taxed(tariff, component, quarter)
            for component in tariff.of_kind(Kind.LEVY_RELIEF)
            if _holds(tariff, component, quarter)
        ),
        Fraction(0),
    )


def demand_charge_kw(tariff: Tariff, day: date) -> Fraction:
    """What one more kW of the highest import costs on a local day [currency/kW], taxes included;
    a charge per year counts whole: it bills what the maximum of the year grows by."""
    quarter = first_quarter(day, tariff.timezone)
    return sum(
        (
            (component.number("cur_kw_month") + component.number("cur_kw_year"))
            * _taxed(tariff, component, quarter)
            for component in tariff.of_kind(Kind.DEMAND_CHARGE)
            if component.direction is Direction.IMPORT and _holds(tariff, component, quarter)
        ),
        Fraction(0),
    )


def _holds(tariff: Tariff, component: Component, quarter: int) -> bool:
    begin, end = validity(component, tariff.timezone)
    return begin <= quarter < end


def _taxed(tariff: Tariff, component: Component, quarter: int) -> Fraction:
    """1 plus the percent taxes that are raised on a component."""
    factor = Fraction(1)
    taxes: Sequence[Component] = percent_taxes(tariff, component)
    for tax in taxes:
        if _holds(tariff, tax, quarter):
            factor *= 1 + tax.numbers["percent"] * _CT
    return factor
