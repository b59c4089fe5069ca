"""One authenticated station on one line: the state of its OCPP connection, and who waits."""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from typing import Any

from pendel.adapters.ocpp_line import Line
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.peer import Answered, Event, Failed, Peer
from pendel.comms.ocpp.release import Version

Done = Callable[[Event], None]


class Link:
    """One authenticated connection. Not safe outside of its event loop.

    deviations: broken frames in a row. replaced: the station is there on another connection.
    """

    __slots__ = (
        "_timer",
        "_timer_s",
        "_waiting",
        "deviations",
        "line",
        "peer",
        "replaced",
        "station_id",
        "version",
    )

    def __init__(self, line: Line, station_id: str, version: Version) -> None:
        self.line = line
        self.station_id = station_id
        self.version = version
        self.peer = Peer(version, message_ids())
        self.deviations = 0
        self.replaced = False
        self._waiting: dict[str, Done] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0

    def ask(self, action: str, payload: Any, timeout_s: float, done: Done) -> None:
        """A request to the station; done gets its Answered or Failed, once.

        Raises OverflowError (queue full)."""
        now_s = asyncio.get_running_loop().time()
        self._waiting[self.peer.call(action, payload, now_s, timeout_s)] = done
        self.flush()

    def respond(self, message_id: str, response: Any) -> None:
        """Answer a request; then the next one is taken."""
        self.peer.respond(message_id, response)
        self._answered()

    def refuse(self, message_id: str, code: ErrorCode, description: str) -> None:
        """Answer a request with an error; then the next one is taken."""
        self.peer.refuse(message_id, code, description)
        self._answered()

    def settle(self, event: Answered | Failed) -> None:
        """Hand an answer to whoever waits."""
        done = self._waiting.pop(event.message_id, None)
        if done is not None:
            done(event)

    def flush(self) -> None:
        """Send what the peer has to say, in order, and watch the deadline of its call."""
        outbox = self.peer.outbox
        while outbox:
            self.line.send(outbox.popleft())
        deadline_s = self.peer.deadline_s
        if deadline_s is not None and (self._timer is None or self._timer_s > deadline_s):
            self._wake_at(deadline_s)

    def ended(self) -> None:
        """The line is gone: every own call has failed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for event in self.peer.close():
            if isinstance(event, Answered | Failed):
                self.settle(event)

    def _answered(self) -> None:
        outbox, line = self.peer.outbox, self.line
        while outbox:
            line.send(outbox.popleft())
        if line.busy:
            line.busy = False
            line.go_on()

    def _wake_at(self, deadline_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = deadline_s
        self._timer = asyncio.get_running_loop().call_at(deadline_s, self._expire)

    def _expire(self) -> None:
        """A timer that was set for an earlier call finds its call answered, and sleeps on."""
        self._timer = None
        for event in self.peer.tick(asyncio.get_running_loop().time()):
            if isinstance(event, Answered | Failed):
                self.settle(event)
        self.flush()


def message_ids() -> Callable[[], str]:
    """Makes message ids no other connection makes: 16 random hex digits and a number."""
    prefix, numbers = secrets.token_hex(8), itertools.count(1)
    return lambda: f"{prefix}-{next(numbers)}"
