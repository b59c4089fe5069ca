"""Orders to real stations over HTTP: any OCPP request, and transactions to look at."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pendel.api.auth import Caller, Right
from pendel.api.network_views import transactions
from pendel.api.operation_modes import put_operation_mode
from pendel.api.problems import HttpError
from pendel.api.service import (
    Service,
    caller_of,
    decoded,
    demand,
    json_response,
    listed,
    read_body,
    service_of,
)
from pendel.comms.ocpp.der_rules import problems_of
from pendel.comms.ocpp.peer import Answered, Failed
from pendel.runtime.bridges.order_guard import guarded
from pendel.runtime.bridges.order_rules import refusal_of
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_orders import InvalidOrderError, OfflineError

BASE = "/api/v1"


class CommandBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/v1/stations/{station_id}/commands: an OCPP request and how long to wait."""

    action: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    payload: dict[str, Any] = {}
    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=300.0)] = 30.0


def network_routes() -> list[Route]:
    """Routes of the charging network."""
    return [
        Route(f"{BASE}/transactions", get_transactions),
        Route(f"{BASE}/stations/{{station_id}}/commands", post_command, methods=["POST"]),
        Route(
            f"{BASE}/evses/{{station_id}}/{{evse_id}}/operation_mode",
            put_operation_mode,
            methods=["PUT"],
        ),
    ]


async def get_transactions(request: Request) -> Response:
    """GET /api/v1/transactions?station_id=."""
    service, caller = service_of(request), caller_of(request)
    station_id = request.query_params.get("station_id")
    items = transactions(service.network, station_id, caller.sites)
    return listed(request, items, "key")


async def post_command(request: Request) -> Response:
    """POST /api/v1/stations/{station_id}/commands -> 200 with the station's answer."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.COMMAND)
    station_id = request.path_params["station_id"]
    network = network_of(service, caller, station_id)
    body = await read_body(request)
    wish = decoded(body, CommandBody)

    if wish.action == "SetDERControl":
        problems = problems_of(wish.payload)
        if problems:
            raise HttpError(422, "; ".join(problems))

    def act() -> Response:
        spoken = network.csms.network.station(station_id).ocpp_version
        refusal = refusal_of(spoken, wish.action, wish.payload)
        if refusal:
            raise HttpError(422, refusal)
        payload, reasons = _inside_limits(service, station_id, wish)
        sent = _sent(network, station_id, wish, payload)
        return json_response({**sent, "reasons": reasons} if reasons else sent)

    return await run_in_threadpool(service.once, caller, request, body, act)


def network_of(service: Service, caller: Caller, station_id: str) -> ChargingNetwork:
    """The network, when the station is one of the caller's; 404 otherwise."""
    network = service.network
    station = None if network is None else network.policy.stations.get(station_id)
    if network is None or station is None or not caller.sees(station.site_id):
        raise HttpError(404, f"no station {station_id!r}")
    return network


def _inside_limits(
    service: Service, station_id: str, wish: CommandBody
) -> tuple[dict[str, Any], list[str]]:
    """The payload inside the limits of the site, and what was cut."""
    site = None if service.bridge is None else service.bridge.site_of.get(station_id)
    if site is None:
        return wish.payload, []
    place = wish.payload.get("evseId", wish.payload.get("connectorId", 0))
    with service.runtime.reading():
        band = site.band_of(station_id, place if isinstance(place, int) else 0, datetime.now(UTC))
    found = guarded(wish.action, wish.payload, band)
    if found.refusal:
        raise HttpError(422, found.refusal)
    return found.payload, found.reasons


def _sent(
    network: ChargingNetwork, station_id: str, wish: CommandBody, payload: dict[str, Any]
) -> dict[str, Any]:
    try:
        event = network.command(station_id, wish.action, payload, wish.timeout_s)
    except OfflineError as error:
        raise HttpError(409, str(error)) from error
    except InvalidOrderError as error:
        raise HttpError(422, str(error)) from error
    except OverflowError as error:
        raise HttpError(503, str(error)) from error
    if isinstance(event, Answered):
        return {
            "message_id": event.message_id,
            "status": str(getattr(event.response, "status", "Accepted")),
            "response": msgspec.to_builtins(event.response),
        }
    if isinstance(event, Failed) and event.code == "Timeout":
        raise HttpError(504, f"{station_id} did not answer within {wish.timeout_s:g} s")
    if isinstance(event, Failed) and event.code == "ConnectionLost":
        raise HttpError(409, f"station {station_id!r} went offline")
    code = event.code if isinstance(event, Failed) else "GenericError"
    text = event.description if isinstance(event, Failed) else ""
    return {
        "message_id": getattr(event, "message_id", ""),
        "status": code,
        "response": {"error": code, "description": text},
    }
