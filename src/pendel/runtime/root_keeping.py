"""Keeps the roots of stations in step with [[root]] of the configuration (M03 to M05).

For each connected station: what is installed there is asked for, what should be there and is not
is installed, what this server once installed and should not be there any more is deleted. Roots
that others installed are left alone. Once a day, when a file changed, after a connection, or when
an operator says so.

A root of the backend is deleted only when the station has another one that leads to this server's
own certificate: a mistake must not lock a station out.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from msgspec import UNSET

from pendel.adapters.certificate_authority import common_name, pem_of, problem
from pendel.comms.ocpp.certificates import ALGORITHMS, HashData, hash_data
from pendel.comms.ocpp.peer import Answered
from pendel.comms.ocpp.release import Version, messages_of
from pendel.config.certificates import RootConfig
from pendel.errors import InputError
from pendel.records import StationRoot

if TYPE_CHECKING:
    from pendel.runtime.network import ChargingNetwork

LOG = logging.getLogger("pendel.ocpp")
CSMS = "CSMSRootCertificate"
MANUFACTURER = "ManufacturerRootCertificate"
AGAIN = timedelta(days=1)
AFTER_FAILURE = timedelta(hours=1)
ENDS_SOON = timedelta(days=60)
TOGETHER = 10
ANSWER_S = 30.0
CHARS_MAX = {Version.V16: 5_500, Version.V201: 5_500, Version.V21: 10_000}


@dataclass(frozen=True, slots=True)
class Root:
    """One root that some stations should have; links: the same key signed by others."""

    kind: str
    certificate: x509.Certificate
    links: tuple[x509.Certificate, ...]
    stations: frozenset[str] | None

    def is_for(self, station_id: str) -> bool:
        """Whether a station should have it."""
        return self.stations is None or station_id in self.stations


@dataclass(slots=True)
class Pass:
    """What one look at a station's roots found and did; certificates by type."""

    station_id: str
    at_utc: datetime
    kept: list[tuple[str, x509.Certificate]] = field(default_factory=list)
    installed: list[tuple[str, x509.Certificate]] = field(default_factory=list)
    deleted: list[tuple[str, x509.Certificate]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def has(self, kind: str) -> list[x509.Certificate]:
        """What the station has of a type, of what is known here."""
        return [each for name, each in [*self.kept, *self.installed] if name == kind]


class RootKeeper:
    """Owned by a network's loop. base: folder of the configuration. Raises InputError."""

    def __init__(
        self, network: "ChargingNetwork", configured: Sequence[RootConfig], base: Path
    ) -> None:
        self.passes: dict[str, Pass] = {}
        self._network = network
        self._configured = [(each, base) for each in configured]
        self._stamps = self._stamp()
        self.roots = read_roots(configured, base)
        self._due: dict[str, datetime] = {}
        self._running: set[str] = set()
        self._said: dict[bytes, datetime] = {}

    def look(self, now_utc: datetime) -> None:
        """Take over changed files and look after the stations whose turn it is."""
        self._refresh()
        self._say_ends(now_utc)
        door = self._network.door
        for station_id in [] if door is None else list(door.links):
            if len(self._running) >= TOGETHER:
                return
            booted = self._network.csms.network.station(station_id).booted
            due = self._due.get(station_id)
            if booted and (due is None or now_utc >= due) and station_id not in self._running:
                self._running.add(station_id)
                self._network.soon(self.keep(station_id))

    def came(self, station_id: str) -> None:
        """A station connected: it may have changed its mind, or its server certificate's root."""
        self._due.pop(station_id, None)

    async def keep(self, station_id: str) -> Pass:
        """One look at a station now. Raises OfflineError."""
        now_utc = self._network.now_utc()
        self._refresh()
        found = Pass(station_id, now_utc)
        self._due[station_id] = now_utc + AFTER_FAILURE
        self._running.add(station_id)
        try:
            await self._look_at(station_id, found)
        finally:
            self._running.discard(station_id)
        self.passes[station_id] = found
        self._due[station_id] = now_utc + (AFTER_FAILURE if found.problems else AGAIN)
        for text in found.problems:
            LOG.warning("roots of station %s: %s", station_id, text)
        return found

    async def _look_at(self, station_id: str, found: Pass) -> None:
        wanted = [each for each in self.roots if each.is_for(station_id)]
        good = [each for each in wanted if _holds(each.certificate, found.at_utc)]
        station = self._network.csms.network.station(station_id)
        version = Version(station.ocpp_version)
        given = dict(station.roots_given)
        kinds = {each.kind for each in wanted} | set(given.values())
        for kind in sorted(kinds & set(types_of(version))):
            told = await self._installed(station_id, version, kind, found)
            if told is None:
                continue
            for root in (each for each in good if each.kind == kind):
                names = [each for each in (root.certificate, *root.links) if _is_in(each, told)]
                if names:
                    found.kept.append((kind, names[0]))
                else:
                    await self._install(station_id, version, root, found)
            keep = {pem for each in good for pem in _pems(each)}
            gone = [pem for pem, its in given.items() if its == kind and pem not in keep]
            for pem in gone:
                await self._delete(station_id, version, kind, pem, told, found)

    async def _installed(
        self, station_id: str, version: Version, kind: str, found: Pass
    ) -> list[HashData] | None:
        """Names of what a station has of a type; None = it did not say."""
        name = types_of(version)[kind]
        asked = name if version is Version.V16 else [name]
        action = "GetInstalledCertificateIds"
        answer = await self._ask(station_id, version, action, {"certificateType": asked})
        status = getattr(answer, "status", "")
        if status == "NotFound":
            return []
        if status != "Accepted":
            found.problems.append(f"{kind}: it does not say what is installed")
            return None
        rows = getattr(answer, "certificateHashDataChain", UNSET)
        if version is Version.V16:
            rows = getattr(answer, "certificateHashData", UNSET)
            return [] if rows is UNSET else [HashData.of_wire(each) for each in rows]
        rows = [] if rows is UNSET else rows
        return [
            HashData.of_wire(each.certificateHashData)
            for each in rows
            if each.certificateType == name
        ]

    async def _install(self, station_id: str, version: Version, root: Root, found: Pass) -> None:
        """The root itself; where that is refused, signed by another that the station knows."""
        told = "it gave no answer"
        for certificate in (root.certificate, *root.links):
            pem = pem_of(certificate).decode()
            if len(pem) > CHARS_MAX[version]:
                told = f"of more than {CHARS_MAX[version]} characters"
                continue
            fields = {"certificateType": types_of(version)[root.kind], "certificate": pem}
            answer = await self._ask(station_id, version, "InstallCertificate", fields)
            status = getattr(answer, "status", "")
            if status == "Accepted":
                found.installed.append((root.kind, certificate))
                self._remember(station_id, root.kind, pem, True)
                return
            told = str(status or told)
        name = common_name(root.certificate)
        found.problems.append(f'{root.kind} "{name}" was not installed: {told}')

    async def _delete(
        self,
        station_id: str,
        version: Version,
        kind: str,
        pem: str,
        told: list[HashData],
        found: Pass,
    ) -> None:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        named = next((each for each in told if _is_named(certificate, each)), None)
        if named is None:
            self._remember(station_id, kind, pem, False)  # somebody else deleted it
            return
        if kind == CSMS and not self._leads_here(found.has(CSMS), certificate):
            text = f'{kind} "{common_name(certificate)}" stays: without it this server is unknown'
            found.problems.append(text)
            return
        fields = {"certificateHashData": named.to_wire()}
        answer = await self._ask(station_id, version, "DeleteCertificate", fields)
        if getattr(answer, "status", "") in ("Accepted", "NotFound"):
            found.deleted.append((kind, certificate))
            self._remember(station_id, kind, pem, False)
        else:
            status = getattr(answer, "status", "no answer")
            text = f'{kind} "{common_name(certificate)}" was not deleted: {status}'
            found.problems.append(text)

    def _leads_here(self, has: list[x509.Certificate], old: x509.Certificate) -> bool:
        """Whether one of the station's other roots is that of this server's certificate."""
        others = [each for each in has if each.public_key() != old.public_key()]
        tls = self._network.watch.security.tls
        if tls is None:
            return bool(others)  # TLS ends elsewhere: another root is all that can be known
        return any(_signed(each, root) for each in tls.certificates for root in others)

    async def _ask(
        self, station_id: str, version: Version, action: str, fields: dict[str, Any]
    ) -> Any:
        """The typed answer, or None where there is none. Raises OfflineError."""
        messages: Any = messages_of(version)
        if "certificateHashData" in fields:
            kind = messages.CertificateHashDataType
            fields = {"certificateHashData": kind(**fields["certificateHashData"])}
        payload = messages.REQUESTS[action](**fields)
        event = await self._network.order(station_id, action, payload, ANSWER_S)
        return event.response if isinstance(event, Answered) else None

    def _remember(self, station_id: str, kind: str, pem: str, installed: bool) -> None:
        record = StationRoot(
            id=self._network.csms.new_id(),
            at_utc=self._network.now_utc(),
            station_id=station_id,
            root_type=kind,
            certificate=pem,
            installed=installed,
        )
        self._network.csms.learn_root(record)
        self._network.keep(record)

    def _refresh(self) -> None:
        """Take over changed files; bad ones are said and left, what was read before holds."""
        stamps = self._stamp()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            configured = [each for each, _ in self._configured]
            base = self._configured[0][1] if self._configured else Path()
            self.roots = read_roots(configured, base)
        except InputError as error:
            LOG.error("roots not taken over: %s", "; ".join(str(p) for p in error.problems))
            return
        self._due.clear()

    def _say_ends(self, now_utc: datetime) -> None:
        """Once a day: roots that end soon without another of their type that holds longer."""
        for root in self.roots:
            end_utc, name = root.certificate.not_valid_after_utc, pem_of(root.certificate)
            said = self._said.get(name)
            if end_utc - now_utc > ENDS_SOON or (said is not None and now_utc - said < AGAIN):
                continue
            self._said[name] = now_utc
            after = any(
                each.kind == root.kind
                and each.certificate.not_valid_after_utc > end_utc
                and each.certificate.public_key() != root.certificate.public_key()
                for each in self.roots
            )
            words = "another one is configured" if after else "configure the one that follows"
            title = common_name(root.certificate)
            LOG.warning('%s "%s" ends %s: %s', root.kind, title, end_utc, words)

    def _stamp(self) -> list[tuple[str, int, int]]:
        found = []
        for each, base in self._configured:
            for name in (each.file, *each.links):
                try:
                    state = os.stat(base / name)
                except OSError:
                    continue
                found.append((name, state.st_mtime_ns, state.st_ino))
        return found


def read_roots(configured: Sequence[RootConfig], base: Path) -> list[Root]:
    """The roots that the configuration names. Raises InputError naming the file."""
    found = []
    for each in configured:
        roots = _certificates(base / each.file)
        there = [base / name for name in each.links if (base / name).is_file()]
        links = [link for path in there for link in _certificates(path)]
        stations = None if each.stations is None else frozenset(each.stations)
        for root in roots:
            if not _signed(root, root):
                raise problem(base / each.file, "a certificate that is no root", "roots as PEM")
            same = tuple(x for x in links if x.public_key() == root.public_key())
            found.append(Root(each.type, root, same, stations))
    return found


def types_of(version: Version) -> dict[str, str]:
    """The types of roots that a version knows, and what it calls them."""
    if version is Version.V16:
        return {CSMS: "CentralSystemRootCertificate", MANUFACTURER: MANUFACTURER}
    names = [CSMS, MANUFACTURER, "V2GRootCertificate", "MORootCertificate"]
    if version is Version.V21:
        names.append("OEMRootCertificate")
    return {name: name for name in names}


def _pems(root: Root) -> list[str]:
    return [pem_of(each).decode() for each in (root.certificate, *root.links)]


def _is_in(certificate: x509.Certificate, told: Sequence[HashData]) -> bool:
    return any(_is_named(certificate, each) for each in told)


def _is_named(certificate: x509.Certificate, told: HashData) -> bool:
    """Stations name a root as issued by itself; a link by some as issued by its issuer, whose
    key is not at hand: serial number and name must do there."""
    if told.algorithm not in ALGORITHMS:
        return False
    if hash_data(certificate, certificate, told.algorithm) == told:
        return True
    issuer = ALGORITHMS[told.algorithm](certificate.issuer.public_bytes()).hexdigest()
    serial = f"{certificate.serial_number:x}"
    is_link = certificate.issuer != certificate.subject
    return is_link and (issuer, serial) == (told.issuer_name_hash, told.serial_number)


def _holds(certificate: x509.Certificate, now_utc: datetime) -> bool:
    return certificate.not_valid_before_utc <= now_utc < certificate.not_valid_after_utc


def _signed(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise problem(path, str(error), "certificates as PEM") from error
