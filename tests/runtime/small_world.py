"""A tiny scenario and a stand-in controller for tests of the runtime: no kernels, no planning."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.store_url import Store
from pendel.control.state import Decision, FleetState, Knowledge
from pendel.records import SessionEvent
from pendel.runtime.area_tick import Area, Ports, Station
from pendel.runtime.decider import no_feeders
from pendel.runtime.engine import Runtime
from pendel.runtime.fallback_decision import fallback_decision
from pendel.runtime.state import SessionView
from pendel.scenario.columns import (
    Horizon,
    Prices,
    Scenario,
    Series,
    Sessions,
    Sites,
    Storages,
)
from pendel.sim.virtual_area import spec_of
from pendel.sim.virtual_station import VirtualWorld
from pendel.units import FloatArray

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STEPS = 32
STEP_S = 900
# (id, site, arrives, leaves, says [quarter hours], capacity, energy, target, kW)
CARS = (
    ("s1", 0, 0.0, 20.0, 20.0, 60.0, 20.0, 40.0, 11.0),
    ("s2", 0, 2.5, 10.3, 12.0, 50.0, 10.0, 45.0, 11.0),
    ("s3", 1, 1.0, 30.0, None, 80.0, 40.0, 64.0, 22.0),
    ("s4", 0, 11.0, 31.0, 31.0, 40.0, 30.0, 30.0, 7.0),
)


def small_scenario(name: str = "small") -> Scenario:
    """Two sites "home" and "shop", four sessions, eight hours."""
    begin = int(START.timestamp())
    count = len(CARS)

    def seconds(quarters: float | None) -> int:
        return -(2**62) if quarters is None else begin + int(quarters * STEP_S)

    zeros, ones = np.zeros(count), np.ones(count)
    sessions = Sessions(
        session_id=np.array([c[0] for c in CARS]),
        site=np.array([c[1] for c in CARS]),
        arrive_step=np.array([int(np.ceil(c[2])) for c in CARS]),
        depart_step=np.array([int(c[3]) for c in CARS]),
        arrive_s=np.array([seconds(c[2]) for c in CARS]),
        depart_s=np.array([seconds(c[3]) for c in CARS]),
        stated_depart_s=np.array([seconds(c[4]) for c in CARS]),
        capacity_kwh=np.array([c[5] for c in CARS]),
        energy_arrive_kwh=np.array([c[6] for c in CARS]),
        energy_target_kwh=np.array([c[7] for c in CARS]),
        energy_min_kwh=zeros + 5.0,
        charge_max_kw=np.array([c[8] for c in CARS]),
        discharge_max_kw=np.array([c[8] for c in CARS]),
        charge_efficiency=ones * 0.9,
        discharge_efficiency=ones * 0.9,
        wear_eur_kwh=zeros,
        terminal_eur_kwh=zeros,
        vehicle_id=np.array([f"car-{c[0]}" for c in CARS]),
        battery_model=np.array([""] * count),
    )
    price = 0.2 + 0.1 * np.sin(np.arange(STEPS) / 4.0)
    none, whole = np.zeros(0), np.zeros(0, dtype=np.int64)
    load = np.vstack([np.full(STEPS, 1.0), np.linspace(2.0, 9.0, STEPS)])
    return Scenario(
        name=name,
        horizon=Horizon(START, STEPS, STEP_S, "Europe/Berlin"),
        sites=Sites(
            np.array(["home", "shop"]),
            np.array([17.0, 30.0]),
            np.array([11.0, 0.0]),
            np.zeros(2),
            np.array([-1, -1]),
        ),
        prices=Prices(price[None, :], 0.5 * price[None, :], np.array([0, 0])),
        series=Series(load, np.vstack([np.full(STEPS, 0.5), np.zeros(STEPS)])),
        sessions=sessions,
        storages=Storages(np.zeros(0, dtype=np.str_), whole, *([none] * 8)),
        feeders=no_feeders(),
    )


@dataclass(slots=True)
class Modest:
    """Stand-in for the controller: the safe fallback, an operator's hand, and faults on demand."""

    fault: Exception | None = None
    learned: list[str] = field(default_factory=list)
    held: dict[int, float] = field(default_factory=dict)

    def refresh(self, state: FleetState, knowledge: Knowledge) -> None:
        self.held = {}
        if self.fault is not None:
            raise self.fault

    def hold(self, unit: int, power_kw: float, floor_kwh: float | None = None) -> None:
        self.held[unit] = power_kw

    def dispatch(self, state: FleetState, knowledge: Knowledge) -> Decision:
        decision = fallback_decision(state, knowledge)
        decision.rank[:] = 4
        for unit, power in self.held.items():
            low = -min(state.discharge_max_kw[unit], knowledge.export_limit_kw[state.site[unit]])
            decision.requested_kw[unit] = power
            decision.power_kw[unit] = np.clip(power, low, state.charge_max_kw[unit])
            decision.rank[unit] = 3
        return decision

    def floors_kwh(self) -> FloatArray:
        return np.zeros(0)

    def schedules(self, state: FleetState, now_s: int) -> FloatArray | None:
        return np.tile(fallback_power_of(state)[:, None], (1, 4)) if len(state) else None

    def ended(self, site: int, view: SessionView, left: SessionEvent) -> None:
        self.learned.append(left.session_id)


def fallback_power_of(state: FleetState) -> FloatArray:
    """Some schedule: half of what each car can take."""
    return 0.5 * state.charge_max_kw


@dataclass(slots=True)
class Small:
    """A runtime over the small scenario."""

    runtime: Runtime
    area: Area
    world: VirtualWorld
    decider: Modest

    def to(self, minutes: float, every_min: float = 15.0) -> datetime:
        """Tick from now until START + minutes (inclusive); returns that time."""
        end = START + timedelta(minutes=minutes)
        now = self.runtime.now_utc or START
        while now < end:
            now = min(now + timedelta(minutes=every_min), end)
            self.runtime.tick(now)
        return now


def small(store: Store | None = None) -> Small:
    """A started runtime; on a store that holds an earlier run it goes on from there."""
    runtime = Runtime(store if store is not None else MemoryEventLog())
    scenario = small_scenario()
    now = runtime.state.last_utc or START
    world, decider = VirtualWorld(scenario, now), Modest()
    world.resume(runtime.state, now)
    spec = spec_of(scenario, mode="v2g", confidence=0.99)  # type: ignore[arg-type]
    stations = tuple(
        Station(device.partition("/")[0], site, simulated=True) for site, device in world.devices
    )
    area = Area(spec, decider, Ports(world, world, world, world), int(START.timestamp()), stations)
    runtime.areas.append(area)
    runtime.start(now)
    if runtime.state.last_tick is None:
        runtime.tick(now)
    return Small(runtime, area, world, decider)
