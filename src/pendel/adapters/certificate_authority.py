"""A small certificate authority in a folder, for tests and small sites: `pendel ca`.

    ca-ecdsa.pem/.key, ca-rsa.pem/.key     two roots, because a station may know only one algorithm
    ca.pem                                 both roots: what a station (or its peer) trusts
    server-ecdsa.pem/.key, server-rsa...   what the door shows
    stations/ID.pem/.key                   made here for stations that cannot make their own key
    issued/SERIAL.pem                      every certificate ever given out
    revoked.json, crl.pem                  what is not trusted any more

Keys are PKCS 8 in files of mode 0600. Properties of the certificates: OCPP 2.1 part 2, block A,
"Certificate properties" (CN = identity of the station or name of the server, O = operator).
"""

import ipaddress
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pendel.adapters.signing_request import PublicKey, checked_request
from pendel.adapters.whole_file import write_whole
from pendel.errors import InputError, Problem

ALGORITHMS = ("ecdsa", "rsa")
RSA_BITS = 3072
ROOT_DAYS = 3_650
LEAF_DAYS = 397
CLOCK_SLACK = timedelta(hours=1)
"""Certificates begin this much before now: clocks of stations differ (A02.FR.06, note)."""
CRL_DAYS = 30
COMMON_NAME = NameOID.COMMON_NAME
STATION_PATTERN = re.compile(r"[A-Za-z0-9*_=:+|@.-]{1,48}\Z")

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate that was given out. kind: server, station, cpo (SECC), mo (contract), oem
    (provisioning), signer (of firmware), authority (a sub-CA); revoked_utc None = it holds."""

    serial_number: int
    common_name: str
    not_after_utc: datetime
    kind: str
    revoked_utc: datetime | None = None


class CertificateAuthority:
    """Reads and writes one folder. now_utc: the clock."""

    def __init__(self, folder: Path, now_utc: Callable[[], datetime]) -> None:
        self.folder = folder
        self.now_utc = now_utc
        self._pairs: dict[Path, tuple[int, x509.Certificate, Key]] = {}

    @property
    def exists(self) -> bool:
        """Whether the folder holds the two roots and their keys."""
        return all((self.folder / f"ca-{a}.key").is_file() for a in ALGORITHMS)

    @property
    def operator(self) -> str:
        """The organisation that owns the certificates (O of the roots)."""
        found = self.root("ecdsa")[0].subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return str(found[0].value) if found else ""

    def create(self, operator: str) -> None:
        """Make both roots. Raises InputError when there is one already."""
        if self.exists or (self.folder / "ca.pem").exists():
            raise problem(self.folder, "a certificate authority is there already", "a new folder")
        for part in ("", "stations", "issued"):
            (self.folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        bundle = b""
        for algorithm in ALGORITHMS:
            key = new_key(algorithm)
            name = _name(f"{operator} {algorithm.upper()} root"[:64], operator)
            certificate = root_certificate(key, name, self.now_utc())
            bundle += pem_of(certificate)
            self._write(f"ca-{algorithm}.key", key_pem_of(key), secret=True)
            self._write(f"ca-{algorithm}.pem", pem_of(certificate))
        self._write("ca.pem", bundle)
        self.write_crl()

    def server(self, hosts: Sequence[str]) -> list[Path]:
        """New server certificates (ECDSA and RSA) for host names and addresses; their files."""
        made = []
        for algorithm in ALGORITHMS:
            key = new_key(algorithm)
            certificate = self._issue(key.public_key(), hosts[0], hosts, is_server=True)
            self._write(f"server-{algorithm}.key", key_pem_of(key), secret=True)
            made.append(self._write(f"server-{algorithm}.pem", pem_of(certificate)))
        return made

    def station(self, station_id: str, algorithm: str = "ecdsa") -> tuple[Path, Path]:
        """A key and certificate for a station; their files."""
        if STATION_PATTERN.match(station_id) is None:
            raise problem(self.folder, f'"{station_id}" is no identity', "1 to 48 characters")
        key = new_key(algorithm)
        certificate = self._issue(key.public_key(), station_id, (), is_server=False)
        secret = self._write(f"stations/{station_id}.key", key_pem_of(key), secret=True)
        return self._write(f"stations/{station_id}.pem", pem_of(certificate)), secret

    def sign(self, station_id: str, csr_pem: str) -> str:
        """The certificate (PEM) for a station's own key. Raises RefusedError with the reason."""
        key = self.check(station_id, csr_pem)
        return pem_of(self._issue(key, station_id, (), is_server=False)).decode()

    def check(self, station_id: str, csr_pem: str) -> PublicKey:
        """The key of a request that may be signed. Raises RefusedError with the reason."""
        return checked_request(csr_pem, (station_id,), self.operator)[1]

    def issued(self) -> list[Issued]:
        """All certificates given out, in order of their end."""
        gone = self.revoked()
        found = []
        for path in (self.folder / "issued").glob("*.pem"):
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            serial = certificate.serial_number
            found.append(
                Issued(
                    serial,
                    common_name(certificate),
                    certificate.not_valid_after_utc,
                    _kind(certificate),
                    gone.get(serial),
                )
            )
        return sorted(found, key=lambda each: (each.not_after_utc, each.serial_number))

    def keep(self, certificate: x509.Certificate) -> x509.Certificate:
        """Remember a certificate that was given out here (it can be revoked, its status told)."""
        self._write(f"issued/{certificate.serial_number:040x}.pem", pem_of(certificate))
        return certificate

    def find(self, serial_number: int) -> x509.Certificate | None:
        """A certificate given out here, or None."""
        path = self.folder / "issued" / f"{serial_number:040x}.pem"
        return x509.load_pem_x509_certificate(path.read_bytes()) if path.is_file() else None

    def roots(self) -> list[tuple[x509.Certificate, Key]]:
        """The roots and their keys."""
        return [self.root(algorithm) for algorithm in ALGORITHMS]

    def revoked(self) -> dict[int, datetime]:
        """Serial number and time of what is revoked."""
        path = self.folder / "revoked.json"
        if not path.exists():
            return {}
        found = json.loads(path.read_text("utf-8"))
        return {int(serial, 16): datetime.fromisoformat(at) for serial, at in found.items()}

    def revoke(self, wanted: str) -> list[Issued]:
        """Revoke by serial number (hex) or all that hold of a common name. Raises InputError."""
        chosen = [
            each
            for each in self.issued()
            if each.revoked_utc is None
            and wanted in (each.common_name, f"{each.serial_number:040x}")
        ]
        if not chosen:
            raise problem(self.folder, f'no certificate "{wanted}"', "an identity or a serial")
        gone = self.revoked() | {each.serial_number: self.now_utc() for each in chosen}
        text = json.dumps({f"{serial:040x}": at.isoformat() for serial, at in gone.items()})
        self._write("revoked.json", text.encode())
        self.write_crl()
        return chosen

    def write_crl(self) -> Path:
        """The revocation lists of all roots, for others (crl.pem)."""
        now = self.now_utc()
        lists = b""
        for certificate, key in [*self.roots(), *self.retired()]:
            builder = x509.CertificateRevocationListBuilder(
                issuer_name=certificate.subject,
                last_update=now - CLOCK_SLACK,
                next_update=now + timedelta(days=CRL_DAYS),
            )
            for serial, at in self.revoked().items():
                entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
                builder = builder.add_revoked_certificate(entry.build())
            lists += builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return self._write("crl.pem", lists)

    def root(self, algorithm: str) -> tuple[x509.Certificate, Key]:
        """The root that signs keys of an algorithm, and its key. Raises InputError."""
        return self._pair(self.folder / f"ca-{algorithm}.pem")

    def retired(self) -> list[tuple[x509.Certificate, Key]]:
        """Roots that sign no more but revocation lists and statuses."""
        return [self._pair(path) for path in sorted((self.folder / "retired").glob("*.pem"))]

    def name(self, words: str) -> x509.Name:
        """The name of one of its certificates of authorities."""
        return _name(f"{self.operator} {words}"[:64], self.operator)

    def _pair(self, place: Path) -> tuple[x509.Certificate, Key]:
        """A certificate and its key, read again when the file is another one."""
        try:
            stamp = place.stat().st_mtime_ns
            found = self._pairs.get(place)
            if found is None or found[0] != stamp:
                certificate = x509.load_pem_x509_certificate(place.read_bytes())
                data = place.with_suffix(".key").read_bytes()
                key = serialization.load_pem_private_key(data, None)
                if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
                    raise problem(place, "another kind of key", "RSA or ECDSA")
                if key.public_key() != certificate.public_key():
                    raise problem(place, "its key is another one", "the key of the certificate")
                found = self._pairs[place] = stamp, certificate, key
        except (OSError, ValueError, TypeError) as error:
            raise problem(place, str(error), "a folder made by `pendel ca init`") from error
        return found[1], found[2]

    def _issue(
        self, public: PublicKey, name: str, hosts: Sequence[str], is_server: bool
    ) -> x509.Certificate:
        """Signed by the root of the same algorithm, so that its owner can check the whole path."""
        root, key = self.root("rsa" if isinstance(public, rsa.RSAPublicKey) else "ecdsa")
        certificate = _leaf(public, name, self.operator, hosts, root, key, self.now_utc())
        return self.keep(certificate)

    def _write(self, name: str, data: bytes, secret: bool = False) -> Path:
        """Write a file whole or not at all; secrets are never readable by others."""
        return write_whole(self.folder / name, data, secret)


