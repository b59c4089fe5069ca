"""The `pendel` command: finds the subcommand, runs it, turns what happened into an exit status.

Each command is a module of `pendel.cli` with `configure(parser)` and `run(args) -> Outcome`;
modules are imported only when their command is called, so that starting stays fast.
Exit status: 0 done, 1 fault of the program, 2 bad input, 3 done but something could not be met,
130 interrupted.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

import msgspec

from pendel import __version__
from pendel.cli.outcome import Outcome
from pendel.errors import InputError, NotFoundError, PendelError, StoreError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("pendel.cli.demo", "run a street and a depot of simulated cars, with a live page"),
    "serve": ("pendel.cli.serve", "run the server of a configuration"),
    "simulate": ("pendel.cli.simulate", "run a scenario in closed loop with one strategy"),
    "plan": ("pendel.cli.plan", "plan a scenario, with a proof"),
    "potential": ("pendel.cli.potential", "what a fleet of parked cars could offer"),
    "generate": ("pendel.cli.generate", "a plausible fleet of any size as a scenario folder"),
    "settle": ("pendel.cli.settle", "split, price and bill metered energy, exactly"),
    "station": ("pendel.cli.station", "virtual stations with cars that speak OCPP"),
    "station-password": ("pendel.cli.station_password", "give a charging station its password"),
    "ca": ("pendel.cli.ca", "a small certificate authority for stations over TLS"),
    "token": ("pendel.cli.token", "make a token for the API"),
    "explain": ("pendel.cli.explain", "show the chain of causes behind a setpoint"),
    "bench": ("pendel.cli.bench", "measure pendel beside its peers"),
    "doctor": ("pendel.cli.doctor", "check the installation and a configuration"),
}


def build_parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with the named subcommands configured (all are listed, one is imported)."""
    parser = argparse.ArgumentParser(
        prog="pendel", description="Vehicle-to-Grid, from one home to a million cars."
    )
    parser.add_argument("--version", action="version", version=f"pendel {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary)
        if name in names:
            importlib.import_module(module).configure(sub)
            sub.add_argument(
                "--json", action="store_true", help="print exactly one JSON object on stdout"
            )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    wanted = [word for word in arguments[:1] if word in COMMANDS]
    args = build_parser(wanted).parse_args(arguments)
    try:
        outcome: Outcome = importlib.import_module(COMMANDS[args.command][0]).run(args)
        print_outcome(outcome, as_json=args.json)
    except InputError as error:
        print_problems(error, as_json=args.json)
        return 2
    except (NotFoundError, StoreError) as error:
        print(f"pendel {args.command}: {error}", file=sys.stderr)
        return 2 if isinstance(error, NotFoundError) else 1
    except PendelError as error:
        print(f"pendel {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`pendel ... | head`): not a fault.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return outcome.status


def print_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print the result once: as one JSON object or as words for people."""
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(outcome.data) + b"\n")
    elif outcome.text:
        print(outcome.text)
    sys.stdout.flush()


def print_problems(error: InputError, as_json: bool) -> None:
    """Every problem as `file:line: field: what is wrong (what is allowed)` on stderr."""
    for problem in error.problems:
        print(problem, file=sys.stderr)
    if error.count > len(error.problems):
        print(f"... and {error.count - len(error.problems)} more", file=sys.stderr)
    print(f"{error.count} problem{'s' if error.count != 1 else ''} found", file=sys.stderr)
    if as_json:
        data = {"problems": error.problems, "count": error.count}
        sys.stdout.buffer.write(msgspec.json.encode(data) + b"\n")
        sys.stdout.flush()
