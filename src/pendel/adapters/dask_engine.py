"""`--engine dask`: shards of whole sites as actors on the workers of a dask cluster.

Without an address a local cluster of one process per core is started for the plan and stopped
after it; DASK_SCHEDULER_ADDRESS (dask's own setting) names a running one, whose workers need the
same version of pendel. A worker that is lost takes its shards with it; they are made again on
others by repeating what was asked of them so far (docs/operating/cluster.md).

"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from pendel.control.arrow import Arrow
from pendel.control.interior import Interior
from pendel.control.sections import Sections
from pendel.control.shards import Shard, SpreadInterior
from pendel.control.spread_crew import SectionShard, SpreadCrew
from pendel.errors import PendelError
from pendel.kernel.threads import cores

OURS = version("pendel")
READING = ("columns", "place")
"""Calls that change nothing in a shard, so that they need not be repeated."""
CALL_TIMEOUT_S = 900.0
ATTEMPTS_MAX = 5
SHARDS_PER_WORKER = 1
WORKERS_LEAST = 2


def is_installed() -> bool:
    """Whether the optional extra `dask` is there."""
    return find_spec("distributed") is not None


class DaskTeam:
    """Shards as actors; a lost one is replaced and brought to where it was."""

    def __init__(self, client: Any, kind: type, parts: list[tuple[Any, ...]]) -> None:
        """kind: class of the shards; parts: arguments of each."""
        self.client, self.kind, self.parts = client, kind, parts
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.replaced = 0
        # An actor lives as long as somebody holds its future.
        self.futures: list[Any] = [None] * len(parts)
        self.actors = [self._make(i) for i in range(len(parts))]

    def call(self, method: str, *args: Any) -> list[Any]:
        """shard.method(*args) on every shard, in their order. Raises PendelError where a shard
        cannot be kept alive."""
        args = tuple(map(_kept, args))
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
        if method not in READING:
            self.calls.append((method, args))
        return results

    def _make(self, i: int) -> Any:
        workers = fit_workers(self.client)
        where = [workers[(i + self.replaced) % len(workers)]] if workers else None
        future = self.client.submit(
            self.kind, *self.parts[i], actor=True, pure=False, workers=where,
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
    """Makes interior points and crews of fleets that work on a cluster; `team` is the last team
    made. Raises PendelError where a worker has another version of pendel, or none."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.team: DaskTeam | None = None
        wrong = {name: its for name, its in versions(client).items() if its != OURS}
        if wrong:
            listed = "; ".join(f"{name}: {its}" for name, its in sorted(wrong.items()))
            raise PendelError(f"workers need pendel {OURS}, but there is {listed}")

    @property
    def count(self) -> int:
        """Workers with our version now, one at least."""
        return max(1, len(fit_workers(self.client)))

    def __call__(self, arrow: Arrow) -> Interior:
        """The interior point of an arrow, spread over the workers there are."""

        def team(parts: list[Arrow], scale: float) -> DaskTeam:
            return self._team(Shard, [(part, scale) for part in parts])

        return SpreadInterior(arrow, team, self.count * SHARDS_PER_WORKER)

    def crew(self, sections: Sections) -> SpreadCrew:
        """A crew for the sections of a fleet, spread over the workers there are."""

        def team(parts: list[tuple[Sections, int]]) -> DaskTeam:
            return self._team(SectionShard, list(parts))

        return SpreadCrew(sections, team, self.count * SHARDS_PER_WORKER)

    def _team(self, kind: type, parts: list[tuple[Any, ...]]) -> DaskTeam:
        self.team = DaskTeam(self.client, kind, parts)
        return self.team


def versions(client: Any) -> dict[str, str]:
    """Version of pendel on each worker, or what is wrong with it there."""
    # A function of the standard library: one of pendel could not even be read without it.
    found = client.run(version, "pendel", on_error="return")
    return {
        name: its if isinstance(its, str) else f"none ({type(its).__name__})"
        for name, its in sorted(found.items())
    }


def fit_workers(client: Any) -> list[str]:
    """Workers with our version, sorted."""
    return [name for name, its in versions(client).items() if its == OURS]


def _kept(value: Any) -> Any:
    """An array as it is now, whatever the caller does to his."""
    if not isinstance(value, np.ndarray) or not value.flags.writeable:
        return value
    kept = value.copy()
    kept.flags.writeable = False
    return kept


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
