"""Kernels of one site's block of the arrow matrix: products, factor, elimination.

n pairs (unit, step) of the site's units, T steps. Rows of a block (multipliers y), in this order:
    energy   [n]   e_j - e_(j-1) - h eta_c c + h d / eta_d = start or 0
    site     [T]   m - x - k - sum (c - d) = load - pv
    demand   [T]   P - m - sigma = 0                      (only where there is a demand charge)
Columns: c, d, e [n each], m, x, k, sigma [T each], P. `above` [T] is the price of the node above.
w is the barrier weight of each column, 0 where it is fixed. docs/concepts/planning.md. An elastic
block has more columns (`elastic_kernels`); factors and elimination see the joined weights.
"""

import numpy as np

from pendel.control.cholesky_kernels import (
    factor_cholesky,
    invert_lower,
    solve_cholesky,
    subtract_square,
)
from pendel.control.elastic_kernels import multiply_beside, transpose_beside
from pendel.kernel import fast_kernel, kernel
from pendel.units import FloatArray, IntArray

NEGLIGIBLE = 1e-18
ROUNDING = 4e-16


@kernel
def transpose_block(
    steps: int,
    offset: IntArray,
    first: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    y: FloatArray,
    above: FloatArray,
    out: FloatArray,
) -> None:
    """out [columns] = A'y of the block's columns; offset [U + 1] starts anywhere."""
    begin = offset[0]
    n = offset[offset.shape[0] - 1] - begin
    price, peak = y[n : n + steps], y[n + steps :]
    for u in range(gain.shape[0]):
        a, b = offset[u] - begin, offset[u + 1] - begin
        own, site = y[a:b], price[first[u] : first[u] + b - a]
        c, d, e = out[a:b], out[n + a : n + b], out[2 * n + a : 2 * n + b]
        for j in range(b - a):
            c[j] = -gain[u] * own[j] - site[j]
            d[j] = loss[u] * own[j] + site[j]
            e[j] = own[j]
        for j in range(b - a - 1):
            e[j] -= own[j + 1]
    total = 0.0
    rest = out[3 * n :]
    for t in range(steps):
        rest[t] = price[t] - peak[t] - above[t]
        rest[steps + t] = above[t] - price[t]
        rest[2 * steps + t] = -price[t]
        rest[3 * steps + t] = -peak[t]
        total += peak[t]
    rest[4 * steps] = total
    if rest.shape[0] > 4 * steps + 1:
        transpose_beside(steps, offset, y, out)


@kernel
def multiply_block(
    steps: int,
    offset: IntArray,
    first: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    has_demand: int,
    v: FloatArray,
    out: FloatArray,
) -> None:
    """out [n + 2 T] = A v of the block's rows."""
    begin = offset[0]
    n = offset[offset.shape[0] - 1] - begin
    price, peak, rest = out[n : n + steps], out[n + steps :], v[3 * n :]
    for t in range(steps):
        price[t] = rest[t] - rest[steps + t] - rest[2 * steps + t]
        peak[t] = rest[4 * steps] - rest[t] - rest[3 * steps + t] if has_demand else 0.0
    for u in range(gain.shape[0]):
        a, b = offset[u] - begin, offset[u + 1] - begin
        c, d, e, own = v[a:b], v[n + a : n + b], v[2 * n + a : 2 * n + b], out[a:b]
        site = price[first[u] : first[u] + b - a]
        for j in range(b - a):
            own[j] = e[j] - gain[u] * c[j] + loss[u] * d[j]
            site[j] -= c[j] - d[j]
        for j in range(1, b - a):
            own[j] -= e[j - 1]
    if rest.shape[0] > 4 * steps + 1:
        multiply_beside(steps, offset, has_demand, v, out)


@fast_kernel
def fade_and_add(z: FloatArray, row: FloatArray, step: float, rate: float) -> None:
    """z *= step, row -= rate z: the next row of a unit's inverse, subtracted from the site's."""
    for j in range(z.shape[0]):
        z[j] *= step
        row[j] -= rate * z[j]


