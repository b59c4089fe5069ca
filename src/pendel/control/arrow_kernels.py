"""Kernels of the structured interior point: arrow algebra of sessions inside sites.

Rows of the linear programme (multipliers y), in this order:
    energy   [W]    e_j - e_(j-1) - h eta_c c + h d / eta_d = start or 0
    site     [S T]  m - x - k - sum (c - d) = load - pv
    demand   [S T]  P - m - sigma = 0                      (only sites with a demand charge)
    node     [F T]  g - sum over sites (m - x) - sum over child nodes g = 0
    dev      [T]    dev+ - dev- - g(top) = -position       (only with a market)
Columns: c, d, e [W each], m, x, k, sigma [S T each], P [S], g [F T], dev+, dev- [T each].
w = 1/theta is the barrier weight of each column, 0 where it is fixed. docs/concepts/planning.md.
"""

import numpy as np

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def factor_cholesky(H: FloatArray) -> bool:
    """Overwrite the upper triangle of H [T, T] with U, H = U'U; False if not positive."""
    n = H.shape[0]
    for k in range(n):
        pivot = H[k, k]
        if not pivot > 0.0:
            return False
        root = np.sqrt(pivot)
        inverse = 1.0 / root
        for j in range(k, n):
            H[k, j] *= inverse
        for i in range(k + 1, n):
            factor = H[k, i]
            if factor != 0.0:
                for j in range(i, n):
                    H[i, j] -= factor * H[k, j]
    return True


@kernel
def solve_cholesky(U: FloatArray, x: FloatArray) -> None:
    """Solve U'U x = b in place, U upper triangular [T, T], x [T]."""
    n = U.shape[0]
    for k in range(n):
        x[k] /= U[k, k]
        value = x[k]
        for j in range(k + 1, n):
            x[j] -= U[k, j] * value
    for k in range(n - 1, -1, -1):
        total = x[k]
        for j in range(k + 1, n):
            total -= U[k, j] * x[j]
        x[k] = total / U[k, k]


@kernel
def solve_cholesky_many(U: FloatArray, X: FloatArray) -> None:
    """Solve U'U X = B in place for all columns of X [T, T]."""
    n, many = X.shape
    for k in range(n):
        inverse = 1.0 / U[k, k]
        for c in range(many):
            X[k, c] *= inverse
        for j in range(k + 1, n):
            factor = U[k, j]
            if factor != 0.0:
                for c in range(many):
                    X[j, c] -= factor * X[k, c]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            factor = U[k, j]
            if factor != 0.0:
                for c in range(many):
                    X[k, c] -= factor * X[j, c]
        inverse = 1.0 / U[k, k]
        for c in range(many):
            X[k, c] *= inverse


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
    zrow: FloatArray,
) -> None:
    """Factor one unit's tridiagonal LDL' (D, L [n]) and add its answer to prices to K (upper).

    gain = h eta_c, loss = h / eta_d; first is the step of the first pair. K += G - R Tri^-1 R.
    """
    n = wc.shape[0]
    before = 0.0
    for j in range(n):
        diagonal = we[j] + gain * gain * wc[j] + loss * loss * wd[j] + 1e-300
        if j > 0:
            diagonal += we[j - 1] - before * before * D[j - 1]
        D[j] = diagonal
        before = -we[j] / diagonal
        L[j] = before
    corner = 0.0
    for m in range(n - 1, -1, -1):
        rate = gain * wc[m] + loss * wd[m]
        corner = 1.0 / D[m] + L[m] * L[m] * corner
        row = first + m
        step = -L[m]
        zrow[m] = corner
        for j in range(m + 1, n):
            zrow[j] *= step
        # zrow already carries R of its column: scaled when the column enters.
        K[row, row] += wc[m] + wd[m] - rate * rate * corner
        zrow[m] = corner * rate
        for j in range(m + 1, n):
            K[row, first + j] -= rate * zrow[j]


