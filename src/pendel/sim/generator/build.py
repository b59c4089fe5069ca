"""A whole scenario from settings: the same settings and seed give the same scenario, bit by bit."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import numpy as np

from pendel.errors import require
from pendel.scenario.columns import UNKNOWN_S, Horizon, Scenario, Sessions, Sites, Storages
from pendel.sim.generator import tables
from pendel.sim.generator.cars import Cars, Wants, car_columns, wants_of
from pendel.sim.generator.measured import depot_stays, measured_stays
from pendel.sim.generator.mobility import (
    Stands,
    expected_driving_share,
    expected_kwh_per_day,
    home_stays,
)
from pendel.sim.generator.places import (
    CARS_PER_SITE,
    DEMAND_CHARGE_CARS_LEAST,
    DEMAND_CHARGE_EUR_KW_DAY,
    Places,
    even_kw,
    feeders_of,
    market_of,
    portfolio_limits,
    prices_of,
    series_of,
    site_limits,
    sites_of_cars,
)
from pendel.sim.generator.settings import CELLS_MAX, KINDS, TIMEZONE, FleetSettings
from pendel.units import FloatArray, IntArray

WORKPLACE_PER_WEEKDAY = 0.8
TEXT = np.dtypes.StringDType()


def cars_per_kind(settings: FleetSettings) -> dict[str, int]:
    """Number of cars of each kind, summing to all vehicles (largest remainders)."""
    exact = np.array([settings.vehicles * settings.mix.get(kind, 0.0) for kind in KINDS])
    count = np.floor(exact + 1e-9).astype(np.int64)
    for index in np.argsort(count - exact, kind="stable")[: settings.vehicles - count.sum()]:
        count[index] += 1
    return dict(zip(KINDS, count.tolist(), strict=True))


def plug_in_share(settings: FleetSettings) -> float:
    """Of returns home, those followed by a plug-in: measured plug-in days over driving days."""
    if settings.plug_in_share is not None:
        return settings.plug_in_share
    measured = tables.rates().home_plug_in_days_per_day
    return min(1.0, measured / expected_driving_share(tables.trips()))


def horizon_of(settings: FleetSettings) -> Horizon:
    """The horizon, beginning at a local hour."""
    local = datetime.combine(
        settings.first_day, time(settings.start_hour), tzinfo=ZoneInfo(TIMEZONE)
    )
    return Horizon(local.astimezone(UTC), settings.steps, settings.step_minutes * 60, TIMEZONE)


def generate(settings: FleetSettings) -> Scenario:
    """A scenario of the settings, which must be without problems (`settings.problems_of`).

    Raises InvariantError where sites times steps go beyond what a scenario may hold.
    """
    horizon = horizon_of(settings)
    parts, kind_of_site, cars_of_site, site_of = [], [], [], []
    sites = 0
    for index, (kind, count) in enumerate(cars_per_kind(settings).items()):
        rng = np.random.default_rng([settings.seed, index])
        mean = settings.cars_per_home_site if kind == "home" else CARS_PER_SITE[kind]
        site, sizes = sites_of_cars(kind, count, mean, rng)
        cars = car_columns(kind, count, settings.v2g_share, rng)
        stands = stays_of(kind, cars, settings, rng)
        start_min = settings.start_hour * 60.0
        wants = wants_of(stands, cars, start_min, horizon.steps, settings.step_minutes, rng)
        parts.append((kind, stands, wants))
        site_of.append(site[stands.car[wants.kept]] + sites)
        kind_of_site.append(np.full(len(sizes), index))
        cars_of_site.append(sizes)
        sites += len(sizes)
    places = Places(np.concatenate(kind_of_site), np.concatenate(cars_of_site))
    require(len(places) * horizon.steps <= CELLS_MAX, "too many sites times steps")
    sessions = sessions_of(parts, np.concatenate(site_of), horizon, settings)
    return around(places, sessions, horizon, settings)


def stays_of(kind: str, cars: Cars, settings: FleetSettings, rng: np.random.Generator) -> Stands:
    """Plugged-in stays of all cars of a kind."""
    weekday, count = settings.first_day.weekday(), len(cars.capacity_kwh)
    days = settings.days + (1 if settings.start_hour else 0)
    trips = tables.trips()
    if kind == "home":
        share = plug_in_share(settings)
        return home_stays(count, cars.consumption_kwh_km, share, weekday, days, trips, rng)
    if kind == "depot":
        return depot_stays(count, weekday, days, rng)
    stays = tables.stays(kind)
    if kind == "workplace":
        weekend = WORKPLACE_PER_WEEKDAY * tables.rates().workplace_weekend_per_weekday
        return measured_stays(count, WORKPLACE_PER_WEEKDAY, weekend, weekday, days, stays, rng)
    # Who charges in public only must get there what is driven.
    driven = expected_kwh_per_day(trips, float(cars.consumption_kwh_km.mean()) if count else 0.0)
    often = min(0.95, driven / float(stays.energy_kwh.mean()))
    return measured_stays(count, often, often, weekday, days, stays, rng)


def sessions_of(
    parts: list[tuple[str, Stands, Wants]],
    site: IntArray,
    horizon: Horizon,
    settings: FleetSettings,
) -> Sessions:
    """All stays as sessions, kind by kind, car by car, in time."""
    # Local midnight of day 0; a change of the clock inside the horizon is not followed.
    midnight_s = horizon.start_s - settings.start_hour * 3_600

    def joined(name: str) -> FloatArray:
        return np.concatenate([getattr(wants, name) for _, _, wants in parts])

    def seconds(name: str) -> IntArray:
        minutes = np.concatenate([getattr(s, name)[w.kept] for _, s, w in parts])
        return midnight_s + np.round(minutes * 60.0).astype(np.int64)

    first = np.concatenate([wants.first for _, _, wants in parts])
    last = np.concatenate([wants.last for _, _, wants in parts])
    begin_s = horizon.start_s + first * horizon.step_s
    arrive_s = np.where(first > 0, np.minimum(seconds("arrive_min"), begin_s), 0)
    arrive_s = np.where(first > 0, arrive_s, np.minimum(seconds("arrive_min"), horizon.start_s))
    depart_s = np.maximum(seconds("depart_min"), horizon.start_s + last * horizon.step_s)
    stated = np.concatenate([stands.stated[wants.kept] for _, stands, wants in parts])
    stated_s = np.maximum(depart_s + _error_s(parts), arrive_s + horizon.step_s)
    vehicle = np.concatenate(
        [_names(kind[0], stands.car[wants.kept]) for kind, stands, wants in parts]
    )
    efficiency = joined("efficiency")
    count = len(first)
    return Sessions(
        session_id=_names("s", np.arange(count, dtype=np.int64)),
        site=site,
        arrive_step=first,
        depart_step=last,
        arrive_s=arrive_s,
        depart_s=depart_s,
        stated_depart_s=np.where(stated, stated_s, UNKNOWN_S),
        capacity_kwh=joined("capacity_kwh"),
        energy_arrive_kwh=joined("energy_arrive_kwh"),
        energy_target_kwh=joined("energy_target_kwh"),
        energy_min_kwh=joined("energy_min_kwh"),
        charge_max_kw=joined("charge_max_kw"),
        discharge_max_kw=joined("discharge_max_kw"),
        charge_efficiency=efficiency,
        discharge_efficiency=efficiency.copy(),
        wear_eur_kwh=joined("wear_eur_kwh"),
        terminal_eur_kwh=np.zeros(count),
        vehicle_id=vehicle,
        battery_model=np.full(count, "", dtype=TEXT),
    )


def _error_s(parts: list[tuple[str, Stands, Wants]]) -> IntArray:
    minutes = [stands.stated_error_min[wants.kept] for _, stands, wants in parts]
    return np.round(np.concatenate(minutes) * 60.0).astype(np.int64)


def _names(prefix: str, number: IntArray) -> np.ndarray:
    """Names of equal length such as s0000012 [n]."""
    texts = (10_000_000 + number + 1).astype(TEXT)
    return np.asarray(np.strings.add(prefix, np.strings.slice(texts, 1, None)))


def around(
    places: Places, sessions: Sessions, horizon: Horizon, settings: FleetSettings
) -> Scenario:
    """Everything around the sessions: series, limits, feeders, prices, market."""
    rng = np.random.default_rng([settings.seed, len(KINDS)])
    year, count_s, none = tables.year(), len(places), np.zeros(0)
    series, kwp = series_of(places, horizon, year, rng)
    gain_kwh = sessions.energy_target_kwh - sessions.energy_arrive_kwh
    hours = (sessions.depart_step - sessions.arrive_step) * horizon.step_h
    need_kw = gain_kwh / (sessions.charge_efficiency * hours)
    even = even_kw(
        sessions.site, sessions.arrive_step, sessions.depart_step, need_kw, count_s, horizon.steps
    )
    import_kw, export_kw = site_limits(places, series.load_kw, even, kwp)
    feeders, feeder = feeders_of(places, series.load_kw, even, rng)
    into, out = portfolio_limits(places, series.load_kw, even)
    charged = places.cars >= DEMAND_CHARGE_CARS_LEAST
    return Scenario(
        name=f"{settings.vehicles} generated vehicles, {settings.first_day}, seed {settings.seed}",
        horizon=horizon,
        sites=Sites(
            places.ids(),
            import_kw,
            export_kw,
            np.where(charged, DEMAND_CHARGE_EUR_KW_DAY * settings.days, 0.0),
            feeder,
        ),
        prices=prices_of(horizon, year, settings.fees_eur_kwh, count_s),
        series=series,
        sessions=sessions,
        storages=Storages(
            np.array([], dtype=TEXT), none.astype(np.int64), *(none for _ in range(8))
        ),
        feeders=feeders,
        market=market_of(series, even),
        portfolio_import_limit_kw=into,
        portfolio_export_limit_kw=out,
    )
