"""Every kind of broken scenario as data: what to change, and where the problems must be found."""

from scenario_folders import small_folder, utc

Place = tuple[str, int, str]
SESSIONS = small_folder()["sessions.csv"].splitlines()


def session(**changes: str) -> str:
    """Line 2 of sessions.csv with some cells changed."""
    cells = dict(zip(SESSIONS[0].split(","), SESSIONS[1].split(","), strict=True))
    return ",".join({**cells, **changes}.values())


def one_session(*fields: str, **changes: str) -> tuple[str, int, str, list[Place]]:
    return ("sessions.csv", 2, session(**changes), [("sessions.csv", 2, f) for f in fields])


LINES: dict[str, tuple[str, int, str | None, list[Place]]] = {
    "text for a number": one_session("capacity_kwh", capacity_kwh="much"),
    "underscore in a number": one_session("capacity_kwh", capacity_kwh="6_0"),
    "decimal comma": one_session("charge_max_kw", charge_max_kw='"3,7"'),
    "NaN": one_session("charge_max_kw", charge_max_kw="NaN"),
    "infinite": one_session("charge_max_kw", charge_max_kw="inf"),
    "empty required number": one_session("charge_max_kw", charge_max_kw=""),
    "empty id": one_session("session_id", session_id=""),
    "long id": one_session("session_id", session_id="x" * 300),
    "unknown site": one_session("site_id", site_id="nowhere"),
    "time without offset": one_session("arrive_utc", arrive_utc="2025-03-03T11:07:00"),
    "not a time": one_session("arrive_utc", arrive_utc="yesterday"),
    "local date form": one_session("depart_utc", depart_utc="03.03.2025 13:00"),
    "empty time": one_session("depart_utc", depart_utc=""),
    "stated without offset": one_session("stated_depart_utc", stated_depart_utc="2025-03-03T13:00"),
    "hour 25": one_session("arrive_utc", arrive_utc="2025-03-03T25:00:00Z"),
    "arrival after departure": one_session("depart_utc", depart_utc=utc(3)),
    "negative capacity": one_session("capacity_kwh", capacity_kwh="-60"),
    "capacity 0": one_session("capacity_kwh", capacity_kwh="0"),
    "capacity in Wh": one_session("capacity_kwh", capacity_kwh="60000"),
    "power in W": one_session("charge_max_kw", charge_max_kw="11000"),
    "negative power": one_session("discharge_max_kw", discharge_max_kw="-11"),
    "target above capacity": one_session("energy_target_kwh", energy_target_kwh="60.1"),
    "energy above capacity": one_session("energy_arrive_kwh", energy_arrive_kwh="61"),
    "minimum above capacity": one_session("energy_min_kwh", energy_min_kwh="61"),
    "negative energy": one_session("energy_arrive_kwh", energy_arrive_kwh="-1"),
    "efficiency 0": one_session("charge_efficiency", charge_efficiency="0"),
    "efficiency above 1": one_session("discharge_efficiency", discharge_efficiency="1.01"),
    "efficiency in percent": one_session("charge_efficiency", charge_efficiency="90"),
    "negative wear": one_session("wear_eur_kwh", wear_eur_kwh="-0.1"),
    "negative terminal": one_session("terminal_eur_kwh", terminal_eur_kwh="-0.1"),
    "several at once": one_session(
        "capacity_kwh",
        "charge_max_kw",
        "wear_eur_kwh",
        capacity_kwh="x",
        charge_max_kw="",
        wear_eur_kwh="11",
    ),
    "an id twice": (
        "sessions.csv",
        4,
        SESSIONS[3].replace("s3", "s1"),
        [("sessions.csv", 4, "session_id")],
    ),
    "overlap of a vehicle": (
        "sessions.csv",
        4,
        SESSIONS[3].replace(utc(100), utc(99)),
        [("sessions.csv", 4, "vehicle_id")],
    ),
    "overlap with a session outside": (
        "sessions.csv",
        5,
        SESSIONS[4].replace("v3", "v1"),
        [("sessions.csv", 5, "vehicle_id")],
    ),
    "too few cells": ("sessions.csv", 3, "s2,b", [("sessions.csv", 3, "")]),
    "too many cells": ("sessions.csv", 3, SESSIONS[2] + ",1", [("sessions.csv", 3, "")]),
    "session and storage share an id": (
        "storages.csv",
        2,
        "s1,a,10,5,4,4,,,,",
        [("storages.csv", 2, "storage_id")],
    ),
    "storage above capacity": (
        "storages.csv",
        2,
        "st1,a,10,11,4,4,,,,12",
        [("storages.csv", 2, "energy_start_kwh"), ("storages.csv", 2, "energy_end_min_kwh")],
    ),
    "storage at an unknown site": (
        "storages.csv",
        2,
        "st1,x,10,5,4,4,,,,",
        [("storages.csv", 2, "site_id")],
    ),
    "negative site limit": (
        "sites.csv",
        2,
        "a,-17,11,0.5,f2",
        [("sites.csv", 2, "import_limit_kw")],
    ),
    "site limit in W": ("sites.csv", 2, "a,17000,11,,", [("sites.csv", 2, "import_limit_kw")]),
    "negative demand charge": (
        "sites.csv",
        2,
        "a,17,11,-1,",
        [("sites.csv", 2, "demand_charge_eur_kw")],
    ),
    "site twice": ("sites.csv", 4, "b,1,1,,", [("sites.csv", 4, "site_id")]),
    "unknown feeder": ("sites.csv", 3, "b,20,0,,f9", [("sites.csv", 3, "feeder_id")]),
    "unknown parent": ("feeders.csv", 2, "f1,f7,1,1", [("feeders.csv", 2, "parent_id")]),
    "own parent": ("feeders.csv", 2, "f1,f1,1,1", [("feeders.csv", 2, "parent_id")]),
    "circle of feeders": (
        "feeders.csv",
        2,
        "f1,f2,1,1",
        [("feeders.csv", 2, "parent_id"), ("feeders.csv", 3, "parent_id")],
    ),
    "feeder twice": ("feeders.csv", 4, "f1,,1,1", [("feeders.csv", 4, "feeder_id")]),
    "negative feeder limit": (
        "feeders.csv",
        2,
        "f1,,1,-1",
        [("feeders.csv", 2, "export_limit_kw")],
    ),
    "price in cents": (
        "prices.csv",
        3,
        f"{utc(0)},30,0.05,",
        [("prices.csv", 3, "import_eur_kwh")],
    ),
    "price per MWh": (
        "prices.csv",
        3,
        f"{utc(0)},-10.01,50,",
        [("prices.csv", 3, "import_eur_kwh"), ("prices.csv", 3, "export_eur_kwh")],
    ),
    "price of an unknown site": (
        "prices.csv",
        8,
        f"{utc(0)},0.2,0.1,zz",
        [("prices.csv", 8, "site_id")],
    ),
    "missing hour": ("prices.csv", 4, None, [("prices.csv", 4, "time_utc")]),
    "time off the grid": (
        "series.csv",
        17,
        "2025-03-03T14:46:00Z,a,1,1",
        [("series.csv", 17, "time_utc"), ("series.csv", 16, "time_utc")],
    ),
    "row twice": ("series.csv", 18, f"{utc(0)},a,1,1", [("series.csv", 18, "time_utc")]),
    "missing quarter": ("series.csv", 6, None, [("series.csv", 6, "time_utc")]),
    "missing second quarter": ("series.csv", 3, None, [("series.csv", 3, "time_utc")]),
    "missing last quarter but one": ("series.csv", 16, None, [("series.csv", 16, "time_utc")]),
    "missing first quarter": ("series.csv", 2, None, [("series.csv", 2, "time_utc")]),
    "missing last quarter": ("series.csv", 17, None, [("series.csv", 16, "time_utc")]),
    "negative load": ("series.csv", 3, f"{utc(15)},a,-1,0", [("series.csv", 3, "load_kw")]),
    "negative pv": ("series.csv", 3, f"{utc(15)},a,1,-2", [("series.csv", 3, "pv_kw")]),
    "load in W": ("series.csv", 3, f"{utc(15)},a,7000,2", [("series.csv", 3, "load_kw")]),
    "negative deviation cost": (
        "market.csv",
        3,
        f"{utc(60)},1,-0.1,0.2",
        [("market.csv", 3, "short_eur_kwh")],
    ),
    "market gap": ("market.csv", 3, None, [("market.csv", 3, "time_utc")]),
    "reserve off the grid": (
        "reserves.csv",
        2,
        f"{utc(1)},{utc(120)},FCR,up,1,15,",
        [("reserves.csv", 2, "from_utc")],
    ),
    "reserve ends before it begins": (
        "reserves.csv",
        2,
        f"{utc(60)},{utc(0)},FCR,up,1,15,",
        [("reserves.csv", 2, "until_utc")],
    ),
    "reserve of unknown direction": (
        "reserves.csv",
        2,
        f"{utc(0)},{utc(60)},FCR,sideways,1,15,",
        [("reserves.csv", 2, "direction")],
    ),
    "reserve twice": (
        "reserves.csv",
        4,
        f"{utc(0)},{utc(60)},FCR,up,1,15,",
        [("reserves.csv", 4, "product")],
    ),
    "negative hold": (
        "reserves.csv",
        2,
        f"{utc(0)},{utc(60)},FCR,up,1,-15,",
        [("reserves.csv", 2, "hold_min")],
    ),
    "history not over": (
        "history.csv",
        2,
        f"a,{utc(-60)},{utc(15)},,",
        [("history.csv", 2, "depart_utc")],
    ),
    "history backwards": (
        "history.csv",
        3,
        f"a,{utc(-60)},{utc(-90)},,",
        [("history.csv", 3, "depart_utc")],
    ),
    "history elsewhere": (
        "history.csv",
        4,
        f"nowhere,{utc(-90)},{utc(-60)},,",
        [("history.csv", 4, "site_id")],
    ),
    "history without time": (
        "history.csv",
        2,
        "a,,,,",
        [
            ("history.csv", 2, "arrive_utc"),
            ("history.csv", 2, "depart_utc"),
        ],
    ),
    "negative intensity": ("co2.csv", 2, f"{utc(0)},-1", [("co2.csv", 2, "intensity_g_kwh")]),
}
# Rows outside the horizon are not needed.
LINES["missing hour before"] = ("prices.csv", 2, None, [])
LINES["missing hour after"] = ("prices.csv", 7, None, [])

