"""Fits the prior tables of the departure model from ended sessions (used offline).

Sessions become rows of quarter hours ("still there" or "left"); the three factors are fitted by
sweeps of (a + seen)/(a + expected), i.e. iterative proportional scaling with shrinkage to the
overall rate. `benchmarks/fit_departure_prior.py` runs it on the shared sessions.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from pendel.units import FloatArray, IntArray

STEP_S = 900
SWEEPS = 30
STRENGTH = 4.0
CLOCK_STRENGTH = 15.0
STEPS_MAX = 200


def fit_table(
    arrive_s: IntArray, stated_s: IntArray, depart_s: IntArray, timezone: str, clock: bool = True
) -> FloatArray:
    """Factors [LEVELS] of one archetype; clock False leaves out the time of day.

    arrive_s, stated_s (UNKNOWN_S = none), depart_s [N]: epoch seconds, depart_s >= arrive_s.
    """
    from pendel.control.departure_kernels import CLOCK_BEGIN, LEVELS, RELATIVE_BEGIN, fit_sweeps

    levels, left = _rows(arrive_s, stated_s, depart_s, timezone)
    table = np.ones(LEVELS)
    table[:RELATIVE_BEGIN] = left.mean()
    strength = np.full(LEVELS, STRENGTH)
    strength[CLOCK_BEGIN:] = CLOCK_STRENGTH
    fit_sweeps(levels, left, np.ones(len(left)), strength, SWEEPS, table, 1 if clock else 0)
    return table


def _rows(
    arrive_s: IntArray, stated_s: IntArray, depart_s: IntArray, timezone: str
) -> tuple[IntArray, FloatArray]:
    """Rows of quarter hours: factor indices [M, 3] and whether the session ended there [M]."""
    from pendel.control.departure_kernels import step_levels

    zone = ZoneInfo(timezone)
    counts = np.clip((depart_s - arrive_s) // STEP_S + 1, 1, STEPS_MAX)
    levels = np.empty((int(counts.sum()), 3), dtype=np.int64)
    left = np.zeros(len(levels))
    row = 0
    for n in range(len(arrive_s)):
        begin = datetime.fromtimestamp(int(arrive_s[n]), zone)
        local_s = begin.hour * 3600 + begin.minute * 60 + begin.second
        for k in range(int(counts[n])):
            since = local_s + k * STEP_S
            weekend = (begin.weekday() + since // 86400) % 7 >= 5
            step_levels(
                float(arrive_s[n] + k * STEP_S), float(STEP_S), int(arrive_s[n]),
                int(stated_s[n]), since % 86400, int(weekend), row, levels,
            )  # fmt: skip
            row += 1
        left[row - 1] = float((depart_s[n] - arrive_s[n]) // STEP_S + 1 <= STEPS_MAX)
    return levels, left
