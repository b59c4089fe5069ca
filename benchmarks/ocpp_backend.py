"""The OCPP backend beside PyPI `ocpp`: `python benchmarks/ocpp_backend.py [--stations N]`.

One server process at a time, a client process on the other core, the same validated 2.1
TransactionEvent (7 sampled values, 1.2 kB) in a closed loop over loopback; CPU of the server by
`getrusage`, so that the load of others does not count. Both servers run on `websockets` without
compression: ours the whole path (door, schema, rules, answer; store in memory or on disk),
the peer's with its validation on. Then memory per idle station, and a setpoint to every station.
"""

import argparse
import asyncio
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

STATIONS, MESSAGES = 1_000, 4
HERE = Path(__file__).resolve()
SERVERS = ("pendel", "pendel-durable", "ocpp")


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


def serve_pendel(count: int, durable: bool) -> None:
    """Our server until stdin ends."""
    import msgspec
    from argon2 import PasswordHasher

    from pendel.adapters.event_log import SqliteEventLog
    from pendel.adapters.memory_log import MemoryEventLog
    from pendel.config.server import ServerConfig
    from pendel.runtime.network import ChargingNetwork
    from pendel.runtime.network_policy import ConfigPolicy

    class NoLog(MemoryEventLog):
        """The path without a database: records are counted, not kept."""

        def append(self, records: Any) -> None:
            """Nothing."""

    password_hash = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
    stations = [
        {"station_id": f"CP{i}", "site_id": "s", "password_hash": password_hash}
        for i in range(count)
    ]
    site = {"site_id": "s", "timezone": "UTC", "import_limit_kw": 1.0}
    config = msgspec.convert({"site": [site], "station": stations}, ServerConfig)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteEventLog(Path(folder) / "log.db") if durable else NoLog()
        network = ChargingNetwork(ConfigPolicy(config), store)
        print(network.start("127.0.0.1", 0), flush=True)
        for line in sys.stdin:
            if line.startswith("fan"):
                print(json.dumps(fan_out(network, count)), flush=True)
            else:
                report()
        network.stop()


def fan_out(network: Any, count: int) -> dict[str, float]:
    """One UpdateDynamicSchedule to every station, all answered: seconds and CPU."""
    from pendel.comms.ocpp.release import Version
    from pendel.runtime.network import typed_order

    payload = {"chargingProfileId": 12, "scheduleUpdate": {"setpoint": -5_000.0}}
    took: list[float] = []

    async def one(station_id: str, order: Any, begun: float) -> None:
        await network.order(station_id, "UpdateDynamicSchedule", order)
        took.append(time.monotonic() - begun)

    async def all_of_them() -> None:
        begun = time.monotonic()
        order = typed_order(Version.V21, "UpdateDynamicSchedule", payload)
        await asyncio.gather(*(one(f"CP{i}", order, begun) for i in range(count)))

    begun_cpu = cpu_s()
    asyncio.run_coroutine_threadsafe(all_of_them(), network._loop).result(120.0)
    took.sort()
    return {"cpu_s": cpu_s() - begun_cpu, "p99_s": took[int(len(took) * 0.99) - 1]}


def serve_ocpp(count: int) -> None:
    """PyPI `ocpp` v21 with validation until stdin ends."""
    import threading
    from datetime import UTC, datetime

    import ocpp.v21 as v21
    from ocpp.routing import on
    from websockets.asyncio.server import serve

    stations: dict[str, Any] = {}

    class Backend(v21.ChargePoint):  # type: ignore[misc]
        @on("BootNotification")
        async def boot(self, **_: Any) -> Any:
            now = datetime.now(UTC).isoformat()
            return v21.call_result.BootNotification(
                current_time=now, interval=300, status="Accepted"
            )

        @on("TransactionEvent")
        async def event(self, **_: Any) -> Any:
            return v21.call_result.TransactionEvent()

    async def handle(socket: Any) -> None:
        name = socket.request.path.rsplit("/", 1)[1]
        stations[name] = Backend(name, socket)
        await stations[name].start()

    async def fan() -> dict[str, float]:
        took: list[float] = []
        begun, begun_cpu = time.monotonic(), cpu_s()

        async def one(station: Any) -> None:
            update = {"setpoint": -5_000.0}
            await station.call(
                v21.call.UpdateDynamicSchedule(charging_profile_id=12, schedule_update=update)
            )
            took.append(time.monotonic() - begun)

        await asyncio.gather(*(one(station) for station in stations.values()))
        took.sort()
        return {"cpu_s": cpu_s() - begun_cpu, "p99_s": took[int(len(took) * 0.99) - 1]}

    async def main() -> None:
        server = await serve(
            handle,
            "127.0.0.1",
            0,
            subprotocols=["ocpp2.1"],
            compression=None,  # type: ignore[list-item]
        )
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        ending = asyncio.Event()

        def listen() -> None:
            for line in sys.stdin:
                if line.startswith("fan"):
                    found = asyncio.run_coroutine_threadsafe(fan(), loop).result(300.0)
                    print(json.dumps(found), flush=True)
                else:
                    report()
            loop.call_soon_threadsafe(ending.set)

        threading.Thread(target=listen, daemon=True).start()
        await ending.wait()

    logging.disable(logging.CRITICAL)
    asyncio.run(main())


