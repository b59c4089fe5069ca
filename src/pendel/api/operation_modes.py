"""PUT /api/v1/evses/{station_id}/{evse_id}/operation_mode."""

from typing import Annotated, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pendel.api.auth import Right
from pendel.api.commands import demand_device
from pendel.api.problems import HttpError
from pendel.api.service import (
    Service,
    caller_of,
    decoded,
    demand,
    json_response,
    read_body,
    service_of,
)
from pendel.runtime.bridges.ocpp_site import OcppSite
from pendel.runtime.bridges.wire_profiles import Mode
from pendel.units import POWER_MAX_KW

CURVE_POINTS_MAX = 20
Power = Annotated[float, msgspec.Meta(ge=-POWER_MAX_KW, le=POWER_MAX_KW)]


class CurvePoint(msgspec.Struct, forbid_unknown_fields=True):
    """A point of a curve: frequency_hz (LocalFrequency) or signal (CentralFrequency)."""

    power_kw: Power
    frequency_hz: Annotated[float, msgspec.Meta(ge=0.0, le=1_000.0)] | None = None
    signal: int | None = None


class OperationModeBody(msgspec.Struct, forbid_unknown_fields=True):
    """What an EVSE with a bidirectional car does, in the words of OCPP 2.1."""

    operation_mode: Literal[
        "Idle",
        "ChargingOnly",
        "CentralSetpoint",
        "ExternalSetpoint",
        "ExternalLimits",
        "CentralFrequency",
        "LocalFrequency",
        "LocalLoadBalancing",
    ]
    baseline_kw: Power = 0.0
    curve: Annotated[list[CurvePoint], msgspec.Meta(max_length=CURVE_POINTS_MAX)] = []


async def put_operation_mode(request: Request) -> Response:
    """-> 202 with the id of the order."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.SETPOINT)
    body = await read_body(request)
    wish = decoded(body, OperationModeBody)
    station_id, evse_id = request.path_params["station_id"], request.path_params["evse_id"]
    device_id = f"{station_id}/{evse_id}"
    demand_device(service, caller, device_id)
    mode = mode_of(wish)
    site = _site(service, station_id)

    def act() -> Response:
        runtime = service.runtime
        with runtime.reading():
            note = site.set_mode(runtime, device_id, mode, caller.name)
        return json_response(
            {
                "id": note.id,
                "operation_mode": mode.name,
                "baseline_kw": mode.baseline_kw,
                "curve": msgspec.to_builtins(wish.curve),
            },
            202,
        )

    return await run_in_threadpool(service.once, caller, request, body, act)


def mode_of(wish: OperationModeBody) -> Mode:
    """The mode of a body. Raises HttpError 422 where the curve does not belong to it."""
    points: list[tuple[float, float]] = []
    axis = {"LocalFrequency": "frequency_hz", "CentralFrequency": "signal"}.get(wish.operation_mode)
    for point in wish.curve:
        x = None if axis is None else getattr(point, axis)
        other = point.signal if axis == "frequency_hz" else point.frequency_hz
        if x is None or other is not None:
            raise HttpError(422, f"{wish.operation_mode}: curve points are {axis or 'not used'}")
        points.append((float(x), point.power_kw))
    if wish.operation_mode == "LocalFrequency" and len(points) < 2:
        raise HttpError(422, "LocalFrequency needs a curve of 2 points or more (frequency_hz)")
    xs = [x for x, _ in points]
    if xs != sorted(set(xs)):
        raise HttpError(422, "the points of a curve ascend")
    return Mode(wish.operation_mode, wish.baseline_kw, tuple(points))


def _site(service: Service, station_id: str) -> OcppSite:
    site = None if service.bridge is None else service.bridge.site_of.get(station_id)
    if site is None:
        raise HttpError(409, f"station {station_id!r} is simulated and knows setpoints only")
    return site
