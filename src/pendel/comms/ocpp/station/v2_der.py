"""DER control of a 2.1 station on the wire (block R); the rules are in der."""

from collections import deque
from datetime import datetime
from typing import Any

import msgspec

from pendel.comms.ocpp.der_rules import TYPES
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.der import SUPERSEDED_TOLD, DerControls
from pendel.comms.ocpp.station.der_alarm import Told, notices
from pendel.comms.ocpp.station.der_in_car import shared
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
UNTOLD_MAX = 200


class Der2(Charging2):
    """Set, get, clear, start and stop, alarms. What controls do to power is in der_power."""

    def __init__(self, station: VirtualStation) -> None:
        super().__init__(station)
        self.der = DerControls()
        self.told = Told()
        self.untold: deque[tuple[str, Payload]] = deque(maxlen=UNTOLD_MAX)
        station.der_power.share = station.rng.random()

    def tick(self, now_s: float) -> None:
        """Controls begin and end (NotifyDERStartStop, R04), alarms come and go (R05)."""
        super().tick(now_s)
        for evse in self.station.evses.values():
            if evse.car is None or evse.transaction is None:
                self.station.der_power.rest(evse.id)
                self.station.around.gone(evse.id)
        if not self.is_21 or not (self.der.by_id or self.told.kind or self.untold):
            return
        for change in self.der.advance(now_s):
            payload: Payload = {
                "controlId": change.id,
                "started": change.started,
                "timestamp": self.stamp(now_s),
            }
            if change.superseded:
                payload["supersededIds"] = change.superseded[:SUPERSEDED_TOLD]
            self._tell("NotifyDERStartStop", payload)
        self._limit(now_s)
        self.station.der_power.observe(self.station.around.grid(now_s), now_s)
        found, self.told = notices(self.told, self.station.der_power.deviation(), now_s)
        for notice in found:
            stamped = notice.payload | {"timestamp": self.stamp(notice.at_s)}
            self._tell("NotifyDERAlarm", stamped)
        self._flush()

    def _tell(self, action: str, payload: Payload) -> None:
        """Say it, or keep it until there is a line."""
        self.untold.append((action, payload))
        self._flush()

    def _flush(self) -> None:
        while self.untold and self.station.peer is not None and self.station.accepted:
            action, payload = self.untold.popleft()

            def failed(code: str, kept: tuple[str, Payload] = (action, payload)) -> None:
                if code == "ConnectionLost":
                    self.untold.append(kept)

            self.station.call(action, payload, on_fail=failed)

    def _limit(self, now_s: float) -> None:
        power = self.station.der_power
        active = ((kind, self.der.active(kind, now_s)) for kind in TYPES)
        power.controls = {kind: control.body for kind, control in active if control is not None}
        power.edge_s = self.der.next_s(now_s)

    def alarm(self, control_type: str, grid_fault: str, ended: bool, now_s: float) -> None:
        """NotifyDERAlarm on command: a grid event that a control reacts to began or ended."""
        payload = {
            "controlType": control_type,
            "gridEventFault": grid_fault,
            "alarmEnded": ended,
            "timestamp": self.stamp(now_s),
        }
        self.station.call("NotifyDERAlarm", payload)

    def _supports(self, kind: str) -> bool:
        """Whether the station or a car at it carries out a control type (R04.FR.01)."""
        cars = [e.car for e in self.station.evses.values() if e.car is not None]
        return any(
            not shared(self.station.settings, car, [kind]).unsupported for car in [None, *cars]
        )

    def _on_SetDERControl(self, request: Any, now_s: float) -> Payload:
        if not self._supports(request.controlType):
            return {"status": "NotSupported"}
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
        kind = request.controlType
        if kind is not msgspec.UNSET and not self._supports(kind):
            return {"status": "NotSupported"}
        found = self.der.matching(request)
        if not found:
            return {"status": "NotFound"}
        for report in self.der.reports(found):
            self.station.call("ReportDERControl", {"requestId": request.requestId, **report})
        return {"status": "Accepted"}

    def _on_ClearDERControl(self, request: Any, now_s: float) -> Payload:
        kind, whole = request.controlType, request.controlId is msgspec.UNSET
        if whole and kind is not msgspec.UNSET and not self._supports(kind):
            return {"status": "NotSupported"}
        gone = self.der.clear(request)
        self._limit(now_s)
        # Without any criterion there is nothing that could be missing (R04.FR.44).
        return {"status": "Accepted" if gone or (whole and kind is msgspec.UNSET) else "NotFound"}
