"""What the first page shows: areas with their flow, sessions by risk, plan and prices."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from pendel.api.views import energy_kwh
from pendel.records import PlanRecord
from pendel.runtime.area import Meters, open_sessions, storage_views
from pendel.runtime.area_tick import HEALTHY, Area
from pendel.runtime.engine import Runtime
from pendel.runtime.risk import Risk, outlook
from pendel.runtime.state import GRID_SUFFIX, LOAD_SUFFIX, PV_SUFFIX, SessionView, State
from pendel.runtime.words import IDLE_KW, plan_cost_text, power_text
from pendel.web.flow import Flow, flow_svg
from pendel.web.plots import Layer, Panel, TimeFigure, time_figure

AHEAD_STEPS, PAST_STEPS = 96, 16
RISK_WORDS = {
    Risk.LATE: ("late", "cannot be reached in time"),
    Risk.TIGHT: ("tight", "less than an hour to spare"),
    Risk.ON_THE_WAY: ("on the way", "time to spare"),
    Risk.READY: ("ready", "the promise is in the battery"),
}


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One line of the table, ready to be printed."""

    session_id: str
    vehicle: str
    where: str
    risk: str
    risk_class: str
    risk_hint: str
    ready_by: str
    ready_by_utc: str
    soc_pct: int
    target_pct: int
    minimum_pct: int
    target_kwh: str
    kept: str
    doing: str
    doing_class: str
    reason: str
    setpoint_id: str
    promise_id: str
    promise_note: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class BatteryRow:
    """One stationary battery, ready to be printed."""

    name: str
    where: str
    soc_pct: int
    doing: str
    doing_class: str
    reason: str
    setpoint_id: str


@dataclass(frozen=True, slots=True)
class AreaView:
    """One area of the page."""

    name: str
    title: str
    clock: str
    health: str
    simulated: bool
    flow_svg: str
    flow_rows: list[tuple[str, str]]
    plan_svg: str
    plan_rows: list[tuple[str, str, str]]
    plan_id: str
    plan_note: str
    price_id: str
    rows: list[SessionRow]
    batteries: list[BatteryRow]
    stations: int
    power_kw: str
    limit_kw: str
    used_pct: int
    price: str
    mode: str
    stored_kwh: str
    stored_pct: int
    spare_kwh: str


def first_page(runtime: Runtime, sites: frozenset[str] | None = None) -> dict[str, Any]:
    """Everything the template needs; call it while holding `runtime.reading()`.

    sites: None = all; else only areas all of whose sites are among them.
    """
    state = runtime.state
    now_utc = runtime.now_utc
    areas = [
        area_view(area, state, now_utc)
        for area in runtime.areas
        if now_utc is not None and (sites is None or sites.issuperset(area.spec.site_id))
    ]
    worst = sum(row.risk in ("late", "tight") for area in areas for row in area.rows)
    return {
        "areas": areas,
        "simulated": runtime.simulated,
        "health": "" if runtime.health == HEALTHY else runtime.health,
        "kept": state.promises_kept,
        "total": state.promises_total,
        "open": len(state.sessions),
        "stations": sum(area.stations for area in areas),
        "worst": worst,
        "limits_broken": state.limits_broken,
        "deviations": len(state.deviations),
        "setpoints": state.counts.get("setpoint", 0),
    }


def area_view(area: Area, state: State, now_utc: datetime) -> AreaView:
    """One area as shown now."""
    spec, meters = area.spec, area.meters_now or Meters(now_utc)
    zone = ZoneInfo(spec.timezone)
    views = open_sessions(spec, state)
    flow = _flow(area, meters, views)
    figure, rows = plan_figure(area, state, meters, now_utc)
    limit = spec.import_limit_total_kw
    table = state.prices.get(next(iter(area.book.rows(spec).names), ""))
    step_s = int(now_utc.timestamp()) // spec.step_s * spec.step_s
    price = None if table is None else table.eur_kwh.get(step_s)
    site_plans = [state.plans[site] for site in spec.site_id if site in state.plans]
    stored = sum(energy_kwh(view, meters) for view in views)
    capacity = sum(view.event.capacity_kwh for view in views)
    return AreaView(
        name=spec.name,
        title=spec.title.capitalize(),
        clock=now_utc.astimezone(zone).strftime("%a %d %b %Y, %H:%M"),
        health="" if area.health == HEALTHY else area.health,
        simulated=spec.simulated,
        flow_svg=flow_svg(flow),
        flow_rows=[(name, f"{power:+.1f}") for name, power in flow.rows],
        plan_svg=time_figure(figure),
        plan_rows=rows,
        plan_id=site_plans[0].id if site_plans else "",
        plan_note=_plan_note(site_plans),
        price_id="" if table is None else table.signal_id,
        rows=session_rows(views, state, meters, now_utc, zone),
        batteries=battery_rows(area, state, meters),
        stations=len(area.stations),
        power_kw=f"{flow.grid_kw:.1f}",
        limit_kw=f"{limit:.0f}",
        used_pct=round(100 * min(max(flow.grid_kw, 0.0) / limit, 1.0)) if limit > 0.0 else 0,
        price="" if price is None else f"{price[0]:.3f}",
        mode=str(spec.mode).upper(),
        stored_kwh=f"{stored:,.0f}",
        stored_pct=round(100 * stored / capacity) if capacity > 0.0 else 0,
        spare_kwh=f"{_spare_kwh(views, meters):,.0f}",
    )


