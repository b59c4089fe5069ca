"""Kernels for symmetric positive systems with an envelope, one per site and iteration."""

import numpy as np

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def factor_cholesky(H: FloatArray, end: IntArray) -> bool:
    """Overwrite the upper triangle of H [T, T] with U, H = U'U; False if not positive.

    end [T]: last column of each row that is not zero, never decreasing (the envelope of U).
    """
    n = H.shape[0]
    for k in range(n):
        pivot = H[k, k]
        if not pivot > 0.0:
            return False
        inverse = 1.0 / np.sqrt(pivot)
        stop = end[k] + 1
        for j in range(k, stop):
            H[k, j] *= inverse
        for i in range(k + 1, stop):
            factor = H[k, i]
            if factor != 0.0:
                for j in range(i, stop):
                    H[i, j] -= factor * H[k, j]
    return True


@kernel
def solve_cholesky(U: FloatArray, end: IntArray, x: FloatArray) -> None:
    """Solve U'U x = b in place, U upper triangular [T, T] with its envelope, x [T]."""
    n = U.shape[0]
    for k in range(n):
        x[k] /= U[k, k]
        value = x[k]
        for j in range(k + 1, end[k] + 1):
            x[j] -= U[k, j] * value
    for k in range(n - 1, -1, -1):
        total = x[k]
        for j in range(k + 1, end[k] + 1):
            total -= U[k, j] * x[j]
        x[k] = total / U[k, k]


@kernel
def solve_cholesky_many(U: FloatArray, end: IntArray, X: FloatArray) -> None:
    """Solve U'U X = B in place for all columns of X [T, T]."""
    n, many = X.shape
    for k in range(n):
        inverse = 1.0 / U[k, k]
        for c in range(many):
            X[k, c] *= inverse
        for j in range(k + 1, end[k] + 1):
            factor = U[k, j]
            if factor != 0.0:
                for c in range(many):
                    X[j, c] -= factor * X[k, c]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, end[k] + 1):
            factor = U[k, j]
            if factor != 0.0:
                for c in range(many):
                    X[k, c] -= factor * X[j, c]
        inverse = 1.0 / U[k, k]
        for c in range(many):
            X[k, c] *= inverse


@kernel
def solve_site(
    U: FloatArray, end: IntArray, tau: FloatArray, edge: FloatArray, weight: float, x: FloatArray
) -> None:
    """Solve (U'U + tau tau' s) x = b in place; edge = (U'U)^-1 tau, weight = s/(1 + s tau'edge).

    weight 0: the rank-one part is none or already inside U.
    """
    solve_cholesky(U, end, x)
    if weight != 0.0:
        carried = 0.0
        for t in range(x.shape[0]):
            carried += tau[t] * x[t]
        carried *= weight
        for t in range(x.shape[0]):
            x[t] -= edge[t] * carried
