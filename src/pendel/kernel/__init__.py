"""How kernels are compiled: once per machine, kept on disk, never at import.

A kernel is a free function on arrays and scalars in a `kernels.py`; in its test lives a readable
twin as oracle. Kernels capture no globals except numeric constants and other kernels.

`@kernel` keeps the machine code as an object file. A later start loads it with llvmlite alone
(about 0.1 s) instead of importing numba (about 1 s and more): see `native`. What that cannot
carry (tuples or None as arguments, arrays as results) and `@parallel_kernel` go through numba.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from pendel.kernel.native import NativeKernel, jit
from pendel.kernel.store import on_compile

Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = ["fast_kernel", "kernel", "on_compile", "parallel_kernel", "prange"]

FAST = frozenset({"nnan", "nsz", "arcp", "contract", "reassoc"})
"""What `fast_kernel` allows the compiler: sums in any order, fused multiply-add."""

prange = range
"""Marks the parallel loop of a `@parallel_kernel`; numba's own takes its place when compiling."""


def kernel(function: Function) -> Function:
    """Compile to nopython machine code (numpy error model, no GIL) at the first call.

    Arguments: numpy arrays of float, int or bool, and Python or numpy scalars. Results: None,
    scalars, or tuples of scalars; anything else works too, but through numba.
    """
    return cast(Function, NativeKernel(function))


def fast_kernel(function: Function) -> Function:
    """Like `kernel`, for long sums whose order does not matter and whose values are numbers:
    NaN must not be asked for inside."""
    return cast(Function, NativeKernel(function, FAST))


def parallel_kernel(function: Function) -> Function:
    """Like `kernel`, with `prange` loops over independent rows (through numba)."""
    return cast(Function, _ParallelKernel(function))


class _ParallelKernel:
    """Imports numba only when called, and then steps aside."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.py_func: Any = function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self._dispatcher: Any = None

    def __call__(self, *args: Any) -> Any:
        if self._dispatcher is None:
            import numba

            self.py_func.__globals__["prange"] = numba.prange
            self._dispatcher = jit(self.py_func, parallel=True, cache=True)
        return self._dispatcher(*args)