def cpu_s() -> float:
    """CPU time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def report() -> None:
    """CPU and resident memory on stdout."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    kb = pages * os.sysconf("SC_PAGE_SIZE") / 1024
    print(json.dumps({"cpu_s": cpu_s(), "rss_kb": kb}), flush=True)


class Server:
    """A server process under measurement."""

    def __init__(self, name: str, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE), "--serve", name, "--stations", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())

    def ask(self, word: str) -> dict[str, float]:
        """Send a word, read the JSON answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        found: dict[str, float] = json.loads(self._line())
        return found

    def close(self) -> None:
        """End the server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


async def load(server: Server, count: int, messages: int) -> dict[str, float]:
    """Connect, boot, measure memory; send messages; fan a setpoint out."""
    import base64

    from websockets.asyncio.client import connect

    async with AsyncExitStack() as stack:
        before = server.ask("report")
        sockets = []
        for i in range(count):
            token = base64.b64encode(f"CP{i}:secret".encode()).decode()
            sockets.append(
                await stack.enter_async_context(
                    connect(
                        f"ws://127.0.0.1:{server.port}/ocpp/CP{i}",
                        subprotocols=["ocpp2.1"],  # type: ignore[list-item]
                        additional_headers={"Authorization": f"Basic {token}"},
                        compression=None,
                        ping_interval=None,
                        open_timeout=60,
                    )
                )
            )
        boot = '[2,"b","BootNotification",' + json.dumps(
            {"chargingStation": {"vendorName": "v", "model": "m"}, "reason": "PowerUp"}
        ) + "]"  # fmt: skip

        async def ask(socket: Any, text: str) -> None:
            await socket.send(text)
            answer = await socket.recv()
            assert answer.startswith("[3,"), answer

        await asyncio.gather(*(ask(socket, boot) for socket in sockets))
        idle = await asyncio.to_thread(server.ask, "report")

        async def talk(socket: Any) -> None:
            for n in range(messages):
                await ask(
                    socket, f'[2,"m{n}","TransactionEvent",{json.dumps(transaction_event(n))}]'
                )

        await asyncio.gather(*(talk(socket) for socket in sockets))
        loaded = await asyncio.to_thread(server.ask, "report")

        async def obey(socket: Any) -> None:
            message_id = json.loads(await socket.recv())[1]
            await socket.send(json.dumps([3, message_id, {"status": "Accepted"}]))

        obeying = [asyncio.create_task(obey(socket)) for socket in sockets]
        fan = await asyncio.to_thread(server.ask, "fan")
        await asyncio.gather(*obeying)
        return {
            "cpu_us_per_event": (loaded["cpu_s"] - idle["cpu_s"]) / (count * messages) * 1e6,
            "idle_kb_per_station": (idle["rss_kb"] - before["rss_kb"]) / count,
            "fan_out_cpu_us": fan["cpu_s"] / count * 1e6,
            "fan_out_p99_s": fan["p99_s"],
        }


def measure(stations: int = STATIONS) -> dict[str, Any]:
    """All servers in one run, and their ratios."""
    found: dict[str, Any] = {"stations": stations}
    for name in SERVERS:
        messages = MESSAGES if name == "ocpp" else 4 * MESSAGES
        server = Server(name, stations)
        try:
            found[name] = asyncio.run(load(server, stations, messages))
        finally:
            server.close()
    own, peer = found["pendel"], found["ocpp"]
    found["cpu_ratio"] = peer["cpu_us_per_event"] / own["cpu_us_per_event"]
    found["durable_cpu_ratio"] = (
        peer["cpu_us_per_event"] / found["pendel-durable"]["cpu_us_per_event"]
    )
    found["fan_out_cpu_ratio"] = peer["fan_out_cpu_us"] / own["fan_out_cpu_us"]
    found["target"] = "cpu_ratio >= 20, idle_kb <= 23, fan-out p99 <= 1 s and ratio >= 10"
    found["met"] = (
        found["cpu_ratio"] >= 20.0
        and own["idle_kb_per_station"] <= 23.0
        and own["fan_out_p99_s"] <= 1.0
        and found["fan_out_cpu_ratio"] >= 10.0
    )
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=STATIONS)
    parser.add_argument("--serve", choices=SERVERS)
    given = parser.parse_args()
    if given.serve == "ocpp":
        serve_ocpp(given.stations)
    elif given.serve:
        serve_pendel(given.stations, durable=given.serve == "pendel-durable")
    else:
        print(json.dumps(measure(given.stations), indent=1))


if __name__ == "__main__":
    main()
