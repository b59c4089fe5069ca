"""Prices, series, market and grid intensity: rows in time, spread over the steps."""

import numpy as np

from pendel.scenario import parse
from pendel.scenario.columns import Horizon, Market, Prices, Series
from pendel.scenario.findings import FileFindings
from pendel.scenario.grid import Spread, Window
from pendel.scenario.network import site_codes
from pendel.scenario.typed import TableReader, TypedBatch
from pendel.units import FloatArray, IntArray

PRICE_FIELDS = ("import_eur_kwh", "export_eur_kwh")
CO2_FIELD = "intensity_g_kwh"
SPREAD_ROWS = 1_024


def build_series(
    reader: TableReader, horizon: Horizon, names: list[str], site_of: dict[str, int]
) -> Series:
    """Load and PV [S, T]; sites without rows have none. names [S]: ids of the sites."""
    window = Window(horizon, len(names), ("load_kw", "pv_kw"))
    named = np.zeros(len(names), dtype=np.bool_)
    for batch in reader.typed():
        site = site_codes(batch, site_of, reader.found)
        named[site[site >= 0]] = True
        _fill(window, site, batch, reader.found)
    shape = (len(names), horizon.steps)
    result = {name: np.zeros(shape) for name in window.value}
    present = window.groups_present()
    for members in window.by_pattern(present):
        spread = window.spread(int(members[0]))
        who = f" for site {parse.shown(names[members[0]])}" if len(members) == 1 else ""
        if window.report(members, spread, reader.found, who):
            for name, target in result.items():
                _take(window.value[name], members, spread.source, target, members)
    _report_outside(np.setdiff1d(np.flatnonzero(named), present), names, reader.found)
    return Series(load_kw=result["load_kw"], pv_kw=result["pv_kw"])


def build_prices(
    reader: TableReader, horizon: Horizon, names: list[str], site_of: dict[str, int]
) -> Prices:
    """Price rows [R, T] and the row of each site [S]; a site's own rows win over general ones."""
    found, sites = reader.found, len(names)
    general = sites  # the group of rows that name no site
    window = Window(horizon, sites + 1, PRICE_FIELDS)
    index_of = {**site_of, "": general}
    for batch in reader.typed():
        if "site_id" in batch.text:
            group = site_codes(batch, index_of, found)
        else:
            group = np.full(len(batch), general, dtype=np.int64)
        _fill(window, group, batch, found)
    cells_good = found.count == 0
    present = window.groups_present()
    spread: Spread | None = None
    rows: list[dict[str, FloatArray]] = []
    row_of = np.full(sites, -1, dtype=np.int64)
    if general in present:
        spread = window.spread(general)
        if window.report(np.array([general]), spread, found, ""):
            rows.append({f: window.value[f][general][spread.source] for f in PRICE_FIELDS})
            row_of[:] = 0
    for site in present[present < sites]:
        hold = None if spread is None else spread.hold
        own = window.spread(int(site), blocks=spread is not None, fallback_hold=hold)
        who = f" for site {parse.shown(names[site])}"
        made = _own_row(window, int(site), own, spread, found, who)
        if made is not None:
            row_of[site] = len(rows)
            rows.append(made)
    without = np.flatnonzero(row_of < 0)
    if reader.present and cells_good and not found.count and len(without):
        who = "" if len(without) == sites else f" for site {parse.shown(names[without[0]])}"
        allowed = "rows that cover the horizon, for all sites or for each"
        found.add(0, "time_utc", f"no price{who} within the horizon", allowed)
    return _stacked(rows, row_of, horizon)


def _stacked(rows: list[dict[str, FloatArray]], row_of: IntArray, horizon: Horizon) -> Prices:
    """Only rows that a site uses, in the order in which sites use them first."""
    used = sorted(set(row_of[row_of >= 0].tolist()))
    position = {row: index for index, row in enumerate(used)}
    row = np.array([position.get(int(r), 0) for r in row_of], dtype=np.int64)
    shape = (len(used), horizon.steps)
    values = [np.empty(shape) for _ in PRICE_FIELDS]
    for target, field in zip(values, PRICE_FIELDS, strict=True):
        for index, number in enumerate(used):
            target[index] = rows[number][field]
    return Prices(import_eur_kwh=values[0], export_eur_kwh=values[1], row=row)


def _own_row(
    window: Window,
    site: int,
    own: Spread,
    general: Spread | None,
    found: FileFindings,
    who: str,
) -> dict[str, FloatArray] | None:
    """A site's own prices [T] per field, filled up with the general ones where it has none."""
    members = np.array([site], dtype=np.int64)
    if general is None or own.gaps:
        if not window.report(members, own, found, who):
            return None
        return {field: values[site][own.source] for field, values in window.value.items()}
    group = len(window.line) - 1
    missing = own.source < 0
    return {
        field: np.where(missing, values[group][general.source], values[site][own.source])
        for field, values in window.value.items()
    }


def build_market(reader: TableReader, horizon: Horizon) -> Market | None:
    """Position and cost of deviating [T]; None without the file."""
    if not reader.present:
        return None
    fields = ("position_kw", "short_eur_kwh", "long_eur_kwh")
    values = _portfolio_rows(reader, horizon, fields)
    return Market(**{field: values[field] for field in fields})


def build_co2(reader: TableReader, horizon: Horizon) -> FloatArray | None:
    """Grid intensity per step [T] in g/kWh; None without the file."""
    if not reader.present:
        return None
    return _portfolio_rows(reader, horizon, (CO2_FIELD,))[CO2_FIELD]


def _portfolio_rows(
    reader: TableReader, horizon: Horizon, fields: tuple[str, ...]
) -> dict[str, FloatArray]:
    """Columns [T] of a table whose rows hold for the whole portfolio."""
    window = Window(horizon, 1, fields)
    for batch in reader.typed():
        _fill(window, np.zeros(len(batch), dtype=np.int64), batch, reader.found)
    members = np.array([0], dtype=np.int64)
    if not window.line.any():
        if not reader.found.count:
            reader.found.add(0, "time_utc", "no row within the horizon", "rows covering it")
        return {field: np.zeros(horizon.steps) for field in fields}
    spread = window.spread(0)
    window.report(members, spread, reader.found, "")
    return {field: window.value[field][0][spread.source] for field in fields}


def _fill(window: Window, group: IntArray, batch: TypedBatch, found: FileFindings) -> None:
    values = {name: batch.number[name] for name in window.value}
    window.fill(group, batch.time_us["time_utc"], batch.lines, values, found)


def _report_outside(sites: IntArray, names: list[str], found: FileFindings) -> None:
    for site in sites:
        problem = f"no row within the horizon for site {parse.shown(names[site])}"
        found.add(0, "time_utc", problem, "rows covering the horizon, or none at all")


def _take(
    values: FloatArray, groups: IntArray, source: IntArray, target: FloatArray, rows: IntArray
) -> None:
    """target[rows] = values[groups][:, source], some rows at a time."""
    begin, end = int(source[0]), int(source[-1]) + 1
    straight = end - begin == len(source)
    for at in range(0, len(groups), SPREAD_ROWS):
        part = slice(at, at + SPREAD_ROWS)
        if straight:
            target[rows[part]] = values[groups[part], begin:end]
        else:
            target[rows[part]] = values[groups[part]][:, source]
