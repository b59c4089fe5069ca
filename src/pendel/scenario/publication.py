"""When prices become known: day-ahead, 12:45 local on the day before."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def published_until_s(now_s: int, timezone: str) -> int:
    """Epoch seconds until which (exclusive) prices are published at now_s."""
    zone = ZoneInfo(timezone)
    local = datetime.fromtimestamp(now_s, UTC).astimezone(zone)
    days = 2 if (local.hour, local.minute) >= (12, 45) else 1
    day = local.date() + timedelta(days=days)
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
