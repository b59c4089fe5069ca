"""Certificates over OCPP: a station's key signed, roots installed and named, statuses told."""

import base64
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import START_S, Pair
from test_csms_rules import OpenPolicy, typed

from pendel.adapters import certificate_authority
from pendel.adapters.certificate_authority import CertificateAuthority
from pendel.adapters.certificate_desk import SIGNED_PER_HOUR, AuthorityDesk
from pendel.comms.ocpp.backend.certificates import Signing
from pendel.comms.ocpp.backend.csms import Csms, Reply
from pendel.comms.ocpp.release import Version

NOW = datetime.fromtimestamp(START_S, UTC)
ALL = list(Version)
ROOT_KIND = {Version.V16: "CentralSystemRootCertificate"}
certificate_authority.RSA_BITS = 2048


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    found = CertificateAuthority(tmp_path_factory.mktemp("ca") / "ca", lambda: NOW)
    found.create("Example Grid")
    return found


def csr(name: str | None = "CS1", key: Any = None, spoil: bool = False) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    parts = [] if name is None else [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder(x509.Name(parts)).sign(key, algorithm)
    data = bytearray(request.public_bytes(serialization.Encoding.DER))
    if spoil:
        data[-3] ^= 0xFF
    text = base64.encodebytes(bytes(data)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


def backend(authority: CertificateAuthority | None) -> Csms:
    desk = None if authority is None else AuthorityDesk(authority, lambda: NOW)
    found = Csms(OpenPolicy(), lambda: "record", desk=desk)
    found.network.station("CS1").booted = True
    return found


def ask(csms: Csms, version: Version, action: str, payload: Any) -> Reply:
    request = typed(version, action, payload)
    return csms.handle("CS1", version, "m", action, request, NOW)


@pytest.mark.parametrize("version", ALL)
def test_a_station_gets_its_key_signed(version: Version, authority: CertificateAuthority) -> None:
    pair = Pair(version).connect()
    csms = backend(authority)
    action, wanted = "TriggerMessage", "SignChargingStationCertificate"
    if version is Version.V16:
        action, wanted = "ExtendedTriggerMessage", "SignChargePointCertificate"
    assert pair.ask(action, {"requestedMessage": wanted}).status == "Accepted"
    asked = pair.backend.payloads("SignCertificate")[-1]
    reply = ask(csms, version, "SignCertificate", asked)
    assert reply.response.status == "Accepted"
    (order,) = reply.orders
    assert order.action == "CertificateSigned"
    signed = msgspec.to_builtins(order.payload)
    if version is Version.V21:
        assert signed["requestId"] == asked["requestId"], "A02.FR.25"
        wrong = {**signed, "requestId": asked["requestId"] ^ 1}
        assert pair.ask("CertificateSigned", wrong).status == "Rejected", "A02.FR.26"
    assert pair.ask("CertificateSigned", signed).status == "Accepted"
    fresh = pair.station.dialect.take_credentials()
    assert fresh is not None and pair.station.dialect.take_credentials() is None
    leaf = x509.load_pem_x509_certificate(fresh[0].encode())
    key = serialization.load_pem_private_key(fresh[1].encode(), None)
    assert leaf.public_key() == key.public_key()
    assert certificate_authority.common_name(leaf) == "CS1"
    assert pair.ask("CertificateSigned", signed).status == "Rejected", "asked for only once"


@pytest.mark.parametrize("version", ALL)
def test_what_is_not_signed_is_refused_with_its_reason(
    version: Version, authority: CertificateAuthority
) -> None:
    csms = backend(authority)
    weak = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    cases = {
        "the common name is CS2": csr("CS2"),
        "the common name is none": csr(None),
        "1024 bits": csr(key=weak),
        "neither RSA nor ECDSA": csr(key=ed25519.Ed25519PrivateKey.generate()),
        "signature does not fit": csr(spoil=True),
        "not a PEM": "nonsense",
    }
    for reason, request in cases.items():
        reply = ask(csms, version, "SignCertificate", {"csr": request})
        assert (reply.response.status, reply.orders) == ("Rejected", ())
        if version is not Version.V16:
            assert reason in reply.response.statusInfo.additionalInfo
            assert reply.response.statusInfo.reasonCode == "InvalidCSR"
    none = ask(backend(None), version, "SignCertificate", {"csr": csr()})
    assert (none.response.status, none.orders) == ("Rejected", ())
    if version is not Version.V16:
        request = {"csr": csr(), "certificateType": "V2GCertificate"}
        assert ask(csms, version, "SignCertificate", request).response.status == "Rejected"


def test_a_station_cannot_fill_the_disk_with_certificates(authority: CertificateAuthority) -> None:
    csms = backend(authority)
    found = [
        ask(csms, Version.V201, "SignCertificate", {"csr": csr()}).response.status
        for _ in range(SIGNED_PER_HOUR + 2)
    ]
    assert found == ["Accepted"] * SIGNED_PER_HOUR + ["Rejected"] * 2


@pytest.mark.parametrize("version", ALL)
def test_a_bad_signed_certificate_is_refused_and_told(
    version: Version, authority: CertificateAuthority, tmp_path: Path
) -> None:
    other = CertificateAuthority(tmp_path / "other", lambda: NOW)
    other.create("Example Grid")
    late = CertificateAuthority(authority.folder, lambda: NOW - timedelta(days=800))
    pair = Pair(version).connect()
    duties: Any = pair.station.dialect
    root = (authority.folder / "ca-ecdsa.pem").read_text()
    kind = ROOT_KIND.get(version, "CSMSRootCertificate")
    order = {"certificateType": kind, "certificate": root}
    assert pair.ask("InstallCertificate", order).status == "Accepted"
    duties.renew()
    pair.pump()
    request = pair.backend.payloads("SignCertificate")[-1]["csr"]
    bad = [
        other.sign("CS1", request),  # of no installed root
        late.sign("CS1", request),  # ended
        authority.sign("CS1", csr("CS1")),  # another key
        (authority.folder / "ca-ecdsa.pem").read_text(),
        "nonsense",
    ]
    for chain in bad:
        assert pair.ask("CertificateSigned", {"certificateChain": chain}).status == "Rejected"
    events = [p["type"] for p in pair.backend.payloads("SecurityEventNotification")]
    assert events.count("InvalidChargingStationCertificate") == len(bad)
    assert duties.take_credentials() is None
    good = {"certificateChain": authority.sign("CS1", request)}
    assert pair.ask("CertificateSigned", good).status == "Accepted"


@pytest.mark.parametrize("version", ALL)
def test_no_certificate_comes_and_the_request_is_repeated_three_times(version: Version) -> None:
    pair = Pair(version).connect()
    duties: Any = pair.station.dialect
    duties.renew()
    pair.pump()
    pair.run(3_600)
    requests = [p["csr"] for p in pair.backend.payloads("SignCertificate")]
    assert len(requests) == 4 and len(set(requests)) == 1, "30, 60 and 120 s later (A02.FR.17-19)"


@pytest.mark.parametrize("version", ALL)
def test_roots_are_installed_named_and_deleted(
    version: Version, authority: CertificateAuthority
) -> None:
    pair = Pair(version).connect()
    kind = ROOT_KIND.get(version, "CSMSRootCertificate")
    asked: Any = kind if version is Version.V16 else [kind]
    everything = {"certificateType": asked}
    assert pair.ask("GetInstalledCertificateIds", everything).status == "NotFound"
    leaf, _ = authority.station("CS9")
    for wrong in ("x", leaf.read_text()):
        order = {"certificateType": kind, "certificate": wrong}
        assert pair.ask("InstallCertificate", order).status == "Rejected"
    for name in ("ca-ecdsa.pem", "ca-rsa.pem", "ca-rsa.pem"):
        root = (authority.folder / name).read_text()
        order = {"certificateType": kind, "certificate": root}
        assert pair.ask("InstallCertificate", order).status == "Accepted"
    told = msgspec.to_builtins(pair.ask("GetInstalledCertificateIds", everything))
    if version is Version.V16:
        named = told["certificateHashData"]
    else:
        named = [each["certificateHashData"] for each in told["certificateHashDataChain"]]
    assert len(named) == 2
    expected = authority.roots()[0][0]
    by_ocsp = ocsp.OCSPRequestBuilder().add_certificate(expected, expected, hashes.SHA256()).build()
    assert named[0] == {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": by_ocsp.issuer_name_hash.hex(),
        "issuerKeyHash": by_ocsp.issuer_key_hash.hex(),
        "serialNumber": f"{by_ocsp.serial_number:x}",
    }, "the names are those of RFC 6960, computed by another library"
    for status in ("Accepted", "NotFound"):
        order = {"certificateHashData": named[0]}
        assert pair.ask("DeleteCertificate", order).status == status
    assert pair.ask("GetInstalledCertificateIds", everything).status == "Accepted"


def hash_of(certificate: x509.Certificate, issuer: x509.Certificate) -> dict[str, str]:
    built = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": built.issuer_name_hash.hex(),
        "issuerKeyHash": built.issuer_key_hash.hex(),
        "serialNumber": f"{built.serial_number:x}",
    }


@pytest.mark.proves("TC_M_24_CSMS")
@pytest.mark.parametrize("version", [Version.V201, Version.V21])
def test_the_status_of_own_certificates_is_told_and_of_others_refused(
    version: Version, authority: CertificateAuthority
) -> None:
    csms = backend(authority)
    root, _ = authority.roots()[0]
    good = x509.load_pem_x509_certificate(authority.station("GOOD")[0].read_bytes())
    gone = x509.load_pem_x509_certificate(authority.station("GONE")[0].read_bytes())
    authority.revoke("GONE")
    states = {good: ocsp.OCSPCertStatus.GOOD, gone: ocsp.OCSPCertStatus.REVOKED}
    for certificate, state in states.items():
        data = {"ocspRequestData": {**hash_of(certificate, root), "responderURL": "http://x"}}
        answer = ask(csms, version, "GetCertificateStatus", data).response
        assert answer.status == "Accepted"
        result = ocsp.load_der_ocsp_response(base64.b64decode(answer.ocspResult))
        assert (result.certificate_status, result.serial_number) == (
            state,
            certificate.serial_number,
        )
        root.public_key().verify(  # type: ignore[union-attr, call-arg]
            result.signature,
            result.tbs_response_bytes,
            ec.ECDSA(hashes.SHA256()),  # type: ignore[arg-type]
        )
    foreign = {**hash_of(good, root), "issuerKeyHash": "00" * 32, "responderURL": "http://x"}
    for desk in (authority, None):
        answer = ask(
            backend(desk), version, "GetCertificateStatus", {"ocspRequestData": foreign}
        ).response
        assert answer.status == "Failed" and answer.statusInfo.additionalInfo


def test_the_status_of_a_chain_is_told(authority: CertificateAuthority) -> None:
    root, _ = authority.roots()[0]
    good = x509.load_pem_x509_certificate(authority.station("FINE")[0].read_bytes())
    bad = x509.load_pem_x509_certificate(authority.station("BAD")[0].read_bytes())
    authority.revoke("BAD")
    foreign = {**hash_of(good, root), "issuerNameHash": "00" * 32}
    unknown = {**hash_of(good, root), "serialNumber": "123abc"}
    asked = [hash_of(good, root), hash_of(bad, root), unknown, foreign]
    requests = [
        {"certificateHashData": each, "source": "CRL", "urls": ["http://x"]} for each in asked
    ]
    payload = {"certificateStatusRequests": requests}
    answer = ask(backend(authority), Version.V21, "GetCertificateChainStatus", payload).response
    found = [each.status for each in answer.certificateStatus]
    assert found == ["Good", "Revoked", "Unknown", "Failed"]


def test_contract_certificates_are_refused_with_a_reason(authority: CertificateAuthority) -> None:
    request = {"iso15118SchemaVersion": "urn:x", "action": "Install", "exiRequest": "AA"}
    for version in (Version.V201, Version.V21):
        answer = ask(backend(authority), version, "Get15118EVCertificate", request).response
        assert answer.status == "Failed" and "clearing house" in answer.statusInfo.additionalInfo


def test_requests_of_noise_never_raise(authority: CertificateAuthority) -> None:
    """Broken requests for a signature: a reason each, never an exception."""
    desk = AuthorityDesk(authority, lambda: NOW)
    rng, whole = random.Random(5), csr("CS1")
    for _ in range(300):
        spoilt = list(whole)
        for _ in range(rng.randint(1, 6)):
            spoilt[rng.randrange(len(spoilt))] = chr(rng.randrange(32, 127))
        text = "".join(spoilt[: rng.randint(0, len(spoilt))])
        reason = desk.objection("CS1", Signing(text, "", ("CS1",)))
        assert isinstance(reason, str)
    assert desk.objection("CS1", Signing(whole, "", ("CS1",))) == ""
