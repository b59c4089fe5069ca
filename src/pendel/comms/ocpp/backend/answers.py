"""The answer to each request a station may make, by the rules of its version.

What a station may ask of a backend but is not offered here is refused in the way the answer's own
status allows; what only a backend may ask is `NotSupported`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from pendel.comms.ocpp.backend.car_talk import evcc_of
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
from pendel.comms.ocpp.backend.tokens import UNGUARDED, TokenInfo, asked_of_2, fields_16, info_2
from pendel.comms.ocpp.release import Version, messages_of

HEARTBEAT_S = 300
BOOT_AGAIN_S = 60
"""After this a station that is not accepted asks again."""
TOKENS_MAX = 1_000
"""Tokens of a station of which it is remembered what they were allowed."""
_V16 = Version.V16
PLAIN_TRANSFER = ("AC_single_phase", "AC_two_phase", "AC_three_phase", "DC")
V2X_TRANSFER = ("AC_BPT", "DC_BPT", "AC_BPT_DER", "AC_DER")


class Policy(Protocol):
    """What the owner of the stations decided; plain look-ups."""

    def token(self, token: str, now_utc: datetime) -> TokenInfo:
        """What is known of a token now."""
        ...

    def boot_status(self, station_id: str) -> str:
        """Accepted, Pending or Rejected: the answer to a BootNotification."""
        ...

    def v2x_allowed(self, station_id: str, token: str, evcc_id: str) -> bool | None:
        """Whether a car of this token or EVCCID may discharge at this station; None = that cannot
        be said before the car is known."""
        ...

    def steers(self, station_id: str) -> bool:
        """Whether the station's charging is controlled at all."""
        ...


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One request to be answered; transaction_id: the one it belongs to (2.x), or was given (1.6
    start); desk: whoever signs certificates here; network: all stations, where a token may be in
    use elsewhere; cost: what its transaction costs so far, None where that is not known; findings:
    what others said to the questions of `inquiry_of`."""

    station: Station
    version: Version
    action: str
    payload: Any
    now_utc: datetime
    policy: Policy
    transaction_id: str = ""
    desk: CertificateDesk | None = None
    network: Network | None = None
    cost: float | None = None
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
    status = asked.policy.boot_status(asked.station.station_id)
    interval = HEARTBEAT_S if status == "Accepted" else BOOT_AGAIN_S
    return {"status": status, "currentTime": asked.now_utc, "interval": interval}


def _heartbeat(asked: Asked) -> dict[str, Any]:
    return {"currentTime": asked.now_utc}


def _token_2(asked: Asked, token: Any, begins: bool) -> Any:
    """IdTokenInfo of a token of 2.x. begins: it shall let a transaction begin or go on."""
    if token.type in UNGUARDED:
        return info_2(asked.version, TokenInfo("Accepted"))
    return info_2(asked.version, _info(asked, token.idToken, begins))


def _info(asked: Asked, token: str, begins: bool) -> TokenInfo:
    """What is said about a token: a master pass begins nothing (C16.FR.03), and one that may run
    one transaction at a time is ConcurrentTx while it runs another."""
    info = asked.policy.token(token, asked.now_utc)
    if not begins or info.status != "Accepted":
        return info
    if info.master:
        return replace(info, status="Invalid")
    network = asked.network
    own = (asked.station.station_id, asked.transaction_id)
    if not info.concurrent and network is not None and network.runs_another(token, own):
        return replace(info, status="ConcurrentTx")
    return info


def _authorize_2(asked: Asked) -> dict[str, Any]:
    token = asked.payload.idToken
    fields: dict[str, Any] = {"idTokenInfo": _token_2(asked, token, False)}
    if asked.version is Version.V21 and fields["idTokenInfo"].status == "Accepted":
        allowed = transfers(asked.policy, asked.station, token.idToken, evcc_of(token))
        if len(asked.station.transfers) < TOKENS_MAX:
            asked.station.transfers[token.idToken] = allowed
        if allowed is not None:
            fields["allowedEnergyTransfer"] = list(allowed)
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
    token, fields = asked.payload.idToken, dict[str, Any]()
    if token is not UNSET:
        fields["idTokenInfo"] = _token_2(asked, token, asked_of_2(asked.payload))
    if asked.cost is not None:
        fields["totalCost"] = asked.cost
    return fields


def transfers(policy: Policy, station: Station, token: str, evcc_id: str) -> tuple[str, ...] | None:
    """Energy transfers allowed to a car (Q01.FR.01); None = not to be said yet (Q01.FR.08)."""
    v2x = policy.v2x_allowed(station.station_id, token, evcc_id)
    enabled = [
        value
        for (component, _, name), value in station.variables.items()
        if (component, name) == ("V2XChargingCtrlr", "Enabled")
    ]
    if v2x is False or (enabled and all(value.lower() == "false" for value in enabled)):
        return PLAIN_TRANSFER
    return None if v2x is None else (*PLAIN_TRANSFER, *V2X_TRANSFER)


def _needs(asked: Asked) -> dict[str, Any]:
    """K15, K17-K19; a transfer outside of what the station was told is refused (Q01.FR.04)."""
    station, needs = asked.station, asked.payload.chargingNeeds
    evse = station.evses.get(asked.payload.evseId)
    transaction = None if evse is None else station.transactions.get(evse.transaction_id)
    told = None if transaction is None else transaction.transfers
    if told is None and transaction is not None:
        told = station.transfers.get(transaction.id_token)
    if told is not None and needs.requestedEnergyTransfer not in told:
        messages: Any = messages_of(asked.version)
        why = f"allowed are {', '.join(told)}"
        info = messages.StatusInfoType(reasonCode="InvalidValue", additionalInfo=why)
        return {"status": "Rejected", "statusInfo": info}
    if not asked.policy.steers(station.station_id):
        return {"status": "Rejected" if _is_iso2(asked) else "NoChargingProfile"}
    return {"status": "Processing" if transaction is None else "Accepted"}


def _is_iso2(asked: Asked) -> bool:
    """Whether needs are those of ISO 15118-2, to which Rejected says that no profile will come."""
    needs = asked.payload.chargingNeeds
    plain = (needs.acChargingParameters, needs.dcChargingParameters)
    return asked.version is Version.V201 or any(each is not UNSET for each in plain)


def _ev_schedule(asked: Asked) -> dict[str, Any]:
    evse = asked.station.evses.get(asked.payload.evseId)
    if evse is None or not evse.schedule_problem:
        return {"status": "Accepted"}
    messages: Any = messages_of(asked.version)
    why = evse.schedule_problem[:512]
    info = messages.StatusInfoType(reasonCode="InvalidSchedule", additionalInfo=why)
    return {"status": "Rejected", "statusInfo": info}


def _pull(asked: Asked) -> dict[str, Any]:
    update = asked.station.dynamic.get(asked.payload.chargingProfileId)
    if update is None:
        return {"status": "Rejected"}
    messages: Any = messages_of(asked.version)
    return {"status": "Accepted", "scheduleUpdate": messages.ChargingScheduleUpdateType(**update)}


def _open_stream(asked: Asked) -> dict[str, Any]:
    """Accepted where there was room for it (N11.FR.05, FR.06)."""
    taken = asked.payload.constantStreamData.id in asked.station.streams
    return {"status": "Accepted" if taken else "Rejected"}


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


def _tag_info(asked: Asked, name: str, tag: str, begins: bool = False) -> Any:
    messages: Any = messages_of(asked.version)
    return getattr(messages, name)(**fields_16(_info(asked, tag, begins)))


def _authorize_16(asked: Asked) -> dict[str, Any]:
    return {"idTagInfo": _tag_info(asked, "AuthorizeResponseIdTagInfo", asked.payload.idTag)}


def _start_16(asked: Asked) -> dict[str, Any]:
    info = _tag_info(asked, "StartTransactionResponseIdTagInfo", asked.payload.idTag, True)
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
    "NotifyEVChargingSchedule": _ev_schedule,
    "PullDynamicScheduleUpdate": _pull,
    "OpenPeriodicEventStream": _open_stream,
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
