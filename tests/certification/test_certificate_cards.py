"""Certification cards about certificates: a real backend with an authority, a foreign responder.

The station of the card makes its keys and checks what it gets with `cryptography` alone.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from foreign_pki import Mo, Party, Responder, http_server, responder_of, revocation_list
from ocpp_network_bench import HASH, RawStation, station_at
from tls_world import OPERATOR, came, made, tls_network, trusting

from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.tls import client_context_of
from pendel.adapters.v2g_authority import LEVELS, V2gAuthority
from pendel.api.network_views import _security
from pendel.records import StationAlarm, StationMessage
from pendel.runtime.network import ChargingNetwork

AT = "2026-03-01T12:00:00Z"
EMAID = "DEABCC123456789"
CARS = [{"vehicle_id": "car", "id_tokens": ["DE-ABC-C12345678-9"]}]
STATIONS = [
    {"station_id": name, "site_id": "home", "password_hash": HASH} for name in ("CP1", "CP2")
]
V2G = ("V2GCertificate", "V2G20Certificate")


class World:
    """The network, its log, the folder of its authority, a mobility operator and a pool."""

    def __init__(self, base: Path, mo: Mo, responder: Responder) -> None:
        self.base, self.mo, self.responder = base, mo, responder
        self.store = MemoryEventLog()
        self.network: Any = None
        self.pool_asked: list[dict[str, Any]] = []


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("cards")
    authority = made(base / "ca")
    for level in LEVELS:
        V2gAuthority(authority, level).create("http://127.0.0.1:9/ocsp")
    with responder_of([]) as responder, http_server(pool_answer) as pool:
        mo = Mo(responder.url)
        responder.issuers = mo.issuers
        (base / "mo.pem").write_text(mo.root.pem + mo.sub2.pem + mo.sub1.pem)
        found = World(base, mo, responder)
        plug_and_charge = {
            "mo_roots": ["mo.pem"],
            "responders": [f"127.0.0.1:{responder.port}"],
            "contract_service": f"http://127.0.0.1:{pool}/contracts",
        }
        more: Any = {"vehicle": CARS, "station": STATIONS, "plug_and_charge": plug_and_charge}
        with tls_network(base, found.store, **more) as network:
            found.network = network
            yield found


def pool_answer(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A pool that answers each request with itself, turned round."""
    asked = json.loads(body)
    raw = base64.b64decode(asked["exi"])[::-1]
    return json.dumps({"exi": [base64.b64encode(raw).decode()]}).encode()


def csr(name: str, curve: Any = None, owner: str = OPERATOR) -> tuple[str, Any]:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    parts = [
        x509.NameAttribute(NameOID.COMMON_NAME, name),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, owner),
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
    ]
    built = x509.CertificateSigningRequestBuilder(x509.Name(parts)).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM).decode(), key


async def triggered(world: World, station: RawStation, wanted: str, name: str = "CP1") -> None:
    station.asked.clear()
    payload = {"requestedMessage": wanted}
    command = world.network.command
    event = await asyncio.to_thread(command, name, "TriggerMessage", payload, 5.0)
    assert event.response.status == "Accepted"
    assert station.asked == [["TriggerMessage", payload]]


async def signed(station: RawStation, request: str, kind: str | None) -> dict[str, Any]:
    """SignCertificate; what CertificateSigned then brings."""
    station.asked.clear()
    payload = {"csr": request} | ({} if kind is None else {"certificateType": kind})
    answer = await station.call("SignCertificate", payload)
    assert answer[2]["status"] == "Accepted", answer
    (order,) = await station.until_asked(1)
    assert order[0] == "CertificateSigned"
    return dict(order[1])


def chain_leads(pem: str, folder: Path, key: Any, name: str) -> list[x509.Certificate]:
    """Leaf to root by signatures and names; the leaf is that of the key."""
    chain = x509.load_pem_x509_certificates(pem.encode())
    root = x509.load_pem_x509_certificate((folder / "v2g-root.pem").read_bytes())
    for below, above in zip(chain, [*chain[1:], root], strict=True):
        below.verify_directly_issued_by(above)
    assert root not in chain and len(chain) == 3
    assert chain[0].public_key() == key.public_key() and chain[0].public_key().key_size >= 224
    found = {each.oid: each.value for each in chain[0].subject}
    assert found[NameOID.COMMON_NAME] == name and found[NameOID.ORGANIZATION_NAME] == OPERATOR
    return chain


@pytest.mark.proves("TC_A_12_CSMS")
@pytest.mark.parametrize(("version", "kind"), [("2.0.1", V2G[0]), ("2.1", V2G[0]), ("2.1", V2G[1])])
def test_card_a_12_v2g_certificate(world: World, version: str, kind: str) -> None:
    async def play() -> None:
        async with station_at(world.network.port, "CP1", version) as station:
            await station.boot(version)
            await triggered(world, station, f"Sign{kind}")
            curve = ec.SECP521R1() if kind == V2G[1] else ec.SECP256R1()
            request, key = csr("CP1", curve)
            told = await signed(station, request, kind)
            assert told["certificateType"] == kind
            folder = world.base / "ca" / ("v2g20" if kind == V2G[1] else "v2g")
            chain_leads(told["certificateChain"], folder, key, "CP1")

    asyncio.run(play())