@kernel
def add_unit(
    K: FloatArray,
    wc: FloatArray,
    wd: FloatArray,
    we: FloatArray,
    gain: float,
    loss: float,
    first: int,
    D: FloatArray,
    L: FloatArray,
    z: FloatArray,
    origin: FloatArray,
) -> None:
    """Factor one unit's tridiagonal L D^-1 L' (D, L [n]) and add its answer to prices to K (upper).

    gain = h eta_c, loss = h / eta_d; first is the step of the first pair. K += G - R Tri^-1 R.
    D holds reciprocals. Links that fade below NEGLIGIBLE are left out.
    """
    n = wc.shape[0]
    before = 0.0
    for j in range(n):
        rest = gain * gain * wc[j] + loss * loss * wd[j] + before + 1e-300
        D[j] = 1.0 / (we[j] + rest)
        L[j] = -we[j] * D[j]
        before = -rest * L[j]  # we - we^2 / diagonal, without cancellation
    corner = 0.0
    stop = n
    for m in range(n - 1, -1, -1):
        rate = gain * wc[m] + loss * wd[m]
        corner = D[m] + L[m] * L[m] * corner
        while stop > m + 1 and abs(z[stop - 1]) <= NEGLIGIBLE * origin[stop - 1]:
            stop -= 1
        row = K[first + m, first + m : first + stop]
        fade_and_add(z[m + 1 : stop], row[1:], -L[m], rate)
        # z carries R of its column: scaled when the column enters.
        z[m] = corner * rate
        origin[m] = z[m] + 1e-200
        row[0] += wc[m] + wd[m] - rate * rate * corner


@kernel
def supply_answer(
    w: FloatArray, steps: int, has_demand: int, N: FloatArray, tau: FloatArray
) -> float:
    """Answer of import and export to the site price: diag(N) + tau tau' spread; returns spread.

    w [4 T + 1]: weights of m, x, k, sigma and P.
    """
    total = 0.0
    for t in range(steps):
        wm, wx = w[t], w[steps + t]
        if has_demand:
            both = max(wm + w[3 * steps + t], 1e-300)
            N[t] = wm * w[3 * steps + t] / both + wx
            tau[t] = wm / both
            total += 1.0 / both
        else:
            N[t] = wm + wx
            tau[t] = 0.0
    peak = w[4 * steps]
    return peak / (1.0 + peak * total) if has_demand else 0.0


@kernel
def factor_block(
    steps: int,
    offset: IntArray,
    first: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    has_demand: int,
    end: IntArray,
    w: FloatArray,
    D: FloatArray,
    L: FloatArray,
    H: FloatArray,
    N: FloatArray,
    tau: FloatArray,
) -> float:
    """Factor the block: D, L [n] of its units, the Cholesky factor H [T, T] of K + N; N, tau [T].

    Returns the spread of the demand charge, -1 where the matrix is not positive.
    """
    begin = offset[0]
    n = offset[offset.shape[0] - 1] - begin
    z, origin = np.empty(steps), np.empty(steps)
    rest = w[3 * n :]
    for t in range(steps):
        H[t, t:] = 0.0
    for u in range(gain.shape[0]):
        a, b = offset[u] - begin, offset[u + 1] - begin
        add_unit(
            H, w[a:b], w[n + a : n + b], w[2 * n + a : 2 * n + b], gain[u], loss[u], first[u],
            D[a:b], L[a:b], z, origin,
        )  # fmt: skip
    spread = supply_answer(rest, steps, has_demand, N, tau)
    for t in range(steps):
        H[t, t] += N[t] + rest[2 * steps + t] + 1e-12
        if spread > 0.0:
            row, factor = H[t, t:], tau[t] * spread
            for j in range(steps - t):
                row[j] += factor * tau[t + j]
    return spread if factor_cholesky(H, end) else -1.0


@kernel
def answer_node(
    H: FloatArray,
    end: IntArray,
    N: FloatArray,
    tau: FloatArray,
    spread: float,
    P: FloatArray,
    S: FloatArray,
) -> None:
    """Add (N^-1 + K^-1)^-1 = N - N (K + N)^-1 N, the site's answer to its node's price, to S.

    N here includes the rank one of the demand charge; upper triangle of S [T, T]; P is scratch.
    """
    steps = N.shape[0]
    invert_lower(H, end, P)
    for k in range(steps):
        row = P[k, : k + 1]
        for j in range(k + 1):
            row[j] *= N[j]
    subtract_square(P, S)
    for t in range(steps):
        S[t, t] += N[t] * (1.0 + ROUNDING)
    if spread <= 0.0:
        return
    x = tau.copy()
    solve_cholesky(H, end, x)
    carried = 0.0
    for t in range(steps):
        carried += tau[t] * x[t]
    both = spread - spread * spread * carried
    for t in range(steps):
        row, cross = S[t, t:], spread * N[t] * x[t]
        for j in range(steps - t):
            row[j] += (both * tau[t] - cross) * tau[t + j] - spread * tau[t] * N[t + j] * x[t + j]


