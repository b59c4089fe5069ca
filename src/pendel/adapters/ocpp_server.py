"""The OCPP door: WebSockets of stations, with and without TLS, authenticated before the upgrade.

One connection is one actor: a message is answered before the next one is taken; what a station
sends meanwhile waits in a bounded buffer and then in its own socket. A second socket of a known
station changes nothing until it is authenticated and speaks a known version; then it takes over,
and the end of the old one cannot unregister the new one (connections are compared, not ids).
"""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Protocol

from websockets.http11 import Request, Response

from pendel.adapters.doorkeeper import Admission, Caller, Doorkeeper, Rules, station_id_of
from pendel.adapters.ocpp_line import RECEIVE_BYTES, Line
from pendel.adapters.ocpp_link import Link
from pendel.adapters.tls import HANDSHAKE_S, ServerTls
from pendel.comms.ocpp.frames import FRAME_BYTES_MAX
from pendel.comms.ocpp.peer import Answered, Deviation, Event, Failed, Streamed
from pendel.comms.ocpp.peer import Request as Asked
from pendel.comms.ocpp.release import Version

LOG = logging.getLogger("pendel.ocpp")
PING_S = 60.0
SWEEP_S = 5.0
CLOSE_S = 2.0
OPEN_S = 30.0
BACKLOG = 1_024
DEVIATIONS_MAX = 1_000
"""Broken frames in a row after which a connection is closed."""
_ENDED = (Answered, Failed)


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

    def __init__(
        self, stations: Mapping[str, Admission], logic: Logic, rules: Rules, lab: bool = False
    ) -> None:
        self.links: dict[str, Link] = {}
        self.keeper = Doorkeeper(stations, rules, lab)
        self._logic = logic
        self._lines: set[Line] = set()
        self._judging: set[asyncio.Task[None]] = set()
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._servers: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int, tls: ServerTls | None = None) -> int:
        """Listen, with or without TLS (call it for each); returns the port. Raises OSError."""
        keeper = self.keeper
        if keeper.lab and any(s.password_hash is None for s in keeper.stations.values()):
            LOG.warning("LAB MODE: stations without a password are let in. Never use this outside.")
        loop = asyncio.get_running_loop()
        more: dict[str, Any] = {}
        if tls is not None:
            keeper.tls = tls
            more = {"ssl": tls.context, "ssl_handshake_timeout": HANDSHAKE_S}
            more["ssl_shutdown_timeout"] = CLOSE_S
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
        self.keeper.close()

    def drop(self, station_id: str, reason: str) -> None:
        """Close a station's connection (policy violation)."""
        link = self.links.get(station_id)
        if link is not None:
            link.line.close(1008, reason)

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
        station_id = station_id_of(request.path)
        link = line.link = Link(line, self.keeper.stations[station_id], version)
        before = self.links.get(station_id)
        self.links[station_id] = link
        if before is not None:
            before.replaced = True
            before.line.close(1000, "replaced by a new connection")
        self._logic.connected(link)
        line.go_on()

    async def _admit(self, line: Line, request: Request) -> Response | None:
        """The refusal, or None (go on), before the upgrade."""
        caller = Caller(request.path, request.headers, line.ssl_object, line.remote_host)
        refusal = await self.keeper.rule(caller)
        if refusal is None:
            return None
        response = line.respond(refusal.status, f"{refusal.text}\n")
        response.headers.update(refusal.headers)
        return response

    def _take_note(self, link: Link, event: Event, text: bytes) -> None:
        if isinstance(event, _ENDED):
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
