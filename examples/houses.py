"""The examples with homes: home, street and island."""

# ruff: noqa: DTZ001 (wall-clock times are meant)

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import measured
from folder import (
    HISTORY_COLUMNS,
    SESSION_COLUMNS,
    Car,
    Folder,
    before,
    busiest,
    history_line,
    number,
    price_lines,
    session_line,
    with_statement,
    within,
    zulu,
)
from measured import Draw


def household_price(spot: dict[datetime, float]) -> Callable[[datetime, datetime], float]:
    """A German dynamic tariff of 2025 with a time-variable network fee, gross, EUR/kWh.

    spot + supplier 0.012 + levies 0.02651 + electricity tax 0.0205 + concession fee 0.0159
    + network fee (0.0345 from 1 to 4 h, 0.1084 from 17 to 19 h, else 0.0862), plus 19 % VAT.
    """

    def buy(utc: datetime, wall: datetime) -> float:
        network = 0.0862
        if 1 <= wall.hour < 4:
            network = 0.0345
        elif 17 <= wall.hour < 19:
            network = 0.1084
        return 1.19 * (spot[utc] + 0.012 + 0.02651 + 0.0205 + 0.0159 + network)

    return buy


NL_TAX_EUR_KWH, NL_FEE_EUR_KWH = 0.1015, 0.02


def street(data: Path) -> Folder:
    """12 homes on one feeder, each with a bidirectional car, 7 with PV."""
    folder = Folder("street", ZoneInfo("Europe/Amsterdam"), datetime(2025, 9, 8, 12), 4)
    spot = measured.day_ahead_eur_kwh(data, "NL")
    folder.files["prices.csv"] = price_lines(
        folder,
        lambda utc, _wall: 1.21 * (spot[utc] + NL_TAX_EUR_KWH) + NL_FEE_EUR_KWH,
        lambda utc: 1.21 * (spot[utc] + NL_TAX_EUR_KWH) - NL_FEE_EUR_KWH,
    )
    sites = ["site_id,import_limit_kw,export_limit_kw,feeder_id"]
    series = ["time_utc,site_id,load_kw,pv_kw"]
    for index in range(12):
        site_id = f"home-{index + 1:02d}"
        limit_kw = 17.0 if index % 3 else 11.0
        export_kw = 0.0 if index in (10, 11) else min(limit_kw, 11.0)
        sites.append(f"{site_id},{number(limit_kw)},{number(export_kw)},street")
        pv_kw = (6.0, 9.0, 0.0)[index % 3] if index < 10 else 0.0
        series += home_series(data, folder, site_id, index, 4_200.0, pv_kw * 0.6)
    folder.files["sites.csv"] = sites
    folder.files["feeders.csv"] = [
        "feeder_id,parent_id,import_limit_kw,export_limit_kw",
        "street,,45,45",
    ]
    folder.files["series.csv"] = series
    home_sessions(data, folder, 12, datetime(2020, 1, 13), 20250908)
    return folder


