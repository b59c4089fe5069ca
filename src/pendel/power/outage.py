"""When the grid is gone: V2L from a socket on the car, V2H as an island behind a transfer switch.

Balance of each step, to rounding [kW]:

    served + charged = (pv - curtailed) + discharged                                        (1)
    car energy  >= reserve for the next trip  (or what it had, where it was below)           (2)

The island needs a *former*: a battery or car whose converter makes voltage and frequency. PV
follows a voltage, it makes none. Order of supply: PV, home battery, car (or car first); loads by
priority, what does not fit is shed; surplus PV goes to the car up to its reserve, the battery,
the rest of the car, and what is left is curtailed.

Switching (`advance_island`), with confirmation and time as arguments:

    GRID -> OPENING -> FORMING -> ISLAND -> STOPPING -> GRID
            order the   switch     loads     former off,   close, after the grid held
            switch open  confirmed  by steps  then close    for return_wait_s
            open

The former starts only after the switch is *confirmed* open, and the switch closes only after the
former has stopped: the house never feeds the street, and no two sources meet out of phase.
Powers: positive = charging (a source that gives is negative). V2L hangs on the car alone.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from pendel.errors import Problem, require
from pendel.units import BoolArray, FloatArray, stored_change_kwh

TINY_KW = 1e-9


@dataclass(frozen=True, slots=True)
class Store:
    """A battery or a car. floor_kwh: never discharged below (the reserve for the next trip);
    forms: its converter can form an island; powers are amounts at the AC side [kW]."""

    capacity_kwh: float
    energy_kwh: float
    floor_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    forms: bool = True

    def can_give_kw(self, hours: float) -> float:
        """Mean AC power it can give for hours without passing its floor."""
        usable = max(self.energy_kwh - self.floor_kwh, 0.0)
        return min(self.discharge_max_kw, usable * self.discharge_efficiency / hours)

    def can_take_kw(self, hours: float, up_to_kwh: float | None = None) -> float:
        """Mean AC power it can take for hours, until up_to_kwh (default: full)."""
        end = self.capacity_kwh if up_to_kwh is None else min(up_to_kwh, self.capacity_kwh)
        room = max(end - self.energy_kwh, 0.0)
        return min(self.charge_max_kw, room / (self.charge_efficiency * hours))

    def after(self, power_kw: float, hours: float) -> "Store":
        """The store after power_kw (signed) for hours."""
        change = stored_change_kwh(
            power_kw, hours, self.charge_efficiency, self.discharge_efficiency
        )
        energy = self.energy_kwh + change
        if power_kw < 0.0:
            energy = max(energy, min(self.floor_kwh, self.energy_kwh))
        return replace(self, energy_kwh=min(max(energy, 0.0), self.capacity_kwh))


def store_problems(store: Store, name: str, file: str = "outage") -> list[Problem]:
    """What is wrong with a store: ranges of energies, powers, efficiencies."""
    checks = (
        ("capacity_kwh", store.capacity_kwh > 0.0, "> 0"),
        ("energy_kwh", 0.0 <= store.energy_kwh <= store.capacity_kwh, "0 .. capacity"),
        ("floor_kwh", 0.0 <= store.floor_kwh <= store.capacity_kwh, "0 .. capacity"),
        ("charge_max_kw", 0.0 <= store.charge_max_kw < float("inf"), ">= 0"),
        ("discharge_max_kw", 0.0 <= store.discharge_max_kw < float("inf"), ">= 0"),
        ("charge_efficiency", 0.0 < store.charge_efficiency <= 1.0, "above 0, to 1"),
        ("discharge_efficiency", 0.0 < store.discharge_efficiency <= 1.0, "above 0, to 1"),
    )
    return [
        Problem(file, 0, f"{name}.{field}", f"{getattr(store, field)}", allowed)
        for field, right, allowed in checks
        if not right
    ]


@dataclass(frozen=True, slots=True)
class Home:
    """A home that can be an island. battery, car: None where there is none (or away).

    car_first: the car supplies before the home battery.
    """

    battery: Store | None
    car: Store | None
    car_first: bool = False


@dataclass(frozen=True, slots=True)
class IslandStep:
    """Who supplied what in a step [kW]: battery_kw and car_kw signed (negative = gives).

    served [L]: which loads ran; alive: the island had a former and stood.
    """

    alive: bool
    served: BoolArray
    served_kw: float
    shed_kw: float
    pv_used_kw: float
    curtailed_kw: float
    battery_kw: float
    car_kw: float


def island_step(
    home: Home, load_kw: FloatArray, pv_kw: float, hours: float, was_alive: bool = True
) -> tuple[IslandStep, Home]:
    """One step as an island: (1) and (2) for loads [L] in order of priority (first = dearest).

    Loads are blocks: each runs for the whole step or is shed. was_alive: the former is running;
    with nothing left to give it can stand on PV, but it cannot start on it.
    """
    require(hours > 0.0 and pv_kw >= 0.0, "island_step: hours > 0, pv >= 0")
    require(bool(np.all(load_kw >= 0.0)), "island_step: loads are amounts")
    battery, car = home.battery, home.car
    give_battery = battery.can_give_kw(hours) if battery else 0.0
    give_car = car.can_give_kw(hours) if car else 0.0
    formers = [(store, give) for store, give in ((battery, give_battery), (car, give_car)) if store]
    starts = any(store.forms and give > TINY_KW for store, give in formers)
    stands = was_alive and pv_kw > TINY_KW and any(store.forms for store, _ in formers)
    wanted = float(load_kw.sum())
    if not (starts or stands):
        dark = IslandStep(
            False, np.zeros(len(load_kw), dtype=np.bool_), 0.0, wanted, 0.0, pv_kw, 0.0, 0.0
        )
        return dark, home
    served = _served(load_kw, pv_kw + give_battery + give_car)
    used = float(load_kw[served].sum())
    lacking = max(used - pv_kw, 0.0)
    first, second = (give_car, give_battery) if home.car_first else (give_battery, give_car)
    from_first = min(lacking, first)
    from_second = min(lacking - from_first, second)
    battery_kw, car_kw = -from_first, -from_second
    if home.car_first:
        battery_kw, car_kw = -from_second, -from_first
    surplus = max(pv_kw - used, 0.0)
    if surplus > 0.0:
        battery_kw, car_kw = _stored(home, surplus, hours)
    curtailed = max(surplus - max(battery_kw, 0.0) - max(car_kw, 0.0), 0.0)
    step = IslandStep(
        True, served, used, wanted - used, pv_kw - curtailed, curtailed,
        battery_kw + 0.0, car_kw + 0.0,
    )  # fmt: skip
    after = replace(
        home,
        battery=battery.after(battery_kw, hours) if battery else None,
        car=car.after(car_kw, hours) if car else None,
    )
    return step, after


def _served(load_kw: FloatArray, available_kw: float) -> BoolArray:
    """Which loads run [L]: in order, each that still fits."""
    served = np.zeros(len(load_kw), dtype=np.bool_)
    left = available_kw
    for i, load in enumerate(load_kw):
        if load <= left + TINY_KW * 1e-3:
            served[i] = True
            left -= float(load)
    return served


def _stored(home: Home, surplus_kw: float, hours: float) -> tuple[float, float]:
    """Charging of (battery, car) from surplus: car to its reserve, battery, rest of the car."""
    battery, car, left = home.battery, home.car, surplus_kw
    car_kw = min(left, car.can_take_kw(hours, car.floor_kwh)) if car else 0.0
    left -= car_kw
    battery_kw = min(left, battery.can_take_kw(hours)) if battery else 0.0
    left -= battery_kw
    if car:
        car_kw += min(left, car.can_take_kw(hours) - car_kw)
    return battery_kw, car_kw


@dataclass(frozen=True, slots=True)
class Outage:
    """Steps of an outage [T] and how long the first `critical` loads were supplied [h]."""

    steps: tuple[IslandStep, ...]
    homes: tuple[Home, ...]
    autonomy_h: float


def run_outage(
    home: Home,
    load_kw: FloatArray,
    pv_kw: FloatArray,
    hours: float,
    critical: int = 1,
    car_present: BoolArray | None = None,
) -> Outage:
    """An outage of T steps: load_kw [L, T] by priority, pv_kw [T], steps of hours.

    autonomy_h: time until one of the first `critical` loads is not served for the first time (the
    whole outage if never). car_present [T]: the car is plugged in (default: always); it comes
    back with what it left with, and its trips are not modelled here.
    """
    count = load_kw.shape[1]
    require(len(pv_kw) == count, "run_outage: as many steps of pv as of load")
    require(1 <= critical <= load_kw.shape[0], "run_outage: critical loads are among the loads")
    here = np.ones(count, dtype=np.bool_) if car_present is None else car_present
    steps, homes = [], []
    autonomy_h, car, alive = count * hours, home.car, True
    now = home
    for t in range(count):
        now = replace(now, car=car if here[t] else None)
        step, now = island_step(now, load_kw[:, t], float(pv_kw[t]), hours, alive)
        alive = step.alive
        car = now.car if here[t] else car
        steps.append(step)
        homes.append(replace(now, car=car))
        if not bool(np.all(step.served[:critical])) and autonomy_h == count * hours:
            autonomy_h = t * hours
    return Outage(tuple(steps), tuple(homes), autonomy_h)


def autonomy_h(home: Home, load_kw: float, pv_kw: float = 0.0) -> float:
    """Hours that a constant load could be supplied now: 0 if its power is too high, inf if PV
    carries it (and something forms the island)."""
    stores = [store for store in (home.battery, home.car) if store]
    energies = [max(s.energy_kwh - s.floor_kwh, 0.0) * s.discharge_efficiency for s in stores]
    powers = [s.discharge_max_kw if e > 0.0 else 0.0 for s, e in zip(stores, energies, strict=True)]
    starts = [s.forms and e > 0.0 for s, e in zip(stores, energies, strict=True)]
    if not any(starts) and not (pv_kw > 0.0 and any(s.forms for s in stores)):
        return 0.0
    need = load_kw - pv_kw
    if need <= 0.0:
        return float("inf")
    if sum(powers) < need:
        return 0.0
    # Both give while both have something; where one alone is too weak, it ends with the other.
    hours = sum(energies) / need
    for energy, power in zip(energies, powers, strict=True):
        lacking = need - (sum(powers) - power)
        if lacking > 0.0:
            hours = min(hours, energy / lacking)
    return hours


def v2l_kw(car: Store, socket_max_kw: float, wanted_kw: float, hours: float) -> float:
    """What the socket on the car gives [kW, amount]: its own limit, and (2). No transfer switch:
    the socket is no part of the house and feeds nothing but what is plugged into it."""
    require(wanted_kw >= 0.0 and socket_max_kw >= 0.0, "v2l_kw: amounts")
    usable = max(car.energy_kwh - car.floor_kwh, 0.0) * car.discharge_efficiency
    return min(wanted_kw, socket_max_kw, usable / hours)


class Stage(StrEnum):
    """Where the switching stands."""

    GRID = "grid"
    OPENING = "opening"
    FORMING = "forming"
    ISLAND = "island"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class IslandSettings:
    """Times [s]: outage_wait_s without grid before leaving; form_s to make voltage; block_s
    between loads switched on; pv_wait_s of good voltage before PV connects; return_wait_s of
    good grid before going back."""

    outage_wait_s: float = 2.0
    form_s: float = 3.0
    block_s: float = 2.0
    pv_wait_s: float = 60.0
    return_wait_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Island:
    """Orders and memory of the switching.

    open_switch, former_on: orders to transfer switch and former; since_s: begin of the stage;
    bad_since_s, good_since_s: since when the grid is gone or back (inf = it is not).
    """

    stage: Stage
    since_s: float
    open_switch: bool = False
    former_on: bool = False
    bad_since_s: float = float("inf")
    good_since_s: float = float("inf")


def advance_island(
    settings: IslandSettings,
    state: Island,
    grid_valid: bool,
    switch_open: bool,
    former_running: bool,
    now_s: float,
) -> Island:
    """The switching at now_s. grid_valid: voltage of the *street* side is good (grid_code.gate);
    switch_open, former_running: confirmed by contacts, not the orders."""
    bad = float("inf") if grid_valid else min(state.bad_since_s, now_s)
    good = min(state.good_since_s, now_s) if grid_valid else float("inf")
    state = replace(state, bad_since_s=bad, good_since_s=good)

    def into(stage: Stage, open_switch: bool, former_on: bool) -> Island:
        return replace(
            state, stage=stage, since_s=now_s, open_switch=open_switch, former_on=former_on
        )

    returns = now_s - good >= settings.return_wait_s
    if state.stage is Stage.GRID and now_s - bad >= settings.outage_wait_s:
        return into(Stage.OPENING, True, False)
    if state.stage is Stage.OPENING:
        if switch_open:
            return into(Stage.FORMING, True, True)
        return into(Stage.GRID, False, False) if returns else state
    if state.stage in (Stage.FORMING, Stage.ISLAND):
        if returns or not switch_open:
            return into(Stage.STOPPING, True, False)
        formed = former_running and now_s - state.since_s >= settings.form_s
        if state.stage is Stage.FORMING and formed:
            return into(Stage.ISLAND, True, True)
        return state
    if state.stage is Stage.STOPPING and not former_running:
        if returns:
            return into(Stage.GRID, False, False)
        return into(Stage.OPENING, True, False)
    return state


def black_start(settings: IslandSettings, home: Home, loads: int) -> list[tuple[float, str]]:
    """Order of a black start: (seconds after the switch is confirmed open, what).

    Former first (the home battery if it forms, else the car), then the loads by priority one by
    one, PV when it has seen good voltage long enough, then the other store. Empty: nothing forms.
    """
    names = [("home battery", home.battery), ("car", home.car)]
    if home.car_first:
        names.reverse()
    formers = [name for name, store in names if store and store.forms]
    if not formers:
        return []
    order = [(0.0, f"former: {formers[0]}")]
    order += [(settings.form_s + settings.block_s * i, f"load {i}") for i in range(loads)]
    order.append((settings.form_s + settings.pv_wait_s, "pv"))
    order += [
        (settings.form_s + settings.pv_wait_s, name)
        for name, store in names
        if store and name != formers[0]
    ]
    return sorted(order, key=lambda entry: entry[0])
