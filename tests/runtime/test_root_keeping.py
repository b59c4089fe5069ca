"""Roots of stations kept in step: virtual stations over TLS, and stations that play tricks."""

import asyncio
import random
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
sys.path.insert(0, str(Path(__file__).parent))

from foreign_pki import DAY, Party, make, now_utc
from ocpp_network_bench import HASH, PASSWORD, RawStation, station_at
from tls_world import made, tls_network

from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.ocpp_client import StationClient, run_clients
from pendel.adapters.root_rollover import RootRollover
from pendel.adapters.tls import client_context
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import StationSettings
from pendel.config.certificates import RootConfig
from pendel.records import StationRoot
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.root_keeping import Pass, RootKeeper

ALL = list(Version)
STATIONS = [{"station_id": "CP1", "site_id": "home", "password_hash": HASH}]
CSMS = "CSMSRootCertificate"


class World:
    """A server with TLS, its folder, and one virtual station with a password."""

    def __init__(self, base: Path, network: Any, version: Version, store: Any) -> None:
        self.base, self.network, self.store = base, network, store
        rng = random.Random(1)
        self.station = VirtualStation(StationSettings("CP1"), version, rng, time.time())
        trust = base / "first.pem"
        trust.write_bytes((base / "ca" / "ca-ecdsa.pem").read_bytes())
        self.notes: list[str] = []
        self.rng, self.tls = rng, client_context(trust)

    def client(self) -> StationClient:
        """The station's line; what it trusts lasts."""
        url = f"wss://127.0.0.1:{self.network.tls_port}/ocpp"
        note = self.notes.append
        return StationClient(self.station, url, PASSWORD, time.time, self.rng, self.tls, note)

    def keeps(self, *roots: dict[str, Any]) -> RootKeeper:
        configured = [RootConfig(**each) for each in roots]
        keeper: Any = RootKeeper(self.network, configured, self.base)
        self.by_itself = keeper.look
        keeper.look = lambda now: None  # only when a test says so
        self.network.watch.roots = keeper
        return keeper

    def passed(self) -> Pass:
        """One look at the station, while it is connected."""

        async def run() -> Pass:
            keeper, over, found = self.network.watch.roots, [], []
            client = self.client()

            async def look() -> None:
                while not (self.station.accepted and client.is_connected):
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.2)  # the line before this one is over for the server too
                future = self.network.run(keeper.keep("CP1"))
                found.append(await asyncio.wrap_future(future))
                over.append(True)

            task = asyncio.create_task(look())
            end = time.monotonic() + 10.0
            await run_clients([client], lambda: bool(over) or time.monotonic() > end)
            task.cancel()
            assert found, self.notes
            return found[0]

        return asyncio.run(run())

    def has(self, kind: str) -> list[str]:
        """Names of the roots that the station has."""
        if self.station.version is Version.V16 and kind == CSMS:
            kind = "CentralSystemRootCertificate"
        keys: Any = self.station.dialect
        return sorted(name_of(each) for each in keys.keys.roots.get(kind, []))


def name_of(certificate: x509.Certificate) -> str:
    return str(certificate.subject.rfc4514_string())


@pytest.fixture(params=ALL)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made(tmp_path / "ca")
    store = MemoryEventLog()
    with tls_network(tmp_path, store, station=STATIONS) as network:
        yield World(tmp_path, network, request.param, store)


def test_roots_are_installed_changed_and_deleted(world: World) -> None:
    first, second, maker = (make(name, ca=True) for name in ("first", "second", "maker"))
    (world.base / "maker.pem").write_text(maker.pem)
    (world.base / "mo.pem").write_text(first.pem)
    is_16 = world.station.version is Version.V16
    world.keeps(
        {"type": "ManufacturerRootCertificate", "file": "maker.pem"},
        {"type": "MORootCertificate", "file": "mo.pem"},
        {"type": "OEMRootCertificate", "file": "mo.pem", "stations": ["CP9"]},
    )
    found = world.passed()
    expected = [("MORootCertificate", first), ("ManufacturerRootCertificate", maker)]
    expected = [(k, p) for k, p in expected if not (is_16 and k[0:2] == "MO")]
    assert [(kind, each) for kind, each in found.installed] == [
        (kind, party.certificate) for kind, party in expected
    ]
    assert found.problems == [] and world.has("OEMRootCertificate") == []
    assert world.passed().installed == []
    (world.base / "mo.pem").unlink()
    (world.base / "mo.pem").write_text(second.pem)
    again = world.passed()
    if not is_16:
        assert world.has("MORootCertificate") == ["CN=second"]
        assert [each for _, each in again.deleted] == [first.certificate]
    world.keeps()
    world.passed()
    assert world.has("ManufacturerRootCertificate") == world.has("MORootCertificate") == []
    kept = [r for _, r in world.store.replay() if isinstance(r, StationRoot)]
    assert (
        sum(r.installed for r in kept) == sum(not r.installed for r in kept) == (1 if is_16 else 3)
    )


