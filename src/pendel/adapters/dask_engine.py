"""`--engine dask`: shards of whole sites as actors on the workers of a dask cluster.

Without an address a local cluster of one process per core is started for the plan and stopped
after it; DASK_SCHEDULER_ADDRESS (dask's own setting) names a running one, whose workers need the
same version of pendel. A worker that is lost takes its shards with it; they are made again on
others by repeating what was asked of them so far (docs/operating/cluster.md).

"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np

from pendel.control.arrow import Arrow
from pendel.control.interior import Interior
from pendel.control.shards import Shard, SpreadInterior
from pendel.errors import PendelError
from pendel.kernel.threads import cores

CALL_TIMEOUT_S = 900.0
ATTEMPTS_MAX = 5
SHARDS_PER_WORKER = 1
WORKERS_LEAST = 2


def is_installed() -> bool:
    """Whether the optional extra `dask` is there."""
    return find_spec("distributed") is not None


class DaskTeam:
    """Shards as actors; a lost one is replaced and brought to where it was."""

    def __init__(self, client: Any, parts: list[Arrow], scale: float) -> None:
        self.client, self.parts, self.scale = client, parts, scale
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.replaced = 0
        # An actor lives as long as somebody holds its future.
        self.futures: list[Any] = [None] * len(parts)
        self.actors = [self._make(i) for i in range(len(parts))]

    def call(self, method: str, *args: Any) -> list[Any]:
        """shard.method(*args) on every shard, in their order. Raises PendelError where a shard
        cannot be kept alive."""
        # Arrays that the caller changes later are kept and sent as they are now.
        args = tuple(np.array(arg) if isinstance(arg, np.ndarray) else arg for arg in args)
        asked: list[Any] = []
        for actor in self.actors:
            try:
                asked.append(getattr(actor, method)(*args))
            except Exception:  # the worker is gone already: the answer will be asked for anew
                asked.append(None)
        results = []
        for i, future in enumerate(asked):
            try:
                if future is None:
                    results.append(self._again(i, method, args))
                else:
                    results.append(future.result(timeout=CALL_TIMEOUT_S))
            except PendelError:
                raise
            except Exception:
                results.append(self._again(i, method, args))
        if method != "columns":
            self.calls.append((method, args))
        return results

    def _make(self, i: int) -> Any:
        workers = sorted(self.client.scheduler_info(n_workers=-1)["workers"])
        where = [workers[(i + self.replaced) % len(workers)]] if workers else None
        future = self.client.submit(
            Shard, self.parts[i], self.scale, actor=True, pure=False, workers=where,
            allow_other_workers=True,
        )  # fmt: skip
        self.futures[i] = future
        return future.result(timeout=CALL_TIMEOUT_S)

    def _again(self, i: int, method: str, args: tuple[Any, ...]) -> Any:
        """A shard anew, its calls repeated, and then this one."""
        fault: Exception | None = None
        for _ in range(ATTEMPTS_MAX):
            self.replaced += 1
            try:
                actor = self._make(i)
                for earlier, its in self.calls:
                    getattr(actor, earlier)(*its).result(timeout=CALL_TIMEOUT_S)
                result = getattr(actor, method)(*args).result(timeout=CALL_TIMEOUT_S)
            except Exception as error:
                fault = error
            else:
                self.actors[i] = actor
                return result
        text = f"shard {i} was lost {ATTEMPTS_MAX} times: {type(fault).__name__}: {fault}"
        raise PendelError(text) from fault


class DaskEngine:
    """Makes interior points that work on a cluster; `team` is the last team made."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.team: DaskTeam | None = None

    def __call__(self, arrow: Arrow) -> Interior:
        """The interior point of an arrow, spread over the workers there are."""
        count = max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))

        def team(parts: list[Arrow], scale: float) -> DaskTeam:
            self.team = DaskTeam(self.client, parts, scale)
            return self.team

        return SpreadInterior(arrow, team, count * SHARDS_PER_WORKER)


@contextmanager
def dask_engine(workers: int | None = None) -> Iterator[DaskEngine]:
    """An engine on the cluster of DASK_SCHEDULER_ADDRESS, or on one of its own with as many
    worker processes as cores (two at least). Raises PendelError where it cannot be reached."""
    from distributed import Client, LocalCluster

    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if address:
        try:
            client = Client(address, timeout=30)
        except (OSError, ValueError) as error:
            raise PendelError(f"no dask scheduler at {address}: {error}") from error
        try:
            yield DaskEngine(client)
        finally:
            client.close()
        return
    count = workers or max(WORKERS_LEAST, cores())
    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield DaskEngine(client)
