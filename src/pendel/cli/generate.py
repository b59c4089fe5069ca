"""`pendel generate`: a plausible fleet of any size as a scenario folder, from a seed."""

import argparse
import math
import os
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendel.cli.options import COMMAND_LINE
from pendel.cli.outcome import Outcome
from pendel.cli.progress import progress_line
from pendel.errors import InputError, Problem

if TYPE_CHECKING:
    from pendel.scenario.columns import Scenario
    from pendel.sim.generator.settings import FleetSettings

RECORD = "generated.json"
PARQUET_SESSIONS = 20_000
FORMATS = ("auto", "csv", "parquet")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel generate`."""
    parser.add_argument("--out", required=True, metavar="DIR", help="scenario folder to write")
    parser.add_argument("--vehicles", type=int, default=1_000, metavar="N", help="cars (1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same fleet")
    parser.add_argument("--date", default="2025-06-18", metavar="DAY", help="local day of 2025")
    parser.add_argument("--days", type=int, default=1, metavar="N", help="days (1)")
    parser.add_argument("--start-hour", type=int, default=12, metavar="H", help="local (12)")
    parser.add_argument("--step-minutes", type=int, default=15, metavar="M", help="(15)")
    parser.add_argument(
        "--v2g-share", type=float, default=0.8, metavar="X", help="cars that can discharge (0.8)"
    )
    parser.add_argument(
        "--plug-in-share",
        type=float,
        metavar="X",
        help="of returns home, those after which the car is plugged in (measured: 0.69)",
    )
    parser.add_argument(
        "--mix",
        metavar="KIND=X,...",
        help="where cars charge (home=0.7,workplace=0.15,public=0.1,depot=0.05)",
    )
    parser.add_argument(
        "--cars-per-home-site",
        type=float,
        default=20.0,
        metavar="N",
        help="20 = apartment garages, 1.5 = single houses",
    )
    parser.add_argument(
        "--fees-eur-kwh",
        type=float,
        default=0.12,
        metavar="EUR",
        help="on top of the market price for what is bought (0.12)",
    )
    parser.add_argument("--format", choices=FORMATS, default="auto", help="auto: by size")


def run(args: argparse.Namespace) -> Outcome:
    """Generate, write, tell. Raises InputError for bad options or a folder in use."""
    from pendel.scenario.results import json_text, whole_folder
    from pendel.scenario.write import write_scenario
    from pendel.sim.generator.build import generate

    settings = settings_of(args)
    out = Path(os.path.abspath(args.out))
    check_target(out)
    begin_s = time.perf_counter()
    with progress_line() as line:
        line.show(f"generating {settings.vehicles:,d} cars")
        scenario = generate(settings)
    large = len(scenario.sessions) > PARQUET_SESSIONS
    kind: Any = args.format if args.format != "auto" else ("parquet" if large else "csv")
    data = summary_of(scenario, settings)
    with progress_line() as line, whole_folder(out) as folder:
        line.show(f"writing {len(scenario.sessions):,d} plug-ins")
        write_scenario(scenario, folder, kind)
        (folder / RECORD).write_text(json_text(data), encoding="utf-8")
        (folder / "SOURCE.md").write_text(attribution(), encoding="utf-8")
    data = data | {"seconds": time.perf_counter() - begin_s, "format": kind}
    return Outcome(data=data, text=words(data, scenario, args.out))


def settings_of(args: argparse.Namespace) -> "FleetSettings":
    """Settings of the options. Raises InputError with everything that is wrong."""
    from pendel.sim.generator.settings import FleetSettings, default_mix, problems_of

    problems: list[Problem] = []
    day, mix = date(2025, 6, 18), default_mix()
    try:
        day = date.fromisoformat(args.date)
    except ValueError:
        text = f"{args.date} is not a day"
        problems.append(Problem(COMMAND_LINE, 0, "--date", text, "like 2025-06-18"))
    if args.mix is not None:
        try:
            pairs = [part.split("=") for part in args.mix.split(",")]
            mix = {name.strip(): float(share) for name, share in pairs}
        except ValueError:
            text = f"{args.mix} cannot be read"
            problems.append(Problem(COMMAND_LINE, 0, "--mix", text, "like home=0.6,depot=0.4"))
    settings = FleetSettings(
        vehicles=args.vehicles,
        seed=args.seed,
        first_day=day,
        start_hour=args.start_hour,
        days=args.days,
        step_minutes=args.step_minutes,
        v2g_share=args.v2g_share,
        plug_in_share=args.plug_in_share,
        mix=mix,
        cars_per_home_site=args.cars_per_home_site,
        fees_eur_kwh=args.fees_eur_kwh,
    )
    problems += problems_of(settings)
    if problems:
        raise InputError(problems)
    return settings


def check_target(out: Path) -> None:
    """Raise InputError unless the folder is new, empty or was made by this command."""
    allowed = "a new or empty folder, or one that `pendel generate` made"
    if out.is_dir():
        if not any(out.iterdir()) or (out / RECORD).is_file():
            return
        reason = "folder exists and was not generated"
    elif out.exists() or out.is_symlink():
        reason = "exists and is not a folder"
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        return
    raise InputError([Problem(out.name, 0, "--out", reason, allowed)])


def summary_of(scenario: "Scenario", settings: "FleetSettings") -> dict[str, Any]:
    """What was made, in numbers."""
    import msgspec
    import numpy as np

    from pendel import __version__

    sessions, horizon = scenario.sessions, scenario.horizon
    need = sessions.energy_target_kwh - sessions.energy_arrive_kwh
    change = np.bincount(sessions.arrive_step, minlength=horizon.steps + 1)
    change = change - np.bincount(sessions.depart_step, minlength=horizon.steps + 1)
    connected = np.cumsum(change)[: horizon.steps]
    return {
        "version": __version__,
        "settings": msgspec.to_builtins(settings),
        "vehicles": settings.vehicles,
        "sessions": len(sessions),
        "sites": len(scenario.sites),
        "feeders": len(scenario.feeders),
        "steps": horizon.steps,
        "energy_mwh": float(need.sum() / 1e3),
        "connected_least": int(connected.min()),
        "connected_most": int(connected.max()),
        "charge_max_mw": float(sessions.charge_max_kw.sum() / 1e3),
        "discharge_max_mw": float(sessions.discharge_max_kw.sum() / 1e3),
    }


def attribution() -> str:
    """The sources of the packaged tables, which the licences ask to keep with what is made."""
    from importlib import resources

    text = resources.files("pendel").joinpath("data", "fleets", "SOURCE.md").read_text("utf-8")
    return f"# A generated fleet\n\nMade by `pendel generate` from these tables.\n\n{text}"


def words(data: dict[str, Any], scenario: "Scenario", out: str) -> str:
    """The fleet in words."""
    share = 100.0 / max(1, data["vehicles"])
    hours = scenario.horizon.steps * scenario.horizon.step_h
    mean_kw = data["energy_mwh"] * 1e3 / hours
    lines = [
        f"{data['vehicles']:,d} cars, {data['sessions']:,d} plug-ins at {data['sites']:,d} sites, "
        f"{data['steps']:,d} steps",
        f"plugged in           {data['connected_least'] * share:.0f} to "
        f"{data['connected_most'] * share:.0f} % of the cars",
        f"wanted               {data['energy_mwh']:,.1f} MWh ({_power(mean_kw)} on average)",
        f"written to {out} ({data['format']}, {data['seconds']:.1f} s)",
        f"next: pendel plan {out}",
    ]
    return "\n".join(lines)


def _power(kw: float) -> str:
    if not math.isfinite(kw) or kw < 1_000.0:
        return f"{kw:,.0f} kW"
    return f"{kw / 1e3:,.1f} MW"
