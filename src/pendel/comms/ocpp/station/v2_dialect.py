"""How a station speaks OCPP 2.0.1 and 2.1: transactions, needs of the car, profiles, commands."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from pendel.comms.ocpp import composite
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.profile import Purpose, profile_of, updated
from pendel.comms.ocpp.profile_rules import StationAbility, problems_of
from pendel.comms.ocpp.release import Version, messages_of
from pendel.comms.ocpp.station.core import Refusal, VirtualStation
from pendel.comms.ocpp.station.der import DerControls
from pendel.comms.ocpp.station.equipment import Car, Evse, Transaction
from pendel.comms.ocpp.station.variables import Variables
from pendel.units import W_PER_KW

Payload = dict[str, Any]


class Dialect2:
    """2.0.1 and 2.1; what only 2.1 knows is said only in 2.1."""

    def __init__(self, station: VirtualStation) -> None:
        self.station = station
        self.messages = messages_of(station.version)
        self.variables = Variables(station.settings, station.version)
        self.der = DerControls()
        self.is_21 = station.version is Version.V21

    # what the station says

    def boot(self) -> None:
        """BootNotification; the answer decides when everything else may be said."""
        s = self.station.settings
        about = {
            "model": s.model,
            "vendorName": s.vendor,
            "firmwareVersion": s.firmware,
            "serialNumber": s.serial,
        }
        payload = {"reason": "PowerUp", "chargingStation": about}
        self.station.call("BootNotification", payload, self._booted)

    def _booted(self, response: Any) -> None:
        self.station.booted(response.status, float(response.interval))

    def status(self, evse: Evse) -> None:
        """StatusNotification of the one connector."""
        payload = {
            "timestamp": self.stamp(self.station.now_s),
            "connectorStatus": evse.status_2,
            "evseId": evse.id,
            "connectorId": 1,
        }
        self.station.call("StatusNotification", payload, lambda _: None)

    def plugged(self, evse: Evse, now_s: float) -> None:
        """TxStartPoint EVConnected: the transaction begins with the cable, then authorises."""
        car = evse.car
        if car is None:
            return
        tx_id = f"{self.station.settings.station_id[:12]}-{self.station.rng.getrandbits(64):016x}"
        evse.transaction = Transaction(tx_id, evse.id, car.id_token, now_s, tx_id)
        self.event(evse, "Started", "CablePluggedIn", now_s, token=True)
        if self.station.peer is not None and self.station.accepted:
            token = {"idToken": {"idToken": car.id_token, "type": "ISO14443"}}
            self.station.call("Authorize", token, lambda r: self._authorized(evse, r))
        elif evse.transaction is not None:
            self.needs(evse, now_s)

    def _authorized(self, evse: Evse, response: Any) -> None:
        now_s = self.station.now_s
        if evse.transaction is None:
            return
        if response.idTokenInfo.status != "Accepted":
            evse.stopped = True
            self.event(evse, "Updated", "Deauthorized", now_s)
            return
        self.event(evse, "Updated", "Authorized", now_s, token=True)
        self.needs(evse, now_s)

    def needs(self, evse: Evse, now_s: float) -> None:
        """NotifyEVChargingNeeds, with V2X parameters in 2.1 (Q01)."""
        car, s = evse.car, self.station.settings
        if car is None or evse.needs_sent or self.station.peer is None:
            return
        evse.needs_sent = True
        wanted: Payload = {"requestedEnergyTransfer": "DC" if s.is_dc else "AC_three_phase"}
        if car.depart_s is not None:
            wanted["departureTime"] = self.stamp(car.depart_s)
        target_wh = round(max(car.target_kwh - car.energy_kwh, 0.0) * W_PER_KW)
        if self.is_21 and s.v2x and car.discharge_max_kw > 0.0:
            mode = "DC_BPT" if s.is_dc else "AC_BPT"
            wanted |= {
                "requestedEnergyTransfer": mode,
                "availableEnergyTransfer": [mode, "DC" if s.is_dc else "AC_three_phase"],
                "controlMode": "DynamicControl",
                "mobilityNeedsMode": "EVCC_SECC",
                "v2xChargingParameters": self._v2x_parameters(car),
            }
        elif s.is_dc:
            wanted["dcChargingParameters"] = {
                "evMaxCurrent": 200,
                "evMaxVoltage": 500,
                "evMaxPower": round(car.charge_max_kw * W_PER_KW),
                "evEnergyCapacity": round(car.capacity_kwh * W_PER_KW),
                "energyAmount": target_wh,
                "stateOfCharge": round(100 * car.soc),
            }
        else:
            ampere = round(car.charge_max_kw * W_PER_KW / (s.voltage_v * s.phases))
            wanted["acChargingParameters"] = {
                "energyAmount": target_wh,
                "evMinCurrent": 6,
                "evMaxCurrent": max(ampere, 6),
                "evMaxVoltage": round(s.voltage_v),
            }
        payload = {"evseId": evse.id, "chargingNeeds": wanted}
        if self.is_21:
            payload["timestamp"] = self.stamp(now_s)
        self.station.call("NotifyEVChargingNeeds", payload, lambda _: None)

    def _v2x_parameters(self, car: Car) -> Payload:
        def wh(kwh: float) -> float:
            return round(kwh * W_PER_KW, 1)

        return {
            "minChargePower": 0,
            "maxChargePower": car.charge_max_kw * W_PER_KW,
            "minDischargePower": 0,
            "maxDischargePower": car.discharge_max_kw * W_PER_KW,
            "evTargetEnergyRequest": wh(car.target_kwh - car.energy_kwh),
            "evMinEnergyRequest": wh(car.energy_min_kwh - car.energy_kwh),
            "evMaxEnergyRequest": wh(car.capacity_kwh - car.energy_kwh),
            "evMinV2XEnergyRequest": wh(car.energy_min_kwh - car.energy_kwh),
            "evMaxV2XEnergyRequest": wh(car.capacity_kwh - car.energy_kwh),
            "targetSoC": round(100.0 * car.target_kwh / car.capacity_kwh),
        }

    def unplugged(self, evse: Evse, car: Car, now_s: float) -> None:
        """TransactionEvent Ended."""
        transaction = evse.transaction
        if transaction is None:
            return
        reason = "EVDisconnected"
        self.event(evse, "Ended", "EVCommunicationLost", now_s, reason=reason)
        transaction.ended = True
        self.station.profiles.end_transaction(transaction.id)
        evse.transaction = None

    def stop(self, evse: Evse, now_s: float, trigger: str, reason: str) -> None:
        """End the transaction while the car stays plugged in."""
        if evse.transaction is None:
            return
        evse.power_kw, evse.stopped = 0.0, True
        self.event(evse, "Ended", trigger, now_s, reason=reason)
        self.station.profiles.end_transaction(evse.transaction.id)
        evse.transaction = None

    def meter(self, evse: Evse, now_s: float) -> None:
        """TransactionEvent Updated with meter values."""
        self.event(evse, "Updated", "MeterValuePeriodic", now_s)

    def state_changed(self, evse: Evse, now_s: float) -> None:
        """TransactionEvent Updated because the charging state changed."""
        self.event(evse, "Updated", "ChargingStateChanged", now_s)

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
        payload: Payload = {
            "eventType": kind,
            "timestamp": self.stamp(now_s),
            "triggerReason": trigger,
            "seqNo": transaction.sequence,
            "transactionInfo": info,
            "evse": {"id": evse.id, "connectorId": 1},
            "meterValue": [self.meter_value(evse, now_s, _CONTEXTS[kind])],
        }
        transaction.sequence += 1
        if self.station.offline_since_s is not None:
            payload["offline"] = True
        if token:
            payload["idToken"] = {"idToken": transaction.id_token, "type": "ISO14443"}
        self.station.enqueue("TransactionEvent", lambda: payload, transaction)

    def meter_value(self, evse: Evse, now_s: float, context: str) -> Payload:
        """Registers, power per direction, SoC and (2.1) the setpoint followed."""
        samples = [
            _sample(round(evse.import_wh, 3), "Energy.Active.Import.Register", "Wh", context),
            _sample(round(evse.export_wh, 3), "Energy.Active.Export.Register", "Wh", context),
            _sample(max(evse.power_kw, 0.0) * W_PER_KW, "Power.Active.Import", "W", context),
            _sample(max(-evse.power_kw, 0.0) * W_PER_KW, "Power.Active.Export", "W", context),
        ]
        if evse.car is not None:
            samples.append(_sample(round(100.0 * evse.car.soc, 2), "SoC", "Percent", context))
        if self.is_21 and evse.setpoint_kw is not None:
            watts = evse.setpoint_kw * W_PER_KW
            samples.append(_sample(watts, "Power.Active.Setpoint", "W", context))
        return {"timestamp": self.stamp(now_s), "sampledValue": samples}

    # what the station is asked

    def handle(self, action: str, payload: Any, now_s: float) -> Any:
        """Answer a request of the backend. Raises Refusal for what is not supported."""
        method = getattr(self, f"_on_{action}", None)
        if method is None:
            raise Refusal(ErrorCode.NOT_SUPPORTED, f"{action} is not supported by this station")
        answer: Payload = method(payload, now_s)
        return msgspec.convert(answer, self.messages.RESPONSES[action])

    def evse_of(self, number: Any) -> Evse | None:
        """The EVSE of a request field that may be absent (then the first)."""
        if number is msgspec.UNSET or number is None:
            return self.station.evses[1]
        return self.station.evses.get(number)

    def by_transaction(self, transaction_id: str) -> Evse | None:
        """The EVSE on which a transaction runs."""
        for evse in self.station.evses.values():
            if evse.transaction is not None and evse.transaction.id == transaction_id:
                return evse
        return None

    def _on_SetChargingProfile(self, request: Any, now_s: float) -> Payload:
        wire = request.chargingProfile
        if request.evseId != 0 and request.evseId not in self.station.evses:
            return rejected("InvalidValue", f"no EVSE {request.evseId}")
        delay = self.station.rng.random()
        profile = profile_of(wire, request.evseId, now_s, self.station.supply, delay)
        running = [e.transaction.id for e in self.station.evses.values() if e.transaction]
        ability = StationAbility(transactions=frozenset(running), dynamic=self.is_21)
        problems = problems_of(profile, ability, self.station.profiles.by_id.values())
        if problems:
            return rejected(problems[0].code, problems[0].text)
        self.station.profiles.put(profile)
        return {"status": "Accepted"}

    def _on_UpdateDynamicSchedule(self, request: Any, now_s: float) -> Payload:
        profile = self.station.profiles.by_id.get(request.chargingProfileId)
        if profile is None or profile.kind != "Dynamic":
            return rejected("UnknownProfile", "no dynamic profile has this id")
        changed = updated(profile, request.scheduleUpdate, now_s, self.station.supply)
        period = changed.periods[0]
        setpoint = period.setpoint_w
        if setpoint and not period.discharge_w[0] <= setpoint[0] <= period.limit_w[0]:
            return rejected("InvalidSchedule", "setpoint outside [dischargeLimit, limit]")
        self.station.profiles.put(changed)
        return {"status": "Accepted"}

    def _on_ClearChargingProfile(self, request: Any, _: float) -> Payload:
        fields: Payload = msgspec.to_builtins(request)
        criteria = fields.get("chargingProfileCriteria", {})
        purpose = criteria.get("chargingProfilePurpose")
        gone = self.station.profiles.clear(
            fields.get("chargingProfileId"),
            criteria.get("evseId"),
            None if purpose is None else Purpose(purpose),
            criteria.get("stackLevel"),
        )
        return {"status": "Accepted" if gone else "Unknown"}

    def _on_GetCompositeSchedule(self, request: Any, now_s: float) -> Payload:
        evse = self.station.evses.get(request.evseId)
        if request.evseId != 0 and evse is None:
            return rejected("InvalidValue", f"no EVSE {request.evseId}")
        transaction = evse.transaction if evse else None
        where = composite.Situation(
            request.evseId,
            transaction.id if transaction else None,
            transaction.start_s if transaction else None,
            self.station.offline_since_s,
            evse.priority if evse else False,
            evse.car.soc if evse and evse.car else None,
            self.station.settings.timezone,
        )
        stretches = composite.composite(
            self.station.profiles.by_id.values(), where, now_s, float(request.duration)
        )
        most_w = self.station.settings.power_max_kw * W_PER_KW
        periods = [self._period(stretch, most_w) for stretch in stretches]
        schedule = {
            "evseId": request.evseId,
            "duration": request.duration,
            "scheduleStart": self.stamp(now_s),
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": periods,
        }
        return {"status": "Accepted", "schedule": schedule}

    def _period(self, stretch: composite.Stretch, most_w: float) -> Payload:
        point = stretch.point
        period: Payload = {
            "startPeriod": int(stretch.start_s),
            "limit": min(point.high_w[0], most_w),
        }
        if self.is_21:
            period["operationMode"] = point.mode.value
            if point.low_w[0] < 0.0:
                period["dischargeLimit"] = max(point.low_w[0], -most_w)
            if point.setpoint_w is not None:
                period["setpoint"] = point.setpoint_w[0]
        return period

    def stamp(self, at_s: float) -> str:
        """A time as the station's own clock shows it."""
        when = datetime.fromtimestamp(at_s + self.station.clock_error_s, UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_CONTEXTS = {
    "Started": "Transaction.Begin",
    "Updated": "Sample.Periodic",
    "Ended": "Transaction.End",
}


def _sample(value: float, measurand: str, unit: str, context: str) -> Payload:
    return {
        "value": value,
        "measurand": measurand,
        "unitOfMeasure": {"unit": unit},
        "context": context,
    }


def rejected(code: str, text: str) -> Payload:
    """A refusal with its reason (StatusInfo)."""
    return {"status": "Rejected", "statusInfo": {"reasonCode": code[:20], "additionalInfo": text}}
