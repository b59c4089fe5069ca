"""The operator's own authority at the server: signs station keys, says what is revoked."""

import base64
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from pendel.adapters.certificate_authority import (
    CertificateAuthority,
    Key,
)
from pendel.adapters.signing_request import RefusedError, checked_request
from pendel.adapters.v2g_authority import V2gAuthority, v2g_authorities
from pendel.comms.ocpp.backend.certificates import Signing
from pendel.comms.ocpp.certificates import HashData, hash_data, issuer_hashes

SIGNED_PER_HOUR = 10
"""Certificates one station gets in an hour: enough for every repeat, too few to fill a disk."""
STATUS_HOLDS = timedelta(hours=24)
RESPONSES_PER_S = 50
NONCE_BYTES_MAX = 128
OCSP_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA1": hashes.SHA1,  # what most who ask by HTTP still use to name an issuer (RFC 5019)
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
LEVEL_OF_USE = {"V2GCertificate": "v2g", "Combined": "v2g", "V2G20Certificate": "v2g20"}
NO_TREES = "no V2G certificates are signed here: the authority has no trees of ISO 15118"


class AuthorityDesk:
    """Implements `comms.ocpp.backend.certificates.CertificateDesk`."""

    def __init__(self, authority: CertificateAuthority, now_utc: Callable[[], datetime]) -> None:
        self._authority = authority
        self._now_utc = now_utc
        self._signed: dict[str, deque[datetime]] = {}
        self._responded: deque[datetime] = deque(maxlen=RESPONSES_PER_S)
        self._hashes: dict[tuple[x509.Certificate, str], tuple[str, str]] = {}
        self._v2g = v2g_authorities(authority)
        self._of_trees = [each for level in self._v2g.values() for each in level.issuers()]

    def objection(self, station_id: str, wish: Signing) -> str:
        """Why a request will not be signed, or ""."""
        signed, now = self._signed.get(station_id), self._now_utc()
        full = signed is not None and len(signed) == SIGNED_PER_HOUR
        if full and signed is not None and now - signed[0] < timedelta(hours=1):
            return f"{SIGNED_PER_HOUR} certificates were signed within the last hour"
        try:
            self._checked(wish)
        except RefusedError as error:
            return str(error)
        return ""

    def sign(self, station_id: str, wish: Signing) -> str:
        """The chain (PEM; the root is not part of it). Raises RefusedError, OSError."""
        signed = self._signed.setdefault(station_id, deque(maxlen=SIGNED_PER_HOUR))
        signed.append(self._now_utc())
        name, key, level = self._checked(wish)
        if level is None or not isinstance(key, ec.EllipticCurvePublicKey):
            return self._authority.sign(name, wish.csr_pem)
        return level.secc(key, name)

    def ocsp(self, wanted: HashData, nonce: x509.OCSPNonce | None = None) -> tuple[str, str]:
        """The OCSP response (DER, base64), or "" and why there is none."""
        issuer = self._issuer(wanted)
        if issuer is None:
            return "", "not of the authority here"
        above, key = issuer
        serial = int(wanted.serial_number, 16)
        certificate = self._authority.find(serial)
        if certificate is None or certificate.issuer != above.subject:
            return "", "the authority here gave out no certificate of this serial number"
        now = self._now_utc()
        revoked = self._authority.revoked().get(serial)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=above,
            algorithm=OCSP_HASHES[wanted.algorithm](),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=now,
            next_update=now + STATUS_HOLDS,
            revocation_time=revoked,
            revocation_reason=x509.ReasonFlags.unspecified if revoked else None,
        )
        if nonce is not None:
            builder = builder.add_extension(nonce, critical=False)
        response = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, above).sign(
            key, hashes.SHA256()
        )
        return base64.b64encode(response.public_bytes(serialization.Encoding.DER)).decode(), ""

    def respond(self, body: bytes) -> bytes:
        """The OCSP response (DER) to an OCSP request (DER); its nonce comes back."""
        try:
            request = ocsp.load_der_ocsp_request(body)
            nonce = next(
                (e.value for e in request.extensions if isinstance(e.value, x509.OCSPNonce)), None
            )
            wanted = HashData(
                request.hash_algorithm.name.upper(),
                request.issuer_name_hash.hex(),
                request.issuer_key_hash.hex(),
                f"{request.serial_number:x}",
            )
        except Exception:  # whatever a stranger sends
            return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        if nonce is not None and len(nonce.nonce) > NONCE_BYTES_MAX:
            return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        if not self._may_sign():
            return _unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        result, _ = self.ocsp(wanted, nonce)
        if not result:
            return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        return base64.b64decode(result)

    def _may_sign(self) -> bool:
        """At most RESPONSES_PER_S for strangers: a signature costs, a request does not."""
        now = self._now_utc()
        full = len(self._responded) == RESPONSES_PER_S
        if full and now - self._responded[0] < timedelta(seconds=1):
            return False
        self._responded.append(now)
        return True

    def is_own(self, wanted: HashData) -> bool:
        """Whether a certificate is said to be of an authority here."""
        return self._issuer(wanted) is not None

    def status(self, wanted: HashData) -> tuple[str, datetime]:
        """Good, Revoked, Unknown or Failed (not one of ours), and when to ask again."""
        again = self._now_utc() + STATUS_HOLDS
        if self._issuer(wanted) is None:
            return "Failed", again
        serial = int(wanted.serial_number, 16)
        if self._authority.find(serial) is None and not self._is_root(wanted):
            return "Unknown", again
        return ("Revoked" if serial in self._authority.revoked() else "Good"), again

    def _checked(self, wish: Signing) -> tuple[str, object, V2gAuthority | None]:
        """Common name, key and who signs. Raises RefusedError."""
        level = None
        if wish.use in LEVEL_OF_USE:
            level = self._v2g.get(LEVEL_OF_USE[wish.use])
            if level is None:
                raise RefusedError(NO_TREES)
        name, key = checked_request(wish.csr_pem, wish.names, self._authority.operator)
        if level is not None:
            level.check_secc_key(key)
            self._check_root(level, wish.root)
        elif wish.root is not None and not self._is_root(wish.root):
            raise RefusedError("the authority here has no such root")
        return name, key, level

    def _check_root(self, level: V2gAuthority, wanted: HashData | None) -> None:
        """The root that a station asks for must be the one it would get (A02.FR.27)."""
        root = level.issuer("v2g-root")[0]
        if wanted is not None and not _is_named(root, wanted):
            raise RefusedError("the authority here has no such root")

    def _issuer(self, wanted: HashData) -> tuple[x509.Certificate, Key] | None:
        """The authority that a certificate is said to be of."""
        if wanted.algorithm not in OCSP_HASHES or not wanted.has_serial:
            return None
        told = (wanted.issuer_name_hash, wanted.issuer_key_hash)
        for issuer, key in self._issuers():
            if self._hashes_of(issuer, wanted.algorithm) == told:
                return issuer, key
        return None

    def _hashes_of(self, issuer: x509.Certificate, algorithm: str) -> tuple[str, str]:
        """Remembered: every question compares with every authority here."""
        found = self._hashes.get((issuer, algorithm))
        if found is None:
            found = self._hashes[issuer, algorithm] = issuer_hashes(issuer, algorithm)
        return found

    def _issuers(self) -> list[tuple[x509.Certificate, Key]]:
        """Who signed what is out there; roots may change while the server runs."""
        found = [*self._authority.roots(), *self._authority.retired()]
        return [*found, *self._of_trees]

    def _is_root(self, wanted: HashData) -> bool:
        return any(_is_named(each, wanted) for each in _roots(self._issuers()))


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    made = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
    return made.public_bytes(serialization.Encoding.DER)


def _roots(issuers: Sequence[tuple[x509.Certificate, Key]]) -> list[x509.Certificate]:
    return [each for each, _ in issuers if each.issuer == each.subject]


def _is_named(root: x509.Certificate, wanted: HashData) -> bool:
    return wanted.algorithm in OCSP_HASHES and hash_data(root, root, wanted.algorithm) == wanted
