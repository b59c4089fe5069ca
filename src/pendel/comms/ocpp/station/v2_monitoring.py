"""Monitors of a 2.x station on the wire (N04, N06 to N08), and its event streams (2.1, N11 to N15).

What can be monitored is what moves: the energy counters of each EVSE and the SoC of its car.
"""

import math
from typing import Any

from msgspec import UNSET, to_builtins

from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.monitors import Monitor, Monitors, Place, Stream
from pendel.comms.ocpp.station.v2_commands import Commands2
from pendel.comms.ocpp.station.v2_dialect import Payload
from pendel.comms.ocpp.station.variables import Variable

STREAMS_MAX = 10


class Monitoring2(Commands2):
    """Sets, clears and follows monitors."""

    def __init__(self, station: VirtualStation) -> None:
        super().__init__(station)
        self.monitors = Monitors()
        self._events = 0
        self._woken_s = math.inf
        add = self.variables.by_key
        for number in station.evses:
            for component, name, unit in _LIVE:
                add[component, number, name] = Variable("0", False, "decimal", unit, True)
        if self.is_21:
            most = Variable(str(STREAMS_MAX), False, "integer")
            add["MonitoringCtrlr", None, "MaxPeriodicEventStreams"] = most

    def started(self, now_s: float) -> None:
        """After a start monitors are as before; their streams are opened anew."""
        super().started(now_s)
        for monitor in self.monitors.by_id.values():
            if monitor.stream is not None:
                monitor.stream.is_open = False
                self._open(monitor, monitor.stream)

    def tick(self, now_s: float) -> None:
        """Look at what is monitored; send what is due."""
        super().tick(now_s)
        if not self.monitors.by_id:
            return
        for monitor in list(self.monitors.by_id.values()):
            self._look(monitor, now_s)
        for stream in self.monitors.streams():
            while stream.is_due(now_s) and self._send(stream, now_s):
                pass
        self._wake(now_s)

    def _wake(self, now_s: float) -> None:
        """Be there when the next event falls due; pieces of time are longer than that."""
        due_s = self.monitors.next_s
        if now_s < due_s < math.inf and (due_s < self._woken_s or self._woken_s <= now_s):
            self._woken_s = due_s
            self.station.later(due_s - now_s, lambda: None)

    def _look(self, monitor: Monitor, now_s: float) -> None:
        told = self._live(monitor.place)
        if told is None:
            return
        happened = monitor.event(told, now_s)
        if happened is None:
            return
        evse = self.station.evses.get(monitor.place[1] or 0)
        transaction = None if evse is None else evse.transaction
        if monitor.in_transaction and transaction is None:
            return
        trigger, cleared = happened
        text = f"{told:g}" if told == int(told) else f"{told:.3f}"
        stream = monitor.stream
        if stream is not None and stream.is_open:
            stream.buffer.append((now_s, text))
        elif self.station.accepted:
            self._notify(monitor, trigger, cleared, text, now_s)

    def _notify(
        self, monitor: Monitor, trigger: str, cleared: bool, text: str, now_s: float
    ) -> None:
        self._events += 1
        event: Payload = {
            "eventId": self._events,
            "timestamp": self.stamp(now_s),
            "trigger": trigger,
            "actualValue": text,
            "variableMonitoringId": monitor.id,
            "eventNotificationType": "CustomMonitor",
            **_place(monitor.place),
        }
        if monitor.kind.endswith("Threshold"):
            event["cleared"] = cleared
        if self.is_21:
            event["severity"] = monitor.severity
        payload = {"generatedAt": self.stamp(now_s), "seqNo": 0, "eventData": [event]}
        self.station.call("NotifyEvent", payload)

    def _live(self, place: Place) -> float | None:
        """A value as it is now; None where there is none (no car, no SoC)."""
        component, number, name = place
        evse = self.station.evses.get(number or 0)
        if evse is None:
            return None
        if component == "FiscalMetering":
            return round(evse.import_wh if name == "EnergyImport" else evse.export_wh, 3)
        return None if evse.car is None else round(100.0 * evse.car.soc, 3)

    def _refresh(self) -> None:
        """Give the variables that move the values of now."""
        for place, variable in self.variables.by_key.items():
            if variable.live:
                told = self._live(place)
                variable.value = "" if told is None else f"{told:g}"

    # streams

    def _open(self, monitor: Monitor, stream: Stream) -> None:
        """OpenPeriodicEventStream; while it is not taken the monitor speaks by NotifyEvent."""

        def answered(response: Any) -> None:
            if response.status == "Accepted" and monitor.stream is stream:
                stream.begin(self.station.now_s)
                self._wake(self.station.now_s)

        self.station.call(
            "OpenPeriodicEventStream", {"constantStreamData": _constant(monitor)}, answered
        )

    def _close(self, monitor: Monitor | None) -> None:
        """Send what is left, then ClosePeriodicEventStream (N13.FR.01, FR.03)."""
        stream = None if monitor is None else monitor.stream
        if monitor is None or stream is None or not stream.is_open:
            return
        while stream.buffer and self._send(stream, self.station.now_s):
            pass
        stream.is_open = False
        self.station.call("ClosePeriodicEventStream", {"id": stream.id})

    def _send(self, stream: Stream, now_s: float) -> bool:
        """One NotifyPeriodicEventStream; False while there is no line."""
        peer = self.station.peer
        if peer is None:
            stream.next_s = now_s + stream.interval_s if stream.interval_s else stream.next_s
            return False
        values = stream.take(now_s)
        base_s = values[0][0]
        payload = {
            "id": stream.id,
            "pending": len(stream.buffer),
            "basetime": self.stamp(base_s),
            "data": [{"t": round(at_s - base_s, 3), "v": text} for at_s, text in values],
        }
        peer.send("NotifyPeriodicEventStream", payload)
        return True

    # what the station is asked

    def _on_SetVariableMonitoring(self, request: Any, now_s: float) -> Payload:
        return {
            "setMonitoringResult": [self._set(item, now_s) for item in request.setMonitoringData]
        }

    def _set(self, asked: Any, now_s: float) -> Payload:
        data = to_builtins(asked)
        result: Payload = {
            name: data[name] for name in ("component", "variable", "type", "severity")
        }
        number = data["component"].get("evse", {}).get("id")
        place: Place = (data["component"]["name"], number, data["variable"]["name"])
        variable = self.variables.by_key.get(place)
        if variable is None or not variable.live:
            known = self.variables.knows_component(place[0])
            result["status"] = "UnknownVariable" if known else "UnknownComponent"
            if variable is not None:
                result["status"] = "UnsupportedMonitorType"
            return result
        result["status"] = self.monitors.status_of(asked, place)
        if result["status"] != "Accepted":
            return result
        monitor, before = self.monitors.put(asked, place, now_s)
        self._close(before)
        result["id"] = monitor.id
        wanted = getattr(asked, "periodicEventStream", UNSET)
        if wanted is not UNSET and len(self.monitors.streams()) < STREAMS_MAX:
            interval, values = wanted.interval, wanted.values
            monitor.stream = Stream(
                monitor.id,
                0.0 if interval is UNSET else float(interval),
                0 if values is UNSET else values,
            )
            if monitor.stream.interval_s or monitor.stream.values:
                self._open(monitor, monitor.stream)
            else:
                monitor.stream = None  # N11.FR.09: no rate, no stream
        self._wake(now_s)
        return result

    def _on_ClearVariableMonitoring(self, request: Any, _: float) -> Payload:
        results = []
        for number in request.id:
            monitor = self.monitors.by_id.pop(number, None)
            self._close(monitor)
            results.append({"id": number, "status": "NotFound" if monitor is None else "Accepted"})
        return {"clearMonitoringResult": results}

    def _on_GetPeriodicEventStream(self, _: Any, __: float) -> Payload:
        found = [
            _constant(monitor)
            for monitor in self.monitors.by_id.values()
            if monitor.stream is not None and monitor.stream.is_open
        ]
        return {"constantStreamData": found} if found else {}

    def _on_AdjustPeriodicEventStream(self, request: Any, now_s: float) -> Payload:
        monitor = self.monitors.of_stream(request.id)
        params = request.params
        interval = 0.0 if params.interval is UNSET else float(params.interval)
        values = 0 if params.values is UNSET else params.values
        if monitor is None or monitor.stream is None or not (interval or values):
            return {"status": "Rejected"}
        monitor.stream.interval_s, monitor.stream.values = interval, values
        monitor.stream.begin(now_s)
        self._wake(now_s)
        return {"status": "Accepted"}

    def _on_GetVariables(self, request: Any, now_s: float) -> Payload:
        self._refresh()
        return super()._on_GetVariables(request, now_s)

    def _on_GetBaseReport(self, request: Any, now_s: float) -> Payload:
        self._refresh()
        return super()._on_GetBaseReport(request, now_s)

    def _on_GetReport(self, request: Any, now_s: float) -> Payload:
        self._refresh()
        return super()._on_GetReport(request, now_s)


def _constant(monitor: Monitor) -> Payload:
    """ConstantStreamDataType."""
    stream, params = monitor.stream, dict[str, int]()
    if stream is not None and stream.interval_s:
        params["interval"] = round(stream.interval_s)
    if stream is not None and stream.values:
        params["values"] = stream.values
    return {
        "id": monitor.id if stream is None else stream.id,
        "variableMonitoringId": monitor.id,
        "params": params,
    }


def _place(place: Place) -> Payload:
    component: Payload = {"name": place[0]}
    if place[1] is not None:
        component["evse"] = {"id": place[1]}
    return {"component": component, "variable": {"name": place[2]}}


_LIVE = (
    ("FiscalMetering", "EnergyImport", "Wh"),
    ("FiscalMetering", "EnergyExport", "Wh"),
    ("ConnectedEV", "StateOfCharge", "Percent"),
)
