"""The HTTP API from outside: who may what, shapes, commands, errors as problem+json."""

import hashlib
import json
from collections.abc import Iterator

import pytest
from small_world import Small, small
from starlette.routing import Route
from starlette.testclient import TestClient

from pendel.api.app import api_routes, create_app
from pendel.api.auth import Gate, Role, Token
from pendel.api.openapi import openapi_document
from pendel.api.service import BODY_BYTES_MAX, Service
from pendel.records import Setpoint

BASE = "/api/v1"


def token(name: str, role: Role, sites: frozenset[str] | None = None) -> Token:
    return Token(name, role, hashlib.sha256(f"secret-{name}".encode()).hexdigest(), sites)


TOKENS = (
    token("admin", Role.ADMIN),
    token("operator", Role.OPERATOR),
    token("driver", Role.DRIVER),
    token("auditor", Role.AUDITOR),
    token("grid", Role.GRID_OPERATOR),
    token("shopkeeper", Role.OWNER, frozenset({"shop"})),
)


@pytest.fixture
def world() -> Small:
    run = small()
    run.to(60)
    return run


@pytest.fixture
def client(world: Small) -> Iterator[TestClient]:
    service = Service(world.runtime, Gate(TOKENS), ready={"store": lambda: True})
    with TestClient(create_app(service), raise_server_exceptions=False) as opened:
        opened.service = service  # type: ignore[attr-defined]
        yield opened


def as_(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer secret-{name}"}


ADMIN = as_("admin")


def is_problem(response, status: int) -> dict[str, object]:  # type: ignore[no-untyped-def]
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["status"] == status
    assert body["title"] and body["detail"]
    return body


def test_open_without_a_token(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{BASE}/stations"),
        ("GET", f"{BASE}/nowhere"),
        ("POST", f"{BASE}/sites/moon/limits"),
        ("PUT", f"{BASE}/sessions/s1/promise"),
        ("DELETE", f"{BASE}/stations"),
        ("GET", "/events"),
        ("GET", "/metrics"),
        ("GET", BASE),
    ],
)
def test_401_comes_before_path_and_body(client: TestClient, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic Zm9v"}):
        answer = client.request(method, path, content=b"not json", headers=headers)
        is_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_part_that_does_not_work_makes_the_server_unready(client: TestClient) -> None:
    client.service.ready["door"] = lambda: False  # type: ignore[attr-defined]
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "parts": {"store": True, "door": False}}


def test_stations(client: TestClient) -> None:
    items = client.get(f"{BASE}/stations", headers=ADMIN).json()["items"]
    assert [item["station_id"] for item in items] == ["home-cp01", "home-cp02", "shop-cp01"]
    first = items[0]
    assert first["connected"] and first["simulated"]
    (evse,) = first["evses"]
    assert evse["session_id"] == "s1"
    assert 0.0 < evse["soc"] <= 1.0
    assert set(evse) == {"evse_id", "status", "session_id", "power_kw", "setpoint_kw", "soc"}


def test_sessions_and_one_session(client: TestClient) -> None:
    items = client.get(f"{BASE}/sessions", headers=ADMIN).json()["items"]
    assert [item["session_id"] for item in items] == ["s1", "s2", "s3"]
    one = client.get(f"{BASE}/sessions/s1", headers=ADMIN).json()
    assert one["promise"]["target_soc"] == pytest.approx(40 / 60, abs=1e-4)
    assert one["promise"]["ready_by_utc"] == "2026-03-02T17:00:00Z"
    assert one["reasons"]
    assert one["plan"]["step_s"] == 900
    assert one["state"]["setpoint_id"].startswith("setpoint-")
    is_problem(client.get(f"{BASE}/sessions/s9", headers=ADMIN), 404)


