"""Smart charging of a 2.x station: profiles in, out and reported, dynamic updates, signals."""

from dataclasses import replace
from typing import Any

import msgspec

from pendel.comms.ocpp import composite
from pendel.comms.ocpp.profile import Profile, Purpose, profile_of, updated
from pendel.comms.ocpp.profile_rules import StationAbility, problems_of
from pendel.comms.ocpp.station.behaviour import situation
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import Evse
from pendel.comms.ocpp.station.v2_dialect import Dialect2, Payload, rejected
from pendel.units import W_PER_KW

REPORTED_EACH = 10
SOURCE = "CSO"
_UPDATED = tuple(
    name + phase
    for name in ("limit", "dischargeLimit", "setpoint", "setpointReactive")
    for phase in ("", "_L2", "_L3")
)


class Charging2(Dialect2):
    """Blocks K and Q as the station sees them."""

    def __init__(self, station: VirtualStation) -> None:
        super().__init__(station)
        self._wires: dict[int, Payload] = {}
        self._pulled_s: dict[int, float] = {}

    def remote_started(
        self, evse: Evse, remote_id: int | None, id_token: str, profile: Any, now_s: float
    ) -> None:
        """A start from afar meets the car; its charging profile belongs to the transaction."""
        super().remote_started(evse, remote_id, id_token, profile, now_s)
        if profile is not None and evse.transaction is not None:
            answer = self.take_profile(profile, evse.id, now_s, evse.transaction.id)
            if answer["status"] != "Accepted":
                self.station.log.append(f"profile of the remote start: {answer}")

    def tick(self, now_s: float) -> None:
        """Ask for dynamic updates that are due (PullDynamicScheduleUpdate, K28)."""
        super().tick(now_s)
        if not self.is_21 or self.station.peer is None or not self.station.accepted:
            return
        for profile in list(self.station.profiles.by_id.values()):
            if profile.update_interval_s is None:
                continue
            last_s = max(
                self._pulled_s.get(profile.id, 0.0), profile.received_s, profile.updated_s or 0.0
            )
            if now_s - last_s >= profile.update_interval_s:
                self._pulled_s[profile.id] = now_s
                self._pull(profile.id)

    def _pull(self, profile_id: int) -> None:
        def answered(response: Any) -> None:
            update = response.scheduleUpdate
            if response.status == "Accepted" and update is not msgspec.UNSET:
                self._update(profile_id, update, self.station.now_s)

        payload = {"chargingProfileId": profile_id}
        self.station.call("PullDynamicScheduleUpdate", payload, answered)

    def take_profile(
        self, wire: Any, evse_id: int, now_s: float, transaction_id: str | None = None
    ) -> Payload:
        """Install a profile or say why not. transaction_id: of a remote start's profile."""
        supply, delay = self.station.supply, self.station.rng.random()
        profile = profile_of(wire, evse_id, now_s, supply, delay)
        if transaction_id is not None:
            profile = replace(profile, transaction_id=transaction_id)
        installed = self.station.profiles.by_id.values()
        problems = problems_of(profile, self.ability(evse_id), installed)
        if problems:
            return rejected(problems[0].code, problems[0].text)
        self.station.profiles.put(profile)
        data: Payload = msgspec.to_builtins(wire)
        if transaction_id is not None:
            data["transactionId"] = transaction_id
        self._wires[profile.id] = data
        self._pulled_s.pop(profile.id, None)
        kept = self.station.profiles.by_id
        self._wires = {number: data for number, data in self._wires.items() if number in kept}
        return {"status": "Accepted"}

    def ability(self, evse_id: int) -> StationAbility:
        """What a profile for an EVSE (0 = all) is measured by."""
        running = {
            e.transaction.id
            for e in self.station.evses.values()
            if e.transaction is not None and evse_id in (0, e.id)
        }
        return StationAbility(transactions=frozenset(running), dynamic=self.is_21)

    def as_chosen(
        self, evse: Evse | None, stretches: list[composite.Stretch], now_s: float, lasts_s: float
    ) -> list[composite.Stretch]:
        """A composite schedule of lasts_s [s] with what the car itself said; here: nothing."""
        return stretches

    def _update(self, profile_id: int, update: Any, now_s: float) -> Payload:
        profile = self.station.profiles.by_id.get(profile_id)
        if profile is None or profile.kind != "Dynamic":
            return rejected("UnknownProfile", "no dynamic profile has this id")
        changed = updated(profile, update, now_s, self.station.supply)
        running = frozenset({profile.transaction_id or ""})
        problems = problems_of(changed, StationAbility(transactions=running))
        if problems:
            return rejected(problems[0].code, problems[0].text)
        self.station.profiles.put(changed)
        data: Payload = msgspec.to_builtins(update)
        wire = self._wires[profile_id]
        period = wire["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        period.update({name: data[name] for name in _UPDATED if name in data})
        wire["dynUpdateTime"] = self.stamp(now_s)
        return {"status": "Accepted"}

    def _on_SetChargingProfile(self, request: Any, now_s: float) -> Payload:
        if request.evseId != 0 and request.evseId not in self.station.evses:
            return rejected("InvalidValue", f"no EVSE {request.evseId}")
        return self.take_profile(request.chargingProfile, request.evseId, now_s)

    def _on_UpdateDynamicSchedule(self, request: Any, now_s: float) -> Payload:
        return self._update(request.chargingProfileId, request.scheduleUpdate, now_s)

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

    def _on_GetChargingProfiles(self, request: Any, _: float) -> Payload:
        fields: Payload = msgspec.to_builtins(request)
        criterion = fields["chargingProfile"]
        found = [
            p
            for p in self.station.profiles.by_id.values()
            if fields.get("evseId") in (None, p.evse_id) and _matches(p, criterion)
        ]
        groups: dict[int, list[Payload]] = {}
        for profile in found:
            groups.setdefault(profile.evse_id, []).append(self._wires[profile.id])
        parts = [
            (evse_id, wires[i : i + REPORTED_EACH])
            for evse_id, wires in groups.items()
            for i in range(0, len(wires), REPORTED_EACH)
        ]
        for number, (evse_id, wires) in enumerate(parts):
            report = {
                "requestId": request.requestId,
                "chargingLimitSource": SOURCE,
                "chargingProfile": wires,
                "evseId": evse_id,
                "tbc": number + 1 < len(parts),
            }
            self.station.call("ReportChargingProfiles", report)
        return {"status": "Accepted" if found else "NoProfiles"}

    def _on_GetCompositeSchedule(self, request: Any, now_s: float) -> Payload:
        evse = self.station.evses.get(request.evseId)
        if request.evseId != 0 and evse is None:
            return rejected("InvalidValue", f"no EVSE {request.evseId}")
        where = composite.Situation(0, timezone=self.station.settings.timezone)
        if evse is not None:
            where = situation(evse, self.station.settings, self.station.offline_since_s)
        stretches = composite.composite(
            self.station.profiles.by_id.values(), where, now_s, float(request.duration)
        )
        stretches = self.as_chosen(evse, stretches, now_s, float(request.duration))
        count = 1 if evse is not None else len(self.station.evses)
        most_w = self.station.settings.power_max_kw * W_PER_KW * count
        unit = "W" if request.chargingRateUnit is msgspec.UNSET else request.chargingRateUnit
        schedule = {
            "evseId": request.evseId,
            "duration": request.duration,
            "scheduleStart": self.stamp(now_s),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [self._period(s, most_w, unit) for s in stretches],
        }
        return {"status": "Accepted", "schedule": schedule}

    def _period(self, stretch: composite.Stretch, most_w: float, unit: str) -> Payload:
        supply, point = self.station.supply, stretch.point
        per_unit = 1.0
        if unit == "A":
            per_unit = supply.voltage_v * (1 if supply.is_dc else supply.phases)
        period: Payload = {
            "startPeriod": int(stretch.start_s),
            "limit": round(min(point.high_w[0], most_w) / per_unit, 3),
        }
        if self.is_21:
            period["operationMode"] = point.mode.value
            if point.low_w[0] < 0.0:
                period["dischargeLimit"] = round(max(point.low_w[0], -most_w) / per_unit, 3)
            if point.setpoint_w is not None:
                period["setpoint"] = round(point.setpoint_w[0] / per_unit, 3)
        return period

    def _on_UsePriorityCharging(self, request: Any, _: float) -> Payload:
        evse = self.by_transaction(request.transactionId)
        if evse is None:
            return {"status": "Rejected"}
        known = [p for p in self.station.profiles.by_id.values() if p.evse_id in (0, evse.id)]
        if all(p.purpose is not Purpose.PRIORITY for p in known):
            return {"status": "NoProfile"}
        evse.priority = request.activate
        told = {"transactionId": request.transactionId, "activated": request.activate}
        self.station.call("NotifyPriorityCharging", told)
        return {"status": "Accepted"}

    def _on_AFRRSignal(self, request: Any, now_s: float) -> Payload:
        followers = [e for e in self.station.evses.values() if e.mode == "CentralFrequency"]
        if not followers:
            return {"status": "Rejected"}

        def begin() -> None:
            for evse in followers:
                evse.signal = float(request.signal)

        wait_s = request.timestamp.timestamp() - self.station.clock_error_s - now_s
        if wait_s > 0.0:
            self.station.later(wait_s, begin)
        else:
            begin()
        return {"status": "Accepted"}


def _matches(profile: Profile, criterion: Payload) -> bool:
    if SOURCE not in criterion.get("chargingLimitSource", [SOURCE]):
        return False
    if profile.id not in criterion.get("chargingProfileId", [profile.id]):
        return False
    purpose = criterion.get("chargingProfilePurpose", profile.purpose.value)
    level = criterion.get("stackLevel", profile.stack_level)
    return bool(purpose == profile.purpose.value and level == profile.stack_level)
