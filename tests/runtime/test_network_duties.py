"""What the backend does of itself with an accepted station, against stations of each kind."""

import asyncio
import random
import re
from typing import Any

import pytest
from ocpp_network_bench import PASSWORD, RawStation, config, event, station_at
from station_model import dutiful, factory, settled, there

from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.ocpp_client import StationClient
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import Car, StationSettings
from pendel.runtime.metered import metered
from pendel.runtime.network import ChargingNetwork

REGISTERS = {"Energy.Active.Import.Register", "Energy.Active.Export.Register"}
VERSIONS = ["1.6", "2.0.1", "2.1"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_station_is_made_to_meter_what_settlement_counts(version: str) -> None:
    model = factory(version)

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, version) as station:
            found = await settled(network)
            assert (found.metering, found.refused) == ("set", {})
            for name, value in model.values.items():
                if re.search("Measurands$|AlignedData$|SampledData$", name):
                    assert set(value.split(",")) >= REGISTERS, name
            if version == "1.6":
                assert model.values["ClockAlignedDataInterval"] == "900"
                assert model.values["MeterValueSampleInterval"] == "60"
            else:
                assert model.values["AlignedDataCtrlr.Interval"] == "900"
                assert model.values["AlignedDataCtrlr.TxEndedInterval"] == "900"
                assert model.values["AlignedDataCtrlr.SendDuringIdle"] == "false"
                assert model.values["SampledDataCtrlr.TxUpdatedInterval"] == "60"
                assert model.asked_most <= 4, "as it said it can take"
                sent = [p["setVariableData"] for a, p in station.asked if a == "SetVariables"]
                assert max(map(len, sent)) <= 2
            station.asked.clear()
            await station.boot(version)
            found.metering = "asked"
            await settled(network)
            changed = [a for a, _ in station.asked if a in ("SetVariables", "ChangeConfiguration")]
            assert not changed, "what is as it shall be is left alone"

    with dutiful() as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_finer_values_than_asked_for_stay(version: str) -> None:
    model = factory(version)
    finer = {"ClockAlignedDataInterval": "300", "MeterValueSampleInterval": "10"}
    if version != "1.6":
        finer = {"AlignedDataCtrlr.Interval": "300", "SampledDataCtrlr.TxUpdatedInterval": "10"}
    model.values |= finer

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, version):
            await settled(network)
            assert {name: model.values[name] for name in finer} == finer

    with dutiful() as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_station_refuses_is_told_and_it_is_left_as_it_is(version: str) -> None:
    model = factory(version)
    aligned = "ClockAlignedDataInterval" if version == "1.6" else "AlignedDataCtrlr.Interval"
    model.fixed = {aligned}
    model.no_export = True
    del model.values["MeterValueSampleInterval" if model.old else "AlignedDataCtrlr.SendDuringIdle"]

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, version) as station:
            found = await settled(network)
            assert found.metering == "refused" and found.refused[aligned] == "Rejected"
            lists = [name for name in found.refused if name != aligned]
            assert lists
            if version == "1.6":
                assert found.refused["MeterValueSampleInterval"] == "NotSupported"
            else:
                ended = "AlignedDataCtrlr.TxEndedMeasurands"
                assert found.refused[ended] == "no export register"
                assert model.values[ended] == "Energy.Active.Import.Register"
            assert (await station.call("Heartbeat", {}))[0] == 3

    with dutiful() as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_errors_and_silence_stop_nothing(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pendel.runtime.network_duties.QUESTION_TIMEOUT_S", 0.2)

    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            for action in ("GetConfiguration", "ChangeConfiguration"):
                station.answers[action] = "NotImplemented"
            for action in ("GetVariables", "SetVariables"):
                station.answers[action] = "InternalError"
            await station.boot(version)
            found = await settled(network)
            assert found.metering == "refused"
            assert set(found.refused.values()) <= {"NotImplemented", "InternalError"}
            for action in ("GetConfiguration", "GetVariables"):
                station.answers[action] = None
            station.asked.clear()
            found.metering = "asked"
            await station.boot(version)
            assert (await settled(network)).metering == "silent"
            assert len(station.asked) == 1, "asked once, then left alone"

    with dutiful() as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reboot_that_is_needed_waits_until_nobody_charges(version: str) -> None:
    model = factory(version)
    model.reboot = {"ClockAlignedDataInterval", "AlignedDataCtrlr.Interval"}

    def resets(station: RawStation) -> list[Any]:
        return [payload for action, payload in station.asked if action == "Reset"]

    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            model.answer(station)
            if version != "1.6":
                await station.boot(version)
                assert (await settled(network)).metering == "reboot"
                await station.until_asked(1)
                async with asyncio.timeout(5.0):
                    while not resets(station):
                        await asyncio.sleep(0.01)
                assert resets(station) == [{"type": "OnIdle"}], "it waits by itself"
            else:
                await begun_16(station)
                await station.boot(version)
                assert (await settled(network)).metering == "reboot"
                assert not resets(station)
                stop = {"transactionId": 1, "meterStop": 9, "timestamp": "2026-03-01T13:00:00Z"}
                await station.call("StopTransaction", stop)
                async with asyncio.timeout(5.0):
                    while not resets(station):
                        await asyncio.sleep(0.01)
                assert resets(station) == [{"type": "Soft"}]
            model.values[next(iter(model.reboot & model.values.keys()))] = "0"  # lost it again
            network.duties.set_up["CP1"].metering = "asked"  # type: ignore[union-attr]
            await station.boot(version)
            await settled(network)
            assert len(resets(station)) == 1, "no endless reboots"

    with dutiful() as network:
        asyncio.run(act(network))


async def begun_16(station: RawStation) -> None:
    start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"}
    await station.call("StartTransaction", start)


@pytest.mark.parametrize("version", list(Version))
def test_a_virtual_station_is_set_up_and_tells_the_quarter_hours(version: Version) -> None:
    """Both sides of this program: what one sets the other follows."""
    begin_s = 1_800_000_000.0
    settings = StationSettings("CP1", follows_clock=False)
    station = VirtualStation(settings, version, random.Random(1), begin_s)
    clock = [begin_s]

    async def act(network: ChargingNetwork) -> None:
        url = f"ws://127.0.0.1:{network.port}/ocpp"
        client = StationClient(station, url, PASSWORD, lambda: clock[0], random.Random(2))
        running = asyncio.create_task(client.run())
        try:
            found = await settled(network)
            assert set(found.refused) <= {
                "AlignedDataCtrlr.TxEndedInterval",
                "AlignedDataCtrlr.TxEndedMeasurands",
            }
            assert station.aligned_s == 900.0 and 0.0 < station.meter_interval_s <= 60.0
            station.plug(1, Car(60.0, 20.0, 50.0), clock[0])
            transactions = network.csms.network.station("CP1").transactions
            for _ in range(100):
                clock[0] += 30.0
                client.tick()
                await asyncio.sleep(0.01)
            async with asyncio.timeout(20.0):
                while len(quarters(network)) < 3:
                    client.tick()
                    await asyncio.sleep(0.05)
            assert len(transactions) == 1
        finally:
            running.cancel()

    with dutiful(store=MemoryEventLog()) as network:
        asyncio.run(act(network))


def quarters(network: ChargingNetwork) -> set[int]:
    """Full quarter hours of which a register came."""
    found = metered(record for _, record in network._store.replay())
    marks = [mark for device in found.marks.values() for mark in device]
    times = [mark.at_utc.timestamp() for mark in marks if mark.direction == "export"]
    return {int(at_s) // 900 for at_s in times if at_s % 900 == 0}


def test_the_owner_may_leave_stations_as_they_are() -> None:
    model = factory("2.1")
    settings = config(ocpp={"metering": {"set_at_stations": False}})

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, "2.1") as station:
            await station.call("TransactionEvent", event(0, "Started"))
            assert not station.asked

    with dutiful(settings) as network:
        asyncio.run(act(network))


@pytest.mark.proves("TC_B_08_CSMS", "TC_N_18_CSMS")
def test_commands_go_in_as_many_messages_as_the_station_asks_for() -> None:
    model = factory("2.0.1")
    limit = "MonitoringCtrlr.ItemsPerMessage[ClearVariableMonitoring]"
    model.values |= {limit: "2", "AuthCtrlr.AuthorizeRemoteStart": "true"}

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, "2.0.1") as station:
            await settled(network)
            station.asked.clear()
            five = [
                {
                    "component": {"name": "DeviceDataCtrlr"},
                    "variable": {"name": name, "instance": instance},
                }
                for name in ("ItemsPerMessage", "BytesPerMessage")
                for instance in ("GetReport", "GetVariables")
            ]
            five.append(
                {
                    "component": {"name": "AuthCtrlr"},
                    "variable": {"name": "AuthorizeRemoteStart"},
                }
            )
            order = {"getVariableData": five}
            told = await asyncio.to_thread(network.command, "CP1", "GetVariables", order, 5.0)
            sent = [p["getVariableData"] for a, p in station.asked if a == "GetVariables"]
            assert [len(part) for part in sent] == [4, 1] and sent[0] + sent[1] == five
            assert len(told.response.getVariableResult) == 5, "one answer to whoever asked"
            station.answers["ClearVariableMonitoring"] = lambda payload: {
                "clearMonitoringResult": [{"id": i, "status": "NotFound"} for i in payload["id"]]
            }
            clear = {"id": [1, 2, 3, 4, 5]}
            told = await asyncio.to_thread(
                network.command, "CP1", "ClearVariableMonitoring", clear, 5.0
            )
            sent = [p["id"] for a, p in station.asked if a == "ClearVariableMonitoring"]
            assert sent == [[1, 2], [3, 4], [5]]
            assert [each.id for each in told.response.clearMonitoringResult] == [1, 2, 3, 4, 5]

    with dutiful() as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_line_that_is_lost_on_the_way_is_taken_up_again(version: str) -> None:
    model = factory(version)

    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            station.answers |= {"GetConfiguration": None, "GetVariables": None}
            await station.boot(version)
            await station.until_asked(1)
        async with station_at(network.port, version=version) as station:
            model.answer(station)
            assert (await station.call("Heartbeat", {}))[0] == 3
            assert (await settled(network)).metering == "set"

    with dutiful() as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_storm_of_boots_is_one_set_up_after_the_other(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pendel.runtime.network_duties.QUESTION_TIMEOUT_S", 0.3)

    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            station.answers |= {"GetConfiguration": None, "GetVariables": None}
            for _ in range(50):
                await station.boot(version)
            await asyncio.sleep(1.0)
            questions = [a for a, _ in station.asked if a in ("GetConfiguration", "GetVariables")]
            assert 1 <= len(questions) <= 5

    with dutiful() as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_after_a_restart_a_station_that_comes_back_is_not_asked_what_the_log_knows(
    version: str,
) -> None:
    model, store = factory(version), MemoryEventLog()

    async def first(network: ChargingNetwork) -> None:
        async with there(network, model, version):
            await settled(network)

    async def second(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            model.answer(station)
            assert (await station.call("Heartbeat", {}))[0] == 3
            assert (await settled(network)).metering == "set" and not station.asked

    for act in (first, second):
        with dutiful(store=store) as network:
            asyncio.run(act(network))
