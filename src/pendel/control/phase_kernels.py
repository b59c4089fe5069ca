"""Kernels of the interior point: its passes over a range of sites, and the nodes above them.

X [10, columns] and Y [4, rows] hold everything that changes, site block after site block, then
the nodes: columns g [F T], dev+, dev- [T each], excess [F T] where elastic; rows node [F T],
dev [T]. With W pairs before site s its block begins at column 3 W + s (4 T + 1), more where blocks
are elastic (bit 1 of has_demand, for all sites alike: `elastic_kernels`), and at row W + 2 s T.

One iteration: `open_sites` takes the last step, measures, factors and eliminates; the nodes
answer; `affine_sites` completes the affine step; `centre_sites` eliminates for the second step;
the nodes answer; `step_sites` completes it. Sites are independent inside each pass.
"""

import numpy as np

from pendel.control import block_kernels as block
from pendel.control.barrier_kernels import (
    advance_columns,
    affine_columns,
    centre_columns,
    open_columns,
    step_columns,
    weighted,
)
from pendel.control.elastic_kernels import block_begin, block_columns, joined_weights
from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

COST, LO, HI, V, ZL, ZU, WEIGHT, REDUCED, AFFINE, CHANGE = range(10)
DUE, PRICE, MISS, ANSWER = range(4)

transpose_block = block.transpose_block
multiply_block = block.multiply_block
factor_block = block.factor_block
answer_node = block.answer_node
reduce_block = block.reduce_block
expand_block = block.expand_block


@kernel
def add_net(steps: int, grid: FloatArray, sign: float, out: FloatArray) -> None:
    """out [T] += sign (m - x), excess of the import included; grid: a block's columns from m on."""
    for t in range(steps):
        out[t] += sign * (grid[t] - grid[steps + t])
    if grid.shape[0] > 4 * steps + 1:
        for t in range(steps):
            out[t] += sign * grid[4 * steps + 1 + t]


@kernel
def grown(array: FloatArray, size: int) -> FloatArray:
    """The array, or a new one where it is too small."""
    return array if array.shape[0] >= size else np.empty(2 * size)


