"""What the controller remembers of each connected unit: its schedule, its floors, its obedience.

Slots are rows of ring buffers over absolute steps (step t in column t % ring), so that nothing is
copied as time goes by; a unit keeps its slot from plug to unplug.
"""

from collections.abc import Iterable

import numpy as np

from pendel.control.state import FleetState
from pendel.scenario.columns import StrArray
from pendel.units import BoolArray, FloatArray, IntArray

NEVER = -(2**40)
FULL_KWH = 0.1
"""Room below which a battery is full: what it then takes says nothing of the car."""
FOLLOWS_KW = 0.3
"""An order counts as followed within this much: meters and cars are not exact."""
LEAST_TAKEN = 0.05
RELAXED = 1.1
KEY_BASE = 0x9E3779B97F4A7C15


def keys_of(ids: StrArray) -> IntArray:
    """A number [N] per fixed-width id, equal for equal ids (almost never for others); empty for
    other kinds of arrays."""
    if ids.dtype.kind != "U" or len(ids) == 0:
        return np.zeros(0, dtype=np.int64)
    letters = np.ascontiguousarray(ids).view(np.uint32).reshape(len(ids), -1).astype(np.uint64)
    powers = np.cumprod(np.full(letters.shape[1], KEY_BASE, dtype=np.uint64))
    return (letters @ powers).astype(np.int64)