def home_series(
    data: Path, folder: Folder, site_id: str, index: int, year_kwh: float, pv_kw: float
) -> list[str]:
    """Hourly load and PV of one home; homes beyond the ninth take another week of the first."""
    load, sun = measured.home(data, index % 9 + 1)
    scale = year_kwh * (0.8 + 0.4 * ((index * 5) % 12) / 11.0) / sum(load)
    lines = []
    for utc, wall in folder.grid(60):
        row = measured.home_hour(wall + timedelta(weeks=index // 9))
        lines.append(
            f"{zulu(utc)},{site_id},{number(load[row] * scale)},{number(sun[row] * pv_kw)}"
        )
    return lines


HOME_CARS_KWH = (58.0, 52.0, 77.0, 40.0, 62.0, 58.0, 75.0, 52.0, 96.0, 45.0, 79.0, 57.5)


def home_sessions(data: Path, folder: Folder, count: int, week: datetime, seed: int) -> None:
    """Measured plug-ins at home of the `count` busiest users, one car each, with statements; and
    what they did before."""
    draw, before_h, errors_h = Draw(seed), Draw(seed + 1), measured.late_h(data)
    weeks = round((folder.begin - week).days / 7)
    plug_ins = within(folder, measured.norway(data), weeks)
    past = before(folder, measured.norway(data), weeks)
    lines, history = [SESSION_COLUMNS], [HISTORY_COLUMNS]
    for index, items in enumerate(busiest([p for p in plug_ins if p.energy_kwh > 0.0], count)):
        car = Car(HOME_CARS_KWH[index % len(HOME_CARS_KWH)])
        for turn, plug_in in enumerate(items, 1):
            stated = with_statement(plug_in, draw, errors_h, 0.1)
            ids = (f"h{index + 1:02d}-{turn}", f"home-{index + 1:02d}")
            lines.append(session_line(folder, *ids, stated, car, f"car-{index + 1:02d}"))
        for plug_in in (p for p in past if p.who == items[0].who):
            told = with_statement(plug_in, before_h, errors_h, 0.1)
            history.append(
                history_line(folder, f"home-{index + 1:02d}", told, f"car-{index + 1:02d}")
            )
    folder.files["sessions.csv"], folder.files["history.csv"] = lines, history


def home(data: Path) -> Folder:
    """One home with PV, a battery and a bidirectional car, over the night the clocks change."""
    folder = Folder("home", ZoneInfo("Europe/Berlin"), datetime(2025, 3, 27), 5)
    spot = measured.day_ahead_eur_kwh(data, "DE_LU")
    folder.files["prices.csv"] = price_lines(
        folder, household_price(spot), lambda utc: spot[utc] - 0.005
    )
    folder.files["sites.csv"] = ["site_id,import_limit_kw,export_limit_kw", "home,17,11"]
    series = ["time_utc,site_id,load_kw,pv_kw"]
    folder.files["series.csv"] = series + home_series(data, folder, "home", 0, 9_375.0, 8.0 * 0.6)
    folder.files["storages.csv"] = [STORAGE_COLUMNS, "battery,home,10,4,5,5,0.95,0.95,0.01,4"]
    draw, errors_h = Draw(20250327), measured.late_h(data)
    weeks = round((folder.begin - datetime(2020, 1, 16)).days / 7)
    lines = [SESSION_COLUMNS]
    plug_ins = [p for p in measured.norway(data) if p.who == "UT15-2"]
    for turn, plug_in in enumerate(within(folder, plug_ins, weeks), 1):
        stated = with_statement(plug_in, draw, errors_h, 0.0)
        lines.append(session_line(folder, f"car-{turn}", "home", stated, Car(58.0), "car"))
    folder.files["sessions.csv"] = lines
    before_h = Draw(20250227)
    folder.files["history.csv"] = [
        HISTORY_COLUMNS,
        *(
            history_line(folder, "home", with_statement(p, before_h, errors_h, 0.0), "car")
            for p in before(folder, plug_ins, weeks)
        ),
    ]
    return folder


STORAGE_COLUMNS = (
    "storage_id,site_id,capacity_kwh,energy_start_kwh,charge_max_kw,discharge_max_kw,"
    "charge_efficiency,discharge_efficiency,wear_eur_kwh,energy_end_min_kwh"
)
ISLAND_CARS = (Car(41.0, 7.4, 7.4), Car(52.0, 11.0, 7.4))


def island(data: Path) -> Folder:
    """A small grid as limits of the portfolio: ten houses, a town, a solar park, twenty cars."""
    limits = "[portfolio]\nimport_limit_kw = 75.0\nexport_limit_kw = 20.0\n"
    folder = Folder("island", ZoneInfo("Atlantic/Madeira"), datetime(2025, 7, 14), 4, limits)
    folder.files["prices.csv"] = price_lines(
        folder,
        lambda _utc, wall: 0.23 if 7 <= wall.hour < 23 else 0.14,
        lambda _utc: 0.05,
    )
    sites = ["site_id,import_limit_kw,export_limit_kw", "town,120,60", "solar-park,60,130"]
    office, sun = measured.office_kw(data), measured.pv_per_kw(data)
    series = ["time_utc,site_id,load_kw,pv_kw"]
    for utc, wall in folder.grid(60):
        half = measured.half_hour(wall)
        park_kw = 130.0 * (sun[half] + sun[half + 1]) / 2
        series.append(f"{zulu(utc)},town,{number(0.3 * office[measured.office_hour(wall)])},0")
        series.append(f"{zulu(utc)},solar-park,0,{number(park_kw)}")
    for index in range(10):
        site_id = f"home-{index + 1:02d}"
        sites.append(f"{site_id},14,5")
        series += home_series(data, folder, site_id, index, 4_500.0, 5.0)
    folder.files["sites.csv"], folder.files["series.csv"] = sites, series
    folder.files["storages.csv"] = [
        STORAGE_COLUMNS,
        "island-battery,solar-park,120,60,60,60,0.95,0.95,0.01,60",
    ]
    island_sessions(data, folder)
    return folder


def island_sessions(data: Path, folder: Folder) -> None:
    """Ten cars that park at home (evenings, Norway) and ten that park in town (days, ACN)."""
    draw, before_h, errors_h = Draw(20250714), Draw(20250616), measured.late_h(data)
    home_weeks = (folder.begin - datetime(2020, 1, 13)).days // 7
    town_weeks = (folder.begin - datetime(2019, 7, 15)).days // 7
    at_home = within(folder, measured.norway(data), home_weeks)
    in_town = within(folder, measured.acn(data, "jpl"), town_weeks)
    home_past = before(folder, measured.norway(data), home_weeks)
    town_past = before(folder, measured.acn(data, "jpl"), town_weeks)
    lines, history = [SESSION_COLUMNS], [HISTORY_COLUMNS]
    for index, items in enumerate(busiest([p for p in at_home if p.energy_kwh > 0.0], 10)):
        for turn, plug_in in enumerate(items, 1):
            stated = with_statement(plug_in, draw, errors_h, 0.1)
            ids = (f"h{index + 1:02d}-{turn}", f"home-{index + 1:02d}")
            car = ISLAND_CARS[index % 2]
            lines.append(session_line(folder, *ids, stated, car, f"car-{index + 1:02d}"))
        for plug_in in (p for p in home_past if p.who == items[0].who):
            told = with_statement(plug_in, before_h, errors_h, 0.1)
            history.append(
                history_line(folder, f"home-{index + 1:02d}", told, f"car-{index + 1:02d}")
            )
    for index, items in enumerate(busiest([p for p in in_town if p.energy_kwh > 0.0], 10)):
        for turn, plug_in in enumerate(measured.joined(items), 1):
            ids = (f"t{index + 1:02d}-{turn}", "town")
            car = ISLAND_CARS[index % 2]
            lines.append(session_line(folder, *ids, plug_in, car, f"car-{index + 11:02d}"))
        mine = measured.joined([p for p in town_past if p.who == items[0].who])
        name = f"car-{index + 11:02d}"
        history += [history_line(folder, "town", plug_in, name) for plug_in in mine]
    folder.files["sessions.csv"], folder.files["history.csv"] = lines, history
