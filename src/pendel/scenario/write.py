"""Writes a scenario folder that reads back to the same scenario, to the last digit."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pendel.clock import format_utc
from pendel.scenario.columns import Scenario
from pendel.scenario.results import Format, write_table
from pendel.units import FloatArray, IntArray

DIRECTIONS = {0: "symmetric", 1: "up", -1: "down"}


def write_scenario(scenario: Scenario, folder: Path, file_format: Format = "csv") -> None:
    """Write a scenario folder (made if missing; files of the same name are replaced).

    Sessions ignored on reading are gone; prices and series are written step by step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.toml").write_text(_head(scenario), encoding="utf-8")
    tables: dict[str, dict[str, Any]] = {
        "sites": _sites(scenario),
        "prices": _prices(scenario),
        "series": _series(scenario),
        "sessions": _sessions(scenario),
        "storages": _storages(scenario),
        "feeders": _feeders(scenario),
        "market": _market(scenario),
        "reserves": _reserves(scenario),
        "co2": _co2(scenario),
        "history": _history(scenario),
    }
    for name, columns in tables.items():
        if columns and len(next(iter(columns.values()))):
            write_table(folder, name, columns, file_format)


def _head(scenario: Scenario) -> str:
    horizon = scenario.horizon
    lines = [
        f"name = {_toml_text(scenario.name)}",
        f"timezone = {_toml_text(horizon.timezone)}",
        f"start = {format_utc(horizon.start_utc)}",
        f"steps = {horizon.steps}",
        f"step_minutes = {horizon.step_s // 60}",
    ]
    limits = {
        "import_limit_kw": scenario.portfolio_import_limit_kw,
        "export_limit_kw": scenario.portfolio_export_limit_kw,
    }
    given = [f"{key} = {float(limit)!r}" for key, limit in limits.items() if math.isfinite(limit)]
    return "\n".join([*lines, *(["[portfolio]", *given] if given else [])]) + "\n"


def _toml_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _step_times(scenario: Scenario) -> IntArray:
    horizon = scenario.horizon
    return horizon.start_s + horizon.step_s * np.arange(horizon.steps, dtype=np.int64)


def _sites(scenario: Scenario) -> dict[str, Any]:
    sites = scenario.sites
    columns: dict[str, Any] = {
        "site_id": sites.site_id,
        "import_limit_kw": sites.import_limit_kw,
        "export_limit_kw": sites.export_limit_kw,
        "demand_charge_eur_kw": sites.demand_charge_eur_kw,
    }
    if len(scenario.feeders):
        columns["feeder_id"] = _named(sites.feeder, scenario.feeders.feeder_id.tolist())
    return columns


def _named(index: IntArray, names: list[str]) -> list[str]:
    return [names[i] if i >= 0 else "" for i in index.tolist()]


def _prices(scenario: Scenario) -> dict[str, Any]:
    """Row 0 as the general one, every other row as the own row of the sites that use it."""
    prices, times = scenario.prices, _step_times(scenario)
    blocks: list[tuple[str, int]] = [("", 0)] if (prices.row == 0).any() else []
    names = scenario.sites.site_id.tolist()
    blocks += [(names[site], int(row)) for site, row in enumerate(prices.row) if row != 0]
    columns: dict[str, Any] = {
        "time_utc": np.tile(times, len(blocks)),
        "import_eur_kwh": np.concatenate([prices.import_eur_kwh[row] for _, row in blocks]),
        "export_eur_kwh": np.concatenate([prices.export_eur_kwh[row] for _, row in blocks]),
    }
    if any(name for name, _ in blocks):
        owners = np.array([name for name, _ in blocks], dtype=np.dtypes.StringDType())
        columns["site_id"] = np.repeat(owners, len(times))
    return columns


def _series(scenario: Scenario) -> dict[str, Any]:
    series, times = scenario.series, _step_times(scenario)
    used = np.flatnonzero(series.load_kw.any(axis=1) | series.pv_kw.any(axis=1))
    return {
        "time_utc": np.tile(times, len(used)),
        "site_id": np.repeat(scenario.sites.site_id[used], len(times)),
        "load_kw": series.load_kw[used].reshape(-1),
        "pv_kw": series.pv_kw[used].reshape(-1),
    }


