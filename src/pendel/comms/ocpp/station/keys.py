"""Keys and certificates of a virtual station: what it trusts, and who it is (blocks A and M).

Private keys are made here and leave this object only towards the station's own TLS.
Sources: OCPP 2.1 part 2, A02 and M03-M06; OCPP 1.6 security white paper, sections 4 and 5.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from pendel.comms.ocpp.certificates import ALGORITHMS, HashData, hash_data

STORE_MAX = 20
CHAINS_MAX = 4
CHAIN_CERTIFICATES_MAX = 5
BACKEND = "ChargingStationCertificate"
COMBINED = "Combined"
USES = (BACKEND, COMBINED, "V2GCertificate", "V2G20Certificate")
TOWARDS_CARS = (COMBINED, "V2GCertificate", "V2G20Certificate")
CHAIN_KIND = "V2GCertificateChain"


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that was sent and not yet answered by a certificate. use: one of USES."""

    use: str
    key: ec.EllipticCurvePrivateKey
    name: str
    csr_pem: str
    request_id: int | None


@dataclass(frozen=True, slots=True)
class StatusWish:
    """A certificate whose status the station has to know, and its responder (M06)."""

    name: HashData
    url: str


@dataclass(slots=True)
class StationKeys:
    """roots: what is installed, by type. pending: open requests by use; refused: those whose
    answer was not good (they are not repeated). fresh: a chain and its key (both PEM) to be used
    from the next connection on; the owner takes it. chains: towards cars, newest first; own: the
    leaf towards the backend. replaces_root: a new CSMS root must be signed by the one before
    (AdditionalRootCertificateCheck, M05.FR.09-12)."""

    station_id: str
    operator: str = ""
    roots: dict[str, list[x509.Certificate]] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    fresh: tuple[str, str] | None = None
    chains: list[list[x509.Certificate]] = field(default_factory=list)
    own: list[x509.Certificate] = field(default_factory=list)
    replaces_root: bool = False

    def request(self, request_id: int | None, use: str = BACKEND, name: str = "") -> Pending:
        """A new key, and the request (PEM) to sign it. name: common name (default: the id)."""
        curve: ec.EllipticCurve = ec.SECP256R1()
        digest: hashes.SHA256 | hashes.SHA512 = hashes.SHA256()
        if use == "V2G20Certificate":
            curve, digest = ec.SECP521R1(), hashes.SHA512()
        key = ec.generate_private_key(curve)
        named = name or self.station_id
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, named)]
        if self.operator:
            parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.operator))
        builder = x509.CertificateSigningRequestBuilder(x509.Name(parts))
        pem = builder.sign(key, digest).public_bytes(serialization.Encoding.PEM)
        made = self.pending[use] = Pending(use, key, named, pem.decode(), request_id)
        self.refused.discard(use)
        return made

    def awaited(self, kind: str | None, request_id: int | None) -> Pending | None:
        """The open request that a signed certificate answers: by its number, else by its type."""
        for pending in self.pending.values():
            if request_id is not None:
                if pending.request_id == request_id:
                    return pending
            elif pending.use == (kind or BACKEND):
                return pending
        return self.pending.get(COMBINED) if kind is None and request_id is None else None

    def take(self, pending: Pending | None, chain_pem: str, now_s: float, root_kind: str) -> str:
        """A signed certificate came; why it is not taken, or ""."""
        if pending is None:
            return "nothing of this kind was asked for"
        try:
            chain = x509.load_pem_x509_certificates(chain_pem.encode())
        except ValueError:
            return "not a PEM certificate"
        problem = _problem(chain, pending, now_s, self.roots.get(root_kind, []))
        if problem:
            self.refused.add(pending.use)
            return problem
        del self.pending[pending.use]
        if pending.use in TOWARDS_CARS:
            self.chains = [chain, *self.chains][:CHAINS_MAX]
        if pending.use in (BACKEND, COMBINED):
            key_pem = pending.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            self.fresh, self.own = (chain_pem, key_pem.decode()), chain
        return ""

    def install(self, kind: str, pem: str, now_s: float) -> tuple[str, str]:
        """Status (Accepted, Rejected, Failed) and reason for a root certificate."""
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            return "Rejected", "not a certificate in PEM"
        known = self.roots.setdefault(kind, [])
        follows = self.replaces_root and kind == "CSMSRootCertificate" and bool(known)
        if not _is_authority(certificate) or not (follows or _signed(certificate, [certificate])):
            return "Rejected", "not a root certificate"
        if not _holds(certificate, now_s):
            return "Rejected", "not valid now"
        if certificate in known:
            return "Accepted", ""
        if follows:
            if not _signed(certificate, known[:1]):
                return "Rejected", "not signed by the root that it replaces"
            self.roots[kind] = [certificate, known[0]]  # the old one is kept to fall back on
            return "Accepted", ""
        if sum(len(each) for each in self.roots.values()) >= STORE_MAX:
            return "Rejected", "no room"  # M05.FR.06
        known.append(certificate)
        return "Accepted", ""

    def installed(
        self, kinds: list[str] | None, algorithm: str = "SHA256"
    ) -> list[tuple[str, HashData, list[HashData]]]:
        """Type and name of each installed root and chain, with those below the leaf of a chain."""
        found: list[tuple[str, HashData, list[HashData]]] = [
            (kind, hash_data(each, each, algorithm), [])
            for kind, roots in self.roots.items()
            if kinds is None or kind in kinds
            for each in roots
        ]
        if kinds is None or CHAIN_KIND in kinds:
            for chain in self.chains:
                names = self._names(chain, algorithm)
                if names:
                    found.append((CHAIN_KIND, names[0], names[1:]))
        return found

    def wishes(self) -> list[StatusWish]:
        """Whose status has to be known for cars: the newest chain, where it names responders."""
        if not self.chains:
            return []
        chain = self.chains[0]
        named = zip(chain, self._names(chain, "SHA256"), strict=False)
        return [StatusWish(name, url) for each, name in named if (url := _responder(each))]

    def delete(self, wanted: HashData) -> str:
        """Forget a root or a chain: Accepted, NotFound, or Failed for the own certificate."""
        if wanted.algorithm not in ALGORITHMS:
            return "NotFound"
        if self.own and wanted in self._names(self.own, wanted.algorithm)[:1]:
            return "Failed"  # M04.FR.06
        for roots in self.roots.values():
            for each in roots:
                if hash_data(each, each, wanted.algorithm) == wanted:
                    roots.remove(each)
                    return "Accepted"
        for chain in self.chains:
            if wanted in self._names(chain, wanted.algorithm)[:1]:
                self.chains.remove(chain)
                return "Accepted"
        return "NotFound"

    def trusts(self, kind: str, pem: str, now_s: float) -> bool:
        """Whether a certificate is good, and of an installed root where any of a type is."""
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            return False
        roots = self.roots.get(kind, [])
        return _holds(certificate, now_s) and (not roots or _signed(certificate, roots))

    def _names(self, chain: list[x509.Certificate], algorithm: str) -> list[HashData]:
        """Names from the leaf up; the topmost needs its root, else it has none."""
        every = [each for roots in self.roots.values() for each in roots]
        above = [each for each in every if _signed(chain[-1], [each])][:1]
        return [hash_data(each, by, algorithm) for each, by in pairwise([*chain, *above])]


