"""The virtual station: one object, no I/O. Feed it text frames, tick it, send what it hands out.

    station = VirtualStation(settings, Version.V21, random, now_s)
    station.connected(now_s); station.feed(text, now_s); station.tick(now_s); station.outgoing()

Transaction messages go through a queue in order, one at a time, and stay there until answered:
nothing is lost while the line is down (E04, E12, E13; 1.6 section 4.1). Everything else is sent
only while connected.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.peer import Answered, Failed, Peer, Request
from pendel.comms.ocpp.profile import Installed, Supply
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.behaviour import Surroundings, settle
from pendel.comms.ocpp.station.equipment import Car, Evse, StationSettings, Transaction
from pendel.units import SECONDS_PER_HOUR, W_PER_KW

QUEUE_MAX = 100_000
BOOT_RETRY_S = 10.0
HEARTBEAT_S = 300.0


@dataclass(slots=True)
class Queued:
    """A transaction message that waits for its answer. build: makes the payload when it is sent
    (1.6 knows the transaction id only after the first answer)."""

    action: str
    build: Callable[[], Any]
    on_answer: Callable[[Any], None]
    transaction: Transaction
    attempts: int = 0
    not_before_s: float = 0.0


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """Answer a request with this error code instead of a result."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Dialect(Protocol):
    """What differs between 1.6 and 2.x: how things are said, and what is understood."""

    def boot(self) -> None:
        """Say BootNotification."""
        ...

    def status(self, evse: Evse) -> None:
        """Say StatusNotification."""
        ...

    def plugged(self, evse: Evse, now_s: float) -> None:
        """A cable went in."""
        ...

    def unplugged(self, evse: Evse, car: Car, now_s: float) -> None:
        """A cable went out."""
        ...

    def meter(self, evse: Evse, now_s: float) -> None:
        """Say the meter values of a running transaction."""
        ...

    def state_changed(self, evse: Evse, now_s: float) -> None:
        """The charging state of a running transaction changed."""
        ...

    def handle(self, action: str, payload: Any, now_s: float) -> Any:
        """Answer a request; raises Refusal."""
        ...


