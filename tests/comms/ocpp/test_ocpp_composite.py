"""The composite schedule engine against an oracle that looks at every second."""

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

sys.path.insert(0, str(Path(__file__).parent))

from schedule_stacks import T0, compare

from pendel.comms.ocpp import composite as engine
from pendel.comms.ocpp import v16, v21
from pendel.comms.ocpp.profile import (
    NO_BOUND,
    UNLIMITED,
    Installed,
    OperationMode,
    Period,
    Profile,
    Purpose,
    Supply,
    profile_of,
    updated,
)
from pendel.comms.ocpp.profile_rules import StationAbility, problems_of


@pytest.mark.proves("K01.FR.11", "K01.FR.12", "K01.FR.17", "K01.FR.36", "K01.FR.37", "K02.FR.04")
def test_agrees_with_the_oracle() -> None:
    found = compare(1_500, seed=11)
    assert found.points > 50_000
    assert found.differing == []


@pytest.mark.proof
def test_agrees_with_the_oracle_proof() -> None:
    assert compare(100_000, seed=12).differing == []


def v2x_profile(**changes: Any) -> v21.ChargingProfileType:
    period = v21.ChargingSchedulePeriodType(
        startPeriod=0, operationMode="CentralSetpoint", setpoint=-5000.0
    )
    schedule = v21.ChargingScheduleType(
        id=1, chargingRateUnit="W", chargingSchedulePeriod=[period], duration=60
    )
    fields: dict[str, Any] = {
        "id": 7, "stackLevel": 1, "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Dynamic", "transactionId": "tx", "chargingSchedule": [schedule],
    }  # fmt: skip
    return v21.ChargingProfileType(**{**fields, **changes})


def test_dynamic_profile_watchdog_falls_back_to_charging_only() -> None:
    default = profile_of(
        v16.SetChargingProfileCsChargingProfiles(
            chargingProfileId=1,
            stackLevel=0,
            chargingProfilePurpose="TxDefaultProfile",
            chargingProfileKind="Absolute",
            chargingSchedule=v16.SetChargingProfileCsChargingProfilesChargingSchedule(
                chargingRateUnit="A",
                chargingSchedulePeriod=[
                    v16.SetChargingProfileCsChargingProfilesChargingScheduleChargingSchedulePeriod(
                        startPeriod=0, limit=6.0
                    )
                ],
            ),
        ),
        0,
        T0,
        Supply(),
    )
    dynamic = profile_of(v2x_profile(), 1, T0, Supply())
    where = engine.Situation(1, "tx", T0)
    first, second = engine.composite([default, dynamic], where, T0, 120)
    assert first.point.setpoint_w is not None
    assert first.point.setpoint_w[0] == -5000.0
    assert (second.start_s, second.point.high_w[0], second.point.low_w[0]) == (60, 4140.0, 0.0)
    later = updated(dynamic, v21.ChargingScheduleUpdateType(setpoint=3000.0), T0 + 30, Supply())
    assert engine.composite([default, later], where, T0 + 30, 120)[1].start_s == 60


def test_a_limit_of_zero_never_exports() -> None:
    wire = v2x_profile()
    period = wire.chargingSchedule[0].chargingSchedulePeriod[0]
    period.limit = 0.0
    where = engine.Situation(1, "tx", T0)
    found = engine.point_at([profile_of(wire, 1, T0, Supply())], where, T0)
    assert found.setpoint_w is not None
    assert (found.low_w[0], found.setpoint_w[0]) == (0.0, 0.0)


@pytest.mark.proves("K01.FR.90", "K01.FR.91")
def test_local_time_recurrence_keeps_the_wall_clock_over_dst() -> None:
    seven_local = 1_774_069_200.0  # 2026-03-21 06:00 UTC = 07:00 in Berlin, before 29 March
    profile = Profile(
        id=1, evse_id=0, stack_level=0, purpose=Purpose.TX_DEFAULT, kind="Recurring", unit="W",
        periods=(Period(0, OperationMode.CHARGING_ONLY, UNLIMITED, NO_BOUND, None, 0, 3, (), ()),),
        recurrence_s=86_400.0, start_s=seven_local, use_local_time=True, duration_s=3600.0,
    )  # fmt: skip
    where = engine.Situation(1, timezone="Europe/Berlin")
    for day, shift_s in ((0, 0), (5, 0), (9, -3600), (200, -3600), (240, 0)):
        begin_s = seven_local + day * 86_400 + shift_s
        held = [engine.active_period(profile, where, begin_s + s) for s in (-1, 0, 3599, 3600)]
        assert [period is not None for period in held] == [False, True, True, False]


