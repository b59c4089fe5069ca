"""Kernels of the nodes above the sites: feeders, the portfolio, and the market row on top.

parent [F + 1] of each node; F + 1 means none. Index F is the market row (unused without one).
`order` lists the nodes, children before parents, the market row last where there is one.
"""

import numpy as np

from pendel.control.block_kernels import answer_node
from pendel.control.cholesky_kernels import factor_cholesky, solve_cholesky
from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def factor_nodes(order: IntArray, parent: IntArray, weight: FloatArray, S: FloatArray) -> bool:
    """Factor the nodes' matrices in place: S [F + 1, T, T] (upper) becomes U of S + diag(weight).

    weight [F + 1, T]: barrier weights of the nodes' flows and of both deviations together.
    False where a matrix is not positive.
    """
    steps = S.shape[1]
    end = np.full(steps, steps - 1)
    none, P = np.zeros(steps), np.zeros((steps, steps))
    for i in range(order.shape[0]):
        f = order[i]
        largest = 0.0
        for t in range(steps):
            largest = max(largest, S[f, t, t])
        for t in range(steps):
            S[f, t, t] += weight[f, t] + 1e-300 + 1e-16 * largest
        if not factor_cholesky(S[f], end):
            return False
        above = parent[f]
        if above <= S.shape[0] - 1:
            answer_node(S[f], end, weight[f], none, 0.0, P, S[above])
    return True


@kernel
def solve_nodes(
    order: IntArray, parent: IntArray, weight: FloatArray, U: FloatArray, rhs: FloatArray
) -> None:
    """Turn right-hand sides [F + 1, T] into changes of the nodes' prices, in place."""
    nodes, steps = U.shape[0], U.shape[1]
    end = np.full(steps, steps - 1)
    pull = np.empty(steps)
    for i in range(order.shape[0]):
        f = order[i]
        solve_cholesky(U[f], end, rhs[f])
        if parent[f] < nodes:
            for t in range(steps):
                rhs[parent[f], t] += weight[f, t] * rhs[f, t]
    for i in range(order.shape[0] - 1, -1, -1):
        f = order[i]
        if parent[f] < nodes:
            for t in range(steps):
                pull[t] = weight[f, t] * rhs[parent[f], t]
            solve_cholesky(U[f], end, pull)
            for t in range(steps):
                rhs[f, t] += pull[t]
