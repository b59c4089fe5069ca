"""Errors of the HTTP side as application/problem+json (RFC 9457)."""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from pendel.errors import InputError, NotFoundError, PendelError, Problem, StoreError

MEDIA_TYPE = "application/problem+json"


class HttpError(Exception):
    """Raised by handlers, answered as problem+json."""

    def __init__(
        self,
        status: int,
        detail: str,
        problems: Sequence[Problem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = list(problems)
        self.headers = headers or {}


def problem_response(problem: HttpError) -> Response:
    """The answer for a problem."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.problems:
        body["problems"] = problem.problems
    return Response(
        msgspec.json.encode(body),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


def as_problem(error: PendelError) -> HttpError:
    """What an error of pendel means to a caller."""
    match error:
        case NotFoundError():
            return HttpError(404, str(error))
        case InputError():
            return HttpError(422, str(error), error.problems)
        case StoreError():
            return HttpError(503, f"the store does not answer: {error}")
        case _:
            return HttpError(500, "a check on power or money failed")