def _problem(
    chain: list[x509.Certificate], pending: Pending, now_s: float, roots: list[x509.Certificate]
) -> str:
    """Why a chain is not the answer to a request, or ""."""
    leaf = chain[0]
    if len(chain) > CHAIN_CERTIFICATES_MAX:
        return "the chain is too long"
    if leaf.public_key() != pending.key.public_key():
        return "the certificate is for another key"
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [str(name.value) for name in names] != [pending.name]:
        return "the certificate is for another station"
    if not all(_holds(each, now_s) for each in chain):
        return "the certificate is not valid now"
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        return "the certificate is not for clients"
    path_ends = all(_signed(each, [above]) for each, above in pairwise(chain))
    authorities = all(_is_authority(each) for each in chain[1:])
    if not (path_ends and authorities):
        return "the chain does not hold together"
    if roots and not (chain[-1] in roots or _signed(chain[-1], roots)):
        return "the certificate is of no installed root"
    return ""


def _holds(certificate: x509.Certificate, now_s: float) -> bool:
    now = datetime.fromtimestamp(now_s, UTC)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def _signed(certificate: x509.Certificate, roots: list[x509.Certificate]) -> bool:
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _responder(certificate: x509.Certificate) -> str:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, ValueError):
        return ""
    for each in access.value:
        if each.access_method == AuthorityInformationAccessOID.OCSP:
            return str(each.access_location.value)[:500]
    return ""
