"""Who may come in at the OCPP door: decided before the upgrade, whatever carries the frames.

    profile 0   no password at all (only in the lab)      profile 2   TLS and password
    profile 1   password                                  profile 3   TLS and station certificate

The identity in the address, the user name and the certificate's common name must be one. A station
that once came by a higher profile is not let in by a lower one (A05.FR.07).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

from websockets.datastructures import Headers

from pendel.adapters.passwords import PasswordChecker, Verdict
from pendel.adapters.tls import ServerTls, StationCertificate, certificate_of

PATH = "/ocpp/"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="ocpp", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class Admission:
    """A station that may connect; password_hash None = with a certificate, or in the lab.
    lenient: messages that break the schema are mended where that can be done; also: hashes of
    other passwords it may come by, while it is being given a new one."""

    station_id: str
    password_hash: str | None = None
    lenient: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """A connection that wants in. ssl_object: of its transport, None without TLS."""

    path: str
    headers: Headers
    ssl_object: Any
    host: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to whom is not let in."""

    status: HTTPStatus
    text: str
    headers: Mapping[str, str]


class Rules(Protocol):
    """What the doorkeeper asks of, and tells, whoever owns the stations."""

    def least_profile(self, station_id: str) -> int:
        """The lowest security profile (0..3) by which a station may connect."""
        ...

    def refused(self, station_id: str, reason: str) -> None:
        """A known station was not let in."""
        ...


class Doorkeeper:
    """stations: who may connect, by id (looked at for each attempt). tls: set with the TLS port;
    proved: by which hash each station came last."""

    def __init__(self, stations: Mapping[str, Admission], rules: Rules, lab: bool) -> None:
        self.stations = stations
        self.lab = lab
        self.tls: ServerTls | None = None
        self.proved: dict[str, str] = {}
        self._rules = rules
        self._passwords = PasswordChecker()

    def close(self) -> None:
        """End the thread that hashes."""
        self._passwords.close()

    async def rule(self, caller: Caller) -> Refusal | None:
        """404, 403, 401, 503, 400 or None (let it in)."""
        admission = self.stations.get(station_id_of(caller.path))
        if admission is None:
            return Refusal(HTTPStatus.NOT_FOUND, "no such station", {})
        profile, certificate = line_of(caller.ssl_object, admission)
        least = self._rules.least_profile(admission.station_id)
        if profile < least:
            # before the password is looked at: who asks this way shall learn nothing about it
            told = f"security profile {profile}; {least} is the least"
            self._rules.refused(admission.station_id, told)
            return Refusal(HTTPStatus.FORBIDDEN, told, {})
        verdict, reason = await self._judge(caller, admission, certificate)
        if verdict is Verdict.BUSY:
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "try again", {"Retry-After": "5"})
        if verdict is Verdict.WRONG:
            self._rules.refused(admission.station_id, reason)
            return Refusal(HTTPStatus.UNAUTHORIZED, "not authenticated", CHALLENGE)
        if not caller.headers.get_all("Sec-WebSocket-Protocol"):
            return Refusal(HTTPStatus.BAD_REQUEST, "no Sec-WebSocket-Protocol", {})
        return None

    async def _judge(
        self, caller: Caller, admission: Admission, certificate: StationCertificate | None
    ) -> tuple[Verdict, str]:
        """The verdict, and for the log why it is not the right one."""
        credentials = _basic(caller.headers)
        if credentials is not None and credentials[0] != admission.station_id.encode():
            return Verdict.WRONG, "the user name is not the identity"
        if certificate is not None:
            if self.tls is None:
                return Verdict.WRONG, "nobody here knows certificates"
            objection = self.tls.objection(certificate, admission.station_id)
            return (Verdict.WRONG if objection else Verdict.RIGHT), objection
        if admission.password_hash is None:
            broken = credentials is None and "Authorization" in caller.headers
            if self.lab and not broken:
                return Verdict.RIGHT, ""
            return Verdict.WRONG, "no password is set for it"
        if credentials is None:
            return Verdict.WRONG, "no password came"
        station_id, password = admission.station_id, credentials[1]
        for known in admission.also:
            if await self._passwords.proves(station_id, password, known):
                self.proved[station_id] = known
                return Verdict.RIGHT, ""
        known = admission.password_hash
        verdict = await self._passwords.check(caller.host, station_id, password, known)
        if verdict is Verdict.RIGHT:
            self.proved[station_id] = known
        return verdict, "wrong password"


def station_id_of(path: str) -> str:
    """The identity in the address of a request, "" = none."""
    plain = path.partition("?")[0]
    return unquote(plain[len(PATH) :]) if plain.startswith(PATH) else ""


def line_of(ssl_object: Any, admission: Admission) -> tuple[int, StationCertificate | None]:
    """Security profile of a connection and the certificate it showed."""
    certificate = None if ssl_object is None else certificate_of(ssl_object)
    if certificate is not None:
        return 3, certificate
    if admission.password_hash is None:
        return 0, None
    return (1 if ssl_object is None else 2), None


def _basic(headers: Headers) -> tuple[bytes, bytes] | None:
    """User and password of HTTP Basic, or None where there is none that can be read."""
    found = headers.get_all("Authorization")
    if len(found) != 1:
        return None
    scheme, _, text = found[0].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None