HEADERS: dict[str, tuple[str, str, str, list[Place]]] = {
    "unknown column": ("sites.csv", "feeder_id", "colour", [("sites.csv", 1, "colour")]),
    "misspelt column": (
        "sessions.csv",
        "charge_max_kw",
        "charge_max_w",
        [("sessions.csv", 1, "charge_max_w"), ("sessions.csv", 1, "charge_max_kw")],
    ),
    "column twice": (
        "sessions.csv",
        "wear_eur_kwh",
        "capacity_kwh",
        [("sessions.csv", 1, "capacity_kwh")],
    ),
    "missing time": (
        "prices.csv",
        "time_utc",
        "time",
        [("prices.csv", 1, "time"), ("prices.csv", 1, "time_utc")],
    ),
}

TOML: dict[str, tuple[str, str, list[Place]]] = {
    "syntax": ("steps = 16", "steps = = 16", [("scenario.toml", 4, "")]),
    "unknown key": ("steps = 16", "steps = 16\nstep = 3", [("scenario.toml", 5, "step")]),
    "missing key": ("steps = 16\n", "", [("scenario.toml", 1, "steps")]),
    "text for a number": ("steps = 16", 'steps = "16"', [("scenario.toml", 4, "steps")]),
    "float for a count": ("steps = 16", "steps = 16.5", [("scenario.toml", 4, "steps")]),
    "no steps": ("steps = 16", "steps = 0", [("scenario.toml", 4, "steps")]),
    "too many steps": ("steps = 16", "steps = 999999999", [("scenario.toml", 4, "steps")]),
    "step of 7 min": ("minutes = 15", "minutes = 7", [("scenario.toml", 5, "step_minutes")]),
    "step of 90 min": ("minutes = 15", "minutes = 90", [("scenario.toml", 5, "step_minutes")]),
    "naive start": ("11:00:00Z", "11:00:00", [("scenario.toml", 3, "start")]),
    "start off the grid": ("11:00:00Z", "11:05:00Z", [("scenario.toml", 3, "start")]),
    "start with seconds": ("11:00:00Z", "11:00:01Z", [("scenario.toml", 3, "start")]),
    "start in the year 1": ("2025-03-03", "0001-01-01", [("scenario.toml", 3, "start")]),
    "unknown zone": ("Europe/Berlin", "Europe/Atlantis", [("scenario.toml", 2, "timezone")]),
    "empty name": ('"small"', '""', [("scenario.toml", 1, "name")]),
    "negative portfolio limit": (
        "= 50.0",
        "= -50.0",
        [("scenario.toml", 7, "portfolio.import_limit_kw")],
    ),
    "infinite portfolio limit": (
        "= 40.0",
        "= inf",
        [("scenario.toml", 8, "portfolio.export_limit_kw")],
    ),
    "unknown portfolio key": (
        "export_limit_kw",
        "export_limit",
        [("scenario.toml", 8, "portfolio.export_limit")],
    ),
    "all at once": (
        'name = "small"\ntimezone = "Europe/Berlin"',
        'name = 3\ntimezone = "x"',
        [("scenario.toml", 1, "name"), ("scenario.toml", 2, "timezone")],
    ),
}
