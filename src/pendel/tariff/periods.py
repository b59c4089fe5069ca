"""Settlement periods: local months, parts of months, years, counted in quarter hours.

A quarter hour is an integer: quarter hours since 1970-01-01T00:00Z. It belongs to the period in
which it *begins* in local time (facts: BNetzA 618-25-02, local-time rule; vectors T10, T11).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pendel.clock import format_utc
from pendel.units import QUARTER_HOUR_S

BERLIN = "Europe/Berlin"
YEAR_MIN = 2000
YEAR_MAX = 2199
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER = timedelta(seconds=QUARTER_HOUR_S)


@dataclass(frozen=True, slots=True)
class Period:
    """Quarter hours begin <= q < end under a key: `2026-11`, `2026-11/16` or `2026`."""

    key: str
    begin: int
    end: int

    @property
    def quarters(self) -> int:
        """How many quarter hours the period has."""
        return self.end - self.begin


def quarter_of(when_utc: datetime) -> int | None:
    """Number of the quarter hour that begins at when_utc; None where none begins then."""
    number, rest = divmod(when_utc - _EPOCH, _QUARTER)
    return None if rest else number


def utc_of_quarter(quarter: int) -> datetime:
    """Begin of a quarter hour."""
    return _EPOCH + quarter * _QUARTER


def quarter_text(quarter: int) -> str:
    """Begin of a quarter hour as `2026-10-01T00:00:00Z`."""
    return format_utc(utc_of_quarter(quarter))


def first_quarter(day: date, zone: str = BERLIN) -> int:
    """The quarter hour with which a local day begins."""
    begin = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return (begin - _EPOCH) // _QUARTER


def local_day(quarter: int, zone: str = BERLIN) -> date:
    """The local day in which a quarter hour begins."""
    return utc_of_quarter(quarter).astimezone(ZoneInfo(zone)).date()


def next_month(day: date) -> date:
    """The first day of the following month.

    >>> next_month(date(2026, 12, 24))
    datetime.date(2027, 1, 1)
    """
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def month_periods(
    begins: Sequence[int], splits: Iterable[date] = (), zone: str = BERLIN
) -> list[Period]:
    """The months (or parts of months) that hold one of the quarter hours, ascending.

    begins: ascending quarter hours; splits: local days on which a part of a month begins
    (Annex 1 ch. 11). Months without a split have the key `2026-11`, parts `2026-11/16`.
    """
    periods: list[Period] = []
    position = 0
    while position < len(begins):
        day = local_day(begins[position], zone)
        for period in _parts_of_month(day.replace(day=1), splits, zone):
            start = position
            while position < len(begins) and begins[position] < period.end:
                position += 1
            if position > start:
                periods.append(period)
    return periods


def _parts_of_month(first: date, splits: Iterable[date], zone: str) -> list[Period]:
    following = next_month(first)
    starts = [first, *sorted({day for day in splits if first < day < following})]
    ends = [*starts[1:], following]
    month = f"{first.year:04d}-{first.month:02d}"
    return [
        Period(
            month if len(starts) == 1 else f"{month}/{start.day}",
            first_quarter(start, zone),
            first_quarter(end, zone),
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def year_period(year: int, zone: str = BERLIN) -> Period:
    """A local calendar year."""
    begin = first_quarter(date(year, 1, 1), zone)
    return Period(f"{year:04d}", begin, first_quarter(date(year + 1, 1, 1), zone))


def year_periods(begins: Sequence[int], zone: str = BERLIN) -> list[Period]:
    """The local years that hold one of the (ascending) quarter hours."""
    years: list[Period] = []
    for quarter in begins:
        if not years or quarter >= years[-1].end:
            years.append(year_period(local_day(quarter, zone).year, zone))
    return years
