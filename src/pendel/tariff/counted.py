"""Billing of what is counted over a month: fees, bonuses, maxima, netting, allowances.

Each function takes the month (`Context`) and one component and gives its lines; what has to be
remembered from month to month (credits, maxima, caps of a year) is in `context.state`.
"""

from datetime import timedelta
from fractions import Fraction

from pendel.tariff.exact import NANO
from pendel.tariff.model import Component, Direction, Kind, Line
from pendel.tariff.month import Context, Lines
from pendel.tariff.periods import local_day
from pendel.tariff.price import in_window, validity

_CT = Fraction(1, 100)
_ZERO = Fraction(0)
QUARTERS_PER_HOUR = 4
RATCHET_MONTHS = 11


def fixed_fee(context: Context, component: Component) -> Lines:
    """A fee per day, month or year; parts by local days."""
    zone, period = context.tariff.timezone, context.period
    begin, end = validity(component, zone)
    first = local_day(max(begin, period.begin), zone)
    last = local_day(min(end, period.end) - 1, zone)
    days = (last - first) // timedelta(days=1) + 1
    numbers = component.numbers
    if "cur_day" in numbers:
        return [Line(component, Fraction(days), "day", days * numbers["cur_day"])]
    if "cur_month" in numbers:
        month_days = (local_day(period.end - 1, zone) - local_day(period.begin, zone)).days + 1
        part = Fraction(days, month_days)
        return [Line(component, part, "month", part * numbers["cur_month"])]
    year_days = 366 if _is_leap(first.year) else 365
    part = Fraction(days, year_days)
    return [Line(component, part, "year", part * numbers["cur_year"])]


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _plugged_h(context: Context, component: Component) -> Fraction:
    """Hours plugged in the month, inside the windows of the component (if it has any)."""
    plugged = context.usage.plugged_nano
    minutes = sum(
        plugged[row] for row in context.rows(component) if _holds(context, component, row)
    )
    return Fraction(minutes, 60 * NANO)


def _holds(context: Context, component: Component, row: int) -> bool:
    if not component.windows:
        return True
    minute, day = context.times[row]
    return any(in_window(window, minute, day, component.holidays) for window in component.windows)


def _year_of(context: Context) -> int:
    return local_day(context.period.begin, context.tariff.timezone).year


def plug_in_bonus(context: Context, component: Component) -> Lines:
    """So much per plugged hour, counted by the minute, up to caps of the month and the year."""
    hours = _plugged_h(context, component)
    amount = hours * component.numbers["cur_h"]
    name, state = component.name, context.state
    for cap, place in (
        ("cap_cur_month", context.month),
        ("cap_cur_year", str(_year_of(context))),
    ):
        if cap in component.numbers:
            left = component.numbers[cap] - state.get((name, place), _ZERO)
            amount = min(amount, max(left, _ZERO))
    for place in (context.month, str(_year_of(context))):
        state[name, place] = state.get((name, place), _ZERO) + amount
    return [Line(component, hours, "h", -amount)]


def capacity_payment(context: Context, component: Component) -> Lines:
    """Pay for power kept ready while plugged: MW and hours, times a score where one is agreed."""
    numbers = component.numbers
    hours = _plugged_h(context, component)
    quantity = hours * numbers["kw"] / 1000 * component.number("score", 1)
    return [Line(component, quantity, "MWh", -quantity * numbers["cur_mw_h"])]


def session_bonus(context: Context, component: Component) -> Lines:
    """A monthly amount if enough sessions stay plugged long enough (inside the windows)."""
    plugged, begins = context.usage.plugged_nano, context.usage.begins
    needed = component.numbers["session_h_min"] * 60 * NANO
    count, minutes, before = 0, 0, -2
    for row in context.rows(component):
        if not plugged[row] or not _holds(context, component, row):
            continue
        if begins[row] != before + 1:
            count += minutes > 0 and minutes >= needed
            minutes = 0
        minutes += plugged[row]
        before = begins[row]
    count += minutes > 0 and minutes >= needed
    reached = count >= component.numbers["sessions_min"]
    amount = component.numbers["cur_month"] if reached else _ZERO
    return [Line(component, Fraction(count), "session", -amount)]


