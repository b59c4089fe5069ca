"""Passwords of stations: argon2id off the event loop, once per credential and process.

A credential that was verified once is remembered as an HMAC under a key of this process, so that a
storm of reconnects hashes nothing again; wrong ones are remembered the same way. Failing attempts
are slowed per address and station; a right password is never made to wait for them.
"""

import asyncio
import hmac
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MEMORY_KIB, ROUNDS, LANES = 19 * 1024, 2, 1
QUEUE_MAX = 2_000
REMEMBERED_MAX = 100_000
WRONG_REMEMBERED_MAX = 10_000
FREE_FAILURES = 5
FAILURE_DELAY_S = 0.25
DELAY_MAX_S = 2.0
FAILURE_MEMORY_S = 60.0
DELAYED_MAX = 200
PASSWORD_BYTES_MAX = 1_024


class Verdict(Enum):
    """What became of an attempt; BUSY: try again later (no judgement about the password)."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"


def hash_password(password: str | bytes) -> str:
    """An argon2id PHC string (m = 19 MiB, t = 2, p = 1)."""
    return _hasher().hash(password)


def new_password() -> str:
    """A password of 32 characters, within what OCPP allows (A00.FR.205: 16 to 40)."""
    return secrets.token_urlsafe(24)


def _hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=LANES)


def matches(password_hash: str, password: bytes) -> bool:
    """Whether a password belongs to a PHC string; takes tens of milliseconds."""
    try:
        return _hasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until_s: float = 0.0


@dataclass(slots=True)
class PasswordChecker:
    """Lives on one event loop. workers: threads that hash (argon2 releases the interpreter)."""

    workers: int = 1
    hashed: int = 0
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _right: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _wrong: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _failures: OrderedDict[tuple[str, str], _Failures] = field(default_factory=OrderedDict)
    _running: dict[bytes, "asyncio.Future[bool]"] = field(default_factory=dict)
    _delayed: int = 0
    _pool: ThreadPoolExecutor | None = None

    async def check(
        self, address: str, station_id: str, password: bytes, password_hash: str
    ) -> Verdict:
        """Judge one attempt."""
        if len(password) > PASSWORD_BYTES_MAX:
            return await self._failed(address, station_id)
        mark = self._mark(station_id, password, password_hash)
        if mark in self._right:
            self._right.move_to_end(mark)
            return Verdict.RIGHT
        if mark in self._wrong:
            return await self._failed(address, station_id)
        running = self._running.get(mark)
        if running is None:
            if len(self._running) >= QUEUE_MAX:
                return Verdict.BUSY
            running = self._start(mark, password, password_hash)
        if await asyncio.shield(running):
            return Verdict.RIGHT
        return await self._failed(address, station_id)

    async def proves(self, station_id: str, password: bytes, password_hash: str) -> bool:
        """Whether a password is the right one for one of several hashes; a wrong one is no failed
        attempt yet."""
        mark = self._mark(station_id, password, password_hash)
        if mark in self._right or mark in self._wrong or len(password) > PASSWORD_BYTES_MAX:
            return mark in self._right
        if mark not in self._running and len(self._running) >= QUEUE_MAX:
            return False
        running = self._running.get(mark) or self._start(mark, password, password_hash)
        return await asyncio.shield(running)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, mark: bytes, password: bytes, password_hash: str) -> "asyncio.Future[bool]":
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.workers, "ocpp-password")
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._pool, matches, password_hash, password)
        self._running[mark] = running
        self.hashed += 1

        def ended(future: "asyncio.Future[bool]") -> None:
            self._running.pop(mark, None)
            if future.cancelled() or future.exception() is not None:
                return
            known, most = (
                (self._right, REMEMBERED_MAX)
                if future.result()
                else (self._wrong, WRONG_REMEMBERED_MAX)
            )
            known[mark] = None
            while len(known) > most:
                known.popitem(last=False)

        running.add_done_callback(ended)
        return running

    async def _failed(self, address: str, station_id: str) -> Verdict:
        """Count a failure and let it wait; too many waiting are turned away at once."""
        now_s = asyncio.get_running_loop().time()
        key = (address, station_id)
        failures = self._failures.pop(key, None) or _Failures()
        if now_s > failures.until_s:
            failures.count = 0
        failures.count += 1
        failures.until_s = now_s + FAILURE_MEMORY_S
        self._failures[key] = failures
        while len(self._failures) > WRONG_REMEMBERED_MAX:
            self._failures.popitem(last=False)
        if failures.count <= FREE_FAILURES:
            return Verdict.WRONG
        if self._delayed >= DELAYED_MAX:
            return Verdict.BUSY
        self._delayed += 1
        try:
            extra = failures.count - FREE_FAILURES
            await asyncio.sleep(min(FAILURE_DELAY_S * extra, DELAY_MAX_S))
        finally:
            self._delayed -= 1
        return Verdict.WRONG

    def _mark(self, station_id: str, password: bytes, password_hash: str) -> bytes:
        text = b"\0".join((station_id.encode(), password_hash.encode(), password))
        return hmac.digest(self._key, text, "sha256")
