"""One side of an OCPP connection, without I/O: frames in, events and frames out, time as argument.

Keeps the rules of OCPP-J 4.1.1: at most one own CALL outstanding, crossing calls are normal, SEND
is exempt, an answer that comes after its timeout belongs to nobody and disturbs nobody.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from pendel.comms.ocpp import frames
from pendel.comms.ocpp.frames import Call, CallError, CallResult, ErrorCode, Malformed, Send
from pendel.comms.ocpp.release import Version

QUEUE_MAX = 1_000
UNANSWERED_MAX = 64
CALL_TIMEOUT_S = 30.0


Request: TypeAlias = Call
"""The other side asks: answer with `Peer.respond` or `Peer.refuse`."""


class Answered(msgspec.Struct, frozen=True, gc=False):
    """Our call was answered; response is typed, text as it came."""

    message_id: str
    action: str
    response: Any
    text: str = ""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """Our call failed: an error answer, a timeout, an answer of the wrong shape, or a lost line."""

    message_id: str
    action: str
    code: str
    description: str


class Streamed(msgspec.Struct, frozen=True, gc=False):
    """A SEND arrived."""

    action: str
    payload: Any


class Deviation(msgspec.Struct, frozen=True, gc=False):
    """Something came that the standard does not know; recorded, answered where an answer is due."""

    reason: str


Event: TypeAlias = Request | Answered | Failed | Streamed | Deviation


@dataclass(slots=True)
class _Outgoing:
    message_id: str
    action: str
    data: bytes
    timeout_s: float


class Peer:
    """State of one connection. `outbox` holds frames to send, in order; the owner empties it.

    new_id: makes message ids, unique per identity across connections.
    """

    __slots__ = (
        "_deadline_s",
        "_new_id",
        "_pending",
        "_unanswered",
        "_waiting",
        "outbox",
        "version",
    )

    def __init__(self, version: Version, new_id: Callable[[], str]) -> None:
        self.version = version
        self.outbox: deque[bytes] = deque()
        self._new_id = new_id
        self._waiting: deque[_Outgoing] = deque()
        self._pending: _Outgoing | None = None
        self._deadline_s = 0.0
        self._unanswered: dict[str, str] = {}

    @property
    def deadline_s(self) -> float | None:
        """When `tick` must be called next, or None."""
        return self._deadline_s if self._pending is not None else None

    @property
    def queued(self) -> int:
        """Own calls that wait for their turn."""
        return len(self._waiting)

    def call(
        self, action: str, payload: Any, now_s: float, timeout_s: float = CALL_TIMEOUT_S
    ) -> str:
        """Send a request (typed, plain, or its JSON in bytes), or queue it behind the
        outstanding one; returns its message id.

        Raises OverflowError when more than QUEUE_MAX wait.
        """
        if len(self._waiting) >= QUEUE_MAX:
            raise OverflowError(f"more than {QUEUE_MAX} calls wait for this connection")
        message_id = self._new_id()
        data = frames.encode_call(message_id, action, payload)
        self._waiting.append(_Outgoing(message_id, action, data, timeout_s))
        self._send_next(now_s)
        return message_id

    def send(self, action: str, payload: Any) -> None:
        """Send a message that is never answered (2.1)."""
        self.outbox.append(frames.encode(Send(self._new_id(), action, payload)))

    def respond(self, message_id: str, response: Any) -> None:
        """Answer a request; ignored when the request is not (or no longer) open."""
        if self._unanswered.pop(message_id, None) is not None:
            self.outbox.append(frames.encode_result(message_id, response))

    def refuse(self, message_id: str, code: ErrorCode, description: str) -> None:
        """Answer a request with a CALLERROR."""
        if self._unanswered.pop(message_id, None) is not None:
            error = frames.error_frame(message_id, code, description, self.version)
            self.outbox.append(frames.encode(error))

    def feed(self, data: bytes | str, now_s: float) -> list[Event]:
        """Take one text frame. Returns what happened; never raises for what the peer sent."""
        frame = frames.parse(data, self.version)
        if isinstance(frame, Call):
            return self._on_call(frame)
        match frame:
            case Send(_, action, payload):
                return [Streamed(action, payload)]
            case CallResult(message_id, payload):
                return self._on_result(message_id, payload, now_s)
            case CallError(message_id, code, description, _, result_error):
                return self._on_error(message_id, code, description, result_error, now_s)
            case Malformed(reason, answer):
                if answer is not None:
                    self.outbox.append(frames.encode(answer))
                return [Deviation(reason)]

    def tick(self, now_s: float) -> list[Event]:
        """Give up on a call whose time is over and send the next one."""
        pending = self._pending
        if pending is None or now_s < self._deadline_s:
            return []
        self._pending = None
        self._send_next(now_s)
        return [Failed(pending.message_id, pending.action, "Timeout", "no answer in time")]

    def close(self) -> list[Event]:
        """The connection is gone: everything that waits has failed."""
        lost = [*([self._pending] if self._pending else []), *self._waiting]
        self._pending = None
        self._waiting.clear()
        self._unanswered.clear()
        return [Failed(o.message_id, o.action, "ConnectionLost", "connection lost") for o in lost]

    def _on_call(self, call: Call) -> list[Event]:
        if len(self._unanswered) >= UNANSWERED_MAX:
            # A peer may have one CALL outstanding; dozens mean that it ignores the standard.
            error = frames.error_frame(
                call.message_id, ErrorCode.PROTOCOL_ERROR, "too many open requests", self.version
            )
            self.outbox.append(frames.encode(error))
            return [Deviation("too many open requests")]
        self._unanswered[call.message_id] = call.action
        return [call]

    def _on_result(self, message_id: Any, payload: msgspec.Raw, now_s: float) -> list[Event]:
        pending = self._pending
        if pending is None or pending.message_id != message_id:
            return [Deviation(f"an answer to {str(message_id)[:40]!r}, which nobody awaits")]
        self._pending = None
        event: Event
        try:
            response = frames.decode_response(payload, pending.action, self.version)
            event = Answered(pending.message_id, pending.action, response, str(payload, "utf-8"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            code = frames.violation_code(str(error))
            event = Failed(pending.message_id, pending.action, code.value, str(error))
            if self.version is Version.V21:
                refusal = CallError(
                    pending.message_id, code.value, str(error)[:255], {}, result_error=True
                )
                self.outbox.append(frames.encode(refusal))
        self._send_next(now_s)
        return [event]

    def _on_error(
        self, message_id: Any, code: str, description: str, result_error: bool, now_s: float
    ) -> list[Event]:
        if result_error:
            return [Deviation(f"our answer {str(message_id)[:40]!r} was refused: {description}")]
        pending = self._pending
        if pending is None or pending.message_id != message_id:
            return [Deviation(f"an error for {str(message_id)[:40]!r}, which nobody awaits")]
        self._pending = None
        self._send_next(now_s)
        return [Failed(pending.message_id, pending.action, code, description)]

    def _send_next(self, now_s: float) -> None:
        if self._pending is None and self._waiting:
            self._pending = self._waiting.popleft()
            self._deadline_s = now_s + self._pending.timeout_s
            self.outbox.append(self._pending.data)