def problem(place: Path, text: str, allowed: str) -> InputError:
    """One problem with a file or folder, to be raised."""
    return InputError([Problem(str(place), 0, "certificates", text, allowed)])


def common_name(certificate: x509.Certificate) -> str:
    """CN of the subject, "" = none."""
    found = certificate.subject.get_attributes_for_oid(COMMON_NAME)
    return str(found[0].value) if found else ""


def _kind(certificate: x509.Certificate) -> str:
    """authority, server, station, or what the domain component of ISO 15118 says."""
    if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        return "authority"
    domains = certificate.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)
    if domains:
        return str(domains[0].value).lower()
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "signer"
    return "server" if ExtendedKeyUsageOID.SERVER_AUTH in usage else "station"


def new_key(algorithm: str) -> Key:
    """A private key of an algorithm of ALGORITHMS."""
    if algorithm == "rsa":
        return rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def _name(common: str, operator: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, operator),
        ]
    )


def root_certificate(
    key: Key,
    name: x509.Name,
    now: datetime,
    above: x509.Certificate | None = None,
    secret: Key | None = None,
) -> x509.Certificate:
    """A root; above and secret: the same key and name, signed by another root instead."""
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    public, end = key.public_key(), now + timedelta(days=ROOT_DAYS)
    issuer = name if above is None else above.subject
    return (
        x509.CertificateBuilder(issuer, name, public, x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(end if above is None else min(end, above.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(secret or key, hashes.SHA256())
    )


def _leaf(
    public: PublicKey,
    name: str,
    operator: str,
    hosts: Sequence[str],
    root: x509.Certificate,
    key: Key,
    now: datetime,
) -> x509.Certificate:
    is_rsa = isinstance(public, rsa.RSAPublicKey)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    # TLS_RSA suites encipher with the server's key (A00.FR.318)
    usage = x509.KeyUsage(True, False, is_rsa, False, False, False, False, False, False)
    builder = (
        x509.CertificateBuilder(
            root.subject, _name(name, operator), public, x509.random_serial_number()
        )
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(min(now + timedelta(days=LEAF_DAYS), root.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def pem_of(certificate: x509.Certificate) -> bytes:
    """PEM of a certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem_of(key: Key) -> bytes:
    """PKCS 8 in PEM, without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
