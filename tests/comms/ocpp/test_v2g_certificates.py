"""Certificates towards cars: station and backend without sockets, foreign answers given by hand."""

import base64
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import START_S, Pair
from test_csms_rules import OpenPolicy, typed

from pendel.adapters import certificate_authority
from pendel.adapters.certificate_authority import CertificateAuthority
from pendel.adapters.certificate_desk import AuthorityDesk
from pendel.adapters.v2g_authority import LEVELS, V2gAuthority
from pendel.comms.ocpp.backend.certificates import (
    ContractFinding,
    Finding,
    PoolFinding,
    PoolQuestion,
    StatusFinding,
    StatusQuestion,
)
from pendel.comms.ocpp.backend.csms import Csms
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings

NOW = datetime.fromtimestamp(START_S, UTC)
TWO = [Version.V201, Version.V21]
URL = "http://ocsp.example.org/ocsp"
OPERATOR = "Example Grid"
certificate_authority.RSA_BITS = 2048
V2G, V2G20 = "V2GCertificate", "V2G20Certificate"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    found = CertificateAuthority(tmp_path_factory.mktemp("ca") / "ca", lambda: NOW)
    found.create(OPERATOR)
    for level in LEVELS:
        V2gAuthority(found, level).create(URL)
    return found


def backend(authority: CertificateAuthority | None, *others: str) -> Csms:
    desk = None if authority is None else AuthorityDesk(authority, lambda: NOW)
    found = Csms(OpenPolicy(), lambda: "record", desk=desk)
    for name in ("CS1", *others):
        found.network.station(name).booted = True
    return found


def ask(csms: Csms, version: Version, action: str, payload: Any, *findings: Finding) -> Any:
    request = typed(version, action, payload)
    return csms.handle("CS1", version, "m", action, request, NOW, "", findings)


def root_of(authority: CertificateAuthority, level: str = "v2g") -> str:
    return (authority.folder / level / "v2g-root.pem").read_text()


def pair_of(version: Version, authority: CertificateAuthority, **more: Any) -> Pair:
    settings = StationSettings("CS1", organization=OPERATOR, **more)
    pair = Pair(version, settings).connect()
    order = {"certificateType": "V2GRootCertificate", "certificate": root_of(authority)}
    assert pair.ask("InstallCertificate", order).status == "Accepted"
    return pair


def signed(pair: Pair, csms: Csms, wanted: str) -> dict[str, Any]:
    """Trigger, request, signature: what CertificateSigned carries."""
    trigger = typed(pair.version, "TriggerMessage", {"requestedMessage": wanted})
    csms.network.station("CS1").sign_wanted = trigger.requestedMessage
    answer = pair.ask("TriggerMessage", {"requestedMessage": wanted})
    assert answer.status == "Accepted"
    asked = pair.backend.payloads("SignCertificate")[-1]
    reply = ask(csms, pair.version, "SignCertificate", asked)
    assert reply.response.status == "Accepted", reply.response
    (order,) = reply.orders
    return dict(msgspec.to_builtins(order.payload))


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        (Version.V201, "SignV2GCertificate"),
        (Version.V21, "SignV2GCertificate"),
        (Version.V21, "SignV2G20Certificate"),
        (Version.V201, "SignCombinedCertificate"),
        (Version.V21, "SignCombinedCertificate"),
    ],
)
def test_a_station_gets_its_certificate_towards_cars(
    version: Version, wanted: str, authority: CertificateAuthority
) -> None:
    level = "v2g20" if "20" in wanted else "v2g"
    pair = pair_of(version, authority)
    if level == "v2g20":
        order = {"certificateType": "V2GRootCertificate"}
        order["certificate"] = root_of(authority, level)
        assert pair.ask("InstallCertificate", order).status == "Accepted"
    order = signed(pair, backend(authority), wanted)
    asked = pair.backend.payloads("SignCertificate")[-1]
    assert ("certificateType" in asked) == ("Combined" not in wanted)
    assert pair.ask("CertificateSigned", order).status == "Accepted"
    fresh = pair.station.dialect.take_credentials()
    assert (fresh is not None) == ("Combined" in wanted), "only a combined one is for the backend"
    chain = x509.load_pem_x509_certificates(order["certificateChain"].encode())
    # M06.FR.07: asked for the status of each, by the responder that it names
    told = [e["ocspRequestData"] for e in pair.backend.payloads("GetCertificateStatus")]
    assert {each["responderURL"] for each in told} == {URL}
    assert [int(each["serialNumber"], 16) for each in told] == [c.serial_number for c in chain]
    # M03.FR.05: the sub-CAs are below the leaf
    listed = pair.ask("GetInstalledCertificateIds", {"certificateType": ["V2GCertificateChain"]})
    (row,) = msgspec.to_builtins(listed)["certificateHashDataChain"]
    names = [row["certificateHashData"], *row["childCertificateHashData"]]
    root = x509.load_pem_x509_certificate(root_of(authority, level).encode())
    for name, each, issuer in zip(names, chain, [*chain[1:], root], strict=True):
        built = ocsp.OCSPRequestBuilder().add_certificate(each, issuer, hashes.SHA256()).build()
        assert name["issuerKeyHash"] == built.issuer_key_hash.hex()
        assert name["issuerNameHash"] == built.issuer_name_hash.hex()
        assert int(name["serialNumber"], 16) == each.serial_number
    gone = pair.ask("DeleteCertificate", {"certificateHashData": names[0]}).status
    assert gone == ("Failed" if "Combined" in wanted else "Accepted"), "M04.FR.06"


