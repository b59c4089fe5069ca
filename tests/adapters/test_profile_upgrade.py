"""An operator raises the security profile of a station: orders on the wire, the door after."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from ocpp_network_bench import network_of, station_at
from tls_world import came, made, tls_network, trusting

from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_orders import OfflineError
from pendel.runtime.profile_upgrade import ProfileError, Upgrade, raise_profile

URL = "wss://csms.example/ocpp"
WISH = Upgrade(2, URL, slot=3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upgrade")
    made(folder / "ca").station("CP1")
    return folder


async def raised(network: ChargingNetwork, wish: Upgrade = WISH) -> Any:
    work = raise_profile(network, "CP1", wish, 5.0)
    return await asyncio.to_thread(network.wait_for, work, 5.0)


def set_variables(status: str) -> Any:
    def answer(payload: Any) -> Any:
        (entry,) = payload["setVariableData"]
        place = {name: entry[name] for name in ("component", "variable")}
        return {"setVariableResult": [{**place, "attributeStatus": status}]}

    return answer


@pytest.mark.proves("TC_A_19_CSMS")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_a_profile_is_raised_by_three_orders_and_then_no_lower_one_gets_in(
    base: Path, version: str
) -> None:
    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version=version) as station:
            await station.boot(version)
            network.csms.network.station("CP1").know(
                "OCPPCommCtrlr", 0, "NetworkConfigurationPriority", "1,3"
            )
            station.answers["SetVariables"] = set_variables("Accepted")
            steps = await raised(network)
            assert steps == [
                ("SetNetworkProfile", "Accepted"),
                ("SetVariables", "Accepted"),
                ("Reset", "Accepted"),
            ]
            (_, profile), (_, priority), (_, reset) = station.asked
            assert profile == {
                "configurationSlot": 3,
                "connectionData": {
                    "messageTimeout": 30,
                    "ocppCsmsUrl": URL,
                    "ocppInterface": "Wired0",
                    "ocppTransport": "JSON",
                    "ocppVersion": "OCPP21" if version == "2.1" else "OCPP20",
                    "securityProfile": 2,
                },
            }
            (entry,) = priority["setVariableData"]
            assert entry["component"] == {"name": "OCPPCommCtrlr"}
            assert entry["variable"] == {"name": "NetworkConfigurationPriority"}
            assert entry["attributeValue"] == "3,1" and reset == {"type": "OnIdle"}
        assert await came(network.tls_port, trusting(base), version=version) == 101
        assert await came(network.port, None, version=version) == 403
        async with station_at(
            network.tls_port, version=version, scheme="wss", ssl=trusting(base)
        ) as station:
            for lower in (1, 2):
                with pytest.raises(ProfileError, match="only raised"):
                    await raised(network, Upgrade(lower, URL))
            assert not station.asked

    with tls_network(base) as network:
        asyncio.run(act(network))


def test_a_1_6_station_reconnects_by_itself(base: Path) -> None:
    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version="1.6") as station:
            await station.boot("1.6")
            assert await raised(network, Upgrade(2)) == [("ChangeConfiguration", "Accepted")]
            assert station.asked == [
                ["ChangeConfiguration", {"key": "SecurityProfile", "value": "2"}]
            ]
            station.answers["ChangeConfiguration"] = {"status": "RebootRequired"}
            steps = await raised(network, Upgrade(2))
            assert steps[-1] == ("Reset", "Accepted") and station.asked[-1][1] == {"type": "Soft"}

    with tls_network(base) as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("refused", ["SetNetworkProfile", "SetVariables"])
def test_a_refusal_ends_it(base: Path, refused: str) -> None:
    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version="2.0.1") as station:
            await station.boot("2.0.1")
            station.answers["GetVariables"] = "NotSupported"
            station.answers["SetVariables"] = set_variables("Rejected")
            if refused == "SetNetworkProfile":
                station.answers[refused] = {"status": "Failed"}
            steps = await raised(network)
            assert steps[-1][0] == refused and steps[-1][1] in ("Failed", "Rejected")
            assert not [action for action, _ in station.asked if action == "Reset"]

    with tls_network(base) as network:
        asyncio.run(act(network))


def test_what_cannot_work_is_not_begun(base: Path) -> None:
    async def act(network: ChargingNetwork, wish: Upgrade, why: str) -> None:
        async with station_at(network.port, version="2.0.1") as station:
            await station.boot("2.0.1")
            with pytest.raises(ProfileError, match=why):
                await raised(network, wish)
            assert not station.asked

    with network_of() as network:
        asyncio.run(act(network, WISH, "TLS"))
        with pytest.raises(OfflineError):
            asyncio.run(raised(network))
    with tls_network(base) as network:
        asyncio.run(act(network, Upgrade(2), "csms_url"))
