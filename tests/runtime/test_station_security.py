"""The whole of a station's security over real lines: server, virtual station, a file server.

For 1.6 this is the security extension (white paper, edition 3), message by message.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
sys.path.insert(0, str(Path(__file__).parent))

from foreign_pki import http_server
from ocpp_network_bench import HASH, PASSWORD
from tls_world import made, now_utc, tls_network, trusting

from pendel.adapters.firmware_file import fetched
from pendel.adapters.firmware_signing import FirmwareSigner
from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.ocpp_client import StationClient, run_clients
from pendel.adapters.tls import client_context_of
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import StationSettings
from pendel.records import StationMessage

STATIONS = [{"station_id": "CP1", "site_id": "home", "password_hash": HASH}]
IMAGE = b"the new firmware" * 500


class Desk:
    """An operator at a running network with one virtual station."""

    def __init__(self, network: Any, store: MemoryEventLog, station: VirtualStation) -> None:
        self.network, self.store, self.station = network, store, station

    async def ask(self, action: str, payload: dict[str, Any]) -> Any:
        event = await asyncio.to_thread(self.network.command, "CP1", action, payload, 10.0)
        return event.response

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20.0):
            while not holds():
                await asyncio.sleep(0.05)

    def told(self, action: str, key: str) -> list[str]:
        """What the log has of the station's messages of an action."""
        import json

        kept = [r for _, r in self.store.replay() if isinstance(r, StationMessage)]
        rows = [json.loads(r.payload) for r in kept if r.action == action and not r.outgoing]
        return [row[key] for row in rows]


@pytest.mark.parametrize("version", list(Version))
def test_every_duty_over_the_wire(version: Version, tmp_path: Path) -> None:
    authority = made(tmp_path / "ca")
    image = tmp_path / "image.bin"
    image.write_bytes(IMAGE)
    signed = FirmwareSigner(authority).sign(image)
    store = MemoryEventLog()
    station = VirtualStation(StationSettings("CP1"), version, random.Random(1), time.time())
    with (
        http_server(lambda path, body, headers: IMAGE) as files,
        tls_network(tmp_path, store, station=STATIONS) as network,
    ):
        client = StationClient(
            station,
            f"wss://127.0.0.1:{network.tls_port}/ocpp",
            PASSWORD,
            time.time,
            random.Random(1),
            trusting(tmp_path),
            lambda words: None,
            partial(client_context_of, tmp_path / "ca" / "ca.pem"),
        )
        desk, over = Desk(network, store, station), []

        async def work() -> None:
            await desk.until(lambda: station.accepted and client.is_connected)
            await roots(desk, version, signed.root.read_text())
            await firmware(desk, version, f"http://127.0.0.1:{files}/image.bin", signed)
            await logs(desk)
            await own_certificate(desk, version, client)
            over.append(True)

        async def run() -> None:
            task = asyncio.create_task(work())
            try:
                await run_clients([client], lambda: bool(over) or task.done())
                await task
            finally:
                task.cancel()

        asyncio.run(run())
    assert "StartupOfTheDevice" in desk.told("SecurityEventNotification", "type")


async def roots(desk: Desk, version: Version, pem: str) -> None:
    """InstallCertificate, GetInstalledCertificateIds, DeleteCertificate."""
    kind = "ManufacturerRootCertificate"
    asked = {"certificateType": kind if version is Version.V16 else [kind]}
    assert (await desk.ask("GetInstalledCertificateIds", asked)).status == "NotFound"
    order = {"certificateType": kind, "certificate": pem}
    for _ in range(2):
        assert (await desk.ask("InstallCertificate", order)).status == "Accepted"
        answer = await desk.ask("GetInstalledCertificateIds", asked)
        if version is Version.V16:
            (name,) = answer.certificateHashData
        else:
            (row,) = answer.certificateHashDataChain
            name = row.certificateHashData
        fields = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
        wanted = {"certificateHashData": {each: getattr(name, each) for each in fields}}
        for status in ("Accepted", "NotFound"):
            assert (await desk.ask("DeleteCertificate", wanted)).status == status
    assert (await desk.ask("InstallCertificate", order)).status == "Accepted"
    bad = {"certificateType": kind, "certificate": "nonsense"}
    assert (await desk.ask("InstallCertificate", bad)).status == "Rejected"


async def firmware(desk: Desk, version: Version, url: str, signed: Any) -> None:
    """SignedUpdateFirmware: fetched over HTTP and checked; another signature stops it."""
    action, notice = "UpdateFirmware", "FirmwareStatusNotification"
    if version is Version.V16:
        action, notice = f"Signed{action}", f"Signed{notice}"
    body = {
        "location": url,
        "retrieveDateTime": now_utc().isoformat(),
        "signingCertificate": signed.signer,
        "signature": signed.signature[:-8] + "AAAAAAA=",
    }
    assert (await desk.ask(action, {"requestId": 1, "firmware": body})).status == "Accepted"
    await desk.until(lambda: "InvalidSignature" in desk.told(notice, "status"))
    body["signature"] = signed.signature
    assert (await desk.ask(action, {"requestId": 2, "firmware": body})).status == "Accepted"
    await desk.until(lambda: "Installed" in desk.told(notice, "status"))
    await desk.until(lambda: "FirmwareUpdated" in desk.told("SecurityEventNotification", "type"))
    events = desk.told("SecurityEventNotification", "type")
    assert "InvalidFirmwareSignature" in events and "FirmwareUpdated" in events
    body["signingCertificate"] = "nonsense"
    refused = await desk.ask(action, {"requestId": 3, "firmware": body})
    assert refused.status == "InvalidCertificate"


async def logs(desk: Desk) -> None:
    """GetLog: announced, and that it cannot be uploaded is said."""
    order = {
        "logType": "SecurityLog",
        "requestId": 9,
        "log": {"remoteLocation": "https://logs.example/"},
    }
    assert (await desk.ask("GetLog", order)).status == "Accepted"
    await desk.until(lambda: "UploadFailure" in desk.told("LogStatusNotification", "status"))


async def own_certificate(desk: Desk, version: Version, client: StationClient) -> None:
    """The station is asked for a request, gets its certificate and comes back by profile 3."""
    action, wanted = "TriggerMessage", "SignChargingStationCertificate"
    if version is Version.V16:
        action, wanted = "ExtendedTriggerMessage", "SignChargePointCertificate"
    before = client.connections
    assert (await desk.ask(action, {"requestedMessage": wanted})).status == "Accepted"
    await desk.until(lambda: client.connections > before and client.is_connected)
    await desk.until(lambda: desk.network.csms.network.station("CP1").security_profile == 3)
    for name in ("LogStatusNotification", "FirmwareStatusNotification", "Heartbeat"):
        assert (await desk.ask(action, {"requestedMessage": name})).status == "Accepted"


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://x/y", "/etc/hostname", ""])
def test_a_station_fetches_no_file_of_its_own_machine(location: str) -> None:
    with pytest.raises(ValueError, match="only http"):
        fetched(location)
