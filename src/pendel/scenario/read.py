"""Reads a scenario folder: streams, checks everything, raises once with all problems."""

from collections.abc import Callable
from pathlib import Path

from pendel.errors import InvariantError
from pendel.scenario import tables
from pendel.scenario.columns import Horizon, Scenario
from pendel.scenario.findings import Findings
from pendel.scenario.fleet import build_sessions, build_storages, check_unique
from pendel.scenario.head import CELLS_MAX, FILE, ScenarioHead, read_head
from pendel.scenario.network import build_feeders, build_reserves, build_sites
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
    head = read_head(folder, found)
    readers = {
        table.stem: TableReader(folder, table, findings, progress) for table in tables.TABLES
    }
    if head is None:
        _read_without_horizon(readers)
        findings.raise_if_any()
        raise InvariantError("no head and no problem")
    scenario = _build(readers, head[0], head[1], findings)
    findings.raise_if_any()
    return scenario


def _build(
    readers: dict[str, TableReader], head: ScenarioHead, horizon: Horizon, findings: Findings
) -> Scenario:
    feeders, feeder_of = build_feeders(readers["feeders"])
    sites, site_of = build_sites(readers["sites"], feeder_of)
    known = site_of or None
    sessions, ignored, session_names = build_sessions(readers["sessions"], horizon, known)
    storages, storage_names = build_storages(readers["storages"], known)
    check_unique([session_names, storage_names])
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
    )


def _read_without_horizon(readers: dict[str, TableReader]) -> None:
    """Problems that do not depend on the horizon, when scenario.toml cannot be used."""
    _feeders, feeder_of = build_feeders(readers["feeders"])
    build_sites(readers["sites"], feeder_of)
    _read_cells_only(readers, ("prices", "series", "sessions", "storages", "market", "reserves"))


def _read_cells_only(readers: dict[str, TableReader], stems: tuple[str, ...]) -> None:
    for stem in stems:
        for _batch in readers[stem].typed():
            pass