def test_what_others_installed_is_left_alone_also_after_a_restart(world: World) -> None:
    own, foreign = make("own", ca=True), make("foreign", ca=True)
    kind = "ManufacturerRootCertificate"
    duties: Any = world.station.dialect
    assert duties.keys.install(kind, foreign.pem, time.time()) == ("Accepted", "")
    (world.base / "own.pem").write_text(own.pem)
    world.keeps({"type": kind, "file": "own.pem"})
    world.passed()
    assert world.has(kind) == ["CN=foreign", "CN=own"]
    again = ChargingNetwork(world.network.policy, world.store)
    given = again.csms.network.station("CP1").roots_given
    assert given == {own.pem: kind}
    world.keeps()
    world.passed()
    assert world.has(kind) == ["CN=foreign"]


def test_the_root_of_the_backend_rolls_over(world: World) -> None:
    """New roots reach the station, sign the server's certificate, and the old ones go."""
    folder = world.base / "ca"
    rollover = RootRollover(made_again(folder))
    world.keeps({"type": CSMS, "file": "ca/ca.pem"})
    world.passed()
    old = world.has(CSMS)
    assert len(old) == 2
    rollover.begin()
    world.keeps({"type": CSMS, "file": "ca/ca-current.pem"})
    world.passed()
    assert len(world.has(CSMS)) == 4
    rollover.finish()
    assert world.network.watch.security.tls.refresh()
    found = world.passed()
    assert found.problems == [] and len(found.deleted) == 2
    fresh = world.has(CSMS)
    assert len(fresh) == 2 and not set(fresh) & set(old)
    assert world.passed().kept, "it comes again: it knows the new root"
    leaf = x509.load_pem_x509_certificate((folder / "server-ecdsa.pem").read_bytes())
    root = x509.load_pem_x509_certificate((folder / "ca-ecdsa.pem").read_bytes())
    leaf.verify_directly_issued_by(root)
    only_old = client_context(world.base / "first.pem")
    assert handshake(world.network.tls_port, only_old) == "certificate verify failed"
    assert handshake(world.network.tls_port, client_context(folder / "ca-current.pem")) == ""


def made_again(folder: Path) -> Any:
    from tls_world import authority_at

    return authority_at(folder)


def handshake(port: int, context: ssl.SSLContext) -> str:
    import socket

    try:
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1"),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return str(error.reason).replace("_", " ").lower()


def test_a_station_is_not_locked_out_by_a_mistake(world: World) -> None:
    """The roots are taken out of the configuration while the server's certificate is theirs."""
    world.keeps({"type": CSMS, "file": "ca/ca.pem"})
    world.passed()
    other = make("another", ca=True)
    (world.base / "other.pem").write_text(other.pem)
    world.keeps({"type": CSMS, "file": "other.pem"})
    found = world.passed()
    assert found.deleted == [] and len(found.problems) == 2
    assert "without it this server is unknown" in found.problems[0]
    assert len(world.has(CSMS)) == 3


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
def test_a_station_that_takes_only_roots_signed_by_the_old_one(
    tmp_path: Path, version: Version
) -> None:
    """AdditionalRootCertificateCheck (M05.FR.09-12): the link certificate is what it takes."""
    authority = made(tmp_path / "ca")
    with tls_network(tmp_path, station=STATIONS) as network:
        world = World(tmp_path, network, version, None)
        duties: Any = world.station.dialect
        check = duties.variables.get("SecurityCtrlr", None, "AdditionalRootCertificateCheck")
        check.value = "true"
        world.keeps({"type": CSMS, "file": "ca/ca-ecdsa.pem"})
        world.passed()
        RootRollover(authority).begin()
        world.keeps(
            {"type": CSMS, "file": "ca/next-ecdsa.pem", "links": ["ca/next-ecdsa-link.pem"]}
        )
        found = world.passed()
        assert [name_of(each) for _, each in found.installed] == [
            name_of(x509.load_pem_x509_certificate((tmp_path / "ca/next-ecdsa.pem").read_bytes()))
        ]
        assert len(world.has(CSMS)) == 2, "the old one is kept to fall back on"


