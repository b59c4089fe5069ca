"""The words of a card: what the backend is told to send, what the station says, what must follow.

A card stands for one test case of the certification: `Sends` is the operator's command (its frame
on the wire must be exactly that), with the station's answer; `Says` is a request of the station,
with what the backend's answer must contain.
"""

from dataclasses import dataclass, field
from typing import Any

AT = "2026-03-01T12:00:00Z"
ACCEPTED = {"status": "Accepted"}
TOKEN = {"idToken": "TAG1", "type": "ISO14443"}


@dataclass(frozen=True, slots=True)
class Sends:
    """The backend sends action with payload; the station answers, with an error where one is
    named."""

    action: str
    payload: dict[str, Any]
    answer: dict[str, Any] = field(default_factory=lambda: ACCEPTED)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Says:
    """The station says action with payload; the answer holds at least `expected`."""

    action: str
    payload: dict[str, Any]
    expected: dict[str, Any] = field(default_factory=dict)


Card = list[Sends | Says]


def told(status: str, **more: Any) -> dict[str, Any]:
    """An answer of the station."""
    return {"status": status, **more}


def event(seq: int, kind: str, trigger: str, transaction: str = "T", **more: Any) -> Says:
    """TransactionEvent; `state` = chargingState, `why` = stoppedReason."""
    info = {"transactionId": transaction}
    if "state" in more:
        info["chargingState"] = more.pop("state")
    if "why" in more:
        info["stoppedReason"] = more.pop("why")
    expected = {"idTokenInfo": {"status": "Accepted"}} if "idToken" in more else {}
    expected = more.pop("expected", expected)
    payload = {
        "eventType": kind,
        "timestamp": AT,
        "triggerReason": trigger,
        "seqNo": seq,
        "transactionInfo": info,
        "evse": {"id": 1, "connectorId": 1},
        **more,
    }
    return Says("TransactionEvent", payload, expected)


def begun(transaction: str = "T") -> Card:
    """A transaction that runs and charges."""
    return [
        event(0, "Started", "CablePluggedIn", transaction, state="EVConnected"),
        event(1, "Updated", "Authorized", transaction, idToken=TOKEN),
        event(2, "Updated", "ChargingStateChanged", transaction, state="Charging"),
    ]


def status(connector: str, evse: int = 1) -> Says:
    """StatusNotification."""
    return Says(
        "StatusNotification",
        {"timestamp": AT, "connectorStatus": connector, "evseId": evse, "connectorId": 1},
    )


def reports(action: str, name: str, row: dict[str, Any], request_id: int) -> Says:
    """A NotifyReport or NotifyMonitoringReport of one part."""
    return Says(
        action, {"requestId": request_id, "generatedAt": AT, "seqNo": 0, "tbc": False, name: [row]}
    )


def values(context: str, **more: Any) -> list[dict[str, Any]]:
    """One metered value."""
    return [{"timestamp": AT, "sampledValue": [{"value": 1.5, "context": context, **more}]}]


def stages(action: str, *names: str, request_id: int = 7) -> Card:
    """Stages of a firmware or log request."""
    return [Says(action, {"status": name, "requestId": request_id}) for name in names]


COMPONENT = {"name": "OCPPCommCtrlr"}
VARIABLE = {"name": "HeartbeatInterval"}
PLACE = {"component": COMPONENT, "variable": VARIABLE}

GROUP = {"groupIdToken": {"idToken": "FAMILY", "type": "Central"}}
IN_GROUP = {"idTokenInfo": {"status": "Accepted", **GROUP}}
OTHER_OF_GROUP = {"idToken": "TAG2", "type": "ISO14443"}
MASTER = {"idToken": "POLICE", "type": "ISO14443"}
MASTERS = {"groupIdToken": {"idToken": "MASTERS", "type": "Central"}}
AS_MASTER = {"idTokenInfo": {"status": "Accepted", **MASTERS}}
