"""The responder of the own authority: openssl asks, openssl checks what it got."""

import asyncio
import base64
import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from httpx import ASGITransport, AsyncClient, Response

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from tls_world import made, tls_network

from pendel.adapters.certificate_authority import CertificateAuthority
from pendel.adapters.certificate_desk import RESPONSES_PER_S
from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.v2g_authority import V2gAuthority
from pendel.api.app import create_app
from pendel.api.auth import Gate
from pendel.api.service import Service
from pendel.runtime.engine import Runtime

DER = "application/ocsp-response"


class Asker:
    """HTTP without a socket."""

    def __init__(self, app: Any, base: Path, authority: CertificateAuthority) -> None:
        self.app, self.base, self.authority = app, base, authority

    def send(self, method: str, path: str, body: bytes | None = None) -> Response:
        async def run() -> Response:
            transport = ASGITransport(app=self.app, raise_app_exceptions=False)
            async with AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, content=body)

        return asyncio.run(run())


@contextlib.contextmanager
def asker_of(tmp_path: Path, **tls: Any) -> Iterator[Asker]:
    authority = made(tmp_path / "ca")
    V2gAuthority(authority).create("http://localhost/ocsp")
    with tls_network(tmp_path, tls=tls) as network:
        service = Service(Runtime(MemoryEventLog()), Gate([]), network=network)
        yield Asker(create_app(service), tmp_path, authority)


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    with asker_of(tmp_path, ocsp=True) as found:
        yield found


def test_it_is_off_unless_the_configuration_says_so(tmp_path: Path) -> None:
    with asker_of(tmp_path) as found:
        assert found.send("POST", "/ocsp", b"x").status_code == 404
        assert found.send("GET", "/ocsp/AA==").status_code == 404


def openssl(*words: str | Path) -> str:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    found = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    return found.stdout + found.stderr


@pytest.mark.parametrize("how", ["POST", "GET"])
@pytest.mark.parametrize("revoked", [False, True])
def test_openssl_asks_and_checks(asker: Asker, how: str, revoked: bool) -> None:
    folder = asker.base / "ca"
    station, _ = asker.authority.station("CP1")
    contract, _ = V2gAuthority(asker.authority).contract("DEABCC123456789")
    if revoked:
        asker.authority.revoke("CP1")
        asker.authority.revoke("DEABCC123456789")
    leaf = asker.base / "leaf.pem"
    leaf.write_text(contract.read_text().partition("-----END CERTIFICATE-----\n")[0])
    leaf.write_text(leaf.read_text() + "-----END CERTIFICATE-----\n")
    cases = [
        (station, folder / "ca-ecdsa.pem", folder / "ca-ecdsa.pem"),
        (leaf, folder / "v2g" / "mo-sub2.pem", folder / "v2g" / "mo-trust.pem"),
        (
            folder / "v2g" / "mo-sub2.pem",
            folder / "v2g" / "mo-sub1.pem",
            folder / "v2g" / "mo-root.pem",
        ),
    ]
    for certificate, issuer, trust in cases:
        question, answer = asker.base / "q.der", asker.base / "a.der"
        openssl("ocsp", "-issuer", issuer, "-cert", certificate, "-reqout", question)
        body = question.read_bytes()
        if how == "POST":
            response = asker.send("POST", "/ocsp", body)
        else:
            text = base64.b64encode(body).decode().replace("/", "%2F").replace("+", "%2B")
            response = asker.send("GET", f"/ocsp/{text}")
        assert (response.status_code, response.headers["content-type"]) == (200, DER)
        answer.write_bytes(response.content)
        told = openssl(
            "ocsp", "-reqin", question, "-respin", answer, "-CAfile", trust,
            "-verify_other", issuer, "-trust_other",
        )  # fmt: skip
        assert "Response verify OK" in told, told
        assert "Nonce" not in told and "WARNING" not in told, "the nonce came back"
        is_sub = certificate.name == "mo-sub2.pem"
        found = ocsp.load_der_ocsp_response(response.content)
        subject = x509.load_pem_x509_certificate(certificate.read_bytes())
        assert found.serial_number == subject.serial_number
        assert found.certificate_status.name == ("REVOKED" if revoked and not is_sub else "GOOD")


def test_what_is_no_request_gets_a_refusal_in_the_protocol(asker: Asker) -> None:
    for body in (b"", b"nonsense", b"\x30" * 4_000):
        response = asker.send("POST", "/ocsp", body)
        found = ocsp.load_der_ocsp_response(response.content)
        assert found.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    assert asker.send("GET", "/ocsp/!!!").status_code == 200
    assert asker.send("POST", "/ocsp", b"x" * 5_000).status_code == 413
    assert asker.send("GET", "/ocsp/" + "A" * 5_000).status_code == 414


def test_of_foreign_certificates_nothing_is_said_and_signatures_are_rationed(
    asker: Asker, tmp_path: Path
) -> None:
    other = made(tmp_path / "other")
    leaf = x509.load_pem_x509_certificate(other.station("CP1")[0].read_bytes())
    mine = x509.load_pem_x509_certificate(asker.authority.station("CP1")[0].read_bytes())

    def ask(certificate: x509.Certificate, issuer: x509.Certificate) -> ocsp.OCSPResponseStatus:
        from cryptography.hazmat.primitives import hashes, serialization

        built = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
        body = built.build().public_bytes(serialization.Encoding.DER)
        response = asker.send("POST", "/ocsp", body)
        return ocsp.load_der_ocsp_response(response.content).response_status

    status = ocsp.OCSPResponseStatus
    assert ask(leaf, other.roots()[0][0]) is status.UNAUTHORIZED
    root = asker.authority.roots()[0][0]
    desk: Any = asker.app.state.service.network.watch.security.desk
    fixed = desk._now_utc()
    desk._now_utc = lambda: fixed
    found = [ask(mine, root) for _ in range(RESPONSES_PER_S + 2)]
    assert found[0] is status.SUCCESSFUL and found[-1] is status.TRY_LATER
