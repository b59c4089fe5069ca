"""`pendel doctor [CONFIG.toml]`: is this machine ready, and is the configuration good?

Exit status 0: ready (warnings are named) · 2: the configuration is bad, every problem listed ·
3: a check failed.
"""

import argparse
import os
import shutil
import socket
import sqlite3
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path

import msgspec

from pendel import __version__
from pendel.cli.outcome import DONE, UNMET, Outcome
from pendel.config.ocpp import OcppConfig
from pendel.config.server import ServerConfig, load_server_config
from pendel.config.zones import zone_exists
from pendel.errors import InputError

PYTHON_MIN = (3, 11)
FREE_BYTES_MIN = 200 << 20
PACKAGES = (
    "highspy",
    "jinja2",
    "msgspec",
    "numba",
    "numpy",
    "pvlib",
    "pyarrow",
    "rich",
    "starlette",
    "tzdata",
    "uvicorn",
)
SQLITE_PREFIX = "sqlite:///"
OK, WARNING, FAILED = "ok", "warning", "failed"


class Check(msgspec.Struct, frozen=True):
    """One thing looked at: level ok, warning (works, but) or failed."""

    name: str
    level: str
    detail: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel doctor`."""
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.toml")


def run(args: argparse.Namespace) -> Outcome:
    """Check the installation, then the configuration. Raises InputError for a bad one."""
    config_path: Path | None = args.config
    config = None if config_path is None else load_server_config(config_path)
    checks = [
        check_python(),
        check_packages(),
        check_kernel_cache(Path(__file__).resolve().parents[1]),
        check_disk(Path.cwd()),
        check_time_zones(),
    ]
    if config is not None and config_path is not None:
        checks += check_config(config, config_path)
    failed = any(check.level == FAILED for check in checks)
    data = {"version": __version__, "ok": not failed, "checks": checks}
    return Outcome(UNMET if failed else DONE, data, _text(checks, failed))


def _text(checks: list[Check], failed: bool) -> str:
    width = max(len(check.name) for check in checks)
    lines = [f"{check.level:<8} {check.name:<{width}}  {check.detail}" for check in checks]
    return "\n".join([*lines, "something is missing" if failed else "ready"])


def check_python() -> Check:
    """Python is new enough."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    level = OK if sys.version_info[:2] >= PYTHON_MIN else FAILED
    return Check("python", level, f"{version} (3.11 or newer)")


def check_packages() -> Check:
    """Everything pendel imports is installed (looked up, not imported)."""
    missing = []
    for package in PACKAGES:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        return Check("packages", FAILED, f"missing: {', '.join(missing)}")
    return Check("packages", OK, f"all {len(PACKAGES)} installed")


def check_kernel_cache(package: Path) -> Check:
    """Compiled kernels can be kept, and are there (otherwise the first run compiles them).

    numba keeps them in NUMBA_CACHE_DIR, else beside the sources, else in the user's cache.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    user = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    folder = Path(chosen) if chosen else package
    if not chosen and not os.access(package, os.W_OK):
        folder = user
    if not _writable(folder):
        return Check("kernel cache", FAILED, f"{folder} is not writable; set NUMBA_CACHE_DIR")
    kept = sum(1 for _ in folder.rglob("*.nbi"))
    if not kept:
        return Check("kernel cache", WARNING, "cold: the first run compiles the kernels")
    return Check("kernel cache", OK, f"warm: {kept} kernels kept")


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself can be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def check_disk(folder: Path) -> Check:
    """Enough free space where results and the store go."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    level = OK if free >= FREE_BYTES_MIN else FAILED
    return Check("disk", level, f"{free / 2**30:.1f} GiB free at {folder}")


def check_time_zones() -> Check:
    """Time zone data is there."""
    if zone_exists("Europe/Berlin") and zone_exists("America/Los_Angeles"):
        return Check("time zones", OK, "known")
    return Check("time zones", FAILED, "no time zone data; install tzdata")


def check_config(config: ServerConfig, path: Path) -> list[Check]:
    """What a good configuration needs around it: store, ports, tariffs, passwords."""
    counts = f"{len(config.site)} sites, {len(config.station)} stations"
    checks = [Check("config", OK, counts), check_store(config.store, path.parent)]
    for name, door in (("http", config.http), ("ocpp", config.ocpp)):
        checks.append(check_port(name, door.host, door.port))
    checks += check_tariffs(config, path.parent)
    if config.ocpp.tls is not None:
        checks.append(check_tls(config.ocpp, path.parent))
    bare = [station.station_id for station in config.station if station.password_hash is None]
    if bare and config.ocpp.lab:
        checks.append(Check("passwords", WARNING, f"lab: {len(bare)} stations without password"))
    elif bare:
        how = "only with a certificate" if config.ocpp.tls is not None else "cannot connect"
        text = f"without password, {how}: {', '.join(bare[:10])}"
        checks.append(Check("passwords", WARNING, text))
    return checks


def check_tariffs(config: ServerConfig, folder: Path) -> list[Check]:
    """Tariffs can be read, and prices they follow have a source; nothing is fetched."""
    from pendel.adapters.spot_feed import SOURCES
    from pendel.adapters.spot_prices import check_file
    from pendel.adapters.tariff_files import open_tariff, shipped_tariffs
    from pendel.tariff.planning import needs_spot

    checks: list[Check] = []
    given = [*(site.tariff for site in config.site), *(c.tariff for c in config.contract)]
    named = {name for name in given if name is not None}
    absent = sorted(n for n in named if n not in shipped_tariffs() and not (folder / n).is_file())
    if absent:
        text = f"no such file: {', '.join(absent)} (their sites only charge)"
        checks.append(Check("tariffs", WARNING, text))
    follows = False
    for name in sorted(named - set(absent)):
        tariff, problems = open_tariff(name, folder)
        checks += [Check("tariffs", FAILED, str(problem)) for problem in problems[:10]]
        follows = follows or (tariff is not None and needs_spot(tariff))
    if follows and config.prices is None:
        text = "a tariff follows the market and there is no [prices]: its sites only charge"
        checks.append(Check("prices", WARNING, text))
    if config.prices is not None and config.prices.source not in SOURCES:
        problems = check_file(folder / config.prices.source)
        checks += [Check("prices", FAILED, problem.problem) for problem in problems]
    return checks


def check_tls(ocpp: OcppConfig, folder: Path) -> Check:
    """The TLS files can be read, and the server's certificate does not end soon."""
    from datetime import UTC, datetime, timedelta

    from pendel.runtime.network_security import security_of

    try:
        found = security_of(ocpp, folder, lambda: datetime.now(UTC))
    except InputError as error:
        return Check("tls", FAILED, "; ".join(str(each) for each in error.problems))
    end = None if found.tls is None else found.tls.not_after_utc
    if end is None:
        return Check("tls", WARNING, "not configured")
    soon = end - datetime.now(UTC) < timedelta(days=30)
    return Check("tls", WARNING if soon else OK, f"the server's certificate ends {end:%Y-%m-%d}")


def check_store(url: str, folder: Path) -> Check:
    """The store can be opened or made; nothing is written."""
    if not url.startswith(SQLITE_PREFIX):
        return Check("store", OK, f"{url.split('@')[-1]} (not opened)")
    path = folder / url.removeprefix(SQLITE_PREFIX)
    if not path.exists():
        level = OK if _writable(path.parent) else FAILED
        return Check("store", level, f"{path} does not exist yet" if level == OK else f"{path}")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.Error as error:
        return Check("store", FAILED, f"{path}: {error}")
    return Check("store", OK, f"{path} opens")


def check_port(name: str, host: str, port: int) -> Check:
    """Whether the port is free (a running server holds it: then that is no fault)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except (OSError, OverflowError) as error:
        return Check(f"{name} port", WARNING, f"{host}:{port}: {error}")
    return Check(f"{name} port", OK, f"{host}:{port} is free")
