"""The structured primal-dual interior point (Mehrotra predictor-corrector) on the arrow form.

Every iteration costs one tridiagonal factorisation per unit, one dense T x T Cholesky per site
and one per node above, so it is linear in the number of units; sites are shared among the cores.
Any multipliers y give a rigorous lower bound, because every column has finite bounds: b'y + least
of (cost - A'y) v over the box.
Sources: Mehrotra, SIAM J. Optim. 2 (1992); Wright, Primal-Dual Interior-Point Methods (1997).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pendel.control.arrow import Arrow
from pendel.control.nodes import nodes_of
from pendel.control.phase_kernels import affine_sites, centre_sites, open_sites, step_sites
from pendel.control.price_bound import price_bound_eur
from pendel.control.start_kernels import price_sites, start_sites
from pendel.kernel.threads import cores, in_threads
from pendel.units import FloatArray

COST, LO, HI, V, ZL, ZU, WEIGHT, REDUCED, AFFINE, CHANGE = range(10)
DUE, PRICE, MISS, ANSWER = range(4)
ITERATIONS_MAX, ELASTIC_MAX = 80, 160
START_CENTRAL = 0.3
STEP_BACK = 0.9995
RESIDUAL_KW = 1e-8
RESIDUAL_ACCEPTED_KW = 1e-6
PAIRS_PER_THREAD = 4_000
NEAR, SPARE = 0.3, 4
WHOLE_STEP, LONG_STEP = 0.9, 0.7
BETTER = 0.25


@dataclass(frozen=True, slots=True)
class InteriorResult:
    """charge_kw, discharge_kw [W], curtailed_kw [S, T] of the last iterate; bound_eur is proven,
    objective_eur that of the iterate, residual_kw the largest violation of a row; stopped: time
    ran out before the wanted gap. node_eur_kw [F + 2, T]: prices of the nodes, the market row
    and none (0)."""

    charge_kw: FloatArray
    discharge_kw: FloatArray
    curtailed_kw: FloatArray
    bound_eur: float
    objective_eur: float
    residual_kw: float
    iterations: int
    stopped: bool
    node_eur_kw: FloatArray


@dataclass(slots=True)
class Measured:
    """Where an iterate stands, in scaled costs."""

    bound: float
    objective: float
    complementarity: float
    residual: float


class Interior:
    """One solve: structure, scaled data, state, and the nodes above the sites."""

    def __init__(self, arrow: Arrow) -> None:
        self.arrow = arrow
        size = np.abs(arrow.cost[arrow.cost != 0.0])
        self.scale = float(size.mean()) if len(size) else 1.0
        sites, steps = len(arrow.node_of), arrow.steps
        self.X = np.zeros((10, len(arrow.cost)))
        self.X[COST], self.X[LO], self.X[HI] = arrow.cost / self.scale, arrow.lo, arrow.hi
        self.Y = np.zeros((4, len(arrow.due)))
        self.Y[DUE] = arrow.due
        self.nodes = nodes_of(arrow, self.scale)
        node_of = np.where(arrow.node_of < 0, self.nodes.count + 1, arrow.node_of)
        self.shape: tuple[Any, ...] = (
            steps, arrow.site_begin, arrow.offset, arrow.unit_step,
            np.stack([arrow.gain, arrow.loss]), arrow.has_demand, node_of, arrow.end,
            self.X, self.Y, np.empty((2, arrow.pairs)), np.empty((sites, steps, steps)),
            np.empty((sites, 2, steps)), np.empty(sites),
        )  # fmt: skip
        self.pull = np.zeros((self.nodes.count + 1, steps))
        self.step = np.zeros(4)
        self.pieces = _pieces(arrow)

    def _over_sites(self, kernel: Callable[..., Any], *more: Any) -> list[Any]:
        """Run a pass over all sites; results of the pieces."""
        return in_threads(lambda piece: kernel(*piece, *self.shape, *more), self.pieces)

    def _summed(self, kernel: Callable[..., Any], *more: Any) -> tuple[list[Any], FloatArray]:
        """A pass that adds to flows and right-hand sides [2, F + 2, T] and to the nodes' S."""
        top = self.nodes
        top.S[:] = 0.0
        parts = [np.zeros((2, top.count + 2, top.steps)) for _ in self.pieces]
        answers = [top.S, *(np.zeros_like(top.S) for _ in self.pieces[1:])]

        def one(i: int) -> Any:
            return kernel(*self.pieces[i], *self.shape, *more, parts[i][0], parts[i][1], answers[i])

        found = in_threads(one, range(len(self.pieces)))
        for other in answers[1:]:
            top.S += other
        return found, np.sum(parts, axis=0)

    def _pulled(self, aim: float) -> FloatArray:
        """Right-hand sides [F + 2, T] that the sites leave for the step that aims at `aim`."""
        pulls = [np.zeros((self.nodes.count + 2, self.nodes.steps)) for _ in self.pieces]
        args: list[list[Any]] = [
            [*piece, *self.shape, aim, pull] for piece, pull in zip(self.pieces, pulls, strict=True)
        ]
        in_threads(lambda one: centre_sites(*one), args)
        return np.asarray(np.sum(pulls, axis=0))

    def dearest_eur(self) -> float:
        """More than any schedule costs: every column at its dearer bound."""
        cost, (lo, hi) = self.arrow.cost, (self.arrow.lo, self.arrow.hi)
        return float(np.maximum(cost * lo, cost * hi).sum()) + abs(self.arrow.constant_eur) + 1.0

    def settle(self) -> None:
        """Have columns and prices of all sites at hand (they may live on other machines)."""

    def start(self) -> bool:
        """A first point: even schedules, least-squares multipliers (after Mehrotra)."""
        top = self.nodes
        found, (flow, pull) = self._summed(start_sites)
        if not all(found):
            return False
        top.place(flow)
        if not top.factor():
            return False
        top.price = top.solve(pull[:-1] + top.rows(top.x[WEIGHT] * top.x[COST]))
        self._over_sites(price_sites, top.price, START_CENTRAL)
        top.start(START_CENTRAL)
        return True

    def open(self) -> Measured | None:
        """Take the last step, measure, factor; None where the algebra breaks down."""
        if self.step[1] > 0.0:
            self.nodes.advance(*self.step[:3].tolist())
        found, (flow, pull) = self._summed(open_sites, self.nodes.price, self.step)
        self.pull = pull[:-1]
        bound, objective, total, worst = self.nodes.open(flow)
        sums = np.array(found)
        if not (sums[:, 4] == 1.0).all() or not np.isfinite(sums).all():
            return None
        return Measured(
            bound + float(sums[:, 0].sum()),
            objective + float(sums[:, 1].sum()),
            total + float(sums[:, 2].sum()),
            max(worst, float(sums[:, 3].max())),
        )

    def iterate(self, total: float, open_columns: int, least: float = 0.0) -> bool:
        """Find the next step (taken by the next `open`); False where it breaks down.

        least: complementarity to aim at at least. Where step[3] > 0 was set before `open`, the
        step is a plain Newton step that aims at that.
        """
        top = self.nodes
        if not top.factor():
            return False
        if self.step[3] > 0.0:
            aim, pull = float(self.step[3]), self.pull
            top.x[AFFINE] = 0.0
        else:
            change = top.change(self.pull)
            sums = np.array([*self._over_sites(affine_sites, change), top.affine(change)])
            primal, dual = 1.0 / sums[:, 0].max(), 1.0 / sums[:, 1].max()
            by_dual, by_primal, by_both = sums[:, 2:].sum(axis=0)
            after = total + dual * by_dual + primal * by_primal + primal * dual * by_both
            aim = max(float((max(after, 0.0) / total) ** 3 * total / open_columns), least)
            pull = self._pulled(aim)[:-1]
        top.centre(aim)
        answer = top.change(pull)
        longest = np.array([*self._over_sites(step_sites, answer, aim), top.step(answer, aim)])
        shortest = STEP_BACK / longest.max(axis=0)
        self.step[:3] = aim, min(shortest[0], 1.0), min(shortest[1], 1.0)
        return bool(np.isfinite(self.step).all()) and float(shortest.max()) >= 1e-8

    def objective_eur(self) -> float:
        """Cost of the point."""
        tail, top = int(self.arrow.block_begin[-1]), self.nodes.x
        own = float(self.X[COST, :tail] @ self.X[V, :tail]) + float(top[COST] @ top[V])
        return self.scale * own + self.arrow.constant_eur

    def open_columns(self) -> int:
        """Number of bounds of columns that may move."""
        tail = int(self.arrow.block_begin[-1])
        own = int((self.X[HI, :tail] > self.X[LO, :tail]).sum())
        return max(2 * (own + int((self.nodes.x[HI] > self.nodes.x[LO]).sum())), 1)

    def centre(
        self,
        aim: float,
        begun: bool,
        rounds: int,
        remaining_s: Callable[[], float] = lambda: np.inf,
    ) -> bool:
        """Bring all to the point of the central path with complementarity aim, from the point
        that is there (begun: near that path) or from nowhere; whether it was reached."""
        columns = self.open_columns()
        self.step[:] = 0.0
        if begun:
            self.step[3] = aim
        elif not self.start():
            return False
        near = False
        for number in range(rounds):
            at = self.open()
            if at is None or remaining_s() <= 0.0:
                return False
            mean = at.complementarity / columns
            kept = at.residual <= RESIDUAL_ACCEPTED_KW
            if kept and near and abs(mean - aim) <= NEAR * aim:
                return True
            if kept and number >= rounds - SPARE and mean <= 10.0 * aim:
                return True  # feasible and near, if not at the centre
            if not self.iterate(at.complementarity, columns, aim):
                return False
            shorter = float(self.step[1:3].min())
            near = float(self.step[0]) <= aim and shorter >= WHOLE_STEP
            self.step[3] = aim if self.step[0] <= aim and shorter > LONG_STEP else 0.0
        return False


