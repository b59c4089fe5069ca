"""What handlers share: the runtime, the gate, and whether the process is ready or ending."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pendel.api.auth import Caller, Gate, Right
from pendel.api.problems import HttpError
from pendel.runtime.bridges.ocpp_bridge import OcppBridge
from pendel.runtime.engine import Runtime
from pendel.runtime.network import ChargingNetwork

BODY_BYTES_MAX = 64 * 1024
PAGE_DEFAULT, PAGE_MAX = 100, 1_000
REPLAYS_MAX = 10_000
KEY_CHARACTERS_MAX = 255
UNDER_WAY_MAX_S = 60.0
"""Longest wait for the answer to the first request with the same key [s]."""

Body = TypeVar("Body")


@dataclass(slots=True)
class UnderWay:
    """A request with an `Idempotency-Key` that has no answer yet."""

    fingerprint: bytes
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Service:
    """One per process. ready: name of a part -> whether it works (all must for /readyz)."""

    runtime: Runtime
    gate: Gate
    ready: dict[str, Callable[[], bool]] = field(default_factory=dict)
    ending: threading.Event = field(default_factory=threading.Event)
    streams: int = 0
    network: ChargingNetwork | None = None
    bridge: OcppBridge | None = None
    _replays: OrderedDict[tuple[str, str], tuple[bytes, Response]] = field(
        default_factory=OrderedDict
    )
    _replay_lock: threading.Lock = field(default_factory=threading.Lock)
    _under_way: dict[tuple[str, str], UnderWay] = field(default_factory=dict)

    def once(
        self, caller: Caller, request: Request, body: bytes, act: Callable[[], Response]
    ) -> Response:
        """Run a command; with an `Idempotency-Key` only the first time, later the same answer.

        The same key while the first request is under way waits for its answer; 409 where that
        takes too long. What failed left nothing behind and may be tried again."""
        key = request.headers.get("idempotency-key")
        if key is None:
            return act()
        if not 0 < len(key) <= KEY_CHARACTERS_MAX:
            raise HttpError(400, f"Idempotency-Key: 1 to {KEY_CHARACTERS_MAX} characters")
        fingerprint = f"{request.method} {request.url.path}\n".encode() + body
        name = (caller.name, key)
        mine = UnderWay(fingerprint)
        while (other := self._begin(name, mine)) is not mine:
            if isinstance(other, Response):
                return other
            if not other.done.wait(UNDER_WAY_MAX_S):
                raise HttpError(409, "the first request with this Idempotency-Key is under way")
        try:
            response = act()
            with self._replay_lock:
                self._replays[name] = (fingerprint, response)
                while len(self._replays) > REPLAYS_MAX:
                    self._replays.popitem(last=False)
            return response
        finally:
            with self._replay_lock:
                del self._under_way[name]
            mine.done.set()

    def _begin(self, name: tuple[str, str], mine: UnderWay) -> "Response | UnderWay":
        """The answer a key has; else the request under way with it: another one, or mine."""
        with self._replay_lock:
            known = self._replays.get(name)
            other = self._under_way.get(name, mine)
            first = other.fingerprint if known is None else known[0]
            if first != mine.fingerprint:
                raise HttpError(422, "this Idempotency-Key belongs to another request")
            if known is not None:
                return known[1]
            self._under_way[name] = other
            return other


def service_of(request: Request) -> Service:
    """The service of an app."""
    service: Service = request.app.state.service
    return service


def caller_of(request: Request) -> Caller:
    """Who asks; the gate in front has made sure that there is somebody."""
    caller: Caller = request.state.caller
    return caller


def demand(caller: Caller, right: Right) -> None:
    """403 unless the caller's role has the right."""
    if not caller.may(right):
        raise HttpError(403, f"role {caller.role} may not do this")


def demand_site(caller: Caller, site_id: str) -> None:
    """404 for what another tenant owns: not even its being there is told."""
    if not caller.sees(site_id):
        raise HttpError(404, f"no site {site_id!r}")


async def read_body(request: Request) -> bytes:
    """The body, at most BODY_BYTES_MAX (413 beyond)."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise HttpError(413, f"at most {BODY_BYTES_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def decoded(body: bytes, kind: type[Body]) -> Body:
    """The typed body; 400 where it is no JSON, 422 where it is not of this kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise HttpError(422, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HttpError(400, f"not JSON: {error}") from error


def json_response(data: Any, status: int = 200) -> Response:
    """Data as JSON."""
    return Response(msgspec.json.encode(data), status, media_type="application/json")


def listed(request: Request, items: Sequence[dict[str, Any]], key: str) -> Response:
    """A page of items sorted by key: `{"items": [...], "next": cursor|null}`."""
    text = request.query_params.get("limit", str(PAGE_DEFAULT))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= PAGE_MAX:
        raise HttpError(400, f"limit: 1 to {PAGE_MAX}")
    limit, after = int(text[:9]), request.query_params.get("cursor")
    rest = [item for item in items if after is None or str(item[key]) > after]
    more = len(rest) > limit
    return json_response(
        {"items": rest[:limit], "next": str(rest[limit - 1][key]) if more else None}
    )
