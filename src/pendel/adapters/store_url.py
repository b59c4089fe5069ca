"""From the `store` of a configuration to an open event log.

sqlite:///relative.db      relative to a given folder (that of the configuration file)
sqlite:////absolute.db
memory://                  nothing kept
postgresql://user@host/db  several processes; needs the optional extra `postgresql`
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from pendel.adapters.event_log import SqliteEventLog
from pendel.adapters.memory_log import MemoryEventLog
from pendel.errors import StoreError
from pendel.ports import EventLog, RecordFinder

SQLITE_PREFIX = "sqlite:///"
POSTGRES_PREFIX = "postgresql://"
FORMS = "sqlite:///relative.db, sqlite:////absolute.db, postgresql://user@host/db or memory://"


class Store(EventLog, RecordFinder, Protocol):
    """What every store can do."""

    @property
    def last_sequence(self) -> int:
        """Number of the last durable event (0 = empty)."""
        ...

    def close(self) -> None:
        """Close; afterwards every call raises StoreError."""
        ...


def sqlite_path(url: str, folder: Path) -> Path:
    """The file of a sqlite URL. Raises StoreError, naming the allowed forms."""
    if url.startswith(POSTGRES_PREFIX):
        raise StoreError(f"store {url.split('@')[-1]}: is not a file")
    if not url.startswith(SQLITE_PREFIX) or len(url) == len(SQLITE_PREFIX) or "\0" in url:
        raise StoreError(f"store {url!r}: not a known form ({FORMS})")
    return folder / url[len(SQLITE_PREFIX) :]


def open_store(url: str, folder: Path, read_only: bool = False) -> Store:
    """Open the store of a URL; missing parent folders are created. Raises StoreError."""
    if url == "memory://":
        return MemoryEventLog()
    if url.startswith(POSTGRES_PREFIX):
        if find_spec("pg8000") is None:
            text = "needs the optional extra: pip install 'pendel[postgresql]'"
            raise StoreError(f"store {url.split('@')[-1]}: PostgreSQL {text}")
        from pendel.adapters.postgres_log import PostgresEventLog

        return PostgresEventLog(url, read_only)
    return SqliteEventLog(sqlite_path(url, folder), read_only=read_only)
