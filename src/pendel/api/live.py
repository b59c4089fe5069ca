"""Live events: one line of numbers after each round, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import StreamingResponse

from pendel.api.problems import HttpError
from pendel.api.service import Service, caller_of, service_of
from pendel.api.views import utc_or_none
from pendel.runtime.state import GRID_SUFFIX

STREAMS_MAX = 200
LOOK_S = 0.25
BEAT_S = 15.0


async def get_events(request: Request) -> StreamingResponse:
    """GET /events: `tick` events with the time, the health and each site's power."""
    service = service_of(request)
    if service.streams >= STREAMS_MAX:
        raise HttpError(503, f"at most {STREAMS_MAX} listeners", headers={"Retry-After": "10"})
    sites = caller_of(request).sites
    return StreamingResponse(
        _stream(service, sites),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(service: Service, sites: frozenset[str] | None) -> AsyncIterator[bytes]:
    service.streams += 1
    try:
        version, silent_s = -1, 0.0
        yield b"retry: 2000\n\n"
        while not service.ending.is_set():
            if service.runtime.version != version:
                version, silent_s = service.runtime.version, 0.0
                yield b"event: tick\ndata: " + _snapshot(service, sites) + b"\n\n"
            elif silent_s >= BEAT_S:
                silent_s = 0.0
                yield b": still here\n\n"
            await asyncio.sleep(LOOK_S)
            silent_s += LOOK_S
    finally:
        service.streams -= 1


def _snapshot(service: Service, sites: frozenset[str] | None) -> bytes:
    runtime = service.runtime
    with runtime.reading() as state:
        powers = {
            site: round(area.meters_now.kw(site + GRID_SUFFIX), 3)
            for area in runtime.areas
            if area.meters_now is not None
            for site in area.spec.site_id
            if sites is None or site in sites
        }
        return msgspec.json.encode(
            {
                "version": runtime.version,
                "now_utc": utc_or_none(runtime.now_utc),
                "health": runtime.health,
                "sessions": len(state.sessions),
                "promises_kept": state.promises_kept,
                "promises_total": state.promises_total,
                "site_power_kw": powers,
            }
        )
