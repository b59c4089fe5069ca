"""What a backend answers about certificates (blocks A and M): sign, status, contracts.

What is not done here is refused with its reason: contract certificates of ISO 15118 need a
clearing house, certificates of foreign authorities their responders.
"""

from datetime import datetime
from typing import Any, Protocol

from msgspec import UNSET

from pendel.comms.ocpp.certificates import HashData
from pendel.comms.ocpp.release import Version, messages_of

NO_CONTRACTS = "no contract certificates are kept here: no clearing house is connected"
NO_AUTHORITY = "no certificate authority is configured here"
ONLY_STATIONS = "only station certificates are signed here, no V2G certificates"
REASON_CHARS_MAX = 1_024
REASON_CHARS_MAX_201 = 512


class CertificateDesk(Protocol):
    """An authority at hand."""

    def objection(self, station_id: str, csr_pem: str) -> str:
        """Why a request will not be signed, or ""."""
        ...

    def sign(self, station_id: str, csr_pem: str) -> str:
        """The chain (PEM) for a request without objection."""
        ...

    def ocsp(self, wanted: HashData) -> tuple[str, str]:
        """The OCSP response (DER, base64), or "" and why there is none."""
        ...

    def status(self, wanted: HashData) -> tuple[str, datetime]:
        """Good, Revoked, Unknown or Failed (not one of ours), and when to ask again."""
        ...


def signing_answer(
    desk: CertificateDesk | None, station_id: str, asked: Any, version: Version
) -> dict[str, Any]:
    """SignCertificateResponse (A02, A03): checked before it is accepted."""
    reason = ""
    kind = getattr(asked, "certificateType", UNSET)
    if kind is not UNSET and kind != "ChargingStationCertificate":
        reason = ONLY_STATIONS
    elif desk is None:
        reason = NO_AUTHORITY
    else:
        reason = desk.objection(station_id, asked.csr)
    if not reason:
        return {"status": "Accepted"}
    code = "NotEnabled" if reason in (ONLY_STATIONS, NO_AUTHORITY) else "InvalidCSR"
    return {"status": "Rejected", **_why(version, code, reason)}


def signed_request(desk: CertificateDesk, station_id: str, asked: Any, version: Version) -> Any:
    """CertificateSignedRequest for an accepted request; a requestId comes back (A02.FR.25)."""
    fields: dict[str, Any] = {"certificateChain": desk.sign(station_id, asked.csr)}
    for name in ("certificateType", "requestId"):
        value = getattr(asked, name, UNSET)
        if value is not UNSET:
            fields[name] = value
    return messages_of(version).REQUESTS["CertificateSigned"](**fields)


def status_answer(desk: CertificateDesk | None, asked: Any, version: Version) -> dict[str, Any]:
    """GetCertificateStatusResponse (M06): our own certificates; others are not asked for."""
    result, reason = "", NO_AUTHORITY
    if desk is not None:
        result, reason = desk.ocsp(HashData.of_wire(asked.ocspRequestData))
    if result:
        return {"status": "Accepted", "ocspResult": result}
    return {"status": "Failed", **_why(version, "NotFound", reason)}


def chain_answer(
    desk: CertificateDesk | None, asked: Any, version: Version, now_utc: datetime
) -> dict[str, Any]:
    """GetCertificateChainStatusResponse (M07, 2.1)."""
    messages: Any = messages_of(version)
    found = []
    for request in asked.certificateStatusRequests:
        status, again_utc = "Failed", now_utc
        if desk is not None:
            status, again_utc = desk.status(HashData.of_wire(request.certificateHashData))
        found.append(
            messages.CertificateStatusType(
                certificateHashData=request.certificateHashData,
                source=request.source,
                status=status,
                nextUpdate=again_utc,
            )
        )
    return {"certificateStatus": found}


def contract_answer(version: Version) -> dict[str, Any]:
    """Get15118EVCertificateResponse (M01, M02): refused."""
    return {
        "status": "Failed",
        "exiResponse": "",
        **_why(version, "UnsupportedRequest", NO_CONTRACTS),
    }


def _why(version: Version, code: str, reason: str) -> dict[str, Any]:
    """statusInfo, which 1.6 does not have."""
    if version is Version.V16:
        return {}
    messages: Any = messages_of(version)
    most = REASON_CHARS_MAX if version is Version.V21 else REASON_CHARS_MAX_201
    return {"statusInfo": messages.StatusInfoType(reasonCode=code, additionalInfo=reason[:most])}
