"""The examples with fleets: depot, workplace and carshare."""

# ruff: noqa: DTZ001 (wall-clock times are meant)

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import measured
from folder import (
    HISTORY_COLUMNS,
    HISTORY_DAYS,
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
from measured import Draw, PlugIn

VANS = 60
VAN_EARLY = 10
VAN = Car(68.0, 11.0, 0.0, 0.91, 0.90, 0.015, 0.95, 0.10)
VAN_V2G = Car(68.0, 20.0, 20.0, 0.94, 0.93, 0.015, 0.95, 0.10)


def depot(data: Path) -> Folder:
    """60 vans with a timetable behind an office with PV, a demand charge and a tight limit."""
    folder = Folder("depot", ZoneInfo("Europe/Berlin"), datetime(2025, 9, 8, 12), 4)
    spot = measured.day_ahead_eur_kwh(data, "DE_LU")
    adder = 0.02651 + 0.0205 + 0.0011 + 0.015 + 0.002
    folder.files["prices.csv"] = price_lines(
        folder, lambda utc, _wall: spot[utc] + adder, lambda utc: spot[utc] - 0.003
    )
    folder.files["sites.csv"] = [
        "site_id,import_limit_kw,export_limit_kw,demand_charge_eur_kw",
        "depot,350,200,1.3333",
    ]
    office, sun = measured.office_kw(data), measured.pv_per_kw(data)
    lines = ["time_utc,site_id,load_kw,pv_kw"]
    for utc, wall in folder.grid(30):
        load_kw = 0.4 * office[measured.office_hour(wall)]
        pv_kw = 150.0 * 0.6 * sun[measured.half_hour(wall)]
        lines.append(f"{zulu(utc)},depot,{number(load_kw)},{number(pv_kw)}")
    folder.files["series.csv"] = lines
    lines = []
    for van, turns in enumerate(van_turns(folder, Draw(60), 0, folder.days)):
        car = VAN_V2G if van % 5 < 2 else VAN
        inside = [p for p in turns if p.begin >= folder.begin and p.end <= folder.end]
        for turn, plug_in in enumerate(inside, 1):
            session_id = f"v{van + 1:02d}-{turn}"
            lines.append(session_line(folder, session_id, "depot", plug_in, car, plug_in.who))
    folder.files["sessions.csv"] = [SESSION_COLUMNS, *lines]
    past = [p for turns in van_turns(folder, Draw(61), -HISTORY_DAYS, 0) for p in turns]
    folder.files["history.csv"] = [
        HISTORY_COLUMNS,
        *(history_line(folder, "depot", p, p.who) for p in past if p.end <= folder.begin),
    ]
    return folder


def van_turns(folder: Folder, draw: Draw, first_day: int, end_day: int) -> list[list[PlugIn]]:
    """A constructed timetable, the plug-ins of each van: every fourth van has a day off now and
    then; the first ten run an early shift. One departure in ten is up to 45 min before the
    timetable, the rest up to 15 after."""
    midnight = folder.begin.replace(hour=0)
    turns: list[list[PlugIn]] = []
    for van in range(VANS):
        early = van < VAN_EARLY
        leave_h = 4.5 + 0.25 * (van % 4) if early else 5.75 + 0.25 * (van % 9)
        turns.append([])
        day = first_day
        while day < end_day:
            back_h = draw.between(12.1, 13.6) if early else draw.between(14.5, 18.5)
            begin = midnight + timedelta(days=day, minutes=round(60 * back_h))
            nights = 2 if draw.unit() < 0.06 else 1
            planned = midnight + timedelta(days=day + nights, hours=leave_h)
            shift_min = draw.between(-45, 0) if draw.unit() < 0.1 else draw.between(0, 15)
            end = planned + timedelta(minutes=round(shift_min))
            km = draw.between(50, 120) + draw.between(0, 60)
            day += nights
            turns[-1].append(PlugIn(f"van-{van + 1:02d}", begin, end, 0.30 * km, planned))
    return turns


WORK_CARS_KWH = (40.0, 58.0, 77.0, 96.0)


def workplace(data: Path) -> Folder:
    """Two weeks of real sessions at a laboratory, with an office, PV and a CO2 signal."""
    folder = Folder("workplace", ZoneInfo("Europe/Berlin"), datetime(2025, 5, 5), 14)
    spot = measured.day_ahead_eur_kwh(data, "DE_LU")
    adder = 0.02651 + 0.0205 + 0.0011 + 0.015 + 0.002
    folder.files["prices.csv"] = price_lines(
        folder, lambda utc, _wall: spot[utc] + adder, lambda utc: spot[utc] - 0.003
    )
    folder.files["sites.csv"] = [
        "site_id,import_limit_kw,export_limit_kw,demand_charge_eur_kw",
        "campus,400,60,4.6667",
    ]
    office, sun = measured.office_kw(data), measured.pv_per_kw(data)
    lines = ["time_utc,site_id,load_kw,pv_kw"]
    for utc, wall in folder.grid(30):
        load_kw = office[measured.office_hour(wall)]
        pv_kw = 220.0 * 0.6 * sun[measured.half_hour(wall)]
        lines.append(f"{zulu(utc)},campus,{number(load_kw)},{number(pv_kw)}")
    folder.files["series.csv"] = lines
    weeks = (folder.begin - datetime(2019, 5, 6)).days // 7
    folder.files["sessions.csv"] = work_sessions(data, folder, weeks)
    past = [p for p in before(folder, measured.acn(data, "jpl"), weeks) if said_later(p)]
    folder.files["history.csv"] = [
        HISTORY_COLUMNS,
        *(history_line(folder, "campus", p, "") for p in past),
    ]
    folder.files["co2.csv"] = co2_lines(data, folder, weeks)
    return folder


def said_later(plug_in: PlugIn) -> bool:
    """Whether what was stated, if anything, lies after the arrival."""
    return plug_in.stated_end is None or plug_in.stated_end > plug_in.begin


def work_sessions(data: Path, folder: Folder, weeks: int) -> list[str]:
    """Real sessions with the drivers' own statements; the car is the smallest that fits."""
    lines = [SESSION_COLUMNS]
    sessions = sorted(within(folder, measured.acn(data, "jpl"), weeks), key=lambda p: p.begin)
    for index, plug_in in enumerate(sessions, 1):
        if not said_later(plug_in):
            plug_in = PlugIn(plug_in.who, plug_in.begin, plug_in.end, plug_in.energy_kwh)
        fits = [kwh for kwh in WORK_CARS_KWH if plug_in.energy_kwh <= 0.6 * kwh]
        car = Car(fits[0] if fits else WORK_CARS_KWH[-1])
        lines.append(session_line(folder, f"w{index:03d}", "campus", plug_in, car, ""))
    return lines


def co2_lines(data: Path, folder: Folder, weeks: int) -> list[str]:
    """Quarter-hour means of the marginal signal of the same two weeks, by wall clock."""
    signal = measured.moer_g_kwh(data)
    lines = ["time_utc,intensity_g_kwh"]
    for utc, wall in folder.grid(15):
        back = wall - timedelta(weeks=weeks)
        values = [signal[back + timedelta(minutes=minutes)] for minutes in (0, 5, 10)]
        lines.append(f"{zulu(utc)},{number(sum(values) / 3.0, 1)}")
    return lines


HUBS = ("lombok", "wittevrouwen", "overvecht", "leidsche-rijn")
SHARED_CAR = Car(52.0, 11.0, 11.0, 0.91, 0.90, 0.015, 0.8, 0.2)


def carshare(data: Path) -> Folder:
    """24 shared cars at four public hubs: many short sessions, seldom a known departure."""
    folder = Folder("carshare", ZoneInfo("Europe/Amsterdam"), datetime(2025, 6, 23), 4)
    spot = measured.day_ahead_eur_kwh(data, "NL")
    folder.files["prices.csv"] = price_lines(
        folder, lambda utc, _wall: spot[utc] + 0.03, lambda utc: spot[utc] - 0.003
    )
    folder.files["sites.csv"] = [
        "site_id,import_limit_kw,export_limit_kw,feeder_id",
        *(f"{hub},44,44,quarter-{'west' if hub[0] == 'l' else 'east'}" for hub in HUBS),
    ]
    folder.files["feeders.csv"] = [
        "feeder_id,parent_id,import_limit_kw,export_limit_kw",
        "city,,120,100",
        "quarter-west,city,70,60",
        "quarter-east,city,70,60",
    ]
    folder.files["series.csv"] = ["time_utc,site_id,load_kw,pv_kw"] + [
        f"{zulu(utc)},{hub},{number(0.3 if 6 <= wall.hour < 22 else 0.6)},0"
        for hub in HUBS
        for utc, wall in folder.grid(60)
    ]
    draw, errors_h = Draw(20250623), measured.late_h(data)
    weeks = (folder.begin - datetime(2018, 4, 16)).days // 7
    lines, history = [SESSION_COLUMNS], [HISTORY_COLUMNS]
    past, before_h = before(folder, measured.dundee(data), weeks), Draw(20250526)
    for index, items in enumerate(busiest(within(folder, measured.dundee(data), weeks), 24)):
        vehicle_id, hub = f"shared-{index + 1:02d}", HUBS[index % len(HUBS)]
        for plug_in in (p for p in past if p.who == items[0].who):
            told = with_statement(plug_in, before_h, errors_h, 0.3)
            history.append(history_line(folder, hub, told, vehicle_id))
        for turn, plug_in in enumerate(items, 1):
            stated = with_statement(plug_in, draw, errors_h, 0.3)
            session_id = f"s{index + 1:02d}-{turn}"
            lines.append(session_line(folder, session_id, hub, stated, SHARED_CAR, vehicle_id))
    folder.files["sessions.csv"], folder.files["history.csv"] = lines, history
    return folder
