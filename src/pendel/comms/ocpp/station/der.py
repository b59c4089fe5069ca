"""DER controls of a station (OCPP 2.1 block R): set, get, clear, supersede.

The lower `priority` value wins; equal priority does not supersede. By the time of arrival (R04):

    a stronger default        supersedes the weaker default at once
    a stronger scheduled one  supersedes at once those of its type that have not begun (R04.FR.06);
                              one that runs goes on until the stronger one begins (R04.FR.07)
    a weaker one              is superseded as it comes, by a running scheduled control (R04.FR.08)
                              or, a default, by the default that stands

A superseded control is kept and reported but never runs. A default control runs when no scheduled
control of its type does. Controls persist over reboots.
"""

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from pendel.comms.ocpp.der_rules import field_of, problems_of

CONTROLS_MAX = 200
REPORTED_EACH = 24
SUPERSEDED_TOLD = 24


@dataclass(slots=True)
class DerControl:
    """One control as set; body is the wire object that belongs to its type."""

    id: str
    type: str
    is_default: bool
    field: str
    body: dict[str, Any]
    start_s: float | None
    end_s: float | None
    superseded: bool = False
    running: bool = False

    @property
    def priority(self) -> int:
        """0 is strongest."""
        return int(self.body.get("priority", 0))

    def is_due(self, at_s: float) -> bool:
        """Whether a scheduled control's time has come and is not over at at_s [epoch s]."""
        if self.superseded or self.is_default or self.start_s is None or at_s < self.start_s:
            return False
        return self.end_s is None or at_s < self.end_s


@dataclass(frozen=True, slots=True)
class Change:
    """A scheduled control began or ended; ids of those it superseded by beginning."""

    id: str
    started: bool
    superseded: list[str]


class DerControls:
    """All controls of a station; at most CONTROLS_MAX."""

    def __init__(self) -> None:
        self.by_id: dict[str, DerControl] = {}

    def set(
        self, request: Any, start_s: float | None, end_s: float | None, now_s: float
    ) -> dict[str, Any]:
        """Answer to SetDERControl (plain data: status, supersededIds, statusInfo)."""
        data = msgspec.to_builtins(request)
        problems = problems_of(data)
        if problems:
            return _rejected("InvalidValue", problems[0])
        if len(self.by_id) >= CONTROLS_MAX and data["controlId"] not in self.by_id:
            return _rejected("OutOfStorage", f"{CONTROLS_MAX} controls are installed")
        if end_s is not None and end_s <= now_s:
            return _rejected("InvalidValue", "its time is over")
        kind = data["controlType"]
        name = field_of(kind)
        is_default = bool(data["isDefault"])
        control = DerControl(data["controlId"], kind, is_default, name, data[name], start_s, end_s)
        self.by_id.pop(control.id, None)
        superseded = self._superseded_by(control, running=False)
        ruling = self._ruling(control)
        if ruling is not None and ruling.priority < control.priority:
            control.superseded = True
            superseded.append(control.id)
        self.by_id[control.id] = control
        answer: dict[str, Any] = {"status": "Accepted"}
        if superseded:
            answer["supersededIds"] = superseded[:SUPERSEDED_TOLD]
        return answer

    def _ruling(self, control: DerControl) -> DerControl | None:
        """What a new control is measured by: the default that stands, or what runs."""
        if control.is_default:
            return self._default(control.type)
        return self._running(control.type)

    def _superseded_by(self, control: DerControl, running: bool) -> list[str]:
        """Mark the weaker ones of the same type and sort; running: also those that run."""
        gone = []
        for other in self.by_id.values():
            same = other.type == control.type and other.is_default == control.is_default
            if other.id == control.id or other.superseded or not same:
                continue
            if control.priority < other.priority and (running or not other.running):
                other.superseded, other.running = True, False
                gone.append(other.id)
        return gone

    def advance(self, now_s: float) -> list[Change]:
        """Begin and end scheduled controls at now_s; what has ended is forgotten. A control whose
        type is held by an equally strong or stronger one waits for that one's end."""
        changes = []
        for control in list(self.by_id.values()):
            if control.end_s is not None and now_s >= control.end_s:
                del self.by_id[control.id]
                if control.running:
                    changes.append(Change(control.id, False, []))
        for control in sorted(self.by_id.values(), key=lambda c: (c.priority, c.start_s or 0.0)):
            if control.running or not control.is_due(now_s):
                continue
            holder = self._running(control.type)
            if holder is None or control.priority < holder.priority:
                gone = [] if holder is None else [holder.id]
                if holder is not None:
                    holder.superseded, holder.running = True, False
                control.running = True
                changes.append(Change(control.id, True, gone))
        return changes

    def next_s(self, now_s: float) -> float:
        """When a scheduled control begins or ends next [epoch s]; inf = never."""
        times = [t for c in self.by_id.values() for t in (c.start_s, c.end_s) if t is not None]
        return min((t for t in times if t > now_s), default=math.inf)

    def _running(self, kind: str) -> DerControl | None:
        return next((c for c in self.by_id.values() if c.type == kind and c.running), None)

    def _default(self, kind: str) -> DerControl | None:
        found = [
            c for c in self.by_id.values() if c.type == kind and c.is_default and not c.superseded
        ]
        return min(found, key=lambda c: c.priority) if found else None

    def matching(self, request: Any) -> list[DerControl]:
        """Controls that a Get or Clear request addresses."""
        data = msgspec.to_builtins(request)
        return [
            control
            for control in self.by_id.values()
            if data.get("controlId") in (None, control.id)
            and data.get("controlType") in (None, control.type)
            and data.get("isDefault") in (None, control.is_default)
        ]

    def clear(self, request: Any) -> bool:
        """Remove what a ClearDERControl addresses; whether anything was there."""
        gone = self.matching(request)
        for control in gone:
            del self.by_id[control.id]
        return bool(gone)

    def active(self, kind: str, at_s: float) -> DerControl | None:
        """The control of a type in force: the running scheduled one, else the default."""
        running = self._running(kind)
        if running is not None and running.is_due(at_s):
            return running
        return self._default(kind)

    def reports(self, controls: list[DerControl]) -> list[dict[str, Any]]:
        """ReportDERControl requests (without requestId), at most REPORTED_EACH of a kind in each;
        all but the last say that more follows."""
        lists: dict[str, list[dict[str, Any]]] = {}
        for control in controls:
            inner = "fixedPF" if control.field.startswith("fixedPF") else control.field
            entry: dict[str, Any] = {"id": control.id, inner: control.body}
            if control.field not in ("enterService", "gradient"):
                entry |= {"isDefault": control.is_default, "isSuperseded": control.superseded}
            if control.field == "curve":
                entry["curveType"] = control.type
            lists.setdefault(control.field, []).append(entry)
        most = max(len(entries) for entries in lists.values())
        parts = []
        for first in range(0, most, REPORTED_EACH):
            cut = {name: e[first : first + REPORTED_EACH] for name, e in lists.items()}
            part: dict[str, Any] = {name: entries for name, entries in cut.items() if entries}
            parts.append(part | {"tbc": first + REPORTED_EACH < most})
        return parts


def _rejected(code: str, text: str) -> dict[str, Any]:
    info = {"reasonCode": code, "additionalInfo": text[:512]}
    return {"status": "Rejected", "statusInfo": info}
