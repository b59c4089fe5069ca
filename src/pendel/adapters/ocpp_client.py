"""Virtual stations on real WebSockets: connects, stays connected, many in one event loop.

HTTP Basic with the station's id as user name (security profile 1, with wss:// 2, with a client
certificate 3). A lost line is taken up again after a random, doubling pause (OCPP 2.1 part 4,
section 5.3), so that stations that lost it together do not come back together.
"""

import asyncio
import base64
import contextlib
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from pendel.adapters.firmware_file import fetched
from pendel.comms.ocpp.frames import FRAME_BYTES_MAX
from pendel.comms.ocpp.station.core import VirtualStation

BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 60.0
OPEN_S = 10.0
PING_S = 30.0
CLOSE_S = 1.0
TICK_S = 0.25
REBOOT_S = 2.0
"""Time a restart takes."""


@dataclass(slots=True)
class StationClient:
    """A virtual station and its line. url: without the station's id; now_s: the station's time
    [epoch s]; note: told in words what becomes of the line; renewed: TLS with a new certificate
    chain and key (PEM), None = a new certificate is kept and not used."""

    station: VirtualStation
    url: str
    password: str | None
    now_s: Callable[[], float]
    rng: random.Random
    tls: ssl.SSLContext | None = None
    note: Callable[[str], None] = lambda words: None
    renewed: Callable[[str, str], ssl.SSLContext] | None = None
    is_connected: bool = False
    connections: int = 0
    cut_until_s: float = 0.0
    _kick: asyncio.Event = field(default_factory=asyncio.Event)
    _socket: ClientConnection | None = None
    _downloads: set["asyncio.Task[None]"] = field(default_factory=set)
    _proven: ssl.SSLContext | None = None
    """The TLS of before, while a new certificate has not proved itself."""

    @property
    def address(self) -> str:
        """The URL with the station's id as its last part."""
        name = quote(self.station.settings.station_id, safe="")
        base = self.url.rstrip("/")
        return base if base.rpartition("/")[2] == name else f"{base}/{name}"

    def tick(self) -> None:
        """Let the station's time pass and send what it then has to say."""
        self.station.tick(self.now_s())
        self._kick.set()

    def wake(self) -> None:
        """Send what the station has to say."""
        self._kick.set()

    async def cut(self, seconds: float) -> None:
        """Take the line down for seconds of the loop's time."""
        self.cut_until_s = asyncio.get_running_loop().time() + seconds
        if self._socket is not None:
            await self._socket.close(1000, "line cut")

    async def run(self) -> None:
        """Keep the station connected until cancelled."""
        self.station.download = self._download
        pause_s = BACKOFF_FIRST_S
        loop = asyncio.get_running_loop()
        while True:
            wait_s = self.cut_until_s - loop.time()
            if wait_s > 0.0:
                await asyncio.sleep(wait_s)
            try:
                await self._connect_once()
            except InvalidStatus as error:
                self.note(f"refused: HTTP {error.response.status_code}")
                self._fall_back()
            except (OSError, InvalidHandshake, InvalidURI, TimeoutError, EOFError) as error:
                self.note(f"no connection: {str(error) or type(error).__name__}")
                self._fall_back()
            if self.station.accepted:
                pause_s = BACKOFF_FIRST_S
            if self.station.reset_for is not None:
                self.station.reboot(self.now_s(), self._boot_reason())
                await asyncio.sleep(REBOOT_S)
                continue
            await asyncio.sleep(pause_s * (0.5 + self.rng.random()))
            pause_s = min(2.0 * pause_s, BACKOFF_MOST_S)

    def _download(self, location: str, done: Callable[[bytes | None], None]) -> None:
        """Fetch a file beside the line."""

        async def work() -> None:
            try:
                data = await asyncio.to_thread(fetched, location)
            except (OSError, ValueError) as error:
                self.note(f"{location}: {error}"[:300])
                data = None
            self.tick()
            done(data)
            self._kick.set()

        task = asyncio.get_running_loop().create_task(work())
        self._downloads.add(task)
        task.add_done_callback(self._downloads.discard)

    def _trust(self) -> None:
        """Roots of the backend that were installed meanwhile count from this connection on."""
        tls = self.tls
        if tls is None:
            return
        for pem in self.station.dialect.trusted_roots():
            with contextlib.suppress(ssl.SSLError):
                tls.load_verify_locations(cadata=pem)

    def _fall_back(self) -> None:
        """A new certificate that does not let us in is given up for the old one (A02.FR.28)."""
        if self._proven is not None:
            self.tls, self._proven = self._proven, None
            self.note("the new certificate was not taken; back to the old one")

    async def _renew(self, socket: ClientConnection) -> None:
        """Switch to a certificate that was just signed, by a new connection (A02.FR.08)."""
        fresh = self.station.dialect.take_credentials()
        if fresh is None:
            return
        if self.tls is None or self.renewed is None:
            self.note("a new certificate is installed; this line uses none")
            return
        self._proven, self.tls = self.tls, self.renewed(*fresh)
        self.note("a new certificate is installed")
        await socket.close(1000, "new certificate")

    def _boot_reason(self) -> str:
        why = self.station.reset_for
        return why if why in ("ScheduledReset", "LocalReset") else "RemoteReset"

    async def _connect_once(self) -> None:
        headers = {}
        if self.password is not None:
            user = self.station.settings.station_id
            headers["Authorization"] = basic_authorization(user, self.password)
        subprotocol = self.station.version.subprotocol
        self._trust()
        async with connect(
            self.address,
            subprotocols=[subprotocol],  # type: ignore[list-item]
            additional_headers=headers,
            ssl=self.tls,
            compression=None,
            max_size=FRAME_BYTES_MAX,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            proxy=None,
        ) as socket:
            if socket.subprotocol != subprotocol:
                self.note(f"the backend does not speak {subprotocol}")
                return
            await self._converse(socket)

    async def _converse(self, socket: ClientConnection) -> None:
        self._socket, self.is_connected = socket, True
        self.connections += 1
        self._proven = None
        self.note("connected")
        self.station.connected(self.now_s())
        self._kick.set()
        writer = asyncio.create_task(self._write(socket))
        try:
            async for text in socket:
                self.station.feed(text, self.now_s())
                self._kick.set()
        except ConnectionClosed as error:
            self.note(f"line lost: {error}")
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await writer
            self._socket, self.is_connected = None, False
            self.station.disconnected(self.now_s())

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            await self._kick.wait()
            self._kick.clear()
            for frame in self.station.outgoing():
                await socket.send(frame, text=True)
            await self._renew(socket)
            if self.station.reset_for is not None:
                await socket.close(1000, "reset")
                return


def basic_authorization(user: str, password: str) -> str:
    """The Authorization header of HTTP Basic, in UTF-8 (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def run_clients(
    clients: Sequence[StationClient],
    is_over: Callable[[], bool],
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Keep all clients connected and their time going until is_over; then close the lines.

    on_tick is called after each round; what it raises ends the run."""
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        while not is_over():
            for client in clients:
                client.tick()
            on_tick()
            _raise_of(tasks)
            await asyncio.sleep(TICK_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _raise_of(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """A client's own fault must not pass in silence."""
    for task in tasks:
        error = task.exception() if task.done() and not task.cancelled() else None
        if error is not None:
            raise error
