"""The stations of the OCPP measurements: bare WebSockets in a process of their own.

`python benchmarks/ocpp_clients.py PORT STATIONS [--tls CA]` reads one JSON object a line from
stdin ({"do": "connect" | "boot" | "talk" | "obey" | "pace" | "leave" ...}) and answers one a
line. As lean as a client can be (frames are made in advance), so that the server is what limits.
"""

import argparse
import asyncio
import base64
import json
import ssl
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

MASK = b"\x37\xfa\x21\x3d"
PASSWORD = "secret"
BOOT = {"chargingStation": {"vendorName": "v", "model": "m"}, "reason": "PowerUp"}


def transaction_event(seq: int) -> dict[str, Any]:
    """About 1.2 kB with 7 sampled values."""
    names = (
        ("Energy.Active.Import.Register", "Wh"), ("Energy.Active.Export.Register", "Wh"),
        ("Power.Active.Import", "W"), ("Power.Active.Export", "W"), ("Current.Import", "A"),
        ("Voltage", "V"), ("SoC", "Percent"),
    )  # fmt: skip
    sampled = [
        {
            "value": 50.0 + seq,
            "measurand": name,
            "context": "Sample.Periodic",
            "location": "Outlet",
            "unitOfMeasure": {"unit": unit, "multiplier": 0},
        }
        for name, unit in names
    ]
    now = "2026-01-01T00:00:00Z"
    return {
        "eventType": "Started" if seq == 0 else "Updated",
        "timestamp": now,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "T", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": now, "sampledValue": sampled}],
    }


