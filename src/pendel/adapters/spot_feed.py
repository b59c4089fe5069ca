"""Fetches day-ahead prices in a thread of its own; who asks never waits for the network.

Asked again every quarter of an hour while prices of tomorrow are due and missing, else each hour;
after a fault in a minute, then ever later. The answers are bounded and read like files.
"""

import threading
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from pendel.adapters.spot_prices import SpotTable, read_json
from pendel.scenario.publication import published_until_s
from pendel.units import QUARTER_HOUR_S

SOURCES = ("energy-charts", "awattar")
ANSWER_BYTES_MAX = 4 << 20
TIMEOUT_S = 20.0
DUE_S, HOURLY_S = 900.0, 3_600.0
RETRY_FIRST_S, RETRY_MAX_S = 60.0, 1_800.0


def url_of(source: str, zone: str, now_utc: datetime) -> str:
    """Where prices from yesterday to tomorrow are. Raises ValueError for an unknown source."""
    first, last = now_utc - timedelta(days=1), now_utc + timedelta(days=2)
    if source == "energy-charts":
        days = f"start={first:%Y-%m-%d}&end={last:%Y-%m-%d}"
        return f"https://api.energy-charts.info/price?bzn={zone or 'DE-LU'}&{days}"
    if source == "awattar":
        land = "at" if zone.upper() == "AT" else "de"
        begin_ms, end_ms = (int(when.timestamp()) * 1000 for when in (first, last))
        return f"https://api.awattar.{land}/v1/marketdata?start={begin_ms}&end={end_ms}"
    raise ValueError(f"{source} is not a source of prices")


def fetch(url: str) -> str:
    """The text behind an address. Raises OSError, ValueError."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read(ANSWER_BYTES_MAX + 1)
    if len(body) > ANSWER_BYTES_MAX:
        raise ValueError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    return body.decode("utf-8")


class SpotFeed:
    """Implements `ports.SpotSource`. source: one of SOURCES; zone: the bidding zone."""

    def __init__(self, source: str, zone: str, timezone: str) -> None:
        self.trouble = f"{source} has not answered yet"
        self._source, self._zone, self._timezone = source, zone, timezone
        self._table = SpotTable()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prices", daemon=True)
        self._thread.start()

    def spot(self, now_utc: datetime) -> Mapping[int, Fraction]:
        """What is published at now_utc and was fetched, by quarter hour [EUR/MWh]."""
        return self._table.known(now_utc, self._timezone)

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _run(self) -> None:
        retry_s = RETRY_FIRST_S
        while not self._stop.is_set():
            wait_s = retry_s
            try:
                now_utc = datetime.now(UTC)
                self.take(fetch(url_of(self._source, self._zone, now_utc)))
                retry_s = RETRY_FIRST_S
                wait_s = HOURLY_S if self._complete(now_utc) else DUE_S
            except Exception as error:  # whatever a foreign server answers, ask again later
                self.trouble = f"{self._source}: {error}"
                retry_s = min(2.0 * retry_s, RETRY_MAX_S)
            self._stop.wait(wait_s)

    def take(self, text: str) -> None:
        """Take an answer in; prices known before stay where it has none. Raises SpotError."""
        new = read_json(text, self._source)
        merged = {**self._table.eur_mwh, **new.eur_mwh}
        newest = max(merged, default=0)
        kept = {q: price for q, price in merged.items() if q > newest - 4 * 96}
        self._table, self.trouble = SpotTable(kept), ""

    def _complete(self, now_utc: datetime) -> bool:
        until_s = published_until_s(int(now_utc.timestamp()), self._timezone)
        return until_s // QUARTER_HOUR_S - 1 in self._table.eur_mwh
