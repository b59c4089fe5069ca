"""What an operator decides about real stations and tokens over HTTP: boot, password, security
profile, lists, tokens."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pendel.api.auth import Right
from pendel.api.bodies import When
from pendel.api.network_commands import network_of
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
from pendel.api.views import utc_or_none
from pendel.comms.ocpp.backend.tokens import IdToken
from pendel.comms.ocpp.release import Version
from pendel.config.ocpp import BootName, Group, TokenType
from pendel.errors import StoreError
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_duties import StationDuties
from pendel.runtime.network_orders import OfflineError
from pendel.runtime.profile_upgrade import ProfileError, Upgrade, raise_profile
from pendel.runtime.secret_orders import password_order, status_of

BASE = "/api/v1"
STORE_TIMEOUT_S = 10.0
ORDERS_MAX = 4
PASSWORD_16_CHARS_MAX = 20
TOKEN_CHARS_MAX = 255
_Timeout = Annotated[float, msgspec.Meta(gt=0.0, le=300.0)]


class BootBody(msgspec.Struct, forbid_unknown_fields=True):
    """PUT /api/v1/stations/{station_id}/boot: what the station is told when it boots."""

    boot: BootName


class PasswordBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/v1/stations/{station_id}/password; password absent: one is made and never shown."""

    password: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{16,40}\Z")] | None = None
    timeout_s: _Timeout = 30.0


class SecurityProfileBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/v1/stations/{station_id}/security_profile; csms_url: of this server, 2.x."""

    security_profile: Annotated[int, msgspec.Meta(ge=1, le=3)]
    csms_url: Annotated[str, msgspec.Meta(pattern=r"^wss?://[!-~]+\Z", max_length=512)] = ""
    slot: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 2
    interface: Annotated[str, msgspec.Meta(pattern=r"^(Wired|Wireless)[0-3]\Z")] = "Wired0"
    message_timeout_s: Annotated[int, msgspec.Meta(ge=1, le=3_600)] = 30
    reset: Literal["OnIdle", "Immediate"] = "OnIdle"
    timeout_s: _Timeout = 30.0


class LocalListBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/v1/stations/{station_id}/local_list; full: all of it, else what it lacks."""

    full: bool = False
    timeout_s: _Timeout = 60.0


class IdTokenBody(msgspec.Struct, forbid_unknown_fields=True):
    """PUT /api/v1/id_tokens/{token}: as [[id_token]] in the configuration."""

    type: TokenType = "ISO14443"
    group: Group = ""
    status: Literal["Accepted", "Blocked", "Invalid"] = "Accepted"
    valid_until: When | None = None
    concurrent: bool = True


def settings_routes() -> list[Route]:
    """Routes of what operators decide."""
    station = f"{BASE}/stations/{{station_id}}"
    token = f"{BASE}/id_tokens/{{token}}"
    return [
        Route(f"{station}/boot", put_boot, methods=["PUT"]),
        Route(f"{station}/password", post_password, methods=["POST"]),
        Route(f"{station}/security_profile", post_security_profile, methods=["POST"]),
        Route(f"{station}/local_list", post_local_list, methods=["POST"]),
        Route(f"{BASE}/id_tokens", get_id_tokens),
        Route(token, put_id_token, methods=["PUT"]),
        Route(token, delete_id_token, methods=["DELETE"]),
    ]


async def put_boot(request: Request) -> Response:
    """PUT /api/v1/stations/{station_id}/boot -> 200 with what it is told from now on."""
    return await _station_order(request, BootBody, _set_boot)


async def post_password(request: Request) -> Response:
    """POST /api/v1/stations/{station_id}/password -> 200 with what the station said."""
    return await _station_order(request, PasswordBody, _set_password)


async def post_security_profile(request: Request) -> Response:
    """POST /api/v1/stations/{station_id}/security_profile -> 200 with each step."""
    return await _station_order(request, SecurityProfileBody, _set_profile)


async def post_local_list(request: Request) -> Response:
    """POST /api/v1/stations/{station_id}/local_list -> 200 with what the station said."""
    return await _station_order(request, LocalListBody, _send_list)


async def get_id_tokens(request: Request) -> Response:
    """GET /api/v1/id_tokens: every token that is known."""
    network = _all_tokens(request)
    tokens = network.policy.tokens
    now_utc = network.now_utc()
    items = [_token(each, tokens.info(each.token, now_utc).status) for each in tokens.listed()]
    return listed(request, sorted(items, key=lambda item: str(item["token"])), "token")


async def put_id_token(request: Request) -> Response:
    """PUT /api/v1/id_tokens/{token} -> 200 with the token."""
    network, body = _all_tokens(request), await read_body(request)
    wish = decoded(body, IdTokenBody)
    name = request.path_params["token"]
    if len(name) > TOKEN_CHARS_MAX or not name.isprintable():
        raise HttpError(422, f"a token has at most {TOKEN_CHARS_MAX} characters that can be seen")
    entry = IdToken(name, **msgspec.structs.asdict(wish))
    return await _token_order(request, network, body, name, entry)


