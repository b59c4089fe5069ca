"""One Newton system of the structured interior point against dense algebra."""

from dataclasses import replace

import numpy as np
import pytest
from arrow_twin import dense_matrix
from random_problems import random_problem

from pendel.control.arrow import Arrow, arrow_of
from pendel.control.elastic import Give
from pendel.control.interior import Interior
from pendel.control.phase_kernels import PRICE, WEIGHT
from pendel.control.reach import reach_of


def small_arrow(seed: int, give: Give | None = None) -> Arrow:
    problem = random_problem(seed, sites=3, cars=7, storages=2, extras=True, steps=10)
    if seed % 2:
        problem = replace(problem, demand_charge_eur_kw=np.full(3, 0.4))
    return arrow_of(problem, reach_of(problem), give)


def whole(method: Interior, row: int) -> np.ndarray:
    """One kind of value of all columns: those of the sites, then of the nodes."""
    tail = method.nodes.x[row]
    return np.concatenate([method.X[row, : method.X.shape[1] - len(tail)], tail])


def prices(method: Interior) -> np.ndarray:
    """y of all rows."""
    nodes = method.nodes
    top = nodes.price[: nodes.count + nodes.has_market].ravel()
    return np.concatenate([method.Y[PRICE, : method.Y.shape[1] - len(top)], top])


@pytest.mark.parametrize("give", [None, Give(30.0, 5.0)])
@pytest.mark.parametrize("seed", range(8))
def test_first_multipliers_solve_the_normal_equations(seed: int, give: Give | None) -> None:
    """start(): A W A' y = A W cost at the first weights."""
    arrow = small_arrow(seed, give)
    method = Interior(arrow)
    assert method.start()
    A, w = dense_matrix(arrow), whole(method, WEIGHT)
    y = prices(method)
    left, right = A @ (w * (A.T @ y)), A @ (w * arrow.cost / method.scale)
    assert left == pytest.approx(right, abs=1e-7 * max(1.0, np.abs(right).max()))


@pytest.mark.parametrize("give", [None, Give(30.0, 5.0)])
@pytest.mark.parametrize("seed", range(8))
def test_a_whole_step_keeps_all_rows(seed: int, give: Give | None) -> None:
    """What the rows lack shrinks by the share of the step that was taken."""
    arrow = small_arrow(seed, give)
    method = Interior(arrow)
    assert method.start()
    A = dense_matrix(arrow)
    columns = max(2 * int((arrow.hi > arrow.lo).sum()), 1)
    at = method.open()
    for _ in range(6):
        assert at is not None
        miss = arrow.due - A @ whole(method, 3)
        assert at.residual == pytest.approx(float(np.abs(miss).max()), abs=1e-9)
        assert method.iterate(at.complementarity, columns)
        primal = float(method.step[1])
        at = method.open()
        after = arrow.due - A @ whole(method, 3)
        assert after == pytest.approx((1.0 - primal) * miss, abs=1e-6)
