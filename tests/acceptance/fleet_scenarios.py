"""Random coupled fleets as plain CSV folders, written from the contract's text alone.

Sites of 1 to 40 cars with home batteries, load and sun under trees of feeders, with everything the
contract couples them by; each seed draws which of it there is, and how hard it is.
"""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from random_scenarios import stamp, write_csv

KINDS = (
    "feeders", "portfolio", "market", "demand", "reserves", "negative", "dear_export", "storages",
    "infeasible", "tight", "outside", "v1g", "flat", "identical", "own_prices", "dead_sites",
    "terminal", "minimum", "sunny",
)  # fmt: skip
SHARE = {
    "reserves": 0.08, "dear_export": 0.08, "dead_sites": 0.1, "identical": 0.1, "flat": 0.1,
    "negative": 0.2, "tight": 0.2, "infeasible": 0.25, "v1g": 0.15, "own_prices": 0.15,
    "terminal": 0.2, "minimum": 0.4, "sunny": 0.3,
}  # fmt: skip


@dataclass
class Shape:
    """What a seed draws."""

    rng: random.Random
    kinds: set[str]
    steps: int
    minutes: int
    cars: list[int]  # at each site

    def has(self, kind: str) -> bool:
        return kind in self.kinds


def shape_of(seed: int, least: int, most: int, steps: int | None = None) -> Shape:
    rng = random.Random(f"fleet {seed}")
    kinds = {kind for kind in KINDS if rng.random() < SHARE.get(kind, 0.5)}
    wanted, cars = rng.randint(least, most), []
    largest = rng.choice((1, 3, 10, 40))
    while sum(cars) < wanted:
        cars.append(min(rng.randint(1, largest), wanted - sum(cars)))
    minutes = rng.choice((15, 15, 30))
    return Shape(rng, kinds, steps or rng.choice((24, 48, 96)), minutes, cars)


def write_fleet(
    folder: Path, seed: int, least: int, most: int, without: tuple[str, ...] = (),
    steps: int | None = None,
) -> Shape:  # fmt: skip
    """A scenario folder; the same arguments give the same files."""
    shape = shape_of(seed, least, most, steps)
    shape.kinds -= set(without)
    rng = shape.rng
    folder.mkdir(parents=True, exist_ok=True)
    base = write_series(folder, shape)
    need = write_sessions(folder, shape)
    write_prices(folder, shape)
    if shape.has("storages"):
        write_storages(folder, shape)
    write_limits(folder, shape, base, need)
    if shape.has("market"):
        total = [sum(row[t] for row in base) + sum(need) for t in range(shape.steps)]
        write_csv(
            folder / "market.csv",
            [{"time_utc": stamp(t, shape.minutes), "position_kw": total[t] * rng.uniform(0.6, 1.4),
              "short_eur_kwh": rng.choice((0.05, 0.3)), "long_eur_kwh": rng.choice((0.0, 0.04))}
             for t in range(shape.steps)],
        )  # fmt: skip
    if shape.has("reserves"):
        write_reserves(folder, shape)
    return shape


def write_series(folder: Path, shape: Shape) -> list[list[float]]:
    """series.csv; net load of each site and step."""
    rng, rows, base = shape.rng, [], []
    for site in range(len(shape.cars)):
        size, sun = rng.uniform(0.2, 1.5), rng.uniform(0.0, 4.0 if shape.has("sunny") else 1.0)
        count = shape.cars[site]
        net = []
        for t in range(shape.steps):
            hour = (11.0 + t * shape.minutes / 60.0) % 24.0
            load = round(size * count * rng.uniform(0.3, 1.0), 4)
            pv = round(sun * count * max(0.0, 1.0 - abs(hour - 13.0) / 6.0), 4)
            rows.append(
                {"time_utc": stamp(t, shape.minutes), "site_id": f"s{site}", "load_kw": load,
                 "pv_kw": pv}
            )  # fmt: skip
            net.append(load - pv)
        base.append(net)
    write_csv(folder / "series.csv", rows)
    return base


