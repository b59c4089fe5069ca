"""Departures are learned live, and a restarted server knows what it knew."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from real_world import Real, real
from small_world import START, small_scenario

from pendel.adapters.event_log import SqliteEventLog
from pendel.control.departures import DepartureModel
from pendel.control.state import FleetState
from pendel.records import SessionEvent, Signal
from pendel.runtime.area import Meters, fleet_state
from pendel.runtime.state import SessionView


def cars() -> FleetState:
    """Known and unknown cars at both sites, just plugged in."""
    run = real()
    names = (("s1", "home"), ("s2", "home"), ("s3", "shop"), ("new", "shop"))
    views = [
        SessionView(
            SessionEvent(
                id="", at_utc=START, session_id=name, site_id=site, phase="plugged",
                capacity_kwh=50.0, energy_kwh=10.0, charge_max_kw=11.0, discharge_max_kw=11.0,
                vehicle_id=f"car-{name}",
            )
        )
        for name, site in names
    ]  # fmt: skip
    return fleet_state(run.area.spec, views, Meters(START))


def presence(run: Real) -> np.ndarray:
    model = run.controller.controller.planning.departures
    return model.presence(cars(), int(START.timestamp()), 900, 48)


def test_a_departure_changes_what_is_expected() -> None:
    run = real()
    prior = DepartureModel.prior("Europe/Berlin").presence(cars(), int(START.timestamp()), 900, 48)
    run.to(150)
    assert presence(run) == pytest.approx(prior)
    run.to(160)  # s2 left at 154.5 min
    model, keeper = run.controller.controller.planning.departures, keeper_of(run)
    assert (model.site_sessions(0), model.site_sessions(1)) == (1, 0)
    now = presence(run)
    assert np.abs(now[:2] - prior[:2]).max() > 1e-4
    assert now[2:] == pytest.approx(prior[2:])
    run.to(478)
    assert (model.site_sessions(0), model.site_sessions(1)) == (3, 1)
    state = run.runtime.state
    assert (keeper.counted, keeper.broken) == (
        state.promises_total,
        state.promises_total - state.promises_kept,
    )
    assert state.promises_total == 3


def keeper_of(run: Real):  # type: ignore[no-untyped-def]
    """The promise keeper of the controller."""
    return run.controller.controller.planning.keeper


@pytest.mark.parametrize("minutes", [160, 320, 478])
def test_a_restarted_server_knows_what_it_knew(tmp_path: Path, minutes: float) -> None:
    log = SqliteEventLog(tmp_path / "log.db")
    before = real(log)
    before.to(minutes)
    log.close()
    log = SqliteEventLog(tmp_path / "log.db")
    after = real(log)
    assert np.array_equal(presence(after), presence(before))
    old, new = keeper_of(before), keeper_of(after)
    assert (new.counted, new.broken) == (old.counted, old.broken)
    if minutes == 160:  # nobody came since the last departure: also the risk is known again
        assert new.memory() == old.memory()
    after.runtime.tick(START + timedelta(minutes=minutes))
    assert new.risk_share() == pytest.approx(old.risk_share())
    assert new.risk_price_eur() == pytest.approx(old.risk_price_eur(), rel=0.05)
    log.close()


def test_one_memory_is_written_per_round_with_departures() -> None:
    run = real()
    run.to(478)
    found = [r for _, r in run.runtime.store.replay() if isinstance(r, Signal)]
    told = [signal for signal in found if signal.topic == "learned"]
    assert len(told) == 4
    assert all(s.causes and s.causes[0].startswith("session-") for s in told)
    assert len(run.runtime.state.lessons) == 4


def test_a_fault_in_learning_is_said_and_the_departure_is_kept() -> None:
    run = real()

    def broken(*anything: object) -> None:
        raise ValueError("deliberate")

    run.controller.learn = broken  # type: ignore[method-assign]
    run.to(156)
    assert "s2" not in run.runtime.state.sessions
    assert run.runtime.state.sessions_ended == 1


def test_sites_of_another_area_teach_nothing() -> None:
    run = real()
    run.to(160)
    other = real()
    other.area.spec = replace(other.area.spec, site_id=("moon", "mars"))
    other.runtime.journal.state.lessons.extend(run.runtime.state.lessons)
    other.area.start(other.runtime.journal, START)
    assert other.controller.controller.planning.departures.site_sessions(0) == 0
    assert small_scenario().sites.site_id.tolist() == ["home", "shop"]
