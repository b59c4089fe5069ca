"""What the backend knows of its stations: the fold of their messages, oldest first."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec import UNSET

from pendel.comms.ocpp.backend.external_limits import ExternalLimit, Key
from pendel.comms.ocpp.backend.transactions import Transaction

VARIABLES_MAX = 10_000
NOTICES_KEPT = 50
ENDED_KEPT = 100_000
"""Ended transactions a station's memory holds; older ones are in the log only."""


@dataclass(slots=True)
class Evse:
    """One EVSE (in 1.6: one connector). needs: the chargingNeeds told last, typed; needs_soc,
    needs_import_kwh, needs_export_kwh: SoC and transaction registers at that moment. heard_utc:
    when something measured or asked came in, by this server's clock."""

    evse_id: int
    status: dict[int, str] = field(default_factory=dict)
    transaction_id: str = ""
    needs: Any = None
    needs_utc: datetime | None = None
    needs_soc: float | None = None
    needs_import_kwh: float = 0.0
    needs_export_kwh: float = 0.0
    heard_utc: datetime | None = None
    power_w: float | None = None
    soc: float | None = None
    measured_utc: datetime | None = None

    @property
    def told_status(self) -> str:
        """Status as told last; the busiest connector speaks for the EVSE."""
        told = list(self.status.values())
        if not told:
            return "Occupied" if self.transaction_id else "Unknown"
        return next((s for s in told if s not in ("Available", "Unavailable")), told[0])


@dataclass(frozen=True, slots=True)
class DerAlarm:
    """A DER control moves the station's power away from its order (2.1, R05). record_id: of the
    message that told it."""

    control_type: str
    grid_event: str
    since_utc: datetime
    record_id: str


@dataclass(slots=True)
class Station:
    """One station. dynamic: per profile id the update it may pull (2.1, K28); tasks: newest
    notices by topic (security events, firmware, logs, DER alarms, limits); security_profile: the
    highest it ever came by (0 = 1 at most); der_causes: by id and type of a DER control the record
    that asked for it; der_alarm: the one that stands."""

    station_id: str
    ocpp_version: str = ""
    security_profile: int = 0
    booted: bool = False
    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware: str = ""
    evses: dict[int, Evse] = field(default_factory=dict)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    starts_16: dict[bytes, str] = field(default_factory=dict)
    variables: dict[tuple[str, int, str], str] = field(default_factory=dict)
    notices: dict[str, deque[Any]] = field(default_factory=dict)
    external_limits: dict[Key, ExternalLimit] = field(default_factory=dict)
    profiles: dict[int, Any] = field(default_factory=dict)
    der_controls: dict[str, Any] = field(default_factory=dict)
    der_causes: dict[str, str] = field(default_factory=dict)
    der_alarm: DerAlarm | None = None
    dynamic: dict[int, dict[str, float]] = field(default_factory=dict)
    streams: dict[int, Any] = field(default_factory=dict)

    def evse(self, evse_id: int) -> Evse:
        """The EVSE of an id, made when it is first heard of."""
        found = self.evses.get(evse_id)
        if found is None:
            found = self.evses[evse_id] = Evse(evse_id)
        return found

    def note(self, topic: str, payload: Any) -> None:
        """Remember a notice, at most NOTICES_KEPT of a topic."""
        self.notices.setdefault(topic, deque(maxlen=NOTICES_KEPT)).append(payload)

    def variable(self, component: str, name: str, evse_id: int = 0) -> str | None:
        """Value of a variable as reported: that of the EVSE, else that of the station."""
        found = self.variables.get((component, evse_id, name))
        return self.variables.get((component, 0, name)) if found is None else found

    def open_transactions(self) -> list[Transaction]:
        """Transactions without an end."""
        return [t for t in list(self.transactions.values()) if t.is_open]


@dataclass(slots=True)
class Network:
    """All stations; transaction_number: the highest number given to a 1.6 transaction."""

    stations: dict[str, Station] = field(default_factory=dict)
    transaction_number: int = 0

    def station(self, station_id: str) -> Station:
        """The station of an id, made when it is first heard of."""
        found = self.stations.get(station_id)
        if found is None:
            found = self.stations[station_id] = Station(station_id)
        return found


def variable_name(variable: Any) -> str:
    """`name`, or `name[instance]` (VariableType of 2.x)."""
    if variable.instance is UNSET:
        return str(variable.name)
    return f"{variable.name}[{variable.instance}]"
