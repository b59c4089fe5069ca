"""The HTTP application: routes, the gate in front of them, errors as problem+json."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pendel.api import commands, views
from pendel.api.der_controls import der_routes
from pendel.api.live import get_events
from pendel.api.metrics import CONTENT_TYPE, metrics_text
from pendel.api.network_commands import network_routes
from pendel.api.network_views import completed
from pendel.api.ocsp import ocsp_routes
from pendel.api.openapi import openapi_document
from pendel.api.problems import HttpError, as_problem, problem_response
from pendel.api.roots import root_routes
from pendel.api.service import Service, caller_of, json_response, listed, service_of
from pendel.api.station_settings import settings_routes
from pendel.errors import PendelError
from pendel.runtime.causes import Node, as_data, chain

GUARDED = ("/api/v1", "/events", "/metrics")
SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def create_app(service: Service, pages: Sequence[BaseRoute] = ()) -> Starlette:
    """The application of a service, with the given pages beside the API."""
    app = Starlette(
        routes=[*api_routes(), *ocsp_routes(), *pages],
        exception_handlers={
            HttpError: _http_error,
            PendelError: _pendel_error,
            HTTPException: _plain_error,
            Exception: _fault,
        },
    )
    app.state.service = service
    app.add_middleware(GateMiddleware, service=service)
    app.add_middleware(GZipMiddleware, minimum_size=1_000)
    return app


def api_routes() -> list[Route]:
    """Everything but pages."""
    base = "/api/v1"
    return [
        Route("/healthz", get_health),
        Route("/readyz", get_ready),
        Route("/metrics", get_metrics),
        Route("/openapi.json", get_openapi),
        Route("/events", get_events),
        Route(f"{base}/stations", get_stations),
        Route(f"{base}/sessions", get_sessions),
        Route(
            f"{base}/sessions/{{session_id:path}}/promise", commands.put_promise, methods=["PUT"]
        ),
        Route(f"{base}/sessions/{{session_id:path}}", get_session),
        Route(f"{base}/sites/{{site_id}}/limits", get_limits),
        Route(f"{base}/sites/{{site_id}}/limits", commands.post_limit, methods=["POST"]),
        Route(
            f"{base}/sites/{{site_id}}/limits/{{limit_id}}",
            commands.delete_limit,
            methods=["DELETE"],
        ),
        Route(
            f"{base}/evses/{{station_id}}/{{evse_id}}/setpoint",
            commands.post_setpoint,
            methods=["POST"],
        ),
        Route(f"{base}/explain/{{record_id:path}}", get_explain),
        *network_routes(),
        *settings_routes(),
        *der_routes(),
        *root_routes(),
    ]


class GateMiddleware:
    """Who may pass: before path and body are looked at. Adds the security headers to all."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY_HEADERS]
            await send(message)

        request = Request(scope)
        gate, path = self.service.gate, request.url.path
        if not gate.admits(request.headers):
            refused = problem_response(HttpError(421, "this server answers on loopback only"))
            await refused(scope, receive, send_secured)
            return
        caller = gate.caller(request.headers)
        if caller is None and any(path == p or path.startswith(f"{p}/") for p in GUARDED):
            refused = problem_response(
                HttpError(401, "a token is needed", headers={"WWW-Authenticate": "Bearer"})
            )
            await refused(scope, receive, send_secured)
            return
        request.state.caller = caller
        await self.app(scope, receive, send_secured)


async def get_health(request: Request) -> Response:
    """GET /healthz: 200 while the process answers."""
    return json_response({"status": "ok"})


async def get_ready(request: Request) -> Response:
    """GET /readyz: 200 when every part works, else 503 naming those that do not."""
    parts = {name: works() for name, works in service_of(request).ready.items()}
    return json_response(
        {"ready": all(parts.values()), "parts": parts}, 200 if all(parts.values()) else 503
    )


async def get_metrics(request: Request) -> Response:
    """GET /metrics."""
    runtime = service_of(request).runtime
    with runtime.reading():
        return PlainTextResponse(metrics_text(runtime), media_type=CONTENT_TYPE)


async def get_openapi(request: Request) -> Response:
    """GET /openapi.json."""
    return json_response(openapi_document())


async def get_stations(request: Request) -> Response:
    """GET /api/v1/stations."""
    service = service_of(request)
    runtime = service.runtime
    with runtime.reading():
        items = completed(views.stations(runtime, caller_of(request).sites), service.network)
        return listed(request, items, "station_id")


async def get_sessions(request: Request) -> Response:
    """GET /api/v1/sessions."""
    runtime = service_of(request).runtime
    with runtime.reading():
        return listed(request, views.sessions(runtime, caller_of(request).sites), "session_id")


async def get_session(request: Request) -> Response:
    """GET /api/v1/sessions/{id}."""
    runtime, session_id = service_of(request).runtime, request.path_params["session_id"]
    with runtime.reading():
        view = commands.visible_session(runtime, caller_of(request), session_id)
        return json_response(views.session(runtime, view))


async def get_limits(request: Request) -> Response:
    """GET /api/v1/sites/{id}/limits: what stands, in force now or later."""
    runtime, site_id = service_of(request).runtime, request.path_params["site_id"]
    with runtime.reading() as state:
        if not caller_of(request).sees(site_id):
            raise HttpError(404, f"no site {site_id!r}")
        runtime.area_of(site_id)
        standing = [views.limit(e) for e in state.limits.values() if e.site_id == site_id]
        return listed(request, sorted(standing, key=lambda e: str(e["limit_id"])), "limit_id")


async def get_explain(request: Request) -> Response:
    """GET /api/v1/explain/{id}: the tree of causes."""
    runtime, record_id = service_of(request).runtime, request.path_params["record_id"]
    tree = await run_in_threadpool(chain, runtime.store, record_id)
    sites = caller_of(request).sites
    if sites is not None and getattr(tree.record, "site_id", None) not in sites:
        raise HttpError(404, f"nothing has the id {record_id!r}")
    return json_response(as_data(visible(tree, sites)))


def visible(tree: Node, sites: frozenset[str] | None) -> Node:
    """The tree without what belongs to sites of others."""
    if sites is not None:
        own = [c for c in tree.causes if getattr(c.record, "site_id", None) in (None, *sites)]
        tree.causes = [visible(child, sites) for child in own]
    return tree


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HttpError):
        raise error
    return problem_response(error)


async def _pendel_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, PendelError):
        raise error
    return problem_response(as_problem(error))


async def _plain_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem_response(
        HttpError(error.status_code, error.detail, headers=dict(error.headers or {}))
    )


async def _fault(request: Request, error: Exception) -> Response:
    return problem_response(HttpError(500, "a fault of the program; the log has it"))
