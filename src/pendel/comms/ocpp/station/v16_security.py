"""The security extension of a 1.6 station (OCPP 1.6 security white paper, edition 3)."""

from typing import Any

from pendel.comms.ocpp.certificates import HashData
from pendel.comms.ocpp.station.certificate_duties import CertificateDuties
from pendel.comms.ocpp.station.v16_commands import Commands16
from pendel.comms.ocpp.station.v16_dialect import Payload

SIGNED_FIRMWARE = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")


class Security16(Commands16, CertificateDuties):
    """The whole 1.6 station."""

    root_kind = "CentralSystemRootCertificate"

    def started(self, now_s: float) -> None:
        """A critical security event: the device started."""
        self.security_event("StartupOfTheDevice", now_s)

    def security_event(self, kind: str, now_s: float) -> None:
        """SecurityEventNotification."""
        payload = {"type": kind, "timestamp": self.stamp(now_s)}
        self.station.call("SecurityEventNotification", payload)

    def say_request(self, csr_pem: str, request_id: int | None) -> Payload:
        """SignCertificate; 1.6 has no numbers for it."""
        return {"csr": csr_pem}

    def _on_ExtendedTriggerMessage(self, request: Any, now_s: float) -> Payload:
        match request.requestedMessage:
            case "SignChargePointCertificate":
                self.renew()
            case "LogStatusNotification":
                self.station.call("LogStatusNotification", {"status": "Idle"})
            case "FirmwareStatusNotification":
                self.station.call("SignedFirmwareStatusNotification", {"status": "Idle"})
            case _:
                return self._on_TriggerMessage(request, now_s)
        return {"status": "Accepted"}

    def _on_CertificateSigned(self, request: Any, now_s: float) -> Payload:
        return {"status": "Rejected" if self.signed(request, now_s) else "Accepted"}

    def _on_InstallCertificate(self, request: Any, now_s: float) -> Payload:
        return {"status": self.installed(request, now_s)[0]}

    def _on_GetInstalledCertificateIds(self, request: Any, _: float) -> Payload:
        found = [each.to_wire() for _, each in self.keys.installed([request.certificateType])]
        if not found:
            return {"status": "NotFound"}
        return {"status": "Accepted", "certificateHashData": found}

    def _on_DeleteCertificate(self, request: Any, _: float) -> Payload:
        gone = self.keys.delete(HashData.of_wire(request.certificateHashData))
        return {"status": "Accepted" if gone else "NotFound"}

    def _on_GetLog(self, request: Any, _: float) -> Payload:
        """The log is announced; a virtual station has no way to upload it: it says so."""
        about = {"requestId": request.requestId}
        self.stages("LogStatusNotification", ("Uploading", "UploadFailure"), about)
        return {"status": "Accepted", "filename": f"{self.station.settings.station_id}.log"}

    def _on_SignedUpdateFirmware(self, request: Any, now_s: float) -> Payload:
        """Played, but the certificate of the signer must be good."""
        signer = request.firmware.signingCertificate
        own_s = now_s + self.station.clock_error_s
        if not self.keys.trusts("ManufacturerRootCertificate", signer, own_s):
            self.security_event("InvalidFirmwareSigningCertificate", now_s)
            return {"status": "InvalidCertificate"}
        about = {"requestId": request.requestId}
        self.stages("SignedFirmwareStatusNotification", SIGNED_FIRMWARE, about)
        return {"status": "Accepted"}
