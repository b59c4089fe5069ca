"""What only the log on disk must do: durability, one writer, damage named, nothing half written."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pendel.adapters.event_log import SqliteEventLog
from pendel.adapters.store_url import open_store, sqlite_path
from pendel.errors import ChainError, StoreError
from pendel.records import Reading

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)


def readings(first: int, count: int) -> list[Reading]:
    return [
        Reading(
            id=f"rd-{i}",
            at_utc=START + timedelta(seconds=i),
            device_id=f"CP{i % 9}",
            site_id="depot",
            power_kw=i / 3,
            energy_kwh=20.0 + i,
        )
        for i in range(first, first + count)
    ]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A closed log of 100 events."""
    path = tmp_path / "log.db"
    log = SqliteEventLog(path)
    log.append(readings(1, 100))
    log.close()
    return path


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def ids(path: Path) -> list[str]:
    log = SqliteEventLog(path)
    try:
        return [record.id for _, record in log.replay()]
    finally:
        log.close()


def test_it_is_still_there_after_reopening(filled: Path) -> None:
    log = SqliteEventLog(filled)
    log.append(readings(101, 1))
    log.close()
    assert ids(filled) == [f"rd-{i}" for i in range(1, 102)]


def test_settings_are_the_durable_ones(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log.db")
    writer = log._writer
    assert writer is not None
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    log.close()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE event SET body = CAST(body || x'00' AS BLOB) WHERE sequence = 40", "event 40"),
        ("UPDATE event SET hash = zeroblob(32) WHERE sequence = 41", "event 41"),
        ("DELETE FROM event WHERE sequence = 42", "event 42"),
        ("DELETE FROM event WHERE sequence >= 43", "event 43 is missing"),
        ("UPDATE head SET sequence = 44", "head says 44"),
        ("UPDATE event SET id = 'other' WHERE sequence = 45", "event 45"),
        ("UPDATE head SET hash = zeroblob(32)", "not of this log"),
        ("DELETE FROM head", "head of the log is missing"),
    ],
)
def test_a_change_is_found_and_named(filled: Path, statement: str, words: str) -> None:
    change(filled, statement)
    with pytest.raises(ChainError, match=words):
        ids(filled)


def test_two_entries_swapped_are_found(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        rows = connection.execute(
            "SELECT sequence, id, body FROM event WHERE sequence IN (50, 51)"
        ).fetchall()
        connection.execute("UPDATE event SET id = sequence WHERE sequence IN (50, 51)")
        for (sequence, *_), (_, record_id, body) in zip(rows, reversed(rows), strict=True):
            connection.execute(
                "UPDATE event SET id = ?, body = ? WHERE sequence = ?", (record_id, body, sequence)
            )
    connection.close()
    with pytest.raises(ChainError, match="event 50"):
        ids(filled)


@pytest.mark.parametrize("keep", [1, 50, 100, 511, 4096, 5000, 8192])
def test_a_cut_file_is_refused(filled: Path, keep: int) -> None:
    size = filled.stat().st_size
    assert keep < size
    os.truncate(filled, keep)
    with pytest.raises(StoreError, match=r"log\.db"):
        ids(filled)


def test_every_flipped_byte_of_an_event_is_found_or_harmless(filled: Path) -> None:
    """Flip bytes all over the file: replay gives every event unchanged or raises; never else."""
    whole = filled.read_bytes()
    truth = [f"rd-{i}" for i in range(1, 101)]
    refused = 0
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        filled.write_bytes(damaged)
        for rest in ("-wal", "-shm"):
            Path(f"{filled}{rest}").unlink(missing_ok=True)
        try:
            assert ids(filled) == truth
        except StoreError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + bytes(500)])
