"""What a server asks of its process: a loop, many open files, a calm collector."""

import asyncio
import contextlib
import gc
import importlib
import resource
from collections.abc import Callable
from typing import Any

YOUNG_OBJECTS = 50_000
YOUNG_ROUNDS, MIDDLE_ROUNDS = 20, 50


def loop_factory(fast: bool | None = None) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Maker of uvloop's loop, None = that of Python. fast: None = uvloop where it is installed.

    Raises ImportError when it is wanted and not there."""
    if fast is False:
        return None
    try:
        uvloop: Any = importlib.import_module("uvloop")
    except ImportError:
        if fast:
            raise
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def raise_open_files() -> None:
    """A socket is an open file: use what the system allows (10,000 stations and more)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def calm_collector() -> None:
    """Collect seldom: what is there at the start stays, and messages hold no cycles.

    With Python's own thresholds a tenth of the time of a busy network went into looking for
    cycles among its stations. Call it once, when the server is set up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, MIDDLE_ROUNDS)
