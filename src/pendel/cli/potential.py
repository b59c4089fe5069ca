"""`pendel potential`: what a fleet could offer."""

import argparse

from pendel.cli.outcome import Outcome
from pendel.cli.potential_figures import configure_figures, run_figures


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel potential`."""
    configure_figures(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Quick figures of the options. Raises InputError."""
    return run_figures(args)