class VirtualStation:
    """State of one station. `around` is what it measures; set it before `tick`.

    clock_error_s: how far its own clock is off (times on the wire carry it).
    """

    def __init__(
        self, settings: StationSettings, version: Version, rng: random.Random, now_s: float
    ) -> None:
        self.settings = settings
        self.version = version
        self.rng = rng
        self.evses = {number: Evse(number) for number in range(1, settings.evses + 1)}
        self.profiles = Installed()
        self.around = Surroundings()
        self.clock_error_s = 0.0
        self.offline_since_s: float | None = now_s
        self.peer: Peer | None = None
        self.accepted = False
        self.queue: deque[Queued] = deque()
        self.log: deque[str] = deque(maxlen=1000)
        self.supply = Supply(settings.voltage_v, settings.phases, settings.is_dc)
        self.heartbeat_s = HEARTBEAT_S
        self.meter_interval_s = settings.meter_interval_s
        self.local_list_version = 0
        self.reset_at_s: float | None = None
        self._answers: dict[str, Callable[[Any], None]] = {}
        self._sending: str | None = None
        self._count = 0
        self._moved_s = now_s
        self._heartbeat_due_s = 0.0
        self._boot_due_s: float | None = None
        self.now_s = now_s
        self.dialect = self._new_dialect()

    def _new_dialect(self) -> Dialect:
        # late import: the dialects know this module's types
        if self.version is Version.V16:
            from pendel.comms.ocpp.station.v16_dialect import Dialect16

            return Dialect16(self)
        from pendel.comms.ocpp.station.v2_commands import Commands2

        return Commands2(self)

    # the line

    def connected(self, now_s: float) -> None:
        """A socket is open: boot once, then go on where the line was lost."""
        self.tick(now_s)
        self.peer = Peer(self.version, self._new_id)
        self.offline_since_s = None
        self._sending = None
        if not self.accepted:
            self.dialect.boot()
        else:
            self._resume()

    def disconnected(self, now_s: float) -> None:
        """The socket is gone; what waited for an answer will be sent again."""
        self.tick(now_s)
        if self.peer is not None:
            self.peer.close()
        self.peer, self._sending = None, None
        self._answers.clear()
        self.offline_since_s = now_s if self.offline_since_s is None else self.offline_since_s

    def outgoing(self) -> list[bytes]:
        """Frames to put on the wire, in order."""
        if self.peer is None:
            return []
        frames = list(self.peer.outbox)
        self.peer.outbox.clear()
        return frames

    def feed(self, data: bytes | str, now_s: float) -> None:
        """Take one text frame from the backend."""
        self.tick(now_s)
        if self.peer is None:
            return
        for event in self.peer.feed(data, now_s):
            self._on_event(event)
        self._send_queued()

    def reboot(self, now_s: float) -> None:
        """Power cycle: transactions end, profiles of the transaction go, the line drops."""
        for evse in self.evses.values():
            if evse.transaction is not None and evse.car is not None:
                self.dialect.unplugged(evse, evse.car, now_s)
        self.accepted, self.reset_at_s = False, None
        self.disconnected(now_s)

    # the car

    def plug(self, evse_id: int, car: Car, now_s: float) -> None:
        """A driver plugs in and shows his card. Raises KeyError or ValueError."""
        self.tick(now_s)
        evse = self.evses[evse_id]
        if evse.car is not None:
            raise ValueError(f"EVSE {evse_id} is occupied")
        evse.car, evse.stopped, evse.needs_sent = car, False, False
        evse.next_meter_s = now_s + self.meter_interval_s
        self.dialect.plugged(evse, now_s)
        self._after_change(evse)

    def unplug(self, evse_id: int, now_s: float) -> Car | None:
        """The driver leaves; returns the car as it is now (None: there was none)."""
        self.tick(now_s)
        evse = self.evses[evse_id]
        car = evse.car
        if car is not None:
            evse.power_kw = 0.0
            evse.car = None
            self.dialect.unplugged(evse, car, now_s)
            evse.stopped = False
        self._after_change(evse)
        return car

    # time

    def tick(self, now_s: float) -> None:
        """Let time pass until now_s [epoch s]: energy flows, meters count, messages fall due."""
        while self._moved_s < now_s:
            # at most the meter interval at once, so that profiles are followed in between
            until_s = min(now_s, self._moved_s + min(self.meter_interval_s, 60.0))
            self._move(until_s)
        self.now_s = now_s
        if self.peer is None:
            return
        for event in self.peer.tick(now_s):
            self._on_event(event)
        if self._boot_due_s is not None and now_s >= self._boot_due_s:
            self._boot_due_s = None
            self.dialect.boot()
        if self.accepted and now_s >= self._heartbeat_due_s:
            self._heartbeat_due_s = now_s + self.heartbeat_s
            self.call("Heartbeat", {}, lambda _: None)
        self._send_queued()

    def wants_reset(self) -> bool:
        """Whether a Reset was accepted: the owner closes the line and calls `reboot`."""
        return self.reset_at_s is not None

    def _move(self, until_s: float) -> None:
        hours = (until_s - self._moved_s) / SECONDS_PER_HOUR
        for evse in self.evses.values():
            evse.power_kw = settle(
                evse, self.settings, self.profiles, self.around, self._moved_s, self.offline_since_s
            )
            if evse.car is not None and evse.power_kw != 0.0:
                evse.power_kw = evse.car.possible_kw(evse.power_kw, hours)
                evse.car.move(evse.power_kw, hours)
                energy_wh = abs(evse.power_kw) * hours * W_PER_KW
                if evse.power_kw > 0.0:
                    evse.import_wh += energy_wh
                else:
                    evse.export_wh += energy_wh
            self.now_s = until_s
            if evse.transaction is not None:
                if evse.charging_state != evse.transaction.charging_state:
                    self.dialect.state_changed(evse, until_s)
                if until_s >= evse.next_meter_s:
                    evse.next_meter_s = until_s + self.meter_interval_s
                    self.dialect.meter(evse, until_s)
        self._moved_s = until_s

    # messages

    def call(self, action: str, payload: Any, on_answer: Callable[[Any], None]) -> None:
        """Send a request that may be lost with the line; on_answer gets the typed response."""
        if self.peer is not None:
            self._answers[self.peer.call(action, payload, self.now_s)] = on_answer

    def enqueue(
        self,
        action: str,
        build: Callable[[], Any],
        transaction: Transaction,
        on_answer: Callable[[Any], None] = lambda _: None,
    ) -> None:
        """Queue a transaction message; the oldest periodic one gives way when the queue is full."""
        if len(self.queue) >= QUEUE_MAX:
            self.log.append("queue full: oldest message dropped")
            self.queue.popleft()
        self.queue.append(Queued(action, build, on_answer, transaction))
        self._send_queued()

    def booted(self, status: str, interval_s: float) -> None:
        """BootNotification was answered."""
        if status == "Accepted":
            self.accepted = True
            self.heartbeat_s = interval_s if interval_s > 0 else HEARTBEAT_S
            self._heartbeat_due_s = self.now_s + self.heartbeat_s
            self._resume()
        else:
            self._boot_due_s = self.now_s + (interval_s if interval_s > 0 else BOOT_RETRY_S)

    def _resume(self) -> None:
        for evse in self.evses.values():
            evse.shown = ""
            self._after_change(evse)
        self._send_queued()

    def _after_change(self, evse: Evse) -> None:
        status = evse.status_16 if self.version is Version.V16 else evse.status_2
        if self.accepted and self.peer is not None and status != evse.shown:
            evse.shown = status
            self.dialect.status(evse)

    def show_status(self) -> None:
        """Say the status of every EVSE whose status changed."""
        for evse in self.evses.values():
            self._after_change(evse)

    def _send_queued(self) -> None:
        if self.peer is None or not self.accepted or self._sending is not None or not self.queue:
            return
        head = self.queue[0]
        if self.now_s < head.not_before_s:
            return
        head.attempts += 1
        message_id = self.peer.call(head.action, head.build(), self.now_s)
        self._sending = message_id

        def answered(response: Any) -> None:
            self._sending = None
            if self.queue and self.queue[0] is head:
                self.queue.popleft()
            head.on_answer(response)
            self._send_queued()

        self._answers[message_id] = answered

    def _on_event(self, event: Any) -> None:
        match event:
            case Request(message_id, action, payload):
                self._answer(message_id, action, payload)
            case Answered(message_id, _, response):
                self._answers.pop(message_id, lambda _: None)(response)
            case Failed(message_id, action, code, description):
                self.log.append(f"{action}: {code} {description}")
                self._answers.pop(message_id, None)
                if message_id == self._sending:
                    self._retry(code)
                elif action == "BootNotification":
                    self._boot_due_s = self.now_s + BOOT_RETRY_S

    def _retry(self, code: str) -> None:
        """E13: an error is tried again after attempts x interval, then given up; a lost line or a
        timeout is tried for ever."""
        self._sending = None
        head = self.queue[0]
        if code in ("Timeout", "ConnectionLost"):
            head.not_before_s = self.now_s + 1.0
        elif head.attempts >= self.settings.message_attempts:
            self.queue.popleft()
            self.log.append(f"{head.action} given up after {head.attempts} attempts: {code}")
        else:
            head.not_before_s = self.now_s + self.settings.attempt_interval_s * head.attempts

    def _answer(self, message_id: str, action: str, payload: Any) -> None:
        peer = self.peer
        if peer is None:
            return
        try:
            response = self.dialect.handle(action, payload, self.now_s)
        except Refusal as refusal:
            peer.refuse(message_id, refusal.code, str(refusal))
            return
        peer.respond(message_id, response)
        self.show_status()

    def _new_id(self) -> str:
        self._count += 1
        return f"{self.settings.station_id[:20]}-{self._count}-{self.rng.getrandbits(32):08x}"[:36]
