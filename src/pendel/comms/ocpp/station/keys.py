"""Keys and certificates of a virtual station: what it trusts, and who it is (blocks A and M).

The private key is made here and leaves this object only towards the station's own TLS.
Sources: OCPP 2.1 part 2, A02 and M03-M05; OCPP 1.6 security white paper, sections 4 and 5.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pendel.comms.ocpp.certificates import ALGORITHMS, HashData, hash_data

STORE_MAX = 20
CHAIN_CHARS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that was sent and not yet answered by a certificate."""

    key: ec.EllipticCurvePrivateKey
    csr_pem: str
    request_id: int | None


@dataclass(slots=True)
class StationKeys:
    """roots: what is installed, by type. fresh: a chain and its key (both PEM) to be used from
    the next connection on; the owner takes it."""

    station_id: str
    operator: str = ""
    roots: dict[str, list[x509.Certificate]] = field(default_factory=dict)
    pending: Pending | None = None
    fresh: tuple[str, str] | None = None

    def request(self, request_id: int | None) -> str:
        """A new key, and the request (PEM) to sign it."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, self.station_id)]
        if self.operator:
            parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.operator))
        builder = x509.CertificateSigningRequestBuilder(x509.Name(parts))
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        self.pending = Pending(key, pem.decode(), request_id)
        return self.pending.csr_pem

    def take(self, chain_pem: str, request_id: int | None, now_s: float, root_kind: str) -> str:
        """A signed certificate came; why it is not taken, or "" (then it is `fresh`)."""
        pending = self.pending
        if pending is None or (request_id is not None and request_id != pending.request_id):
            return "nothing of this kind was asked for"
        try:
            chain = x509.load_pem_x509_certificates(chain_pem.encode())
        except ValueError:
            return "not a PEM certificate"
        problem = self._problem(chain, pending.key, now_s, self.roots.get(root_kind, []))
        if problem:
            return problem
        key_pem = pending.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.fresh, self.pending = (chain_pem, key_pem.decode()), None
        return ""

    def install(self, kind: str, pem: str, now_s: float) -> tuple[str, str]:
        """Status (Accepted, Rejected, Failed) and reason for a root certificate."""
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            certificate.verify_directly_issued_by(certificate)
        except (ValueError, TypeError, InvalidSignature):
            return "Rejected", "not a root certificate in PEM"
        if not _holds(certificate, now_s):
            return "Rejected", "not valid now"
        known = self.roots.setdefault(kind, [])
        if certificate in known:
            return "Accepted", ""
        if sum(len(each) for each in self.roots.values()) >= STORE_MAX:
            return "Failed", "no room"
        known.append(certificate)
        return "Accepted", ""

    def installed(self, kinds: list[str] | None) -> list[tuple[str, HashData]]:
        """Type and name of each installed root; kinds None = all."""
        return [
            (kind, hash_data(each, each))
            for kind, found in self.roots.items()
            if kinds is None or kind in kinds
            for each in found
        ]

    def delete(self, wanted: HashData) -> bool:
        """Forget a root; False where there is none of this name."""
        if wanted.algorithm not in ALGORITHMS:
            return False
        for found in self.roots.values():
            for each in found:
                if hash_data(each, each, wanted.algorithm) == wanted:
                    found.remove(each)
                    return True
        return False

    def trusts(self, kind: str, pem: str, now_s: float) -> bool:
        """Whether a certificate is good, and of an installed root where any of a type is."""
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            return False
        roots = self.roots.get(kind, [])
        return _holds(certificate, now_s) and (not roots or _signed(certificate, roots))

    def _problem(
        self,
        chain: list[x509.Certificate],
        key: ec.EllipticCurvePrivateKey,
        now_s: float,
        roots: list[x509.Certificate],
    ) -> str:
        leaf = chain[0]
        if leaf.public_key() != key.public_key():
            return "the certificate is for another key"
        names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if [str(name.value) for name in names] != [self.station_id]:
            return "the certificate is for another station"
        if not _holds(leaf, now_s):
            return "the certificate is not valid now"
        try:
            usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
            return "the certificate is not for clients"
        path_ends = all(_signed(each, [above]) for each, above in pairwise(chain))
        if roots and not (path_ends and (chain[-1] in roots or _signed(chain[-1], roots))):
            return "the certificate is of no installed root"
        return ""


def _holds(certificate: x509.Certificate, now_s: float) -> bool:
    now = datetime.fromtimestamp(now_s, UTC)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _signed(certificate: x509.Certificate, roots: list[x509.Certificate]) -> bool:
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False
