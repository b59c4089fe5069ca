"""The roots of a station over HTTP: what was found there last, and a look now."""

import asyncio
from typing import Any

from cryptography import x509
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pendel.adapters.certificate_authority import common_name
from pendel.api.auth import Right
from pendel.api.network_commands import BASE, network_of
from pendel.api.problems import HttpError
from pendel.api.service import caller_of, demand, json_response, service_of
from pendel.runtime.network_orders import OfflineError
from pendel.runtime.root_keeping import Pass, RootKeeper

ANSWER_S = 120.0


def root_routes() -> list[Route]:
    """Routes of the roots of stations."""
    path = f"{BASE}/stations/{{station_id}}/roots"
    return [Route(path, get_roots), Route(path, post_roots, methods=["POST"])]


async def get_roots(request: Request) -> Response:
    """GET /api/v1/stations/{station_id}/roots: the last look; 404 before the first."""
    station_id = request.path_params["station_id"]
    found = _keeper(request).passes.get(station_id)
    if found is None:
        raise HttpError(404, f"the roots of station {station_id!r} were not looked at yet")
    return json_response(_view(found))


async def post_roots(request: Request) -> Response:
    """POST /api/v1/stations/{station_id}/roots: look now, install and delete what is due."""
    demand(caller_of(request), Right.COMMAND)
    keeper, station_id = _keeper(request), request.path_params["station_id"]
    network = network_of(service_of(request), caller_of(request), station_id)
    try:
        future = network.run(keeper.keep(station_id))
        found = await asyncio.wait_for(asyncio.wrap_future(future), ANSWER_S)
    except OfflineError as error:
        raise HttpError(409, str(error)) from error
    except OverflowError as error:
        raise HttpError(503, str(error)) from error
    except TimeoutError as error:
        raise HttpError(504, f"{station_id} did not answer within {ANSWER_S:g} s") from error
    return json_response(_view(found))


def _keeper(request: Request) -> RootKeeper:
    service, caller = service_of(request), caller_of(request)
    network = network_of(service, caller, request.path_params["station_id"])
    if network.watch.roots is None:
        raise HttpError(409, "no [[root]] is configured: the roots of stations are not kept")
    return network.watch.roots


def _view(found: Pass) -> dict[str, Any]:
    def rows(pairs: list[tuple[str, x509.Certificate]]) -> list[dict[str, str]]:
        return [
            {
                "type": kind,
                "name": common_name(each),
                "serial_number": f"{each.serial_number:040x}",
                "not_after_utc": f"{each.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            }
            for kind, each in pairs
        ]

    return {
        "station_id": found.station_id,
        "at_utc": f"{found.at_utc:%Y-%m-%dT%H:%M:%SZ}",
        "kept": rows(found.kept),
        "installed": rows(found.installed),
        "deleted": rows(found.deleted),
        "problems": found.problems,
    }
