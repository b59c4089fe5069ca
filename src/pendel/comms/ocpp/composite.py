"""What the installed profiles say at a moment, and over a time: the composite schedule.

Rules (OCPP 2.1 part 2, block K; V2X in block Q):
- per purpose the valid profile with the highest stack level leads (K01.FR.34 ff);
- PriorityCharging (while activated) over TxProfile over TxDefaultProfile;
- the result is the lowest over {that, station maximum, external constraints}; for discharge the
  lowest is the smallest magnitude;
- local generation is added on top of the charging limit, never to discharge;
- V2X.03/04: a setpoint is capped by limit and discharge limit;
- a limit of 0 W never exports: where the charging limit is 0, so is the discharge limit;
- ChargingOnly never discharges, Idle does neither;
- offline longer than maxOfflineDuration a profile is invalid; without any fallback the station
  charges without limit, which is why pendel always installs a ChargingOnly default below.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

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

POINTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Situation:
    """What a profile's validity depends on, for one EVSE.

    transaction_id, transaction_start_s: None outside a transaction; offline_since_s: None while
    connected; priority: PriorityCharging is activated; soc in 0..1 or None.
    """

    evse_id: int
    transaction_id: str | None = None
    transaction_start_s: float | None = None
    offline_since_s: float | None = None
    priority: bool = False
    soc: float | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Point:
    """What holds at one moment [W]: charge up to high, discharge down to low, setpoint within.

    sources: ids of the profiles that had a say, the leading one first; reactive_var: absorbing
    positive, None = nobody asks; sleep, precondition: what Idle asks for (Q10).
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
    sleep: bool = False
    precondition: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """A Point that holds from start_s (relative to the begin of the schedule) on."""

    start_s: float
    point: Point


def active_period(profile: Profile, where: Situation, at_s: float) -> Period | None:
    """The period of a profile that is in force at at_s [epoch s], or None."""
    if not _valid(profile, where, at_s):
        return None
    start_s = schedule_start(profile, where, at_s)
    if start_s is None or at_s < start_s:
        return None
    elapsed_s = at_s - start_s
    if profile.duration_s is not None and elapsed_s >= profile.duration_s:
        return None
    found = None
    for number, period in enumerate(profile.periods):
        # The random delay moves the start of each period; before the first delayed start the
        # schedule says nothing yet, and the next stack level leads.
        delayed_s = period.start_s + profile.delay_s
        if elapsed_s >= delayed_s and (number == 0 or found is not None):
            found = period
    return found


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


def schedule_start(profile: Profile, where: Situation, at_s: float) -> float | None:
    """Begin of the schedule that would be running at at_s [epoch s]; None before its first."""
    if profile.kind == "Dynamic":
        return profile.received_s if profile.updated_s is None else profile.updated_s
    if profile.kind == "Relative" or profile.start_s is None:
        begin_s = where.transaction_start_s
        return profile.received_s if begin_s is None else begin_s
    if profile.kind != "Recurring" or profile.recurrence_s is None:
        return profile.start_s
    if at_s < profile.start_s:
        return None
    zone = _zone(profile, where)
    count = _last_count(profile.start_s, profile.recurrence_s, at_s, zone)
    return _recurrence(profile.start_s, profile.recurrence_s, count, zone)


def _zone(profile: Profile, where: Situation) -> str:
    return where.timezone if profile.use_local_time else "UTC"


def _recurrence(start_s: float, every_s: float, count: int, zone: str) -> float:
    """start_s + count days (or weeks) of the zone's calendar, as epoch seconds."""
    first = datetime.fromtimestamp(start_s, ZoneInfo(zone)).replace(tzinfo=None)
    wall = first + timedelta(days=round(every_s / 86_400.0) * count)
    return wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp()


