"""The operator's own authority at the server: signs station keys, says what is revoked."""

import base64
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from pendel.adapters.certificate_authority import CertificateAuthority, Key, RefusedError
from pendel.comms.ocpp.certificates import HashData, hash_data, issuer_hashes

SIGNED_PER_HOUR = 10
"""Certificates one station gets in an hour: enough for every repeat, too few to fill a disk."""
STATUS_HOLDS = timedelta(hours=24)
OCSP_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}


class AuthorityDesk:
    """Implements `comms.ocpp.backend.certificates.CertificateDesk`."""

    def __init__(self, authority: CertificateAuthority, now_utc: Callable[[], datetime]) -> None:
        self._authority = authority
        self._now_utc = now_utc
        self._signed: dict[str, deque[datetime]] = {}

    def objection(self, station_id: str, csr_pem: str) -> str:
        """Why a request will not be signed, or ""."""
        signed, now = self._signed.get(station_id), self._now_utc()
        full = signed is not None and len(signed) == SIGNED_PER_HOUR
        if full and signed is not None and now - signed[0] < timedelta(hours=1):
            return f"{SIGNED_PER_HOUR} certificates were signed within the last hour"
        try:
            self._authority.check(station_id, csr_pem)
        except RefusedError as error:
            return str(error)
        return ""

    def sign(self, station_id: str, csr_pem: str) -> str:
        """The chain (PEM; the root is not part of it). Raises RefusedError, OSError."""
        signed = self._signed.setdefault(station_id, deque(maxlen=SIGNED_PER_HOUR))
        signed.append(self._now_utc())
        return self._authority.sign(station_id, csr_pem)

    def ocsp(self, wanted: HashData) -> tuple[str, str]:
        """The OCSP response (DER, base64), or "" and why there is none."""
        issuer = self._issuer(wanted)
        if issuer is None:
            return "", "not of the authority here; other responders are not asked"
        root, key = issuer
        serial = int(wanted.serial_number, 16)
        certificate = self._authority.find(serial)
        if certificate is None:
            return "", "the authority here gave out no certificate of this serial number"
        now = self._now_utc()
        revoked = self._authority.revoked().get(serial)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=root,
            algorithm=OCSP_HASHES[wanted.algorithm](),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=now,
            next_update=now + STATUS_HOLDS,
            revocation_time=revoked,
            revocation_reason=x509.ReasonFlags.unspecified if revoked else None,
        )
        response = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, root).sign(
            key, hashes.SHA256()
        )
        return base64.b64encode(response.public_bytes(serialization.Encoding.DER)).decode(), ""

    def status(self, wanted: HashData) -> tuple[str, datetime]:
        """Good, Revoked, Unknown or Failed (not one of ours), and when to ask again."""
        again = self._now_utc() + STATUS_HOLDS
        if self._issuer(wanted) is None:
            return "Failed", again
        serial = int(wanted.serial_number, 16)
        if self._authority.find(serial) is None and not self._is_root(wanted):
            return "Unknown", again
        return ("Revoked" if serial in self._authority.revoked() else "Good"), again

    def _issuer(self, wanted: HashData) -> tuple[x509.Certificate, Key] | None:
        """The root that a certificate is said to be of."""
        if not wanted.serial_number.isalnum() or wanted.algorithm not in OCSP_HASHES:
            return None
        told = (wanted.issuer_name_hash, wanted.issuer_key_hash)
        for root, key in self._authority.roots():
            if issuer_hashes(root, wanted.algorithm) == told:
                return root, key
        return None

    def _is_root(self, wanted: HashData) -> bool:
        roots = self._authority.roots()
        return any(hash_data(root, root, wanted.algorithm) == wanted for root, _ in roots)