@kernel
def factor_sites(
    first_site: int,
    last_site: int,
    steps: int,
    w: FloatArray,
    site_begin: IntArray,
    offset: IntArray,
    unit_step: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    has_demand: IntArray,
    node_of: IntArray,
    D: FloatArray,
    L: FloatArray,
    H: FloatArray,
    N: FloatArray,
    tau: FloatArray,
    spread: FloatArray,
    S: FloatArray,
) -> bool:
    """Factor sites first_site..last_site-1; add their answers to the node matrices S [F, T, T].

    H [sites, T, T] receives Cholesky factors of K + N; N, tau [sites, T] and spread [sites] the
    supply's answer diag(N) + tau tau' spread. False if a matrix is not positive.
    """
    pairs = offset[offset.shape[0] - 1]
    cells = has_demand.shape[0] * steps
    at_m, at_x = 3 * pairs, 3 * pairs + cells
    at_k, at_s = at_x + cells, at_x + 2 * cells
    at_p = at_s + cells
    zrow = np.empty(steps)
    K = np.empty((steps, steps))
    V = np.empty((steps, steps))
    for s in range(first_site, last_site):
        base = s * steps
        K[:, :] = 0.0
        for t in range(steps):
            K[t, t] = w[at_k + base + t] + 1e-12
        for u in range(site_begin[s], site_begin[s + 1]):
            a, b = offset[u], offset[u + 1]
            if b > a:
                add_unit(
                    K,
                    w[a:b],
                    w[pairs + a : pairs + b],
                    w[2 * pairs + a : 2 * pairs + b],
                    gain[u],
                    loss[u],
                    unit_step[u],
                    D[a:b],
                    L[a:b],
                    zrow,
                )
        total = 0.0
        for t in range(steps):
            wm, wx = w[at_m + base + t], w[at_x + base + t]
            if has_demand[s]:
                ws = w[at_s + base + t]
                both = max(wm + ws, 1e-300)
                N[s, t] = wm * ws / both + wx
                tau[s, t] = wm / both
                total += 1.0 / both
            else:
                N[s, t] = wm + wx
                tau[s, t] = 0.0
        wp = w[at_p + s]
        spread[s] = wp / (1.0 + wp * total) if has_demand[s] else 0.0
        for i in range(steps):
            for j in range(i, steps):
                H[s, i, j] = K[i, j] + tau[s, i] * tau[s, j] * spread[s]
            H[s, i, i] += N[s, i]
        if not factor_cholesky(H[s]):
            return False
        node = node_of[s]
        if node >= 0:
            for i in range(steps):
                V[i, i] = K[i, i]
                for j in range(i + 1, steps):
                    V[i, j] = K[i, j]
                    V[j, i] = K[i, j]
            solve_cholesky_many(H[s], V)
            for j in range(steps):
                carried = 0.0
                for i in range(steps):
                    carried += tau[s, i] * V[i, j]
                carried *= spread[s]
                for i in range(steps):
                    S[node, i, j] += N[s, i] * V[i, j] + tau[s, i] * carried
    return True


@kernel
def solve_unit(D: FloatArray, L: FloatArray, x: FloatArray) -> None:
    """Solve the unit's L D L' x = b in place."""
    n = x.shape[0]
    for j in range(1, n):
        x[j] -= L[j - 1] * x[j - 1]
    for j in range(n):
        x[j] /= D[j]
    for j in range(n - 2, -1, -1):
        x[j] -= L[j] * x[j + 1]


