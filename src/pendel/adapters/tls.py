"""TLS of the OCPP door (security profiles 2 and 3) and of virtual stations.

The door asks every station for a certificate and demands it of none: without one a connection is
profile 2 (a password follows), with one it is profile 3. What the files hold is read again while
the server runs (`ServerTls.refresh`): each new handshake uses the newest, open lines stay.

Sources: OCPP 2.1 part 2, A00.FR.306-324 and A00.FR.401-430; RFC 5280 section 6 (by OpenSSL).
"""

import logging
import os
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from pendel.adapters.certificate_authority import common_name, problem

LOG = logging.getLogger("pendel.ocpp")
SUITES_12 = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:"
    "AES256-GCM-SHA384:AES128-GCM-SHA256"
)
"""The four suites of A00.FR.318, and before the two without forward secrecy their ECDHE twins.
TLS 1.3 has its own five, all of them good."""
HANDSHAKE_S = 10.0
NAMES_MAX = 100


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What the door is given. certificates: PEM with certificate, chain and key (or the key beside
    it as .key), one RSA and one ECDSA at best; station_ca: who signs station certificates (empty =
    no profile 3); revoked: their revocation lists; organization: O they must name ("" = any)."""

    certificates: tuple[Path, ...]
    station_ca: tuple[Path, ...] = ()
    revoked: tuple[Path, ...] = ()
    organization: str = ""

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        keys = tuple(path.with_suffix(".key") for path in self.certificates)
        return self.certificates + keys + self.station_ca + self.revoked


@dataclass(frozen=True, slots=True)
class StationCertificate:
    """The certificate a station showed; its path was verified by the handshake."""

    common_name: str
    organizations: tuple[str, ...]
    serial_number: int
    issuer: bytes
    not_before_utc: datetime
    not_after_utc: datetime

    def objection(
        self,
        station_id: str,
        organization: str,
        revoked: frozenset[tuple[bytes, int]],
        now_utc: datetime,
    ) -> str:
        """Why this is not the certificate of a station now, or ""."""
        if self.common_name != station_id:
            return f"the certificate is that of {self.common_name[:64]!r}"
        if organization and organization not in self.organizations:
            return "the certificate names another organization"
        if (self.issuer, self.serial_number) in revoked:
            return "the certificate is revoked"
        if not self.not_before_utc <= now_utc <= self.not_after_utc:
            return "the certificate is not valid now"
        return ""


class ServerTls:
    """The door's TLS. `context` never changes; behind it each handshake gets the newest files."""

    def __init__(self, files: TlsFiles, now_utc: Callable[[], datetime]) -> None:
        """Read the files. Raises InputError."""
        self.files = files
        self._now_utc = now_utc
        self._stamps = _stamps(files)
        self._current = server_context(files)
        self.context = server_context(files)
        self.context.sni_callback = self._newest
        self.revoked = _revoked(files)
        self.not_after_utc = self._end()

    def refresh(self, force: bool = False) -> bool:
        """Take over changed files; bad ones are said and left, what was read before holds."""
        stamps = _stamps(self.files)
        if stamps == self._stamps and not force:
            return False
        self._stamps = stamps
        try:
            current, revoked = server_context(self.files), _revoked(self.files)
        except Exception as error:
            told = getattr(error, "problems", [error])
            LOG.error("TLS files not taken over: %s", "; ".join(str(each) for each in told))
            return False
        self._current, self.revoked = current, revoked
        self.not_after_utc = self._end()
        LOG.info("TLS files taken over; the server's certificate ends %s", self.not_after_utc)
        return True

    @property
    def certificates(self) -> list[x509.Certificate]:
        """The server's certificates with what they bring of their chains."""
        return [each for path in self.files.certificates for each in _all(path)]

    def objection(self, certificate: StationCertificate, station_id: str) -> str:
        """Why a certificate is not that of a station, or ""."""
        return certificate.objection(
            station_id, self.files.organization, self.revoked, self._now_utc()
        )

    def _newest(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _end(self) -> datetime:
        """When the first of the server's certificates ends."""
        return min(_first(path).not_valid_after_utc for path in self.files.certificates)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 or newer with the suites of OCPP. Raises InputError naming the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES_12)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    for path in files.certificates:
        key = path.with_suffix(".key")
        try:
            context.load_cert_chain(path, key if key.is_file() else None, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise problem(path, str(error), "certificate, chain and key as PEM") from error
    if files.station_ca:
        context.verify_mode = ssl.CERT_OPTIONAL
        for path in files.station_ca:
            try:
                context.load_verify_locations(path)
            except (OSError, ssl.SSLError) as error:
                raise problem(path, str(error), "certificates as PEM") from error
    return context


def client_context(
    ca: Path | None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """TLS of a station: checks the server's path and name. Raises InputError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES_12)
    try:
        if ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise problem(Path(str(ca)), str(error), "certificates as PEM") from error
    if certificate is not None:
        beside = certificate.with_suffix(".key")
        if key is None and beside != certificate and beside.is_file():
            key = beside
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise problem(certificate, str(error), "certificate and key as PEM") from error
    return context


def client_context_of(ca: Path | None, chain_pem: str, key_pem: str) -> ssl.SSLContext:
    """TLS of a station whose chain and key are at hand as PEM. Raises InputError."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # made with mode 0600
        file.write(f"{chain_pem}\n{key_pem}".encode())
        file.flush()
        return client_context(ca, Path(file.name))


def certificate_of(ssl_object: Any) -> StationCertificate | None:
    """The certificate that the other side of a TLS connection showed, or None."""
    data = ssl_object.getpeercert(binary_form=True)
    if not data:
        return None
    found = x509.load_der_x509_certificate(data)
    owners = found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return StationCertificate(
        common_name(found),
        tuple(str(owner.value) for owner in owners[:NAMES_MAX]),
        found.serial_number,
        found.issuer.public_bytes(),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
    )


def _revoked(files: TlsFiles) -> frozenset[tuple[bytes, int]]:
    """Issuer and serial number of what is revoked, by lists that one of station_ca signed.

    A list that is older than its next update is used all the same and said: turning every station
    away because a file was not renewed would be worse.
    """
    authorities = [each for path in files.station_ca for each in _all(path)]
    found: set[tuple[bytes, int]] = set()
    for path in files.revoked:
        try:
            lists = _lists(path.read_bytes())
        except (OSError, ValueError) as error:
            raise problem(path, str(error), "revocation lists as PEM") from error
        for each in lists:
            keys: list[Any] = [a.public_key() for a in authorities if a.subject == each.issuer]
            if not any(each.is_signature_valid(key) for key in keys):
                raise problem(path, "signed by none of station_ca", "their revocation lists")
            issuer = each.issuer.public_bytes()
            found |= {(issuer, entry.serial_number) for entry in each}
    return frozenset(found)


def _lists(data: bytes) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----"
    return [
        x509.load_pem_x509_crl(part + end) for part in data.split(end)[:-1] if part.strip() != b""
    ]


def _all(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise problem(path, str(error), "certificates as PEM") from error


def _first(path: Path) -> x509.Certificate:
    return _all(path)[0]


def _stamps(files: TlsFiles) -> Sequence[tuple[str, int, int]]:
    """What changes when a file does."""
    found = []
    for path in files.all:
        try:
            state = os.stat(path)
        except OSError:
            continue
        found.append((str(path), state.st_mtime_ns, state.st_ino))
    return found


def _no_password() -> str:
    """Encrypted keys are refused rather than asked for on a terminal."""
    raise ValueError("the key is encrypted")
