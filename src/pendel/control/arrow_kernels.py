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

from pendel.control.cholesky_kernels import (
    factor_cholesky,
    solve_cholesky,
    solve_cholesky_many,
    solve_site,
)
from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


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
def supply_answer(
    w: FloatArray,
    at_m: int,
    at_x: int,
    at_s: int,
    at_p: int,
    has_demand: int,
    N: FloatArray,
    tau: FloatArray,
) -> float:
    """Answer of import and export to the site price: diag(N) + tau tau' spread; returns spread."""
    total = 0.0
    for t in range(N.shape[0]):
        wm, wx = w[at_m + t], w[at_x + t]
        if has_demand:
            ws = w[at_s + t]
            both = max(wm + ws, 1e-300)
            N[t] = wm * ws / both + wx
            tau[t] = wm / both
            total += 1.0 / both
        else:
            N[t] = wm + wx
            tau[t] = 0.0
    return w[at_p] / (1.0 + w[at_p] * total) if has_demand else 0.0


@kernel
def factor_site(
    K: FloatArray,
    end: IntArray,
    N: FloatArray,
    tau: FloatArray,
    spread: float,
    H: FloatArray,
    edge: FloatArray,
) -> float:
    """Factor K + diag(N) + tau tau' spread into H [T, T]; returns the weight of `solve_site`.

    Dense: the rank-one part goes into H (weight 0). Envelope: it stays outside. -1: not positive.
    """
    steps = N.shape[0]
    is_dense = end[0] == steps - 1
    inner = spread if is_dense else 0.0
    for i in range(steps):
        for j in range(i, end[i] + 1):
            H[i, j] = K[i, j] + tau[i] * tau[j] * inner
        H[i, i] += N[i]
    if not factor_cholesky(H, end):
        return -1.0
    if is_dense or spread == 0.0:
        return 0.0
    edge[:] = tau
    solve_cholesky(H, end, edge)
    total = 0.0
    for t in range(steps):
        total += tau[t] * edge[t]
    return spread / (1.0 + spread * total)


@kernel
def answer_node(
    K: FloatArray,
    end: IntArray,
    N: FloatArray,
    tau: FloatArray,
    spread: float,
    H: FloatArray,
    edge: FloatArray,
    weight: float,
    V: FloatArray,
    S: FloatArray,
) -> None:
    """Add (N^-1 + K^-1)^-1 = N (K + N)^-1 K, the site's answer to its node's price, to S [T, T]."""
    steps = N.shape[0]
    for i in range(steps):
        V[i, i] = K[i, i]
        for j in range(i + 1, steps):
            V[i, j] = K[i, j]
            V[j, i] = K[i, j]
    solve_cholesky_many(H, end, V)
    for j in range(steps):
        if weight != 0.0:
            carried = 0.0
            for i in range(steps):
                carried += tau[i] * V[i, j]
            carried *= weight
            for i in range(steps):
                V[i, j] -= edge[i] * carried
        carried = 0.0
        for i in range(steps):
            carried += tau[i] * V[i, j]
        carried *= spread
        for i in range(steps):
            S[i, j] += N[i] * V[i, j] + tau[i] * carried


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
    end: IntArray,
    edge: FloatArray,
    weight: FloatArray,
    S: FloatArray,
) -> bool:
    """Factor sites first_site..last_site-1; add their answers to the node matrices S [F, T, T].

    H [sites, T, T] receives Cholesky factors of K + N; N, tau [sites, T] and spread [sites] the
    supply's answer diag(N) + tau tau' spread. False if a matrix is not positive.
    """
    pairs = offset[offset.shape[0] - 1]
    cells = has_demand.shape[0] * steps
    at_m, at_x = 3 * pairs, 3 * pairs + cells
    at_k, at_s, at_p = at_x + cells, at_x + 2 * cells, at_x + 3 * cells
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
        at = at_m + base, at_x + base, at_s + base, at_p + s
        spread[s] = supply_answer(w, at[0], at[1], at[2], at[3], has_demand[s], N[s], tau[s])
        weight[s] = factor_site(K, end[s], N[s], tau[s], spread[s], H[s], edge[s])
        if weight[s] < 0.0:
            return False
        node = node_of[s]
        if node >= 0:
            answer_node(K, end[s], N[s], tau[s], spread[s], H[s], edge[s], weight[s], V, S[node])
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
def solve_peak(wm: FloatArray, ws: FloatArray, spread: float, x: FloatArray) -> None:
    """Solve the demand rows (diag(wm + ws) + w_P e e') x = b in place."""
    total = 0.0
    for t in range(x.shape[0]):
        x[t] /= max(wm[t] + ws[t], 1e-300)
        total += x[t]
    total *= spread
    for t in range(x.shape[0]):
        x[t] -= total / max(wm[t] + ws[t], 1e-300)


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
    end: IntArray,
    edge: FloatArray,
    weight: FloatArray,
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
        peak = answer[pi : pi + steps]
        peak[:] = 0.0
        if has_demand[s]:
            peak[:] = rhs[pi : pi + steps]
            wm = w[at_m + base : at_m + base + steps]
            solve_peak(wm, w[at_s + base : at_s + base + steps], spread[s], peak)
            for t in range(steps):
                h[t] += wm[t] * peak[t]
        solve_site(H[s], end[s], tau[s], edge[s], weight[s], h)
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
    end: IntArray,
    edge: FloatArray,
    weight: FloatArray,
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
            solve_site(H[s], end[s], tau[s], edge[s], weight[s], pull)
            for t in range(steps):
                change[t] += pull[t]
        if has_demand[s]:
            wm = w[at_m + base : at_m + base + steps]
            for t in range(steps):
                pull[t] = wm[t] * (change[t] - (node_price[node, t] if node >= 0 else 0.0))
            solve_peak(wm, w[at_s + base : at_s + base + steps], spread[s], pull)
            for t in range(steps):
                answer[pi + t] += pull[t]
        for u in range(site_begin[s], site_begin[s + 1]):
            a, b = offset[u], offset[u + 1]
            for j in range(b - a):
                rate = gain[u] * w[a + j] + loss[u] * w[pairs + a + j]
                push[j] = rate * change[unit_step[u] + j]
            solve_unit(D[a:b], L[a:b], push[: b - a])
            for j in range(b - a):
                answer[a + j] -= push[j]
