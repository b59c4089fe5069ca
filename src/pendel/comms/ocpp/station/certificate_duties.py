"""What a station does about certificates in every version; the dialects put it on the wire."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from pendel.comms.ocpp.station.core import VirtualStation

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.keys import StationKeys

Payload = dict[str, Any]
WAIT_MINIMUM_S = 30.0
REPEATS = 3
"""CertSigningWaitMinimum and CertSigningRepeatTimes (A02.FR.17-19)."""


class CertificateDuties(ABC):
    """Mixed into a dialect. root_kind: the type of root under which the backend's stand."""

    station: VirtualStation
    root_kind = "CSMSRootCertificate"

    @cached_property
    def keys(self) -> "StationKeys":
        """Keys and roots; `cryptography` is loaded when the first is needed."""
        from pendel.comms.ocpp.station.keys import StationKeys

        return StationKeys(self.station.settings.station_id)

    def take_credentials(self) -> tuple[str, str] | None:
        """A new certificate chain and its key (PEM), told once."""
        if "keys" not in self.__dict__:
            return None
        fresh, self.keys.fresh = self.keys.fresh, None
        return fresh

    @abstractmethod
    def security_event(self, kind: str, now_s: float) -> None:
        """SecurityEventNotification."""

    @abstractmethod
    def say_request(self, csr_pem: str, request_id: int | None) -> Payload:
        """SignCertificate as plain data."""

    def renew(self) -> None:
        """Make a new key and ask for its certificate (A02)."""
        number = self.station.rng.getrandbits(31)
        self.keys.request(number)
        self._send_request(WAIT_MINIMUM_S, REPEATS)

    def _send_request(self, wait_s: float, repeats: int) -> None:
        pending = self.keys.pending
        if pending is None:
            return

        def answered(response: Any) -> None:
            if response.status != "Accepted":
                self.station.log.append("SignCertificate was refused")
                if self.keys.pending is pending:
                    self.keys.pending = None
            elif repeats:  # the same request again when no certificate comes, later each time
                self.station.later(wait_s, again)

        def again() -> None:
            if self.keys.pending is pending:
                self._send_request(2.0 * wait_s, repeats - 1)

        payload = self.say_request(pending.csr_pem, pending.request_id)
        self.station.call("SignCertificate", payload, answered)

    def signed(self, request: Any, now_s: float) -> str:
        """Take a signed certificate; why not, or ""."""
        number = getattr(request, "requestId", UNSET)
        problem = self.keys.take(
            request.certificateChain,
            None if number is UNSET else number,
            now_s + self.station.clock_error_s,
            self.root_kind,
        )
        if problem:
            self.security_event("InvalidChargingStationCertificate", now_s)
        return problem

    def installed(self, request: Any, now_s: float) -> tuple[str, str]:
        """Status and reason of an InstallCertificate."""
        own_s = now_s + self.station.clock_error_s
        return self.keys.install(request.certificateType, request.certificate, own_s)
