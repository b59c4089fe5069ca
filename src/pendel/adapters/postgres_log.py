"""The event log in PostgreSQL: durable when `append` returns, several processes may append.

The same entries and the same hash chain as on disk (`log_format`). The row of the head is locked
for the length of one append, so that appends of several processes queue up one behind the other
and the chain never forks. Ids are kept as UTF-8 bytes: any text fits, and bytes sort like code
points. Needs the optional extra `postgresql` (pg8000, BSD licence).
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pendel.adapters.log_format import GENESIS_HASH, Entry, decode, encode, link
from pendel.adapters.near_ids import near
from pendel.errors import ChainError, StoreError
from pendel.records import AnyRecord

PREFIX = "postgresql://"
FORM = "postgresql://user[:password]@host[:port]/database[?schema=NAME]"
PORT = 5432
TIMEOUT_S = 30.0
FETCH_ROWS = 2_000
NEAR_CANDIDATES = 2_000
SCHEMA_VERSION = 1
SETUP_LOCK = 0x70656E64
UNIQUE_VIOLATION = "23505"
LAST_CHARACTER = "\U0010ffff"

SETUP = (
    "CREATE TABLE IF NOT EXISTS pendel_event (sequence bigint PRIMARY KEY,"
    " id bytea NOT NULL UNIQUE, body bytea NOT NULL,"
    " hash bytea NOT NULL CHECK (length(hash) = 32))",
    "CREATE TABLE IF NOT EXISTS pendel_head (one integer PRIMARY KEY CHECK (one = 1),"
    " version integer NOT NULL, sequence bigint NOT NULL,"
    " hash bytea NOT NULL CHECK (length(hash) = 32))",
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is; `shown` is for messages and holds no password."""

    user: str
    password: str | None
    host: str
    port: int
    database: str
    schema: str
    socket: str | None

    @property
    def shown(self) -> str:
        """Host and database."""
        return f"PostgreSQL {self.socket or self.host}/{self.database}"


