"""Random small scenario folders, ordinary and nasty, written as plain CSV."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2025, 3, 3, 11, tzinfo=UTC)


def write_csv(path: Path, table: list[dict[str, Any]]) -> None:
    if not table:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def stamp(step: float, minutes: int) -> str:
    return (START + timedelta(minutes=step * minutes)).isoformat().replace("+00:00", "Z")


def write_random(folder: Path, seed: int, steps: int = 48, most_cars: int = 4) -> None:
    """A scenario folder; the same seed gives the same files."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    minutes = rng.choice((15, 15, 30, 60))
    portfolio = ""
    if rng.random() < 0.25:
        portfolio = f"[portfolio]\nimport_limit_kw = {rng.choice((8.0, 20.0, 60.0))}\n"
        portfolio += f"export_limit_kw = {rng.choice((0.0, 5.0, 60.0))}\n"
    (folder / "scenario.toml").write_text(
        f'name = "random-{seed}"\ntimezone = "Europe/Berlin"\nstart = {stamp(0, 1)}\n'
        f"steps = {steps}\nstep_minutes = {minutes}\n{portfolio}"
    )
    names = write_sites(folder, rng)
    write_prices(folder, rng, steps, minutes)
    write_csv(
        folder / "series.csv",
        [
            {
                "time_utc": stamp(t, minutes),
                "site_id": name,
                "load_kw": rng.uniform(0, rng.choice((1, 3, 8))),
                "pv_kw": max(0.0, rng.uniform(-4, 7)),
            }
            for name in names
            for t in range(steps)
        ],
    )
    cars = [
        random_car(rng, f"c{i}", names, steps, minutes) for i in range(rng.randint(0, most_cars))
    ]
    write_csv(folder / "sessions.csv", cars or [random_car(rng, "only", names, steps, minutes)])
    if rng.random() < 0.4:
        write_csv(
            folder / "storages.csv",
            [{"storage_id": "home", "site_id": names[0], "capacity_kwh": 10.0,
              "energy_start_kwh": rng.uniform(0, 10), "charge_max_kw": 5.0,
              "discharge_max_kw": 5.0, "charge_efficiency": 0.95, "discharge_efficiency": 0.95,
              "wear_eur_kwh": rng.choice((0.0, 0.02)),
              "energy_end_min_kwh": rng.choice((0.0, 5.0, 10.0))}],
        )  # fmt: skip
    if rng.random() < 0.2:
        write_csv(
            folder / "market.csv",
            [{"time_utc": stamp(t, minutes), "position_kw": rng.uniform(-5, 15),
              "short_eur_kwh": 0.2, "long_eur_kwh": rng.choice((0.0, 0.1))} for t in range(steps)],
        )  # fmt: skip


def random_car(
    rng: random.Random, name: str, sites: list[str], steps: int, minutes: int
) -> dict[str, Any]:
    arrive = rng.uniform(-5, steps - 2)
    depart = arrive + rng.uniform(0.5, steps)
    capacity = rng.choice((20.0, 40.0, 77.0))
    return {
        "session_id": name,
        "site_id": rng.choice(sites),
        "arrive_utc": stamp(arrive, minutes),
        "depart_utc": stamp(depart, minutes),
        "capacity_kwh": capacity,
        "energy_arrive_kwh": capacity * rng.uniform(0, 1),
        "energy_target_kwh": capacity * rng.uniform(0, 1),
        "energy_min_kwh": capacity * rng.choice((0.0, 0.0, 0.2, 0.5)),
        "charge_max_kw": rng.choice((3.7, 11.0, 22.0)),
        "discharge_max_kw": rng.choice((0.0, 3.7, 11.0)),
        "charge_efficiency": rng.choice((0.9, 0.95, 1.0)),
        "discharge_efficiency": rng.choice((0.9, 0.95, 1.0)),
        "wear_eur_kwh": rng.choice((0.0, 0.0, 0.03)),
        "terminal_eur_kwh": rng.choice((0.0, 0.0, 0.2)),
    }


def write_sites(folder: Path, rng: random.Random) -> list[str]:
    """sites.csv and sometimes feeders.csv; returns the site ids."""
    names = [f"s{i}" for i in range(rng.choice((1, 1, 2, 3)))]
    feeders = []
    if rng.random() < 0.2:
        limits = {"import_limit_kw": rng.choice((15.0, 40.0))}
        limits["export_limit_kw"] = rng.choice((0.0, 30.0))
        feeders.append({"feeder_id": "f", "parent_id": "", **limits})
    sites = [
        {
            "site_id": name,
            "import_limit_kw": rng.choice((0.0, 5.0, 11.0, 17.0, 40.0)),
            "export_limit_kw": rng.choice((0.0, 3.0, 11.0, 30.0)),
            "demand_charge_eur_kw": rng.choice((0.0, 0.0, 0.5, 10.0)),
            "feeder_id": "f" if feeders and rng.random() < 0.8 else "",
        }
        for name in names
    ]
    write_csv(folder / "sites.csv", sites)
    write_csv(folder / "feeders.csv", feeders)
    return names


def write_prices(folder: Path, rng: random.Random, steps: int, minutes: int) -> None:
    """prices.csv of one of several kinds, negative and export-dearer ones among them."""
    kind = rng.choice(("usual", "usual", "negative", "dear-export", "flat"))
    prices = []
    for t in range(steps):
        base = {"flat": 0.25, "negative": rng.uniform(-0.6, 0.4)}.get(kind, rng.uniform(0.05, 0.5))
        sell = base + rng.uniform(0, 0.1) if kind == "dear-export" else base * rng.uniform(0.2, 1)
        if kind == "negative" and base < 0:
            sell = base - rng.uniform(0, 0.1)
        prices.append(
            {"time_utc": stamp(t, minutes), "import_eur_kwh": base, "export_eur_kwh": sell}
        )
    write_csv(folder / "prices.csv", prices)
