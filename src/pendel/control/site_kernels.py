"""Kernels that solve sites one by one at given prices of the nodes above, all in cache.

Each site is brought to the point of its central path with complementarity `aim`: predictor and
corrector steps until that is reached, then plain Newton steps. There its net import is a smooth
function of the node's price, and its derivative comes with the factor of the last step.
"""

import numpy as np

from pendel.control.block_kernels import answer_node
from pendel.control.elastic_kernels import block_begin, block_columns
from pendel.control.phase_kernels import affine_sites, centre_sites, open_sites, step_sites
from pendel.control.start_kernels import price_sites, start_sites
from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

COST, LO, HI, V, ZL, ZU, WEIGHT, REDUCED, AFFINE, CHANGE = range(10)
DUE, PRICE, MISS, ANSWER = range(4)
STEP_BACK = 0.9995
RESIDUAL_KW = 1e-7
ACCEPTED_KW = 1e-6
SPARE = 4
CENTRAL = 0.3
FAILED, SETTLED = 0, 1
COLD, WARM, CENTRED = 0, 1, 2
"""Where a site begins: nowhere, at a point of a higher complementarity, at one of the same."""


@kernel
def solve_sites(
    s0: int, s1: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, has_demand: IntArray, node_of: IntArray, end: IntArray,
    X: FloatArray, Y: FloatArray, DL: FloatArray, H: FloatArray, N: FloatArray,
    spread: FloatArray, above: FloatArray, aim: float, warm: int, rounds_max: int,
    flow: FloatArray, S: FloatArray, status: IntArray,
) -> tuple[float, float, int]:  # fmt: skip
    """Bring sites s0..s1-1 to complementarity aim at the node prices above [F, T].

    Arguments as of `open_sites`; H [1, T, T]; warm: what v and y hold. Adds net
    imports to flow [F, T] and answers to S [F, T, T]; status [sites] 1 where it settled. Returns
    the sums of bounds and objectives of the settled sites and the number of iterations in all.
    """
    bound, objective, iterations = 0.0, 0.0, 0
    nowhere = np.zeros(site_begin.shape[0], dtype=np.int64)
    price, own, pull = np.zeros((1, steps)), np.zeros((1, steps)), np.zeros((1, steps))
    still, P, none = np.zeros((1, steps)), np.zeros((steps, steps)), np.zeros((0, steps, steps))
    for s in range(s0, s1):
        f = node_of[s]
        price[0, :] = above[f]
        found = solve_site(
            s, steps, site_begin, offset, first, rates, has_demand, nowhere, end, X, Y, DL, H, N,
            spread, price, aim, warm, rounds_max, own, pull, still, none,
        )  # fmt: skip
        iterations += int(found[3])
        if found[0] < 0.5 and warm > COLD:
            found = solve_site(
                s, steps, site_begin, offset, first, rates, has_demand, nowhere, end, X, Y, DL, H,
                N, spread, price, aim, COLD, 5 * rounds_max, own, pull, still, none,
            )  # fmt: skip
            iterations += int(found[3])
        status[s] = SETTLED if found[0] > 0.5 else FAILED
        if status[s] == SETTLED:
            bound += found[1]
            objective += found[2]
            flow[f] += own[0]
            answer_node(H[0], end[s], N[s, 0], N[s, 1], spread[s], P, S[f])
    return bound, objective, iterations


