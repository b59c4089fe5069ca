"""Whether a certificate leads to a root that somebody trusts: RFC 5280 section 6, as far as the
trees of ISO 15118 need it (no name constraints, no policies: who demands them is refused).

Bounded: at most PATH_MAX certificates in a path and CHECKS_MAX signatures per question, so that
loops and thickets of cross signatures end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID

PATH_MAX = 6
CHECKS_MAX = 24
CERTIFICATES_MAX = 12
RSA_BITS_MIN = 2_048
EC_BITS_MIN = 224
HASHES = ("sha256", "sha384", "sha512")
CRITICAL_KNOWN = (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE)
EXPIRED = "CertificateExpired"
CHAIN_ERROR = "CertChainError"


@dataclass(frozen=True, slots=True)
class Path:
    """certificates: the one in question first, the root last. Empty: status (EXPIRED or
    CHAIN_ERROR) and reason say why it leads nowhere."""

    certificates: tuple[x509.Certificate, ...] = ()
    status: str = "Accepted"
    reason: str = ""


def read_chain(pem: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, in order. Raises ValueError."""
    if pem.count("-----BEGIN CERTIFICATE-----") > CERTIFICATES_MAX:
        raise ValueError(f"more than {CERTIFICATES_MAX} certificates")
    return x509.load_pem_x509_certificates(pem.encode())


def path_of(
    certificate: x509.Certificate,
    between: Iterable[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now_utc: datetime,
    is_authority: bool = False,
) -> Path:
    """The way from a certificate over some of those between to a root, each good and valid now.

    is_authority: the certificate in question is that of an authority."""
    problem = _issuer_problem(certificate, 0) if is_authority else _leaf_problem(certificate)
    if problem:
        return Path(status=CHAIN_ERROR, reason=problem)
    search = _Search(list(between), list(roots))
    search.climb((certificate,))
    best = Path(status=CHAIN_ERROR, reason=search.reason)
    for path in search.found:
        ended = [each for each in path if each.not_valid_after_utc < now_utc]
        early = [each for each in path if each.not_valid_before_utc > now_utc]
        if not ended and not early:
            return Path(path)
        if ended:
            text = f"a certificate of the chain ended {ended[0].not_valid_after_utc:%Y-%m-%d}"
            best = Path(status=EXPIRED, reason=text)
        elif best.status == CHAIN_ERROR:
            best = Path(status=CHAIN_ERROR, reason="a certificate of the chain is not valid yet")
    return best


class _Search:
    """Depth first over who may have signed whom; found: complete paths, whatever their dates."""

    def __init__(self, between: list[x509.Certificate], roots: list[x509.Certificate]) -> None:
        self.found: list[tuple[x509.Certificate, ...]] = []
        self.reason = "the chain leads to none of the trusted roots"
        self._between = between
        self._roots = roots
        self._checks = CHECKS_MAX

    def climb(self, path: tuple[x509.Certificate, ...]) -> None:
        last = path[-1]
        if last in self._roots and len(path) > 1:
            self.found.append(path)
            return
        if len(path) == PATH_MAX:
            self.reason = f"the chain is longer than {PATH_MAX} certificates"
            return
        for above in [*self._roots, *self._between]:
            if above in path or above.subject != last.issuer:
                continue
            if self._checks == 0:
                self.reason = "the chain has too many branches"
                return
            self._checks -= 1
            problem = _issuer_problem(above, len(path) - 1) or _signature_problem(last, above)
            if problem:
                self.reason = problem
            else:
                self.climb((*path, above))


def _leaf_problem(certificate: x509.Certificate) -> str:
    try:
        for extension in certificate.extensions:
            if extension.critical and extension.oid not in CRITICAL_KNOWN:
                return f"the certificate demands {extension.oid.dotted_string}, unknown here"
        basic, usage = _basic(certificate), _usage(certificate)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return f"its extensions cannot be read: {error}"[:200]
    if basic is not None and basic.ca:
        return "it is the certificate of an authority"
    if usage is not None and not usage.digital_signature:
        return "its key is not for signing"
    return _strength_problem(certificate)


def _issuer_problem(certificate: x509.Certificate, below: int) -> str:
    """Why a certificate may not sign others with this many authorities below it, or ""."""
    try:
        for extension in certificate.extensions:
            if extension.critical and extension.oid not in CRITICAL_KNOWN:
                return f"an authority demands {extension.oid.dotted_string}, unknown here"
        basic, usage = _basic(certificate), _usage(certificate)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return f"the extensions of an authority cannot be read: {error}"[:200]
    if basic is None or not basic.ca:
        return "an issuer in the chain is no authority"
    if basic.path_length is not None and below > basic.path_length:
        return "an authority in the chain may not have authorities below it"
    if usage is not None and not usage.key_cert_sign:
        return "an authority in the chain may not sign certificates"
    return _strength_problem(certificate)


def _signature_problem(certificate: x509.Certificate, issuer: x509.Certificate) -> str:
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return "a signature in the chain does not fit"
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"a signature in the chain cannot be checked: {error}"[:200]
    return ""


def _strength_problem(certificate: x509.Certificate) -> str:
    """At least 112 bits of security (A00.FR.501-504)."""
    try:
        key = certificate.public_key()
        digest = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"a key in the chain cannot be read: {error}"[:200]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        return f"an RSA key of {key.key_size} bits in the chain"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < EC_BITS_MIN:
        return f"an ECDSA key of {key.key_size} bits in the chain"
    if digest is not None and digest.name not in HASHES:
        return f"a signature by {digest.name} in the chain"
    return ""


def _basic(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