@kernel
def sweep_up(
    first_site: int,
    last_site: int,
    steps: int,
    w: FloatArray,
    site_begin: IntArray,
    offset: IntArray,
    unit_step: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    has_demand: IntArray,
    node_of: IntArray,
    D: FloatArray,
    L: FloatArray,
    H: FloatArray,
    N: FloatArray,
    tau: FloatArray,
    spread: FloatArray,
    rhs: FloatArray,
    answer: FloatArray,
    node_rhs: FloatArray,
) -> None:
    """Eliminate units and sites from the right-hand side; add what remains to node_rhs [F, T].

    answer [rows] receives, per energy row, Tri^-1 beta, per site row (K + N)^-1 h, per demand
    row A^-1 delta.
    """
    pairs = offset[offset.shape[0] - 1]
    cells = has_demand.shape[0] * steps
    at_m = 3 * pairs
    at_s = at_m + 3 * cells
    for s in range(first_site, last_site):
        base = s * steps
        row, pi = pairs + base, pairs + cells + base
        h = answer[row : row + steps]
        h[:] = rhs[row : row + steps]
        for u in range(site_begin[s], site_begin[s + 1]):
            a, b = offset[u], offset[u + 1]
            x = answer[a:b]
            x[:] = rhs[a:b]
            solve_unit(D[a:b], L[a:b], x)
            for j in range(b - a):
                rate = gain[u] * w[a + j] + loss[u] * w[pairs + a + j]
                h[unit_step[u] + j] -= rate * x[j]
        if has_demand[s]:
            total = 0.0
            for t in range(steps):
                both = max(w[at_m + base + t] + w[at_s + base + t], 1e-300)
                answer[pi + t] = rhs[pi + t] / both
                total += answer[pi + t]
            total *= spread[s]
            for t in range(steps):
                both = max(w[at_m + base + t] + w[at_s + base + t], 1e-300)
                answer[pi + t] -= total / both
                h[t] += w[at_m + base + t] * answer[pi + t]
        else:
            answer[pi : pi + steps] = 0.0
        solve_cholesky(H[s], h)
        node = node_of[s]
        if node >= 0:
            carried = 0.0
            for t in range(steps):
                carried += tau[s, t] * h[t]
            carried *= spread[s]
            for t in range(steps):
                node_rhs[node, t] += (
                    N[s, t] * h[t] + tau[s, t] * carried - w[at_m + base + t] * answer[pi + t]
                )


@kernel
def sweep_down(
    first_site: int,
    last_site: int,
    steps: int,
    w: FloatArray,
    site_begin: IntArray,
    offset: IntArray,
    unit_step: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    has_demand: IntArray,
    node_of: IntArray,
    D: FloatArray,
    L: FloatArray,
    H: FloatArray,
    N: FloatArray,
    tau: FloatArray,
    spread: FloatArray,
    answer: FloatArray,
    node_price: FloatArray,
) -> None:
    """Given the change of node prices [F, T], complete `answer` to the change of all y."""
    pairs = offset[offset.shape[0] - 1]
    cells = has_demand.shape[0] * steps
    at_m = 3 * pairs
    at_s = at_m + 3 * cells
    pull = np.empty(steps)
    push = np.empty(steps)
    for s in range(first_site, last_site):
        base = s * steps
        row, pi = pairs + base, pairs + cells + base
        node = node_of[s]
        change = answer[row : row + steps]
        if node >= 0:
            carried = 0.0
            for t in range(steps):
                carried += tau[s, t] * node_price[node, t]
            carried *= spread[s]
            for t in range(steps):
                pull[t] = N[s, t] * node_price[node, t] + tau[s, t] * carried
            solve_cholesky(H[s], pull)
            for t in range(steps):
                change[t] += pull[t]
        if has_demand[s]:
            total = 0.0
            for t in range(steps):
                relative = change[t] - (node_price[node, t] if node >= 0 else 0.0)
                both = max(w[at_m + base + t] + w[at_s + base + t], 1e-300)
                pull[t] = w[at_m + base + t] * relative / both
                total += pull[t]
            total *= spread[s]
            for t in range(steps):
                both = max(w[at_m + base + t] + w[at_s + base + t], 1e-300)
                answer[pi + t] += pull[t] - total / both
        for u in range(site_begin[s], site_begin[s + 1]):
            a, b = offset[u], offset[u + 1]
            for j in range(b - a):
                rate = gain[u] * w[a + j] + loss[u] * w[pairs + a + j]
                push[j] = rate * change[unit_step[u] + j]
            solve_unit(D[a:b], L[a:b], push[: b - a])
            for j in range(b - a):
                answer[a + j] -= push[j]
