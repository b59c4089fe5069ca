"""The security extension of a 1.6 station (OCPP 1.6 security white paper, edition 3)."""

from typing import TYPE_CHECKING, Any

from pendel.comms.ocpp.certificates import HashData
from pendel.comms.ocpp.station.certificate_duties import CertificateDuties
from pendel.comms.ocpp.station.v16_commands import Commands16
from pendel.comms.ocpp.station.v16_dialect import Payload

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.keys import Pending


class Security16(Commands16, CertificateDuties):
    """The whole 1.6 station."""

    root_kind = "CentralSystemRootCertificate"
    firmware_notice = "SignedFirmwareStatusNotification"

    def started(self, now_s: float) -> None:
        """A critical security event: the device started."""
        self.security_event("StartupOfTheDevice", now_s)

    def security_event(self, kind: str, now_s: float) -> None:
        """SecurityEventNotification."""
        payload = {"type": kind, "timestamp": self.stamp(now_s)}
        self.station.call("SecurityEventNotification", payload)

    def say_request(self, pending: "Pending") -> Payload:
        """SignCertificate; 1.6 has no numbers for it."""
        return {"csr": pending.csr_pem}

    def _on_ExtendedTriggerMessage(self, request: Any, now_s: float) -> Payload:
        match request.requestedMessage:
            case "SignChargePointCertificate":
                self.renew()
            case "LogStatusNotification":
                self.station.call("LogStatusNotification", {"status": "Idle"})
            case "FirmwareStatusNotification":
                self.station.call(self.firmware_notice, self.firmware.told())
            case _:
                return self._on_TriggerMessage(request, now_s)
        return {"status": "Accepted"}

    def _on_CertificateSigned(self, request: Any, now_s: float) -> Payload:
        return {"status": "Rejected" if self.signed(request, now_s) else "Accepted"}

    def _on_InstallCertificate(self, request: Any, now_s: float) -> Payload:
        return {"status": self.installed(request, now_s)[0]}

    def _on_GetInstalledCertificateIds(self, request: Any, _: float) -> Payload:
        found = [name.to_wire() for _, name, _ in self.keys.installed([request.certificateType])]
        if not found:
            return {"status": "NotFound"}
        return {"status": "Accepted", "certificateHashData": found}

    def _on_DeleteCertificate(self, request: Any, _: float) -> Payload:
        return {"status": self.keys.delete(HashData.of_wire(request.certificateHashData))}

    def _on_GetLog(self, request: Any, _: float) -> Payload:
        """The log is announced; a virtual station has no way to upload it: it says so."""
        about = {"requestId": request.requestId}
        self.stages("LogStatusNotification", ("Uploading", "UploadFailure"), about)
        return {"status": "Accepted", "filename": f"{self.station.settings.station_id}.log"}

    def _on_SignedUpdateFirmware(self, request: Any, now_s: float) -> Payload:
        """The certificate of the signer must be good, and his signature."""
        return {"status": self.update_signed(request, now_s)}
