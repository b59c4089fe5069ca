"""The promise keeper: what is told, what can be tightened, floors, and the ledger of risk."""

import itertools
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import NOON_S, fleet

from pendel.control.policy import LADDER_EUR
from pendel.control.promise import (
    LEDGER_BEGIN,
    LEDGER_BEGIN_BROKEN,
    STRICT_EUR,
    YOUNG_LEAST_EUR,
    PromiseKeeper,
)
from pendel.records import Needs
from pendel.scenario.columns import UNKNOWN_S

STEP_S = 900
STEPS = 48


def needs(**given: object) -> Needs:
    return Needs(id="n", at_utc=datetime(2025, 3, 3, tzinfo=UTC), session_id="x0", **given)


def fading(count: int, hazard: float = 0.02) -> np.ndarray:
    return np.repeat((1.0 - hazard) ** np.arange(STEPS)[None], count, axis=0)


@pytest.mark.parametrize("confidence", [0.4, 1.0, float("nan"), -1.0])
def test_confidence_outside_its_range_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        PromiseKeeper(confidence)


def test_what_cannot_be_kept_is_said_at_plug_in() -> None:
    stated = np.array([NOON_S + 3_600, NOON_S + 6 * 3_600, UNKNOWN_S])
    offer = PromiseKeeper().at_plug_in(fleet(3, stated_depart_s=stated), NOON_S, STEP_S)
    assert offer.asked_kwh.tolist() == [30.0] * 3
    assert offer.target_kwh.tolist() == pytest.approx([10.0 + 11.0 * 0.95, 30.0, 30.0])
    assert "60 min at 11.0 kW give 10.4" in offer.reason[0]
    assert offer.reason[1] == offer.reason[2] == ""
    assert offer.ready_by_s[1] == stated[1]
    assert offer.ready_by_s[2] == NOON_S + 8 * STEP_S  # 20 kWh at 2.6125 kWh per step


def test_others_tighten_and_never_loosen() -> None:
    keeper, state = PromiseKeeper(), fleet(energy_min_kwh=5.0)
    keeper.tighten(needs(target_kwh=40.0, energy_min_kwh=8.0))
    keeper.tighten(needs(target_kwh=20.0, energy_min_kwh=2.0, paused=True, source="fleet"))
    tight, _ = keeper.with_needs(state)
    assert (tight.target_kwh[0], tight.energy_min_kwh[0], tight.paused[0]) == (40.0, 8.0, False)
    keeper.tighten(needs(target_kwh=50.0, source="site", charge_now=True))
    tight, _ = keeper.with_needs(state)
    assert (tight.target_kwh[0], tight.charge_now[0]) == (50.0, True)
    keeper.tighten(needs(target_kwh=25.0, paused=True))  # the driver restates his own wish
    tight, _ = keeper.with_needs(state)
    assert (tight.target_kwh[0], tight.paused[0]) == (50.0, True)
    assert (state.target_kwh[0], state.energy_min_kwh[0]) == (30.0, 5.0)
    keeper.forget(["x0"])
    assert keeper.with_needs(state)[0].target_kwh[0] == 30.0


def test_the_earliest_ready_by_holds_and_is_met_by_the_floor() -> None:
    keeper, state = PromiseKeeper(0.5), fleet()
    for hours, source in ((5, "driver"), (3, "fleet")):
        by = datetime.fromtimestamp(NOON_S + hours * 3_600, UTC)
        keeper.tighten(needs(ready_by_utc=by, source=source))
    _, ready_s = keeper.with_needs(state)
    assert ready_s[0] == NOON_S + 3 * 3_600
    floor = keeper.ramp_floors(state, np.ones((1, STEPS)), NOON_S, STEP_S)[0]
    assert floor[11] == pytest.approx(30.0)
    assert not floor[3] >= 12.0


def test_charge_now_and_pause() -> None:
    keeper = PromiseKeeper(0.5)
    state = fleet(2, charge_now=np.array([True, False]), paused=np.array([False, True]))
    floor = keeper.ramp_floors(state, np.ones((2, STEPS)), NOON_S, STEP_S)
    at_once = np.minimum(10.0 + 11.0 * 0.95 * 0.25 * np.arange(1, STEPS + 1), 30.0)
    assert floor[0] == pytest.approx(at_once)
    assert np.isnan(floor[1]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.9, 0.99, 0.999]), st.booleans())
