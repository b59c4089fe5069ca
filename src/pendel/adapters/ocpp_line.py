"""One WebSocket of a station: bytes of a transport to text messages and back (RFC 6455).

What nearly every station sends nearly always, whole masked data frames, is read here, without a
task, a queue or a copy of the receive buffer per connection. Everything else (the handshake,
fragments, pings, closing, every breach of the protocol) is handed, frame by whole frame, to the
protocol object of `websockets`, which is written for that and free of I/O.

    transport -> shared buffer -> whole frame? -> text -> owner, one at a time
                                     \\-> ServerProtocol -> events, bytes to send
"""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

RECEIVE_BYTES = 64 * 1024
HEAD_BYTES_MAX = 16 * 1024
FRAMES_PER_TURN = 8
"""Frames of one station before the others have their turn."""
MESSAGE_BURST = 20_000.0
MESSAGES_PER_S = 500.0
"""A station may send as fast as it is answered; only beyond a burst of 20,000 it is slowed."""

_QUIET = logging.getLogger("pendel.ocpp.socket")
_QUIET.setLevel(logging.CRITICAL)
_WHOLE = (0x81, 0x82)
"""First byte of an unfragmented text or binary frame without extensions."""
_SHORT_HEADS = tuple(bytes((0x81, length)) for length in range(126))


class Phase(Enum):
    """Where a connection is: reading the request, being judged, open, or at its end."""

    HEAD = 0
    JUDGED = 1
    OPEN = 2
    ENDING = 3


class Owner(Protocol):
    """Whoever opened the port."""

    def arrived(self, line: "Line", request: Request) -> None:
        """A request to open: answer with `Line.open` or `Line.reject`, now or later."""
        ...

    def said(self, line: "Line", text: bytes) -> None:
        """A message came; `line.busy` set by the owner holds the next ones back."""
        ...

    def lost(self, line: "Line") -> None:
        """The connection is gone."""
        ...


