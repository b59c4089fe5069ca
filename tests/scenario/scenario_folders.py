"""A small valid scenario folder with every table, and ways to break it."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

START = datetime(2025, 3, 3, 11, tzinfo=UTC)
STEPS = 16

HEAD = """name = "small"
timezone = "Europe/Berlin"
start = 2025-03-03T11:00:00Z
steps = 16
step_minutes = 15
[portfolio]
import_limit_kw = 50.0
export_limit_kw = 40.0
"""


def utc(minutes: float) -> str:
    """Text of a time so many minutes after the start."""
    return (START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def small_folder() -> dict[str, str]:
    """File names and texts of a valid folder: 4 hours, two sites, every optional table."""
    hours = range(-1, 5)
    quarters = range(STEPS)
    return {
        "scenario.toml": HEAD,
        "sites.csv": (
            "site_id,import_limit_kw,export_limit_kw,demand_charge_eur_kw,feeder_id\n"
            "a,17,11,0.5,f2\n"
            "b,20,0,,\n"
        ),
        "prices.csv": "time_utc,import_eur_kwh,export_eur_kwh,site_id\n"
        + "".join(f"{utc(60 * h)},{0.3 + h / 100:.2f},0.05,\n" for h in hours)
        + "".join(f"{utc(60 * h)},0.21,0.04,b\n" for h in range(4)),
        "series.csv": "time_utc,site_id,load_kw,pv_kw\n"
        + "".join(f"{utc(15 * q)},a,{q / 4},{q % 3}\n" for q in quarters),
        "sessions.csv": (
            "session_id,site_id,arrive_utc,depart_utc,capacity_kwh,energy_arrive_kwh,"
            "energy_target_kwh,charge_max_kw,discharge_max_kw,energy_min_kwh,charge_efficiency,"
            "discharge_efficiency,wear_eur_kwh,terminal_eur_kwh,vehicle_id,stated_depart_utc\n"
            f"s1,a,{utc(7)},{utc(100)},60,20,40,11,11,5,0.9,0.9,0.02,0.1,v1,{utc(120)}\n"
            f"s2,b,{utc(-60)},{utc(100)},60,20,40,11,,,,,,,v2,\n"
            f"s3,a,{utc(100)},{utc(500)},60,20,40,11,0,0,1,1,0,0,v1,\n"
            f"s4,a,{utc(300)},{utc(500)},60,20,40,11,0,0,1,1,0,0,v3,\n"
        ),
        "storages.csv": (
            "storage_id,site_id,capacity_kwh,energy_start_kwh,charge_max_kw,discharge_max_kw,"
            "charge_efficiency,discharge_efficiency,wear_eur_kwh,energy_end_min_kwh\n"
            "st1,a,10,5,4,4,0.95,0.95,0.01,5\n"
        ),
        "market.csv": "time_utc,position_kw,short_eur_kwh,long_eur_kwh\n"
        + "".join(f"{utc(60 * h)},-3.5,0.1,0.2\n" for h in range(4)),
        "feeders.csv": (
            "feeder_id,parent_id,import_limit_kw,export_limit_kw\nf1,,100,90\nf2,f1,50,40\n"
        ),
        "reserves.csv": (
            "from_utc,until_utc,product,direction,price_eur_mw_h,hold_min,max_kw\n"
            f"{utc(0)},{utc(120)},FCR,symmetric,12.5,15,5\n"
            f"{utc(120)},{utc(240)},aFRR,up,20,60,\n"
        ),
        "history.csv": (
            "site_id,arrive_utc,depart_utc,stated_depart_utc,vehicle_id\n"
            f"b,{utc(-600)},{utc(-60)},,v1\n"
            f"a,{utc(-3000)},{utc(-2400)},{utc(-2390)},\n"
        ),
        "co2.csv": "time_utc,intensity_g_kwh\n"
        + "".join(f"{utc(30 * h)},{200 + h}\n" for h in range(8)),
    }


def write_folder(folder: Path, files: dict[str, str]) -> Path:
    """Write the files; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return folder


def edited(files: dict[str, str], file: str, line: int, text: str | None) -> dict[str, str]:
    """A copy with one line (from 1) replaced, or taken out where text is None; a line one past
    the end is appended."""
    lines = files[file].splitlines()
    if line == len(lines) + 1:
        lines.append("")
    lines[line - 1 : line] = [] if text is None else [text]
    return {**files, file: "\n".join(lines) + "\n"}


def same(left: Any, right: Any) -> bool:
    """Whether two scenarios (or parts) are equal to the last bit."""
    if dataclasses.is_dataclass(left):
        names = [field.name for field in dataclasses.fields(left)]
        return type(left) is type(right) and all(
            same(getattr(left, name), getattr(right, name)) for name in names
        )
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return bool(left == right)
