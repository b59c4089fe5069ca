"""What is shown of the state: plain data, the same for the API and for pages."""

from datetime import datetime
from typing import Any

from pendel.clock import format_utc
from pendel.records import Limit, PlanRecord, Promise
from pendel.runtime.area import Meters
from pendel.runtime.area_tick import Area, Station
from pendel.runtime.engine import Runtime
from pendel.runtime.risk import outlook
from pendel.runtime.state import SessionView, State
from pendel.runtime.warranting import budget_left, left_of
from pendel.runtime.words import power_text

PLAN_STEPS_SHOWN = 192


def utc_or_none(when_utc: datetime | None) -> str | None:
    """A time as text, or None."""
    return None if when_utc is None else format_utc(when_utc)


def stations(runtime: Runtime, site_ids: frozenset[str] | None = None) -> list[dict[str, Any]]:
    """All stations with their EVSEs (contract: `GET /api/v1/stations`), sorted by id."""
    found = [
        _station(runtime.state, area, station)
        for area in runtime.areas
        for station in area.stations
        if site_ids is None or station.site_id in site_ids
    ]
    return sorted(found, key=lambda item: str(item["station_id"]))


def _station(state: State, area: Area, station: Station) -> dict[str, Any]:
    meters = area.meters_now
    evses, seen = [], None
    for evse_id in station.evse_ids:
        device_id = f"{station.station_id}/{evse_id}"
        session_id = state.session_of_device.get(device_id)
        view = None if session_id is None else state.sessions.get(session_id)
        reading = None if meters is None else meters.by_device.get(device_id)
        seen = reading.at_utc if reading is not None else seen
        setpoint = state.setpoints.get(device_id)
        power = None if reading is None else round(reading.power_kw, 3)
        evses.append(
            {
                "evse_id": evse_id,
                "status": "Available" if view is None else "Occupied",
                "session_id": session_id,
                "power_kw": power if view is not None else 0.0,
                "setpoint_kw": None if setpoint is None else round(setpoint.power_kw, 3),
                "soc": None if view is None else _soc(view, energy_kwh(view, meters)),
            }
        )
    if seen is None and station.simulated and meters is not None:
        seen = meters.now_utc
    return {
        "station_id": station.station_id,
        "site_id": station.site_id,
        "connected": station.simulated,
        "ocpp_version": None,
        "last_seen_utc": utc_or_none(seen),
        "simulated": station.simulated,
        "evses": evses,
    }


def energy_kwh(view: SessionView, meters: Meters | None) -> float:
    """Stored energy as last measured [kWh]."""
    reading = None if meters is None else meters.by_device.get(view.device_id)
    if reading is None or reading.energy_kwh is None or reading.at_utc < view.event.at_utc:
        return view.event.energy_kwh
    return reading.energy_kwh


def _soc(view: SessionView, energy: float) -> float:
    return round(energy / view.event.capacity_kwh, 4) if view.event.capacity_kwh > 0.0 else 0.0


