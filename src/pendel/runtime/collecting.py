"""What a log holds for settlement: what flowed, what it cost then, who was plugged in.

Two sources of energy: registers that stations told over OCPP (exact, in the log as they came) and
deliveries that the runtime wrote from its meters. Where a site's stations told registers, these
count for its charge points; its grid connection is the meter that the configuration names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from pendel.records import AnyRecord, Delivery, Reading, SessionEvent, Signal, StationMessage
from pendel.runtime.flows import DeviceFlow, SessionFlow, device_flow, session_flow
from pendel.runtime.metered import Mark, Metered, RefusedValue
from pendel.runtime.state import CARS_SUFFIX, GRID_SUFFIX, PRICE
from pendel.settle.meter import Quality
from pendel.settle.series import Series, Value
from pendel.settle.statement import Source
from pendel.tariff.exact import NANO, parse_nano
from pendel.tariff.periods import quarter_of
from pendel.units import QUARTER_HOUR_S, stored_change_kwh

MWH = 1000
STATIONS = "stations"
"""A grid connection without a meter of its own, behind which nothing but charge points is."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class SiteMeters:
    """How a site is metered. grid: "" = by deliveries, STATIONS, or a station whose EVSE 0 is the
    meter of the grid connection; keys: public key of a station's meters."""

    station_site: Mapping[str, str] = field(default_factory=dict)
    grid: Mapping[str, str] = field(default_factory=dict)
    fuse_kw: Mapping[str, float] = field(default_factory=dict)
    keys: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stay:
    """A car at a site; end_utc None = still there. vehicle: its id, or that of the session.
    wear_eur_kwh: per kWh stored, each way; efficiencies of charging and discharging."""

    vehicle: str
    site_id: str
    begin_utc: datetime
    end_utc: datetime | None
    session_id: str = ""
    wear_eur_kwh: float = 0.0
    efficiencies: tuple[float, float] = (1.0, 1.0)


@dataclass(slots=True)
class SiteSeries:
    """Quarter hours of a site: energy through both metering points [1e-9 kWh, import and export],
    published prices [per kWh, exact], market prices where they were published [EUR/MWh], and the
    ids of the deliveries behind them. signed: points whose every register was verified."""

    site_id: str
    grid: dict[int, tuple[int, int]] = field(default_factory=dict)
    cars: dict[int, tuple[int, int]] = field(default_factory=dict)
    prices: dict[int, tuple[Fraction, Fraction]] = field(default_factory=dict)
    spots: dict[int, Fraction] = field(default_factory=dict)
    causes: dict[int, list[str]] = field(default_factory=dict)
    signed: frozenset[str] = frozenset()

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
                signed = point in self.signed
                found.append(
                    Source(series.point, direction, series.version, len(values), signed=signed)
                )
        return tuple(found)


@dataclass(slots=True)
class Collected:
    """What a log holds for settlement; flows: energy by session_id; refused: values not used."""

    sites: dict[str, SiteSeries] = field(default_factory=dict)
    stays: list[Stay] = field(default_factory=list)
    flows: dict[str, SessionFlow] = field(default_factory=dict)
    refused: list[RefusedValue] = field(default_factory=list)


def collect(
    records: Iterable[tuple[int, AnyRecord]],
    begin_utc: datetime | None = None,
    end_utc: datetime | None = None,
    meters: SiteMeters | None = None,
) -> Collected:
    """Series and stays of a log, of quarter hours begin <= q < end (all where None)."""
    told = meters or SiteMeters()
    reader = _Reader(told, begin_utc, end_utc)
    for _, record in records:
        reader.take(record)
    return reader.result()


def exact(value: float) -> Fraction:
    """A stored price per kWh as the decimal it stands for, to 1e-12: the finest a bill carries."""
    return Fraction(round(Fraction(repr(float(value))) * MWH * NANO), MWH * NANO)


