"""DER controls over HTTP: refused by prose, sent, sent again after a loss, alarms explained."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ocpp_network_bench import HASH, RawStation, station_at
from ocpp_server_bench import ServerBench, server_of, settings

from pendel.adapters.memory_log import MemoryEventLog
from pendel.runtime.causes import as_text, chain

CURVE = {"priority": 0, "yUnit": "PctMaxW", "curveData": [
    {"x": 106.0, "y": 100.0}, {"x": 110.0, "y": 0.0}]}  # fmt: skip
VOLT_WATT = {"control_type": "VoltWatt", "setting": CURVE}
PATH = "/stations/CP1/der_controls/v1"


async def until(found: Any, within_s: float = 5.0) -> Any:
    async with asyncio.timeout(within_s):
        while True:
            value = found()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)


def run(server: ServerBench, work: Any) -> None:
    async def act() -> None:
        async with station_at(server.port) as station:
            await station.boot()
            await work(server, station)

    asyncio.run(act())


def sent(station: RawStation, action: str) -> list[dict[str, Any]]:
    return [payload for name, payload in station.asked if name == action]


async def listed(server: ServerBench, control_id: str = "v1") -> dict[str, Any]:
    _, told = await server.api("GET", "/stations/CP1/der_controls")
    return next((i for i in told["items"] if i["control_id"] == control_id), {})


@pytest.mark.proves("R04.FR.16")
def test_a_control_goes_out_as_asked_and_its_answer_is_shown() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        status, told = await server.api("PUT", PATH, VOLT_WATT)
        assert status == 202 and told["stations"][0]["station_id"] == "CP1"
        await until(lambda: sent(station, "SetDERControl"))
        assert sent(station, "SetDERControl") == [
            {"isDefault": True, "controlId": "v1", "controlType": "VoltWatt", "curve": CURVE}
        ]
        await until(lambda: _is(server, "Accepted"))
        station.answers["SetDERControl"] = {
            "status": "Rejected", "statusInfo": {"reasonCode": "InvalidValue"}
        }  # fmt: skip
        await server.api("PUT", PATH, VOLT_WATT)
        await until(lambda: _is(server, "Rejected"))
        assert (await listed(server))["reason"] == "InvalidValue"
        assert (await server.api("DELETE", PATH))[0] == 202
        await until(lambda: sent(station, "ClearDERControl"))
        assert sent(station, "ClearDERControl") == [{"isDefault": True, "controlId": "v1"}]
        assert (await server.api("DELETE", PATH))[0] == 404
        assert await listed(server) == {}

    with server_of() as server:
        run(server, work)


async def _is(server: ServerBench, status: str) -> bool:
    return (await listed(server)).get("status") == status


SCHEDULED = {**CURVE, "startTime": "2099-01-01T00:00:00Z", "duration": 60.0}


@pytest.mark.proves("R04.FR.12", "R04.FR.14", "R04.FR.16")
@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({**VOLT_WATT, "control_type": "LFMayTrip"}, "LFMayTrip"),
        ({"control_type": "VoltWatt", "setting": SCHEDULED}, "startTime"),
        ({"control_type": "VoltWatt", "setting": CURVE, "is_default": False}, "both"),
        ({"control_type": "Gradients", "is_default": False,
          "setting": {"priority": 0, "gradient": 1, "softGradient": 0}}, "default only"),
        ({"control_type": "FixedPFInject",
          "setting": {"priority": 0, "displacement": 1.2, "excitation": True}}, "cos phi"),
        ({"control_type": "FixedVar",
          "setting": {"priority": 0, "setpoint": -101, "unit": "PctMaxVar"}}, "-100 to 100"),
        ({"control_type": "FixedVar",
          "setting": {"priority": 0, "setpoint": 10, "unit": "PctEffectiveV"}}, "unit"),
        ({"control_type": "LimitMaxDischarge",
          "setting": {"priority": 0, "pctMaxDischargePower": -1}}, "0 to 100"),
        ({"control_type": "VoltVar", "setting": {**CURVE, "yUnit": "PctWAvail"}}, "yUnit"),
        ({"control_type": "VoltWatt",
          "setting": {**CURVE, "reactivePowerParams": {"vRef": 100}}}, "VoltVar"),
        ({"control_type": "FreqDroop", "setting": CURVE}, "freqDroop"),
        ({"control_type": "FreqDroop",
          "setting": {"priority": 0, "overFreq": 49, "underFreq": 51, "overDroop": 0,
                      "underDroop": 0.05, "responseTime": 0}}, "overDroop"),
        ({"control_type": "EnterService",
          "setting": {"priority": 0, "highVoltage": 90, "lowVoltage": 110, "highFreq": 51,
                      "lowFreq": 49}}, "lowVoltage"),
        ({"control_type": "HVMustTrip",
          "setting": {"priority": 0, "yUnit": "Not_Applicable",
                      "curveData": [{"x": 110, "y": -1}]}}, "y outside"),
        ({**VOLT_WATT, "settings": {}}, "settings"),
    ],
)  # fmt: skip
def test_what_the_schema_lets_through_is_refused_by_prose(wish: dict[str, Any], word: str) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        status, told = await server.api("PUT", PATH, wish)
        assert status == 422 and word in told["detail"], told
        await asyncio.sleep(0.1)
        assert not sent(station, "SetDERControl")

    with server_of() as server:
        run(server, work)


@pytest.mark.proves("R04.FR.12", "R04.FR.14", "R04.FR.16")
def test_a_raw_command_is_held_to_the_same_prose() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        payload = {
            "isDefault": True,
            "controlId": "x",
            "controlType": "VoltVar",
            "curve": SCHEDULED,
        }
        body = {"action": "SetDERControl", "payload": payload}
        status, told = await server.api("POST", "/stations/CP1/commands", body)
        assert status == 422 and "startTime" in told["detail"]
        assert not station.asked

    with server_of() as server:
        run(server, work)


def test_who_may_and_where() -> None:
    station = {"station_id": "CP1", "site_id": "home", "password_hash": HASH, "mode": "v2g"}
    other = {**station, "station_id": "CP2"}

    async def work(server: ServerBench) -> None:
        assert (await server.api("PUT", PATH, VOLT_WATT, "driver"))[0] == 403
        assert (await server.api("PUT", PATH, VOLT_WATT, "nobody"))[0] == 401
        assert (await server.api("PUT", "/stations/NO/der_controls/a", VOLT_WATT))[0] == 404
        assert (await server.api("PUT", "/sites/none/der_controls/a", VOLT_WATT))[0] == 409
        long = "/stations/CP1/der_controls/" + "x" * 37
        assert (await server.api("PUT", long, VOLT_WATT))[0] == 422
        async with station_at(server.port, "CP2", "2.0.1") as old:
            await old.boot()
            assert (await server.api("PUT", "/stations/CP2/der_controls/a", VOLT_WATT))[0] == 409
            status, told = await server.api("PUT", "/sites/home/der_controls/a", VOLT_WATT)
            assert status == 202  # only where a station of 2.1 can be
            assert [entry["station_id"] for entry in told["stations"]] == ["CP1"]
            assert not old.asked
        status, told = await server.api("DELETE", "/sites/home/der_controls/a")
        assert status == 202 and len(told["stations"]) == 1

    with server_of(settings(station=[station, other])) as server:
        asyncio.run(work(server))


def test_a_control_waits_for_its_station_and_is_set_again_after_a_loss() -> None:
    store = MemoryEventLog()

    async def first(server: ServerBench) -> None:
        assert (await server.api("PUT", PATH, VOLT_WATT))[0] == 202
        assert (await listed(server))["status"] == "Pending"
        async with station_at(server.port) as station:
            station.answers["GetDERControl"] = {"status": "NotFound"}
            await station.boot()
            await until(lambda: sent(station, "SetDERControl"))
            await until(lambda: _is(server, "Accepted"))

    async def kept(server: ServerBench) -> None:
        """After a restart of the server: the station still has it, and one more."""
        async with station_at(server.port) as station:
            await station.boot()
            asked = await until(lambda: sent(station, "GetDERControl")[1:])  # line, then boot
            await report(station, asked[-1]["requestId"], {"v1": CURVE}, tbc=True)
            await report(station, asked[-1]["requestId"], {"alien": CURVE})
            await until(lambda: _is(server, "Accepted"))
            assert not sent(station, "SetDERControl")
            _, told = await server.api("GET", "/stations/CP1/der_controls")
            assert told["foreign"] == ["alien"]

    async def other(server: ServerBench) -> None:
        """The station has something else under the id."""
        async with station_at(server.port) as station:
            await station.boot()
            asked = await until(lambda: sent(station, "GetDERControl")[1:])  # line, then boot
            await report(station, asked[-1]["requestId"], {"v1": {**CURVE, "priority": 3}})
            await until(lambda: sent(station, "SetDERControl"))

    for work in (first, kept, other):
        with server_of(store=store) as server:
            asyncio.run(work(server))


async def report(
    station: RawStation, request_id: int, curves: dict[str, Any], tbc: bool = False
) -> None:
    entries = [
        {"id": name, "isDefault": True, "isSuperseded": False, "curveType": "VoltWatt",
         "curve": body} for name, body in curves.items()
    ]  # fmt: skip
    payload = {"requestId": request_id, "curve": entries, "tbc": tbc}
    assert (await station.call("ReportDERControl", payload))[0] == 3


def test_scheduled_controls_supersede_run_and_are_forgotten() -> None:
    def wish(priority: int, begins_s: float, lasts_s: float) -> dict[str, Any]:
        begin = datetime.now(UTC) + timedelta(seconds=begins_s)
        body = {**CURVE, "priority": priority, "startTime": begin.isoformat(), "duration": lasts_s}
        return {"control_type": "VoltWatt", "setting": body, "is_default": False}

    async def work(server: ServerBench, station: RawStation) -> None:
        path = "/stations/CP1/der_controls/"
        assert (await server.api("PUT", path + "weak", wish(5, 60.0, 60.0)))[0] == 202
        await until(lambda: sent(station, "SetDERControl"))
        station.answers["SetDERControl"] = {"status": "Accepted", "supersededIds": ["weak"]}
        assert (await server.api("PUT", path + "strong", wish(1, 60.0, 60.0)))[0] == 202
        await until(lambda: _superseded(server, "weak"))
        started = {"controlId": "strong", "started": True, "timestamp": "2026-03-01T12:00:00Z"}
        await station.call("NotifyDERStartStop", started)
        await until(lambda: _running(server, "strong"))
        assert (await server.api("PUT", path + "short", wish(0, -1.0, 1.2)))[0] == 202
        await asyncio.sleep(0.3)
        assert (await server.api("PUT", path + "another", wish(0, 60.0, 60.0)))[0] == 202
        assert await listed(server, "short") == {}, "what is over is not wanted any more"

    with server_of() as server:
        run(server, work)


async def _superseded(server: ServerBench, control_id: str) -> bool:
    return bool((await listed(server, control_id)).get("superseded"))


async def _running(server: ServerBench, control_id: str) -> bool:
    return bool((await listed(server, control_id)).get("running"))


def test_an_alarm_is_shown_while_it_stands_and_explained_by_who_wanted_the_control() -> None:
    store = MemoryEventLog()

    async def alarm(station: RawStation, ended: bool) -> None:
        told = {"controlType": "VoltWatt", "gridEventFault": "OverVoltage", "alarmEnded": ended,
                "timestamp": "2026-03-01T12:00:00Z"}  # fmt: skip
        assert (await station.call("NotifyDERAlarm", told))[0] == 3

    async def shown(server: ServerBench) -> Any:
        return (await server.api("GET", "/stations/CP1/der_controls"))[1]["alarm"]

    async def work(server: ServerBench, station: RawStation) -> None:
        await server.api("PUT", PATH, VOLT_WATT)
        await until(lambda: sent(station, "SetDERControl"))
        await alarm(station, False)
        found = await shown(server)
        assert (found["control_type"], found["grid_event"]) == ("VoltWatt", "OverVoltage")
        assert found["since_utc"] == "2026-03-01T12:00:00Z"
        text = as_text(chain(server.runtime.store, found["id"]))
        assert "VoltWatt changes its power after OverVoltage" in text
        assert "set VoltWatt v1" in text and "admin" in text
        status, told = await server.api("GET", f"/explain/{found['id']}")
        assert status == 200 and told["causes"][0]["kind"] == "signal"

    async def later(server: ServerBench, station: RawStation) -> None:
        assert (await shown(server))["control_type"] == "VoltWatt", "known after a restart"
        await alarm(station, True)
        assert await shown(server) is None

    for act in (work, later):
        with server_of(store=store) as server:
            run(server, act)
