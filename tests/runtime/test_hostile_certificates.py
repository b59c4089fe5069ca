"""A station that means harm, at a running network: what it says about certificates changes nothing
for others, and the server goes on."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
sys.path.insert(0, str(Path(__file__).parent))

from foreign_pki import Mo, http_server, make, responder_of
from ocpp_network_bench import HASH, station_at
from tls_world import made, tls_network

from pendel.adapters.v2g_authority import V2gAuthority
from pendel.runtime.network_presence import INQUIRIES_MAX

STATIONS = [
    {"station_id": name, "site_id": "home", "password_hash": HASH} for name in ("CP1", "CP2")
]
EMAID = "DEABCC123456789"


class World:
    def __init__(self, network: Any, mo: Mo, responder: Any) -> None:
        self.network, self.mo, self.responder = network, mo, responder


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    authority = made(tmp_path / "ca")
    V2gAuthority(authority).create()
    with responder_of([]) as responder:
        mo = Mo(responder.url)
        responder.issuers = mo.issuers
        (tmp_path / "mo.pem").write_text(mo.root.pem + mo.sub1.pem + mo.sub2.pem)
        settings = {"mo_roots": ["mo.pem"], "responders": [f"127.0.0.1:{responder.port}"]}
        more: Any = {"station": STATIONS, "plug_and_charge": settings}
        with tls_network(tmp_path, **more) as network:
            yield World(network, mo, responder)


def question(leaf: x509.Certificate, issuer: x509.Certificate, url: str) -> dict[str, Any]:
    built = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256()).build()
    return {
        "ocspRequestData": {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": built.issuer_name_hash.hex(),
            "issuerKeyHash": built.issuer_key_hash.hex(),
            "serialNumber": f"{built.serial_number:x}",
            "responderURL": url,
        }
    }


def test_one_that_asks_without_end_is_answered_and_others_are_not_asked(world: World) -> None:
    async def run() -> None:
        async with station_at(world.network.port, "CP1", "2.1") as station:
            await station.boot("2.1")
            statuses = []
            for number in range(1, INQUIRIES_MAX + 6):
                asked = question(
                    world.mo.sub1.certificate, world.mo.root.certificate, world.responder.url
                )
                asked["ocspRequestData"]["serialNumber"] = f"{number:x}"
                answer = await station.call("GetCertificateStatus", asked)
                statuses.append(answer[2]["status"])
            assert statuses == ["Accepted"] * INQUIRIES_MAX + ["Failed"] * 5
            assert len(world.responder.requests) == INQUIRIES_MAX
        async with station_at(world.network.port, "CP2", "2.1") as station:
            await station.boot("2.1")
            leaf = world.mo.contract(EMAID)
            token = {"idToken": EMAID, "type": "eMAID"}
            payload = {"idToken": token, "certificate": world.mo.chain(leaf)}
            answer = await station.call("Authorize", payload)
            assert answer[2]["certificateStatus"] == "Accepted", "nobody else's allowance"

    asyncio.run(run())


def test_one_that_leaves_while_others_are_asked(world: World, tmp_path: Path) -> None:
    """The responder answers when the station is gone; the server goes on."""
    gate, asked = threading.Event(), threading.Event()

    def slow(path: str, body: bytes, headers: dict[str, str]) -> bytes:
        asked.set()
        gate.wait(5.0)
        return bytes(world.responder.answer(body))

    async def run(port: int) -> None:
        url = f"http://127.0.0.1:{port}/ocsp"
        payload = question(world.mo.sub1.certificate, world.mo.root.certificate, url)
        async with station_at(world.network.port, "CP1", "2.1") as station:
            await station.boot("2.1")
            task = asyncio.create_task(station.call("GetCertificateStatus", payload))
            await asyncio.to_thread(asked.wait, 5.0)
            task.cancel()
        async with station_at(world.network.port, "CP2", "2.1") as other:
            await other.boot("2.1")
            assert (await other.call("Heartbeat", {}))[0] == 3, "others do not wait"
            async with station_at(world.network.port, "CP1", "2.1") as again:
                await again.boot("2.1")
                gate.set()
                await asyncio.sleep(0.3)
                assert (await again.call("Heartbeat", {}))[0] == 3

    with http_server(slow) as port:
        world.network.watch.security.sources._allowed.name([f"127.0.0.1:{port}"])
        asyncio.run(run(port))


def csr_of(key: Any, *parts: Any, extension: x509.ExtensionType | None = None) -> str:
    builder = x509.CertificateSigningRequestBuilder(x509.Name(parts))
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    built = builder.sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM).decode()


def name(text: str, oid: Any = NameOID.COMMON_NAME) -> x509.NameAttribute:
    return x509.NameAttribute(oid, text)


def test_requests_for_certificates_that_want_more_than_a_station_gets(world: World) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    wide = rsa.generate_private_key(public_exponent=3, key_size=2_048)
    authority = x509.BasicConstraints(ca=True, path_length=None)
    server = x509.SubjectAlternativeName([x509.DNSName("csms.example.org")])
    bad = [
        csr_of(key, name("CP1"), name("CP2")),
        csr_of(key, name("CP1\x00CP2")),
        csr_of(key, name("cp1")),
        csr_of(key, name(" CP1")),
        csr_of(key, name("CP1"), name("Example Grid\n", NameOID.ORGANIZATION_NAME)),
        csr_of(key),
        "-----BEGIN CERTIFICATE REQUEST-----\n" + "A" * 5_000,
        make("CP1").pem,
    ]
    good = [csr_of(key, name("CP1"), extension=each) for each in (authority, server)]

    async def run() -> None:
        async with station_at(world.network.port, "CP1", "2.1") as station:
            await station.boot("2.1")
            for csr in [*bad, csr_of(wide, name("CP1"))]:
                payload = {"csr": csr, "certificateType": "V2GCertificate"}
                answer = await station.call("SignCertificate", payload)
                assert answer[2]["status"] == "Rejected", csr
            for kind in ("ChargingStationCertificate", "V2GCertificate"):
                for csr in good:
                    station.asked.clear()
                    payload = {"csr": csr, "certificateType": kind}
                    answer = await station.call("SignCertificate", payload)
                    assert answer[2]["status"] == "Accepted"
                    (order,) = await station.until_asked(1)
                    leaf = x509.load_pem_x509_certificate(order[1]["certificateChain"].encode())
                    found = leaf.extensions
                    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
                    with pytest.raises(x509.ExtensionNotFound):
                        found.get_extension_for_class(x509.SubjectAlternativeName)

    asyncio.run(run())


def test_contracts_of_a_hostile_tree(world: World) -> None:
    """A tree with the names of the trusted one, contracts of others, an authority as contract."""
    twin = Mo(world.responder.url)
    mine = world.mo.contract("DEABCC999999999")
    inner = make(EMAID, mine)
    token = {"idToken": EMAID, "type": "eMAID"}
    chains = [
        twin.chain(twin.contract(EMAID)),
        twin.contract(EMAID).pem + world.mo.sub2.pem + world.mo.sub1.pem,
        world.mo.chain(mine),
        inner.pem + world.mo.chain(mine),
        twin.chain(twin.contract(EMAID)) + twin.root.pem,
        world.mo.sub2.pem + world.mo.sub1.pem,
        "A" * 9_000,
    ]

    async def run() -> None:
        async with station_at(world.network.port, "CP1", "2.1") as station:
            await station.boot("2.1")
            for chain in chains:
                payload = {"idToken": token, "certificate": chain}
                answer = (await station.call("Authorize", payload))[2]
                assert answer["certificateStatus"] == "CertChainError"
                assert answer["idTokenInfo"]["status"] == "Invalid"
            named = question(
                twin.contract(EMAID).certificate, twin.sub2.certificate, world.responder.url
            )
            payload = {"idToken": token, "iso15118CertificateHashData": [named["ocspRequestData"]]}
            answer = (await station.call("Authorize", payload))[2]
            assert answer["certificateStatus"] == "CertChainError", "its issuer was never trusted"

    asyncio.run(run())
    assert world.responder.requests == []
