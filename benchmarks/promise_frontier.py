"""Confidence against cost on the ACN months: `python benchmarks/promise_frontier.py`.

Question: how much cheaper than charging at once can cars be charged and discharged when the real
departure is unknown and a promise must be kept with a chosen confidence?

Set-up: measured sessions of Caltech and JPL, one run of `pendel simulate`'s engine per site and
month (11 kW both ways, one car per session, day-ahead prices of 2025 shifted to the dates of the
sessions); the car arrives with ARRIVE_KWH and its target is that plus what was really delivered.
Yardsticks (`frontier_baselines`) know departures and prices. Reported per month and over all:

    kept       share of counting promises kept (contract: charging at once would have made it)
    closed     (uncontrolled - ours) / (uncontrolled - always ready)
    half-way   (always ready + perfect foresight) / 2 + 5 % of uncontrolled, the bound at 0.9

Options: --data folder, --zone, --align utc|wall (same UTC time of 2025, or the same wall clock in
Berlin), --months, --confidence, --out-of-sample (prior fitted without the month that is tested).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import session_data as data
from frontier_baselines import session_costs
from pendel.control import departures
from pendel.records import Mode
from pendel.scenario.columns import (
    Feeders,
    Horizon,
    Prices,
    Scenario,
    Series,
    Sessions,
    Sites,
    Storages,
)
from pendel.sim.engine import simulate

PACKAGED = Path(__file__).resolve().parent / "data" / "acn"
LA, BERLIN = ZoneInfo("America/Los_Angeles"), ZoneInfo("Europe/Berlin")
MONTHS = tuple(
    f"{y}-{m:02d}" for y, first in ((2019, 5), (2020, 2)) for m in range(first, first + 4)
)
SITES = ("caltech", "jpl")
STEP_S = 900
CONFIDENCES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Variant:
    """One set of assumptions: price zone and alignment, car, efficiencies, wear, export price."""

    zone: str = "DE_LU"
    align: str = "wall"
    capacity_kwh: float = 60.0
    arrive_kwh: float = 10.0
    power_kw: float = 11.0
    efficiency: float = 0.95
    wear_eur_kwh: float = 0.02
    export_share: float = 1.0
    markup_eur_kwh: float = 0.0
    timezone: str = "America/Los_Angeles"
    limit_kw: float = 5_000.0


def price_table(folder: Path) -> dict[str, dict[int, float]]:
    """EUR/kWh by zone and epoch second of the hour."""
    table: dict[str, dict[int, float]] = {"DE_LU": {}, "NL": {}, "FR": {}}
    for path in folder.glob("day_ahead*.csv.gz"):
        for row in data.rows_of(path):
            at = int(datetime.fromisoformat(row["start_utc"].replace("Z", "+00:00")).timestamp())
            for zone, prices in table.items():
                prices[at] = float(row[zone]) / 1e3
    return table


def prices_of(begin_s: int, steps: int, prices: dict[int, float], align: str) -> np.ndarray:
    """Prices of 2025 at the dates of the sessions [steps]; 29 February takes 1 March."""
    out = np.empty(steps)
    for k in range(steps):
        at = datetime.fromtimestamp((begin_s + k * STEP_S) // 3600 * 3600, UTC)
        at = at.astimezone(LA) if align == "wall" else at
        if (at.month, at.day) == (2, 29):
            at = at.replace(month=3, day=1)
        zone = BERLIN if align == "wall" else UTC
        hour_s = int(at.replace(year=2025, tzinfo=zone).timestamp())
        out[k] = prices[hour_s] if hour_s in prices else prices[hour_s + 3600]
    return out


def month_bounds(month: str) -> tuple[int, int]:
    """Begin and end of a local month in Los Angeles, epoch seconds."""
    year, number = map(int, month.split("-"))
    begin = datetime(year, number, 1, tzinfo=LA)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=LA)
    return int(begin.timestamp()), int(end.timestamp())


def scenario_of(
    sessions: data.SessionSet, month: str, prices: dict[int, float], variant: Variant
) -> Scenario:
    """One site and month as a scenario in memory, exactly as the folder reader would give it."""
    begin_s, end_s = month_bounds(month)
    steps = (end_s - begin_s) // STEP_S
    sessions = sessions.where(sessions.energy_kwh <= variant.capacity_kwh)
    count = len(sessions)
    start = np.minimum(variant.arrive_kwh, variant.capacity_kwh - sessions.energy_kwh)
    full = np.full(count, 1.0)
    price = prices_of(begin_s, steps, prices, variant.align) + variant.markup_eur_kwh
    export = price - variant.markup_eur_kwh
    export = export - (1.0 - variant.export_share) * np.abs(export)
    none = np.full(count, "")
    columns = Sessions(
        session_id=np.array([f"s{i}" for i in range(count)]),
        site=np.zeros(count, dtype=np.int64),
        arrive_step=np.clip(-(-(sessions.arrive_s - begin_s) // STEP_S), 0, steps),
        depart_step=np.clip((sessions.depart_s - begin_s) // STEP_S, 0, steps),
        arrive_s=sessions.arrive_s,
        depart_s=sessions.depart_s,
        stated_depart_s=sessions.stated_s,
        capacity_kwh=full * variant.capacity_kwh,
        energy_arrive_kwh=start,
        energy_target_kwh=start + sessions.energy_kwh,
        energy_min_kwh=full * 0.0,
        charge_max_kw=full * variant.power_kw,
        discharge_max_kw=full * variant.power_kw,
        charge_efficiency=full * variant.efficiency,
        discharge_efficiency=full * variant.efficiency,
        wear_eur_kwh=full * variant.wear_eur_kwh,
        terminal_eur_kwh=full * 0.0,
        vehicle_id=none,
        battery_model=none,
    )
    empty, nothing = np.zeros(0), np.zeros(0, dtype=np.int64)
    wide = np.array([variant.limit_kw])
    return Scenario(
        name=month,
        horizon=Horizon(datetime.fromtimestamp(begin_s, UTC), steps, STEP_S, variant.timezone),
        sites=Sites(np.array(["acn"]), wide, wide, np.zeros(1), np.array([-1])),
        prices=Prices(price[None], export[None], np.zeros(1, dtype=np.int64)),
        series=Series(np.zeros((1, steps)), np.zeros((1, steps))),
        sessions=columns,
        storages=Storages(np.zeros(0, "U1"), nothing, *[empty] * 8),
        feeders=Feeders(np.zeros(0, "U1"), nothing, empty, empty),
    )


def yardsticks(scenario: Scenario) -> np.ndarray:
    """Cost [EUR] of (uncontrolled, always ready, perfect foresight) over all sessions."""
    cars, total = scenario.sessions, np.zeros(3)
    step_h = scenario.horizon.step_h
    for n in range(len(cars)):
        window = slice(cars.arrive_step[n], max(cars.depart_step[n], cars.arrive_step[n]))
        wear, up, down = (
            cars.wear_eur_kwh[n],
            cars.charge_efficiency[n],
            cars.discharge_efficiency[n],
        )
        total += session_costs(
            cars.energy_arrive_kwh[n],
            cars.energy_target_kwh[n],
            cars.capacity_kwh[n],
            cars.energy_min_kwh[n],
            cars.charge_max_kw[n] * up * step_h,
            cars.discharge_max_kw[n] / down * step_h,
            scenario.prices.import_eur_kwh[0, window] / up + wear,
            scenario.prices.export_eur_kwh[0, window] * down - wear,
        )[:3]
    return total


def run_month(
    scenario: Scenario, confidences: Sequence[float], bounds: np.ndarray
) -> list[dict[str, float]]:
    """One row per confidence."""
    rows = []
    for confidence in confidences:
        summary = simulate(scenario, Mode.V2G, confidence).summary
        cost, total = summary["cost_eur"], max(summary["promises_total"], 1)
        rows.append(
            {
                "confidence": confidence,
                "kept": summary["promises_kept"] / total,
                "promises": summary["promises_total"],
                "broken": summary["promises_total"] - summary["promises_kept"],
                "cost_eur": cost,
                "uncontrolled_eur": float(bounds[0]),
                "always_ready_eur": float(bounds[1]),
                "foresight_eur": float(bounds[2]),
                "closed": float((bounds[0] - cost) / (bounds[0] - bounds[1])),
                "half_way_eur": float((bounds[1] + bounds[2]) / 2 + 0.05 * bounds[0]),
            }
        )
    return rows


PRIOR = departures.packaged_prior()


def use_prior_without(work: data.SessionSet, month: str) -> None:
    """Replace the packaged prior by one that never saw this month (workplace tables only)."""
    from pendel.control.departure_fit import fit_table

    rest = work.where(~np.char.endswith(work.group, month))
    tables = [
        fit_table(rest.arrive_s, rest.stated_s, rest.depart_s, data.ACN_ZONE, clock).tolist()
        for clock in (True, False)
    ]
    changed = departures.Prior(
        PRIOR.archetypes, PRIOR.shares, tables + PRIOR.tables[2:], f"without {month}"
    )
    departures.packaged_prior = lambda: changed


def measure(
    months: Sequence[str] = ("2019-07", "2020-03"),
    confidences: Sequence[float] = (0.9, 0.99),
    variant: Variant | None = None,
    folder: Path | None = None,
    out_of_sample: bool = False,
) -> dict[str, object]:
    """Rows per site, month and confidence, and the sums over all months."""
    variant = variant if variant is not None else Variant()
    folder = folder if folder is not None else Path(os.environ.get("PENDEL_ACN", PACKAGED))
    work, table = data.acn(folder), price_table(folder)[variant.zone]
    rows = []
    for month in months:
        if out_of_sample:
            use_prior_without(work, month)
        for site in SITES:
            chosen = work.where(work.group == f"{site} {month}")
            scenario = scenario_of(chosen, month, table, variant)
            found = run_month(scenario, confidences, yardsticks(scenario))
            rows += [{"site": site, "month": month, **row} for row in found]
            for row in found:
                print(line_of({"site": site, "month": month, **row}), file=sys.stderr, flush=True)
    departures.packaged_prior = lambda: PRIOR
    return {"rows": rows, "all": [sums_of(rows, c) for c in confidences]}


def sums_of(rows: list[dict[str, float]], confidence: float) -> dict[str, float]:
    """The rows of one confidence added up."""
    mine = [row for row in rows if row["confidence"] == confidence]
    total = {
        name: sum(row[name] for row in mine)
        for name in mine[0]
        if name not in ("site", "month", "confidence", "kept", "closed")
    }
    gap = total["uncontrolled_eur"] - total["always_ready_eur"]
    total["closed"] = (total["uncontrolled_eur"] - total["cost_eur"]) / gap
    total["kept"] = 1.0 - total["broken"] / max(total["promises"], 1)
    return {"site": "all", "month": "all", "confidence": confidence, **total}


def line_of(row: dict[str, float]) -> str:
    """One row in words, with a verdict where the issue sets a figure."""
    kept = row["kept"] >= row["confidence"]
    verdict = "" if kept else "PROMISES "
    if row["confidence"] == 0.99:
        verdict += "" if row["closed"] >= (0.5 if row["site"] == "all" else 1 / 3) else "COST"
    if row["confidence"] == 0.9:
        verdict += "" if row["cost_eur"] <= row["half_way_eur"] else "COST"
    return (
        f"{row['site']:8s} {row['month']:8s} {row['confidence']:.3f} kept {row['kept']:.4f} "
        f"({row['broken']:3.0f} of {row['promises']:4.0f} broken) cost {row['cost_eur']:8.1f} "
        f"uncontrolled {row['uncontrolled_eur']:8.1f} ready {row['always_ready_eur']:8.1f} "
        f"foresight {row['foresight_eur']:8.1f} closed {row['closed']:6.2f} "
        f"half-way {row['half_way_eur']:8.1f} {verdict or 'ok'}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--months", nargs="*", default=list(MONTHS))
    parser.add_argument("--confidence", nargs="*", type=float, default=[0.9, 0.99])
    parser.add_argument("--out-of-sample", action="store_true")
    for name, value in vars_of(Variant()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = parser.parse_args()
    variant = replace(Variant(), **{name: getattr(given, name) for name in vars_of(Variant())})
    result = measure(given.months, given.confidence, variant, given.data, given.out_of_sample)
    for row in result["all"]:
        print(line_of(row))


def vars_of(variant: Variant) -> dict[str, object]:
    """Fields of a variant by name."""
    return {name: getattr(variant, name) for name in variant.__dataclass_fields__}


if __name__ == "__main__":
    main()
