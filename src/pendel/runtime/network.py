"""The charging network of a server: the OCPP door, the backend's rules and the log, in one thread.

    socket -> frame -> request -> Csms.handle -> record durable -> answer
                                        \\-> bridge (needs, plugs, readings)

Everything of OCPP lives on one event loop in a thread of its own; others look at its state (plain
dictionaries, copied before they are walked) and give orders through `soon` and `command`.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from pendel.adapters.committer import Committer
from pendel.adapters.ocpp_link import Link
from pendel.adapters.ocpp_server import OcppDoor
from pendel.comms.ocpp.backend.certificates import Finding, Question
from pendel.comms.ocpp.backend.csms import Costs, Csms, Reply
from pendel.comms.ocpp.backend.event_key import Key
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.peer import Deviation, Event, Request, Streamed
from pendel.comms.ocpp.release import Version, messages_of
from pendel.errors import StoreError
from pendel.records import AnyRecord, NetworkSetting
from pendel.runtime.bridges.dialects import Dialect
from pendel.runtime.network_orders import (
    OfflineError,
    StationOrders,
    kept_record,
    log_failure,
)
from pendel.runtime.network_policy import ConfigPolicy
from pendel.runtime.network_presence import Duties, Listener, Presence, must_be_kept
from pendel.runtime.network_security import Security, SecurityWatch
from pendel.runtime.network_settings import NetworkSettings
from pendel.runtime.process import loop_factory, raise_open_files

LOG = logging.getLogger("pendel.ocpp")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
QUESTION_TIMEOUT_S = 5.0
"""For what is asked by the way: an order must not wait long behind it."""


class ChargingNetwork(StationOrders):
    """Implements `adapters.ocpp_server.Logic`."""

    door_type = OcppDoor

    def __init__(
        self,
        policy: ConfigPolicy,
        store: Any,
        lab: bool = False,
        security: Security | None = None,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        costs: Costs | None = None,
    ) -> None:
        """Replay the store; now_utc: the clock; costs: what transactions cost, where it is told.

        Raises StoreError, ChainError."""
        self.policy = policy
        self.now_utc = now_utc
        self.presence: dict[str, Presence] = {}
        self.listener: Listener | None = None
        self.duties: Duties | None = None
        counter = itertools.count(1)
        begin = store.last_sequence
        self.csms = Csms(policy, lambda: f"ocpp-{begin}.{next(counter)}", costs=costs)
        self.settings = NetworkSettings(self)
        self.csms.replay(self.settings.recalled(record for _, record in store.replay()))
        self.port = self.tls_port = 0
        self.watch = SecurityWatch(self, security or Security())
        self.csms.desk = self.watch.security.desk
        self.sources = self.watch.security.sources
        self._store = store
        self._lab = lab
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._door: OcppDoor | None = None
        self._committer: Committer | None = None
        self._in_flight: dict[tuple[str, Key | None], list[tuple[Link, Request, Reply]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, host: str, port: int, fast: bool | None = None) -> int:
        """Serve from now on; returns the port. fast: on uvloop, None = where it is installed.

        Raises OSError."""
        started: threading.Event = threading.Event()
        trouble: list[BaseException] = []

        raise_open_files()
        for version in Version:  # imported now, not under the first station's request
            messages_of(version)

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=loop_factory(fast)) as runner:
                    runner.run(self._main(host, port, started))
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
        self._seen(link, self.now_utc())
        self.presence[link.station_id].ocpp_version = link.line.subprotocol.removeprefix("ocpp")
        self._fit(link)
        self.csms.network.station(link.station_id).ocpp_version = link.version.value
        self.settings.proven(link)
        remembered = self.watch.came(link)
        if remembered is not None:
            self.keep(remembered)
        if self.listener is not None:
            self.listener.came(link.station_id, link.version)
        self.boot_anew(link.station_id)
        if self.duties is not None:
            self.duties.came(link.station_id)

    def disconnected(self, link: Link, replaced: bool) -> None:
        """A connection ended."""
        if not replaced and self.listener is not None:
            self.listener.went(link.station_id)

    def requested(self, link: Link, asked: Request, text: bytes) -> None:
        """Decide, make durable, answer; where others must be asked first, after that."""
        self._seen(link, self.now_utc())
        questions = self.csms.inquiry(link.station_id, asked.action, asked.payload)
        if questions and self.sources is not None:
            self._detach(self._inquire(link, asked, questions))
        else:
            self._decide(link, asked, ())

    async def _inquire(self, link: Link, asked: Request, questions: tuple[Question, ...]) -> None:
        findings: Sequence[Finding] = ()
        if self.sources is not None and self.presence[link.station_id].may_inquire(self.now_utc()):
            findings = await self.sources.find(questions)
        self._decide(link, asked, findings)

    def _decide(self, link: Link, asked: Request, findings: Sequence[Finding]) -> None:
        now_utc = self.now_utc()
        try:
            reply = self.csms.handle(
                link.station_id,
                link.version,
                asked.message_id,
                asked.action,
                asked.payload,
                now_utc,
                asked.text,
                findings,
            )
        except Exception:
            LOG.exception("station %s, %s", link.station_id, asked.action)
            link.refuse(asked.message_id, ErrorCode.INTERNAL_ERROR, "a fault of the server")
            return
        try:
            if self._is_durable(link, asked, reply):
                self._answer(link, asked, reply)
        except StoreError as error:
            self._not_stored(link, asked, reply, error)

    def happened(self, link: Link, event: Event, text: bytes) -> None:
        """Streams are kept; broken frames that carry energy are put aside, not dropped."""
        self._seen(link, self.now_utc())
        if isinstance(event, Streamed):
            self._streamed(link, event)
        elif isinstance(event, Deviation) and link.deviations <= 100:
            self.presence[link.station_id].deviated(event.reason)
            if must_be_kept(event, text):
                self._keep(link, "", text.decode("utf-8", "replace"), (event.reason[:500],))

    def online(self, station_id: str) -> bool:
        """Whether a station is connected now."""
        return self._door is not None and station_id in self._door.links

    def links(self) -> list[str]:
        """Ids of the stations that are connected now."""
        return [] if self._door is None else list(self._door.links)

    def run(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Run work on the network's loop, from any thread. Raises OfflineError: it is not open."""
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise OfflineError("the network is not open")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def door(self) -> OcppDoor | None:
        """The listening side, once it is open."""
        return self._door

    def reload_security(self) -> None:
        """Read the TLS files again, from any thread (SIGHUP)."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.watch.look, self.now_utc(), True)

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
        self._door = self.door_type(self.policy.admissions, self, self.watch, self._lab)
        security = self.watch.security
        if security.plain:
            self.port = await self._door.open(host, port)
        if security.tls is not None:
            self.tls_port = await self._door.open(host, security.tls_port, security.tls)
        self._detach(self.watch.watch())
        started.set()
        await self._stopping.wait()
        await self._door.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._committer.close()

    def _is_durable(self, link: Link, asked: Request, reply: Reply) -> bool:
        """Whether the event of a reply needs no commit (any more); otherwise the answer follows
        the commit. Raises StoreError when it cannot be stored."""
        record = reply.record
        if record is None:
            key = (link.station_id, reply.key)
            if reply.repeat and key in self._in_flight:
                self._in_flight[key].append((link, asked, reply))
                return False
            return True
        if self._committer is None or self._committer.stored_at_once(record):
            return True
        waiting = [(link, asked, reply)]
        if reply.key is None:
            self._committer.add(record, partial(self._stored, None, waiting))
        else:
            key = (link.station_id, reply.key)
            self._in_flight[key] = waiting
            self._committer.add(record, partial(self._stored, key, waiting))
        return False

    def _stored(
        self,
        key: tuple[str, Key | None] | None,
        waiting: list[tuple[Link, Request, Reply]],
        error: StoreError | None,
    ) -> None:
        """A commit ended: answer everybody who waits for this event."""
        if key is not None:
            self._in_flight.pop(key, None)
        for link, asked, reply in waiting:
            if error is None:
                self._answer(link, asked, reply)
            else:
                self._not_stored(link, asked, reply, error)

    def _not_stored(self, link: Link, asked: Request, reply: Reply, error: StoreError) -> None:
        """The station shall come again with what could not be kept."""
        LOG.error("station %s, %s: %s", link.station_id, asked.action, error)
        if reply.key is not None:
            self._in_flight.pop((link.station_id, reply.key), None)
            if not reply.repeat:
                self.csms.forget(link.station_id, reply.key)
        link.refuse(asked.message_id, ErrorCode.INTERNAL_ERROR, "the store does not answer")

    def _answer(self, link: Link, asked: Request, reply: Reply) -> None:
        if reply.code is not None:
            link.refuse(asked.message_id, reply.code, reply.reason)
        else:
            link.respond(asked.message_id, reply.response)
        for order in reply.orders:
            work = self.order(link.station_id, order.action, order.payload, QUESTION_TIMEOUT_S)
            self._detach(work)
        if asked.action == "BootNotification":
            self._fit(link)
        if reply.code is None and not reply.repeat and self.listener is not None:
            self.listener.heard(link.station_id, asked.action, asked.payload)
        if reply.code is None and not reply.repeat and self.duties is not None:
            self.duties.heard(link.station_id, asked.action, asked.payload)

    def _fit(self, link: Link) -> None:
        """A hybrid model speaks the messages of 2.1 under the name of 2.0.1 from its boot on."""
        station = self.csms.network.station(link.station_id)
        manner = self.policy.manner(
            station.station_id, station.vendor, station.model, link.version.value
        )
        if link.version is Version.V201 and manner.dialect is Dialect.HYBRID:
            link.version = link.peer.version = Version.V21
            station.ocpp_version = link.version.value

    def _streamed(self, link: Link, event: Streamed) -> None:
        """Values of a stream: nobody waits for an answer, so nothing waits for the disk."""
        record_id, payload = self.csms.new_id(), event.payload
        refused = self.csms.streamed(
            link.station_id, link.version, payload, record_id, self.now_utc()
        )
        for reason in refused:
            self.presence[link.station_id].deviated(reason)
        text = msgspec.json.encode(payload).decode()
        self._keep(link, event.action, text, tuple(refused), record_id)

    def _keep(
        self, link: Link, action: str, payload: str, refused: tuple[str, ...], record_id: str = ""
    ) -> None:
        made = (record_id or self.csms.new_id(), self.now_utc(), link.station_id, link.version)
        self.keep(kept_record(*made, action, payload, refused))

    def keep(self, record: AnyRecord) -> None:
        """Store a record nobody waits for."""
        if self._committer is not None:
            try:
                if not self._committer.stored_at_once(record):
                    self._committer.add(record, log_failure)
            except StoreError as error:
                log_failure(error)

    async def kept(self, record: NetworkSetting) -> None:
        """Store a record; returns when it is durable. Raises StoreError."""
        if self._committer is None or self._committer.stored_at_once(record):
            return
        future: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
        self._committer.add(record, future.set_result)
        error = await future
        if error is not None:
            raise error

    def boot_anew(self, station_id: str) -> None:
        """Ask a station to boot where it would now be told something else."""
        link = None if self._door is None else self._door.links.get(station_id)
        if link is not None:
            order = self.csms.boots_anew(station_id, link.version, self.now_utc())
            if order is not None:
                self._detach(
                    self.order(station_id, order.action, order.payload, QUESTION_TIMEOUT_S)
                )

    def _seen(self, link: Link, now_utc: datetime) -> None:
        presence = self.presence.get(link.station_id)
        if presence is None:
            presence = self.presence[link.station_id] = Presence()
        presence.last_seen_utc = now_utc

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
