"""Foreign authorities for tests, built by `cryptography` alone: trees, responders, hostile ones.

Nothing of the product is used here: what is made is the oracle.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


def now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass
class Party:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()


def make(
    name: str,
    above: Party | None = None,
    ca: bool = False,
    path_length: int | None = None,
    ocsp_url: str = "",
    crl_url: str = "",
    begin: datetime | None = None,
    end: datetime | None = None,
    key: Any = None,
    digest: Any = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    basic: bool = True,
) -> Party:
    """A certificate signed by above (None = by itself)."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if above is None else above.certificate.subject
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin or now_utc() - DAY)
        .not_valid_after(end or now_utc() + 365 * DAY)
    )
    if basic:
        builder = builder.add_extension(
            x509.BasicConstraints(ca, path_length if ca else None), critical=True
        )
    if ocsp_url:
        place = x509.UniformResourceIdentifier(ocsp_url)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
    if crl_url:
        names = [x509.UniformResourceIdentifier(crl_url)]
        point = x509.DistributionPoint(names, None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signer = key if above is None else above.key
    return Party(builder.sign(signer, digest or hashes.SHA256()), key)


@dataclass
class Mo:
    """A mobility operator: root, two sub-CAs, and contracts below them."""

    url: str = ""
    root: Party = field(init=False)
    sub1: Party = field(init=False)
    sub2: Party = field(init=False)

    def __post_init__(self) -> None:
        self.root = make("MO root", ca=True)
        self.sub1 = make("MO sub 1", self.root, ca=True, path_length=1, ocsp_url=self.url)
        self.sub2 = make("MO sub 2", self.sub1, ca=True, path_length=0, ocsp_url=self.url)

    def contract(self, emaid: str = "DEABCC123456789", **more: Any) -> Party:
        more.setdefault("ocsp_url", self.url)
        return make(emaid, self.sub2, **more)

    def chain(self, leaf: Party) -> str:
        return leaf.pem + self.sub2.pem + self.sub1.pem

    @property
    def issuers(self) -> list[Party]:
        return [self.root, self.sub1, self.sub2]


@dataclass
class Responder:
    """An OCSP responder (and place of a revocation list) on loopback. revoked: serial numbers;
    asked: what it was asked for; bend: changes an answer before it goes out."""

    issuers: list[Party]
    revoked: set[int] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    unknown: set[int] = field(default_factory=set)
    signer: Party | None = None
    carries: list[x509.Certificate] = field(default_factory=list)
    nonce: bytes | None = None
    begin: timedelta = -timedelta(minutes=1)
    end: timedelta = timedelta(hours=1)
    other_serial: bool = False
    raw: bytes | None = None
    crl: bytes = b""
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ocsp"

    def answer(self, body: bytes) -> bytes:
        self.requests.append(body)
        if self.raw is not None:
            return self.raw
        request = ocsp.load_der_ocsp_request(body)
        self.asked.append(request.serial_number)
        algorithm = request.hash_algorithm
        for issuer in self.issuers:
            probe = ocsp.OCSPRequestBuilder().add_certificate(
                issuer.certificate, issuer.certificate, algorithm
            )
            if probe.build().issuer_key_hash == request.issuer_key_hash:
                return self._signed(request, issuer)
        failed = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        return failed.public_bytes(serialization.Encoding.DER)

    def _signed(self, request: ocsp.OCSPRequest, issuer: Party) -> bytes:
        serial, status = request.serial_number, ocsp.OCSPCertStatus.GOOD
        if serial in self.revoked:
            status = ocsp.OCSPCertStatus.REVOKED
        if serial in self.unknown:
            status = ocsp.OCSPCertStatus.UNKNOWN
        is_revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=request.issuer_name_hash,
            issuer_key_hash=request.issuer_key_hash,
            serial_number=serial + 1 if self.other_serial else serial,
            algorithm=request.hash_algorithm,
            cert_status=status,
            this_update=now_utc() + self.begin,
            next_update=now_utc() + self.end,
            revocation_time=now_utc() - DAY if is_revoked else None,
            revocation_reason=None,
        )
        signer = self.signer or issuer
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        nonce = self.nonce
        if nonce is None:
            for extension in request.extensions:
                if isinstance(extension.value, x509.OCSPNonce):
                    nonce = extension.value.nonce
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(nonce), False)
        if self.carries:
            builder = builder.certificates(self.carries)
        made = builder.sign(signer.key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.DER)


def revocation_list(issuer: Party, serials: list[int], **more: Any) -> bytes:
    builder = x509.CertificateRevocationListBuilder(
        issuer.certificate.subject,
        more.get("begin", now_utc() - DAY),
        more.get("end", now_utc() + DAY),
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, now_utc() - DAY).build()
        builder = builder.add_revoked_certificate(entry)
    signed = builder.sign(more.get("key", issuer.key), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def responder_certificate(issuer: Party, named: bool = True) -> Party:
    """A delegated responder; named False: without the purpose that makes it one."""
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    return make("responder", issuer, extensions=((usage, False),) if named else ())


@contextlib.contextmanager
def http_server(answer: Callable[[str, bytes, dict[str, str]], bytes]) -> Iterator[int]:
    """A server on loopback; answer(path, body, headers) -> body of a 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", "0"))
            self._reply(self.rfile.read(size))

        def do_GET(self) -> None:
            self._reply(b"")

        def _reply(self, body: bytes) -> None:
            told = answer(self.path, body, dict(self.headers.items()))
            self.send_response(200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def responder_of(issuers: list[Party]) -> Iterator[Responder]:
    found = Responder(issuers)
    with http_server(
        lambda path, body, _: found.crl if path.startswith("/crl") else found.answer(body)
    ) as port:
        found.port = port
        yield found


def rsa_key(bits: int = 2_048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)
