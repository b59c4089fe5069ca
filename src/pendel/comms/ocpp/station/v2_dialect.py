"""How a station speaks OCPP 2.0.1 and 2.1: start, status, transactions, authorisation, meter."""

from collections.abc import Callable
from typing import Any

import msgspec

from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.release import Version, messages_of
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.dialect import Refusal
from pendel.comms.ocpp.station.equipment import Car, Evse, Transaction
from pendel.comms.ocpp.station.grid_samples import grid_samples
from pendel.comms.ocpp.station.stamp import stamp
from pendel.comms.ocpp.station.variables import Variables
from pendel.units import W_PER_KW

Payload = dict[str, Any]
_V2X_TRANSFER = frozenset(("AC_BPT", "DC_BPT", "AC_BPT_DER", "AC_DER"))


class Dialect2:
    """2.0.1 and 2.1; what only 2.1 knows is said only in 2.1."""

    def __init__(self, station: VirtualStation) -> None:
        self.station = station
        self.messages = messages_of(station.version)
        self.variables = Variables(station.settings, station.version)
        self.is_21 = station.version is Version.V21
        self.emaids: set[str] = set()

    def boot(self) -> None:
        """BootNotification; the answer decides when everything else may be said."""
        s = self.station.settings
        about = {
            "model": s.model[:20],
            "vendorName": s.vendor[:50],
            "firmwareVersion": s.firmware[:50],
            "serialNumber": s.serial[:25],
        }
        payload = {"reason": self.station.boot_reason, "chargingStation": about}
        self.station.call("BootNotification", payload, self._booted)

    def _booted(self, response: Any) -> None:
        self.station.booted(response.status, float(response.interval), response.currentTime)

    def started(self, now_s: float) -> None:
        """A critical security event: the device started (A04)."""
        self.security_event("StartupOfTheDevice", now_s)

    def security_event(self, kind: str, now_s: float) -> None:
        """SecurityEventNotification."""
        payload = {"type": kind, "timestamp": self.stamp(now_s)}
        self.station.call("SecurityEventNotification", payload)

    def status(self, evse: Evse) -> None:
        """StatusNotification of the one connector."""
        payload = {
            "timestamp": self.stamp(self.station.now_s),
            "connectorStatus": evse.status_2,
            "evseId": evse.id,
            "connectorId": 1,
        }
        self.station.call("StatusNotification", payload)

    def faulted(self, evse: Evse, now_s: float) -> None:
        """NotifyEvent: the Problem variable of the connector changed (N07)."""
        event = {
            "eventId": self.station.rng.getrandbits(31),
            "timestamp": self.stamp(now_s),
            "trigger": "Alerting",
            "actualValue": "false" if evse.fault is None else "true",
            "cleared": evse.fault is None,
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "Connector", "evse": {"id": evse.id, "connectorId": 1}},
            "variable": {"name": "Problem"},
        }
        if evse.fault is not None:
            event["techInfo"] = evse.fault[:500]
        if self.is_21:
            event["severity"] = 3
        payload = {"generatedAt": self.stamp(now_s), "seqNo": 0, "eventData": [event]}
        self.station.call("NotifyEvent", payload)

    # transactions and who may charge

    def plugged(self, evse: Evse, now_s: float) -> None:
        """TxStartPoint EVConnected: the transaction begins with the cable, then authorises."""
        car = evse.car
        if car is None:
            return
        evse.transaction = self._new_transaction(evse, now_s)
        self.event(evse, "Started", "CablePluggedIn", now_s)
        waiting, evse.remote_start = evse.remote_start, None
        if waiting is not None and now_s < waiting.until_s:
            self.remote_started(evse, waiting.id, waiting.id_token, waiting.profile, now_s)
            return
        id_token, evse.card = self.contract_of(car) or car.id_token or evse.card, ""
        if id_token:
            self.card(evse, id_token, now_s)

    def contract_of(self, car: Car) -> str:
        """The eMAID of the car's contract, "" = it has none."""
        return ""

    def _new_transaction(self, evse: Evse, now_s: float) -> Transaction:
        random_part = f"{self.station.rng.getrandbits(64):016x}"
        tx_id = f"{self.station.settings.station_id[:19]}-{random_part}"
        return Transaction(tx_id, evse.id, now_s, tx_id)

    def card(self, evse: Evse, id_token: str, now_s: float) -> None:
        """The card that started a transaction stops it; any other card asks for leave."""
        transaction = evse.transaction
        if transaction is not None and transaction.authorized:
            if transaction.id_token == id_token:
                self.stop(evse, now_s, "StopAuthorized", "Local")
            return
        kept = evse.reservation
        if kept is not None and kept.id_token != id_token:
            self.station.log.append(f"EVSE {evse.id} is reserved for another token")
            return
        self.authorize(evse, id_token, lambda: self._let_in(evse, id_token, "Authorized"))

    def authorize(self, evse: Evse, id_token: str, accepted: Callable[[], None]) -> None:
        """Ask the backend; without a line the local list decides."""

        def answered(response: Any) -> None:
            if response.idTokenInfo.status != "Accepted":
                self.station.log.append(f"token refused: {response.idTokenInfo.status}")
                return
            modes = getattr(response, "allowedEnergyTransfer", msgspec.UNSET)
            if self.is_21:
                offered = () if modes is msgspec.UNSET else modes
                self.transfers_told(evse, tuple(offered))
            accepted()
            _prioritize(evse.transaction, response.idTokenInfo.chargingPriority)

        def failed(_: str) -> None:
            if self.station.may_charge_offline(id_token):
                accepted()

        if self.station.accepted:
            try:
                told = self.contract_fields(evse, id_token)
                asked = {"idToken": self._token(id_token, evse), **told}
            except ValueError as error:
                self.station.log.append(f"contract refused: {error}")
                return
            self.station.call("Authorize", asked, answered, failed)
        else:
            failed("")

    def contract_fields(self, evse: Evse, id_token: str) -> Payload:
        """What Authorize says of the car's contract. Raises ValueError: it is not good."""
        return {}

    def transfers_told(self, evse: Evse, modes: tuple[str, ...]) -> None:
        """The backend allows these energy transfers; () = it said none: charging only."""
        evse.transfers = modes
        evse.v2x_allowed = not _V2X_TRANSFER.isdisjoint(modes)

    def _let_in(self, evse: Evse, id_token: str, trigger: str, remote: int | None = None) -> None:
        """A transaction may charge from now on; without a car the card waits for the cable."""
        now_s = self.station.now_s
        if evse.car is None:
            evse.card = id_token
            return
        kind = "Updated"
        if evse.transaction is None:
            kind, evse.transaction = "Started", self._new_transaction(evse, now_s)
            evse.stopped, evse.needs_sent = False, False
        transaction = evse.transaction
        if transaction.authorized:
            return
        transaction.authorized, transaction.id_token = True, id_token
        transaction.ready_s = now_s
        transaction.remote_start_id = remote
        if evse.reservation is not None:
            transaction.reservation_id, evse.reservation = evse.reservation.id, None
        self.event(evse, kind, trigger, now_s, token=True)

    def remote_started(
        self, evse: Evse, remote_id: int | None, id_token: str, profile: Any, now_s: float
    ) -> None:
        """A start from afar meets the car; its charging profile belongs to the transaction."""
        self._let_in(evse, id_token, "RemoteStart", remote_id)

    def ready(self, evse: Evse, now_s: float) -> None:
        """Connected, and no transaction message waits: a car that can speak may (Iso15118)."""

    def unplugged(self, evse: Evse, car: Car, now_s: float) -> None:
        """TransactionEvent Ended: the cable is out."""
        self._end(evse, now_s, "EVCommunicationLost", "EVDisconnected")

    def stop(self, evse: Evse, now_s: float, trigger: str, reason: str) -> None:
        """End the transaction while the car stays plugged in."""
        evse.stopped = True
        self._end(evse, now_s, trigger, reason)

    def interrupted(self, evse: Evse, now_s: float, why: str) -> None:
        """A reset ends the transaction."""
        reason = "ImmediateReset" if why == "RemoteReset" else "Reboot"
        trigger = "ResetCommand" if why == "RemoteReset" else "AbnormalCondition"
        self._end(evse, now_s, trigger, reason)

    def _end(self, evse: Evse, now_s: float, trigger: str, reason: str) -> None:
        transaction = evse.transaction
        if transaction is None:
            return
        evse.power_kw = 0.0
        self.event(evse, "Ended", trigger, now_s, reason=reason)
        self.station.profiles.end_transaction(transaction.id)
        evse.transaction = None

    def meter(self, evse: Evse, now_s: float, aligned: bool = False) -> None:
        """TransactionEvent Updated with meter values; aligned: of a round time of the clock."""
        trigger = "MeterValueClock" if aligned else "MeterValuePeriodic"
        self.event(evse, "Updated", trigger, now_s)

    def state_changed(self, evse: Evse, now_s: float) -> None:
        """TransactionEvent Updated because the charging state changed."""
        self.event(evse, "Updated", "ChargingStateChanged", now_s)

    def mode_changed(self, evse: Evse, now_s: float) -> None:
        """TransactionEvent Updated because the operation mode changed (2.1)."""
        if self.is_21:
            self.event(evse, "Updated", "OperationModeChanged", now_s)

    def event(
        self,
        evse: Evse,
        kind: str,
        trigger: str,
        now_s: float,
        token: bool = False,
        reason: str | None = None,
    ) -> None:
        """Queue a TransactionEvent with the next seqNo and the meter values of this moment."""
        transaction = evse.transaction
        if transaction is None:
            return
        transaction.charging_state = evse.charging_state
        info: Payload = {
            "transactionId": transaction.id,
            "chargingState": transaction.charging_state,
        }
        if reason is not None:
            info["stoppedReason"] = reason
        if transaction.remote_start_id is not None:
            info["remoteStartId"] = transaction.remote_start_id
        if self.is_21 and transaction.authorized:
            info["operationMode"] = transaction.mode
        payload: Payload = {
            "eventType": kind,
            "timestamp": self.stamp(now_s),
            "triggerReason": trigger,
            "seqNo": transaction.sequence,
            "transactionInfo": info,
            "evse": {"id": evse.id, "connectorId": 1},
            "meterValue": [self.meter_value(evse, now_s, _context(kind, trigger))],
        }
        if evse.phases and transaction.authorized:
            payload["numberOfPhasesUsed"] = evse.phases
        if self.is_21 and evse.asleep:
            payload["evseSleep"] = True
        if self.is_21 and evse.preconditions:
            payload["preconditioningStatus"] = "Preconditioning"
        transaction.sequence += 1
        if self.station.offline_since_s is not None:
            payload["offline"] = True
        if token:
            payload["idToken"] = self._token(transaction.id_token, evse)
            if transaction.reservation_id is not None:
                payload["reservationId"] = transaction.reservation_id
        on_answer = self._told(evse, transaction)
        self.station.enqueue(
            "TransactionEvent", lambda: payload, transaction, on_answer, kind == "Updated"
        )

    def _told(self, evse: Evse, transaction: Transaction) -> Callable[[Any], None]:
        def answered(response: Any) -> None:
            info = response.idTokenInfo
            if info is not msgspec.UNSET:
                _prioritize(transaction, info.chargingPriority)
            _prioritize(transaction, response.chargingPriority)
            if info is msgspec.UNSET or info.status == "Accepted":
                return
            if evse.transaction is transaction and transaction.authorized:
                # StopTxOnInvalidId: who came in while offline is not known after all (E05, C10)
                self.stop(evse, self.station.now_s, "Deauthorized", "DeAuthorized")

        return answered

    def _token(self, id_token: str, evse: Evse | None = None) -> Payload:
        if not id_token:
            return {"idToken": "", "type": "NoAuthorization"}
        kind = "eMAID" if id_token in self.emaids else self.station.settings.id_token_type
        return {"idToken": id_token, "type": kind}

    def meter_value(self, evse: Evse, now_s: float, context: str) -> Payload:
        """Registers, power per direction, SoC and (2.1) the setpoint followed."""

        def sample(value: float, measurand: str, unit: str) -> Payload:
            return {
                "value": round(value, 6),
                "measurand": measurand,
                "unitOfMeasure": {"unit": unit},
                "context": context,
            }

        samples = [
            sample(evse.import_wh, "Energy.Active.Import.Register", "Wh"),
            sample(evse.export_wh, "Energy.Active.Export.Register", "Wh"),
            sample(max(evse.power_kw, 0.0) * W_PER_KW, "Power.Active.Import", "W"),
            sample(max(-evse.power_kw, 0.0) * W_PER_KW, "Power.Active.Export", "W"),
        ]
        if evse.car is not None:
            samples.append(sample(100.0 * evse.car.soc, "SoC", "Percent"))
        if self.is_21 and evse.setpoint_kw is not None:
            watts = evse.setpoint_kw * W_PER_KW
            samples.append(sample(watts, "Power.Active.Setpoint", "W"))
        if self.is_21:
            samples += grid_samples(self.station, evse, now_s, context)
        return {"timestamp": self.stamp(now_s), "sampledValue": samples}

    # what the station is asked

    def tick(self, now_s: float) -> None:
        """Reservations run out."""
        for evse in self.station.evses.values():
            kept = evse.reservation
            if kept is not None and now_s >= kept.expires_s:
                evse.reservation = None
                update = {"reservationId": kept.id, "reservationUpdateStatus": "Expired"}
                self.station.call("ReservationStatusUpdate", update)
                self.station.show_status()

    def handle(self, action: str, payload: Any, now_s: float) -> Any:
        """Answer a request of the backend. Raises Refusal for what is not supported."""
        method = getattr(self, f"_on_{action}", None)
        if method is None:
            raise Refusal(ErrorCode.NOT_SUPPORTED, f"{action} is not supported by this station")
        answer: Payload = method(payload, now_s)
        return msgspec.convert(answer, self.messages.RESPONSES[action])

    def by_transaction(self, transaction_id: str) -> Evse | None:
        """The EVSE on which a transaction runs."""
        for evse in self.station.evses.values():
            if evse.transaction is not None and evse.transaction.id == transaction_id:
                return evse
        return None

    def stamp(self, at_s: float) -> str:
        """A time as the station's own clock shows it."""
        return stamp(at_s + self.station.clock_error_s)


def _prioritize(transaction: Transaction | None, told: Any) -> None:
    """chargingPriority of a token or, above it, of this transaction alone (K03.FR.04, FR.05)."""
    if transaction is not None and told is not msgspec.UNSET:
        transaction.charging_priority = told


def _context(kind: str, trigger: str) -> str:
    if kind != "Updated":
        return "Transaction.Begin" if kind == "Started" else "Transaction.End"
    contexts = {"MeterValuePeriodic": "Sample.Periodic", "MeterValueClock": "Sample.Clock"}
    return {**contexts, "Trigger": "Trigger"}.get(trigger, "Other")


def rejected(code: str, text: str) -> Payload:
    """A refusal with its reason (StatusInfo)."""
    info = {"reasonCode": code[:20], "additionalInfo": text[:512]}
    return {"status": "Rejected", "statusInfo": info}