def free_allowance(context: Context, component: Component) -> Lines:
    """Energy of the month given free, if the car was plugged for long enough."""
    numbers = component.numbers
    rows = context.rows(component)
    imported = Fraction(sum(context.usage.import_nano[row] for row in rows), NANO)
    free = min(imported, numbers["kwh_month"])
    if _plugged_h(context, component) < component.number("plugged_h_month"):
        free = _ZERO
    return [Line(component, free, "kWh", -free * numbers["ct_kwh"] * _CT)]


def net_metering(context: Context, component: Component) -> Lines:
    """Credits exported kWh against imported kWh at the retail rate; what is left is carried on
    and paid at the true-up price when the roll-over period ends."""
    numbers, rows, usage = component.numbers, context.rows(component), context.usage
    place = (component.name, "carried")
    exported = Fraction(sum(usage.export_nano[row] for row in rows), NANO)
    imported = Fraction(sum(usage.import_nano[row] for row in rows), NANO)
    credit = context.state.get(place, _ZERO) + exported * component.number("credit_share", 1)
    used = min(credit, imported)
    left = credit - used
    lines = [Line(component, used, "kWh", -used * numbers["ct_kwh"] * _CT)]
    month = local_day(context.period.begin, context.tariff.timezone).month
    months = component.number("period_months", 12)
    if (month - component.number("first_month", 1) + 1) % months == 0:
        if left:
            paid = left * component.number("true_up_ct_kwh") * _CT
            lines.append(Line(component, left, "kWh true-up", -paid))
        left = _ZERO
    context.state[place] = left
    return lines


def demand_charge(context: Context, component: Component) -> Lines:
    """The highest quarter-hour power of the month, with a least amount and a ratchet; a yearly
    price bills each month what the maximum of the year has grown by."""
    numbers, usage = component.numbers, context.usage
    exported = component.direction is Direction.EXPORT
    energy = usage.export_nano if exported else usage.import_nano
    powers = (energy[row] for row in context.rows(component) if _holds(context, component, row))
    highest = Fraction(max(powers, default=0) * QUARTERS_PER_HOUR, NANO)
    number = _month_number(context)
    context.state[component.name, str(number)] = highest
    billed = max(highest, component.number("minimum_kw"))
    if "cur_kw_year" in numbers:
        place = (component.name, f"year {_year_of(context)}")
        before = context.state.get(place, _ZERO)
        billed = max(billed, before)
        context.state[place] = billed
        return [Line(component, billed - before, "kW", (billed - before) * numbers["cur_kw_year"])]
    if "ratchet" in numbers:
        months = int(component.number("ratchet_months", RATCHET_MONTHS))
        past = (
            context.state.get((component.name, str(number - back)), _ZERO)
            for back in range(1, months + 1)
        )
        billed = max(billed, numbers["ratchet"] * max(past, default=_ZERO))
    return [Line(component, billed, "kW", billed * numbers["cur_kw_month"])]


def _month_number(context: Context) -> int:
    first = local_day(context.period.begin, context.tariff.timezone)
    return first.year * 12 + first.month


def _quantity(context: Context, component: Component) -> Fraction:
    return context.usage.quantities.get((context.period.key, component.name), _ZERO)


def levy_relief(context: Context, component: Component) -> Lines:
    """Levies and energy charges that MiSpeL quantity (20) of the month does not bear."""
    quantity = _quantity(context, component)
    return [Line(component, quantity, "kWh", -quantity * component.numbers["ct_kwh"] * _CT)]


def penalty(context: Context, component: Component) -> Lines:
    """So much per missed event or per kWh not delivered."""
    quantity = _quantity(context, component)
    if "cur_event" in component.numbers:
        return [Line(component, quantity, "event", quantity * component.numbers["cur_event"])]
    return [Line(component, quantity, "kWh", quantity * component.numbers["ct_kwh"] * _CT)]


COUNTED_ELSEWHERE = (Kind.LEVY_RELIEF, Kind.PENALTY)
"""Kinds whose quantity is not in the meter series."""
