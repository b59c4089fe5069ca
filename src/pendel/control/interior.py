"""The structured primal-dual interior point (Mehrotra predictor-corrector) on the arrow form.

Every iteration costs one tridiagonal factorisation per unit, one dense T x T Cholesky per site
and one per node above, so it is linear in the number of units. Any multipliers y give a rigorous
lower bound, because every column has finite bounds: b'y + least of (cost - A'y) v over the box.
Sources: Mehrotra, SIAM J. Optim. 2 (1992); Wright, Primal-Dual Interior-Point Methods (1997).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pendel.control import newton_kernels as newton
from pendel.control.arrow import Arrow
from pendel.control.arrow_apply_kernels import apply_rows, apply_transpose
from pendel.control.arrow_kernels import factor_sites, sweep_down, sweep_up
from pendel.control.price_bound import price_bound_eur
from pendel.control.start_kernels import even_grid, even_schedule
from pendel.units import FloatArray

ITERATIONS_MAX = 80
START_CENTRAL = 0.3
STEP_BACK = 0.9995
RESIDUAL_KW = 1e-8
RESIDUAL_ACCEPTED_KW = 1e-6


@dataclass(slots=True)
class Iterate:
    """Where the method stands; costs are scaled so that prices are about 1."""

    v: FloatArray
    y: FloatArray
    zl: FloatArray
    zu: FloatArray


@dataclass(frozen=True, slots=True)
class InteriorResult:
    """charge_kw, discharge_kw [W], curtailed_kw [S, T] of the last iterate; bound_eur is proven,
    objective_eur that of the iterate, residual_kw the largest violation of a row; stopped: time
    ran out before the wanted gap."""

    charge_kw: FloatArray
    discharge_kw: FloatArray
    curtailed_kw: FloatArray
    bound_eur: float
    objective_eur: float
    residual_kw: float
    iterations: int
    stopped: bool


class Interior:
    """One solve: structure, scaled data and work arrays."""

    def __init__(self, arrow: Arrow) -> None:
        self.arrow = arrow
        size = np.abs(arrow.cost[arrow.cost != 0.0])
        self.scale = float(size.mean()) if len(size) else 1.0
        self.cost = arrow.cost / self.scale
        sites, steps, nodes = len(arrow.node_of), arrow.steps, len(arrow.parent)
        columns, rows = len(arrow.cost), len(arrow.due)
        self.w = np.empty(columns)
        self.D, self.L = np.empty(arrow.pairs), np.empty(arrow.pairs)
        self.H = np.zeros((sites, steps, steps))
        self.N, self.tau = np.zeros((sites, steps)), np.zeros((sites, steps))
        self.spread = np.zeros(sites)
        self.edge, self.weight = np.zeros((sites, steps)), np.zeros(sites)
        self.S = np.zeros((nodes, steps, steps))
        self.node_solve: list[Any] = []
        self.columns, self.rows = columns, rows
        self.nodes, self.sites = nodes, sites
        self.bottom_up = self._bottom_up()
        self.shape = (
            arrow.site_begin,
            arrow.offset,
            arrow.unit_step,
            arrow.gain,
            arrow.loss,
        )
        pairs = arrow.pairs
        self.node_columns = 3 * pairs + 4 * sites * steps + sites
        self.node_rows = pairs + 2 * sites * steps

    def transpose(self, y: FloatArray) -> FloatArray:
        """A' y."""
        a = self.arrow
        out = np.zeros(self.columns)
        apply_transpose(a.steps, *self.shape, a.node_of, a.parent, a.has_market, y, out)
        return out

    def multiply(self, v: FloatArray) -> FloatArray:
        """A v."""
        a = self.arrow
        out = np.zeros(self.rows)
        apply_rows(a.steps, *self.shape, a.has_demand, a.node_of, a.parent, a.has_market, v, out)
        return out

    def bound(self, y: FloatArray, aty: FloatArray) -> float:
        """Proven lower bound [EUR] at multipliers y."""
        a = self.arrow
        box = newton.box_bound(self.cost, aty, a.lo, a.hi)
        return self.scale * (newton.product(a.due, y) + box) + a.constant_eur

    def factor(self) -> bool:
        """Factor A W A' at the weights w; False if it is not positive definite."""
        a = self.arrow
        self.S[:] = 0.0
        if not factor_sites(
            0, self.sites, a.steps, self.w, *self.shape, a.has_demand, a.node_of,
            self.D, self.L, self.H, self.N, self.tau, self.spread, a.end, self.edge, self.weight,
            self.S,
        ):  # fmt: skip
            return False
        return self._factor_nodes()

    def _node_weight(self, node: int) -> FloatArray:
        at = self.node_columns + node * self.arrow.steps
        return self.w[at : at + self.arrow.steps]

    def _factor_nodes(self) -> bool:
        """Invert the matrices of the nodes, children first, then that of the market rows."""
        self.node_solve = [None] * (self.nodes + 1)
        steps = self.arrow.steps
        for node in self.bottom_up:
            weight = self._node_weight(node)
            K = 0.5 * (self.S[node] + self.S[node].T)
            try:
                inverse = np.linalg.inv(K + np.diag(weight + 1e-300))
            except np.linalg.LinAlgError:
                return False
            self.node_solve[node] = inverse
            above = int(self.arrow.parent[node])
            if above >= 0:
                self.S[above] += weight[:, None] * (inverse @ K)
            elif self.arrow.has_market and node == self.nodes - 1:
                at = self.node_columns + self.nodes * steps
                dev = self.w[at : at + steps] + self.w[at + steps : at + 2 * steps]
                S = weight[:, None] * (inverse @ K)
                self.node_solve[self.nodes] = np.linalg.inv(0.5 * (S + S.T) + np.diag(dev))
        return True

    def _bottom_up(self) -> list[int]:
        """Nodes ordered so that children come before their parents."""
        depth = np.zeros(self.nodes, dtype=np.int64)
        for node in range(self.nodes):
            above = int(self.arrow.parent[node])
            while above >= 0:
                depth[node] += 1
                above = int(self.arrow.parent[above])
        return [int(node) for node in np.argsort(-depth, kind="stable")]

    def solve(self, rhs: FloatArray) -> FloatArray:
        """Change of y for a right-hand side of the normal equations [rows]."""
        a, steps = self.arrow, self.arrow.steps
        answer = np.zeros(self.rows)
        count = self.nodes * steps
        nodes = rhs[self.node_rows : self.node_rows + count].reshape(self.nodes, steps).copy()
        sizes = (0, self.sites, steps, self.w, *self.shape, a.has_demand, a.node_of)
        factors = (
            self.D, self.L, self.H, self.N, self.tau, self.spread, a.end, self.edge, self.weight,
        )  # fmt: skip
        sweep_up(*sizes, *factors, rhs, answer, nodes)
        price = np.zeros((self.nodes, steps))
        order = self.bottom_up
        dev = np.zeros(steps)
        for node in order:
            price[node] = self.node_solve[node] @ nodes[node]
            above = int(a.parent[node])
            if above >= 0:
                nodes[above] += self._node_weight(node) * price[node]
            elif a.has_market and node == self.nodes - 1:
                top = rhs[self.node_rows + count :] + self._node_weight(node) * price[node]
                dev = self.node_solve[self.nodes] @ top
                answer[self.node_rows + count :] = dev
        for node in reversed(order):
            above = int(a.parent[node])
            if above >= 0:
                pull = price[above]
            elif a.has_market and node == self.nodes - 1:
                pull = dev
            else:
                continue
            price[node] += self.node_solve[node] @ (self._node_weight(node) * pull)
        answer[self.node_rows : self.node_rows + count] = price.ravel()
        sweep_down(*sizes, *factors, answer, price)
        return answer


