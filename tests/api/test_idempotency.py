"""The same Idempotency-Key while the first request is under way: one effect, one answer."""

import threading
from collections.abc import Callable

import pytest
from starlette.requests import Request
from starlette.responses import Response

from pendel.adapters.memory_log import MemoryEventLog
from pendel.api import service as service_module
from pendel.api.auth import Caller, Gate, Role
from pendel.api.problems import HttpError
from pendel.api.service import Service
from pendel.runtime.engine import Runtime

CALLER = Caller("op", Role.OPERATOR, None)


def keyed(key: str, path: str = "/x") -> Request:
    headers = [(b"idempotency-key", key.encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    return Request({**scope, "query_string": b"", "server": ("h", 80), "scheme": "http"})


@pytest.fixture
def service() -> Service:
    return Service(Runtime(MemoryEventLog()), Gate([]))


class Slow:
    """A command that waits until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go, self.count = threading.Event(), threading.Event(), 0
        self.failure: HttpError | None = None

    def __call__(self) -> Response:
        self.count += 1
        self.begun.set()
        self.go.wait(10.0)
        if self.failure is not None:
            raise self.failure
        return Response(b"first", 201)


def beside(work: Callable[[], Response]) -> tuple[threading.Thread, list[Response | HttpError]]:
    got: list[Response | HttpError] = []

    def run() -> None:
        try:
            got.append(work())
        except HttpError as error:
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, got


def test_the_second_waits_for_the_first_and_gets_its_answer(service: Service) -> None:
    slow = Slow()
    threads = [beside(lambda: service.once(CALLER, keyed("k"), b"", slow)) for _ in range(5)]
    assert slow.begun.wait(10.0)
    with pytest.raises(HttpError) as other:
        service.once(CALLER, keyed("k", "/y"), b"", slow)
    assert other.value.status == 422
    # others are not held up by a slow station
    assert service.once(CALLER, keyed("other"), b"", lambda: Response(b"quick")).body == b"quick"
    slow.go.set()
    for thread, _ in threads:
        thread.join(10.0)
    answers = [got[0] for _, got in threads]
    assert [a.body for a in answers if isinstance(a, Response)] == [b"first"] * 5
    assert slow.count == 1


def test_a_first_request_that_takes_too_long_is_a_conflict(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "UNDER_WAY_MAX_S", 0.05)
    slow = Slow()
    thread, got = beside(lambda: service.once(CALLER, keyed("k"), b"", slow))
    assert slow.begun.wait(10.0)
    with pytest.raises(HttpError) as error:
        service.once(CALLER, keyed("k"), b"", slow)
    assert error.value.status == 409
    slow.go.set()
    thread.join(10.0)
    assert isinstance(got[0], Response) and slow.count == 1


def test_what_failed_may_be_tried_again(service: Service) -> None:
    slow = Slow()
    slow.failure = HttpError(409, "offline")
    slow.go.set()
    for _ in range(2):
        with pytest.raises(HttpError):
            service.once(CALLER, keyed("k"), b"", slow)
    slow.failure = None
    assert service.once(CALLER, keyed("k"), b"", slow).status_code == 201
    assert slow.count == 3
