"""What a backend answers about certificates (blocks A, C07 and M): sign, status, contracts.

Own certificates are answered for at once. What only others know (the responder of a foreign
authority, a pool of contracts) is asked before a request is handled: `inquiry_of` says what, the
owner of the sockets finds it out, and the finding comes in with the request (`Finding`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from msgspec import UNSET

from pendel.comms.ocpp.backend.stations import Network, Station
from pendel.comms.ocpp.certificates import HashData
from pendel.comms.ocpp.release import Version, messages_of

NO_CONTRACTS = "no contract certificates are kept here: no clearing house is connected"
NO_AUTHORITY = "no certificate authority is configured here"
NO_PLUG_AND_CHARGE = "contract certificates are not accepted here: no mo_roots are configured"
NOT_ASKED = "not of the authority here; other responders are not asked"
COMBINED = "Combined"
REASON_CHARS_MAX = 1_024
REASON_CHARS_MAX_201 = 512
RESULT_CHARS_MAX = {Version.V201: 5_500, Version.V21: 18_000}
EXI_CHARS_MAX = {Version.V201: 7_500, Version.V21: 17_000}
EMAID = "emaid"
CANCELLED = ("Blocked", "Expired", "Invalid", "Unknown")
"""Token statuses by which a contract is no more (C07.FR.13, AuthorizeCertificateStatus)."""


@dataclass(frozen=True, slots=True)
class Signing:
    """A request to sign. use: the type of certificate ("" = that of the station towards the
    backend, COMBINED = one for both); names: common names it may have; root: the root asked for."""

    csr_pem: str
    use: str
    names: tuple[str, ...]
    root: HashData | None = None


class CertificateDesk(Protocol):
    """An authority at hand."""

    def objection(self, station_id: str, wish: Signing) -> str:
        """Why a request will not be signed, or ""."""
        ...

    def sign(self, station_id: str, wish: Signing) -> str:
        """The chain (PEM) for a request without objection."""
        ...

    def ocsp(self, wanted: HashData) -> tuple[str, str]:
        """The OCSP response (DER, base64), or "" and why there is none."""
        ...

    def is_own(self, wanted: HashData) -> bool:
        """Whether a certificate is said to be of the authority at hand."""
        ...

    def status(self, wanted: HashData) -> tuple[str, datetime]:
        """Good, Revoked, Unknown or Failed (not one of ours), and when to ask again."""
        ...


@dataclass(frozen=True, slots=True)
class StatusQuestion:
    """The status of one foreign certificate. source: OCSP or CRL; urls: where to ask, in order."""

    wanted: HashData
    source: str
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatusFinding:
    """status: Good, Revoked, Unknown or Failed; again_utc: when it may change; der: the OCSP
    response in base64; reason: why it failed."""

    status: str
    again_utc: datetime
    der: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ContractQuestion:
    """Whether a contract certificate holds: its chain (PEM, "" = not shown) or the names of its
    parts, each with its responder."""

    emaid: str
    chain_pem: str
    parts: tuple[StatusQuestion, ...]


@dataclass(frozen=True, slots=True)
class ContractFinding:
    """status: an AuthorizeCertificateStatus (Accepted = chain good and not revoked)."""

    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PoolQuestion:
    """A car's request for contract certificates, to be passed on as it came (M01, M02).
    chains_max None: ISO 15118-2, which knows one contract only."""

    station_id: str
    schema: str
    action: str
    exi: str
    chains_max: int | None = None
    emaids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolFinding:
    """exi: the raw response for the car in base64, "" = none, and why; remaining: more contracts
    that the same request will bring."""

    exi: str
    reason: str = ""
    remaining: int = 0


Question = StatusQuestion | ContractQuestion | PoolQuestion
Finding = StatusFinding | ContractFinding | PoolFinding


def inquiry_of(
    desk: CertificateDesk | None, station_id: str, action: str, asked: Any
) -> tuple[Question, ...]:
    """What others must be asked before a request can be answered, in the order of findings."""
    if action == "Authorize":
        return _contract_questions(asked)
    if action == "Get15118EVCertificate":
        chains = getattr(asked, "maximumContractCertificateChains", UNSET)
        emaids = getattr(asked, "prioritizedEMAIDs", UNSET)
        return (
            PoolQuestion(
                station_id,
                asked.iso15118SchemaVersion,
                asked.action,
                asked.exiRequest,
                None if chains is UNSET else chains,
                () if emaids is UNSET else tuple(emaids),
            ),
        )
    found: list[StatusQuestion] = []
    if action == "GetCertificateStatus":
        data = asked.ocspRequestData
        found = [StatusQuestion(HashData.of_wire(data), "OCSP", (data.responderURL,))]
    elif action == "GetCertificateChainStatus":
        found = [
            StatusQuestion(
                HashData.of_wire(each.certificateHashData), each.source, tuple(each.urls)
            )
            for each in asked.certificateStatusRequests
        ]
    return tuple(each for each in found if desk is None or not desk.is_own(each.wanted))


def _contract_questions(asked: Any) -> tuple[Question, ...]:
    hashes = getattr(asked, "iso15118CertificateHashData", UNSET)
    chain = getattr(asked, "certificate", UNSET)
    if hashes is UNSET and chain is UNSET:
        return ()
    parts = tuple(
        StatusQuestion(HashData.of_wire(each), "OCSP", (each.responderURL,))
        for each in (() if hashes is UNSET else hashes)
    )
    return (ContractQuestion(asked.idToken.idToken, "" if chain is UNSET else chain, parts),)


def contract_verdict(asked: Any, findings: Sequence[Finding], token_status: str) -> tuple[str, str]:
    """certificateStatus and the status of the token of an Authorize with a certificate.

    C07.FR.13-17: a good chain leaves the token's status; a bad one decides it."""
    finding = findings[0] if findings else ContractFinding("CertChainError", NO_PLUG_AND_CHARGE)
    status = finding.status if isinstance(finding, ContractFinding) else "CertChainError"
    if str(asked.idToken.type).lower() != EMAID:
        status = "CertChainError"  # a certificate speaks for a contract and for nothing else
    if status == "CertificateExpired":
        return status, "Expired"
    if status != "Accepted":
        return status, "Invalid"
    return ("ContractCancelled" if token_status in CANCELLED else "Accepted"), token_status