@kernel
def solve_unit(D: FloatArray, L: FloatArray, x: FloatArray) -> None:
    """Solve the unit's L D^-1 L' x = b in place (D holds reciprocals)."""
    n = x.shape[0]
    for j in range(1, n):
        x[j] -= L[j - 1] * x[j - 1]
    for j in range(n):
        x[j] *= D[j]
    for j in range(n - 2, -1, -1):
        x[j] -= L[j] * x[j + 1]


@kernel
def solve_peak(w: FloatArray, steps: int, spread: float, x: FloatArray) -> None:
    """Solve the demand rows (diag(wm + ws) + w_P e e') x = b in place; w [4 T + 1]."""
    total = 0.0
    for t in range(steps):
        x[t] /= max(w[t] + w[3 * steps + t], 1e-300)
        total += x[t]
    total *= spread
    for t in range(steps):
        x[t] -= total / max(w[t] + w[3 * steps + t], 1e-300)


@kernel
def pull_of(
    N: FloatArray, tau: FloatArray, spread: float, price: FloatArray, out: FloatArray
) -> None:
    """out = (diag(N) + tau tau' spread) price."""
    carried = 0.0
    for t in range(N.shape[0]):
        carried += tau[t] * price[t]
    carried *= spread
    for t in range(N.shape[0]):
        out[t] = N[t] * price[t] + tau[t] * carried


@kernel
def reduce_block(
    steps: int,
    offset: IntArray,
    first: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    has_demand: int,
    end: IntArray,
    w: FloatArray,
    D: FloatArray,
    L: FloatArray,
    H: FloatArray,
    N: FloatArray,
    tau: FloatArray,
    spread: float,
    answer: FloatArray,
    node_rhs: FloatArray,
) -> None:
    """Eliminate units and site from the right-hand side in `answer` [n + 2 T], in place; add what
    remains to node_rhs [T].

    answer becomes, per energy row, Tri^-1 beta, per site row (K + N)^-1 h, per demand row A^-1 b.
    """
    begin = offset[0]
    n = offset[offset.shape[0] - 1] - begin
    h, peak, rest = answer[n : n + steps], answer[n + steps :], w[3 * n :]
    for u in range(gain.shape[0]):
        a, b = offset[u] - begin, offset[u + 1] - begin
        x = answer[a:b]
        solve_unit(D[a:b], L[a:b], x)
        wc, wd, site = w[a:b], w[n + a : n + b], h[first[u] : first[u] + b - a]
        for j in range(b - a):
            site[j] -= (gain[u] * wc[j] + loss[u] * wd[j]) * x[j]
    if has_demand:
        solve_peak(rest, steps, spread, peak)
        for t in range(steps):
            h[t] += rest[t] * peak[t]
    solve_cholesky(H, end, h)
    pull = np.empty(steps)
    pull_of(N, tau, spread, h, pull)
    for t in range(steps):
        node_rhs[t] += pull[t] - rest[t] * peak[t]


@kernel
def expand_block(
    steps: int,
    offset: IntArray,
    first: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    has_demand: int,
    end: IntArray,
    w: FloatArray,
    D: FloatArray,
    L: FloatArray,
    H: FloatArray,
    N: FloatArray,
    tau: FloatArray,
    spread: float,
    above: FloatArray,
    answer: FloatArray,
) -> None:
    """Given the change of the node's price above [T], complete `answer` to the change of y."""
    begin = offset[0]
    n = offset[offset.shape[0] - 1] - begin
    price, peak, rest = answer[n : n + steps], answer[n + steps :], w[3 * n :]
    pull, push = np.empty(steps), np.empty(steps)
    pull_of(N, tau, spread, above, pull)
    solve_cholesky(H, end, pull)
    for t in range(steps):
        price[t] += pull[t]
    if has_demand:
        for t in range(steps):
            pull[t] = rest[t] * (price[t] - above[t])
        solve_peak(rest, steps, spread, pull)
        for t in range(steps):
            peak[t] += pull[t]
    for u in range(gain.shape[0]):
        a, b = offset[u] - begin, offset[u + 1] - begin
        wc, wd, site = w[a:b], w[n + a : n + b], price[first[u] : first[u] + b - a]
        x, own = push[: b - a], answer[a:b]
        for j in range(b - a):
            x[j] = (gain[u] * wc[j] + loss[u] * wd[j]) * site[j]
        solve_unit(D[a:b], L[a:b], x)
        for j in range(b - a):
            own[j] -= x[j]
