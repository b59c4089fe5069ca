"""From the store to statements: deliveries, prices and stays become bills, bookings and pages.

Everything comes from the log: what flowed (Delivery), what it cost then (price signals), who was
plugged in (SessionEvent). Simulated and device values never make a result final.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from pendel.records import AnyRecord, Delivery, SessionEvent, Signal
from pendel.runtime.state import CARS_SUFFIX, GRID_SUFFIX, PRICE
from pendel.settle.meter import Quality
from pendel.settle.mispel import Settlement, settle_table
from pendel.settle.quarter_file import QuarterTable
from pendel.settle.rulesets import RuleSet
from pendel.settle.series import Series, Value
from pendel.settle.statement import Source
from pendel.tariff.exact import NANO, parse_nano
from pendel.tariff.model import Kind, Tariff, Usage
from pendel.tariff.periods import quarter_of, utc_of_quarter
from pendel.units import QUARTER_HOUR_S

MWH = 1000
QUARTER = timedelta(seconds=QUARTER_HOUR_S)


@dataclass(frozen=True, slots=True)
class Stay:
    """A car at a site; end_utc None = still there. vehicle: its id, or that of the session."""

    vehicle: str
    site_id: str
    begin_utc: datetime
    end_utc: datetime | None


@dataclass(slots=True)
class SiteSeries:
    """Quarter hours of a site: energy through both metering points [1e-9 kWh, import and export],
    published prices [per kWh, exact], and the ids of the deliveries behind them."""

    site_id: str
    grid: dict[int, tuple[int, int]] = field(default_factory=dict)
    cars: dict[int, tuple[int, int]] = field(default_factory=dict)
    prices: dict[int, tuple[Fraction, Fraction]] = field(default_factory=dict)
    causes: dict[int, list[str]] = field(default_factory=dict)

    @property
    def begins(self) -> list[int]:
        """Quarter hours with everything that settlement needs, ascending."""
        return sorted(self.grid.keys() & self.cars.keys() & self.prices.keys())

    def sources(self) -> tuple[Source, ...]:
        """The four series with their version hashes."""
        found = []
        for point, values in ((GRID_SUFFIX, self.grid), (CARS_SUFFIX, self.cars)):
            for place, direction in enumerate(("import", "export")):
                series = Series(
                    self.site_id + point,
                    direction,
                    {q: Value(pair[place], Quality.DEVICE) for q, pair in values.items()},
                )
                found.append(
                    Source(series.point, direction, series.version, len(values), signed=False)
                )
        return tuple(found)


@dataclass(slots=True)
class Collected:
    """What a log holds for settlement."""

    sites: dict[str, SiteSeries] = field(default_factory=dict)
    stays: list[Stay] = field(default_factory=list)


def collect(
    records: Iterable[tuple[int, AnyRecord]],
    begin_utc: datetime | None = None,
    end_utc: datetime | None = None,
) -> Collected:
    """Series and stays of a log, of quarter hours begin <= q < end (all where None)."""
    found, tables = Collected(), _PriceTables()
    plugged: dict[str, SessionEvent] = {}
    for _, record in records:
        if isinstance(record, Signal) and record.topic == PRICE:
            tables.take(record)
        elif isinstance(record, SessionEvent):
            _stay(found, plugged, record)
        elif isinstance(record, Delivery):
            begins = record.begin_utc
            early = begin_utc is not None and begins < begin_utc
            if not early and not (end_utc is not None and begins >= end_utc):
                _deliver(found, tables, record)
    for event in plugged.values():
        found.stays.append(Stay(_vehicle(event), event.site_id, event.at_utc, None))
    return found


class _PriceTables:
    """Published prices by row of sites, and which row a signal belongs to."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, tuple[Fraction, Fraction]]] = {}
        self.row_of: dict[str, tuple[str, int]] = {}

    def take(self, signal: Signal) -> None:
        """Add the prices of a publication."""
        detail = signal.detail
        begin_s, step_s = detail.get("begin_s"), detail.get("step_s")
        imports, exports = detail.get("import_eur_kwh"), detail.get("export_eur_kwh")
        name = str(detail.get("sites", ""))
        if not isinstance(begin_s, float) or not isinstance(step_s, float):
            return
        if not isinstance(imports, list) or not isinstance(exports, list):
            return
        self.row_of[signal.id] = (name, int(step_s))
        row = self.rows.setdefault(name, {})
        for place, pair in enumerate(zip(imports, exports, strict=False)):
            row[int(begin_s) + place * int(step_s)] = (exact(pair[0]), exact(pair[1]))

    def at(self, signal_id: str, quarter: int) -> tuple[Fraction, Fraction] | None:
        """Import and export price of a quarter hour, of the row of a signal."""
        name, step_s = self.row_of.get(signal_id, ("", QUARTER_HOUR_S))
        second = quarter * QUARTER_HOUR_S
        return self.rows.get(name, {}).get(second - second % step_s)


