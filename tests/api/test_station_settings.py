"""What an operator decides about stations and tokens over HTTP, against real sockets."""

import asyncio
from typing import Any

import pytest
from ocpp_network_bench import RawStation, station_at
from ocpp_server_bench import ServerBench, server_of, settings

from pendel.config.ocpp import MeteringConfig
from pendel.runtime.network_duties import StationDuties

STATION = "/stations/CP1"


def play(work: Any, version: str = "2.0.1", **more: Any) -> None:
    async def act(server: ServerBench) -> None:
        async with station_at(server.port, version=version) as station:
            await station.boot(version)
            await work(server, station)

    with server_of(settings(**more)) as server:
        server.network.duties = StationDuties(server.network, MeteringConfig(False))
        asyncio.run(act(server))


async def shown(server: ServerBench) -> dict[str, Any]:
    _, told = await server.api("GET", "/stations")
    (station,) = told["items"]
    return dict(station)


def test_a_station_is_held_and_accepted_again() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        assert (await shown(server))["boot_told"] == "accepted"
        status, told = await server.api("PUT", f"{STATION}/boot", {"boot": "pending"})
        assert (status, told) == (200, {"station_id": "CP1", "boot": "pending"})
        await station.until_asked(1)
        assert (await station.boot("2.0.1"))[2]["status"] == "Pending"
        found = await shown(server)
        assert (found["boot"], found["boot_told"]) == ("pending", "pending")
        status, _ = await server.api("PUT", f"{STATION}/boot", {"boot": "accepted"})
        assert status == 200
        await station.until_asked(2)
        assert (await station.boot("2.0.1"))[2]["status"] == "Accepted"
        assert (await server.api("PUT", f"{STATION}/boot", {"boot": "maybe"}))[0] == 422
        assert (await server.api("PUT", f"{STATION}/boot", {}))[0] == 422
        assert (await server.api("PUT", "/stations/NONE/boot", {"boot": "pending"}))[0] == 404
        driver = await server.api("PUT", f"{STATION}/boot", {"boot": "pending"}, "driver")
        assert driver[0] == 403

    play(work)


def test_a_rejected_station_answers_409_to_commands() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await server.api("PUT", f"{STATION}/boot", {"boot": "rejected"})
        await station.until_asked(1)
        assert (await station.boot("2.0.1"))[2]["status"] == "Rejected"
        order = {"action": "ClearCache"}
        status, told = await server.api("POST", f"{STATION}/commands", order)
        assert status == 409 and "rejected" in told["detail"]

    play(work)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_password_is_made_and_never_shown(version: str) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        given: list[str] = []

        def taken(payload: Any) -> Any:
            if version == "1.6":
                given.append(payload["value"])
                return {"status": "Accepted"}
            (entry,) = payload["setVariableData"]
            given.append(entry["attributeValue"])
            place = {name: entry[name] for name in ("component", "variable")}
            return {"setVariableResult": [{**place, "attributeStatus": "Accepted"}]}

        station.answers |= {"ChangeConfiguration": taken, "SetVariables": taken}
        status, told = await server.api("POST", f"{STATION}/password", {})
        assert (status, told) == (200, {"status": "Accepted"})
        assert 16 <= len(given[0]) <= 40
        bad = {"password": "short"}
        assert (await server.api("POST", f"{STATION}/password", bad))[0] == 422
        chosen = {"password": "x" * 21}
        status, _ = await server.api("POST", f"{STATION}/password", chosen)
        assert status == (422 if version == "1.6" else 200)

    play(work, version)


def test_a_profile_that_cannot_be_raised_is_422() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        wish = {"security_profile": 2, "csms_url": "wss://csms.example/ocpp"}
        status, told = await server.api("POST", f"{STATION}/security_profile", wish)
        assert status == 422 and "TLS" in told["detail"]
        wish = {"security_profile": 9}
        assert (await server.api("POST", f"{STATION}/security_profile", wish))[0] == 422

    play(work)


def test_tokens_are_listed_set_and_deleted_and_lists_follow() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        status, told = await server.api("GET", "/id_tokens")
        assert status == 200 and [item["token"] for item in told["items"]] == ["CAR", "KEY"]
        assert told["items"][1] == {
            "token": "KEY",
            "type": "ISO14443",
            "group": "G",
            "status": "Accepted",
            "valid_until": None,
            "concurrent": True,
        }
        status, told = await server.api("POST", f"{STATION}/local_list", {})
        assert (status, told) == (200, {"status": "Accepted", "version": 1, "tokens": 2})
        new = {"group": "G", "valid_until": "2020-01-01T00:00:00Z", "concurrent": False}
        status, told = await server.api("PUT", "/id_tokens/NEW", new)
        assert status == 200 and told["status"] == "Expired" and told["concurrent"] is False
        await station.until_asked(2)
        asked = {"idToken": {"idToken": "new", "type": "ISO14443"}}
        info = (await station.call("Authorize", asked))[2]["idTokenInfo"]
        assert info["status"] == "Expired" and info["groupIdToken"]["idToken"] == "G"
        assert (await server.api("DELETE", "/id_tokens/KEY"))[0] == 204
        assert (await server.api("DELETE", "/id_tokens/KEY"))[0] == 404
        await station.until_asked(3)
        assert [payload["updateType"] for _, payload in station.asked] == [
            "Full",
            "Differential",
            "Differential",
        ]
        asked = {"idToken": {"idToken": "KEY", "type": "ISO14443"}}
        info = (await station.call("Authorize", asked))[2]["idTokenInfo"]
        assert info["status"] == "Invalid"
        bad = {"status": "Maybe"}
        assert (await server.api("PUT", "/id_tokens/NEW", bad))[0] == 422
        for name in ("%00", "a%0Ab", "x" * 256):
            assert (await server.api("PUT", f"/id_tokens/{name}", {}))[0] == 422
        assert (await server.api("PUT", "/id_tokens/NEW", {}, "driver"))[0] == 403
        assert (await server.api("GET", "/id_tokens", token="driver"))[0] == 403
        assert (await shown(server))["local_list_version"] == 3

    cars = [{"vehicle_id": "car", "id_tokens": ["CAR"]}]
    play(work, vehicle=cars, id_token=[{"token": "KEY", "group": "G"}])
