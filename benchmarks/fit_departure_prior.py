"""Fits the packaged departure prior: `python benchmarks/fit_departure_prior.py SHARED_DATA OUT`.

SHARED_DATA holds the three session sets; OUT is the JSON to write
(`src/pendel/data/departures/prior.json`). `--without "jpl 2019-05"` leaves groups out
(cross-validation).
"""

import argparse
import sys
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import session_data as data
from pendel.control.departure_fit import fit_table
from pendel.control.departure_kernels import (
    CLOCK_BEGIN,
    ELAPSED_CLASSES,
    LEVELS,
    RELATIVE_BEGIN,
    UNSTATED,
    relative_class,
)
from pendel.control.departures import Prior

ARCHETYPES = ("workplace", "workplace, clock unknown", "home", "public", "timetable")
SHARES = (0.36, 0.27, 0.18, 0.09, 0.1)
EARLY_HAZARD = 1e-4
NEAR_HAZARDS = (2e-3, 5e-3, 0.01, 0.02, 0.6, 0.6, 0.5, 0.5)
LATE_HAZARD = 0.3
DIGITS = 6
PUBLIC_ROWS = 8_000


def fit(work: data.SessionSet, home: data.SessionSet, public: data.SessionSet) -> Prior:
    """One table per archetype; sessions as columns."""
    public = public.where(np.arange(len(public)) % max(1, len(public) // PUBLIC_ROWS) == 0)
    tables = []
    for sessions, zone, clock in (
        (work, data.ACN_ZONE, True),
        (work, data.ACN_ZONE, False),
        (home, data.HOME_ZONE, True),
        (public, data.PUBLIC_ZONE, True),
    ):
        table = fit_table(sessions.arrive_s, sessions.stated_s, sessions.depart_s, zone, clock)
        tables.append([float(f"{value:.{DIGITS}g}") for value in table])
    tables.append([float(f"{value:.{DIGITS}g}") for value in timetable(np.array(tables[1]))])
    note = f"{len(work)} workplace, {len(home)} home, {len(public)} public sessions"
    return Prior(list(ARCHETYPES), list(SHARES), tables, note)


def timetable(anybody: np.ndarray) -> np.ndarray:
    """Who keeps the stated departure: constructed, not fitted (no log with a free licence).

    More than an hour before it, one car in 10,000 leaves per quarter hour (about one in 200 of a
    night of 14 h): rarely something happens. Then a few early ones, and most in the first half
    hour after. Without a statement it leaves as anybody [LEVELS] does.
    """
    table = np.ones(LEVELS)
    table[:ELAPSED_CLASSES] = anybody[:ELAPSED_CLASSES]
    relative = table[RELATIVE_BEGIN:CLOCK_BEGIN]
    hour_before = relative_class(3_500.0)
    relative[:hour_before] = EARLY_HAZARD
    relative[hour_before : hour_before + len(NEAR_HAZARDS)] = NEAR_HAZARDS
    relative[hour_before + len(NEAR_HAZARDS) : UNSTATED] = LATE_HAZARD
    relative[UNSTATED] = anybody[RELATIVE_BEGIN + UNSTATED]
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", nargs="*", default=[])
    given = parser.parse_args()
    work = data.acn(given.shared / "ev_sessions_acn")
    prior = fit(
        work.where(~np.isin(work.group, given.without)),
        data.homes(given.shared / "ev_sessions_home_norway"),
        data.public(given.shared / "ev_sessions_public_scotland"),
    )
    given.out.write_bytes(msgspec.json.format(msgspec.json.encode(prior), indent=1) + b"\n")


if __name__ == "__main__":
    main()
