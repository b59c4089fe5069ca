"""From many small records to few commits: an asyncio face of the event log (group commit).

Records that arrive while a commit is on its way to the disk share the next one, so nobody waits
longer than for the commit in flight plus his own (some milliseconds, at most 20 on a sound disk).
Order is kept. A record the log refuses fails alone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pendel.errors import StoreError
from pendel.ports import EventLog
from pendel.records import AnyRecord

LOG = logging.getLogger("pendel.ocpp")
WAITING_MAX = 50_000
GROUP_MAX = 2_000


Done = Callable[[StoreError | None], None]
"""Told that a record is durable (None) or why it is not."""


class Committer:
    """Lives on one event loop; tells each giver when its record is durable."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._waiting: deque[tuple[AnyRecord, Done]] = deque()
        self._thread = ThreadPoolExecutor(1, "ocpp-commit")
        self._task: asyncio.Task[None] | None = None
        self.commits = 0
        self.records = 0

    def add(self, record: AnyRecord, done: Done) -> None:
        """Store a record; done is called on this loop, never before this returns.

        Raises StoreError when too many wait."""
        if len(self._waiting) >= WAITING_MAX:
            raise StoreError(f"{WAITING_MAX} records wait for the disk")
        self._waiting.append((record, done))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def flush(self) -> None:
        """Return when everything added so far is durable or has failed."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Flush, then end."""
        await self.flush()
        self._thread.shutdown(wait=True)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_MAX))]
                errors = await loop.run_in_executor(
                    self._thread, self._commit, [record for record, _ in group]
                )
                self.commits += 1
                self.records += len(group)
                for (_, done), error in zip(group, errors, strict=True):
                    try:
                        done(error)
                    except Exception:
                        LOG.exception("what follows a commit failed")
        finally:
            self._task = None

    def _commit(self, records: Sequence[AnyRecord]) -> list[StoreError | None]:
        """One commit for all; where that fails, one for each, so that a bad one fails alone."""
        try:
            self._log.append(records)
        except StoreError as error:
            if len(records) == 1:
                return [error]
            return [self._commit([record])[0] for record in records]
        except Exception as error:  # whatever broke: those who wait must be told
            return [StoreError(f"{type(error).__name__}: {error}")] * len(records)
        return [None] * len(records)
