"""Sites, feeders and the portfolio around a fleet: loads, sun, limits, prices, position.

Every limit leaves room for the base load plus charging evenly over each stay, with a tenth to
spare: a plan that keeps every target exists. Beyond that limits are tight enough to bind when all
cars want the cheapest hour.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from pendel.scenario.columns import Feeders, Horizon, Market, Prices, Series, StrArray
from pendel.sim.generator.settings import KINDS
from pendel.sim.generator.tables import Year, relative_load
from pendel.units import MWH_PER_KWH, FloatArray, IntArray

CARS_PER_SITE = {"home": 20.0, "workplace": 40.0, "public": 12.0, "depot": 30.0}
DWELLINGS_PER_CAR = 1.0
DWELLING_KW = 3_000.0 / 8_760.0
OFFICE_KW_PER_CAR = (1.0, 3.0)
BASE_KW_PER_CAR = {"public": 0.05, "depot": 0.3}
PV_SITE_SHARE = {"home": 0.35, "workplace": 0.4, "public": 0.1, "depot": 0.4}
PV_KWP_PER_CAR = (1.0, 4.0)
NOISE = 0.15
DIVERSITY = 0.75
POINT_KW = 11.0
SPARE = 1.1
EXPORT_KW_PER_CAR = 4.0
DEMAND_CHARGE_EUR_KW_DAY = 0.25
DEMAND_CHARGE_CARS_LEAST = 5
SITES_PER_FEEDER = 40
FEEDERS_PER_AREA = 30
TREE_KW_PER_CAR = {"feeder": (2.5, 1.5), "area": (2.2, 1.3), "portfolio": (2.0, 1.2)}
SHORT_EUR_KWH, LONG_EUR_KWH = 0.06, 0.04
DIGITS = 3
LIMIT_MAX_KW = 5_000.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where cars stand: kind [S] as index into KINDS, cars [S] their number at each site."""

    kind: IntArray
    cars: IntArray

    def __len__(self) -> int:
        return len(self.kind)

    def ids(self) -> StrArray:
        """Names such as home-00001 [S], counted over all kinds."""
        number = (100_000_000 + np.arange(len(self))).astype(np.dtypes.StringDType())
        names = np.array(KINDS, dtype=np.dtypes.StringDType())[self.kind]
        return np.strings.add(np.strings.add(names, "-"), np.strings.slice(number, 1, None))


