"""Kernels that find a first point of the interior method: every row nearly kept, inside all bounds.

Each unit moves evenly from its start towards a middle energy at its end; sites and nodes follow
from that; multipliers are least-squares ones (after Mehrotra). Layout: `phase_kernels`.
"""

import numpy as np

from pendel.control.barrier_kernels import start_multipliers, start_weights, weighted
from pendel.control.block_kernels import answer_node, expand_block, factor_block, transpose_block
from pendel.control.elastic_kernels import block_begin, block_columns, joined_weights
from pendel.control.phase_kernels import add_net, grown, reduce_site
from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

INNER = 0.05
COST, LO, HI, V, ZL, ZU, WEIGHT, REDUCED, AFFINE, CHANGE = range(10)
DUE, PRICE, MISS, ANSWER = range(4)


@kernel
def inside(value: float, lo: float, hi: float, share: float) -> float:
    """The value kept at least `share` of the width away from both bounds."""
    margin = share * (hi - lo)
    return min(max(value, lo + margin), hi - margin)


@kernel
def even_units(
    offset: IntArray, first: IntArray, gain: FloatArray, loss: FloatArray, start: FloatArray,
    lo: FloatArray, hi: FloatArray, v: FloatArray, net: FloatArray,
) -> None:  # fmt: skip
    """Fill charge, discharge and energy of a site's units [3 n]; add their power to net [T].

    start [n] holds the energy at the begin of a unit's window in the place of its first pair.
    """
    begin = offset[0]
    n = offset[offset.shape[0] - 1] - begin
    for u in range(gain.shape[0]):
        a, b = offset[u] - begin, offset[u + 1] - begin
        most, least = gain[u] * hi[a], loss[u] * hi[n + a]
        end = 2 * n + b - 1
        goal = lo[end] + 0.3 * (hi[end] - lo[end])
        energy, reached = start[a], start[a]
        step = (goal - energy) / (b - a)
        for j in range(a, b):
            d = inside(0.0, 0.0, hi[n + j], INNER)
            c = inside(0.0, 0.0, hi[j], INNER)
            if step >= 0.0 and most > 0.0:
                c = inside((step + loss[u] * d) / gain[u], 0.0, hi[j], INNER)
            elif step < 0.0 and least > 0.0:
                d = inside((gain[u] * c - step) / loss[u], 0.0, hi[n + j], INNER)
            energy += gain[u] * c - loss[u] * d
            reached = energy
            energy = inside(energy, lo[2 * n + j], hi[2 * n + j], INNER)
            v[j], v[n + j], v[2 * n + j] = c, d, energy
            net[first[u] + j - a] += c - d
        if v.shape[0] > 3 * n + 5 * net.shape[0] + 1:
            k = 3 * n + 5 * net.shape[0] + 1 + u
            v[k] = inside(max(energy - reached, 0.0), lo[k], hi[k], INNER)


@kernel
def even_grid(
    steps: int, base: FloatArray, lo: FloatArray, hi: FloatArray, v: FloatArray, net: FloatArray
) -> None:
    """Fill m, x, k, sigma and P [4 T + 1] of a site, and the excess u [T] of an elastic one; base
    [T] its load, net [T] its units."""
    peak, beside = 0.0, 4 * steps + 1
    for t in range(steps):
        k = 2 * steps + t
        v[k] = inside(0.0, lo[k], hi[k], 0.02)
        total = base[t] + v[k] + net[t]
        extra = 0.05 * abs(total) + 0.1
        v[t] = inside(max(total, 0.0) + extra, lo[t], hi[t], INNER)
        taken = v[t]
        if v.shape[0] > beside:
            u = beside + t
            v[u] = inside(max(total, 0.0) + extra - v[t], lo[u], hi[u], 0.02)
            taken += v[u]
        v[steps + t] = inside(taken - total, lo[steps + t], hi[steps + t], INNER)
        peak = max(peak, taken)
    p = 4 * steps
    v[p] = inside(1.1 * peak + 0.5, lo[p], hi[p], INNER)
    for t in range(steps):
        i = 3 * steps + t
        taken = v[t] + v[beside + t] if v.shape[0] > beside else v[t]
        v[i] = inside(v[p] - taken, lo[i], hi[i], 0.005)


