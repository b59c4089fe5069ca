"""The OCPP door: WebSockets of stations, authenticated before the upgrade.

One connection is one actor: a message is answered before the next one is taken; what a station
sends meanwhile waits in a bounded buffer and then in its own socket. A second socket of a known
station changes nothing until it is authenticated and speaks a known version; then it takes over,
and the end of the old one cannot unregister the new one (connections are compared, not ids).
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from pendel.adapters.ocpp_line import RECEIVE_BYTES, Line
from pendel.adapters.ocpp_link import Link
from pendel.adapters.passwords import PasswordChecker, Verdict
from pendel.comms.ocpp.frames import FRAME_BYTES_MAX
from pendel.comms.ocpp.peer import Answered, Deviation, Event, Failed, Streamed
from pendel.comms.ocpp.peer import Request as Asked
from pendel.comms.ocpp.release import Version

LOG = logging.getLogger("pendel.ocpp")
PATH = "/ocpp/"
PING_S = 60.0
SWEEP_S = 5.0
CLOSE_S = 2.0
OPEN_S = 30.0
BACKLOG = 1_024
DEVIATIONS_MAX = 1_000
"""Broken frames in a row after which a connection is closed."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A station that may connect; password_hash None = only in the lab, without a password."""

    station_id: str
    password_hash: str | None = None


class Logic(Protocol):
    """What the door needs of whoever owns the rules."""

    def requested(self, link: Link, asked: Asked, text: bytes) -> None:
        """Answer by `link.respond` or `link.refuse`, now or later; until then nothing more of
        this station is taken."""
        ...

    def happened(self, link: Link, event: Event, text: bytes) -> None:
        """An answer, a failure, a stream or a deviation."""
        ...

    def connected(self, link: Link) -> None:
        """A station is there (again)."""
        ...

    def disconnected(self, link: Link, replaced: bool) -> None:
        """A connection ended; replaced: the station is there on another one."""
        ...


