"""Pages, rendered on the server: they work without JavaScript and under a strict content policy."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pendel.api.app import create_app, visible
from pendel.api.auth import COOKIE, Caller, Right
from pendel.api.commands import set_promise, visible_session
from pendel.api.problems import HttpError
from pendel.api.service import Service, demand, read_body, service_of
from pendel.control.warranty import calendar
from pendel.errors import InputError, NotFoundError
from pendel.runtime.area import Meters
from pendel.runtime.causes import as_data, chain
from pendel.runtime.warranting import budget_left, left_words
from pendel.web.forms import promise_from_form
from pendel.web.page_data import first_page, session_rows
from pendel.web.plot_style import PLOT_CSS, VARIABLES_CSS

HERE = Path(__file__).parent
COOKIE_AGE_S = 7 * 86_400


def create_web_app(service: Service) -> Starlette:
    """The API with its pages."""
    return create_app(service, page_routes())


def page_routes() -> Sequence[BaseRoute]:
    """First page, one session, why, sign in, static files."""
    return [
        Route("/", for_visitors(get_first)),
        Route("/login", get_login),
        Route("/login", post_login, methods=["POST"]),
        Route("/sessions/{session_id:path}", for_visitors(get_session)),
        Route("/sessions/{session_id:path}", post_session, methods=["POST"]),
        Route("/explain/{record_id:path}", for_visitors(get_explain)),
        Route("/static/plot.css", get_plot_css),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]


@cache
def templates() -> jinja2.Environment:
    """Templates with everything escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(name: str, data: dict[str, Any], status: int = 200) -> HTMLResponse:
    """A template as an answer that nobody keeps."""
    shown = {"simulated": False, "data_note": "", **data}
    text = templates().get_template(name).render(shown)
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


Handler = Callable[[Request, Caller], Awaitable[Response]]


def for_visitors(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A page that somebody known may see: visitors of a demo become known, others sign in."""

    async def answer(request: Request) -> Response:
        caller: Caller | None = request.state.caller
        if caller is not None:
            return await handler(request, caller)
        gate = service_of(request).gate
        if not gate.open_demo:
            return RedirectResponse("/login", 303)
        secret, visitor = gate.new_session()
        response = await handler(request, visitor)
        _set_cookie(response, secret)
        return response

    return answer


async def get_first(request: Request, caller: Caller) -> Response:
    """GET /: all areas."""
    service = service_of(request)
    fragment = request.headers.get("x-fragment") == "1"

    def render() -> Response:
        with service.runtime.reading():
            data = first_page(service.runtime, caller.sites)
        return page("first_live.html" if fragment else "first.html", data)

    return await run_in_threadpool(render)


async def get_login(request: Request) -> Response:
    """GET /login."""
    return page("login.html", {"wrong": False})


async def post_login(request: Request) -> Response:
    """POST /login: a token against a session."""
    fields = await _form(request)
    secret = service_of(request).gate.login(fields.get("token", ""))
    if secret is None:
        return page("login.html", {"wrong": True}, 401)
    response = RedirectResponse("/", 303)
    _set_cookie(response, secret)
    return response


async def get_session(request: Request, caller: Caller) -> Response:
    """GET /sessions/{id}."""
    session_id = request.path_params["session_id"]
    return await run_in_threadpool(_session_page, service_of(request), caller, session_id, [])


async def post_session(request: Request) -> Response:
    """POST /sessions/{id}: the driver's form; back to the page, with problems if there are any."""
    caller, service = _caller(request), service_of(request)
    demand(caller, Right.PROMISE)
    fields, session_id = await _form(request), request.path_params["session_id"]

    def act() -> Response:
        runtime = service.runtime
        try:
            with runtime.reading():
                view = visible_session(runtime, caller, session_id)
                zone = runtime.area_of(view.event.site_id).spec.timezone
                set_promise(runtime, caller, session_id, promise_from_form(fields, zone))
        except InputError as error:
            problems = [f"{p.field}: {p.problem} ({p.allowed})" for p in error.problems]
            return _session_page(service, caller, session_id, problems)
        return RedirectResponse(f"/sessions/{session_id}", 303)

    return await run_in_threadpool(act)


async def get_explain(request: Request, caller: Caller) -> Response:
    """GET /explain/{id}: the tree of causes."""
    record_id, service = request.path_params["record_id"], service_of(request)
    try:
        tree = await run_in_threadpool(chain, service.runtime.store, record_id)
    except NotFoundError as error:
        return page("message.html", {"heading": "Nothing found", "text": str(error)}, 404)
    if caller.sites is not None and getattr(tree.record, "site_id", None) not in caller.sites:
        return page("message.html", {"heading": "Nothing found", "text": record_id}, 404)
    data = as_data(visible(tree, caller.sites))
    data = {"kind": "", "at_utc": "", "text": "", **data}
    return page("explain.html", {"tree": _filled(data), "simulated": service.runtime.simulated})


async def get_plot_css(request: Request) -> Response:
    """GET /static/plot.css: colours and plots."""
    return Response(VARIABLES_CSS + PLOT_CSS, media_type="text/css")


def _session_page(
    service: Service, caller: Caller, session_id: str, problems: list[str]
) -> Response:
    runtime = service.runtime
    with runtime.reading() as state:
        try:
            view = visible_session(runtime, caller, session_id)
        except HttpError as error:
            text = f"{error.detail}; the car may have left."
            return page("message.html", {"heading": "Not here", "text": text}, 404)
        area = runtime.area_of(view.event.site_id)
        now_utc = runtime.now_utc or view.event.at_utc
        zone = ZoneInfo(area.spec.timezone)
        (row,) = session_rows([view], state, area.meters_now or Meters(now_utc), now_utc, zone)
        use = state.use.of(row.vehicle, *calendar(now_utc.timestamp(), area.spec.timezone))
        left = budget_left(area.spec, state, view, area.meters_now or Meters(now_utc))
        told = view.promise
        ready = (
            "" if told is None else told.ready_by_utc.astimezone(zone).strftime("%Y-%m-%dT%H:%M")
        )
        charge_now, paused = view.charge_now, view.paused
    data = {
        "row": row,
        "zone": area.spec.timezone,
        "ready_local": ready,
        "charge_now": charge_now,
        "paused": paused,
        "use_kwh": use.discharged_kwh,
        "use_hours": use.hours,
        "budget": "" if left is None else left_words(left),
        "budget_id": state.spent.get(view.event.vehicle_id, ""),
        "problems": problems,
        "simulated": runtime.simulated,
    }
    return page("session.html", data, 422 if problems else 200)


def _filled(node: dict[str, Any]) -> dict[str, Any]:
    """Every key a template asks for, in every node."""
    causes = [_filled(child) for child in node["causes"]]
    return {"kind": "", "at_utc": "", "text": "", "note": "", **node, "causes": causes}


def _caller(request: Request) -> Caller:
    """Who sends a form; strangers may not."""
    caller: Caller | None = request.state.caller
    if caller is None:
        raise HttpError(401, "open the first page or sign in")
    return caller


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form of this site; 403 where another site sent it."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and origin.partition("://")[2] != host:
        raise HttpError(403, "this form was sent by another site")
    body = await read_body(request)
    return dict(
        parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50)
    )


def _set_cookie(response: Response, secret: str) -> None:
    response.set_cookie(COOKIE, secret, max_age=COOKIE_AGE_S, httponly=True, samesite="strict")