def frame(text: bytes) -> bytes:
    """A masked text frame."""
    length = len(text)
    head = bytes([0x81, 0x80 | length]) if length < 126 else b"\x81\xfe" + length.to_bytes(2, "big")
    mask = (MASK * (length // 4 + 1))[:length]
    masked = int.from_bytes(text, "big") ^ int.from_bytes(mask, "big")
    return head + MASK + masked.to_bytes(length, "big")


def call_frame(message_id: str, action: str, payload: Any) -> bytes:
    """A CALL as a frame."""
    return frame(json.dumps([2, message_id, action, payload]).encode())


class Station(asyncio.Protocol):
    """One station: asks one thing after the other, answers every order with Accepted."""

    def __init__(self, name: str, orders: list[str]) -> None:
        """orders: where the message ids of what is ordered go."""
        self.name, self.orders = name, orders
        self.transport: Any = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()
        self.asked_s = 0.0
        self.took_s: list[float] = []
        self._rest = b""
        self._todo: list[bytes] = []
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Ask for the upgrade."""
        self.transport = transport
        token = base64.b64encode(f"{self.name}:{PASSWORD}".encode()).decode()
        transport.write(
            f"GET /ocpp/{self.name} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp2.1\r\n"
            f"Authorization: Basic {token}\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone; what waits has failed."""
        self.gone.set()
        for waiting in (self.ready, self._done):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError("the server closed the line"))

    def data_received(self, data: bytes) -> None:
        """Frames of the server."""
        data = self._rest + data
        if not self.ready.done():
            head, mark, data = data.partition(b"\r\n\r\n")
            if not mark:
                self._rest = head
                return
            if b" 101 " in head:
                self.ready.set_result(None)
            else:
                self.ready.set_exception(ConnectionError(head.decode()))
        while len(data) >= 2:
            length, begin = data[1], 2
            if length == 126:
                length, begin = int.from_bytes(data[2:4], "big"), 4
            if len(data) < begin + length:
                break
            self._heard(data[0] & 15, data[begin : begin + length])
            data = data[begin + length :]
        self._rest = data

    def ask_all(self, frames: list[bytes]) -> "asyncio.Future[None]":
        """Send one after the other, each when the one before was answered."""
        self._done = asyncio.get_running_loop().create_future()
        self._todo = frames[::-1]
        self._next()
        return self._done

    def _next(self) -> None:
        if self._todo:
            self.asked_s = time.monotonic()
            self.transport.write(self._todo.pop())
        elif self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _heard(self, opcode: int, text: bytes) -> None:
        if opcode == 1 and text.startswith(b"[3,"):
            self.took_s.append(time.monotonic() - self.asked_s)
            self._next()
        elif opcode == 1 and text.startswith(b"[2,"):
            message_id = json.loads(text)[1]
            self.orders.append(message_id)
            self.transport.write(frame(b'[3,"%b",{"status":"Accepted"}]' % message_id.encode()))
        elif opcode == 9:
            self.transport.write(b"\x8a" + frame(text)[1:])
        elif opcode == 1:
            raise RuntimeError(text.decode())


class Stations:
    """All stations of this process."""

    def __init__(self, port: int, count: int, ca: str | None) -> None:
        self.port, self.names = port, [f"CP{i}" for i in range(count)]
        self.open: dict[str, Station] = {}
        self.tls = None if ca is None else ssl.create_default_context(cafile=ca)
        self.seq = 0
        self.ordered: list[str] = []

    async def connect(self, at_once: int = 50, **_: Any) -> dict[str, Any]:
        """Open every line that is not open, at_once at a time; seconds until all are open."""
        begun, free = time.monotonic(), asyncio.Semaphore(at_once)
        host = "127.0.0.1" if self.tls is None else "localhost"

        async def one(name: str) -> None:
            async with free:
                for attempt in range(20):
                    try:
                        _, station = await asyncio.get_running_loop().create_connection(
                            lambda: Station(name, self.ordered), host, self.port, ssl=self.tls
                        )
                        await station.ready
                        break
                    except OSError:
                        if attempt == 19:
                            raise
                        await asyncio.sleep(0.1 * attempt)
                self.open[name] = station

        await asyncio.gather(*(one(name) for name in self.names if name not in self.open))
        return {"seconds": time.monotonic() - begun}

    async def boot(self, **_: Any) -> dict[str, Any]:
        """One BootNotification of each."""
        text = call_frame("b", "BootNotification", BOOT)
        await asyncio.gather(*(station.ask_all([text]) for station in self.open.values()))
        return {}

    async def talk(self, messages: int, **_: Any) -> dict[str, Any]:
        """So many TransactionEvents of each, in a closed loop."""
        frames = self._events(messages)
        await asyncio.gather(*(station.ask_all(frames) for station in self.open.values()))
        return {}

    async def pace(self, seconds: float, every_s: float, **_: Any) -> dict[str, Any]:
        """One TransactionEvent of each station every so many seconds, evenly spread."""
        for station in self.open.values():
            station.took_s.clear()
        rounds = max(round(seconds / every_s), 1)
        frames = self._events(rounds)
        begun, count = time.monotonic(), len(self.open)

        async def one(index: int, station: Station) -> None:
            for n, text in enumerate(frames):
                due_s = begun + (n + index / count) * every_s
                await asyncio.sleep(max(due_s - time.monotonic(), 0.0))
                answered = station.ask_all([text])
                station.asked_s = max(due_s, begun)  # late sending counts as waiting
                await answered

        await asyncio.gather(*(one(*item) for item in enumerate(self.open.values())))
        took = sorted(s for station in self.open.values() for s in station.took_s)
        at = {"p50_s": 0.5, "p99_s": 0.99}
        found = {name: took[int(len(took) * share)] for name, share in at.items()}
        return {"answered": len(took), "sent": rounds * count, "max_s": took[-1], **found}

    async def doze(self, seconds: float, **_: Any) -> dict[str, Any]:
        """Nothing but short sleeps: by how much each is late."""
        late, end_s = [], time.monotonic() + seconds
        while (begun := time.monotonic()) < end_s:
            await asyncio.sleep(0.01)
            late.append(time.monotonic() - begun - 0.01)
        return {"p99_s": sorted(late)[int(len(late) * 0.99)]}

    async def drop(self, **_: Any) -> dict[str, Any]:
        """Break every line at once."""
        for station in self.open.values():
            station.transport.abort()
        self.open.clear()
        return {}

    async def orders(self, **_: Any) -> dict[str, Any]:
        """What was ordered since the last time: messages, and how many came twice."""
        ids = self.ordered.copy()
        self.ordered.clear()
        return {"received": len(ids), "doubled": len(ids) - len(set(ids))}

    def _events(self, count: int) -> list[bytes]:
        first, self.seq = self.seq, self.seq + count
        return [
            call_frame(f"m{n}", "TransactionEvent", transaction_event(n))
            for n in range(first, first + count)
        ]


async def main() -> None:
    """Obey stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("stations", type=int)
    parser.add_argument("--tls")
    given = parser.parse_args()
    stations = Stations(given.port, given.stations, given.tls)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        work: Callable[..., Coroutine[Any, Any, Any]] = getattr(stations, order.pop("do"))
        print(json.dumps(await work(**order)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
