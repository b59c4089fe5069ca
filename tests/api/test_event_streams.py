"""Event streams of a 2.1 station at a whole server: frames without answers, kept and shown."""

import asyncio
import json
from typing import Any

from ocpp_network_bench import RawStation, station_at
from ocpp_server_bench import ServerBench, server_of, settings

from pendel.adapters.memory_log import MemoryEventLog
from pendel.records import StationMessage

OPEN = {"constantStreamData": {"id": 4, "variableMonitoringId": 9, "params": {"interval": 5}}}
PLACE = {"component": {"name": "FiscalMetering", "evse": {"id": 1}}, "variable": {"name": "E"}}


def message(stream: int, pending: int, *values: float) -> dict[str, Any]:
    data = [{"t": float(i), "v": f"{value:g}"} for i, value in enumerate(values)]
    return {"id": stream, "pending": pending, "basetime": "2026-03-01T12:00:00Z", "data": data}


async def send(station: RawStation, payload: Any) -> None:
    await station.socket.send(json.dumps([6, "s1", "NotifyPeriodicEventStream", payload]))


async def shown(server: ServerBench) -> list[dict[str, Any]]:
    status, told = await server.api("GET", "/stations/CP1/streams")
    assert status == 200
    return list(told["items"])


async def monitored(server: ServerBench, station: RawStation) -> None:
    """An operator sets the monitor that the stream is of."""
    result = {**PLACE, "id": 9, "type": "Periodic", "severity": 8, "status": "Accepted"}
    station.answers["SetVariableMonitoring"] = {"setMonitoringResult": [result]}
    data = {**PLACE, "value": 1.0, "type": "Periodic", "severity": 8}
    order = {
        "action": "SetVariableMonitoring",
        "payload": {"setMonitoringData": [{**data, "periodicEventStream": {"interval": 5}}]},
    }
    assert (await server.api("POST", "/stations/CP1/commands", order))[0] == 200


def test_a_stream_is_opened_shown_adjusted_and_closed_and_known_after_a_restart() -> None:
    store = MemoryEventLog()

    async def first(server: ServerBench) -> None:
        async with station_at(server.port) as station:
            await station.boot()
            await monitored(server, station)
            answer = await station.call("OpenPeriodicEventStream", OPEN)
            assert answer[2] == {"status": "Accepted"}
            for pending in (0, 1, 2, 3):
                await send(station, message(4, pending, 1.5, 2.5))
            await send(station, message(5, 0, 1.0))
            await station.call("Heartbeat", {})
            (stream,) = await shown(server)
            assert stream["component"] == "FiscalMetering" and stream["evse_id"] == 1
            assert (stream["interval_s"], stream["values"], stream["count"]) == (5, None, 8)
            assert stream["pending"] == 3 and stream["too_slow"]
            assert stream["newest"][-1] == {"at_utc": "2026-03-01T12:00:01Z", "value": "2.5"}
            order = {"id": 4, "params": {"values": 50}}
            command = {"action": "AdjustPeriodicEventStream", "payload": order}
            assert (await server.api("POST", "/stations/CP1/commands", command))[0] == 200
            (stream,) = await shown(server)
            assert (stream["interval_s"], stream["values"]) == (None, 50)
            assert not stream["too_slow"]
            _, told = await server.api("GET", "/stations")
            assert told["items"][0]["deviations"] == 1, "the stream that nobody opened"

    async def second(server: ServerBench) -> None:
        (stream,) = await shown(server)
        assert (stream["values"], stream["count"]) == (50, 8)
        async with station_at(server.port) as station:
            assert (await station.call("ClosePeriodicEventStream", {"id": 4}))[2] == {}
            assert await shown(server) == []

    for act in (first, second):
        with server_of(settings(), store) as server:
            asyncio.run(act(server))
    kept = [r for _, r in store.replay() if isinstance(r, StationMessage)]
    sent = [r for r in kept if r.action == "NotifyPeriodicEventStream"]
    assert len(sent) == 5 and [bool(r.refused) for r in sent] == [False] * 4 + [True]


def test_more_streams_than_there_is_room_for_are_refused() -> None:
    async def act(server: ServerBench) -> None:
        async with station_at(server.port) as station:
            await station.boot()
            answers = []
            for number in range(102):
                told = {**OPEN["constantStreamData"], "id": number}
                answer = await station.call("OpenPeriodicEventStream", {"constantStreamData": told})
                answers.append(answer[2]["status"])
            assert answers == ["Accepted"] * 100 + ["Rejected"] * 2

    with server_of() as server:
        asyncio.run(act(server))
