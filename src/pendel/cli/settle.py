"""`pendel settle`: from meter values to kilowatt hours and money, exact to the last digit."""

import argparse

from pendel.cli import settle_mispel, settle_run, settle_tariff, settle_verify
from pendel.cli.outcome import Outcome

MODULES = (settle_mispel, settle_tariff, settle_run, settle_verify)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands; `--json` may stand before or after their arguments."""
    commands = parser.add_subparsers(dest="settle_command", metavar="WHAT", required=True)
    for module in MODULES:
        for sub in module.configure(commands):
            sub.add_argument(
                "--json",
                action="store_true",
                default=argparse.SUPPRESS,
                help="print exactly one JSON object on stdout",
            )


def run(args: argparse.Namespace) -> Outcome:
    """Run the chosen subcommand. Raises InputError with every problem of the input."""
    outcome: Outcome = args.settle_run(args)
    return outcome
