"""Records in words for people: one line each, powers and energies with their units."""

from datetime import UTC, datetime
from math import isfinite

import msgspec

from pendel.records import (
    AnyRecord,
    Delivery,
    Deviation,
    Flexibility,
    Limit,
    Needs,
    NetworkSetting,
    PlanRecord,
    Promise,
    Rank,
    Reading,
    SessionEvent,
    Setpoint,
    Signal,
    StationAlarm,
    StationMessage,
    StationRoot,
    StationSecurity,
    Tick,
)

RANK_WORDS = {
    Rank.SAFETY: "safety",
    Rank.GRID_LIMIT: "a limit",
    Rank.PROMISE: "the promise",
    Rank.SERVICE: "a sold service",
    Rank.PLAN: "the plan",
    Rank.COMFORT: "comfort",
}
EPOCH_FIELDS = frozenset({"begin_s", "until_s", "start_s"})
TEXT_SHOWN = 300
"""Characters of a text in a signal that are shown."""
IDLE_KW = 0.05
"""Below this a car is said to wait [kW]."""


def clock_text(when_utc: datetime) -> str:
    """`2026-03-01 06:00:00 UTC`, to the second."""
    return when_utc.strftime("%Y-%m-%d %H:%M:%S UTC")


def power_text(power_kw: float) -> str:
    """What a device does at this power [kW, positive = charging].

    >>> [power_text(p) for p in (11.0, -3.25, 0.0)]
    ['charge with 11.0 kW', 'discharge with 3.2 kW', 'wait']
    """
    if abs(power_kw) < IDLE_KW:
        return "wait"
    return f"{'charge' if power_kw > 0.0 else 'discharge'} with {abs(power_kw):.1f} kW"


def words(record: AnyRecord) -> str:
    """One line that says what the record is about, without its id and time."""
    match record:
        case Setpoint():
            return _setpoint(record)
        case Tick():
            return f"round of control, inputs {record.health}"
        case PlanRecord():
            return _plan(record)
        case Promise():
            return _promise(record)
        case Limit():
            return _limit(record)
        case Needs():
            return _needs(record)
        case Signal():
            return _signal(record)
        case SessionEvent():
            return _session(record)
        case Reading():
            energy = "" if record.energy_kwh is None else f", {record.energy_kwh:.1f} kWh stored"
            return f"{_what(record)}{record.device_id} measured {record.power_kw:+.1f} kW{energy}"
        case Deviation():
            return _deviation(record)
        case Flexibility():
            return (
                f"{record.device_id} can take {record.charge_max_kw:.1f} kW and give "
                f"{record.discharge_max_kw:.1f} kW"
            )
        case Delivery():
            return (
                f"{record.device_id} from {clock_text(record.begin_utc)}: "
                f"{record.import_kwh} kWh in, {record.export_kwh} kWh out"
            )
        case StationMessage():
            return _message(record)
        case StationAlarm():
            return f"{record.station_id}: {record.text}"
        case StationRoot():
            verb = "got" if record.installed else "lost"
            return f"{record.station_id} {verb} a root of type {record.root_type}"
        case StationSecurity():
            return (
                f"{record.station_id} came by security profile {record.security_profile}; "
                "no lower one is taken from now on"
            )
        case NetworkSetting():
            return f"an operator set {record.topic.replace('_', ' ')} of {record.name}"


def _message(record: StationMessage) -> str:
    name = record.action or "a message that could not be read"
    if record.outgoing:
        return f"{record.station_id} was sent {name}: {record.status}"
    text = f"{record.station_id} sent {name}{_der(record)}"
    if record.transaction_id:
        text += f" of transaction {record.transaction_id}"
    return f"{text} (put aside: {'; '.join(record.refused)})" if record.refused else text


def _der(record: StationMessage) -> str:
    """What a message about a DER control says."""
    if record.action not in ("NotifyDERAlarm", "NotifyDERStartStop"):
        return ""
    told = msgspec.json.decode(record.payload)
    if record.action == "NotifyDERStartStop":
        gone = ", ".join(told.get("supersededIds", ()))
        more = f" in place of {gone}" if gone else ""
        return f": {told['controlId']} {'began' if told['started'] else 'ended'}{more}"
    event = f" after {told['gridEventFault']}" if "gridEventFault" in told else ""
    state = "lets go of" if told.get("alarmEnded") else "changes"
    return f": {told['controlType']} {state} its power{event}"


def _what(record: Setpoint | Reading | SessionEvent) -> str:
    return "simulated " if record.simulated else ""


