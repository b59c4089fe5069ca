"""The way into a virtual station that is not OCPP: an energy manager or grid operator sets limits.

    limit, setpoint or schedule -> a profile inside the station -> power
                                -> NotifyChargingLimit, ClearedChargingLimit, ChargingRateChanged

A single value is a Dynamic profile, updated in place (K29); a schedule is an Absolute one (K11).
Where the backend installed a profile of mode ExternalLimits or ExternalSetpoint, the value goes in
there (K29.FR.03), never above what that profile itself allows. What is generated locally comes on
top (K27). Source: OCPP 2.1 part 2, K11 to K13, K27, K29, errata of 2025-09.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from pendel.comms.ocpp.composite import Situation, active_period
from pendel.comms.ocpp.profile import OperationMode, Profile, Purpose, profile_of, with_values
from pendel.comms.ocpp.station.equipment import Evse
from pendel.comms.ocpp.station.smart_charging import CONTROLLER
from pendel.units import W_PER_KW

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.core import VirtualStation
    from pendel.comms.ocpp.station.v2_charging import Charging2

SOURCES = ("EMS", "SO", "Other")
ORDERS_MAX = 50
_INVITING = (OperationMode.EXTERNAL_LIMITS, OperationMode.EXTERNAL_SETPOINT)
Key = tuple[str, int, bool]
"""Source, EVSE (0 = the station), whether it is local generation."""


@dataclass(frozen=True, slots=True)
class Order:
    """What an outside system wants [kW]: the most to draw, the most to give (an amount), a signed
    setpoint, reactive power beside it (+ absorbs), or a schedule of (start [s from now], limit) or
    (start, setpoint); None = says nothing. duration_s: how
    long without an update (Dynamic) or at all; critical: the grid is at stake."""

    limit_kw: float | None = None
    discharge_kw: float | None = None
    setpoint_kw: float | None = None
    reactive_kvar: float | None = None
    schedule: Sequence[tuple[float, float]] = ()
    setpoints: Sequence[tuple[float, float]] = ()
    duration_s: int | None = None
    critical: bool | None = None

    @property
    def is_planned(self) -> bool:
        """Whether it is a schedule, not a single value."""
        return bool(self.schedule or self.setpoints)


@dataclass(slots=True)
class Standing:
    """An order that stands, the number of its own profile, and the value told last [W]."""

    order: Order
    number: int
    told_w: float | None = None
    is_told: bool = False


@dataclass(slots=True)
class ExternalSystem:
    """Orders by source, EVSE and kind. `look` is called whenever power was decided."""

    station: "VirtualStation"
    charging: "Charging2"
    standing: dict[Key, Standing] = field(default_factory=dict)
    _numbers: dict[Key, int] = field(default_factory=dict)
    _hosts: dict[int, tuple[Profile, dict[str, Any]]] = field(default_factory=dict)
    _released: list[dict[str, Any]] = field(default_factory=list)
    _rates: dict[str, tuple[float, float, bool]] = field(default_factory=dict)
    _marks: Any = None

    def set(
        self, source: str, order: Order, now_s: float, evse_id: int = 0, generation: bool = False
    ) -> str:
        """An order comes in; returns "" or why the station does not follow it.

        Raises ValueError for an unknown source or EVSE and beyond ORDERS_MAX."""
        if source not in SOURCES or (generation and source == "SO"):
            raise ValueError(f"not a source of limits here: {source}")
        if evse_id != 0 and evse_id not in self.station.evses:
            raise ValueError(f"no EVSE {evse_id}")
        self.station.tick(now_s)
        refused = self._refused(order, evse_id, generation)
        if refused:
            self.station.log.append(f"limit of {source}: {refused}")
            return refused
        key = source, evse_id, generation
        stands = self.standing.get(key)
        if stands is None:
            if len(self.standing) >= ORDERS_MAX:
                raise ValueError(f"more than {ORDERS_MAX} orders stand")
            stands = self.standing[key] = Standing(order, self._number(key))
        stands.order = order
        self._represent(key, stands, now_s)
        self.station.tick(now_s)
        return ""

    def release(
        self, source: str, now_s: float, evse_id: int = 0, generation: bool = False
    ) -> None:
        """An order is taken back (K13). Raises ValueError where none stands."""
        self.station.tick(now_s)
        stands = self.standing.pop((source, evse_id, generation), None)
        if stands is None:
            raise ValueError(f"no limit of {source} stands")
        self.station.profiles.by_id.pop(stands.number, None)
        if not generation:
            self._restore(evse_id)
        self.charging.kept()
        told: dict[str, Any] = {"chargingLimitSource": source}
        if evse_id:
            told["evseId"] = evse_id
        self._released.append(told)
        for key, other in self.standing.items():
            if key[:2] == (source, evse_id):  # the message names no kind: what is left is told anew
                other.is_told = False
        self.renew(now_s)
        self.station.tick(now_s)

    def renew(self, now_s: float) -> None:
        """The backend's profiles changed: single values may have to go into another one."""
        for key, stands in self.standing.items():
            if not key[2] and not stands.order.is_planned:
                self._represent(key, stands, now_s)

    def replaced(self, profile: Profile) -> None:
        """The backend set a profile, or gave it new values: those are its own from now on."""
        known = self._hosts.pop(profile.id, None) is not None
        if known or any(period.mode in _INVITING for period in profile.periods):
            self.renew(self.station.now_s)

    def look(self, now_s: float) -> None:
        """Tell of limits and rates that changed by more than LimitChangeSignificance."""
        evses = self.station.evses.values()
        values = tuple(self._value_w(key, each, now_s) for key, each in self.standing.items())
        marks = (values, tuple(evse.share_kw for evse in evses))
        if self.station.accepted and self.station.peer is not None:
            while self._released:
                self.station.call("ClearedChargingLimit", self._released.pop(0))
            for (key, stands), value in zip(self.standing.items(), values, strict=True):
                self._tell(key, stands, value)
        changed, self._marks = marks != self._marks, marks
        for evse in evses:
            self._rate(evse, changed, now_s)

    # how an order stands in the station

    def _refused(self, order: Order, evse_id: int, generation: bool) -> str:
        if self._variable("ExternalControlSignalsEnabled") != "true":
            return "external control signals are not enabled"
        if generation and (
            not self.charging.is_21 or "LocalGeneration" not in self.station.settings.smart.purposes
        ):
            return "local generation is not supported"
        disallowed = self._variable("ExternalConstraintsProfileDisallowed") == "true"
        invited = not order.is_planned and bool(self._inviting(evse_id))
        if disallowed and not generation and not invited:
            return "ExternalConstraintsProfileDisallowed (K11.FR.07)"
        return ""

    def _number(self, key: Key) -> int:
        """An id for a profile of its own: negative, or up to MaxExternalConstraintsId."""
        if key not in self._numbers:
            most = self._variable("MaxExternalConstraintsId")
            top = -1 if most is None else int(most)
            self._numbers[key] = top - len(self._numbers)
        return self._numbers[key]

    def _inviting(self, evse_id: int) -> list[Profile]:
        """Profiles of the backend that leave limits or setpoint to an external system."""
        return [
            profile
            for profile in self.station.profiles.by_id.values()
            if profile.source == "CSO"
            and profile.purpose in (Purpose.TX, Purpose.TX_DEFAULT)
            and evse_id in (0, profile.evse_id)
            and any(period.mode in _INVITING for period in profile.periods)
        ]

    def _represent(self, key: Key, stands: Standing, now_s: float) -> None:
        source, evse_id, generation = key
        installed = self.station.profiles.by_id
        planned = stands.order.is_planned
        hosts = [] if generation or planned else self._inviting(evse_id)
        if hosts:
            installed.pop(stands.number, None)
            for host in hosts:
                self._into(host, stands.order, now_s)
            self.charging.kept()
            return
        wire = self._wire(key, stands, now_s)
        profile = profile_of(
            msgspec.convert(wire, self._profile_type()),
            evse_id,
            now_s,
            self.station.supply,
            source=source,
        )
        if profile.kind == "Dynamic":
            profile = replace(profile, updated_s=now_s)
        self.charging.put(profile, wire)

    def _profile_type(self) -> Any:
        return self.charging.messages.ChargingProfileType  # type: ignore[attr-defined]

    def _wire(self, key: Key, stands: Standing, now_s: float) -> dict[str, Any]:
        _, _, generation = key
        order = stands.order
        dynamic = self.charging.is_21 and not order.is_planned
        dynamic = dynamic and "DynamicProfiles" in self.station.settings.smart.features
        steps = [replace(order, limit_kw=kw) for _, kw in order.schedule]
        steps += [replace(order, setpoint_kw=kw) for _, kw in order.setpoints]
        starts = [start_s for start_s, _ in (*order.schedule, *order.setpoints)] or [0.0]
        periods = [
            {"startPeriod": round(start_s), **self._values(step)}
            for start_s, step in zip(starts, steps or [order], strict=True)
        ]
        schedule: dict[str, Any] = {
            "id": abs(stands.number),
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": periods,
        }
        if order.duration_s is not None:
            schedule["duration"] = order.duration_s
        wire: dict[str, Any] = {
            "id": stands.number,
            "stackLevel": 0,
            "chargingProfilePurpose": (
                Purpose.LOCAL_GENERATION if generation else Purpose.EXTERNAL
            ).value,
            "chargingProfileKind": "Dynamic" if dynamic else "Absolute",
            "chargingSchedule": [schedule],
        }
        if dynamic:
            wire["dynUpdateTime"] = self.charging.stamp(now_s)
        else:
            schedule["startSchedule"] = self.charging.stamp(now_s)
        return wire

    def _values(self, order: Order) -> dict[str, Any]:
        """The fields of a period (or update) in W."""
        found: dict[str, Any] = {}
        if order.limit_kw is not None:
            found["limit"] = max(order.limit_kw, 0.0) * W_PER_KW
        if not self.charging.is_21:
            return found or {"limit": 0.0}
        found["operationMode"] = OperationMode.EXTERNAL_LIMITS.value
        if order.discharge_kw is not None:
            found["dischargeLimit"] = -abs(order.discharge_kw) * W_PER_KW
        if order.setpoint_kw is not None:
            found["operationMode"] = OperationMode.EXTERNAL_SETPOINT.value
            found["setpoint"] = order.setpoint_kw * W_PER_KW
        if order.reactive_kvar is not None:
            found["setpointReactive"] = order.reactive_kvar * W_PER_KW
        return found

    def _into(self, host: Profile, order: Order, now_s: float) -> None:
        """K29.FR.03: the value becomes that of the backend's own profile."""
        wire = self.charging.wires[host.id]
        original, _ = self._hosts.setdefault(host.id, (host, copy.deepcopy(wire)))
        values = {k: v for k, v in self._values(order).items() if k != "operationMode"}
        periods, shown = [], wire["chargingSchedule"][0]["chargingSchedulePeriod"]
        for number, period in enumerate(original.periods):
            if period.mode in _INVITING:
                own = dict(values)
                if "limit" in own:
                    own["limit"] = min(own["limit"], period.limit_w[0])
                if "dischargeLimit" in own:
                    own["dischargeLimit"] = max(own["dischargeLimit"], period.discharge_w[0])
                period = with_values(period, own, "W", self.station.supply)
                shown[number].update(own)
            periods.append(period)
        changed = replace(host, periods=tuple(periods))
        if host.kind == "Dynamic":
            wire["dynUpdateTime"] = self.charging.stamp(now_s)
            changed = replace(changed, updated_s=now_s)
        self.station.profiles.put(changed, by_place=False)

    def _restore(self, evse_id: int) -> None:
        """What the backend's profiles said themselves holds again."""
        for number, (original, wire) in list(self._hosts.items()):
            now = self.station.profiles.by_id.get(number)
            if now is None or evse_id in (0, now.evse_id):
                del self._hosts[number]
            if now is not None and evse_id in (0, now.evse_id):
                kept = replace(original, updated_s=now.updated_s)
                self.station.profiles.put(kept, by_place=False)
                self.charging.wires[number] = wire

    # what is told

    def _value_w(self, key: Key, stands: Standing, now_s: float) -> float | None:
        """The limit (or setpoint) an order says now [W]."""
        order = stands.order
        if not order.is_planned:
            for kw in (order.limit_kw, order.setpoint_kw, order.discharge_kw):
                if kw is not None:
                    return kw * W_PER_KW
            return None
        profile = self.station.profiles.by_id.get(stands.number)
        if profile is None:
            return None
        period = active_period(profile, Situation(key[1]), now_s)
        if period is None:
            return None
        planned = period.limit_w if period.setpoint_w is None else period.setpoint_w
        return planned[0]

    def _tell(self, key: Key, stands: Standing, value_w: float | None) -> None:
        if value_w is None:
            return
        if stands.is_told and not self._significant(stands.told_w, value_w):
            return
        source, evse_id, generation = key
        limit: dict[str, Any] = {"chargingLimitSource": source}
        if generation:
            limit["isLocalGeneration"] = True
        if stands.order.critical is not None:
            limit["isGridCritical"] = stands.order.critical
        told: dict[str, Any] = {"chargingLimit": limit}
        if evse_id:
            told["evseId"] = evse_id
        if self._variable("NotifyChargingLimitWithSchedules") == "true":
            schedules = self._wire(key, stands, self.station.now_s)["chargingSchedule"]
            own = self.charging.wires.get(stands.number)
            told["chargingSchedule"] = schedules if own is None else own["chargingSchedule"]
        self.station.call("NotifyChargingLimit", told)
        stands.told_w, stands.is_told = value_w, True

    def _rate(self, evse: Evse, changed: bool, now_s: float) -> None:
        """ChargingRateChanged where limits from outside, or balancing, changed a running charge;
        a car that follows a schedule of its own takes up a change only when it has a new one."""
        transaction = evse.transaction
        if transaction is None or not transaction.authorized:
            return
        if evse.ev_hold:  # it does not charge: what it begins with is no change
            self._rates.pop(transaction.id, None)
            return
        if transaction.id not in self._rates and len(self._rates) > 2 * len(self.station.evses):
            self._rates.clear()
        power_kw = evse.power_kw
        told_kw, last_kw, waits = self._rates.get(transaction.id, (power_kw, power_kw, False))
        changed = changed or waits
        waits = changed and power_kw == last_kw and bool(evse.ev_profile)
        if changed and self._significant(told_kw, power_kw):
            self.charging.event(evse, "Updated", "ChargingRateChanged", now_s)
            told_kw = power_kw
        elif not changed and power_kw != last_kw:
            told_kw = power_kw  # for another reason, which is told in another way
        self._rates[transaction.id] = (told_kw, power_kw, waits)

    def _significant(self, before: float | None, after: float) -> bool:
        """Whether a change is above LimitChangeSignificance [percent of what was before]."""
        if before is None:
            return True
        percent = float(self._variable("LimitChangeSignificance") or 0.0)
        return abs(after - before) > percent / 100.0 * abs(before) + 1e-9

    def _variable(self, name: str) -> str | None:
        found = self.charging.variables.get(CONTROLLER, None, name)
        return None if found is None else found.value
