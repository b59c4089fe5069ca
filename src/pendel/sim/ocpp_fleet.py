"""The stations of a demonstration: real OCPP 2.1 on loopback, simulated time.

    world --advance, plug--> virtual stations ==WebSocket==> charging network --readings--> world
    world --orders---------> charging network ==WebSocket==> virtual stations

Stations do not tick by themselves: the world moves them, so that a second of the world is the same
second for everybody, however fast it runs. What is said is waited for, each time at most QUIET_S.
"""

import asyncio
import random
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from argon2 import PasswordHasher

from pendel.adapters.ocpp_client import StationClient
from pendel.comms.ocpp.peer import Answered
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import Car, StationSettings
from pendel.config.server import ServerConfig
from pendel.errors import PendelError, require
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_orders import OfflineError, typed_order
from pendel.runtime.network_policy import ConfigPolicy
from pendel.units import POWER_MAX_KW

HOST = "127.0.0.1"
NEXT_PORTS = 20
QUIET_S = 2.0
START_S = 20.0
NEVER_S = 1e9
"""Stations send their meter values when the world asks, and no message times out on its own."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the backend was last told of an EVSE; registers in Wh since the station was made."""

    import_wh: float
    export_wh: float
    power_kw: float
    soc: float | None


@dataclass(frozen=True, slots=True)
class Heard:
    """An open transaction: the car's chargingNeeds (None = it said nothing) and SoC 0..1."""

    transaction_id: str
    needs: Any
    soc: float | None


@dataclass(frozen=True, slots=True)
class Order:
    """Power for an EVSE (station_id, 1) for duration_s; afterwards it rests."""

    station_id: str
    power_kw: float
    duration_s: int


class Forgetful:
    """A store that keeps nothing: what the network hears in a demonstration is in the state."""

    last_sequence = 0

    def append(self, records: Sequence[Any]) -> None:
        """Nothing is kept."""

    def replay(self, after_sequence: int = 0) -> Iterator[tuple[int, Any]]:
        """There is nothing."""
        return iter(())


