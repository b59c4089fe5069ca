"""The answer to each request a station may make, by the rules of its version.

What a station may ask of a backend but is not offered here is refused in the way the answer's own
status allows; what only a backend may ask is `NotSupported`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from pendel.comms.ocpp.backend.certificates import (
    CertificateDesk,
    Finding,
    chain_answer,
    contract_verdict,
    pool_answer,
    signing_answer,
    signing_wish,
    status_answer,
)
from pendel.comms.ocpp.backend.stations import Network, Station
from pendel.comms.ocpp.release import Version, messages_of

HEARTBEAT_S = 300
_V16 = Version.V16
PLAIN_TRANSFER = ("AC_single_phase", "AC_two_phase", "AC_three_phase", "DC")
V2X_TRANSFER = ("AC_BPT", "DC_BPT", "AC_BPT_DER", "AC_DER")


class Policy(Protocol):
    """What the owner of the stations decided; plain look-ups."""

    def token_status(self, station_id: str, token: str) -> str:
        """Accepted, Invalid or another AuthorizationStatus."""
        ...

    def v2x_allowed(self, station_id: str, token: str) -> bool:
        """Whether a car of this token may discharge at this station."""
        ...

    def steers(self, station_id: str) -> bool:
        """Whether the station's charging is controlled at all."""
        ...


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One request to be answered; transaction_id: the one given to a 1.6 start; desk: whoever
    signs certificates here; findings: what others said to the questions of `inquiry_of`."""

    station: Station
    version: Version
    action: str
    payload: Any
    now_utc: datetime
    policy: Policy
    transaction_id: str = ""
    desk: CertificateDesk | None = None
    network: Network | None = None
    findings: Sequence[Finding] = ()


Answer = Callable[[Asked], dict[str, Any]]


def answer(asked: Asked) -> Any | None:
    """The typed response, or None where a station may not ask this."""
    table = _ANSWERS_16 if asked.version is _V16 else _ANSWERS_2
    maker = table.get(asked.action)
    if maker is None:
        return None
    return messages_of(asked.version).RESPONSES[asked.action](**maker(asked))


def _nothing(asked: Asked) -> dict[str, Any]:
    return {}


def _fixed(**fields: Any) -> Answer:
    return lambda asked: fields


def _boot(asked: Asked) -> dict[str, Any]:
    return {"status": "Accepted", "currentTime": asked.now_utc, "interval": HEARTBEAT_S}


def _heartbeat(asked: Asked) -> dict[str, Any]:
    return {"currentTime": asked.now_utc}


def _token_2(asked: Asked, token: Any) -> Any:
    messages: Any = messages_of(asked.version)
    status = "Accepted"  # NoAuthorization and Central tokens were let in elsewhere
    if token.type not in ("NoAuthorization", "Central"):
        status = asked.policy.token_status(asked.station.station_id, token.idToken)
    return messages.IdTokenInfoType(status=status)


def _authorize_2(asked: Asked) -> dict[str, Any]:
    token = asked.payload.idToken
    fields: dict[str, Any] = {"idTokenInfo": _token_2(asked, token)}
    if asked.version is Version.V21 and fields["idTokenInfo"].status == "Accepted":
        v2x = asked.policy.v2x_allowed(asked.station.station_id, token.idToken)
        fields["allowedEnergyTransfer"] = [*PLAIN_TRANSFER, *(V2X_TRANSFER if v2x else ())]
    if asked.payload.iso15118CertificateHashData is not UNSET or (
        asked.payload.certificate is not UNSET
    ):
        info = fields["idTokenInfo"]
        verdict = contract_verdict(asked.payload, asked.findings, info.status)
        fields["certificateStatus"], info.status = verdict
        if info.status != "Accepted":
            fields.pop("allowedEnergyTransfer", None)
    return fields


def _transaction_event(asked: Asked) -> dict[str, Any]:
    token = asked.payload.idToken
    return {} if token is UNSET else {"idTokenInfo": _token_2(asked, token)}


def _needs(asked: Asked) -> dict[str, Any]:
    if not asked.policy.steers(asked.station.station_id):
        none = "NoChargingProfile" if asked.version is Version.V21 else "Rejected"
        return {"status": none}
    evse = asked.station.evses.get(asked.payload.evseId)
    return {"status": "Accepted" if evse is not None and evse.transaction_id else "Processing"}


def _pull(asked: Asked) -> dict[str, Any]:
    update = asked.station.dynamic.get(asked.payload.chargingProfileId)
    if update is None:
        return {"status": "Rejected"}
    messages: Any = messages_of(asked.version)
    return {"status": "Accepted", "scheduleUpdate": messages.ChargingScheduleUpdateType(**update)}


def _vat(asked: Asked) -> dict[str, Any]:
    return {"vatNumber": asked.payload.vatNumber, "status": "Rejected"}


def _sign(asked: Asked) -> dict[str, Any]:
    wish = signing_wish(asked.network or Network(), asked.station, asked.payload, asked.version)
    return signing_answer(asked.desk, asked.station, wish, asked.version)


def _certificate_status(asked: Asked) -> dict[str, Any]:
    return status_answer(asked.desk, asked.payload, asked.version, asked.findings)


def _chain_status(asked: Asked) -> dict[str, Any]:
    now_utc, findings = asked.now_utc, asked.findings
    return chain_answer(asked.desk, asked.payload, asked.version, now_utc, findings)


def _contract(asked: Asked) -> dict[str, Any]:
    return pool_answer(asked.payload, asked.version, asked.findings)


def _tag_info(asked: Asked, name: str, tag: str) -> Any:
    messages: Any = messages_of(asked.version)
    status = asked.policy.token_status(asked.station.station_id, tag)
    if status not in ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"):
        status = "Invalid"
    return getattr(messages, name)(status=status)


def _authorize_16(asked: Asked) -> dict[str, Any]:
    return {"idTagInfo": _tag_info(asked, "AuthorizeResponseIdTagInfo", asked.payload.idTag)}


def _start_16(asked: Asked) -> dict[str, Any]:
    info = _tag_info(asked, "StartTransactionResponseIdTagInfo", asked.payload.idTag)
    return {"idTagInfo": info, "transactionId": int(asked.transaction_id)}


def _stop_16(asked: Asked) -> dict[str, Any]:
    tag = asked.payload.idTag
    if tag is UNSET:
        return {}
    return {"idTagInfo": _tag_info(asked, "StopTransactionResponseIdTagInfo", tag)}


_ANSWERS_16: dict[str, Answer] = {
    "BootNotification": _boot,
    "Heartbeat": _heartbeat,
    "Authorize": _authorize_16,
    "StartTransaction": _start_16,
    "StopTransaction": _stop_16,
    "DataTransfer": _fixed(status="UnknownVendorId"),
    "SignCertificate": _sign,
    **dict.fromkeys(
        (
            "MeterValues",
            "StatusNotification",
            "FirmwareStatusNotification",
            "DiagnosticsStatusNotification",
            "LogStatusNotification",
            "SecurityEventNotification",
            "SignedFirmwareStatusNotification",
        ),
        _nothing,
    ),
}
_ANSWERS_2: dict[str, Answer] = {
    "BootNotification": _boot,
    "Heartbeat": _heartbeat,
    "Authorize": _authorize_2,
    "TransactionEvent": _transaction_event,
    "DataTransfer": _fixed(status="UnknownVendorId"),
    "SignCertificate": _sign,
    "Get15118EVCertificate": _contract,
    "GetCertificateStatus": _certificate_status,
    "GetCertificateChainStatus": _chain_status,
    "NotifyEVChargingNeeds": _needs,
    "NotifyEVChargingSchedule": _fixed(status="Accepted"),
    "PullDynamicScheduleUpdate": _pull,
    "OpenPeriodicEventStream": _fixed(status="Accepted"),
    "VatNumberValidation": _vat,
    "BatterySwap": _nothing,
    **dict.fromkeys(
        (
            "ClearedChargingLimit",
            "ClosePeriodicEventStream",
            "FirmwareStatusNotification",
            "LogStatusNotification",
            "MeterValues",
            "NotifyChargingLimit",
            "NotifyCustomerInformation",
            "NotifyDERAlarm",
            "NotifyDERStartStop",
            "NotifyDisplayMessages",
            "NotifyEvent",
            "NotifyMonitoringReport",
            "NotifyPriorityCharging",
            "NotifyReport",
            "NotifySettlement",
            "NotifyWebPaymentStarted",
            "PublishFirmwareStatusNotification",
            "ReportChargingProfiles",
            "ReportDERControl",
            "ReservationStatusUpdate",
            "SecurityEventNotification",
            "StatusNotification",
        ),
        _nothing,
    ),
}