def _pieces(arrow: Arrow) -> list[tuple[int, int]]:
    """Ranges of sites for the cores, about equal in pairs; one where the work is small."""
    sites = len(arrow.node_of)
    count = min(cores(), sites, max(arrow.pairs // PAIRS_PER_THREAD, 1))
    before = arrow.offset[arrow.site_begin]
    cut = np.searchsorted(before, arrow.pairs * np.arange(1, count) / count)
    cuts = sorted({0, *(int(c) for c in cut), sites})
    return [(a, b) for a, b in pairwise(cuts) if b > a]


def solve_interior(
    arrow: Arrow,
    wanted_gap: float,
    remaining_s: Callable[[], float],
    progress: Callable[[int, float, float], None] | None = None,
    make: Callable[[Arrow], Interior] = Interior,
    useful_gap: float = 0.0,
) -> InteriorResult | None:
    """Iterate until the proven gap is wanted_gap and rows hold; None where it does not converge.

    wanted_gap: (objective - bound) / max(1, |bound|); where it is not reached, the best iterate
    within useful_gap is taken. make: where the sites are worked on.
    """
    method = make(arrow)
    if not method.start():
        return None
    open_columns = max(2 * int((arrow.hi > arrow.lo).sum()), 1)
    bound, good, best = -np.inf, None, max(wanted_gap, useful_gap)
    dearest = method.dearest_eur()
    for iteration in range(ITERATIONS_MAX if arrow.give is None else ELASTIC_MAX):
        at = method.open()
        if at is None:
            break
        bound = max(bound, method.scale * at.bound + arrow.constant_eur)
        objective = method.scale * at.objective + arrow.constant_eur
        if not (np.isfinite(objective) and np.isfinite(bound)):
            break
        if progress is not None:
            progress(iteration, objective, bound)
        if bound > dearest:
            return None  # no schedule costs as much: there is none
        gap = abs(objective - bound) / max(1.0, abs(bound))
        if gap <= best and at.residual <= RESIDUAL_ACCEPTED_KW:
            if good is None or gap > wanted_gap or at.residual < good.residual_kw:
                method.settle()
                proven = max(
                    bound, price_bound_eur(arrow, method.Y[PRICE], method.nodes.price, method.scale)
                )
                good = _result(method, proven, objective, at.residual, iteration)
            best = max(wanted_gap, BETTER * gap)
            if gap <= wanted_gap and (
                at.residual <= RESIDUAL_KW or iteration >= good.iterations + 2
            ):
                break
        if remaining_s() <= 0.0:
            if good is None:
                method.settle()
            return good or _result(method, bound, objective, at.residual, iteration, True)
        if not method.iterate(at.complementarity, open_columns):
            break
    return good


def _result(
    method: Interior,
    bound: float,
    objective: float,
    residual: float,
    iterations: int,
    stopped: bool = False,
) -> InteriorResult:
    """Powers and curtailment of an iterate."""
    v, arrow = method.X[V], method.arrow
    return InteriorResult(
        charge_kw=v[arrow.charge_column],
        discharge_kw=v[arrow.charge_column + arrow.stride],
        curtailed_kw=v[arrow.import_column[:, None] + 2 * arrow.steps + np.arange(arrow.steps)],
        bound_eur=bound,
        objective_eur=objective,
        residual_kw=residual,
        iterations=iterations,
        stopped=stopped,
        node_eur_kw=method.scale * method.nodes.price,
    )
