"""`pendel potential`: what a fleet could offer.

Without a scenario: quick figures (cars times shares times kilowatts). With one: its flexibility as
a product, envelopes, guaranteed schedules and the price of each kilowatt.
"""

import argparse

from pendel.cli.options import COMMAND_LINE
from pendel.cli.outcome import Outcome
from pendel.cli.potential_figures import asks_for_figures, configure_figures, run_figures
from pendel.cli.potential_scenario import configure_scenario, run_scenario
from pendel.errors import InputError, Problem

SCENARIO_ONLY = ("out", "follow")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel potential`."""
    configure_scenario(parser)
    configure_figures(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Flexibility of a scenario, or quick figures. Raises InputError."""
    if args.scenario is None:
        stray = [name for name in SCENARIO_ONLY if getattr(args, name) is not None]
        if stray:
            text = "needs a scenario folder"
            raise InputError([Problem(COMMAND_LINE, 0, f"--{name}", text) for name in stray])
        return run_figures(args)
    if asks_for_figures(args):
        text = "quick figures and a scenario exclude each other"
        raise InputError([Problem(COMMAND_LINE, 0, "SCENARIO", text, "one of them")])
    return run_scenario(args)
