"""The OCPP door: WebSockets of stations, with and without TLS, authenticated before the upgrade.

One connection is one actor: it reads a frame, answers it, reads the next; what a station sends
meanwhile waits in a bounded queue and then in its own socket. A second socket of a known station
changes nothing until it is authenticated and speaks a known version; then it takes over, and the
end of the old one cannot unregister the new one (connections are compared, not ids).
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Mapping
from typing import Any, Protocol

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from pendel.adapters.doorkeeper import (
    Admission,
    Caller,
    Doorkeeper,
    Rules,
    line_of,
    station_id_of,
)
from pendel.adapters.tls import HANDSHAKE_S, ServerTls
from pendel.comms.ocpp.frames import FRAME_BYTES_MAX
from pendel.comms.ocpp.peer import Answered, Deviation, Event, Failed, Peer, Streamed
from pendel.comms.ocpp.peer import Request as Asked
from pendel.comms.ocpp.release import Version

LOG = logging.getLogger("pendel.ocpp")
INBOX_FRAMES = 4
PING_S = 60.0
CLOSE_S = 2.0
OPEN_S = 30.0
MESSAGE_BURST = 20_000.0
MESSAGES_PER_S = 500.0
"""A station may send as fast as it is answered; only beyond a burst of 20,000 it is slowed."""
FRAMES_PER_TURN = 8
DEVIATIONS_MAX = 1_000
"""Broken frames in a row after which a connection is closed."""


class Logic(Protocol):
    """What the door needs of whoever owns the rules."""

    async def requested(self, link: "Link", asked: Asked, text: str | bytes) -> None:
        """Answer a request through the link's peer."""
        ...

    def happened(self, link: "Link", event: Event, text: str | bytes) -> None:
        """An answer, a failure, a stream or a deviation."""
        ...

    def connected(self, link: "Link") -> None:
        """A station is there (again)."""
        ...

    def disconnected(self, link: "Link", replaced: bool) -> None:
        """A connection ended; replaced: the station is there on another one."""
        ...


