"""DER controls of stations and sites over HTTP (OCPP 2.1 block R)."""

from typing import Annotated, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pendel.api.auth import Caller, Right
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
from pendel.api.views import utc_or_none
from pendel.comms.ocpp.release import Version
from pendel.errors import InputError
from pendel.runtime.bridges.der_book import DerBook, Wanted, control_payload

BASE = "/api/v1"
ID_CHARACTERS_MAX = 36


class DerControlBody(msgspec.Struct, forbid_unknown_fields=True):
    """PUT .../der_controls/{control_id}: setting is the object of OCPP that belongs to the type
    (a curve, freqDroop, ...), with startTime and duration unless it is a default."""

    control_type: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    setting: dict[str, Any]
    is_default: bool = True


def der_routes() -> list[Route]:
    """Routes of DER controls."""
    station, site = f"{BASE}/stations/{{station_id}}", f"{BASE}/sites/{{site_id}}"
    one = "der_controls/{control_id}"
    return [
        Route(f"{station}/der_controls", get_controls),
        Route(f"{station}/{one}", put_control, methods=["PUT"]),
        Route(f"{station}/{one}", delete_control, methods=["DELETE"]),
        Route(f"{site}/{one}", put_control, methods=["PUT"]),
        Route(f"{site}/{one}", delete_control, methods=["DELETE"]),
    ]


async def get_controls(request: Request) -> Response:
    """GET: what is wanted at a station, what became of it, and the alarm that stands."""
    caller, service = caller_of(request), service_of(request)
    (station_id,) = _stations(service, caller, request)
    book = _book(service).book(station_id)
    items = [_shown(wanted) for _, wanted in sorted(book.wanted.items())]
    return json_response(
        {
            "items": items,
            "foreign": sorted(book.foreign),
            "alarm": _alarm(service, station_id),
            "next": None,
        }
    )


async def put_control(request: Request) -> Response:
    """PUT -> 202 with one entry per station; a control reaches a station when it is there."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.LIMIT)
    stations = _stations(service, caller, request)
    body = await read_body(request)
    wish, control_id = decoded(body, DerControlBody), _control_id(request)
    try:
        payload = control_payload(control_id, wish.control_type, wish.is_default, wish.setting)
    except InputError as error:
        raise HttpError(422, "; ".join(problem.problem for problem in error.problems)) from error
    book = _book(service)

    def act() -> Response:
        orders = []
        for station_id in stations:
            note = book.put(service.runtime, station_id, payload, caller.name)
            orders.append({"station_id": station_id, "id": note.id})
        return json_response({"control_id": control_id, "stations": orders}, 202)

    return await run_in_threadpool(service.once, caller, request, body, act)


async def delete_control(request: Request) -> Response:
    """DELETE -> 202 with one entry per station that had it; 404 where none had."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.LIMIT)
    stations, control_id = _stations(service, caller, request), _control_id(request)
    book = _book(service)

    def act() -> Response:
        orders = []
        for station_id in stations:
            note = book.drop(service.runtime, station_id, control_id, caller.name)
            if note is not None:
                orders.append({"station_id": station_id, "id": note.id})
        if not orders:
            raise HttpError(404, f"no DER control {control_id!r}")
        return json_response({"control_id": control_id, "stations": orders}, 202)

    return await run_in_threadpool(act)


def _control_id(request: Request) -> str:
    control_id = str(request.path_params["control_id"])
    if len(control_id) > ID_CHARACTERS_MAX:
        raise HttpError(422, f"control_id: at most {ID_CHARACTERS_MAX} characters")
    return control_id


def _book(service: Service) -> DerBook:
    if service.bridge is None:
        raise HttpError(409, "no station of this server speaks OCPP")
    return service.bridge.der


def _stations(service: Service, caller: Caller, request: Request) -> list[str]:
    """The station of the address, or those of its site that may know DER controls."""
    site_id, network = request.path_params.get("site_id"), service.network
    known = {} if network is None else network.policy.stations
    if site_id is not None:
        demand_site(caller, site_id)
        found = [s for s, configured in known.items() if configured.site_id == site_id]
        found = [s for s in found if _version(service, s) in ("", Version.V21.value)]
        if not found:
            raise HttpError(409, f"site {site_id!r} has no station of OCPP 2.1")
        return sorted(found)
    station_id = request.path_params["station_id"]
    station = known.get(station_id)
    if station is None or not caller.sees(station.site_id):
        raise HttpError(404, f"no station {station_id!r}")
    version = _version(service, station_id)
    if version not in ("", Version.V21.value):
        raise HttpError(409, f"station {station_id!r} speaks OCPP {version}, not 2.1")
    return [station_id]


def _version(service: Service, station_id: str) -> str:
    """The version a station spoke last; "" before it ever came."""
    if service.network is None:
        return ""
    station = service.network.csms.network.stations.get(station_id)
    return "" if station is None else station.ocpp_version


def _shown(wanted: Wanted) -> dict[str, Any]:
    return {
        "control_id": wanted.control_id,
        "control_type": wanted.control_type,
        "is_default": wanted.payload["isDefault"],
        "setting": wanted.body,
        "status": wanted.status,
        "reason": wanted.reason or None,
        "superseded": wanted.superseded,
        "running": wanted.running,
        "id": wanted.cause,
    }


def _alarm(service: Service, station_id: str) -> dict[str, Any] | None:
    network = service.network
    station = None if network is None else network.csms.network.stations.get(station_id)
    alarm = None if station is None else station.der_alarm
    if alarm is None:
        return None
    return {
        "control_type": alarm.control_type,
        "grid_event": alarm.grid_event or None,
        "since_utc": utc_or_none(alarm.since_utc),
        "id": alarm.record_id,
    }
