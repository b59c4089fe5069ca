"""The responder of the own authority, where the configuration says so: RFC 6960, appendix A.

Open to everybody, as responders are: cars and stations have no token here. Off by default.
"""

import base64
import binascii
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pendel.adapters.certificate_desk import AuthorityDesk
from pendel.api.problems import HttpError
from pendel.api.service import service_of

REQUEST_BYTES_MAX = 4_096
CONTENT_TYPE = "application/ocsp-response"


def ocsp_routes() -> list[Route]:
    """POST /ocsp and GET /ocsp/{request}."""
    return [
        Route("/ocsp", post_ocsp, methods=["POST"]),
        Route("/ocsp/{request:path}", get_ocsp),
    ]


async def post_ocsp(request: Request) -> Response:
    """POST /ocsp: the request as it is (DER)."""
    desk = _desk(request)
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > REQUEST_BYTES_MAX:
            raise HttpError(413, f"more than {REQUEST_BYTES_MAX} bytes")
    return await _answered(desk, body)


async def get_ocsp(request: Request) -> Response:
    """GET /ocsp/{request}: the request in base64."""
    desk = _desk(request)
    text = unquote(request.path_params["request"])
    if len(text) > REQUEST_BYTES_MAX:
        raise HttpError(414, f"more than {REQUEST_BYTES_MAX} characters")
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        body = b""
    return await _answered(desk, body)


async def _answered(desk: AuthorityDesk, body: bytes) -> Response:
    made = await run_in_threadpool(desk.respond, body)
    return Response(made, media_type=CONTENT_TYPE)


def _desk(request: Request) -> AuthorityDesk:
    """The authority, where it answers strangers; 404 otherwise."""
    network = service_of(request).network
    security = None if network is None else network.watch.security
    if security is None or security.desk is None or not security.serves_ocsp:
        raise HttpError(404, "no responder is here")
    return security.desk
