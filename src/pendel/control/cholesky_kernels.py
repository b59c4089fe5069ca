"""Kernels for symmetric positive systems with an envelope, one per site and iteration.

Four rows are taken together, so that each row below is read and written once for four updates.
"""

import numpy as np

from pendel.kernel import fast_kernel, kernel
from pendel.units import FloatArray, IntArray


@fast_kernel
def subtract_row(row: FloatArray, a: FloatArray, fa: float) -> None:
    """row -= fa a."""
    for j in range(row.shape[0]):
        row[j] -= fa * a[j]


@fast_kernel
def subtract_four(
    row: FloatArray,
    a: FloatArray,
    b: FloatArray,
    c: FloatArray,
    d: FloatArray,
    fa: float,
    fb: float,
    fc: float,
    fd: float,
) -> None:
    """row -= fa a + fb b + fc c + fd d."""
    for j in range(row.shape[0]):
        row[j] -= fa * a[j] + fb * b[j] + fc * c[j] + fd * d[j]


@kernel
def factor_cholesky(H: FloatArray, end: IntArray) -> bool:
    """Overwrite the upper triangle of H [T, T] with U, H = U'U; False if not positive.

    end [T]: last column of each row that is not zero, never decreasing (the envelope of U).
    """
    n = H.shape[0]
    for k in range(0, n, 4):
        last = min(k + 4, n)
        stop = end[last - 1] + 1
        for i in range(k, last):
            for m in range(k, i):
                subtract_row(H[i, i:stop], H[m, i:stop], H[m, i])
            pivot = H[i, i]
            if not pivot > 0.0:
                return False
            inverse = 1.0 / np.sqrt(pivot)
            row = H[i, i:stop]
            for j in range(row.shape[0]):
                row[j] *= inverse
        for i in range(last, stop):
            if last - k == 4:
                subtract_four(
                    H[i, i:stop],
                    H[k, i:stop],
                    H[k + 1, i:stop],
                    H[k + 2, i:stop],
                    H[k + 3, i:stop],
                    H[k, i],
                    H[k + 1, i],
                    H[k + 2, i],
                    H[k + 3, i],
                )
            else:
                for m in range(k, last):
                    subtract_row(H[i, i:stop], H[m, i:stop], H[m, i])
    return True


@fast_kernel
def solve_cholesky(U: FloatArray, end: IntArray, x: FloatArray) -> None:
    """Solve U'U x = b in place, U upper triangular [T, T] with its envelope, x [T]."""
    n = U.shape[0]
    for k in range(n):
        x[k] /= U[k, k]
        subtract_row(x[k + 1 : end[k] + 1], U[k, k + 1 : end[k] + 1], x[k])
    for k in range(n - 1, -1, -1):
        row, tail = U[k, k + 1 : end[k] + 1], x[k + 1 : end[k] + 1]
        total = x[k]
        for j in range(row.shape[0]):
            total -= row[j] * tail[j]
        x[k] = total / U[k, k]


@kernel
def invert_lower(U: FloatArray, end: IntArray, P: FloatArray) -> None:
    """Fill the lower triangle of P [T, T] with U'^-1, so that (U'U)^-1 = P'P."""
    n = U.shape[0]
    for k in range(n):
        row = P[k, : k + 1]
        row[:] = 0.0
        row[k] = 1.0
        first = k
        while first > 0 and end[first - 1] >= k:
            first -= 1
        i = first
        while i + 4 <= k:
            # Rows shorter than i + 4 are zero beyond their diagonal.
            subtract_four(
                row[: i + 4],
                P[i, : i + 4],
                P[i + 1, : i + 4],
                P[i + 2, : i + 4],
                P[i + 3, : i + 4],
                U[i, k],
                U[i + 1, k],
                U[i + 2, k],
                U[i + 3, k],
            )
            i += 4
        while i < k:
            subtract_row(row[: i + 1], P[i, : i + 1], U[i, k])
            i += 1
        inverse = 1.0 / U[k, k]
        for j in range(k + 1):
            row[j] *= inverse
        for j in range(k + 1, min(k + 4, n)):
            P[k, j] = 0.0


@kernel
def subtract_square(P: FloatArray, S: FloatArray) -> None:
    """S -= P'P on the upper triangle, P lower triangular [T, T]."""
    n = P.shape[0]
    k = 0
    while k + 4 <= n:
        for a in range(k + 4):
            subtract_four(
                S[a, a : k + 4],
                P[k, a : k + 4],
                P[k + 1, a : k + 4],
                P[k + 2, a : k + 4],
                P[k + 3, a : k + 4],
                P[k, a],
                P[k + 1, a],
                P[k + 2, a],
                P[k + 3, a],
            )
        k += 4
    while k < n:
        for a in range(k + 1):
            subtract_row(S[a, a : k + 1], P[k, a : k + 1], P[k, a])
        k += 1
