"""What can be ordered over HTTP: a promise, a limit, an operator's setpoint."""

from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pendel.api import views
from pendel.api.auth import Caller, Right, Role
from pendel.api.bodies import LimitBody, PromiseBody, SetpointBody
from pendel.api.problems import HttpError
from pendel.api.service import (
    Service,
    caller_of,
    decoded,
    demand,
    demand_site,
    json_response,
    read_body,
    service_of,
)
from pendel.clock import as_utc
from pendel.records import Limit, Needs, Setpoint
from pendel.runtime.engine import Runtime
from pendel.runtime.state import SessionView

OWN_WISH = frozenset({Role.DRIVER, Role.OWNER, Role.ADMIN})
"""Whose wishes are the driver's own; all others can only tighten a promise."""


def visible_session(runtime: Runtime, caller: Caller, session_id: str) -> SessionView:
    """An open session of the caller's sites; 404 otherwise."""
    view = runtime.state.sessions.get(session_id)
    if view is None or not caller.sees(view.event.site_id):
        raise HttpError(404, f"no open session {session_id!r}")
    return view


async def put_promise(request: Request) -> Response:
    """PUT /api/v1/sessions/{id}/promise -> the session with its new promise."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.PROMISE)
    body = await read_body(request)
    wish = decoded(body, PromiseBody)
    session_id = request.path_params["session_id"]

    def act() -> Response:
        runtime = service.runtime
        with runtime.reading():
            set_promise(runtime, caller, session_id, wish)
            return json_response(views.session(runtime, runtime.session(session_id)))

    return await run_in_threadpool(service.once, caller, request, body, act)


def set_promise(runtime: Runtime, caller: Caller, session_id: str, wish: PromiseBody) -> None:
    """Turn shares of the battery into a wish. Raises HttpError, InputError, StoreError."""
    view = visible_session(runtime, caller, session_id)
    capacity = view.event.capacity_kwh
    source = "driver" if caller.role in OWN_WISH else str(caller.role)
    before = view.wishes.get(source)
    if source != "driver" and wish.paused:
        raise HttpError(403, "only the driver can pause")
    runtime.set_needs(
        Needs(
            id="",
            at_utc=view.event.at_utc,
            session_id=session_id,
            target_kwh=None if wish.target_soc is None else wish.target_soc * capacity,
            energy_min_kwh=None if wish.minimum_soc is None else wish.minimum_soc * capacity,
            ready_by_utc=None if wish.ready_by_utc is None else as_utc(wish.ready_by_utc),
            charge_now=wish.charge_now
            if wish.charge_now is not None
            else before is not None and before.charge_now,
            paused=wish.paused if wish.paused is not None else before is not None and before.paused,
            source=source,
        )
    )


async def post_limit(request: Request) -> Response:
    """POST /api/v1/sites/{id}/limits -> 201 with the limit."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.LIMIT)
    body = await read_body(request)
    wish, site_id = decoded(body, LimitBody), request.path_params["site_id"]
    demand_site(caller, site_id)
    if wish.import_limit_kw is None and wish.export_limit_kw is None:
        raise HttpError(422, "import_limit_kw or export_limit_kw must be named")
    begin = None if wish.from_utc is None else as_utc(wish.from_utc)
    end = None if wish.until_utc is None else as_utc(wish.until_utc)
    if begin is not None and end is not None and end <= begin:
        raise HttpError(422, "until_utc must be after from_utc")

    def act() -> Response:
        runtime = service.runtime
        with runtime.reading():
            runtime.area_of(site_id)
            stored = runtime.add_limit(
                Limit(
                    id="",
                    at_utc=datetime.now(UTC),  # given anew by the runtime's own clock
                    site_id=site_id,
                    source=wish.source,
                    import_limit_kw=wish.import_limit_kw,
                    export_limit_kw=wish.export_limit_kw,
                    from_utc=begin,
                    until_utc=end,
                )
            )
        return json_response(views.limit(stored), 201)

    return await run_in_threadpool(service.once, caller, request, body, act)


async def delete_limit(request: Request) -> Response:
    """DELETE /api/v1/sites/{id}/limits/{limit_id} -> 204."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.LIMIT)
    site_id, limit_id = request.path_params["site_id"], request.path_params["limit_id"]
    demand_site(caller, site_id)
    await run_in_threadpool(service.runtime.delete_limit, site_id, limit_id)
    return Response(status_code=204)


async def post_setpoint(request: Request) -> Response:
    """POST /api/v1/evses/{station_id}/{evse_id}/setpoint -> 202 with what was granted and why."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.SETPOINT)
    body = await read_body(request)
    wish = decoded(body, SetpointBody)
    device_id = f"{request.path_params['station_id']}/{request.path_params['evse_id']}"
    demand_device(service, caller, device_id)

    def act() -> Response:
        with service.runtime.reading():
            given = service.runtime.hand(device_id, wish.power_kw, wish.duration_s, caller.name)
        if isinstance(given, Setpoint):
            granted, reasons = given.power_kw, [given.reason]
        else:
            granted, reasons = 0.0, ["no car is plugged in"]
        return json_response(
            {
                "id": given.id,
                "requested_kw": wish.power_kw,
                "granted_kw": granted,
                "reasons": reasons,
            },
            202,
        )

    return await run_in_threadpool(service.once, caller, request, body, act)


def demand_device(service: Service, caller: Caller, device_id: str) -> None:
    """404 unless the device is at one of the caller's sites."""
    for area in service.runtime.areas:
        for station in area.stations:
            known = (f"{station.station_id}/{evse_id}" for evse_id in station.evse_ids)
            if caller.sees(station.site_id) and device_id in known:
                return
    raise HttpError(404, f"no EVSE {device_id!r}")