@kernel
def start_sites(
    s0: int, s1: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, has_demand: IntArray, node_of: IntArray, end: IntArray,
    X: FloatArray, Y: FloatArray, DL: FloatArray, H: FloatArray, N: FloatArray,
    spread: FloatArray, flow: FloatArray, pull: FloatArray, S: FloatArray,
) -> bool:  # fmt: skip
    """First v of all sites; eliminate for least-squares multipliers (see `open_sites`)."""
    P = np.zeros((steps, steps))
    net, scratch = np.empty(steps), np.empty(0)
    places = H.shape[0]
    for s in range(s0, s1):
        u0, u1 = site_begin[s], site_begin[s + 1]
        a, b = offset[u0], offset[u1]
        n = b - a
        c0, r0 = block_begin(a, u0, s, steps, has_demand[s]), a + 2 * s * steps
        c1 = c0 + block_columns(n, u1 - u0, steps, has_demand[s])
        r1, demand = r0 + n + 2 * steps, has_demand[s] & 1
        own, start = offset[u0 : u1 + 1], first[u0:u1]
        gain, loss = rates[0, u0:u1], rates[1, u0:u1]
        f = node_of[s]
        net[:] = 0.0
        even_units(
            own, start, gain, loss, Y[DUE, r0:r1], X[LO, c0:c1], X[HI, c0:c1], X[V, c0:c1], net
        )
        even_grid(
            steps,
            Y[DUE, r0 + n : r0 + n + steps],
            X[LO, c0 + 3 * n : c1],
            X[HI, c0 + 3 * n : c1],
            X[V, c0 + 3 * n : c1],
            net,
        )
        start_weights(X[LO, c0:c1], X[HI, c0:c1], X[V, c0:c1], X[WEIGHT, c0:c1])
        w = X[WEIGHT, c0:c1]
        if has_demand[s] > 1:
            scratch = grown(scratch, c1 - c0)
            joined_weights(steps, own, w, scratch)
            w = scratch[: 3 * n + 4 * steps + 1]
        spread[s] = factor_block(
            steps, own, start, gain, loss, demand, end[s], w, DL[0, a:b],
            DL[1, a:b], H[s % places], N[s, 0], N[s, 1],
        )  # fmt: skip
        if spread[s] < 0.0:
            return False
        if f < S.shape[0]:
            answer_node(H[s % places], end[s], N[s, 0], N[s, 1], spread[s], P, S[f])
        add_net(steps, X[V, c0 + 3 * n : c1], 1.0, flow[f])
        Y[MISS, r0:r1] = 0.0
        weighted(X[WEIGHT, c0:c1], X[COST, c0:c1], X[CHANGE, c0:c1])
        reduce_site(
            steps, own, start, gain, loss, demand, end[s], w,
            X[CHANGE, c0:c1], Y[MISS, r0:r1], DL[0, a:b], DL[1, a:b], H[s % places], N[s],
            spread[s], Y[ANSWER, r0:r1], pull[f],
        )  # fmt: skip
    return True


@kernel
def price_sites(
    s0: int, s1: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, has_demand: IntArray, node_of: IntArray, end: IntArray,
    X: FloatArray, Y: FloatArray, DL: FloatArray, H: FloatArray, N: FloatArray,
    spread: FloatArray, above: FloatArray, central: float,
) -> None:  # fmt: skip
    """Multipliers of all sites' rows and bounds at the nodes' prices [F + 1, T]."""
    places, scratch = H.shape[0], np.empty(0)
    for s in range(s0, s1):
        u0, u1 = site_begin[s], site_begin[s + 1]
        a, b = offset[u0], offset[u1]
        c0, r0 = block_begin(a, u0, s, steps, has_demand[s]), a + 2 * s * steps
        c1 = c0 + block_columns(b - a, u1 - u0, steps, has_demand[s])
        r1, demand = r0 + b - a + 2 * steps, has_demand[s] & 1
        own, start = offset[u0 : u1 + 1], first[u0:u1]
        gain, loss = rates[0, u0:u1], rates[1, u0:u1]
        f = node_of[s]
        w = X[WEIGHT, c0:c1]
        if has_demand[s] > 1:
            scratch = grown(scratch, c1 - c0)
            joined_weights(steps, own, w, scratch)
            w = scratch[: 3 * (b - a) + 4 * steps + 1]
        expand_block(
            steps, own, start, gain, loss, demand, end[s], w, DL[0, a:b],
            DL[1, a:b], H[s % places], N[s, 0], N[s, 1], spread[s], above[f], Y[ANSWER, r0:r1],
        )  # fmt: skip
        Y[PRICE, r0:r1] = Y[ANSWER, r0:r1]
        transpose_block(steps, own, start, gain, loss, Y[PRICE, r0:r1], above[f], X[CHANGE, c0:c1])
        start_multipliers(
            X[COST, c0:c1],
            X[CHANGE, c0:c1],
            X[LO, c0:c1],
            X[HI, c0:c1],
            central,
            X[V, c0:c1],
            X[ZL, c0:c1],
            X[ZU, c0:c1],
        )