def _last_count(start_s: float, every_s: float, at_s: float, zone: str) -> int:
    """Number of the latest recurrence that is not after at_s (>= start_s)."""
    # a day of DST can add or take an hour: begin one too far and step back
    count = int((at_s - start_s) // every_s) + 1
    while count > 0 and _recurrence(start_s, every_s, count, zone) > at_s:
        count -= 1
    return count


def leading(
    profiles: Iterable[Profile], purpose: Purpose, where: Situation, at_s: float
) -> tuple[Profile, Period] | None:
    """The valid profile of a purpose with the highest stack level, and its period."""
    best: tuple[Profile, Period] | None = None
    for profile in profiles:
        if profile.purpose is not purpose:
            continue
        if best is not None and profile.stack_level <= best[0].stack_level:
            continue
        period = active_period(profile, where, at_s)
        if period is not None:
            best = (profile, period)
    return best


def point_at(profiles: Iterable[Profile], where: Situation, at_s: float) -> Point:
    """The composite of all profiles at at_s [epoch s] for one EVSE."""
    known = list(profiles)
    first = None
    for purpose in (Purpose.PRIORITY, Purpose.TX, Purpose.TX_DEFAULT):
        first = leading(known, purpose, where, at_s)
        if first is not None:
            break
    high, low = UNLIMITED, NO_BOUND
    mode, sources = OperationMode.CHARGING_ONLY, []
    if first is not None:
        profile, period = first
        mode = period.mode
        high, low = _own_band(profile, period, where)
        sources.append(profile.id)
    for purpose in (Purpose.EXTERNAL, Purpose.STATION_MAX):
        capping = leading(known, purpose, where, at_s)
        if capping is not None:
            top, bottom = _cap(capping[0], capping[1], where)
            high, low = _lower(high, top), _higher(low, bottom)
            sources.append(capping[0].id)
    extra = leading(known, Purpose.LOCAL_GENERATION, where, at_s)
    if extra is not None and math.isfinite(extra[1].limit_w[0]):
        high = (high[0] + max(extra[1].limit_w[0], 0.0), *high[1:])
        sources.append(extra[0].id)
    chosen = None if first is None else first[1]
    return _finish(mode, high, low, chosen, tuple(sources))


def _own_band(profile: Profile, period: Period, where: Situation) -> tuple[Quad, Quad]:
    """(high, low) of one period, with the lower limit above a SoC where it has one."""
    high, low = period.limit_w, period.discharge_w
    if profile.limit_at_soc is not None and where.soc is not None:
        threshold, limit_w = profile.limit_at_soc
        if where.soc >= threshold:
            high = (min(high[0], limit_w), *high[1:])
    if high[0] < 0.0 and period.mode is OperationMode.CHARGING_ONLY:
        # A negative limit is how stations before 2.1 were told to discharge.
        low, high = _higher(low, (high[0], -math.inf, -math.inf, -math.inf)), high
    elif high[0] == 0.0:
        low = NO_DISCHARGE
    return high, low


def _cap(profile: Profile, period: Period, where: Situation) -> tuple[Quad, Quad]:
    """Like _own_band for what only caps: a negative limit there stops charging, no more."""
    if period.limit_w[0] < 0.0:
        period = replace(period, limit_w=(0.0, *period.limit_w[1:]))
    return _own_band(profile, period, where)


def _finish(
    mode: OperationMode,
    high: Quad,
    low: Quad,
    chosen: Period | None,
    sources: tuple[int, ...],
) -> Point:
    if mode is OperationMode.IDLE:
        high, low = (0.0,) * 4, NO_DISCHARGE
    elif (mode is OperationMode.CHARGING_ONLY and high[0] >= 0.0) or high[0] == 0.0:
        low = NO_DISCHARGE
    setpoint = None if chosen is None or chosen.setpoint_w is None else chosen.setpoint_w
    if setpoint is not None:
        capped = [
            value if math.isnan(value) else min(max(value, low[i]), max(high[i], low[i]))
            for i, value in enumerate(setpoint)
        ]
        setpoint = (capped[0], capped[1], capped[2], capped[3])
    return Point(
        mode=mode,
        low_w=low,
        high_w=high,
        setpoint_w=setpoint,
        baseline_w=0.0 if chosen is None else chosen.baseline_w,
        frequency_curve=() if chosen is None else chosen.frequency_curve,
        signal_curve=() if chosen is None else chosen.signal_curve,
        sources=sources,
        reactive_var=None if chosen is None else chosen.reactive_var,
        sleep=chosen is not None and chosen.sleep and mode is OperationMode.IDLE,
        precondition=chosen is not None and chosen.precondition and mode is OperationMode.IDLE,
    )


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
        edges = [profile.valid_from_s, profile.valid_to_s]
        if where.offline_since_s is not None and profile.max_offline_s is not None:
            edges.append(where.offline_since_s + profile.max_offline_s)
        for start_s in _starts(profile, where, begin_s, end_s):
            edges.append(start_s)
            edges += [start_s + period.start_s + profile.delay_s for period in profile.periods]
            if profile.duration_s is not None:
                edges.append(start_s + profile.duration_s)
        times.update(edge for edge in edges if edge is not None and begin_s < edge < end_s)
        if len(times) > POINTS_MAX:
            raise OverflowError(f"a composite schedule of more than {POINTS_MAX} points")
    return sorted(times)


def _starts(profile: Profile, where: Situation, begin_s: float, end_s: float) -> list[float]:
    """Schedule begins that matter between begin_s and end_s."""
    if profile.kind != "Recurring" or profile.recurrence_s is None or profile.start_s is None:
        first = schedule_start(profile, where, begin_s)
        return [] if first is None else [first]
    zone, every_s = _zone(profile, where), profile.recurrence_s
    count = _last_count(profile.start_s, every_s, max(begin_s, profile.start_s), zone)
    starts = []
    while (start_s := _recurrence(profile.start_s, every_s, count, zone)) < end_s:
        starts.append(start_s)
        count += 1
    return starts


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
