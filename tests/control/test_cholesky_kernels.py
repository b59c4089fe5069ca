"""Blocked factorisations of the interior point against numpy."""

import numpy as np
import pytest

from pendel.control.cholesky_kernels import (
    factor_cholesky,
    invert_lower,
    solve_cholesky,
    subtract_square,
)


def banded(size: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A positive matrix [n, n] with an envelope and that envelope's last columns."""
    rng = np.random.default_rng(seed)
    end = np.minimum(np.arange(size) + width, size - 1)
    full = rng.normal(size=(size, size))
    for i in range(size):
        full[i, end[i] + 1 :] = 0.0
    upper = np.triu(full)
    return upper.T @ upper + size * np.eye(size), end


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 12, 33])
@pytest.mark.parametrize("width", [0, 2, 40])
def test_factor_solve_and_inverse_equal_numpy(size: int, width: int) -> None:
    matrix, end = banded(size, width, size)
    U = np.triu(matrix)
    assert factor_cholesky(U, end)
    assert np.triu(U).T @ np.triu(U) == pytest.approx(matrix, abs=1e-9)
    x = np.arange(1.0, size + 1.0)
    expected = np.linalg.solve(matrix, x)
    solve_cholesky(U, end, x)
    assert x == pytest.approx(expected, abs=1e-10)
    P, S = np.zeros((size, size)), np.zeros((size, size))
    invert_lower(U, end, P)
    subtract_square(P, S)
    assert np.triu(-S) == pytest.approx(np.triu(np.linalg.inv(matrix)), abs=1e-10)


def test_a_matrix_that_is_not_positive_is_refused() -> None:
    matrix = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert not factor_cholesky(matrix, np.array([1, 1]))
