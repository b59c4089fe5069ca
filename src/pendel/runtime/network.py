"""The charging network of a server: the OCPP door, the backend's rules and the log, in one thread.

    socket -> frame -> request -> Csms.handle -> record durable -> answer
                                        \\-> bridge (needs, plugs, readings)

Everything of OCPP lives on one event loop in a thread of its own; others look at its state (plain
dictionaries, copied before they are walked) and give orders through `order_soon` and `command`.
"""

import asyncio
import contextlib
import itertools
import logging
import resource
import threading
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from pendel.adapters.committer import Committer
from pendel.adapters.ocpp_server import Link, OcppDoor
from pendel.comms.ocpp.backend.csms import Csms, Key, Reply
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.peer import Answered, Deviation, Event, Failed, Request, Streamed
from pendel.comms.ocpp.release import Version, messages_of
from pendel.errors import PendelError, StoreError
from pendel.records import StationMessage
from pendel.runtime.bridges.dialects import Dialect, manner_of
from pendel.runtime.network_policy import ConfigPolicy

LOG = logging.getLogger("pendel.ocpp")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
ORDER_TIMEOUT_S = 30.0
QUESTION_TIMEOUT_S = 5.0
"""For what is asked by the way: an order must not wait long behind it."""
QUARANTINED_TEXT_MAX = 128 * 1024
EVENT_ACTIONS = (b"TransactionEvent", b"MeterValues", b"StartTransaction", b"StopTransaction")


class OfflineError(PendelError):
    """The station has no connection."""


class InvalidOrderError(PendelError):
    """An order that the schema of the station's version does not allow."""


class Listener(Protocol):
    """Who wants to know what happens; called on the network's thread, must not block."""

    def heard(self, station_id: str, action: str, payload: Any) -> None:
        """A request was stored and answered."""
        ...

    def came(self, station_id: str, version: Version) -> None:
        """A station connected."""
        ...

    def went(self, station_id: str) -> None:
        """A station has no connection any more."""
        ...


@dataclass(slots=True)
class Presence:
    """What is known of a station's line. last_seen_utc: of the last frame."""

    ocpp_version: str = ""
    last_seen_utc: datetime | None = None


