"""Promises from the PUT to the battery: the real controller, virtual cars, nothing in between."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from real_world import Real, full_scenario, real
from small_world import START, small_scenario
from starlette.testclient import TestClient

from pendel.api.app import create_app
from pendel.api.auth import Gate, Role, Token
from pendel.api.service import Service
from pendel.clock import format_utc
from pendel.control.warranty import WarrantyBudget
from pendel.scenario.columns import Scenario
from pendel.web.pages import create_web_app

DEVICE = "home-cp01/1"


def tokens() -> list[Token]:
    return [
        Token(role.value, role, hashlib.sha256(role.value.encode()).hexdigest(), None)
        for role in Role
    ]


class Street:
    """A world and its API."""

    def __init__(self, scenario: Scenario | None = None, minutes: float = 15.0) -> None:
        self.run: Real = real(scenario=scenario, budgets={"car-s1": WarrantyBudget(month_h=9.0)})
        self.run.to(minutes)
        service = Service(self.run.runtime, Gate(tokens()), ready={})
        self.client = TestClient(create_app(service))

    def put(self, role: str = "driver", status: int = 200, **wish: object) -> dict[str, Any]:
        answer = self.client.put(
            "/api/v1/sessions/s1/promise",
            headers={"Authorization": f"Bearer {role}"},
            json=wish,
        )
        assert answer.status_code == status, answer.text
        body: dict[str, Any] = answer.json()
        return body

    @property
    def ordered_kw(self) -> float:
        return self.run.world.cars[DEVICE].ordered_kw

    @property
    def energy_kwh(self) -> float:
        return self.run.world.cars[DEVICE].energy_kwh


def after(hours: float) -> str:
    return format_utc(START + timedelta(hours=hours))


def test_charge_now_takes_full_power_at_once_and_until_it_is_taken_back() -> None:
    street = Street(full_scenario())
    assert street.ordered_kw < 5.0
    told = street.put(charge_now=True, target_soc=1.0)
    assert told["promise"]["charge_now"]
    assert street.ordered_kw == pytest.approx(11.0)
    assert told["reasons"] == ["the driver wants to charge now"]
    assert street.put(minimum_soc=0.1)["promise"]["charge_now"]  # what is not named stays
    told = street.put(charge_now=False, target_soc=0.3)
    assert not told["promise"]["charge_now"]
    assert street.ordered_kw < 5.0


def test_pause_stops_both_directions_until_it_is_taken_back() -> None:
    street = Street()
    told = street.put(paused=True)
    assert told["promise"]["paused"] and told["reasons"] == ["the driver paused it"]
    before = street.energy_kwh
    street.run.to(120)
    assert street.ordered_kw == 0.0
    assert street.energy_kwh == pytest.approx(before)
    street.put("operator", 403, paused=True)
    assert not street.put(paused=False)["promise"]["paused"]
    street.run.to(180)
    assert street.energy_kwh > before + 1.0


def test_ready_by_is_kept_hard_and_can_be_brought_forward_within_a_step() -> None:
    """A car that needs nothing sells; asked within a step to hold 58 kWh two hours later it does,
    and keeps it from then on."""
    street = Street(full_scenario())
    start = street.energy_kwh
    told = street.put(target_soc=58 / 60, ready_by_utc=after(2.0))
    assert told["promise"]["ready_by_utc"] == after(2.0)
    assert told["promise"]["target_kwh"] == pytest.approx(58.0)
    street.run.to(120, 5.0)
    assert start < 58.0
    assert street.energy_kwh >= 58.0 - 0.05
    street.run.to(200, 5.0)
    assert street.energy_kwh >= 58.0 - 0.05  # ready by then means ready from then on


def test_what_cannot_be_kept_is_said_with_the_best_possible() -> None:
    street = Street(small_scenario())
    energy = street.energy_kwh
    told = street.put(target_soc=1.0, ready_by_utc=after(0.6))["promise"]
    best = energy + 0.35 * 11.0 * 0.9
    assert told["target_kwh"] == pytest.approx(best, abs=0.01)
    assert told["asked_kwh"] == 60.0
    assert told["reason"].startswith(
        f"60.0 kWh cannot be reached, the best possible is {best:.1f}: "
    )
    street.run.to(36)  # before the next car comes, which shares the connection
    assert street.energy_kwh == pytest.approx(best, abs=0.05)


def test_the_minimum_is_charged_up_to_at_once_and_never_gone_below() -> None:
    street = Street(full_scenario())
    street.put(minimum_soc=0.85)
    assert street.energy_kwh > 51.0
    street.run.runtime.hand(DEVICE, -11.0, 7_200.0, "operator")
    street.run.to(120, 5.0)
    assert street.energy_kwh >= 51.0 - 1e-6
    street.put(minimum_soc=0.95)
    assert street.ordered_kw > 5.0
    street.run.to(165, 5.0)
    assert street.energy_kwh >= 57.0 - 0.05


def test_others_tighten_and_never_loosen() -> None:
    street = Street(full_scenario())
    mine = street.put(target_soc=0.6, minimum_soc=0.4, ready_by_utc=after(4.0))["promise"]
    loose = street.put("operator", target_soc=0.1, minimum_soc=0.1, ready_by_utc=after(4.5))
    for name in ("target_soc", "minimum_soc", "ready_by_utc"):
        assert loose["promise"][name] == mine[name], name
    street.put("aggregator", 403, target_soc=0.1)
    tight = street.put("operator", target_soc=0.95, ready_by_utc=after(3.0))["promise"]
    assert (tight["target_soc"], tight["ready_by_utc"]) == (0.95, after(3.0))
    again = street.put("operator", target_soc=0.5, ready_by_utc=after(3.5))["promise"]
    assert (again["target_soc"], again["ready_by_utc"]) == (0.95, after(3.0))
    own = street.put(target_soc=0.5, ready_by_utc=after(4.2))["promise"]
    assert (own["target_soc"], own["ready_by_utc"]) == (0.95, after(3.0))
    street.run.to(180, 5.0)
    assert street.energy_kwh >= 57.0 - 0.05


def test_the_pages_form_pauses_and_shows_what_the_warranty_leaves() -> None:
    street = Street(full_scenario())
    service = Service(street.run.runtime, Gate(open_demo=True), ready={})
    client = TestClient(create_web_app(service), base_url="http://127.0.0.1")
    client.get("/")
    page = client.get("/sessions/s1").text
    assert "warranty leaves" in page and "hours this month" in page
    client.post("/sessions/s1", data={"paused": "yes"})
    view = street.run.runtime.session("s1")
    assert view.paused and street.ordered_kw == 0.0
    assert 'name="paused" type="checkbox" value="yes" checked' in client.get("/sessions/s1").text
