"""What responders and revocation lists say of certificates: asked, checked, remembered.

An OCSP answer counts only if it is about the certificate asked for, signed by its issuer or by a
responder that the issuer named for it, and of now; a list only if the issuer signed it. So an
issuer that nobody here knows cannot be asked about. Sources: RFC 6960, RFC 5280 section 6.3,
OCPP 2.1 part 2, M06 and M07 (nothing is remembered for more than a week).
"""

import asyncio
import base64
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from pendel.adapters.bounded_http import Allowed, HttpFault, ask
from pendel.adapters.trust_store import KINDS, TrustStore
from pendel.comms.ocpp.backend.certificates import StatusFinding, StatusQuestion
from pendel.comms.ocpp.certificates import HashData, key_bits

OCSP_BYTES_MAX = 16_384
CRL_BYTES_MAX = 4 << 20
ASK_S = 4.0
LIST_HOLDS = timedelta(minutes=10)
LISTS_MAX = 8
HELD_MOST = timedelta(days=7)
FAILED_HOLDS = timedelta(seconds=30)
SLACK = timedelta(minutes=5)
KEPT_MAX = 10_000
NONCE_BYTES = 16
HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
STATUS_WORDS = {
    ocsp.OCSPCertStatus.GOOD: "Good",
    ocsp.OCSPCertStatus.REVOKED: "Revoked",
    ocsp.OCSPCertStatus.UNKNOWN: "Unknown",
}
HEADERS = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}


class StatusDesk:
    """Answers questions about foreign certificates. now_utc: the clock."""

    def __init__(
        self, store: TrustStore, allowed: Allowed, now_utc: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._allowed = allowed
        self._now_utc = now_utc
        self._kept: dict[tuple[HashData, str], StatusFinding] = {}
        self._lists: dict[str, tuple[datetime, bytes]] = {}

    async def find(self, question: StatusQuestion, kinds: Sequence[str] = KINDS) -> StatusFinding:
        """The status of one certificate; Failed with the reason where it cannot be had."""
        key = (question.wanted, f"{question.source} {','.join(kinds)}")
        kept, now_utc = self._kept.get(key), self._now_utc()
        if kept is not None and now_utc < kept.again_utc:
            return kept
        reason = "no address to ask"
        for url in question.urls:
            try:
                found = await self._asked(question, url, kinds)
            except (HttpFault, UntrustedError) as error:
                reason = str(error)
                continue
            self._keep(key, found)
            return found
        failed = StatusFinding("Failed", now_utc + FAILED_HOLDS, reason=reason[:400])
        self._keep(key, failed)
        return failed

    def forget(self) -> None:
        """Ask again from now on: what is trusted changed."""
        self._kept.clear()

    async def _asked(
        self, question: StatusQuestion, url: str, kinds: Sequence[str]
    ) -> StatusFinding:
        wanted = question.wanted
        if wanted.algorithm not in HASHES or not wanted.has_serial:
            raise UntrustedError("not the name of a certificate")
        refusal = self._allowed.refusal(url)
        if refusal:
            raise HttpFault(refusal)
        issuer = self._store.issuer(_names(wanted), kinds)
        if issuer is None:
            raise UntrustedError("its issuer is of none of the configured roots")
        if question.source == "CRL":
            data = await self._list(url)
            return await asyncio.to_thread(listed_status, data, wanted, issuer, self._now_utc())
        nonce = os.urandom(NONCE_BYTES)
        body = request_der(wanted, nonce)
        data = await ask(url, self._allowed, OCSP_BYTES_MAX, ASK_S, body, HEADERS)
        return responder_status(data, wanted, issuer, nonce, self._now_utc())

    async def _list(self, url: str) -> bytes:
        """A revocation list, fetched at most once in LIST_HOLDS: stations ask one by one."""
        now_utc = self._now_utc()
        held = self._lists.pop(url, None)
        if held is None or now_utc - held[0] > LIST_HOLDS:
            held = now_utc, await ask(url, self._allowed, CRL_BYTES_MAX, ASK_S)
        while len(self._lists) >= LISTS_MAX:
            del self._lists[next(iter(self._lists))]
        self._lists[url] = held
        return held[1]

    def _keep(self, key: tuple[HashData, str], finding: StatusFinding) -> None:
        self._kept.pop(key, None)
        while len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = finding


class UntrustedError(Exception):
    """An answer that does not count, and why."""


def request_der(wanted: HashData, nonce: bytes) -> bytes:
    """An OCSP request for one certificate."""
    try:
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            bytes.fromhex(wanted.issuer_name_hash),
            bytes.fromhex(wanted.issuer_key_hash),
            int(wanted.serial_number, 16),
            HASHES[wanted.algorithm](),
        )
    except ValueError as error:
        raise UntrustedError(f"not the name of a certificate: {error}"[:200]) from error
    built = builder.add_extension(x509.OCSPNonce(nonce), critical=False).build()
    return built.public_bytes(serialization.Encoding.DER)


