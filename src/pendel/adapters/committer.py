"""From many small records to few commits: an asyncio face of the event log (group commit).

Records that arrive while a commit is on its way to the disk share the next one; while many come,
a commit waits a moment for more of them. So nobody waits longer than for the commit in flight,
that moment and his own commit (some milliseconds, at most 20 on a sound disk). Order is kept. A
record the log refuses fails alone.
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
GATHER_S = 0.005
"""How long a commit waits for more records while many come; one that comes alone never waits."""
WINDOW_S = 0.1
MANY = 50
"""Records within a window from which on they count as many."""

Done = Callable[[StoreError | None], None]
"""Told that a record is durable (None) or why it is not."""


class Committer:
    """Lives on one event loop; tells each giver when its record is durable."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._in_memory = bool(getattr(log, "in_memory", False))
        self._waiting: deque[tuple[AnyRecord, Done]] = deque()
        self._thread = ThreadPoolExecutor(1, "ocpp-commit")
        self._task: asyncio.Task[None] | None = None
        self._window_end_s = 0.0
        self._window_count = 0
        self._many = False
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

    def stored_at_once(self, record: AnyRecord) -> bool:
        """Store a record now where that takes no time (a log in memory), else False.

        Raises StoreError."""
        if self._in_memory and not self._waiting:
            self._log.append([record])
            return True
        return False

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
                if self._many:
                    await asyncio.sleep(GATHER_S)
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_MAX))]
                self._measure(loop.time(), len(group))
                records = [record for record, _ in group]
                errors = await loop.run_in_executor(self._thread, self._commit, records)
                self.commits += 1
                self.records += len(group)
                for (_, done), error in zip(group, errors, strict=True):
                    try:
                        done(error)
                    except Exception:
                        LOG.exception("what follows a commit failed")
        finally:
            self._task = None

    def _measure(self, now_s: float, count: int) -> None:
        """Note whether records come in numbers."""
        if now_s >= self._window_end_s:
            recent = now_s < self._window_end_s + WINDOW_S
            self._many = recent and self._window_count >= MANY
            self._window_end_s, self._window_count = now_s + WINDOW_S, 0
        self._window_count += count

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
