"""Signed firmware at a virtual station: fetched, its signature checked, then "installed" (L01).

Nothing is run: what is played is the time an installation takes. What is real is the check: RSA-PSS
or ECDSA over the whole file with SHA-256, by the key of the signing certificate (L01.FR.04, 12).
"""

import base64
import binascii
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from msgspec import UNSET

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.certificate_duties import CertificateDuties

INSTALL_S = 5.0
"""Time the installation takes."""
BUSY = (
    "DownloadScheduled",
    "Downloading",
    "Downloaded",
    "SignatureVerified",
    "InstallScheduled",
    "Installing",
)


class SignedFirmware:
    """One update after the other; a new one ends the one before (L01.FR.24)."""

    def __init__(self, duties: "CertificateDuties") -> None:
        self.status = "Idle"
        self._duties = duties
        self._run = self._number = 0

    def begin(self, request: Any, now_s: float) -> str:
        """Start an update whose signer is trusted; Accepted or AcceptedCanceled."""
        replaced = self.status in BUSY
        self._run, self._number = self._run + 1, request.requestId
        run, station = self._run, self._duties.station
        self._say("DownloadScheduled", run, request.requestId, silent=True)
        delay_s = max(0.0, request.firmware.retrieveDateTime.timestamp() - self._own_s(now_s))
        if delay_s:
            self._say("DownloadScheduled", run, request.requestId)
        station.later(delay_s, lambda: self._download(run, request))
        return "AcceptedCanceled" if replaced else "Accepted"

    def told(self) -> dict[str, Any]:
        """The last status, as it is told when asked for (L01.FR.25-26)."""
        if self.status in ("Idle", "Installed"):
            return {"status": "Idle"}
        return {"status": self.status, "requestId": self._number}

    def _own_s(self, now_s: float) -> float:
        return now_s + self._duties.station.clock_error_s

    def _download(self, run: int, request: Any) -> None:
        if not self._say("Downloading", run, request.requestId):
            return
        download = self._duties.station.download
        if download is None:  # nobody fetches files for this station
            self._say("DownloadFailed", run, request.requestId)
            return

        def done(data: bytes | None) -> None:
            """None: the file could not be had."""
            if data is None:
                self._say("DownloadFailed", run, request.requestId)
            else:
                self._check(run, request, data)

        download(request.firmware.location, done)

    def _check(self, run: int, request: Any, data: bytes) -> None:
        number, firmware = request.requestId, request.firmware
        if not self._say("Downloaded", run, number):
            return
        signature = "" if firmware.signature is UNSET else firmware.signature
        now_s = self._duties.station.now_s
        if not is_signed(data, signature, firmware.signingCertificate):
            self._say("InvalidSignature", run, number)
            self._duties.security_event("InvalidFirmwareSignature", now_s)
            return
        self._say("SignatureVerified", run, number)
        wait_s = 0.0
        if firmware.installDateTime is not UNSET:
            wait_s = max(0.0, firmware.installDateTime.timestamp() - self._own_s(now_s))
        if wait_s:
            self._say("InstallScheduled", run, number)
        self._duties.station.later(wait_s, lambda: self._install(run, number))

    def _install(self, run: int, number: int) -> None:
        """It waits for running transactions (L01.FR.06)."""
        station = self._duties.station
        if run != self._run:
            return
        if any(evse.transaction is not None for evse in station.evses.values()):
            station.later(INSTALL_S, lambda: self._install(run, number))
            return
        self._say("Installing", run, number)
        station.later(INSTALL_S, lambda: self._installed(run, number))

    def _installed(self, run: int, number: int) -> None:
        if self._say("Installed", run, number):
            self._duties.security_event("FirmwareUpdated", self._duties.station.now_s)

    def _say(self, status: str, run: int, number: int, silent: bool = False) -> bool:
        """Tell a new status; False where another update took the place of this one."""
        if run != self._run:
            return False
        self.status = status
        if not silent:
            payload = {"status": status, "requestId": number}
            self._duties.station.call(self._duties.firmware_notice, payload)
        return True


def is_signed(data: bytes, signature: str, signer_pem: str) -> bool:
    """Whether a signature (base64) of a file is that of a signer."""
    try:
        key = x509.load_pem_x509_certificate(signer_pem.encode()).public_key()
        given = base64.b64decode(signature, validate=True)
        if isinstance(key, rsa.RSAPublicKey):
            scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
            key.verify(given, data, scheme, hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(given, data, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except (ValueError, binascii.Error, InvalidSignature):
        return False
    return True