class Line(asyncio.BufferedProtocol):
    """One connection. Not safe outside of its event loop.

    heard_s: loop time of the last bytes. link: what the owner keeps with the line.
    """

    __slots__ = (
        "_allowance",
        "_allowance_s",
        "_buffer",
        "_close_s",
        "_frames",
        "_loop",
        "_most",
        "_owner",
        "_paused",
        "_phase",
        "_protocol",
        "_pumping",
        "_rest",
        "_selected",
        "_texts",
        "_timer",
        "_wait",
        "busy",
        "choked",
        "heard_s",
        "link",
        "opened",
        "pinged",
        "transport",
    )

    def __init__(
        self,
        owner: Owner,
        buffer: memoryview,
        select: Callable[[Any, Any], Any],
        frame_bytes_max: int,
        open_s: float,
        close_s: float,
    ) -> None:
        """buffer: receive buffer of all lines of one loop. select: picks the subprotocol."""
        self._owner, self._buffer, self._close_s = owner, buffer, close_s
        self._loop = asyncio.get_running_loop()
        self._protocol = ServerProtocol(
            select_subprotocol=select, max_size=frame_bytes_max, logger=_QUIET
        )
        self._most = frame_bytes_max
        self._frames = 0
        self._rest = b""
        self._texts: list[bytes] | None = None
        self._allowance, self._allowance_s = MESSAGE_BURST, self._loop.time()
        self._paused = self._pumping = False
        self._phase = Phase.HEAD
        self._wait: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(open_s, self.abort)
        self.transport: Any = None
        self.heard_s = self._allowance_s
        self.busy = self.choked = self.opened = self.pinged = False
        self.link: Any = None

    # what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands; the request is awaited."""
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """The receive buffer, shared: it is emptied before anybody else is asked."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self.heard_s = self._loop.time()
        data = bytes(self._buffer[:nbytes])
        self._rest = self._rest + data if self._rest else data
        if self.opened:
            self._pump()
        elif self._phase is Phase.HEAD:
            self._read_head()
        elif self._phase is Phase.JUDGED:
            self._pause()  # it speaks before it was let in
        else:
            self._discard()

    def eof_received(self) -> None:
        """The station closed its side."""
        self._protocol.receive_eof()
        self._write_out()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.opened, self._phase, self._rest = False, Phase.ENDING, b""
        for timer in (self._timer, self._wait):
            if timer is not None:
                timer.cancel()
        self._timer = self._wait = None
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """The station does not read: no more of it is read either."""
        self.choked = True

    def resume_writing(self) -> None:
        """It reads again."""
        self.choked = False
        self.go_on()

    # what the owner tells

    @property
    def subprotocol(self) -> str:
        """The agreed subprotocol, or ""."""
        return self._protocol.subprotocol or ""

    @property
    def remote_host(self) -> str:
        """Address of the other side, or ""."""
        found = self.transport.get_extra_info("peername")
        return str(found[0]) if isinstance(found, tuple) and found else ""

    def open(self, request: Request) -> bool:
        """Complete the handshake where the request is sound; whether the line is open now."""
        response = self._protocol.accept(request)
        if response.status_code == 101 and not self.transport.is_closing():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._protocol.send_response(response)
            self.opened, self._phase = True, Phase.OPEN
            self._write_out()
            return True
        self.reject(response)
        return False

    def respond(self, status: int, text: str) -> Response:
        """A refusal, to be given to `reject`."""
        return self._protocol.reject(status, text)

    def reject(self, response: Response) -> None:
        """Answer the request with a refusal, and close."""
        if self._phase is Phase.JUDGED and not self.transport.is_closing():
            self._protocol.send_response(response)
            self._write_out()

    def send(self, text: bytes) -> None:
        """Send a text message; nothing where the line is closed."""
        if not self.opened:
            return
        length = len(text)
        if length < 126:
            self.transport.write(_SHORT_HEADS[length] + text)
        elif length < 65_536:
            self.transport.write(b"\x81\x7e" + length.to_bytes(2, "big") + text)
        else:
            self.transport.write(b"\x81\x7f" + length.to_bytes(8, "big") + text)

    def ping(self) -> None:
        """Ask whether the station is there."""
        if self.opened:
            self.pinged = True
            self._protocol.send_ping(b"")
            self._write_out()

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close; the connection ends at the latest after the closing time."""
        if self.opened:
            self._protocol.send_close(code, reason)
            self._write_out()
        elif not self.transport.is_closing():
            self.abort()

    def abort(self) -> None:
        """End the connection now."""
        if self.transport is not None:
            self.transport.abort()

    def go_on(self) -> None:
        """Take the next messages, after the owner was busy."""
        if self._rest and self.opened and not self._pumping:
            self._pump()
        elif self._paused and self._phase is not Phase.JUDGED:
            self._resume()

    # frames

    def _pump(self) -> None:
        """Take whole frames until no more is left, the owner is busy or others want a turn."""
        self._pumping = True
        data, at, turn = self._rest, 0, 0
        size = len(data)
        while at < size and self.opened and not (self.busy or self.choked or self._wait):
            step = self._take(data, at)
            if not step:
                break
            at += step
            turn += 1
            if turn == FRAMES_PER_TURN:
                self._wait = self._loop.call_soon(self._waited)
        self._pumping = False
        self._frames += turn
        if self._frames >= FRAMES_PER_TURN:
            self._charge()
        if at == size:
            self._rest = b""
            if self._paused:
                self._resume()
            return
        self._rest = data[at:]
        if self._phase is Phase.ENDING:
            self._discard()
        elif self.busy or self.choked or self._wait:
            self._pause()
        elif self._paused:
            self._resume()

    def _take(self, data: bytes, at: int) -> int:
        """Handle the frame that begins at a place; its length, 0 where it is not all there."""
        there = len(data) - at
        if there < 2:
            return 0
        length, begin = data[at + 1] & 0x7F, at + 6
        if length == 126:
            if there < 4:
                return 0
            length, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 8
        elif length == 127:
            if there < 10:
                return 0
            length, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 14
        if length > self._most or not data[at + 1] & 0x80:
            self._by_protocol(data[at:])  # a breach: told from its head
            return there
        end = begin + length
        if end > len(data):
            return 0
        if data[at] in _WHOLE and self._texts is None:
            self._owner.said(self, apply_mask(data[begin:end], data[begin - 4 : begin]))
        else:
            self._by_protocol(data[at:end])
        return end - at

    def _by_protocol(self, data: bytes) -> None:
        """Let the protocol object judge bytes that are no plain message."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._collect(event)
        self._write_out()

    def _collect(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self.pinged = False
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._texts = []
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) and self._texts is not None:
            self._texts.append(bytes(frame.data))
            if frame.fin:
                text, self._texts = b"".join(self._texts), None
                self._owner.said(self, text)

    def _charge(self) -> None:
        """Count what was taken against what is allowed; wait where that is used up."""
        grown = self._allowance + (self.heard_s - self._allowance_s) * MESSAGES_PER_S
        self._allowance = min(grown, MESSAGE_BURST) - self._frames
        self._allowance_s, self._frames = self.heard_s, 0
        if self._allowance < 0.0:
            if self._wait is not None:
                self._wait.cancel()
            self._wait = self._loop.call_later(-self._allowance / MESSAGES_PER_S, self._waited)

    def _waited(self) -> None:
        self._wait = None
        self.heard_s = self._loop.time()
        self.go_on()

    # beginning and end

    def _read_head(self) -> None:
        """The request, once it is all there."""
        head, mark, rest = self._rest.partition(b"\r\n\r\n")
        if not mark and len(head) <= HEAD_BYTES_MAX:
            return
        self._phase, self._rest = Phase.JUDGED, rest
        if len(head) > HEAD_BYTES_MAX:
            self.reject(self.respond(431, "the request is too large\n"))
            return
        self._protocol.receive_data(head + b"\r\n\r\n")
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._owner.arrived(self, event)
        self._write_out()

    def _discard(self) -> None:
        rest, self._rest = self._rest, b""
        self._protocol.receive_data(rest)
        self._protocol.events_received()
        self._write_out()

    def _write_out(self) -> None:
        """Send what the protocol object has to say; begin to close where it is at an end."""
        for data in self._protocol.data_to_send():
            if data:
                self.transport.write(data)
            elif self.transport.can_write_eof():
                self.transport.write_eof()  # the station still reads what was sent
            else:
                self.transport.close()
        if self._phase is not Phase.ENDING and self._protocol.close_expected():
            self.opened, self._phase = False, Phase.ENDING
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(self._close_s, self.abort)
            self._resume()

    def _pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()
