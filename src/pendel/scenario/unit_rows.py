"""Values of units in steps, kept only where there can be some: of each unit, the steps of a window.

A day of a million cars has 85 million places for a power and 40 million where a car is plugged in.
"""

from dataclasses import dataclass

import numpy as np

from pendel.scenario.columns import Scenario
from pendel.units import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Windows:
    """Where the steps of N units lie: unit i has first[i] <= t < first[i] + offset[i + 1] -
    offset[i], at offset[i] and on; W in all. first [N]; offset [N + 1]."""

    first: IntArray
    offset: IntArray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def pairs(self) -> int:
        """Number W of units' steps."""
        return int(self.offset[-1])

    def places(self, unit: IntArray, step: IntArray) -> IntArray:
        """Where each unit (>= 0) and step [n] lies; -1 outside the unit's window."""
        since = step - self.first[unit]
        begin = self.offset[unit]
        inside = (since >= 0) & (begin + since < self.offset[unit + 1])
        return np.where(inside, begin + since, -1)

    def dense(self, values: FloatArray, steps: int, elsewhere: float) -> FloatArray:
        """Values [W] as a table [N, steps], with `elsewhere` outside the windows."""
        table = np.full((len(self), steps), elsewhere)
        length = np.diff(self.offset)
        unit = np.repeat(np.arange(len(self)), length)
        step = np.arange(self.pairs) - np.repeat(self.offset[:-1] - self.first, length)
        table[unit, step] = values
        return table


@dataclass(frozen=True, slots=True)
class UnitRows:
    """A plan's rows of units: power_kw [W] (AC, signed), energy_kwh [W] at the end of each step
    (NaN where nothing is stated). outside_kw: the largest amount of power outside the windows."""

    windows: Windows
    power_kw: FloatArray
    energy_kwh: FloatArray
    outside_kw: float = 0.0


def whole_windows(units: int, steps: int) -> Windows:
    """Windows over all steps: values [W] are then a table [units, steps], row after row."""
    first = np.zeros(units, dtype=np.int64)
    return Windows(first, steps * np.arange(units + 1, dtype=np.int64))


def connected_windows(scenario: Scenario) -> Windows:
    """The steps in which sessions, then storages are connected."""
    sessions, steps, count = scenario.sessions, scenario.horizon.steps, len(scenario.storages)
    first = np.clip(sessions.arrive_step, 0, steps)
    length = np.maximum(np.clip(sessions.depart_step, 0, steps) - first, 0)
    lengths = np.concatenate([length, np.full(count, steps, dtype=np.int64)])
    return Windows(
        np.concatenate([first, np.zeros(count, dtype=np.int64)]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )
