"""The simulated fleet as columns: who is connected in each step, and what is in the batteries."""

from dataclasses import dataclass, field

import numpy as np

from pendel.control.state import FleetState
from pendel.scenario.columns import UNKNOWN_S, Scenario, StrArray
from pendel.units import BoolArray, FloatArray, IntArray


@dataclass(slots=True)
class Fleet:
    """All units of a scenario [U = N sessions + B storages], static columns and the energy now.

    first, last: connected in steps first <= t < last. Built by `fleet_of`.
    """

    unit_id: StrArray
    vehicle_id: StrArray
    site: IntArray
    is_session: BoolArray
    first: IntArray
    last: IntArray
    arrive_s: IntArray
    depart_s: IntArray
    stated_depart_s: IntArray
    capacity_kwh: FloatArray
    energy_arrive_kwh: FloatArray
    target_kwh: FloatArray
    energy_min_kwh: FloatArray
    charge_max_kw: FloatArray
    discharge_max_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    wear_eur_kwh: FloatArray
    terminal_eur_kwh: FloatArray
    energy_kwh: FloatArray
    power_kw: FloatArray
    by_arrival: IntArray
    next_arrival: int = 0
    active: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.capacity_kwh)

    def advance_to(self, step: int) -> tuple[IntArray, bool]:
        """Bring the set of connected units to a step; steps must not go back.

        Returns the units that left since the last call [indices], and whether the set changed.
        """
        stays = self.last[self.active] > step
        left = self.active[~stays]
        begin = self.next_arrival
        end = begin
        order, count = self.by_arrival, len(self.by_arrival)
        while end < count and self.first[order[end]] <= step:
            end += 1
        self.next_arrival = end
        came = order[begin:end]
        came = came[self.last[came] > step]
        if len(left) or len(came):
            self.active = np.concatenate([self.active[stays], came])
        return left, bool(len(left) or len(came))


def fleet_of(scenario: Scenario) -> Fleet:
    """Sessions, then storages, in file order. What reaches beyond the horizon is cut to it: the
    target is then due at its end, and a stated departure after it counts as that end."""
    sessions, storages, horizon = scenario.sessions, scenario.storages, scenario.horizon
    count_b = len(storages)
    zeros, ints = np.zeros(count_b), np.zeros(count_b, dtype=np.int64)
    end_s = horizon.start_s + horizon.steps * horizon.step_s
    stated = sessions.stated_depart_s
    stated = np.where(stated == UNKNOWN_S, UNKNOWN_S, np.minimum(stated, end_s))

    def joined(of_sessions: FloatArray, of_storages: FloatArray) -> FloatArray:
        return np.concatenate([of_sessions, of_storages])

    first = np.concatenate([sessions.arrive_step, ints])
    energy = joined(sessions.energy_arrive_kwh, storages.energy_start_kwh)
    return Fleet(
        unit_id=np.concatenate([sessions.session_id, storages.storage_id]),
        vehicle_id=np.concatenate([sessions.vehicle_id, np.full(count_b, "", dtype="U1")]),
        site=np.concatenate([sessions.site, storages.site]),
        is_session=np.concatenate([np.ones(len(sessions), np.bool_), np.zeros(count_b, np.bool_)]),
        first=first,
        last=np.concatenate([sessions.depart_step, ints + horizon.steps]),
        arrive_s=np.concatenate([sessions.arrive_s, ints + horizon.start_s]),
        depart_s=np.concatenate([sessions.depart_s, ints + end_s]),
        stated_depart_s=np.concatenate([stated, ints + UNKNOWN_S]),
        capacity_kwh=joined(sessions.capacity_kwh, storages.capacity_kwh),
        energy_arrive_kwh=energy.copy(),
        target_kwh=joined(sessions.energy_target_kwh, storages.energy_end_min_kwh),
        energy_min_kwh=joined(sessions.energy_min_kwh, zeros),
        charge_max_kw=joined(sessions.charge_max_kw, storages.charge_max_kw),
        discharge_max_kw=joined(sessions.discharge_max_kw, storages.discharge_max_kw),
        charge_efficiency=joined(sessions.charge_efficiency, storages.charge_efficiency),
        discharge_efficiency=joined(sessions.discharge_efficiency, storages.discharge_efficiency),
        wear_eur_kwh=joined(sessions.wear_eur_kwh, storages.wear_eur_kwh),
        terminal_eur_kwh=joined(sessions.terminal_eur_kwh, zeros),
        energy_kwh=energy,
        power_kw=np.zeros(len(energy)),
        by_arrival=np.argsort(first, kind="stable").astype(np.int64),
    )


def state_of(fleet: Fleet, previous: FleetState | None) -> FleetState:
    """What the controller sees of the connected units now.

    previous: the state of the last step if the same units are connected, else None: then only
    energies and powers are read anew.
    """
    active = fleet.active
    if previous is not None:
        previous.energy_kwh = fleet.energy_kwh[active]
        previous.power_kw = fleet.power_kw[active]
        return previous
    count = len(active)
    return FleetState(
        unit_id=fleet.unit_id[active],
        vehicle_id=fleet.vehicle_id[active],
        site=fleet.site[active],
        is_session=fleet.is_session[active],
        arrive_s=fleet.arrive_s[active],
        stated_depart_s=fleet.stated_depart_s[active],
        capacity_kwh=fleet.capacity_kwh[active],
        energy_arrive_kwh=fleet.energy_arrive_kwh[active],
        energy_kwh=fleet.energy_kwh[active],
        target_kwh=fleet.target_kwh[active],
        energy_min_kwh=fleet.energy_min_kwh[active],
        charge_max_kw=fleet.charge_max_kw[active],
        discharge_max_kw=fleet.discharge_max_kw[active],
        charge_efficiency=fleet.charge_efficiency[active],
        discharge_efficiency=fleet.discharge_efficiency[active],
        wear_eur_kwh=fleet.wear_eur_kwh[active],
        terminal_eur_kwh=fleet.terminal_eur_kwh[active],
        power_kw=fleet.power_kw[active],
        reading_age_s=np.zeros(count),
        charge_now=np.zeros(count, dtype=np.bool_),
        paused=np.zeros(count, dtype=np.bool_),
        charge_least_kw=np.zeros(count),
        discharge_least_kw=np.zeros(count),
    )
