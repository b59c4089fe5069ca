"""DER controls of a 2.1 station: set, run, supersede, end, report (block R)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from scripted_backend import START_S, Pair, profile_2

from pendel.comms.ocpp.release import Version


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


def discharging() -> Pair:
    pair = Pair(Version.V21).connect()
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
def test_only_the_stronger_supersedes_and_only_when_it_begins() -> None:
    pair = discharging()
    assert pair.ask("SetDERControl", cap("weak", 40.0, 5, 10.0, 500.0)).status == "Accepted"
    answer = pair.ask("SetDERControl", cap("strong", 20.0, 1, 60.0, 50.0))
    assert answer.status == "Accepted"
    pair.ask("SetDERControl", cap("equal", 90.0, 5, 30.0, 600.0))
    pair.run(40, 1.0)
    assert pair.power_kw == pytest.approx(-4.4)
    pair.run(30, 1.0)
    assert pair.power_kw == pytest.approx(-2.2)
    pair.run(60, 1.0)  # the strong one is over; what it superseded does not come back
    assert pair.power_kw == pytest.approx(-9.9)
    assert starts(pair) == [
        ("weak", True, []),
        ("strong", True, ["weak"]),
        ("strong", False, []),
        ("equal", True, []),
    ]


@pytest.mark.proves("R04.FR.03", "R04.FR.42")
def test_a_stronger_default_supersedes_at_once() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("old", 50.0, 5))
    answer = pair.ask("SetDERControl", cap("new", 0.0, 1))
    assert answer.supersededIds == ["old"]
    pair.run(1)
    assert pair.power_kw == 0.0
    assert pair.ask("ClearDERControl", {"isDefault": True, "controlId": "new"}).status == "Accepted"
    assert pair.ask("ClearDERControl", {"isDefault": True, "controlId": "new"}).status == "NotFound"
    pair.run(1)
    assert pair.power_kw == -10.0


@pytest.mark.proves("R04.FR.30")
@pytest.mark.parametrize(
    "change",
    [
        {"controlType": "VoltVar"},
        {"isDefault": False},
        {"fixedVar": {"priority": 1, "setpoint": 0, "unit": "PctMaxVar"}},
    ],
)
def test_what_does_not_fit_together_is_rejected(change: dict[str, Any]) -> None:
    pair = Pair(Version.V21).connect()
    assert pair.ask("SetDERControl", cap("a", 50.0, 1) | change).status == "Rejected"
    assert pair.ask("GetDERControl", {"requestId": 1}).status == "NotFound"


@pytest.mark.proves("R01.FR.03", "R04.FR.33")
def test_controls_are_reported_and_outlive_a_reboot() -> None:
    pair = discharging()
    curve = {"curveData": [{"x": 95, "y": 0}, {"x": 105, "y": -44}], "priority": 2,
             "yUnit": "PctMaxVar"}  # fmt: skip
    pair.ask("SetDERControl", cap("a", 50.0, 1))
    pair.ask(
        "SetDERControl",
        {"isDefault": True, "controlId": "v", "controlType": "VoltVar", "curve": curve},
    )
    fixed = {"priority": 0, "displacement": 0.95, "excitation": True}
    pair.ask(
        "SetDERControl",
        {"isDefault": True, "controlId": "p", "controlType": "FixedPFAbsorb",
         "fixedPFAbsorb": fixed},
    )  # fmt: skip
    pair.station.reboot(pair.now_s)
    pair.connect()
    assert pair.ask("GetDERControl", {"requestId": 4}).status == "Accepted"
    told = pair.backend.payloads("ReportDERControl")[-1]
    assert told["limitMaxDischarge"][0]["id"] == "a"
    assert told["curve"][0]["curveType"] == "VoltVar"
    assert told["curve"][0]["curve"]["curveData"] == curve["curveData"]
    assert told["fixedPFAbsorb"][0]["fixedPF"]["displacement"] == 0.95


def test_alarms() -> None:
    pair = Pair(Version.V21).connect()
    dialect: Any = pair.station.dialect
    dialect.alarm("VoltWatt", "OverVoltage", False, pair.now_s)
    pair.pump()
    assert pair.backend.payloads("NotifyDERAlarm")[0]["gridEventFault"] == "OverVoltage"
