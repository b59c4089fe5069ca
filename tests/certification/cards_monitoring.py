"""Cards of blocks N to P: monitoring, logs, customers, display messages, data transfer."""

from typing import Any

from card_steps import (
    ACCEPTED,
    AT,
    COMPONENT,
    PLACE,
    TOKEN,
    Card,
    Says,
    Sends,
    begun,
    reports,
    stages,
    told,
)
from cards_control import HASH

OTHER = {"component": COMPONENT, "variable": {"name": "OfflineThreshold"}}
MONITOR_ROW = {
    **PLACE,
    "variableMonitoring": [
        {"id": 1, "transaction": False, "value": 1.0, "type": "UpperThreshold", "severity": 5}
    ],
}


def monitoring_report(**wanted: Any) -> Card:
    """GetMonitoringReport and its report."""
    return [
        Sends("GetMonitoringReport", {"requestId": 6, **wanted}),
        reports("NotifyMonitoringReport", "monitor", MONITOR_ROW, 6),
    ]


def monitors(*names: str, kind: str = "UpperThreshold") -> Sends:
    """SetVariableMonitoring."""
    asked = [
        {"value": 1.0, "type": kind, "severity": 5, "component": COMPONENT, "variable": {"name": n}}
        for n in names
    ]
    results = [
        {
            "id": number,
            "status": "Accepted",
            "type": kind,
            "severity": 5,
            "component": COMPONENT,
            "variable": each["variable"],
        }
        for number, each in enumerate(asked)
    ]
    payload = {"setMonitoringData": asked}
    return Sends("SetVariableMonitoring", payload, {"setMonitoringResult": results})


def notify_event(kind: str, **more: Any) -> Says:
    """NotifyEvent of a custom monitor."""
    data = {
        "eventId": 1,
        "timestamp": AT,
        "trigger": kind,
        "actualValue": "1",
        "eventNotificationType": "CustomMonitor",
        "variableMonitoringId": 1,
        **PLACE,
        **more,
    }
    return Says("NotifyEvent", {"generatedAt": AT, "seqNo": 0, "eventData": [data]})


def customer(
    data: str | None, answer: str = "Accepted", report: bool = True, clear: bool = False, **who: Any
) -> Card:
    """CustomerInformation, and what the station has (None: nothing is told)."""
    who = who or {"idToken": TOKEN}
    payload = {"requestId": 8, "report": report, "clear": clear, **who}
    asked = Sends("CustomerInformation", payload, told(answer))
    if data is None:
        return [asked]
    notice = {"data": data, "seqNo": 0, "generatedAt": AT, "requestId": 8, "tbc": False}
    return [asked, Says("NotifyCustomerInformation", notice)]


def log(kind: str, *after: str, answer: str = "Accepted") -> Card:
    """GetLog and its stages."""
    payload = {"logType": kind, "requestId": 7, "log": {"remoteLocation": "https://x/y"}}
    return [
        Sends("GetLog", payload, told(answer)),
        *stages("LogStatusNotification", *after),
    ]


def message(answer: str = "Accepted", **more: Any) -> Sends:
    """SetDisplayMessage."""
    shown = {
        "id": 2,
        "priority": "NormalCycle",
        "message": {"format": "UTF8", "content": "hello"},
        **more,
    }
    return Sends("SetDisplayMessage", {"message": shown}, told(answer))


def asks_messages(answer: str = "Accepted", **wanted: Any) -> Card:
    """GetDisplayMessages, and what is shown where any is."""
    asked = Sends("GetDisplayMessages", {"requestId": 3, **wanted}, told(answer))
    if answer != "Accepted":
        return [asked]
    shown = {"id": 2, "priority": "NormalCycle", "message": {"format": "UTF8", "content": "hello"}}
    return [asked, Says("NotifyDisplayMessages", {"requestId": 3, "messageInfo": [shown]})]


def clears_message(answer: str) -> Sends:
    """ClearDisplayMessage."""
    return Sends("ClearDisplayMessage", {"id": 2}, told(answer))


