"""The real stations of one site behind the ports of control.

    open transactions + needs of cars -> sessions, wishes, readings      (network -> control)
    setpoints -> wishes of EVSEs -> steering                             (control -> network)

What the network knows is compared with what control knows at each tick, so that nothing depends on
having seen an event: a restart, a late Started or changed needs all end in the same state.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pendel.comms.ocpp.backend.stations import Evse, Station
from pendel.comms.ocpp.backend.transactions import Transaction
from pendel.control.limits import SiteLimit
from pendel.records import Needs, Reading, SessionEvent, Setpoint, Signal
from pendel.runtime.area import AreaSpec, site_limits
from pendel.runtime.area_tick import Area
from pendel.runtime.bridges.car_needs import (
    CHARGE_DEFAULT_KW,
    EFFICIENCY,
    Car,
    Known,
    car_of,
)
from pendel.runtime.bridges.dialects import manner_of
from pendel.runtime.bridges.external_limits import within_external
from pendel.runtime.bridges.order_guard import Band
from pendel.runtime.bridges.site_meters import SiteMeter
from pendel.runtime.bridges.steering import Steering
from pendel.runtime.bridges.wire_profiles import Mode, Wish
from pendel.runtime.engine import Runtime
from pendel.runtime.hands import standing_hand
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.state import State
from pendel.units import POWER_MAX_KW

PLUG_AGE_MAX = timedelta(days=1)
MODE_TOPIC = "operation_mode:"
RETRY_TICK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Plugged:
    """One open transaction with the car behind it. limited_by: records of the external limits
    (K11) that bind what the car may do."""

    station: Station
    evse: Evse
    transaction: Transaction
    car: Car
    vehicle_id: str
    limited_by: tuple[str, ...] = ()

    @property
    def session_id(self) -> str:
        """Name of the session: unique per station and transaction."""
        return f"{self.station.station_id}:{self.transaction.transaction_id}"

    @property
    def device_id(self) -> str:
        """Where it is plugged in."""
        return f"{self.station.station_id}/{self.evse.evse_id}"

    @property
    def energy_kwh(self) -> float:
        """Stored energy now: by SoC where the car tells it, else counted from the needs on."""
        if self.transaction.soc is not None:
            return self.transaction.soc * self.car.capacity_kwh
        evse, transaction = self.evse, self.transaction
        taken = transaction.imported.kwh - (evse.needs_import_kwh if evse.needs else 0.0)
        given = transaction.exported.kwh - (evse.needs_export_kwh if evse.needs else 0.0)
        energy = self.car.energy_kwh + taken * EFFICIENCY - given / EFFICIENCY
        return min(max(energy, 0.0), self.car.capacity_kwh)


@dataclass(slots=True)
class OcppSite:
    """Implements ChargerPort, MeterPort and PlugPort for the stations of one site.

    state: of the runtime (looked at under its lock); has_tariff: False = discharges only by an
    operator's hand. modes: operation mode per device, CentralSetpoint where nothing is said.
    """

    spec: AreaSpec
    network: ChargingNetwork
    steering: Steering
    state: State
    has_tariff: bool = False
    modes: dict[str, Mode] = field(default_factory=dict)
    _told: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _orders: dict[str, Setpoint] = field(default_factory=dict)
    area: Area | None = None
    _limits: list[SiteLimit] = field(default_factory=list)
    _driven_utc: datetime | None = None
    _meters: dict[str, SiteMeter] = field(default_factory=dict)

    def plugged(self, now_utc: datetime) -> list[Plugged]:
        """Cars at the site's EVSEs, by the open transactions."""
        found = []
        for station_id, configured in self.network.policy.stations.items():
            station = self.network.csms.network.stations.get(station_id)
            if station is None or configured.site_id not in self.spec.site_id:
                continue
            for evse in list(station.evses.values()):
                transaction = station.transactions.get(evse.transaction_id)
                if transaction is not None and transaction.is_open and evse.evse_id:
                    found.append(self._plugged(station, evse, transaction, now_utc))
        return found

    def plug_events(self, now_utc: datetime) -> Sequence[SessionEvent | Needs]:
        """What changed between the transactions and the sessions control knows."""
        self._limits = site_limits(self.spec, self.state, now_utc)
        self._name_evses()
        events: list[SessionEvent | Needs] = []
        present = {each.session_id: each for each in self.plugged(now_utc)}
        for session_id, view in self.state.sessions.items():
            if view.event.site_id in self.spec.site_id and session_id not in present:
                self._told.pop(session_id, None)
                events.append(self._left(view.event, now_utc))
        for session_id, each in present.items():
            # What a car holds changes with each reading; that alone makes no new session.
            marks = (replace(each.car, energy_kwh=0.0), each.vehicle_id, each.limited_by)
            if session_id in self.state.sessions and self._told.get(session_id) == marks:
                continue
            self._told[session_id] = marks
            events += self._came(each, now_utc)
        self._keep_driving(present.values(), now_utc)
        return events

    def readings(self, now_utc: datetime) -> Sequence[Reading]:
        """The newest reading of each EVSE with a car, timed by this server's clock."""
        found = []
        for each in self.plugged(now_utc):
            heard = each.evse.heard_utc
            if heard is None:
                continue
            power_w = each.transaction.power_w
            found.append(
                Reading(
                    id="",
                    at_utc=heard,
                    device_id=each.device_id,
                    site_id=self._site_of(each.station.station_id),
                    power_kw=0.0 if power_w is None else power_w / 1e3,
                    energy_kwh=each.energy_kwh,
                    import_kwh=each.transaction.imported.last_wh / 1e3,
                    export_kwh=each.transaction.exported.last_wh / 1e3,
                )
            )
        return [*found, *self._site_readings(found, now_utc)]

    def _site_readings(self, found: list[Reading], now_utc: datetime) -> list[Reading]:
        """Those of the sites' own meters."""
        readings: list[Reading] = []
        for site_id in self.spec.site_id:
            grid = self.network.policy.grid_of.get(site_id, "")
            meter = self._meters.setdefault(site_id, SiteMeter(site_id, grid))
            own = [reading for reading in found if reading.site_id == site_id]
            readings += meter.readings(own, self.network.csms.network.stations.get(grid), now_utc)
        return readings

    def apply(self, setpoints: Iterable[Setpoint]) -> None:
        """Hand setpoints to the steering of the EVSEs."""
        cars: dict[str, Plugged] | None = None
        for setpoint in setpoints:
            station_id, _, evse = setpoint.device_id.partition("/")
            if station_id not in self.network.policy.stations or not evse.isdigit():
                continue
            if cars is None:
                self._limits = site_limits(self.spec, self.state, setpoint.at_utc)
                cars = {each.device_id: each for each in self.plugged(setpoint.at_utc)}
            each = cars.get(setpoint.device_id)
            if each is not None and self.network.policy.steers(station_id):
                self._orders[setpoint.device_id] = setpoint
                self._want(each, setpoint.power_kw, setpoint.id, setpoint.at_utc)

    def prepare(self, station_id: str, evse_id: int, now_utc: datetime) -> None:
        """Needs were accepted: both profiles go out at once, with the setpoint that stands, or
        at rest until control has decided."""
        for each in self.plugged(now_utc):
            if (each.station.station_id, each.evse.evse_id) == (station_id, evse_id):
                order = self._orders.get(each.device_id)
                fresh = order is not None and order.until_utc > now_utc
                power_kw = order.power_kw if order is not None and fresh else 0.0
                cause = order.id if order is not None and fresh else each.transaction.record_id
                self._want(each, power_kw, cause, now_utc)

    def set_mode(self, runtime: Runtime, device_id: str, mode: Mode, who: str) -> Signal:
        """An operation mode for an EVSE, written down first; limits clip its numbers.

        Raises StoreError."""
        note = runtime.note(
            MODE_TOPIC + device_id,
            {
                "who": who,
                "operation_mode": mode.name,
                "baseline_kw": float(mode.baseline_kw),
                "curve_x": [x for x, _ in mode.curve],
                "curve_kw": [kw for _, kw in mode.curve],
            },
        )
        self.modes[device_id] = mode
        station_id, _, evse = device_id.partition("/")
        self.prepare(station_id, int(evse), note.at_utc)
        return note

    def recall_modes(self) -> None:
        """Operation modes as the log has them."""
        for topic, signal in self.state.signals.items():
            device_id = topic.removeprefix(MODE_TOPIC)
            station = self.network.policy.stations.get(device_id.partition("/")[0])
            if device_id == topic or station is None or station.site_id not in self.spec.site_id:
                continue
            detail = signal.detail
            xs, kws, base = detail["curve_x"], detail["curve_kw"], detail["baseline_kw"]
            if isinstance(xs, list) and isinstance(kws, list) and isinstance(base, float):
                curve = tuple(zip(xs, kws, strict=True))
                self.modes[device_id] = Mode(str(detail["operation_mode"]), base, curve)

    def band_of(self, station_id: str, evse_id: int, now_utc: datetime) -> Band:
        """What an EVSE (0 = any) may give and draw by the limits of the site and its car."""
        limits = self._limits or site_limits(self.spec, self.state, now_utc)
        limit = limits[self.spec.site_id.index(self._site_of(station_id))]
        for each in self.plugged(now_utc):
            if (each.station.station_id, each.evse.evse_id) == (station_id, evse_id):
                discharge_kw, charge_kw = self.band_kw(each, now_utc)
                return Band(discharge_kw, max(charge_kw, 0.0))
        return Band(limit.export_limit_kw, limit.import_limit_kw)

    def band_kw(self, each: Plugged, now_utc: datetime) -> tuple[float, float]:
        """Most the EVSE may discharge and charge now [kW, amounts], by the site's limits."""
        limits = self._limits or site_limits(self.spec, self.state, now_utc)
        limit = limits[self.spec.site_id.index(self._site_of(each.station.station_id))]
        discharge = min(each.car.discharge_max_kw, limit.export_limit_kw)
        return discharge, min(each.car.charge_max_kw, limit.import_limit_kw)

    def _want(self, each: Plugged, power_kw: float, cause: str, now_utc: datetime) -> None:
        discharge_kw, charge_kw = self.band_kw(each, now_utc)
        if power_kw < 0.0 and not self._may_discharge(each.device_id, now_utc):
            power_kw = 0.0
        # `power_kw` went through the controller's limits; what its session cannot do is cut here.
        power_kw = max(power_kw, -each.car.discharge_max_kw)
        wish = Wish(
            power_kw=power_kw,
            charge_max_kw=charge_kw,
            discharge_max_kw=discharge_kw,
            bidirectional=each.car.bidirectional,
            mode=self.modes.get(each.device_id, Mode()),
        )
        station_id = each.station.station_id
        default_kw = self._station_max_kw(each.station, each.evse.evse_id) or CHARGE_DEFAULT_KW
        limit_kw = self.spec.import_limit_kw[0]
        self.steering.default_limit_kw[station_id] = max(min(default_kw, limit_kw), 0.0)
        self.network.soon(self.steering.want(station_id, each.evse.evse_id, wish, cause))

    def _may_discharge(self, device_id: str, now_utc: datetime) -> bool:
        """Without a tariff only an operator's hand discharges (contract)."""
        return self.has_tariff or standing_hand(self.state, device_id, now_utc) is not None

    def _name_evses(self) -> None:
        """Tell the area which EVSEs its stations have, as far as they spoke of them."""
        if self.area is None:
            return
        stations = []
        for station in self.area.stations:
            known = self.network.csms.network.stations.get(station.station_id)
            heard = [] if known is None else [e for e in list(known.evses) if e > 0]
            stations.append(replace(station, evse_ids=tuple(sorted({1, *heard}))))
        self.area.stations = tuple(stations)

    def _keep_driving(self, present: Iterable[Plugged], now_utc: datetime) -> None:
        """Lines that are not where they shall be are tried again; modes that carry limits follow
        the limits."""
        for each in present:
            order = self._orders.get(each.device_id)
            if each.device_id in self.modes and order is not None:
                self._want(each, order.power_kw, order.id, now_utc)
        if self._driven_utc is not None and now_utc < self._driven_utc + RETRY_TICK:
            return
        self._driven_utc = now_utc
        stations = self.network.policy.stations
        for line in list(self.steering.lines.values()):
            configured = stations.get(line.station_id)
            if configured is not None and configured.site_id in self.spec.site_id:
                self.network.soon(self.steering.drive(line))

    def _plugged(
        self, station: Station, evse: Evse, transaction: Transaction, now_utc: datetime
    ) -> Plugged:
        policy = self.network.policy
        vehicle = policy.vehicle(transaction.id_token)
        manner = manner_of(station.vendor, station.model, station.ocpp_version)
        allowed = policy.v2x_allowed(station.station_id, transaction.id_token)
        known = Known(
            capacity_kwh=None if vehicle is None else vehicle.capacity_kwh,
            soc=evse.needs_soc if evse.needs is not None else transaction.soc,
            station_max_kw=self._station_max_kw(station, evse.evse_id),
            v2x_allowed=allowed and manner.dialect.discharges,
            discharges_unasked=manner.dialect.value == "negative_limit" and vehicle is not None,
        )
        car = car_of(evse.needs, known, evse.needs_utc or transaction.begun_utc)
        if vehicle is not None and vehicle.minimum_soc is not None:
            car = _with_minimum(car, vehicle.minimum_soc)
        car, limited_by = within_external(car, station, evse.evse_id, now_utc)
        vehicle_id = "" if vehicle is None else vehicle.vehicle_id
        return Plugged(station, evse, transaction, car, vehicle_id, limited_by)

    def _station_max_kw(self, station: Station, evse_id: int) -> float | None:
        told = station.variable("EVSE", "Power", evse_id)
        try:
            power_kw = 0.0 if told is None else float(told) / 1e3
        except ValueError:
            return None
        return power_kw if 0.0 < power_kw <= POWER_MAX_KW else None

    def _came(self, each: Plugged, now_utc: datetime) -> list[SessionEvent | Needs]:
        """A plug, or the same one again with what the car said since; wishes given before stay."""
        car, before = each.car, self.state.sessions.get(each.session_id)
        begun = each.transaction.begun_utc
        at_utc = begun if now_utc - PLUG_AGE_MAX <= begun <= now_utc else now_utc
        if before is not None:
            at_utc = before.event.at_utc
        events: list[SessionEvent | Needs] = [
            SessionEvent(
                id="",
                at_utc=at_utc,
                causes=(each.transaction.record_id, *each.limited_by),
                session_id=each.session_id,
                site_id=self._site_of(each.station.station_id),
                phase="plugged",
                capacity_kwh=car.capacity_kwh,
                energy_kwh=each.energy_kwh if before is None else before.event.energy_kwh,
                charge_max_kw=car.charge_max_kw,
                discharge_max_kw=car.discharge_max_kw,
                charge_efficiency=EFFICIENCY,
                discharge_efficiency=EFFICIENCY,
                vehicle_id=each.vehicle_id,
                device_id=each.device_id,
            )
        ]
        floors = [kwh for kwh in (car.minimum_kwh, car.floor_kwh) if kwh is not None]
        if car.target_kwh is not None or car.ready_by_utc is not None or floors:
            events.append(
                Needs(
                    id="",
                    at_utc=now_utc,
                    session_id=each.session_id,
                    target_kwh=car.target_kwh,
                    energy_min_kwh=max(floors) if floors else None,
                    ready_by_utc=car.ready_by_utc,
                    source="car",
                )
            )
        if before is not None and before.needs is not None and before.needs.source != "car":
            events.append(before.needs)
        return events

    def _left(self, event: SessionEvent, now_utc: datetime) -> SessionEvent:
        energy_kwh, at_utc = event.energy_kwh, now_utc
        station_id = event.device_id.partition("/")[0]
        transaction_id = event.session_id[len(station_id) + 1 :]
        station = self.network.csms.network.stations.get(station_id)
        transaction = None if station is None else station.transactions.get(transaction_id)
        if transaction is not None:
            taken, given = transaction.imported.kwh, transaction.exported.kwh
            energy_kwh += taken * event.charge_efficiency - given / event.discharge_efficiency
            if transaction.soc is not None:
                energy_kwh = transaction.soc * event.capacity_kwh
            if transaction.ended_utc is not None and event.at_utc <= transaction.ended_utc:
                at_utc = min(transaction.ended_utc, now_utc)
        return msgspec.structs.replace(
            event,
            id="",
            at_utc=at_utc,
            causes=() if transaction is None else (transaction.record_id,),
            phase="unplugged",
            energy_kwh=min(max(energy_kwh, 0.0), event.capacity_kwh),
        )

    def _site_of(self, station_id: str) -> str:
        return self.network.policy.stations[station_id].site_id


def _with_minimum(car: Car, minimum_soc: float) -> Car:
    """The owner's floor, where it is above the car's own."""
    return replace(car, minimum_kwh=max(car.minimum_kwh or 0.0, minimum_soc * car.capacity_kwh))