def _sessions(scenario: Scenario) -> dict[str, Any]:
    sessions = scenario.sessions
    columns: dict[str, Any] = {
        "session_id": sessions.session_id,
        "site_id": _named(sessions.site, scenario.sites.site_id.tolist()),
        "arrive_utc": sessions.arrive_s,
        "depart_utc": sessions.depart_s,
    }
    for name in (
        "capacity_kwh",
        "energy_arrive_kwh",
        "energy_target_kwh",
        "charge_max_kw",
        "discharge_max_kw",
        "energy_min_kwh",
        "charge_efficiency",
        "discharge_efficiency",
        "wear_eur_kwh",
        "terminal_eur_kwh",
        "vehicle_id",
    ):
        columns[name] = getattr(sessions, name)
    columns["stated_depart_utc"] = sessions.stated_depart_s
    if any(sessions.battery_model.tolist()):
        columns["battery_model"] = sessions.battery_model
    return columns


def _storages(scenario: Scenario) -> dict[str, Any]:
    storages = scenario.storages
    columns: dict[str, Any] = {
        "storage_id": storages.storage_id,
        "site_id": _named(storages.site, scenario.sites.site_id.tolist()),
    }
    for name in (
        "capacity_kwh",
        "energy_start_kwh",
        "charge_max_kw",
        "discharge_max_kw",
        "charge_efficiency",
        "discharge_efficiency",
        "wear_eur_kwh",
        "energy_end_min_kwh",
    ):
        columns[name] = getattr(storages, name)
    return columns


def _feeders(scenario: Scenario) -> dict[str, Any]:
    feeders = scenario.feeders
    return {
        "feeder_id": feeders.feeder_id,
        "parent_id": _named(feeders.parent, feeders.feeder_id.tolist()),
        "import_limit_kw": feeders.import_limit_kw,
        "export_limit_kw": feeders.export_limit_kw,
    }


def _market(scenario: Scenario) -> dict[str, Any]:
    market = scenario.market
    if market is None:
        return {}
    return {
        "time_utc": _step_times(scenario),
        "position_kw": market.position_kw,
        "short_eur_kwh": market.short_eur_kwh,
        "long_eur_kwh": market.long_eur_kwh,
    }


def _reserves(scenario: Scenario) -> dict[str, Any]:
    reserves, horizon = scenario.reserves, scenario.horizon
    if reserves is None:
        return {}
    return {
        "from_utc": horizon.start_s + horizon.step_s * reserves.from_step,
        "until_utc": horizon.start_s + horizon.step_s * reserves.until_step,
        "product": reserves.product,
        "direction": [DIRECTIONS[direction] for direction in reserves.direction.tolist()],
        "price_eur_mw_h": reserves.price_eur_mw_h,
        "hold_min": _minutes(reserves.hold_h),
        "max_kw": reserves.max_kw,
    }


def _minutes(hours: FloatArray) -> FloatArray:
    """Minutes that, divided by 60 again, give exactly these hours."""
    minutes = hours * 60.0
    for other in (np.nextafter(minutes, 0.0), np.nextafter(minutes, np.inf)):
        minutes = np.where((minutes / 60.0 != hours) & (other / 60.0 == hours), other, minutes)
    return minutes


def _co2(scenario: Scenario) -> dict[str, Any]:
    if scenario.co2_g_kwh is None:
        return {}
    return {"time_utc": _step_times(scenario), "intensity_g_kwh": scenario.co2_g_kwh}


def _history(scenario: Scenario) -> dict[str, Any]:
    history = scenario.history
    if history is None:
        return {}
    return {
        "site_id": _named(history.site, scenario.sites.site_id.tolist()),
        "arrive_utc": history.arrive_s,
        "depart_utc": history.depart_s,
        "stated_depart_utc": history.stated_depart_s,
        "vehicle_id": history.vehicle_id,
    }
