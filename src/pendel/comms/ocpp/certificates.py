"""How OCPP names a certificate: hashes of its issuer and its serial number (CertificateHashData).

Source: OCPP 2.1 part 2, CertificateHashDataType; RFC 6960 section 4.1.1 (CertID). The names are
lower-case hexadecimal; the serial number without leading zeros.
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAMING = {"SHA1": hashlib.sha1}
ALGORITHMS = {"SHA256": hashlib.sha256, "SHA384": hashlib.sha384, "SHA512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class HashData:
    """Which certificate is meant."""

    algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str

    @staticmethod
    def of_wire(data: object) -> "HashData":
        """From a CertificateHashDataType or OCSPRequestDataType of any version."""
        fields = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
        algorithm, name, key, serial = (str(getattr(data, field)) for field in fields)
        return HashData(algorithm, name.lower(), key.lower(), serial.lower().lstrip("0") or "0")

    @property
    def has_serial(self) -> bool:
        """Whether the serial number is a hexadecimal one (stations send anything)."""
        return all(sign in "0123456789abcdef" for sign in self.serial_number)

    def to_wire(self) -> dict[str, str]:
        """CertificateHashDataType as plain data."""
        return {
            "hashAlgorithm": self.algorithm,
            "issuerNameHash": self.issuer_name_hash,
            "issuerKeyHash": self.issuer_key_hash,
            "serialNumber": self.serial_number,
        }


def hash_data(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: str = "SHA256"
) -> HashData:
    """The name of a certificate that an issuer signed (a root: by itself)."""
    name, key = issuer_hashes(issuer, algorithm)
    return HashData(algorithm, name, key, f"{certificate.serial_number:x}")


def issuer_hashes(issuer: x509.Certificate, algorithm: str) -> tuple[str, str]:
    """Hash of an issuer's name and of the bits of its public key."""
    digest = ALGORITHMS.get(algorithm) or NAMING[algorithm]
    name = digest(issuer.subject.public_bytes()).hexdigest()
    return name, digest(key_bits(issuer)).hexdigest()


def key_bits(certificate: x509.Certificate) -> bytes:
    """The subjectPublicKey without tag, length and unused bits. Raises ValueError."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    raise ValueError("a public key that is neither RSA nor ECDSA")
