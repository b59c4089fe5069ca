"""Reads the shared session sets (ACN, Norway, Scotland) into columns of epoch seconds.

Folders as published in the shared data collection: `ev_sessions_acn`, `ev_sessions_home_norway`,
`ev_sessions_public_scotland`; a copy of the ACN set lies in `examples/acn`.
"""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

UNKNOWN_S = -(2**62)
ACN_ZONE = "America/Los_Angeles"
HOME_ZONE = "Europe/Oslo"
PUBLIC_ZONE = "Europe/London"
DURATION_MAX_S = 14 * 86_400


@dataclass(frozen=True)
class SessionSet:
    """Columns [N]; energy_kwh is the delivered energy; group: site and month "caltech 2019-05"."""

    arrive_s: np.ndarray
    stated_s: np.ndarray
    depart_s: np.ndarray
    energy_kwh: np.ndarray
    vehicle: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.arrive_s)

    def where(self, mask: np.ndarray) -> "SessionSet":
        """The rows of the mask."""
        return SessionSet(*(getattr(self, item.name)[mask] for item in fields(self)))


def _columns(rows: list[tuple[int, int, int, float, str, str]]) -> SessionSet:
    rows.sort()
    parts = list(zip(*rows, strict=True))
    return SessionSet(
        np.array(parts[0], dtype=np.int64),
        np.array(parts[1], dtype=np.int64),
        np.array(parts[2], dtype=np.int64),
        np.array(parts[3]),
        np.array(parts[4]),
        np.array(parts[5]),
    )


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a gzipped CSV as dictionaries."""
    with gzip.open(path, "rt", encoding="utf-8-sig") as source:
        yield from csv.DictReader(source)


def acn(folder: Path) -> SessionSet:
    """Caltech and JPL; a departure counts as stated only where the driver claimed the session."""
    rows = []
    for path in sorted([*folder.glob("caltech_*.csv.gz"), *folder.glob("jpl_*.csv.gz")]):
        site = path.name.split("_")[0]
        for row in rows_of(path):
            arrive = datetime.fromisoformat(row["arrival"])
            depart = datetime.fromisoformat(row["departure"])
            stated = UNKNOWN_S
            if row["claimed"] == "True" and row["estimated_departure"]:
                stated = int(datetime.fromisoformat(row["estimated_departure"]).timestamp())
            rows.append(
                (
                    int(arrive.timestamp()),
                    stated,
                    int(depart.timestamp()),
                    float(row["delivered_energy (kWh)"]),
                    "",
                    f"{site} {arrive:%Y-%m}",
                )
            )
    return _columns(rows)


def _local_s(text: str, form: str, zone: str) -> int:
    return int(datetime.strptime(text, form).replace(tzinfo=ZoneInfo(zone)).timestamp())


def homes(folder: Path) -> SessionSet:
    """Norwegian apartment garages; sessions without end are left out; nothing was stated."""
    rows = []
    for row in rows_of(folder / "sessions.csv.gz"):
        if not row["End_plugout"]:
            continue
        arrive_s = _local_s(row["Start_plugin"], "%d.%m.%Y %H:%M", HOME_ZONE)
        depart_s = _local_s(row["End_plugout"], "%d.%m.%Y %H:%M", HOME_ZONE)
        if not 0 <= depart_s - arrive_s <= DURATION_MAX_S:
            continue
        energy_kwh = float(row["El_kWh"] or 0.0)
        month = row["Start_plugin"][6:10] + "-" + row["Start_plugin"][3:5]
        rows.append((arrive_s, UNKNOWN_S, depart_s, energy_kwh, row["User_ID"], f"home {month}"))
    return _columns(rows)


def public(folder: Path) -> SessionSet:
    """Dundee's AC points (7 and 22 kW); rows without end, energy or duration are left out."""
    rows = []
    for path in sorted(folder.glob("dundee_*.csv.gz")):
        for row in rows_of(path):
            if "rap" in row["Model"].lower() or not row["End Date"] or not row["End Time"]:
                continue
            form = "%d/%m/%Y %H:%M"
            arrive_s = _local_s(f"{row['Start Date']} {row['Start Time'][:5]}", form, PUBLIC_ZONE)
            depart_s = _local_s(f"{row['End Date']} {row['End Time'][:5]}", form, PUBLIC_ZONE)
            energy_kwh = float(row["Total kWh"] or 0.0)
            if 0 < depart_s - arrive_s <= DURATION_MAX_S and energy_kwh > 0.0:
                rows.append((arrive_s, UNKNOWN_S, depart_s, energy_kwh, "", "public"))
    return _columns(rows)
