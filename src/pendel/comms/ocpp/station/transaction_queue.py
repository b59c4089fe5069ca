"""The queue of transaction messages: in order, one at a time, kept until answered.

Nothing is lost while the line is down (E04, E12, E13; 1.6 sections 4.1 and 5.18). A message that is
refused is tried again after attempts x interval and then given up (E13); one that got no answer is
tried for ever.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pendel.comms.ocpp.station.equipment import Transaction

QUEUE_MAX = 100_000
RETRY_S = 1.0
UNANSWERED = ("Timeout", "ConnectionLost")


@dataclass(slots=True)
class Queued:
    """A message that waits for its answer. build: makes the payload when it is sent (1.6 knows
    the transaction id only after the first answer); in_between: neither first nor last."""

    action: str
    build: Callable[[], Any]
    on_answer: Callable[[Any], None]
    transaction: Transaction
    in_between: bool
    errors: int = 0
    not_before_s: float = 0.0


class TransactionQueue:
    """At most `most` messages; beyond, what lies in between gives way (E04.FR.07)."""

    def __init__(self, attempts: int, interval_s: float, most: int = QUEUE_MAX) -> None:
        self.waiting: deque[Queued] = deque()
        self.sending: str | None = None
        self.dropped = 0
        self.given_up = 0
        self._attempts = attempts
        self._interval_s = interval_s
        self._most = most

    def add(self, item: Queued) -> None:
        """Append; a full queue loses one message in between, never a first or last one unless
        there is nothing else."""
        if len(self.waiting) >= self._most:
            first = 1 if self.sending is not None else 0
            chosen = next(
                (i for i, q in enumerate(self.waiting) if i >= first and q.in_between), first
            )
            del self.waiting[chosen]
            self.dropped += 1
        self.waiting.append(item)

    def due(self, now_s: float) -> Queued | None:
        """The message to be sent now, if none is under way."""
        if self.sending is not None or not self.waiting:
            return None
        head = self.waiting[0]
        return head if now_s >= head.not_before_s else None

    def answered(self) -> Queued:
        """The message under way was answered: it leaves the queue."""
        self.sending = None
        return self.waiting.popleft()

    def failed(self, code: str, now_s: float) -> None:
        """The message under way failed: later again, or given up."""
        self.sending = None
        head = self.waiting[0]
        if code in UNANSWERED:
            head.not_before_s = now_s + RETRY_S
            return
        head.errors += 1
        if head.errors >= self._attempts:
            self.waiting.popleft()
            self.given_up += 1
            return
        head.not_before_s = now_s + self._interval_s * head.errors

    def line_lost(self) -> None:
        """What was under way is sent again on the next line, at once."""
        self.sending = None
        if self.waiting:
            self.waiting[0].not_before_s = 0.0