def signing_wish(network: Network, station: Station, asked: Any, version: Version) -> Signing:
    """A SignCertificate request as it is to be signed. Without a type it is for both lines if a
    combined certificate was asked for, else for that to the backend (A02.FR.13)."""
    kind = getattr(asked, "certificateType", UNSET)
    use = "" if kind is UNSET else str(kind)
    if kind is UNSET and station.sign_wanted == "SignCombinedCertificate":
        use = COMBINED
    root = getattr(asked, "hashRootCertificate", UNSET)
    names = [station.station_id]
    if use in ("V2GCertificate", "V2G20Certificate"):
        names += secc_ids(network, station)
    wanted = None if root is UNSET else HashData.of_wire(root)
    return Signing(asked.csr, use, tuple(names), wanted)


def secc_ids(network: Network, station: Station) -> list[str]:
    """SeccIds that a station reported (A02, SignV2GCertificate), but none that is or was
    reported by another one: nobody gets a certificate in somebody else's name."""
    own = _told_ids(station) - {station.station_id}
    for other in list(network.stations.values()):
        if own and other is not station:
            own -= {other.station_id} | _told_ids(other)
    return sorted(own)


def _told_ids(station: Station) -> set[str]:
    places = {0, 1, *list(station.evses)}
    told = {station.variables.get(("ISO15118Ctrlr", place, "SeccId"), "") for place in places}
    return told - {""}


def signing_answer(
    desk: CertificateDesk | None, station: Station, wish: Signing, version: Version
) -> dict[str, Any]:
    """SignCertificateResponse (A02, A03): checked before it is accepted."""
    reason = NO_AUTHORITY if desk is None else desk.objection(station.station_id, wish)
    if not reason:
        return {"status": "Accepted"}
    code = "NotEnabled" if desk is None else "InvalidCSR"
    return {"status": "Rejected", **_why(version, code, reason)}