async def delete_id_token(request: Request) -> Response:
    """DELETE /api/v1/id_tokens/{token} -> 204; lists at stations follow."""
    network, body = _all_tokens(request), await read_body(request)
    name = request.path_params["token"]
    if network.policy.tokens.get(name) is None:
        raise HttpError(404, f"no token {name!r}")
    return await _token_order(request, network, body, name, None)


def _all_tokens(request: Request) -> ChargingNetwork:
    """The network, for a caller who may see the tokens of all sites."""
    service, caller = service_of(request), caller_of(request)
    demand(caller, Right.COMMAND)
    if caller.sites is not None:
        raise HttpError(403, "tokens are those of all sites; this access is to some only")
    if service.network is None:
        raise HttpError(404, "no charging network is served here")
    return service.network


async def _token_order(
    request: Request, network: ChargingNetwork, body: bytes, name: str, entry: IdToken | None
) -> Response:
    service, caller = service_of(request), caller_of(request)

    def act() -> Response:
        work = network.settings.set_token(name, entry)
        _told(lambda: network.wait_for(work, STORE_TIMEOUT_S))
        if entry is None:
            return Response(status_code=204)
        return json_response(_token(entry, entry.status_at(network.now_utc())))

    return await run_in_threadpool(service.once, caller, request, body, act)


def _token(entry: IdToken, status: str) -> dict[str, Any]:
    return {
        "token": entry.token,
        "type": entry.type,
        "group": entry.group or None,
        "status": status,
        "valid_until": utc_or_none(entry.ends_utc),
        "concurrent": entry.concurrent,
    }


Act = Callable[[Service, ChargingNetwork, str, Any], dict[str, Any]]


async def _station_order(request: Request, kind: type[Any], act: Act) -> Response:
    """Run an order to one of the caller's stations."""
    caller, service = caller_of(request), service_of(request)
    demand(caller, Right.COMMAND)
    station_id = request.path_params["station_id"]
    network = network_of(service, caller, station_id)
    body = await read_body(request)
    wish = decoded(body or b"{}", kind)

    def run() -> Response:
        return json_response(_told(lambda: act(service, network, station_id, wish)))

    return await run_in_threadpool(service.once, caller, request, body, run)


def _told(act: Callable[[], Any]) -> Any:
    """What an order gives; what went wrong as a problem."""
    try:
        return act()
    except ProfileError as error:
        raise HttpError(422, str(error)) from error
    except OfflineError as error:
        raise HttpError(409, str(error)) from error
    except (OverflowError, StoreError, TimeoutError) as error:
        raise HttpError(503, str(error) or "the network does not answer") from error


def _set_boot(
    service: Service, network: ChargingNetwork, station_id: str, wish: BootBody
) -> dict[str, Any]:
    network.wait_for(network.settings.set_boot(station_id, wish.boot), STORE_TIMEOUT_S)
    return {"station_id": station_id, "boot": wish.boot}


def _set_password(
    service: Service, network: ChargingNetwork, station_id: str, wish: PasswordBody
) -> dict[str, Any]:
    settings, version = network.settings, network.version_of(station_id)
    if wish.password is None:
        action, request = settings.made_password(version)
    else:
        if version is Version.V16 and len(wish.password) > PASSWORD_16_CHARS_MAX:
            raise HttpError(422, "OCPP 1.6 carries passwords of 16 to 20 characters")
        action, request = password_order(version, wish.password)
    work = settings.change_password(station_id, action, request, wish.timeout_s)
    event = network.wait_for(work, wish.timeout_s)
    return {"status": status_of(action, event) or str(getattr(event, "code", "Unknown"))}


def _set_profile(
    service: Service, network: ChargingNetwork, station_id: str, wish: SecurityProfileBody
) -> dict[str, Any]:
    fields = msgspec.structs.asdict(wish)
    timeout_s = fields.pop("timeout_s")
    work = raise_profile(network, station_id, Upgrade(**fields), timeout_s)
    steps = network.wait_for(work, timeout_s * ORDERS_MAX)
    told = [{"action": action, "status": status} for action, status in steps]
    return {"status": told[-1]["status"], "steps": told}


def _send_list(
    service: Service, network: ChargingNetwork, station_id: str, wish: LocalListBody
) -> dict[str, Any]:
    duties = network.duties
    if not isinstance(duties, StationDuties):
        raise HttpError(404, "this network sends no lists")
    if not network.online(station_id):
        raise HttpError(409, f"station {station_id!r} is offline")
    status = network.wait_for(duties.send_list(station_id, wish.full), wish.timeout_s)
    held = network.csms.network.station(station_id).local_list
    return {"status": status, "version": held.version, "tokens": len(held.entries)}
