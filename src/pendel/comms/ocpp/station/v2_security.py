"""Certificates of a 2.x station: A02, C07, M03 to M06, signed firmware (L01)."""

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from pendel.comms.ocpp.certificates import HashData
from pendel.comms.ocpp.station.certificate_duties import V2G_ROOT, CertificateDuties
from pendel.comms.ocpp.station.equipment import Car, Evse
from pendel.comms.ocpp.station.v2_dialect import Payload, rejected
from pendel.comms.ocpp.station.v2_monitoring import Monitoring2

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.keys import Pending

CONTRACT_ROOTS = ("MORootCertificate", V2G_ROOT)
STATUS_HOLDS_S = 7 * 86_400.0
"""The status of the own chain is asked for at least once a week (M06.FR.10)."""
SIGN_USES = {
    "SignChargingStationCertificate": "ChargingStationCertificate",
    "SignV2GCertificate": "V2GCertificate",
    "SignV2G20Certificate": "V2G20Certificate",
    "SignCombinedCertificate": "Combined",
}


class Security2(Monitoring2, CertificateDuties):
    """The whole 2.x station. statuses: OCSP responses (base64) of its chain towards cars."""

    def say_request(self, pending: "Pending") -> Payload:
        """SignCertificate; 2.1 numbers its requests and names the root it wants."""
        fields: Payload = {"csr": pending.csr_pem}
        if pending.use != "Combined":
            fields["certificateType"] = pending.use
        if self.is_21:
            fields["requestId"] = pending.request_id
            if pending.use in ("V2GCertificate", "V2G20Certificate"):
                fields |= self._wanted_root()
        return fields

    def _wanted_root(self) -> Payload:
        """The newest V2G root, where one is installed (A02.FR.27)."""
        found = self.keys.installed([V2G_ROOT])
        return {"hashRootCertificate": found[-1][1].to_wire()} if found else {}

    def _on_TriggerMessage(self, request: Any, now_s: float) -> Payload:
        use = SIGN_USES.get(request.requestedMessage)
        if use is not None:
            towards_cars = use in ("V2GCertificate", "V2G20Certificate")
            self.renew(use, self.station.settings.secc_id if towards_cars else "")
            return {"status": "Accepted"}
        if request.requestedMessage == "FirmwareStatusNotification":
            self.station.call(self.firmware_notice, self.firmware.told())
            return {"status": "Accepted"}
        return super()._on_TriggerMessage(request, now_s)

    def _apply(self, component: str, name: str, value: str) -> None:
        super()._apply(component, name, value)
        if (component, name) == ("SecurityCtrlr", "OrganizationName"):
            self.keys.operator = value

    def contract_of(self, car: Car) -> str:
        """The eMAID of the car's contract, "" = it has none or it cannot be read."""
        if not car.contract_pem:
            return ""
        from pendel.comms.ocpp.station.contract import emaid_of

        try:
            emaid = emaid_of(car.contract_pem)
        except ValueError as error:
            self.station.log.append(f"contract refused: {error}")
            return ""
        self.emaids.add(emaid)
        return emaid

    def contract_fields(self, evse: Evse, id_token: str) -> Payload:
        """The car's contract as the backend needs it (C07.FR.02, C07.FR.06)."""
        if evse.car is None or id_token not in self.emaids:
            return {}
        from pendel.comms.ocpp.station.contract import shown

        own_s = self.station.now_s + self.station.clock_error_s
        roots = [each for kind in CONTRACT_ROOTS for each in self.keys.roots.get(kind, [])]
        return shown(evse.car.contract_pem, roots, own_s)

    def _on_CertificateSigned(self, request: Any, now_s: float) -> Payload:
        problem = self.signed(request, now_s)
        return rejected("InvalidCertificate", problem) if problem else {"status": "Accepted"}

    def certificate_taken(self, pending: "Pending") -> None:
        """A new chain towards cars: its status must be at hand before a car asks (M06.FR.07)."""
        if pending.use != "ChargingStationCertificate":
            self._ask_statuses(self.keys.chains[0])

    def _ask_statuses(self, chain: list[Any]) -> None:
        if not self.keys.chains or self.keys.chains[0] is not chain:
            return  # a newer one took its place
        for wish in self.keys.wishes():
            asked = {"ocspRequestData": {**wish.name.to_wire(), "responderURL": wish.url}}

            def answered(response: Any, name: HashData = wish.name) -> None:
                if response.status == "Accepted":
                    self.statuses[name] = str(response.ocspResult)

            self.station.call("GetCertificateStatus", asked, answered)
        self.station.later(STATUS_HOLDS_S, lambda: self._ask_statuses(chain))

    @property
    def statuses(self) -> dict[HashData, str]:
        """OCSP responses (base64) of the chain towards cars."""
        found: dict[HashData, str] = self.__dict__.setdefault("_statuses", {})
        return found

    def _on_InstallCertificate(self, request: Any, now_s: float) -> Payload:
        checks = self.variables.value("SecurityCtrlr", "AdditionalRootCertificateCheck")
        self.keys.replaces_root = checks == "true"
        status, reason = self.installed(request, now_s)
        if not reason:
            return {"status": status}
        return {**rejected("InvalidCertificate", reason), "status": status}

    def _on_GetInstalledCertificateIds(self, request: Any, _: float) -> Payload:
        kinds = None if request.certificateType is UNSET else list(request.certificateType)
        found = []
        for kind, name, below in self.keys.installed(kinds):
            row: Payload = {"certificateType": kind, "certificateHashData": name.to_wire()}
            if below:
                row["childCertificateHashData"] = [each.to_wire() for each in below]
            found.append(row)
        if not found:
            return {"status": "NotFound"}
        return {"status": "Accepted", "certificateHashDataChain": found}

    def _on_DeleteCertificate(self, request: Any, _: float) -> Payload:
        return {"status": self.keys.delete(HashData.of_wire(request.certificateHashData))}

    def _on_UpdateFirmware(self, request: Any, now_s: float) -> Payload:
        """Signed firmware comes with a certificate that must be good (L01.FR.21-22)."""
        if request.firmware.signingCertificate is UNSET:
            return super()._on_UpdateFirmware(request, now_s)
        return {"status": self.update_signed(request, now_s)}
