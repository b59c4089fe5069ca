"""`pendel station URL --id ID`: virtual stations with cars that speak OCPP to any backend.

A line is printed for each change; lines on stdin do what people do at a station (see COMMANDS).
"""

import argparse
import math
import random
import ssl
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendel.cli.outcome import Outcome
from pendel.errors import InputError, Problem

if TYPE_CHECKING:
    from pendel.adapters.ocpp_client import StationClient
    from pendel.cli.station_life import Visit
    from pendel.comms.ocpp.station.equipment import StationSettings

BATTERIES = ("constant", "taper", "lfp", "nmc")
VERSIONS = ("1.6", "2.0.1", "2.1")
COUNT_MAX = 10_000
SPEED_MAX = 3_600.0
POWER_MAX_KW = 1_000.0
CAPACITY_MAX_KWH = 5_000.0
CALL_TIMEOUT_S = 30.0
RESERVE_SOC = 0.2
COMMANDS = (
    "plug, unplug, fault [WORDS], clear, offline SECONDS, reboot, rfid TAG, drift SECONDS, "
    "alarm FAULT, clearalarm FAULT, frequency HZ, voltage PERCENT [L2 L3], grid up, grid down, "
    "building KW, limit KW [SOURCE] [critical], setpoint KW, generation KW, "
    "release [SOURCE] [generation], priority on, priority off; "
    "with several stations: ID: COMMAND"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel station`."""
    add = parser.add_argument
    add("url", metavar="URL", help="ws://host:port/ocpp or wss://...; the id is added")
    add("--id", help="identity of the station; with --count N: ID-1 to ID-N")
    add("--version", choices=VERSIONS, default="2.1", help="OCPP version (default 2.1)")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--password", help="password for HTTP Basic")
    secret.add_argument(
        "--password-stdin", action="store_true", help="read the password as stdin's first line"
    )
    add("--ca", type=Path, metavar="FILE", help="certificate authority for wss:// (PEM)")
    add("--cert", type=Path, metavar="FILE", help="client certificate (PEM), security profile 3")
    add("--key", type=Path, metavar="FILE", help="its key (default: in --cert, or beside it .key)")
    add("--count", type=int, default=1, metavar="N", help="number of stations")
    add("--capacity-kwh", type=float, default=60.0, metavar="KWH", help="battery (default 60)")
    add("--battery", choices=BATTERIES, default="lfp", help="how power falls near full (lfp)")
    add("--soc", type=float, default=0.4, help="state of charge at arrival, 0..1 (default 0.4)")
    add("--target-soc", type=float, default=0.8, help="wanted at departure (default 0.8)")
    add("--min-soc", type=float, default=RESERVE_SOC, help="never discharged below (default 0.2)")
    add("--power-kw", type=float, default=11.0, help="charging power (default 11)")
    add("--discharge-kw", type=float, default=11.0, help="discharging power, 0 = none (default 11)")
    add("--dc", action="store_true", help="a DC station (else AC, three phases)")
    add("--rfid", default="TAG1", metavar="TAG", help="card of the driver (default TAG1)")
    add("--depart", default="+8h", metavar="TIME", help="ISO time or +8h (default +8h)")
    add("--no-car", action="store_true", help="begin with free stations")
    add("--grid", type=Path, metavar="FILE", help="frequency and voltage over time (CSV)")
    add("--frequency", type=float, metavar="HZ", help="frequency of the grid (default nominal)")
    add("--voltage", type=float, default=100.0, metavar="PERCENT", help="of nominal (default 100)")
    add("--nominal-hz", type=float, default=50.0, metavar="HZ", help="50 (default) or 60")
    add("--meter-s", type=float, default=60.0, metavar="S", help="meter interval (default 60)")
    add("--aligned-s", type=float, default=900.0, metavar="S", help="clock-aligned values (900)")
    add("--speed", type=float, default=1.0, metavar="N", help="simulated seconds per second")
    add("--hours", type=float, metavar="H", help="end after H simulated hours")
    add("--scenario", type=Path, metavar="FOLDER", help="follow the sessions of a scenario")
    add("--seed", type=int, default=0, help="seed of all that is random")
    parser.epilog = f"On stdin, one per line: {COMMANDS}."


def run(args: argparse.Namespace) -> Outcome:
    """Run until a signal or for --hours. Raises InputError."""
    _check(args)
    from pendel.cli.station_life import Life
    from pendel.clock import RealClock
    from pendel.comms.ocpp.station.grid import read_grid_record
    from pendel.runtime.loop import Stop, stop_on_signals

    password = sys.stdin.readline().rstrip("\r\n") if args.password_stdin else args.password
    clock = RealClock(args.speed)
    begin_s = clock.now_utc().timestamp()
    visits = _visits(args, begin_s)
    names = sorted({visit.station_id for visit in visits}) or _names(args)
    stop = Stop()
    life = Life(
        now_s=lambda: clock.now_utc().timestamp(),
        until_s=math.inf if args.hours is None else begin_s + args.hours * 3_600.0,
        stop=stop,
        quiet=args.json,
    )
    tls = _tls(args)
    record = None if args.grid is None else read_grid_record(args.grid).begun(begin_s)
    for number, name in enumerate(names):
        client = _client(args, name, number, life, password, tls, begin_s)
        around = client.station.around
        around.record, around.frequency_hz = record, args.frequency
        around.voltage_pu = args.voltage / 100.0
        life.add(client)
    if args.no_car:
        visits = []
    life.visits = visits
    life.new_car = lambda name: _visit(args, name, life.now_s())
    with stop_on_signals(stop):
        life.run()
    data = life.result()
    return Outcome(data=data, text=life.words())


def _client(
    args: argparse.Namespace,
    name: str,
    number: int,
    life: Any,
    password: str | None,
    tls: ssl.SSLContext | None,
    begin_s: float,
) -> "StationClient":
    from pendel.adapters.ocpp_client import StationClient
    from pendel.comms.ocpp.release import Version
    from pendel.comms.ocpp.station.core import VirtualStation

    rng = random.Random(f"{args.seed}/{name}/{begin_s}")
    station = VirtualStation(_settings(args, name, number), Version(args.version), rng, begin_s)
    client = StationClient(
        station, args.url, password, life.now_s, rng, tls, lambda words: life.say(name, words)
    )
    if tls is not None:
        from pendel.adapters.tls import client_context_of

        client.renewed = partial(client_context_of, args.ca)
    return client


def _settings(args: argparse.Namespace, name: str, number: int) -> "StationSettings":
    from pendel.comms.ocpp.station.equipment import StationSettings

    return StationSettings(
        station_id=name,
        power_max_kw=max(args.power_kw, args.discharge_kw),
        v2x=args.discharge_kw > 0.0,
        is_dc=args.dc,
        serial=f"V{number + 1:06d}",
        meter_interval_s=args.meter_s,
        aligned_s=args.aligned_s,
        call_timeout_s=CALL_TIMEOUT_S * max(args.speed, 1.0),
        follows_clock=args.speed == 1.0,
        nominal_hz=args.nominal_hz,
    )


def _names(args: argparse.Namespace) -> list[str]:
    if args.count == 1:
        return [args.id]
    return [f"{args.id}-{number}" for number in range(1, args.count + 1)]


def _visits(args: argparse.Namespace, begin_s: float) -> "list[Visit]":
    """Who comes when: from the scenario, or one car at each station now."""
    if args.scenario is None:
        return [_visit(args, name, begin_s) for name in _names(args)]
    from pendel.cli.station_life import visits_of
    from pendel.scenario.read import read_scenario

    return visits_of(read_scenario(args.scenario), begin_s)


def _visit(args: argparse.Namespace, name: str, now_s: float) -> "Visit":
    from pendel.cli.station_life import Visit
    from pendel.comms.ocpp.station.equipment import Car

    car = Car(
        capacity_kwh=args.capacity_kwh,
        energy_kwh=args.capacity_kwh * args.soc,
        target_kwh=args.capacity_kwh * args.target_soc,
        energy_min_kwh=args.capacity_kwh * args.min_soc,
        charge_max_kw=args.power_kw,
        discharge_max_kw=args.discharge_kw,
        depart_s=_depart_s(args.depart, now_s),
        id_token=args.rfid,
        battery_model=args.battery,
    )
    return Visit(name, 1, now_s, math.inf, car)


def _depart_s(text: str, now_s: float) -> float:
    """`+8h` or an ISO time to epoch seconds. Raises ValueError."""
    if text.startswith("+") and text.endswith("h"):
        hours = float(text[1:-1])
        if not 0.0 < hours <= 24.0 * 366:
            raise ValueError("more than 0 and at most 8784 hours")
        return now_s + hours * 3_600.0
    from pendel.clock import parse_utc

    return parse_utc(text).timestamp()


def _tls(args: argparse.Namespace) -> ssl.SSLContext | None:
    if not args.url.startswith("wss://"):
        return None
    from pendel.adapters.tls import client_context

    return client_context(args.ca, args.cert, args.key)


def _check(args: argparse.Namespace) -> None:
    """All problems of the arguments at once. Raises InputError."""
    problems: list[Problem] = []

    def within(option: str, value: float, low: float, high: float) -> None:
        if not (math.isfinite(value) and low <= value <= high):
            allowed = f"{low:g} to {high:g}"
            problems.append(Problem("command line", 0, option, f"{value:g}", allowed))

    if not args.url.startswith(("ws://", "wss://")):
        problems.append(Problem("command line", 0, "URL", args.url, "ws://... or wss://..."))
    for option, given in (("--cert", args.cert), ("--key", args.key)):
        if given is not None and not args.url.startswith("wss://"):
            problems.append(Problem("command line", 0, option, "without TLS", "wss://..."))
    if args.scenario is None and not args.id:
        problems.append(Problem("command line", 0, "--id", "missing", "1 to 48 characters"))
    elif args.id and len(args.id) > 48:
        problems.append(Problem("command line", 0, "--id", "too long", "1 to 48 characters"))
    within("--count", args.count, 1, COUNT_MAX)
    within("--capacity-kwh", args.capacity_kwh, 0.1, CAPACITY_MAX_KWH)
    for option, value in (
        ("--soc", args.soc),
        ("--target-soc", args.target_soc),
        ("--min-soc", args.min_soc),
    ):
        within(option, value, 0.0, 1.0)
    within("--power-kw", args.power_kw, 0.1, POWER_MAX_KW)
    within("--discharge-kw", args.discharge_kw, 0.0, POWER_MAX_KW)
    within("--meter-s", args.meter_s, 1.0, 86_400.0)
    within("--voltage", args.voltage, 0.0, 200.0)
    within("--nominal-hz", args.nominal_hz, 45.0, 65.0)
    if args.frequency is not None:
        within("--frequency", args.frequency, 0.0, 1_000.0)
    within("--aligned-s", args.aligned_s, 0.0, 86_400.0)
    within("--speed", args.speed, 0.001, SPEED_MAX)
    if args.hours is not None:
        within("--hours", args.hours, 0.0001, 24.0 * 366)
    try:
        _depart_s(args.depart, datetime.now(UTC).timestamp())
    except ValueError as error:
        allowed = "like +8h or 2027-02-01T07:00:00Z"
        problems.append(Problem("command line", 0, "--depart", f"{args.depart}: {error}", allowed))
    if problems:
        raise InputError(problems)
