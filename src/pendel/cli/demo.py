"""`pendel demo`: a street and a depot of simulated cars, planned and dispatched by the real
controller, with a live table and a page; `--fast` runs through and writes a report."""

import argparse
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pendel.cli.outcome import Outcome
from pendel.cli.progress import say_when_compiling
from pendel.errors import InputError, Problem, StoreError

EXAMPLES = ("street", "depot")
DEFAULT_OUT = Path("out/demo")
DEFAULT_SPEED = 60.0
SPEED_MAX = 3_600.0
HOURS_MAX = 24.0 * 366
FAST_HOURS = 24.0
TICK_REAL_S = 1.0
LIVE_BEGINS_H = 6
"""A demonstration that is watched begins in the afternoon, when cars have come."""
MODES = ("uncontrolled", "v1g", "v2g")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel demo`."""
    parser.add_argument(
        "--speed",
        type=float,
        default=DEFAULT_SPEED,
        metavar="N",
        help=f"simulated seconds per second (default {DEFAULT_SPEED:g})",
    )
    parser.add_argument(
        "--hours", type=float, metavar="H", help="end after H simulated hours (--fast: 24)"
    )
    parser.add_argument(
        "--fast", action="store_true", help="run as fast as the machine allows, report, end"
    )
    parser.add_argument("--port", type=int, default=8080, help="page (a taken one: the next free)")
    parser.add_argument(
        "--ocpp-port", type=int, default=9000, help="where the stations speak OCPP 2.1 (a taken "
        "one: the next free); with --fast they are part of the process and open no port"
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="store, report, summary.json"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="put an earlier run aside instead of going on with it"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Run until a signal, or for --hours. Raises InputError, StoreError."""
    _check(args)
    say_when_compiling()
    from pendel.runtime.loop import Stop, stop_on_signals

    stop = Stop()
    with stop_on_signals(stop):
        demo = _open(args)
        try:
            if args.fast:
                demo.run_fast(stop)
            else:
                demo.run_live(stop, args.speed, args.port)
            return demo.result(stop)
        finally:
            if demo.fleet is not None:
                demo.fleet.close()
            demo.run.runtime.close()


class _Stopped(Exception):  # noqa: N818 - not an error, a way out of a simulation
    """A signal came while strategies were compared."""


@dataclass(slots=True)
class Demo:
    """A demonstration that is set up; begin_utc: of the run, now_utc: where it goes on."""

    run: Any
    scenarios: list[Any]
    worlds: list[Any]
    out: Path
    begin_utc: datetime
    now_utc: datetime
    until_utc: datetime | None
    asked_hours: float | None
    fleet: Any = None

    def run_fast(self, stop: Any) -> None:
        """Tick at each quarter hour without waiting."""
        from pendel.cli.live_table import PlainLines
        from pendel.clock import SimulatedClock
        from pendel.errors import require
        from pendel.runtime.loop import Loop

        lines = PlainLines(self.run.runtime)
        clock = SimulatedClock(self.now_utc)
        loop = Loop(
            self.run.runtime, clock, TICK_REAL_S, stop, lines.show, next_event=self.next_event
        )
        require(self.until_utc is not None, "a fast run has an end")
        if self.until_utc is not None:
            loop.run_fast(self.until_utc, self.scenarios[0].horizon.step_s)

    def next_event(self, now_utc: datetime) -> datetime | None:
        """When the next car comes or goes anywhere."""
        times: list[datetime] = [world.next_event(now_utc) for world in self.worlds]
        return min(times, default=None)

    def run_live(self, stop: Any, speed: float, port: int) -> None:
        """Tick each second, show a table and serve the page."""
        from pendel.api.auth import Gate
        from pendel.api.service import Service
        from pendel.cli.live_table import display_for
        from pendel.clock import RealClock
        from pendel.runtime.loop import Loop
        from pendel.web.pages import create_web_app
        from pendel.web.server import NEXT_PORTS, HttpServer, bind

        runtime = self.run.runtime
        service = Service(runtime, Gate(open_demo=True), ready={"store": lambda: True})
        listener = bind("127.0.0.1", port, NEXT_PORTS)
        server = HttpServer(create_web_app(service), service, listener)
        if server.port != port:
            _say(f"port {port} is taken, the page is on {server.port}")
        _say(f"simulated street and depot, {speed:g} times as fast as the world: {server.address}")
        server.start()
        display = display_for(runtime, f"pendel demo (simulated), page: {server.address}")
        clock = RealClock(speed, self.now_utc)
        loop = Loop(
            runtime, clock, TICK_REAL_S * speed, stop, display.show, next_event=self.next_event
        )
        try:
            loop.run(self.until_utc)
        finally:
            display.close()
            server.stop()

    def result(self, stop: Any) -> Outcome:
        """What was reached; a run that came to its end is reported and closed."""
        runtime = self.run.runtime
        data = self.counts()
        runs = None if stop.asked else self.compare(stop)
        if runs is not None:
            data = {"strategies": {run.strategy: run.summary for run in runs}, **data}
            data["statements"] = self.settle(runs)
            self.write(data)
            runtime.note("demo", {"phase": "finished", "scenarios": _names()})
        return Outcome(data=data, text=_words(data, self.out, ended=runs is not None))

    def counts(self) -> dict[str, Any]:
        """The numbers of the live run."""
        from pendel.clock import format_utc

        runtime = self.run.runtime
        state = runtime.state
        now_utc = runtime.now_utc or self.begin_utc
        return {
            "stations": sum(len(area.stations) for area in runtime.areas),
            "transactions": len(state.sessions) + state.sessions_ended,
            "setpoints": state.counts.get("setpoint", 0),
            "limits_broken": state.limits_broken,
            "promises_total": state.promises_total,
            "promises_kept": state.promises_kept,
            "deviations": state.counts.get("deviation", 0),
            "events": runtime.store.last_sequence,
            "from_utc": format_utc(self.begin_utc),
            "until_utc": format_utc(now_utc),
            "simulated": True,
            "store": str(self.run.path),
        }

    def compare(self, stop: Any) -> list[Any] | None:
        """The same cars under each strategy, by the simulator; writes report.html. None where a
        signal came in between."""
        from pendel.records import Mode
        from pendel.sim.combine import combined, first_steps
        from pendel.sim.engine import simulate
        from pendel.sim.report import write_report

        scenario = combined(self.scenarios, "street and depot")
        step_s = scenario.horizon.step_s
        hours = self.asked_hours or scenario.horizon.steps * step_s / 3_600
        scenario = first_steps(scenario, max(int(hours * 3_600) // step_s, 1))

        def watch(done: int, steps: int) -> None:
            if stop.asked:
                raise _Stopped

        runs = []
        try:
            for mode in MODES:
                _say(f"comparing: {mode}")
                runs.append(simulate(scenario, Mode(mode), progress=watch))
        except _Stopped:
            return None
        write_report(self.out / "report.html", runs)
        return runs

    def settle(self, runs: list[Any]) -> int:
        """Statements of each site and driver with the other strategies beside; how many."""
        from pendel.cli.settle_run import settle_demo

        _say("settling: statements of sites and drivers")
        return settle_demo(self.run.runtime.store, runs, self.out)

    def write(self, data: dict[str, Any]) -> None:
        """summary.json, in one piece; it comes last, so that where it is the rest is complete."""
        from pendel.scenario.results import json_text

        draft = self.out / ".summary.json.tmp"
        draft.write_text(json_text(data), "utf-8")
        draft.replace(self.out / "summary.json")


def _open(args: argparse.Namespace) -> Demo:
    from pendel.cli.demo_store import STARTED, TOPIC, open_demo
    from pendel.scenario.examples import example_folder
    from pendel.scenario.read import read_scenario
    from pendel.sim.virtual_area import virtual_area

    scenarios = [read_scenario(example_folder(name)) for name in EXAMPLES]
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        run = open_demo(args.out, _names(), args.fresh)
    except StoreError as error:
        raise StoreError(f"{error}\n(--fresh puts it aside and begins anew)") from error
    begin_utc = run.start_utc or scenarios[0].horizon.start_utc + timedelta(
        hours=0 if args.fast else LIVE_BEGINS_H
    )
    now_utc = run.resumed_utc or begin_utc
    fleet = None if args.fast else _fleet(scenarios, now_utc, args.ocpp_port)
    worlds = []
    for scenario in scenarios:
        area, world = virtual_area(scenario, now_utc, run.runtime.state, fleet=fleet)
        run.runtime.areas.append(area)
        worlds.append(world)
    run.runtime.start(now_utc)
    hours = args.hours if args.hours is not None else FAST_HOURS if args.fast else None
    if run.resumed_utc is None:
        run.runtime.note(TOPIC, {"phase": STARTED, "scenarios": _names()})
    else:
        _say(f"going on where an earlier run stopped, at {now_utc:%Y-%m-%d %H:%M} UTC")
    (args.out / "summary.json").unlink(missing_ok=True)
    (args.out / "report.html").unlink(missing_ok=True)
    until_utc = None if hours is None else begin_utc + timedelta(hours=hours)
    return Demo(run, scenarios, worlds, args.out, begin_utc, now_utc, until_utc, hours, fleet)


def _fleet(scenarios: list[Any], now_utc: datetime, port: int) -> Any:
    """The stations on OCPP 2.1. Raises InputError where no port is free."""
    from pendel.sim.ocpp_fleet import OcppFleet
    from pendel.sim.ocpp_world import stations_of

    try:
        fleet = OcppFleet(stations_of(scenarios), now_utc.timestamp(), port)
    except OSError as error:
        raise InputError([Problem("demo", 0, "--ocpp-port", str(error), "a free port")]) from error
    _say(f"{len(fleet.clients)} stations speak OCPP 2.1 on ws://127.0.0.1:{fleet.port}/ocpp")
    return fleet


def _check(args: argparse.Namespace) -> None:
    """All problems of the arguments at once. Raises InputError."""
    problems = []
    if not 0.0 < args.speed <= SPEED_MAX:
        problems.append(Problem("demo", 0, "--speed", f"{args.speed}", f"above 0 to {SPEED_MAX:g}"))
    if args.hours is not None and not 0.0 < args.hours <= HOURS_MAX:
        problems.append(Problem("demo", 0, "--hours", f"{args.hours}", f"above 0 to {HOURS_MAX:g}"))
    for name, port in (("--port", args.port), ("--ocpp-port", args.ocpp_port)):
        if not 0 <= port <= 65_535:
            problems.append(Problem("demo", 0, name, f"{port}", "0 to 65535 (0 = any free one)"))
    if args.out.exists() and not args.out.is_dir():
        problems.append(Problem(args.out.name, 0, "--out", "is not a folder", "a folder"))
    if problems:
        raise InputError(problems)


def _names() -> str:
    return " ".join(EXAMPLES)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _words(data: dict[str, Any], out: Path, ended: bool) -> str:
    lines = [
        f"{data['from_utc']} to {data['until_utc']}, simulated: {data['transactions']} cars at "
        f"{data['stations']} stations, {data['setpoints']} setpoints",
        f"promises kept: {data['promises_kept']} of {data['promises_total']}; "
        f"limits broken: {data['limits_broken']}",
    ]
    for name, summary in data.get("strategies", {}).items():
        lines.append(
            f"{name:>14}: {summary['cost_eur']:9.2f} EUR, promises kept "
            f"{summary['promises_kept']} of {summary['promises_total']}"
        )
    if ended:
        lines.append(f"report: {out / 'report.html'}")
        lines.append(f"statements: {data['statements']} in {out / 'statements'}")
    lines.append(f"why? pendel explain ID --store {data['store']}")
    if not ended:
        lines.append("start again to go on from here")
    return "\n".join(lines)
