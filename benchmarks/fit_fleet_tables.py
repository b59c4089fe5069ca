"""Derives the packaged fleet tables: `python benchmarks/fit_fleet_tables.py SHARED_DATA OUT`.

SHARED_DATA holds the shared data sets; OUT is the folder to write
(`src/pendel/data/fleets`). What each table is: SOURCE.md beside them.
"""

import argparse
import csv
import gzip
import io
import json
import sys
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import session_data as data

SEED = 20250412
STAYS_MAX = 4_000
STAY_MAX_MIN = 72 * 60
YIELD_KWH_KWP = 950.0
USER_DAYS_MIN = 28
USER_SESSIONS_MIN = 10
DAY_TYPES = {"weekdays": "weekday", "saturday": "saturday", "sunday": "sunday"}


def write_rows(path: Path, header: list[str], rows: list[list]) -> None:
    """A CSV, gzipped without a time stamp where the name says so."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    raw = text.getvalue().encode()
    path.write_bytes(gzip.compress(raw, 9, mtime=0) if path.suffix == ".gz" else raw)


def trips(shared: Path, out: Path) -> None:
    """Departures per half hour: all trips from home, those to work, and those back home."""
    rows = []
    for who in ("Worker", "Free"):
        path = shared / "mobility_emobpy" / f"DepartureDestinationTrip_{who}.csv"
        for row in csv.DictReader(path.open(encoding="utf-8")):
            away = sum(float(row[k]) for k in ("errands", "escort", "leisure", "shopping"))
            work, home = float(row["workplace"]), float(row["home"])
            cells = [round(value, 7) for value in (away, work, home)]
            rows.append([who.lower(), DAY_TYPES[row["days"]], float(row["time"]), *cells])
    write_rows(out / "trips.csv", ["who", "day", "hour", "away", "work", "home"], rows)
    for name, target in (("TripsPerDay", "trips_per_day"), ("DistanceDurationTrip", "distances")):
        text = (shared / "mobility_emobpy" / f"{name}.csv").read_text("utf-8")
        (out / f"{target}.csv").write_text(text.replace("\r", ""), encoding="utf-8")


def local(sessions: data.SessionSet, zone: str) -> list[datetime]:
    """Local arrival times."""
    return [datetime.fromtimestamp(int(s), ZoneInfo(zone)) for s in sessions.arrive_s]


def stays(kind: str, sessions: data.SessionSet, zone: str, stated: bool) -> list[list]:
    """A random sample of stays without any id; times in minutes."""
    rng = np.random.default_rng(SEED)
    if stated:
        sessions = sessions.where((sessions.stated_s > 0) & (sessions.energy_kwh > 0.0))
    length = (sessions.depart_s - sessions.arrive_s) / 60.0
    sessions = sessions.where((length >= 10.0) & (length <= STAY_MAX_MIN))
    chosen = np.zeros(len(sessions), dtype=np.bool_)
    chosen[rng.permutation(len(sessions))[:STAYS_MAX]] = True
    sessions = sessions.where(chosen)
    rows = []
    for i, begin in enumerate(local(sessions, zone)):
        error = (sessions.stated_s[i] - sessions.depart_s[i]) // 60 if stated else ""
        rows.append(
            [
                kind,
                int(begin.weekday() >= 5),
                begin.hour * 60 + begin.minute,
                int((sessions.depart_s[i] - sessions.arrive_s[i]) // 60),
                round(float(sessions.energy_kwh[i]), 2),
                int(error) if stated else "",
            ]
        )
    return sorted(rows, key=str)


def by_hour(home: data.SessionSet) -> list[float]:
    """Share of plug-ins at home per local hour, weekdays only."""
    hours = [d.hour for d in local(home, data.HOME_ZONE) if d.weekday() < 5]
    share = np.bincount(hours, minlength=24) / len(hours)
    return [round(float(value), 4) for value in share]


def rates(work: data.SessionSet, home: data.SessionSet) -> dict:
    """How often cars plug in: homes per car and day, workplaces at weekends against weekdays."""
    days: list[float] = []
    kwh: list[float] = []
    begins = np.array([d.toordinal() for d in local(home, data.HOME_ZONE)])
    for user in np.unique(home.vehicle):
        mine = home.vehicle == user
        span = int(begins[mine].max() - begins[mine].min()) + 1
        if span >= USER_DAYS_MIN and mine.sum() >= USER_SESSIONS_MIN:
            days.append(len(np.unique(begins[mine])) / span)
            kwh.append(float(home.energy_kwh[mine].sum()) / span)
    per_day: dict[date, int] = defaultdict(int)
    for begin, group in zip(local(work, data.ACN_ZONE), work.group, strict=True):
        if " 2019" in str(group):
            per_day[begin.date()] += 1
    weekday = [n for day, n in per_day.items() if day.weekday() < 5]
    weekend = [n for day, n in per_day.items() if day.weekday() >= 5]
    weekend_days = len(weekday) * 2 / 5
    return {
        "home_plug_in_days_per_day": round(float(np.mean(days)), 4),
        "home_kwh_per_day": round(float(np.mean(kwh)), 4),
        "home_users": len(days),
        "home_plug_ins_by_hour": by_hour(home),
        "workplace_weekend_per_weekday": round(
            sum(weekend) / weekend_days / float(np.mean(weekday)), 4
        ),
    }


def hourly(shared: Path, out: Path) -> None:
    """Prices and sun of one year, hour by hour, from the same market area."""
    with gzip.open(
        shared / "prices_smard_2025_hourly" / "day_ahead_eur_per_mwh.csv.gz", "rt"
    ) as file:
        price = {row["start_utc"]: float(row["DE_LU"]) for row in csv.DictReader(file)}
    with gzip.open(shared / "system_smard_de_2025" / "de_load_pv_wind_hourly.csv.gz", "rt") as file:
        sun = {row["start_utc"]: float(row["solar_generation_mw"]) for row in csv.DictReader(file)}
    scale = YIELD_KWH_KWP / sum(sun.values())
    rows = [[time, price[time], round(sun[time] * scale, 4)] for time in sorted(price)]
    write_rows(out / "de_2025_hourly.csv.gz", ["start_utc", "price_eur_mwh", "pv_kwh_kwp"], rows)


def loads(shared: Path, out: Path) -> None:
    """Mean load by month, kind of day and hour; the mean over the year is 1."""
    sums: dict[tuple, list[float]] = defaultdict(list)
    for path in sorted((shared / "homes_fontana_2016").glob("building_*.csv.gz")):
        with gzip.open(path, "rt") as file:
            for row in csv.DictReader(file):
                weekend = int(int(row["day_type"]) >= 6)
                hour = int(row["hour"]) - 1
                key = ("home", int(row["month"]), weekend, hour)
                sums[key].append(float(row["non_shiftable_load"]))
    with gzip.open(shared / "site_building_pv_la" / "office_medium_la_hourly.csv.gz", "rt") as file:
        for i, row in enumerate(csv.DictReader(file)):
            month = int(row["Date/Time"].strip()[:2])
            # DOE reference buildings begin the typical year on a Sunday.
            weekend = int((i // 24) % 7 in (0, 6))
            key = ("office", month, weekend, i % 24)
            sums[key].append(float(row["Electricity:Facility [kW](Hourly)"]))
    rows = []
    for kind in ("home", "office"):
        mean = np.mean([v for key, values in sums.items() if key[0] == kind for v in values])
        keys = sorted(key for key in sums if key[0] == kind)
        rows += [[*key, round(float(np.mean(sums[key]) / mean), 4)] for key in keys]
    write_rows(out / "loads.csv", ["kind", "month", "weekend", "hour", "relative"], rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    work = data.acn(given.shared / "ev_sessions_acn")
    home = data.homes(given.shared / "ev_sessions_home_norway")
    public = data.public(given.shared / "ev_sessions_public_scotland")
    rows = [
        *stays("workplace", work, data.ACN_ZONE, True),
        *stays("public", public, data.PUBLIC_ZONE, False),
    ]
    header = ["kind", "weekend", "arrive_min", "stay_min", "energy_kwh", "stated_error_min"]
    write_rows(out / "stays.csv.gz", header, rows)
    (out / "rates.json").write_text(json.dumps(rates(work, home), indent=2) + "\n", "utf-8")
    trips(given.shared, out)
    hourly(given.shared, out)
    loads(given.shared, out)


if __name__ == "__main__":
    main()
