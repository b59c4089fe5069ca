"""The servers of the OCPP measurements, one in a process: `python benchmarks/ocpp_servers.py NAME`.

Prints its port, then one JSON object for each line of stdin: `report` (CPU seconds and resident
kB of this process), `fan` (a setpoint to every station, all answered), `count` (events stored);
ends when stdin does.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pendel.comms.ocpp import v21

SETPOINT_W = -5_000.0
TRICKLE_S = 5.0


def cpu_s() -> float:
    """CPU time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def report() -> dict[str, float]:
    """CPU and resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"cpu_s": cpu_s(), "rss_kb": pages * os.sysconf("SC_PAGE_SIZE") / 1024}


def obey(words: dict[str, Callable[[], Any]]) -> None:
    """Answer the words on stdin until it ends."""
    for line in sys.stdin:
        print(json.dumps(words[line.strip()]()), flush=True)


def tls_context(certificate: str | None) -> ssl.SSLContext | None:
    """The server's TLS 1.3, or None."""
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def percentile(took: list[float], share: float) -> float:
    """The value that this share of a list does not exceed."""
    return sorted(took)[max(int(len(took) * share) - 1, 0)]


def serve_pendel(count: int, folder: Path | None, fast: bool, certificate: str | None) -> None:
    """Our server; folder: where its log is kept, None = nowhere."""
    import msgspec
    from argon2 import PasswordHasher

    from pendel.adapters.event_log import SqliteEventLog
    from pendel.adapters.memory_log import MemoryEventLog
    from pendel.adapters.ocpp_server import OcppDoor
    from pendel.adapters.tls import ServerTls, TlsFiles
    from pendel.config.server import ServerConfig
    from pendel.runtime.network import ChargingNetwork
    from pendel.runtime.network_policy import ConfigPolicy
    from pendel.runtime.process import calm_collector

    class NoLog(MemoryEventLog):
        """The path without a database: records are counted, not kept."""

        def append(self, records: Any) -> None:
            """Nothing."""

    class TimedLog(SqliteEventLog):
        """The log on disk; how long each commit took."""

        def append(self, records: Any) -> None:
            """Store, and look at the clock."""
            begun = time.monotonic()
            super().append(records)
            commits.append(time.monotonic() - begun)

    class Door(OcppDoor):
        """With the measurement's certificate."""

        async def open(self, host: str, port: int, _: Any = None) -> int:
            """Listen."""
            files = None if certificate is None else TlsFiles((Path(certificate),))
            tls = None if files is None else ServerTls(files, lambda: datetime.now(UTC))
            return await super().open(host, port, tls)

    class Network(ChargingNetwork):
        """On the measurement's door."""

        door_type = Door

    commits: list[float] = [0.0]
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
    stations = [
        {"station_id": f"CP{i}", "site_id": "s", "password_hash": hashed} for i in range(count)
    ]
    site = {"site_id": "s", "timezone": "UTC", "import_limit_kw": 1.0}
    config = msgspec.convert({"site": [site], "station": stations}, ServerConfig)
    store = NoLog() if folder is None else TimedLog(folder / "log.db")
    network = Network(ConfigPolicy(config), store)
    calm_collector()  # as `pendel serve` does

    print(network.start("127.0.0.1", 0, fast), flush=True)

    def count_events() -> dict[str, float]:
        found = network.csms.network.stations.values()
        events = sum(t.events for s in found for t in s.transactions.values())
        return {"events": events, "commits": len(commits), "commit_s": percentile(commits, 0.99)}

    storm = Storm(network)
    words = {"report": report, "fan": lambda: fan_out(network), "count": count_events}
    words |= {"order": storm.order, "trickle": storm.trickle, "hush": storm.hush}
    obey({**words, "outcome": storm.outcome})
    network.stop()


