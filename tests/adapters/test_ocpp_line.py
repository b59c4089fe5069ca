"""One line against an independent client: every cut of the bytes, fragments, breaches, manners."""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.uri import parse_uri

from pendel.adapters.ocpp_line import FRAMES_PER_TURN, Line

MOST = 1_000


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = self.reading = False
        self.paused = 0

    def write(self, data: bytes) -> None:
        self.data += data

    def is_closing(self) -> bool:
        return self.ended

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    abort = close

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.paused -= 1


class Owner:
    """Lets everybody in; keeps what is said; busy as long as it is told to be."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.stays_busy = self.is_lost = False

    def arrived(self, line: Line, request: Request) -> None:
        line.open(request)

    def said(self, line: Line, text: bytes) -> None:
        self.texts.append(text)
        line.busy = self.stays_busy

    def lost(self, line: Line) -> None:
        self.is_lost = True


class Bench:
    """A line, its owner and a client of `websockets` without I/O on the other end."""

    def __init__(self) -> None:
        self.wire, self.owner = Wire(), Owner()
        buffer = memoryview(bytearray(64 * 1024))
        self.line = Line(self.owner, buffer, lambda _, offered: offered[0], MOST, 30.0, 2.0)
        self.line.connection_made(self.wire)  # type: ignore[arg-type]
        self.client = ClientProtocol(
            parse_uri("ws://localhost/ocpp/CP1"), subprotocols=["ocpp2.1"], max_size=None
        )
        self.client.send_request(self.client.connect())
        self.put(b"".join(self.client.data_to_send()))
        self.heard()

    def put(self, data: bytes, cuts: tuple[int, ...] = ()) -> None:
        """Let bytes arrive, cut at these places."""
        ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
        begin = 0
        for end in ends:
            part = data[begin:end]
            if part:
                self.line.get_buffer(-1)[: len(part)] = part
                self.line.buffer_updated(len(part))
            begin = end

    def heard(self) -> list[Any]:
        """What the client understands of what was written."""
        self.client.receive_data(self.wire.data)
        self.wire.data = b""
        return [e for e in self.client.events_received() if isinstance(e, Frame)]


def on_loop(act: Callable[[], None]) -> None:
    async def run() -> None:
        act()

    asyncio.run(run())


messages = st.lists(
    st.tuples(
        st.sampled_from(["whole", "binary", "fragments", "ping"]),
        st.binary(max_size=300) | st.binary(min_size=400, max_size=MOST),
    ),
    max_size=FRAMES_PER_TURN - 1,
)


@given(messages, st.lists(st.integers(0, 3_000), max_size=12))
@settings(max_examples=120, deadline=None)
def test_messages_arrive_however_the_bytes_are_cut(
    told: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    """Oracle: the list of what an independent client was asked to send."""

    def act() -> None:
        bench, data, expected, pings = Bench(), b"", [], []
        for kind, body in told:
            if kind == "ping":
                pings.append(body[:125])
                bench.client.send_ping(body[:125])
            elif kind == "fragments":
                third = len(body) // 3
                bench.client.send_text(body[:third], fin=False)
                bench.client.send_ping(b"between")
                pings.append(b"between")
                bench.client.send_continuation(body[third : 2 * third], fin=False)
                bench.client.send_continuation(body[2 * third :], fin=True)
                expected.append(body)
            else:
                send = bench.client.send_text if kind == "whole" else bench.client.send_binary
                send(body)
                expected.append(body)
            data += b"".join(bench.client.data_to_send())
        for begin in range(0, max(len(data), 1), 2_900):  # at most a few frames a turn
            bench.put(data[begin : begin + 2_900], tuple(cuts))
            while bench.line._wait is not None:
                bench.line._wait.cancel()
                bench.line._waited()
        assert bench.owner.texts == expected
        assert [bytes(f.data) for f in bench.heard()] == pings
        assert bench.line.opened

    on_loop(act)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02hi", 1002),  # not masked
        (b"\xc1\x82abcdhi", 1002),  # an extension nobody agreed on
        (b"\x83\x80abcd", 1002),  # no such opcode
        (b"\x80\x82abcdhi", 1002),  # continues nothing
        (b"\x89\xfe\x00\x80abcd" + bytes(128), 1002),  # a ping that is too long
        (b"\x81\xfe\x03\xe9abcd", 1009),  # 1,001 bytes, told by the head alone
        (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xffabcd", 1009),
        (b"\x01\x82abcdhi\x81\x82abcdhi", 1002),  # a message within a fragmented one
    ],
)
def test_breaches_end_the_line_with_their_code(data: bytes, code: int) -> None:
    def act() -> None:
        bench = Bench()
        bench.put(data)
        bench.heard()
        assert bench.client.close_rcvd is not None and bench.client.close_rcvd.code == code
        assert not bench.line.opened and bench.owner.texts == []
        bench.put(os.urandom(5_000))  # what follows is discarded
        bench.line.send(b"nothing goes out any more")
        assert bench.heard() == []

    on_loop(act)


def test_fragments_together_are_bounded() -> None:
    def act() -> None:
        bench = Bench()
        bench.client.send_text(bytes(600), fin=False)
        bench.client.send_continuation(bytes(600), fin=True)
        bench.put(b"".join(bench.client.data_to_send()))
        bench.heard()
        assert bench.client.close_rcvd is not None and bench.client.close_rcvd.code == 1009

    on_loop(act)


def test_a_busy_owner_gets_nothing_more_and_reading_stops() -> None:
    def act() -> None:
        bench = Bench()
        bench.owner.stays_busy = True
        for n in range(3):
            bench.client.send_text(b"%d" % n)
        bench.put(b"".join(bench.client.data_to_send()))
        assert bench.owner.texts == [b"0"] and bench.wire.paused == 1
        bench.owner.stays_busy = bench.line.busy = False
        bench.line.go_on()
        assert bench.owner.texts == [b"0", b"1", b"2"] and bench.wire.paused == 0

    on_loop(act)


def test_a_station_that_does_not_read_is_not_read() -> None:
    def act() -> None:
        bench = Bench()
        bench.line.pause_writing()
        bench.client.send_text(b"a")
        bench.put(b"".join(bench.client.data_to_send()))
        assert bench.owner.texts == [] and bench.wire.paused == 1
        bench.line.resume_writing()
        assert bench.owner.texts == [b"a"] and bench.wire.paused == 0

    on_loop(act)


def test_many_frames_at_once_give_others_a_turn() -> None:
    async def run() -> None:
        bench = Bench()
        for n in range(3 * FRAMES_PER_TURN):
            bench.client.send_text(b"%d" % n)
        bench.put(b"".join(bench.client.data_to_send()))
        assert len(bench.owner.texts) == FRAMES_PER_TURN
        await asyncio.sleep(0)
        assert len(bench.owner.texts) == 2 * FRAMES_PER_TURN
        await asyncio.sleep(0.01)
        assert bench.owner.texts == [b"%d" % n for n in range(3 * FRAMES_PER_TURN)]

    asyncio.run(run())


@pytest.mark.parametrize("at_once", [1, 3, 40])
def test_who_sends_too_much_waits(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pendel.adapters.ocpp_line.MESSAGE_BURST", 16.0)
    monkeypatch.setattr("pendel.adapters.ocpp_line.MESSAGES_PER_S", 1.0)

    async def run() -> None:
        bench = Bench()
        for n in range(40):
            bench.client.send_text(b"%d" % n)
            if n % at_once == at_once - 1:
                bench.put(b"".join(bench.client.data_to_send()))
                await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert 16 <= len(bench.owner.texts) <= 16 + 2 * FRAMES_PER_TURN
        assert bench.wire.paused == 1
        bench.line.connection_lost(None)

    asyncio.run(run())


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_what_is_sent_is_understood(length: int) -> None:
    def act() -> None:
        bench = Bench()
        bench.line.send(b"x" * length)
        (frame,) = bench.heard()
        assert frame.opcode is Opcode.TEXT and frame.fin and len(frame.data) == length

    on_loop(act)


def test_the_line_closes_as_the_standard_says() -> None:
    def act() -> None:
        bench = Bench()
        bench.client.send_close(1000, "bye")
        bench.put(b"".join(bench.client.data_to_send()))
        assert bench.wire.ended and not bench.line.opened
        bench.heard()
        assert bench.client.close_rcvd is not None and bench.client.close_rcvd.code == 1000
        bench.line.connection_lost(None)
        assert bench.owner.is_lost

    on_loop(act)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5_000, b"x" * 20_000])
def test_a_request_without_end_is_refused(head: bytes) -> None:
    async def run() -> None:
        line = Line(Owner(), memoryview(bytearray(65_536)), lambda _, __: None, MOST, 30.0, 2.0)
        wire = Wire()
        line.connection_made(wire)  # type: ignore[arg-type]
        line.get_buffer(-1)[: len(head)] = head
        line.buffer_updated(len(head))
        assert wire.data.startswith(b"HTTP/1.1 431 ") and wire.ended

    asyncio.run(run())


def test_what_comes_before_the_answer_waits_for_it() -> None:
    class Slow(Owner):
        def arrived(self, line: Line, request: Request) -> None:
            self.asked = line, request

    async def run() -> None:
        owner = Slow()
        line = Line(owner, memoryview(bytearray(65_536)), lambda _, o: o[0], MOST, 30.0, 2.0)
        wire = Wire()
        line.connection_made(wire)  # type: ignore[arg-type]
        key = base64.b64encode(bytes(16)).decode()
        early = (
            f"GET /ocpp/CP1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp2.1\r\n\r\n"
        ).encode() + b"\x81\x82\x00\x00\x00\x00hi"
        line.get_buffer(-1)[: len(early)] = early
        line.buffer_updated(len(early))
        assert owner.texts == [] and wire.data == b""
        assert line.open(owner.asked[1])
        line.go_on()
        assert owner.texts == [b"hi"]

    asyncio.run(run())
