"""A charging network on a free port and raw stations that talk to it."""

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from argon2 import PasswordHasher
from websockets.asyncio.client import ClientConnection, connect

from pendel.adapters.memory_log import MemoryEventLog
from pendel.config.server import ServerConfig
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_policy import ConfigPolicy

PASSWORD = "correct horse battery"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def config(stations: int = 2, lab: bool = False, **more: Any) -> ServerConfig:
    data: dict[str, Any] = {
        "site": [{"site_id": "home", "timezone": "Europe/Berlin", "import_limit_kw": 17.0}],
        "station": [
            {"station_id": f"CP{i}", "site_id": "home", "password_hash": HASH}
            for i in range(1, stations + 1)
        ],
        "ocpp": {"lab": lab},
        **more,
    }
    return msgspec.convert(data, ServerConfig)


@contextlib.contextmanager
def network_of(
    settings: ServerConfig | None = None, store: Any = None
) -> Iterator[ChargingNetwork]:
    settings = settings or config()
    network = ChargingNetwork(
        ConfigPolicy(settings), MemoryEventLog() if store is None else store, settings.ocpp.lab
    )
    network.start("127.0.0.1", 0)
    try:
        yield network
    finally:
        network.stop()


def basic(user: str, password: str = PASSWORD) -> dict[str, str]:
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


class RawStation:
    """A station on a bare socket; answers what it is asked with `answers` (default Accepted; a
    text is the code of an error, None no answer, a function is asked with the payload)."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.asked: list[list[Any]] = []
        self.answers: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._open: dict[str, asyncio.Future[list[Any]]] = {}
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def call(self, action: str, payload: Any, message_id: str | None = None) -> list[Any]:
        number = message_id or f"n{next(self._numbers)}"
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._open[number] = future
        await self.socket.send(json.dumps([2, number, action, payload]))
        return await asyncio.wait_for(future, 10.0)

    async def boot(self, version: str = "2.1") -> list[Any]:
        if version == "1.6":
            told: Any = {"chargePointVendor": "v", "chargePointModel": "m"}
        else:
            told = {"chargingStation": {"vendorName": "v", "model": "m"}, "reason": "PowerUp"}
        return await self.call("BootNotification", told)

    async def until_asked(self, count: int, within_s: float = 5.0) -> list[list[Any]]:
        async with asyncio.timeout(within_s):
            while len(self.asked) < count:
                await asyncio.sleep(0.01)
        return self.asked

    def close(self) -> None:
        self._task.cancel()

    async def _read(self) -> None:
        with contextlib.suppress(Exception):
            async for text in self.socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    self.asked.append(frame[2:])
                    answer = self.answers.get(frame[2], {"status": "Accepted"})
                    if callable(answer):
                        answer = answer(frame[3])
                    if isinstance(answer, str):
                        await self.socket.send(json.dumps([4, frame[1], answer, "", {}]))
                    elif answer is not None:
                        await self.socket.send(json.dumps([3, frame[1], answer]))
                elif frame[1] in self._open:
                    self._open.pop(frame[1]).set_result(frame)


@contextlib.asynccontextmanager
async def station_at(
    port: int, station_id: str = "CP1", version: str = "2.1", scheme: str = "ws", **options: Any
) -> AsyncIterator[RawStation]:
    options.setdefault("additional_headers", basic(station_id))
    url = f"{scheme}://127.0.0.1:{port}/ocpp/{station_id}"
    async with connect(url, subprotocols=[f"ocpp{version}"], compression=None, **options) as socket:
        station = RawStation(socket)
        try:
            yield station
        finally:
            station.close()


def event(seq: int, kind: str = "Updated", transaction: str = "T", wh: float = 0.0) -> Any:
    now = datetime.now(UTC).isoformat()
    return {
        "eventType": kind,
        "timestamp": now,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": seq,
        "transactionInfo": {"transactionId": transaction},
        "evse": {"id": 1},
        "meterValue": [{"timestamp": now, "sampledValue": [{"value": wh}]}],
    }
