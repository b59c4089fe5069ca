"""Readers of the measured data sets behind the examples, and the few draws made from them.

Every reader takes the folder that holds the data sets (one folder per set, each with its own
SOURCE.md) and returns plain Python values. Times of sessions are wall-clock times without zone;
`moved` puts them into another year on the same weekday.
"""

# ruff: noqa: DTZ001, DTZ007 (wall-clock times are meant)

import csv
import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

HOMES_BEGIN = datetime(2016, 7, 31, 23)  # row 0: Sunday 31 July, the hour that ends at 24:00
OFFICE_YEAR = 2017  # the typical year of the office begins on a Sunday, as 2017 did
DAYS_OF_WEEK = 7


@dataclass(frozen=True)
class PlugIn:
    """One measured plug-in: who, from when to when (wall clock), how much energy [kWh]."""

    who: str
    begin: datetime
    end: datetime
    energy_kwh: float
    stated_end: datetime | None = None


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a gzipped CSV file; a byte order mark is dropped."""
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def day_ahead_eur_kwh(data: Path, zone: str) -> dict[datetime, float]:
    """Day-ahead price per hour of 2025 [EUR/kWh] of a bidding zone (DE_LU, NL, FR)."""
    path = data / "prices_smard_2025_hourly" / "day_ahead_eur_per_mwh.csv.gz"
    return {
        datetime.fromisoformat(row["start_utc"]).astimezone(UTC): float(row[zone]) / 1000.0
        for row in rows(path)
    }


def home(data: Path, number: int) -> tuple[list[float], list[float]]:
    """Load [kW] and PV yield [kW per kW installed] of one home, hourly from HOMES_BEGIN on."""
    path = data / "homes_fontana_2016" / f"building_{number:02d}.csv.gz"
    load, pv = [], []
    for row in rows(path):
        load.append(float(row["non_shiftable_load"]))
        pv.append(float(row["solar_generation"]) / 1000.0)
    return load, pv


def home_hour(when: datetime) -> int:
    """Row of `home` for a wall-clock hour of 2025: same weekday, nearest day of the year."""
    shift_days = (date(when.year, 1, 1) - date(2017, 1, 1)).days
    weeks = round(shift_days / DAYS_OF_WEEK)
    moved_back = when - timedelta(weeks=weeks)
    hours = int((moved_back - HOMES_BEGIN).total_seconds() // 3600)
    return hours % (365 * 24 - 24)  # 8,736 h = 52 whole weeks, so weekdays stay


def office_kw(data: Path) -> list[float]:
    """Load of the office [kW] per hour of its typical year, from 1 January 00:00 on."""
    path = data / "site_building_pv_la" / "office_medium_la_hourly.csv.gz"
    return [float(row["Electricity:Facility [kW](Hourly)"]) for row in rows(path)]


def pv_per_kw(data: Path) -> list[float]:
    """Output of the 220 kW array, per kW, per half hour of its typical year."""
    path = data / "site_building_pv_la" / "pv_jpl_220kwdc_30min.csv.gz"
    return [max(float(row["Array DC power | (kW)"]), 0.0) / 220.0 for row in rows(path)]


def office_hour(when: datetime) -> int:
    """Row of `office_kw` for a wall-clock time of another year: same weekday, nearest day."""
    days = (date(when.year, 1, 1) - date(OFFICE_YEAR, 1, 1)).days
    back = when - timedelta(weeks=round(days / DAYS_OF_WEEK))
    return int((back - datetime(OFFICE_YEAR, 1, 1)).total_seconds() // 3600) % 8760


def half_hour(when: datetime) -> int:
    """Row of `pv_per_kw` for a wall-clock time: same day of the year."""
    return int((when - datetime(when.year, 1, 1)).total_seconds() // 1800) % 17520


def norway(data: Path) -> list[PlugIn]:
    """Plug-ins at home, private points, complete rows; reconnects within 15 min are joined."""
    found: dict[str, list[PlugIn]] = {}
    for row in rows(data / "ev_sessions_home_norway" / "sessions.csv.gz"):
        if row["User_type"] != "Private" or not row["End_plugout"]:
            continue
        begin = datetime.strptime(row["Start_plugin"], "%d.%m.%Y %H:%M")
        end = datetime.strptime(row["End_plugout"], "%d.%m.%Y %H:%M")
        if end > begin:
            plug_in = PlugIn(row["User_ID"], begin, end, float(row["El_kWh"]))
            found.setdefault(plug_in.who, []).append(plug_in)
    return [plug_in for who in sorted(found) for plug_in in joined(found[who])]


def joined(plug_ins: list[PlugIn], gap_min: float = 15.0) -> list[PlugIn]:
    """One car's plug-ins in order, reconnects joined; what overlaps (a second car) is left out."""
    result: list[PlugIn] = []
    for item in sorted(plug_ins, key=lambda p: (p.begin, p.end)):
        last = result[-1] if result else None
        if last and item.begin < last.end:
            continue
        if last and (item.begin - last.end).total_seconds() <= gap_min * 60.0:
            energy_kwh = last.energy_kwh + item.energy_kwh
            result[-1] = PlugIn(last.who, last.begin, item.end, energy_kwh, item.stated_end)
        else:
            result.append(item)
    return result


