"""The event log in PostgreSQL: all that every log must do, and several processes at once."""

import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import server
from test_event_log_conformance import *  # noqa: F403
from test_event_log_conformance import Store, reading, samples, signals

from pendel.adapters.postgres_log import FORM, PostgresEventLog, address_of
from pendel.adapters.store_url import open_store
from pendel.errors import ChainError, StoreError
from pendel.records import Signal

_numbers = itertools.count()


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with server() as url:
        yield url


def new_schema(base: str) -> str:
    """URL of a log of its own."""
    from pg8000.dbapi import connect

    name, address = f"log{next(_numbers)}", address_of(base)
    connection = connect(
        user=address.user, database=address.database, unix_sock=address.socket, host="localhost"
    )
    connection.autocommit = True
    connection.cursor().execute(f"CREATE SCHEMA {name}")
    connection.close()
    return f"{base}&schema={name}"


@pytest.fixture
def url(base: str) -> str:
    return new_schema(base)


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(url, tmp_path)
    yield opened
    opened.close()


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(signals, max_size=4), max_size=5))
def test_any_records_come_back(base: str, batches: list[list[Signal]]) -> None:
    """Model: a list with a set of ids."""
    store, model = PostgresEventLog(new_schema(base)), []
    for batch in batches:
        ids = [r.id for r in batch]
        if len(set(ids)) == len(ids) and not set(ids) & {r.id for r in model}:
            store.append(batch)
            model += batch
        else:
            with pytest.raises(StoreError):
                store.append(batch)
    assert [record for _, record in store.replay()] == model
    store.close()


def execute(url: str, text: str) -> None:
    """Something behind the log's back."""
    log = PostgresEventLog(url)
    log._open().cursor().execute(text)
    log.close()


def test_what_was_stored_is_there_when_opened_again(url: str) -> None:
    first = PostgresEventLog(url)
    first.append(samples())
    first.close()
    again = PostgresEventLog(url, read_only=True)
    assert [record for _, record in again.replay()] == samples()
    assert again.last_sequence == len(samples())
    with pytest.raises(StoreError, match="reading only"):
        again.append([reading(1)])
    again.close()


def _append_some(url: str, worker: int) -> None:
    log = PostgresEventLog(url)
    for i in range(20):
        log.append([reading(worker * 1000 + 2 * i), reading(worker * 1000 + 2 * i + 1)])
    log.close()


def test_several_processes_make_one_chain(url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(_append_some, [(url, worker) for worker in range(3)])
    log = PostgresEventLog(url)
    numbers = [int(record.id[3:]) for _, record in log.replay()]  # the chain is checked on the way
    assert len(set(numbers)) == len(numbers) == log.last_sequence == 120
    assert all(b == a + 1 for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    log.close()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("DELETE FROM pendel_event WHERE sequence = 2", "event 2 is missing"),
        ("DELETE FROM pendel_event WHERE sequence = 4", "ends at event 3"),
        ("UPDATE pendel_event SET body = body || body WHERE sequence = 3", "broken at event 3"),
        ("UPDATE pendel_event SET id = 'x' WHERE sequence = 1", "another id"),
        ("DELETE FROM pendel_head", "head"),
    ],
)
def test_harm_is_found_and_named(url: str, harm: str, words: str) -> None:
    log = PostgresEventLog(url)
    log.append(samples())
    execute(url, harm)
    with pytest.raises(ChainError, match=words):
        list(log.replay())
    log.close()


def test_a_broken_connection_is_told_and_made_anew(url: str) -> None:
    log = PostgresEventLog(url)
    log.append([reading(1)])
    execute(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'pendel' AND pid <> pg_backend_pid()",
    )
    with pytest.raises(StoreError):
        log.append([reading(2)])
    assert log.find("rd-2") is None
    log.append([reading(2)])
    assert log.last_sequence == 2
    log.close()


@pytest.mark.parametrize("character", ["\0", "é", "%", "'", "\\", "\U0010fffe"])
def test_any_id_is_found_again(url: str, character: str) -> None:
    from datetime import UTC, datetime

    from pendel.records import Tick

    log = PostgresEventLog(url)
    tick = Tick(id=f"a{character}b", at_utc=datetime(2026, 1, 1, tzinfo=UTC), plan_id="")
    log.append([tick])
    assert log.find(tick.id) == tick
    assert tick.id in log.near_ids(f"a{character}")
    log.close()


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://", "postgresql://u@h", "postgresql://h/db", "postgresql://u@h:x/db",
        "postgresql://u:geheim@h/db?sslmode=on",
    ],
)  # fmt: skip
def test_bad_urls_name_the_form(wrong: str) -> None:
    with pytest.raises(StoreError, match="postgresql") as caught:
        open_store(wrong, Path())
    assert FORM in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_not_reachable(base: str) -> None:
    for url in (
        "postgresql://u:geheim@localhost:1/db",
        base.replace("/postgres?", "/nowhere?"),
        base + "&schema=none",
    ):
        with pytest.raises(StoreError) as caught:
            open_store(url, Path())
        assert "geheim" not in str(caught.value)


def test_explain_reads_it(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], opener: Callable[..., int]
) -> None:
    log = PostgresEventLog(url)
    log.append(samples())
    log.close()
    assert opener(["explain", "sp-1-CP1", "--store", url]) == 0
    assert "tick-1" in capsys.readouterr().out
    config = tmp_path / "pendel.toml"
    config.write_text(f'store = "{url}"\n', "utf-8")
    assert opener(["explain", "sp-1-CP1", "--config", str(config)]) == 0


@pytest.fixture
def opener() -> Callable[..., int]:
    from pendel.cli.main import main

    return main
