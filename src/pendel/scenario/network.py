"""Sites, feeders and reserve blocks: the small tables of a scenario folder."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pendel.scenario import parse
from pendel.scenario.columns import Feeders, Horizon, Reserves, Sites, StrArray
from pendel.scenario.findings import FileFindings
from pendel.scenario.grid import US_PER_S, time_text
from pendel.scenario.typed import TableReader, TypedBatch
from pendel.units import BoolArray, FloatArray, IntArray

MINUTES_PER_HOUR = 60.0


@dataclass(frozen=True, slots=True)
class Collected:
    """A whole table in memory: typed columns [n], as in TypedBatch."""

    number: dict[str, FloatArray]
    time_us: dict[str, IntArray]
    text: dict[str, StrArray]
    lines: IntArray
    ok: BoolArray

    def __len__(self) -> int:
        return len(self.lines)


def collect(reader: TableReader) -> Collected:
    """All rows of a table, column by column."""
    columns = reader.table.columns
    parts: dict[str, list[np.ndarray]] = {c.name: [] for c in columns}
    lines: list[IntArray] = []
    ok: list[BoolArray] = []
    for batch in reader.typed():
        for column in columns:
            parts[column.name].append(_column(batch, column.name, column.kind))
        lines.append(batch.lines)
        ok.append(batch.ok)
    result = Collected({}, {}, {}, _joined(lines, np.int64), _joined(ok, np.bool_))
    for column in columns:
        pieces = parts.pop(column.name)
        if column.kind == "number":
            result.number[column.name] = _joined(pieces, np.float64)
        elif column.kind == "time":
            result.time_us[column.name] = _joined(pieces, np.int64)
        else:
            result.text[column.name] = _joined(pieces, np.dtypes.StringDType())
    return result


def _column(batch: TypedBatch, name: str, kind: str) -> np.ndarray:
    if kind == "number":
        return batch.number[name]
    return batch.time_us[name] if kind == "time" else batch.texts(name)


def _joined(pieces: list[np.ndarray], dtype: object) -> np.ndarray:
    if not pieces:
        return np.empty(0, dtype=dtype)  # type: ignore[call-overload, no-any-return]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


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
