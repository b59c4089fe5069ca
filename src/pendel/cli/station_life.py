"""What happens at virtual stations: cars come and go, people do things, changes are told."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pendel.adapters.ocpp_client import StationClient, run_clients
from pendel.cli.station_outside import outside
from pendel.comms.ocpp.station.behaviour import Surroundings
from pendel.comms.ocpp.station.equipment import Car, Evse

if TYPE_CHECKING:
    from pendel.runtime.loop import Stop
    from pendel.scenario.columns import Scenario

LINE_CHARS_MAX = 200
GRACE_S = 3.0
WH_PER_KWH = 1_000.0


@dataclass(slots=True)
class Visit:
    """A car at a station from come_s to leave_s [epoch s]."""

    station_id: str
    evse_id: int
    come_s: float
    leave_s: float
    car: Car


def visits_of(scenario: "Scenario", begin_s: float) -> list[Visit]:
    """The sessions of a scenario, moved so that the scenario begins at begin_s [epoch s]."""
    from pendel.sim.virtual_schedule import stays_of

    shift_s = begin_s - scenario.horizon.start_s
    visits = []
    for stay in stays_of(scenario):
        station_id, _, evse = stay.device_id.rpartition("/")
        stated = stay.stated_utc
        car = Car(
            capacity_kwh=stay.capacity_kwh,
            energy_kwh=stay.energy_kwh,
            target_kwh=stay.target_kwh,
            energy_min_kwh=stay.energy_min_kwh,
            charge_max_kw=stay.charge_max_kw,
            discharge_max_kw=stay.discharge_max_kw,
            charge_efficiency=stay.charge_efficiency,
            discharge_efficiency=stay.discharge_efficiency,
            depart_s=None if stated is None else stated.timestamp() + shift_s,
            id_token=stay.vehicle_id[:20],
        )
        come_s, leave_s = stay.arrive_utc.timestamp(), stay.depart_utc.timestamp()
        visits.append(Visit(station_id, int(evse), come_s + shift_s, leave_s + shift_s, car))
    return sorted(visits, key=lambda visit: visit.come_s)


@dataclass(slots=True)
class Life:
    """All stations of one process. now_s: simulated time; quiet: tell nothing on the way."""

    now_s: Callable[[], float]
    until_s: float
    stop: "Stop"
    quiet: bool
    visits: list[Visit] = field(default_factory=list)
    clients: dict[str, StationClient] = field(default_factory=dict)
    new_car: Callable[[str], Visit] | None = None
    _present: list[Visit] = field(default_factory=list)
    _shown: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    _begun: bool = False
    _first_tick_s: float | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def add(self, client: StationClient) -> None:
        """One more station."""
        self.clients[client.station.settings.station_id] = client

    def run(self) -> None:
        """Until --hours are over or a signal comes."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, daemon=True).start()
        await run_clients(list(self.clients.values()), self._is_over, self._tick)

    def _is_over(self) -> bool:
        return self.stop.asked or self.now_s() >= self.until_s

    def _tick(self) -> None:
        now_s = self.now_s()
        for visit in [v for v in self._present if v.leave_s <= now_s]:
            self._present.remove(visit)
            self.clients[visit.station_id].station.unplug(visit.evse_id, now_s)
        if self._begun or self._is_ready():
            self._arrive(now_s)
        for name, client in self.clients.items():
            for evse in client.station.evses.values():
                self._show(name, evse)

    def _is_ready(self) -> bool:
        """The first cars wait until the stations are accepted, or GRACE_S."""
        if self._first_tick_s is None:
            self._first_tick_s = time.monotonic()
        everybody = all(client.station.accepted for client in self.clients.values())
        self._begun = everybody or time.monotonic() > self._first_tick_s + GRACE_S
        return self._begun

    def _arrive(self, now_s: float) -> None:
        while self.visits and self.visits[0].come_s <= now_s:
            visit = self.visits.pop(0)
            if visit.leave_s > now_s:
                self._present.append(visit)
                self.clients[visit.station_id].station.plug(visit.evse_id, visit.car, now_s)

    def _show(self, name: str, evse: Evse) -> None:
        """One line when status, power, setpoint or full percent of charge changed."""
        transaction, car = evse.transaction, evse.car
        seen = (
            evse.status_2 if evse.fault or car is None else evse.charging_state,
            None if transaction is None else transaction.known_as,
            round(evse.power_kw, 1),
            None if car is None else int(100.0 * car.soc + 1e-9),
            None if evse.setpoint_kw is None else round(evse.setpoint_kw, 2),
            evse.mode if transaction is not None else None,
        )
        if self._shown.get((name, evse.id)) == seen:
            return
        self._shown[name, evse.id] = seen
        words = [seen[0], f"{evse.power_kw:+.2f} kW"]
        if car is not None:
            words.append(f"SoC {100.0 * car.soc:.1f} %")
        if transaction is not None:
            words.append(f"{evse.mode}, transaction {transaction.known_as}")
        if evse.setpoint_kw is not None:
            words.append(f"setpoint {evse.setpoint_kw:+.2f} kW")
        self.say(name, ", ".join(words))

    def say(self, name: str, words: str) -> None:
        """A line for people."""
        if not self.quiet:
            when = datetime.fromtimestamp(self.now_s(), UTC)
            print(f"{when:%H:%M:%S} {name}: {words}", flush=True)

    # what people do

    def _listen(self) -> None:
        """Hand lines of stdin to the loop; ends with stdin."""
        while True:
            try:
                line = sys.stdin.readline(LINE_CHARS_MAX)
            except (OSError, ValueError):
                return
            if not line:
                return
            loop = self._loop
            if loop is None or loop.is_closed():
                return
            loop.call_soon_threadsafe(self.obey, line.strip())

    def obey(self, line: str) -> None:
        """Do what a line says at one station or, without `ID:`, at all of them."""
        if not line:
            return
        name, colon, rest = line.partition(": ")
        chosen = list(self.clients.items())
        if colon and name in self.clients:
            chosen, line = [(name, self.clients[name])], rest
        word, _, argument = line.strip().partition(" ")
        for station_id, client in chosen:
            try:
                self._do(station_id, client, word, argument.strip())
            except ValueError as error:
                print(f"{station_id}: {word}: {error}", file=sys.stderr, flush=True)

    def _do(self, name: str, client: StationClient, word: str, argument: str) -> None:
        station, now_s = client.station, self.now_s()
        match word:
            case "plug" if self.new_car is not None:
                visit = self.new_car(name)
                station.plug(1, replace(visit.car), now_s)
            case "unplug":
                station.unplug(1, now_s)
                self._present = [v for v in self._present if v.station_id != name]
            case "fault":
                station.fault(1, argument or "a fault on command", now_s)
            case "clear":
                station.fault(1, None, now_s)
            case "rfid" if argument:
                station.show_card(1, argument, now_s)
            case "drift":
                station.clock_error_s += float(argument)
            case "frequency":
                station.around.frequency_hz, station.around.record = float(argument), None
            case "voltage":
                set_voltage(station.around, argument)
            case "building":
                station.around.building_kw = float(argument)
            case "grid" if argument in ("up", "down"):
                station.around.grid_up = argument == "up"
            case "reboot":
                station.reset_for = "LocalReset"
            case "offline":
                task = asyncio.get_running_loop().create_task(client.cut(float(argument)))
                _CUTTING.add(task)
                task.add_done_callback(_CUTTING.discard)
            case "alarm" | "clearalarm" if argument:
                alarm = getattr(station.dialect, "alarm", None)
                if alarm is None or station.version.value != "2.1":
                    raise ValueError("only a 2.1 station knows DER alarms")
                alarm("VoltWatt", argument, word == "clearalarm", now_s)
            case "limit" | "setpoint" | "generation" | "release" | "priority":
                outside(station, word, argument.split(), now_s)
            case _:
                raise ValueError("unknown; see pendel station --help")
        client.tick()

    # what came of it

    def result(self) -> dict[str, Any]:
        """The stations at the end, for --json."""
        stations = []
        for name, client in self.clients.items():
            station = client.station
            evse = station.evses[1]
            stations.append(
                {
                    "station_id": name,
                    "ocpp_version": station.version.value,
                    "connections": client.connections,
                    "accepted": station.accepted,
                    "status": evse.status_2,
                    "transaction_id": evse.transaction.known_as if evse.transaction else None,
                    "import_kwh": evse.import_wh / WH_PER_KWH,
                    "export_kwh": evse.export_wh / WH_PER_KWH,
                    "power_kw": evse.power_kw,
                    "soc": None if evse.car is None else evse.car.soc,
                    "queued": len(station.queue.waiting),
                    "given_up": station.queue.given_up,
                    "dropped": station.queue.dropped,
                    "log": list(station.log)[-20:],
                }
            )
        return {"stations": stations, "simulated": True}

    def words(self) -> str:
        """The end, for people."""
        lines = []
        for row in self.result()["stations"]:
            soc = "" if row["soc"] is None else f", SoC {100.0 * row['soc']:.1f} %"
            lines.append(
                f"{row['station_id']}: imported {row['import_kwh']:.3f} kWh, exported "
                f"{row['export_kwh']:.3f} kWh{soc}, {row['queued']} messages still queued"
            )
        return "\n".join(lines)


def set_voltage(around: Surroundings, argument: str) -> None:
    """`108`, or `100 104 112` for three phases [percent of nominal]; ends a record that plays.

    Raises ValueError."""
    phases = tuple(float(word) / 100.0 for word in argument.split())
    if len(phases) not in (1, 3) or not all(0.0 <= share <= 2.0 for share in phases):
        raise ValueError("one value or three, 0 to 200 percent")
    around.record, around.voltage_pu = None, sum(phases) / len(phases)
    around.phases_pu = phases if len(phases) > 1 else ()


_CUTTING: set["asyncio.Task[None]"] = set()
