"""Commands a 1.6J station understands: profiles, remote start and stop, configuration, lists,
reservations, firmware, diagnostics."""

from collections.abc import Iterable
from typing import Any

import msgspec

from pendel.comms.ocpp.profile import Purpose
from pendel.comms.ocpp.station.composite_answer import rows_of, wire_period
from pendel.comms.ocpp.station.equipment import RemoteStart, Reservation
from pendel.comms.ocpp.station.v16_dialect import Dialect16, Payload

START = "a start to come"
STAGE_S = 5.0
AMPERE_DIGITS = 1
_FIRMWARE = ("Downloading", "Downloaded", "Installing", "Installed")


class Commands16(Dialect16):
    """What a 1.6 station is asked."""

    def _on_SetChargingProfile(self, request: Any, now_s: float) -> Payload:
        evse = self.station.evses.get(request.connectorId)
        if request.connectorId != 0 and evse is None:
            return {"status": "Rejected"}
        taken = self.take_profile(request.csChargingProfiles, evse, now_s)
        return {"status": "Accepted" if taken else "Rejected"}

    def _on_ClearChargingProfile(self, request: Any, _: float) -> Payload:
        fields: Payload = msgspec.to_builtins(request)
        purpose = fields.get("chargingProfilePurpose")
        if purpose == "ChargePointMaxProfile":
            purpose = Purpose.STATION_MAX.value
        gone = self.station.profiles.clear(
            fields.get("id"),
            fields.get("connectorId"),
            None if purpose is None else Purpose(purpose),
            fields.get("stackLevel"),
        )
        return {"status": "Accepted" if gone else "Unknown"}

    def _on_GetCompositeSchedule(self, request: Any, now_s: float) -> Payload:
        evse = self.station.evses.get(request.connectorId)
        if request.connectorId != 0 and evse is None:
            return {"status": "Rejected"}
        units = {"Power": "W", "Current": "A"}
        allowed = self.configuration["ChargingScheduleAllowedChargingRateUnit"][0].split(",")
        known = sorted((units[name] for name in allowed if name in units), reverse=True)
        unit = known[0] if request.chargingRateUnit is msgspec.UNSET else request.chargingRateUnit
        if unit not in known:
            return {"status": "Rejected"}
        periods = [
            wire_period(row, unit, self.station.supply.voltage_v, AMPERE_DIGITS, False)
            for row in rows_of(self.station, evse, now_s, float(request.duration))
        ]
        schedule = {
            "duration": request.duration,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods,
        }
        return {
            "status": "Accepted",
            "connectorId": request.connectorId,
            "scheduleStart": self.stamp(now_s),
            "chargingSchedule": schedule,
        }

    def _on_RemoteStartTransaction(self, request: Any, now_s: float) -> Payload:
        free = [e for e in self.station.evses.values() if e.fault is None and e.available]
        if request.connectorId is not msgspec.UNSET:
            free = [e for e in free if e.id == request.connectorId]
        free = [e for e in free if e.transaction is None]
        if not free:
            return {"status": "Rejected"}
        evse = next((e for e in free if e.car is not None), free[0])
        kept = evse.reservation
        if kept is not None and kept.id_token != request.idTag:
            return {"status": "Rejected"}
        profile = None if request.chargingProfile is msgspec.UNSET else request.chargingProfile
        if profile is not None and self.examined(profile, evse, now_s, START, START)[1]:
            return {"status": "Rejected"}
        if evse.car is None:
            wait_s = float(self.configuration["ConnectionTimeOut"][0])
            evse.remote_start = RemoteStart(None, request.idTag, now_s + wait_s, profile)
        else:
            self.start(evse, request.idTag, now_s, profile)
        return {"status": "Accepted"}

    def _on_RemoteStopTransaction(self, request: Any, now_s: float) -> Payload:
        for evse in self.station.evses.values():
            if evse.transaction is not None and evse.transaction.wire_id == request.transactionId:
                self.stop(evse, now_s, "Remote")
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _on_Reset(self, request: Any, _: float) -> Payload:
        self.station.reset_for = "HardReset" if request.type == "Hard" else "SoftReset"
        return {"status": "Accepted"}

    def _on_ChangeAvailability(self, request: Any, _: float) -> Payload:
        chosen = [e for e in self.station.evses.values() if request.connectorId in (0, e.id)]
        if not chosen:
            return {"status": "Rejected"}
        for evse in chosen:
            evse.available = request.type == "Operative"
        busy = any(e.transaction is not None for e in chosen)
        return {"status": "Scheduled" if busy and request.type == "Inoperative" else "Accepted"}

    def _on_GetConfiguration(self, request: Any, _: float) -> Payload:
        wanted = list(self.configuration) if request.key is msgspec.UNSET else request.key
        known = [
            {"key": k, "readonly": self.configuration[k][1], "value": self.configuration[k][0]}
            for k in wanted
            if k in self.configuration
        ]
        return {
            "configurationKey": known,
            "unknownKey": [k for k in wanted if k not in self.configuration],
        }

    def _on_ChangeConfiguration(self, request: Any, _: float) -> Payload:
        if request.key not in self.configuration:
            return {"status": "NotSupported"}
        if self.configuration[request.key][1]:
            return {"status": "Rejected"}
        self.configuration[request.key] = (request.value, False)
        if request.key == "MeterValueSampleInterval" and request.value.isdigit():
            self.station.meter_interval_s = float(request.value) or self.station.meter_interval_s
        if request.key == "ClockAlignedDataInterval" and request.value.isdigit():
            self.station.aligned_s = float(request.value)
        return {"status": "Accepted"}

    def _on_TriggerMessage(self, request: Any, now_s: float) -> Payload:
        chosen = list(self.station.evses.values())
        if request.connectorId is not msgspec.UNSET:
            chosen = [e for e in chosen if request.connectorId in (0, e.id)]
        match request.requestedMessage:
            case "BootNotification":
                self.boot()
            case "Heartbeat":
                self.station.call("Heartbeat", {}, self.station.clock_told)
            case "StatusNotification":
                for evse in chosen:
                    self.status(evse)
            case "MeterValues":
                for evse in chosen:
                    value = self.meter_value(evse, now_s, "Trigger")
                    payload: Payload = {"connectorId": evse.id, "meterValue": [value]}
                    if evse.transaction is not None and evse.transaction.wire_id is not None:
                        payload["transactionId"] = evse.transaction.wire_id
                    self.station.call("MeterValues", payload)
            case "FirmwareStatusNotification" | "DiagnosticsStatusNotification" as action:
                self.station.call(action, {"status": "Idle"})
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted"}

    def _on_UnlockConnector(self, request: Any, now_s: float) -> Payload:
        evse = self.station.evses.get(request.connectorId)
        if evse is None:
            return {"status": "NotSupported"}
        self.stop(evse, now_s, "UnlockCommand")
        return {"status": "Unlocked"}

    def _on_GetLocalListVersion(self, _: Any, __: float) -> Payload:
        return {"listVersion": self.station.local_list_version}

    def _on_SendLocalList(self, request: Any, _: float) -> Payload:
        station = self.station
        if request.updateType == "Differential":
            if request.listVersion <= station.local_list_version:
                return {"status": "VersionMismatch"}
        else:
            station.local_list = {}
        entries = request.localAuthorizationList
        for entry in [] if entries is msgspec.UNSET else entries:
            if entry.idTagInfo is msgspec.UNSET:
                station.local_list.pop(entry.idTag, None)
            else:
                station.local_list[entry.idTag] = entry.idTagInfo.status
        station.local_list_version = request.listVersion
        return {"status": "Accepted"}

    def _on_ClearCache(self, _: Any, __: float) -> Payload:
        return {"status": "Rejected"}  # there is no authorization cache

    def _on_DataTransfer(self, _: Any, __: float) -> Payload:
        return {"status": "UnknownVendorId"}

    def _on_ReserveNow(self, request: Any, now_s: float) -> Payload:
        evse = self.station.evses.get(request.connectorId)
        if evse is None:
            return {"status": "Rejected"}
        if evse.fault is not None or not evse.available:
            return {"status": "Faulted" if evse.fault is not None else "Unavailable"}
        other = evse.reservation is not None and evse.reservation.id != request.reservationId
        if evse.car is not None or other:
            return {"status": "Occupied"}
        expires_s = request.expiryDate.timestamp() - self.station.clock_error_s
        if expires_s <= now_s:
            return {"status": "Rejected"}
        evse.reservation = Reservation(request.reservationId, request.idTag, expires_s)
        return {"status": "Accepted"}

    def _on_CancelReservation(self, request: Any, _: float) -> Payload:
        for evse in self.station.evses.values():
            if evse.reservation is not None and evse.reservation.id == request.reservationId:
                evse.reservation = None
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _on_UpdateFirmware(self, _: Any, __: float) -> Payload:
        self.stages("FirmwareStatusNotification", _FIRMWARE)
        return {}

    def _on_GetDiagnostics(self, _: Any, __: float) -> Payload:
        """A virtual station has no way to upload a file: it says so."""
        self.stages("DiagnosticsStatusNotification", ("Uploading", "UploadFailed"))
        return {"fileName": f"{self.station.settings.station_id}.log"}

    def stages(self, action: str, stages: Iterable[str], about: Payload | None = None) -> None:
        """Say one stage after the other."""
        for number, stage in enumerate(stages):
            payload = {"status": stage, **(about or {})}

            def say(payload: Payload = payload) -> None:
                self.station.call(action, payload)

            self.station.later(STAGE_S * number, say)
