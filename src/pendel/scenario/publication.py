"""When day-ahead prices become known: no peeking.

Prices of a local day are published at 12:45 local time on the day before (contract, "simulate").
"""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from pendel.clock import local_day_bounds_utc

PUBLICATION_LOCAL = time(12, 45)


def published_until_s(now_s: int, timezone: str) -> int:
    """End (exclusive, epoch seconds) of the prices known at now_s (epoch seconds).

    Before 12:45 local: the end of today; from 12:45 on: the end of tomorrow. Days are local, so
    that they have 23, 24 or 25 hours.

    >>> published_until_s(1740998699, "Europe/Berlin") - 1740956400  # 3 March 2025, 11:44:59
    86400
    >>> published_until_s(1741002300, "Europe/Berlin") - 1740956400  # 12:45
    172800
    """
    local = datetime.fromtimestamp(now_s, UTC).astimezone(ZoneInfo(timezone))
    known_days = 2 if local.time() >= PUBLICATION_LOCAL else 1
    return _day_begin_s((local.date() + timedelta(days=known_days)).toordinal(), timezone)


@lru_cache(maxsize=1024)
def _day_begin_s(ordinal: int, timezone: str) -> int:
    begin, _end = local_day_bounds_utc(datetime.fromordinal(ordinal).date(), timezone)
    return int(begin.timestamp())
