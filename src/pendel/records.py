"""What crosses between layers and siblings: plain immutable records with an id and a cause.

`cause` names the record (or records) that made this one necessary; following causes from a
setpoint leads back over tick, plan and promise to the signal that started it (`pendel explain`).
All powers follow the sign rule of `pendel.units`; limits are amounts, never signed.
"""

from datetime import datetime
from enum import StrEnum

import msgspec


class Mode(StrEnum):
    """How much of a car's flexibility may be used (nomenclature)."""

    UNCONTROLLED = "uncontrolled"  # charges at full power from arrival to the target
    V1G = "v1g"  # shifts charging, never discharges
    V2H = "v2h"  # discharges at most what the home uses
    V2B = "v2b"  # discharges at most what the building uses
    V2G = "v2g"  # discharges up to the site's export limit


class Rank(StrEnum):
    """Order of precedence in dispatch, strongest first."""

    SAFETY = "safety"
    GRID_LIMIT = "grid_limit"
    PROMISE = "promise"
    SERVICE = "service"
    PLAN = "plan"
    COMFORT = "comfort"


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of everything that is kept: who it is, when it was made, and because of what.

    id: unique in one log; at_utc: when it became known; causes: ids of the records behind it.
    """

    id: str
    at_utc: datetime
    causes: tuple[str, ...] = ()


class Signal(Record, frozen=True, tag="signal"):
    """Something to react to: prices, frequency, an operator's wish, an event.

    topic: e.g. "price", "outage", "operator"; detail: plain data as published;
    published_utc: when the world could know it (no peeking: nothing uses it earlier).
    """

    topic: str
    published_utc: datetime
    detail: dict[str, float | str | list[float]] = msgspec.field(default_factory=dict)


class Limit(Record, frozen=True, tag="limit"):
    """An order that may not be broken. Amounts in kW; None leaves that direction unchanged."""

    site_id: str
    source: str
    import_limit_kw: float | None = None
    export_limit_kw: float | None = None
    from_utc: datetime | None = None
    until_utc: datetime | None = None


class Needs(Record, frozen=True, tag="needs"):
    """What the driver or car asks for. Energies in kWh; None = not stated.

    Anybody may tighten a promise through needs; nobody may loosen one that was given.
    """

    session_id: str
    target_kwh: float | None = None
    energy_min_kwh: float | None = None
    ready_by_utc: datetime | None = None
    charge_now: bool = False
    paused: bool = False
    source: str = "driver"


class Promise(Record, frozen=True, tag="promise"):
    """What the driver was told: ready by, with how much, never below, how surely.

    target_kwh is what will be there; asked_kwh what was wished. Where they differ, `reason` says
    why in words for people. confidence: probability aimed at, early leaving included.
    """

    session_id: str
    ready_by_utc: datetime
    target_kwh: float
    asked_kwh: float
    energy_min_kwh: float
    confidence: float
    reason: str = ""


class Flexibility(Record, frozen=True, tag="flexibility"):
    """Power limits and energy window of a device from now on (cf. EN 50491-12-2, S2 FRBC).

    charge_max_kw, discharge_max_kw >= 0 [kW]; energies stored [kWh].
    """

    device_id: str
    site_id: str
    charge_max_kw: float
    discharge_max_kw: float
    energy_kwh: float
    energy_min_kwh: float
    capacity_kwh: float
    until_utc: datetime | None = None


class Reading(Record, frozen=True, tag="reading"):
    """What a device or meter measured. power_kw signed; registers in kWh count up per direction."""

    device_id: str
    site_id: str
    power_kw: float
    energy_kwh: float | None = None
    import_kwh: float | None = None
    export_kwh: float | None = None
    simulated: bool = False


class PlanRecord(Record, frozen=True, tag="plan"):
    """A verified plan of one site: what each device should do per step.

    power_kw: per device id the planned AC power per step [kW], steps of step_s from begin_utc.
    objective_eur, bound_eur: what it costs over its horizon and a proven lower bound of that; None
    where the method knows none. sites: how many sites planned together the amounts are for.
    """

    site_id: str
    begin_utc: datetime
    step_s: int
    objective_eur: float | None
    bound_eur: float | None
    shortfall_kwh: float
    method: str
    power_kw: dict[str, list[float]] = msgspec.field(default_factory=dict)
    unmet: dict[str, str] = msgspec.field(default_factory=dict)
    sites: int = 1


class Setpoint(Record, frozen=True, tag="setpoint"):
    """An order to one device: AC power [kW] until until_utc, then its fallback.

    rank and reason say which rule decided; requested_kw is what the plan alone would have said.
    """

    device_id: str
    site_id: str
    power_kw: float
    requested_kw: float
    rank: Rank
    reason: str
    until_utc: datetime
    simulated: bool = False


class Delivery(Record, frozen=True, tag="delivery"):
    """Energy of one device in one quarter hour, as exact decimal strings [kWh] for settlement."""

    device_id: str
    site_id: str
    begin_utc: datetime
    import_kwh: str
    export_kwh: str


class SessionEvent(Record, frozen=True, tag="session"):
    """A car was plugged in or unplugged.

    phase: "plugged" or "unplugged"; energies stored [kWh]; the static data of the car rides along
    so that replaying the log alone rebuilds the state. device_id: where it is plugged in, as
    "station_id/evse_id" ("" = a device of its own, named like the session). charge_least_kw,
    discharge_least_kw: less than this the car cannot do other than nothing (0: it can).
    """

    session_id: str
    site_id: str
    phase: str
    capacity_kwh: float
    energy_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    wear_eur_kwh: float = 0.0
    vehicle_id: str = ""
    stated_depart_utc: datetime | None = None
    device_id: str = ""
    terminal_eur_kwh: float = 0.0
    simulated: bool = False
    charge_least_kw: float = 0.0
    discharge_least_kw: float = 0.0


class Tick(Record, frozen=True, tag="tick"):
    """One round of control: which plan it followed and in what health the inputs were."""

    plan_id: str
    health: str = "ok"


class Deviation(Record, frozen=True, tag="deviation"):
    """A device does something else than it was ordered: found by reading it afterwards.

    ordered_kw, measured_kw signed; `ended` is True in the record that says it follows again.
    """

    device_id: str
    site_id: str
    ordered_kw: float
    measured_kw: float
    reason: str
    ended: bool = False


class StationMessage(Record, frozen=True, tag="station_message"):
    """A message of a charging station as it came, or an order to one with its answer.

    payload, response: the JSON text of the wire (signed meter values included), so that the state
    of the network is the fold of these records. transaction_id: the transaction it belongs to
    ("" = none; in 1.6 the one the server gave). refused: what was put aside (quarantined) and
    why; the text itself is kept. outgoing: an order of this server; status says what came of it.
    """

    station_id: str
    ocpp_version: str
    action: str
    message_id: str
    payload: str
    transaction_id: str = ""
    refused: tuple[str, ...] = ()
    outgoing: bool = False
    response: str = ""
    status: str = ""


class StationSecurity(Record, frozen=True, tag="station_security"):
    """A station came by a higher security profile (2 or 3) than before; from now on no lower one
    is taken. certificate: serial number (hex) of what it showed, "" = none."""

    station_id: str
    security_profile: int
    certificate: str = ""


class NetworkSetting(Record, frozen=True, tag="network_setting"):
    """What an operator decided about a station or a token while the network runs; the newest of a
    topic and name holds, before what the configuration says. topic: boot, password or id_token;
    name: a station_id or a token; detail: JSON text, read by `runtime.network_settings`."""

    topic: str
    name: str
    detail: str


class StationAlarm(Record, frozen=True, tag="station_alarm"):
    """Something about a station that an operator should look at. topic: certificate_refused (it did
    not take what was signed for it); causes: the messages it came of."""

    station_id: str
    topic: str
    text: str


class StationRoot(Record, frozen=True, tag="station_root"):
    """A root that this server installed at a station, or deleted there again. root_type: as in
    OCPP 2.1; certificate: PEM."""

    station_id: str
    root_type: str
    certificate: str
    installed: bool


AnyRecord = (
    Signal
    | Limit
    | Needs
    | Promise
    | Flexibility
    | Reading
    | PlanRecord
    | Setpoint
    | Delivery
    | SessionEvent
    | Tick
    | Deviation
    | StationMessage
    | StationAlarm
    | StationRoot
    | StationSecurity
    | NetworkSetting
)
