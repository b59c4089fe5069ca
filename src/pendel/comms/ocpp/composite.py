"""What the installed profiles say at a moment, and over a time: the composite schedule.

Rules (OCPP 2.1 part 2, block K; V2X in block Q):
- per purpose the valid profile with the highest stack level leads (K01.FR.34 ff);
- PriorityCharging (while activated) over TxProfile over TxDefaultProfile;
- the result is the lowest over {that, station maximum, external constraints}; for discharge the
  lowest is the smallest magnitude;
- local generation is added on top of the charging limit, never to discharge;
- limits of several outside systems all hold, each by its own leading profile;
- the fewest phases of all profiles are used, and a limit is one per phase;
- an outside system's setpoint leads unless SetpointPriority says CSMS;
- V2X.03/04: a setpoint is capped by limit and discharge limit;
- a limit of 0 W never exports: where the charging limit is 0, so is the discharge limit;
- ChargingOnly never discharges, Idle does neither;
- offline longer than maxOfflineDuration a profile is invalid; without any fallback the station
  charges without limit, which is why pendel always installs a ChargingOnly default below.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from pendel.comms.ocpp.profile import (
    NO_BOUND,
    NO_DISCHARGE,
    UNLIMITED,
    OperationMode,
    Period,
    Profile,
    Purpose,
    Quad,
)
from pendel.comms.ocpp.timetable import Situation as Situation
from pendel.comms.ocpp.timetable import edges, period_at

POINTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Point:
    """What holds at one moment [W]: charge up to high, discharge down to low, setpoint within.

    sources: ids of the profiles that had a say, the leading one first. phases: in use (0 = DC);
    per_phase: a profile named limits of L2 or L3.
    """

    mode: OperationMode
    low_w: Quad
    high_w: Quad
    setpoint_w: Quad | None
    baseline_w: float
    frequency_curve: tuple[tuple[float, float], ...]
    signal_curve: tuple[tuple[float, float], ...]
    sources: tuple[int, ...]
    reactive_var: float | None = None
    phases: int = 0
    phase_to_use: int | None = None
    per_phase: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """A Point that holds from start_s (relative to the begin of the schedule) on."""

    start_s: float
    point: Point


def active_period(profile: Profile, where: Situation, at_s: float) -> Period | None:
    """The period of a profile that is in force at at_s [epoch s], or None."""
    return period_at(profile, where, at_s) if _valid(profile, where, at_s) else None


def _valid(profile: Profile, where: Situation, at_s: float) -> bool:
    if profile.evse_id not in (0, where.evse_id):
        return False
    if profile.valid_from_s is not None and at_s < profile.valid_from_s:
        return False
    if profile.valid_to_s is not None and at_s >= profile.valid_to_s:
        return False
    if profile.purpose is Purpose.TX and where.transaction_id is None:
        return False
    if profile.transaction_id is not None and profile.transaction_id != where.transaction_id:
        return False
    if profile.purpose is Purpose.PRIORITY and not where.priority:
        return False
    if where.offline_since_s is not None and profile.max_offline_s is not None:
        return at_s < where.offline_since_s + profile.max_offline_s
    return True


def leading(
    profiles: Iterable[Profile], purpose: Purpose, where: Situation, at_s: float
) -> tuple[Profile, Period] | None:
    """The valid profile of a purpose with the highest stack level, and its period."""
    best: tuple[Profile, Period] | None = None
    for profile in profiles:
        if profile.purpose is not purpose:
            continue
        if best is not None and _rank(profile) <= _rank(best[0]):
            continue
        period = active_period(profile, where, at_s)
        if period is not None:
            best = (profile, period)
    return best


def _rank(profile: Profile) -> tuple[int, bool]:
    """At the same stack level what is set for the EVSE itself leads (1.6, section 3.13.1)."""
    return profile.stack_level, profile.evse_id != 0


def leaders(
    profiles: Iterable[Profile], purpose: Purpose, where: Situation, at_s: float
) -> list[tuple[Profile, Period]]:
    """Like `leading`, for each source of its own: the limits of two outside systems both hold."""
    by_source: dict[str, list[Profile]] = {}
    for profile in profiles:
        if profile.purpose is purpose:
            by_source.setdefault(profile.source, []).append(profile)
    found = [leading(own, purpose, where, at_s) for own in by_source.values()]
    return [each for each in found if each is not None]


def point_at(profiles: Iterable[Profile], where: Situation, at_s: float) -> Point:
    """The composite of all profiles at at_s [epoch s] for one EVSE."""
    known = list(profiles)
    first = None
    for purpose in (Purpose.PRIORITY, Purpose.TX, Purpose.TX_DEFAULT):
        first = leading(known, purpose, where, at_s)
        if first is not None:
            break
    high, low = UNLIMITED, NO_BOUND
    mode = OperationMode.CHARGING_ONLY
    if first is not None:
        mode = first[1].mode
        high, low = _own_band(first[0], first[1], where)
    caps = leaders(known, Purpose.EXTERNAL, where, at_s)
    caps += leaders(known, Purpose.STATION_MAX, where, at_s)
    for profile, period in caps:
        top, bottom = _cap(profile, period, where)
        high, low = _lower(high, top), _higher(low, bottom)
    extra = leaders(known, Purpose.LOCAL_GENERATION, where, at_s)
    extra = [each for each in extra if math.isfinite(each[1].limit_w[0])]
    ruling = caps if first is None else [first, *caps]
    phases, high = _on_phases([period for _, period in ruling], high, where)
    for _, period in extra:
        high = _more(high, period.limit_w, phases if where.phases else 0)
    chosen = None if first is None else first[1]
    wish = None if chosen is None else chosen.setpoint_w
    reactive = None if chosen is None else chosen.reactive_var
    outside = _outside_setpoint(caps, mode, wish, where)
    if outside is not None:
        wish, reactive = outside.setpoint_w, outside.reactive_var
        mode_for_band = mode if first is not None else OperationMode.EXTERNAL_SETPOINT
        low = _discharge_of(mode_for_band, high, low)
        mode = OperationMode.EXTERNAL_SETPOINT
    else:
        low = _discharge_of(mode, high, low)
    if mode is OperationMode.IDLE:
        high = (0.0,) * 4
    return Point(
        mode=mode,
        low_w=low,
        high_w=high,
        setpoint_w=None if wish is None else _capped(wish, low, high),
        baseline_w=0.0 if chosen is None else chosen.baseline_w,
        frequency_curve=() if chosen is None else chosen.frequency_curve,
        signal_curve=() if chosen is None else chosen.signal_curve,
        sources=tuple(profile.id for profile, _ in (*ruling, *extra)),
        reactive_var=reactive,
        phases=phases,
        phase_to_use=next((p.phase_to_use for _, p in ruling if p.phase_to_use), None),
        per_phase=any(period.per_phase for _, period in ruling),
    )


def station_limits_w(
    profiles: Iterable[Profile], where: Situation, at_s: float
) -> tuple[float, float, float]:
    """(most, least, more): what all EVSEs together may draw and (<= 0) give back [W], infinite
    where nothing is said, and the local generation of the whole station, already in `most`.

    where: of EVSE 0. An external setpoint there is one for all EVSEs together (Q06.FR.31): nobody
    goes beyond it. Source: K04.FR.05, K12.FR.01, Q06.FR.30."""
    known = list(profiles)
    high, low, more_w = math.inf, -math.inf, 0.0
    for purpose in (Purpose.EXTERNAL, Purpose.STATION_MAX):
        for profile, period in leaders(known, purpose, where, at_s):
            top, bottom = _cap(profile, period, where)
            high, low = min(high, top[0]), max(low, bottom[0])
            wish = None if where.csms_setpoint_first else period.setpoint_w
            if wish is not None and period.mode is OperationMode.EXTERNAL_SETPOINT:
                high, low = min(high, max(wish[0], 0.0)), max(low, min(wish[0], 0.0))
    for _, period in leaders(known, Purpose.LOCAL_GENERATION, where, at_s):
        if math.isfinite(period.limit_w[0]):
            more_w += max(period.limit_w[0], 0.0)
    return high + more_w, low, more_w


def _own_band(profile: Profile, period: Period, where: Situation) -> tuple[Quad, Quad]:
    """(high, low) of one period, with the lower limit above a SoC where it has one."""
    high, low = period.limit_w, period.discharge_w
    if profile.beyond_soc is not None and where.soc is not None and where.soc >= profile.beyond_soc:
        high = _lower(high, period.beyond_w)
    if high[0] < 0.0 and period.mode is OperationMode.CHARGING_ONLY:
        # A negative limit is how stations before 2.1 were told to discharge.
        low, high = _higher(low, (high[0], -math.inf, -math.inf, -math.inf)), high
    elif high[0] == 0.0:
        low = NO_DISCHARGE
    return high, low


def _cap(profile: Profile, period: Period, where: Situation) -> tuple[Quad, Quad]:
    """Like _own_band for what only caps: a negative limit there stops charging, no more."""
    if period.limit_w[0] < 0.0:
        period = replace(period, limit_w=NO_DISCHARGE)
    return _own_band(profile, period, where)


def _outside_setpoint(
    caps: list[tuple[Profile, Period]], mode: OperationMode, own: Quad | None, where: Situation
) -> Period | None:
    """The period with an external system's setpoint where that leads (SetpointPriority)."""
    if mode is OperationMode.IDLE or (where.csms_setpoint_first and own is not None):
        return None
    found = [
        (abs(period.setpoint_w[0]), abs(period.reactive_var or 0.0), number, period)
        for number, (_, period) in enumerate(caps)
        if period.mode is OperationMode.EXTERNAL_SETPOINT and period.setpoint_w is not None
    ]
    # of several the one that moves the least energy, then the least reactive power (SC.04)
    return min(found)[-1] if found else None