def _setpoint(record: Setpoint) -> str:
    text = (
        f"{_what(record)}{record.device_id} shall {power_text(record.power_kw)} until "
        f"{clock_text(record.until_utc)}, because of {RANK_WORDS[record.rank]}: {record.reason}"
    )
    if abs(record.requested_kw - record.power_kw) >= IDLE_KW:
        text += f" (the plan alone: {power_text(record.requested_kw)})"
    return text


def _plan(record: PlanRecord) -> str:
    lacking = f", {record.shortfall_kwh:.1f} kWh short" if record.shortfall_kwh > 0.05 else ""
    return (
        f"plan of {record.site_id} from {clock_text(record.begin_utc)} by {record.method} for "
        f"{len(record.power_kw)} devices: {plan_cost_text(record)}{lacking}"
    )


def plan_cost_text(record: PlanRecord) -> str:
    """What a plan costs and how near that is to the least possible, as far as it is known."""
    if record.objective_eur is None:
        return "what it costs as a whole is not computed"
    together = f" for {record.sites} sites together" if record.sites > 1 else ""
    text = f"{record.objective_eur:.2f} EUR{together}"
    if record.bound_eur is None or not isfinite(record.bound_eur):
        return f"{text}, no bound is proven"
    return f"{text}, at least {record.bound_eur:.2f} EUR were needed"


def _promise(record: Promise) -> str:
    text = (
        f"{record.session_id} was promised {record.target_kwh:.1f} kWh by "
        f"{clock_text(record.ready_by_utc)}, never below {record.energy_min_kwh:.1f} kWh, "
        f"to be kept with {100.0 * record.confidence:g} % certainty"
    )
    if record.asked_kwh - record.target_kwh > 0.05:
        text += f" (asked: {record.asked_kwh:.1f} kWh)"
    return f"{text}: {record.reason}" if record.reason else text


def _limit(record: Limit) -> str:
    parts = [
        f"{name} at most {value:.1f} kW"
        for name, value in (
            ("import", record.import_limit_kw),
            ("export", record.export_limit_kw),
        )
        if value is not None
    ]
    begin = "" if record.from_utc is None else f" from {clock_text(record.from_utc)}"
    end = "" if record.until_utc is None else f" until {clock_text(record.until_utc)}"
    what = " and ".join(parts) or "nothing"
    return f"limit of {record.site_id} by {record.source}: {what}{begin}{end}"


def _needs(record: Needs) -> str:
    parts = []
    if record.target_kwh is not None:
        parts.append(f"{record.target_kwh:.1f} kWh")
    if record.ready_by_utc is not None:
        parts.append(f"by {clock_text(record.ready_by_utc)}")
    if record.energy_min_kwh is not None:
        parts.append(f"never below {record.energy_min_kwh:.1f} kWh")
    if record.charge_now:
        parts.append("charge now")
    if record.paused:
        parts.append("pause")
    return f"the {record.source} of {record.session_id} wants {', '.join(parts) or 'the usual'}"


def _signal(record: Signal) -> str:
    topic = record.topic.replace("_", " ")
    told = "; ".join(_detail(key, value) for key, value in record.detail.items())
    return f"signal {topic}, published {clock_text(record.published_utc)}: {told or 'no detail'}"


def _detail(key: str, value: float | str | list[float]) -> str:
    """One field of a signal: times as times, series as their range."""
    if isinstance(value, list):
        if not value:
            return f"{key} nothing"
        return f"{key} {len(value)} values from {min(value):.3f} to {max(value):.3f}"
    if isinstance(value, float) and key in EPOCH_FIELDS:
        return f"{key.removesuffix('_s')} {clock_text(datetime.fromtimestamp(value, UTC))}"
    if isinstance(value, float):
        return f"{key} {value:g}"
    return f"{key} {value if len(value) <= TEXT_SHOWN else value[:TEXT_SHOWN] + '...'}"


def _session(record: SessionEvent) -> str:
    share = record.energy_kwh / record.capacity_kwh if record.capacity_kwh > 0.0 else 0.0
    text = (
        f"{_what(record)}{record.vehicle_id or record.session_id} {record.phase} at "
        f"{record.site_id} with {record.energy_kwh:.1f} kWh ({share:.0%})"
    )
    if record.phase == "plugged" and record.stated_depart_utc is not None:
        text += f", says it leaves at {clock_text(record.stated_depart_utc)}"
    return text


def _deviation(record: Deviation) -> str:
    state = "follows again" if record.ended else "does not follow"
    return (
        f"{record.device_id} {state}: ordered {record.ordered_kw:+.1f} kW, measured "
        f"{record.measured_kw:+.1f} kW: {record.reason}"
    )
