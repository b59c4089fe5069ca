"""A virtual car charges by its contract at a real server, and after its revocation does not."""

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
sys.path.insert(0, str(Path(__file__).parents[1] / "comms" / "ocpp"))
sys.path.insert(0, str(Path(__file__).parent))

from ocpp_network_bench import HASH, PASSWORD
from scripted_backend import a_car
from tls_world import made, tls_network

from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.ocpp_client import StationClient, run_clients
from pendel.adapters.v2g_authority import V2gAuthority
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import StationSettings

STATIONS = [{"station_id": "CP1", "site_id": "home", "password_hash": HASH}]
EMAID, OTHER = "DE-ABC-C12345678-9", "DE-ABC-C99999999-9"
CARS = [{"vehicle_id": "car", "id_tokens": [EMAID]}]


def visit(network: Any, version: Version, contract: str, root: str | None) -> VirtualStation:
    """A car comes with a contract; the station as it is three quarters of a second after the
    backend's word, or after ten without one."""
    settings = StationSettings("CP1", call_timeout_s=10.0)
    station = VirtualStation(settings, version, random.Random(1), time.time())
    duties: Any = station.dialect
    if root is not None:
        assert duties.keys.install("MORootCertificate", root, time.time()) == ("Accepted", "")
    url, rng = f"ws://127.0.0.1:{network.port}/ocpp", random.Random(2)
    client = StationClient(station, url, PASSWORD, time.time, rng)
    end, decided = time.monotonic() + 15.0, []

    def over() -> bool:
        evse = station.evses[1]
        if station.accepted and evse.car is None:
            car = a_car(contract_pem=contract, id_token="")
            station.plug(1, car, time.time())
        let_in = evse.transaction is not None and evse.transaction.authorized
        if not decided and (let_in or any("refused" in line for line in station.log)):
            decided.append(time.monotonic())
        now = time.monotonic()
        return now > end or (bool(decided) and now > decided[0] + 0.75)

    asyncio.run(run_clients([client], over))
    return station


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
@pytest.mark.parametrize("has_root", [True, False])
def test_a_contract_lets_in_until_it_is_revoked(
    version: Version, has_root: bool, tmp_path: Path
) -> None:
    authority = made(tmp_path / "ca")
    trees = V2gAuthority(authority)
    trees.create("http://127.0.0.1:9/ocsp")
    contract, other = (trees.contract(each)[0].read_text() for each in (EMAID, OTHER))
    root = (tmp_path / "ca" / "v2g" / "mo-root.pem").read_text() if has_root else None
    more: Any = {"station": STATIONS, "vehicle": CARS}
    more["plug_and_charge"] = {"mo_roots": ["ca/v2g/mo-trust.pem"]}
    with tls_network(tmp_path, MemoryEventLog(), **more) as network:
        station = visit(network, version, contract, root)
        transaction = station.evses[1].transaction
        assert transaction is not None and transaction.authorized, list(station.log)
        assert transaction.id_token == EMAID
        stranger = visit(network, version, other, root)
        assert "token refused: Invalid" in stranger.log, "known to nobody here"
        authority.revoke(EMAID)
        gone = visit(network, version, contract, root)
        assert "token refused: Invalid" in gone.log
        transaction = gone.evses[1].transaction
        assert transaction is not None and not transaction.authorized
        assert gone.evses[1].import_wh == 0.0
