"""The event log on disk: one SQLite file, durable when `append` returns, one writer at a time.

Write-ahead log with `synchronous=FULL`; appends that arrive while a commit is on its way to the
disk share the next one (group commit without a timer: nobody waits longer than for the commit in
flight plus the own one, some milliseconds). Entries are chained by hash (`log_format`); a head
row, written in the same transaction, says where the chain must end.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pendel.adapters.log_format import GENESIS_HASH, Entry, decode, encode, link
from pendel.adapters.near_ids import near
from pendel.errors import ChainError, StoreError
from pendel.records import AnyRecord

APPLICATION_ID = 0x70656E64
SCHEMA_VERSION = 1
COMMIT_RECORDS_MAX = 100_000
"""Most records of one commit; one append may bring as many."""
WAITING_APPENDS_MAX = 10_000
"""Most appends that wait for a commit; more is an error, not a growing queue."""
FETCH_ROWS = 2_000
NEAR_CANDIDATES = 2_000
BUSY_TIMEOUT_S = 10.0
HEADER_BYTES = 512

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE event (
  sequence INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  body BLOB NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  sequence INTEGER NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO head VALUES (1, 0, zeroblob(32));
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


@dataclass(slots=True)
class _Ticket:
    """One append waiting for its commit."""

    entries: list[Entry]
    done: bool = False
    error: StoreError | None = None


class SqliteEventLog:
    """Implements `ports.EventLog` and `ports.RecordFinder`; safe to use from several threads."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Open or create the log. Raises StoreError (in use, not a log, damaged, no permission)."""
        self.path = path
        self._read_only = read_only
        self._state = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._leading = False
        self._closed = False
        self._lock_file = None if read_only else _lock(path)
        self._reader_lock = threading.Lock()
        try:
            with _store_errors(path):
                _require_whole(path)
                self._writer = None if read_only else self._open_writer()
                self._reader = self._open_reader()
                self._sequence, self._hash = _head(self._reader)
        except StoreError:
            self._release()
            raise

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Store records in order, all or none; durable on return. Raises StoreError."""
        ticket = _Ticket(encode(records))
        with self._state:
            self._require_open()
            if self._writer is None:
                raise StoreError(f"{self.path} is open for reading only")
            if len(self._waiting) >= WAITING_APPENDS_MAX:
                raise StoreError(f"{WAITING_APPENDS_MAX} appends are waiting for the disk")
            self._waiting.append(ticket)
            while self._leading and not ticket.done:
                self._state.wait()
            if not ticket.done:
                self._leading = True
        if not ticket.done:
            self._lead()
        if ticket.error is not None:
            raise ticket.error

    def replay(self, after_sequence: int = 0) -> Iterator[tuple[int, AnyRecord]]:
        """Yield (sequence, record) in order, as of the moment of the first one.

        Raises ChainError naming the first bad sequence, StoreError when the file is damaged.
        """
        with self._state:
            self._require_open()
        with _store_errors(self.path), contextlib.closing(self._open_reader()) as reader:
            reader.execute("BEGIN")
            last, last_hash = _head(reader)
            before = _hash_at(reader, after_sequence, last)
            rows = reader.execute(
                "SELECT sequence, id, body, hash FROM event WHERE sequence > ? ORDER BY sequence",
                (after_sequence,),
            )
            expected = after_sequence
            while batch := rows.fetchmany(FETCH_ROWS):
                for sequence, record_id, body, stored in batch:
                    expected += 1
                    if sequence != expected:
                        raise ChainError(f"{self.path}: event {expected} is missing")
                    before_now = link(before, sequence, body)
                    if before_now != stored:
                        raise ChainError(f"{self.path}: the chain is broken at event {sequence}")
                    before = before_now
                    record = decode(sequence, body)
                    if record.id != record_id:
                        raise ChainError(f"{self.path}: event {sequence} stands under another id")
                    yield sequence, record
            if expected != last or before != last_hash:
                raise ChainError(
                    f"{self.path}: the log ends at event {expected}, its head says {last}: "
                    f"event {min(expected, last) + 1} is missing or not of this log"
                )

    def find(self, record_id: str) -> AnyRecord | None:
        """The record of this id, or None. Raises StoreError."""
        with self._reader_lock, _store_errors(self.path):
            self._require_open()
            row = self._reader.execute(
                "SELECT sequence, body FROM event WHERE id = ?", (record_id,)
            ).fetchone()
        return None if row is None else decode(row[0], row[1])

    def near_ids(self, record_id: str, count: int = 5) -> list[str]:
        """At most count ids that look like record_id, best first; newer ids are preferred."""
        with self._reader_lock, _store_errors(self.path):
            self._require_open()
            rows = self._reader.execute(
                "SELECT id FROM (SELECT id FROM event WHERE id >= ?1 AND id < ?1 || char(0x10FFFF)"
                " LIMIT ?2) UNION ALL SELECT id FROM (SELECT id FROM event ORDER BY sequence DESC"
                " LIMIT ?2)",
                (record_id, NEAR_CANDIDATES),
            ).fetchall()
        return near(record_id, list(dict.fromkeys(row[0] for row in rows)), count)

    @property
    def last_sequence(self) -> int:
        """Number of the last durable event (0 = empty)."""
        return self._sequence

    def close(self) -> None:
        """Let a commit in flight end, then close; afterwards every call raises StoreError."""
        with self._state:
            while self._leading:
                self._state.wait()
            if self._closed:
                return
            self._closed = True
        with self._reader_lock:
            self._reader.close()
            if self._writer is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._writer.close()
            self._release()

    def _lead(self) -> None:
        """Commit everything that waits, once; wake the others."""
        batch: list[_Ticket] = []
        try:
            with self._state:
                size = 0
                while self._waiting and size <= COMMIT_RECORDS_MAX:
                    size += len(self._waiting[0].entries)
                    batch.append(self._waiting.pop(0))
            self._commit(batch)
        finally:
            with self._state:
                for ticket in batch:
                    if not ticket.done and ticket.error is None:
                        ticket.error = StoreError("the commit was interrupted")
                    ticket.done = True
                self._leading = False
                self._state.notify_all()

    def _commit(self, batch: list[_Ticket]) -> None:
        """One transaction for all tickets; a ticket with a known id fails alone."""
        writer = self._writer
        if writer is None:
            return
        sequence, hash_before = self._sequence, self._hash
        try:
            with _store_errors(self.path):
                writer.execute("BEGIN IMMEDIATE")
                for ticket in batch:
                    sequence, hash_before = _insert(writer, ticket, sequence, hash_before)
                writer.execute("UPDATE head SET sequence = ?, hash = ?", (sequence, hash_before))
                writer.execute("COMMIT")
        except StoreError as error:
            self._roll_back(writer)
            for ticket in batch:
                ticket.error = ticket.error or error
            return
        except BaseException:
            self._roll_back(writer)
            raise
        self._sequence, self._hash = sequence, hash_before
        for ticket in batch:
            ticket.done = True

    def _roll_back(self, writer: sqlite3.Connection) -> None:
        """Nothing half written: undo, then trust only what the file says."""
        with contextlib.suppress(sqlite3.Error):
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        with contextlib.suppress(sqlite3.Error, StoreError):
            self._sequence, self._hash = _head(writer)

    def _open_writer(self) -> sqlite3.Connection:
        writer = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(writer, self.path)
        except BaseException:
            writer.close()
            raise
        return writer

    def _open_reader(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise StoreError(f"{self.path}: there is no event log")
        reader = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        reader.execute("PRAGMA query_only = ON")
        _check_identity(reader, self.path)
        return reader

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path}: the log is closed")

    def _release(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


def _insert(
    writer: sqlite3.Connection, ticket: _Ticket, sequence: int, hash_before: bytes
) -> tuple[int, bytes]:
    """Insert one append behind (sequence, hash_before); returns the new end of the chain."""
    rows = []
    end, end_hash = sequence, hash_before
    for entry in ticket.entries:
        end += 1
        end_hash = link(end_hash, end, entry.body)
        rows.append((end, entry.record_id, entry.body, end_hash))
    writer.execute("SAVEPOINT one_append")
    try:
        writer.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", rows)
    except sqlite3.IntegrityError:
        writer.execute("ROLLBACK TO one_append")
        writer.execute("RELEASE one_append")
        ticket.error = StoreError("an id of these records is already in the log")
        return sequence, hash_before
    writer.execute("RELEASE one_append")
    return end, end_hash


def _prepare(writer: sqlite3.Connection, path: Path) -> None:
    """Create the tables of a new file, or check those of an old one; durable settings."""
    mode = writer.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path}: this file system does not allow a write-ahead log ({mode})")
    writer.execute("PRAGMA synchronous = FULL")
    if writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
        writer.executescript(SCHEMA)
    _check_identity(writer, path)


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path}: this SQLite file is not an event log of pendel")
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path}: event log of version {version}, this is for {SCHEMA_VERSION}")


def _head(connection: sqlite3.Connection) -> tuple[int, bytes]:
    row = connection.execute("SELECT sequence, hash FROM head").fetchone()
    if row is None:
        raise ChainError("the head of the log is missing")
    return int(row[0]), bytes(row[1])


def _hash_at(connection: sqlite3.Connection, sequence: int, last: int) -> bytes:
    """Hash of the entry at sequence (0: of the empty log)."""
    if sequence <= 0:
        return GENESIS_HASH
    row = connection.execute("SELECT hash FROM event WHERE sequence = ?", (sequence,)).fetchone()
    if row is None:
        raise ChainError(f"event {sequence} is not in the log (it ends at {last})")
    return bytes(row[0])


@contextlib.contextmanager
def sole_use(path: Path) -> Iterator[None]:
    """Keep every other process from writing to path. Raises StoreError when one does already."""
    descriptor = _lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def _require_whole(path: Path) -> None:
    """SQLite would take a file shorter than a header for a new one; it is what is left of an
    old one. Raises StoreError."""
    if path.is_file() and 0 < path.stat().st_size < HEADER_BYTES:
        raise StoreError(f"{path}: the file is damaged or not an event log (cut short)")


def _lock(path: Path) -> int:
    """Become the one writer of path; the operating system ends this with the process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreError(f"{path} is in use by another pendel (process {owner})") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


@contextlib.contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the system become StoreError, in words."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "not a database" in text or "malformed" in text or "no such table" in text:
            raise StoreError(f"{path}: the file is damaged or not an event log ({text})") from error
        raise StoreError(f"{path}: {text}") from error
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise StoreError(f"{path}: {error}") from error
