"""What `pendel potential SCENARIO --out` writes: tables that others can read."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendel.cli.options import COMMAND_LINE
from pendel.cli.plan_files import PARQUET_ROWS, PART_UNITS, plan_parts, tables_of
from pendel.cli.progress import ProgressLine, progress_line
from pendel.errors import InputError, Problem

if TYPE_CHECKING:
    from pendel.control.flexibility import Inner
    from pendel.control.schedule import Schedule
    from pendel.scenario.columns import Scenario
    from pendel.units import IntArray

VALUES_MAX = 400_000_000
"""Energies of all units in all stored schedules: 3.2 GB of memory."""

COLUMNS: dict[str, dict[str, str]] = {
    "envelope": {
        "time_utc": "begin of the step",
        "power_least_kw": "kW AC, import positive: no plan draws less (outer)",
        "power_most_kw": "kW AC: no plan draws more (outer)",
        "drawn_least_kwh": "kWh AC drawn from the begin of the horizon to the step's end (outer)",
        "drawn_most_kwh": "kWh AC, as drawn_least_kwh, at most (outer)",
        "base_kw": "kW AC of the cheapest stored schedule",
        "inner_least_kw": "kW AC, least of the stored schedules (guaranteed)",
        "inner_most_kw": "kW AC, most of the stored schedules (guaranteed)",
    },
    "offers": {
        "schedule": "number of the stored schedule that does it",
        "from_utc": "begin of the block",
        "until_utc": "end of the block",
        "direction": "give = less drawn or more given, take = more drawn",
        "incentive_eur_kwh": "EUR/kWh that moved it",
        "power_kw": "kW, mean change of the fleet's power in the block",
        "energy_kwh": "kWh, that times the length of the block",
        "cost_eur": "EUR more than the cheapest schedule costs",
        "cost_eur_kwh": "EUR/kWh = cost_eur / energy_kwh",
        "cost_eur_kw": "EUR/kW = cost_eur / power_kw, for the whole block",
        "cost_most_eur": "EUR more than any schedule at all could cost less, at most (proven)",
        "cost_most_eur_kwh": "EUR/kWh = cost_most_eur / energy_kwh",
    },
    "schedules": {
        "schedule": "number, 0 = the cheapest",
        "time_utc": "begin of the step",
        "power_kw": "kW AC of all cars and batteries",
    },
    "units": {
        "schedule": "number",
        "id": "session or storage",
        "time_utc": "begin of the step",
        "energy_kwh": "kWh stored at the end of the step: blends average this",
    },
}


def check_size(scenario: "Scenario", blocks: int, incentives: int) -> None:
    """Refuse what does not fit into memory. Raises InputError with what would."""
    from pendel.scenario.unit_rows import connected_windows

    count, pairs = 1 + 2 * blocks * incentives, connected_windows(scenario).pairs
    if blocks == 0 or count * pairs <= VALUES_MAX:
        return
    text = (
        f"{count} schedules of {pairs:,d} connected unit-steps are {count * pairs:,d} energies, "
        f"at most {VALUES_MAX:,d} are kept"
    )
    fits = (VALUES_MAX // pairs - 1) // 2
    allowed = "--blocks 0 = envelopes only"
    if fits > 0:
        allowed = f"--blocks times number of --incentives at most {fits}; {allowed}"
    raise InputError([Problem(COMMAND_LINE, 0, "--blocks", text, allowed)])


def write(
    out: Path,
    scenario: "Scenario",
    outer_columns: dict[str, Any],
    inner: "Inner",
    followed: "Schedule | None",
    data: dict[str, Any],
) -> None:
    """The result folder: envelope, offers, schedules, units, and the followed plan."""
    import numpy as np

    from pendel.scenario.results import result_folder

    horizon, count = scenario.horizon, len(inner)
    times = horizon.start_s + horizon.step_s * np.arange(horizon.steps, dtype=np.int64)
    tables: dict[str, dict[str, Any]] = {
        "envelope": {
            "time_utc": times,
            **outer_columns,
            "base_kw": inner.power_kw[0],
            "inner_least_kw": inner.power_kw.min(axis=0),
            "inner_most_kw": inner.power_kw.max(axis=0),
        },
        "offers": {
            name: [math.nan if row[name] is None else row[name] for row in data["offers"]]
            for name in COLUMNS["offers"]
        },
        "schedules": {
            "schedule": np.repeat(np.arange(count), horizon.steps),
            "time_utc": np.tile(times, count),
            "power_kw": inner.power_kw.ravel(),
        },
    }
    with result_folder(out) as folder, progress_line() as line:
        for name, columns in tables.items():
            folder.write_table(name, columns)
        is_large = count * inner.windows.pairs > PARQUET_ROWS
        parts = unit_parts(scenario, inner, times, line)
        folder.write_parts("units", parts, "parquet" if is_large else "csv")
        if followed is not None:
            is_large = horizon.steps * len(followed.power_kw) > PARQUET_ROWS
            kind: Any = "parquet" if is_large else "csv"
            folder.write_parts("plan", plan_parts(scenario, followed, line), kind)
            folder.write_table("sites", tables_of(scenario, followed)["sites"], kind)
        folder.write_summary(data)


def unit_parts(
    scenario: "Scenario", inner: "Inner", times: "IntArray", line: ProgressLine
) -> Iterator[dict[str, Any]]:
    """Stored energy of every unit in every stored schedule while connected, some units of a
    schedule at a time, to the last digit."""
    import numpy as np

    from pendel.scenario.results import Texts

    ids = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    first, offset = inner.windows.first, inner.windows.offset
    for schedule in range(len(inner)):
        line.bar("writing the schedules", schedule / len(inner))
        for begin in range(0, max(1, len(ids)), PART_UNITS):
            end = min(begin + PART_UNITS, len(ids))
            length = np.diff(offset[begin : end + 1])
            unit = np.repeat(np.arange(end - begin), length)
            rows = np.arange(offset[begin], offset[end])
            step = rows - offset[begin:end][unit] + first[begin:end][unit]
            yield {
                "schedule": np.full(len(rows), schedule),
                "id": Texts(unit, ids[begin:end]),
                "time_utc": times[step],
                "energy_kwh": inner.energy_kwh[schedule, rows],
            }
