"""Reads a scenario folder: streams, checks everything, raises once with all problems."""

import difflib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pendel.errors import InvariantError
from pendel.scenario import tables
from pendel.scenario.columns import Horizon, Scenario, Sessions, Storages
from pendel.scenario.findings import Findings
from pendel.scenario.fleet import build_history, build_sessions, build_storages, check_unique
from pendel.scenario.head import CELLS_MAX, FILE, ScenarioHead, read_head
from pendel.scenario.network import build_feeders, build_reserves, build_sites
from pendel.scenario.sources import SUFFIXES
from pendel.scenario.timetable import build_co2, build_market, build_prices, build_series
from pendel.scenario.typed import TableReader


def read_scenario(folder: Path, progress: Callable[[str, float], None] | None = None) -> Scenario:
    """Read and check a scenario folder.

    progress: called with a file name and the share of it that is read (0..1).
    Raises InputError with every problem (the first 1,000 per file, and the count of all).
    Memory: the columns of the result and one batch; rows outside the horizon leave nothing.
    """
    findings = Findings()
    found = findings.of(FILE)
    if not folder.is_dir():
        found.file = folder.name or str(folder)
        found.add(0, "", "folder is missing" if not folder.exists() else "is not a folder")
        findings.raise_if_any()
    notes = _foreign_files(folder, findings)
    head = read_head(folder, found)
    readers = {
        table.stem: TableReader(folder, table, findings, progress) for table in tables.TABLES
    }
    if head is None:
        _read_without_horizon(readers)
        findings.raise_if_any()
        raise InvariantError("no head and no problem")
    scenario = _build(readers, head[0], head[1], findings, notes)
    findings.raise_if_any()
    return scenario


def _build(
    readers: dict[str, TableReader],
    head: ScenarioHead,
    horizon: Horizon,
    findings: Findings,
    notes: tuple[str, ...],
) -> Scenario:
    feeders, feeder_of = build_feeders(readers["feeders"])
    sites, site_of = build_sites(readers["sites"], feeder_of)
    sessions, ignored, storages = _build_units(readers, horizon, site_of or None)
    history = build_history(readers["history"], horizon, site_of or None)
    if len(sites) * horizon.steps > CELLS_MAX:
        cells = f"{len(sites)} sites times {horizon.steps} steps"
        findings.of(FILE).add(0, "steps", f"{cells} is too much", f"at most {CELLS_MAX}")
    if not site_of or len(sites) * horizon.steps > CELLS_MAX:
        _read_cells_only(readers, ("prices", "series", "market", "reserves", "co2"))
        findings.raise_if_any()
    names: list[str] = sites.site_id.tolist()
    prices = build_prices(readers["prices"], horizon, names, site_of)
    series = build_series(readers["series"], horizon, names, site_of)
    market = build_market(readers["market"], horizon)
    reserves = build_reserves(readers["reserves"], horizon)
    co2_g_kwh = build_co2(readers["co2"], horizon)
    unlimited = float("inf")
    limits = head.portfolio
    return Scenario(
        name=head.name,
        horizon=horizon,
        sites=sites,
        prices=prices,
        series=series,
        sessions=sessions,
        storages=storages,
        feeders=feeders,
        market=market,
        reserves=reserves,
        portfolio_import_limit_kw=(
            unlimited if limits.import_limit_kw is None else limits.import_limit_kw
        ),
        portfolio_export_limit_kw=(
            unlimited if limits.export_limit_kw is None else limits.export_limit_kw
        ),
        co2_g_kwh=co2_g_kwh,
        ignored_sessions=ignored,
        history=history,
        notes=notes,
    )


def _foreign_files(folder: Path, findings: Findings) -> tuple[str, ...]:
    """Notes about tables that no scenario has; one whose name is nearly right is a problem."""
    stems = [table.stem for table in tables.TABLES]
    notes = []
    for path in sorted(folder.iterdir()):
        suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), "")
        stem = path.name[: -len(suffix)] if suffix else ""
        if not suffix or not path.is_file() or (stem in stems and path.name.endswith(suffix)):
            continue
        near = difflib.get_close_matches(stem.lower(), stems, n=1, cutoff=0.8)
        if near:
            hint = f"did you mean {near[0]}{suffix}?"
            findings.of(path.name).add(0, "", "unknown file", hint)
        else:
            notes.append(f"{path.name} is not a table of scenarios and was not read")
    return tuple(notes)


def _read_without_horizon(readers: dict[str, TableReader]) -> None:
    """Problems that do not depend on the horizon, when scenario.toml cannot be used."""
    anywhere = Horizon(datetime(1970, 1, 1, tzinfo=UTC), steps=1, step_s=60, timezone="UTC")
    _feeders, feeder_of = build_feeders(readers["feeders"])
    _sites, site_of = build_sites(readers["sites"], feeder_of)
    _build_units(readers, anywhere, site_of or None)
    for _batch in readers["history"].typed():
        pass
    _read_cells_only(readers, ("prices", "series", "market", "reserves", "co2"))


def _build_units(
    readers: dict[str, TableReader], horizon: Horizon, site_of: dict[str, int] | None
) -> tuple[Sessions, int, Storages]:
    """Sessions, how many lie outside the horizon, and storages; their ids are one name space."""
    sessions, ignored, session_names = build_sessions(readers["sessions"], horizon, site_of)
    storages, storage_names = build_storages(readers["storages"], site_of)
    check_unique([session_names, storage_names])
    return sessions, ignored, storages


def _read_cells_only(readers: dict[str, TableReader], stems: tuple[str, ...]) -> None:
    for stem in stems:
        for _batch in readers[stem].typed():
            pass
