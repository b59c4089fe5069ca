"""From what a log holds to what settlement takes: tables of quarter hours and usage of tariffs.

Simulated and device values never make a result final.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

from pendel.runtime.collecting import MWH, SiteSeries, Stay
from pendel.runtime.flows import SessionFlow
from pendel.settle.mispel import Settlement, settle_table
from pendel.settle.quarter_file import QuarterTable
from pendel.settle.rulesets import RuleSet
from pendel.tariff.exact import NANO
from pendel.tariff.model import Kind, Tariff, Usage
from pendel.tariff.periods import utc_of_quarter
from pendel.tariff.planning import needs_spot
from pendel.units import QUARTER_HOUR_S

QUARTER = timedelta(seconds=QUARTER_HOUR_S)
_NOTHING = (Fraction(0), Fraction(0))


def priced(series: SiteSeries, tariff: Tariff, published: bool, low: int, high: int) -> SiteSeries:
    """The part low <= q < high of a series that a tariff can price. published: the tariff bills
    prices as they were published; else its own, and market prices where it follows these."""
    wanted = series.prices.keys() if published else series.grid.keys() & series.cars.keys()
    if not published and needs_spot(tariff):
        wanted = wanted & series.spots.keys()
    prices = {q: series.prices.get(q, _NOTHING) for q in wanted if low <= q < high}
    spots = {} if published else series.spots
    return replace(series, prices=prices, spots=spots)


def split_site(
    series: SiteSeries,
    case: str,
    rules: RuleSet,
    now: int,
    simulated: bool = True,
    splits: Sequence[date] = (),
) -> Settlement:
    """MiSpeL of a site: Z1 is its grid connection, Z2 its charge points. A quarter hour with a
    published export price above 0 counts as funded (AW > 0). splits: days on which part months
    begin."""
    begins = series.begins
    table = QuarterTable(
        begins=begins,
        columns={
            "z1nb": [series.grid[q][0] for q in begins],
            "z1ne": [series.grid[q][1] for q in begins],
            "z2v": [series.cars[q][0] for q in begins],
            "z2e": [series.cars[q][1] for q in begins],
            "aw_ct_kwh": [int(series.prices[q][1] > 0) for q in begins],
        },
        mentioned=begins,
    )
    return settle_table(table, case, rules, now, metering_operator=not simulated, splits=splits)


def usage_of_site(series: SiteSeries, tariff: Tariff, settlement: Settlement) -> Usage:
    """What a tariff bills of a site; relief components get the MiSpeL quantity (20). Market prices
    where the series has them, else the prices as published stand for them."""
    begins = series.begins
    reliefs = [component.name for component in tariff.of_kind(Kind.LEVY_RELIEF)]
    quantities = {
        (month.period.key, name): month.formulas["(20)"] or Fraction(0)
        for month in settlement.months
        for name in reliefs
    }
    spots = [round(series.spots[q] * NANO) for q in begins if q in series.spots]
    market = len(spots) == len(begins) and bool(series.spots)
    return Usage(
        begins=begins,
        import_nano=[series.grid[q][0] for q in begins],
        export_nano=[series.grid[q][1] for q in begins],
        spot_nano=spots if market else [_spot(series.prices[q][0]) for q in begins],
        quantities=quantities,
        export_spot_nano=[] if market else [_spot(series.prices[q][1]) for q in begins],
    )


def _spot(price_kwh: Fraction) -> int:
    """A price per kWh as 1e-9 per MWh; more digits than that are not published."""
    return round(price_kwh * MWH * NANO)


def usage_of_driver(
    stays: Sequence[Stay],
    begin: int,
    end: int,
    flows: Mapping[str, SessionFlow] | None = None,
    sites: Mapping[str, SiteSeries] | None = None,
) -> Usage:
    """Whole minutes plugged and energy per quarter hour begin <= q < end of one driver's stays;
    market prices are those of the site he stood at."""
    count = max(end - begin, 0)
    minutes, taken, given, spots = ([0] * count for _ in range(4))
    for stay in stays:
        until_utc = stay.end_utc or utc_of_quarter(end)
        first = max(int(stay.begin_utc.timestamp()) // QUARTER_HOUR_S - begin, 0)
        last = min(-(-int(until_utc.timestamp()) // QUARTER_HOUR_S) - begin, count)
        series = None if sites is None else sites.get(stay.site_id)
        for place in range(first, last):
            quarter_utc = utc_of_quarter(begin + place)
            overlap = min(until_utc, quarter_utc + QUARTER) - max(stay.begin_utc, quarter_utc)
            minutes[place] += max(int(overlap.total_seconds()) // 60, 0)
            if series is not None and begin + place in series.spots:
                spots[place] = round(series.spots[begin + place] * NANO)
        flow = None if flows is None else flows.get(stay.session_id)
        for quarter, pair in ({} if flow is None else flow.values).items():
            if begin <= quarter < end:
                taken[quarter - begin] += pair[0]
                given[quarter - begin] += pair[1]
    return Usage(
        begins=list(range(begin, end)),
        import_nano=taken,
        export_nano=given,
        spot_nano=spots,
        plugged_nano=[min(m, 15) * NANO for m in minutes],
    )


def stays_by_vehicle(stays: Iterable[Stay]) -> Mapping[str, list[Stay]]:
    """Stays of each vehicle, vehicles in order of their ids."""
    found: dict[str, list[Stay]] = {}
    for stay in sorted(stays, key=lambda s: (s.vehicle, s.begin_utc)):
        found.setdefault(stay.vehicle, []).append(stay)
    return found


def stays_version(stays: Sequence[Stay], flows: Mapping[str, SessionFlow] | None = None) -> str:
    """SHA-256 of stays and their energy: the same stays, the same version."""
    lines = []
    for stay in stays:
        end = stay.end_utc.isoformat() if stay.end_utc else ""
        lines.append(f"{stay.vehicle},{stay.site_id},{stay.begin_utc.isoformat()},{end}")
        flow = None if flows is None else flows.get(stay.session_id)
        if flow is not None:
            lines += [f"{q},{pair[0]},{pair[1]}" for q, pair in sorted(flow.values.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