def acn(data: Path, site: str) -> list[PlugIn]:
    """Workplace sessions of May to August 2019; `who` is the station; stated where claimed."""
    result = []
    path = data / "ev_sessions_acn" / f"{site}_2019-05-01_2019-08-31.csv.gz"
    for row in rows(path):
        begin, end, stated = (
            datetime.fromisoformat(row[name]).replace(tzinfo=None)
            for name in ("arrival", "departure", "estimated_departure")
        )
        claimed = row["claimed"] == "True"
        energy_kwh = float(row["delivered_energy (kWh)"])
        result.append(
            PlugIn(row["station_id"], begin, end, energy_kwh, stated if claimed else None)
        )
    return result


def dundee(data: Path) -> list[PlugIn]:
    """Public AC plug-ins in Dundee; `who` is the connector. Dirty rows are left out: without an
    end, without energy, shorter than 10 minutes, longer than 48 hours."""
    found: dict[str, list[PlugIn]] = {}
    path = data / "ev_sessions_public_scotland" / "dundee_2018-03_2018-06.csv.gz"
    for row in rows(path):
        if not row["End Date"] or "7kW" not in row["Model"] or not row["Total kWh"]:
            continue
        begin = datetime.strptime(f"{row['Start Date']} {row['Start Time']}", "%d/%m/%Y %H:%M")
        end = datetime.strptime(f"{row['End Date']} {row['End Time']}", "%d/%m/%Y %H:%M")
        hours, energy_kwh = (end - begin).total_seconds() / 3600.0, float(row["Total kWh"])
        if 1 / 6 <= hours <= 48.0 and energy_kwh > 0.0:
            plug_in = PlugIn(f"{row['CP ID']}-{row['Connector']}", begin, end, energy_kwh)
            found.setdefault(plug_in.who, []).append(plug_in)
    return [plug_in for who in sorted(found) for plug_in in joined(found[who])]


def moer_g_kwh(data: Path) -> dict[datetime, float]:
    """Marginal CO2 signal of May 2019 [g/kWh], every 5 minutes, by wall clock in Los Angeles."""
    path = data / "moer_sgip_caiso_sce" / "SGIP_CAISO_SCE_2019-05.csv.gz"
    zone = ZoneInfo("America/Los_Angeles")
    result = {}
    for row in rows(path):
        local = datetime.fromisoformat(row["time"]).astimezone(zone)
        result[local.replace(tzinfo=None)] = float(row["moer"]) * 1000.0
    return result


def late_h(data: Path) -> list[float]:
    """Measured statement errors [h], sorted: real minus stated departure (negative = left early)
    of all claimed sessions at both ACN sites, May to August 2019."""
    claimed = [p for site in ("caltech", "jpl") for p in acn(data, site)]
    return sorted(
        (p.end - p.stated_end).total_seconds() / 3600.0 for p in claimed if p.stated_end is not None
    )


def moved(plug_in: PlugIn, weeks: int) -> PlugIn:
    """The same plug-in whole weeks later: weekday and wall-clock times stay."""
    shift = timedelta(weeks=weeks)
    stated = plug_in.stated_end + shift if plug_in.stated_end else None
    return PlugIn(
        plug_in.who, plug_in.begin + shift, plug_in.end + shift, plug_in.energy_kwh, stated
    )


class Draw:
    """Reproducible draws: only `random.Random.random`, whose sequence Python guarantees."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        return self._random.random()

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self._random.random()

    def of(self, values: list[float]) -> float:
        """One of the values, each as likely."""
        return values[int(self._random.random() * len(values))]

    def stated(
        self, plug_in: PlugIn, errors_h: list[float], silent: float = 0.1
    ) -> datetime | None:
        """What the driver would have said: real departure minus a measured error, to the quarter
        hour and after the arrival; a share of drivers says nothing."""
        if self.unit() < silent:
            return None
        for _attempt in range(20):
            stated = plug_in.end - timedelta(hours=self.of(errors_h))
            quarter = round((stated - datetime(2000, 1, 1)).total_seconds() / 900.0)
            stated = datetime(2000, 1, 1) + timedelta(seconds=900 * quarter)
            if stated >= plug_in.begin + timedelta(minutes=30):
                return stated
        return None
