"""Cards of blocks K to P: charging profiles, firmware, certificates, monitoring, messages, data."""

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
    event,
    reports,
    stages,
    told,
)

HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "ab" * 32,
    "issuerKeyHash": "cd" * 32,
    "serialNumber": "1f",
}


def profile(purpose: str, kind: str = "Absolute", **more: Any) -> dict[str, Any]:
    """A charging profile of one period, with an absolute begin."""
    schedule = {
        "id": 1,
        "startSchedule": AT,
        "duration": 3600,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}],
    }
    return {
        "id": 9,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "validFrom": AT,
        "validTo": "2026-03-02T12:00:00Z",
        "chargingSchedule": [schedule],
        **more,
    }


def limits(evse: int, given: dict[str, Any], answer: str = "Accepted") -> Sends:
    """SetChargingProfile."""
    return Sends("SetChargingProfile", {"evseId": evse, "chargingProfile": given}, told(answer))


def clears(answer: str = "Accepted", **more: Any) -> Sends:
    """ClearChargingProfile."""
    return Sends("ClearChargingProfile", more, told(answer))


def gets(evse: int | None = None, source: str = "CSO", **wanted: Any) -> Card:
    """GetChargingProfiles and the report."""
    payload: dict[str, Any] = {"requestId": 4, "chargingProfile": wanted}
    if evse is not None:
        payload["evseId"] = evse
    report = {
        "requestId": 4,
        "chargingLimitSource": source,
        "evseId": evse or 1,
        "chargingProfile": [profile("TxDefaultProfile")],
    }
    return [
        Sends("GetChargingProfiles", payload),
        Says("ReportChargingProfiles", report),
    ]


def composite(evse: int) -> Sends:
    """GetCompositeSchedule."""
    schedule = {
        "evseId": evse,
        "duration": 300,
        "scheduleStart": AT,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}],
    }
    payload = {"duration": 300, "evseId": evse, "chargingRateUnit": "A"}
    return Sends("GetCompositeSchedule", payload, told("Accepted", schedule=schedule))


