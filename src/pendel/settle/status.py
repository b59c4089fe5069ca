"""Provisional or final, and why: a result is final only when nothing more can change it.

Final needs: every quarter hour there, the period over, values of the metering operator. A gap is
a gap, never zero and never an error: sums run over what is there.
"""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from pendel.tariff.periods import Period, quarter_text


class Reason(msgspec.Struct, frozen=True):
    """Why a result is provisional. code: gap | period_not_over | not_metering_operator;
    until_utc is exclusive (the end of the last missing quarter hour)."""

    code: str
    from_utc: str
    until_utc: str


class Evidence(msgspec.Struct, frozen=True):
    """What status is judged by. begins: ascending quarter hours with all values; now: the first
    quarter hour that is not over; metering_operator: who read the meter."""

    begins: Sequence[int]
    now: int
    metering_operator: bool = True


def gaps(period: Period, begins: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of missing quarter hours of a period as (begin, end exclusive), ascending."""
    low = bisect_left(begins, period.begin)
    high = bisect_left(begins, period.end)
    missing: list[tuple[int, int]] = []
    expected = period.begin
    for position in range(low, high):
        quarter = begins[position]
        if quarter > expected:
            missing.append((expected, quarter))
        expected = quarter + 1
    if expected < period.end:
        missing.append((expected, period.end))
    return missing


def reasons(period: Period, evidence: Evidence) -> list[Reason]:
    """Everything that keeps a period from being final; empty = final."""
    found = [
        Reason("gap", quarter_text(begin), quarter_text(end))
        for begin, end in gaps(period, evidence.begins)
    ]
    whole = (quarter_text(period.begin), quarter_text(period.end))
    if evidence.now < period.end:
        found.append(Reason("period_not_over", *whole))
    if not evidence.metering_operator:
        found.append(Reason("not_metering_operator", *whole))
    return found


def status_of(found: Sequence[Reason]) -> str:
    """`final` without a reason, else `provisional`."""
    return "provisional" if found else "final"