@pytest.mark.parametrize("version", TWO)
def test_the_station_keeps_the_answers_and_asks_again_each_week(
    version: Version, authority: CertificateAuthority
) -> None:
    pair, csms = pair_of(version, authority), backend(authority)
    answers = pair.backend.answer

    def answer(action: str, data: dict[str, Any], now_s: float) -> dict[str, Any]:
        if action != "GetCertificateStatus":
            return answers(action, data, now_s)
        reply = ask(csms, version, action, data)
        return dict(msgspec.to_builtins(reply.response))

    pair.backend.answer = answer  # type: ignore[method-assign]
    order = signed(pair, csms, "SignV2GCertificate")
    assert pair.ask("CertificateSigned", order).status == "Accepted"
    duties: Any = pair.station.dialect
    assert len(duties.statuses) == 3
    for name, text in duties.statuses.items():
        response = ocsp.load_der_ocsp_response(base64.b64decode(text))
        assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
        assert f"{response.serial_number:x}" == name.serial_number
    pair.run(8 * 86_400, step_s=3_600.0)
    assert len(pair.backend.payloads("GetCertificateStatus")) == 6


@pytest.mark.parametrize("version", TWO)
def test_a_chain_towards_cars_that_is_not_good_is_refused_and_told(
    version: Version, authority: CertificateAuthority, tmp_path: Path
) -> None:
    other = CertificateAuthority(tmp_path / "other", lambda: NOW)
    other.create(OPERATOR)
    V2gAuthority(other).create()
    pair = pair_of(version, authority)
    order = signed(pair, backend(authority), "SignV2GCertificate")
    parts = order["certificateChain"].split("-----END CERTIFICATE-----\n")
    leaf, sub2, sub1 = (part + "-----END CERTIFICATE-----\n" for part in parts[:3])
    foreign = V2gAuthority(other)
    key = x509.load_pem_x509_certificate(leaf.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    bad = [foreign.secc(key, "CS1"), leaf, leaf + sub1, sub2 + sub1, leaf + sub2 + sub1 + sub1 * 9]
    for chain in bad:
        answer = pair.ask("CertificateSigned", {**order, "certificateChain": chain})
        assert answer.status == "Rejected" and answer.statusInfo.reasonCode == "InvalidCertificate"
    events = [p["type"] for p in pair.backend.payloads("SecurityEventNotification")]
    assert events.count("InvalidChargingStationCertificate") == len(bad)
    count = len(pair.backend.payloads("SignCertificate"))
    pair.run(600)
    assert len(pair.backend.payloads("SignCertificate")) == count, "A02.FR.20: not of itself"
    assert pair.ask("CertificateSigned", order).status == "Accepted"


def request(name: str, key: Any = None, owner: str | None = OPERATOR) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if owner is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, owner))
    built = x509.CertificateSigningRequestBuilder(x509.Name(parts)).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM).decode()


def refusal(csms: Csms, version: Version, csr: str, kind: str | None, **more: Any) -> str:
    payload = {"csr": csr, **more} | ({} if kind is None else {"certificateType": kind})
    reply = ask(csms, version, "SignCertificate", payload)
    if reply.response.status == "Accepted":
        assert len(reply.orders) == 1
        return ""
    assert reply.orders == ()
    return str(reply.response.statusInfo.additionalInfo)


