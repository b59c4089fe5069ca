"""Sites, feeders and reserve blocks: the small tables of a scenario folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pendel.scenario import parse
from pendel.scenario.columns import Feeders, Horizon, Reserves, Sites, StrArray
from pendel.scenario.findings import FileFindings
from pendel.scenario.grid import US_PER_S, time_text
from pendel.scenario.growing import GrowingArray
from pendel.scenario.typed import TableReader, TypedBatch
from pendel.units import BoolArray, FloatArray, IntArray

MINUTES_PER_HOUR = 60.0

_DTYPES: dict[str, Any] = {
    "number": np.float64,
    "time": np.int64,
    "text": np.dtypes.StringDType(),
}


@dataclass(frozen=True, slots=True)
class Collected:
    """A whole table in memory: typed columns [n], as in TypedBatch. site [n]: index of the row's
    site where collect was given the sites (site_id is then not kept as text); -1 unknown."""

    number: dict[str, FloatArray]
    time_us: dict[str, IntArray]
    text: dict[str, StrArray]
    site: IntArray
    lines: IntArray
    ok: BoolArray

    def __len__(self) -> int:
        return len(self.lines)


def collect(
    reader: TableReader, site_of: dict[str, int] | None = None, has_site: bool = False
) -> Collected:
    """All rows of a table, column by column. has_site: look site_id up in site_of; unknown sites
    are problems unless site_of is None (the sites could not be read)."""
    columns = [c for c in reader.table.columns if not (has_site and c.name == "site_id")]
    parts = {column.name: GrowingArray(_DTYPES[column.kind]) for column in columns}
    site, lines = GrowingArray(np.int64), GrowingArray(np.int64)
    ok = GrowingArray(np.bool_)
    for batch in reader.typed():
        for column in columns:
            parts[column.name].append(_column(batch, column.name, column.kind))
        if has_site and site_of is not None:
            site.append(site_codes(batch, site_of, reader.found))
        lines.append(batch.lines)
        ok.append(batch.ok)
    result = Collected({}, {}, {}, site.result(), lines.result(), ok.result())
    target: dict[str, Any] = {"number": result.number, "time": result.time_us, "text": result.text}
    for column in columns:
        target[column.kind][column.name] = parts[column.name].result()
    return result


def _column(batch: TypedBatch, name: str, kind: str) -> Any:
    if kind == "number":
        return batch.number[name]
    return batch.time_us[name] if kind == "time" else batch.texts(name)


def site_codes(batch: TypedBatch, index_of: dict[str, int], found: FileFindings) -> IntArray:
    """Index of each row's site [n]; -1 (and a problem) where the site is not known."""
    site = parse.codes(batch.text["site_id"], index_of)
    unknown = site < 0
    if unknown.any():
        texts = batch.texts("site_id")
        found.add_where(
            unknown & (texts != ""),
            batch.lines,
            "site_id",
            lambda row: f"site {parse.shown(str(texts[row]))} is not known",
            "a site_id of sites.csv",
        )
    return site


def index_names(
    names: Iterable[str], lines: IntArray, field: str, found: FileFindings
) -> dict[str, int]:
    """Row of each id; an id that comes twice is a problem of its second line."""
    index_of: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in index_of:
            found.add(int(lines[row]), field, f"{parse.shown(name)} is there twice", "once")
        elif name:
            index_of[name] = row
    return index_of


def build_feeders(reader: TableReader) -> tuple[Feeders, dict[str, int]]:
    """Feeders and their index by id; unknown parents and circles are problems."""
    table, found = collect(reader), reader.found
    names = table.text["feeder_id"].tolist()
    parents = table.text["parent_id"].tolist()
    index_of = index_names(names, table.lines, "feeder_id", found)
    parent = parse.codes(parents, index_of)
    for row, name in enumerate(parents):
        if name and parent[row] < 0:
            problem = f"feeder {parse.shown(name)} is not known"
            found.add(int(table.lines[row]), "parent_id", problem, "a feeder_id or empty")
    for row in _in_circles(parent):
        problem = f"{parse.shown(names[row])} is above itself"
        found.add(int(table.lines[row]), "parent_id", problem, "a tree")
    feeders = Feeders(
        feeder_id=table.text["feeder_id"],
        parent=parent,
        import_limit_kw=table.number["import_limit_kw"],
        export_limit_kw=table.number["export_limit_kw"],
    )
    return feeders, index_of


