"""Rows of units only where they are connected: where each lies, and what lies elsewhere."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scenario_folders import START, small_folder, write_folder

from pendel.errors import InputError
from pendel.scenario import sources
from pendel.scenario.plan_folder import read_plan_folder
from pendel.scenario.read import read_scenario
from pendel.scenario.results import Texts, result_folder
from pendel.scenario.unit_rows import Windows, connected_windows, whole_windows

S = int(START.timestamp())


def test_places_and_tables() -> None:
    windows = Windows(np.array([2, 0, 5]), np.array([0, 3, 3, 4]))
    unit, step = np.array([0, 0, 0, 0, 1, 2, 2]), np.array([1, 2, 4, 5, 0, 5, 6])
    assert windows.places(unit, step).tolist() == [-1, 0, 2, -1, -1, 3, -1]
    table = windows.dense(np.array([1.0, 2.0, 3.0, 4.0]), 6, np.nan)
    assert np.isnan(table[1]).all()
    assert table[0, 2:5].tolist() == [1.0, 2.0, 3.0]
    assert table[2, 5] == 4.0
    assert np.isfinite(table).sum() == 4


def test_whole_windows_are_tables() -> None:
    windows, values = whole_windows(3, 4), np.arange(12.0)
    assert windows.dense(values, 4, np.nan).tolist() == values.reshape(3, 4).tolist()


def every_row(folder: Path, order: np.ndarray, more: dict[int, int] | None = None) -> Path:
    """A parquet plan of all units and steps in some order, in small row groups; `more` repeats
    row numbers."""
    scenario = read_scenario(folder / "in")
    windows, steps = connected_windows(scenario), scenario.horizon.steps
    ids = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    unit, step = (a.ravel() for a in np.mgrid[: len(windows), :steps])
    keep = windows.places(unit, step) >= 0
    unit, step = unit[keep], step[keep]
    order = order[order < len(unit)] if len(order) else np.arange(len(unit))
    unit, step = unit[order], step[order]
    for source, target in (more or {}).items():
        unit[target], step[target] = unit[source], step[source]
    with result_folder(folder / "out") as out:
        table = pa.table(
            {
                "time_utc": pa.array(1_000 * (S + 900 * step), pa.timestamp("ms", "UTC")),
                "id": pa.array([ids[u] for u in unit]).dictionary_encode(),
                "power_kw": 0.5 + unit + 0.01 * step,
                "energy_kwh": 1.0 * step,
            }
        )
        pq.write_table(table, out.path / "plan.parquet", row_group_size=7)
        names = scenario.sites.site_id.tolist()
        places = Texts(np.repeat(np.arange(len(names)), steps), names)
        nothing = np.zeros(len(places))
        times = np.tile(S + 900 * np.arange(steps), len(names))
        columns = {"time_utc": times, "site_id": places, "net_kw": nothing, "curtailed_kw": nothing}
        out.write_table("sites", columns, "parquet")
        out.write_summary({})
    return folder / "out"


def test_any_order_of_rows_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier reads what is written, not what a writer of ours would have written."""
    monkeypatch.setattr(sources, "BATCH_ROWS", 5)
    write_folder(tmp_path / "in", small_folder())
    scenario = read_scenario(tmp_path / "in")
    count = connected_windows(scenario).pairs
    plans = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(count) if seed else np.arange(count)
        plans.append(read_plan_folder(every_row(tmp_path, order), scenario))
    for plan in plans:
        assert plan.rows.power_kw.tolist() == plans[0].rows.power_kw.tolist()
        unit, step = np.nonzero(np.isfinite(plan.energy_kwh))
        np.testing.assert_allclose(plan.power_kw[unit, step], 0.5 + unit + 0.01 * step)
        assert plan.rows.outside_kw == 0.0


def test_a_row_twice_far_apart_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", 5)
    write_folder(tmp_path / "in", small_folder())
    scenario = read_scenario(tmp_path / "in")
    with pytest.raises(InputError) as caught:
        read_plan_folder(every_row(tmp_path, np.array([], dtype=int), {1: 20, 3: 4}), scenario)
    places = [(p.file, p.line, p.problem) for p in caught.value.problems]
    assert places == [
        ("plan.parquet", 6, "row is there twice"),
        ("plan.parquet", 22, "row is there twice"),
    ]


def test_power_while_not_connected_is_kept_in_mind(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", small_folder())
    scenario = read_scenario(folder)
    windows = connected_windows(scenario)
    unit = int(np.flatnonzero(windows.first > 1)[0])
    name = str(scenario.sessions.session_id[unit])
    out = every_row(tmp_path, np.array([], dtype=int))
    table = pq.read_table(out / "plan.parquet").to_pydict()
    for power in (-2.5, 1.0):
        step = 0 if power < 0 else windows.first[unit] - 1
        table["time_utc"].append(scenario.horizon.utc_of(int(step)))
        table["id"].append(name)
        table["power_kw"].append(power)
        table["energy_kwh"].append(None)
    kinds = pq.read_schema(out / "plan.parquet")
    pq.write_table(pa.table(table, schema=kinds), out / "plan.parquet")
    assert read_plan_folder(out, scenario).rows.outside_kw == 2.5
