"""`pendel explain`: the chain of causes of a setpoint, from a store on disk."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pendel.adapters.event_log import SqliteEventLog
from pendel.cli.main import main
from pendel.records import (
    AnyRecord,
    Limit,
    PlanRecord,
    Promise,
    Rank,
    SessionEvent,
    Setpoint,
    Signal,
    Tick,
)

AT = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)


def records() -> list[AnyRecord]:
    """A chain as the dispatcher writes it."""
    return [
        Signal(
            id="signal-1",
            at_utc=AT,
            topic="price",
            published_utc=AT - timedelta(hours=18),
            detail={"import_eur_kwh": [0.1, 0.3]},
        ),
        SessionEvent(
            id="session-1",
            at_utc=AT,
            session_id="s1",
            site_id="depot",
            phase="plugged",
            capacity_kwh=80.0,
            energy_kwh=20.0,
            charge_max_kw=11.0,
            discharge_max_kw=11.0,
            simulated=True,
        ),
        Promise(
            id="promise-1",
            at_utc=AT,
            causes=("session-1",),
            session_id="s1",
            ready_by_utc=AT + timedelta(hours=8),
            target_kwh=60.0,
            asked_kwh=64.0,
            energy_min_kwh=16.0,
            confidence=0.99,
            reason="even at once 64 kWh are out of reach",
        ),
        Limit(id="limit-1", at_utc=AT, site_id="depot", source="fuse", export_limit_kw=3.0),
        PlanRecord(
            id="plan-1",
            at_utc=AT,
            causes=("signal-1", "promise-1", "limit-1"),
            site_id="depot",
            begin_utc=AT,
            step_s=900,
            objective_eur=1.5,
            bound_eur=1.5,
            shortfall_kwh=0.0,
            method="exact",
            power_kw={"CP1": [0.5] * 96},
        ),
        Tick(id="tick-1", at_utc=AT, causes=("plan-1",), plan_id="plan-1"),
        Setpoint(
            id="setpoint-1-CP1",
            at_utc=AT,
            causes=("tick-1", "promise-1", "limit-1", "gone-1"),
            device_id="CP1",
            site_id="depot",
            power_kw=-3.0,
            requested_kw=-11.0,
            rank=Rank.GRID_LIMIT,
            reason="export limit",
            until_utc=AT + timedelta(minutes=15),
            simulated=True,
        ),
    ]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out" / "demo" / "pendel.db"
    log = SqliteEventLog(path)
    log.append(records())
    log.close()
    return path


def test_the_whole_chain_in_words(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "setpoint-1-CP1"]) == 0
    text = capsys.readouterr().out
    for part in (
        "SETPOINT setpoint-1-CP1",
        "simulated CP1 shall discharge with 3.0 kW until 2026-03-01 06:15:00 UTC",
        "because of a limit: export limit (the plan alone: discharge with 11.0 kW)",
        "TICK tick-1",
        "PLAN plan-1",
        "SIGNAL signal-1",
        "2 values from 0.100 to 0.300",
        "PROMISE promise-1",
        "60.0 kWh by 2026-03-01 14:00:00 UTC",
        "(asked: 64.0 kWh)",
        "SESSION session-1",
        "LIMIT limit-1",
        "export at most 3.0 kW",
        "gone-1 (not in this log)",
    ):
        assert part in text, part
    assert text.count("PLAN plan-1") == 1
    order = [text.index(word) for word in ("SETPOINT", "TICK", "PLAN plan-1", "SIGNAL")]
    assert order == sorted(order)


def test_json_is_one_object_with_the_same_tree(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "setpoint-1-CP1", "--store", f"sqlite:///{store}", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["kind"] == "setpoint"
    assert tree["record"]["power_kw"] == -3.0
    kinds: dict[str, int] = {}

    def count(node: dict[str, object]) -> None:
        kinds[str(node.get("kind"))] = kinds.get(str(node.get("kind")), 0) + 1
        causes = node["causes"]
        assert isinstance(causes, list)
        for child in causes:
            count(child)

    count(tree)
    assert {k: kinds[k] for k in ("setpoint", "tick", "plan", "promise", "limit", "signal")} == {
        "setpoint": 1,
        "tick": 1,
        "plan": 1,
        "promise": 1,
        "limit": 1,
        "signal": 1,
    }


def test_unknown_id_names_near_ones(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "setpoint-1"]) == 2
    assert "did you mean setpoint-1-CP1" in capsys.readouterr().err
    assert main(["explain", "zzzzzzzz"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_store_from_a_configuration(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = store.parent / "server.toml"
    config.write_text('store = "sqlite:///pendel.db"\n', "utf-8")
    assert main(["explain", "tick-1", "--config", str(config)]) == 0
    assert capsys.readouterr().out.startswith("TICK tick-1")


@pytest.mark.parametrize(
    ("content", "status"),
    [('store = "memory://"', 2), ("store = 3", 2), ("store = ", 2), ('store = "mysql://x"', 1)],
)
def test_a_bad_configuration(store: Path, content: str, status: int) -> None:
    config = store.parent / "server.toml"
    config.write_text(content, "utf-8")
    assert main(["explain", "tick-1", "--config", str(config)]) == status
    assert main(["explain", "tick-1", "--config", "nowhere.toml"]) == 2


def test_no_store_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "tick-1"]) == 2
    assert "no store found" in capsys.readouterr().err
    assert main(["explain", "tick-1", "--store", "none.db"]) == 1
    assert "no event log" in capsys.readouterr().err


def test_a_damaged_store_says_so(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.write_bytes(b"not a database at all, really" * 100)
    assert main(["explain", "tick-1"]) == 1
    assert "not an event log" in capsys.readouterr().err