@pytest.mark.parametrize("version", TWO)
def test_what_is_not_signed_is_refused_with_its_reason(
    version: Version, authority: CertificateAuthority, tmp_path: Path
) -> None:
    csms = backend(authority)
    p521, weak = ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP192R1())
    huge = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    cases = [
        (request("CS1"), ""),
        (request("CS1", owner=None), ""),
        (request("CS2"), "the common name is CS2, not CS1"),
        (request("CS1", owner="Somebody"), "the organization is Somebody, not Example Grid"),
        (request("CS1", p521), "one of secp256r1"),
        (request("CS1", huge), "one of secp256r1"),
        (request("CS1", weak), "192 bits"),
        ("x" * 5_500, "not a PEM"),
    ]
    for csr, told in cases:
        found = refusal(csms, version, csr, V2G)
        assert found == "" if not told else told in found
    if version is Version.V21:
        assert refusal(csms, version, request("CS1", p521), V2G20) == ""
        assert "secp521r1" in refusal(csms, version, request("CS1"), V2G20)
        wrong = {"hashAlgorithm": "SHA256", "issuerNameHash": "00", "issuerKeyHash": "00"}
        root = {"hashRootCertificate": {**wrong, "serialNumber": "1"}}
        assert "no such root" in refusal(csms, version, request("CS1"), V2G, **root)
    assert "Somebody" in refusal(csms, version, request("CS1", owner="Somebody"), None)
    plain = CertificateAuthority(tmp_path / "plain", lambda: NOW)
    plain.create(OPERATOR)
    assert "no trees" in refusal(backend(plain), version, request("CS1"), V2G)
    assert "no certificate authority" in refusal(backend(None), version, request("CS1"), V2G)
    late = CertificateAuthority(authority.folder, lambda: NOW + timedelta(days=1_500))
    ended = Csms(OpenPolicy(), lambda: "r", desk=AuthorityDesk(late, late.now_utc))
    ended.network.station("CS1").booted = True
    assert "the sub-CA here ended" in refusal(ended, version, request("CS1"), V2G)


def reported(csms: Csms, station_id: str, secc_id: str) -> None:
    row = {
        "component": {"name": "ISO15118Ctrlr", "evse": {"id": 1}},
        "variable": {"name": "SeccId"},
        "variableAttribute": [{"value": secc_id}],
    }
    payload = {"requestId": 1, "generatedAt": NOW.isoformat(), "seqNo": 0, "reportData": [row]}
    request_ = typed(Version.V21, "NotifyReport", payload)
    csms.handle(station_id, Version.V21, "r", "NotifyReport", request_, NOW)


def test_a_secc_id_must_be_reported_and_be_nobody_elses(authority: CertificateAuthority) -> None:
    csms = backend(authority, "CS2", "CS3")
    csr = request("SECC-A")
    assert "SECC-A" in refusal(csms, Version.V21, csr, V2G)
    reported(csms, "CS1", "SECC-A")
    assert refusal(csms, Version.V21, csr, V2G) == ""
    assert "SECC-A" in refusal(csms, Version.V21, csr, None), "never towards the backend"
    reported(csms, "CS2", "SECC-A")
    assert "SECC-A" in refusal(csms, Version.V21, csr, V2G), "two say that they are it"
    reported(csms, "CS1", "CS3")
    assert "CS3" in refusal(csms, Version.V21, request("CS3"), V2G), "another station's id"


@pytest.mark.parametrize("version", TWO)
def test_a_contract_and_its_token_make_the_answer(version: Version) -> None:
    """C07.FR.13 to 17, with what was found out given by hand."""
    token = {"idToken": "good", "type": "eMAID"}
    stolen = {"idToken": "stolen", "type": "eMAID"}
    card = {"idToken": "good", "type": "ISO14443"}
    central = {"idToken": "good", "type": "Central"}
    nobody = {"idToken": "", "type": "NoAuthorization"}
    good, gone = ContractFinding("Accepted"), ContractFinding("CertificateRevoked")
    ended, bad = ContractFinding("CertificateExpired"), ContractFinding("CertChainError")
    none = ContractFinding("NoCertificateAvailable")
    cases: list[tuple[dict[str, str], tuple[Finding, ...], str, str]] = [
        (token, (good,), "Accepted", "Accepted"),
        (stolen, (good,), "ContractCancelled", "Invalid"),
        (token, (gone,), "CertificateRevoked", "Invalid"),
        (token, (ended,), "CertificateExpired", "Expired"),
        (token, (bad,), "CertChainError", "Invalid"),
        (token, (none,), "NoCertificateAvailable", "Invalid"),
        (token, (), "CertChainError", "Invalid"),
        (card, (good,), "CertChainError", "Invalid"),
        (central, (good,), "CertChainError", "Invalid"),
        (nobody, (good,), "CertChainError", "Invalid"),
        (token, (PoolFinding("AA=="),), "CertChainError", "Invalid"),
    ]
    csms = backend(None)
    for told, findings, certificate, status in cases:
        payload = {"idToken": told, "certificate": "PEM"}
        answer = ask(csms, version, "Authorize", payload, *findings).response
        found = (answer.certificateStatus, answer.idTokenInfo.status)
        assert found == (certificate, status), (told, findings)
        if version is Version.V21:
            offered = getattr(answer, "allowedEnergyTransfer", msgspec.UNSET)
            assert (offered is not msgspec.UNSET) == (status == "Accepted")
    plain = ask(csms, version, "Authorize", {"idToken": token}).response
    assert plain.certificateStatus is msgspec.UNSET and plain.idTokenInfo.status == "Accepted"