def test_lists_come_in_pages(client: TestClient) -> None:
    seen, cursor = [], None
    for _ in range(5):
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"{BASE}/stations", headers=ADMIN, params=query).json()
        seen += [item["station_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["home-cp01", "home-cp02", "shop-cp01"]
    for wrong in ("0", "1001", "x", "-1", "", "9" * 30, "²"):
        is_problem(client.get(f"{BASE}/stations", headers=ADMIN, params={"limit": wrong}), 400)
    assert (
        client.get(f"{BASE}/stations", headers=ADMIN, params={"limit": "1000"}).status_code == 200
    )


def test_limits_from_order_to_end(client: TestClient, world: Small) -> None:
    url = f"{BASE}/sites/home/limits"
    made = client.post(url, headers=ADMIN, json={"import_limit_kw": 2.0, "source": "14a"})
    assert made.status_code == 201
    limit = made.json()
    assert (limit["import_limit_kw"], limit["export_limit_kw"]) == (2.0, None)
    cars = [c.ordered_kw for d, c in world.world.cars.items() if d.startswith("home")]
    assert sum(cars) <= 2.0 - 1.0 + 0.5 + 1e-9
    listed = client.get(url, headers=ADMIN).json()["items"]
    assert {item["source"] for item in listed} == {"fuse", "14a"}
    assert client.delete(f"{url}/{limit['limit_id']}", headers=ADMIN).status_code == 204
    is_problem(client.delete(f"{url}/{limit['limit_id']}", headers=ADMIN), 404)
    is_problem(
        client.post(f"{BASE}/sites/moon/limits", headers=ADMIN, json={"import_limit_kw": 1}), 404
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"import_limit_kw": -1}', 422),
        (b'{"import_limit_kw": 1e9}', 422),
        (b'{"import_limit_kw": "3"}', 422),
        (b'{"import_limit_kw": 3, "colour": 1}', 422),
        (b'{"import_limit_kw": 3, "until_utc": "2026-03-02T12:00:00"}', 422),
        (
            b'{"import_limit_kw": 3, "from_utc": "2026-03-02T12:00:00Z",'
            b' "until_utc": "2026-03-02T12:00:00Z"}',
            422,
        ),
        (b" " * (BODY_BYTES_MAX + 1), 413),
    ],
)
def test_bad_limits(client: TestClient, body: bytes, status: int) -> None:
    is_problem(client.post(f"{BASE}/sites/home/limits", headers=ADMIN, content=body), status)


def test_an_operators_setpoint_is_clipped_not_refused(client: TestClient, world: Small) -> None:
    url = f"{BASE}/evses/home-cp01/1/setpoint"
    answer = client.post(url, headers=as_("operator"), json={"power_kw": -50, "duration_s": 600})
    assert answer.status_code == 202
    given = answer.json()
    assert given["requested_kw"] == -50
    assert given["granted_kw"] == pytest.approx(-11.0)
    assert given["reasons"]
    assert isinstance(world.runtime.find(given["id"]), Setpoint)
    client.post(f"{BASE}/sites/home/limits", headers=ADMIN, json={"export_limit_kw": 0})
    nothing = client.post(url, headers=ADMIN, json={"power_kw": -50}).json()
    assert nothing["granted_kw"] == pytest.approx(0.0)
    is_problem(
        client.post(f"{BASE}/evses/moon/1/setpoint", headers=ADMIN, json={"power_kw": 1}), 404
    )
    is_problem(client.post(url, headers=ADMIN, json={"power_kw": 1, "duration_s": 0}), 422)
    free = client.post(f"{BASE}/evses/home-cp02/1/setpoint", headers=ADMIN, json={"power_kw": 1})
    assert free.status_code == 202
    assert world.runtime.find(free.json()["id"]) is not None


def test_a_promise_over_http(client: TestClient) -> None:
    url = f"{BASE}/sessions/s1/promise"
    wish = {"ready_by_utc": "2026-03-02T19:00:00+01:00", "target_soc": 0.5, "minimum_soc": 0.3}
    told = client.put(url, headers=as_("driver"), json=wish).json()["promise"]
    assert (told["target_soc"], told["minimum_soc"]) == (0.5, 0.3)
    assert told["ready_by_utc"] == "2026-03-02T18:00:00Z"
    loose = client.put(url, headers=as_("operator"), json={"target_soc": 0.1}).json()["promise"]
    assert loose["target_soc"] == 0.5
    body = is_problem(
        client.put(url, headers=ADMIN, json={"ready_by_utc": "2020-01-01T00:00:00Z"}), 422
    )
    assert body["problems"][0]["field"] == "ready_by_utc"  # type: ignore[index]
    is_problem(client.put(url, headers=ADMIN, json={"target_soc": 1.2}), 422)
    is_problem(client.put(f"{BASE}/sessions/none/promise", headers=ADMIN, json={}), 404)


@pytest.mark.parametrize(
    ("name", "path", "allowed"),
    [
        ("driver", "promise", True),
        ("driver", "limit", False),
        ("driver", "setpoint", False),
        ("auditor", "promise", False),
        ("auditor", "limit", False),
        ("auditor", "setpoint", False),
        ("grid", "limit", True),
        ("grid", "setpoint", False),
        ("operator", "setpoint", True),
    ],
)
def test_roles(client: TestClient, name: str, path: str, allowed: bool) -> None:
    method, url, body = {
        "promise": ("PUT", f"{BASE}/sessions/s1/promise", {}),
        "limit": ("POST", f"{BASE}/sites/home/limits", {"import_limit_kw": 9}),
        "setpoint": ("POST", f"{BASE}/evses/home-cp01/1/setpoint", {"power_kw": 1}),
    }[path]
    answer = client.request(method, url, headers=as_(name), json=body)
    if allowed:
        assert answer.status_code in (200, 201, 202)
    else:
        is_problem(answer, 403)
    assert client.get(f"{BASE}/stations", headers=as_(name)).status_code == 200