def write_sessions(folder: Path, shape: Shape) -> list[float]:
    """sessions.csv; mean power [kW] that each site's cars need over the horizon."""
    rows, need = [], []
    hours = shape.steps * shape.minutes / 60.0
    same = one_car(shape) if shape.has("identical") else None
    for site, count in enumerate(shape.cars):
        wanted = 0.0
        for car in range(count):
            row = {
                "session_id": f"c{site}-{car}",
                "site_id": f"s{site}",
                **(same or one_car(shape)),
            }
            wanted += max(0.0, row["energy_target_kwh"] - row["energy_arrive_kwh"])
            rows.append(row)
        need.append(wanted / hours)
    write_csv(folder / "sessions.csv", rows)
    return need


def one_car(shape: Shape) -> dict[str, Any]:
    rng, steps = shape.rng, shape.steps
    arrive = rng.uniform(-steps / 3, 0.8 * steps)
    depart = arrive + rng.uniform(1.0, steps)
    if shape.has("outside") and rng.random() < 0.1:
        arrive, depart = rng.choice(
            ((-40.0, -3.0), (steps + 2.0, steps + 9.0), (-300.0, steps + 300.0),
             (arrive, arrive + 0.4), (arrive, arrive))
        )  # fmt: skip
    capacity = rng.choice((20.0, 40.0, 77.0))
    charge = rng.choice((3.7, 11.0, 22.0))
    start = round(capacity * rng.uniform(0.1, 0.9), 3)
    inside = max(0.0, min(depart, steps) - max(arrive, 0.0)) * shape.minutes / 60.0
    target = min(capacity, start + 0.8 * 0.9 * charge * inside * rng.uniform(0.0, 1.0))
    if shape.has("infeasible") and rng.random() < 0.2:
        target = capacity
    minimum = capacity * rng.choice((0.1, 0.3)) if shape.has("minimum") else 0.0
    if not shape.has("infeasible"):
        minimum = min(minimum, start)
    return {
        "arrive_utc": stamp(arrive, shape.minutes),
        "depart_utc": stamp(depart, shape.minutes),
        "capacity_kwh": capacity,
        "energy_arrive_kwh": start,
        "energy_target_kwh": round(max(target, 0.0), 3),
        "energy_min_kwh": round(minimum, 3),
        "charge_max_kw": charge,
        "discharge_max_kw": 0.0 if shape.has("v1g") else rng.choice((0.0, 3.7, 10.0)),
        "charge_efficiency": rng.choice((0.9, 0.95, 1.0)),
        "discharge_efficiency": rng.choice((0.9, 0.95, 1.0)),
        "wear_eur_kwh": rng.choice((0.0, 0.02, 0.03)),
        "terminal_eur_kwh": rng.choice((0.0, 0.15)) if shape.has("terminal") else 0.0,
    }


def write_prices(folder: Path, shape: Shape) -> None:
    rng, rows = shape.rng, []
    owners = [""]
    if shape.has("own_prices"):
        owners += [f"s{i}" for i in range(len(shape.cars)) if rng.random() < 0.2]
    for owner in owners:
        for t in range(shape.steps):
            buy = 0.25 if shape.has("flat") else rng.uniform(0.08, 0.45)
            if shape.has("negative") and rng.random() < 0.2:
                buy = -rng.uniform(0.0, 0.3)
            sell = buy - rng.uniform(0.0, 0.15)
            if shape.has("dear_export") and rng.random() < 0.3:
                sell = buy + rng.uniform(0.0, 0.05)
            rows.append(
                {"time_utc": stamp(t, shape.minutes), "site_id": owner,
                 "import_eur_kwh": round(buy, 5), "export_eur_kwh": round(sell, 5)}
            )  # fmt: skip
    write_csv(folder / "prices.csv", rows)


