"""A virtual station over profile 3 whose certificate ends soon: asked, renewed, reconnected."""

import asyncio
import random
import sys
import time
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from tls_world import made, now_utc, tls_network, trusting

from pendel.adapters.ocpp_client import StationClient, run_clients
from pendel.adapters.tls import client_context_of
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import StationSettings

BARE = {"station": [{"station_id": "CP1", "site_id": "home"}]}


@pytest.mark.proves("TC_A_11_CSMS")
@pytest.mark.parametrize("version", list(Version))
def test_a_certificate_near_its_end_is_renewed(tmp_path: Path, version: Version) -> None:
    authority = made(tmp_path / "ca")
    authority.station("CP1")

    async def run(network: object) -> None:
        rng = random.Random(1)
        station = VirtualStation(StationSettings("CP1"), version, rng, time.time())
        notes: list[str] = []
        client = StationClient(
            station,
            f"wss://127.0.0.1:{network.tls_port}/ocpp",  # type: ignore[attr-defined]
            None,
            time.time,
            rng,
            trusting(tmp_path, "CP1"),
            notes.append,
            partial(client_context_of, tmp_path / "ca" / "ca.pem"),
        )
        links = network.door.links  # type: ignore[attr-defined]
        watch = network.watch  # type: ignore[attr-defined]
        end = time.monotonic() + 20.0
        seen: list[int] = []

        def over() -> bool:
            link = links.get("CP1")
            if link is not None and link.certificate.serial_number not in seen:
                seen.append(link.certificate.serial_number)
            if station.accepted:
                watch.look(now_utc())
            return len(seen) == 2 or time.monotonic() > end

        await run_clients([client], over)
        assert len(seen) == 2, notes
        assert client.connections == 2 and "a new certificate is installed" in notes

    with tls_network(tmp_path, tls={"renew_days": 3_650}, **BARE) as network:
        asyncio.run(run(network))
        assert len([each for each in authority.issued() if each.common_name == "CP1"]) == 2


def test_a_new_certificate_that_is_not_taken_is_given_up(tmp_path: Path) -> None:
    made(tmp_path / "ca").station("CP1")
    foreign = made(tmp_path / "foreign")
    chain, key = foreign.station("CP1")

    async def run(port: int) -> None:
        rng = random.Random(1)
        station = VirtualStation(StationSettings("CP1"), Version.V21, rng, time.time())
        notes: list[str] = []
        client = StationClient(
            station, f"wss://127.0.0.1:{port}/ocpp", None, time.time, rng, None, notes.append
        )
        good = trusting(tmp_path, "CP1")
        trust = tmp_path / "ca" / "ca.pem"
        bad = client_context_of(trust, chain.read_text(), key.read_text())
        client.tls, client._proven = bad, good
        end = time.monotonic() + 20.0
        await run_clients([client], lambda: client.is_connected or time.monotonic() > end)
        assert client.connections == 1 and client.tls is good
        assert "the new certificate was not taken; back to the old one" in notes

    with tls_network(tmp_path, **BARE) as network:
        asyncio.run(run(network.tls_port))