def solve_interior(
    arrow: Arrow,
    wanted_gap: float,
    remaining_s: Callable[[], float],
    progress: Callable[[int, float, float], None] | None = None,
) -> InteriorResult | None:
    """Iterate until the proven gap is wanted_gap and rows hold; None where it does not converge.

    wanted_gap: (objective - bound) / max(1, |bound|).
    """
    method = Interior(arrow)
    lo, hi = arrow.lo, arrow.hi
    v, zl, zu = np.zeros(method.columns), np.empty(method.columns), np.empty(method.columns)
    at = Iterate(v, np.zeros(method.rows), zl, zu)
    if not _start(method, at):
        return None
    open_columns = max(2 * int((hi > lo).sum()), 1)
    bound, good = -np.inf, None
    for iteration in range(ITERATIONS_MAX):
        aty = method.transpose(at.y)
        bound = max(bound, method.bound(at.y, aty))
        rp = arrow.due - method.multiply(at.v)
        residual = float(np.abs(rp).max(initial=0.0))
        objective = method.scale * newton.product(method.cost, at.v) + arrow.constant_eur
        if not (np.isfinite(objective) and np.isfinite(bound)):
            break
        if progress is not None:
            progress(iteration, objective, bound)
        gap = (objective - bound) / max(1.0, abs(bound))
        if abs(gap) <= wanted_gap and residual <= RESIDUAL_ACCEPTED_KW:
            if good is None or residual < good.residual_kw:
                proven = max(bound, price_bound_eur(arrow, at.y, aty, method.scale))
                good = _result(arrow, at, proven, objective, residual, iteration)
            if residual <= RESIDUAL_KW or iteration >= good.iterations + 2:
                break
        if remaining_s() <= 0.0:
            return good or _result(arrow, at, bound, objective, residual, iteration, True)
        if not _iterate(method, at, aty, rp, open_columns):
            break
    return good


