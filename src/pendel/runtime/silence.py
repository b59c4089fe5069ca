"""Ports that nothing is connected to: no readings, no cars, no prices, orders go nowhere."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from pendel.records import Needs, Reading, SessionEvent, Setpoint


class Silence:
    """Implements ChargerPort, MeterPort, PlugPort and PriceSource for a site without devices."""

    def apply(self, setpoints: Iterable[Setpoint]) -> None:
        """There is nobody to order."""

    def readings(self, now_utc: datetime) -> Sequence[Reading]:
        """Nothing is measured."""
        return ()

    def plug_events(self, now_utc: datetime) -> Sequence[SessionEvent | Needs]:
        """Nobody comes or goes."""
        return ()

    def published(
        self, site_id: str, now_utc: datetime
    ) -> tuple[Sequence[datetime], Sequence[float], Sequence[float]]:
        """No prices are known."""
        return (), (), ()
