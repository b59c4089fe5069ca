"""What every event log must do; each implementation is one parameter."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.adapters.log_format import APPEND_RECORDS_MAX, RECORD_BYTES_MAX
from pendel.adapters.store_url import Store, open_store
from pendel.errors import ChainError, StoreError
from pendel.records import AnyRecord, Limit, Rank, Reading, Setpoint, Signal, Tick

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
URLS = ("memory://", "sqlite:///log.db")
Opener = Callable[[], Store]


@pytest.fixture(params=URLS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(request.param, tmp_path)


def reading(number: int) -> Reading:
    return Reading(
        id=f"rd-{number}",
        at_utc=START + timedelta(seconds=number),
        device_id="CP1",
        site_id="home",
        power_kw=number / 7,
    )


def samples() -> list[AnyRecord]:
    return [
        Signal(id="sg-1", at_utc=START, topic="price", published_utc=START, detail={"a": [1.5]}),
        Limit(id="lm-1", at_utc=START, site_id="home", source="grid", import_limit_kw=4.2),
        Tick(id="tick-1", at_utc=START, causes=("sg-1", "lm-1"), plan_id=""),
        Setpoint(
            id="sp-1-CP1",
            at_utc=START,
            causes=("tick-1",),
            device_id="CP1",
            site_id="home",
            power_kw=-3.3,
            requested_kw=-11.0,
            rank=Rank.GRID_LIMIT,
            reason="the grid operator allows 4.2 kW",
            until_utc=START + timedelta(minutes=15),
        ),
    ]


def test_a_new_log_is_empty(store: Store) -> None:
    assert list(store.replay()) == []
    assert store.last_sequence == 0


def test_replay_gives_back_what_was_appended_in_order(store: Store) -> None:
    store.append(samples()[:2])
    store.append(samples()[2:])
    assert list(store.replay()) == list(enumerate(samples(), 1))
    assert list(store.replay(after_sequence=3)) == [(4, samples()[3])]
    assert list(store.replay(after_sequence=4)) == []
    assert store.last_sequence == 4


def test_replay_behind_the_end_is_an_error(store: Store) -> None:
    store.append(samples())
    with pytest.raises(ChainError, match="event 9 is not in the log"):
        list(store.replay(after_sequence=9))


def test_find_and_near(store: Store) -> None:
    store.append(samples())
    assert store.find("sp-1-CP1") == samples()[3]
    assert store.find("sp-1") is None
    assert store.near_ids("sp-1")[0] == "sp-1-CP1"
    assert store.near_ids("tik-1") == ["tick-1"]
    assert store.near_ids("") == []


def test_an_id_twice_stores_nothing_of_that_append(store: Store) -> None:
    store.append([reading(1)])
    with pytest.raises(StoreError, match="already in the log"):
        store.append([reading(2), reading(1)])
    with pytest.raises(StoreError, match="already in the log"):
        store.append([reading(3), reading(3)])
    assert [record.id for _, record in store.replay()] == ["rd-1"]
    store.append([reading(2)])
    assert [record.id for _, record in store.replay()] == ["rd-1", "rd-2"]


def test_empty_append_changes_nothing(store: Store) -> None:
    store.append([])
    assert store.last_sequence == 0


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Tick(id="", at_utc=START, plan_id=""), "1 to 200 characters"),
        (Tick(id="x" * 201, at_utc=START, plan_id=""), "1 to 200 characters"),
        (Tick(id="t", at_utc=START.replace(tzinfo=None), plan_id=""), "no offset"),
        (Tick(id="t", at_utc=START, plan_id="x" * RECORD_BYTES_MAX), "bytes"),
    ],
)
def test_bounds_of_a_record(store: Store, bad: Tick, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        store.append([reading(1), bad])
    assert store.last_sequence == 0


def test_bound_of_an_append(store: Store) -> None:
    with pytest.raises(StoreError, match="at most"):
        store.append([reading(0)] * (APPEND_RECORDS_MAX + 1))
    assert store.last_sequence == 0


def test_other_offsets_come_back_as_the_same_instant(store: Store) -> None:
    berlin_summer = START.astimezone(timezone(timedelta(hours=2)))
    store.append([Tick(id="t", at_utc=berlin_summer, plan_id="")])
    ((_, back),) = store.replay()
    assert back.at_utc == START
    assert back.at_utc.utcoffset() == timedelta(0)


def test_unusual_numbers_survive(store: Store) -> None:
    odd = [
        Reading(id=str(v), at_utc=START, device_id="d", site_id="s", power_kw=v)
        for v in (float("inf"), -0.0, 5e-324, 1e308)
    ]
    store.append(odd)
    assert [record for _, record in store.replay()] == odd


def test_threads_append_without_loss_or_mixing(store: Store) -> None:
    threads, each = 8, 25
    errors: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for i in range(each):
                store.append([reading(worker * 1000 + 2 * i), reading(worker * 1000 + 2 * i + 1)])
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=work, args=(w,)) for w in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    numbers = [int(record.id[3:]) for _, record in store.replay()]
    assert not errors
    assert len(numbers) == len(set(numbers)) == threads * each * 2
    for first, second in zip(numbers[::2], numbers[1::2], strict=True):
        assert second == first + 1 and first % 2 == 0
    for worker in range(threads):
        own = [n for n in numbers if n // 1000 == worker]
        assert own == sorted(own)


def test_closed_means_closed(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append([reading(1)])
    with pytest.raises(StoreError, match="closed"):
        list(store.replay())


text = st.text(max_size=20)
when = st.integers(0, 4 * 10**15).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
number = st.floats(allow_nan=False)
signals = st.builds(
    Signal,
    id=st.text(min_size=1, max_size=50),
    at_utc=when,
    causes=st.lists(text, max_size=3).map(tuple),
    topic=text,
    published_utc=when,
    detail=st.dictionaries(text, number | text | st.lists(number, max_size=4), max_size=4),
)


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(signals, max_size=4), max_size=5))
@pytest.mark.parametrize("url", URLS)
def test_any_records_come_back(
    url: str, batches: list[list[Signal]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Model: a list with a set of ids."""
    store = open_store(url, tmp_path_factory.mktemp("log"))
    model: list[Signal] = []
    for batch in batches:
        ids = [r.id for r in batch]
        fits = len(set(ids)) == len(ids) and not set(ids) & {r.id for r in model}
        if fits:
            store.append(batch)
            model += batch
        else:
            with pytest.raises(StoreError):
                store.append(batch)
    assert [record for _, record in store.replay()] == model
    store.close()
