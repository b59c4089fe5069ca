"""From the `store` of a configuration to an open event log.

sqlite:///relative.db      relative to a given folder (that of the configuration file)
sqlite:////absolute.db
memory://                  nothing kept
postgresql://user@host/db  known, but not in this version
"""

from pathlib import Path
from typing import Protocol

from pendel.adapters.event_log import SqliteEventLog
from pendel.adapters.memory_log import MemoryEventLog
from pendel.errors import StoreError
from pendel.ports import EventLog, RecordFinder

SQLITE_PREFIX = "sqlite:///"
FORMS = "sqlite:///relative.db, sqlite:////absolute.db or memory://"


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
    if url.startswith("postgresql://"):
        raise StoreError(
            f"store {url.split('@')[-1]}: PostgreSQL comes with a later version; "
            f"until then: {FORMS}"
        )
    if not url.startswith(SQLITE_PREFIX) or len(url) == len(SQLITE_PREFIX) or "\0" in url:
        raise StoreError(f"store {url!r}: not a known form ({FORMS})")
    return folder / url[len(SQLITE_PREFIX) :]


def open_store(url: str, folder: Path, read_only: bool = False) -> Store:
    """Open the store of a URL; missing parent folders are created. Raises StoreError."""
    if url == "memory://":
        return MemoryEventLog()
    return SqliteEventLog(sqlite_path(url, folder), read_only=read_only)