def address_of(url: str) -> Address:
    """The parts of a store URL. Raises StoreError, naming the form."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError as error:
        raise StoreError(f"store: {error} ({FORM})") from error
    options = parse_qs(parts.query)
    unknown = sorted(set(options) - {"host", "schema"})
    database, user = unquote(parts.path.lstrip("/")), unquote(parts.username or "")
    if not url.startswith(PREFIX) or not database or not user or unknown or "\0" in url:
        what = f"option {unknown[0]} is not known" if unknown else "user and database are needed"
        raise StoreError(f"store postgresql: {what} ({FORM})")
    folder = options.get("host", [""])[0]
    return Address(
        user=user,
        password=None if parts.password is None else unquote(parts.password),
        host=parts.hostname or "localhost",
        port=port,
        database=database,
        schema=options.get("schema", [""])[0],
        socket=f"{folder}/.s.PGSQL.{port}" if folder else None,
    )


class PostgresEventLog:
    """Implements `ports.EventLog` and `ports.RecordFinder`; safe to use from several threads."""

    def __init__(self, url: str, read_only: bool = False) -> None:
        """Open or create the log. Raises StoreError (unreachable, not a log, no permission)."""
        self.address = address_of(url)
        self._read_only, self._closed = read_only, False
        self._lock = threading.Lock()
        self._connection: Any = None
        with self._lock, self._errors():
            connection = self._open()
            if not read_only:
                _prepare(connection)
            _head(connection, lock=False)

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Store records in order, all or none; durable on return. Raises StoreError.

        Where the connection breaks on the way it is not known whether they are stored: `find`
        tells.
        """
        entries = encode(records)
        with self._lock:
            self._require_open()
            if self._read_only:
                raise StoreError(f"{self.address.shown} is open for reading only")
            if not entries:
                return
            with self._errors():
                _append(self._open(), entries)

    def replay(self, after_sequence: int = 0) -> Iterator[tuple[int, AnyRecord]]:
        """Yield (sequence, record) in order, as of the moment of the first one.

        Raises ChainError naming the first bad sequence, StoreError when it cannot be read.
        """
        with self._lock:
            self._require_open()
        name = self.address.shown
        with self._errors(), contextlib.closing(_connect(self.address)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            last, last_hash = _head(connection, lock=False)
            before = _hash_at(connection, after_sequence, last)
            expected = after_sequence
            while True:
                cursor.execute(
                    "SELECT sequence, id, body, hash FROM pendel_event WHERE sequence > %s"
                    " ORDER BY sequence LIMIT %s",
                    (expected, FETCH_ROWS),
                )
                rows = cursor.fetchall()
                for sequence, record_id, body, stored in rows:
                    expected += 1
                    if sequence != expected:
                        raise ChainError(f"{name}: event {expected} is missing")
                    before = link(before, sequence, body)
                    if before != stored:
                        raise ChainError(f"{name}: the chain is broken at event {sequence}")
                    record = decode(sequence, body)
                    if record.id.encode() != record_id:
                        raise ChainError(f"{name}: event {sequence} stands under another id")
                    yield sequence, record
                if len(rows) < FETCH_ROWS:
                    break
            if expected != last or before != last_hash:
                raise ChainError(
                    f"{name}: the log ends at event {expected}, its head says {last}: "
                    f"event {min(expected, last) + 1} is missing or not of this log"
                )

    def find(self, record_id: str) -> AnyRecord | None:
        """The record of this id, or None. Raises StoreError."""
        rows = self._query(
            "SELECT sequence, body FROM pendel_event WHERE id = %s", (_bytes(record_id),)
        )
        return decode(rows[0][0], rows[0][1]) if rows else None

    def near_ids(self, record_id: str, count: int = 5) -> list[str]:
        """At most count ids that look like record_id, best first; newer ids are preferred."""
        first, last = _bytes(record_id), _bytes(record_id + LAST_CHARACTER)
        rows = self._query(
            "(SELECT id FROM pendel_event WHERE id >= %s AND id < %s ORDER BY id LIMIT %s)"
            " UNION ALL (SELECT id FROM pendel_event ORDER BY sequence DESC LIMIT %s)",
            (first, last, NEAR_CANDIDATES, NEAR_CANDIDATES),
        )
        return near(record_id, list(dict.fromkeys(row[0].decode() for row in rows)), count)

    @property
    def last_sequence(self) -> int:
        """Number of the last durable event (0 = empty), of whichever process."""
        return int(self._query("SELECT sequence FROM pendel_head", ())[0][0])

    def close(self) -> None:
        """Close; afterwards every call raises StoreError."""
        with self._lock:
            self._closed = True
            self._drop()

    def _query(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock, self._errors():
            self._require_open()
            cursor = self._open().cursor()
            cursor.execute(text, values)
            return list(cursor.fetchall())

    def _open(self) -> Any:
        """The connection, made anew where the last one broke."""
        if self._connection is None:
            self._connection = _connect(self.address)
            self._connection.autocommit = True
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.address.shown}: the log is closed")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of the driver and the network become StoreError, in words, without a password;
        the connection is not used again after one."""
        from pg8000.exceptions import DatabaseError, InterfaceError

        name = self.address.shown
        try:
            yield
        except StoreError:
            raise
        except DatabaseError as error:
            self._drop()
            told = error.args[0] if error.args else ""
            text = told.get("M", str(told)) if isinstance(told, dict) else str(told)
            raise StoreError(f"{name}: {text}") from error
        except (InterfaceError, OSError) as error:
            self._drop()
            raise StoreError(f"{name}: {error}") from error


def _connect(address: Address) -> Any:
    """A new connection whose commits are durable when they return."""
    import os

    from pg8000.dbapi import connect

    connection = connect(
        user=address.user,
        host=address.host,
        port=address.port,
        unix_sock=address.socket,
        database=address.database,
        password=address.password or os.environ.get("PGPASSWORD"),
        timeout=TIMEOUT_S,
        application_name="pendel",
    )
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("SET synchronous_commit TO on")
    cursor.execute("SET client_min_messages TO warning")
    if address.schema:
        quoted = address.schema.replace('"', '""')
        cursor.execute(f'SET search_path TO "{quoted}"')
    return connection


def _prepare(connection: Any) -> None:
    """Create the tables of a new log; one process at a time."""
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (SETUP_LOCK,))
    for text in SETUP:
        cursor.execute(text)
    cursor.execute(
        "INSERT INTO pendel_head VALUES (1, %s, 0, %s) ON CONFLICT DO NOTHING",
        (SCHEMA_VERSION, GENESIS_HASH),
    )
    cursor.execute("COMMIT")


def _append(connection: Any, entries: Sequence[Entry]) -> None:
    """One transaction, behind the end of the chain."""
    from pg8000.exceptions import DatabaseError

    cursor = connection.cursor()
    cursor.execute("BEGIN")
    sequence, last_hash = _head(connection, lock=True)
    numbers, ids, bodies, chain = [], [], [], []
    for entry in entries:
        sequence += 1
        last_hash = link(last_hash, sequence, entry.body)
        numbers.append(sequence)
        ids.append(_bytes(entry.record_id))
        bodies.append(entry.body)
        chain.append(last_hash)
    try:
        cursor.execute(
            "INSERT INTO pendel_event SELECT * FROM"
            " unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::bytea[])",
            (numbers, ids, bodies, chain),
        )
    except DatabaseError as error:
        told = error.args[0] if error.args else {}
        if isinstance(told, dict) and told.get("C") == UNIQUE_VIOLATION:
            cursor.execute("ROLLBACK")
            raise StoreError("an id of these records is already in the log") from error
        raise
    cursor.execute("UPDATE pendel_head SET sequence = %s, hash = %s", (sequence, last_hash))
    cursor.execute("COMMIT")


def _head(connection: Any, lock: bool) -> tuple[int, bytes]:
    """End of the chain. Raises StoreError for a log of another version."""
    cursor = connection.cursor()
    text = "SELECT version, sequence, hash FROM pendel_head"
    cursor.execute(text + (" FOR UPDATE" if lock else ""))
    rows = cursor.fetchall()
    if not rows:
        raise ChainError("the head of the log is missing")
    version, sequence, last_hash = rows[0]
    if version != SCHEMA_VERSION:
        raise StoreError(f"event log of version {version}, this is for {SCHEMA_VERSION}")
    return int(sequence), bytes(last_hash)


def _hash_at(connection: Any, sequence: int, last: int) -> bytes:
    """Hash of the entry at sequence (0: of the empty log)."""
    if sequence <= 0:
        return GENESIS_HASH
    cursor = connection.cursor()
    cursor.execute("SELECT hash FROM pendel_event WHERE sequence = %s", (sequence,))
    rows = cursor.fetchall()
    if not rows:
        raise ChainError(f"event {sequence} is not in the log (it ends at {last})")
    return bytes(rows[0][0])


def _bytes(text: str) -> bytes:
    """An id as UTF-8; what cannot be UTF-8 equals no id."""
    return text.encode("utf-8", "surrogatepass")
