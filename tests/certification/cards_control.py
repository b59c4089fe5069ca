"""Cards of blocks K to M: charging profiles, firmware, certificates."""

from typing import Any

from card_steps import (
    AT,
    TOKEN,
    Card,
    Says,
    Sends,
    begun,
    event,
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


RELATIVE = {
    "transactionId": "T",
    "validFrom": AT,
}
REMOTE_PROFILE = profile("TxProfile")
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
    "TC_K_15_CSMS": [
        Sends(
            "SetChargingProfile",
            {
                "evseId": 1,
                "chargingProfile": {
                    "id": 15,
                    "stackLevel": 0,
                    "chargingProfilePurpose": "TxDefaultProfile",
                    "chargingProfileKind": "Absolute",
                    "validFrom": "2026-03-01T12:00:00Z",
                    "validTo": "2026-03-02T12:00:00Z",
                    "chargingSchedule": [
                        {
                            "id": 1,
                            "startSchedule": "2026-03-01T12:00:00Z",
                            "duration": 600,
                            "chargingRateUnit": "A",
                            "chargingSchedulePeriod": [
                                {"startPeriod": 0, "limit": 6.0, "numberPhases": 3}
                            ],
                        }
                    ],
                },
            },
            error="NotSupported",
        )
    ],
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
}
