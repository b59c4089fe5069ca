"""Kernels of the interior point that see only columns with bounds, site by site.

Primal v in (lo, hi) with multipliers zl, zu > 0; fixed columns (hi <= lo) have weight 0 and stay.
With below = v - lo, above = hi - v, the affine change a and its second-order products

    w    = 1 / (zl / below + zu / above + REGULAR),  dv = w (A'dy - rho)
    sl   = -a zl (1 + a / below),                   su = -a zu (1 - a / above)
    rho  = cost - A'y + (sl - aim) / below + (aim + su) / above       (affine: cost - A'y)
    dzl  = (aim - sl - zl dv) / below - zl,         dzu = (aim + su + zu dv) / above - zu

Mehrotra, SIAM J. Optim. 2 (1992). Nothing but v, zl, zu, a and dv is kept from pass to pass.
"""

from pendel.kernel import fast_kernel
from pendel.units import FloatArray

REGULAR = 1e-9
"""Added to 1 / w, so that free columns do not drown the others in rounding (Friedlander, Orban,
Math. Program. Comput. 4 (2012)); rows are kept exactly all the same."""


@fast_kernel
def open_columns(
    cost: FloatArray,
    aty: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    v: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    reduced: FloatArray,
    w: FloatArray,
) -> tuple[float, float, float]:
    """Fill reduced = cost - A'y and w; (least of reduced v over the box, cost v, v z in all)."""
    bound, objective, total = 0.0, 0.0, 0.0
    for i in range(cost.shape[0]):
        rate = cost[i] - aty[i]
        reduced[i] = rate
        bound += rate * (lo[i] if rate > 0.0 else hi[i])
        objective += cost[i] * v[i]
        below, above = v[i] - lo[i], hi[i] - v[i]
        total += below * zl[i] + above * zu[i]
        theta = zl[i] * above + zu[i] * below + REGULAR * below * above
        w[i] = below * above / theta if hi[i] > lo[i] else 0.0
    return bound, objective, total


@fast_kernel
def weighted(w: FloatArray, x: FloatArray, out: FloatArray) -> None:
    """out = w x."""
    for i in range(w.shape[0]):
        out[i] = w[i] * x[i]


@fast_kernel
def affine_columns(
    lo: FloatArray,
    hi: FloatArray,
    v: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    w: FloatArray,
    reduced: FloatArray,
    ady: FloatArray,
    affine: FloatArray,
) -> tuple[float, float, float, float, float]:
    """Fill the affine change; (1 / longest primal and dual step, and the three coefficients of
    complementarity after it: by dual step, by primal step, by their product)."""
    primal, dual = 1.0, 1.0
    by_dual, by_primal, by_both = 0.0, 0.0, 0.0
    for i in range(w.shape[0]):
        change = w[i] * (ady[i] - reduced[i])
        affine[i] = change
        below, above = v[i] - lo[i], hi[i] - v[i]
        down = change / below if hi[i] > lo[i] else 0.0
        up = change / above if hi[i] > lo[i] else 0.0
        dzl, dzu = -zl[i] * (1.0 + down), -zu[i] * (1.0 - up)
        primal = max(primal, max(-down, up))
        dual = max(dual, max(1.0 + down, 1.0 - up))
        by_dual += below * dzl + above * dzu
        by_primal += change * (zl[i] - zu[i])
        by_both += change * (dzl - dzu)
    return primal, dual, by_dual, by_primal, by_both


@fast_kernel
def centre_columns(
    lo: FloatArray,
    hi: FloatArray,
    v: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    affine: FloatArray,
    aim: float,
    reduced: FloatArray,
) -> None:
    """Turn cost - A'y into rho of the step that aims at complementarity `aim`."""
    for i in range(v.shape[0]):
        below, above = v[i] - lo[i], hi[i] - v[i]
        sl = -affine[i] * zl[i] * (1.0 + affine[i] / below)
        su = -affine[i] * zu[i] * (1.0 - affine[i] / above)
        extra = (sl - aim) / below + (aim + su) / above
        reduced[i] += extra if hi[i] > lo[i] else 0.0


@fast_kernel
def step_columns(
    lo: FloatArray,
    hi: FloatArray,
    v: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    w: FloatArray,
    rho: FloatArray,
    ady: FloatArray,
    affine: FloatArray,
    aim: float,
    dv: FloatArray,
) -> tuple[float, float]:
    """Fill dv = w (A'dy - rho); returns 1 / longest primal and dual step (at least 1)."""
    primal, dual = 1.0, 1.0
    for i in range(w.shape[0]):
        change = w[i] * (ady[i] - rho[i])
        dv[i] = change
        below, above = v[i] - lo[i], hi[i] - v[i]
        sl = -affine[i] * zl[i] * (1.0 + affine[i] / below)
        su = -affine[i] * zu[i] * (1.0 - affine[i] / above)
        low = 1.0 - (aim - sl - zl[i] * change) / (below * zl[i])
        high = 1.0 - (aim + su + zu[i] * change) / (above * zu[i])
        is_open = hi[i] > lo[i]
        primal = max(primal, max(-change / below, change / above) if is_open else 1.0)
        dual = max(dual, max(low, high) if is_open else 1.0)
    return primal, dual


@fast_kernel
def advance_columns(
    lo: FloatArray,
    hi: FloatArray,
    v: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    affine: FloatArray,
    dv: FloatArray,
    aim: float,
    primal: float,
    dual: float,
) -> None:
    """Take the step."""
    for i in range(v.shape[0]):
        below, above = v[i] - lo[i], hi[i] - v[i]
        sl = -affine[i] * zl[i] * (1.0 + affine[i] / below)
        su = -affine[i] * zu[i] * (1.0 - affine[i] / above)
        dzl = (aim - sl - zl[i] * dv[i]) / below - zl[i]
        dzu = (aim + su + zu[i] * dv[i]) / above - zu[i]
        is_open = hi[i] > lo[i]
        zl[i] += dual * (dzl if is_open else 0.0)
        zu[i] += dual * (dzu if is_open else 0.0)
        v[i] += primal * dv[i]


@fast_kernel
def start_weights(lo: FloatArray, hi: FloatArray, v: FloatArray, w: FloatArray) -> None:
    """Weights of the least-squares multipliers at a first point v; fixed columns go to lo."""
    for i in range(v.shape[0]):
        near = min(v[i] - lo[i], hi[i] - v[i], 3.0)
        w[i] = near * near if hi[i] > lo[i] else 0.0
        v[i] = v[i] if hi[i] > lo[i] else lo[i]


@fast_kernel
def start_multipliers(
    cost: FloatArray,
    aty: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    central: float,
    v: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
) -> None:
    """Multipliers from reduced costs plus a part on the central path."""
    for i in range(v.shape[0]):
        reduced = cost[i] - aty[i]
        below = max(reduced, 0.0) + central / (1.0 + v[i] - lo[i])
        above = max(-reduced, 0.0) + central / (1.0 + hi[i] - v[i])
        zl[i] = below if hi[i] > lo[i] else 0.0
        zu[i] = above if hi[i] > lo[i] else 0.0


@fast_kernel
def box_bound(cost: FloatArray, aty: FloatArray, lo: FloatArray, hi: FloatArray) -> float:
    """Least value of (cost - A'y) v over the box: with b'y a lower bound for any y."""
    total = 0.0
    for i in range(cost.shape[0]):
        reduced = cost[i] - aty[i]
        total += reduced * (lo[i] if reduced > 0.0 else hi[i])
    return total


@fast_kernel
def product(a: FloatArray, b: FloatArray) -> float:
    """a'b without the threads of a BLAS."""
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total
