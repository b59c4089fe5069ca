"""Pages without JavaScript: complete, escaped, under a strict policy, most urgent first."""

import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from small_world import Small, small
from starlette.testclient import TestClient

from pendel.api.auth import COOKIE, Gate, Role, Token
from pendel.api.service import Service
from pendel.runtime.risk import Risk
from pendel.web.flow import Flow, flow_svg
from pendel.web.pages import create_web_app

VOID = {"meta", "link", "img", "input", "br", "hr"}


class Strict(HTMLParser):
    """Finds unbalanced tags, inline scripts and styles, and duplicate ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if "style" in names or any(name.startswith("on") for name in names):
            self.problems.append(f"<{tag}> has inline style or script")
        if tag == "style" or (tag == "script" and "src" not in names):
            self.problems.append(f"<{tag}> is inline")
        if tag == "img" and "alt" not in names:
            self.problems.append("image without alt")
        if names.get("id"):
            self.ids.append(str(names["id"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()


def check(text: str) -> None:
    parser = Strict()
    parser.feed(text)
    assert not parser.problems
    assert not parser.open
    assert len(set(parser.ids)) == len(parser.ids)


@pytest.fixture
def world() -> Small:
    run = small()
    run.to(60)
    return run


@pytest.fixture
def client(world: Small) -> Iterator[TestClient]:
    app = create_web_app(Service(world.runtime, Gate(open_demo=True)))
    with TestClient(app, base_url="http://127.0.0.1:8080") as opened:
        yield opened


def test_the_first_page_is_whole(client: TestClient, world: Small) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    check(answer.text)
    assert answer.cookies[COOKIE]
    for part in ("simulated", "car-s1", "why?", "Promises kept", "charge with", "<title"):
        assert part in answer.text
    for setpoint in world.runtime.state.setpoints.values():
        assert f'href="/explain/{setpoint.id}"' in answer.text


def test_sessions_stand_most_urgent_first(client: TestClient) -> None:
    order = [
        word.replace("-", " ")
        for word in re.findall(r'class="risk ([a-z-]+)"', client.get("/").text)
    ]
    ranks = [[str(risk) for risk in Risk].index(word) for word in order]
    assert len(ranks) == 3
    assert ranks == sorted(ranks)


def test_the_live_part_alone(client: TestClient) -> None:
    client.get("/")
    part = client.get("/", headers={"X-Fragment": "1"}).text
    check(part)
    assert "<html" not in part
    assert part.strip() in client.get("/").text


def test_every_why_leads_somewhere(client: TestClient) -> None:
    links = set(
        re.findall(r'href="(/explain/[^"]+|/sessions/[^"]+|/static/[^"]+)"', client.get("/").text)
    )
    assert len(links) > 8
    for link in links:
        answer = client.get(link)
        assert answer.status_code == 200, link
        if answer.headers["content-type"].startswith("text/html"):
            check(answer.text)


def test_the_session_page_takes_a_promise(client: TestClient, world: Small) -> None:
    client.get("/")
    fields = {
        "ready_by": "2026-03-02T20:00",
        "target_pct": "55",
        "minimum_pct": "25",
        "charge_now": "yes",
    }
    answer = client.post("/sessions/s1", data=fields, follow_redirects=False)
    assert answer.status_code == 303
    view = world.runtime.state.sessions["s1"]
    assert view.promise is not None
    assert view.promise.asked_kwh == pytest.approx(33.0)
    assert view.promise.ready_by_utc.isoformat() == "2026-03-02T19:00:00+00:00"
    assert view.needs is not None and view.needs.charge_now
    wrong = client.post("/sessions/s1", data={"ready_by": "soon", "target_pct": "200"})
    assert wrong.status_code == 422
    assert wrong.text.count("<li>") == 2
    check(wrong.text)
    past = client.post("/sessions/s1", data={"ready_by": "2020-01-01T00:00"})
    assert past.status_code == 422


def test_forms_of_other_sites_and_strangers_are_refused(client: TestClient) -> None:
    assert client.post("/sessions/s1", data={}).status_code == 401
    client.get("/")
    answer = client.post("/sessions/s1", data={}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    same = {"Origin": "http://127.0.0.1:8080"}
    assert (
        client.post("/sessions/s1", data={}, headers=same, follow_redirects=False).status_code
        == 303
    )


def test_a_demo_answers_on_loopback_names_only(client: TestClient) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil:80", ""):
        assert client.get("/", headers={"Host": host}).status_code == 421
    for host in ("localhost:8080", "127.0.0.1", "[::1]:8080"):
        assert client.get("/", headers={"Host": host}).status_code == 200


def test_a_visitor_of_the_demo_may_use_the_api(client: TestClient) -> None:
    assert client.get("/api/v1/stations").status_code == 401
    client.get("/")
    assert client.get("/api/v1/stations").status_code == 200


def test_a_server_asks_to_sign_in(world: Small) -> None:
    tokens = [Token("a", Role.OPERATOR, hashlib.sha256(b"right").hexdigest())]
    with TestClient(create_web_app(Service(world.runtime, Gate(tokens)))) as client:
        answer = client.get("/", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        check(client.get("/login").text)
        assert client.post("/login", data={"token": "wrong"}).status_code == 401
        assert (
            client.post("/login", data={"token": "right"}, follow_redirects=False).status_code
            == 303
        )
        assert client.get("/").status_code == 200
        assert client.get("/events?none", headers={"Authorization": "Bearer no"}).status_code == 401


def test_hostile_names_are_escaped(world: Small, client: TestClient) -> None:
    view = world.runtime.state.sessions["s1"]
    evil = "<script>alert(1)</script>\"'&"
    object.__setattr__(
        view,
        "event",
        type(view.event)(
            **{name: getattr(view.event, name) for name in view.event.__struct_fields__}
            | {"vehicle_id": evil}
        ),
    )
    text = client.get("/").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text
    check(text)
    assert client.get("/explain/<script>").status_code == 404
    assert "<script>x" not in client.get("/explain/<script>x").text


def test_an_empty_world_has_a_page_too(world: Small, client: TestClient) -> None:
    world.runtime.state.sessions.clear()
    world.runtime.state.plans.clear()
    text = client.get("/").text
    check(text)
    assert "No car is plugged in" in text


@pytest.mark.parametrize("powers", [(0, 0, 0, 0, 0), (-5, 9, 1, 0, 3), (1e4, 0, 1e4, 1e-9, 0)])
def test_the_flow_says_in_words_what_it_draws(powers: tuple[float, ...]) -> None:
    flow = Flow("f", "Flow", *map(float, powers))
    svg = flow_svg(flow)
    check(svg)
    assert flow.words in svg
    assert "nan" not in svg and "inf" not in svg
    assert sum(power for _, power in flow.rows) == pytest.approx(
        powers[0] + powers[1] - powers[2] - powers[3] + powers[4]
    )
