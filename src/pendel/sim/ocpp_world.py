"""A scenario lived through by stations that speak OCPP 2.1: arrivals, what cars ask for, orders and
meter values go over WebSockets.

The scenario moves the cars; that one came or went is known when its transaction is heard, and what
it needs (energy, target, departure) is what it said in NotifyEVChargingNeeds. What no car tells
(efficiencies, wear, its id) is known of it as of a [[vehicle]]. Load, sun and prices are the
scenario's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from pendel.comms.ocpp.station.equipment import Car as StationCar
from pendel.records import Needs, SessionEvent, Setpoint
from pendel.runtime.bridges.car_needs import Known, car_of
from pendel.runtime.state import PV_SUFFIX, State
from pendel.scenario.columns import Scenario
from pendel.sim.ocpp_fleet import Measured, OcppFleet, Order
from pendel.sim.virtual_schedule import Stay, stays_of
from pendel.sim.virtual_station import Car, VirtualWorld
from pendel.units import W_PER_KW


@dataclass(slots=True)
class WiredCar(Car):
    """A car whose energy and registers are those the backend was told."""

    newest: Measured | None = None
    counted: Measured | None = None
    transaction_id: str = ""

    def advance(self, seconds: float) -> float:
        """Take over what was measured; the energy taken from the grid since the last time [kWh]."""
        new, old = self.newest, self.counted
        if new is None or old is None or new is old:
            return 0.0
        self.counted = new
        taken_kwh = (new.import_wh - old.import_wh) / W_PER_KW
        given_kwh = (new.export_wh - old.export_wh) / W_PER_KW
        self.import_kwh += taken_kwh
        self.export_kwh += given_kwh
        self.power_kw = new.power_kw
        if new.soc is not None:
            self.energy_kwh = new.soc * self.stay.capacity_kwh
        return taken_kwh - given_kwh


@dataclass(slots=True)
class OcppWorld(VirtualWorld):
    """VirtualWorld over OCPP. Built with its fleet; call `resume` before the first tick."""

    fleet: OcppFleet | None = None
    _unsent: dict[str, Order] = field(default_factory=dict)
    _unheard: dict[str, tuple[Stay, int]] = field(default_factory=dict)
    _leaving: list[tuple[str, SessionEvent]] = field(default_factory=list)

    def resume(self, state: State, now_utc: datetime) -> None:
        """Go on where a log ends: the cars that were there are plugged in at their stations."""
        VirtualWorld.resume(self, state, now_utc)
        for device, car in list(self.cars.items()):
            self._wire(car.stay, car.session_id, car.energy_kwh, (car.import_kwh, car.export_kwh))
            order = state.setpoints.get(device)
            if order is not None and order.until_utc > now_utc:
                self.apply([order])

    def apply(self, setpoints: Iterable[Setpoint]) -> None:
        """Orders go to the stations at once; one that did not get there is sent again."""
        orders = []
        for setpoint in setpoints:
            if setpoint.device_id.endswith(PV_SUFFIX):
                self.sun_orders[setpoint.site_id] = setpoint
            elif setpoint.device_id in self.cars:
                # meters net what flows in one piece of time; a piece ends where an order does
                self.cars[setpoint.device_id].order_until_utc = setpoint.until_utc
                lasts_s = round((setpoint.until_utc - self.now_utc).total_seconds())
                if lasts_s > 0:
                    orders.append(Order(_station(setpoint.device_id), setpoint.power_kw, lasts_s))
        self._send(orders)

    def _send(self, orders: list[Order]) -> None:
        if self.fleet is not None:
            self._unsent = {order.station_id: order for order in self.fleet.send(orders)}

    def _flow(self, until_utc: datetime) -> None:
        fleet = self.fleet
        if fleet is not None:
            if self._unsent:
                self._send(list(self._unsent.values()))
            fleet.advance(until_utc.timestamp())
            for device, car in self.cars.items():
                if isinstance(car, WiredCar):
                    car.newest = fleet.measured(_station(device)) or car.newest
        VirtualWorld._flow(self, until_utc)

    def plug_events(self, now_utc: datetime) -> Sequence[SessionEvent | Needs]:
        """Live up to now_utc; who came and went as far as the network heard of it."""
        late = [*self._heard_leaving(), *self._heard_coming(now_utc)]
        return [*late, *VirtualWorld.plug_events(self, now_utc)]

    def _heard_coming(self, now_utc: datetime) -> list[SessionEvent | Needs]:
        """Cars that came while their station's line was down."""
        events: list[SessionEvent | Needs] = []
        for device, (stay, cycle) in list(self._unheard.items()):
            told = self._told(stay, cycle, now_utc)
            if told:
                del self._unheard[device]
                events += told
        return events

    def _heard_leaving(self) -> list[SessionEvent]:
        """Cars that went while their station's line was down."""
        fleet = self.fleet
        over = [
            (transaction_id, event)
            for transaction_id, event in self._leaving
            if fleet is None or fleet.is_over(_station(event.device_id), transaction_id)
        ]
        self._leaving = [entry for entry in self._leaving if entry not in over]
        return [event for _, event in over]

    def _plug(self, stay: Stay, cycle: int, when: datetime) -> list[SessionEvent | Needs]:
        VirtualWorld._plug(self, stay, cycle, when)
        self._wire(stay, self.cars[stay.device_id].session_id, stay.energy_kwh, (0.0, 0.0))
        told = self._told(stay, cycle, when)
        if not told:
            self._unheard[stay.device_id] = (stay, cycle)
        return told

    def _told(self, stay: Stay, cycle: int, when: datetime) -> list[SessionEvent | Needs]:
        """The session of a car's open transaction, with what it said; [] while nobody heard."""
        fleet, car = self.fleet, self.cars.get(stay.device_id)
        heard = None if fleet is None else fleet.heard(_station(stay.device_id))
        if heard is None or not isinstance(car, WiredCar):
            return []
        car.transaction_id = heard.transaction_id
        said = car_of(
            heard.needs,
            Known(capacity_kwh=stay.capacity_kwh, soc=heard.soc, v2x_allowed=True),
            when,
        )
        event = self._event(stay, car.session_id, "plugged", when, said.energy_kwh, timedelta())
        event = replace(
            event,
            charge_max_kw=min(said.charge_max_kw, stay.charge_max_kw),
            discharge_max_kw=stay.discharge_max_kw if said.bidirectional else 0.0,
            stated_depart_utc=said.ready_by_utc,
        )
        asked = Needs(
            id="",
            at_utc=when,
            session_id=car.session_id,
            target_kwh=stay.target_kwh if said.target_kwh is None else said.target_kwh,
            energy_min_kwh=said.minimum_kwh,
            source="car",
        )
        return [event, asked]

    def _wire(
        self, stay: Stay, session_id: str, energy_kwh: float, registers: tuple[float, float]
    ) -> None:
        fleet, station_id = self.fleet, _station(stay.device_id)
        if fleet is None:
            return
        fleet.plug(
            station_id,
            StationCar(
                capacity_kwh=stay.capacity_kwh,
                energy_kwh=energy_kwh,
                target_kwh=stay.target_kwh,
                charge_max_kw=stay.charge_max_kw,
                discharge_max_kw=stay.discharge_max_kw,
                charge_efficiency=stay.charge_efficiency,
                discharge_efficiency=stay.discharge_efficiency,
                depart_s=self._stated_s(stay),
                id_token=stay.vehicle_id[:20] or "TAG",
            ),
        )
        first = fleet.measured(station_id)
        self.cars[stay.device_id] = WiredCar(
            stay,
            session_id,
            energy_kwh,
            import_kwh=registers[0],
            export_kwh=registers[1],
            newest=first,
            counted=first,
        )

    def _stated_s(self, stay: Stay) -> float | None:
        """When the driver says he will leave [epoch s], in the round of the scenario that runs."""
        if stay.stated_utc is None:
            return None
        rounds = max((self.now_utc - self.scenario.horizon.start_utc) // self.length, 0)
        return (stay.stated_utc + rounds * self.length).timestamp()

    def _unplug(self, stay: Stay, when: datetime) -> SessionEvent | None:
        car, station_id = self.cars[stay.device_id], _station(stay.device_id)
        never_heard = self._unheard.pop(stay.device_id, None) is not None
        if self.fleet is not None:
            self._unsent.pop(station_id, None)
            self.fleet.unplug(station_id)
        left = VirtualWorld._unplug(self, stay, when)
        if never_heard or left is None:
            return None
        transaction_id = car.transaction_id if isinstance(car, WiredCar) else ""
        if self.fleet is not None and not self.fleet.is_over(station_id, transaction_id):
            self._leaving.append((transaction_id, left))
            return None
        return left


def stations_of(scenarios: Iterable[Scenario]) -> dict[str, tuple[str, float]]:
    """Stations that the scenarios need: id -> (site_id, highest power [kW])."""
    found: dict[str, tuple[str, float]] = {}
    for scenario in scenarios:
        for stay in stays_of(scenario):
            name = _station(stay.device_id)
            most_kw = max(stay.charge_max_kw, stay.discharge_max_kw)
            found[name] = (stay.site_id, max(found.get(name, ("", 0.0))[1], most_kw))
    return found


def _station(device_id: str) -> str:
    return device_id.rpartition("/")[0]
