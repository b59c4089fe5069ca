"""Cards of blocks A to J: boot, authorisation, transactions, remote control, meters."""

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
    event,
    reports,
    status,
    told,
    values,
)

BOOT = Says(
    "BootNotification",
    {"chargingStation": {"vendorName": "v", "model": "m"}, "reason": "PowerUp"},
    ACCEPTED,
)
SIGNED = {
    "signedMeterData": "AA==",
    "signingMethod": "ECDSAP256SHA256",
    "encodingMethod": "OCMF",
    "publicKey": "AA==",
}
REPORT_ROW = {**PLACE, "variableAttribute": [{"type": "Actual", "value": "300"}]}
NETWORK = {
    "configurationSlot": 1,
    "connectionData": {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "wss://x/ocpp",
        "messageTimeout": 30,
        "securityProfile": 2,
        "ocppInterface": "Wired0",
    },
}


def get_variables(*names: str) -> Sends:
    """GetVariables of one component."""
    asked = [{"component": COMPONENT, "variable": {"name": name}} for name in names]
    results = [{**each, "attributeStatus": "Accepted", "attributeValue": "1"} for each in asked]
    return Sends("GetVariables", {"getVariableData": asked}, {"getVariableResult": results})


def set_variables(*names: str, status: str = "Accepted", component: str = "OCPPCommCtrlr") -> Sends:
    """SetVariables of one component."""
    asked = [{"component": {"name": component}, "variable": {"name": n}} for n in names]
    results = [{**each, "attributeStatus": status} for each in asked]
    payload = {"setVariableData": [{**each, "attributeValue": "1"} for each in asked]}
    return Sends("SetVariables", payload, {"setVariableResult": results})


def base_report(base: str) -> Card:
    """GetBaseReport and its report."""
    asked = Sends("GetBaseReport", {"requestId": 3, "reportBase": base})
    return [asked, reports("NotifyReport", "reportData", REPORT_ROW, 3)]


def reset(kind: str, answer: str = "Accepted", evse: int | None = None) -> Sends:
    """Reset of the station or of one EVSE."""
    payload = {"type": kind} if evse is None else {"type": kind, "evseId": evse}
    return Sends("Reset", payload, told(answer))


def local_list(number: int, kind: str, *entries: dict[str, object]) -> Sends:
    """SendLocalList."""
    payload: dict[str, object] = {"versionNumber": number, "updateType": kind}
    if entries:
        payload["localAuthorizationList"] = list(entries)
    return Sends("SendLocalList", payload)


KNOWN = {"idToken": TOKEN, "idTokenInfo": {"status": "Accepted"}}
ENDED = event(3, "Ended", "RemoteStop", why="Remote", state="Idle")
INVALID = {"idTokenInfo": {"status": "Invalid"}}
STRANGER = {"idToken": "NOBODY", "type": "ISO14443"}
REMOTE = Sends(
    "RequestStartTransaction", {"idToken": TOKEN, "remoteStartId": 4, "evseId": 1}, ACCEPTED
)


def stopped(trigger: str, why: str, state: str = "EVConnected") -> Card:
    """A running transaction that ends in one way."""
    return [*begun(), event(3, "Ended", trigger, why=why, state=state), status("Available")]


def trigger(wanted: str, *after: Says, evse: int | None = None, answer: str = "Accepted") -> Card:
    """TriggerMessage and what the station says then."""
    payload: dict[str, object] = {"requestedMessage": wanted}
    if evse is not None:
        payload["evse"] = {"id": evse}
    return [Sends("TriggerMessage", payload, told(answer)), *after]


def availability(kind: str, place: dict[str, int] | None, answer: str = "Accepted") -> Card:
    """ChangeAvailability of the station, an EVSE or a connector."""
    payload: dict[str, object] = {"operationalStatus": kind}
    if place is not None:
        payload["evse"] = place
    after = "Available" if kind == "Operative" else "Unavailable"
    return [Sends("ChangeAvailability", payload, told(answer)), status(after)]


def reserve(answer: str = "Accepted", **more: object) -> Sends:
    """ReserveNow."""
    payload = {"id": 5, "expiryDateTime": "2026-03-01T13:00:00Z", "idToken": TOKEN, **more}
    return Sends("ReserveNow", payload, told(answer))


def reservation_over(update: str) -> Says:
    """ReservationStatusUpdate."""
    return Says("ReservationStatusUpdate", {"reservationId": 5, "reservationUpdateStatus": update})