@kernel
def solve_site(
    s: int, steps: int, site_begin: IntArray, offset: IntArray, first: IntArray,
    rates: FloatArray, has_demand: IntArray, node_of: IntArray, end: IntArray,
    X: FloatArray, Y: FloatArray, DL: FloatArray, H: FloatArray, N: FloatArray,
    spread: FloatArray, price: FloatArray, aim: float, warm: int, rounds_max: int,
    own: FloatArray, pull: FloatArray, still: FloatArray, none: FloatArray,
) -> tuple[float, float, float, int]:  # fmt: skip
    """One site of `solve_sites`: (1 if settled, bound, objective, iterations); own [1, T] its net
    import at the end."""
    a, b = offset[site_begin[s]], offset[site_begin[s + 1]]
    units = site_begin[s + 1] - site_begin[s]
    c0 = block_begin(a, site_begin[s], s, steps, has_demand[s])
    c1 = c0 + block_columns(b - a, units, steps, has_demand[s])
    open_columns = 2 * int(np.sum(X[HI, c0:c1] > X[LO, c0:c1]))
    step = np.zeros(4)
    if warm == CENTRED:
        step[3] = aim
    elif warm == COLD:
        if not start_sites(
            s, s + 1, steps, site_begin, offset, first, rates, has_demand, node_of, end, X, Y, DL,
            H, N, spread, own, pull, none,
        ):  # fmt: skip
            return 0.0, 0.0, 0.0, 0
        price_sites(
            s, s + 1, steps, site_begin, offset, first, rates, has_demand, node_of, end, X, Y, DL,
            H, N, spread, price, CENTRAL,
        )  # fmt: skip
    near = False
    for i in range(rounds_max):
        own[:] = 0.0
        pull[:] = 0.0
        at = open_sites(
            s, s + 1, steps, site_begin, offset, first, rates, has_demand, node_of, end, X, Y, DL,
            H, N, spread, price, step, own, pull, none,
        )  # fmt: skip
        if at[4] < 0.5 or not np.isfinite(at[2]):
            return 0.0, 0.0, 0.0, i
        mean = at[2] / max(open_columns, 1)
        if near and at[3] <= RESIDUAL_KW and abs(mean - aim) <= 0.02 * aim:
            return 1.0, at[0], at[1], i
        if i >= rounds_max - SPARE and at[3] <= ACCEPTED_KW and mean <= 10.0 * aim:
            return 1.0, at[0], at[1], i  # feasible and near, if not at the centre
        goal = aim
        if step[3] <= 0.0:
            half = affine_sites(
                s, s + 1, steps, site_begin, offset, first, rates, has_demand, node_of, end, X, Y,
                DL, H, N, spread, still,
            )  # fmt: skip
            primal, dual = 1.0 / half[0], 1.0 / half[1]
            after = at[2] + dual * half[2] + primal * half[3] + primal * dual * half[4]
            goal = max((max(after, 0.0) / at[2]) ** 3 * mean, aim)
            pull[:] = 0.0
            centre_sites(
                s, s + 1, steps, site_begin, offset, first, rates, has_demand, node_of, end, X, Y,
                DL, H, N, spread, goal, pull,
            )  # fmt: skip
        longest = step_sites(
            s, s + 1, steps, site_begin, offset, first, rates, has_demand, node_of, end, X, Y, DL,
            H, N, spread, still, goal,
        )  # fmt: skip
        step[0] = goal
        step[1] = min(STEP_BACK / longest[0], 1.0)
        step[2] = min(STEP_BACK / longest[1], 1.0)
        if not (np.isfinite(step[1]) and np.isfinite(step[2])) or max(step[1], step[2]) < 1e-8:
            return 0.0, 0.0, 0.0, i
        whole = min(step[1], step[2]) >= 0.99
        near = step[3] > 0.0 and whole
        step[3] = aim if goal == aim and min(step[1], step[2]) > 0.7 else 0.0
    return 0.0, 0.0, 0.0, rounds_max


@kernel
def pack_state(X: FloatArray, Y: FloatArray, columns: FloatArray, rows: FloatArray) -> None:
    """Keep a point small: signed distance of v to its nearest bound (negative: to the upper one)
    and multipliers, both float32."""
    for i in range(columns.shape[0]):
        below, above = X[V, i] - X[LO, i], X[HI, i] - X[V, i]
        columns[i] = below if below <= above else -above
    for i in range(rows.shape[0]):
        rows[i] = Y[PRICE, i]


@kernel
def unpack_state(
    X: FloatArray, Y: FloatArray, columns: FloatArray, rows: FloatArray, aim: float
) -> None:
    """The kept point, with multipliers of the bounds on the central path at `aim`."""
    for i in range(columns.shape[0]):
        near = columns[i]
        if abs(near) < 1e-12:
            near = 1e-12
        v = X[LO, i] + near if near >= 0.0 else X[HI, i] + near
        if X[HI, i] > X[LO, i]:
            X[V, i] = v
            X[ZL, i] = aim / max(v - X[LO, i], 1e-300)
            X[ZU, i] = aim / max(X[HI, i] - v, 1e-300)
        else:
            X[V, i] = X[LO, i]
            X[ZL, i] = 0.0
            X[ZU, i] = 0.0
    for i in range(rows.shape[0]):
        Y[PRICE, i] = rows[i]
