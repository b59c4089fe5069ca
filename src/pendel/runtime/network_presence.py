"""Who listens to a charging network, and what is known of each station's line."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from pendel.comms.ocpp.peer import Deviation
from pendel.comms.ocpp.release import Version

INQUIRIES_MAX = 60
QUARANTINED_TEXT_MAX = 128 * 1024
EVENT_ACTIONS = (b"TransactionEvent", b"MeterValues", b"StartTransaction", b"StopTransaction")


class Listener(Protocol):
    """Who wants to know what happens; called on the network's thread, must not block."""

    def heard(self, station_id: str, action: str, payload: Any) -> None:
        """A request was stored and answered."""
        ...

    def came(self, station_id: str, version: Version) -> None:
        """A station connected."""
        ...

    def went(self, station_id: str) -> None:
        """A station has no connection any more."""
        ...


@dataclass(slots=True)
class Presence:
    """What is known of a station's line. last_seen_utc: of the last frame; deviations: breaches
    of the standard since the start (mended ones too), with the last one in words;
    inquiries: when others were asked for its sake."""

    ocpp_version: str = ""
    last_seen_utc: datetime | None = None
    deviations: int = 0
    last_deviation: str = ""
    inquiries: deque[datetime] | None = None

    def may_inquire(self, now_utc: datetime) -> bool:
        """Whether others are asked for this station now: at most INQUIRIES_MAX a minute."""
        if self.inquiries is None:
            self.inquiries = deque(maxlen=INQUIRIES_MAX)
        asked = self.inquiries
        if len(asked) == INQUIRIES_MAX and now_utc - asked[0] < timedelta(minutes=1):
            return False
        asked.append(now_utc)
        return True

    def deviated(self, reason: str) -> None:
        """Count a breach of the standard."""
        self.deviations += 1
        self.last_deviation = reason[:500]


def must_be_kept(deviation: Deviation, text: bytes) -> bool:
    """Whether a broken frame was mended, or may hold what somebody is billed for."""
    kept = deviation.mended or any(name in text for name in EVENT_ACTIONS)
    return kept and len(text) <= QUARANTINED_TEXT_MAX
