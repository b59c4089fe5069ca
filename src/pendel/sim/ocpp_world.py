"""A scenario lived through by stations that speak OCPP 2.1: orders, meter values and authorisation
go over WebSockets; who comes when, load, sun and prices are the scenario's."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from pendel.comms.ocpp.station.equipment import Car as StationCar
from pendel.records import Needs, SessionEvent, Setpoint
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

    def _plug(self, stay: Stay, cycle: int, when: datetime) -> list[SessionEvent | Needs]:
        events = VirtualWorld._plug(self, stay, cycle, when)
        self._wire(stay, self.cars[stay.device_id].session_id, stay.energy_kwh, (0.0, 0.0))
        return events

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
                depart_s=None if stay.stated_utc is None else stay.stated_utc.timestamp(),
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

    def _unplug(self, stay: Stay, when: datetime) -> SessionEvent:
        if self.fleet is not None:
            self._unsent.pop(_station(stay.device_id), None)
            self.fleet.unplug(_station(stay.device_id))
        return VirtualWorld._unplug(self, stay, when)


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
