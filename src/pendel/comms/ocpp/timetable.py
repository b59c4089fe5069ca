"""When the periods of a charging schedule hold: kinds, recurrence, local time, random delays.

A schedule is a list of periods and a clock. The clock runs in seconds since the schedule's begin:
- Dynamic: since its last update (so that `duration` is a watchdog, errata K28.FR.13);
- Relative: since the EVSE was ready to deliver (K01.FR.42);
- Absolute, Recurring: since startSchedule, again each day or week;
- with useLocalTime in the seconds of the wall clock, which skips or repeats an hour when daylight
  saving begins or ends (K01.FR.90, FR.91).

Source: OCPP 2.1 part 2, block K, with the errata of 2025-09.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from pendel.comms.ocpp.profile import Period, Profile

SHIFT_SCAN_S = 7 * 86_400.0
"""A zone changes its offset at most once in this time."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a profile's validity depends on, for one EVSE.

    transaction_id, transaction_start_s (ready to deliver energy): None outside a transaction;
    offline_since_s: None while connected; priority: PriorityCharging is activated; soc in 0..1 or
    None; phases: of the EVSE's supply (0 = DC); delays: per profile id the random delay of each
    period [s], none where absent; csms_setpoint_first: SetpointPriority is CSMS; sharers: EVSEs
    that an external setpoint for the whole station is divided among (Q06.FR.31).
    """

    evse_id: int
    transaction_id: str | None = None
    transaction_start_s: float | None = None
    offline_since_s: float | None = None
    priority: bool = False
    soc: float | None = None
    timezone: str = "UTC"
    phases: int = 3
    delays: Mapping[int, Sequence[float]] = field(default_factory=dict)
    csms_setpoint_first: bool = False
    sharers: int = 1


def period_at(profile: Profile, where: Situation, at_s: float) -> Period | None:
    """The period of a schedule at at_s [epoch s], validity aside; None where it has none."""
    elapsed_s = _elapsed_s(profile, where, at_s)
    if elapsed_s is None or elapsed_s < 0.0:
        return None
    if profile.duration_s is not None and elapsed_s >= profile.duration_s:
        return None
    found = None
    for start_s, period in table(profile, where):
        if elapsed_s >= start_s:
            found = period
    return found


def table(profile: Profile, where: Situation) -> list[tuple[float, Period]]:
    """(start [s of the schedule], period) in order, with the random delays of this transaction.

    The first period is never delayed; one that would start after a later one, or after the end,
    is skipped (K01.FR.92 to FR.97)."""
    delays = where.delays.get(profile.id, ())
    if not any(delays):
        return [(period.start_s, period) for period in profile.periods]
    starts = [
        period.start_s + (delays[number] if 0 < number < len(delays) else 0.0)
        for number, period in enumerate(profile.periods)
    ]
    kept: list[tuple[float, Period]] = []
    next_s = float("inf") if profile.duration_s is None else profile.duration_s
    for start_s, period in zip(reversed(starts), reversed(profile.periods), strict=True):
        if start_s < next_s:
            kept.append((start_s, period))
            next_s = start_s
    return kept[::-1]


def begin_of(profile: Profile, where: Situation) -> float | None:
    """First begin of the schedule [epoch s]; of a recurring one the first of all."""
    if profile.kind == "Dynamic":
        return profile.received_s if profile.updated_s is None else profile.updated_s
    if profile.kind == "Relative" or profile.start_s is None:
        begin_s = where.transaction_start_s
        return profile.received_s if begin_s is None else begin_s
    return profile.start_s


def edges(profile: Profile, where: Situation, begin_s: float, end_s: float) -> list[float]:
    """Every moment in (begin_s, end_s) at which the period may change [epoch s]; some more are
    no harm."""
    first_s = begin_of(profile, where)
    if first_s is None:
        return []
    marks = [start_s for start_s, _ in table(profile, where)]
    if profile.duration_s is not None:
        marks.append(profile.duration_s)
    zone = _zone(profile, where)
    offsets = {0.0}
    shifts: list[float] = []
    if zone:
        shifts = _shifts(zone, begin_s, end_s)
        offsets = {_offset_s(zone, at_s) for at_s in (begin_s, end_s, *shifts)}
        first_s += _offset_s(zone, first_s)
    found = list(shifts)
    for offset_s in offsets:
        low_s, high_s = begin_s + offset_s, end_s + offset_s
        for start_s in _begins(profile, first_s, low_s, high_s):
            found += [start_s + mark_s - offset_s for mark_s in (0.0, *marks)]
    return [at_s for at_s in found if begin_s < at_s < end_s]


def _begins(profile: Profile, first_s: float, low_s: float, high_s: float) -> list[float]:
    """Begins of a schedule that matter between low_s and high_s, on the schedule's own clock."""
    every_s = _every_s(profile)
    if every_s is None:
        return [first_s]
    # A period may start later than one recurrence after its schedule did not yet end.
    number = max(int((low_s - first_s) // every_s), 0)
    starts = []
    while (start_s := first_s + number * every_s) < high_s:
        starts.append(start_s)
        number += 1
    return starts


def _elapsed_s(profile: Profile, where: Situation, at_s: float) -> float | None:
    """Seconds on the schedule's clock since its (last) begin; negative before the first."""
    first_s = begin_of(profile, where)
    if first_s is None:
        return None
    zone = _zone(profile, where)
    elapsed_s = at_s - first_s
    if zone:
        elapsed_s += _offset_s(zone, at_s) - _offset_s(zone, first_s)
    every_s = _every_s(profile)
    if every_s is not None and elapsed_s >= 0.0:
        elapsed_s %= every_s
    return elapsed_s


def _every_s(profile: Profile) -> float | None:
    recurs = profile.kind == "Recurring" and profile.start_s is not None
    return profile.recurrence_s if recurs else None


def _zone(profile: Profile, where: Situation) -> str:
    """The zone of a schedule that follows the wall clock; "" = it does not."""
    wall = profile.use_local_time and profile.kind in ("Absolute", "Recurring")
    return where.timezone if wall and profile.start_s is not None else ""


def _offset_s(zone: str, at_s: float) -> float:
    offset = datetime.fromtimestamp(at_s, ZoneInfo(zone)).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


@lru_cache(maxsize=256)
def _shift_within(zone: str, low_s: int, high_s: int) -> int | None:
    """The first second in (low_s, high_s] with another offset than low_s has, or None."""
    before = _offset_s(zone, low_s)
    if _offset_s(zone, high_s) == before:
        return None
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        if _offset_s(zone, middle_s) == before:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def _shifts(zone: str, begin_s: float, end_s: float) -> list[float]:
    """Moments in (begin_s, end_s) at which a zone's offset changes."""
    found: list[float] = []
    low_s = begin_s // SHIFT_SCAN_S * SHIFT_SCAN_S
    while low_s < end_s:
        shift = _shift_within(zone, int(low_s), int(low_s + SHIFT_SCAN_S))
        if shift is not None and begin_s < shift < end_s:
            found.append(float(shift))
        low_s += SHIFT_SCAN_S
    return found
