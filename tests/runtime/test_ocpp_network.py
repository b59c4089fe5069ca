"""The charging network as a whole: nothing lost, nothing twice, peers of all three versions."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

sys.path.insert(0, str(Path(__file__).parent))

from ocpp_network_bench import basic, config, event, network_of, station_at

from pendel.adapters.event_log import SqliteEventLog
from pendel.adapters.memory_log import MemoryEventLog
from pendel.errors import StoreError
from pendel.records import StationMessage
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_orders import InvalidOrderError, OfflineError
from pendel.runtime.network_policy import ConfigPolicy


class CountingLog(MemoryEventLog):
    """Counts commits; fails while `broken`. Taken for a disk."""

    in_memory = False

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.broken = False

    def append(self, records: Any) -> None:
        self.commits += 1
        if self.broken:
            raise StoreError("the disk is full")
        super().append(records)


def stored_events(store: Any) -> list[StationMessage]:
    return [
        record
        for _, record in store.replay()
        if isinstance(record, StationMessage) and record.action == "TransactionEvent"
    ]


def test_an_event_is_durable_before_it_is_answered_and_never_lost_to_a_full_disk() -> None:
    store = CountingLog()

    async def run(port: int) -> None:
        async with station_at(port) as station:
            await station.boot()
            assert (await station.call("TransactionEvent", event(0, "Started")))[0] == 3
            assert len(stored_events(store)) == 1
            store.broken = True
            refused = await station.call("TransactionEvent", event(1))
            assert refused[0] == 4 and refused[2] == "InternalError"
            store.broken = False
            assert (await station.call("TransactionEvent", event(1)))[0] == 3
            assert (await station.call("TransactionEvent", event(1)))[0] == 3
        assert [r.message_id != "" for r in stored_events(store)] == [True, True]

    with network_of(store=store) as network:
        asyncio.run(run(network.port))


def test_commits_are_shared() -> None:
    store = CountingLog()

    async def run(port: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stations = [
                await stack.enter_async_context(station_at(port, f"CP{i}")) for i in range(1, 41)
            ]
            for station in stations:
                await station.boot()
            store.commits = 0
            for n in range(5):
                answers = await asyncio.gather(
                    *(station.call("TransactionEvent", event(n)) for station in stations)
                )
                assert all(answer[0] == 3 for answer in answers)

    with network_of(config(stations=40), store) as network:
        asyncio.run(run(network.port))
    assert len(stored_events(store)) == 200
    assert store.commits < 150, "events that arrive together share a commit"


def resend(count: int) -> None:
    store = MemoryEventLog()

    async def run(port: int) -> None:
        async with station_at(port) as station:
            await station.boot()
            for n in range(count):
                payload = {**event(n, "Started" if n == 0 else "Updated", wh=n), "offline": True}
                assert (await station.call("TransactionEvent", payload))[0] == 3

    with network_of(store=store) as network:
        asyncio.run(run(network.port))
        transaction = network.csms.network.station("CP1").transactions["T"]
        assert (transaction.events, transaction.gaps()) == (count, [])
        assert transaction.imported.kwh == pytest.approx((count - 1) / 1e3)
    assert len(stored_events(store)) == count


def test_a_queue_of_an_outage_goes_through() -> None:
    resend(1_000)


@pytest.mark.proof
def test_10000_queued_events_go_through() -> None:
    resend(10_000)


def test_a_restart_resumes_open_transactions(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def first(port: int) -> None:
        async with station_at(port) as station:
            await station.boot()
            await station.call("TransactionEvent", event(0, "Started", wh=100.0))
        async with station_at(port, "CP2", "1.6") as station:
            start = {"connectorId": 1, "idTag": "T", "meterStart": 5}
            start["timestamp"] = "2026-01-01T00:00:00Z"
            assert (await station.call("StartTransaction", start))[2]["transactionId"] == 1

    async def second(port: int) -> None:
        async with station_at(port) as station:  # a reconnect: no BootNotification is needed
            assert (await station.call("TransactionEvent", event(0, "Started", wh=100.0)))[0] == 3
            assert (await station.call("TransactionEvent", event(2, "Ended", wh=700.0)))[0] == 3
        async with station_at(port, "CP2", "1.6") as station:
            start = {"connectorId": 1, "idTag": "T", "meterStart": 5}
            start["timestamp"] = "2026-01-01T00:00:00Z"
            assert (await station.call("StartTransaction", start))[2]["transactionId"] == 1
            start["timestamp"] = "2026-01-02T00:00:00Z"
            assert (await station.call("StartTransaction", start))[2]["transactionId"] == 2

    for run in (first, second):
        store = SqliteEventLog(path)
        with network_of(store=store) as network:
            asyncio.run(run(network.port))
            transaction = network.csms.network.station("CP1").transactions["T"]
        store.close()
    assert (transaction.events, transaction.gaps()) == (2, [1])
    assert transaction.imported.kwh == pytest.approx(0.6) and not transaction.is_open


def test_commands_reach_the_station_and_are_written_down() -> None:
    store = MemoryEventLog()

    async def run(network: ChargingNetwork) -> None:
        loop = asyncio.get_running_loop()

        def send(action: str, payload: Any, timeout_s: float = 5.0) -> Any:
            return loop.run_in_executor(None, network.command, "CP1", action, payload, timeout_s)

        with pytest.raises(OfflineError):
            await send("Reset", {"type": "Immediate"})
        async with station_at(network.port) as station:
            await station.boot()
            event = await send("Reset", {"type": "Immediate"})
            assert event.response.status == "Accepted"
            assert station.asked == [["Reset", {"type": "Immediate"}]]
            with pytest.raises(InvalidOrderError):
                await send("Reset", {"type": "Sometimes"})
            with pytest.raises(InvalidOrderError):
                await send("Nonsense", {})
            station.answers["Reset"] = {"status": "Perhaps"}
            assert (await send("Reset", {"type": "OnIdle"})).code != ""
            station.answers["Reset"] = None
            assert (await send("Reset", {"type": "OnIdle"}, 0.3)).code == "Timeout"
            station.answers.clear()
            many = [send("Reset", {"type": "OnIdle"}) for _ in range(20)]
            assert all(e.response.status == "Accepted" for e in await asyncio.gather(*many))
            assert len(station.asked) == 23

    with network_of(store=store) as network:
        asyncio.run(run(network))
    orders = [r for _, r in store.replay() if isinstance(r, StationMessage) and r.outgoing]
    assert [o.status for o in orders].count("Accepted") == 21
    assert len({o.message_id for o in orders}) == 23


def test_a_refused_event_is_put_aside_not_dropped() -> None:
    store = MemoryEventLog()
    broken = {**event(0, "Started"), "seqNo": "zero"}

    async def run(port: int) -> None:
        async with station_at(port) as station:
            await station.boot()
            assert (await station.call("TransactionEvent", broken))[0] == 4

    with network_of(store=store) as network:
        asyncio.run(run(network.port))
    kept = [r for _, r in store.replay() if isinstance(r, StationMessage) and r.refused]
    assert len(kept) == 1 and '"zero"' in kept[0].payload


class Peers:
    """Stations on PyPI `ocpp`, an independent implementation."""

    @staticmethod
    async def v16(socket: Any) -> None:
        from ocpp.v16 import ChargePoint, call

        peer = ChargePoint("CP1", socket)
        task = asyncio.create_task(peer.start())
        now = datetime.now(UTC).isoformat()
        answer = await peer.call(
            call.BootNotification(charge_point_model="m", charge_point_vendor="v")
        )
        assert answer.status == "Accepted"
        start = await peer.call(
            call.StartTransaction(connector_id=1, id_tag="T", meter_start=0, timestamp=now)
        )
        values = [{"timestamp": now, "sampledValue": [{"value": "1200"}]}]
        await peer.call(
            call.MeterValues(
                connector_id=1, transaction_id=start.transaction_id, meter_value=values
            )
        )
        await peer.call(
            call.StopTransaction(
                meter_stop=1500, timestamp=now, transaction_id=start.transaction_id
            )
        )
        task.cancel()

    @staticmethod
    async def v2(socket: Any, module: Any) -> None:
        peer = module.ChargePoint("CP1", socket)
        task = asyncio.create_task(peer.start())
        call = module.call
        boot = call.BootNotification(
            charging_station={"model": "m", "vendorName": "v"}, reason="PowerUp"
        )
        assert (await peer.call(boot)).status == "Accepted"
        now = datetime.now(UTC).isoformat()
        for seq, kind in enumerate(("Started", "Updated", "Ended")):
            await peer.call(
                call.TransactionEvent(
                    event_type=kind,
                    timestamp=now,
                    trigger_reason="Authorized",
                    seq_no=seq,
                    transaction_info={"transactionId": "T"},
                    evse={"id": 1},
                    meter_value=[{"timestamp": now, "sampledValue": [{"value": 750.0 * seq}]}],
                )
            )
        task.cancel()


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_stations_of_an_independent_library(version: str) -> None:
    async def run(port: int) -> None:
        import ocpp.v21
        import ocpp.v201

        url = f"ws://127.0.0.1:{port}/ocpp/CP1"
        async with connect(
            url, subprotocols=[f"ocpp{version}"], additional_headers=basic("CP1")
        ) as socket:
            if version == "1.6":
                await Peers.v16(socket)
            else:
                await Peers.v2(socket, ocpp.v201 if version == "2.0.1" else ocpp.v21)

    with network_of() as network:
        asyncio.run(run(network.port))
        (transaction,) = network.csms.network.station("CP1").transactions.values()
    assert transaction.events == 3 and not transaction.is_open
    assert transaction.imported.kwh == pytest.approx(1.5)
    assert transaction.ocpp_version == version


class KillableServer:
    """The network in a process of its own, killed without warning."""

    def __init__(self, store: Path) -> None:
        self.store, self.port = store, 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        script = Path(__file__).parent / "kill_server.py"
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(self.store), str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


async def charge_on(server: KillableServer, name: str, acknowledged: set[tuple[str, int]]) -> None:
    """Send events one after the other, each until it is acknowledged, through every kill."""
    seq, booted = 0, False
    while True:
        try:
            async with station_at(server.port, name, open_timeout=5) as station:
                if not booted:
                    await station.boot()
                    booted = True
                while True:
                    kind = "Started" if seq == 0 else "Updated"
                    answer = await station.call("TransactionEvent", event(seq, kind, f"T{name}"))
                    assert answer[0] == 3, answer
                    acknowledged.add((f"T{name}", seq))
                    seq += 1
        except (OSError, EOFError, TimeoutError) as error:
            if isinstance(error, asyncio.CancelledError):
                raise
            await asyncio.sleep(0.05)
        except Exception as error:
            if "Connection" not in type(error).__name__ and "Invalid" not in type(error).__name__:
                raise
            await asyncio.sleep(0.05)


def kill_under_load(tmp_path: Path, kills: int) -> dict[str, int]:
    """So many kills; returns what was acknowledged and what is stored."""
    server, rng = KillableServer(tmp_path / "log.db"), random.Random(kills)
    acknowledged: set[tuple[str, int]] = set()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, server.start)
        stations = [
            loop.create_task(charge_on(server, f"CP{i}", acknowledged)) for i in range(1, 5)
        ]
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(0.15, 0.4))
            server.kill()
            await loop.run_in_executor(None, server.start)
        await asyncio.sleep(0.4)
        server.kill()
        for station in stations:
            assert not station.done(), station
            station.cancel()

    asyncio.run(run())
    store = SqliteEventLog(server.store)
    found = [(e.payload, e.transaction_id) for e in stored_events(store)]
    network = ChargingNetwork(ConfigPolicy(config(stations=4)), store)
    store.close()
    assert len(acknowledged) > 10 * kills
    assert len(set(found)) == len(found)
    stations = network.csms.network.stations
    total = 0
    for name in ("CP1", "CP2", "CP3", "CP4"):
        transaction = stations[name].transactions[f"T{name}"]
        total += transaction.events
        assert transaction.gaps() == []
        for _, seq in (e for e in acknowledged if e[0] == f"T{name}"):
            assert seq in transaction.sequence
    assert len(found) == total, "every stored event is there exactly once"
    return {"acknowledged events": len(acknowledged), "stored events": total}


def test_kill_9_under_load(tmp_path: Path) -> None:
    kill_under_load(tmp_path, 2)


@pytest.mark.proof
@pytest.mark.timeout(1_200)
def test_kill_9_under_load_100_times(tmp_path: Path) -> None:
    kill_under_load(tmp_path, 100)