CARDS: dict[str, Card] = {
    "TC_N_01_CSMS": monitoring_report(monitoringCriteria=["ThresholdMonitoring"]),
    "TC_N_02_CSMS": monitoring_report(componentVariable=[PLACE]),
    "TC_N_03_CSMS": monitoring_report(
        monitoringCriteria=["DeltaMonitoring"], componentVariable=[PLACE]
    ),
    "TC_N_05_CSMS": [Sends("SetMonitoringBase", {"monitoringBase": "All"})],
    "TC_N_08_CSMS": [monitors("HeartbeatInterval")],
    "TC_N_09_CSMS": [monitors("HeartbeatInterval", "OfflineThreshold")],
    "TC_N_16_CSMS": [Sends("SetMonitoringLevel", {"severity": 4})],
    "TC_N_17_CSMS": [Sends("SetMonitoringLevel", {"severity": 9}, told("Rejected"))],
    "TC_N_24_CSMS": [monitors("HeartbeatInterval", kind="Periodic"), notify_event("Periodic")],
    "TC_N_25_CSMS": log("DiagnosticsLog", "Uploading", "Uploaded"),
    "TC_N_27_CSMS": customer("a name"),
    "TC_N_28_CSMS": customer(""),
    "TC_N_29_CSMS": customer(None, "Rejected"),
    "TC_N_30_CSMS": customer("a name", clear=True),
    "TC_N_31_CSMS": customer("", clear=True),
    "TC_N_32_CSMS": customer("", report=False, clear=True),
    "TC_N_34_CSMS": log("DiagnosticsLog", answer="Rejected"),
    "TC_N_35_CSMS": log("SecurityLog", "Uploading", "Uploaded"),
    "TC_N_36_CSMS": [
        *log("DiagnosticsLog", "Uploading"),
        *log("DiagnosticsLog", "AcceptedCanceled", "Uploaded", answer="AcceptedCanceled"),
    ],
    "TC_N_44_CSMS": [
        Sends(
            "ClearVariableMonitoring",
            {"id": [1]},
            {"clearMonitoringResult": [{"id": 1, "status": "Rejected"}]},
        )
    ],
    "TC_N_47_CSMS": monitoring_report(),
    "TC_N_48_CSMS": [notify_event("Alerting")],
    "TC_N_49_CSMS": [notify_event("Alerting", cleared=True)],
    "TC_N_50_CSMS": [notify_event("Periodic")],
    "TC_N_60_CSMS": monitoring_report(
        monitoringCriteria=["ThresholdMonitoring"], componentVariable=[PLACE, OTHER]
    ),
    "TC_N_62_CSMS": customer("a name", clear=True, customerIdentifier="C1"),
    "TC_N_63_CSMS": customer("a name", clear=True, customerCertificate=HASH),
    "TC_O_01_CSMS": [message()],
    "TC_O_02_CSMS": asks_messages(),
    "TC_O_03_CSMS": asks_messages("Unknown"),
    "TC_O_04_CSMS": [clears_message("Accepted")],
    "TC_O_05_CSMS": [clears_message("Unknown")],
    "TC_O_06_CSMS": [*begun(), message(transactionId="T")],
    "TC_O_07_CSMS": asks_messages(id=[2]),
    "TC_O_08_CSMS": asks_messages(priority="NormalCycle"),
    "TC_O_09_CSMS": asks_messages(state="Charging"),
    "TC_O_10_CSMS": [message("UnknownTransaction", transactionId="NONE")],
    "TC_O_11_CSMS": asks_messages("Unknown", id=[99]),
    "TC_O_12_CSMS": [message(), message(priority="InFront")],
    "TC_O_13_CSMS": [message(startDateTime=AT)],
    "TC_O_14_CSMS": [message(endDateTime=AT)],
    "TC_O_17_CSMS": [message("NotSupportedPriority", priority="AlwaysFront")],
    "TC_O_18_CSMS": [message("NotSupportedState", state="Faulted")],
    "TC_O_19_CSMS": [message("NotSupportedMessageFormat")],
    "TC_O_25_CSMS": [message(state="Charging")],
    "TC_O_26_CSMS": [message("Rejected")],
    "TC_O_27_CSMS": [*begun(), message(transactionId="T", startDateTime=AT)],
    "TC_O_28_CSMS": [*begun(), message(transactionId="T", endDateTime=AT)],
    "TC_P_02_CSMS": [
        Says("DataTransfer", {"vendorId": "x", "messageId": "y"}, told("UnknownVendorId"))
    ],
    "TC_P_03_CSMS": [
        Says("Heartbeat", {"customData": {"vendorId": "x", "anything": 1}}),
        Says(
            "BootNotification",
            {
                "chargingStation": {"vendorName": "v", "model": "m"},
                "reason": "PowerUp",
                "customData": {"vendorId": "x"},
            },
            ACCEPTED,
        ),
    ],
}
