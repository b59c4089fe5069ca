"""The packaged tables behind generated fleets (data/fleets/SOURCE.md says where each is from)."""

import csv
import gzip
import io
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib import resources

import msgspec
import numpy as np

from pendel.units import FloatArray, IntArray

SLOTS = 48
"""Half hours of a day."""

DAYS = ("weekday", "saturday", "sunday")
WHO = ("worker", "free")
ENDS_KM_LEAST = 0.3
TABLES_YEAR = 2025


@dataclass(frozen=True, slots=True)
class Trips:
    """Share of departures per half hour [2 who, 3 days, 48], each row summing to 1: away (other
    than work), work and home; count_share [2, 6]: days with 0..5 trips (weekday, weekend);
    km_upper, km_share [8]: classes of trip length and how often they are driven."""

    away: FloatArray
    work: FloatArray
    home: FloatArray
    count_share: FloatArray
    km_upper: FloatArray
    km_share: FloatArray

    @property
    def km_mean(self) -> float:
        """Mean length of a trip, even within each class [km]."""
        lower = np.concatenate([[ENDS_KM_LEAST], self.km_upper[:-1]])
        return float((self.km_share * (lower + self.km_upper) / 2.0).sum())


@dataclass(frozen=True, slots=True)
class Stays:
    """Measured stays of one kind [n]: weekend (0, 1), arrive_min of the local day, stay_min,
    energy_kwh, stated_error_min (stated minus real departure; 0 where nothing was stated)."""

    weekend: IntArray
    arrive_min: IntArray
    stay_min: IntArray
    energy_kwh: FloatArray
    stated_error_min: IntArray


class Rates(msgspec.Struct, frozen=True):
    """How often cars plug in, measured (data/fleets/SOURCE.md). home_plug_ins_by_hour [24]: share
    of plug-ins per local hour of weekdays; not used for generating, only to compare with."""

    home_plug_in_days_per_day: float
    home_kwh_per_day: float
    home_users: int
    home_plug_ins_by_hour: tuple[float, ...]
    workplace_weekend_per_weekday: float


@dataclass(frozen=True, slots=True)
class Year:
    """Hours of one year [h] from start_s (epoch seconds): price and sun of the same place."""

    start_s: int
    price_eur_mwh: FloatArray
    pv_kwh_kwp: FloatArray


def _bytes(name: str) -> bytes:
    return resources.files("pendel").joinpath("data", "fleets", name).read_bytes()


def _rows(name: str) -> list[dict[str, str]]:
    raw = _bytes(name)
    text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@lru_cache(maxsize=1)
def trips() -> Trips:
    """Trip tables of the German travel survey."""
    shares = {name: np.zeros((len(WHO), len(DAYS), SLOTS)) for name in ("away", "work", "home")}
    for row in _rows("trips.csv"):
        slot = round(float(row["hour"]) * 2.0)
        for name, target in shares.items():
            target[WHO.index(row["who"]), DAYS.index(row["day"]), slot] = float(row[name])
    for target in shares.values():
        target /= np.maximum(target.sum(axis=2, keepdims=True), 1e-12)
    counts = _rows("trips_per_day.csv")
    count_share = np.array([[float(row[day]) for row in counts] for day in ("weekday", "weekend")])
    lengths = _rows("distances.csv")
    share = np.array([sum(float(v) for k, v in row.items() if k != "km") for row in lengths])
    return Trips(
        shares["away"],
        shares["work"],
        shares["home"],
        count_share / count_share.sum(axis=1, keepdims=True),
        np.array([float(row["km"]) for row in lengths]),
        share / share.sum(),
    )


@lru_cache(maxsize=2)
def stays(kind: str) -> Stays:
    """Measured stays of a kind: workplace or public."""
    rows = [row for row in _rows("stays.csv.gz") if row["kind"] == kind]

    def ints(name: str) -> IntArray:
        return np.array([int(row[name] or 0) for row in rows], dtype=np.int64)

    return Stays(
        weekend=ints("weekend"),
        arrive_min=ints("arrive_min"),
        stay_min=ints("stay_min"),
        energy_kwh=np.array([float(row["energy_kwh"]) for row in rows]),
        stated_error_min=ints("stated_error_min"),
    )


@lru_cache(maxsize=1)
def rates() -> Rates:
    """Measured rates."""
    return msgspec.json.decode(_bytes("rates.json"), type=Rates)


@lru_cache(maxsize=1)
def year() -> Year:
    """Germany in 2025, hour by hour."""
    rows = _rows("de_2025_hourly.csv.gz")
    start = datetime.fromisoformat(rows[0]["start_utc"].replace("Z", "+00:00"))
    return Year(
        int(start.timestamp()),
        np.array([float(row["price_eur_mwh"]) for row in rows]),
        np.array([float(row["pv_kwh_kwp"]) for row in rows]),
    )


@lru_cache(maxsize=2)
def relative_load(kind: str) -> FloatArray:
    """Load [12 months, 2 (weekend), 24 hours] of home or office; its mean over the year is 1."""
    result = np.zeros((12, 2, 24))
    for row in _rows("loads.csv"):
        if row["kind"] == kind:
            place = int(row["month"]) - 1, int(row["weekend"]), int(row["hour"])
            result[place] = float(row["relative"])
    return result


def days_covered() -> tuple[date, date]:
    """First and last local day that lie wholly inside the packaged year, with a day to spare."""
    hours = year()
    last = hours.start_s + 3600 * (len(hours.price_eur_mwh) - 1)
    return date(TABLES_YEAR, 1, 2), datetime.fromtimestamp(last - 86_400, UTC).date()
