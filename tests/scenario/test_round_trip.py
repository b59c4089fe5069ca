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
    History,
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


def some_sessions(rng: np.random.Generator, ids: list[str], sites: int, at: Horizon) -> Sessions:
    count, step_s = len(ids), at.step_s
    extra = at.steps * step_s
    arrive = at.start_s + rng.integers(-3600, extra, count)
    depart = np.maximum(arrive + 1 + rng.integers(0, extra, count), at.start_s + 1)
    first = np.clip(-((at.start_s - arrive) // step_s), 0, at.steps)
    last = np.clip((depart - at.start_s) // step_s, 0, at.steps)
    capacity = rng.uniform(50, 100, count)
    return Sessions(
        session_id=texts(ids),
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
        battery_model=texts([str(rng.choice(["", "lfp"])) for _ in range(count)]),
    )


def some_history(
    rng: np.random.Generator, count: int, sites: int, horizon: Horizon
) -> History | None:
    if not count:
        return None
    depart_s = horizon.start_s - np.sort(rng.integers(0, 10**6, count))[::-1]
    return History(
        site=rng.integers(0, sites, count),
        vehicle_id=texts([f"v{i}" if i % 2 else "" for i in range(count)]),
        arrive_s=depart_s - rng.integers(0, 10**5, count),
        depart_s=depart_s,
        stated_depart_s=np.where(rng.random(count) < 0.5, UNKNOWN_S, depart_s + 60),
    )


def some_storages(rng: np.random.Generator, ids: list[str], sites: int) -> Storages:
    count = len(ids)
    return Storages(
        storage_id=texts(ids),
        site=rng.integers(0, sites, count),
        capacity_kwh=np.full(count, 10.0),
        energy_start_kwh=rng.uniform(0, 10, count),
        energy_end_min_kwh=rng.uniform(0, 10, count),
        charge_max_kw=rng.uniform(0, 9, count),
        discharge_max_kw=rng.uniform(0, 9, count),
        charge_efficiency=rng.uniform(0.5, 1, count),
        discharge_efficiency=rng.uniform(0.5, 1, count),
        wear_eur_kwh=rng.uniform(0, 1, count),
    )


def some_reserves(rng: np.random.Generator, blocks: int, steps: int) -> Reserves | None:
    begin = np.sort(rng.choice(steps, min(blocks, steps), replace=False))
    count = len(begin)
    if not count:
        return None
    return Reserves(
        product=texts(["FCR"] * count),
        from_step=begin,
        until_step=begin + 1,
        direction=rng.integers(-1, 2, count),
        price_eur_mw_h=rng.uniform(0, 99, count),
        hold_h=rng.integers(0, 600, count) / 60.0,
        max_kw=np.where(rng.random(count) < 0.5, np.inf, 3.0),
    )


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = draw(st.integers(1, 12))
    start = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=draw(st.integers(0, 9000)))
    horizon = Horizon(start, steps, 60 * draw(st.sampled_from([5, 15, 60])), "Europe/Berlin")
    sites, feeders = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    ids = draw(st.lists(ID, min_size=15, max_size=15, unique=True))
    rows = draw(st.integers(1, sites))
    used = rng.random((sites, 1)) < 0.7
    market = Market(rng.normal(size=steps), rng.random(steps), rng.random(steps))
    return Scenario(
        name=draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)),
        horizon=horizon,
        sites=Sites(
            site_id=texts(ids[:sites]),
            import_limit_kw=rng.uniform(0, 100, sites),
            export_limit_kw=rng.uniform(0, 100, sites),
            demand_charge_eur_kw=rng.uniform(0, 9, sites),
            feeder=rng.integers(-1, feeders, sites) if feeders else np.full(sites, -1),
        ),
        prices=Prices(
            import_eur_kwh=rng.uniform(-1, 1, (rows, steps)),
            export_eur_kwh=rng.uniform(-1, 1, (rows, steps)),
            row=np.maximum(np.arange(sites) - sites + rows, 0),
        ),
        series=Series(
            load_kw=np.where(used, rng.uniform(0, 9, (sites, steps)), 0.0),
            pv_kw=np.where(used, rng.uniform(0, 9, (sites, steps)), 0.0),
        ),
        sessions=some_sessions(rng, ids[4 : 4 + draw(st.integers(0, 5))], sites, horizon),
        storages=some_storages(rng, ids[9 : 9 + draw(st.integers(0, 2))], sites),
        feeders=Feeders(
            feeder_id=texts(ids[11 : 11 + feeders]),
            parent=np.arange(feeders) - 1,
            import_limit_kw=rng.uniform(0, 9000, feeders),
            export_limit_kw=rng.uniform(0, 9000, feeders),
        ),
        market=draw(st.sampled_from([None, market])),
        reserves=some_reserves(rng, draw(st.integers(0, 3)), steps),
        portfolio_import_limit_kw=draw(st.sampled_from([float("inf"), 0.0, 12.5])),
        portfolio_export_limit_kw=draw(st.sampled_from([float("inf"), 0.1])),
        history=some_history(rng, draw(st.integers(0, 3)), sites, horizon),
        co2_g_kwh=draw(st.sampled_from([None, rng.uniform(0, 900, steps)])),
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
