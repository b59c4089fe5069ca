"""Commands a 2.x station understands beside smart charging: start and stop, device model, lists,
reservations, firmware, logs."""

from collections.abc import Iterable
from typing import Any

import msgspec

from pendel.comms.ocpp.station.equipment import Evse, RemoteStart, Reservation
from pendel.comms.ocpp.station.v2_der import Der2
from pendel.comms.ocpp.station.v2_dialect import Payload, rejected
from pendel.comms.ocpp.station.variables import name_of

REPORT_ROWS_EACH = 50
START = "a start to come"
"""Stands for the transaction that a remote start will make."""
STAGE_S = 5.0
"""Time a firmware or log stage takes."""
_FIRMWARE = ("Downloading", "Downloaded", "Installing", "Installed")


class Commands2(Der2):
    """Remote control, device model, reports, lists, reservations, firmware."""

    def _chosen(self, evse: Any) -> list[Evse]:
        """The EVSEs an optional EVSEType names; absent or id 0 = all."""
        found = list(self.station.evses.values())
        if evse is msgspec.UNSET or evse.id == 0:
            return found
        return [e for e in found if e.id == evse.id]

    def _on_RequestStartTransaction(self, request: Any, now_s: float) -> Payload:
        free = [e for e in self.station.evses.values() if e.fault is None and e.available]
        if request.evseId is not msgspec.UNSET:
            free = [e for e in free if e.id == request.evseId]
        free = [e for e in free if e.transaction is None or not e.transaction.authorized]
        if not free:
            return {"status": "Rejected", "statusInfo": {"reasonCode": "TxInProgress"}}
        evse = next((e for e in free if e.car is not None), free[0])
        token = request.idToken.idToken
        if evse.reservation is not None and evse.reservation.id_token != token:
            return {"status": "Rejected", "statusInfo": {"reasonCode": "Reserved"}}
        profile = None if request.chargingProfile is msgspec.UNSET else request.chargingProfile
        if not self.station.settings.smart.available:
            profile = None  # K05.FR.04
        if profile is not None:
            problems = self.examined(profile, evse.id, now_s, START)[1]
            if problems:
                return rejected(problems[0].code, problems[0].text)
        if evse.car is None:
            wait_s = float(self.variables.value("TxCtrlr", "EVConnectionTimeOut"))
            evse.remote_start = RemoteStart(request.remoteStartId, token, now_s + wait_s, profile)
            return {"status": "Accepted"}
        self.remote_started(evse, request.remoteStartId, token, profile, now_s)
        answer: Payload = {"status": "Accepted"}
        if evse.transaction is not None:
            answer["transactionId"] = evse.transaction.id
        return answer

    def _on_RequestStopTransaction(self, request: Any, now_s: float) -> Payload:
        evse = self.by_transaction(request.transactionId)
        if evse is None:
            return {"status": "Rejected"}
        self.stop(evse, now_s, "RemoteStop", "Remote")
        return {"status": "Accepted"}

    def _on_Reset(self, request: Any, _: float) -> Payload:
        busy = any(e.transaction is not None for e in self.station.evses.values())
        if request.type == "OnIdle" and busy:
            self.station.reset_when_idle = True
            return {"status": "Scheduled"}
        self.station.reset_for = "RemoteReset"
        return {"status": "Accepted"}

    def _on_ChangeAvailability(self, request: Any, _: float) -> Payload:
        chosen = self._chosen(request.evse)
        if not chosen:
            return {"status": "Rejected"}
        for evse in chosen:
            evse.available = request.operationalStatus == "Operative"
        busy = any(e.transaction is not None for e in chosen)
        later = busy and request.operationalStatus == "Inoperative"
        return {"status": "Scheduled" if later else "Accepted"}

    def _on_UnlockConnector(self, request: Any, _: float) -> Payload:
        evse = self.station.evses.get(request.evseId)
        if evse is None or request.connectorId != 1:
            return {"status": "UnknownConnector"}
        if evse.transaction is not None and evse.transaction.authorized:
            return {"status": "OngoingAuthorizedTransaction"}
        return {"status": "Unlocked"}

    def _on_TriggerMessage(self, request: Any, now_s: float) -> Payload:
        wanted, chosen = request.requestedMessage, self._chosen(request.evse)
        match wanted:
            case "BootNotification":
                if self.station.accepted:
                    return {"status": "Rejected"}
                self.boot()
            case "Heartbeat":
                self.station.call("Heartbeat", {}, self.station.clock_told)
            case "StatusNotification":
                for evse in chosen:
                    self.status(evse)
            case "TransactionEvent":
                for evse in chosen:
                    self.event(evse, "Updated", "Trigger", now_s)
            case "MeterValues":
                for evse in chosen:
                    value = self.meter_value(evse, now_s, "Trigger")
                    payload = {"evseId": evse.id, "meterValue": [value]}
                    self.station.call("MeterValues", payload)
            case "FirmwareStatusNotification":
                self.station.call("FirmwareStatusNotification", {"status": "Idle"})
            case "LogStatusNotification":
                self.station.call("LogStatusNotification", {"status": "Idle"})
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted"}

    def _on_GetVariables(self, request: Any, now_s: float) -> Payload:
        results = []
        for item in request.getVariableData:
            data = msgspec.to_builtins(item)
            result: Payload = {"component": data["component"], "variable": data["variable"]}
            evse = data["component"].get("evse", {}).get("id")
            name = data["component"]["name"]
            found = self.variables.get(name, evse, name_of(data["variable"]))
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
            found = self.variables.get(name, evse, name_of(data["variable"]))
            if found is None:
                known = self.variables.knows_component(name)
                result["attributeStatus"] = "UnknownVariable" if known else "UnknownComponent"
            elif not found.writable or not found.takes(data["attributeValue"]):
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
        if (component, name) == ("AlignedDataCtrlr", "Interval") and value.isdigit():
            self.station.aligned_s = float(value)

    def _on_GetBaseReport(self, request: Any, now_s: float) -> Payload:
        self._report(request.requestId, self.variables.report(), now_s)
        return {"status": "Accepted"}

    def _on_GetReport(self, request: Any, now_s: float) -> Payload:
        """Variables of the named components; criteria other than Available and Enabled: none."""
        rows = self.variables.report()
        if request.componentVariable is not msgspec.UNSET:
            asked = [msgspec.to_builtins(item) for item in request.componentVariable]
            rows = [row for row in rows if any(_asked_for(row, one) for one in asked)]
        if not rows:
            return {"status": "EmptyResultSet"}
        self._report(request.requestId, rows, now_s)
        return {"status": "Accepted"}

    def _report(self, request_id: int, rows: list[Payload], now_s: float) -> None:
        parts = [rows[i : i + REPORT_ROWS_EACH] for i in range(0, len(rows), REPORT_ROWS_EACH)]
        for number, part in enumerate(parts):
            payload = {
                "requestId": request_id,
                "generatedAt": self.stamp(now_s),
                "seqNo": number,
                "tbc": number + 1 < len(parts),
                "reportData": part,
            }
            self.station.call("NotifyReport", payload)

    def _on_GetTransactionStatus(self, request: Any, _: float) -> Payload:
        waiting = {q.transaction.id for q in self.station.queue.waiting}
        if request.transactionId is msgspec.UNSET:
            return {"messagesInQueue": bool(waiting)}
        running = self.by_transaction(request.transactionId) is not None
        return {"ongoingIndicator": running, "messagesInQueue": request.transactionId in waiting}

    def _on_ReserveNow(self, request: Any, now_s: float) -> Payload:
        found = list(self.station.evses.values())
        if request.evseId is not msgspec.UNSET:
            found = [e for e in found if e.id == request.evseId]
        same = next((e for e in found if e.reservation and e.reservation.id == request.id), None)
        free = same or next((e for e in found if e.car is None and e.reservation is None), None)
        if not found:
            return {"status": "Rejected"}
        if free is None or free.car is not None:
            return {"status": "Occupied"}
        if free.fault is not None or not free.available:
            return {"status": "Faulted" if free.fault is not None else "Unavailable"}
        expires_s = request.expiryDateTime.timestamp() - self.station.clock_error_s
        if expires_s <= now_s:
            return {"status": "Rejected"}
        free.reservation = Reservation(request.id, request.idToken.idToken, expires_s)
        return {"status": "Accepted"}

    def _on_CancelReservation(self, request: Any, _: float) -> Payload:
        for evse in self.station.evses.values():
            if evse.reservation is not None and evse.reservation.id == request.reservationId:
                evse.reservation = None
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _on_GetLocalListVersion(self, _: Any, __: float) -> Payload:
        return {"versionNumber": self.station.local_list_version}

    def _on_SendLocalList(self, request: Any, _: float) -> Payload:
        station = self.station
        if request.updateType == "Differential":
            if request.versionNumber <= station.local_list_version:
                return {"status": "VersionMismatch"}
        else:
            station.local_list = {}
        entries = request.localAuthorizationList
        for entry in [] if entries is msgspec.UNSET else entries:
            token = entry.idToken.idToken
            if entry.idTokenInfo is msgspec.UNSET:
                station.local_list.pop(token, None)
            else:
                station.local_list[token] = entry.idTokenInfo.status
        station.local_list_version = request.versionNumber
        return {"status": "Accepted"}

    def _on_ClearCache(self, _: Any, __: float) -> Payload:
        return {"status": "Rejected"}  # there is no authorization cache (AuthCacheCtrlr absent)

    def _on_DataTransfer(self, _: Any, __: float) -> Payload:
        return {"status": "UnknownVendorId"}

    def _on_UpdateFirmware(self, request: Any, _: float) -> Payload:
        """Played: a virtual station downloads nothing."""
        about = {"requestId": request.requestId}
        self.stages("FirmwareStatusNotification", _FIRMWARE, about)
        return {"status": "Accepted"}

    def _on_GetLog(self, request: Any, _: float) -> Payload:
        """The log is announced; a virtual station has no way to upload it: it says so."""
        about = {"requestId": request.requestId}
        self.stages("LogStatusNotification", ("Uploading", "UploadFailure"), about)
        return {"status": "Accepted", "filename": f"{self.station.settings.station_id}.log"}

    def stages(self, action: str, stages: Iterable[str], about: Payload) -> None:
        """Say one stage after the other."""
        for number, stage in enumerate(stages):
            payload = {"status": stage, **about}

            def say(payload: Payload = payload) -> None:
                self.station.call(action, payload)

            self.station.later(STAGE_S * number, say)

    def _on_SetNetworkProfile(self, _: Any, __: float) -> Payload:
        return {"status": "Rejected"}

    def _on_CustomerInformation(self, request: Any, now_s: float) -> Payload:
        if not (request.report or request.clear):
            return {"status": "Rejected"}
        told = {
            "data": "no customer data is kept" if request.report else "",
            "seqNo": 0,
            "generatedAt": self.stamp(now_s),
            "requestId": request.requestId,
        }
        self.station.call("NotifyCustomerInformation", told)
        return {"status": "Accepted"}

    def _on_CostUpdated(self, _: Any, __: float) -> Payload:
        return {}


def _asked_for(row: Payload, asked: Payload) -> bool:
    component = asked["component"]
    if component["name"] != row["component"]["name"]:
        return False
    place = component.get("evse")
    if place is not None and place["id"] != row["component"].get("evse", {}).get("id"):
        return False
    variable = asked.get("variable")
    return variable is None or variable["name"] == row["variable"]["name"]
