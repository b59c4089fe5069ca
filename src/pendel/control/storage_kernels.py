"""The exact programme of one storage with two slopes per step: charging and discharging.

The case of `unit_kernels` that comes up a million times, done in one scan per step: the least
cost from step t on is convex and piecewise linear, a list of (slope, length) over [low, high] in
the middle of an array, so that the segment of charging enters from the left and the one of
discharging from the right. Levels tell the forward pass up to which energy to charge and down to
which to discharge.
"""

import numpy as np

from pendel.control.unit_kernels import cut_list
from pendel.kernel import kernel
from pendel.units import FloatArray


@kernel
def storage_cost(
    charge: FloatArray,
    discharge: FloatArray,
    up: float,
    down: float,
    lo: FloatArray,
    hi: FloatArray,
    start: float,
    end_slope: float,
    least: float,
    short_eur: float,
    scratch: FloatArray,
    change: FloatArray,
) -> float:
    """Least cost of one storage over n steps, inf where the bounds cannot be kept.

    charge, discharge [n]: EUR per stored kWh taken in (>= discharge) and given out; up, down:
    most kWh of each in a step; lo, hi [n] bound the energy at the end of the step; end_slope: cost
    of a kWh at the end; least: below lo at the end down to here each kWh costs short_eur.
    change [n] receives the schedule [kWh]; scratch [4, 2 n + 8].
    """
    n = charge.shape[0]
    slopes, lengths, charge_to, discharge_to = scratch[0], scratch[1], scratch[2], scratch[3]
    begin = n + 2
    end = begin
    target = lo[n - 1]
    low, high = min(least, target), hi[n - 1]
    if low > high + 1e-9:
        return np.inf
    if low < target:
        slopes[end], lengths[end] = end_slope - short_eur, min(target, high) - low
        end += 1
    if high > target:
        slopes[end], lengths[end] = end_slope, high - target
        end += 1
    for t in range(n - 1, -1, -1):
        # Charging pays below the first level, discharging above the second.
        level, at, wanted = low, begin, -charge[t]
        while at < end and slopes[at] < wanted:
            level += lengths[at]
            at += 1
        charge_to[t] = level
        if up > 0.0:
            begin -= 1
            for i in range(begin, at - 1):
                slopes[i], lengths[i] = slopes[i + 1], lengths[i + 1]
            slopes[at - 1], lengths[at - 1] = wanted, up
        wanted = -discharge[t]
        while at < end and slopes[at] <= wanted:
            level += lengths[at]
            at += 1
        discharge_to[t] = level
        if down > 0.0:
            for i in range(end, at, -1):
                slopes[i], lengths[i] = slopes[i - 1], lengths[i - 1]
            slopes[at], lengths[at] = wanted, down
            end += 1
        low, high = low - up, high + down
        floor, roof = (lo[t - 1], hi[t - 1]) if t > 0 else (start, start)
        if floor > high + 1e-9 or roof < low - 1e-9:
            return np.inf
        begin, end, low, high = cut_list(slopes, lengths, begin, end, low, high, floor, roof)
    return follow_levels(
        charge, discharge, up, down, lo, hi, start, end_slope, least, short_eur, charge_to,
        discharge_to, change,
    )  # fmt: skip


@kernel
def follow_levels(
    charge: FloatArray,
    discharge: FloatArray,
    up: float,
    down: float,
    lo: FloatArray,
    hi: FloatArray,
    start: float,
    end_slope: float,
    least: float,
    short_eur: float,
    charge_to: FloatArray,
    discharge_to: FloatArray,
    change: FloatArray,
) -> float:
    """Cost of charging up to and discharging down to the levels [n]; fills change."""
    cost, energy = 0.0, start
    last = charge.shape[0] - 1
    for t in range(charge.shape[0]):
        bottom = min(least, lo[t]) if t == last else lo[t]
        floor, roof = max(charge_to[t], bottom), min(discharge_to[t], hi[t])
        if energy < floor:
            step = min(floor - energy, up)
            cost += charge[t] * step
        elif energy > roof:
            step = -min(energy - roof, down)
            cost += discharge[t] * step
        else:
            step = 0.0
        change[t] = step
        energy += step
    missing: float = max(lo[last] - energy, 0.0)
    return cost + end_slope * energy + short_eur * missing


@kernel
def solve_storages(
    charge: FloatArray,
    discharge: FloatArray,
    up: FloatArray,
    down: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    start: FloatArray,
    end_slope: FloatArray,
    change: FloatArray,
    cost: FloatArray,
) -> None:
    """`storage_cost` of many storages: rows of charge, discharge, lo, hi, change [N, n]."""
    scratch = np.empty((4, 2 * charge.shape[1] + 8))
    for u in range(charge.shape[0]):
        cost[u] = storage_cost(
            charge[u],
            discharge[u],
            up[u],
            down[u],
            lo[u],
            hi[u],
            start[u],
            end_slope[u],
            lo[u, lo.shape[1] - 1],
            0.0,
            scratch,
            change[u],
        )