class OcppDoor:
    """The listening side. stations: who may connect, by id (looked at for each attempt)."""

    def __init__(self, stations: Mapping[str, Admission], logic: Logic, lab: bool = False) -> None:
        self.links: dict[str, Link] = {}
        self._stations = stations
        self._logic = logic
        self._lab = lab
        self._passwords = PasswordChecker()
        self._lines: set[Line] = set()
        self._judging: set[asyncio.Task[None]] = set()
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._servers: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int, tls: Any = None) -> int:
        """Listen, on one port or more; returns the port. tls: an ssl.SSLContext or None.

        Raises OSError."""
        if self._lab and any(s.password_hash is None for s in self._stations.values()):
            LOG.warning("LAB MODE: stations without a password are let in. Never use this outside.")
        loop = asyncio.get_running_loop()
        more: dict[str, Any] = {}
        if tls is not None:
            more = {"ssl": tls, "ssl_handshake_timeout": OPEN_S, "ssl_shutdown_timeout": CLOSE_S}
        server = await loop.create_server(self._line, host, port, backlog=BACKLOG, **more)
        self._servers.append(server)
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP_S, self._sweep_lines)
        return int(next(iter(server.sockets)).getsockname()[1])

    @property
    def accepting(self) -> bool:
        """Whether stations can connect."""
        return bool(self._servers) and all(server.is_serving() for server in self._servers)

    async def close(self) -> None:
        """Close every connection and the ports."""
        for server in self._servers:
            server.close()
        if self._sweep is not None:
            self._sweep.cancel()
        for line in list(self._lines):
            line.close(1001, "the server ends")
        for task in list(self._judging):
            task.cancel()
        end_s = asyncio.get_running_loop().time() + CLOSE_S + 1.0
        while self._lines and asyncio.get_running_loop().time() < end_s:
            await asyncio.sleep(0.01)
        self._passwords.close()

    # what a line tells

    def arrived(self, line: Line, request: Request) -> None:
        """Somebody wants in."""
        task = asyncio.get_running_loop().create_task(self._welcome(line, request))
        self._judging.add(task)
        task.add_done_callback(self._judging.discard)

    def said(self, line: Line, text: bytes) -> None:
        """A message of a station that was let in."""
        link: Link = line.link
        if link.replaced:
            return  # what an old connection still says is not answered any more
        peer = link.peer
        for event in peer.feed(text, line.heard_s):
            if type(event) is Asked:
                link.deviations = 0
                line.busy = True
                self._logic.requested(link, event, text)
            else:
                self._take_note(link, event, text)
        if peer.outbox:
            link.flush()

    def lost(self, line: Line) -> None:
        """A connection is gone."""
        self._lines.discard(line)
        link: Link | None = line.link
        if link is None:
            return
        line.link = None
        if self.links.get(link.station_id) is link:
            del self.links[link.station_id]
        link.ended()
        self._logic.disconnected(link, link.replaced)

    def _line(self) -> Line:
        line = Line(self, self._buffer, _select, FRAME_BYTES_MAX, OPEN_S, CLOSE_S)
        self._lines.add(line)
        return line

    async def _welcome(self, line: Line, request: Request) -> None:
        try:
            refusal = await self._admit(line, request)
        except Exception:
            LOG.exception("a station could not be judged")
            refusal = line.respond(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the server\n")
        if refusal is None and not self.accepting:
            refusal = line.respond(HTTPStatus.SERVICE_UNAVAILABLE, "the server ends\n")
        if refusal is not None:
            line.reject(refusal)
        elif line.open(request):
            self._let_in(line, request)

    def _let_in(self, line: Line, request: Request) -> None:
        version = Version.of_subprotocol(line.subprotocol)
        if version is None:
            line.close(1002, "no common subprotocol")
            return
        station_id = unquote(request.path.partition("?")[0][len(PATH) :])
        link = line.link = Link(line, station_id, version)
        before = self.links.get(station_id)
        self.links[station_id] = link
        if before is not None:
            before.replaced = True
            before.line.close(1000, "replaced by a new connection")
        self._logic.connected(link)
        line.go_on()

    async def _admit(self, line: Line, request: Request) -> Response | None:
        """404, 401, 400 or None (go on), before the upgrade."""
        path = request.path.partition("?")[0]
        station_id = unquote(path[len(PATH) :]) if path.startswith(PATH) else ""
        admission = self._stations.get(station_id)
        if admission is None:
            return _refusal(line, HTTPStatus.NOT_FOUND, "no such station")
        verdict = await self._judge(line, request.headers, admission)
        if verdict is Verdict.BUSY:
            refusal = _refusal(line, HTTPStatus.SERVICE_UNAVAILABLE, "try again")
            refusal.headers["Retry-After"] = "5"
            return refusal
        if verdict is Verdict.WRONG:
            refusal = _refusal(line, HTTPStatus.UNAUTHORIZED, "not authenticated")
            refusal.headers["WWW-Authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
            return refusal
        if not request.headers.get_all("Sec-WebSocket-Protocol"):
            return _refusal(line, HTTPStatus.BAD_REQUEST, "no Sec-WebSocket-Protocol")
        return None

    async def _judge(self, line: Line, headers: Headers, admission: Admission) -> Verdict:
        credentials = _basic(headers)
        named = credentials is None or credentials[0] == admission.station_id.encode()
        if admission.password_hash is None:
            free = self._lab and not (credentials is None and "Authorization" in headers)
            return Verdict.RIGHT if free and named else Verdict.WRONG
        if credentials is None or not named:
            return Verdict.WRONG
        return await self._passwords.check(
            line.remote_host, admission.station_id, credentials[1], admission.password_hash
        )

    def _take_note(self, link: Link, event: Event, text: bytes) -> None:
        if isinstance(event, Answered | Failed):
            link.settle(event)
        elif isinstance(event, Deviation):
            link.deviations += 1
            LOG.info("station %s: %s", link.station_id, event.reason)
            if link.deviations > DEVIATIONS_MAX:
                link.line.close(1008, "too many broken frames")
        elif isinstance(event, Streamed):
            link.deviations = 0
        self._logic.happened(link, event, text)

    def _sweep_lines(self) -> None:
        """Ask those that were silent for long, and end those that did not answer."""
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(SWEEP_S, self._sweep_lines)
        now_s = loop.time()
        for line in list(self._lines):
            silent_s = now_s - line.heard_s
            if silent_s < PING_S:
                line.pinged = False
            elif not line.pinged:
                line.ping()
            elif silent_s >= 2.0 * PING_S and not line.busy:
                line.close(1011, "no answer to a ping")


def _select(protocol: Any, offered: Any) -> Any:
    """The station's first choice among the versions known here, or None."""
    return next((name for name in offered if Version.of_subprotocol(name) is not None), None)


def _refusal(line: Line, status: HTTPStatus, text: str) -> Response:
    return line.respond(status, f"{text}\n")


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
