"""How kernels are compiled: once, cached on disk, never at import.

A kernel is a free function on arrays and scalars in a `kernels.py`; next to it or in its test
lives a readable twin as oracle. Kernels capture no globals except numeric constants, so that
their machine code can be cached; they are compiled at their first call with few signatures.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def kernel(function: Kernel) -> Kernel:
    """Compile with numba (nopython, cached, IEEE arithmetic) at the first call."""
    return cast(Kernel, _jit(parallel=False)(function))


def parallel_kernel(function: Kernel) -> Kernel:
    """Like `kernel`, with `prange` loops over independent rows."""
    return cast(Kernel, _jit(parallel=True)(function))


def _jit(parallel: bool) -> Callable[[Any], Any]:
    import numba

    decorator: Callable[[Any], Any] = numba.njit(
        cache=True, parallel=parallel, error_model="numpy", nogil=True
    )
    return decorator
