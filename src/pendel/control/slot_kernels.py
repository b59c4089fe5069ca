"""Kernels of the controller's memory: rows of ring buffers, read and written unit by unit.

Twins: tests/control/test_slot_kernels.py.
"""

import numpy as np

from pendel.kernel import kernel
from pendel.units import BoolArray, FloatArray, IntArray


@kernel
def keep_order(last: IntArray, keys: IntArray, stays: BoolArray) -> int:
    """Mark in stays [L] which of `last` [L] come again, in that order, at the head of `keys` [M].

    Returns how many. Both hold every key once; a key out of order ends the search."""
    count = 0
    for i in range(len(last)):
        stays[i] = count < len(keys) and last[i] == keys[count]
        if stays[i]:
            count += 1
    return count


@kernel
def clear_rows(rows: IntArray, site: IntArray, schedule: FloatArray, cars: FloatArray) -> None:
    """Take the schedules [capacity, ring] of some rows [M] off the sums of their sites [S, ring]
    (site [capacity]) and clear them."""
    for row in rows:
        s = site[row]
        for column in range(schedule.shape[1]):
            cars[s, column] -= schedule[row, column]
            schedule[row, column] = 0.0


@kernel
def write_rows(rows: IntArray, begin: int, values: FloatArray, ring: FloatArray) -> None:
    """Values [M, K] into rows [M] of a ring [capacity, ring], from absolute step `begin` on."""
    for m in range(len(rows)):
        row, column = rows[m], begin % ring.shape[1]
        for k in range(values.shape[1]):
            ring[row, column] = values[m, k]
            column = column + 1 if column + 1 < ring.shape[1] else 0


@kernel
def follow_plans(
    rows: IntArray,
    column: int,
    left_h: float,
    energy_kwh: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    schedule_kw: FloatArray,
    planned_kwh: FloatArray,
    floor_kwh: FloatArray,
    wish_kw: FloatArray,
    due_kwh: FloatArray,
) -> None:
    """Planned power and floor of one column of some rows [M], into wish_kw, due_kwh [M].

    The power ends where the planned energy is reached: a unit that is ahead of its plan wishes for
    less, over the left_h hours of the step that are left. Without a planned energy (NaN) the
    power stands.
    """
    for m in range(len(rows)):
        row = rows[m]
        power, missing = schedule_kw[row, column], planned_kwh[row, column] - energy_kwh[m]
        if power > 0.0 and missing < power * charge_efficiency[m] * left_h:
            power = max(missing, 0.0) / (charge_efficiency[m] * left_h)
        elif power < 0.0 and missing > power * left_h / discharge_efficiency[m]:
            power = min(missing, 0.0) * discharge_efficiency[m] / left_h
        wish_kw[m] = power
        due_kwh[m] = floor_kwh[row, column]


@kernel
def find_due(
    rows: IntArray, energy_kwh: FloatArray, column: int, planned_kwh: FloatArray,
    deviation_kwh: float, planned_at: IntArray, since: int, due: BoolArray,
) -> None:  # fmt: skip
    """Which units [N] have energies off the planned ones (ring, column) by more than the deviation,
    or a plan from before step `since`, into due [N]."""
    for n in range(len(rows)):
        near = abs(energy_kwh[n] - planned_kwh[rows[n], column]) <= deviation_kwh  # not if NaN
        due[n] = not near or planned_at[rows[n]] < since


@kernel
def watch_rows(
    rows: IntArray,
    power_kw: FloatArray,
    reading_age_s: FloatArray,
    has_room: BoolArray,
    charge_max_kw: FloatArray,
    follows_kw: float,
    least_taken: float,
    relaxed: float,
    ordered_kw: FloatArray,
    accepted_kw: FloatArray,
    deviations: IntArray,
    fresh: BoolArray,
) -> None:
    """Compare fresh readings with the last orders, see `Slots.watch`.

    Readings [N] of the units in rows [N]; ordered_kw, accepted_kw, deviations [capacity];
    fresh [N]: not followed now, but before.
    """
    for n in range(len(rows)):
        row = rows[n]
        ordered = ordered_kw[row]
        fresh[n] = False
        if not np.isfinite(ordered) or reading_age_s[n] > 0.0:
            continue
        if abs(power_kw[n] - ordered) > follows_kw:
            fresh[n] = deviations[row] == 0
            deviations[row] += 1
            if has_room[n] and ordered > 0.0 and power_kw[n] < ordered:
                accepted_kw[row] = max(power_kw[n], least_taken * charge_max_kw[n])
        else:
            deviations[row] = 0
            accepted_kw[row] *= relaxed
