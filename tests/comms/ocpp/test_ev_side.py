"""The car's mind: prices read, offers weighed, its own profile inside of what it took."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.comms.ocpp.station.ev_session import Act, EvSession, Phase
from pendel.comms.ocpp.station.ev_side import (
    Appetite,
    EvSide,
    Offer,
    Step,
    beyond,
    choose,
    held,
    power_at,
    prices_of,
)

ANCHOR = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE_S = ANCHOR.timestamp()
FEE = {"energyFee": {"exponent": -2, "value": 31}, "powerRangeStart": {"exponent": 0, "value": 0}}
STEP_S = 900


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({}, []),
        (
            {"absolutePriceSchedule": {"timeAnchor": "2026-03-01T12:10:00Z", "priceRuleStacks": [
                {"duration": 60, "priceRule": [FEE]}, {"duration": 60, "priceRule": [FEE]}]}},
            [(600.0, 0.31), (660.0, 0.31)],
        ),
        (
            {"priceLevelSchedule": {"timeAnchor": "2026-03-01T12:00:00Z",
                "priceLevelScheduleEntries": [{"duration": 90, "priceLevel": 2},
                                              {"duration": 90, "priceLevel": 0}]}},
            [(0.0, 2.0), (90.0, 0.0)],
        ),
        (
            {"salesTariff": {"salesTariffEntry": [
                {"relativeTimeInterval": {"start": 0}, "ePriceLevel": 3},
                {"relativeTimeInterval": {"start": 50}, "consumptionCost": [{"startValue": 0,
                    "cost": [{"costKind": "RelativePricePercentage", "amount": 7,
                              "amountMultiplier": 1}]}]},
                {"relativeTimeInterval": {"start": 99}}]}},
            [(0.0, 3.0), (50.0, 70.0), (99.0, 0.0)],
        ),
    ],
)  # fmt: skip
def test_prices_of_three_kinds(schedule: dict[str, Any], expected: list[Any]) -> None:
    assert prices_of(schedule, BASE_S) == expected


def offer(number: int, rows: list[tuple[int, int | None]]) -> Offer:
    steps = tuple(
        Step(STEP_S * i, -5_000.0, 1_000.0 * kw, None, None if p is None else float(p))
        for i, (kw, p) in enumerate(rows)
    )
    return Offer(number, steps, STEP_S * len(rows))


ROWS = st.lists(st.tuples(st.integers(0, 11), st.integers(1, 5)), min_size=1, max_size=10)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=3), st.integers(0, 20), st.integers(1, 10))
def test_the_choice_is_inside_and_brings_the_energy_where_one_can(
    rows: list[list[tuple[int, int]]], need_kwh: int, depart: int
) -> None:
    offers = [offer(i, each) for i, each in enumerate(rows)]
    appetite = Appetite(1_000.0 * need_kwh, 11_000.0, 11_000.0, STEP_S * depart)
    choice = choose(EvSide(), offers, appetite)
    assert not beyond(choice)

    def possible(each: Offer) -> float:
        return sum(s.high_w * STEP_S / 3600 for s in each.steps if s.start_s < appetite.depart_s)

    brought = sum(
        power_at(choice.profile, s.start_s) * STEP_S / 3600
        for s in choice.offer.steps
        if s.start_s < appetite.depart_s
    )
    best = max(possible(each) for each in offers)
    assert brought >= min(appetite.energy_wh, best) - 20.0
    later = [s for s in choice.offer.steps if s.start_s >= appetite.depart_s]
    assert all(power_at(choice.profile, s.start_s) == 0.0 for s in later)
    used = [s.price for s in choice.offer.steps if power_at(choice.profile, s.start_s) > 0.0]
    idle = [s.price for s in choice.offer.steps
            if s.start_s < appetite.depart_s and s.high_w > 0.0
            and power_at(choice.profile, s.start_s) == 0.0]  # fmt: skip
    if used and idle:
        assert max(p for p in used if p) <= min(p for p in idle if p)
    assert choose(EvSide(takes="first"), offers, appetite).offer is offers[0]


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_a_cars_profile_only_draws_towards_zero(own: int, wanted: int) -> None:
    found = held(((0.0, float(own)),), 1.0, float(wanted))
    assert abs(found) <= abs(wanted) and found * wanted >= 0.0
    if own * wanted > 0:
        assert abs(found) == min(abs(own), abs(wanted))
    assert held((), 1.0, float(wanted)) == wanted


@pytest.mark.parametrize(
    ("protocol", "status", "act", "phase"),
    [
        ("-2", "Accepted", Act.NOTHING, Phase.WAITING),
        ("-2", "Processing", Act.OFFER, Phase.AGREED),
        ("-2", "Rejected", Act.OFFER, Phase.AGREED),
        ("-20", "Rejected", Act.TELL, Phase.NEEDS),
        ("-20", "NoChargingProfile", Act.OFFER, Phase.AGREED),
        ("-20", "", Act.OFFER, Phase.AGREED),
    ],
)
def test_what_an_answer_leads_to(protocol: str, status: str, act: Act, phase: Phase) -> None:
    session = EvSession("T", EvSide(), protocol, ("AC_BPT", "AC_three_phase"), True, 100.0)
    session.pick(None)
    session.phase = Phase.ASKED
    assert session.answered(status) is act
    assert session.phase is phase
    if act is Act.TELL:
        session.pick(None)
        assert session.service == "AC_three_phase"
        assert session.answered("Rejected") is Act.STOP  # nothing else is left


@pytest.mark.parametrize(
    ("allowed", "service"),
    [
        (None, "AC_BPT"),
        (("AC_BPT",), "AC_BPT"),
        (("AC_three_phase",), "AC_three_phase"),
        ((), "AC_three_phase"),
        (("DC",), "AC_three_phase"),
    ],
)
def test_the_best_allowed_service_is_taken(allowed: Any, service: str) -> None:
    session = EvSession("T", EvSide(), "-20", ("AC_BPT", "AC_three_phase"), True, 0.0)
    session.pick(allowed)
    assert session.service == service