class Storm:
    """Orders to every station, at once or one after the other, whose fate is told later: some
    lines may break meanwhile."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.going: Any = None
        self.told: list[bool] = []
        self.count = 0

    def order(self) -> dict[str, int]:
        """One to each at once, and do not wait."""
        self.told, self.count = [], 0
        asyncio.run_coroutine_threadsafe(self._send(self._names()), self.network._loop).result(60.0)
        return {"sent": self.count}

    def trickle(self) -> dict[str, int]:
        """One to each every TRICKLE_S, evenly spread, until `hush`."""
        self.told, self.count = [], 0
        self.going = asyncio.run_coroutine_threadsafe(self._trickle(), self.network._loop)
        return {}

    def hush(self) -> dict[str, int]:
        """Stop the trickle; wait for what is on its way."""
        self.going.cancel()
        return self.outcome()

    def outcome(self) -> dict[str, int]:
        """How many were sent, accepted and known to have failed; waits for all."""
        end_s = time.monotonic() + 60.0
        while len(self.told) < self.count and time.monotonic() < end_s:
            time.sleep(0.05)
        told = self.told
        return {"sent": self.count, "accepted": told.count(True), "failed": told.count(False)}

    def _names(self) -> list[str]:
        return [name for name, s in self.network.csms.network.stations.items() if s.booted]

    async def _trickle(self) -> None:
        names = self._names()
        part = max(len(names) // 100, 1)
        while True:
            for first in range(0, len(names), part):
                await self._send(names[first : first + part])
                await asyncio.sleep(TRICKLE_S / 100)

    async def _send(self, names: list[str]) -> None:
        for name in names:
            self.count += 1
            self.network.post(
                name, "UpdateDynamicSchedule", setpoint_order(), self._done, timeout_s=20.0
            )

    def _done(self, event: Any) -> None:
        self.told.append(getattr(getattr(event, "response", None), "status", "") == "Accepted")


def setpoint_order() -> Any:
    """The typed order of a setpoint."""
    update = v21.ChargingScheduleUpdateType(setpoint=SETPOINT_W)
    return v21.UpdateDynamicScheduleRequest(chargingProfileId=12, scheduleUpdate=update)


def fan_out(network: Any) -> dict[str, float]:
    """One UpdateDynamicSchedule to every station, all answered: seconds and CPU."""
    took: list[float] = []

    async def all_of_them() -> None:
        names = [name for name, s in network.csms.network.stations.items() if s.booted]
        ended, begun = asyncio.get_running_loop().create_future(), time.monotonic()

        def answered(event: Any) -> None:
            assert event.response.status == "Accepted", event
            took.append(time.monotonic() - begun)
            if len(took) == len(names):
                ended.set_result(None)

        for name in names:
            network.post(name, "UpdateDynamicSchedule", setpoint_order(), answered)
        await ended

    begun_cpu = cpu_s()
    asyncio.run_coroutine_threadsafe(all_of_them(), network._loop).result(120.0)
    used_s = cpu_s() - begun_cpu
    return {"cpu_us": used_s / len(took) * 1e6, "p99_s": percentile(took, 0.99), "sent": len(took)}


def serve_ocpp(tls: ssl.SSLContext | None) -> None:
    """PyPI `ocpp` v21 with validation on `websockets`, compression off."""
    from datetime import UTC, datetime

    import ocpp.v21 as peer
    from ocpp.routing import on
    from websockets.asyncio.server import serve

    stations: dict[str, Any] = {}

    class Backend(peer.ChargePoint):  # type: ignore[misc]
        @on("BootNotification")
        async def boot(self, **_: Any) -> Any:
            now = datetime.now(UTC).isoformat()
            return peer.call_result.BootNotification(
                current_time=now, interval=300, status="Accepted"
            )

        @on("TransactionEvent")
        async def event(self, **_: Any) -> Any:
            return peer.call_result.TransactionEvent()

    async def handle(socket: Any) -> None:
        name = socket.request.path.rsplit("/", 1)[1]
        stations[name] = Backend(name, socket)
        with contextlib.suppress(Exception):
            await stations[name].start()

    async def fan() -> dict[str, float]:
        took: list[float] = []
        begun, begun_cpu = time.monotonic(), cpu_s()

        async def one(station: Any) -> None:
            update = {"setpoint": SETPOINT_W}
            await station.call(
                peer.call.UpdateDynamicSchedule(charging_profile_id=12, schedule_update=update)
            )
            took.append(time.monotonic() - begun)

        await asyncio.gather(*(one(station) for station in stations.values()))
        used_s = cpu_s() - begun_cpu
        found = {"cpu_us": used_s / len(took) * 1e6, "p99_s": percentile(took, 0.99)}
        return {**found, "sent": len(took)}

    async def main() -> None:
        server = await serve(
            handle,
            "127.0.0.1",
            0,
            ssl=tls,
            subprotocols=["ocpp2.1"],  # type: ignore[list-item]
            compression=None,
        )
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        ending = asyncio.Event()

        def listen() -> None:
            run = asyncio.run_coroutine_threadsafe
            obey({"report": report, "fan": lambda: run(fan(), loop).result(300.0)})
            loop.call_soon_threadsafe(ending.set)

        threading.Thread(target=listen, daemon=True).start()
        await ending.wait()

    logging.disable(logging.CRITICAL)
    asyncio.run(main())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("pendel", "ocpp"))
    parser.add_argument("--stations", type=int, default=1_000)
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("--fast", action="store_true", help="on uvloop")
    parser.add_argument("--tls", metavar="PEM")
    given = parser.parse_args()
    if given.name == "ocpp":
        serve_ocpp(tls_context(given.tls))
    elif given.durable:
        with tempfile.TemporaryDirectory() as folder:
            serve_pendel(given.stations, Path(folder), given.fast, given.tls)
    else:
        serve_pendel(given.stations, None, given.fast, given.tls)


if __name__ == "__main__":
    main()
