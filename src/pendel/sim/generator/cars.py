"""Which cars a fleet has, and what a stay of one asks of its charger."""

from dataclasses import dataclass

import numpy as np

from pendel.power.charger import ac_efficiency_table
from pendel.power.vehicles import vehicles
from pendel.sim.generator.mobility import Stands, draw
from pendel.units import BoolArray, FloatArray, IntArray

CAPACITY_LEAST_KWH = 16.0
VAN_KWH = np.array([60.0, 77.0, 100.0])
VAN_SHARE = np.array([0.4, 0.4, 0.2])
VAN_AC_KW = np.array([11.0, 11.0, 22.0])
POINT_KW = {
    "home": (np.array([3.7, 11.0, 22.0]), np.array([0.1, 0.8, 0.1])),
    "workplace": (np.array([11.0, 22.0]), np.array([0.7, 0.3])),
    "public": (np.array([11.0, 22.0]), np.array([0.3, 0.7])),
    "depot": (np.array([11.0, 22.0]), np.array([0.8, 0.2])),
}
DISCHARGE_MAX_KW = 10.0
TARGET_SOC = np.array([0.8, 0.9, 1.0])
TARGET_SHARE = np.array([0.7, 0.2, 0.1])
ARRIVE_SOC_LEAST = 0.08
MINIMUM_SOC = 0.2
REACH_SHARE = 0.95
WEAR_EUR_KWH = (0.01, 0.03)
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Cars:
    """Columns of cars [C]: capacity_kwh, ac_kw (of the car), consumption_kwh_km, point_kw (of its
    charging point), can_discharge, efficiency (each way), wear_eur_kwh."""

    capacity_kwh: FloatArray
    ac_kw: FloatArray
    consumption_kwh_km: FloatArray
    point_kw: FloatArray
    can_discharge: BoolArray
    efficiency: FloatArray
    wear_eur_kwh: FloatArray


@dataclass(frozen=True, slots=True)
class Wants:
    """What stays [n] ask for, on the grid of steps: first, last (connected in first <= t < last,
    inside the horizon), energies [kWh], powers [kW]; kept: which of the given stays they are."""

    kept: IntArray
    first: IntArray
    last: IntArray
    capacity_kwh: FloatArray
    energy_arrive_kwh: FloatArray
    energy_target_kwh: FloatArray
    energy_min_kwh: FloatArray
    charge_max_kw: FloatArray
    discharge_max_kw: FloatArray
    efficiency: FloatArray
    wear_eur_kwh: FloatArray


def car_columns(kind: str, count: int, v2g_share: float, rng: np.random.Generator) -> Cars:
    """Cars of a kind: models of the packaged list with equal chance (no free sales figures), vans
    for depots; efficiencies of its measured on-board chargers, the same for both directions."""
    if kind == "depot":
        capacity = VAN_KWH[draw(VAN_SHARE, rng.random(count))]
        ac_kw = VAN_AC_KW[rng.integers(0, len(VAN_AC_KW), count)]
        consumption = np.zeros(count)
    else:
        models = [v for v in vehicles().values() if v.capacity_kwh >= CAPACITY_LEAST_KWH]
        model = rng.integers(0, len(models), count)
        capacity = np.array([v.capacity_kwh for v in models])[model]
        ac_kw = np.array([v.ac_kw for v in models])[model]
        consumption = np.array([v.consumption_kwh_100km / 100.0 for v in models])[model]
    power, share = POINT_KW[kind]
    known = np.array([float(eta[-1]) for (_, phases), (_, eta) in _chargers() if phases == 3])
    return Cars(
        capacity_kwh=capacity,
        ac_kw=ac_kw,
        consumption_kwh_km=consumption,
        point_kw=power[draw(share, rng.random(count))],
        can_discharge=rng.random(count) < v2g_share,
        efficiency=known[rng.integers(0, len(known), count)],
        wear_eur_kwh=np.round(rng.uniform(*WEAR_EUR_KWH, count), DIGITS),
    )


def _chargers() -> list[tuple[tuple[str, int], tuple[FloatArray, FloatArray]]]:
    return sorted(ac_efficiency_table().items(), key=lambda item: item[0])


def wants_of(
    stands: Stands, cars: Cars, start_min: float, steps: int, step_min: int,
    rng: np.random.Generator,
) -> Wants:  # fmt: skip
    """What stays ask for. start_min: begin of the horizon in minutes since the begin of day 0.

    A stay that began before the horizon has had its share of the energy, one that ends after it
    wants its share by then; nobody asks for more than 95 % of what charging at once would give.
    """
    arrive = np.maximum(stands.arrive_min, start_min)
    depart = np.minimum(stands.depart_min, start_min + steps * step_min)
    first = np.ceil((arrive - start_min) / step_min).astype(np.int64)
    last = np.floor((depart - start_min) / step_min).astype(np.int64)
    kept = np.flatnonzero((last > first) & (first < steps))
    car = stands.car[kept]
    whole = stands.depart_min[kept] - stands.arrive_min[kept]
    had = (arrive[kept] - stands.arrive_min[kept]) / whole
    left = (depart[kept] - stands.arrive_min[kept]) / whole
    capacity, efficiency = cars.capacity_kwh[car], cars.efficiency[car]
    charge_max = np.minimum(cars.ac_kw[car], cars.point_kw[car])
    full = capacity * TARGET_SOC[draw(TARGET_SHARE, rng.random(len(car)))]
    least = ARRIVE_SOC_LEAST * capacity
    need = np.clip(stands.energy_kwh[kept], 0.0, full - least)
    arrived = full - need * (1.0 - had)
    reach = REACH_SHARE * charge_max * efficiency * (last[kept] - first[kept]) * step_min / 60.0
    target = np.minimum(full - need * (1.0 - left), arrived + reach)
    arrived = np.round(arrived, DIGITS)
    discharge_max = np.minimum(charge_max, DISCHARGE_MAX_KW)
    return Wants(
        kept=kept,
        first=first[kept],
        last=last[kept],
        capacity_kwh=capacity,
        energy_arrive_kwh=arrived,
        energy_target_kwh=np.maximum(np.floor(target * 1e4) / 1e4, arrived),
        energy_min_kwh=np.minimum(np.round(MINIMUM_SOC * capacity, DIGITS), arrived),
        charge_max_kw=charge_max,
        discharge_max_kw=np.where(cars.can_discharge[car], discharge_max, 0.0),
        efficiency=efficiency,
        wear_eur_kwh=cars.wear_eur_kwh[car],
    )
