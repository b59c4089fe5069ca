"""Smart charging of a 2.x station: profiles in, out and reported, dynamic updates, signals."""

from dataclasses import replace
from typing import Any

import msgspec

from pendel.comms.ocpp import composite
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.profile import OperationMode, Profile, Purpose, profile_of, updated
from pendel.comms.ocpp.profile_rules import Reason, StationAbility, problems_of
from pendel.comms.ocpp.profile_support import duplicates, support_problems
from pendel.comms.ocpp.station.behaviour import situation
from pendel.comms.ocpp.station.composite_answer import rows_of, wire_period
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.dialect import Refusal
from pendel.comms.ocpp.station.equipment import Evse
from pendel.comms.ocpp.station.external_system import ExternalSystem
from pendel.comms.ocpp.station.smart_charging import CONTROLLER, support_of
from pendel.comms.ocpp.station.v2_dialect import Dialect2, Payload, rejected
from pendel.comms.ocpp.station.v2x_variables import V2xVariables

REPORTED_EACH = 10
AMPERE_DIGITS = 3
_SMART = frozenset(
    (
        "SetChargingProfile",
        "UpdateDynamicSchedule",
        "ClearChargingProfile",
        "GetChargingProfiles",
        "GetCompositeSchedule",
        "UsePriorityCharging",
    )
)
_PERSISTENT = (Purpose.STATION_MAX, Purpose.TX_DEFAULT, Purpose.PRIORITY)
_UPDATED = tuple(
    name + phase
    for name in ("limit", "dischargeLimit", "setpoint", "setpointReactive")
    for phase in ("", "_L2", "_L3")
)