def test_floors_can_be_reached_and_never_exceed_charging_at_once(
    seed: int, confidence: float, priced: bool
) -> None:
    rng = np.random.default_rng(seed)
    count = 6
    capacity = rng.uniform(20.0, 90.0, count)
    energy = capacity * rng.random(count)
    state = fleet(
        count, capacity_kwh=capacity, energy_kwh=energy, energy_arrive_kwh=energy,
        target_kwh=capacity * rng.random(count), energy_min_kwh=capacity * 0.2 * rng.random(count),
        arrive_s=NOON_S - rng.integers(0, 30_000, count),
    )  # fmt: skip
    keeper = PromiseKeeper(confidence)
    keeper.observe(400, 398)
    presence = fading(count, rng.uniform(0.001, 0.2))
    price = rng.normal(0.1, 0.1, (1, STEPS))
    if priced:
        floor = keeper.floors(state, presence, NOON_S, STEP_S, price, price, state.site)
    else:
        floor = keeper.ramp_floors(state, presence, NOON_S, STEP_S)
    gain = state.charge_max_kw * state.charge_efficiency * 0.25
    reach = energy[:, None] + gain[:, None] * np.arange(1, STEPS + 1)
    given_floor = np.nan_to_num(floor, nan=-np.inf)
    assert (given_floor <= np.minimum(reach, capacity[:, None]) + 1e-6).all()
    rises = np.diff(np.nan_to_num(floor, nan=0.0), axis=1)
    assert (rises <= gain[:, None] + 1e-6).all() or not np.isfinite(floor).all()
    least = keeper.least_energy_kwh(state, presence, NOON_S, STEP_S)
    assert (least <= energy + 1e-9).all()
    assert (least >= np.minimum(state.energy_min_kwh, energy) - 1e-9).all()


def test_more_confidence_never_lowers_the_floor() -> None:
    state, presence = fleet(), fading(1)
    before = np.full(STEPS, -np.inf)
    for confidence in (0.5, 0.7, 0.9, 0.99, 0.999):
        keeper = PromiseKeeper(confidence)
        keeper.observe(2_000, 2_000)
        floor = keeper.ramp_floors(state, presence, NOON_S, STEP_S)[0]
        floor = np.nan_to_num(floor, nan=-np.inf)
        assert (floor >= before - 1e-9).all()
        before = floor


@given(st.lists(st.booleans(), max_size=400), st.sampled_from([0.5, 0.9, 0.99]))
def test_nothing_is_risked_that_one_more_broken_promise_would_overdraw(
    outcomes: list[bool], confidence: float
) -> None:
    keeper = PromiseKeeper(confidence)
    keeper.learn_risk(np.linspace(0.5, 0.0, len(LADDER_EUR))[None])
    for kept in outcomes:
        keeper.observe(1, int(kept))
        allowed = (1.0 - confidence) * keeper.counted
        youth = max(1.0 - allowed / LEDGER_BEGIN_BROKEN, 0.0)
        if keeper.broken + 0.8 > allowed:
            # A young ledger risks a little, at a price that bounds what one session risks.
            most = 2.0 * LEDGER_BEGIN * youth * (1.0 - confidence)
            assert keeper.risk_share() <= most + 1e-12
            assert keeper.risk_price_eur() >= YOUNG_LEAST_EUR
        if keeper.broken >= allowed + 1.0 or (keeper.broken + 0.8 > allowed and youth == 0.0):
            assert keeper.risk_share() == 0.0
            assert keeper.risk_price_eur() == STRICT_EUR
        assert 0.0 <= keeper.risk_share() <= 2.0 * (1.0 - confidence)
        assert keeper.kept_share() == 1.0 - keeper.broken / keeper.counted


def test_the_price_of_a_broken_promise_falls_with_the_credit() -> None:
    keeper = PromiseKeeper(0.9)
    keeper.learn_risk(np.geomspace(0.5, 1e-4, len(LADDER_EUR))[None])
    prices = []
    for _ in range(12):
        prices.append(keeper.risk_price_eur())
        keeper.observe(20, 20)
    assert prices[0] >= YOUNG_LEAST_EUR
    assert all(after <= before for before, after in itertools.pairwise(prices))
    assert LADDER_EUR[0] <= prices[-1] <= LADDER_EUR[-1]
    keeper.observe(20, 0)
    assert keeper.risk_price_eur() > prices[-1]