class Link:
    """One authenticated connection. Not safe outside of its event loop."""

    __slots__ = (
        "_allowance",
        "_allowance_s",
        "_frames",
        "_timer",
        "_waiting",
        "certificate",
        "deviations",
        "peer",
        "security_profile",
        "socket",
        "station_id",
        "version",
    )

    def __init__(self, socket: ServerConnection, admission: Admission, version: Version) -> None:
        self.socket = socket
        self.station_id = admission.station_id
        self.version = version
        self.peer = Peer(version, _new_message_id, admission.lenient)
        self.security_profile, self.certificate = line_of(_ssl_object(socket), admission)
        self.deviations = 0
        self._waiting: dict[str, asyncio.Future[Event]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._frames = 0
        self._allowance = MESSAGE_BURST
        self._allowance_s = asyncio.get_running_loop().time()

    async def call(self, action: str, payload: Any, timeout_s: float) -> Event:
        """A request to the station; its Answered or Failed. Raises OverflowError (queue full)."""
        loop = asyncio.get_running_loop()
        message_id = self.peer.call(action, payload, loop.time(), timeout_s)
        future: asyncio.Future[Event] = loop.create_future()
        self._waiting[message_id] = future
        await self.flush()
        return await future

    def settle(self, event: Answered | Failed) -> bool:
        """Hand an answer to whoever waits; False where nobody does."""
        future = self._waiting.pop(event.message_id, None)
        if future is None or future.done():
            return False
        future.set_result(event)
        return True

    async def flush(self) -> None:
        """Send what the peer has to say, in order, and watch the deadline of its call."""
        outbox = self.peer.outbox
        while outbox:
            data = outbox.popleft()
            with contextlib.suppress(ConnectionClosed):
                await self.socket.send(data, text=True)
        self._watch()

    def ended(self) -> list[Event]:
        """The socket is gone: every own call has failed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return self.peer.close()

    async def breathe(self) -> None:
        """Yield to the others after some frames; wait where the burst is used up."""
        self._frames += 1
        if self._frames % FRAMES_PER_TURN:
            return
        now_s = asyncio.get_running_loop().time()
        grown = self._allowance + (now_s - self._allowance_s) * MESSAGES_PER_S
        self._allowance, self._allowance_s = min(grown, MESSAGE_BURST) - FRAMES_PER_TURN, now_s
        await asyncio.sleep(max(-self._allowance / MESSAGES_PER_S, 0.0))

    def _watch(self) -> None:
        deadline_s = self.peer.deadline_s
        if deadline_s is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None or self._timer.cancelled() or self._timer.when() > deadline_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(deadline_s, self._expire)

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        for event in self.peer.tick(loop.time()):
            if isinstance(event, Answered | Failed):
                self.settle(event)
        if self.peer.outbox:
            task = loop.create_task(self.flush())
            _RUNNING.add(task)
            task.add_done_callback(_RUNNING.discard)
        else:
            self._watch()


_RUNNING: set["asyncio.Task[None]"] = set()


def _new_message_id() -> str:
    return secrets.token_hex(16)


class OcppDoor:
    """The listening side. stations: who may connect, by id (looked at for each attempt)."""

    def __init__(
        self, stations: Mapping[str, Admission], logic: Logic, rules: Rules, lab: bool = False
    ) -> None:
        self.links: dict[str, Link] = {}
        self.keeper = Doorkeeper(stations, rules, lab)
        self._logic = logic
        self._servers: list[Server] = []

    async def open(self, host: str, port: int, tls: ServerTls | None = None) -> int:
        """Listen, with or without TLS (call it for each); returns the port. Raises OSError."""
        keeper = self.keeper
        secured: dict[str, Any] = {}
        if keeper.lab and any(s.password_hash is None for s in keeper.stations.values()):
            LOG.warning("LAB MODE: stations without a password are let in. Never use this outside.")
        if tls is not None:
            keeper.tls = tls
            secured = {"ssl": tls.context, "ssl_handshake_timeout": HANDSHAKE_S}
        server = await serve(
            self._serve,
            host,
            port,
            **secured,
            process_request=self._admit,
            select_subprotocol=_select,
            compression=None,
            max_size=FRAME_BYTES_MAX,
            max_queue=INBOX_FRAMES,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=CLOSE_S,
            open_timeout=OPEN_S,
            server_header=None,
            backlog=1_024,
            logger=_QUIET,
        )
        self._servers.append(server)
        return int(next(iter(server.sockets)).getsockname()[1])

    @property
    def accepting(self) -> bool:
        """Whether stations can connect."""
        return bool(self._servers) and all(server.is_serving() for server in self._servers)

    def drop(self, station_id: str, reason: str) -> None:
        """Close a station's connection (policy violation)."""
        link = self.links.get(station_id)
        if link is not None:
            _detach(link.socket.close(1008, reason))

    async def close(self) -> None:
        """Close every connection and the ports."""
        for server in self._servers:
            server.close(code=1001, reason="the server ends")
        for server in self._servers:
            await server.wait_closed()
        self.keeper.close()

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """The refusal, or None (go on), before the upgrade."""
        address = connection.remote_address
        host = str(address[0]) if isinstance(address, tuple) and address else ""
        caller = Caller(request.path, request.headers, _ssl_object(connection), host)
        refusal = await self.keeper.rule(caller)
        if refusal is None:
            return None
        response = connection.respond(refusal.status, f"{refusal.text}\n")
        response.headers.update(refusal.headers)
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        version = Version.of_subprotocol(socket.subprotocol or "")
        request = socket.request
        if version is None or request is None:
            await socket.close(1002, "no common subprotocol")
            return
        station_id = station_id_of(request.path)
        link = Link(socket, self.keeper.stations[station_id], version)
        before = self.links.get(station_id)
        self.links[station_id] = link
        if before is not None:
            _detach(before.socket.close(1000, "replaced by a new connection"))
        self._logic.connected(link)
        try:
            await self._converse(link)
        except ConnectionClosed:
            pass
        finally:
            replaced = self.links.get(station_id) is not link
            if not replaced:
                del self.links[station_id]
            for event in link.ended():
                if isinstance(event, Answered | Failed):
                    link.settle(event)
            self._logic.disconnected(link, replaced)

    async def _converse(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        while True:
            text = await link.socket.recv(decode=False)
            if self.links.get(link.station_id) is not link:
                return  # replaced: what an old socket still says is not answered any more
            for event in link.peer.feed(text, loop.time()):
                await self._handle(link, event, text)
            if link.peer.outbox:
                await link.flush()
            if link.deviations > DEVIATIONS_MAX:
                await link.socket.close(1008, "too many broken frames")
                return
            await link.breathe()

    async def _handle(self, link: Link, event: Event, text: str | bytes) -> None:
        if isinstance(event, Asked):
            link.deviations = 0
            await self._logic.requested(link, event, text)
            return
        if isinstance(event, Answered | Failed):
            link.settle(event)
        elif isinstance(event, Deviation):
            link.deviations += 1
            LOG.info("station %s: %s", link.station_id, event.reason)
        elif isinstance(event, Streamed):
            link.deviations = 0
        self._logic.happened(link, event, text)


_QUIET = logging.getLogger("pendel.ocpp.socket")
_QUIET.setLevel(logging.CRITICAL)


def _detach(work: Any) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _RUNNING.add(task)
    task.add_done_callback(_RUNNING.discard)


def _select(connection: ServerConnection, offered: Any) -> Any:
    """The station's first choice among the versions known here, or None."""
    return next((name for name in offered if Version.of_subprotocol(name) is not None), None)


def _ssl_object(connection: ServerConnection) -> Any:
    return connection.transport.get_extra_info("ssl_object")
