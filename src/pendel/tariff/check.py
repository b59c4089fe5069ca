"""Finds usage that a tariff cannot bill: energy without a price, prices without their hour."""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from pendel.tariff.counted import COUNTED_ELSEWHERE
from pendel.tariff.kinds import columns_of
from pendel.tariff.model import Direction, Kind, Tariff, Usage
from pendel.tariff.periods import month_periods, quarter_text
from pendel.tariff.price import ENERGY_KINDS, rows_valid, validity

COLUMNS = ("import_kwh", "export_kwh", "spot_eur_mwh", "plugged_min")
_PRICED = {
    Direction.IMPORT: ENERGY_KINDS,
    Direction.EXPORT: (*ENERGY_KINDS, Kind.NET_METERING),
}


class UsageFault(msgspec.Struct, frozen=True):
    """What is wrong at a row of the usage (-1: not at a row)."""

    row: int
    field: str
    problem: str
    allowed: str = ""


def columns_needed(tariff: Tariff) -> list[str]:
    """The usage columns a tariff reads, in the order of COLUMNS."""
    needed: set[str] = set()
    for component in tariff.components:
        needed |= columns_of(component.kind, component.direction, frozenset(component.numbers))
        if component.kind is Kind.EXPORT_ENERGY and (
            component.negative_price_rule or "factor" in component.numbers
        ):
            needed.add("spot_eur_mwh")
        if component.kind is Kind.FREE_ALLOWANCE and "plugged_h_month" not in component.numbers:
            needed -= {"plugged_min"} - _needed_by_others(tariff)
    return [column for column in COLUMNS if column in needed]


def _needed_by_others(tariff: Tariff) -> set[str]:
    others = [c for c in tariff.components if c.kind is not Kind.FREE_ALLOWANCE]
    return {x for c in others for x in columns_of(c.kind, c.direction, frozenset(c.numbers))}


def usage_problems(tariff: Tariff, usage: Usage) -> list[UsageFault]:
    """Everything that would be billed wrongly or not at all; empty = the bill is whole."""
    faults = [*_without_price(tariff, usage), *_incomplete_hours(tariff, usage)]
    for component in tariff.of_kind(*COUNTED_ELSEWHERE):
        begin, end = validity(component, tariff.timezone)
        for period in month_periods(usage.begins, zone=tariff.timezone):
            valid = begin < period.end and end > period.begin
            if valid and (period.key, component.name) not in usage.quantities:
                text = f"no quantity of {component.name} for {period.key}"
                faults.append(UsageFault(-1, "quantity", text, "0 where there is none"))
    return faults


def _without_price(tariff: Tariff, usage: Usage) -> list[UsageFault]:
    """The first row of each run of energy for which no price of its direction is valid."""
    faults: list[UsageFault] = []
    rows = len(usage.begins)
    for direction, kinds in _PRICED.items():
        energy = usage.import_nano if direction is Direction.IMPORT else usage.export_nano
        priced = [c for c in tariff.of_kind(*kinds) if c.direction is direction]
        if not priced or not energy:
            continue
        valid = bytearray(rows)
        for component in priced:
            low, high = rows_valid(component, tariff.timezone, usage.begins, 0, rows)
            valid[low:high] = b"\x01" * (high - low)
        open_run = False
        for row in range(rows):
            lacking = energy[row] > 0 and not valid[row]
            if lacking and not open_run:
                text = f"no price is valid at {quarter_text(usage.begins[row])}"
                faults.append(UsageFault(row, f"{direction.value}_kwh", text))
            open_run = lacking or (open_run and not valid[row])
    return faults


def _incomplete_hours(tariff: Tariff, usage: Usage) -> list[UsageFault]:
    """Half and full hours of which a spot price is missing: their mean is not known."""
    faults: dict[int, UsageFault] = {}
    for component in tariff.components:
        quarters = int(component.number("resolution_min", 15)) // 15
        if quarters == 1:
            continue
        rows = rows_valid(component, tariff.timezone, usage.begins, 0, len(usage.begins))
        for row in range(*rows):
            first = usage.begins[row] - usage.begins[row] % quarters
            if _count(usage.begins, first, first + quarters) < quarters:
                text = f"the mean price of {15 * quarters} min needs all its quarter hours"
                faults.setdefault(first, UsageFault(row, "spot_eur_mwh", text))
    return list(faults.values())


def _count(begins: Sequence[int], begin: int, end: int) -> int:
    return bisect_left(begins, end) - bisect_left(begins, begin)