def _on_phases(ruling: list[Period], high: Quad, where: Situation) -> tuple[int, Quad]:
    """(phases in use, the limit on them): the fewest any profile or the supply has (K01.FR.140);
    a limit is one per phase (K01.FR.50, FR.51), whatever its unit. 0 = DC, totals only."""
    said = {period.phases for period in ruling if period.phases}
    if where.phases:
        said.add(where.phases)
    if not said:
        return 0, high
    phases = min(said)
    if where.phases and (len(said) > 1 or any(period.per_phase for period in ruling)):
        total = sum(high[1 : phases + 1])
        if high[0] >= 0.0 and math.isfinite(total):
            high = (min(high[0], max(total, 0.0)), *high[1:])
    return phases, high


def _discharge_of(mode: OperationMode, high: Quad, low: Quad) -> Quad:
    """The strongest discharge of a mode: none where only charging is allowed or the limit is 0."""
    charging = mode is OperationMode.CHARGING_ONLY and high[0] >= 0.0
    return NO_DISCHARGE if charging or mode is OperationMode.IDLE or high[0] == 0.0 else low


def _capped(setpoint: Quad, low: Quad, high: Quad) -> Quad:
    """V2X.03, V2X.04: a setpoint inside its limits, total and per phase."""
    capped = [
        value if math.isnan(value) else min(max(value, low[i]), max(high[i], low[i]))
        for i, value in enumerate(setpoint)
    ]
    return (capped[0], capped[1], capped[2], capped[3])


