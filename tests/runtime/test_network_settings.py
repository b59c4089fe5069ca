"""What operators decide while a network runs: boots, passwords, tokens; and that it stays so."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from ocpp_network_bench import HASH, PASSWORD, basic, config, network_of, station_at
from websockets.exceptions import InvalidStatus

from pendel.adapters.event_log import SqliteEventLog
from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.passwords import hash_password
from pendel.comms.ocpp.backend.tokens import IdToken
from pendel.config.server import ServerConfig
from pendel.records import NetworkSetting, StationMessage
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.secret_orders import password_order

VERSIONS = ["1.6", "2.0.1", "2.1"]
NEW = "a newer password"[:20]
STATUS_16 = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
STATUS_2 = {
    "timestamp": "2026-03-01T12:00:00Z",
    "connectorStatus": "Available",
    "evseId": 1,
    "connectorId": 1,
}


def with_boot(boot: str) -> ServerConfig:
    station = {"station_id": "CP1", "site_id": "home", "password_hash": HASH, "boot": boot}
    return config(station=[station])


def status(version: str) -> dict[str, Any]:
    return STATUS_16 if version == "1.6" else STATUS_2


async def decide(network: ChargingNetwork, work: Any) -> Any:
    return await asyncio.to_thread(network.wait_for, work, 5.0)


async def comes(network: ChargingNetwork, password: str, version: str = "2.1") -> int:
    """101, or the status of the refusal."""
    headers = basic("CP1", password)
    try:
        async with station_at(network.port, version=version, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def change(network: ChargingNetwork, version: str, timeout_s: float = 5.0) -> Any:
    spoken = network.version_of("CP1")
    action, request = password_order(spoken, NEW)
    return await decide(
        network, network.settings.change_password("CP1", action, request, timeout_s)
    )


def says(version: str, status: str) -> Any:
    """The answer of a station to a new password."""
    if version == "1.6":
        return lambda payload: {"status": status}

    def answer(payload: Any) -> Any:
        (entry,) = payload["setVariableData"]
        place = {name: entry[name] for name in ("component", "variable")}
        return {"setVariableResult": [{**place, "attributeStatus": status}]}

    return answer


def action_of(version: str) -> str:
    return "ChangeConfiguration" if version == "1.6" else "SetVariables"


@pytest.mark.proves("TC_B_02_CSMS", "TC_B_30_CSMS", "TC_B_31_CSMS")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pending_station_waits_answers_and_is_called_when_it_is_accepted(version: str) -> None:
    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            told = (await station.boot(version))[2]
            assert told["status"] == "Pending" and told["interval"] > 0
            refused = await station.call("StatusNotification", status(version))
            assert refused[:1] == [4] and refused[2] == "SecurityError"
            order = {"requestedMessage": "StatusNotification"}
            event = await asyncio.to_thread(network.command, "CP1", "TriggerMessage", order, 5.0)
            assert event.response.status == "Accepted", "B02.FR.01: it may be asked"
            assert (await station.call("StatusNotification", status(version)))[0] == 3
            station.asked.clear()
            await decide(network, network.settings.set_boot("CP1", "accepted"))
            (asked,) = await station.until_asked(1)
            assert asked == ["TriggerMessage", {"requestedMessage": "BootNotification"}]
            assert (await station.boot(version))[2]["status"] == "Accepted"
            assert (await station.call("StatusNotification", status(version)))[0] == 3

    with network_of(with_boot("pending")) as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_rejected_station_is_refused_and_is_sent_nothing(version: str) -> None:
    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            assert (await station.boot(version))[2]["status"] == "Rejected"
            assert (await station.call("Heartbeat", {}))[2] == "SecurityError"
            with pytest.raises(Exception, match="was rejected"):
                await asyncio.to_thread(network.command, "CP1", "ClearCache", {}, 5.0)
            await decide(network, network.settings.set_boot("CP1", "accepted"))
            assert (await station.boot(version))[2]["status"] == "Accepted"
            assert (await station.call("Heartbeat", {}))[0] == 3
            assert not station.asked

    with network_of(with_boot("rejected")) as network:
        asyncio.run(act(network))


def test_a_decision_survives_a_restart_until_the_configuration_says_something_else(
    tmp_path: Path,
) -> None:
    file = tmp_path / "log.db"
    store = SqliteEventLog(file)
    with network_of(with_boot("pending"), store) as network:
        asyncio.run(decide(network, network.settings.set_boot("CP1", "accepted")))
        asyncio.run(decide(network, network.settings.set_token("T", IdToken("T", group="G"))))
    store.close()
    for configured, expected in (("pending", "Accepted"), ("rejected", "Rejected")):
        store = SqliteEventLog(file)
        with network_of(with_boot(configured), store) as network:
            assert network.policy.boot_status("CP1") == expected
            assert network.policy.tokens.get("t") == IdToken("T", group="G")
        store.close()


@pytest.mark.proves("TC_A_09_CSMS")
@pytest.mark.parametrize("version", VERSIONS)
def test_only_the_new_password_opens_the_door_once_it_was_accepted(
    version: str, tmp_path: Path
) -> None:
    file = tmp_path / "log.db"

    async def first(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            await station.boot(version)
            station.answers[action_of(version)] = says(version, "Accepted")
            await change(network, version)
            ((action, payload),) = station.asked
            if version == "1.6":
                assert payload == {"key": "AuthorizationKey", "value": NEW.encode().hex()}
            else:
                (entry,) = payload["setVariableData"]
                assert entry["component"] == {"name": "SecurityCtrlr"}
                assert entry["variable"] == {"name": "BasicAuthPassword"}
                assert entry["attributeValue"] == NEW and action == "SetVariables"
        await second(network)

    async def second(network: ChargingNetwork) -> None:
        assert await comes(network, NEW, version) == 101
        assert await comes(network, PASSWORD, version) == 401

    store = SqliteEventLog(file)
    with network_of(store=store) as network:
        asyncio.run(first(network))
    store.close()
    store = SqliteEventLog(file)
    kept = [repr(record) for _, record in store.replay()]
    assert kept and not any(NEW in text or NEW.encode().hex() in text for text in kept)
    with network_of(store=store) as network:
        asyncio.run(second(network))
    store.close()
    newer = {"station_id": "CP1", "site_id": "home", "password_hash": hash_password("x" * 16)}
    store = SqliteEventLog(file)
    with network_of(config(station=[newer]), store) as network:
        assert asyncio.run(comes(network, "x" * 16, version)) == 101, "the file is newer"
        assert asyncio.run(comes(network, NEW, version)) == 401
    store.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("refusal", ["Rejected", "NotImplemented"])
def test_a_station_that_refuses_keeps_its_password(version: str, refusal: str) -> None:
    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            await station.boot(version)
            error = refusal == "NotImplemented"
            station.answers[action_of(version)] = refusal if error else says(version, refusal)
            await change(network, version)
        assert await comes(network, PASSWORD, version) == 101
        assert await comes(network, NEW, version) == 401

    with network_of() as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_while_nobody_knows_both_passwords_open_the_door(version: str) -> None:
    store = MemoryEventLog()

    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            await station.boot(version)
            station.answers[action_of(version)] = None
            await change(network, version, 0.2)
        assert await comes(network, PASSWORD, version) == 101
        assert await comes(network, "wrong" * 4, version) == 401
        assert await comes(network, NEW, version) == 101, "it did take it"
        async with asyncio.timeout(5.0):
            while await comes(network, PASSWORD, version) == 101:
                await asyncio.sleep(0.02)
        assert await comes(network, NEW, version) == 101

    with network_of(store=store) as network:
        asyncio.run(act(network))
    with network_of(store=store) as network:
        assert asyncio.run(comes(network, NEW, version)) == 101
        assert asyncio.run(comes(network, PASSWORD, version)) == 401


def test_a_password_set_by_a_plain_command_is_taken_over_and_not_written_down() -> None:
    store = MemoryEventLog()

    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version="2.0.1") as station:
            await station.boot("2.0.1")
            station.answers["SetVariables"] = says("2.0.1", "Accepted")
            place = {"component": {"name": "SecurityCtrlr"}}
            data = {**place, "variable": {"name": "BasicAuthPassword"}, "attributeValue": NEW}
            order = {"setVariableData": [data]}
            await asyncio.to_thread(network.command, "CP1", "SetVariables", order, 5.0)
        assert await comes(network, NEW) == 101 and await comes(network, PASSWORD) == 401

    with network_of(store=store) as network:
        asyncio.run(act(network))
    records = [record for _, record in store.replay()]
    sent = [r for r in records if isinstance(r, StationMessage) and r.outgoing]
    assert json.loads(sent[0].payload)["setVariableData"][0]["attributeValue"] == "(hidden)"
    decided = [r for r in records if isinstance(r, NetworkSetting)]
    assert decided and not any(NEW in r.detail for r in decided)


def test_passwords_of_other_networks_are_hidden_and_change_nothing_at_the_door() -> None:
    store = MemoryEventLog()
    profile = {
        "ocppInterface": "Wired0",
        "ocppTransport": "JSON",
        "messageTimeout": 30,
        "ocppCsmsUrl": "wss://x/ocpp",
        "securityProfile": 2,
        "basicAuthPassword": NEW,
        "vpn": {"server": "v", "user": "u", "password": NEW, "key": NEW, "type": "IPSec"},
    }
    other = {"name": "NetworkConfiguration", "instance": "2"}

    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port) as station:
            await station.boot()
            order: dict[str, Any] = {"configurationSlot": 2, "connectionData": profile}
            await asyncio.to_thread(network.command, "CP1", "SetNetworkProfile", order, 5.0)
            station.answers["SetVariables"] = says("2.1", "Accepted")
            data = {"component": other, "variable": {"name": "BasicAuthPassword"}}
            order = {"setVariableData": [{**data, "attributeValue": NEW}]}
            await asyncio.to_thread(network.command, "CP1", "SetVariables", order, 5.0)
            assert NEW in json.dumps(station.asked[0]) and NEW in json.dumps(station.asked[1])
            assert NEW not in repr(network.csms.network.station("CP1").variables)
        assert await comes(network, PASSWORD) == 101 and await comes(network, NEW) == 401

    with network_of(store=store) as network:
        asyncio.run(act(network))
    assert not any(NEW in repr(record) for _, record in store.replay())
