"""One message of a station on its way into what is known."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from pendel.comms.ocpp.backend.stations import Network, Station


class Heard(msgspec.Struct, frozen=True, gc=False):
    """One message on its way into the state. transaction_id: that of a 1.6 transaction (given by
    this server); record_id and at_utc: of the record that keeps it; status: what was answered
    where that matters later (BootNotification)."""

    network: Network
    station: Station
    ocpp_version: str
    action: str
    payload: Any
    record_id: str
    at_utc: datetime
    transaction_id: str = ""
    status: str = ""


Learn = Callable[[Heard], list[str]]
"""Takes a message in; returns what was put aside of it, and why."""
