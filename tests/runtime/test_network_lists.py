"""Lists of tokens at stations: sent once, then brought up to date by themselves."""

import asyncio
import json
from typing import Any

import pytest
from ocpp_network_bench import HASH, RawStation, config
from station_model import dutiful, factory, settled, there

from pendel.comms.ocpp.backend.tokens import IdToken
from pendel.config.server import ServerConfig
from pendel.runtime.network import ChargingNetwork

TOKENS = [{"token": name} for name in ("A", "B", "C")]
VERSIONS = ["1.6", "2.0.1", "2.1"]


def quiet(**more: Any) -> ServerConfig:
    """No metering is set; CP1 is given the list."""
    station = {"station_id": "CP1", "site_id": "home", "password_hash": HASH, "local_list": True}
    ocpp = {"metering": {"set_at_stations": False}}
    return config(station=[station], id_token=TOKENS, ocpp=ocpp, **more)


def lists(station: RawStation) -> list[Any]:
    return [payload for action, payload in station.asked if action == "SendLocalList"]


async def listed(station: RawStation, count: int) -> list[Any]:
    async with asyncio.timeout(5.0):
        while len(lists(station)) < count:
            await asyncio.sleep(0.01)
    return lists(station)


def tokens_in(payload: Any) -> list[str]:
    entries = payload.get("localAuthorizationList", [])
    return [e["idTag"] if "idTag" in e else e["idToken"]["idToken"] for e in entries]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_token_that_is_deleted_leaves_the_lists_by_itself(version: str) -> None:
    model = factory(version)

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, version) as station:
            (first,) = await listed(station, 1)
            assert first["updateType"] == "Full" and tokens_in(first) == ["A", "B", "C"]
            delete = network.settings.set_token("b", None)
            await asyncio.to_thread(network.wait_for, delete, 5.0)
            _, second = await listed(station, 2)
            assert second["updateType"] == "Differential" and tokens_in(second) == ["B"]
            assert "idTokenInfo" not in json.dumps(second) and "idTagInfo" not in json.dumps(second)
            add = network.settings.set_token("D", IdToken("D", group="G"))
            await asyncio.to_thread(network.wait_for, add, 5.0)
            third = (await listed(station, 3))[2]
            assert tokens_in(third) == ["D"] and '"G"' in json.dumps(third)

    with dutiful(quiet()) as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_station_with_another_list_than_we_know_gets_all_of_it(version: str) -> None:
    model = factory(version)

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, version) as station:
            await listed(station, 1)
            model.list_number = 40
            delete = network.settings.set_token("A", None)
            await asyncio.to_thread(network.wait_for, delete, 5.0)
            third = (await listed(station, 3))[2]
            assert third["updateType"] == "Full" and tokens_in(third) == ["B", "C"]
            assert model.list_number == 41

    with dutiful(quiet()) as network:
        asyncio.run(act(network))


@pytest.mark.proves("TC_N_46_CSMS")
def test_a_customer_whose_data_are_cleared_leaves_the_list_of_that_station() -> None:
    model = factory("2.0.1")
    token = {"idToken": "B", "type": "ISO14443"}

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, "2.0.1") as station:
            await listed(station, 1)
            order = {"requestId": 1, "report": True, "clear": True, "idToken": token}
            await asyncio.to_thread(network.command, "CP1", "CustomerInformation", order, 5.0)
            told = {"data": "B", "seqNo": 0, "generatedAt": "2026-03-01T12:00:00Z", "requestId": 1}
            assert (await station.call("NotifyCustomerInformation", told))[0] == 3
            first, second = await listed(station, 2)
            assert second["updateType"] == "Differential"
            assert second["versionNumber"] > first["versionNumber"]
            assert second["localAuthorizationList"] == [{"idToken": token}]
            other = network.settings.set_token("E", IdToken("E"))
            await asyncio.to_thread(network.wait_for, other, 5.0)
            assert tokens_in((await listed(station, 3))[2]) == ["E"], "B does not come back"

    with dutiful(quiet()) as network:
        asyncio.run(act(network))


def test_a_list_that_does_not_fit_is_not_sent_and_that_is_told() -> None:
    model = factory("1.6")
    model.values["LocalAuthListMaxLength"] = "2"
    station = {"station_id": "CP1", "site_id": "home", "password_hash": HASH, "local_list": True}
    settings = config(station=[station], id_token=TOKENS)

    async def act(network: ChargingNetwork) -> None:
        async with there(network, model, "1.6") as station:
            found = await settled(network)
            async with asyncio.timeout(5.0):
                while not found.local_list:
                    await asyncio.sleep(0.01)
            assert found.local_list == "TooLong: 3 tokens, 2 fit" and not lists(station)

    with dutiful(settings) as network:
        asyncio.run(act(network))
