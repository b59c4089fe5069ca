"""Monitors of the virtual station and their event streams, under simulated time."""

from itertools import pairwise
from typing import Any

import pytest
from scripted_backend import START_S, Backend, Pair, a_car

from pendel.comms.ocpp.peer import Event, Streamed
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings

TWO = pytest.mark.parametrize("version", [Version.V201, Version.V21])


class Streaming(Backend):
    """Takes streams (or refuses them) and keeps what they bring: when, and what."""

    takes = "Accepted"

    def __init__(self, version: Version) -> None:
        super().__init__(version)
        self.streamed: list[dict[str, Any]] = []

    def _on(self, event: Event, now_s: float) -> None:
        if isinstance(event, Streamed):
            self.streamed.append(self.plain(event.payload))
        super()._on(event, now_s)

    def plain(self, payload: Any) -> dict[str, Any]:
        base_s = payload.basetime.timestamp() - START_S
        values = [(base_s + each.t, float(each.v)) for each in payload.data]
        return {"id": payload.id, "pending": payload.pending, "values": values}

    def answer(self, action: str, data: dict[str, Any], now_s: float) -> dict[str, Any]:
        if action == "OpenPeriodicEventStream":
            return {"status": self.takes}
        return super().answer(action, data, now_s)


def pair(version: Version = Version.V21, takes: str = "Accepted") -> Pair:
    found = Pair(version, StationSettings("CS1", evses=2))
    found.backend = Streaming(version)
    found.backend.takes = takes
    return found.connect()


def monitor(
    kind: str, value: float, evse: int = 1, variable: str = "EnergyImport", **more: Any
) -> dict[str, Any]:
    component = "ConnectedEV" if variable == "StateOfCharge" else "FiscalMetering"
    return {
        "value": value,
        "type": kind,
        "severity": 8,
        "component": {"name": component, "evse": {"id": evse}},
        "variable": {"name": variable},
        **more,
    }


def put(found: Pair, *monitors: dict[str, Any]) -> list[Any]:
    response = found.ask("SetVariableMonitoring", {"setMonitoringData": list(monitors)})
    return list(response.setMonitoringResult)


def streamed(found: Pair) -> list[dict[str, Any]]:
    assert isinstance(found.backend, Streaming)
    return found.backend.streamed


def events(found: Pair) -> list[dict[str, Any]]:
    return [each for p in found.backend.payloads("NotifyEvent") for each in p["eventData"]]


@TWO
def test_each_request_is_answered_for_each_monitor(version: Version) -> None:
    found = pair(version)
    first = put(found, monitor("Periodic", 60.0))[0]
    asked = [
        (monitor("Periodic", 60.0), "Duplicate"),
        (monitor("Delta", -1.0), "Rejected"),
        (monitor("Delta", 5.0, id=99), "Rejected"),
        (monitor("Delta", 5.0, evse=2, id=first.id), "Rejected"),
        (monitor("Periodic", 30.0, id=first.id), "Accepted"),
        ({**monitor("Delta", 1.0), "variable": {"name": "Nothing"}}, "UnknownVariable"),
        ({**monitor("Delta", 1.0), "component": {"name": "Nothing"}}, "UnknownComponent"),
    ]
    fixed = {"component": {"name": "TxCtrlr"}, "variable": {"name": "TxStartPoint"}}
    asked.append(({**monitor("Delta", 1.0), **fixed}, "UnsupportedMonitorType"))
    results = put(found, *(each for each, _ in asked))
    assert [r.status for r in results] == [status for _, status in asked]
    gone = found.ask("ClearVariableMonitoring", {"id": [first.id, 1234]})
    assert [r.status for r in gone.clearMonitoringResult] == ["Accepted", "NotFound"]


@TWO
def test_a_periodic_monitor_tells_the_register_as_often_as_asked(version: Version) -> None:
    found = pair(version)
    found.plug()
    put(found, monitor("Periodic", 45.0))
    found.run(450)
    told = events(found)
    assert len(told) == 10 and {e["trigger"] for e in told} == {"Periodic"}
    # 11 kW for 45 s are 137.5 Wh
    steps = [float(b["actualValue"]) - float(a["actualValue"]) for a, b in pairwise(told)]
    assert all(step == pytest.approx(137.5, abs=0.01) for step in steps)
    assert len({e["eventId"] for e in told}) == 10
    assert ("severity" in told[0]) is (version is Version.V21)


@TWO
def test_thresholds_and_differences_tell_once_each_way(version: Version) -> None:
    found = pair(version)
    found.plug(a_car(energy_kwh=24.0, target_kwh=30.0))
    put(
        found,
        monitor("UpperThreshold", 45.0, variable="StateOfCharge"),
        monitor("Delta", 1000.0),
    )
    found.run(3600)
    alerts = [e for e in events(found) if e["trigger"] == "Alerting"]
    assert [(e["cleared"], float(e["actualValue"]) > 45.0) for e in alerts] == [(False, True)]
    deltas = [float(e["actualValue"]) for e in events(found) if e["trigger"] == "Delta"]
    assert len(deltas) == 6 and all(b - a >= 1000.0 for a, b in pairwise(deltas))


