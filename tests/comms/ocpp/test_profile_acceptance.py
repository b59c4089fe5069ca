"""K01, K28: which charging profiles a station takes, and why it refuses the others."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import Pair, profile_2
from smart_charging_world import (
    BEFORE,
    Wire,
    absolute,
    default,
    for_tx,
    get_variable,
    powers,
    put,
    refusal,
    set_variable,
    tx_id,
    without,
    world,
)

from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.profile_support import FEATURES
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.smart_charging import SmartCharging

PLAIN = SmartCharging()
Make = Callable[[Pair], Wire]


def field(wire: Wire, **changes: Any) -> Wire:
    """The profile with other fields; None takes one away."""
    kept = {name: value for name, value in wire.items() if changes.get(name, 0) is not None}
    return kept | {name: value for name, value in changes.items() if value is not None}


def schedule(wire: Wire, **changes: Any) -> Wire:
    return {**wire, "chargingSchedule": [field(wire["chargingSchedule"][0], **changes)]}


def period(wire: Wire, **changes: Any) -> Wire:
    first = field(wire["chargingSchedule"][0]["chargingSchedulePeriod"][0], **changes)
    return schedule(wire, chargingSchedulePeriod=[first])


def dynamic(pair: Pair, number: int = 3, **more: Any) -> Wire:
    wire = for_tx(pair, number, 4000.0, chargingProfileKind="Dynamic", **more)
    return schedule(wire, startSchedule=None)


def priority(number: int = 5, watts: float = 9000.0) -> Wire:
    return absolute(number, "PriorityCharging", watts)


def relative(wire: Wire) -> Wire:
    return schedule(field(wire, chargingProfileKind="Relative"), startSchedule=None)


REFUSED: list[tuple[str, str, SmartCharging, Make]] = [
    ("K01.FR.09", "TxNotFound", PLAIN, lambda p: absolute(3, "TxProfile", 1, transactionId="x")),
    ("K01.FR.26", "UnsupportedRateUnit", replace(PLAIN, rate_units=("A",)),
     lambda p: default(3, 4000)),
    ("K01.FR.38", "InvalidProfile", PLAIN,
     lambda p: relative(absolute(3, "ChargingStationMaxProfile", 1))),
    ("K01.FR.40", "InvalidSchedule", PLAIN, lambda p: schedule(default(3, 1), startSchedule=None)),
    ("K01.FR.41", "InvalidProfile", PLAIN,
     lambda p: field(default(3, 1), chargingProfileKind="Relative")),
    ("K01.FR.43", "InvalidSchedule", replace(PLAIN, switches_phases=False),
     lambda p: period(default(3, 4000), numberPhases=1)),
    ("K01.FR.48", "InvalidSchedule", replace(PLAIN, chooses_phase=False),
     lambda p: period(default(3, 4000), numberPhases=1, phaseToUse=2)),
    ("K01.FR.19", "InvalidSchedule", PLAIN,
     lambda p: period(default(3, 4000), numberPhases=3, phaseToUse=2)),
    ("K01.FR.70", "InvalidSchedule", PLAIN, lambda p: schedule(priority(), duration=60)),
    ("K01.FR.71", "InvalidOperationMode", PLAIN,
     lambda p: period(priority(), operationMode="CentralSetpoint", setpoint=1.0)),
    ("K01.FR.95", "InvalidSchedule", PLAIN, lambda p: schedule(priority(), randomizedDelay=60)),
    ("K01.FR.120", "UnsupportedPurpose", replace(PLAIN, purposes=("LocalGeneration",)),
     lambda p: priority()),
    ("K01.FR.120", "UnsupportedPurpose", replace(PLAIN, purposes=("PriorityCharging",)),
     lambda p: absolute(3, "LocalGeneration", 1)),
    ("K01.FR.121", "UnsupportedKind", without(PLAIN, "DynamicProfiles"), dynamic),
    ("K01.FR.122", "InvalidProfile", PLAIN, lambda p: field(default(3, 1), dynUpdateInterval=9)),
    ("K01.FR.122", "InvalidProfile", PLAIN, lambda p: field(default(3, 1), dynUpdateTime=BEFORE)),
    ("K01.FR.123", "InvalidSchedule", without(PLAIN, "UseLocalTime"),
     lambda p: schedule(default(3, 1), useLocalTime=True)),
    ("K01.FR.124", "InvalidSchedule", without(PLAIN, "RandomizedDelay"),
     lambda p: schedule(default(3, 1), randomizedDelay=60)),
    ("K01.FR.125", "InvalidSchedule", without(PLAIN, "LimitAtSoC"),
     lambda p: schedule(default(3, 1), limitAtSoC={"soc": 80, "limit": 1.0})),
    ("K01.FR.126", "InvalidSchedule", replace(PLAIN, features=FEATURES),
     lambda p: period(default(3, 1), evseSleep=True)),
    ("appendix", "InvalidStackLevel", replace(PLAIN, stack_level_max=2),
     lambda p: default(3, 1, level=3)),
    ("appendix", "TooManyElements", replace(PLAIN, periods_max=1), lambda p: schedule(
        default(3, 1), chargingSchedulePeriod=[
            {"startPeriod": 0, "limit": 1}, {"startPeriod": 9, "limit": 2}])),
    ("appendix", "TooManyElements", replace(PLAIN, entries_max=0), lambda p: default(3, 1)),
    ("K01.FR.22", "InvalidProfile", PLAIN,
     lambda p: absolute(3, "ChargingStationExternalConstraints", 1)),
    ("K01.FR.115", "InvalidOperationMode", PLAIN,
     lambda p: period(default(3, 1), limit=None, operationMode="CentralSetpoint", setpoint=1.0)),
    ("K01.FR.114", "InvalidOperationMode", PLAIN, lambda p: period(
        absolute(3, "LocalGeneration", 1), operationMode="CentralSetpoint", setpoint=1.0)),
    ("K01.FR.144", "PhaseConflict", PLAIN, lambda p: period(default(3, 1), limit_L2=1.0)),
    ("K01.FR.146", "PhaseConflict", PLAIN,
     lambda p: period(for_tx(p, 3, 1), limit=None, limit_L2=1.0)),
    ("K04.FR.03", "InvalidProfile", PLAIN, lambda p: absolute(3, "ChargingStationMaxProfile", 1)),
    ("K28.FR.03", "InvalidSchedule", PLAIN, lambda p: schedule(
        dynamic(p), chargingSchedulePeriod=[
            {"startPeriod": 0, "limit": 1}, {"startPeriod": 9, "limit": 2}])),
    ("K28.FR.03", "InvalidSchedule", PLAIN,
     lambda p: field(dynamic(p), chargingSchedule=dynamic(p)["chargingSchedule"] * 2)),
    ("K28.FR.03", "InvalidSchedule", PLAIN, lambda p: period(dynamic(p), startPeriod=1)),
    ("K28.FR.04", "InvalidProfile", PLAIN,
     lambda p: field(for_tx(p, 3, 1), dynUpdateInterval=5)),
]  # fmt: skip


@pytest.mark.proves(
    "K01.FR.09", "K01.FR.26", "K01.FR.38", "K01.FR.43", "K01.FR.48", "K01.FR.70", "K01.FR.71",
    "K01.FR.95", "K01.FR.120", "K01.FR.121", "K01.FR.122", "K01.FR.123", "K01.FR.124",
    "K01.FR.125", "K01.FR.126", "K01.FR.114", "K01.FR.115", "K01.FR.144", "K01.FR.146",
    "K04.FR.03", "K28.FR.03", "K28.FR.04",
)  # fmt: skip
@pytest.mark.parametrize(("rule", "code", "smart", "make"), REFUSED, ids=lambda v: str(v)[:24])
def test_refused_with_the_reason_code_of_the_appendix(
    rule: str, code: str, smart: SmartCharging, make: Make
) -> None:
    cars = 0 if rule == "K01.FR.09" else 1
    pair = world(smart=smart, v2x=rule != "K01.FR.115", cars=cars)
    assert refusal(put(pair, make(pair))) == code, rule
    assert not pair.station.profiles.by_id
    assert powers(pair) == [11.0 * cars], "nothing holds the car back"


ACCEPTED: list[tuple[SmartCharging, Make]] = [
    (PLAIN, lambda p: default(3, 4000)),
    (replace(PLAIN, rate_units=("W",)), lambda p: default(3, 4000)),
    (PLAIN, lambda p: relative(default(3, 4000))),
    (PLAIN, lambda p: period(default(3, 4000), numberPhases=1, phaseToUse=2)),
    (replace(PLAIN, chooses_phase=False),
     lambda p: period(default(3, 4000), numberPhases=1, phaseToUse=1)),
    (replace(PLAIN, switches_phases=False), lambda p: period(default(3, 4000), numberPhases=3)),
    (PLAIN, lambda p: priority()),
    (PLAIN, dynamic),
    (PLAIN, lambda p: schedule(default(3, 4000), useLocalTime=True, randomizedDelay=60)),
    (PLAIN, lambda p: schedule(default(3, 4000), limitAtSoC={"soc": 80, "limit": 1.0})),
    (PLAIN, lambda p: absolute(3, "LocalGeneration", 1)),
    (PLAIN, lambda p: period(for_tx(p, 3, 1000), limit_L2=1.0, limit_L3=2.0)),
    (replace(PLAIN, stack_level_max=3, entries_max=1, periods_max=1),
     lambda p: default(3, 1, level=3)),
]  # fmt: skip


@pytest.mark.parametrize(("smart", "make"), ACCEPTED)
def test_what_only_differs_in_that_is_taken(smart: SmartCharging, make: Make) -> None:
    pair = world(smart=smart)
    assert refusal(put(pair, make(pair))) == ""
    assert list(pair.station.profiles.by_id)


@pytest.mark.proves("K01.FR.28", "K08.FR.05")
def test_an_evse_that_does_not_exist() -> None:
    pair = world()
    assert refusal(put(pair, default(3, 1), evse_id=2)) == "UnknownEvse"
    asked = pair.ask("GetCompositeSchedule", {"evseId": 2, "duration": 60})
    assert refusal(asked) == "UnknownEvse"


@pytest.mark.proves("K01.FR.29")
def test_without_smart_charging_the_messages_are_not_supported() -> None:
    pair = world(smart=replace(PLAIN, available=False))
    assert get_variable(pair, "Available") == "false"
    assert put(pair, default(3, 1)) == ErrorCode.NOT_SUPPORTED
    composite = pair.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert composite == ErrorCode.NOT_SUPPORTED
    assert pair.ask("ClearChargingProfile", {"chargingProfileId": 3}) == ErrorCode.NOT_SUPPORTED


@pytest.mark.proves("K01.FR.44", "K01.FR.54")
def test_phases_of_a_dc_evse_are_chosen_only_where_its_input_can() -> None:
    chosen = period(default(3, 4000), numberPhases=1, phaseToUse=2)
    assert refusal(put(world(is_dc=True), chosen)) == "NoPhaseForDC"
    pair = world(is_dc=True, smart=replace(PLAIN, dc_phase_control=True))
    assert refusal(put(pair, chosen)) == ""
    assert powers(pair) == [4.0]
    assert (pair.station.evses[1].phases, pair.station.evses[1].phase) == (1, 2)


@pytest.mark.proves("K01.FR.45", "K01.FR.46", "K01.FR.47", "K01.FR.49")
def test_phases_in_use() -> None:
    pair = world()
    for changes, phases, phase, kw in (
        ({}, 3, None, 6.9),  # numberPhases 3 is assumed
        ({"numberPhases": 3}, 3, None, 6.9),
        ({"numberPhases": 1}, 1, 1, 11 / 3),  # the station takes a phase by itself
        ({"numberPhases": 1, "phaseToUse": 3}, 1, 3, 11 / 3),
        ({"numberPhases": 2}, 2, None, 6.9),
    ):
        assert refusal(put(pair, period(default(3, 6900), **changes))) == ""
        assert powers(pair) == [pytest.approx(kw)], changes
        evse = pair.station.evses[1]
        assert (evse.phases, evse.phase) == (phases, phase)
        pair.run(60)
        assert pair.backend.payloads("TransactionEvent")[-1]["numberOfPhasesUsed"] == phases
    single = world(phases=1, power_max_kw=7.4)
    assert refusal(put(single, period(default(3, 6900), numberPhases=3))) == ""
    assert powers(single) == [pytest.approx(2.3)]  # imposed on the one phase there is


@pytest.mark.proves("K01.FR.50", "K01.FR.51")
@pytest.mark.parametrize(
    ("unit", "limit", "phases", "kw"),
    [("W", 6900, 3, 6.9), ("W", 2300, 1, 2.3), ("A", 10, 3, 6.9), ("A", 10, 1, 2.3),
     ("A", 16, None, 11.0), ("A", 6, None, 4.14)],
)  # fmt: skip
def test_amperes_are_per_phase(unit: str, limit: float, phases: int | None, kw: float) -> None:
    pair = world()
    wire = schedule(default(3, limit), chargingRateUnit=unit)
    first = {"numberPhases": phases} if phases else {}
    wire["chargingSchedule"][0]["chargingSchedulePeriod"][0].update(first)
    assert refusal(put(pair, wire)) == ""
    assert powers(pair) == [pytest.approx(kw)]
    # a cap in watts on three phases is a current per phase too
    cap = absolute(4, "ChargingStationMaxProfile", 3450)
    assert refusal(put(pair, cap, 0)) == ""
    per_phase = min(kw / (phases or 3), 3.45 / 3)
    assert powers(pair) == [pytest.approx(per_phase * (phases or 3))]


@pytest.mark.proves("K01.FR.140")
@pytest.mark.parametrize(("default_n", "cap_n", "phases"), [(3, 1, 1), (1, 3, 1), (2, 3, 2)])
def test_the_fewest_phases_of_all_profiles_are_used(
    default_n: int, cap_n: int, phases: int
) -> None:
    pair = world()
    assert refusal(put(pair, period(default(3, 3000 * default_n), numberPhases=default_n))) == ""
    cap = period(absolute(4, "ChargingStationMaxProfile", 2000 * cap_n), numberPhases=cap_n)
    assert refusal(put(pair, cap, 0)) == ""
    assert powers(pair) == [pytest.approx(2.0 * phases)], "2 kW on each"
    assert pair.station.evses[1].phases == phases


@pytest.mark.proves("K01.FR.141")
def test_two_phases_cannot_be_used_at_once() -> None:
    pair = world()
    one = period(default(3, 4000), numberPhases=1, phaseToUse=1)
    two = period(absolute(4, "ChargingStationMaxProfile", 9000), numberPhases=1, phaseToUse=2)
    assert refusal(put(pair, one)) == ""
    assert refusal(put(pair, two, 0)) == "PhaseConflict"
    own = period(for_tx(pair, 5, 4000), numberPhases=1, phaseToUse=3)
    assert refusal(put(pair, own)) == "", "a TxProfile overrules the default"


@pytest.mark.proves("K01.FR.05", "K01.FR.07")
def test_a_known_id_is_replaced_and_the_result_holds_at_once() -> None:
    pair = world()
    for watts in (4000, 3000, 5000):
        assert refusal(put(pair, default(3, watts))) == ""
        assert powers(pair) == [watts / 1000]
    assert list(pair.station.profiles.by_id) == [3]
    assert refusal(put(pair, default(4, 2000, level=1))) == ""
    assert powers(pair) == [2.0]
    assert refusal(put(pair, default(3, 2500, level=2))) == ""
    assert powers(pair) == [2.5]
    assert sorted(pair.station.profiles.by_id) == [3, 4]


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ({}, {}, "DuplicateProfile"),
        ({"validTo": "2024-01-01T00:00:00Z"}, {"validFrom": "2024-01-01T00:00:00Z"}, ""),
        ({"validTo": "2024-01-02T00:00:00Z"}, {"validFrom": "2024-01-01T00:00:00Z"},
         "DuplicateProfile"),
        ({}, {"stackLevel": 1}, ""),
    ],
)  # fmt: skip
def test_another_id_at_the_same_place(first: Wire, second: Wire, code: str) -> None:
    pair = world()
    assert refusal(put(pair, default(3, 4000) | first)) == ""
    assert refusal(put(pair, default(4, 3000) | second)) == code
    assert sorted(pair.station.profiles.by_id) == ([3] if code else [3, 4])


@pytest.mark.proves("K01.FR.14", "K01.FR.15", "K01.FR.32", "K01.FR.52", "K01.FR.53")
def test_default_profiles_of_all_evses_and_of_one() -> None:
    pair = world(cars=2)
    sessions = [tx_id(pair, 1), tx_id(pair, 2)]
    assert refusal(put(pair, default(3, 4000), 0)) == ""
    assert powers(pair) == [4.0, 4.0]
    assert [p.evse_id for p in pair.station.profiles.by_id.values()] == [0]
    assert refusal(put(pair, default(4, 2000), 1)) == "DuplicateProfile"
    assert refusal(put(pair, default(4, 2000, level=1), 1)) == ""
    assert powers(pair) == [2.0, 4.0]
    assert refusal(put(pair, default(5, 1000, level=1), 0)) == "DuplicateProfile"
    assert refusal(put(pair, default(4, 1000, level=1), 0)) == "", "its own id moves it"
    assert powers(pair) == [1.0, 1.0]
    assert [tx_id(pair, 1), tx_id(pair, 2)] == sessions, "the transactions go on"


@pytest.mark.proves("K01.FR.81", "K01.FR.82")
def test_ids_up_to_a_number_belong_to_external_constraints() -> None:
    pair = world(smart=replace(PLAIN, external_id_max=100))
    assert refusal(put(pair, default(100, 1))) == "InvalidProfileId"
    assert refusal(put(pair, default(101, 1))) == ""
    assert set_variable(pair, "MaxExternalConstraintsId", "200") == "Accepted"
    assert refusal(put(pair, default(150, 1, level=1))) == "InvalidProfileId"


@pytest.mark.proves("K01.FR.55", "K01.FR.27")
def test_what_a_reboot_leaves() -> None:
    pair = world()
    put(pair, default(3, 4000))
    put(pair, absolute(4, "ChargingStationMaxProfile", 9000), 0)
    put(pair, priority(5))
    put(pair, absolute(6, "LocalGeneration", 100))
    put(pair, for_tx(pair, 7, 2000))
    assert get_variable(pair, "Entries", "ChargingProfiles") == "5"
    kept = {
        purpose: get_variable(pair, "ChargingProfilePersistence", purpose)
        for purpose in ("TxProfile", "LocalGeneration", "ChargingStationExternalConstraints")
    }
    assert list(kept.values()) == ["false", "true", "true"]
    pair.station.reset_for = "LocalReset"
    pair.run(10)
    assert set(pair.station.profiles.by_id) == {3, 4, 5, 6}
    assert powers(pair) == [4.1]


@pytest.mark.proves("K01.FR.56", "K01.FR.57")
def test_persistent_profiles_are_not_rewritten_too_often() -> None:
    pair = world(cars=2, smart=replace(PLAIN, pause_s=60.0))
    assert refusal(put(pair, default(3, 4000), 1)) == ""
    assert refusal(put(pair, default(4, 4000), 2)) == "", "another EVSE (errata 2.19)"
    pair.run(20)
    answer = put(pair, default(3, 3000), 1)
    assert refusal(answer) == "RateLimitExceeded"
    assert answer.statusInfo.additionalInfo == "40 seconds before retry"
    for watts in (1000, 2000):
        assert refusal(put(pair, for_tx(pair, 5, watts), 1)) == "", "not kept persistently"
    pair.run(40)
    assert refusal(put(pair, default(3, 3000), 1)) == ""


def test_what_the_station_supports_is_in_its_report() -> None:
    pair = world()
    pair.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    rows = [row for p in pair.backend.payloads("NotifyReport") for row in p["reportData"]]
    smart = {
        (row["variable"]["name"], row["variable"].get("instance", "")): row
        for row in rows
        if row["component"]["name"] == "SmartChargingCtrlr"
    }
    for feature in ("DynamicProfiles", "UseLocalTime", "RandomizedDelay", "LimitAtSoC"):
        assert smart["SupportsFeature", feature]["variableAttribute"][0]["value"] == "true"
    entries = smart["Entries", "ChargingProfiles"]
    assert entries["variableCharacteristics"]["maxLimit"] == 100
    assert set_variable(pair, "LimitChangeSignificance", "lots") == "Rejected"
    assert set_variable(pair, "LimitChangeSignificance", "2.5") == "Accepted"


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
def test_a_profile_with_two_periods_at_once_is_refused(version: Version) -> None:
    pair = world(version)
    periods = [{"startPeriod": 0, "limit": 1}, {"startPeriod": 0, "limit": 2}]
    wire = profile_2(3, "TxDefaultProfile", periods, schedule={"startSchedule": BEFORE})
    assert refusal(put(pair, wire)) == "InvalidSchedule"
