"""What blocks K and Q oblige a backend to, held against the profiles and answers it makes."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "comms" / "ocpp"))

from test_csms_rules import ask, booted

from pendel.comms.ocpp.release import Version
from pendel.runtime.bridges.dialects import Dialect, Manner
from pendel.runtime.bridges.wire_profiles import (
    Mode,
    Wish,
    default_profile,
    set_request,
    tx_profile,
)

NATIVE = Manner(Dialect.NATIVE, "W")
V2X_FIELDS = {"dischargeLimit", "setpoint", "setpointReactive"}
MODES = [
    Mode(),
    Mode("Idle"),
    Mode("ChargingOnly"),
    Mode("ExternalSetpoint"),
    Mode("ExternalLimits"),
    Mode("LocalLoadBalancing"),
    Mode("CentralFrequency", 0.0, ((-1.0, -4.0), (1.0, 4.0))),
    Mode("LocalFrequency", 2.0, ((49.8, -5.0), (50.2, 5.0))),
]


def profiles(version: str = "2.1") -> list[dict[str, Any]]:
    """Every kind of profile this backend makes."""
    found = [default_profile(1, 11.0, version, "W")]
    for mode in MODES:
        for power_kw in (-5.0, 0.0, 5.0):
            for bidirectional in (True, False):
                wish = Wish(power_kw, 11.0, 11.0, bidirectional, mode)
                found += [
                    tx_profile(2, "T", wish, NATIVE, version, dynamic) for dynamic in (True, False)
                ]
    return found


def period(profile: dict[str, Any]) -> dict[str, Any]:
    (schedule,) = profile["chargingSchedule"]
    (only,) = schedule["chargingSchedulePeriod"]
    return dict(only)


@pytest.mark.proves("K01.FR.03", "K01.FR.16", "K02.FR.03")
def test_a_tx_profile_names_its_transaction_and_an_evse() -> None:
    for profile in profiles():
        is_tx = profile["chargingProfilePurpose"] == "TxProfile"
        assert is_tx is ("transactionId" in profile)
        assert set_request(1, profile, "2.1")["evseId"] == 1


@pytest.mark.proves("K01.FR.06", "K01.FR.39")
def test_default_and_tx_profiles_never_share_a_stack_level() -> None:
    levels = {p["chargingProfilePurpose"]: p["stackLevel"] for p in profiles()}
    ids = {p["chargingProfilePurpose"]: p["id"] for p in profiles()}
    assert levels == {"TxDefaultProfile": 0, "TxProfile": 1}
    assert len(set(ids.values())) == 2, "one profile of each, replaced under its own id"


@pytest.mark.proves("K01.FR.19", "K01.FR.20")
def test_no_phase_is_chosen() -> None:
    for profile in profiles():
        assert not {"phaseToUse", "numberPhases"} & set(period(profile))


@pytest.mark.proves("K01.FR.142", "K01.FR.143", "K01.FR.145")
def test_no_phase_gets_a_limit_of_its_own() -> None:
    for profile in profiles():
        assert not any(name.endswith(("_L2", "_L3")) for name in period(profile))


@pytest.mark.proves("K01.FR.22", "K02.FR.07")
def test_external_constraints_are_never_set() -> None:
    purposes = {p["chargingProfilePurpose"] for p in profiles()}
    assert purposes == {"TxDefaultProfile", "TxProfile"}


@pytest.mark.proves("K01.FR.31", "K01.FR.34", "K01.FR.35", "K28.FR.01", "K28.FR.02")
def test_one_schedule_of_one_period_that_begins_at_once() -> None:
    for profile in profiles():
        assert period(profile)["startPeriod"] == 0


@pytest.mark.proves("K01.FR.40", "K01.FR.41")
def test_only_relative_and_dynamic_profiles_and_none_with_a_start() -> None:
    for profile in profiles():
        assert profile["chargingProfileKind"] in ("Relative", "Dynamic")
        assert "startSchedule" not in profile["chargingSchedule"][0]


@pytest.mark.proves("Q02.FR.01", "Q02.FR.02")
def test_a_car_that_does_not_ask_for_v2x_gets_charging_only() -> None:
    for power_kw in (-5.0, 0.0, 5.0):
        for mode in MODES:
            wish = Wish(power_kw, 11.0, 11.0, False, mode)
            found = period(tx_profile(2, "T", wish, NATIVE, "2.1", True))
            assert found["operationMode"] == "ChargingOnly" and found["limit"] >= 0.0
            assert not V2X_FIELDS & set(found)
    assert not V2X_FIELDS & set(period(default_profile(1, 11.0, "2.1", "W")))


@pytest.mark.proves("Q03.FR.01", "Q03.FR.02")
def test_setpoints_go_out_as_central_setpoint_without_limits() -> None:
    found = period(tx_profile(2, "T", Wish(-5.0, 11.0, 11.0, True), NATIVE, "2.1", True))
    assert found == {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -5000.0}


@pytest.mark.proves("Q08.FR.01", "Q08.FR.02", "Q08.FR.05")
def test_local_frequency_has_a_curve_a_baseline_and_nothing_else() -> None:
    wish = Wish(-5.0, 11.0, 11.0, True, MODES[-1])
    profile = tx_profile(2, "T", wish, NATIVE, "2.1", False)
    found = period(profile)
    assert set(found) == {"startPeriod", "operationMode", "v2xBaseline", "v2xFreqWattCurve"}
    assert len(found["v2xFreqWattCurve"]) >= 2
    assert profile["chargingSchedule"][0]["chargingRateUnit"] == "W"


@pytest.mark.proves("Q10.FR.01")
def test_idle_says_nothing_else() -> None:
    found = period(tx_profile(2, "T", Wish(-5.0, 11.0, 11.0, True, MODES[1]), NATIVE, "2.1", False))
    assert found == {"startPeriod": 0, "operationMode": "Idle"}


@pytest.mark.proves("K28.FR.07", "K28.FR.12")
def test_updates_are_pulled_from_dynamic_profiles_only() -> None:
    backend = booted(Version.V21)
    backend.network.station("S").dynamic[7] = {"setpoint": -4000.0}
    pull = {"chargingProfileId": 7}
    answer = ask(backend, Version.V21, "PullDynamicScheduleUpdate", pull).response
    assert answer.status == "Accepted" and answer.scheduleUpdate.setpoint == -4000.0
    pull = {"chargingProfileId": 8}
    answer = ask(backend, Version.V21, "PullDynamicScheduleUpdate", pull).response
    assert answer.status == "Rejected"


@pytest.mark.proves("K21.FR.09", "K22.FR.06")
def test_priority_charging_is_answered() -> None:
    backend = booted(Version.V21)
    for activated in (True, False):
        told = {"transactionId": "T", "activated": activated}
        assert ask(backend, Version.V21, "NotifyPriorityCharging", told).code is None
    assert len(backend.network.station("S").notices["NotifyPriorityCharging"]) == 2
