"""How a station speaks OCPP 1.6J: transactions by the backend's number, profiles by limits."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from pendel.comms.ocpp import composite
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.profile import Purpose, profile_of
from pendel.comms.ocpp.release import Version, messages_of
from pendel.comms.ocpp.station.core import Refusal, VirtualStation
from pendel.comms.ocpp.station.equipment import Car, Evse, Transaction
from pendel.comms.ocpp.station.variables import CONFIGURATION_16
from pendel.units import W_PER_KW

Payload = dict[str, Any]


class Dialect16:
    """OCPP 1.6 with smart charging; connector = EVSE."""

    def __init__(self, station: VirtualStation) -> None:
        self.station = station
        self.messages = messages_of(Version.V16)
        self.configuration = dict(CONFIGURATION_16)
        self.configuration["NumberOfConnectors"] = (str(station.settings.evses), True)

    # what the station says

    def boot(self) -> None:
        """BootNotification."""
        s = self.station.settings
        payload = {
            "chargePointVendor": s.vendor[:20],
            "chargePointModel": s.model[:20],
            "chargePointSerialNumber": s.serial[:25],
            "firmwareVersion": s.firmware,
        }
        self.station.call("BootNotification", payload, self._booted)

    def _booted(self, response: Any) -> None:
        self.station.booted(response.status, float(response.interval))

    def status(self, evse: Evse) -> None:
        """StatusNotification of a connector."""
        payload = {
            "connectorId": evse.id,
            "errorCode": "NoError" if evse.fault is None else "OtherError",
            "status": evse.status_16,
            "timestamp": self.stamp(self.station.now_s),
        }
        self.station.call("StatusNotification", payload, lambda _: None)

    def plugged(self, evse: Evse, now_s: float) -> None:
        """Authorize while connected, then StartTransaction; offline the start is queued."""
        car = evse.car
        if car is None:
            return
        if self.station.peer is None or not self.station.accepted:
            self.start(evse, now_s)
            return

        def authorized(response: Any) -> None:
            if response.idTagInfo.status == "Accepted" and evse.car is car:
                self.start(evse, self.station.now_s)

        self.station.call("Authorize", {"idTag": car.id_token[:20]}, authorized)

    def start(self, evse: Evse, now_s: float) -> None:
        """StartTransaction through the queue; its answer tells the transaction id."""
        if evse.car is None or evse.transaction is not None:
            return
        local_id = f"{self.station.rng.getrandbits(48):012x}"
        transaction = Transaction(local_id, evse.id, evse.car.id_token[:20], now_s, None)
        evse.transaction = transaction
        payload = {
            "connectorId": evse.id,
            "idTag": transaction.id_token,
            "meterStart": round(evse.import_wh),
            "timestamp": self.stamp(now_s),
        }

        def answered(response: Any) -> None:
            transaction.wire_id = response.transactionId
            if response.idTagInfo.status != "Accepted" and evse.transaction is transaction:
                self.stop(evse, self.station.now_s, "DeAuthorized")

        self.station.enqueue("StartTransaction", lambda: payload, transaction, answered)

    def unplugged(self, evse: Evse, car: Car, now_s: float) -> None:
        """StopTransaction with the car gone."""
        self.stop(evse, now_s, "EVDisconnected")

    def stop(self, evse: Evse, now_s: float, reason: str) -> None:
        """StopTransaction through the queue; the transaction id is filled in when it is sent."""
        transaction = evse.transaction
        if transaction is None:
            return
        evse.power_kw, evse.stopped = 0.0, evse.car is not None
        values = self.meter_value(evse, now_s, "Transaction.End")
        fixed: Payload = {
            "meterStop": round(evse.import_wh),
            "timestamp": self.stamp(now_s),
            "reason": reason,
            "idTag": transaction.id_token,
            "transactionData": [values],
        }
        self.station.enqueue(
            "StopTransaction",
            lambda: fixed | {"transactionId": wire_number(transaction)},
            transaction,
        )
        if transaction.wire_id is not None:
            self.station.profiles.end_transaction(str(transaction.wire_id))
        transaction.ended = True
        evse.transaction = None

    def meter(self, evse: Evse, now_s: float) -> None:
        """MeterValues with the transaction id."""
        transaction = evse.transaction
        if transaction is None:
            return
        value = self.meter_value(evse, now_s, "Sample.Periodic")
        fixed: Payload = {"connectorId": evse.id, "meterValue": [value]}
        self.station.enqueue(
            "MeterValues", lambda: fixed | {"transactionId": wire_number(transaction)}, transaction
        )

    def state_changed(self, evse: Evse, now_s: float) -> None:
        """The charging state shows as connector status."""
        if evse.transaction is not None:
            evse.transaction.charging_state = evse.charging_state
        self.station.show_status()

    def meter_value(self, evse: Evse, now_s: float, context: str) -> Payload:
        """Registers, power per direction and SoC; values are strings in 1.6."""

        def sample(value: float, measurand: str, unit: str) -> Payload:
            return {
                "value": f"{value:.10g}",
                "measurand": measurand,
                "unit": unit,
                "context": context,
            }

        samples = [
            sample(round(evse.import_wh, 1), "Energy.Active.Import.Register", "Wh"),
            sample(round(evse.export_wh, 1), "Energy.Active.Export.Register", "Wh"),
            sample(round(max(evse.power_kw, 0.0) * W_PER_KW, 1), "Power.Active.Import", "W"),
            sample(round(max(-evse.power_kw, 0.0) * W_PER_KW, 1), "Power.Active.Export", "W"),
        ]
        if evse.car is not None:
            samples.append(sample(round(100.0 * evse.car.soc, 1), "SoC", "Percent"))
        return {"timestamp": self.stamp(now_s), "sampledValue": samples}

    # what the station is asked

    def handle(self, action: str, payload: Any, now_s: float) -> Any:
        """Answer a request of the backend. Raises Refusal for what is not supported."""
        method = getattr(self, f"_on_{action}", None)
        if method is None:
            raise Refusal(ErrorCode.NOT_SUPPORTED, f"{action} is not supported by this station")
        answer: Payload = method(payload, now_s)
        return msgspec.convert(answer, self.messages.RESPONSES[action])

    def _on_SetChargingProfile(self, request: Any, now_s: float) -> Payload:
        wire = request.csChargingProfiles
        if request.connectorId != 0 and request.connectorId not in self.station.evses:
            return {"status": "Rejected"}
        profile = profile_of(wire, request.connectorId, now_s, self.station.supply)
        if profile.purpose is Purpose.TX:
            evse = self.station.evses.get(request.connectorId)
            running = evse.transaction if evse else None
            if running is None or running.wire_id is None:
                return {"status": "Rejected"}
            if profile.transaction_id not in (None, str(running.wire_id)):
                return {"status": "Rejected"}
        if profile.purpose is Purpose.STATION_MAX and request.connectorId != 0:
            return {"status": "Rejected"}
        self.station.profiles.put(profile)
        return {"status": "Accepted"}

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
        transaction = evse.transaction if evse else None
        where = composite.Situation(
            request.connectorId,
            str(transaction.wire_id) if transaction else None,
            transaction.start_s if transaction else None,
            self.station.offline_since_s,
        )
        stretches = composite.composite(
            self.station.profiles.by_id.values(), where, now_s, float(request.duration)
        )
        most_w = self.station.settings.power_max_kw * W_PER_KW
        periods = [
            {"startPeriod": int(s.start_s), "limit": round(min(s.point.high_w[0], most_w), 1)}
            for s in stretches
        ]
        schedule = {
            "duration": request.duration,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": periods,
        }
        return {
            "status": "Accepted",
            "connectorId": request.connectorId,
            "scheduleStart": self.stamp(now_s),
            "chargingSchedule": schedule,
        }

    def _on_RemoteStartTransaction(self, request: Any, now_s: float) -> Payload:
        number = 1 if request.connectorId is msgspec.UNSET else request.connectorId
        evse = self.station.evses.get(number)
        if evse is None or evse.car is None or evse.transaction is not None:
            return {"status": "Rejected"}
        evse.stopped = False
        self.start(evse, now_s)
        return {"status": "Accepted"}

    def _on_RemoteStopTransaction(self, request: Any, now_s: float) -> Payload:
        for evse in self.station.evses.values():
            if evse.transaction is not None and evse.transaction.wire_id == request.transactionId:
                self.stop(evse, now_s, "Remote")
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _on_Reset(self, _: Any, now_s: float) -> Payload:
        self.station.reset_at_s = now_s
        return {"status": "Accepted"}

    def _on_ChangeAvailability(self, request: Any, _: float) -> Payload:
        for evse in self.station.evses.values():
            if request.connectorId in (0, evse.id):
                evse.available = request.type == "Operative"
        return {"status": "Accepted"}

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
        return {"status": "Accepted"}

    def _on_TriggerMessage(self, request: Any, now_s: float) -> Payload:
        if request.requestedMessage == "BootNotification":
            self.boot()
        elif request.requestedMessage == "Heartbeat":
            self.station.call("Heartbeat", {}, lambda _: None)
        elif request.requestedMessage == "StatusNotification":
            for evse in self.station.evses.values():
                self.status(evse)
        elif request.requestedMessage == "MeterValues":
            for evse in self.station.evses.values():
                self.meter(evse, now_s)
        else:
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
        self.station.local_list_version = request.listVersion
        return {"status": "Accepted"}

    def _on_ClearCache(self, _: Any, __: float) -> Payload:
        return {"status": "Accepted"}

    def _on_DataTransfer(self, _: Any, __: float) -> Payload:
        return {"status": "UnknownVendorId"}

    def _on_ReserveNow(self, request: Any, _: float) -> Payload:
        evse = self.station.evses.get(request.connectorId or 1)
        if evse is None or evse.car is not None:
            return {"status": "Occupied"}
        evse.reserved_for = str(request.reservationId)
        return {"status": "Accepted"}

    def _on_CancelReservation(self, request: Any, _: float) -> Payload:
        for evse in self.station.evses.values():
            if evse.reserved_for == str(request.reservationId):
                evse.reserved_for = None
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def stamp(self, at_s: float) -> str:
        """A time as the station's own clock shows it."""
        when = datetime.fromtimestamp(at_s + self.station.clock_error_s, UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wire_number(transaction: Transaction) -> int:
    """The backend's transaction id; -1 where the start was never answered."""
    return transaction.wire_id if isinstance(transaction.wire_id, int) else -1
