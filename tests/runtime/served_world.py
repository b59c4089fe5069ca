"""A served configuration in simulated time: OCPP over loopback, the real bridge and controller."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from pendel.adapters.memory_log import MemoryEventLog
from pendel.cli.serve import areas_of
from pendel.comms.ocpp.station.equipment import Car
from pendel.config.server import ServerConfig, load_server_config
from pendel.runtime.bridges.ocpp_bridge import OcppBridge, bridge
from pendel.runtime.contracts import contracts_of
from pendel.runtime.engine import Runtime
from pendel.runtime.markets import open_market
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_policy import ConfigPolicy
from pendel.runtime.reward import Reward
from pendel.runtime.tariff_prices import TariffPrices
from pendel.sim.ocpp_fleet import OcppFleet

PASSWORD = "correct horse battery"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
QUIET_S = 10.0


@dataclass(slots=True)
class Served:
    """What `pendel serve` wires, under a clock that the test moves."""

    config: ServerConfig
    runtime: Runtime
    network: ChargingNetwork
    bridged: OcppBridge
    fleet: OcppFleet

    @property
    def now_utc(self) -> datetime:
        return self.fleet.now_utc()

    def car(self, station_id: str) -> Car:
        found = self.fleet.clients[station_id].station.evses[1].car
        assert found is not None
        return found

    def step(self, seconds: float = 900.0) -> None:
        """Let the stations live, tick, and wait until they were told what was decided."""
        self.fleet.advance(self.fleet.now_s + seconds)
        self.tick()

    def tick(self) -> None:
        self.runtime.tick(self.now_utc)
        self.settle()

    def settle(self) -> None:
        """Wait (real time, bounded) until no station is to be told anything any more."""
        end = time.monotonic() + QUIET_S
        lines = self.bridged.steering.lines
        while time.monotonic() < end:
            if not any(line.busy for line in list(lines.values())):
                self.fleet.advance(self.fleet.now_s)
                if not any(line.busy for line in list(lines.values())):
                    return
            time.sleep(0.01)

    def power_kw(self, station_id: str) -> float:
        """Power told last over the wire."""
        measured = self.fleet.measured(station_id)
        return 0.0 if measured is None else measured.power_kw

    def close(self) -> None:
        self.fleet.close()
        self.runtime.close()


def served(
    folder: Path,
    text: str,
    start_utc: datetime,
    stations: dict[str, tuple[str, float]],
    store: Any = None,
) -> Served:
    """text: a configuration without ports and passwords of its stations."""
    file = folder / "server.toml"
    file.write_text(text.replace("PASSWORD_HASH", HASH), "utf-8")
    config = load_server_config(file)
    contracts = contracts_of(config, folder)
    runtime = Runtime(store or MemoryEventLog(), {s.site_id: s.timezone for s in config.site})
    runtime.areas += areas_of(config, start_utc, contracts.tariffs_on(start_utc.date()))
    reward = Reward(dict(contracts.mispel_case), runtime.state.months)
    prices = TariffPrices(contracts, open_market(config.prices, folder), reward)
    clock: list[Any] = []
    network = ChargingNetwork(
        ConfigPolicy(config), runtime.store, now_utc=lambda: clock[0]() if clock else start_utc
    )
    bridged = bridge(runtime, network, prices)
    fleet = OcppFleet(stations, start_utc.timestamp(), 0, network, PASSWORD)
    clock.append(fleet.now_utc)
    runtime.start(start_utc)
    return Served(config, runtime, network, bridged, fleet)


def spot_csv(begin_utc: datetime, prices: list[float]) -> str:
    """Hourly prices as a file of [prices]."""
    rows = [
        f"{(begin_utc + timedelta(hours=hour)).isoformat()},{price}"
        for hour, price in enumerate(prices)
    ]
    return "\n".join(["time_utc,spot_eur_mwh", *rows])


TARIFF = """
name = "spot and a little"
currency = "EUR"
timezone = "Europe/Berlin"
[[component]]
name = "energy"
kind = "dynamic_energy"
direction = "import"
valid_from = 2026-01-01
factor = "1"
adder_ct_kwh = "1"
[[component]]
name = "feed-in"
kind = "export_energy"
direction = "export"
valid_from = 2026-01-01
factor = "1"
"""
SERVER = """
store = "memory://"
[prices]
source = "spot.csv"
[[site]]
site_id = "home"
timezone = "Europe/Berlin"
import_limit_kw = 17.0
export_limit_kw = 11.0
export_permit = { reference = "G-1", valid_from = "2025-01-01" }
tariff = "mine.toml"
[[station]]
station_id = "CP1"
site_id = "home"
password_hash = "PASSWORD_HASH"
mode = "v2g"
"""