def _start(method: Interior, at: Iterate) -> bool:
    """A first point: even schedules, least-squares multipliers (after Mehrotra)."""
    a = method.arrow
    even_schedule(a.steps, *method.shape, a.lo, a.hi, a.due, at.v)
    order = np.array(method.bottom_up, dtype=np.int64)
    even_grid(
        a.steps, method.sites, a.pairs, a.node_of, a.parent, order, a.has_market, a.lo, a.hi,
        a.due, at.v,
    )  # fmt: skip
    newton.start_weights(a.lo, a.hi, at.v, method.w)
    if not method.factor():
        return False
    at.y[:] = method.solve(method.multiply(method.w * method.cost))
    reduced = method.cost - method.transpose(at.y)
    newton.start_multipliers(a.lo, a.hi, reduced, START_CENTRAL, at.v, at.zl, at.zu)
    return True


def _iterate(
    method: Interior, at: Iterate, aty: FloatArray, rp: FloatArray, open_columns: int
) -> bool:
    """One predictor-corrector step; False where the algebra breaks down."""
    lo, hi = method.arrow.lo, method.arrow.hi
    n = method.columns
    rd, rho, dv = np.empty(n), np.empty(n), np.empty(n)
    dzl, dzu, second_l, second_u = np.empty(n), np.empty(n), np.zeros(n), np.zeros(n)
    newton.dual_residual(method.cost, aty, lo, hi, at.zl, at.zu, rd)
    total = newton.barrier_weights(at.v, lo, hi, at.zl, at.zu, method.w)
    if not np.isfinite(total) or not method.factor():
        return False
    bounds = (at.v, lo, hi, at.zl, at.zu)
    newton.predictor_rho(*bounds, rd, rho)
    dy = method.solve(rp + method.multiply(method.w * rho))
    newton.primal_step(method.w, method.transpose(dy), rho, dv)
    newton.dual_steps(*bounds, dv, second_l, second_u, False, 0.0, dzl, dzu)
    primal, dual = newton.longest_steps(*bounds, dv, dzl, dzu)
    after = newton.affine_products(*bounds, dv, dzl, dzu, primal, dual, second_l, second_u)
    aim = (after / total) ** 3 * total / open_columns
    newton.corrector_rho(*bounds, rd, second_l, second_u, aim, rho)
    rhs = rp + method.multiply(method.w * rho)
    dy = method.solve(rhs)
    dy += method.solve(rhs - method.multiply(method.w * method.transpose(dy)))
    newton.primal_step(method.w, method.transpose(dy), rho, dv)
    newton.dual_steps(*bounds, dv, second_l, second_u, True, aim, dzl, dzu)
    primal, dual = newton.longest_steps(*bounds, dv, dzl, dzu)
    primal, dual = STEP_BACK * primal, STEP_BACK * dual
    if not (np.isfinite(primal) and np.isfinite(dual)) or max(primal, dual) < 1e-8:
        return False
    newton.advance(*bounds, dv, dzl, dzu, primal, dual)
    at.y += dual * dy
    return True


def _result(
    arrow: Arrow,
    at: Iterate,
    bound: float,
    objective: float,
    residual: float,
    iterations: int,
    stopped: bool = False,
) -> InteriorResult:
    """Powers and curtailment of an iterate."""
    pairs, sites = arrow.pairs, len(arrow.node_of)
    curtail = 3 * pairs + 2 * sites * arrow.steps
    return InteriorResult(
        charge_kw=at.v[:pairs].copy(),
        discharge_kw=at.v[pairs : 2 * pairs].copy(),
        curtailed_kw=at.v[curtail : curtail + sites * arrow.steps]
        .reshape(sites, arrow.steps)
        .copy(),
        bound_eur=bound,
        objective_eur=objective,
        residual_kw=residual,
        iterations=iterations,
        stopped=stopped,
    )
