"""`pendel potential SCENARIO`: the flexibility of a fleet, as data that others can read."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendel.cli.options import COMMAND_LINE
from pendel.cli.outcome import DONE, UNMET, Outcome
from pendel.errors import InputError, Problem

if TYPE_CHECKING:
    from pendel.control.flexibility import Inner, Offer, Outer
    from pendel.control.schedule import Schedule
    from pendel.scenario.columns import Scenario
    from pendel.units import FloatArray, IntArray

BLOCKS_MAX = 96
INCENTIVES_MAX = 10
CELLS_MAX = 200_000_000
UNMET_KWH = 1e-5
MOVED_KW = 1e-3
PARQUET_ROWS = 2_000_000
DIRECTIONS = {1: "give", -1: "take"}

COLUMNS: dict[str, dict[str, str]] = {
    "envelope": {
        "time_utc": "begin of the step",
        "power_least_kw": "kW AC, import positive: no plan draws less (outer)",
        "power_most_kw": "kW AC: no plan draws more (outer)",
        "drawn_least_kwh": "kWh AC drawn from the begin of the horizon to the step's end (outer)",
        "drawn_most_kwh": "kWh AC, as drawn_least_kwh, at most (outer)",
        "base_kw": "kW AC of the cheapest stored schedule",
        "inner_least_kw": "kW AC, least of the stored schedules (guaranteed)",
        "inner_most_kw": "kW AC, most of the stored schedules (guaranteed)",
    },
    "offers": {
        "schedule": "number of the stored schedule that does it",
        "from_utc": "begin of the block",
        "until_utc": "end of the block",
        "direction": "give = less drawn or more given, take = more drawn",
        "incentive_eur_kwh": "EUR/kWh that moved it",
        "power_kw": "kW, mean change of the fleet's power in the block",
        "energy_kwh": "kWh, that times the length of the block",
        "cost_eur": "EUR more than the cheapest schedule costs",
        "cost_eur_kwh": "EUR/kWh = cost_eur / energy_kwh",
        "cost_eur_kw": "EUR/kW = cost_eur / power_kw, for the whole block",
    },
    "schedules": {
        "schedule": "number, 0 = the cheapest",
        "time_utc": "begin of the step",
        "power_kw": "kW AC of all cars and batteries",
    },
    "units": {
        "schedule": "number",
        "id": "session or storage",
        "time_utc": "begin of the step",
        "energy_kwh": "kWh stored at the end of the step: blends average this",
    },
}


def configure_scenario(parser: argparse.ArgumentParser) -> None:
    """The options of the flexibility of a scenario."""
    parser.add_argument(
        "scenario", nargs="?", metavar="SCENARIO", help="scenario folder: its flexibility"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for envelopes, offers, schedules")
    parser.add_argument("--blocks", type=int, default=6, metavar="N", help="of the horizon (6)")
    parser.add_argument(
        "--incentives",
        default="0.03,0.1,0.3",
        metavar="EUR,...",
        help="EUR/kWh at which the fleet is asked to move (0.03,0.1,0.3)",
    )
    parser.add_argument(
        "--follow",
        metavar="FILE",
        help="a wanted power (time_utc, power_kw): the nearest blend, as a plan of every unit",
    )


def run_scenario(args: argparse.Namespace) -> Outcome:
    """Envelopes, stored schedules, offers, and the followed profile. Raises InputError."""
    from pendel.cli.reading import read_with_progress
    from pendel.control.flexibility import inner_of, outer_of
    from pendel.control.plan import PlanOptions
    from pendel.control.problem import problem_of
    from pendel.scenario.results import check_replaceable

    incentives = check_options(args)
    if args.out:
        check_replaceable(Path(args.out).absolute())
    scenario = read_with_progress(Path(args.scenario))
    count = 1 + 2 * args.blocks * len(incentives)
    cells = count * scenario.horizon.steps * (len(scenario.sessions) + len(scenario.storages))
    if cells > CELLS_MAX:
        text = f"{count} schedules of this scenario are {cells:,d} values"
        problem = Problem(COMMAND_LINE, 0, "--blocks", text, f"at most {CELLS_MAX:,d}")
        raise InputError([problem])
    wanted = None if args.follow is None else profile_of(Path(args.follow), scenario)
    problem_now = problem_of(scenario)
    outer = outer_of(problem_now)
    inner = inner_of(problem_now, args.blocks, incentives, PlanOptions(gap=1e-4))
    data = summary_of(scenario, outer, inner)
    followed = None
    if wanted is not None:
        followed, data["follow"] = follow(scenario, inner, wanted)
    if args.out:
        write(Path(args.out), scenario, outer, inner, followed, data)
    lacking = not inner.feasible or float(inner.shortfall_kwh.max()) > UNMET_KWH
    return Outcome(UNMET if lacking else DONE, data, words(scenario, inner, data, args.out))


def check_options(args: argparse.Namespace) -> tuple[float, ...]:
    """The incentives. Raises InputError with everything that is wrong."""
    problems = []
    if not 1 <= args.blocks <= BLOCKS_MAX:
        text = f"{args.blocks} is out of range"
        problems.append(Problem(COMMAND_LINE, 0, "--blocks", text, f"1 to {BLOCKS_MAX}"))
    incentives: tuple[float, ...] = ()
    try:
        incentives = tuple(sorted({float(part) for part in args.incentives.split(",")}))
    except ValueError:
        incentives = ()
    fits = all(0.0 < value <= 5.0 for value in incentives)
    if not incentives or not fits or len(incentives) > INCENTIVES_MAX:
        allowed = f"1 to {INCENTIVES_MAX} numbers above 0, at most 5"
        text = f"{args.incentives} cannot be used"
        problems.append(Problem(COMMAND_LINE, 0, "--incentives", text, allowed))
    if problems:
        raise InputError(problems)
    return incentives


def profile_of(path: Path, scenario: "Scenario") -> "FloatArray":
    """Wanted power [T], NaN where the file says nothing. Raises InputError."""
    import numpy as np

    from pendel.scenario.findings import Findings
    from pendel.scenario.grid import US_PER_S
    from pendel.scenario.tables import Column, Table
    from pendel.scenario.typed import TableReader

    columns = (Column("time_utc", "time", True), Column("power_kw", "number", True))
    findings = Findings()
    horizon = scenario.horizon
    table = Table(path.name.split(".")[0], columns, required=True)
    reader = TableReader(path.parent, table, findings, None)
    result = np.full(horizon.steps, np.nan)
    for batch in reader.typed():
        start_us, step_us = horizon.start_s * US_PER_S, horizon.step_s * US_PER_S
        step, rest = np.divmod(batch.time_us["time_utc"] - start_us, step_us)
        good = batch.ok & (rest == 0) & (step >= 0) & (step < horizon.steps)
        reader.found.add_where(
            batch.ok & ~good,
            batch.lines,
            "time_utc",
            lambda _: "is not a step of the scenario",
        )
        result[step[good]] = batch.number["power_kw"][good]
    if not findings.of(path.name).count and not np.isfinite(result).any():
        reader.found.add(0, "", "no row", "at least one step with a power")
    findings.raise_if_any()
    return result


def follow(
    scenario: "Scenario", inner: "Inner", wanted: "FloatArray"
) -> tuple["Schedule", dict[str, Any]]:
    """The nearest blend as a schedule of every unit, judged by the verifier against the scenario
    itself (not the tightened problem)."""
    import msgspec
    import numpy as np

    from pendel.control.flexibility import blend, weights_for
    from pendel.control.problem import problem_of
    from pendel.control.schedule import verify_schedule

    weights = weights_for(inner, wanted)
    schedule = blend(inner, weights)
    problem = problem_of(scenario)
    if problem.reserves is not None:
        from dataclasses import replace

        problem = replace(problem, reserves=None)
    verdict = verify_schedule(problem, schedule, float(inner.shortfall_kwh.max()) + UNMET_KWH)
    off = schedule.power_kw.sum(axis=0) - wanted
    off = off[np.isfinite(off)]
    return schedule, {
        "weights": {str(k): float(w) for k, w in enumerate(weights) if w > 0.0},
        "deviation_mean_kw": float(np.abs(off).mean()),
        "deviation_most_kw": float(np.abs(off).max()),
        "violations": msgspec.to_builtins(verdict.violations),
    }


def summary_of(scenario: "Scenario", outer: "Outer", inner: "Inner") -> dict[str, Any]:
    """`summary.json`: the offers, and what every column means."""
    step_h = scenario.horizon.step_h
    return {
        "scenario": scenario.name,
        "sessions": len(scenario.sessions),
        "storages": len(scenario.storages),
        "sites": len(scenario.sites),
        "sites_that_only_charge": int(inner.charging.sum()),
        "steps": scenario.horizon.steps,
        "step_h": step_h,
        "schedules": len(inner),
        "feasible": inner.feasible,
        "shortfall_kwh": float(inner.shortfall_kwh.max()),
        "base_cost_eur": float(inner.cost_eur[0]),
        "outer_power_kw": [float(outer.least_kw.min()), float(outer.most_kw.max())],
        "inner_power_kw": [float(inner.power_kw.min()), float(inner.power_kw.max())],
        "offers": offers_of(scenario, inner.offers),
        "sign": "power is positive from the grid into the cars, AC side",
        "outer": "every feasible plan lies inside; not every curve inside is a plan",
        "inner": "every blend of the stored schedules (weights of 0 or more, sum 1, on energy_kwh "
        "of units) is feasible; its power is at most the same average of power_kw",
        "columns": COLUMNS,
    }


def offers_of(scenario: "Scenario", offers: "tuple[Offer, ...]") -> list[dict[str, Any]]:
    """One row per offer, with its prices where it moves anything."""
    from pendel.clock import format_utc

    rows = []
    for offer in offers:
        hours = (offer.until_step - offer.from_step) * scenario.horizon.step_h
        moves = offer.power_kw > MOVED_KW
        power = offer.power_kw if moves else 0.0
        energy = power * hours
        rows.append(
            {
                "schedule": offer.schedule,
                "from_utc": format_utc(scenario.horizon.utc_of(offer.from_step)),
                "until_utc": format_utc(scenario.horizon.utc_of(offer.until_step)),
                "direction": DIRECTIONS[offer.direction],
                "incentive_eur_kwh": offer.incentive_eur_kwh,
                "power_kw": power,
                "energy_kwh": energy,
                "cost_eur": offer.cost_eur,
                "cost_eur_kwh": offer.cost_eur / energy if moves else None,
                "cost_eur_kw": offer.cost_eur / power if moves else None,
            }
        )
    return rows


def write(
    out: Path,
    scenario: "Scenario",
    outer: "Outer",
    inner: "Inner",
    followed: "Schedule | None",
    data: dict[str, Any],
) -> None:
    """The result folder: envelope, offers, schedules, units, and the followed plan."""
    import numpy as np

    from pendel.scenario.results import result_folder

    horizon, count = scenario.horizon, len(inner)
    times = horizon.start_s + horizon.step_s * np.arange(horizon.steps, dtype=np.int64)
    tables: dict[str, dict[str, Any]] = {
        "envelope": {
            "time_utc": times,
            "power_least_kw": outer.least_kw,
            "power_most_kw": outer.most_kw,
            "drawn_least_kwh": outer.drawn_least_kwh,
            "drawn_most_kwh": outer.drawn_most_kwh,
            "base_kw": inner.power_kw[0],
            "inner_least_kw": inner.power_kw.min(axis=0),
            "inner_most_kw": inner.power_kw.max(axis=0),
        },
        "offers": {
            name: [math.nan if row[name] is None else row[name] for row in data["offers"]]
            for name in COLUMNS["offers"]
        },
        "schedules": {
            "schedule": np.repeat(np.arange(count), horizon.steps),
            "time_utc": np.tile(times, count),
            "power_kw": inner.power_kw.ravel(),
        },
        "units": unit_rows(scenario, inner, times),
    }
    if followed is not None:
        tables |= plan_rows(scenario, followed, times)
    with result_folder(out) as folder:
        for name, columns in tables.items():
            rows = len(next(iter(columns.values())))
            folder.write_table(name, columns, "parquet" if rows > PARQUET_ROWS else "csv")
        folder.write_summary(data)


def unit_rows(scenario: "Scenario", inner: "Inner", times: "IntArray") -> dict[str, Any]:
    """Stored energy of every unit in every stored schedule, while connected."""
    import numpy as np

    schedule, unit, step = np.nonzero(np.isfinite(inner.energy_kwh))
    return {
        "schedule": schedule,
        "id": names_of(scenario)[unit],
        "time_utc": times[step],
        "energy_kwh": inner.energy_kwh[schedule, unit, step],
    }


def plan_rows(scenario: "Scenario", schedule: "Schedule", times: "IntArray") -> dict[str, Any]:
    """`plan` and `sites` as `pendel plan` writes them."""
    import numpy as np

    unit, step = np.nonzero(np.isfinite(schedule.energy_kwh))
    sites = np.array(scenario.sites.site_id.tolist(), dtype=object)
    return {
        "plan": {
            "time_utc": times[step],
            "id": names_of(scenario)[unit],
            "power_kw": schedule.power_kw[unit, step],
            "energy_kwh": schedule.energy_kwh[unit, step],
        },
        "sites": {
            "time_utc": np.tile(times, len(sites)),
            "site_id": np.repeat(sites, len(times)),
            "net_kw": schedule.net_kw.ravel(),
            "curtailed_kw": schedule.curtailed_kw.ravel(),
        },
    }


def names_of(scenario: "Scenario") -> Any:
    """Ids of sessions, then storages [N]."""
    import numpy as np

    ids = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    return np.array(ids, dtype=object)


def words(scenario: "Scenario", inner: "Inner", data: dict[str, Any], out: str | None) -> str:
    """The offers as a table in local time."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(scenario.horizon.timezone)
    outer, power = data["outer_power_kw"], data["inner_power_kw"]
    lines = [
        scenario.name,
        f"{data['sessions'] + data['storages']:,d} cars and batteries at {data['sites']:,d} sites; "
        f"cheapest schedule {data['base_cost_eur']:,.2f} EUR",
        f"at most (outer)      {outer[0]:,.0f} to {outer[1]:,.0f} kW",
        f"guaranteed (inner)   {power[0]:,.0f} to {power[1]:,.0f} kW, "
        f"{data['schedules']} stored schedules and every blend of them",
        "",
        f"{'block':21}{'':6}{'kW':>10}{'kWh':>12}{'EUR':>10}{'ct/kWh':>9}",
    ]
    for offer, row in zip(inner.offers, data["offers"], strict=True):
        begin, end = (
            f"{scenario.horizon.utc_of(step).astimezone(zone):%a %H:%M}"
            for step in (offer.from_step, offer.until_step)
        )
        price = row["cost_eur_kwh"]
        shown = "-" if price is None else f"{100.0 * price:.2f}"
        lines.append(
            f"{begin}-{end}  {row['direction']:6}{row['power_kw']:10,.1f}{row['energy_kwh']:12,.1f}"
            f"{row['cost_eur']:10,.2f}{shown:>9}"
        )
    if data["sites_that_only_charge"]:
        lines.append(f"{data['sites_that_only_charge']} sites have no room to give and only charge")
    if "follow" in data:
        met = data["follow"]
        lines.append(
            f"followed within {met['deviation_mean_kw']:,.1f} kW on average, "
            f"{met['deviation_most_kw']:,.1f} kW at most"
        )
    if out:
        lines.append(f"written to {out}")
    return "\n".join(lines)