def test_the_server_does_it_by_itself(tmp_path: Path) -> None:
    made(tmp_path / "ca")
    (tmp_path / "mo.pem").write_text(make("mo", ca=True).pem)
    with tls_network(tmp_path, station=STATIONS) as network:
        world = World(tmp_path, network, Version.V21, None)
        world.keeps({"type": "MORootCertificate", "file": "mo.pem"})

        async def run() -> None:
            end = time.monotonic() + 15.0

            def over() -> bool:
                world.by_itself(now_utc())
                return bool(world.has("MORootCertificate")) or time.monotonic() > end

            await run_clients([world.client()], over)

        asyncio.run(run())
        assert world.has("MORootCertificate") == ["CN=mo"]


# stations that play tricks


def raw(
    tmp_path: Path, act: Callable[[RawStation, Any], Any], roots: list[dict[str, Any]]
) -> tuple[Pass, MemoryEventLog]:
    made(tmp_path / "ca")
    store = MemoryEventLog()

    async def run(network: Any) -> Pass:
        async with station_at(network.port, "CP1", "2.1") as station:
            await station.boot("2.1")
            act(station, network)
            return await asyncio.wrap_future(network.run(network.watch.roots.keep("CP1")))

    with tls_network(tmp_path, store, station=STATIONS) as network:
        configured = [RootConfig(**each) for each in roots]
        network.watch.roots = RootKeeper(network, configured, tmp_path)
        return asyncio.run(run(network)), store


def told(*rows: tuple[str, Party, str]) -> dict[str, Any]:
    """GetInstalledCertificateIds: type, root, algorithm; hashes by `cryptography`."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509 import ocsp

    found = []
    for kind, party, algorithm in rows:
        data = (party.certificate, party.certificate, getattr(hashes, algorithm)())
        built = ocsp.OCSPRequestBuilder().add_certificate(*data).build()
        name = {
            "hashAlgorithm": algorithm,
            "issuerNameHash": built.issuer_name_hash.hex().upper(),
            "issuerKeyHash": built.issuer_key_hash.hex(),
            "serialNumber": f"{built.serial_number:x}",
        }
        found.append({"certificateType": kind, "certificateHashData": name})
    return {"status": "Accepted", "certificateHashDataChain": found}


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
def test_a_root_is_known_by_each_algorithm_and_not_sent_again(
    tmp_path: Path, algorithm: str
) -> None:
    root = make("root", ca=True)
    (tmp_path / "r.pem").write_text(root.pem)
    kind = "V2GRootCertificate"

    def act(station: RawStation, _: Any) -> None:
        station.answers["GetInstalledCertificateIds"] = told((kind, root, algorithm))

    found, _ = raw(tmp_path, act, [{"type": kind, "file": "r.pem"}])
    assert [each for _, each in found.kept] == [root.certificate] and found.installed == []


@pytest.mark.parametrize("answer", ["Rejected", "Failed", None])
def test_a_refusal_is_told_and_remembered_as_nothing(tmp_path: Path, answer: str | None) -> None:
    (tmp_path / "r.pem").write_text(make("root", ca=True).pem)

    def act(station: RawStation, _: Any) -> None:
        station.answers["GetInstalledCertificateIds"] = {"status": "NotFound"}
        bad = {"status": "Sorry"} if answer is None else {"status": answer}
        station.answers["InstallCertificate"] = bad

    found, store = raw(tmp_path, act, [{"type": "MORootCertificate", "file": "r.pem"}])
    assert found.installed == [] and "was not installed" in found.problems[0]
    assert not any(isinstance(r, StationRoot) for _, r in store.replay())


def test_roots_that_ended_are_not_sent(tmp_path: Path) -> None:
    ended = make("ended", ca=True, begin=now_utc() - 9 * DAY, end=now_utc() - timedelta(hours=1))
    (tmp_path / "r.pem").write_text(ended.pem)

    def act(station: RawStation, _: Any) -> None:
        station.answers["GetInstalledCertificateIds"] = {"status": "NotFound"}

    found, _ = raw(tmp_path, act, [{"type": "MORootCertificate", "file": "r.pem"}])
    assert found.installed == found.kept == []