class _Reader:
    """One pass over a log."""

    def __init__(
        self, meters: SiteMeters, begin_utc: datetime | None, end_utc: datetime | None
    ) -> None:
        self.found = Collected()
        self.meters = meters
        self.begin_utc, self.end_utc = begin_utc, end_utc
        self.tables = _PriceTables()
        self.metered = Metered(meters.keys)
        self.site_of = dict(meters.station_site)
        self.plugged: dict[str, SessionEvent] = {}
        self.session_on: dict[str, str] = {}
        self.counted: dict[str, list[Mark]] = {}
        self.last_kwh: dict[str, float] = {}

    def take(self, record: AnyRecord) -> None:
        """One record, in the order of the log."""
        if isinstance(record, Signal) and record.topic == PRICE:
            self.tables.take(record)
        elif isinstance(record, SessionEvent):
            self._session(record)
        elif isinstance(record, StationMessage):
            self.metered.take(record)
        elif isinstance(record, Reading):
            self._reading(record)
        elif isinstance(record, Delivery) and self._inside(record.begin_utc):
            _deliver(self.found, self.tables, record)

    def result(self) -> Collected:
        """Everything, cut to the period."""
        for event in self.plugged.values():
            self._stay(event, None)
        self._ocpp()
        for session_id, marks in self.counted.items():
            self.found.flows.setdefault(session_id, session_flow(marks))
        self.found.refused = self.metered.refused + self.found.refused
        return self.found

    def _inside(self, when_utc: datetime) -> bool:
        early = self.begin_utc is not None and when_utc < self.begin_utc
        return not early and not (self.end_utc is not None and when_utc >= self.end_utc)

    def _session(self, event: SessionEvent) -> None:
        station_id = event.device_id.partition("/")[0]
        if station_id:
            self.site_of.setdefault(station_id, event.site_id)
        if event.phase == "plugged":
            if event.session_id not in self.plugged and event.simulated:
                self._count(event, event.at_utc, (0.0, 0.0))
            self.plugged[event.session_id] = event
            self.session_on[event.device_id] = event.session_id
            return
        begun = self.plugged.pop(event.session_id, None)
        if begun is not None:
            self._last_piece(begun, event)
            self._stay(begun, event.at_utc)

    def _stay(self, event: SessionEvent, end_utc: datetime | None) -> None:
        self.found.stays.append(
            Stay(
                vehicle=event.vehicle_id or event.session_id,
                site_id=event.site_id,
                begin_utc=event.at_utc,
                end_utc=end_utc,
                session_id=event.session_id,
                wear_eur_kwh=event.wear_eur_kwh,
                efficiencies=(event.charge_efficiency, event.discharge_efficiency),
            )
        )

    def _reading(self, record: Reading) -> None:
        """Registers of simulated cars, which no station tells: they count from plugging in."""
        event = self.plugged.get(self.session_on.get(record.device_id, ""))
        if event is None or not event.simulated or record.import_kwh is None:
            return
        if record.energy_kwh is not None:
            self.last_kwh[event.session_id] = record.energy_kwh
        self._count(event, record.at_utc, (record.import_kwh, record.export_kwh or 0.0))

    def _count(self, event: SessionEvent, at_utc: datetime, kwh: tuple[float, float]) -> None:
        marks = self.counted.setdefault(event.session_id, [])
        for direction, value in zip(("import", "export"), kwh, strict=True):
            nano = round(value, _DIGITS)
            marks.append(
                Mark(at_utc, direction, round(Fraction(repr(nano)) * NANO), "", "", event.id)
            )

    def _last_piece(self, begun: SessionEvent, left: SessionEvent) -> None:
        """Between the last reading and leaving: by what was stored."""
        marks = self.counted.get(begun.session_id)
        last_kwh = self.last_kwh.pop(begun.session_id, begun.energy_kwh)
        if marks:
            change = left.energy_kwh - last_kwh
            into = max(change, 0.0) / begun.charge_efficiency
            out = max(-change, 0.0) * begun.discharge_efficiency
            before = {mark.direction: mark.nano / NANO for mark in marks[-2:]}
            both = (before["import"] + into, before["export"] + out)
            self._count(begun, left.at_utc, both)

    def _ocpp(self) -> None:
        """Charge points and grid connections of sites whose stations told registers."""
        flows: dict[str, list[DeviceFlow]] = {}
        for device, marks in self.metered.marks.items():
            station_id, _, evse = device.partition("/")
            site_id = self.site_of.get(station_id)
            if site_id is None:
                continue
            flow = device_flow(device, marks, self.meters.fuse_kw.get(site_id))
            self.found.refused += flow.refused
            if evse == "0":
                if self.meters.grid.get(site_id) == station_id:
                    self._series(site_id, GRID_SUFFIX, [flow])
                continue
            flows.setdefault(site_id, []).append(flow)
            by_transaction: dict[str, list[Mark]] = {}
            for mark in marks:
                by_transaction.setdefault(mark.transaction_id, []).append(mark)
            for transaction_id, own in by_transaction.items():
                if transaction_id:
                    self.found.flows[f"{station_id}:{transaction_id}"] = session_flow(own)
        for site_id, listed in flows.items():
            self._series(site_id, CARS_SUFFIX, listed)
            if self.meters.grid.get(site_id) == STATIONS:
                self._series(site_id, GRID_SUFFIX, listed)

    def _series(self, site_id: str, suffix: str, flows: list[DeviceFlow]) -> None:
        """The sum of devices; a quarter hour counts when every device that is there has it."""
        series = self.found.sites.setdefault(site_id, SiteSeries(site_id))
        values: dict[int, tuple[int, int]] = {}
        for quarter in sorted({q for flow in flows for q in flow.values["import"]}):
            there = [flow.pair(quarter) for flow in flows if flow.first <= quarter]
            pairs = [pair for pair in there if pair is not None]
            if len(pairs) == len(there) and self._inside_quarter(quarter):
                values[quarter] = (sum(p[0] for p in pairs), sum(p[1] for p in pairs))
        if suffix == GRID_SUFFIX:
            series.grid = values
        else:
            series.cars = values
        if all(flow.signed for flow in flows):
            series.signed |= {suffix}
        for quarter in values:
            ids = [name for flow in flows for name in flow.records.get(quarter, [])]
            series.causes[quarter] = list(dict.fromkeys([*series.causes.get(quarter, []), *ids]))
            price = self.tables.of_site(site_id, quarter)
            if price is not None:
                series.prices.setdefault(quarter, price)
            spot = self.tables.spot_of_site(site_id, quarter)
            if spot is not None:
                series.spots[quarter] = spot

    def _inside_quarter(self, quarter: int) -> bool:
        early = self.begin_utc is not None and quarter * QUARTER_HOUR_S < self.begin_utc.timestamp()
        late = self.end_utc is not None and quarter * QUARTER_HOUR_S >= self.end_utc.timestamp()
        return not early and not late


