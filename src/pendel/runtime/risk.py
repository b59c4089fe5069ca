"""How sure a promise is, in one word and in hours to spare."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pendel.runtime.state import SessionView
from pendel.units import PROMISE_TOLERANCE_KWH, SECONDS_PER_HOUR

TIGHT_H = 1.0
"""With less than this to spare [h] a promise is said to be tight."""


class Risk(StrEnum):
    """Worst first."""

    LATE = "late"  # even charging at once does not reach it any more
    TIGHT = "tight"  # it is reached, with less than an hour to spare
    ON_THE_WAY = "on the way"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Outlook:
    """risk; spare_h: hours that may pass before charging at full power must begin."""

    risk: Risk
    spare_h: float

    @property
    def rank(self) -> tuple[int, float]:
        """Sort key, most urgent first."""
        return (list(Risk).index(self.risk), self.spare_h)

    @property
    def will_be_kept(self) -> bool:
        """Whether the promise can still be kept."""
        return self.risk != Risk.LATE


def outlook(view: SessionView, energy_kwh: float, now_utc: datetime) -> Outlook:
    """How the promise of a session stands with energy_kwh in the battery now."""
    promise, event = view.promise, view.event
    if promise is None:
        return Outlook(Risk.READY, float("inf"))
    hours = (promise.ready_by_utc - now_utc).total_seconds() / SECONDS_PER_HOUR
    lacking_kwh = promise.target_kwh - energy_kwh
    if lacking_kwh <= PROMISE_TOLERANCE_KWH:
        return Outlook(Risk.READY, max(hours, 0.0))
    rate_kw = event.charge_max_kw * event.charge_efficiency
    needed_h = lacking_kwh / rate_kw if rate_kw > 0.0 else float("inf")
    reached_within = lacking_kwh - PROMISE_TOLERANCE_KWH
    if max(hours, 0.0) * rate_kw < reached_within:
        return Outlook(Risk.LATE, hours - needed_h)
    spare_h = hours - needed_h
    return Outlook(Risk.TIGHT if spare_h < TIGHT_H else Risk.ON_THE_WAY, spare_h)