def exact(value: float) -> Fraction:
    """A stored price per kWh as the decimal it stands for, to 1e-12: the finest a bill carries."""
    return Fraction(round(Fraction(repr(float(value))) * MWH * NANO), MWH * NANO)


def _vehicle(event: SessionEvent) -> str:
    return event.vehicle_id or event.session_id


def _stay(found: Collected, plugged: dict[str, SessionEvent], event: SessionEvent) -> None:
    if event.phase == "plugged":
        plugged[event.session_id] = event
        return
    begun = plugged.pop(event.session_id, None)
    if begun is not None:
        stay = Stay(_vehicle(begun), begun.site_id, begun.at_utc, event.at_utc)
        found.stays.append(stay)


def _deliver(found: Collected, tables: _PriceTables, record: Delivery) -> None:
    quarter = quarter_of(record.begin_utc)
    taken, given = parse_nano(record.import_kwh), parse_nano(record.export_kwh)
    if quarter is None or taken is None or given is None:
        return
    series = found.sites.setdefault(record.site_id, SiteSeries(record.site_id))
    values = series.grid if record.device_id.endswith(GRID_SUFFIX) else series.cars
    values[quarter] = (taken, given)
    series.causes.setdefault(quarter, []).append(record.id)
    for cause in record.causes:
        price = tables.at(cause, quarter)
        if price is not None:
            series.prices[quarter] = price


def split_site(
    series: SiteSeries, case: str, rules: RuleSet, now: int, simulated: bool = True
) -> Settlement:
    """MiSpeL of a site: Z1 is its grid connection, Z2 its charge points. A quarter hour with a
    published export price above 0 counts as funded (AW > 0)."""
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
    return settle_table(table, case, rules, now, metering_operator=not simulated)


def usage_of_site(series: SiteSeries, tariff: Tariff, settlement: Settlement) -> Usage:
    """What a tariff bills of a site; relief components get the MiSpeL quantity (20)."""
    begins = series.begins
    reliefs = [component.name for component in tariff.of_kind(Kind.LEVY_RELIEF)]
    quantities = {
        (month.period.key, name): month.formulas["(20)"] or Fraction(0)
        for month in settlement.months
        for name in reliefs
    }
    return Usage(
        begins=begins,
        import_nano=[series.grid[q][0] for q in begins],
        export_nano=[series.grid[q][1] for q in begins],
        spot_nano=[_spot(series.prices[q][0]) for q in begins],
        quantities=quantities,
        export_spot_nano=[_spot(series.prices[q][1]) for q in begins],
    )


def _spot(price_kwh: Fraction) -> int:
    """A price per kWh as 1e-9 per MWh; more digits than that are not published."""
    return round(price_kwh * MWH * NANO)


def usage_of_driver(stays: Sequence[Stay], begin: int, end: int) -> Usage:
    """Whole minutes plugged per quarter hour begin <= q < end of one driver's stays."""
    minutes = [0] * max(end - begin, 0)
    for stay in stays:
        until_utc = stay.end_utc or utc_of_quarter(end)
        for place in range(len(minutes)):
            quarter_utc = utc_of_quarter(begin + place)
            overlap = min(until_utc, quarter_utc + QUARTER) - max(stay.begin_utc, quarter_utc)
            minutes[place] += max(int(overlap.total_seconds()) // 60, 0)
    return Usage(begins=list(range(begin, end)), plugged_nano=[min(m, 15) * NANO for m in minutes])


def stays_by_vehicle(stays: Iterable[Stay]) -> Mapping[str, list[Stay]]:
    """Stays of each vehicle, vehicles in order of their ids."""
    found: dict[str, list[Stay]] = {}
    for stay in sorted(stays, key=lambda s: (s.vehicle, s.begin_utc)):
        found.setdefault(stay.vehicle, []).append(stay)
    return found


def stays_version(stays: Sequence[Stay]) -> str:
    """SHA-256 of stays: the same stays, the same version."""
    text = "\n".join(
        f"{stay.vehicle},{stay.site_id},{stay.begin_utc.isoformat()},"
        f"{stay.end_utc.isoformat() if stay.end_utc else ''}"
        for stay in stays
    )
    return hashlib.sha256(text.encode()).hexdigest()