class ChargingNetwork:
    """Implements `adapters.ocpp_server.Logic`."""

    def __init__(
        self,
        policy: ConfigPolicy,
        store: Any,
        lab: bool = False,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Replay the store; now_utc: the clock. Raises StoreError, ChainError."""
        self.policy = policy
        self.now_utc = now_utc
        self.presence: dict[str, Presence] = {}
        self.listener: Listener | None = None
        counter = itertools.count(1)
        begin = store.last_sequence
        self.csms = Csms(policy, lambda: f"ocpp-{begin}.{next(counter)}")
        self.csms.replay(record for _, record in store.replay())
        self.port = 0
        self._store = store
        self._lab = lab
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._door: OcppDoor | None = None
        self._committer: Committer | None = None
        self._in_flight: dict[tuple[str, Key], asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, host: str, port: int) -> int:
        """Serve from now on; returns the port. Raises OSError."""
        started: threading.Event = threading.Event()
        trouble: list[BaseException] = []

        _raise_open_files()
        for version in Version:  # imported now, not under the first station's request
            messages_of(version)

        def run() -> None:
            try:
                asyncio.run(self._main(host, port, started))
            except BaseException as error:
                trouble.append(error)
                started.set()

        self._thread = threading.Thread(target=run, name="ocpp", daemon=True)
        self._thread.start()
        started.wait(START_TIMEOUT_S)
        if trouble:
            raise trouble[0]
        return self.port

    def stop(self) -> None:
        """Close the door, make durable what came, end the thread."""
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stopping.set)
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)

    @property
    def accepting(self) -> bool:
        """Whether stations can connect."""
        return self._door is not None and self._door.accepting

    def connected(self, link: Link) -> None:
        """A station is there (again)."""
        self._seen(link)
        self._fit(link)
        self.csms.network.station(link.station_id).ocpp_version = link.version.value
        if self.listener is not None:
            self.listener.came(link.station_id, link.version)

    def disconnected(self, link: Link, replaced: bool) -> None:
        """A connection ended."""
        if not replaced and self.listener is not None:
            self.listener.went(link.station_id)

    async def requested(self, link: Link, asked: Request, text: str | bytes) -> None:
        """Decide, make durable, answer."""
        now_utc = self.now_utc()
        self._seen(link, now_utc)
        try:
            reply = self.csms.handle(
                link.station_id,
                link.version,
                asked.message_id,
                asked.action,
                asked.payload,
                now_utc,
            )
            await self._durable(link.station_id, reply)
        except StoreError as error:
            LOG.error("station %s, %s: %s", link.station_id, asked.action, error)
            link.peer.refuse(
                asked.message_id, ErrorCode.INTERNAL_ERROR, "the store does not answer"
            )
            return
        except Exception:
            LOG.exception("station %s, %s", link.station_id, asked.action)
            link.peer.refuse(asked.message_id, ErrorCode.INTERNAL_ERROR, "a fault of the server")
            return
        if reply.code is not None:
            link.peer.refuse(asked.message_id, reply.code, reply.reason)
        else:
            link.peer.respond(asked.message_id, reply.response)
        await link.flush()
        for order in reply.orders:
            work = self.order(link.station_id, order.action, order.payload, QUESTION_TIMEOUT_S)
            self._detach(work)
        if asked.action == "BootNotification":
            self._fit(link)
        if reply.code is None and not reply.repeat and self.listener is not None:
            self.listener.heard(link.station_id, asked.action, asked.payload)

    def happened(self, link: Link, event: Event, text: str | bytes) -> None:
        """Streams are kept; broken frames that carry energy are put aside, not dropped."""
        self._seen(link)
        if isinstance(event, Streamed):
            payload = msgspec.json.encode(event.payload).decode()
            self._keep(link, event.action, payload, ())
        elif isinstance(event, Deviation) and link.deviations <= 100:
            raw = text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text)
            if any(name in raw for name in EVENT_ACTIONS) and len(raw) <= QUARANTINED_TEXT_MAX:
                self._keep(link, "", raw.decode("utf-8", "replace"), (event.reason[:500],))

    async def order(
        self,
        station_id: str,
        action: str,
        payload: Any,
        timeout_s: float = ORDER_TIMEOUT_S,
        causes: Iterable[str] = (),
    ) -> Event:
        """Send a request to a station and keep what came of it; its Answered or Failed.

        Raises OfflineError, OverflowError."""
        link = None if self._door is None else self._door.links.get(station_id)
        if link is None:
            raise OfflineError(f"station {station_id!r} is offline")
        event = await link.call(action, payload, timeout_s)
        response, status = "", ""
        if isinstance(event, Answered):
            response = msgspec.json.encode(event.response).decode()
            status = str(getattr(event.response, "status", "Answered"))
        elif isinstance(event, Failed):
            status = f"{event.code}: {event.description}"[:500]
        self._add(
            StationMessage(
                id=self.csms.new_id(),
                at_utc=self.now_utc(),
                causes=tuple(causes),
                station_id=station_id,
                ocpp_version=link.version.value,
                action=action,
                message_id=getattr(event, "message_id", ""),
                payload=msgspec.json.encode(payload).decode(),
                outgoing=True,
                response=response,
                status=status,
            )
        )
        return event

    def command(self, station_id: str, action: str, payload: Any, timeout_s: float) -> Event:
        """`order` for other threads; payload is plain data, checked against the schema.

        Raises OfflineError, InvalidOrderError, OverflowError."""
        if not self.online(station_id) or self._loop is None:
            raise OfflineError(f"station {station_id!r} is offline")
        version = Version(self.csms.network.station(station_id).ocpp_version)
        typed = typed_order(version, action, payload)
        work = self.order(station_id, action, typed, timeout_s)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s + 5.0)

    def online(self, station_id: str) -> bool:
        """Whether a station is connected now."""
        return self._door is not None and station_id in self._door.links

    def soon(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run work on the network's loop, from any thread, without waiting for it."""
        loop = self._loop
        if loop is None or loop.is_closed():
            work.close()
            return
        loop.call_soon_threadsafe(self._detach, work)

    async def _main(self, host: str, port: int, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._committer = Committer(self._store)
        self._door = OcppDoor(self.policy.admissions, self, self._lab)
        self.port = await self._door.open(host, port)
        started.set()
        await self._stopping.wait()
        await self._door.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._committer.close()

    async def _durable(self, station_id: str, reply: Reply) -> None:
        """Return when the event of a reply is durable. Raises StoreError when it cannot be."""
        key = None if reply.key is None else (station_id, reply.key)
        if reply.repeat and key is not None and key in self._in_flight:
            await asyncio.shield(self._in_flight[key])
        if reply.record is None or self._committer is None:
            return
        future = self._committer.add(reply.record)
        if key is None or reply.key is None:
            await future
            return
        self._in_flight[key] = future
        try:
            await future
        except StoreError:
            self.csms.forget(station_id, reply.key)
            raise
        finally:
            self._in_flight.pop(key, None)

    def _fit(self, link: Link) -> None:
        """A hybrid model speaks the messages of 2.1 under the name of 2.0.1 from its boot on."""
        station = self.csms.network.station(link.station_id)
        manner = manner_of(station.vendor, station.model, link.version.value)
        if link.version is Version.V201 and manner.dialect is Dialect.HYBRID:
            link.version = link.peer.version = Version.V21
            station.ocpp_version = link.version.value

    def _keep(self, link: Link, action: str, payload: str, refused: tuple[str, ...]) -> None:
        self._add(
            StationMessage(
                id=self.csms.new_id(),
                at_utc=self.now_utc(),
                station_id=link.station_id,
                ocpp_version=link.version.value,
                action=action,
                message_id="",
                payload=payload,
                refused=refused,
            )
        )

    def _add(self, record: StationMessage) -> None:
        if self._committer is not None:
            self._committer.add(record).add_done_callback(_log_failure)

    def _seen(self, link: Link, now_utc: datetime | None = None) -> None:
        presence = self.presence.get(link.station_id)
        if presence is None:
            presence = self.presence[link.station_id] = Presence()
        presence.ocpp_version = (link.socket.subprotocol or "").removeprefix("ocpp")
        presence.last_seen_utc = now_utc or self.now_utc()

    def _detach(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, OfflineError | OverflowError):
            LOG.info("an order was not sent: %s", error)
        elif error is not None:
            LOG.error("an order failed", exc_info=error)


def _raise_open_files() -> None:
    """A socket is an open file: use what the system allows (10,000 stations and more)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def typed_order(version: Version, action: str, payload: Any) -> Any:
    """Plain data as the typed request of a version. Raises InvalidOrderError with the place."""
    kind = messages_of(version).REQUESTS.get(action)
    if kind is None:
        raise InvalidOrderError(f"OCPP {version.value} has no request {action!r}")
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        raise InvalidOrderError(f"{action}: {error}") from error


def _log_failure(future: "asyncio.Future[None]") -> None:
    if not future.cancelled() and future.exception() is not None:
        LOG.error("a record could not be stored: %s", future.exception())