def test_a_stream_sends_by_its_interval_and_no_event_beside() -> None:
    found = pair()
    found.plug()
    stream = {"interval": 60, "values": 0}
    (result,) = put(found, monitor("Periodic", 10.0, periodicEventStream=stream))
    (opened,) = found.backend.payloads("OpenPeriodicEventStream")
    assert opened["constantStreamData"] == {
        "id": result.id,
        "variableMonitoringId": result.id,
        "params": {"interval": 60},
    }
    found.run(600)
    told = streamed(found)
    assert len(told) == 10 and not events(found)
    assert all(len(message["values"]) == 6 and message["pending"] == 0 for message in told)
    values = [value for message in told for value in message["values"]]
    assert [round(at_s) for at_s, _ in values] == [10 * i for i in range(1, 61)]
    assert values[-1][1] - values[0][1] == pytest.approx(11_000 * 590 / 3600, abs=0.01)


def test_a_stream_sends_as_soon_as_enough_values_are_there() -> None:
    found = pair()
    found.plug()
    put(found, monitor("Periodic", 10.0, periodicEventStream={"values": 4}))
    found.run(100)
    assert [len(message["values"]) for message in streamed(found)] == [4, 4]


def test_both_bounds_hold_what_is_left_is_told() -> None:
    found = pair()
    found.plug()
    put(found, monitor("Periodic", 10.0, periodicEventStream={"interval": 35, "values": 100}))
    found.run(100)
    found.station.disconnected(found.now_s)
    found.online = False
    found.run(300)
    found.connect()
    found.run(40)
    told = streamed(found)
    values = [round(at_s) for message in told for at_s, _ in message["values"]]
    assert values == [10 * i for i in range(1, values[-1] // 10 + 1)], "none lost on the way"
    assert max(len(message["values"]) for message in told) > 25


def test_a_stream_that_is_refused_speaks_by_events() -> None:
    found = pair(takes="Rejected")
    found.plug()
    put(found, monitor("Periodic", 10.0, periodicEventStream={"interval": 30}))
    found.run(60)
    assert not streamed(found) and len(events(found)) == 6, "N11.FR.07"
    assert not found.ask("GetPeriodicEventStream", {}).constantStreamData


def test_streams_are_told_adjusted_and_closed() -> None:
    found = pair()
    found.plug()
    (result,) = put(found, monitor("Periodic", 10.0, periodicEventStream={"interval": 30}))
    (told,) = found.ask("GetPeriodicEventStream", {}).constantStreamData
    assert (told.id, told.params.interval) == (result.id, 30)
    order = {"id": result.id, "params": {"values": 2}}
    assert found.ask("AdjustPeriodicEventStream", order).status == "Accepted"
    assert found.ask("AdjustPeriodicEventStream", {**order, "id": 77}).status == "Rejected"
    assert found.ask("AdjustPeriodicEventStream", {**order, "params": {}}).status == "Rejected"
    found.run(50)
    assert [len(message["values"]) for message in streamed(found)] == [2, 2]
    found.ask("ClearVariableMonitoring", {"id": [result.id]})
    assert len(streamed(found)[-1]["values"]) == 1, "N13.FR.03: what was left"
    assert found.backend.payloads("ClosePeriodicEventStream") == [{"id": result.id}]
    found.run(60)
    assert len(streamed(found)) == 3


def test_a_monitor_set_anew_without_a_stream_speaks_by_events() -> None:
    found = pair()
    found.plug()
    (result,) = put(found, monitor("Periodic", 10.0, periodicEventStream={"values": 1}))
    found.run(20)
    put(found, monitor("Periodic", 10.0, id=result.id))
    assert found.backend.payloads("ClosePeriodicEventStream") == [{"id": result.id}]
    found.run(20)
    assert len(streamed(found)) == 2 and len(events(found)) == 2, "N13.FR.06"


def test_streams_are_opened_anew_after_a_reboot() -> None:
    found = pair()
    put(found, monitor("Periodic", 10.0, periodicEventStream={"interval": 30}))
    found.station.reset_for = "RemoteReset"
    found.run(10)
    assert len(found.backend.payloads("OpenPeriodicEventStream")) == 2
    found.run(60)
    assert streamed(found)


def test_what_moves_is_told_as_a_variable_too() -> None:
    found = pair()
    found.plug()
    found.run(360)
    data = [
        {
            "component": {"name": "FiscalMetering", "evse": {"id": 1}},
            "variable": {"name": "EnergyImport"},
        }
    ]
    (result,) = found.ask("GetVariables", {"getVariableData": data}).getVariableResult
    assert float(result.attributeValue) == pytest.approx(1100.0, abs=1.0)
    found.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    rows = [row for p in found.backend.payloads("NotifyReport") for row in p["reportData"]]
    watched = [r for r in rows if r["variableCharacteristics"]["supportsMonitoring"]]
    assert {row["component"]["name"] for row in watched} == {"FiscalMetering", "ConnectedEV"}
