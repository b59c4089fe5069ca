"""The exact programme of one unit at given prices: dynamic programming on convex functions.

The least cost from step t on, V_t(e), is convex and piecewise linear: a list of (slope, length)
over [low, high]. One step is an infimal convolution with the cost of changing the stored energy,
that is, its segments are inserted at their sorted place; the list is then cut to the bounds.
Sources: Cruise, Flatley, Gibbens, Zachary, arXiv 1406.3653; Xu et al., arXiv 1910.09149.
"""

import numpy as np

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def insert_segment(
    slopes: FloatArray, lengths: FloatArray, begin: int, end: int, slope: float, length: float
) -> None:
    """Insert (slope, length) after all smaller slopes of the list [begin, end).

    Arrays need one free place at `end`.
    """
    at = end
    while at > begin and slopes[at - 1] >= slope:
        slopes[at] = slopes[at - 1]
        lengths[at] = lengths[at - 1]
        at -= 1
    slopes[at] = slope
    lengths[at] = length


@kernel
def cut_list(
    slopes: FloatArray,
    lengths: FloatArray,
    begin: int,
    end: int,
    low: float,
    high: float,
    floor: float,
    roof: float,
) -> tuple[int, int, float, float]:
    """Cut the list over [low, high] to [floor, roof]; returns begin, end, low, high."""
    while begin < end and low < floor:
        span = min(lengths[begin], floor - low)
        lengths[begin] -= span
        low += span
        if lengths[begin] > 0.0:
            low = floor
        else:
            begin += 1
    while end > begin and high > roof:
        span = min(lengths[end - 1], high - roof)
        lengths[end - 1] -= span
        high -= span
        if lengths[end - 1] > 0.0:
            high = roof
        else:
            end -= 1
    if begin == end:
        low = min(max(low, floor), roof)
        high = low
    return begin, end, low, high


@kernel
def backward_unit(
    first: int,
    last: int,
    segment_slope: FloatArray,
    segment_length: FloatArray,
    lowest_change: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    start: float,
    end_slope: float,
    goal: float,
    goal_slope: float,
    level: FloatArray,
    slopes: FloatArray,
    lengths: FloatArray,
) -> bool:
    """Backward pass over rows first..last-1; False if no schedule keeps the bounds.

    segment_slope, segment_length [K, W]: cost per stored kWh and length of each segment of the
    change of energy, from lowest_change [W] upwards, slopes ascending. lo, hi [W] bound the
    energy at the end of the step. At the end a kWh costs end_slope, and goal_slope more below
    goal (a soft target). level [K, W]: use segment k only while the energy is below it.
    """
    segments = segment_slope.shape[0]
    middle = slopes.shape[0] // 2
    begin, end = middle, middle
    low, high = lo[last - 1], hi[last - 1]
    if low > high + 1e-9:
        return False
    split = min(max(goal, low), high)
    if split > low:
        slopes[end], lengths[end] = end_slope - goal_slope, split - low
        end += 1
    if high > split:
        slopes[end], lengths[end] = end_slope, high - split
        end += 1
    for row in range(last - 1, first - 1, -1):
        width = 0.0
        # All levels first: they refer to the value after the step, before any insertion.
        for k in range(segments):
            place = low
            for i in range(begin, end):
                if slopes[i] >= -segment_slope[k, row]:
                    break
                place += lengths[i]
            level[k, row] = place
            width += segment_length[k, row]
        for k in range(segments):
            if segment_length[k, row] > 0.0:
                insert_segment(
                    slopes, lengths, begin, end, -segment_slope[k, row], segment_length[k, row]
                )
                end += 1
        low -= lowest_change[row] + width
        high -= lowest_change[row]
        floor = lo[row - 1] if row > first else start
        roof = hi[row - 1] if row > first else start
        if floor > high + 1e-9 or roof < low - 1e-9:
            return False
        begin, end, low, high = cut_list(slopes, lengths, begin, end, low, high, floor, roof)
    return True


@kernel
def forward_unit(
    first: int,
    last: int,
    segment_slope: FloatArray,
    segment_length: FloatArray,
    lowest_change: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    level: FloatArray,
    start: float,
    change: FloatArray,
) -> float:
    """Best change of energy in each row; returns the cost of all steps, without the end value."""
    cost = 0.0
    energy = start
    for row in range(first, last):
        after = energy + lowest_change[row]
        for k in range(segment_slope.shape[0]):
            step = min(segment_length[k, row], max(level[k, row] - after, lo[row] - after, 0.0))
            step = min(step, max(hi[row] - after, 0.0))
            cost += segment_slope[k, row] * step
            after += step
        change[row] = after - energy
        energy = after
    return cost


@kernel
def solve_units(
    offset: IntArray,
    segment_slope: FloatArray,
    segment_length: FloatArray,
    lowest_change: FloatArray,
    lowest_cost: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    start: FloatArray,
    end_slope: FloatArray,
    goal: FloatArray,
    goal_slope: FloatArray,
    change: FloatArray,
    cost: FloatArray,
) -> None:
    """Best schedule of every unit at its own prices: change [W] kWh, cost [N] (inf: none).

    Rows of unit u: offset[u] .. offset[u + 1]. lowest_cost [W]: cost of lowest_change. The cost
    counts end_slope times the energy at the end and goal_slope per kWh below the goal.
    """
    segments, rows = segment_slope.shape
    longest = 1
    for u in range(offset.shape[0] - 1):
        longest = max(longest, offset[u + 1] - offset[u])
    level = np.empty((segments, rows))
    slopes = np.empty(4 * (segments * (longest + 1) + 4))
    lengths = np.empty(4 * (segments * (longest + 1) + 4))
    for u in range(offset.shape[0] - 1):
        first, last = offset[u], offset[u + 1]
        cost[u] = end_slope[u] * start[u] + goal_slope[u] * max(goal[u] - start[u], 0.0)
        if last == first:
            continue
        if not backward_unit(
            first,
            last,
            segment_slope,
            segment_length,
            lowest_change,
            lo,
            hi,
            start[u],
            end_slope[u],
            goal[u],
            goal_slope[u],
            level,
            slopes,
            lengths,
        ):
            cost[u] = np.inf
            continue
        total = forward_unit(
            first,
            last,
            segment_slope,
            segment_length,
            lowest_change,
            lo,
            hi,
            level,
            start[u],
            change,
        )
        energy = start[u]
        for row in range(first, last):
            total += lowest_cost[row]
            energy += change[row]
        cost[u] = total + end_slope[u] * energy + goal_slope[u] * max(goal[u] - energy, 0.0)
