"""A whole server in one process: runtime, bridge, network, API; for raw stations to talk to."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from httpx import ASGITransport, AsyncClient
from ocpp_network_bench import HASH, config

from pendel.adapters.memory_log import MemoryEventLog
from pendel.api.app import create_app
from pendel.api.auth import Gate, Role, Token
from pendel.api.service import Service
from pendel.cli.serve import areas_of
from pendel.config.server import ServerConfig
from pendel.runtime.bridges.ocpp_bridge import OcppBridge, bridge
from pendel.runtime.engine import Runtime
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_policy import ConfigPolicy

TOKENS = ("admin", "driver", "aggregator")


def site(**more: Any) -> dict[str, Any]:
    return {
        "site_id": "home",
        "timezone": "Europe/Berlin",
        "import_limit_kw": 17.0,
        "export_limit_kw": 11.0,
        "export_permit": {"reference": "G-1", "valid_from": "2020-01-01"},
        **more,
    }


def settings(mode: str = "v2g", **more: Any) -> ServerConfig:
    station = {"station_id": "CP1", "site_id": "home", "password_hash": HASH, "mode": mode}
    return config(**{"site": [site()], "station": [station], **more})


class ServerBench:
    """runtime ticks ten times a second; `api` speaks HTTP without a socket."""

    def __init__(self, given: ServerConfig, store: Any = None) -> None:
        self.runtime = Runtime(MemoryEventLog() if store is None else store)
        self.runtime.areas += areas_of(given, datetime.now(UTC))
        self.network = ChargingNetwork(ConfigPolicy(given), self.runtime.store)
        self.bridge: OcppBridge = bridge(self.runtime, self.network)
        self.port = self.network.start("127.0.0.1", 0)
        tokens = [
            Token(name, Role(name), hashlib.sha256(name.encode()).hexdigest()) for name in TOKENS
        ]
        service = Service(self.runtime, Gate(tokens), network=self.network, bridge=self.bridge)
        self._app = create_app(service)
        self._ending = threading.Event()
        self.runtime.start(datetime.now(UTC))
        self.runtime.tick(datetime.now(UTC))
        self._thread = threading.Thread(target=self._tick)
        self._thread.start()

    async def api(self, method: str, path: str, body: Any = None, token: str = "admin") -> Any:
        """(status, data) of a request."""

        headers = {"Authorization": f"Bearer {token}"}
        transport = ASGITransport(app=self._app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url="http://bench") as client:
            response = await client.request(method, f"/api/v1{path}", json=body, headers=headers)
        return response.status_code, response.json() if response.content else None

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.network.stop()

    def _tick(self) -> None:
        while not self._ending.wait(0.1):
            self.runtime.tick(datetime.now(UTC))


@contextlib.contextmanager
def server_of(given: ServerConfig | None = None, store: Any = None) -> Iterator[ServerBench]:
    server = ServerBench(given or settings(), store)
    try:
        yield server
    finally:
        server.close()