class OcppFleet:
    """Virtual stations by id, each with one EVSE, and the network they are connected to."""

    def __init__(
        self,
        stations: dict[str, tuple[str, float]],
        now_s: float,
        port: int,
        network: ChargingNetwork | None = None,
        password: str = "",
    ) -> None:
        """stations: id -> (site_id, highest power [kW]); network: one that lets them in with the
        password, else one of their own is made. Raises OSError, PendelError."""
        password = password or secrets.token_hex(16)
        self.now_s = now_s
        self.network = network or ChargingNetwork(
            ConfigPolicy(_config(stations, password)), Forgetful(), now_utc=self.now_utc
        )
        self.port = _listen(self.network, port)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._sent: dict[str, tuple[str, int]] = {}
        self.clients = {
            name: self._client(name, power_kw, password) for name, (_, power_kw) in stations.items()
        }
        self._thread = threading.Thread(target=self._run, name="stations", daemon=True)
        self._thread.start()
        self._ready.wait(START_S)
        self._call(self._until(self._all_accepted, START_S))
        if not self._all_accepted():
            self.close()
            raise PendelError("the virtual stations could not connect to their own backend")
        self._together([self._rest(name) for name in stations], START_S)

    def now_utc(self) -> datetime:
        """The time of this world."""
        return datetime.fromtimestamp(self.now_s, UTC)

    def _client(self, name: str, power_kw: float, password: str) -> StationClient:
        settings = StationSettings(
            station_id=name,
            power_max_kw=power_kw,
            meter_interval_s=NEVER_S,
            call_timeout_s=NEVER_S,
            follows_clock=False,
        )
        rng = random.Random(name)
        station = VirtualStation(settings, Version.V21, rng, self.now_s)
        station.heartbeat_s = NEVER_S
        url = f"ws://{HOST}:{self.port}/ocpp"
        return StationClient(station, url, password, lambda: self.now_s, rng)

    def close(self) -> None:
        """Close all lines, then the network."""
        loop, over = self._loop, self._over
        if loop is not None and over is not None and not loop.is_closed():
            loop.call_soon_threadsafe(over.set)
        self._thread.join(QUIET_S * 5)
        self.network.stop()

    # what the world does; each waits until the backend knows

    def advance(self, now_s: float) -> None:
        """Let all stations live until now_s; each tells its meter values of that moment."""
        self.now_s = max(self.now_s, now_s)

        def live() -> None:
            for client in self.clients.values():
                station = client.station
                station.tick(self.now_s)
                evse = station.evses[1]
                if evse.transaction is not None:
                    station.dialect.meter(evse, self.now_s)

        self._do(live)

    def plug(self, station_id: str, car: Car) -> None:
        """A car comes; raises ValueError where one stands."""
        self._do(lambda: self.clients[station_id].station.plug(1, car, self.now_s))

    def unplug(self, station_id: str) -> None:
        """The car goes."""
        self._sent.pop(station_id, None)
        self._do(lambda: self.clients[station_id].station.unplug(1, self.now_s) and None)

    def send(self, orders: Sequence[Order]) -> list[Order]:
        """Tell the stations; returns the orders that did not reach theirs."""
        if not orders:
            return []
        failed: list[Order] = []

        async def one(order: Order) -> None:
            try:
                taken = await self._send(order)
            except (OfflineError, OverflowError):
                taken = False
            if not taken:
                failed.append(order)

        self._together([one(order) for order in orders], QUIET_S)
        self._do(lambda: None)
        return failed

    def _together(self, work: Sequence[Coroutine[Any, Any, Any]], most_s: float) -> None:
        """Do all of it on the network's loop; wait for the end, at most most_s."""
        done = threading.Event()

        async def every() -> None:
            try:
                await asyncio.gather(*work)
            finally:
                done.set()

        self.network.soon(every())
        done.wait(most_s)

    def measured(self, station_id: str) -> Measured | None:
        """The last meter values that came over the wire for the running transaction."""
        known = self.network.csms.network.station(station_id)
        transaction = known.transactions.get(known.evse(1).transaction_id)
        if transaction is None or transaction.power_w is None:
            return None
        return Measured(
            transaction.imported.last_wh,
            transaction.exported.last_wh,
            transaction.power_w / 1e3,
            transaction.soc,
        )

    def heard(self, station_id: str) -> Heard | None:
        """The open transaction of a station and what its car said; None while nobody heard."""
        known = self.network.csms.network.station(station_id)
        transaction = known.transactions.get(known.evse(1).transaction_id)
        if transaction is None or not transaction.is_open:
            return None
        return Heard(transaction.transaction_id, known.evse(1).needs, transaction.soc)

    def is_over(self, station_id: str, transaction_id: str) -> bool:
        """Whether the end of a transaction was heard."""
        known = self.network.csms.network.station(station_id)
        transaction = known.transactions.get(transaction_id)
        return transaction is None or not transaction.is_open

    async def _send(self, order: Order) -> bool:
        """A profile first, updates afterwards; runs on the network's loop."""
        known = self.network.csms.network.station(order.station_id)
        transaction_id = known.evse(1).transaction_id
        if not transaction_id:
            return False
        state = (transaction_id, order.duration_s)
        setpoint_w = order.power_kw * 1e3
        if self._sent.get(order.station_id) == state:
            update = {"chargingProfileId": 2, "scheduleUpdate": {"setpoint": setpoint_w}}
            return await self._order(order.station_id, "UpdateDynamicSchedule", update)
        period = {"operationMode": "CentralSetpoint", "setpoint": setpoint_w}
        follow = _profile(2, "TxProfile", "Dynamic", period)
        follow["transactionId"] = transaction_id
        follow["chargingSchedule"][0]["duration"] = order.duration_s
        payload = {"evseId": 1, "chargingProfile": follow}
        if not await self._order(order.station_id, "SetChargingProfile", payload):
            return False
        self._sent[order.station_id] = state
        return True

    async def _rest(self, station_id: str) -> bool:
        """The profile under all others: without an order nothing flows."""
        rest = _profile(1, "TxDefaultProfile", "Relative", {"limit": 0.0})
        payload = {"evseId": 1, "chargingProfile": rest}
        return await self._order(station_id, "SetChargingProfile", payload)

    async def _order(self, station_id: str, action: str, payload: dict[str, Any]) -> bool:
        typed = typed_order(Version.V21, action, payload)
        event = await self.network.order(station_id, action, typed)
        return isinstance(event, Answered) and event.response.status == "Accepted"

    # the thread of the stations

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        tasks = [asyncio.create_task(client.run()) for client in self.clients.values()]
        self._ready.set()
        await self._over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _do(self, work: Callable[[], Any]) -> None:
        """Run work among the stations and wait until nothing is left to be said."""

        async def wrapped() -> None:
            work()
            for client in self.clients.values():
                client.wake()
            await self._until(self._is_quiet, QUIET_S)

        self._call(wrapped())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        loop = self._loop
        require(loop is not None, "the stations are running")
        if loop is not None:
            asyncio.run_coroutine_threadsafe(work, loop).result(START_S + QUIET_S)

    @staticmethod
    async def _until(condition: Callable[[], bool], most_s: float) -> None:
        end_s = asyncio.get_running_loop().time() + most_s
        while not condition() and asyncio.get_running_loop().time() < end_s:
            await asyncio.sleep(0.001)

    def _all_accepted(self) -> bool:
        return all(client.station.accepted for client in self.clients.values())

    def _is_quiet(self) -> bool:
        for client in self.clients.values():
            peer = client.station.peer
            if peer is not None and (peer.outbox or peer.deadline_s is not None):
                return False
        return True


def _profile(number: int, purpose: str, kind: str, period: dict[str, Any]) -> dict[str, Any]:
    schedule = {
        "id": number,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, **period}],
    }
    return {
        "id": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule],
    }


def _config(stations: dict[str, tuple[str, float]], password: str) -> ServerConfig:
    """The network's configuration; the password lives as long as the process, its hash is cheap."""
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)
    sites = sorted({site for site, _ in stations.values()})
    data = {
        "site": [{"site_id": s, "timezone": "UTC", "import_limit_kw": POWER_MAX_KW} for s in sites],
        "station": [
            {"station_id": name, "site_id": site, "password_hash": hashed, "mode": "v2g"}
            for name, (site, _) in stations.items()
        ],
    }
    return msgspec.convert(data, ServerConfig)


def _listen(network: ChargingNetwork, port: int) -> int:
    """Serve on the port or one of the next. Raises OSError."""
    for offset in range(NEXT_PORTS):
        try:
            return network.start(HOST, port + offset if port else 0)
        except OSError:
            if offset == NEXT_PORTS - 1:
                raise
    return 0
