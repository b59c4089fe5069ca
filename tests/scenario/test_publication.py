"""Prices of a local day are known from 12:45 on the day before: no sooner, no later."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.errors import NotFoundError
from pendel.scenario import examples
from pendel.scenario.publication import published_until_s

ZONES = ["Europe/Berlin", "Europe/London", "America/Los_Angeles", "UTC", "Asia/Kolkata"]


def published_s(day: date, zone: str) -> int:
    """When the prices of a local day come out."""
    before = datetime.combine(day - timedelta(days=1), time(12, 45), ZoneInfo(zone))
    return int(before.timestamp())


@settings(max_examples=300, deadline=None)
@given(now_s=st.integers(1_600_000_000, 2_000_000_000), zone=st.sampled_from(ZONES))
def test_every_known_second_was_published(now_s: int, zone: str) -> None:
    """The last known second belongs to a day that is out; the first unknown one to one that is
    not yet; and today is always known."""
    until_s = published_until_s(now_s, zone)
    tz = ZoneInfo(zone)
    last_known = datetime.fromtimestamp(until_s - 1, UTC).astimezone(tz).date()
    first_unknown = datetime.fromtimestamp(until_s, UTC).astimezone(tz).date()
    assert published_s(last_known, zone) <= now_s < published_s(first_unknown, zone)
    assert until_s > now_s
    assert published_until_s(now_s + 60, zone) >= until_s


@pytest.mark.parametrize(
    ("local", "hours"),
    [
        ("2025-03-29T12:44:59", 24),
        ("2025-03-29T12:45:00", 24 + 23),
        ("2025-10-25T13:00:00", 24 + 25),
        ("2025-10-26T01:00:00", 25),
        ("2025-06-01T00:00:00", 24),
    ],
)
def test_days_of_23_and_25_hours(local: str, hours: int) -> None:
    tz = ZoneInfo("Europe/Berlin")
    now = datetime.fromisoformat(local).replace(tzinfo=tz)
    midnight = now.replace(hour=0, minute=0, second=0)
    until_s = published_until_s(int(now.timestamp()), "Europe/Berlin")
    assert until_s - int(midnight.timestamp()) == hours * 3600


def test_examples_are_found() -> None:
    for name in examples.example_names():
        assert (examples.example_folder(name) / "scenario.toml").is_file()


@pytest.mark.parametrize("name", ["nowhere", "../src", "", "."])
def test_unknown_example(name: str) -> None:
    with pytest.raises(NotFoundError):
        examples.example_folder(name)
