"""Kernels of the interior point that see only one long vector of columns with bounds.

Primal v in (lo, hi) with multipliers zl, zu > 0; fixed columns (hi <= lo) are left alone.
    theta = zl/(v - lo) + zu/(hi - v),   w = 1/theta,   dv = w (A'dy - rho)
    rho   = rd - rl/(v - lo) + ru/(hi - v)
"""

from pendel.kernel import kernel
from pendel.units import FloatArray


@kernel
def barrier_weights(
    v: FloatArray, lo: FloatArray, hi: FloatArray, zl: FloatArray, zu: FloatArray, w: FloatArray
) -> float:
    """Fill w; return the sum of all complementarity products."""
    total = 0.0
    for i in range(v.shape[0]):
        if hi[i] > lo[i]:
            below, above = v[i] - lo[i], hi[i] - v[i]
            total += below * zl[i] + above * zu[i]
            w[i] = 1.0 / (zl[i] / below + zu[i] / above)
        else:
            w[i] = 0.0
    return total


@kernel
def predictor_rho(
    v: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    rd: FloatArray,
    rho: FloatArray,
) -> None:
    """rho of the affine step (sigma = 0, no corrector)."""
    for i in range(v.shape[0]):
        rho[i] = rd[i] + zl[i] - zu[i] if hi[i] > lo[i] else 0.0


@kernel
def corrector_rho(
    v: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    rd: FloatArray,
    second_l: FloatArray,
    second_u: FloatArray,
    aim: float,
    rho: FloatArray,
) -> None:
    """rho with centring towards aim and Mehrotra's second-order terms of the affine step."""
    for i in range(v.shape[0]):
        if hi[i] > lo[i]:
            below, above = v[i] - lo[i], hi[i] - v[i]
            rl = aim - below * zl[i] - second_l[i]
            ru = aim - above * zu[i] + second_u[i]
            rho[i] = rd[i] - rl / below + ru / above
        else:
            rho[i] = 0.0


@kernel
def primal_step(w: FloatArray, aty: FloatArray, rho: FloatArray, dv: FloatArray) -> None:
    """dv = w (A'dy - rho)."""
    for i in range(w.shape[0]):
        dv[i] = w[i] * (aty[i] - rho[i])


@kernel
def dual_steps(
    v: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    dv: FloatArray,
    second_l: FloatArray,
    second_u: FloatArray,
    use_second: bool,
    aim: float,
    dzl: FloatArray,
    dzu: FloatArray,
) -> None:
    """Changes of the multipliers; second_* hold dv dz products of the affine step."""
    for i in range(v.shape[0]):
        if hi[i] > lo[i]:
            below, above = v[i] - lo[i], hi[i] - v[i]
            extra_l = second_l[i] if use_second else 0.0
            extra_u = second_u[i] if use_second else 0.0
            rl = aim - below * zl[i] - extra_l
            ru = aim - above * zu[i] + extra_u
            dzl[i] = (rl - zl[i] * dv[i]) / below
            dzu[i] = (ru + zu[i] * dv[i]) / above
        else:
            dzl[i] = 0.0
            dzu[i] = 0.0


@kernel
def longest_steps(
    v: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    dv: FloatArray,
    dzl: FloatArray,
    dzu: FloatArray,
) -> tuple[float, float]:
    """Largest primal and dual step lengths in (0, 1] that stay inside the bounds."""
    primal, dual = 1.0, 1.0
    for i in range(v.shape[0]):
        if hi[i] > lo[i]:
            if dv[i] < 0.0:
                primal = min(primal, (lo[i] - v[i]) / dv[i])
            elif dv[i] > 0.0:
                primal = min(primal, (hi[i] - v[i]) / dv[i])
            if dzl[i] < 0.0:
                dual = min(dual, -zl[i] / dzl[i])
            if dzu[i] < 0.0:
                dual = min(dual, -zu[i] / dzu[i])
    return primal, dual


@kernel
def affine_products(
    v: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    dv: FloatArray,
    dzl: FloatArray,
    dzu: FloatArray,
    primal: float,
    dual: float,
    second_l: FloatArray,
    second_u: FloatArray,
) -> float:
    """Complementarity after the affine step; fills the second-order products."""
    total = 0.0
    for i in range(v.shape[0]):
        if hi[i] > lo[i]:
            moved = v[i] + primal * dv[i]
            total += (moved - lo[i]) * (zl[i] + dual * dzl[i])
            total += (hi[i] - moved) * (zu[i] + dual * dzu[i])
            second_l[i] = dv[i] * dzl[i]
            second_u[i] = dv[i] * dzu[i]
    return total


@kernel
def advance(
    v: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    dv: FloatArray,
    dzl: FloatArray,
    dzu: FloatArray,
    primal: float,
    dual: float,
) -> None:
    """Take the step."""
    for i in range(v.shape[0]):
        if hi[i] > lo[i]:
            v[i] += primal * dv[i]
            zl[i] += dual * dzl[i]
            zu[i] += dual * dzu[i]


@kernel
def box_bound(cost: FloatArray, aty: FloatArray, lo: FloatArray, hi: FloatArray) -> float:
    """Least value of (cost - A'y) v over the box: with b'y a lower bound for any y."""
    total = 0.0
    for i in range(cost.shape[0]):
        reduced = cost[i] - aty[i]
        total += reduced * (lo[i] if reduced > 0.0 else hi[i])
    return total


@kernel
def product(a: FloatArray, b: FloatArray) -> float:
    """a'b without the threads of a BLAS."""
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@kernel
def dual_residual(
    cost: FloatArray,
    aty: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
    rd: FloatArray,
) -> float:
    """rd = cost - A'y - zl + zu, 0 for fixed columns; returns the largest entry."""
    worst = 0.0
    for i in range(cost.shape[0]):
        rd[i] = cost[i] - aty[i] - zl[i] + zu[i] if hi[i] > lo[i] else 0.0
        worst = max(worst, abs(rd[i]))
    return worst


@kernel
def start_weights(lo: FloatArray, hi: FloatArray, v: FloatArray, w: FloatArray) -> None:
    """Weights of the least-squares multipliers at a first point v; fixed columns go to lo."""
    for i in range(v.shape[0]):
        if hi[i] > lo[i]:
            near = min(v[i] - lo[i], hi[i] - v[i], 3.0)
            w[i] = near * near
        else:
            v[i] = lo[i]
            w[i] = 0.0


@kernel
def start_multipliers(
    lo: FloatArray,
    hi: FloatArray,
    reduced: FloatArray,
    central: float,
    v: FloatArray,
    zl: FloatArray,
    zu: FloatArray,
) -> None:
    """Multipliers from reduced costs plus a part on the central path."""
    for i in range(v.shape[0]):
        if hi[i] > lo[i]:
            zl[i] = max(reduced[i], 0.0) + central / (1.0 + v[i] - lo[i])
            zu[i] = max(-reduced[i], 0.0) + central / (1.0 + hi[i] - v[i])
        else:
            zl[i] = 0.0
            zu[i] = 0.0