def sites_of_cars(
    kind: str, cars: int, mean: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Site of each car [cars], counted from 0, and cars per site: 1 + Poisson(mean - 1)."""
    sizes = [np.zeros(0, dtype=np.int64)]
    placed = 0
    while placed < cars:
        more = 1 + rng.poisson(mean - 1.0, max(1, int((cars - placed) / mean) + 1))
        sizes.append(more.astype(np.int64))
        placed += int(more.sum())
    ends = np.cumsum(np.concatenate(sizes))
    site = np.searchsorted(ends, np.arange(cars), side="right").astype(np.int64)
    return site, np.bincount(site) if cars else np.zeros(0, dtype=np.int64)


def local_hours(horizon: Horizon) -> list[datetime]:
    """Local begin of each step."""
    zone = ZoneInfo(horizon.timezone)
    return [horizon.utc_of(step).astimezone(zone) for step in range(horizon.steps)]


def hour_rows(horizon: Horizon, year: Year) -> IntArray:
    """Row of the year's tables for each step [T]."""
    times = horizon.start_s + horizon.step_s * np.arange(horizon.steps)
    return np.asarray((times - year.start_s) // 3_600, dtype=np.int64)


def series_of(
    places: Places, horizon: Horizon, year: Year, rng: np.random.Generator
) -> tuple[Series, FloatArray]:
    """Load and PV [S, T], and the PV size of each site [S] in kWp."""
    hours = local_hours(horizon)
    # Half a step later: values of an hour stand in its middle.
    middle = [moment + timedelta(seconds=horizon.step_s / 2 - 1_800) for moment in hours]
    level, base = np.zeros(len(places)), np.zeros((len(KINDS), horizon.steps))
    for index, kind in enumerate(KINDS):
        mine = places.kind == index
        cars = places.cars[mine]
        if kind == "home":
            level[mine] = cars * DWELLINGS_PER_CAR * DWELLING_KW
            level[mine] *= rng.lognormal(-0.02, 0.2, len(cars))
        elif kind == "workplace":
            level[mine] = cars * rng.uniform(*OFFICE_KW_PER_CAR, len(cars))
        else:
            level[mine] = cars * BASE_KW_PER_CAR[kind]
        base[index] = _profile(kind, middle)
    load = level[:, None] * base[places.kind]
    load *= np.exp(NOISE * rng.standard_normal(load.shape, dtype=np.float32))
    share = np.array([PV_SITE_SHARE[kind] for kind in KINDS])[places.kind]
    kwp = places.cars * rng.uniform(*PV_KWP_PER_CAR, len(places))
    kwp *= rng.random(len(places)) < share
    sun = year.pv_kwh_kwp
    seconds = horizon.start_s + horizon.step_s * (np.arange(horizon.steps) + 0.5) - year.start_s
    shape = np.interp(seconds / 3_600.0 - 0.5, np.arange(len(sun)), sun)
    pv = (kwp * rng.uniform(0.8, 1.05, len(places)))[:, None] * shape[None, :]
    return Series(np.round(load, DIGITS), np.round(pv, DIGITS)), kwp


def _profile(kind: str, moments: list[datetime]) -> FloatArray:
    """Relative load [T], straight between the middles of hours."""
    if kind not in ("home", "workplace"):
        return np.ones(len(moments))
    table = relative_load("home" if kind == "home" else "office")
    result = np.empty(len(moments))
    for step, moment in enumerate(moments):
        later = moment + timedelta(hours=1)
        share = (moment.minute * 60 + moment.second) / 3_600.0
        now, then = (table[m.month - 1, int(m.weekday() >= 5), m.hour] for m in (moment, later))
        result[step] = (1.0 - share) * now + share * then
    return result


def even_kw(
    site: IntArray, first: IntArray, last: IntArray, need_kw: FloatArray, sites: int, steps: int
) -> FloatArray:
    """Power [S, T] if every stay drew need_kw over all of its steps first <= t < last."""
    width = steps + 1
    flat = np.bincount(site * width + first, weights=need_kw, minlength=sites * width)
    flat -= np.bincount(site * width + last, weights=need_kw, minlength=sites * width)
    return np.asarray(np.cumsum(flat.reshape(sites, width), axis=1)[:, :steps])


def site_limits(
    places: Places, load_kw: FloatArray, even: FloatArray, kwp: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Import and export limits [S]: the connection grows slower than the number of points."""
    points = POINT_KW * places.cars**DIVERSITY
    wanted = np.maximum(load_kw.max(axis=1) * SPARE + points, SPARE * (load_kw + even).max(axis=1))
    export = EXPORT_KW_PER_CAR * places.cars + 0.7 * kwp
    limits = [np.ceil(np.minimum(amount, LIMIT_MAX_KW)) for amount in (wanted, export)]
    return limits[0], limits[1]


def feeders_of(
    places: Places, load_kw: FloatArray, even: FloatArray, rng: np.random.Generator
) -> tuple[Feeders, IntArray]:
    """Feeders of some 40 sites, areas of some 30 feeders above them (none for a few sites)."""
    count_s = len(places)
    if count_s < 4:
        none = np.zeros(0)
        empty = Feeders(np.array([], dtype=np.dtypes.StringDType()), none.astype(int), none, none)
        return empty, np.full(count_s, -1, dtype=np.int64)
    count_f = -(-count_s // SITES_PER_FEEDER)
    count_a = -(-count_f // FEEDERS_PER_AREA) if count_f > FEEDERS_PER_AREA else 0
    feeder = np.empty(count_s, dtype=np.int64)
    feeder[rng.permutation(count_s)] = np.arange(count_s) % count_f
    area = np.arange(count_f) % max(count_a, 1)
    rows = [(feeder, count_f, "feeder")]
    if count_a:
        rows.append((area[feeder], count_a, "area"))
    limits = [_tree_limits(of, count, name, places, load_kw, even) for of, count, name in rows]
    names = [f"{name}-{i + 1:05d}" for _, count, name in rows for i in range(count)]
    parent = np.concatenate([count_f + area if count_a else np.full(count_f, -1), [-1] * count_a])
    return (
        Feeders(
            np.array(names, dtype=np.dtypes.StringDType()),
            parent.astype(np.int64),
            np.concatenate([limit[0] for limit in limits]),
            np.concatenate([limit[1] for limit in limits]),
        ),
        feeder,
    )


def _tree_limits(
    of_site: IntArray, count: int, name: str, places: Places, load_kw: FloatArray, even: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Import and export limits of the nodes [count] that the sites hang under."""
    load = np.zeros((count, load_kw.shape[1]))
    needed = np.zeros_like(load)
    np.add.at(load, of_site, load_kw)
    np.add.at(needed, of_site, even)
    cars = np.bincount(of_site, weights=places.cars, minlength=count)
    into, out = TREE_KW_PER_CAR[name]
    wanted = np.maximum(load.max(axis=1) + into * cars, SPARE * (load + needed).max(axis=1))
    return np.ceil(wanted), np.ceil(out * cars)


def portfolio_limits(places: Places, load_kw: FloatArray, even: FloatArray) -> tuple[float, float]:
    """Import and export limit of all sites together [kW]."""
    of_site = np.zeros(len(places), dtype=np.int64)
    into, out = _tree_limits(of_site, 1, "portfolio", places, load_kw, even)
    return float(into[0]), float(out[0])


def prices_of(horizon: Horizon, year: Year, fees_eur_kwh: float, sites: int) -> Prices:
    """The day-ahead price of the hour; fees on top of it for what is bought."""
    market = year.price_eur_mwh[hour_rows(horizon, year)] * MWH_PER_KWH
    market = np.round(market, 6)
    return Prices(
        np.round(market + fees_eur_kwh, 6)[None, :],
        market[None, :],
        np.zeros(sites, dtype=np.int64),
    )


def market_of(series: Series, even: FloatArray) -> Market:
    """Bought ahead: base load less PV, and every car charging evenly."""
    position = (series.load_kw - series.pv_kw + even).sum(axis=0)
    steps = len(position)
    return Market(
        np.round(position, DIGITS), np.full(steps, SHORT_EUR_KWH), np.full(steps, LONG_EUR_KWH)
    )
