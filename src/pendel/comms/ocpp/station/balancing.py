"""Internal load balancing: several EVSEs behind one limit (K04).

The limit of the station is the lowest of what it was built for, ChargingStationMaxProfile and
external constraints at EVSE 0, plus local generation. It is divided max-min fair: everybody gets
the same, and what one cannot use the others get. A transaction of higher charging priority comes
first (K03.FR.04); who would get less than its schedule's minChargingRate waits, the latest comer
first (K01.FR.21). What is discharged makes room for charging.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_KW = 1e-9


@dataclass(frozen=True, slots=True)
class Want:
    """What an EVSE would take (negative: give) [kW, signed]; least_kw: below it charging is not
    worth while; priority: higher first; since_s: when it came."""

    power_kw: float
    least_kw: float = 0.0
    priority: int = 0
    since_s: float = 0.0


def shares_kw(wants: Sequence[Want], most_kw: float, least_kw: float) -> list[float]:
    """Signed power of each [kW]: the sum is at most most_kw, what is given at most -least_kw;
    nobody gets more than he wants. most_kw < 0 or least_kw > 0 counts as 0."""
    given = [min(want.power_kw, 0.0) for want in wants]
    taken = [max(want.power_kw, 0.0) for want in wants]
    room_out = max(-least_kw, 0.0)
    if -sum(given) > room_out:  # what others charge may end at once: it makes no room
        given = [-kw for kw in _fair([-kw for kw in given], room_out)]
    room_in = max(most_kw, 0.0) - sum(given)
    if sum(taken) <= room_in:
        return [a + b for a, b in zip(taken, given, strict=True)]
    left_kw = room_in
    for level in sorted({want.priority for want in wants}, reverse=True):
        members = [i for i, want in enumerate(wants) if want.priority == level and taken[i] > 0.0]
        for i, kw in _worth_while(members, wants, taken, left_kw).items():
            taken[i] = kw
            left_kw -= kw
    return [a + b for a, b in zip(taken, given, strict=True)]


def _worth_while(
    members: list[int], wants: Sequence[Want], taken: list[float], room_kw: float
) -> dict[int, float]:
    """Fair shares of the members; who would get less than its minimum waits, latest first."""
    waiting = sorted(members, key=lambda i: wants[i].since_s)
    found = dict.fromkeys(members, 0.0)
    while waiting:
        fair = _fair([taken[i] for i in waiting], room_kw)
        short = [
            i
            for i, kw in zip(waiting, fair, strict=True)
            if kw < min(wants[i].least_kw, taken[i]) - LEAST_KW
        ]
        if not short:
            found.update(zip(waiting, fair, strict=True))
            return found
        waiting.remove(short[-1])
    return found


def _fair(wanted: Sequence[float], room_kw: float) -> list[float]:
    """Max-min fair division of a room among amounts [kW]."""
    found, left_kw, left = [0.0] * len(wanted), room_kw, len(wanted)
    for i in sorted(range(len(wanted)), key=lambda i: wanted[i]):
        found[i] = min(wanted[i], left_kw / left) if math.isfinite(left_kw) else wanted[i]
        left_kw -= found[i]
        left -= 1
    return found
