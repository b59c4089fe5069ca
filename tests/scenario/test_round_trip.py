"""Writing a scenario and reading it back gives the same scenario, to the last bit."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_folders import same, small_folder, write_folder

from pendel.scenario.columns import (
    UNKNOWN_S,
    Feeders,
    Horizon,
    Market,
    Prices,
    Reserves,
    Scenario,
    Series,
    Sessions,
    Sites,
    Storages,
)
from pendel.scenario.read import read_scenario
from pendel.scenario.results import Format
from pendel.scenario.write import write_scenario

TEXT = np.dtypes.StringDType()
ID = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


def texts(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=TEXT)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    step_minutes = draw(st.sampled_from([5, 15, 60]))
    steps = draw(st.integers(1, 12))
    start = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=draw(st.integers(0, 9000)))
    horizon = Horizon(start, steps, 60 * step_minutes, "Europe/Berlin")
    sites, feeders = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    count, batteries = draw(st.integers(0, 5)), draw(st.integers(0, 2))
    ids = draw(st.lists(ID, min_size=15, max_size=15, unique=True))
    extra = steps * 60 * step_minutes
    arrive = horizon.start_s + rng.integers(-3600, extra, count)
    depart = np.maximum(arrive + 1 + rng.integers(0, extra, count), horizon.start_s + 1)
    step_s = horizon.step_s
    first = np.clip(-((horizon.start_s - arrive) // step_s), 0, steps)
    last = np.clip((depart - horizon.start_s) // step_s, 0, steps)
    capacity = rng.uniform(50, 100, count)
    blocks = draw(st.integers(0, 3))
    rows = draw(st.integers(1, sites))
    begin = np.sort(rng.choice(steps, min(blocks, steps), replace=False))
    series_used = rng.random((sites, 1)) < 0.7
    return Scenario(
        name=draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)),
        horizon=horizon,
        sites=Sites(
            texts(ids[:sites]),
            rng.uniform(0, 100, sites),
            rng.uniform(0, 100, sites),
            rng.uniform(0, 9, sites),
            rng.integers(-1, feeders, sites) if feeders else np.full(sites, -1),
        ),
        prices=Prices(
            rng.uniform(-1, 1, (rows, steps)),
            rng.uniform(-1, 1, (rows, steps)),
            np.maximum(np.arange(sites) - sites + rows, 0),
        ),
        series=Series(
            np.where(series_used, rng.uniform(0, 9, (sites, steps)), 0.0),
            np.where(series_used, rng.uniform(0, 9, (sites, steps)), 0.0),
        ),
        sessions=Sessions(
            session_id=texts(ids[4 : 4 + count]),
            site=rng.integers(0, sites, count),
            arrive_step=first,
            depart_step=np.maximum(first, last),
            arrive_s=arrive,
            depart_s=depart,
            stated_depart_s=np.where(rng.random(count) < 0.5, depart + 60, UNKNOWN_S),
            capacity_kwh=capacity,
            energy_arrive_kwh=capacity * rng.random(count),
            energy_target_kwh=capacity * rng.random(count),
            energy_min_kwh=capacity * rng.random(count),
            charge_max_kw=rng.uniform(0, 50, count),
            discharge_max_kw=rng.uniform(0, 50, count),
            charge_efficiency=rng.uniform(0.1, 1, count),
            discharge_efficiency=rng.uniform(0.1, 1, count),
            wear_eur_kwh=rng.uniform(0, 1, count),
            terminal_eur_kwh=rng.uniform(0, 1, count),
            vehicle_id=texts([f"v{i}" if i % 2 else "" for i in range(count)]),
            battery_model=texts([draw(st.sampled_from(["", "lfp"])) for _ in range(count)]),
        ),
        storages=Storages(
            texts(ids[9 : 9 + batteries]),
            rng.integers(0, sites, batteries),
            *(np.full(batteries, 10.0), np.full(batteries, 5.0), rng.uniform(0, 9, batteries)),
            *(rng.uniform(0, 9, batteries), rng.uniform(0, 9, batteries)),
            *(rng.uniform(0.5, 1, batteries), rng.uniform(0.5, 1, batteries)),
            rng.uniform(0, 1, batteries),
        ),
        feeders=Feeders(
            texts(ids[11 : 11 + feeders]),
            np.arange(feeders) - 1,
            rng.uniform(0, 9000, feeders),
            rng.uniform(0, 9000, feeders),
        ),
        market=None
        if draw(st.booleans())
        else Market(rng.normal(size=steps), rng.random(steps), rng.random(steps)),
        reserves=None
        if not len(begin)
        else Reserves(
            texts(["FCR"] * len(begin)),
            begin,
            begin + 1,
            rng.integers(-1, 2, len(begin)),
            rng.uniform(0, 99, len(begin)),
            rng.integers(0, 600, len(begin)) / 60.0,
            np.where(rng.random(len(begin)) < 0.5, np.inf, 3.0),
        ),
        portfolio_import_limit_kw=draw(st.sampled_from([float("inf"), 0.0, 12.5])),
        portfolio_export_limit_kw=draw(st.sampled_from([float("inf"), 0.1])),
        co2_g_kwh=None if draw(st.booleans()) else rng.uniform(0, 900, steps),
    )


@settings(max_examples=60, deadline=None)
@given(scenario=scenarios(), file_format=st.sampled_from(["csv", "parquet"]))
def test_write_then_read_is_identity(scenario: Scenario, file_format: Format) -> None:
    with TemporaryDirectory() as folder:
        write_scenario(scenario, Path(folder), file_format)
        assert same(read_scenario(Path(folder)), scenario)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_read_write_read(tmp_path: Path, file_format: Format) -> None:
    first = read_scenario(write_folder(tmp_path / "one", small_folder()))
    write_scenario(first, tmp_path / "two", file_format)
    second = read_scenario(tmp_path / "two")
    for name in ("sites", "prices", "series", "sessions", "storages", "feeders", "reserves"):
        assert same(getattr(first, name), getattr(second, name)), name
    assert (first.ignored_sessions, second.ignored_sessions) == (1, 0)