def _in_circles(parent: IntArray) -> list[int]:
    """Rows that are their own ancestor."""
    state = np.zeros(len(parent), dtype=np.int64)  # 0 new, else the number of the walk
    circles: list[int] = []
    for walk, row in enumerate(range(len(parent)), 1):
        path, here = [], row
        while here >= 0 and state[here] == 0:
            state[here] = walk
            path.append(here)
            here = int(parent[here])
        if here >= 0 and state[here] == walk:
            circles += path[path.index(here) :]
    return circles


def build_sites(reader: TableReader, feeder_of: dict[str, int]) -> tuple[Sites, dict[str, int]]:
    """Sites and their index by id."""
    table, found = collect(reader), reader.found
    index_of = index_names(table.text["site_id"].tolist(), table.lines, "site_id", found)
    if reader.present and not found.count and not len(table):
        found.add(1, "", "no site in the file", "at least one site")
    names = table.text["feeder_id"].tolist()
    feeder = parse.codes(names, feeder_of)
    for row, name in enumerate(names):
        if name and feeder[row] < 0:
            problem = f"feeder {parse.shown(name)} is not known"
            found.add(int(table.lines[row]), "feeder_id", problem, "a feeder_id of feeders.csv")
    sites = Sites(
        site_id=table.text["site_id"],
        import_limit_kw=table.number["import_limit_kw"],
        export_limit_kw=table.number["export_limit_kw"],
        demand_charge_eur_kw=table.number["demand_charge_eur_kw"],
        feeder=feeder,
    )
    return sites, index_of


def build_reserves(reader: TableReader, horizon: Horizon) -> Reserves | None:
    """Reserve blocks inside the horizon, cut to it; None without the file."""
    if not reader.present:
        return None
    table, found = collect(reader), reader.found
    step_us = horizon.step_s * US_PER_S
    begin, end = table.time_us["from_utc"], table.time_us["until_utc"]
    for field, moment in (("from_utc", begin), ("until_utc", end)):
        found.add_where(
            table.ok & ((moment - horizon.start_s * US_PER_S) % step_us != 0),
            table.lines,
            field,
            lambda row, moment=moment: (  # type: ignore[misc]
                f"{time_text(int(moment[row]))} is off the grid of the steps"
            ),
            f"multiples of {horizon.step_s // 60} min",
        )
    found.add_where(
        table.ok & (begin >= end),
        table.lines,
        "until_utc",
        lambda row: f"block ends at {time_text(int(end[row]))}, not after its begin",
        "later than from_utc",
    )
    keys = [f"{t}|{p}" for t, p in zip(begin, table.text["product"].tolist(), strict=True)]
    seen: set[str] = set()
    for row, key in enumerate(keys):
        if table.ok[row] and key in seen:
            found.add(int(table.lines[row]), "product", "block is there twice", "once per begin")
        seen.add(key)
    first = np.clip((begin - horizon.start_s * US_PER_S) // step_us, 0, horizon.steps)
    last = np.clip((end - horizon.start_s * US_PER_S) // step_us, 0, horizon.steps)
    kept = first < last
    sign = {"symmetric": 0, "up": 1, "down": -1}
    direction = np.array([sign.get(d, 0) for d in table.text["direction"].tolist()], dtype=np.int64)
    return Reserves(
        product=table.text["product"][kept],
        from_step=first[kept],
        until_step=last[kept],
        direction=direction[kept],
        price_eur_mw_h=table.number["price_eur_mw_h"][kept],
        hold_h=table.number["hold_min"][kept] / MINUTES_PER_HOUR,
        max_kw=table.number["max_kw"][kept],
    )
