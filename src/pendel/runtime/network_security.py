"""TLS and certificates of the charging network while it runs: who may come how, what ends when.

Files are looked at every few seconds and taken over without a restart; a line whose certificate
was revoked meanwhile is closed; a station whose certificate ends soon is asked for a new one.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from pendel.adapters.certificate_authority import CertificateAuthority, problem
from pendel.adapters.certificate_desk import AuthorityDesk
from pendel.adapters.tls import ServerTls, TlsFiles
from pendel.comms.ocpp.peer import Event
from pendel.comms.ocpp.release import Version, messages_of
from pendel.config.certificates import PlugAndChargeConfig
from pendel.config.ocpp import OcppConfig, OcppTlsConfig
from pendel.errors import InputError
from pendel.records import StationAlarm, StationSecurity

if TYPE_CHECKING:
    from pendel.adapters.certificate_sources import CertificateSources
    from pendel.adapters.ocpp_link import Link
    from pendel.runtime.network import ChargingNetwork
    from pendel.runtime.root_keeping import RootKeeper

LOG = logging.getLogger("pendel.ocpp")
LOOK_S = 5.0
ASK_AGAIN = timedelta(days=1)
SAID_AGAIN = timedelta(minutes=1)
SERVER_NAMES = ("server-ecdsa.pem", "server-rsa.pem")


@dataclass(frozen=True, slots=True)
class Security:
    """What the configuration says of security. tls None = no TLS port; desk None = no authority;
    sources: whoever asks others about certificates (None = nobody does); serves_ocsp: others may
    ask here about those of the authority."""

    plain: bool = True
    tls: ServerTls | None = None
    tls_port: int = 0
    desk: AuthorityDesk | None = None
    renew_before: timedelta = timedelta(days=30)
    sources: "CertificateSources | None" = None
    serves_ocsp: bool = False


@dataclass(slots=True)
class Rejections:
    """Attempts of a known station that was not let in."""

    count: int = 0
    reason: str = ""
    last_utc: datetime | None = None


def security_of(
    config: OcppConfig,
    base: Path,
    now_utc: Callable[[], datetime],
    plug_and_charge: PlugAndChargeConfig | None = None,
) -> Security:
    """Read everything the configuration names. Raises InputError."""
    tls, desk = config.tls, None
    if tls is not None and tls.folder is not None:
        authority = CertificateAuthority(base / tls.folder, now_utc)
        if not authority.exists:
            raise problem(authority.folder, "no certificate authority", "made by `pendel ca init`")
        desk = AuthorityDesk(authority, now_utc)
    sources = None
    if plug_and_charge is not None:
        from pendel.runtime.certificate_setup import sources_of

        sources = sources_of(plug_and_charge, base, now_utc, desk)
    if tls is None:
        return Security(config.plain, sources=sources)
    server = ServerTls(tls_files(tls, base, now_utc), now_utc)
    renew_before = timedelta(days=tls.renew_days)
    return Security(config.plain, server, tls.port, desk, renew_before, sources, tls.ocsp)


def tls_files(tls: OcppTlsConfig, base: Path, now_utc: Callable[[], datetime]) -> TlsFiles:
    """The files by their paths: what is named, else what the folder holds."""
    certificates = tuple(base / name for name in tls.certificates)
    station_ca = tuple(base / name for name in tls.station_ca)
    revoked, organization = tuple(base / name for name in tls.revoked), tls.organization
    if tls.folder is not None:
        folder = base / tls.folder
        certificates = certificates or tuple(folder / name for name in SERVER_NAMES)
        if not tls.station_ca:
            station_ca = (folder / "ca.pem",)
            revoked += (folder / "crl.pem",)
            if (folder / "v2g").is_dir():  # combined certificates, for both lines of a station
                station_ca += (folder / "v2g" / "v2g-trust.pem",)
                revoked += (folder / "v2g" / "v2g-crl.pem",)
            organization = organization or CertificateAuthority(folder, now_utc).operator
    return TlsFiles(certificates, station_ca, revoked, organization)


class SecurityWatch:
    """Implements `adapters.doorkeeper.Rules` for a network, and watches over its certificates."""

    def __init__(self, network: "ChargingNetwork", security: Security) -> None:
        self.security = security
        self.rejections: dict[str, Rejections] = {}
        self._network = network
        self._asked: dict[str, datetime] = {}
        self._server_said: datetime | None = None
        self.roots: RootKeeper | None = None

    def least_profile(self, station_id: str) -> int:
        """What the configuration says, else the highest profile the station ever came by."""
        configured = self._network.policy.stations.get(station_id)
        if configured is not None and configured.security_profile is not None:
            return configured.security_profile
        known = self._network.csms.network.stations.get(station_id)
        return 0 if known is None else known.security_profile

    def refused(self, station_id: str, reason: str) -> None:
        """Keep count of who was not let in; said once a minute."""
        now_utc = self._network.now_utc()
        found = self.rejections.setdefault(station_id, Rejections())
        if found.last_utc is None or now_utc - found.last_utc >= SAID_AGAIN:
            LOG.warning("station %s was not let in: %s", station_id, reason)
        found.count, found.reason, found.last_utc = found.count + 1, reason, now_utc

    def came(self, link: "Link") -> StationSecurity | None:
        """What must be remembered of a station that is there: the highest profile it came by."""
        station = self._network.csms.network.station(link.station_id)
        if self.roots is not None:
            self.roots.came(link.station_id)
        if link.security_profile < 2 or link.security_profile <= station.security_profile:
            return None
        station.security_profile = link.security_profile
        shown = link.certificate
        return StationSecurity(
            id=self._network.csms.new_id(),
            at_utc=self._network.now_utc(),
            station_id=link.station_id,
            security_profile=link.security_profile,
            certificate="" if shown is None else f"{shown.serial_number:x}",
        )

    def ordered(self, station_id: str, action: str, payload: Any) -> None:
        """A station is told to ask for a certificate: the next request without a type is that."""
        if action not in ("TriggerMessage", "ExtendedTriggerMessage"):
            return
        wanted = str(getattr(payload, "requestedMessage", ""))
        if wanted.startswith("Sign"):
            self._network.csms.network.station(station_id).sign_wanted = wanted

    def answered(self, station_id: str, event: Event, record_id: str) -> None:
        """A station that does not take what was signed for it needs a look (A02.FR.07)."""
        if getattr(event, "action", "") != "CertificateSigned":
            return
        answer = getattr(event, "response", None)
        if getattr(answer, "status", "") == "Accepted":
            return
        info = getattr(answer, "statusInfo", UNSET) if answer is not None else UNSET
        why = getattr(event, "code", "") or getattr(info, "additionalInfo", UNSET) or UNSET
        text = "the station refused the certificate that was signed for it"
        if why is not UNSET:
            text = f"{text}: {why}"
        text = "".join(sign if sign.isprintable() else " " for sign in text)
        LOG.warning("station %s: %s", station_id, text)
        alarm = StationAlarm(
            id=self._network.csms.new_id(),
            at_utc=self._network.now_utc(),
            causes=(record_id,),
            station_id=station_id,
            topic="certificate_refused",
            text=text[:500],
        )
        self._network.csms.network.station(station_id).note("alarms", alarm)
        self._network.keep(alarm)

    async def watch(self) -> None:
        """Until cancelled: take over changed files, ask for renewals."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look(self._network.now_utc())

    def look(self, now_utc: datetime, force: bool = False) -> None:
        """One look at files and ends (also on SIGHUP, then with force)."""
        sources, tls = self.security.sources, self.security.tls
        if self.roots is not None:
            self.roots.look(now_utc)
        if sources is not None:
            try:
                sources.refresh()
            except InputError as error:
                told = "; ".join(str(each) for each in error.problems)
                LOG.error("trusted roots not taken over: %s", told)
        if tls is None:
            return
        if tls.refresh(force):
            self._close_revoked(tls)
        before = self.security.renew_before
        said = self._server_said
        if tls.not_after_utc - now_utc < before and (said is None or now_utc - said >= ASK_AGAIN):
            self._server_said = now_utc
            LOG.warning("the server's certificate ends %s: renew it", tls.not_after_utc)
        for link in self._links():
            certificate = link.certificate
            if certificate is not None and certificate.not_after_utc - now_utc < before:
                self._ask(link.station_id, link.version, certificate.not_after_utc, now_utc)

    def _ask(self, station_id: str, version: Version, end: datetime, now_utc: datetime) -> None:
        """Ask a station to ask for a new certificate (A02), once a day."""
        asked = self._asked.get(station_id)
        if asked is not None and now_utc - asked < ASK_AGAIN:
            return
        self._asked[station_id] = now_utc
        if self.security.desk is None:
            LOG.warning("the certificate of station %s ends %s: renew it", station_id, end)
            return
        action, payload = renewal_request(version)
        self._network.soon(self._network.order(station_id, action, payload))

    def _close_revoked(self, tls: ServerTls) -> None:
        door = self._network.door
        for link in self._links():
            if link.certificate is not None and door is not None:
                objection = tls.objection(link.certificate, link.station_id)
                if objection:
                    door.drop(link.station_id, objection)

    def _links(self) -> "list[Link]":
        door = self._network.door
        return [] if door is None else list(door.links.values())


def renewal_request(version: Version) -> tuple[str, Any]:
    """The request that makes a station send a SignCertificateRequest."""
    if version is Version.V16:
        action, wanted = "ExtendedTriggerMessage", "SignChargePointCertificate"
    else:
        action, wanted = "TriggerMessage", "SignChargingStationCertificate"
    return action, messages_of(version).REQUESTS[action](requestedMessage=wanted)
