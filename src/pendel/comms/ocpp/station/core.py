"""The virtual station: one object, no I/O.

    station = VirtualStation(settings, Version.V21, random, now_s)
    station.connected(now_s); station.feed(text, now_s); station.tick(now_s); station.outgoing()

Time comes in; between two calls it moves in pieces in which no profile, battery end, meter sample
or timer changes anything, so that a step of a day and a step of a second tell the same story.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.peer import Answered, Failed, Peer, Request
from pendel.comms.ocpp.profile import Installed, Supply
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.behaviour import Surroundings, next_change_s, situation
from pendel.comms.ocpp.station.deciding import decide
from pendel.comms.ocpp.station.der_power import DerPower
from pendel.comms.ocpp.station.dialect import Dialect, Refusal
from pendel.comms.ocpp.station.equipment import Car, Evse, StationSettings, Transaction
from pendel.comms.ocpp.station.transaction_queue import Queued, TransactionQueue
from pendel.units import SECONDS_PER_HOUR

BOOT_RETRY_S = 10.0
HEARTBEAT_S = 300.0
MOVE_S = 60.0
TIMERS_MAX = 1_000


def ignore(_: Any) -> None:
    """Nobody cares."""


class VirtualStation:
    """State of one station. `around`: what it measures; clock_error_s: how far its own clock is
    off (times on the wire carry it); reset_for: why it wants a restart: the owner then closes the
    line and calls `reboot`."""

    def __init__(
        self, settings: StationSettings, version: Version, rng: random.Random, now_s: float
    ) -> None:
        self.settings = settings
        self.version = version
        self.rng = rng
        self.evses = {number: Evse(number) for number in range(1, settings.evses + 1)}
        self.profiles = Installed()
        self.around = Surroundings(nominal_hz=settings.nominal_hz)
        self.der_power = DerPower()
        self.clock_error_s = 0.0
        self.offline_since_s: float | None = now_s
        self.peer: Peer | None = None
        self.accepted = False
        self.boot_reason = "PowerUp"
        self.queue = TransactionQueue(settings.message_attempts, settings.attempt_interval_s)
        self.log: deque[str] = deque(maxlen=1000)
        self.supply = Supply(settings.voltage_v, settings.phases, settings.is_dc)
        self.heartbeat_s = HEARTBEAT_S
        self.meter_interval_s = settings.meter_interval_s
        self.aligned_s = settings.aligned_s
        self.local_list: dict[str, str] = {}
        self.local_list_version = 0
        self.reset_for: str | None = None
        self.reset_when_idle = False
        self.now_s = self._line_s = now_s
        self._answers: dict[str, tuple[Callable[[Any], None], Callable[[str], None]]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._timeout_s = settings.call_timeout_s
        self._heartbeat_due_s = 0.0
        self._boot_due_s: float | None = None
        self.dialect = self._new_dialect()

    def _new_dialect(self) -> Dialect:
        # late import: the dialects know this module's types
        if self.version is Version.V16:
            from pendel.comms.ocpp.station.v16_security import Security16

            return Security16(self)
        from pendel.comms.ocpp.station.v2_security import Security2

        return Security2(self)

    def connected(self, now_s: float) -> None:
        """A socket is open: boot once, then go on where the line was lost."""
        self.tick(now_s)
        self._forget_offline_profiles()
        self.peer = Peer(self.version, self._new_id)
        self.offline_since_s = None
        if not self.accepted:
            self.dialect.boot()
        else:
            self._resume()

    def _forget_offline_profiles(self) -> None:
        """invalidAfterOfflineDuration: what ran out while offline does not come back."""
        if self.offline_since_s is None:
            return
        away_s = self.now_s - self.offline_since_s
        for profile in list(self.profiles.by_id.values()):
            most_s = profile.max_offline_s
            if profile.invalid_after_offline and most_s is not None and away_s >= most_s:
                del self.profiles.by_id[profile.id]

    def disconnected(self, now_s: float) -> None:
        """The socket is gone; what waited for an answer will be sent again."""
        self.tick(now_s)
        self.peer = None
        self.queue.line_lost()
        self.offline_since_s = now_s if self.offline_since_s is None else self.offline_since_s
        lost, self._answers = self._answers, {}
        for _, on_fail in lost.values():
            on_fail("ConnectionLost")

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
        self._decide()
        self._send_queued()

    def reboot(self, now_s: float, reason: str = "LocalReset") -> None:
        """Restart: transactions end, the line drops, cars that are still there start anew; other
        profiles than TxProfiles, DER controls, registers and the queue stay."""
        self.tick(now_s)
        for evse in self.evses.values():
            if evse.transaction is not None:
                self.dialect.interrupted(evse, self.now_s, self.reset_for or "Reboot")
            evse.power_kw, evse.shown = 0.0, ""
        self.disconnected(now_s)
        self.accepted, self.reset_for, self.reset_when_idle = False, None, False
        self.boot_reason = reason
        for evse in self.evses.values():
            if evse.car is not None:
                self._begin(evse)

    # the driver and his car

    def plug(self, evse_id: int, car: Car, now_s: float) -> None:
        """A driver plugs in and shows his card (unless the car's token is empty).

        Raises KeyError (no such EVSE) or ValueError (occupied)."""
        self.tick(now_s)
        evse = self.evses[evse_id]
        if evse.car is not None:
            raise ValueError(f"EVSE {evse_id} is occupied")
        evse.car = car
        self._begin(evse)
        self._decide()

    def _begin(self, evse: Evse) -> None:
        evse.stopped, evse.needs_sent, evse.v2x_allowed = False, False, None
        evse.signal, evse.priority = None, False
        evse.next_meter_s = self.now_s + self.meter_interval_s
        self.dialect.plugged(evse, self.now_s)
        self._after_change(evse)

    def unplug(self, evse_id: int, now_s: float) -> Car | None:
        """The driver leaves; returns the car as it is now (None: there was none)."""
        self.tick(now_s)
        evse = self.evses[evse_id]
        car, evse.power_kw = evse.car, 0.0
        if car is not None:
            self.dialect.unplugged(evse, car, now_s)
            evse.car, evse.stopped, evse.setpoint_kw = None, False, None
        self._after_change(evse)
        return car

    def show_card(self, evse_id: int, id_token: str, now_s: float) -> None:
        """A card is held to the reader: starts, or stops what the same card started."""
        self.tick(now_s)
        self.dialect.card(self.evses[evse_id], id_token, now_s)
        self._decide()

    def fault(self, evse_id: int, text: str | None, now_s: float) -> None:
        """An EVSE breaks (text says how) or is well again (None)."""
        self.tick(now_s)
        evse = self.evses[evse_id]
        if evse.fault != text:
            evse.fault = text
            self._decide()
            self.dialect.faulted(evse, now_s)
            self._after_change(evse)

    def later(self, delay_s: float, work: Callable[[], None]) -> None:
        """Do work delay_s from now. Raises OverflowError beyond TIMERS_MAX."""
        if len(self._timers) >= TIMERS_MAX:
            raise OverflowError(f"more than {TIMERS_MAX} timers")
        self._count += 1
        heapq.heappush(self._timers, (self.now_s + delay_s, self._count, work))

    def tick(self, now_s: float) -> None:
        """Let time pass until now_s [epoch s] (never back): energy flows, messages fall due."""
        self._line_s = max(self._line_s, now_s)  # what is said on the way is sent only now
        while self.now_s < now_s:
            self._step(now_s)
        self._decide()
        if self.peer is None:
            return
        for event in self.peer.tick(self._line_s):
            self._on_event(event)
        if self._boot_due_s is not None and self.now_s >= self._boot_due_s:
            self._boot_due_s = None
            self.dialect.boot()
        if self.accepted and self.now_s >= self._heartbeat_due_s:
            self._heartbeat_due_s = self.now_s + self.heartbeat_s
            self.call("Heartbeat", {}, self.clock_told)
        self._send_queued()

    def _decide(self) -> None:
        """Power of every EVSE as of now; tells what changed by that."""
        decide(self)

    def _step(self, until_s: float) -> None:
        """One piece of time in which nothing changes by itself."""
        begin_s = self.now_s
        self._decide()
        end_s = min(until_s, self.around.next_s(begin_s), self.der_power.until_s(begin_s, MOVE_S))
        if self._timers:
            end_s = min(end_s, max(self._timers[0][0], begin_s))
        if self.aligned_s > 0.0:
            end_s = min(end_s, (begin_s // self.aligned_s + 1.0) * self.aligned_s)
        for evse in self.evses.values():
            if evse.car is not None and evse.transaction is not None:
                where = situation(evse, self.settings, self.offline_since_s)
                end_s = next_change_s(evse, evse.car, self.profiles, where, begin_s, end_s)
        hours = (end_s - begin_s) / SECONDS_PER_HOUR
        for evse in self.evses.values():
            evse.flow(hours)
        self.now_s = end_s
        while self._timers and self._timers[0][0] <= end_s:
            heapq.heappop(self._timers)[2]()
        aligned = self.aligned_s > 0.0 and end_s % self.aligned_s == 0.0
        for evse in self.evses.values():
            due = end_s >= evse.next_meter_s
            if evse.transaction is not None and (due or aligned):
                evse.next_meter_s = end_s + self.meter_interval_s if due else evse.next_meter_s
                self.dialect.meter(evse, end_s, aligned)
        self.dialect.tick(end_s)
        if self.reset_when_idle and not any(e.transaction for e in self.evses.values()):
            self.reset_for, self.reset_when_idle = "ScheduledReset", False

    def call(
        self,
        action: str,
        payload: Any,
        on_answer: Callable[[Any], None] = ignore,
        on_fail: Callable[[str], None] = ignore,
    ) -> None:
        """Send a request that may be lost with the line; on_answer gets the typed response,
        on_fail the error code. Dropped while offline."""
        if self.peer is None:
            on_fail("ConnectionLost")
            return
        try:
            message_id = self.peer.call(action, payload, self._line_s, self._timeout_s)
        except OverflowError as error:
            self.log.append(f"{action}: {error}")
            on_fail("Overflow")
            return
        self._answers[message_id] = (on_answer, on_fail)

    def enqueue(
        self,
        action: str,
        build: Callable[[], Any],
        transaction: Transaction,
        on_answer: Callable[[Any], None] = ignore,
        in_between: bool = False,
    ) -> None:
        """Queue a transaction message."""
        self.queue.add(Queued(action, build, on_answer, transaction, in_between))
        self._send_queued()

    def booted(self, status: str, interval_s: float, clock: Any) -> None:
        """BootNotification was answered."""
        self.set_clock(clock)
        if status == "Accepted":
            first, self.accepted = not self.accepted, True
            self.heartbeat_s = interval_s if interval_s > 0 else HEARTBEAT_S
            self._heartbeat_due_s = self.now_s + self.heartbeat_s
            if first:
                self.dialect.started(self.now_s)
                self._resume()
        else:
            self._boot_due_s = self.now_s + (interval_s if interval_s > 0 else BOOT_RETRY_S)

    def clock_told(self, response: Any) -> None:
        """A Heartbeat was answered."""
        self.set_clock(response.currentTime)

    def set_clock(self, told: Any) -> None:
        """Set the own clock by the backend's datetime."""
        if self.settings.follows_clock:
            self.clock_error_s = told.timestamp() - self.now_s

    def may_charge_offline(self, id_token: str) -> bool:
        """The local list decides, and lets in whom it does not know (OfflineTxForUnknownId)."""
        return self.local_list.get(id_token, "Accepted") == "Accepted"

    def show_status(self) -> None:
        """Say the status of every EVSE whose status changed."""
        for evse in self.evses.values():
            self._after_change(evse)

    def _resume(self) -> None:
        for evse in self.evses.values():
            evse.shown = ""
        self.show_status()

    def _after_change(self, evse: Evse) -> None:
        status = evse.status_16 if self.version is Version.V16 else evse.status_2
        if self.accepted and self.peer is not None and status != evse.shown:
            evse.shown = status
            self.dialect.status(evse)

    def _send_queued(self) -> None:
        if self.peer is None or not self.accepted:
            return
        head = self.queue.due(self._line_s)
        if head is not None:
            payload = head.build()
            self.queue.sending = self.peer.call(head.action, payload, self._line_s, self._timeout_s)
        elif not self.queue.waiting:
            for evse in self.evses.values():
                self.dialect.ready(evse, self.now_s)

    def _on_event(self, event: Any) -> None:
        match event:
            case Request(message_id, action, payload):
                self._answer(message_id, action, payload)
            case Answered(message_id, _, response) if message_id == self.queue.sending:
                self.queue.answered().on_answer(response)
            case Answered(message_id, _, response):
                self._answers.pop(message_id, (ignore, ignore))[0](response)
            case Failed(message_id, action, code, description):
                self.log.append(f"{action}: {code} {description}")
                if message_id == self.queue.sending:
                    self.queue.failed(code, self._line_s)
                elif action == "BootNotification":
                    self._boot_due_s = self.now_s + BOOT_RETRY_S
                self._answers.pop(message_id, (ignore, ignore))[1](code)

    def _answer(self, message_id: str, action: str, payload: Any) -> None:
        peer = self.peer
        if peer is None:
            return
        before = len(peer.outbox)
        try:
            response = self.dialect.handle(action, payload, self.now_s)
        except Refusal as refusal:
            peer.refuse(message_id, refusal.code, str(refusal))
        except (ValueError, OverflowError) as error:
            self.log.append(f"{action}: {error}")
            peer.refuse(message_id, ErrorCode.INTERNAL_ERROR, str(error))
        else:
            peer.respond(message_id, response)
        if len(peer.outbox) > before + 1:  # the answer goes out before what it brought about
            peer.outbox.insert(before, peer.outbox.pop())
        self.show_status()

    def _new_id(self) -> str:
        self._count += 1
        return f"{self.settings.station_id[:16]}-{self._count}-{self.rng.getrandbits(32):08x}"
