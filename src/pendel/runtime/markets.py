"""The market a server is told to follow ([prices]): a feed, or a file that is kept up to date."""

from pathlib import Path

from pendel.adapters.spot_feed import SOURCES, SpotFeed
from pendel.adapters.spot_prices import SpotFile, check_file
from pendel.config.server import PricesConfig
from pendel.errors import InputError
from pendel.ports import SpotSource


def open_market(prices: PricesConfig | None, folder: Path) -> SpotSource | None:
    """The source of day-ahead prices, running; a file is relative to folder.

    Raises InputError where a file is not there or not in a known shape."""
    if prices is None:
        return None
    if prices.source in SOURCES:
        return SpotFeed(prices.source, prices.zone, prices.timezone)
    path = folder / prices.source
    problems = check_file(path)
    if problems:
        raise InputError(problems)
    return SpotFile(path, prices.timezone)
