"""Commands a 2.x station understands beside its smart charging (see v2_dialect)."""

from datetime import datetime
from typing import Any

import msgspec

from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.station.core import Refusal
from pendel.comms.ocpp.station.v2_dialect import Dialect2, Payload

REPORT_ROWS_EACH = 50


class Commands2(Dialect2):
    """Remote control, device model, reports, DER controls, V2X signals."""

    def _on_RequestStartTransaction(self, request: Any, now_s: float) -> Payload:
        evse = self.evse_of(request.evseId)
        if evse is None or evse.fault is not None or not evse.available:
            return {"status": "Rejected"}
        if evse.transaction is None:
            return {"status": "Rejected", "statusInfo": {"reasonCode": "NoEV"}}
        evse.transaction.remote_start_id = request.remoteStartId
        evse.stopped = False
        self.event(evse, "Updated", "RemoteStart", now_s)
        return {"status": "Accepted", "transactionId": evse.transaction.id}

    def _on_RequestStopTransaction(self, request: Any, now_s: float) -> Payload:
        evse = self.by_transaction(request.transactionId)
        if evse is None:
            return {"status": "Rejected"}
        self.stop(evse, now_s, "RemoteStop", "Remote")
        return {"status": "Accepted"}

    def _on_Reset(self, request: Any, now_s: float) -> Payload:
        busy = any(e.transaction is not None for e in self.station.evses.values())
        if request.type == "OnIdle" and busy:
            return {"status": "Scheduled"}
        self.station.reset_at_s = now_s
        return {"status": "Accepted"}

    def _on_ChangeAvailability(self, request: Any, _: float) -> Payload:
        chosen = list(self.station.evses.values())
        if request.evse is not msgspec.UNSET and request.evse.id != 0:
            evse = self.station.evses.get(request.evse.id)
            if evse is None:
                return {"status": "Rejected"}
            chosen = [evse]
        for evse in chosen:
            evse.available = request.operationalStatus == "Operative"
        return {"status": "Accepted"}

    def _on_UnlockConnector(self, request: Any, _: float) -> Payload:
        evse = self.station.evses.get(request.evseId)
        if evse is None:
            return {"status": "UnknownConnector"}
        if evse.transaction is not None:
            return {"status": "OngoingAuthorizedTransaction"}
        return {"status": "Unlocked"}

    def _on_TriggerMessage(self, request: Any, now_s: float) -> Payload:
        wanted = request.requestedMessage
        chosen = list(self.station.evses.values())
        if request.evse is not msgspec.UNSET:
            chosen = [e for e in chosen if e.id == request.evse.id]
        if wanted == "BootNotification":
            self.boot()
        elif wanted == "Heartbeat":
            self.station.call("Heartbeat", {}, lambda _: None)
        elif wanted == "StatusNotification":
            for evse in chosen:
                self.status(evse)
        elif wanted in ("MeterValues", "TransactionEvent"):
            for evse in chosen:
                if wanted == "TransactionEvent" and evse.transaction is not None:
                    self.event(evse, "Updated", "Trigger", now_s)
                elif wanted == "MeterValues":
                    value = self.meter_value(evse, now_s, "Trigger")
                    payload = {"evseId": evse.id, "meterValue": [value]}
                    self.station.call("MeterValues", payload, lambda _: None)
        else:
            return {"status": "NotImplemented"}
        return {"status": "Accepted"}

    def _on_GetVariables(self, request: Any, now_s: float) -> Payload:
        results = []
        for item in request.getVariableData:
            data = msgspec.to_builtins(item)
            result: Payload = {"component": data["component"], "variable": data["variable"]}
            evse = data["component"].get("evse", {}).get("id")
            name = data["component"]["name"]
            found = self.variables.get(name, evse, data["variable"]["name"])
            if data.get("attributeType", "Actual") != "Actual":
                result["attributeStatus"] = "NotSupportedAttributeType"
            elif found is None:
                known = self.variables.knows_component(name)
                result["attributeStatus"] = "UnknownVariable" if known else "UnknownComponent"
            else:
                clock = name == "ClockCtrlr" and data["variable"]["name"] == "DateTime"
                result["attributeStatus"] = "Accepted"
                result["attributeValue"] = self.stamp(now_s) if clock else found.value
            results.append(result)
        return {"getVariableResult": results}

    def _on_SetVariables(self, request: Any, _: float) -> Payload:
        results = []
        for item in request.setVariableData:
            data = msgspec.to_builtins(item)
            result: Payload = {"component": data["component"], "variable": data["variable"]}
            evse = data["component"].get("evse", {}).get("id")
            name = data["component"]["name"]
            found = self.variables.get(name, evse, data["variable"]["name"])
            if found is None:
                known = self.variables.knows_component(name)
                result["attributeStatus"] = "UnknownVariable" if known else "UnknownComponent"
            elif not found.writable:
                result["attributeStatus"] = "Rejected"
            else:
                found.value = data["attributeValue"]
                result["attributeStatus"] = "Accepted"
                self._apply(name, data["variable"]["name"], found.value)
            results.append(result)
        return {"setVariableResult": results}

    def _apply(self, component: str, name: str, value: str) -> None:
        if (component, name) == ("OCPPCommCtrlr", "HeartbeatInterval") and value.isdigit():
            self.station.heartbeat_s = float(value) or self.station.heartbeat_s
        if (component, name) == ("SampledDataCtrlr", "TxUpdatedInterval") and value.isdigit():
            self.station.meter_interval_s = float(value) or self.station.meter_interval_s

    def _on_GetBaseReport(self, request: Any, now_s: float) -> Payload:
        rows = self.variables.report()
        parts = [rows[i : i + REPORT_ROWS_EACH] for i in range(0, len(rows), REPORT_ROWS_EACH)]
        for number, part in enumerate(parts):
            payload = {
                "requestId": request.requestId,
                "generatedAt": self.stamp(now_s),
                "seqNo": number,
                "tbc": number + 1 < len(parts),
                "reportData": part,
            }
            self.station.call("NotifyReport", payload, lambda _: None)
        return {"status": "Accepted"}

    def _on_GetTransactionStatus(self, request: Any, _: float) -> Payload:
        waiting = [q.transaction.id for q in self.station.queue]
        if request.transactionId is msgspec.UNSET:
            return {"messagesInQueue": bool(waiting)}
        running = self.by_transaction(request.transactionId) is not None
        return {"ongoingIndicator": running, "messagesInQueue": request.transactionId in waiting}

    def _on_GetChargingProfiles(self, request: Any, _: float) -> Payload:
        return {"status": "NoProfiles" if not self.station.profiles.by_id else "Accepted"}

    def _on_ReserveNow(self, request: Any, _: float) -> Payload:
        evse = self.evse_of(request.evseId)
        if evse is None:
            return {"status": "Rejected"}
        if evse.car is not None:
            return {"status": "Occupied"}
        evse.reserved_for = str(request.id)
        return {"status": "Accepted"}

    def _on_CancelReservation(self, request: Any, _: float) -> Payload:
        for evse in self.station.evses.values():
            if evse.reserved_for == str(request.reservationId):
                evse.reserved_for = None
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _on_GetLocalListVersion(self, _: Any, __: float) -> Payload:
        return {"versionNumber": self.station.local_list_version}

    def _on_SendLocalList(self, request: Any, _: float) -> Payload:
        same = request.versionNumber <= self.station.local_list_version
        if request.updateType == "Differential" and same:
            return {"status": "VersionMismatch"}
        self.station.local_list_version = request.versionNumber
        return {"status": "Accepted"}

    def _on_ClearCache(self, _: Any, __: float) -> Payload:
        return {"status": "Accepted"}

    def _on_DataTransfer(self, _: Any, __: float) -> Payload:
        return {"status": "UnknownVendorId"}

    def _on_NotifyAllowedEnergyTransfer(self, request: Any, _: float) -> Payload:
        known = self.by_transaction(request.transactionId)
        return {"status": "Rejected" if known is None else "Accepted"}

    def _on_UsePriorityCharging(self, request: Any, _: float) -> Payload:
        evse = self.by_transaction(request.transactionId)
        if evse is None:
            return {"status": "Rejected"}
        purposes = {p.purpose.value for p in self.station.profiles.by_id.values()}
        if "PriorityCharging" not in purposes:
            return {"status": "NoProfile"}
        evse.priority = request.activate
        return {"status": "Accepted"}

    def _on_AFRRSignal(self, request: Any, _: float) -> Payload:
        followers = [e for e in self.station.evses.values() if e.transaction is not None]
        for evse in followers:
            evse.signal = float(request.signal)
        return {"status": "Accepted" if followers else "Rejected"}

    def _on_SetDERControl(self, request: Any, _: float) -> Payload:
        body = next(
            (getattr(request, f) for f in ("curve", "freqDroop", "fixedPFAbsorb", "fixedPFInject",
             "fixedVar", "limitMaxDischarge") if getattr(request, f) is not msgspec.UNSET),
            None,
        )  # fmt: skip
        start = getattr(body, "startTime", msgspec.UNSET)
        duration = getattr(body, "duration", msgspec.UNSET)
        start_s = start.timestamp() if isinstance(start, datetime) else None
        lasts = isinstance(duration, float | int) and start_s is not None
        end_s = start_s + float(duration) if lasts and start_s is not None else None
        return self.der.set(request, start_s, end_s)

    def _on_GetDERControl(self, request: Any, _: float) -> Payload:
        found = self.der.matching(request)
        if not found:
            return {"status": "NotFound"}
        report = {"requestId": request.requestId, **self.der.report(found)}
        self.station.call("ReportDERControl", report, lambda _: None)
        return {"status": "Accepted"}

    def _on_ClearDERControl(self, request: Any, _: float) -> Payload:
        return {"status": "Accepted" if self.der.clear(request) else "NotFound"}

    def _on_NotifyPeriodicEventStream(self, *_: Any) -> Payload:
        raise Refusal(ErrorCode.NOT_SUPPORTED, "a station opens streams, it does not take them")
