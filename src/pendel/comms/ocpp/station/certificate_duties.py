"""What a station does about certificates in every version; the dialects put it on the wire."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from pendel.comms.ocpp.station.core import VirtualStation

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.firmware import SignedFirmware
    from pendel.comms.ocpp.station.keys import Pending, StationKeys

Payload = dict[str, Any]
WAIT_MINIMUM_S = 30.0
REPEATS = 3
"""CertSigningWaitMinimum and CertSigningRepeatTimes (A02.FR.17-19)."""
FIRMWARE_ROOT = "ManufacturerRootCertificate"
V2G_ROOT = "V2GRootCertificate"


class CertificateDuties(ABC):
    """Mixed into a dialect. root_kind: the type of root under which the backend's stand."""

    station: VirtualStation
    root_kind = "CSMSRootCertificate"
    firmware_notice = "FirmwareStatusNotification"

    @cached_property
    def keys(self) -> "StationKeys":
        """Keys and roots; `cryptography` is loaded when the first is needed."""
        from pendel.comms.ocpp.station.keys import StationKeys

        settings = self.station.settings
        return StationKeys(settings.station_id, settings.organization)

    @cached_property
    def firmware(self) -> "SignedFirmware":
        """The update that runs or ran last."""
        from pendel.comms.ocpp.station.firmware import SignedFirmware

        return SignedFirmware(self)

    def take_credentials(self) -> tuple[str, str] | None:
        """A new certificate chain and its key (PEM), told once."""
        if "keys" not in self.__dict__:
            return None
        fresh, self.keys.fresh = self.keys.fresh, None
        return fresh

    def trusted_roots(self) -> list[str]:
        """The installed roots of the backend (PEM)."""
        if "keys" not in self.__dict__:
            return []
        from cryptography.hazmat.primitives.serialization import Encoding

        found = self.keys.roots.get(self.root_kind, [])
        return [each.public_bytes(Encoding.PEM).decode() for each in found]

    @abstractmethod
    def security_event(self, kind: str, now_s: float) -> None:
        """SecurityEventNotification."""

    @abstractmethod
    def say_request(self, pending: "Pending") -> Payload:
        """SignCertificate as plain data."""

    def certificate_taken(self, pending: "Pending") -> None:
        """A signed certificate was good."""
        self.station.log.append(f"a certificate was taken: {pending.use}")

    def renew(self, use: str = "ChargingStationCertificate", name: str = "") -> None:
        """Make a new key and ask for its certificate (A02)."""
        number = self.station.rng.getrandbits(31)
        self._send_request(self.keys.request(number, use, name), WAIT_MINIMUM_S, REPEATS)

    def _send_request(self, pending: "Pending", wait_s: float, repeats: int) -> None:
        keys, use = self.keys, pending.use

        def answered(response: Any) -> None:
            if response.status != "Accepted":
                self.station.log.append("SignCertificate was refused")
                if keys.pending.get(use) is pending:
                    del keys.pending[use]
            elif repeats:  # the same request again when no certificate comes, later each time
                self.station.later(wait_s, again)

        def again() -> None:
            if keys.pending.get(use) is pending and use not in keys.refused:  # A02.FR.20
                self._send_request(pending, 2.0 * wait_s, repeats - 1)

        self.station.call("SignCertificate", self.say_request(pending), answered)

    def signed(self, request: Any, now_s: float) -> str:
        """Take a signed certificate; why not, or ""."""
        number, kind = (getattr(request, n, UNSET) for n in ("requestId", "certificateType"))
        pending = self.keys.awaited(
            None if kind is UNSET else kind, None if number is UNSET else number
        )
        towards_backend = pending is None or pending.use == "ChargingStationCertificate"
        own_s = now_s + self.station.clock_error_s
        root_kind = self.root_kind if towards_backend else V2G_ROOT
        problem = self.keys.take(pending, request.certificateChain, own_s, root_kind)
        if problem:
            self.security_event("InvalidChargingStationCertificate", now_s)
        elif pending is not None:
            self.certificate_taken(pending)
        return problem

    def installed(self, request: Any, now_s: float) -> tuple[str, str]:
        """Status and reason of an InstallCertificate."""
        own_s = now_s + self.station.clock_error_s
        return self.keys.install(request.certificateType, request.certificate, own_s)

    def update_signed(self, request: Any, now_s: float) -> str:
        """Status of a request to update to signed firmware (L01.FR.21-24)."""
        signer = request.firmware.signingCertificate
        if not self.keys.trusts(FIRMWARE_ROOT, signer, now_s + self.station.clock_error_s):
            self.security_event("InvalidFirmwareSigningCertificate", now_s)
            return "InvalidCertificate"
        return self.firmware.begin(request, now_s)
