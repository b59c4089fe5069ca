"""DER controls of a station (OCPP 2.1 block R): set, get, clear, supersede.

The lower `priority` value wins. A default control runs when no scheduled control of its type is
active; a scheduled one supersedes another of its type only with a stronger (lower) priority, and
only when it starts; equal priority does not supersede. Controls persist over reboots.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

_FIELD_OF_TYPE = {
    "FreqDroop": "freqDroop",
    "FixedPFAbsorb": "fixedPFAbsorb",
    "FixedPFInject": "fixedPFInject",
    "FixedVar": "fixedVar",
    "EnterService": "enterService",
    "Gradients": "gradient",
    "LimitMaxDischarge": "limitMaxDischarge",
}
_FIELDS = (*_FIELD_OF_TYPE.values(), "curve")


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

    @property
    def priority(self) -> int:
        """0 is strongest."""
        return int(self.body.get("priority", 0))

    def runs_at(self, at_s: float) -> bool:
        """Whether a scheduled control is active at at_s [epoch s]."""
        if self.superseded or self.is_default or self.start_s is None or at_s < self.start_s:
            return False
        return self.end_s is None or at_s < self.end_s


class DerControls:
    """All controls of a station."""

    def __init__(self) -> None:
        self.by_id: dict[str, DerControl] = {}

    def set(self, request: Any, start_s: float | None, end_s: float | None) -> dict[str, Any]:
        """Answer to SetDERControl; checks that the control type and its field match, and that a
        scheduled control has a start (and a default none)."""
        data = msgspec.to_builtins(request)
        kind = data["controlType"]
        expected = _FIELD_OF_TYPE.get(kind, "curve")
        given = [field for field in _FIELDS if field in data]
        if given != [expected]:
            return {"status": "Rejected"}
        scheduled = not data["isDefault"]
        if scheduled and start_s is None and expected not in ("enterService", "gradient"):
            return {"status": "Rejected"}
        control = DerControl(
            data["controlId"], kind, data["isDefault"], expected, data[expected], start_s, end_s
        )
        replaced = [
            other
            for other in self.by_id.values()
            if other.type == kind
            and other.is_default == control.is_default
            and other.id != control.id
            and not other.superseded
            and control.priority < other.priority
            and self._overlap(control, other)
        ]
        self.by_id[control.id] = control
        answer: dict[str, Any] = {"status": "Accepted"}
        if replaced:
            answer["supersededIds"] = [other.id for other in replaced][:24]
            for other in replaced:
                other.superseded = True
        return answer

    @staticmethod
    def _overlap(one: DerControl, other: DerControl) -> bool:
        if one.is_default or one.start_s is None or other.start_s is None:
            return True
        ends_before = other.end_s is not None and other.end_s <= one.start_s
        starts_after = one.end_s is not None and one.end_s <= other.start_s
        return not (ends_before or starts_after)

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
        """The control of a type in force: the strongest scheduled one, else the default."""
        running = [c for c in self.by_id.values() if c.type == kind and c.runs_at(at_s)]
        if running:
            return min(running, key=lambda c: c.priority)
        defaults = [
            c for c in self.by_id.values() if c.type == kind and c.is_default and not c.superseded
        ]
        return min(defaults, key=lambda c: c.priority) if defaults else None

    def report(self, controls: list[DerControl]) -> dict[str, list[dict[str, Any]]]:
        """The lists of a ReportDERControl request."""
        lists: dict[str, list[dict[str, Any]]] = {}
        for control in controls:
            entry: dict[str, Any] = {"id": control.id, control.field: control.body}
            if control.field not in ("enterService", "gradient"):
                entry |= {"isDefault": control.is_default, "isSuperseded": control.superseded}
            if control.field == "curve":
                entry["curveType"] = control.type
            lists.setdefault(control.field, []).append(entry)
        return lists
