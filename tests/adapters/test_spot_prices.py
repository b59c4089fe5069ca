"""Day-ahead prices: three shapes, one series; nothing is told before it is published."""

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from pendel.adapters.spot_feed import SpotFeed, url_of
from pendel.adapters.spot_prices import SpotError, SpotFile, check_file, read_table

BEGIN = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)  # midnight in Berlin
PRICES = ["51.04", "-3.5", "0", "12"]
ZONE = "Europe/Berlin"


def csv_text(step: timedelta = timedelta(hours=1), prices: list[str] = PRICES) -> str:
    rows = [f"{(BEGIN + i * step).isoformat()},{price}" for i, price in enumerate(prices)]
    return "\n".join(["time_utc,spot_eur_mwh", *rows])


def energy_charts_text() -> str:
    seconds = [int(BEGIN.timestamp()) + 3600 * i for i in range(4)]
    numbers = ", ".join(PRICES)
    return f'{{"unix_seconds": {seconds}, "price": [{numbers}], "unit": "EUR / MWh"}}'


def awattar_text(unit: str = "Eur/MWh") -> str:
    return json.dumps(
        {
            "data": [
                {
                    "start_timestamp": (int(BEGIN.timestamp()) + 3600 * i) * 1000,
                    "end_timestamp": (int(BEGIN.timestamp()) + 3600 * (i + 1)) * 1000,
                    "marketprice": float(price),
                    "unit": unit,
                }
                for i, price in enumerate(PRICES)
            ]
        }
    )


def test_three_shapes_are_one_series_of_quarter_hours() -> None:
    tables = [read_table(t, "f") for t in (csv_text(), energy_charts_text(), awattar_text())]
    first = int(BEGIN.timestamp()) // 900
    expected = {first + 4 * i + q: Fraction(PRICES[i]) for i in range(4) for q in range(4)}
    assert [table.eur_mwh for table in tables] == [expected] * 3


def test_hours_become_quarter_hours_and_a_gap_stays_a_gap() -> None:
    text = csv_text(prices=["10", "20"])
    tail = [BEGIN + timedelta(hours=2), BEGIN + timedelta(minutes=135), BEGIN + timedelta(hours=5)]
    text += "".join(f"\n{when.isoformat()},{price}" for price, when in enumerate(tail, 30))
    table = read_table(text, "f").eur_mwh
    first = int(BEGIN.timestamp()) // 900
    assert [table.get(first + q) for q in (0, 3, 4, 7, 8, 9)] == [10, 10, 20, 20, 30, 31]
    assert first + 10 not in table and table[first + 20] == 32 and first + 21 not in table


@pytest.mark.parametrize(
    ("now", "known_hours"),
    [
        (datetime(2026, 3, 2, 11, 44, tzinfo=UTC), 0),
        (datetime(2026, 3, 2, 11, 45, tzinfo=UTC), 4),  # 12:45 in Berlin on the day before
        (datetime(2026, 3, 3, 1, 0, tzinfo=UTC), 4),
    ],
)
def test_prices_are_told_from_their_publication_on(now: datetime, known_hours: int) -> None:
    assert len(read_table(csv_text(), "f").known(now, ZONE)) == 4 * known_hours


def test_a_file_may_say_itself_when_it_was_published() -> None:
    late = (BEGIN + timedelta(hours=2)).isoformat()
    text = "time_utc,spot_eur_mwh,published_utc\n" + f"{BEGIN.isoformat()},5,{late}"
    table = read_table(text, "f")
    assert table.known(BEGIN + timedelta(hours=1), ZONE) == {}
    assert len(table.known(BEGIN + timedelta(hours=2), ZONE)) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time_utc,price\n", "columns"),
        (csv_text() + f"\n{BEGIN.isoformat()},1", "twice"),
        (csv_text(prices=["1e3"]), "f:2: spot_eur_mwh"),
        (csv_text(prices=["99999"]), "not a price"),
        (csv_text(step=timedelta(minutes=10)), "off the quarter hour"),
        ("time_utc,spot_eur_mwh\n2026-03-02T23:00:00,5", "f:2: time without offset"),
        ('{"unix_seconds": [1]', "not JSON"),
        ('{"prices": []}', "expected shape"),
        (awattar_text("ct/kWh"), "unit"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, says: str) -> None:
    with pytest.raises(SpotError, match=says):
        read_table(text, "f")


def test_a_file_is_read_again_when_it_changes_and_a_broken_one_leaves_what_was_known(
    tmp_path: Path,
) -> None:
    path = tmp_path / "spot.csv"
    assert check_file(path) != []
    path.write_text(csv_text(prices=["1"]))
    assert check_file(path) == []
    source = SpotFile(path, ZONE)
    assert set(source.spot(BEGIN).values()) == {1} and source.trouble == ""
    path.write_text("nonsense")
    assert set(source.spot(BEGIN).values()) == {1} and "columns" in source.trouble
    path.write_text(csv_text(prices=["2", "2"]))
    assert set(source.spot(BEGIN).values()) == {2} and source.trouble == ""


def test_a_feed_keeps_what_it_knows_when_an_answer_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [OSError("no route"), energy_charts_text()]

    def fetch(url: str) -> str:
        answer = answers.pop(0) if answers else "{"
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr("pendel.adapters.spot_feed.fetch", fetch)
    monkeypatch.setattr("pendel.adapters.spot_feed.RETRY_FIRST_S", 0.01)
    feed = SpotFeed("energy-charts", "DE-LU", ZONE)
    try:
        feed._thread.join(0.5)
        assert len(feed.spot(BEGIN)) == 16
        with pytest.raises(SpotError):
            feed.take("{")
        assert len(feed.spot(BEGIN)) == 16
    finally:
        feed.close()


def test_addresses_name_zone_and_days() -> None:
    assert "bzn=DE-LU&start=2026-03-01&end=2026-03-04" in url_of("energy-charts", "", BEGIN)
    assert url_of("awattar", "AT", BEGIN).startswith("https://api.awattar.at/")
    with pytest.raises(ValueError, match="not a source"):
        url_of("crystal-ball", "", BEGIN)