class _PriceTables:
    """Published prices by row of sites, and which row a signal belongs to."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, tuple[Fraction, Fraction]]] = {}
        self.spots: dict[str, dict[int, Fraction]] = {}
        self.row_of: dict[str, tuple[str, int]] = {}
        self.step_s: dict[str, int] = {}

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
        self.step_s[name] = int(step_s)
        row = self.rows.setdefault(name, {})
        for place, pair in enumerate(zip(imports, exports, strict=False)):
            row[int(begin_s) + place * int(step_s)] = (exact(pair[0]), exact(pair[1]))
        spots = detail.get("spot_eur_mwh")
        if isinstance(spots, list):
            known = self.spots.setdefault(name, {})
            for place, spot in enumerate(spots):
                known[int(begin_s) + place * int(step_s)] = Fraction(repr(float(spot)))

    def at(self, signal_id: str, quarter: int) -> tuple[Fraction, Fraction] | None:
        """Import and export price of a quarter hour, of the row of a signal."""
        name, step_s = self.row_of.get(signal_id, ("", QUARTER_HOUR_S))
        second = quarter * QUARTER_HOUR_S
        return self.rows.get(name, {}).get(second - second % step_s)

    def spot_at(self, signal_id: str, quarter: int) -> Fraction | None:
        """Market price of a quarter hour, of the row of a signal."""
        name, step_s = self.row_of.get(signal_id, ("", QUARTER_HOUR_S))
        second = quarter * QUARTER_HOUR_S
        return self.spots.get(name, {}).get(second - second % step_s)

    def of_site(self, site_id: str, quarter: int) -> tuple[Fraction, Fraction] | None:
        """Import and export price of a quarter hour at a site whose row bears its name."""
        return self.rows.get(self._row(site_id), {}).get(self._second(site_id, quarter))

    def spot_of_site(self, site_id: str, quarter: int) -> Fraction | None:
        """Market price of a quarter hour at a site whose row bears its name."""
        return self.spots.get(self._row(site_id), {}).get(self._second(site_id, quarter))

    def _second(self, site_id: str, quarter: int) -> int:
        second = quarter * QUARTER_HOUR_S
        return second - second % self.step_s.get(self._row(site_id), QUARTER_HOUR_S)

    def _row(self, site_id: str) -> str:
        if site_id in self.rows:
            return site_id
        return next((name for name in self.rows if site_id in name.split()), site_id)


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
        price, spot = tables.at(cause, quarter), tables.spot_at(cause, quarter)
        if price is not None:
            series.prices[quarter] = price
        if spot is not None:
            series.spots[quarter] = spot


def wear_kwh(stay: Stay, taken_nano: int, given_nano: int) -> Fraction:
    """Energy that went through the battery [kWh stored], both ways together."""
    charged, discharged = stay.efficiencies
    into = stored_change_kwh(1.0, 1.0, charged, discharged)
    out = -stored_change_kwh(-1.0, 1.0, charged, discharged)
    return exact(into) * Fraction(taken_nano, NANO) + exact(out) * Fraction(given_nano, NANO)
