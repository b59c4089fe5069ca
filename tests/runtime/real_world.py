"""The small world of the runtime's tests with the real controller."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from small_world import START, small_scenario

from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.store_url import Store
from pendel.control.warranty import WarrantyBudget
from pendel.records import Mode
from pendel.runtime.area_tick import Area
from pendel.runtime.decider import LiveController
from pendel.runtime.engine import Runtime
from pendel.scenario.columns import Scenario
from pendel.sim.virtual_area import virtual_area
from pendel.sim.virtual_station import VirtualWorld


@dataclass(slots=True)
class Real:
    """A runtime with one area of virtual stations and the controller of the live loop."""

    runtime: Runtime
    area: Area
    world: VirtualWorld
    controller: LiveController

    def to(self, minutes: float, every_min: float = 15.0) -> datetime:
        """Tick from now until START + minutes (inclusive); returns that time."""
        end = START + timedelta(minutes=minutes)
        now = self.runtime.now_utc or START
        while now < end:
            now = min(now + timedelta(minutes=every_min), end)
            self.runtime.tick(now)
        return now


def full_scenario() -> Scenario:
    """The small scenario with a first car that comes with 55 kWh and needs only 15 kWh."""
    plain = small_scenario()
    energy, target = (
        plain.sessions.energy_arrive_kwh.copy(),
        plain.sessions.energy_target_kwh.copy(),
    )
    energy[0], target[0] = 55.0, 15.0
    sessions = replace(plain.sessions, energy_arrive_kwh=energy, energy_target_kwh=target)
    return replace(plain, sessions=sessions)


def real(
    store: Store | None = None,
    scenario: Scenario | None = None,
    budgets: dict[str, WarrantyBudget] | None = None,
    mode: Mode = Mode.V2G,
    timezone: str = "Europe/Berlin",
    start_utc: datetime = START,
) -> Real:
    """A started runtime; on a store that holds an earlier run it goes on from there."""
    lived = small_scenario() if scenario is None else scenario
    zones = dict.fromkeys(lived.sites.site_id.tolist(), timezone)
    runtime = Runtime(store if store is not None else MemoryEventLog(), zones)
    now = runtime.state.last_utc or start_utc
    area, world = virtual_area(lived, now, runtime.state, mode=mode)
    area.spec = replace(area.spec, budgets=budgets or {}, timezone=timezone)
    runtime.areas.append(area)
    runtime.start(now)
    if runtime.state.last_tick is None:
        runtime.tick(now)
    controller = area.decider
    assert isinstance(controller, LiveController)
    return Real(runtime, area, world, controller)
