"""Signs firmware files with a key of the own authority's manufacturer tree (OCPP L01).

A root and one signing certificate directly below it (no intermediate ones: OCPP 1.6 security white
paper, L01), RSA, because RSA-PSS with SHA-256 is what stations must know (L01.FR.04). The root goes
to stations as ManufacturerRootCertificate; the tree is apart from that of the operator (A00,
"Certificate Hierarchy").
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import NameOID

from pendel.adapters import certificate_authority
from pendel.adapters.certificate_authority import (
    CLOCK_SLACK,
    LEAF_DAYS,
    ROOT_DAYS,
    CertificateAuthority,
    key_pem_of,
    pem_of,
    problem,
)
from pendel.adapters.whole_file import write_whole

FILE_BYTES_MAX = 1 << 30
PIECE = 1 << 20
SIGNATURE_CHARS_MAX = 800


@dataclass(frozen=True, slots=True)
class Signed:
    """What goes into UpdateFirmware. signature: base64; signer: PEM; root: file for stations."""

    signature: str
    signer: str
    sha256: str
    root: Path


class FirmwareSigner:
    """The manufacturer's tree in the folder of an authority, made when it is first needed."""

    def __init__(self, authority: CertificateAuthority) -> None:
        self.folder = authority.folder / "firmware"
        self._authority = authority

    def sign(self, path: Path) -> Signed:
        """Sign a file and check the signature. Raises InputError."""
        digest = _digest(path)
        certificate, key = self._signer()
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        given = key.sign(digest, scheme, Prehashed(hashes.SHA256()))
        key.public_key().verify(given, digest, scheme, Prehashed(hashes.SHA256()))
        signature = base64.b64encode(given).decode()
        if len(signature) > SIGNATURE_CHARS_MAX:
            raise problem(self.folder, "a key of too many bits", "a signature of 800 characters")
        root = self.folder / "root.pem"
        return Signed(signature, pem_of(certificate).decode(), digest.hex(), root)

    def _signer(self) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        """The signing certificate and its key; a new one where it ends within a month."""
        path, now = self.folder / "signer.pem", self._authority.now_utc()
        if path.is_file():
            certificate, key = _read(path)
            if certificate.not_valid_after_utc - now > timedelta(days=30):
                return certificate, key
        root, root_key = self._root()
        key = _new_key()
        certificate = self._certificate(key, root, root_key)
        self._authority.keep(certificate)
        write_whole(path.with_suffix(".key"), key_pem_of(key), secret=True)
        write_whole(path, pem_of(certificate))
        return certificate, key

    def _root(self) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        path = self.folder / "root.pem"
        if path.is_file():
            return _read(path)
        key = _new_key()
        certificate = self._certificate(key, None, key)
        write_whole(path.with_suffix(".key"), key_pem_of(key), secret=True)
        write_whole(path, pem_of(certificate))
        return certificate, key

    def _certificate(
        self, key: rsa.RSAPrivateKey, above: x509.Certificate | None, secret: rsa.RSAPrivateKey
    ) -> x509.Certificate:
        """Signed by secret; above None = a root."""
        now, public = self._authority.now_utc(), key.public_key()
        words, days = ("firmware root", ROOT_DAYS) if above is None else ("firmware", LEAF_DAYS)
        owner = self._authority.operator
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, f"{owner} {words}"[:64]),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, owner),
            ]
        )
        end = now + timedelta(days=days)
        is_root = above is None
        usage = x509.KeyUsage(
            not is_root, False, False, False, False, is_root, is_root, False, False
        )
        builder = (
            x509.CertificateBuilder(
                subject if above is None else above.subject,
                subject,
                public,
                x509.random_serial_number(),
            )
            .not_valid_before(now - CLOCK_SLACK)
            .not_valid_after(end if above is None else min(end, above.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(is_root, 0 if is_root else None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        return builder.sign(secret, hashes.SHA256())


def _new_key() -> rsa.RSAPrivateKey:
    bits = certificate_authority.RSA_BITS
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def _read(path: Path) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        key = serialization.load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise problem(path, str(error), "made by `pendel ca firmware`") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise problem(path, "another kind of key", "RSA")
    return certificate, key


def _digest(path: Path) -> bytes:
    found, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                size += len(piece)
                if size > FILE_BYTES_MAX:
                    raise problem(path, "too large", f"at most {FILE_BYTES_MAX >> 20} MiB")
                found.update(piece)
    except OSError as error:
        raise problem(path, str(error), "a firmware file") from error
    return found.digest()