@pytest.mark.proves("TC_A_13_CSMS")
def test_card_a_13_combined_certificate(world: World) -> None:
    """Both a SECC certificate of the V2G tree and the station's way in by profile 3."""

    async def play() -> None:
        async with station_at(world.network.port, "CP2", "2.0.1") as station:
            await station.boot("2.0.1")
            await triggered(world, station, "SignCombinedCertificate", "CP2")
            request, key = csr("CP2")
            told = await signed(station, request, None)
            assert "certificateType" not in told
            chain_leads(told["certificateChain"], world.base / "ca" / "v2g", key, "CP2")
            await triggered(world, station, "SignChargingStationCertificate", "CP2")
            again = await signed(station, csr("CP2")[0], None)
            assert again["certificateChain"].count("BEGIN") == 1, "that of the own root"
        key_pem = Party(None, key).key_pem  # type: ignore[arg-type]
        shown = client_context_of(world.base / "ca" / "ca.pem", told["certificateChain"], key_pem)
        assert await came(world.network.tls_port, shown, "CP2", {}) == 101
        assert await came(world.network.tls_port, shown, "CP1", {}) != 101
        assert await came(world.network.tls_port, trusting(world.base), "CP2", {}) != 101

    asyncio.run(play())


@pytest.mark.proves("TC_A_14_CSMS")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_card_a_14_the_station_refuses_the_certificate(world: World, version: str) -> None:
    async def play() -> None:
        async with station_at(world.network.port, "CP1", version) as station:
            await station.boot(version)
            await triggered(world, station, "SignChargingStationCertificate")
            why = {"reasonCode": "InvalidCertificate", "additionalInfo": f"no good {version}"}
            station.answers["CertificateSigned"] = {"status": "Rejected", "statusInfo": why}
            await signed(station, csr("CP1")[0], "ChargingStationCertificate")
            kind = {"type": "InvalidChargingStationCertificate", "timestamp": AT}
            assert (await station.call("SecurityEventNotification", kind))[0] == 3
            assert (await station.call("Heartbeat", {}))[0] == 3, "the line goes on"

    asyncio.run(play())
    records = [record for _, record in world.store.replay()]
    alarms = [r for r in records if isinstance(r, StationAlarm) and version in r.text]
    assert [a.topic for a in alarms] == ["certificate_refused"] and "no good" in alarms[0].text
    by_id = {r.id: r for r in records}
    cause = by_id[alarms[0].causes[0]]
    assert isinstance(cause, StationMessage)
    assert (cause.action, cause.status, cause.outgoing) == ("CertificateSigned", "Rejected", True)
    shown = _security("CP1", world.network)
    assert version in shown["last_alarm"], "an operator sees it"
    again = ChargingNetwork(world.network.policy, world.store)
    assert again.csms.network.station("CP1").notices["alarms"][-1].station_id == "CP1"


def named(certificate: x509.Certificate, issuer: x509.Certificate, url: str) -> dict[str, str]:
    built = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": built.issuer_name_hash.hex(),
        "issuerKeyHash": built.issuer_key_hash.hex(),
        "serialNumber": f"{built.serial_number:x}",
        "responderURL": url,
    }


async def authorized(world: World, version: str, **more: Any) -> tuple[dict[str, Any], Any]:
    """Authorize with a contract, then the TransactionEvent that it begins."""
    token = {"idToken": EMAID, "type": "eMAID"}
    async with station_at(world.network.port, "CP1", version) as station:
        await station.boot(version)
        answer = await station.call("Authorize", {"idToken": token, **more})
        begun = {
            "eventType": "Started",
            "timestamp": AT,
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": f"T{len(world.responder.asked)}{version}"},
            "evse": {"id": 1},
            "idToken": token,
        }
        return answer[2], (await station.call("TransactionEvent", begun))[2]


def hash_data(world: World, leaf: Party) -> list[dict[str, str]]:
    mo, url = world.mo, world.responder.url
    pairs = [(leaf, mo.sub2), (mo.sub2, mo.sub1), (mo.sub1, mo.root)]
    return [named(a.certificate, b.certificate, url) for a, b in pairs]


@pytest.mark.proves("TC_C_50_CSMS")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_card_c_50_contract_by_hash_data(world: World, version: str) -> None:
    leaf = world.mo.contract(EMAID)
    told = asyncio.run(
        authorized(world, version, iso15118CertificateHashData=hash_data(world, leaf))
    )
    assert told[0]["idTokenInfo"]["status"] == told[0]["certificateStatus"] == "Accepted"
    assert told[1]["idTokenInfo"]["status"] == "Accepted"
    assert leaf.certificate.serial_number in world.responder.asked
    assert ("allowedEnergyTransfer" in told[0]) == (version == "2.1")


