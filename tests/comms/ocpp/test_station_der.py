"""DER controls of a 2.1 station: set, run, supersede, end, report (block R)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from der_oracle import Timeline
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import START_S, Pair, profile_2

from pendel.comms.ocpp.der_rules import field_of
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START_S + seconds, UTC).isoformat()


def cap(
    number: str, percent: float, priority: int, start_s: float | None = None, lasts_s: float = 100.0
) -> dict[str, Any]:
    body: dict[str, Any] = {"priority": priority, "pctMaxDischargePower": percent}
    if start_s is not None:
        body |= {"startTime": at(start_s), "duration": lasts_s}
    return {
        "isDefault": start_s is None,
        "controlId": number,
        "controlType": "LimitMaxDischarge",
        "limitMaxDischarge": body,
    }


def control_of(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """A default control."""
    return {"isDefault": True, "controlId": kind, "controlType": kind, field_of(kind): body}


def discharging(settings: StationSettings | None = None) -> Pair:
    """A car that gives 10 kW as its profile says."""
    pair = Pair(Version.V21, settings).connect()
    pair.plug()
    transaction = pair.station.evses[1].transaction
    assert transaction is not None
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -10_000}
    profile = profile_2(2, "TxProfile", [period], transactionId=transaction.id,
                        schedule={"startSchedule": at(-9)})  # fmt: skip
    order = {"evseId": 1, "chargingProfile": profile}
    assert pair.ask("SetChargingProfile", order).status == "Accepted"
    pair.run(1)
    assert pair.power_kw == -10.0
    return pair


def starts(pair: Pair) -> list[tuple[str, bool, list[str]]]:
    return [
        (p["controlId"], p["started"], p.get("supersededIds", []))
        for p in pair.backend.payloads("NotifyDERStartStop")
    ]


@pytest.mark.proves("R04.FR.02", "R04.FR.05", "R04.FR.11", "R04.FR.20", "R04.FR.22")
def test_a_default_holds_until_a_scheduled_control_begins() -> None:
    pair = discharging()
    assert pair.ask("SetDERControl", cap("d", 50.0, 5)).status == "Accepted"
    pair.run(1, 1.0)
    assert pair.power_kw == -5.5
    assert pair.ask("SetDERControl", cap("s", 10.0, 9, 60.0)).status == "Accepted"
    pair.run(40, 1.0)
    assert pair.power_kw == -5.5
    pair.run(30, 1.0)
    assert pair.power_kw == pytest.approx(-1.1)
    pair.run(100, 1.0)
    assert pair.power_kw == -5.5
    assert starts(pair) == [("s", True, []), ("s", False, [])]


@pytest.mark.proves("R04.FR.07", "R04.FR.09", "R04.FR.21")
def test_a_running_control_goes_on_until_the_stronger_one_begins() -> None:
    pair = discharging()
    assert pair.ask("SetDERControl", cap("weak", 40.0, 5, 10.0, 500.0)).status == "Accepted"
    pair.run(15, 1.0)
    assert pair.power_kw == pytest.approx(-4.4)
    answer = pair.ask("SetDERControl", cap("strong", 20.0, 1, 60.0, 50.0))
    assert answer.status == "Accepted" and not answer.supersededIds
    pair.ask("SetDERControl", cap("equal", 90.0, 5, 30.0, 600.0))
    pair.run(25, 1.0)
    assert pair.power_kw == pytest.approx(-4.4)
    pair.run(30, 1.0)
    assert pair.power_kw == pytest.approx(-2.2)
    assert superseded(pair) == {"weak": True, "strong": False, "equal": False}
    pair.run(60, 1.0)  # the strong one is over; what it superseded does not come back
    assert pair.power_kw == pytest.approx(-9.9)
    assert starts(pair) == [
        ("weak", True, []),
        ("strong", True, ["weak"]),
        ("strong", False, []),
        ("equal", True, []),
    ]


def superseded(pair: Pair) -> dict[str, bool]:
    """What ReportDERControl says of each LimitMaxDischarge."""
    pair.ask("GetDERControl", {"requestId": 77})
    told = [p for p in pair.backend.payloads("ReportDERControl") if p["requestId"] == 77]
    entries = told[-1].get("limitMaxDischarge", [])
    return {entry["id"]: entry["isSuperseded"] for entry in entries}


@pytest.mark.proves("R04.FR.06")
def test_what_has_not_begun_is_superseded_at_once_by_a_stronger_one() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("weak", 40.0, 5, 10.0, 500.0))
    answer = pair.ask("SetDERControl", cap("strong", 20.0, 1, 60.0, 50.0))
    assert (answer.status, answer.supersededIds) == ("Accepted", ["weak"])
    assert superseded(pair) == {"weak": True, "strong": False}
    pair.run(30, 1.0)
    assert pair.power_kw == -10.0  # its time has come, and it does not run
    pair.run(40, 1.0)
    assert pair.power_kw == pytest.approx(-2.2)
    assert starts(pair) == [("strong", True, [])]


@pytest.mark.proves("R04.FR.08")
def test_a_weaker_one_is_superseded_by_what_runs_as_it_comes() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("runs", 40.0, 1, 5.0, 30.0))
    pair.run(10, 1.0)
    answer = pair.ask("SetDERControl", cap("late", 90.0, 5, 20.0, 300.0))
    assert (answer.status, answer.supersededIds) == ("Accepted", ["late"])
    assert superseded(pair) == {"runs": False, "late": True}
    pair.run(60, 1.0)
    assert pair.power_kw == -10.0
    assert starts(pair) == [("runs", True, []), ("runs", False, [])]


@pytest.mark.proves("R04.FR.04")
def test_a_new_default_leaves_what_runs_alone() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("s", 10.0, 9, 5.0, 60.0))
    pair.run(10, 1.0)
    answer = pair.ask("SetDERControl", cap("d", 50.0, 0))
    assert answer.status == "Accepted" and not answer.supersededIds
    pair.run(10, 1.0)
    assert pair.power_kw == pytest.approx(-1.1)
    pair.run(60, 1.0)
    assert pair.power_kw == -5.5


@pytest.mark.proves("R04.FR.10")
def test_what_is_over_is_deleted_superseded_or_not() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("weak", 40.0, 5, 10.0, 30.0))
    pair.ask("SetDERControl", cap("strong", 20.0, 1, 20.0, 50.0))
    pair.run(38, 1.0)
    assert superseded(pair) == {"weak": True, "strong": False}
    pair.run(2, 1.0)
    assert superseded(pair) == {"strong": False}
    pair.run(30, 1.0)
    assert pair.ask("GetDERControl", {"requestId": 8}).status == "NotFound"


WISH = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 60)),
    st.integers(1, 60),
    st.integers(0, 20),
)


@given(st.lists(WISH, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_order_of_controls_runs_as_the_oracle_says(wishes: list[Any]) -> None:
    """Set one after the other, with pauses; each second the cap in force is compared."""
    pair = discharging()
    oracle, at_s, share = Timeline(), 0, {}
    for number, (name, priority, delay, lasts, pause) in enumerate(wishes):
        percent = 5.0 + 10.0 * number
        share[name] = percent
        start = None if delay is None else at_s + delay
        more = {} if start is None else {"start_s": 1.0 + start, "lasts_s": float(lasts)}
        answer = pair.ask("SetDERControl", cap(name, percent, priority, **more))
        assert answer.status == "Accepted"
        told = oracle.put(name, priority, start, lasts)
        assert (answer.supersededIds or []) == told
        for _ in range(pause):
            at_s += 1
            pair.run(1, 1.0)
            running = oracle.second(at_s)
            wanted = -10.0 if running is None else max(-10.0, -0.11 * share[running])
            assert pair.power_kw == pytest.approx(wanted), (at_s, running)


@pytest.mark.proves("R04.FR.03", "R04.FR.42")
def test_a_stronger_default_supersedes_at_once() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("old", 50.0, 5))
    answer = pair.ask("SetDERControl", cap("new", 0.0, 1))
    assert answer.supersededIds == ["old"]
    pair.run(1)
    assert pair.power_kw == 0.0
    weaker = pair.ask("SetDERControl", cap("weaker", 80.0, 7))
    assert weaker.supersededIds == ["weaker"]
    assert pair.ask("ClearDERControl", {"isDefault": True, "controlId": "new"}).status == "Accepted"
    assert pair.ask("ClearDERControl", {"isDefault": True, "controlId": "new"}).status == "NotFound"
    pair.run(1)
    assert pair.power_kw == -10.0


@pytest.mark.proves("R04.FR.13", "R04.FR.17")
@pytest.mark.parametrize(
    "change",
    [
        {"controlType": "VoltVar"},
        {"isDefault": False},
        {"fixedVar": {"priority": 1, "setpoint": 0, "unit": "PctMaxVar"}},
        {"limitMaxDischarge": {"priority": 1, "pctMaxDischargePower": 50, "startTime": at(50)}},
        {"limitMaxDischarge": {"priority": 1, "pctMaxDischargePower": 50, "duration": 50}},
        {"limitMaxDischarge": {"priority": 1, "pctMaxDischargePower": 101}},
    ],
)
def test_what_does_not_fit_together_is_rejected(change: dict[str, Any]) -> None:
    pair = Pair(Version.V21).connect()
    answer = pair.ask("SetDERControl", cap("a", 50.0, 1) | change)
    assert answer.status == "Rejected" and answer.statusInfo.additionalInfo
    assert pair.ask("GetDERControl", {"requestId": 1}).status == "NotFound"


@pytest.mark.proves("R04.FR.15")
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Gradients", {"priority": 0, "gradient": 10, "softGradient": 0}),
        ("EnterService", {"priority": 0, "highVoltage": 110, "lowVoltage": 90, "highFreq": 51,
                          "lowFreq": 49}),
    ],
)  # fmt: skip
def test_what_exists_as_default_only_is_not_scheduled(kind: str, body: dict[str, Any]) -> None:
    pair = Pair(Version.V21).connect()
    wish = {"isDefault": False, "controlId": "x", "controlType": kind, field_of(kind): body}
    assert pair.ask("SetDERControl", wish).status == "Rejected"
    assert pair.ask("SetDERControl", wish | {"isDefault": True}).status == "Accepted"


def test_starts_that_nobody_heard_are_told_later() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("s", 10.0, 9, 60.0, 30.0))
    pair.cut()
    pair.run(100, 1.0)
    assert starts(pair) == []
    pair.connect()
    pair.run(2, 1.0)
    assert starts(pair) == [("s", True, []), ("s", False, [])]
    told = [p["timestamp"] for p in pair.backend.payloads("NotifyDERStartStop")]
    assert [datetime.fromisoformat(t).timestamp() - START_S for t in told] == [60.0, 90.0]


def test_one_long_step_begins_a_control_on_its_second() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("s", 10.0, 9, 61.0, 30.0))
    pair.run(99, 99.0)
    told = [p["timestamp"] for p in pair.backend.payloads("NotifyDERStartStop")]
    assert [datetime.fromisoformat(t).timestamp() - START_S for t in told] == [61.0, 91.0]
