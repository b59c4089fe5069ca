"""`pendel potential SCENARIO`: the flexibility of a fleet, as data that others can read."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendel.cli.options import COMMAND_LINE
from pendel.cli.outcome import DONE, UNMET, Outcome
from pendel.cli.potential_files import COLUMNS, check_size, write
from pendel.cli.potential_follow import follow, profile_of
from pendel.cli.progress import progress_line, say_when_compiling
from pendel.errors import InputError, Problem

if TYPE_CHECKING:
    from pendel.control.flexibility import Inner
    from pendel.control.flexibility_outer import Outer
    from pendel.scenario.columns import Scenario

BLOCKS_MAX = 96
INCENTIVES_MAX = 10
GAP = 1e-4
UNMET_KWH = 1e-5
MOVED_KW = 1e-3
DIRECTIONS = {1: "give", -1: "take"}


def configure_scenario(parser: argparse.ArgumentParser) -> None:
    """The options of the flexibility of a scenario."""
    parser.add_argument(
        "scenario", nargs="?", metavar="SCENARIO", help="scenario folder: its flexibility"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for envelopes, offers, schedules")
    parser.add_argument("--blocks", type=int, default=6, metavar="N", help="6; 0 = envelopes only")
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
    from pendel.control.flexibility import inner_of
    from pendel.control.flexibility_outer import outer_of
    from pendel.control.plan import PlanOptions
    from pendel.control.problem import problem_of
    from pendel.kernel.memory import give_back_memory
    from pendel.scenario.results import check_replaceable

    incentives = check_options(args)
    give_back_memory()
    say_when_compiling()
    if args.out:
        check_replaceable(Path(args.out).absolute())
    scenario = read_with_progress(Path(args.scenario))
    check_size(scenario, args.blocks, len(incentives))
    wanted = None if args.follow is None else profile_of(Path(args.follow), scenario)
    problem_now = problem_of(scenario)
    outer = outer_of(problem_now)
    if args.blocks == 0:
        return envelope_only(scenario, outer, args.out)
    with progress_line() as line:
        line.show(f"planning {len(problem_now.units):,d} units at {problem_now.sites:,d} sites")
        inner = inner_of(
            problem_now,
            args.blocks,
            incentives,
            PlanOptions(gap=GAP, progress=line.standing),
            lambda made, of: line.bar(f"stored schedules: {made} of {of}", made / of),
        )
    data = summary_of(scenario, outer, inner)
    followed = None
    if wanted is not None:
        followed, data["follow"] = follow(scenario, inner, wanted)
    if args.out:
        write(Path(args.out), scenario, outer_columns(outer), inner, followed, data)
    lacking = not inner.feasible or float(inner.shortfall_kwh.max()) > UNMET_KWH
    return Outcome(UNMET if lacking else DONE, data, words(scenario, inner, data, args.out))


def check_options(args: argparse.Namespace) -> tuple[float, ...]:
    """The incentives. Raises InputError with everything that is wrong."""
    problems = []
    if not 0 <= args.blocks <= BLOCKS_MAX:
        text = f"{args.blocks} is out of range"
        problems.append(Problem(COMMAND_LINE, 0, "--blocks", text, f"0 to {BLOCKS_MAX}"))
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
    if args.follow is not None and args.blocks == 0:
        text = "needs stored schedules"
        problems.append(Problem(COMMAND_LINE, 0, "--follow", text, "--blocks of 1 or more"))
    if problems:
        raise InputError(problems)
    return incentives


def envelope_only(scenario: "Scenario", outer: "Outer", out: str | None) -> Outcome:
    """Outer envelopes without any plan: seconds for a million cars."""
    import numpy as np

    from pendel.scenario.results import result_folder

    horizon = scenario.horizon
    times = horizon.start_s + horizon.step_s * np.arange(horizon.steps, dtype=np.int64)
    columns = {"time_utc": times} | outer_columns(outer)
    data = outer_summary(scenario, outer) | {
        "columns": {"envelope": {name: COLUMNS["envelope"][name] for name in columns}}
    }
    if out:
        with result_folder(Path(out)) as folder:
            folder.write_table("envelope", columns)
            folder.write_summary(data)
    least, most = data["outer_power_kw"]
    return Outcome(
        data=data,
        text=f"{scenario.name}\nat most (outer)      {least:,.0f} to {most:,.0f} kW"
        + (f"\nwritten to {out}" if out else ""),
    )


def outer_columns(outer: "Outer") -> dict[str, Any]:
    """The columns of `envelope` that need no plan."""
    return {
        "power_least_kw": outer.least_kw,
        "power_most_kw": outer.most_kw,
        "drawn_least_kwh": outer.drawn_least_kwh,
        "drawn_most_kwh": outer.drawn_most_kwh,
    }


def outer_summary(scenario: "Scenario", outer: "Outer") -> dict[str, Any]:
    """The part of `summary.json` that needs no plan."""
    return {
        "scenario": scenario.name,
        "sessions": len(scenario.sessions),
        "storages": len(scenario.storages),
        "sites": len(scenario.sites),
        "steps": scenario.horizon.steps,
        "step_h": scenario.horizon.step_h,
        "outer_power_kw": [float(outer.least_kw.min()), float(outer.most_kw.max())],
        "sign": "power is positive from the grid into the cars, AC side",
        "outer": "every feasible plan lies inside; not every curve inside is a plan",
    }


def summary_of(scenario: "Scenario", outer: "Outer", inner: "Inner") -> dict[str, Any]:
    """`summary.json`: the offers, and what every column means."""
    return outer_summary(scenario, outer) | {
        "sites_that_only_charge": int(inner.charging.sum()),
        "schedules": len(inner),
        "feasible": inner.feasible,
        "shortfall_kwh": float(inner.shortfall_kwh.max()),
        "base_cost_eur": float(inner.cost_eur[0]),
        "base_bound_eur": inner.bound_eur,
        "method": "planned" if inner.planned else "moved",
        "inner_power_kw": [float(inner.power_kw.min()), float(inner.power_kw.max())],
        "offers": offers_of(scenario, inner),
        "inner": "every blend of the stored schedules (weights of 0 or more, sum 1, on energy_kwh "
        "of units) is feasible; its power is at most the same average of power_kw",
        "columns": COLUMNS,
    }


def offers_of(scenario: "Scenario", inner: "Inner") -> list[dict[str, Any]]:
    """One row per offer, with its prices where it moves anything."""
    from pendel.clock import format_utc

    rows = []
    for offer in inner.offers:
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
                "cost_most_eur": offer.cost_eur + inner.base_gap_eur,
                "cost_most_eur_kwh": (offer.cost_eur + inner.base_gap_eur) / energy
                if moves
                else None,
            }
        )
    return rows


def words(scenario: "Scenario", inner: "Inner", data: dict[str, Any], out: str | None) -> str:
    """The offers as a table in local time."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(scenario.horizon.timezone)
    outer, power = data["outer_power_kw"], data["inner_power_kw"]
    lines = [
        scenario.name,
        f"{data['sessions'] + data['storages']:,d} cars and batteries at {data['sites']:,d} sites; "
        f"cheapest schedule {data['base_cost_eur']:,.2f} EUR, "
        f"at most {data['base_cost_eur'] - data['base_bound_eur']:,.2f} above the least",
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
