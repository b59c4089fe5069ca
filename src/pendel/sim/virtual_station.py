"""Virtual stations with virtual cars: a scenario that is lived through instead of computed.

Stands behind the ports of the runtime exactly where real stations, meters and prices will stand;
everything it says is marked as simulated. The physics is that of the scenario's columns (constant
efficiencies, `units.stored_change_kwh`). A scenario that ends begins anew, shifted by its length,
so that a demonstration can run for ever. Nothing here decides: orders come through ChargerPort,
and where none stands (or the last one has run out) a station rests.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pendel.clock import as_utc
from pendel.records import Needs, Reading, SessionEvent, Setpoint
from pendel.runtime.state import CARS_SUFFIX, GRID_SUFFIX, LOAD_SUFFIX, PV_SUFFIX, State
from pendel.scenario.columns import Scenario
from pendel.scenario.publication import published_until_s
from pendel.sim.virtual_schedule import Stay, stays_of, storages_of
from pendel.units import SECONDS_PER_HOUR, stored_change_kwh


@dataclass(slots=True)
class Car:
    """A car at its virtual station; energy and registers in kWh, powers in kW."""

    stay: Stay
    session_id: str
    energy_kwh: float
    ordered_kw: float = 0.0
    order_until_utc: datetime | None = None
    power_kw: float = 0.0
    import_kwh: float = 0.0
    export_kwh: float = 0.0

    def advance(self, seconds: float) -> float:
        """Follow the order for some time [s]; the energy taken from the grid [kWh, signed].

        Stops at a full and at an empty battery.
        """
        stay, hours = self.stay, seconds / SECONDS_PER_HOUR
        power = min(max(self.ordered_kw, -stay.discharge_max_kw), stay.charge_max_kw)
        wanted = stored_change_kwh(power, hours, stay.charge_efficiency, stay.discharge_efficiency)
        able = min(max(self.energy_kwh + wanted, 0.0), stay.capacity_kwh) - self.energy_kwh
        share = 1.0 if wanted == 0.0 else able / wanted
        self.energy_kwh += able
        taken_kwh = power * hours * share
        self.import_kwh += max(taken_kwh, 0.0)
        self.export_kwh += max(-taken_kwh, 0.0)
        self.power_kw = power if share > 0.0 else 0.0
        return taken_kwh


@dataclass(slots=True)
class Registers:
    """What flowed through a meter so far [kWh], each direction on its own."""

    import_kwh: float = 0.0
    export_kwh: float = 0.0

    def count(self, energy_kwh: float) -> None:
        """Add energy (positive = import)."""
        self.import_kwh += max(energy_kwh, 0.0)
        self.export_kwh += max(-energy_kwh, 0.0)


@dataclass(slots=True)
class VirtualWorld:
    """A scenario lived from now_utc on.

    Implements ChargerPort, MeterPort, PlugPort and PriceSource of `pendel.ports`.
    """

    scenario: Scenario
    now_utc: datetime
    cars: dict[str, Car] = field(default_factory=dict)
    batteries: dict[str, Car] = field(default_factory=dict)
    sun_orders: dict[str, Setpoint] = field(default_factory=dict)
    _stays: list[Stay] = field(default_factory=list)
    _meters: dict[str, Registers] = field(default_factory=dict)
    _site_of: dict[str, int] = field(default_factory=dict)
    _told_utc: datetime | None = None

    def __post_init__(self) -> None:
        self._stays = stays_of(self.scenario)
        for stay in storages_of(self.scenario):
            self.batteries[stay.device_id] = Car(stay, stay.session_id, stay.energy_kwh)
        self._site_of = {str(s): i for i, s in enumerate(self.scenario.sites.site_id)}
        for site in self._site_of:
            for suffix in (LOAD_SUFFIX, PV_SUFFIX, GRID_SUFFIX, CARS_SUFFIX):
                self._meters[site + suffix] = Registers()

    @property
    def length(self) -> timedelta:
        """Time after which the scenario begins anew."""
        horizon = self.scenario.horizon
        return timedelta(seconds=horizon.steps * horizon.step_s)

    @property
    def devices(self) -> list[tuple[str, str]]:
        """All (site, device "station_id/evse_id"), sorted."""
        return sorted({(stay.site_id, stay.device_id) for stay in self._stays})

    @property
    def units(self) -> dict[str, Car]:
        """All that follows orders: the cars at their stations and the stationary batteries."""
        return {**self.batteries, **self.cars}

    def resume(self, state: State, now_utc: datetime) -> None:
        """Go on where a log ends: cars that are plugged in hold what was last measured, moved on
        at the power measured then, and so do batteries. A log that knows none of these sites
        changes nothing."""
        self.now_utc = now_utc
        for device, battery in self.batteries.items():
            _go_on(battery, state.readings.get(device), state.setpoints.get(device), now_utc)
        views = [*state.sessions.values(), *state.ended]
        if not any(view.event.site_id in self._site_of for view in views):
            return
        self._told_utc = now_utc
        by_id = {(stay.session_id, stay.device_id): stay for stay in self._stays}
        for view in state.sessions.values():
            name, _, _ = view.event.session_id.partition("~")
            stay = by_id.get((name, view.device_id))
            if stay is None:
                continue
            car = Car(stay, view.event.session_id, view.event.energy_kwh)
            reading = state.readings.get(view.device_id)
            if reading is not None and reading.at_utc < view.event.at_utc:
                reading = None
            _go_on(car, reading, state.setpoints.get(view.device_id), now_utc)
            self.cars[view.device_id] = car
        for site in self._site_of:
            sun_order = state.setpoints.get(site + PV_SUFFIX)
            if sun_order is not None:
                self.sun_orders[site] = sun_order
        for device, meter in self._meters.items():
            kept = state.readings.get(device)
            if kept is not None:
                meter.import_kwh, meter.export_kwh = kept.import_kwh or 0.0, kept.export_kwh or 0.0

    def next_event(self, now_utc: datetime) -> datetime | None:
        """When the next car comes or goes, or the next step of load, sun and prices begins."""
        length, start = self.length, self.scenario.horizon.start_utc
        cycle = max((now_utc - start) // length, 0)
        times = [self._step_after(now_utc)]
        for shift in (cycle * length, (cycle + 1) * length):
            for stay in self._stays:
                times += [stay.arrive_utc + shift, stay.depart_utc + shift]
        return min(time for time in times if time > now_utc)

    # ---- the ports -------------------------------------------------------------------------

    def apply(self, setpoints: Iterable[Setpoint]) -> None:
        """Orders for the stations; unknown devices are passed over."""
        for setpoint in setpoints:
            if setpoint.device_id.endswith(PV_SUFFIX):
                self.sun_orders[setpoint.site_id] = setpoint
                continue
            car = self.units.get(setpoint.device_id)
            if car is not None:
                car.ordered_kw, car.order_until_utc = setpoint.power_kw, setpoint.until_utc

    def plug_events(self, now_utc: datetime) -> Sequence[SessionEvent | Needs]:
        """Live up to now_utc; who came and went since the last call, in order of time."""
        now_utc = as_utc(now_utc)
        since = self._told_utc
        self._told_utc = now_utc
        events: list[SessionEvent | Needs] = []
        for when, coming, stay, cycle in self._changes(since, now_utc):
            self._advance(when)
            if coming:
                events += self._plug(stay, cycle, when)
            elif stay.device_id in self.cars:
                left = self._unplug(stay, when)
                events += [] if left is None else [left]
        self._advance(now_utc)
        return events

    def readings(self, now_utc: datetime) -> Sequence[Reading]:
        """Every car at its station, and load, PV and grid connection of every site. The power of
        PV is what the sun gives; its registers count what an order to hold back lets flow."""
        self._advance(as_utc(now_utc))
        found = [
            self._reading(device, car.stay.site_id, car.power_kw, car, car.energy_kwh)
            for device, car in self.units.items()
        ]
        for site, index in self._site_of.items():
            load, pv = self._series(index)
            flowing = self._flowing_kw(site, pv)
            cars = sum(car.power_kw for car in self.cars.values() if car.stay.site_id == site)
            stored = sum(b.power_kw for b in self.batteries.values() if b.stay.site_id == site)
            for suffix, power in (
                (LOAD_SUFFIX, load),
                (PV_SUFFIX, -pv),
                (GRID_SUFFIX, load - flowing + cars + stored),
                (CARS_SUFFIX, cars),
            ):
                found.append(self._reading(site + suffix, site, power, self._meters[site + suffix]))
        return found

    def published(
        self, site_id: str, now_utc: datetime
    ) -> tuple[Sequence[datetime], Sequence[float], Sequence[float]]:
        """Prices from the current step on, as far as the day-ahead auction is known."""
        horizon, prices = self.scenario.horizon, self.scenario.prices
        row = int(prices.row[self._site_of[site_id]])
        now_s = int(now_utc.timestamp())
        first_s = now_s - now_s % horizon.step_s
        until_s = published_until_s(now_s, horizon.timezone)
        times = range(first_s, until_s, horizon.step_s)
        steps = [(t - horizon.start_s) // horizon.step_s % horizon.steps for t in times]
        return (
            [datetime.fromtimestamp(t, UTC) for t in times],
            prices.import_eur_kwh[row, steps].tolist(),
            prices.export_eur_kwh[row, steps].tolist(),
        )

    # ---- the life of the world -------------------------------------------------------------

    def _changes(
        self, since_utc: datetime | None, until_utc: datetime
    ) -> list[tuple[datetime, bool, Stay, int]]:
        """(when, coming, stay, cycle) with since < when <= until, in order; leaving comes first.
        Without since: those who are there already at until_utc come now."""
        length, start = self.length, self.scenario.horizon.start_utc
        first = 0 if since_utc is None else max((since_utc - start) // length, 0)
        found = []
        for cycle in range(first, max((until_utc - start) // length, 0) + 1):
            shift = cycle * length
            for stay in self._stays:
                arrive, depart = stay.arrive_utc + shift, stay.depart_utc + shift
                if since_utc is None:
                    if arrive <= until_utc < depart:
                        found.append((until_utc, True, stay, cycle))
                    continue
                if since_utc < arrive <= until_utc:
                    found.append((arrive, True, stay, cycle))
                if since_utc < depart <= until_utc:
                    found.append((depart, False, stay, cycle))
        return sorted(found, key=lambda change: (change[0], change[1], change[2].session_id))

    def _advance(self, now_utc: datetime) -> None:
        """Let power flow until now_utc, in pieces in which nothing changes by itself."""
        while self.now_utc < now_utc:
            ends = [now_utc, self._step_after(self.now_utc)]
            ends += [
                car.order_until_utc
                for car in self.units.values()
                if car.order_until_utc is not None and car.order_until_utc > self.now_utc
            ]
            self._flow(min(ends))
        for car in self.units.values():
            if car.order_until_utc is not None and car.order_until_utc <= now_utc:
                car.ordered_kw = 0.0

    def _flow(self, until_utc: datetime) -> None:
        seconds = (until_utc - self.now_utc).total_seconds()
        hours = seconds / SECONDS_PER_HOUR
        taken = dict.fromkeys(self._site_of, 0.0)
        for device, car in self.units.items():
            if car.order_until_utc is not None and car.order_until_utc <= self.now_utc:
                car.ordered_kw = 0.0
            energy_kwh = car.advance(seconds)
            taken[car.stay.site_id] += energy_kwh
            if device in self.cars:
                self._meters[car.stay.site_id + CARS_SUFFIX].count(energy_kwh)
        for site, index in self._site_of.items():
            load, pv = self._series(index)
            pv = self._flowing_kw(site, pv)
            self._meters[site + LOAD_SUFFIX].count(load * hours)
            self._meters[site + PV_SUFFIX].count(-pv * hours)
            self._meters[site + GRID_SUFFIX].count((load - pv) * hours + taken[site])
        self.now_utc = until_utc

    def _flowing_kw(self, site: str, sun_kw: float) -> float:
        """What flows of the sun [kW] under the order that stands, if one does."""
        order = self.sun_orders.get(site)
        if order is None or order.until_utc <= self.now_utc:
            return sun_kw
        return min(sun_kw, -order.power_kw)

    def _plug(self, stay: Stay, cycle: int, when: datetime) -> list[SessionEvent | Needs]:
        session_id = stay.session_id if cycle == 0 else f"{stay.session_id}~{cycle}"
        self.cars[stay.device_id] = Car(stay, session_id, stay.energy_kwh)
        shift = cycle * self.length
        return [
            self._event(stay, session_id, "plugged", when, stay.energy_kwh, shift),
            Needs(
                id="",
                at_utc=when,
                session_id=session_id,
                target_kwh=stay.target_kwh,
                energy_min_kwh=stay.energy_min_kwh,
                source="driver",
            ),
        ]

    def _unplug(self, stay: Stay, when: datetime) -> SessionEvent | None:
        car = self.cars.pop(stay.device_id)
        return self._event(stay, car.session_id, "unplugged", when, car.energy_kwh, timedelta())

    def _event(
        self,
        stay: Stay,
        session_id: str,
        phase: str,
        when: datetime,
        energy_kwh: float,
        shift: timedelta,
    ) -> SessionEvent:
        stated = stay.stated_utc
        return SessionEvent(
            id="",
            at_utc=when,
            session_id=session_id,
            site_id=stay.site_id,
            phase=phase,
            capacity_kwh=stay.capacity_kwh,
            energy_kwh=energy_kwh,
            charge_max_kw=stay.charge_max_kw,
            discharge_max_kw=stay.discharge_max_kw,
            charge_efficiency=stay.charge_efficiency,
            discharge_efficiency=stay.discharge_efficiency,
            wear_eur_kwh=stay.wear_eur_kwh,
            vehicle_id=stay.vehicle_id,
            stated_depart_utc=None if stated is None else stated + shift,
            device_id=stay.device_id,
            simulated=True,
        )

    def _reading(
        self,
        device_id: str,
        site_id: str,
        power_kw: float,
        registers: Car | Registers,
        energy_kwh: float | None = None,
    ) -> Reading:
        return Reading(
            id="",
            at_utc=self.now_utc,
            device_id=device_id,
            site_id=site_id,
            power_kw=power_kw,
            energy_kwh=energy_kwh,
            import_kwh=registers.import_kwh,
            export_kwh=registers.export_kwh,
            simulated=True,
        )

    def _series(self, site: int) -> tuple[float, float]:
        """Load and PV of a site now [kW, amounts]."""
        horizon, series = self.scenario.horizon, self.scenario.series
        step = (int(self.now_utc.timestamp()) - horizon.start_s) // horizon.step_s % horizon.steps
        return float(series.load_kw[site, step]), float(series.pv_kw[site, step])

    def _step_after(self, when_utc: datetime) -> datetime:
        step_s = self.scenario.horizon.step_s
        return datetime.fromtimestamp((when_utc.timestamp() // step_s + 1) * step_s, UTC)


def _go_on(unit: Car, reading: Reading | None, order: Setpoint | None, now_utc: datetime) -> None:
    """Move a unit on from its last reading to now, then under the order that stands."""
    if reading is not None:
        unit.energy_kwh = reading.energy_kwh or 0.0
        unit.import_kwh = reading.import_kwh or 0.0
        unit.export_kwh = reading.export_kwh or 0.0
        unit.ordered_kw = reading.power_kw
        unit.advance(max((now_utc - reading.at_utc).total_seconds(), 0.0))
    unit.ordered_kw = 0.0
    if order is not None:
        unit.ordered_kw, unit.order_until_utc = order.power_kw, order.until_utc
