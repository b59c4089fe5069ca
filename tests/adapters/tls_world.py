"""An authority in a folder, a network with a TLS port beside the plain one, and clients."""

import contextlib
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from ocpp_network_bench import basic, config

from pendel.adapters import certificate_authority
from pendel.adapters.certificate_authority import CertificateAuthority
from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.tls import client_context
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_policy import ConfigPolicy
from pendel.runtime.network_security import security_of

OPERATOR = "Example Grid"
certificate_authority.RSA_BITS = 2048  # 3,072 bits take seconds on a slow machine
HOSTS = ["localhost", "127.0.0.1"]


def now_utc() -> datetime:
    return datetime.now(UTC)


def authority_at(folder: Path, days_ago: float = 0.0) -> CertificateAuthority:
    """An authority whose clock is days_ago behind (its certificates may have ended)."""
    return CertificateAuthority(folder, lambda: now_utc() - timedelta(days=days_ago))


def made(folder: Path, operator: str = OPERATOR) -> CertificateAuthority:
    authority = authority_at(folder)
    authority.create(operator)
    authority.server(HOSTS)
    return authority


@contextlib.contextmanager
def tls_network(
    base: Path, store: Any = None, tls: Any = None, fast: bool | None = None, **more: Any
) -> Iterator[ChargingNetwork]:
    """The authority's folder is `ca` under base. fast: on uvloop, None = where it is installed."""
    ocpp = {"tls": {"folder": "ca", "port": 0, **(tls or {})}}
    settings = config(**({"ocpp": ocpp} | more))
    security = security_of(settings.ocpp, base, now_utc, settings.plug_and_charge)
    network = ChargingNetwork(
        ConfigPolicy(settings), MemoryEventLog() if store is None else store, False, security
    )
    network.start("127.0.0.1", 0, fast)
    try:
        yield network
    finally:
        network.stop()


def trusting(base: Path, station: str | None = None) -> ssl.SSLContext:
    """A client that trusts the authority and shows a station's certificate."""
    shown = None if station is None else base / "ca" / "stations" / f"{station}.pem"
    return client_context(base / "ca" / "ca.pem", shown)


async def came(
    port: int,
    tls: ssl.SSLContext | None,
    station: str = "CP1",
    headers: dict[str, str] | None = None,
    version: str = "2.1",
) -> int | str:
    """101, the HTTP status of the refusal, or the name of what broke the connection."""
    scheme = "ws" if tls is None else "wss"
    try:
        async with connect(
            f"{scheme}://127.0.0.1:{port}/ocpp/{station}",
            subprotocols=[f"ocpp{version}"],
            additional_headers=basic(station) if headers is None else headers,
            ssl=tls,
            open_timeout=5.0,
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
    except Exception as error:
        return type(error).__name__