def write_storages(folder: Path, shape: Shape) -> None:
    rng, rows = shape.rng, []
    for site in range(len(shape.cars)):
        if rng.random() < 0.4:
            capacity = rng.choice((5.0, 10.0, 30.0))
            start = round(capacity * rng.uniform(0.0, 1.0), 3)
            rows.append(
                {"storage_id": f"b{site}", "site_id": f"s{site}", "capacity_kwh": capacity,
                 "energy_start_kwh": start, "charge_max_kw": capacity / 2.0,
                 "discharge_max_kw": capacity / 2.0, "charge_efficiency": 0.96,
                 "discharge_efficiency": 0.95, "wear_eur_kwh": rng.choice((0.0, 0.02)),
                 "energy_end_min_kwh": rng.choice((0.0, start))}
            )  # fmt: skip
    write_csv(folder / "storages.csv", rows)


def write_limits(folder: Path, shape: Shape, base: list[list[float]], need: list[float]) -> None:
    """sites.csv, feeders.csv and scenario.toml: room for what is needed, or (tight) hardly so."""
    rng, sites = shape.rng, []
    room = (0.9, 1.3) if shape.has("tight") else (2.0, 5.0)
    feeders, leaves = tree(shape) if shape.has("feeders") else ([], [""])
    for site, count in enumerate(shape.cars):
        load = max(*base[site], 0.0)
        site_limit = load + rng.uniform(*room) * need[site] + (0.0 if shape.has("tight") else 3.0)
        if shape.has("dead_sites") and rng.random() < 0.1:
            site_limit = 0.0
        sites.append(
            {"site_id": f"s{site}", "import_limit_kw": math.ceil(site_limit),
             "export_limit_kw": rng.choice((0.0, 2.0 * count, 50.0)),
             "demand_charge_eur_kw": rng.choice((0.0, 0.3, 2.0)) if shape.has("demand") else 0.0,
             "feeder_id": rng.choice(leaves)}
        )  # fmt: skip
    write_csv(folder / "sites.csv", sites)
    above = {row["feeder_id"]: row["parent_id"] for row in feeders}
    peak, wanted = dict.fromkeys(above, 0.0), dict.fromkeys(above, 0.0)
    for site, row in enumerate(sites):
        name = row["feeder_id"]
        while name:
            peak[name] += max(*base[site], 0.0)
            wanted[name] += need[site]
            name = above[name]
    for row in feeders:
        name = row["feeder_id"]
        row["import_limit_kw"] = math.ceil(peak[name] + rng.uniform(*room) * wanted[name])
        row["export_limit_kw"] = round(0.5 * peak[name] + wanted[name], 3)
    write_csv(folder / "feeders.csv", feeders)
    portfolio = ""
    if shape.has("portfolio"):
        most = sum(max(*net, 0.0) for net in base)
        limit = math.ceil(most + rng.uniform(*room) * sum(need))
        portfolio = f"[portfolio]\nimport_limit_kw = {limit}.0\nexport_limit_kw = {limit}.0\n"
    (folder / "scenario.toml").write_text(
        f'name = "fleet"\ntimezone = "Europe/Berlin"\nstart = {stamp(0, 1)}\n'
        f"steps = {shape.steps}\nstep_minutes = {shape.minutes}\n{portfolio}"
    )


def tree(shape: Shape) -> tuple[list[dict[str, Any]], list[str]]:
    """Feeders of one to three levels, and the names sites may hang under ("" = the portfolio)."""
    rng, rows = shape.rng, []
    levels = rng.randint(1, 3)
    above = [""]
    names = [""]
    for level in range(levels):
        here = [f"f{level}-{i}" for i in range(rng.randint(1, 3 * (level + 1)))]
        rows += [{"feeder_id": name, "parent_id": rng.choice(above)} for name in here]
        above = here
        names += here
    return rows, names if rng.random() < 0.3 else above


def write_reserves(folder: Path, shape: Shape) -> None:
    blocks = []
    for begin in range(0, shape.steps, 8):
        until = min(begin + 8, shape.steps)
        blocks.append(
            {"from_utc": stamp(begin, shape.minutes), "until_utc": stamp(until, shape.minutes),
             "product": "FCR", "direction": shape.rng.choice(("symmetric", "up", "down")),
             "price_eur_mw_h": shape.rng.choice((2.0, 20.0)), "hold_min": 15, "max_kw": 50.0}
        )  # fmt: skip
    write_csv(folder / "reserves.csv", blocks)
