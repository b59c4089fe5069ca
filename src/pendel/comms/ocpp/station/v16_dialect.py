"""How a station speaks OCPP 1.6J: transactions by the backend's number, connector = EVSE."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.profile import Profile, Purpose, profile_of
from pendel.comms.ocpp.profile_rules import StationAbility, problems_of
from pendel.comms.ocpp.release import Version, messages_of
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.dialect import Refusal
from pendel.comms.ocpp.station.equipment import Car, Evse, Transaction
from pendel.comms.ocpp.station.smart_charging import configuration_16
from pendel.comms.ocpp.station.stamp import stamp
from pendel.comms.ocpp.station.variables import CONFIGURATION_16
from pendel.units import W_PER_KW

Payload = dict[str, Any]
TOKEN_CHARS_MAX = 20


class Dialect16:
    """What a 1.6 station says."""

    def __init__(self, station: VirtualStation) -> None:
        self.station = station
        self.messages = messages_of(Version.V16)
        self.configuration = dict(CONFIGURATION_16)
        self.configuration["NumberOfConnectors"] = (str(station.settings.evses), True)
        for name, value in configuration_16(station.settings.smart).items():
            self.configuration[name] = (value, True)

    def boot(self) -> None:
        """BootNotification."""
        s = self.station.settings
        payload = {
            "chargePointVendor": s.vendor[:20],
            "chargePointModel": s.model[:20],
            "chargePointSerialNumber": s.serial[:25],
            "firmwareVersion": s.firmware[:50],
        }
        self.station.call("BootNotification", payload, self._booted)

    def _booted(self, response: Any) -> None:
        self.station.booted(response.status, float(response.interval), response.currentTime)

    def started(self, now_s: float) -> None:
        """Nothing to add to the status that follows."""

    def status(self, evse: Evse) -> None:
        """StatusNotification of a connector."""
        payload: Payload = {
            "connectorId": evse.id,
            "errorCode": "NoError" if evse.fault is None else "OtherError",
            "status": evse.status_16,
            "timestamp": self.stamp(self.station.now_s),
        }
        if evse.fault is not None:
            payload["info"] = evse.fault[:50]
        self.station.call("StatusNotification", payload)

    def faulted(self, evse: Evse, now_s: float) -> None:
        """The status says it."""

    def plugged(self, evse: Evse, now_s: float) -> None:
        """Authorize while connected, then StartTransaction; offline the start is queued."""
        car = evse.car
        if car is None:
            return
        evse.transaction = None
        waiting, evse.remote_start = evse.remote_start, None
        if waiting is not None and now_s < waiting.until_s:
            self.start(evse, waiting.id_token, now_s, waiting.profile)
            return
        id_token, evse.card = car.id_token or evse.card, ""
        if id_token:
            self.card(evse, id_token, now_s)

    def card(self, evse: Evse, id_token: str, now_s: float) -> None:
        """The card that started a transaction stops it; any other card asks for leave."""
        tag, transaction = id_token[:TOKEN_CHARS_MAX], evse.transaction
        if transaction is not None:
            if transaction.id_token == tag:
                self.stop(evse, now_s, "Local")
            return
        kept = evse.reservation
        if kept is not None and kept.id_token != tag:
            self.station.log.append(f"connector {evse.id} is reserved for another token")
            return

        def accepted() -> None:
            if evse.car is None:
                evse.card = tag
            else:
                self.start(evse, tag, self.station.now_s)

        self._authorize(tag, accepted)

    def _authorize(self, tag: str, accepted: Callable[[], None]) -> None:
        def answered(response: Any) -> None:
            if response.idTagInfo.status == "Accepted":
                accepted()
            else:
                self.station.log.append(f"token refused: {response.idTagInfo.status}")

        def failed(_: str) -> None:
            if self.station.may_charge_offline(tag):
                accepted()

        if self.station.accepted:
            self.station.call("Authorize", {"idTag": tag}, answered, failed)
        else:
            failed("")

    def start(self, evse: Evse, tag: str, now_s: float, profile: Any = None) -> None:
        """StartTransaction through the queue; its answer tells the transaction id."""
        if evse.car is None or evse.transaction is not None:
            return
        local_id = f"local-{self.station.rng.getrandbits(48):012x}"
        transaction = Transaction(local_id, evse.id, now_s, None, tag, authorized=True)
        evse.transaction, evse.stopped = transaction, False
        payload: Payload = {
            "connectorId": evse.id,
            "idTag": tag,
            "meterStart": round(evse.import_wh),
            "timestamp": self.stamp(now_s),
        }
        if evse.reservation is not None:
            payload["reservationId"], evse.reservation = evse.reservation.id, None
        if profile is not None:
            self.take_profile(profile, evse, now_s, local_id)

        def answered(response: Any) -> None:
            self._numbered(evse, transaction, response)

        self.station.enqueue("StartTransaction", lambda: payload, transaction, answered)

    def _numbered(self, evse: Evse, transaction: Transaction, response: Any) -> None:
        transaction.wire_id = response.transactionId
        profiles = self.station.profiles.by_id
        for profile in list(profiles.values()):
            if profile.transaction_id == transaction.id:
                profiles[profile.id] = replace(profile, transaction_id=transaction.known_as)
        refused = response.idTagInfo.status != "Accepted"
        if evse.transaction is not transaction:
            self.station.profiles.end_transaction(transaction.known_as)
        elif refused:
            self.stop(evse, self.station.now_s, "DeAuthorized")

    def unplugged(self, evse: Evse, car: Car, now_s: float) -> None:
        """StopTransaction with the car gone."""
        self.stop(evse, now_s, "EVDisconnected")

    def interrupted(self, evse: Evse, now_s: float, why: str) -> None:
        """StopTransaction because of a reset."""
        self.stop(evse, now_s, why if why in ("HardReset", "SoftReset") else "Reboot")

    def stop(self, evse: Evse, now_s: float, reason: str) -> None:
        """StopTransaction through the queue; the transaction id is filled in when it is sent."""
        transaction = evse.transaction
        if transaction is None:
            return
        evse.power_kw, evse.stopped = 0.0, True
        fixed: Payload = {
            "meterStop": round(evse.import_wh),
            "timestamp": self.stamp(now_s),
            "reason": reason,
            "idTag": transaction.id_token,
            "transactionData": [self.meter_value(evse, now_s, "Transaction.End")],
        }
        self.station.enqueue(
            "StopTransaction",
            lambda: fixed | {"transactionId": wire_number(transaction)},
            transaction,
        )
        self.station.profiles.end_transaction(transaction.known_as)
        evse.transaction = None

    def meter(self, evse: Evse, now_s: float, aligned: bool = False) -> None:
        """MeterValues with the transaction id; aligned: of a round time of the clock."""
        transaction = evse.transaction
        if transaction is None:
            return
        context = "Sample.Clock" if aligned else "Sample.Periodic"
        value = self.meter_value(evse, now_s, context)
        fixed: Payload = {"connectorId": evse.id, "meterValue": [value]}
        self.station.enqueue(
            "MeterValues",
            lambda: fixed | {"transactionId": wire_number(transaction)},
            transaction,
            in_between=True,
        )

    def state_changed(self, evse: Evse, now_s: float) -> None:
        """The charging state shows as connector status."""
        if evse.transaction is not None:
            evse.transaction.charging_state = evse.charging_state
        self.station.show_status()

    def mode_changed(self, evse: Evse, now_s: float) -> None:
        """1.6 knows no operation modes."""

    def settled(self, now_s: float) -> None:
        """1.6 tells nothing of limits."""

    @property
    def csms_setpoint_first(self) -> bool:
        """1.6 knows no setpoints."""
        return False

    def ready(self, evse: Evse, now_s: float) -> None:
        """1.6 has no needs of a car to tell."""

    def tick(self, now_s: float) -> None:
        """Reservations run out."""
        for evse in self.station.evses.values():
            if evse.reservation is not None and now_s >= evse.reservation.expires_s:
                evse.reservation = None
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

    def take_profile(
        self, wire: Any, evse: Evse | None, now_s: float, transaction_id: str | None = None
    ) -> bool:
        """Install a profile (evse None: connector 0). A TxProfile belongs to the running
        transaction, whose number it may name."""
        running = None if evse is None else evse.transaction
        known_as = None if running is None else running.known_as
        profile, problem = self.examined(wire, evse, now_s, known_as, transaction_id)
        if problem:
            self.station.log.append(f"profile {profile.id}: {problem}")
            return False
        self.station.profiles.put(profile)
        return True

    def examined(
        self,
        wire: Any,
        evse: Evse | None,
        now_s: float,
        known_as: str | None,
        transaction_id: str | None = None,
    ) -> tuple[Profile, str]:
        """A profile and why it is not acceptable ("" = it is). known_as: the running transaction;
        transaction_id: what a profile of a remote start belongs to."""
        station, smart = self.station, self.station.settings.smart
        profile = profile_of(
            wire, 0 if evse is None else evse.id, now_s, station.supply, station.settings.timezone
        )
        problem = ""
        if transaction_id is not None and profile.purpose is not Purpose.TX:
            problem = "a start takes a TxProfile (5.16.2)"
        elif profile.purpose is Purpose.TX:
            if known_as is None or profile.transaction_id not in (None, known_as):
                return profile, "no such transaction (3.13.1)"
            profile = replace(profile, transaction_id=transaction_id or known_as)
        if profile.unit not in smart.rate_units:
            problem = problem or f"{profile.unit} is not supported"
        installed = station.profiles.by_id
        if profile.id not in installed and len(installed) >= smart.entries_max:
            problem = problem or f"{smart.entries_max} profiles are installed"
        ability = StationAbility(
            dynamic=False,
            stack_level_max=smart.stack_level_max,
            periods_max=smart.periods_max,
            transactions=frozenset({transaction_id or "", known_as or ""}),
        )
        found = problems_of(profile, ability)
        return profile, problem or (found[0].text if found else "")

    # what the station is asked

    def handle(self, action: str, payload: Any, now_s: float) -> Any:
        """Answer a request of the backend. Raises Refusal for what is not supported."""
        method = getattr(self, f"_on_{action}", None)
        if method is None:
            raise Refusal(ErrorCode.NOT_SUPPORTED, f"{action} is not supported by this station")
        answer: Payload = method(payload, now_s)
        return msgspec.convert(answer, self.messages.RESPONSES[action])

    def stamp(self, at_s: float) -> str:
        """A time as the station's own clock shows it."""
        return stamp(at_s + self.station.clock_error_s)


def wire_number(transaction: Transaction) -> int:
    """The backend's transaction id; -1 where the start was never answered."""
    return transaction.wire_id if isinstance(transaction.wire_id, int) else -1
