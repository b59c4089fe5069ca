"""Kernels that exercise every way arguments and results can travel."""

import numpy as np

from pendel.kernel import kernel, parallel_kernel, prange
from pendel.units import BoolArray, FloatArray, IntArray


@kernel
def scaled_sum(values: FloatArray, factor: float) -> float:
    total = 0.0
    for i in range(values.shape[0]):
        total += values[i] * factor
    return total


@kernel
def fill_matrix(out: FloatArray, index: IntArray, mask: BoolArray, offset: int, flip: bool) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            if mask[i]:
                out[i, j] = index[i] * 10 + j + offset
            elif flip:
                out[i, j] = -1.0


@kernel
def statistics(values: FloatArray) -> tuple[float, int, bool]:
    scratch = np.empty(values.shape[0])
    for i in range(values.shape[0]):
        scratch[i] = np.exp(values[i])
    return scratch.sum(), values.shape[0], values[0] > 0.0


@kernel
def calls_another(values: FloatArray) -> float:
    return scaled_sum(values, 2.0) + 1.0


@kernel
def returns_array(values: FloatArray) -> FloatArray:
    return values * 2.0


@parallel_kernel
def doubled_rows(values: FloatArray, out: FloatArray) -> None:
    for i in prange(values.shape[0]):
        out[i] = 2.0 * values[i]