EXTERNAL = Says(
    "NotifyChargingLimit", {"evseId": 1, "chargingLimit": {"chargingLimitSource": "EMS"}}
)
RELEASED = Says("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1})


def firmware(*after: str, answer: str = "Accepted") -> Card:
    """UpdateFirmware and its stages."""
    about = {
        "location": "https://x/y",
        "retrieveDateTime": AT,
        "signingCertificate": "PEM",
        "signature": "c2ln",
    }
    asked = Sends("UpdateFirmware", {"requestId": 7, "firmware": about}, told(answer))
    return [asked, *stages("FirmwareStatusNotification", *after)]


LOADED = ("Downloading", "Downloaded", "SignatureVerified")


def published(*after: str) -> Card:
    """PublishFirmware and its stages."""
    payload = {"location": "https://x/y", "checksum": "0" * 32, "requestId": 7}
    said: list[Says] = []
    for stage in after:
        more = {"location": ["https://x/y"]} if stage == "Published" else {}
        notice = {"status": stage, "requestId": 7, **more}
        said.append(Says("PublishFirmwareStatusNotification", notice))
    return [Sends("PublishFirmware", payload), *said]


def unpublishes(answer: str) -> Sends:
    """UnpublishFirmware."""
    return Sends("UnpublishFirmware", {"checksum": "0" * 32}, told(answer))


def installs(kind: str, answer: str = "Accepted") -> Sends:
    """InstallCertificate."""
    payload = {"certificateType": kind, "certificate": "PEM"}
    return Sends("InstallCertificate", payload, told(answer))


def lists(*kinds: str, found: bool = True) -> Sends:
    """GetInstalledCertificateIds."""
    chain = [
        {"certificateType": kind, "certificateHashData": HASH}
        for kind in (kinds or ("CSMSRootCertificate",))
    ]
    answer = told("Accepted", certificateHashDataChain=chain) if found else told("NotFound")
    payload = {"certificateType": list(kinds)} if kinds else {}
    return Sends("GetInstalledCertificateIds", payload, answer)


def deletes(answer: str) -> Sends:
    """DeleteCertificate."""
    return Sends("DeleteCertificate", {"certificateHashData": HASH}, told(answer))


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


RELATIVE = {
    "transactionId": "T",
    "validFrom": AT,
}
REMOTE_PROFILE = profile("TxProfile")
OTHER = {"component": COMPONENT, "variable": {"name": "OfflineThreshold"}}
BOTH_ROOTS = ("CSMSRootCertificate", "ManufacturerRootCertificate")

CARDS: dict[str, Card] = {
    "TC_K_01_CSMS": [limits(1, profile("TxDefaultProfile"))],
    "TC_K_02_CSMS": [limits(1, profile("TxProfile", transactionId="NONE"), "Rejected")],
    "TC_K_03_CSMS": [limits(0, profile("ChargingStationMaxProfile"))],
    "TC_K_04_CSMS": [
        limits(1, profile("TxDefaultProfile")),
        limits(1, profile("TxDefaultProfile", stackLevel=1)),
    ],
    "TC_K_05_CSMS": [clears(chargingProfileId=9)],
    "TC_K_06_CSMS": [
        clears(
            chargingProfileCriteria={"stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile"}
        )
    ],
    "TC_K_08_CSMS": [clears("Unknown", chargingProfileId=9)],
    "TC_K_10_CSMS": [limits(0, profile("TxDefaultProfile"))],
    "TC_K_19_CSMS": [limits(1, profile("TxDefaultProfile", "Recurring", recurrencyKind="Daily"))],
    "TC_K_29_CSMS": gets(0, chargingProfilePurpose="TxDefaultProfile"),
    "TC_K_30_CSMS": gets(1, chargingProfilePurpose="TxDefaultProfile"),
    "TC_K_31_CSMS": gets(None, chargingProfilePurpose="TxDefaultProfile"),
    "TC_K_32_CSMS": gets(None, chargingProfileId=[9]),
    "TC_K_33_CSMS": gets(1, stackLevel=0),
    "TC_K_34_CSMS": gets(1, chargingLimitSource=["CSO"]),
    "TC_K_35_CSMS": gets(1, chargingProfilePurpose="TxDefaultProfile"),
    "TC_K_36_CSMS": gets(1, chargingProfilePurpose="TxDefaultProfile", stackLevel=0),
    "TC_K_37_CSMS": [
        Sends(
            "RequestStartTransaction",
            {
                "idToken": TOKEN,
                "remoteStartId": 4,
                "evseId": 1,
                "chargingProfile": REMOTE_PROFILE,
            },
        ),
        event(0, "Started", "RemoteStart", idToken=TOKEN),
    ],
    "TC_K_43_CSMS": [composite(1)],
    "TC_K_44_CSMS": [composite(0)],
    "TC_K_48_CSMS": [EXTERNAL],
    "TC_K_50_CSMS": [RELEASED],
    "TC_K_51_CSMS": [*begun(), RELEASED, event(3, "Updated", "ChargingRateChanged")],
    "TC_K_52_CSMS": [
        EXTERNAL,
        *gets(1, "EMS", chargingProfilePurpose="ChargingStationExternalConstraints"),
    ],
    "TC_K_60_CSMS": [*begun(), limits(1, profile("TxProfile", **RELATIVE))],
    "TC_K_70_CSMS": [
        limits(1, profile("TxDefaultProfile")),
        limits(1, profile("TxDefaultProfile", id=10, stackLevel=1)),
        limits(0, profile("ChargingStationMaxProfile", id=11)),
    ],
    "TC_L_01_CSMS": firmware(*LOADED, "Installing", "InstallRebooting", "Installed"),
    "TC_L_02_CSMS": firmware(*LOADED, "InstallScheduled", "Installing", "Installed"),
    "TC_L_03_CSMS": firmware("DownloadScheduled", *LOADED, "Installing", "Installed"),
    "TC_L_04_CSMS": firmware(answer="RevokedCertificate"),
    "TC_L_05_CSMS": firmware(answer="InvalidCertificate"),
    "TC_L_06_CSMS": firmware(*LOADED[:2], "InvalidSignature"),
    "TC_L_07_CSMS": firmware("Downloading", "DownloadFailed"),
    "TC_L_08_CSMS": firmware(*LOADED, "InstallVerificationFailed"),
    "TC_L_09_CSMS": firmware(*LOADED, "Installing", "InstallationFailed"),
    "TC_L_10_CSMS": [
        *firmware("Downloading"),
        *firmware(*LOADED, "Installing", "Installed", answer="AcceptedCanceled"),
    ],
    "TC_L_11_CSMS": [*firmware(*LOADED, "Installing"), *firmware(answer="Rejected")],
    "TC_L_13_CSMS": [*begun(), *firmware("Downloading", "Downloaded", "InstallScheduled")],
    "TC_L_17_CSMS": published("Downloading", "Downloaded", "ChecksumVerified", "Published"),
    "TC_L_19_CSMS": published("Downloading", "Downloaded", "InvalidChecksum"),
    "TC_L_20_CSMS": published("Downloading", "Downloaded", "ChecksumVerified", "PublishFailed"),
    "TC_L_21_CSMS": [unpublishes("Unpublished")],
    "TC_L_22_CSMS": [unpublishes("NoFirmware")],
    "TC_L_23_CSMS": [unpublishes("DownloadOngoing")],
    "TC_L_24_CSMS": published("Downloading", "DownloadFailed"),
    "TC_M_01_CSMS": [installs("CSMSRootCertificate")],
    "TC_M_02_CSMS": [installs("ManufacturerRootCertificate")],
    "TC_M_03_CSMS": [installs("V2GRootCertificate")],
    "TC_M_04_CSMS": [installs("MORootCertificate")],
    "TC_M_05_CSMS": [installs("CSMSRootCertificate", "Failed")],
    "TC_M_12_CSMS": [lists("CSMSRootCertificate")],
    "TC_M_13_CSMS": [lists("ManufacturerRootCertificate")],
    "TC_M_14_CSMS": [lists("V2GRootCertificate")],
    "TC_M_15_CSMS": [lists("V2GCertificateChain")],
    "TC_M_16_CSMS": [lists("MORootCertificate")],
    "TC_M_17_CSMS": [lists(*BOTH_ROOTS)],
    "TC_M_18_CSMS": [lists()],
    "TC_M_19_CSMS": [lists("MORootCertificate", found=False)],
    "TC_M_20_CSMS": [deletes("Accepted")],
    "TC_M_21_CSMS": [deletes("Failed")],
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