class Slots:
    """Rows of memory [capacity], grown by doubling; `row` [N] are those of the connected units.

    schedule_kw, energy_kwh, floor_kwh [capacity, ring]: planned power, planned energy at the end
    of a step, energy the promise needs then (NaN = none); planned_at: absolute step of the last
    plan; site; cars_kw [S, ring]: planned power of all units of a site; ordered_kw, accepted_kw,
    deviations: last order, what the car takes at most, orders in a row it did not follow.
    """

    def __init__(self, ring: int, sites: int) -> None:
        self.ring = ring
        self.schedule_kw: FloatArray = np.zeros((0, ring))
        self.energy_kwh: FloatArray = np.zeros((0, ring))
        self.floor_kwh: FloatArray = np.zeros((0, ring))
        self.planned_at: IntArray = np.zeros(0, dtype=np.int64)
        self.site: IntArray = np.zeros(0, dtype=np.int64)
        self.ordered_kw: FloatArray = np.zeros(0)
        self.accepted_kw: FloatArray = np.zeros(0)
        self.deviations: IntArray = np.zeros(0, dtype=np.int64)
        self.cars_kw: FloatArray = np.zeros((sites, ring))
        self.row: IntArray = np.zeros(0, dtype=np.int64)
        self._ids: StrArray | None = None
        self._keys: IntArray = np.zeros(0, dtype=np.int64)
        self._row_of: dict[str, int] = {}
        self._free: list[int] = []

    def match(self, state: FleetState) -> IntArray:
        """Give every unit of the state its row; returns positions [M] of units never seen.

        Rows of units that are gone are cleared and used again.
        """
        if state.unit_id is self._ids:
            return np.zeros(0, dtype=np.int64)
        ids = state.unit_id
        kept = self._kept(ids)
        rows = np.full(len(ids), -1, dtype=np.int64)
        rows[: len(kept)] = kept
        names = ids[len(kept) :].tolist()
        known = self._row_of
        rows[len(kept) :] = [known.get(name, -1) for name in names]
        fresh = np.flatnonzero(rows < 0)
        if len(known) != len(ids) - len(fresh):
            staying = set(rows.tolist())
            gone = [name for name, row in known.items() if row not in staying]
            self._release([known.pop(name) for name in gone])
        self._make_room(len(fresh))
        for position in fresh.tolist():
            rows[position] = known[str(ids[position])] = self._free.pop()
        self.row = rows
        self._ids = ids
        if len(fresh):
            self._begin(rows[fresh], state, fresh)
        return fresh

    def _kept(self, ids: StrArray) -> IntArray:
        """Rows of the units at the head of `ids` that keep the order of the last call.

        A shortcut for large fleets: everything it does not find (new, reordered, ids of unequal
        width) is looked up by name.
        """
        from pendel.control.slot_kernels import keep_order

        last, keys = self._keys, keys_of(ids)
        self._keys = keys
        if self._ids is None or len(last) == 0 or len(keys) == 0:
            return np.zeros(0, dtype=np.int64)
        stays = np.zeros(len(last), dtype=np.bool_)
        count = keep_order(last, keys, stays)
        if not np.array_equal(self._ids[stays], ids[:count]):
            return np.zeros(0, dtype=np.int64)
        return self.row[stays]

    def _begin(self, rows: IntArray, state: FleetState, positions: IntArray) -> None:
        self.site[rows] = state.site[positions]
        self.planned_at[rows] = NEVER
        self.floor_kwh[rows] = np.nan
        self.ordered_kw[rows] = np.nan
        self.accepted_kw[rows] = np.inf
        self.deviations[rows] = 0

    def _make_room(self, count: int) -> None:
        """Grow so that at least this many rows are free."""
        lacking = count - len(self._free)
        if lacking <= 0:
            return
        old = len(self.site)
        more = max(old, 64, lacking)

        def grown(array: np.ndarray) -> np.ndarray:
            bigger = np.zeros((old + more, *array.shape[1:]), dtype=array.dtype)
            bigger[:old] = array
            return bigger

        self.schedule_kw = grown(self.schedule_kw)
        self.energy_kwh = grown(self.energy_kwh)
        self.floor_kwh = grown(self.floor_kwh)
        self.planned_at = grown(self.planned_at)
        self.site = grown(self.site)
        self.ordered_kw = grown(self.ordered_kw)
        self.accepted_kw = grown(self.accepted_kw)
        self.deviations = grown(self.deviations)
        self._free = [*range(old + more - 1, old - 1, -1), *self._free]

    def _release(self, rows: list[int]) -> None:
        from pendel.control.slot_kernels import clear_rows

        clear_rows(np.array(rows, dtype=np.int64), self.site, self.schedule_kw, self.cars_kw)
        self._free.extend(rows)

    def clear_column(self, step: int) -> None:
        """Forget the step that has passed: its column will hold a coming one."""
        column = step % self.ring
        self.schedule_kw[:, column] = 0.0
        self.cars_kw[:, column] = 0.0

    def put(self, positions: IntArray, power_kw: FloatArray, begin: int) -> None:
        """Schedules [M, K] of units from absolute step `begin` on, replacing what was planned;
        their energies are not known."""
        rows = self.row[positions]
        np.subtract.at(self.cars_kw, self.site[rows], self.schedule_kw[rows])
        self.schedule_kw[rows] = 0.0
        columns = (begin + np.arange(power_kw.shape[1])) % self.ring
        self.schedule_kw[rows[:, None], columns] = power_kw
        np.add.at(self.cars_kw, self.site[rows], self.schedule_kw[rows])
        self.energy_kwh[rows] = np.nan
        self.planned_at[rows] = begin

    def put_floors(self, positions: IntArray, floor_kwh: FloatArray, begin: int) -> None:
        """Floors [M, K] of units from absolute step `begin` on."""
        from pendel.control.slot_kernels import write_rows

        write_rows(self.row[positions], begin, floor_kwh, self.floor_kwh)

    def put_energies(self, positions: IntArray, energy_kwh: FloatArray, begin: int) -> None:
        """Planned energies at the end of each step [M, K] from absolute step `begin` on."""
        columns = (begin + np.arange(energy_kwh.shape[1])) % self.ring
        self.energy_kwh[self.row[positions][:, None], columns] = energy_kwh

    def watch(self, state: FleetState) -> IntArray:
        """Compare fresh readings with the last orders; returns positions [M] of units that do not
        follow since now.

        A car that takes less than ordered, and is not full, is believed: until it takes more,
        plans count on what it took (`accepted_kw` [capacity]), relaxed by a tenth with every
        reading that follows.
        deviations [capacity] counts how often in a row it did not follow.
        """
        from pendel.control.slot_kernels import watch_rows

        rows, off = self.row, np.zeros(len(state), dtype=np.bool_)
        room = state.energy_kwh < state.capacity_kwh - FULL_KWH
        watch_rows(
            rows, state.power_kw, state.reading_age_s, room, state.charge_max_kw, FOLLOWS_KW,
            LEAST_TAKEN, RELAXED, self.ordered_kw, self.accepted_kw, self.deviations, off,
        )  # fmt: skip
        fresh = np.flatnonzero(off)
        self.planned_at[rows[fresh]] = NEVER
        return fresh

    def follow(self, state: FleetState, step: int, left_h: float) -> tuple[FloatArray, FloatArray]:
        """(power, floor) [N] of the connected units in an absolute step: the planned power as far
        as its planned energy is not yet reached, over what is left of the step [h]."""
        from pendel.control.slot_kernels import follow_plans

        wish, floor = np.empty(len(self.row)), np.empty(len(self.row))
        follow_plans(
            self.row, step % self.ring, left_h, state.energy_kwh, state.charge_efficiency,
            state.discharge_efficiency, self.schedule_kw, self.energy_kwh, self.floor_kwh,
            wish, floor,
        )  # fmt: skip
        return wish, floor

    def due(self, energy_kwh: FloatArray, deviation_kwh: float, since: int, step: int) -> BoolArray:
        """Which units [N] have a plan from before absolute step `since`, or are off it by more
        than deviation_kwh now that `step` begins."""
        from pendel.control.slot_kernels import find_due

        due = np.empty(len(self.row), dtype=np.bool_)
        find_due(
            self.row, energy_kwh, (step - 1) % self.ring, self.energy_kwh, deviation_kwh,
            self.planned_at, since, due,
        )  # fmt: skip
        return due

    def forget_plans(self, names: Iterable[str]) -> int:
        """Units whose plan stands no more, by name; unknown ones are passed over. How many."""
        rows = [self._row_of[name] for name in names if name in self._row_of]
        self.planned_at[rows] = NEVER
        return len(rows)

    def aged(self, step: int, at_most: int) -> BoolArray:
        """Which units [N] have a plan older than at_most steps."""
        return self.planned_at[self.row] < step - at_most