@kernel
def open_sites(
    s0: int, s1: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, has_demand: IntArray, node_of: IntArray, end: IntArray,
    X: FloatArray, Y: FloatArray, DL: FloatArray, H: FloatArray, N: FloatArray,
    spread: FloatArray, above: FloatArray, step: FloatArray,
    flow: FloatArray, pull: FloatArray, S: FloatArray,
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """Take the last step, measure, factor and eliminate for the next step.

    step: aim, primal and dual length of the last step (0: none), and the aim of the next one,
    where that is a plain Newton step without an affine one before (0: the affine step is next).
    H [S, T, T] or fewer places that are used again (callers that finish a site at a time);
    above [F + 1, T] prices of the nodes (last: none); flow, pull [F + 1, T] and S [F + 1, T, T]
    receive net imports, what remains of the right-hand side, and answers to prices.
    Returns parts of the bound, the objective and complementarity, the worst row, 1 if factored.
    """
    bound, objective, total, worst = 0.0, 0.0, 0.0, 0.0
    P, scratch = np.zeros((steps, steps)), np.empty(0)
    places = H.shape[0]
    for s in range(s0, s1):
        u0, u1 = site_begin[s], site_begin[s + 1]
        a, b = offset[u0], offset[u1]
        c0, r0, n = block_begin(a, u0, s, steps, has_demand[s]), a + 2 * s * steps, b - a
        c1 = c0 + block_columns(n, u1 - u0, steps, has_demand[s])
        r1, demand = r0 + n + 2 * steps, has_demand[s] & 1
        own, start = offset[u0 : u1 + 1], first[u0:u1]
        gain, loss, f = rates[0, u0:u1], rates[1, u0:u1], node_of[s]
        if step[1] > 0.0:
            take_step(X, Y, c0, c1, r0, r1, step)
        transpose_block(steps, own, start, gain, loss, Y[PRICE, r0:r1], above[f], X[CHANGE, c0:c1])
        measured = open_columns(
            X[COST, c0:c1], X[CHANGE, c0:c1], X[LO, c0:c1], X[HI, c0:c1], X[V, c0:c1],
            X[ZL, c0:c1], X[ZU, c0:c1], X[REDUCED, c0:c1], X[WEIGHT, c0:c1],
        )  # fmt: skip
        bound += measured[0]
        objective += measured[1]
        total += measured[2]
        multiply_block(steps, own, start, gain, loss, demand, X[V, c0:c1], Y[MISS, r0:r1])
        for i in range(r0, r1):
            Y[MISS, i] = Y[DUE, i] - Y[MISS, i]
            worst = max(worst, abs(Y[MISS, i]))
            bound += Y[DUE, i] * Y[PRICE, i]
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
            return bound, objective, total, worst, 0.0
        if f < S.shape[0]:
            answer_node(H[s % places], end[s], N[s, 0], N[s, 1], spread[s], P, S[f])
        add_net(steps, X[V, c0 + 3 * n : c1], 1.0, flow[f])
        prepare_step(X, c0, c1, step[3])
        reduce_site(
            steps, own, start, gain, loss, demand, end[s], w,
            X[CHANGE, c0:c1], Y[MISS, r0:r1], DL[0, a:b], DL[1, a:b], H[s % places], N[s],
            spread[s], Y[ANSWER, r0:r1], pull[f],
        )  # fmt: skip
    return bound, objective, total, worst, 1.0


@kernel
def take_step(
    X: FloatArray, Y: FloatArray, c0: int, c1: int, r0: int, r1: int, step: FloatArray
) -> None:
    """Move one site's columns c0..c1-1 and multipliers r0..r1-1; step: aim, primal, dual."""
    advance_columns(
        X[LO, c0:c1], X[HI, c0:c1], X[V, c0:c1], X[ZL, c0:c1], X[ZU, c0:c1],
        X[AFFINE, c0:c1], X[CHANGE, c0:c1], step[0], step[1], step[2],
    )  # fmt: skip
    for i in range(r0, r1):
        Y[PRICE, i] += step[2] * Y[ANSWER, i]


@kernel
def prepare_step(X: FloatArray, c0: int, c1: int, aim: float) -> None:
    """w rho of the coming step into CHANGE: the affine one, or one that aims at `aim` > 0."""
    if aim > 0.0:
        X[AFFINE, c0:c1] = 0.0
        centre_columns(
            X[LO, c0:c1], X[HI, c0:c1], X[V, c0:c1], X[ZL, c0:c1], X[ZU, c0:c1],
            X[AFFINE, c0:c1], aim, X[REDUCED, c0:c1],
        )  # fmt: skip
    weighted(X[WEIGHT, c0:c1], X[REDUCED, c0:c1], X[CHANGE, c0:c1])


@kernel
def reduce_site(
    steps: int, own: IntArray, start: IntArray, gain: FloatArray, loss: FloatArray,
    has_demand: int, end: IntArray, w: FloatArray, q: FloatArray, miss: FloatArray,
    D: FloatArray, L: FloatArray, H: FloatArray, N: FloatArray, spread: float,
    answer: FloatArray, pull: FloatArray,
) -> None:  # fmt: skip
    """Eliminate one site; q = w rho of the step to come, miss the residual of its rows."""
    n = D.shape[0]
    multiply_block(steps, own, start, gain, loss, has_demand, q, answer)
    for i in range(answer.shape[0]):
        answer[i] += miss[i]
    add_net(steps, q[3 * n :], -1.0, pull)
    reduce_block(
        steps, own, start, gain, loss, has_demand, end, w, D, L, H, N[0], N[1], spread, answer,
        pull,
    )  # fmt: skip


@kernel
def affine_sites(
    s0: int, s1: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, has_demand: IntArray, node_of: IntArray, end: IntArray,
    X: FloatArray, Y: FloatArray, DL: FloatArray, H: FloatArray, N: FloatArray,
    spread: FloatArray, change: FloatArray,
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """Complete the affine step at a change of the nodes' prices [F + 1, T].

    Returns 1 / longest primal and dual step and the coefficients of complementarity after it.
    """
    primal, dual, by_dual, by_primal, by_both = 1.0, 1.0, 0.0, 0.0, 0.0
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
            DL[1, a:b], H[s % places], N[s, 0], N[s, 1], spread[s], change[f], Y[ANSWER, r0:r1],
        )  # fmt: skip
        transpose_block(
            steps, own, start, gain, loss, Y[ANSWER, r0:r1], change[f], X[CHANGE, c0:c1]
        )
        found = affine_columns(
            X[LO, c0:c1],
            X[HI, c0:c1],
            X[V, c0:c1],
            X[ZL, c0:c1],
            X[ZU, c0:c1],
            X[WEIGHT, c0:c1],
            X[REDUCED, c0:c1],
            X[CHANGE, c0:c1],
            X[AFFINE, c0:c1],
        )
        primal, dual = max(primal, found[0]), max(dual, found[1])
        by_dual += found[2]
        by_primal += found[3]
        by_both += found[4]
    return primal, dual, by_dual, by_primal, by_both


@kernel
def centre_sites(
    s0: int, s1: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, has_demand: IntArray, node_of: IntArray, end: IntArray,
    X: FloatArray, Y: FloatArray, DL: FloatArray, H: FloatArray, N: FloatArray,
    spread: FloatArray, aim: float, pull: FloatArray,
) -> None:  # fmt: skip
    """Eliminate for the step that aims at complementarity `aim` with second-order correction."""
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
        centre_columns(
            X[LO, c0:c1],
            X[HI, c0:c1],
            X[V, c0:c1],
            X[ZL, c0:c1],
            X[ZU, c0:c1],
            X[AFFINE, c0:c1],
            aim,
            X[REDUCED, c0:c1],
        )
        weighted(X[WEIGHT, c0:c1], X[REDUCED, c0:c1], X[CHANGE, c0:c1])
        w = X[WEIGHT, c0:c1]
        if has_demand[s] > 1:
            scratch = grown(scratch, c1 - c0)
            joined_weights(steps, own, w, scratch)
            w = scratch[: 3 * (b - a) + 4 * steps + 1]
        reduce_site(
            steps, own, start, gain, loss, demand, end[s], w,
            X[CHANGE, c0:c1], Y[MISS, r0:r1], DL[0, a:b], DL[1, a:b], H[s % places], N[s],
            spread[s], Y[ANSWER, r0:r1], pull[f],
        )  # fmt: skip


@kernel
def step_sites(
    s0: int, s1: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, has_demand: IntArray, node_of: IntArray, end: IntArray,
    X: FloatArray, Y: FloatArray, DL: FloatArray, H: FloatArray, N: FloatArray,
    spread: FloatArray, change: FloatArray, aim: float,
) -> tuple[float, float]:  # fmt: skip
    """Complete the step at a change of the nodes' prices; 1 / longest primal and dual step."""
    primal, dual = 1.0, 1.0
    ady, scratch = np.empty(0), np.empty(0)
    places = H.shape[0]
    for s in range(s0, s1):
        u0, u1 = site_begin[s], site_begin[s + 1]
        a, b = offset[u0], offset[u1]
        c0, r0 = block_begin(a, u0, s, steps, has_demand[s]), a + 2 * s * steps
        c1 = c0 + block_columns(b - a, u1 - u0, steps, has_demand[s])
        r1, demand = r0 + b - a + 2 * steps, has_demand[s] & 1
        own, start = offset[u0 : u1 + 1], first[u0:u1]
        gain, loss = rates[0, u0:u1], rates[1, u0:u1]
        f = node_of[s]
        ady = grown(ady, c1 - c0)
        w = X[WEIGHT, c0:c1]
        if has_demand[s] > 1:
            scratch = grown(scratch, c1 - c0)
            joined_weights(steps, own, w, scratch)
            w = scratch[: 3 * (b - a) + 4 * steps + 1]
        expand_block(
            steps, own, start, gain, loss, demand, end[s], w, DL[0, a:b],
            DL[1, a:b], H[s % places], N[s, 0], N[s, 1], spread[s], change[f], Y[ANSWER, r0:r1],
        )  # fmt: skip
        y = ady[: c1 - c0]
        transpose_block(steps, own, start, gain, loss, Y[ANSWER, r0:r1], change[f], y)
        found = step_columns(
            X[LO, c0:c1], X[HI, c0:c1], X[V, c0:c1], X[ZL, c0:c1], X[ZU, c0:c1],
            X[WEIGHT, c0:c1], X[REDUCED, c0:c1], y, X[AFFINE, c0:c1], aim, X[CHANGE, c0:c1],
        )  # fmt: skip
        primal, dual = max(primal, found[0]), max(dual, found[1])
    return primal, dual
