"""Scenarios made in memory for tests of the simulator and the controller."""

from datetime import UTC, datetime

import numpy as np

from pendel.scenario.columns import (
    UNKNOWN_S,
    Feeders,
    Horizon,
    Prices,
    Scenario,
    Series,
    Sessions,
    Sites,
    Storages,
)

START = datetime(2025, 3, 3, 11, 0, tzinfo=UTC)


def horizon(steps: int = 96, step_s: int = 900) -> Horizon:
    return Horizon(START, steps, step_s, "Europe/Berlin")


def sites(count: int = 1, imports: float = 1e3, exports: float = 1e3, demand: float = 0.0) -> Sites:
    return Sites(
        np.array([f"s{i}" for i in range(count)]),
        np.full(count, imports),
        np.full(count, exports),
        np.full(count, demand),
        np.full(count, -1, dtype=np.int64),
    )


def sessions(when: Horizon, rows: list[dict]) -> Sessions:
    """Sessions from rows of column values; steps may be given as arrive/depart (steps)."""
    defaults = {
        "site": 0, "arrive": 0, "depart": 8, "capacity_kwh": 60.0, "energy_arrive_kwh": 20.0,
        "energy_target_kwh": 30.0, "energy_min_kwh": 0.0, "charge_max_kw": 11.0,
        "discharge_max_kw": 0.0, "charge_efficiency": 1.0, "discharge_efficiency": 1.0,
        "wear_eur_kwh": 0.0, "terminal_eur_kwh": 0.0, "stated": None, "vehicle_id": "",
        "battery_model": "",
    }  # fmt: skip
    full = [defaults | row for row in rows]

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in full], dtype=np.float64)

    def seconds(name: str) -> np.ndarray:
        at = [when.start_s + row[name] * when.step_s for row in full]
        return np.array(at, dtype=np.int64)

    stated = [
        UNKNOWN_S if row["stated"] is None else when.start_s + row["stated"] * when.step_s
        for row in full
    ]
    return Sessions(
        session_id=np.array([f"x{i}" for i in range(len(full))], dtype="U16"),
        site=np.array([row["site"] for row in full], dtype=np.int64),
        arrive_step=np.array([max(row["arrive"], 0) for row in full], dtype=np.int64),
        depart_step=np.array([min(row["depart"], when.steps) for row in full], dtype=np.int64),
        arrive_s=seconds("arrive"),
        depart_s=seconds("depart"),
        stated_depart_s=np.array(stated, dtype=np.int64),
        vehicle_id=np.array([row["vehicle_id"] for row in full], dtype="U16"),
        battery_model=np.array([row["battery_model"] for row in full], dtype="U16"),
        **{
            name: column(name)
            for name in (
                "capacity_kwh", "energy_arrive_kwh", "energy_target_kwh", "energy_min_kwh",
                "charge_max_kw", "discharge_max_kw", "charge_efficiency", "discharge_efficiency",
                "wear_eur_kwh", "terminal_eur_kwh",
            )
        },
    )  # fmt: skip


def no_storages() -> Storages:
    none, ints = np.zeros(0), np.zeros(0, dtype=np.int64)
    return Storages(np.array([], dtype="U1"), ints, none, none, none, none, none, none, none, none)


def no_feeders() -> Feeders:
    none = np.zeros(0)
    return Feeders(np.array([], dtype="U1"), np.zeros(0, dtype=np.int64), none, none)


def scenario(
    rows: list[dict],
    steps: int = 96,
    step_s: int = 900,
    place: Sites | None = None,
    import_eur_kwh: np.ndarray | float = 0.3,
    export_eur_kwh: np.ndarray | float = 0.1,
    load_kw: np.ndarray | float = 0.0,
    pv_kw: np.ndarray | float = 0.0,
    **more: object,
) -> Scenario:
    """A scenario from rows of sessions, with one price row for all sites."""
    when = horizon(steps, step_s)
    place = place if place is not None else sites()
    count = len(place)
    fields: dict = {
        "storages": no_storages(),
        "feeders": no_feeders(),
    } | more
    return Scenario(
        name="made",
        horizon=when,
        sites=place,
        prices=Prices(
            np.array(np.broadcast_to(import_eur_kwh, (1, steps)), dtype=np.float64),
            np.array(np.broadcast_to(export_eur_kwh, (1, steps)), dtype=np.float64),
            np.zeros(count, dtype=np.int64),
        ),
        series=Series(
            np.array(np.broadcast_to(load_kw, (count, steps)), dtype=np.float64),
            np.array(np.broadcast_to(pv_kw, (count, steps)), dtype=np.float64),
        ),
        sessions=sessions(when, rows),
        **fields,
    )


def random_rows(seed: int, count: int, steps: int, sites_count: int = 1) -> list[dict]:
    """Plausible random sessions, some impossible, some leaving early or late."""
    draw = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        arrive = int(draw.integers(0, steps - 1))
        depart = arrive + int(draw.integers(0, steps))
        capacity = float(draw.uniform(20.0, 90.0))
        target = float(draw.uniform(0.3, 1.0)) * capacity
        rows.append(
            {
                "site": int(draw.integers(sites_count)),
                "arrive": arrive,
                "depart": depart,
                "stated": None if draw.random() < 0.3 else depart + int(draw.integers(-6, 7)),
                "capacity_kwh": capacity,
                "energy_arrive_kwh": float(draw.uniform(0.05, 0.95)) * capacity,
                "energy_target_kwh": target,
                "energy_min_kwh": float(draw.choice([0.0, 0.15])) * capacity,
                "charge_max_kw": float(draw.choice([3.7, 11.0, 22.0])),
                "discharge_max_kw": float(draw.choice([0.0, 7.4, 11.0])),
                "charge_efficiency": float(draw.uniform(0.85, 1.0)),
                "discharge_efficiency": float(draw.uniform(0.85, 1.0)),
                "wear_eur_kwh": 0.02,
                "vehicle_id": f"v{i}",
            }
        )
    return rows
