"""What the controller remembers of each connected unit: its schedule, its floors, its obedience.

Slots are rows of ring buffers over absolute steps (step t in column t % ring), so that nothing is
copied as time goes by; a unit keeps its slot from plug to unplug.
"""

import numpy as np

from pendel.control.state import FleetState
from pendel.scenario.columns import StrArray
from pendel.units import BoolArray, FloatArray, IntArray

NEVER = -(2**40)


class Slots:
    """Rows of memory [capacity], grown by doubling; `row` [N] are those of the connected units.

    schedule_kw, energy_kwh, floor_kwh [capacity, ring]: planned power, planned energy at the end
    of a step, energy the promise needs then (NaN = none); planned_at: absolute step of the last
    plan; site; cars_kw [S, ring]: planned power of all units of a site.
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
        self._row_of: dict[str, int] = {}
        self._free: list[int] = []

    def match(self, state: FleetState) -> IntArray:
        """Give every unit of the state its row; returns positions [M] of units never seen.

        Rows of units that are gone are cleared and used again.
        """
        if state.unit_id is self._ids:
            return np.zeros(0, dtype=np.int64)
        ids = state.unit_id.tolist()
        known = self._row_of
        rows = [known.get(unit, -1) for unit in ids]
        new = [position for position, row in enumerate(rows) if row < 0]
        if len(known) != len(ids) - len(new):
            gone = set(known)
            gone.difference_update(ids)
            self._release([known.pop(unit) for unit in gone])
        for position in new:
            row = self._take()
            known[ids[position]] = row
            rows[position] = row
        self.row = np.array(rows, dtype=np.int64)
        self._ids = state.unit_id
        fresh = np.array(new, dtype=np.int64)
        if len(fresh):
            self._begin(self.row[fresh], state, fresh)
        return fresh

    def _begin(self, rows: IntArray, state: FleetState, positions: IntArray) -> None:
        self.site[rows] = state.site[positions]
        self.planned_at[rows] = NEVER
        self.floor_kwh[rows] = np.nan
        self.ordered_kw[rows] = np.nan
        self.accepted_kw[rows] = np.inf
        self.deviations[rows] = 0

    def _take(self) -> int:
        if not self._free:
            self._grow()
        return self._free.pop()

    def _grow(self) -> None:
        old = len(self.site)
        more = max(old, 64)

        def grown(array: np.ndarray) -> np.ndarray:
            return np.concatenate([array, np.zeros((more, *array.shape[1:]), dtype=array.dtype)])

        self.schedule_kw = grown(self.schedule_kw)
        self.energy_kwh = grown(self.energy_kwh)
        self.floor_kwh = grown(self.floor_kwh)
        self.planned_at = grown(self.planned_at)
        self.site = grown(self.site)
        self.ordered_kw = grown(self.ordered_kw)
        self.accepted_kw = grown(self.accepted_kw)
        self.deviations = grown(self.deviations)
        self._free.extend(range(old + more - 1, old - 1, -1))

    def _release(self, rows: list[int]) -> None:
        gone = np.array(rows, dtype=np.int64)
        np.subtract.at(self.cars_kw, self.site[gone], self.schedule_kw[gone])
        self.schedule_kw[gone] = 0.0
        self._free.extend(rows)

    def clear_column(self, step: int) -> None:
        """Forget the step that has passed: its column will hold a coming one."""
        column = step % self.ring
        self.schedule_kw[:, column] = 0.0
        self.cars_kw[:, column] = 0.0

    def put(self, positions: IntArray, power_kw: FloatArray, begin: int) -> None:
        """Schedules [M, K] of units from absolute step `begin` on, replacing what was planned."""
        rows = self.row[positions]
        np.subtract.at(self.cars_kw, self.site[rows], self.schedule_kw[rows])
        self.schedule_kw[rows] = 0.0
        columns = (begin + np.arange(power_kw.shape[1])) % self.ring
        self.schedule_kw[rows[:, None], columns] = power_kw
        np.add.at(self.cars_kw, self.site[rows], self.schedule_kw[rows])
        self.planned_at[rows] = begin

    def put_floors(self, positions: IntArray, floor_kwh: FloatArray, begin: int) -> None:
        """Floors [M, K] of units from absolute step `begin` on."""
        columns = (begin + np.arange(floor_kwh.shape[1])) % self.ring
        self.floor_kwh[self.row[positions][:, None], columns] = floor_kwh

    def put_energies(self, positions: IntArray, energy_kwh: FloatArray, begin: int) -> None:
        """Planned energies at the end of each step [M, K] from absolute step `begin` on."""
        columns = (begin + np.arange(energy_kwh.shape[1])) % self.ring
        self.energy_kwh[self.row[positions][:, None], columns] = energy_kwh

    def at(self, step: int) -> tuple[FloatArray, FloatArray]:
        """(planned power, floor) [N] of the connected units in an absolute step."""
        column = step % self.ring
        return self.schedule_kw[self.row, column], self.floor_kwh[self.row, column]

    def aged(self, step: int, at_most: int) -> BoolArray:
        """Which units [N] have a plan older than at_most steps."""
        return self.planned_at[self.row] < step - at_most