def _more(high: Quad, extra: Quad, phases: int) -> Quad:
    """Local generation on top of a charging limit, as far as it reaches the phases in use."""
    more = [max(value, 0.0) if math.isfinite(value) else 0.0 for value in extra]
    if phases and math.isfinite(extra[1]):
        more[0] = min(more[0], sum(more[1 : phases + 1]))
    return (high[0] + more[0], high[1] + more[1], high[2] + more[2], high[3] + more[3])


def _lower(a: Quad, b: Quad) -> Quad:
    return (min(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))


def _higher(a: Quad, b: Quad) -> Quad:
    return (max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def change_times(
    profiles: Iterable[Profile], where: Situation, begin_s: float, end_s: float
) -> list[float]:
    """All moments in [begin_s, end_s) at which the composite can change, begin_s first."""
    times = {begin_s}
    for profile in profiles:
        bounds = [profile.valid_from_s, profile.valid_to_s]
        if where.offline_since_s is not None and profile.max_offline_s is not None:
            bounds.append(where.offline_since_s + profile.max_offline_s)
        bounds += edges(profile, where, begin_s, end_s)
        times.update(edge for edge in bounds if edge is not None and begin_s < edge < end_s)
        if len(times) > POINTS_MAX:
            raise OverflowError(f"a composite schedule of more than {POINTS_MAX} points")
    return sorted(times)


def composite(
    profiles: Iterable[Profile], where: Situation, begin_s: float, duration_s: float
) -> list[Stretch]:
    """The composite schedule over [begin_s, begin_s + duration_s); equal neighbours are merged."""
    known = list(profiles)
    stretches: list[Stretch] = []
    for at_s in change_times(known, where, begin_s, begin_s + duration_s):
        point = point_at(known, where, at_s)
        if not stretches or stretches[-1].point != point:
            stretches.append(Stretch(at_s - begin_s, point))
    return stretches


def curve_power_w(curve: tuple[tuple[float, float], ...], x: float) -> float:
    """Power of a curve at x by linear interpolation, held beyond its ends; [W].

    Raises ValueError for an empty curve.
    """
    if not curve:
        raise ValueError("a curve needs points")
    points = sorted(curve)
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y0 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]
