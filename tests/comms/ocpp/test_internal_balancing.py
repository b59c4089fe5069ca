"""K03, K04: several EVSEs of one station behind one limit."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import Pair, a_car
from smart_charging_world import (
    absolute,
    default,
    for_tx,
    outside,
    powers,
    put,
    refusal,
    set_variable,
    triggers,
    world,
)

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.balancing import Want, shares_kw
from pendel.comms.ocpp.station.external_system import Order
from pendel.comms.ocpp.station.smart_charging import SmartCharging

AMOUNT = st.floats(0.0, 50.0)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-50, 50), AMOUNT, st.integers(-1, 1), AMOUNT), max_size=6),
    AMOUNT,
    AMOUNT,
)
def test_shares_stay_inside_and_are_fair(
    wanted: list[tuple[float, float, int, float]], most: float, least: float
) -> None:
    wants = [Want(*each) for each in wanted]
    found = shares_kw(wants, most, -least)
    assert sum(found) <= most + 1e-6
    assert sum(min(kw, 0.0) for kw in found) >= -least - 1e-6
    for want, kw in zip(wants, found, strict=True):
        assert min(want.power_kw, 0.0) - 1e-9 <= kw <= max(want.power_kw, 0.0) + 1e-9
    # nobody can be given more unless somebody of his priority with as little loses, or waits
    short = [(w, kw) for w, kw in zip(wants, found, strict=True) if 0 < w.power_kw > kw + 1e-6]
    served = [(w, kw) for w, kw in short if kw > 0.0]
    for w, kw in served:
        same = [other for v, other in zip(wants, found, strict=True) if v.priority == w.priority]
        assert max(same) <= kw + 1e-6, "who was cut has the largest share of his rank"
        assert kw >= min(w.least_kw, w.power_kw) - 1e-6, "and at least what is worth while"


@pytest.mark.proves("K04.FR.01", "K04.FR.02")
@pytest.mark.parametrize("version", list(Version))
def test_a_fixed_limit_is_shared(version: Version) -> None:
    pair = world(version, cars=3, smart=SmartCharging(connection_kw=18.0))
    assert powers(pair) == [6.0, 6.0, 6.0]
    car = pair.station.evses[2].car
    assert car is not None
    car.charge_max_kw = 3.0
    assert powers(pair) == [7.5, 3.0, 7.5], "what one cannot use the others get"
    pair.unplug(3)
    assert powers(pair) == [11.0, 3.0, 0.0]


@pytest.mark.proves("K04.FR.05", "K12.FR.01")
def test_together_never_above_the_limits_of_the_station() -> None:
    pair = world(cars=2)
    assert refusal(put(pair, default(3, 5000), 0)) == ""
    assert powers(pair) == [5.0, 5.0]
    assert refusal(put(pair, absolute(4, "ChargingStationMaxProfile", 8000), 0)) == ""
    assert powers(pair) == [4.0, 4.0]
    assert refusal(put(pair, for_tx(pair, 5, 1000), 1)) == ""
    assert powers(pair) == [1.0, 5.0]
    pair.ask("ClearChargingProfile", {"chargingProfileId": 5})
    assert refusal(put(pair, absolute(6, "LocalGeneration", 1000), 0)) == ""
    assert powers(pair) == [4.5, 4.5]
    pair.ask("ClearChargingProfile", {"chargingProfileId": 4})
    assert powers(pair) == [5.5, 5.5], "generation is there once, for both together"
    assert outside(pair).set("EMS", Order(limit_kw=3.0), pair.now_s) == ""
    assert powers(pair) == [2.0, 2.0]
    for evse in pair.station.evses.values():
        evse.v2x_allowed = True
    for evse_id in (1, 2):
        period = {"limit": 9000.0, "operationMode": "CentralSetpoint", "setpoint": -9000.0}
        wire = for_tx(pair, 10 + evse_id, 0, evse_id, period=period)
        assert refusal(put(pair, wire, evse_id)) == ""
    assert outside(pair).set("EMS", Order(limit_kw=3.0, discharge_kw=6.0), pair.now_s) == ""
    assert powers(pair) == [-3.0, -3.0]


@pytest.mark.proves("K01.FR.21", "K02.FR.06", "K03.FR.07", "K04.FR.04")
def test_below_the_minimum_charging_rate_the_latest_waits() -> None:
    pair = world(cars=0, evses=3)
    for evse_id in (2, 1, 3):
        pair.plug(a_car(id_token=f"TAG{evse_id}"), evse_id)
        pair.run(60)
    worth = {"schedule": {"minChargingRate": 3000.0}}
    assert refusal(put(pair, default(3, 11_000, **worth), 0)) == ""
    assert refusal(put(pair, absolute(4, "ChargingStationMaxProfile", 7000), 0)) == ""
    assert powers(pair) == [3.5, 3.5, 0.0]
    pair.unplug(2)
    assert powers(pair) == [3.5, 0.0, 3.5]
    put(pair, absolute(4, "ChargingStationMaxProfile", 2000), 0)
    assert powers(pair) == [2.0, 0.0, 0.0], "all there is, and not a third of it each"


def prioritized(pair: Pair, of_token: dict[str, int], of_transaction: dict[str, int]) -> None:
    """The backend tells priorities: of tokens, and of transactions alone."""
    plain = pair.backend.answer

    def answer(action: str, data: dict[str, Any], now_s: float) -> dict[str, Any]:
        found = plain(action, data, now_s)
        token = data.get("idToken", {}).get("idToken", "")
        if action in ("Authorize", "TransactionEvent") and token in of_token:
            found["idTokenInfo"]["chargingPriority"] = of_token[token]
        if action == "TransactionEvent" and token in of_transaction:
            found["chargingPriority"] = of_transaction[token]
        return found

    pair.backend.answer = answer  # type: ignore[method-assign]


@pytest.mark.proves("K03.FR.04", "K03.FR.05", "K03.FR.06")
@pytest.mark.parametrize(
    ("of_token", "of_transaction", "expected"),
    [
        ({}, {}, [5.0, 5.0]),
        ({"TAG2": 1}, {}, [0.0, 10.0]),
        ({"TAG2": -1}, {}, [10.0, 0.0]),
        ({"TAG1": 2, "TAG2": 2}, {}, [5.0, 5.0]),
        ({"TAG2": 1}, {"TAG2": 0}, [5.0, 5.0]),
        ({"TAG1": 3}, {"TAG2": 9}, [0.0, 10.0]),
    ],
)
def test_who_has_priority_charges_first(
    of_token: dict[str, int], of_transaction: dict[str, int], expected: list[float]
) -> None:
    pair = world(cars=0, evses=2, smart=SmartCharging(connection_kw=10.0), power_max_kw=22.0)
    prioritized(pair, of_token, of_transaction)
    for evse_id in (1, 2):
        pair.plug(a_car(id_token=f"TAG{evse_id}", charge_max_kw=22.0), evse_id)
    assert powers(pair) == expected


@pytest.mark.proves("K03.FR.03")
def test_a_new_profile_of_whoever_is_in_between_counts_at_once() -> None:
    """A local controller forwards the line: its SetChargingProfile is one like any other."""
    pair = world(cars=2, smart=SmartCharging(connection_kw=22.0))
    for limit in (9400.0, 4700.0, 9400.0):
        assert refusal(put(pair, for_tx(pair, 5, limit), 1)) == ""
        assert powers(pair)[0] == limit / 1000
        asked = pair.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60})
        assert asked.schedule.chargingSchedulePeriod[0].limit == limit


def test_what_balancing_changes_is_told() -> None:
    pair = world(cars=1, evses=2, smart=SmartCharging(connection_kw=12.0))
    pair.run(5)
    assert "ChargingRateChanged" not in triggers(pair)
    pair.plug(a_car(id_token="TAG2"), 2)
    pair.run(5)
    assert triggers(pair).count("ChargingRateChanged") == 1
    changed = [event for event in pair.backend.payloads("TransactionEvent")
               if event["triggerReason"] == "ChargingRateChanged"]  # fmt: skip
    assert [event["evse"]["id"] for event in changed] == [1]
    set_variable(pair, "LimitChangeSignificance", "90")
    pair.unplug(2)
    pair.run(5)
    assert triggers(pair).count("ChargingRateChanged") == 1, "below the significance"