def test_garbage_is_refused_but_an_empty_file_is_a_new_log(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(content)
    if not content:
        assert ids(path) == []
        return
    with pytest.raises(StoreError, match="not an event log"):
        ids(path)


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE person (name TEXT)")
    with pytest.raises(StoreError, match="not an event log of pendel"):
        SqliteEventLog(path)


def test_a_newer_version_is_refused(filled: Path) -> None:
    change(filled, "PRAGMA user_version = 7")
    with pytest.raises(StoreError, match="version 7"):
        SqliteEventLog(filled)


def test_one_writer_only_and_readers_beside_it(filled: Path) -> None:
    writer = SqliteEventLog(filled)
    with pytest.raises(StoreError, match=f"in use by another pendel .process {os.getpid()}"):
        SqliteEventLog(filled)
    reader = SqliteEventLog(filled, read_only=True)
    writer.append(readings(101, 1))
    assert reader.find("rd-101") is not None
    with pytest.raises(StoreError, match="reading only"):
        reader.append(readings(102, 1))
    reader.close()
    writer.close()
    SqliteEventLog(filled).close()


def test_reading_only_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no event log"):
        SqliteEventLog(tmp_path / "none.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_disk_full_stores_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteEventLog(path)
    log.append(readings(1, 10))
    writer = log._writer
    assert writer is not None
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreError, match="full"):
        log.append(readings(11, 1_000))
    assert log.last_sequence == 10
    writer.execute("PRAGMA max_page_count = 100000")
    log.append(readings(11, 1_000))
    log.close()
    assert ids(path) == [f"rd-{i}" for i in range(1, 1_011)]


def test_a_bad_append_in_a_group_fails_alone(tmp_path: Path) -> None:
    from pendel.adapters.event_log import _Ticket
    from pendel.adapters.log_format import encode

    log = SqliteEventLog(tmp_path / "log.db")
    log.append(readings(1, 1))
    group = [_Ticket(encode(readings(n, c))) for n, c in ((2, 2), (1, 1), (3, 2), (4, 2))]
    log._commit(group)
    assert [t.error is None for t in group] == [True, False, False, True]
    assert [r.id for _, r in log.replay()] == ["rd-1", "rd-2", "rd-3", "rd-4", "rd-5"]
    log.close()


def test_missing_folders_are_made_and_urls_mean_what_the_contract_says(tmp_path: Path) -> None:
    assert sqlite_path("sqlite:///a/b.db", tmp_path) == tmp_path / "a" / "b.db"
    assert sqlite_path(f"sqlite:///{tmp_path}/b.db", Path("/x")) == tmp_path / "b.db"
    open_store("sqlite:///deep/down/log.db", tmp_path).close()
    assert (tmp_path / "deep" / "down" / "log.db").is_file()
    with pytest.raises(StoreError, match="PostgreSQL"):  # nobody there, or no driver
        open_store("postgresql://pendel:secret@localhost:1/db", tmp_path)
    for wrong in ("", "pendel.db", "sqlite://", "sqlite:///", "mysql://x", "sqlite:///a\0b"):
        with pytest.raises(StoreError, match="not a known form"):
            open_store(wrong, tmp_path)


def test_a_password_in_a_store_address_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://pendel:secret@localhost:1/db", tmp_path)
    assert "secret" not in str(caught.value)


WRITER = textwrap.dedent("""
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from pendel.adapters.event_log import SqliteEventLog
    from pendel.records import Tick
    log = SqliteEventLog(Path(sys.argv[1]))
    n = log.last_sequence
    now = datetime.now(UTC)
    while True:
        log.append([Tick(id=f"t{n + k}", at_utc=now, plan_id="p") for k in range(1, 8)])
        n += 7
        sys.stdout.write(f"{n}\\n")
        sys.stdout.flush()
""")


def kill_while_writing(path: Path, wait_s: float) -> int:
    """Start a writer, kill -9 it after wait_s from its first word; the last number it said."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(wait_s)
        process.kill()
        lines = [line for line in [first, *process.stdout] if line.endswith("\n")]
    return int(lines[-1])


def check_kills(path: Path, kills: int) -> None:
    acknowledged = 0
    for number in range(kills):
        acknowledged = kill_while_writing(path, 0.003 * (number * 7 % 13))
        log = SqliteEventLog(path)
        stored = [record.id for _, record in log.replay()]
        log.close()
        assert len(stored) >= acknowledged
        assert len(stored) % 7 == 0
        assert stored == [f"t{i}" for i in range(1, len(stored) + 1)]
    assert acknowledged > 0


def test_kill_minus_nine_loses_nothing_acknowledged(tmp_path: Path) -> None:
    check_kills(tmp_path / "log.db", kills=4)


@pytest.mark.proof
def test_many_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    check_kills(tmp_path / "log.db", kills=200)
