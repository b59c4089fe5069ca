"""Certificates of a 2.x station: A02, M03 to M05, signed firmware (L01)."""

from typing import Any

from msgspec import UNSET

from pendel.comms.ocpp.certificates import HashData
from pendel.comms.ocpp.station.certificate_duties import CertificateDuties
from pendel.comms.ocpp.station.v2_dialect import Payload, rejected
from pendel.comms.ocpp.station.v2_monitoring import Monitoring2

SIGNED_FIRMWARE = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")


class Security2(Monitoring2, CertificateDuties):
    """The whole 2.x station."""

    def say_request(self, csr_pem: str, request_id: int | None) -> Payload:
        """SignCertificate; 2.1 numbers its requests."""
        fields: Payload = {"csr": csr_pem, "certificateType": "ChargingStationCertificate"}
        if self.is_21:
            fields["requestId"] = request_id
        return fields

    def _on_TriggerMessage(self, request: Any, now_s: float) -> Payload:
        if request.requestedMessage == "SignChargingStationCertificate":
            self.renew()
            return {"status": "Accepted"}
        return super()._on_TriggerMessage(request, now_s)

    def _on_CertificateSigned(self, request: Any, now_s: float) -> Payload:
        kind = request.certificateType
        if kind is not UNSET and kind != "ChargingStationCertificate":
            return rejected("UnsupportedParam", "no V2G certificates here")
        problem = self.signed(request, now_s)
        return rejected("InvalidCertificate", problem) if problem else {"status": "Accepted"}

    def _on_InstallCertificate(self, request: Any, now_s: float) -> Payload:
        status, reason = self.installed(request, now_s)
        if not reason:
            return {"status": status}
        return {**rejected("InvalidCertificate", reason), "status": status}

    def _on_GetInstalledCertificateIds(self, request: Any, _: float) -> Payload:
        kinds = None if request.certificateType is UNSET else list(request.certificateType)
        found = [
            {"certificateType": kind, "certificateHashData": each.to_wire()}
            for kind, each in self.keys.installed(kinds)
        ]
        if not found:
            return {"status": "NotFound"}
        return {"status": "Accepted", "certificateHashDataChain": found}

    def _on_DeleteCertificate(self, request: Any, _: float) -> Payload:
        gone = self.keys.delete(HashData.of_wire(request.certificateHashData))
        return {"status": "Accepted" if gone else "NotFound"}

    def _on_UpdateFirmware(self, request: Any, now_s: float) -> Payload:
        """Signed firmware comes with a certificate that must be good (L01.FR.21-22)."""
        signer = request.firmware.signingCertificate
        if signer is UNSET:
            return super()._on_UpdateFirmware(request, now_s)
        own_s = now_s + self.station.clock_error_s
        if not self.keys.trusts("ManufacturerRootCertificate", signer, own_s):
            self.security_event("InvalidFirmwareSigningCertificate", now_s)
            return {"status": "InvalidCertificate"}
        about = {"requestId": request.requestId}
        self.stages("FirmwareStatusNotification", SIGNED_FIRMWARE, about)
        return {"status": "Accepted"}
