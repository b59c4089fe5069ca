"""Sessions and storages: checks over rows, cutting to the horizon."""

from dataclasses import dataclass

import numpy as np

from pendel.scenario import parse
from pendel.scenario.columns import (
    UNKNOWN_S,
    History,
    Horizon,
    Sessions,
    Storages,
    StrArray,
)
from pendel.scenario.findings import FileFindings
from pendel.scenario.grid import US_PER_S, time_text
from pendel.scenario.network import Collected, collect
from pendel.scenario.parse import UNKNOWN_US
from pendel.scenario.typed import TableReader
from pendel.units import BoolArray, IntArray

HASH_CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Names:
    """Ids of a table for the check that none comes twice: hashes [n] stand for the texts."""

    texts: StrArray
    hashes: IntArray
    lines: IntArray
    found: FileFindings
    field: str


def build_sessions(
    reader: TableReader, horizon: Horizon, site_of: dict[str, int] | None
) -> tuple[Sessions, int, Names]:
    """Sessions that touch the horizon in file order, the count of those ignored, and all ids."""
    table, found = collect(reader, site_of, has_site=True), reader.found
    site = table.site
    _check_energies(table, found, "energy_arrive_kwh", "energy_target_kwh", "energy_min_kwh")
    arrive, depart = table.time_us["arrive_utc"], table.time_us["depart_utc"]
    known = _check_order(table, found)
    _check_overlaps(table, known & (arrive <= depart), found)
    names = Names(
        table.text["session_id"],
        hashes(table.text["session_id"]),
        table.lines,
        found,
        "session_id",
    )
    start_us, step_us = horizon.start_s * US_PER_S, horizon.step_s * US_PER_S
    end_us = start_us + horizon.steps * step_us
    inside = (depart > start_us) & (arrive < end_us)
    ignored = int(len(table) - np.count_nonzero(inside))
    if ignored:
        _keep(table, inside)
        site = site[inside] if len(site) else site
        arrive, depart = arrive[inside], depart[inside]
    first = np.clip(-((start_us - arrive) // step_us), 0, horizon.steps)
    last = np.clip((depart - start_us) // step_us, 0, horizon.steps)
    stated = table.time_us["stated_depart_utc"]
    number, text = table.number, table.text
    sessions = Sessions(
        session_id=text["session_id"],
        site=site,
        arrive_step=first,
        depart_step=np.maximum(first, last),
        arrive_s=-(-arrive // US_PER_S),
        depart_s=depart // US_PER_S,
        stated_depart_s=np.where(stated == UNKNOWN_US, UNKNOWN_S, stated // US_PER_S),
        capacity_kwh=number["capacity_kwh"],
        energy_arrive_kwh=number["energy_arrive_kwh"],
        energy_target_kwh=number["energy_target_kwh"],
        energy_min_kwh=number["energy_min_kwh"],
        charge_max_kw=number["charge_max_kw"],
        discharge_max_kw=number["discharge_max_kw"],
        charge_efficiency=number["charge_efficiency"],
        discharge_efficiency=number["discharge_efficiency"],
        wear_eur_kwh=number["wear_eur_kwh"],
        terminal_eur_kwh=number["terminal_eur_kwh"],
        vehicle_id=text["vehicle_id"],
        battery_model=text["battery_model"],
    )
    return sessions, ignored, names


def build_history(
    reader: TableReader, horizon: Horizon, site_of: dict[str, int] | None
) -> History | None:
    """Sessions that ended before the horizon, oldest departure first; None without the file."""
    if not reader.present:
        return None
    table, found = collect(reader, site_of, has_site=True), reader.found
    arrive, depart = table.time_us["arrive_utc"], table.time_us["depart_utc"]
    known = _check_order(table, found)
    found.add_where(
        known & (depart > horizon.start_s * US_PER_S),
        table.lines,
        "depart_utc",
        lambda row: f"departs {time_text(int(depart[row]))}, after the scenario starts",
        "a session that ended before the start (others belong into sessions)",
    )
    stated = table.time_us["stated_depart_utc"]
    order = np.argsort(depart, kind="stable")
    return History(
        site=table.site[order] if len(table.site) else table.site,
        vehicle_id=table.text["vehicle_id"][order],
        arrive_s=-(-arrive[order] // US_PER_S),
        depart_s=depart[order] // US_PER_S,
        stated_depart_s=np.where(stated == UNKNOWN_US, UNKNOWN_S, stated // US_PER_S)[order],
    )


def _check_order(table: Collected, found: FileFindings) -> BoolArray:
    """Rows [n] whose times are both known; a departure before the arrival is a problem."""
    arrive, depart = table.time_us["arrive_utc"], table.time_us["depart_utc"]
    known: BoolArray = (arrive != UNKNOWN_US) & (depart != UNKNOWN_US)
    found.add_where(
        known & (arrive > depart),
        table.lines,
        "depart_utc",
        lambda row: f"departs {time_text(int(depart[row]))}, before it arrives",
        "at or after arrive_utc",
    )
    return known


def _keep(table: Collected, rows: BoolArray) -> None:
    """Drop the other rows, one column at a time."""
    for columns in (table.number, table.time_us, table.text):
        for name in columns:
            columns[name] = columns[name][rows]  # type: ignore[assignment]


def build_storages(reader: TableReader, site_of: dict[str, int] | None) -> tuple[Storages, Names]:
    """Stationary batteries in file order, and their ids."""
    table, found = collect(reader, site_of, has_site=True), reader.found
    _check_energies(table, found, "energy_start_kwh", "energy_end_min_kwh")
    number = table.number
    storages = Storages(
        storage_id=table.text["storage_id"],
        site=table.site,
        capacity_kwh=number["capacity_kwh"],
        energy_start_kwh=number["energy_start_kwh"],
        energy_end_min_kwh=number["energy_end_min_kwh"],
        charge_max_kw=number["charge_max_kw"],
        discharge_max_kw=number["discharge_max_kw"],
        charge_efficiency=number["charge_efficiency"],
        discharge_efficiency=number["discharge_efficiency"],
        wear_eur_kwh=number["wear_eur_kwh"],
    )
    texts = table.text["storage_id"]
    return storages, Names(texts, hashes(texts), table.lines, found, "storage_id")


def _check_energies(table: Collected, found: FileFindings, *fields: str) -> None:
    capacity = table.number["capacity_kwh"]
    for field in fields:
        energy = table.number[field]
        found.add_where(
            (energy > capacity) & (capacity > 0.0),
            table.lines,
            field,
            lambda row, energy=energy: (  # type: ignore[misc]
                f"{energy[row]:.12g} is above the capacity of {capacity[row]:.12g}"
            ),
            "at most capacity_kwh",
        )


def _check_overlaps(table: Collected, known: BoolArray, found: FileFindings) -> None:
    """Sessions of one vehicle must not overlap: after sorting, neighbours tell."""
    vehicle = table.text["vehicle_id"]
    rows = np.flatnonzero(known & (vehicle != ""))
    if len(rows) < 2:
        return
    arrive, depart = table.time_us["arrive_utc"], table.time_us["depart_utc"]
    keys = hashes(vehicle)
    rows = rows[np.lexsort((depart[rows], arrive[rows], keys[rows]))]
    same = keys[rows[1:]] == keys[rows[:-1]]
    # Latest departure of the same vehicle so far; restarts where the vehicle changes.
    latest, holder = depart[rows].copy(), rows.copy()
    suspects = np.flatnonzero(same & (arrive[rows[1:]] < depart[rows[:-1]]))
    if not len(suspects):
        return
    for position in range(1, len(rows)):
        if not same[position - 1]:
            continue
        row, before = rows[position], holder[position - 1]
        if arrive[row] < latest[position - 1] and vehicle[row] == vehicle[before]:
            text = (
                f"vehicle {parse.shown(str(vehicle[row]))} is still plugged in "
                f"(line {table.lines[before]})"
            )
            found.add(int(table.lines[row]), "vehicle_id", text, "sessions that do not overlap")
        if latest[position] < latest[position - 1]:
            latest[position], holder[position] = latest[position - 1], before


def hashes(texts: StrArray) -> IntArray:
    """A 64-bit number per text [n], equal for equal texts, without all texts in memory at once."""
    result = np.empty(len(texts), dtype=np.int64)
    for begin in range(0, len(texts), HASH_CHUNK_ROWS):
        part = texts[begin : begin + HASH_CHUNK_ROWS].tolist()
        result[begin : begin + len(part)] = np.fromiter(map(hash, part), np.int64, len(part))
    return result


def check_unique(parts: list[Names]) -> None:
    """Each id once over all tables; the second and later ones are problems."""
    numbers = np.concatenate([part.hashes for part in parts])
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    if not len(repeated):
        return
    suspects = np.sort(np.unique(np.concatenate([order[repeated], order[repeated - 1]])))
    offsets = np.cumsum([0] + [len(part.texts) for part in parts])
    seen: set[str] = set()
    for position in suspects:
        which = int(np.searchsorted(offsets, position, side="right")) - 1
        part, row = parts[which], int(position - offsets[which])
        text = str(part.texts[row])
        if text and text in seen:
            problem = f"{parse.shown(text)} is there twice"
            allowed = "once over sessions and storages"
            part.found.add(int(part.lines[row]), part.field, problem, allowed)
        seen.add(text)