class Charging2(Dialect2):
    """Blocks K and Q as the station sees them."""

    def __init__(self, station: VirtualStation) -> None:
        super().__init__(station)
        self.wires: dict[int, Payload] = {}
        self.external = ExternalSystem(station, self)
        for evse in station.evses.values():
            bidirectional = self.is_21 and station.settings.v2x
            evse.v2x = V2xVariables(self.variables, evse.id) if bidirectional else None
        self._pulled_s: dict[int, float] = {}
        self._set_s: dict[tuple[Purpose, int], float] = {}

    def handle(self, action: str, payload: Any, now_s: float) -> Any:
        """Answer a request; without smart charging those of block K are not supported."""
        if action in _SMART and not self.station.settings.smart.available:
            raise Refusal(ErrorCode.NOT_SUPPORTED, "this station has no smart charging")
        return super().handle(action, payload, now_s)

    def settled(self, now_s: float) -> None:
        """Tell of external limits and of what they changed."""
        self.external.look(now_s)

    @property
    def csms_setpoint_first(self) -> bool:
        """SetpointPriority."""
        found = self.variables.get(CONTROLLER, None, "SetpointPriority")
        return found is not None and found.value == "CSMS"

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
        profile, problems = self.examined(wire, evse_id, now_s, transaction_id)
        wait_s = self._wait_s(profile, now_s)
        if problems:
            return rejected(problems[0].code, problems[0].text)
        if wait_s > 0.0:
            return rejected("RateLimitExceeded", f"{wait_s:.0f} seconds before retry")
        data: Payload = msgspec.to_builtins(wire)
        if transaction_id is not None:
            data["transactionId"] = transaction_id
        if profile.kind == "Dynamic" and profile.updated_s is None:
            profile = replace(profile, updated_s=now_s)  # K28.FR.05
            data["dynUpdateTime"] = self.stamp(now_s)
        self._set_s[profile.purpose, evse_id] = now_s
        self.put(profile, data)
        self.external.replaced(profile)
        return {"status": "Accepted"}

    def put(self, profile: Profile, wire: Payload) -> None:
        """Install a profile that was found good, and how it is reported."""
        self.station.profiles.put(profile, by_place=False)
        self.wires[profile.id] = wire
        self._pulled_s.pop(profile.id, None)
        for evse in self.station.evses.values():
            if evse.transaction is not None:
                evse.transaction.delays.pop(profile.id, None)
        self.kept()

    def kept(self) -> None:
        """Forget what belonged to profiles that are gone; say how many there are."""
        known = self.station.profiles.by_id
        self.wires = {number: data for number, data in self.wires.items() if number in known}
        entries = self.variables.get(CONTROLLER, None, "Entries[ChargingProfiles]")
        if entries is not None:
            entries.value = str(len(known))

    def _wait_s(self, profile: Profile, now_s: float) -> float:
        """How long until a persistent profile of this purpose may be set again [s] (K01.FR.56)."""
        last_s = self._set_s.get((profile.purpose, profile.evse_id))
        if last_s is None or profile.purpose not in _PERSISTENT:
            return 0.0
        return last_s + self.station.settings.smart.pause_s - now_s

    def examined(
        self, wire: Any, evse_id: int, now_s: float, transaction_id: str | None = None
    ) -> tuple[Profile, list[Reason]]:
        """A profile of the wire, and why it is not acceptable here (empty = it is)."""
        station, smart = self.station, self.station.settings.smart
        known = station.profiles.by_id.values()
        profile = profile_of(
            wire, evse_id, now_s, station.supply, timezone=station.settings.timezone
        )
        problems: list[Reason] = []
        running = {
            e.transaction.id
            for e in station.evses.values()
            if e.transaction is not None and evse_id in (0, e.id)
        }
        if transaction_id is not None:
            running.add(transaction_id)
            profile = replace(profile, transaction_id=transaction_id)
            if profile.purpose is not Purpose.TX:
                problems.append(Reason("InvalidProfile", "a start takes a TxProfile (K05.FR.02)"))
        support = support_of(smart, station.supply.is_dc, station.supply.phases)
        if smart.external_id_max is not None:
            most = int(self.variables.value(CONTROLLER, "MaxExternalConstraintsId"))
            support = replace(support, external_id_max=most)
        problems += support_problems(msgspec.to_builtins(wire), evse_id, support, known)
        problems += problems_of(profile, self.ability(evse_id, transaction_id), known)
        return profile, problems + duplicates(profile, known)

    def ability(self, evse_id: int, starting: str | None = None) -> StationAbility:
        """What a profile for an EVSE (0 = all) is measured by; starting: a transaction that the
        profile begins."""
        settings = self.station.settings
        own = [e for e in self.station.evses.values() if evse_id in (0, e.id)]
        running = {e.transaction.id for e in own if e.transaction is not None}
        told = [e.v2x for e in own if e.v2x is not None]
        return StationAbility(
            modes=self._modes(evse_id),
            transactions=frozenset(running if starting is None else {*running, starting}),
            dynamic=self.is_21,
            stack_level_max=settings.smart.stack_level_max,
            periods_max=settings.smart.periods_max,
            balances=all(v2x.thresholds is not None for v2x in told),
        )

    def _modes(self, evse_id: int) -> frozenset[OperationMode]:
        """SupportedOperationModes of an EVSE (0: of the first)."""
        found = self.variables.get("V2XChargingCtrlr", evse_id or 1, "SupportedOperationModes")
        names = found.value.split(",") if found is not None else []
        return frozenset((OperationMode.CHARGING_ONLY, *map(OperationMode, names)))

    def as_chosen(
        self, evse: Evse | None, stretches: list[composite.Stretch], now_s: float, lasts_s: float
    ) -> list[composite.Stretch]:
        """A composite schedule of lasts_s [s] with what the car itself said; here: nothing."""
        return stretches

    def _update(self, profile_id: int, update: Any, now_s: float) -> Payload:
        profile = self.station.profiles.by_id.get(profile_id)
        if profile is None:
            return rejected("NotFound", f"no profile {profile_id}")
        if profile.kind != "Dynamic":
            return rejected("InvalidProfile", f"profile {profile_id} is not dynamic (K28.FR.11)")
        changed = updated(profile, update, now_s, self.station.supply)
        running = frozenset({profile.transaction_id or ""})
        problems = problems_of(changed, StationAbility(transactions=running))
        if problems:
            return rejected(problems[0].code, problems[0].text)
        self.station.profiles.put(changed, by_place=False)
        wire, values = self.wires[profile_id], msgspec.to_builtins(update)
        period = wire["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        period.update({name: values[name] for name in _UPDATED if name in values})
        wire["dynUpdateTime"] = self.stamp(now_s)
        self.external.replaced(changed)
        return {"status": "Accepted"}

    def _on_SetChargingProfile(self, request: Any, now_s: float) -> Payload:
        if request.evseId != 0 and request.evseId not in self.station.evses:
            return rejected("UnknownEvse", f"no EVSE {request.evseId}")
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
        self.kept()
        return {"status": "Accepted" if gone else "Unknown"}

    def _on_GetChargingProfiles(self, request: Any, _: float) -> Payload:
        fields: Payload = msgspec.to_builtins(request)
        criterion = fields["chargingProfile"]
        found = [
            p
            for p in self.station.profiles.by_id.values()
            if fields.get("evseId") in (None, p.evse_id) and _matches(p, criterion)
        ]
        groups: dict[tuple[str, int], list[Payload]] = {}
        for profile in found:
            groups.setdefault((profile.source, profile.evse_id), []).append(self.wires[profile.id])
        parts = [
            (source, evse_id, wires[i : i + REPORTED_EACH])
            for (source, evse_id), wires in groups.items()
            for i in range(0, len(wires), REPORTED_EACH)
        ]
        for number, (source, evse_id, wires) in enumerate(parts):
            report = {
                "requestId": request.requestId,
                "chargingLimitSource": source,
                "chargingProfile": wires,
                "evseId": evse_id,
                "tbc": number + 1 < len(parts),
            }
            self.station.call("ReportChargingProfiles", report)
        return {"status": "Accepted" if found else "NoProfiles"}

    def _on_GetCompositeSchedule(self, request: Any, now_s: float) -> Payload:
        evse = self.station.evses.get(request.evseId)
        if request.evseId != 0 and evse is None:
            return rejected("UnknownEvse", f"no EVSE {request.evseId}")
        units = self.station.settings.smart.rate_units
        unit = units[0] if request.chargingRateUnit is msgspec.UNSET else request.chargingRateUnit
        if unit not in units:
            return rejected("UnsupportedRateUnit", f"{unit} is not supported")
        volts = self.station.supply.voltage_v
        schedule = {
            "evseId": request.evseId,
            "duration": request.duration,
            "scheduleStart": self.stamp(now_s),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [
                wire_period(row, unit, volts, AMPERE_DIGITS, self.is_21)
                for row in rows_of(self.station, evse, now_s, float(request.duration))
            ],
        }
        return {"status": "Accepted", "schedule": schedule}

    def _on_UsePriorityCharging(self, request: Any, _: float) -> Payload:
        evse = self.by_transaction(request.transactionId)
        if evse is None:
            return rejected("TxNotFound", f"no transaction {request.transactionId}")
        if self.use_priority(evse, request.activate):
            return {"status": "Accepted"}
        return {"status": "NoProfile", "statusInfo": {"reasonCode": "NotFound"}}

    def use_priority(self, evse: Evse, activate: bool) -> bool:
        """Begin or end priority charging of a running transaction (K21, K22); False where no
        profile of this purpose is there to begin it. Told also when the line is down meanwhile."""
        transaction = evse.transaction
        known = [p for p in self.station.profiles.by_id.values() if p.evse_id in (0, evse.id)]
        if activate and all(p.purpose is not Purpose.PRIORITY for p in known):
            return False
        if transaction is not None and evse.priority != activate:
            evse.priority = activate
            told = {"transactionId": transaction.id, "activated": activate}
            self.station.enqueue("NotifyPriorityCharging", lambda: told, transaction)
        return True

    def press_button(self, evse_id: int, activate: bool, now_s: float) -> None:
        """The driver asks for priority charging at the station, or ends it (K22). Raises
        ValueError with what the station shows him where that cannot be."""
        self.station.tick(now_s)
        evse = self.station.evses[evse_id]
        if not self.is_21 or evse.transaction is None:
            raise ValueError("priority charging needs a running transaction (2.1)")
        if not activate and not evse.priority:
            raise ValueError("priority charging is not active")
        if not self.use_priority(evse, activate):
            raise ValueError("priority charging is not possible here")
        self.station.tick(now_s)

    def _on_AFRRSignal(self, request: Any, now_s: float) -> Payload:
        followers = [e for e in self.station.evses.values() if self._follows_signal(e, now_s)]
        if not followers:
            return rejected("NoSignalWattCurve", "no period with a v2xSignalWattCurve is active")

        def begin() -> None:
            for evse in followers:
                evse.signal = float(request.signal)

        wait_s = request.timestamp.timestamp() - self.station.clock_error_s - now_s
        if wait_s > 0.0:
            self.station.later(wait_s, begin)
        else:
            begin()
        return {"status": "Accepted"}

    def _follows_signal(self, evse: Evse, now_s: float) -> bool:
        """Whether the period in force at an EVSE has a curve for signals (Q08.FR.10)."""
        if evse.transaction is None:
            return False
        station = self.station
        where = situation(evse, station.settings, station.offline_since_s)
        point = composite.point_at(station.profiles.by_id.values(), where, now_s)
        modes = (OperationMode.LOCAL_FREQUENCY, OperationMode.CENTRAL_FREQUENCY)
        return point.mode in modes and bool(point.signal_curve)


def _matches(profile: Profile, criterion: Payload) -> bool:
    if profile.source not in criterion.get("chargingLimitSource", [profile.source]):
        return False
    if profile.id not in criterion.get("chargingProfileId", [profile.id]):
        return False
    purpose = criterion.get("chargingProfilePurpose", profile.purpose.value)
    level = criterion.get("stackLevel", profile.stack_level)
    return bool(purpose == profile.purpose.value and level == profile.stack_level)