def signed_request(
    desk: CertificateDesk, station_id: str, wish: Signing, asked: Any, version: Version
) -> Any:
    """CertificateSignedRequest for an accepted request; a requestId comes back (A02.FR.25)."""
    fields: dict[str, Any] = {"certificateChain": desk.sign(station_id, wish)}
    for name in ("certificateType", "requestId"):
        value = getattr(asked, name, UNSET)
        if value is not UNSET:
            fields[name] = value
    return messages_of(version).REQUESTS["CertificateSigned"](**fields)


def status_answer(
    desk: CertificateDesk | None, asked: Any, version: Version, findings: Sequence[Finding]
) -> dict[str, Any]:
    """GetCertificateStatusResponse (M06): our own certificates, and what responders said."""
    result, reason = "", NO_AUTHORITY if desk is None else NOT_ASKED
    wanted = HashData.of_wire(asked.ocspRequestData)
    if desk is not None and desk.is_own(wanted):
        result, reason = desk.ocsp(wanted)
    elif findings and isinstance(findings[0], StatusFinding):
        result, reason = findings[0].der, findings[0].reason
    if len(result) > RESULT_CHARS_MAX[version]:
        result, reason = "", f"an OCSP response of more than {RESULT_CHARS_MAX[version]} characters"
    if result:
        return {"status": "Accepted", "ocspResult": result}
    return {"status": "Failed", **_why(version, "NotFound", reason)}


def chain_answer(
    desk: CertificateDesk | None,
    asked: Any,
    version: Version,
    now_utc: datetime,
    findings: Sequence[Finding],
) -> dict[str, Any]:
    """GetCertificateChainStatusResponse (M07, 2.1)."""
    messages: Any = messages_of(version)
    told = iter(findings)
    found = []
    for request in asked.certificateStatusRequests:
        wanted = HashData.of_wire(request.certificateHashData)
        status, again_utc = "Failed", now_utc
        if desk is not None and desk.is_own(wanted):
            status, again_utc = desk.status(wanted)
        else:
            finding = next(told, None)
            if isinstance(finding, StatusFinding):
                status, again_utc = finding.status, finding.again_utc
        found.append(
            messages.CertificateStatusType(
                certificateHashData=request.certificateHashData,
                source=request.source,
                status=status,
                nextUpdate=again_utc,
            )
        )
    return {"certificateStatus": found}


def pool_answer(asked: Any, version: Version, findings: Sequence[Finding]) -> dict[str, Any]:
    """Get15118EVCertificateResponse (M01, M02): what the pool said, or why there is nothing."""
    finding = findings[0] if findings else PoolFinding("", NO_CONTRACTS)
    exi, reason = "", NO_CONTRACTS
    if isinstance(finding, PoolFinding):
        exi, reason = finding.exi, finding.reason
    if len(exi) > EXI_CHARS_MAX[version]:
        exi, reason = "", f"a response of more than {EXI_CHARS_MAX[version]} characters"
    if not exi:
        code = "UnsupportedRequest" if reason == NO_CONTRACTS else "Unspecified"
        return {"status": "Failed", "exiResponse": "", **_why(version, code, reason)}
    fields: dict[str, Any] = {"status": "Accepted", "exiResponse": exi}
    if getattr(asked, "maximumContractCertificateChains", UNSET) is not UNSET:
        fields["remainingContracts"] = getattr(finding, "remaining", 0)
    return fields


def _why(version: Version, code: str, reason: str) -> dict[str, Any]:
    """statusInfo, which 1.6 does not have."""
    if version is Version.V16:
        return {}
    messages: Any = messages_of(version)
    most = REASON_CHARS_MAX if version is Version.V21 else REASON_CHARS_MAX_201
    return {"statusInfo": messages.StatusInfoType(reasonCode=code, additionalInfo=reason[:most])}