METHOD_WORDS = {
    "policy": "car by car, each under its uncertain departure",
    "sweep": "car by car, each in what the others leave",
    "greedy": "on the safe path",
}


def _plan_note(plans: list[PlanRecord]) -> str:
    """How the newest plan of the area was made and what it costs, as far as that is known."""
    if not plans:
        return ""
    newest = max(plans, key=lambda plan: (plan.at_utc, plan.objective_eur is not None))
    how = METHOD_WORDS.get(newest.method, f"exactly ({newest.method})")
    return f"Planned {how}: {plan_cost_text(newest)}."


def _spare_kwh(views: list[SessionView], meters: Meters) -> float:
    """Stored energy above what was promised [kWh]: what could be given without a new charge."""
    total = 0.0
    for view in views:
        promised = 0.0 if view.promise is None else view.promise.target_kwh
        total += max(energy_kwh(view, meters) - promised, 0.0)
    return total


def _flow(area: Area, meters: Meters, views: list[SessionView]) -> Flow:
    sites = area.spec.site_id
    cars = np.array([meters.kw(view.device_id) for view in views])
    batteries = [meters.kw(storage.storage_id) for storage in area.spec.storages]
    return Flow(
        key=f"flow-{area.spec.name}",
        title=f"Energy flow of {area.spec.title} now",
        grid_kw=sum(meters.kw(site + GRID_SUFFIX) for site in sites),
        sun_kw=sum(-meters.kw(site + PV_SUFFIX) for site in sites),
        load_kw=sum(meters.kw(site + LOAD_SUFFIX) for site in sites),
        charging_kw=float(np.maximum(cars, 0.0).sum()),
        discharging_kw=float(np.maximum(-cars, 0.0).sum()),
        battery_kw=sum(batteries) if batteries else None,
    )


def session_rows(
    views: list[SessionView], state: State, meters: Meters, now_utc: datetime, zone: ZoneInfo
) -> list[SessionRow]:
    """Sessions, those most at risk first."""
    seen = [(outlook(v, energy_kwh(v, meters), now_utc), v) for v in views]
    seen.sort(key=lambda pair: (*pair[0].rank, pair[1].event.session_id))
    return [_row(view, o.risk, o.spare_h, state, meters, now_utc, zone) for o, view in seen]


def battery_rows(area: Area, state: State, meters: Meters) -> list[BatteryRow]:
    """The stationary batteries of an area, in the order of its configuration."""
    rows = []
    for view in storage_views(area.spec):
        event, setpoint = view.event, state.setpoints.get(view.device_id)
        power = 0.0 if setpoint is None else setpoint.power_kw
        rows.append(
            BatteryRow(
                name=event.session_id,
                where=event.site_id,
                soc_pct=round(100 * energy_kwh(view, meters) / max(event.capacity_kwh, 1e-9)),
                doing=power_text(power),
                doing_class=_doing_class(power),
                reason="" if setpoint is None else setpoint.reason,
                setpoint_id="" if setpoint is None else setpoint.id,
            )
        )
    return rows


def _doing_class(power_kw: float) -> str:
    return "idle" if abs(power_kw) < IDLE_KW else "in" if power_kw > 0.0 else "out"