def test_what_has_to_be_asked(authority: CertificateAuthority) -> None:
    """Own certificates are answered for at once; nothing is asked for who did not boot."""
    csms = backend(authority)
    sub2, sub1 = (V2gAuthority(authority).issuer(f"cpo-sub{n}")[0] for n in (2, 1))
    built = ocsp.OCSPRequestBuilder().add_certificate(sub2, sub1, hashes.SHA256()).build()
    own = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": built.issuer_name_hash.hex(),
        "issuerKeyHash": built.issuer_key_hash.hex(),
        "serialNumber": f"{built.serial_number:x}",
    }
    foreign = {**own, "issuerKeyHash": "ab" * 32}
    rows = [
        {"certificateHashData": own, "source": "OCSP", "urls": ["http://a"]},
        {"certificateHashData": foreign, "source": "CRL", "urls": ["http://b", "http://c"]},
        {"certificateHashData": foreign, "source": "OCSP", "urls": ["http://d"]},
    ]
    action = "GetCertificateChainStatus"
    payload = typed(Version.V21, action, {"certificateStatusRequests": rows})
    questions = csms.inquiry("CS1", action, payload)
    assert [(q.source, q.urls) for q in questions if isinstance(q, StatusQuestion)] == [
        ("CRL", ("http://b", "http://c")),
        ("OCSP", ("http://d",)),
    ]
    assert csms.inquiry("NOBODY", action, payload) == ()
    assert "NOBODY" not in csms.network.stations
    later = NOW + timedelta(hours=5)
    findings = (StatusFinding("Revoked", later), StatusFinding("Failed", NOW))
    answer = csms.handle("CS1", Version.V21, "m", action, payload, NOW, "", findings).response
    found = [(each.status, each.source) for each in answer.certificateStatus]
    assert found == [("Good", "OCSP"), ("Revoked", "CRL"), ("Failed", "OCSP")]
    assert answer.certificateStatus[1].nextUpdate == later


@pytest.mark.parametrize("version", TWO)
def test_contracts_of_a_pool_are_passed_on_whole(version: Version) -> None:
    csms = backend(None)
    base = {"iso15118SchemaVersion": "urn:x", "action": "Install", "exiRequest": "AAAA"}
    answer = ask(csms, version, "Get15118EVCertificate", base, PoolFinding("QUJD")).response
    assert (answer.status, answer.exiResponse) == ("Accepted", "QUJD")
    most = {Version.V201: 7_500, Version.V21: 17_000}[version]
    long = ask(csms, version, "Get15118EVCertificate", base, PoolFinding("A" * (most + 4))).response
    assert (long.status, long.exiResponse) == ("Failed", "")
    assert str(most) in long.statusInfo.additionalInfo
    down = PoolFinding("", "the pool is down")
    told = ask(csms, version, "Get15118EVCertificate", base, down).response
    assert told.status == "Failed" and told.statusInfo.additionalInfo == "the pool is down"
    if version is Version.V21:
        several = {**base, "maximumContractCertificateChains": 3, "prioritizedEMAIDs": ["E1"]}
        (question,) = csms.inquiry(
            "CS1", "Get15118EVCertificate", typed(version, "Get15118EVCertificate", several)
        )
        assert question == PoolQuestion("CS1", "urn:x", "Install", "AAAA", 3, ("E1",))
        found = ask(csms, version, "Get15118EVCertificate", several, PoolFinding("QUJD", "", 2))
        assert found.response.remainingContracts == 2
