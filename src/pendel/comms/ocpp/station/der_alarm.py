"""NotifyDERAlarm: one alarm per station, told when it begins, changes its cause, and ends (R05).

There are no levels: while control A moves power and B takes over, B is told and the end of A is
not; the end tells the control that let go last.
"""

from dataclasses import dataclass
from typing import Any

from pendel.comms.ocpp.station.der_power import Deviation


@dataclass(frozen=True, slots=True)
class Told:
    """The alarm as told last; kind "" = none."""

    kind: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One NotifyDERAlarm and its time [epoch s]."""

    payload: dict[str, Any]
    at_s: float


def notices(told: Told, deviation: Deviation | None, now_s: float) -> tuple[list[Notice], Told]:
    """What to say now, and what is told then."""
    if deviation is None:
        if not told.kind:
            return [], told
        return [Notice(_alarm(told) | {"alarmEnded": True}, now_s)], Told()
    new = Told(deviation.kind, deviation.fault)
    if new == told:
        return [], told
    return [Notice(_alarm(new) | {"alarmEnded": False}, deviation.since_s)], new


def _alarm(told: Told) -> dict[str, Any]:
    found: dict[str, Any] = {"controlType": told.kind}
    return found | {"gridEventFault": told.fault} if told.fault else found