@pytest.mark.proves("K01.FR.33", "K01.FR.122")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"transactionId": "other"}, "TxNotFound"),
        ({"chargingProfilePurpose": "ChargingStationMaxProfile"}, "InvalidProfile"),
        ({"chargingProfileKind": "Relative", "dynUpdateInterval": 5}, "InvalidProfile"),
        ({"stackLevel": 101}, "InvalidStackLevel"),
    ],
)
def test_profile_rules(change: dict[str, Any], code: str) -> None:
    ability = StationAbility(transactions=frozenset({"tx"}))
    good = profile_of(v2x_profile(), 1, T0, Supply())
    assert problems_of(good, ability) == []
    bad = profile_of(v2x_profile(**change), 1, T0, Supply())
    assert code in [reason.code for reason in problems_of(bad, ability)]


@pytest.mark.proves("K01.FR.111", "K01.FR.112", "K01.FR.113")
def test_modes_of_each_purpose() -> None:
    allowed = {
        "PriorityCharging": {"ChargingOnly"},
        "ChargingStationMaxProfile": {"ChargingOnly"},
        "ChargingStationExternalConstraints": {
            "ChargingOnly",
            "ExternalLimits",
            "ExternalSetpoint",
        },
        "LocalGeneration": {"ChargingOnly", "ExternalLimits"},
    }
    for purpose, modes in allowed.items():
        for mode in OperationMode:
            wire = v2x_profile(chargingProfilePurpose=purpose, transactionId=UNSET)
            period = wire.chargingSchedule[0].chargingSchedulePeriod[0]
            period.operationMode, period.limit = mode.value, 5000.0
            profile = profile_of(wire, 0, T0, Supply())
            codes = {reason.code for reason in problems_of(profile, StationAbility())}
            assert ("InvalidOperationMode" in codes) is (mode.value not in modes), (purpose, mode)


@pytest.mark.proves("K01.FR.92", "K01.FR.97")
@pytest.mark.parametrize(
    ("delays", "duration", "expected"),
    [
        ((0, 0, 0, 0), None, {0: 0, 300: 1, 600: 2, 900: 3}),
        ((0, 753, 123, 87), None, {0: 0, 723: 2, 987: 3}),  # the example of the errata, 2.21
        ((9, 10, 20, 30), None, {0: 0, 310: 1, 620: 2, 930: 3}),
        ((0, 500, 500, 100), None, {0: 0, 800: 1, 1000: 3}),
        ((0, 900, 700, 50), None, {0: 0, 950: 3}),
        ((0, 0, 0, 100), 1000, {0: 0, 300: 1, 600: 2}),
    ],
)
def test_a_period_that_is_delayed_too_long_is_skipped(
    delays: tuple[int, ...], duration: float | None, expected: dict[int, int]
) -> None:
    periods = tuple(
        Period(300.0 * i, OperationMode.CHARGING_ONLY, (float(i), *UNLIMITED[1:]), NO_BOUND, None,
               0, 0, (), ())
        for i in range(4)
    )  # fmt: skip
    profile = Profile(1, 0, 0, Purpose.TX_DEFAULT, "Absolute", "W", periods, start_s=T0,
                      duration_s=duration)  # fmt: skip
    where = engine.Situation(1, "tx", T0, phases=0, delays={1: delays})
    found = engine.composite([profile], where, T0, 1100)
    got = {s.start_s: s.point.high_w[0] for s in found if s.point.sources}
    assert got == expected


def test_setpoint_outside_its_limits_is_an_invalid_schedule() -> None:
    wire = v2x_profile()
    wire.chargingSchedule[0].chargingSchedulePeriod[0].dischargeLimit = -4000.0
    ability = StationAbility(transactions=frozenset({"tx"}))
    reasons = problems_of(profile_of(wire, 1, T0, Supply()), ability)
    assert [reason.code for reason in reasons] == ["InvalidSchedule"]


@pytest.mark.proves("K02.FR.05")
def test_installing_and_clearing() -> None:
    installed = Installed()
    installed.put(profile_of(v2x_profile(), 1, T0, Supply()))
    installed.put(profile_of(v2x_profile(id=8), 1, T0, Supply()))
    assert list(installed.by_id) == [8]
    assert installed.clear(evse_id=2) == 0
    installed.end_transaction("tx")
    assert not installed.by_id


def test_curve_interpolates_and_holds_its_ends() -> None:
    curve = ((49.8, 5000.0), (50.0, 0.0), (50.2, -5000.0))
    assert engine.curve_power_w(curve, 49.9) == pytest.approx(2500.0)
    assert engine.curve_power_w(curve, 51.0) == -5000.0
