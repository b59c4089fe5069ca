"""Who listens to a charging network, and what is known of each station's line."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pendel.comms.ocpp.peer import Deviation
from pendel.comms.ocpp.release import Version

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


class Duties(Protocol):
    """What a backend does of itself with a station; called on the network's thread."""

    def came(self, station_id: str) -> None:
        """A station connected."""
        ...

    def heard(self, station_id: str, action: str, payload: Any) -> None:
        """A request was stored and answered."""
        ...

    def answered(self, station_id: str, action: str) -> None:
        """A station answered an order."""
        ...

    def tokens_changed(self) -> None:
        """An operator set or deleted a token."""
        ...


@dataclass(slots=True)
class Presence:
    """What is known of a station's line. last_seen_utc: of the last frame; deviations: breaches
    of the standard since the start (mended ones too), with the last one in words."""

    ocpp_version: str = ""
    last_seen_utc: datetime | None = None
    deviations: int = 0
    last_deviation: str = ""

    def deviated(self, reason: str) -> None:
        """Count a breach of the standard."""
        self.deviations += 1
        self.last_deviation = reason[:500]


def must_be_kept(deviation: Deviation, text: bytes) -> bool:
    """Whether a broken frame was mended, or may hold what somebody is billed for."""
    kept = deviation.mended or any(name in text for name in EVENT_ACTIONS)
    return kept and len(text) <= QUARANTINED_TEXT_MAX
