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
from pendel.control.departures import Prior

ARCHETYPES = ("workplace", "workplace, clock unknown", "home", "public")
SHARES = (0.4, 0.3, 0.2, 0.1)
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
    note = f"{len(work)} workplace, {len(home)} home, {len(public)} public sessions"
    return Prior(list(ARCHETYPES), list(SHARES), tables, note)


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