def responder_status(
    data: bytes, wanted: HashData, issuer: x509.Certificate, nonce: bytes, now_utc: datetime
) -> StatusFinding:
    """What an OCSP response says of a certificate. Raises UntrustedError."""
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise UntrustedError(f"the responder says {response.response_status.name}")
        single = _single(response, wanted, issuer)
        _check_nonce(response, nonce)
        _check_signer(response, issuer, now_utc)
        begin_utc, end_utc = single.this_update_utc, single.next_update_utc
        status = STATUS_WORDS[single.certificate_status]
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise UntrustedError(f"an OCSP response that cannot be read: {error}"[:200]) from error
    again_utc = _held(begin_utc, end_utc, now_utc)
    return StatusFinding(status, again_utc, base64.b64encode(data).decode())


def listed_status(
    data: bytes, wanted: HashData, issuer: x509.Certificate, now_utc: datetime
) -> StatusFinding:
    """What a revocation list (DER or PEM) says of a certificate. Raises UntrustedError."""
    try:
        is_pem = data.lstrip().startswith(b"-----BEGIN")
        found = x509.load_pem_x509_crl(data) if is_pem else x509.load_der_x509_crl(data)
        key: Any = issuer.public_key()
        if found.issuer != issuer.subject or not found.is_signature_valid(key):
            raise UntrustedError("the revocation list is not signed by the certificate's issuer")
        for extension in found.extensions:
            if extension.critical:  # of parts, of deltas, of other issuers
                raise UntrustedError("a revocation list that is not about all certificates")
        begin_utc, end_utc = found.last_update_utc, found.next_update_utc
        entry = found.get_revoked_certificate_by_serial_number(int(wanted.serial_number, 16))
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise UntrustedError(f"a revocation list that cannot be read: {error}"[:200]) from error
    again_utc = _held(begin_utc, end_utc, now_utc)
    return StatusFinding("Good" if entry is None else "Revoked", again_utc)


def _single(
    response: ocsp.OCSPResponse, wanted: HashData, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    """The part about the certificate asked for; the responder may hash in another way."""
    for single in response.responses:
        name, key = _hashes(issuer, single.hash_algorithm)
        named = (single.issuer_name_hash, single.issuer_key_hash) == (name, key)
        if named and single.serial_number == int(wanted.serial_number, 16):
            return single
    raise UntrustedError("the OCSP response is about another certificate")


def _hashes(issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """Hash of an issuer's name and key by the responder's own choice of algorithm."""
    found = []
    for data in (issuer.subject.public_bytes(), key_bits(issuer)):
        digest = hashes.Hash(algorithm)
        digest.update(data)
        found.append(digest.finalize())
    return found[0], found[1]


def _check_nonce(response: ocsp.OCSPResponse, nonce: bytes) -> None:
    """A nonce that comes back must be ours; responders may leave it out (RFC 6960, 4.4.1)."""
    try:
        told = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return
    if told != nonce:
        raise UntrustedError("the OCSP response answers another question (nonce)")


def _check_signer(response: ocsp.OCSPResponse, issuer: x509.Certificate, now_utc: datetime) -> None:
    signers = [issuer] + [
        each for each in response.certificates if _may_respond(each, issuer, now_utc)
    ]
    if not any(_fits(response, each) for each in signers):
        raise UntrustedError("the OCSP response is signed by somebody else")


def _may_respond(
    certificate: x509.Certificate, issuer: x509.Certificate, now_utc: datetime
) -> bool:
    """A responder that the issuer itself named for this (RFC 6960, section 4.2.2.2)."""
    try:
        certificate.verify_directly_issued_by(issuer)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    except x509.ExtensionNotFound:
        return False
    holds = certificate.not_valid_before_utc <= now_utc <= certificate.not_valid_after_utc
    return holds and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _fits(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    digest, key = response.signature_hash_algorithm, signer.public_key()
    if digest is None or digest.name not in ("sha256", "sha384", "sha512"):
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey):
            scheme = padding.PKCS1v15()
            key.verify(response.signature, response.tbs_response_bytes, scheme, digest)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _held(begin_utc: datetime, end_utc: datetime | None, now_utc: datetime) -> datetime:
    """Until when an answer may be used. Raises UntrustedError: it is of another time."""
    if begin_utc > now_utc + SLACK:
        raise UntrustedError("an answer from the future")
    last_utc = begin_utc + HELD_MOST if end_utc is None else end_utc
    if last_utc + SLACK < now_utc:
        raise UntrustedError(f"an answer that ended {last_utc:%Y-%m-%d %H:%M}")
    return max(min(last_utc, now_utc + HELD_MOST), now_utc + FAILED_HOLDS)


def _names(wanted: HashData) -> tuple[str, str, str]:
    return wanted.algorithm, wanted.issuer_name_hash, wanted.issuer_key_hash
