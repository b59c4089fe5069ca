"""The floors of many units against a readable twin, written down from docs/concepts/promise.md."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import NOON_S, fleet

from pendel.control.policy import counts_in_steps
from pendel.control.promise import PromiseKeeper
from pendel.control.state import FleetState
from pendel.records import Needs

STEP_S, STEPS = 900, 24


def twin_floors(
    state: FleetState,
    presence: np.ndarray,
    ready_s: dict[int, int],
    risk_share: float,
    ends: bool,
) -> np.ndarray:
    """Floors [N, K] unit by unit and step by step; ready_s: ready-by times by position."""
    floors = np.full(presence.shape, np.nan)
    counts_in = counts_in_steps(state, NOON_S, STEP_S)
    for n in range(len(state)):
        energy, target = state.energy_kwh[n], state.target_kwh[n]
        gain = state.charge_max_kw[n] * state.charge_efficiency[n] * STEP_S / 3600
        open_promise = state.is_session[n] and not state.paused[n]
        leaving = np.append(presence[n, :-1] - presence[n, 1:], presence[n, -1])
        leaving[: max(counts_in[n] - 1, 0)] = 0.0
        quiet = [k for k in range(STEPS) if leaving[: k + 1].sum() <= risk_share]
        for k in range(STEPS):
            reach = energy + gain * (k + 1)
            wishes = []
            if open_promise:
                ramp = target - gain * max(len(quiet) - k, 0)
                if ramp > state.energy_min_kwh[n]:
                    wishes.append(min(ramp, reach))
                certain = state.energy_min_kwh[n]
                if state.charge_now[n]:
                    certain = max(certain, target)
                elif n in ready_s:
                    left = ready_s[n] // STEP_S - NOON_S // STEP_S - (k + 1)
                    certain = max(certain, target - gain * max(left, 0))
                if min(certain, reach) > 0.0:
                    wishes.append(min(certain, reach))
            if ends and min(target - gain * (STEPS - 1 - k), reach) > 0.0:
                wishes.append(min(target - gain * (STEPS - 1 - k), reach))
            floors[n, k] = max(wishes, default=math.nan)
    return floors


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([0.5, 0.9, 0.99]), st.booleans())
def test_ramp_floors_agree_with_the_twin(seed: int, confidence: float, ends: bool) -> None:
    draw = np.random.default_rng(seed)
    count = 8
    capacity = draw.uniform(20.0, 90.0, count)
    energy = capacity * draw.random(count)
    state = fleet(
        count, capacity_kwh=capacity, energy_kwh=energy, energy_arrive_kwh=0.8 * energy,
        target_kwh=capacity * draw.random(count),
        energy_min_kwh=capacity * draw.choice([0.0, 0.2], count) * draw.random(count),
        arrive_s=NOON_S - draw.integers(0, 30_000, count), is_session=draw.random(count) < 0.8,
        charge_now=draw.random(count) < 0.2, paused=draw.random(count) < 0.2,
    )  # fmt: skip
    keeper = PromiseKeeper(confidence)
    keeper.observe(400, int(draw.integers(380, 401)))
    ready_s = {n: NOON_S + int(draw.integers(-7_200, 30_000)) for n in range(0, count, 3)}
    for n, at_s in ready_s.items():
        at, by = datetime.fromtimestamp(NOON_S, UTC), datetime.fromtimestamp(at_s, UTC)
        keeper.tighten(Needs(id="n", at_utc=at, session_id=f"x{n}", source="site", ready_by_utc=by))
    fade = 1.0 - draw.uniform(0.0, 0.2, (count, STEPS))
    fade[:, 0] = 1.0
    presence = np.cumprod(fade, axis=1)
    floors = keeper.ramp_floors(state, presence, NOON_S, STEP_S, ends)
    twin = twin_floors(state, presence, ready_s, keeper.risk_share(), ends)
    assert floors == pytest.approx(twin, abs=1e-9, nan_ok=True)
