"""DER control of a 2.1 station on the wire (block R); the rules are in der."""

from datetime import datetime
from typing import Any

import msgspec

from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.der import DerControls
from pendel.comms.ocpp.station.der_power import KINDS
from pendel.comms.ocpp.station.v2_charging import Charging2
from pendel.comms.ocpp.station.v2_dialect import Payload

_TIMED = (
    "curve",
    "freqDroop",
    "fixedPFAbsorb",
    "fixedPFInject",
    "fixedVar",
    "limitMaxDischarge",
)


class Der2(Charging2):
    """Set, get, clear, start and stop, alarms. What controls do to power is in der_power."""

    def __init__(self, station: VirtualStation) -> None:
        super().__init__(station)
        self.der = DerControls()
        station.der_power.share = station.rng.random()

    def tick(self, now_s: float) -> None:
        """Controls begin and end (NotifyDERStartStop, R04)."""
        super().tick(now_s)
        if not self.der.by_id:
            return
        for change in self.der.advance(now_s):
            payload: Payload = {
                "controlId": change.id,
                "started": change.started,
                "timestamp": self.stamp(now_s),
            }
            if change.superseded:
                payload["supersededIds"] = change.superseded[:24]
            self.station.call("NotifyDERStartStop", payload)
        self._limit(now_s)

    def _limit(self, now_s: float) -> None:
        active = ((kind, self.der.active(kind, now_s)) for kind in KINDS)
        self.station.der_power.controls = {
            kind: control.body for kind, control in active if control is not None
        }

    def alarm(self, control_type: str, grid_fault: str, ended: bool, now_s: float) -> None:
        """NotifyDERAlarm: a grid event that a control reacts to began or ended."""
        payload = {
            "controlType": control_type,
            "gridEventFault": grid_fault,
            "alarmEnded": ended,
            "timestamp": self.stamp(now_s),
        }
        self.station.call("NotifyDERAlarm", payload)

    def _on_SetDERControl(self, request: Any, now_s: float) -> Payload:
        bodies = [getattr(request, name) for name in _TIMED]
        body = next((b for b in bodies if b is not msgspec.UNSET), None)
        start = getattr(body, "startTime", msgspec.UNSET)
        duration = getattr(body, "duration", msgspec.UNSET)
        start_s = None
        if isinstance(start, datetime):
            start_s = start.timestamp() - self.station.clock_error_s
        end_s = None
        if start_s is not None and isinstance(duration, float | int):
            end_s = start_s + float(duration)
        answer = self.der.set(request, start_s, end_s, now_s)
        self._limit(now_s)
        return answer

    def _on_GetDERControl(self, request: Any, _: float) -> Payload:
        found = self.der.matching(request)
        if not found:
            return {"status": "NotFound"}
        for report in self.der.reports(found):
            self.station.call("ReportDERControl", {"requestId": request.requestId, **report})
        return {"status": "Accepted"}

    def _on_ClearDERControl(self, request: Any, now_s: float) -> Payload:
        gone = self.der.clear(request)
        self._limit(now_s)
        return {"status": "Accepted" if gone else "NotFound"}
