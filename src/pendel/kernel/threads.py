"""Kernels run in plain threads: machine code called through ctypes holds no lock."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")
_pools: dict[int, ThreadPoolExecutor] = {}


def cores() -> int:
    """Number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """[function(piece) for piece in pieces], on all cores; results in order.

    The first exception of a piece is raised once all have ended.
    """
    if len(pieces) <= 1:
        return [function(piece) for piece in pieces]
    count = cores()
    if count not in _pools:
        _pools[count] = ThreadPoolExecutor(count, thread_name_prefix="pendel-kernel")
    return list(_pools[count].map(function, pieces))
