"""Kernel of the dual bound: the exact programmes of all units of a range of sites at prices."""

import numpy as np

from pendel.control.barrier_kernels import box_bound
from pendel.control.block_kernels import transpose_block
from pendel.control.elastic_kernels import block_begin, block_columns
from pendel.control.storage_kernels import storage_cost
from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def bound_unit(
    gain: float, loss: float, start: float, cost: FloatArray, lo: FloatArray, hi: FloatArray,
    price: FloatArray, least: float, short_eur: float, scratch: FloatArray,
) -> float:  # fmt: skip
    """Least cost of a unit at site prices [n]; cost, lo, hi [3, n] of c, d and e; least: of the
    energy at the end, where a kWh below its lo costs short_eur."""
    n = price.shape[0]
    charge, discharge, change = scratch[4, :n], scratch[5, :n], scratch[6, :n]
    up, down = gain * hi[0, 0], loss * hi[1, 0]
    total = 0.0
    for j in range(n):
        charge[j] = (cost[0, j] + price[j]) / gain
        discharge[j] = (price[j] - cost[1, j]) / loss
        if charge[j] < discharge[j]:
            # Burning energy would pay: one chord, the relaxation that shares the step.
            chord = (charge[j] * up + discharge[j] * down) / max(up + down, 1e-300)
            total += (chord - discharge[j]) * down
            charge[j], discharge[j] = chord, chord
    return total + storage_cost(
        charge, discharge, up, down, lo[2], hi[2], start, cost[2, n - 1], least, short_eur,
        scratch, change,
    )  # fmt: skip


@kernel
def bound_sites(
    s0: int, s1: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, kind: IntArray, node_of: IntArray, cost: FloatArray, lo: FloatArray,
    hi: FloatArray, due: FloatArray, y: FloatArray, above: FloatArray, each: FloatArray,
) -> float:  # fmt: skip
    """Sum over sites of the least cost at prices y [rows] and above [F + 2, T]; each [sites].

    Layout of columns and rows: `phase_kernels`. inf - and so the sum - where a unit has no
    schedule; callers turn that into no bound.
    """
    in_all = 0.0
    scratch = np.empty((7, 2 * steps + 8))
    column = np.empty((3, 3, steps))
    aty = np.empty(0)
    for s in range(s0, s1):
        total = 0.0
        u0, u1 = site_begin[s], site_begin[s + 1]
        a, b = offset[u0], offset[u1]
        n = b - a
        c0, r0 = block_begin(a, u0, s, steps, kind[s]), a + 2 * s * steps
        c1 = c0 + block_columns(n, u1 - u0, steps, kind[s])
        if aty.shape[0] < c1 - c0:
            aty = np.empty(2 * (c1 - c0))
        own = y[r0 : r0 + n + 2 * steps]
        transpose_block(
            steps, offset[u0 : u1 + 1], first[u0:u1], rates[0, u0:u1], rates[1, u0:u1], own,
            above[node_of[s]], aty[: c1 - c0],
        )  # fmt: skip
        grid, short = c0 + 3 * n, c1 - (kind[s] >> 1) * (u1 - u0)
        total += box_bound(
            cost[grid:short], aty[3 * n : short - c0], lo[grid:short], hi[grid:short]
        )
        for i in range(n, n + 2 * steps):
            total += due[r0 + i] * own[i]
        for u in range(u0, u1):
            p, q = offset[u] - a, offset[u + 1] - a
            for k in range(3):
                at = c0 + k * n
                column[0, k, : q - p] = cost[at + p : at + q]
                column[1, k, : q - p] = lo[at + p : at + q]
                column[2, k, : q - p] = hi[at + p : at + q]
            price = own[n + first[u] : n + first[u] + q - p]
            least, short_eur = lo[c0 + 2 * n + q - 1], 0.0
            if kind[s] > 1:
                least -= hi[short + u - u0]
                # The worth of what is stored counts from the target on.
                short_eur = cost[short + u - u0] + cost[c0 + 2 * n + q - 1]
            total += bound_unit(
                rates[0, u], rates[1, u], due[r0 + p], column[0, :, : q - p],
                column[1, :, : q - p], column[2, :, : q - p], price, least, short_eur, scratch,
            )  # fmt: skip
        each[s] = total
        in_all += total
    return in_all