@pytest.mark.proves("TC_C_51_CSMS")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_card_c_51_a_revoked_contract(world: World, version: str) -> None:
    leaf = world.mo.contract(EMAID)
    world.responder.revoked.add(leaf.certificate.serial_number)
    told, _ = asyncio.run(
        authorized(world, version, iso15118CertificateHashData=hash_data(world, leaf))
    )
    assert (told["certificateStatus"], told["idTokenInfo"]["status"]) == (
        "CertificateRevoked",
        "Invalid",
    )
    assert "allowedEnergyTransfer" not in told


@pytest.mark.proves("TC_C_52_CSMS")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_card_c_52_contract_by_certificate(world: World, version: str) -> None:
    leaf = world.mo.contract(EMAID)
    told = asyncio.run(authorized(world, version, certificate=world.mo.chain(leaf)))
    assert told[0]["idTokenInfo"]["status"] == told[0]["certificateStatus"] == "Accepted"
    assert told[1]["idTokenInfo"]["status"] == "Accepted"
    assert leaf.certificate.serial_number in world.responder.asked


@pytest.mark.proves("TC_M_24_CSMS")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_card_m_24_status_of_foreign_sub_authorities(world: World, version: str) -> None:
    """The response of the foreign responder as it signed it; asked once, then from memory."""

    async def play() -> None:
        async with station_at(world.network.port, "CP1", version) as station:
            await station.boot(version)
            mo, url = world.mo, world.responder.url
            for each, issuer in ((mo.sub2, mo.sub1), (mo.sub1, mo.root)):
                data = {"ocspRequestData": named(each.certificate, issuer.certificate, url)}
                serial = each.certificate.serial_number
                first = await station.call("GetCertificateStatus", data)
                count = world.responder.asked.count(serial)
                second = await station.call("GetCertificateStatus", data)
                assert first[2] == second[2] and first[2]["status"] == "Accepted"
                assert world.responder.asked.count(serial) == count
                der = base64.b64decode(first[2]["ocspResult"])
                response = ocsp.load_der_ocsp_response(der)
                assert response.serial_number == serial
                assert response.certificate_status is ocsp.OCSPCertStatus.GOOD

    asyncio.run(play())


@pytest.mark.proves("TC_M_26_CSMS", "TC_M_28_CSMS")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
@pytest.mark.parametrize("action", ["Install", "Update"])
def test_cards_m_26_and_m_28_contract_for_a_car(world: World, version: str, action: str) -> None:
    """What the pool of contracts answered reaches the car as it was."""

    async def play() -> None:
        async with station_at(world.network.port, "CP1", version) as station:
            await station.boot(version)
            asked = base64.b64encode(f"request of the car {action}".encode()).decode()
            payload = {"iso15118SchemaVersion": "urn:x", "action": action, "exiRequest": asked}
            answer = (await station.call("Get15118EVCertificate", payload))[2]
            assert answer["status"] == "Accepted"
            raw = base64.b64decode(answer["exiResponse"])
            assert raw == f"request of the car {action}".encode()[::-1]

    asyncio.run(play())


def test_the_status_of_a_chain_over_the_wire(world: World) -> None:
    """M07.FR.01-08: by responder and by list, good, revoked and nowhere to be had."""
    mo, url = world.mo, world.responder.url
    good, gone = mo.contract(EMAID), mo.contract(EMAID)
    serial = gone.certificate.serial_number
    world.responder.revoked.add(serial)
    world.responder.crl = revocation_list(mo.sub2, [serial])
    place = url.replace("/ocsp", "/crl")

    def row(leaf: Party, source: str, *urls: str) -> dict[str, Any]:
        name = named(leaf.certificate, mo.sub2.certificate, url)
        del name["responderURL"]
        return {"certificateHashData": name, "source": source, "urls": list(urls)}

    rows = [
        row(good, "OCSP", "http://127.0.0.1:9/", url),
        row(gone, "CRL", place),
        row(mo.contract(EMAID), "CRL", place),
        row(gone, "OCSP", "http://169.254.169.254/latest"),
    ]

    async def play() -> None:
        async with station_at(world.network.port, "CP1", "2.1") as station:
            await station.boot("2.1")
            payload = {"certificateStatusRequests": rows}
            answer = (await station.call("GetCertificateChainStatus", payload))[2]
            found = answer["certificateStatus"]
            assert [each["status"] for each in found] == ["Good", "Revoked", "Good", "Failed"]
            for told, asked in zip(found, rows, strict=True):
                assert told["certificateHashData"] == asked["certificateHashData"]
                assert told["source"] == asked["source"] and told["nextUpdate"]

    asyncio.run(play())