def _row(
    view: SessionView,
    risk: Risk,
    spare_h: float,
    state: State,
    meters: Meters,
    now_utc: datetime,
    zone: ZoneInfo,
) -> SessionRow:
    event, told = view.event, view.promise
    capacity = max(event.capacity_kwh, 1e-9)
    setpoint = state.setpoints.get(view.device_id)
    power = 0.0 if setpoint is None else setpoint.power_kw
    word, hint = RISK_WORDS[risk]
    if risk == Risk.ON_THE_WAY:
        hint = f"{spare_h:.1f} h to spare"
    deviation = state.deviations.get(view.device_id)
    reason = "" if setpoint is None else setpoint.reason
    if deviation is not None:
        reason = f"does not follow: {deviation.reason}"
    return SessionRow(
        session_id=event.session_id,
        vehicle=event.vehicle_id or event.session_id,
        where=view.device_id.partition("/")[0],
        risk=word,
        risk_class=word.replace(" ", "-"),
        risk_hint=hint,
        ready_by="" if told is None else _local(told.ready_by_utc, now_utc, zone),
        ready_by_utc="" if told is None else told.ready_by_utc.isoformat(),
        soc_pct=round(100 * energy_kwh(view, meters) / capacity),
        target_pct=0 if told is None else round(100 * told.target_kwh / capacity),
        minimum_pct=0 if told is None else round(100 * told.energy_min_kwh / capacity),
        target_kwh="" if told is None else f"{told.target_kwh:.0f}",
        kept="no" if risk == Risk.LATE else "yes",
        doing=power_text(power),
        doing_class=_doing_class(power),
        reason=reason,
        setpoint_id="" if setpoint is None else setpoint.id,
        promise_id="" if told is None else told.id,
        promise_note="" if told is None else told.reason,
        simulated=event.simulated,
    )


def _local(when_utc: datetime, now_utc: datetime, zone: ZoneInfo) -> str:
    local = when_utc.astimezone(zone)
    same = local.date() == now_utc.astimezone(zone).date()
    return local.strftime("%H:%M" if same else "%a %H:%M")


def plan_figure(
    area: Area, state: State, meters: Meters, now_utc: datetime
) -> tuple[TimeFigure, list[tuple[str, str, str]]]:
    """Past and planned power of the cars, the limit and the prices; and an hourly table of it."""
    spec = area.spec
    step_s = spec.step_s
    step_now_s = int(now_utc.timestamp()) // step_s * step_s
    steps = AHEAD_STEPS
    times = step_now_s + step_s * np.arange(steps)
    cars = np.zeros(steps)
    known = False
    for site in spec.site_id:
        plan = state.plans.get(site)
        if plan is None:
            continue
        known = True
        shift = (step_now_s - int(plan.begin_utc.timestamp())) // plan.step_s
        for powers in plan.power_kw.values():
            coming = np.array(powers[max(shift, 0) : max(shift, 0) + steps])
            cars[: len(coming)] += coming
    load = sum(meters.kw(site + LOAD_SUFFIX) for site in spec.site_id)
    table = state.prices.get(next(iter(area.book.rows(spec).names), ""))
    nothing = (float("nan"), float("nan"))
    prices = np.array(
        [(nothing if table is None else table.eur_kwh.get(int(t), nothing)) for t in times]
    )
    charging = np.where(cars > 0.0, cars, 0.0) if known else np.full(steps, np.nan)
    discharging = np.where(cars < 0.0, cars, 0.0) if known else np.full(steps, np.nan)
    power = Panel(
        "cars, planned [kW]",
        (Layer("charging", charging, "area", 1), Layer("discharging", discharging, "area", 2)),
        height=150.0,
    )
    price = Panel(
        "price [EUR/kWh]",
        (Layer("buying", prices[:, 0], "step", 1), Layer("selling", prices[:, 1], "step", 3)),
        height=90.0,
    )
    words = f"Planned power of all cars for the next 24 hours; the site uses {load:.1f} kW now."
    figure = TimeFigure(
        f"plan-{spec.name}",
        f"Plan of {spec.title}",
        words,
        float(step_now_s),
        float(step_s),
        spec.timezone,
        (power, price),
        width=620.0,
        hover=False,
    )
    return figure, _hours(times, cars, prices, spec.timezone, 3_600 // step_s)


def _hours(
    times: np.ndarray, cars: np.ndarray, prices: np.ndarray, zone: str, per_hour: int
) -> list[tuple[str, str, str]]:
    """(local time, mean planned kW, price) per hour."""
    rows = []
    for begin in range(0, len(times), max(per_hour, 1)):
        local = datetime.fromtimestamp(float(times[begin]), ZoneInfo(zone))
        price = prices[begin, 0]
        shown = "not yet known" if np.isnan(price) else f"{price:.3f}"
        mean = float(cars[begin : begin + max(per_hour, 1)].mean())
        rows.append((local.strftime("%a %H:%M"), f"{mean:+.1f}", shown))
    return rows
