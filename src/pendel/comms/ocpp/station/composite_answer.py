"""The composite schedule a station expects to follow, as rows of watts (K08; 1.6 section 5.7).

Of one EVSE: its composite, as if it had a transaction where it has none (K08.FR.06). Of EVSE 0: the
sum over all EVSEs inside the limits of the station (K08.FR.03). Nothing exceeds what was built.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pendel.comms.ocpp.composite import (
    Point,
    Situation,
    change_times,
    composite,
    point_at,
    station_limits_w,
)
from pendel.comms.ocpp.profile import Purpose
from pendel.comms.ocpp.station.behaviour import most_kw, situation
from pendel.comms.ocpp.station.equipment import Evse
from pendel.units import W_PER_KW

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.core import VirtualStation

NOT_SPLIT = (math.inf, math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Row:
    """What holds from start_s (of the schedule) on [W]; split: L1, L2, L3 where they differ;
    phases 0 = DC."""

    start_s: float
    limit_w: float
    discharge_w: float = 0.0
    setpoint_w: float | None = None
    reactive_var: float | None = None
    mode: str = "ChargingOnly"
    phases: int = 0
    phase: int | None = None
    split: tuple[float, float, float] = NOT_SPLIT


def rows_of(
    station: "VirtualStation", evse: Evse | None, now_s: float, duration_s: float
) -> list[Row]:
    """Rows of an EVSE, or of the whole station (None), equal neighbours merged."""
    built = station.settings.smart.connection_kw
    built_w = math.inf if built is None else built * W_PER_KW
    if evse is not None:
        where = _as_if(station, evse, now_s)
        stretches = composite(station.profiles.by_id.values(), where, now_s, duration_s)
        return [replace(_row(station, s.point, built_w), start_s=s.start_s) for s in stretches]
    known = list(station.profiles.by_id.values())
    wheres = [_as_if(station, each, now_s) for each in station.evses.values()]
    own = [p for p in known if p.purpose is not Purpose.LOCAL_GENERATION or p.evse_id != 0]
    times = {t for w in wheres for t in change_times(known, w, now_s, now_s + duration_s)}
    found: list[Row] = []
    for at_s in sorted(times):
        each = [_row(station, point_at(own, where, at_s), built_w) for where in wheres]
        row = _sum(station, each, at_s, built_w)
        if not found or replace(found[-1], start_s=0.0) != row:
            found.append(replace(row, start_s=at_s - now_s))
    return found


def _as_if(station: "VirtualStation", evse: Evse, now_s: float) -> Situation:
    where = situation(
        evse, station.settings, station.offline_since_s, station.dialect.csms_setpoint_first
    )
    return where if where.transaction_id is not None else replace(where, transaction_start_s=now_s)


def _row(station: "VirtualStation", point: Point, built_w: float) -> Row:
    most_w = min(most_kw(station.settings, point.phases) * W_PER_KW, built_w)
    setpoint = None if point.setpoint_w is None else point.setpoint_w[0]
    return Row(
        0.0,
        min(point.high_w[0], most_w),
        max(point.low_w[0], -most_w),
        setpoint,
        point.reactive_var,
        point.mode.value,
        point.phases,
        point.phase_to_use,
        point.high_w[1:] if point.per_phase else NOT_SPLIT,
    )


def _sum(station: "VirtualStation", rows: list[Row], at_s: float, built_w: float) -> Row:
    """All EVSEs together; the local generation of the station counts once."""
    where = Situation(
        0,
        offline_since_s=station.offline_since_s,
        timezone=station.settings.timezone,
        csms_setpoint_first=station.dialect.csms_setpoint_first,
    )
    profiles = station.profiles.by_id.values()
    high_w, low_w, more_w = station_limits_w(profiles, where, at_s)
    most_w = station.settings.power_max_kw * W_PER_KW * len(rows)
    total_w = min(sum(row.limit_w for row in rows) + more_w, most_w)
    given_w = sum(row.discharge_w for row in rows)
    phases = 0 if station.settings.is_dc else station.settings.phases
    return Row(
        0.0,
        min(total_w, high_w, built_w),
        max(given_w, low_w, -built_w),
        mode=rows[0].mode if len(rows) == 1 else "ChargingOnly",
        setpoint_w=rows[0].setpoint_w if len(rows) == 1 else None,
        phases=phases,
    )


def wire_period(row: Row, unit: str, voltage_v: float, digits: int, is_21: bool) -> dict[str, Any]:
    """A row as chargingSchedulePeriod; amperes are per phase (K01.FR.51)."""
    per_unit = voltage_v * max(row.phases, 1) if unit == "A" else 1.0

    def of(watts: float, per: float = per_unit) -> float:
        return round(watts / per, digits)

    found: dict[str, Any] = {"startPeriod": int(row.start_s), "limit": of(row.limit_w)}
    if row.split != NOT_SPLIT and is_21:
        per = voltage_v if unit == "A" else 1.0
        names = ("limit", "limit_L2", "limit_L3")
        found |= {name: of(watts, per) for name, watts in zip(names, row.split, strict=True)}
    if row.phases not in (0, 3):
        found["numberPhases"] = row.phases
    if row.phase is not None and row.phases == 1:
        found["phaseToUse"] = row.phase
    if is_21:
        found["operationMode"] = row.mode
        if row.discharge_w < 0.0:
            found["dischargeLimit"] = of(row.discharge_w)
        if row.setpoint_w is not None:
            found["setpoint"] = of(row.setpoint_w)
        if row.reactive_var is not None:
            found["setpointReactive"] = of(row.reactive_var)
    return found