def session(runtime: Runtime, view: SessionView) -> dict[str, Any]:
    """One session: promise, state, plan, reasons."""
    state, event = runtime.state, view.event
    area = runtime.area_of(event.site_id)
    energy = energy_kwh(view, area.meters_now)
    now_utc = runtime.now_utc or event.at_utc
    reading = None if area.meters_now is None else area.meters_now.by_device.get(view.device_id)
    setpoint = state.setpoints.get(view.device_id)
    seen = outlook(view, energy, now_utc)
    station_id, _, evse_id = view.device_id.partition("/")
    return {
        "session_id": event.session_id,
        "site_id": event.site_id,
        "station_id": station_id,
        "evse_id": int(evse_id) if evse_id.isdigit() else None,
        "vehicle_id": event.vehicle_id or None,
        "plugged_utc": format_utc(event.at_utc),
        "simulated": event.simulated,
        "promise": None if view.promise is None else promise(view, view.promise),
        "state": {
            "soc": _soc(view, energy),
            "energy_kwh": round(energy, 3),
            "capacity_kwh": event.capacity_kwh,
            "power_kw": 0.0 if reading is None else round(reading.power_kw, 3),
            "setpoint_kw": None if setpoint is None else round(setpoint.power_kw, 3),
            "setpoint_id": None if setpoint is None else setpoint.id,
            "doing": power_text(0.0 if setpoint is None else setpoint.power_kw),
            "risk": str(seen.risk),
            "spare_h": None if seen.spare_h == float("inf") else round(seen.spare_h, 2),
            "will_be_kept": seen.will_be_kept,
            "deviation": _deviation(state, view),
        },
        "plan": plan_of(state.plans.get(event.site_id), view.device_id, now_utc),
        "warranty": _warranty(area, state, view, now_utc),
        "reasons": [] if setpoint is None else [setpoint.reason],
    }


def _warranty(
    area: Area, state: State, view: SessionView, now_utc: datetime
) -> dict[str, Any] | None:
    """What the car's maker still allows to be discharged; None without a budget."""
    left = budget_left(area.spec, state, view, area.meters_now or Meters(now_utc))
    if left is None:
        return None
    values = {f"{name}_left": value for name, value in left_of(left).items()}
    return {**values, "spent": view.event.vehicle_id in state.spent}


def _deviation(state: State, view: SessionView) -> str | None:
    deviation = state.deviations.get(view.device_id)
    return None if deviation is None else deviation.reason


def promise(view: SessionView, told: Promise) -> dict[str, Any]:
    """A promise in shares of the battery and in kWh."""
    capacity = max(view.event.capacity_kwh, 1e-9)
    return {
        "promise_id": told.id,
        "ready_by_utc": format_utc(told.ready_by_utc),
        "target_soc": round(told.target_kwh / capacity, 4),
        "target_kwh": round(told.target_kwh, 3),
        "asked_kwh": round(told.asked_kwh, 3),
        "minimum_soc": round(told.energy_min_kwh / capacity, 4),
        "charge_now": view.charge_now,
        "paused": view.paused,
        "confidence": told.confidence,
        "reason": told.reason,
    }


def plan_of(plan: PlanRecord | None, device_id: str, now_utc: datetime) -> dict[str, Any] | None:
    """The coming part of a device's plan."""
    if plan is None or device_id not in plan.power_kw:
        return None
    passed = max(int((now_utc - plan.begin_utc).total_seconds()) // plan.step_s, 0)
    powers = plan.power_kw[device_id][passed : passed + PLAN_STEPS_SHOWN]
    begin_s = plan.begin_utc.timestamp() + passed * plan.step_s
    return {
        "plan_id": plan.id,
        "method": plan.method,
        "objective_eur": plan.objective_eur,
        "bound_eur": plan.bound_eur,
        "sites": plan.sites,
        "begin_utc": format_utc(datetime.fromtimestamp(begin_s, plan.begin_utc.tzinfo)),
        "step_s": plan.step_s,
        "power_kw": powers,
    }


def sessions(runtime: Runtime, site_ids: frozenset[str] | None = None) -> list[dict[str, Any]]:
    """All open sessions, sorted by id."""
    return sorted(
        (
            session(runtime, view)
            for view in runtime.state.sessions.values()
            if site_ids is None or view.event.site_id in site_ids
        ),
        key=lambda item: str(item["session_id"]),
    )


def limit(record: Limit) -> dict[str, Any]:
    """One limit as the API tells it."""
    return {
        "limit_id": record.id,
        "site_id": record.site_id,
        "source": record.source,
        "import_limit_kw": record.import_limit_kw,
        "export_limit_kw": record.export_limit_kw,
        "from_utc": utc_or_none(record.from_utc),
        "until_utc": utc_or_none(record.until_utc),
    }