def test_what_another_tenant_owns_is_not_there(client: TestClient, world: Small) -> None:
    mine = as_("shopkeeper")
    items = client.get(f"{BASE}/stations", headers=mine).json()["items"]
    assert {item["site_id"] for item in items} == {"shop"}
    items = client.get(f"{BASE}/sessions", headers=mine).json()["items"]
    assert {item["site_id"] for item in items} == {"shop"}
    is_problem(client.get(f"{BASE}/sessions/s1", headers=mine), 404)
    is_problem(client.get(f"{BASE}/sites/home/limits", headers=mine), 404)
    is_problem(client.put(f"{BASE}/sessions/s1/promise", headers=mine, json={}), 404)
    is_problem(
        client.post(f"{BASE}/sites/home/limits", headers=mine, json={"import_limit_kw": 1}), 404
    )
    is_problem(
        client.post(f"{BASE}/evses/home-cp01/1/setpoint", headers=mine, json={"power_kw": 1}), 404
    )
    theirs = world.runtime.state.setpoints["home-cp01/1"].id
    is_problem(client.get(f"{BASE}/explain/{theirs}", headers=mine), 404)
    own = world.runtime.state.setpoints["shop-cp01/1"].id
    tree = client.get(f"{BASE}/explain/{own}", headers=mine)
    assert tree.status_code == 200
    assert '"home"' not in tree.text and "home-cp" not in tree.text


def test_the_same_idempotency_key_gives_the_first_answer(client: TestClient, world: Small) -> None:
    url, key = f"{BASE}/sites/home/limits", {"Idempotency-Key": "abc", **ADMIN}
    first = client.post(url, headers=key, json={"import_limit_kw": 9})
    again = client.post(url, headers=key, json={"import_limit_kw": 9})
    assert (again.status_code, again.json()) == (201, first.json())
    assert sum(e.source == "operator" for e in world.runtime.state.limits.values()) == 1
    is_problem(client.post(url, headers=key, json={"import_limit_kw": 8}), 422)
    other = client.post(
        url, headers={**as_("operator"), "Idempotency-Key": "abc"}, json={"import_limit_kw": 9}
    )
    assert other.json()["limit_id"] != first.json()["limit_id"]
    is_problem(
        client.post(
            url, headers={**ADMIN, "Idempotency-Key": "x" * 300}, json={"import_limit_kw": 9}
        ),
        400,
    )


def test_explain(client: TestClient, world: Small) -> None:
    newest = world.runtime.state.setpoints["home-cp01/1"].id
    tree = client.get(f"{BASE}/explain/{newest}", headers=ADMIN).json()
    assert tree["kind"] == "setpoint"
    kinds = {cause["kind"] for cause in tree["causes"] if "kind" in cause}
    assert "tick" in kinds and "promise" in kinds
    body = is_problem(client.get(f"{BASE}/explain/setpoint", headers=ADMIN), 404)
    assert "did you mean" in str(body["detail"])


def test_metrics_can_be_read_by_machines(client: TestClient) -> None:
    answer = client.get("/metrics", headers=ADMIN)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            values[name] = float(value)
    assert values["pendel_sessions_open"] == 3
    assert values["pendel_healthy"] == 1
    assert values['pendel_site_power_kw{site="shop"}'] > 0.0
    assert any(name.startswith("pendel_events_total") for name in values)


def test_openapi_tells_exactly_the_routes_there_are() -> None:
    document = openapi_document()
    told = {(method.upper(), path) for path, calls in document["paths"].items() for method in calls}
    there = {
        (method, route.path.replace(":path", ""))
        for route in api_routes()
        if isinstance(route, Route)
        for method in (route.methods or ()) - {"HEAD"}
    }
    assert told == there - {("GET", "/openapi.json")}
    json.dumps(document)


def test_events_tell_each_round(client: TestClient, world: Small) -> None:
    import asyncio

    from pendel.api.live import _stream

    async def first_two() -> list[bytes]:
        stream, got = _stream(client.service, None), []  # type: ignore[attr-defined]
        async for piece in stream:
            got.append(piece)
            if len(got) == 2:
                client.service.ending.set()  # type: ignore[attr-defined]
        return got

    retry, tick = asyncio.run(first_two())
    assert retry.startswith(b"retry:")
    kind, data = tick.decode().strip().split("\n")
    assert kind == "event: tick"
    told = json.loads(data.removeprefix("data: "))
    assert told["sessions"] == 3
    assert told["site_power_kw"].keys() == {"home", "shop"}
    assert client.service.streams == 0  # type: ignore[attr-defined]


def test_security_headers_are_on_every_answer(client: TestClient) -> None:
    for path in ("/healthz", f"{BASE}/stations", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_fault_is_answered_without_its_insides(client: TestClient, world: Small) -> None:
    def broken() -> None:
        raise RuntimeError("secret inside")

    world.runtime.add_limit = broken  # type: ignore[method-assign,assignment]
    answer = client.post(f"{BASE}/sites/home/limits", headers=ADMIN, json={"import_limit_kw": 9})
    body = is_problem(answer, 500)
    assert "secret" not in str(body)