CARDS: dict[str, Card] = {
    "TC_A_10_CSMS": [
        set_variables("BasicAuthPassword", status="Rejected", component="SecurityCtrlr")
    ],
    "TC_B_01_CSMS": [BOOT, status("Available")],
    "TC_B_06_CSMS": [get_variables("OfflineThreshold")],
    "TC_B_07_CSMS": [get_variables("OfflineThreshold", "HeartbeatInterval")],
    "TC_B_09_CSMS": [set_variables("OfflineThreshold")],
    "TC_B_10_CSMS": [set_variables("OfflineThreshold", "HeartbeatInterval")],
    "TC_B_12_CSMS": base_report("ConfigurationInventory"),
    "TC_B_13_CSMS": base_report("FullInventory"),
    "TC_B_14_CSMS": base_report("SummaryInventory"),
    "TC_B_18_CSMS": [
        Sends(
            "GetReport",
            {"requestId": 3, "componentCriteria": ["Active"], "componentVariable": [PLACE]},
        ),
        reports("NotifyReport", "reportData", REPORT_ROW, 3),
    ],
    "TC_B_20_CSMS": [reset("OnIdle"), BOOT, status("Available")],
    "TC_B_21_CSMS": [*begun(), reset("OnIdle", "Scheduled"), ENDED, BOOT],
    "TC_B_22_CSMS": [
        *begun(),
        reset("Immediate"),
        event(3, "Ended", "ResetCommand", why="ImmediateReset"),
        BOOT,
    ],
    "TC_B_25_CSMS": [reset("OnIdle", evse=1), status("Available")],
    "TC_B_26_CSMS": [*begun(), reset("OnIdle", "Scheduled", 1), ENDED, status("Available")],
    "TC_B_27_CSMS": [
        *begun(),
        reset("Immediate", evse=1),
        event(3, "Ended", "ResetCommand", why="ImmediateReset"),
    ],
    "TC_B_42_CSMS": [Sends("SetNetworkProfile", NETWORK)],
    "TC_B_44_CSMS": [Sends("SetNetworkProfile", NETWORK, told("Failed"))],
    "TC_C_02_CSMS": [Says("Authorize", {"idToken": STRANGER}, INVALID)],
    "TC_C_08_CSMS": [*begun(), ENDED],
    "TC_C_20_CSMS": [
        event(0, "Started", "CablePluggedIn"),
        event(1, "Updated", "Authorized", idToken=STRANGER, expected=INVALID),
        event(2, "Ended", "Deauthorized", why="DeAuthorized"),
    ],
    "TC_C_37_CSMS": [Sends("ClearCache", {})],
    "TC_C_38_CSMS": [Sends("ClearCache", {}, told("Rejected"))],
    "TC_D_01_CSMS": [local_list(1, "Full", KNOWN)],
    "TC_D_02_CSMS": [local_list(2, "Differential", KNOWN)],
    "TC_D_03_CSMS": [local_list(3, "Differential", {"idToken": TOKEN})],
    "TC_D_04_CSMS": [local_list(4, "Full")],
    "TC_D_08_CSMS": [Sends("GetLocalListVersion", {}, {"versionNumber": 4})],
    "TC_D_09_CSMS": [Sends("GetLocalListVersion", {}, {"versionNumber": 0})],
    "TC_E_01_CSMS": [event(0, "Started", "ChargingStateChanged", state="Charging", idToken=TOKEN)],
    "TC_E_02_CSMS": [event(0, "Started", "ChargingStateChanged", state="Charging", idToken=TOKEN)],
    "TC_E_03_CSMS": begun(),
    "TC_E_04_CSMS": [
        Says("Authorize", {"idToken": TOKEN}, {"idTokenInfo": {"status": "Accepted"}}),
        event(0, "Started", "Authorized", idToken=TOKEN),
        event(1, "Updated", "CablePluggedIn", state="EVConnected"),
        event(2, "Updated", "ChargingStateChanged", state="Charging"),
    ],
    "TC_E_07_CSMS": stopped("StopAuthorized", "Local"),
    "TC_E_08_CSMS": stopped("StopAuthorized", "Local"),
    "TC_E_09_CSMS": [event(0, "Started", "CablePluggedIn", state="EVConnected")],
    "TC_E_10_CSMS": [event(0, "Started", "Authorized", idToken=TOKEN)],
    "TC_E_11_CSMS": [event(0, "Started", "SignedDataReceived", idToken=TOKEN)],
    "TC_E_12_CSMS": [event(0, "Started", "EVDetected")],
    "TC_E_14_CSMS": stopped("EVCommunicationLost", "EVDisconnected", "Idle"),
    "TC_E_15_CSMS": stopped("StopAuthorized", "Local"),
    "TC_E_16_CSMS": [
        event(0, "Started", "CablePluggedIn"),
        event(1, "Updated", "Authorized", idToken=STRANGER, expected=INVALID),
        event(2, "Ended", "Deauthorized", why="DeAuthorized"),
    ],
    "TC_E_17_CSMS": stopped("EVCommunicationLost", "EVDisconnected", "Idle"),
    "TC_E_19_CSMS": stopped("EVDeparted", "Local", "Idle"),
    "TC_E_20_CSMS": stopped("EVCommunicationLost", "EVDisconnected", "Idle"),
    "TC_E_21_CSMS": [
        *begun(),
        Sends("RequestStopTransaction", {"transactionId": "T"}),
        ENDED,
        status("Available"),
    ],
    "TC_E_22_CSMS": stopped("ChargingStateChanged", "StoppedByEV", "SuspendedEV"),
    "TC_E_26_CSMS": [
        *begun(),
        event(3, "Updated", "EVCommunicationLost", state="Idle"),
        event(4, "Updated", "CablePluggedIn", state="EVConnected"),
    ],
    "TC_E_29_CSMS": [
        *begun(),
        Sends(
            "GetTransactionStatus",
            {"transactionId": "T"},
            {"ongoingIndicator": True, "messagesInQueue": True},
        ),
        event(3, "Updated", "MeterValuePeriodic", offline=True),
    ],
    "TC_E_30_CSMS": [
        *begun(),
        Sends(
            "GetTransactionStatus",
            {"transactionId": "T"},
            {"ongoingIndicator": True, "messagesInQueue": False},
        ),
    ],
    "TC_E_31_CSMS": [
        *begun(),
        Sends(
            "GetTransactionStatus",
            {"transactionId": "T"},
            {"ongoingIndicator": False, "messagesInQueue": True},
        ),
        event(3, "Ended", "EVDeparted", offline=True, why="Local"),
    ],
    "TC_E_33_CSMS": [
        Sends("GetTransactionStatus", {}, {"messagesInQueue": True}),
        event(0, "Started", "CablePluggedIn", offline=True),
    ],
    "TC_E_34_CSMS": [Sends("GetTransactionStatus", {}, {"messagesInQueue": False})],
    "TC_E_38_CSMS": [
        *begun()[:2],
        event(2, "Updated", "ChargingStateChanged", state="SuspendedEV"),
    ],
    "TC_E_39_CSMS": [
        event(0, "Started", "Authorized", idToken=TOKEN),
        event(1, "Ended", "EVConnectTimeout", why="Timeout"),
    ],
    "TC_E_53_CSMS": [event(0, "Started", "CablePluggedIn"), event(1, "Updated", "Trigger")],
    "TC_F_01_CSMS": [
        event(0, "Started", "CablePluggedIn", state="EVConnected"),
        REMOTE,
        event(1, "Updated", "RemoteStart", idToken=TOKEN),
    ],
    "TC_F_02_CSMS": [
        REMOTE,
        Says("Authorize", {"idToken": TOKEN}, {"idTokenInfo": {"status": "Accepted"}}),
        event(0, "Started", "RemoteStart", idToken=TOKEN),
    ],
    "TC_F_03_CSMS": [
        REMOTE,
        event(0, "Started", "RemoteStart", idToken=TOKEN),
        event(1, "Updated", "CablePluggedIn", state="EVConnected"),
    ],
    "TC_F_04_CSMS": [
        REMOTE,
        event(0, "Started", "RemoteStart", idToken=TOKEN),
        event(1, "Ended", "EVConnectTimeout", why="Timeout"),
    ],
    "TC_F_06_CSMS": [Sends("UnlockConnector", {"evseId": 1, "connectorId": 1}, told("Unlocked"))],
    "TC_F_11_CSMS": trigger(
        "MeterValues",
        Says("MeterValues", {"evseId": 1, "meterValue": values("Trigger")}),
        evse=1,
    ),
    "TC_F_12_CSMS": trigger(
        "MeterValues", Says("MeterValues", {"evseId": 2, "meterValue": values("Trigger")})
    ),
    "TC_F_13_CSMS": [
        *begun(),
        *trigger("TransactionEvent", event(3, "Updated", "Trigger"), evse=1),
    ],
    "TC_F_14_CSMS": [*begun(), *trigger("TransactionEvent", event(3, "Updated", "Trigger"))],
    "TC_F_15_CSMS": trigger(
        "LogStatusNotification", Says("LogStatusNotification", {"status": "Idle"})
    ),
    "TC_F_18_CSMS": trigger(
        "FirmwareStatusNotification", Says("FirmwareStatusNotification", {"status": "Idle"})
    ),
    "TC_F_20_CSMS": trigger("Heartbeat", Says("Heartbeat", {})),
    "TC_F_23_CSMS": trigger("StatusNotification", status("Available"), evse=1),
    "TC_F_24_CSMS": trigger("StatusNotification", status("Occupied"), evse=1),
    "TC_F_27_CSMS": trigger("SignV2GCertificate", answer="NotImplemented"),
    "TC_G_03_CSMS": availability("Inoperative", {"id": 1}),
    "TC_G_04_CSMS": availability("Operative", {"id": 1}),
    "TC_G_05_CSMS": availability("Inoperative", None),
    "TC_G_06_CSMS": availability("Operative", None),
    "TC_G_07_CSMS": availability("Inoperative", {"id": 1, "connectorId": 1}),
    "TC_G_08_CSMS": availability("Operative", {"id": 1, "connectorId": 1}),
    "TC_G_11_CSMS": [*begun(), *availability("Inoperative", {"id": 1}, "Scheduled")],
    "TC_G_14_CSMS": [*begun(), *availability("Inoperative", None, "Scheduled")],
    "TC_G_17_CSMS": [
        *begun(),
        *availability("Inoperative", {"id": 1, "connectorId": 1}, "Scheduled"),
    ],
    "TC_G_20_CSMS": [
        Says(
            "NotifyEvent",
            {
                "generatedAt": AT,
                "seqNo": 0,
                "eventData": [
                    {
                        "eventId": 1,
                        "timestamp": AT,
                        "trigger": "Delta",
                        "actualValue": "true",
                        "eventNotificationType": "HardWiredNotification",
                        "component": {"name": "ConnectorPlugRetentionLock"},
                        "variable": {"name": "Problem"},
                    }
                ],
            },
        )
    ],
    "TC_H_01_CSMS": [reserve(evseId=1), status("Reserved")],
    "TC_H_07_CSMS": [reserve(evseId=1), reservation_over("Expired"), status("Available")],
    "TC_H_08_CSMS": [reserve()],
    "TC_H_14_CSMS": [reserve(), status("Reserved")],
    "TC_H_15_CSMS": [reserve(connectorType="cType2")],
    "TC_H_17_CSMS": [
        reserve(evseId=1),
        Sends("CancelReservation", {"reservationId": 5}),
        status("Available"),
    ],
    "TC_H_20_CSMS": [reserve(evseId=1), status("Faulted"), reservation_over("Removed")],
    "TC_H_22_CSMS": [reserve("Rejected", evseId=1)],
    "TC_I_01_CSMS": [*begun(), Sends("CostUpdated", {"totalCost": 1.5, "transactionId": "T"}, {})],
    "TC_J_01_CSMS": [Says("MeterValues", {"evseId": 1, "meterValue": values("Sample.Clock")})],
    "TC_J_02_CSMS": [
        *begun(),
        event(3, "Updated", "MeterValueClock", meterValue=values("Sample.Clock")),
    ],
    "TC_J_03_CSMS": [
        *begun(),
        event(3, "Ended", "StopAuthorized", why="Local", meterValue=values("Sample.Clock")),
    ],
    "TC_J_04_CSMS": [
        *begun(),
        event(
            3,
            "Updated",
            "MeterValueClock",
            meterValue=values("Sample.Clock", signedMeterValue=SIGNED),
        ),
    ],
    "TC_J_07_CSMS": [event(0, "Started", "Authorized", meterValue=values("Transaction.Begin"))],
    "TC_J_08_CSMS": [
        event(0, "Started", "Authorized", idToken=TOKEN),
        event(1, "Updated", "CablePluggedIn", meterValue=values("Transaction.Begin")),
    ],
    "TC_J_09_CSMS": [
        *begun(),
        event(3, "Updated", "MeterValuePeriodic", meterValue=values("Sample.Periodic")),
    ],
    "TC_J_10_CSMS": [
        *begun(),
        event(3, "Ended", "StopAuthorized", why="Local", meterValue=values("Transaction.End")),
    ],
    "TC_J_11_CSMS": [
        *begun(),
        event(
            3,
            "Ended",
            "StopAuthorized",
            why="Local",
            meterValue=values("Transaction.End", signedMeterValue=SIGNED),
        ),
    ],
}
