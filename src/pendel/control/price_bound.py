"""The dual bound at given prices: every unit's exact programme plus the best of everything else.

Tighter than the box bound of the interior method, and the one that still holds when charging and
discharging exclude each other: the units answer with their true convex cost (a chord where
burning energy would pay).
"""

import numpy as np

from pendel.control import newton_kernels as newton
from pendel.control.arrow import Arrow
from pendel.control.unit_kernels import solve_units
from pendel.units import FloatArray


def price_bound_eur(arrow: Arrow, y: FloatArray, aty: FloatArray, scale: float) -> float:
    """Proven lower bound [EUR] for any multipliers y [rows] (scaled by 1/scale), aty = A'y.

    Returns -inf where a unit has no schedule of its own (the problem is then infeasible).
    """
    pairs, units = arrow.pairs, len(arrow.gain)
    rest = slice(3 * pairs, None)
    cost = arrow.cost / scale
    total = newton.product(arrow.due[pairs:], y[pairs:])
    total += newton.box_bound(cost[rest], aty[rest], arrow.lo[rest], arrow.hi[rest])
    total += _units_eur(arrow, y, cost) if units else 0.0
    return scale * total + arrow.constant_eur


def _units_eur(arrow: Arrow, y: FloatArray, cost: FloatArray) -> float:
    """Sum of the units' exact programmes at the site prices in y (scaled)."""
    pairs, lengths = arrow.pairs, np.diff(arrow.offset)
    unit = np.repeat(np.arange(len(lengths)), lengths)
    site = np.repeat(np.arange(len(arrow.node_of)), np.diff(arrow.site_begin))
    step = np.arange(pairs) - arrow.offset[unit] + arrow.unit_step[unit]
    price = y[pairs + site[unit] * arrow.steps + step]
    gain, loss = arrow.gain[unit], arrow.loss[unit]
    charge = (cost[:pairs] + price) / gain
    discharge = (price - cost[pairs : 2 * pairs]) / loss
    up, down = gain * arrow.hi[:pairs], loss * arrow.hi[pairs : 2 * pairs]
    chord = (charge * up + discharge * down) / np.maximum(up + down, 1e-300)
    pays = charge < discharge
    slope = np.stack([np.where(pays, chord, discharge), np.where(pays, chord, charge)])
    energy = slice(2 * pairs, 3 * pairs)
    last = arrow.offset[1:] - 1
    zero, change, found = np.zeros(len(lengths)), np.zeros(pairs), np.zeros(len(lengths))
    solve_units(
        arrow.offset,
        slope,
        np.stack([down, up]),
        -down,
        -discharge * down,
        arrow.lo[energy].copy(),
        arrow.hi[energy].copy(),
        arrow.due[arrow.offset[:-1]],
        cost[energy][last],
        zero,
        zero,
        change,
        found,
    )
    return -np.inf if np.isinf(found).any() else float(found.sum())
