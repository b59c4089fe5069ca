"""Readable twin of the one-unit programme: backward over a list, and a HiGHS model of its own."""

import highspy
import numpy as np


def twin_cost(
    charge: list[float],
    discharge: list[float],
    up: float,
    down: float,
    lo: list[float],
    hi: list[float],
    start: float,
    worth: float,
) -> float:
    """Least cost at `start` by evaluating V as a sorted list of (slope, length); inf if none."""
    low, pieces = lo[-1], [(-worth, hi[-1] - lo[-1])]
    offset = -worth * lo[-1]  # V at the low end
    for t in range(len(charge) - 1, -1, -1):
        pieces = sorted([*pieces, (-charge[t], up), (-discharge[t], down)])
        offset += charge[t] * up
        low -= up
        floor, roof = (lo[t - 1], hi[t - 1]) if t else (start, start)
        high = low + sum(length for _, length in pieces)
        if floor > high + 1e-9 or roof < low - 1e-9:
            return float("inf")
        kept, at = [], low
        for slope, length in pieces:
            a, b = max(at, floor), min(at + length, roof)
            if at < floor:
                offset += slope * (min(at + length, floor) - at)
            if b > a:
                kept.append((slope, b - a))
            at += length
        low, pieces = max(low, floor), kept
    return offset


def highs_cost(
    charge: list[float],
    discharge: list[float],
    up: float,
    down: float,
    lo: list[float],
    hi: list[float],
    start: float,
    worth: float,
) -> float:
    """The same as a linear programme."""
    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    n = len(charge)
    for t in range(n):
        h.addCol(charge[t], 0.0, up, 0, np.empty(0, np.int32), np.empty(0))
        h.addCol(-discharge[t], 0.0, down, 0, np.empty(0, np.int32), np.empty(0))
        worth_here = -worth if t == n - 1 else 0.0
        h.addCol(worth_here, lo[t], hi[t], 0, np.empty(0, np.int32), np.empty(0))
    for t in range(n):
        columns, values = [3 * t, 3 * t + 1, 3 * t + 2], [-1.0, 1.0, 1.0]
        if t:
            columns.append(3 * t - 1)
            values.append(-1.0)
        due = 0.0 if t else start
        h.addRow(due, due, len(columns), np.array(columns, np.int32), np.array(values))
    h.run()
    if h.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return float("inf")
    return float(h.getInfo().objective_function_value)
