"""Bidirectional charging of the virtual station: obeys profiles, and never exports unasked."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import START_S, Pair, a_car, profile_2

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import Car
from pendel.comms.ocpp.station.external_system import ExternalSystem, Order

BEFORE = "2023-11-14T00:00:00Z"


def transaction_id(pair: Pair) -> str:
    transaction = pair.station.evses[1].transaction
    assert transaction is not None
    return transaction.id


def install(pair: Pair, profile: dict[str, Any], evse_id: int = 1) -> Any:
    return pair.ask("SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile})


def under(limit_w: float) -> dict[str, Any]:
    """The ChargingOnly default that lies under every V2X profile."""
    period = {"startPeriod": 0, "limit": limit_w, "operationMode": "ChargingOnly"}
    return profile_2(1, "TxDefaultProfile", [period], schedule={"startSchedule": BEFORE})


def outside(pair: Pair) -> ExternalSystem:
    """The way into the station that is not OCPP."""
    found = pair.station.dialect.external  # type: ignore[attr-defined]
    assert isinstance(found, ExternalSystem)
    return found


def central(pair: Pair, setpoint_w: float, **more: Any) -> dict[str, Any]:
    """A dynamic CentralSetpoint TxProfile with a watchdog of 120 s."""
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": setpoint_w}
    return profile_2(
        2,
        "TxProfile",
        [period],
        chargingProfileKind="Dynamic",
        transactionId=transaction_id(pair),
        schedule={"duration": 120},
        **more,
    )


@pytest.mark.proves("K01.FR.110", "K02.FR.05", "K02.FR.08", "K28.FR.06", "Q01.FR.03")
def test_a_whole_v2x_session() -> None:
    pair = Pair(Version.V21).connect()
    car = pair.plug()
    need = pair.backend.payloads("NotifyEVChargingNeeds")[0]["chargingNeeds"]
    v2x = need["v2xChargingParameters"]
    assert need["requestedEnergyTransfer"] == "AC_BPT"
    assert v2x["maxDischargePower"] == 11_000 > 0
    assert v2x["evTargetEnergyRequest"] == 24_000
    assert v2x["evMinV2XEnergyRequest"] == -12_000
    assert install(pair, under(3_000)).status == "Accepted"
    assert install(pair, central(pair, 0)).status == "Accepted"
    pair.run(30)
    assert (pair.power_kw, pair.station.evses[1].mode) == (0.0, "CentralSetpoint")

    def update(setpoint_w: float) -> str:
        order = {"chargingProfileId": 2, "scheduleUpdate": {"setpoint": setpoint_w}}
        return str(pair.ask("UpdateDynamicSchedule", order).status)

    assert update(-8_000) == "Accepted"
    before_kwh = car.energy_kwh
    pair.run(100)
    assert pair.power_kw == -8.0
    assert car.energy_kwh < before_kwh
    export_wh = pair.station.evses[1].export_wh
    assert export_wh == pytest.approx(8_000 * 100 / 3600)
    assert (before_kwh - car.energy_kwh) * 0.92 == pytest.approx(export_wh / 1000)
    pair.run(30)  # the watchdog of 120 s has fired: charging only, by the profile below
    assert (pair.power_kw, pair.station.evses[1].mode) == (3.0, "ChargingOnly")
    assert pair.station.evses[1].export_wh == pytest.approx(8_000 * 120 / 3600)
    assert update(5_000) == "Accepted"
    pair.run(20)
    assert pair.power_kw == 5.0
    pair.unplug()
    events = pair.backend.payloads("TransactionEvent")
    modes = [e["transactionInfo"].get("operationMode") for e in events
             if e["triggerReason"] == "OperationModeChanged"]  # fmt: skip
    assert modes == ["CentralSetpoint", "ChargingOnly", "CentralSetpoint"]
    assert events[-1]["eventType"] == "Ended"
    assert set(pair.station.profiles.by_id) == {1}  # the TxProfile went with its transaction


def test_the_watchdog_fires_to_the_second_without_a_line() -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    install(pair, under(0))
    install(pair, central(pair, -10_000))
    pair.cut()
    pair.run(24 * 3600, step_s=24 * 3600.0)
    evse = pair.station.evses[1]
    assert evse.export_wh == pytest.approx(10_000 * 120 / 3600)
    assert evse.import_wh == 0.0


@pytest.mark.parametrize("setpoint_w", [-11_000.0, -1.0, 0.0, 11_000.0])
@pytest.mark.parametrize(
    "purpose", ["ChargingStationMaxProfile", "ChargingStationExternalConstraints"]
)
def test_a_limit_of_zero_never_exports(setpoint_w: float, purpose: str) -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    install(pair, under(11_000))
    if purpose.endswith("MaxProfile"):
        cap = profile_2(
            5, purpose, [{"startPeriod": 0, "limit": 0}], schedule={"startSchedule": BEFORE}
        )
        assert install(pair, cap, 0).status == "Accepted"
    else:
        assert outside(pair).set("EMS", Order(limit_kw=0.0), pair.now_s) == ""
    install(pair, central(pair, setpoint_w))
    before = (pair.station.evses[1].import_wh, pair.station.evses[1].export_wh)
    pair.run(600)
    assert (pair.station.evses[1].import_wh, pair.station.evses[1].export_wh) == before


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["set", "update", "cut", "connect", "wait", "signal", "clear"]),
            st.integers(-15_000, 15_000),
            st.integers(0, 400),
        ),
        max_size=14,
    ),
    st.integers(0, 11_000),
)
def test_energy_is_conserved_and_offline_never_exports_for_long(
    steps: list[tuple[str, int, int]], limit_w: int
) -> None:
    pair = Pair(Version.V21).connect()
    car = pair.plug()
    start_kwh, evse = car.energy_kwh, pair.station.evses[1]
    install(pair, under(limit_w))
    for what, watts, seconds in steps:
        if what == "cut":
            pair.cut()
            exported_wh = evse.export_wh
            pair.run(seconds, step_s=37.0)
            assert evse.export_wh - exported_wh <= 11_000 * 120 / 3600 + 1e-6
        elif what == "connect" and not pair.online:
            pair.connect()
        elif what == "wait" or not pair.online:
            pair.run(seconds, step_s=37.0)
        elif what == "set":
            install(pair, central(pair, watts))
        elif what == "update":
            order = {"chargingProfileId": 2, "scheduleUpdate": {"setpoint": watts}}
            pair.ask("UpdateDynamicSchedule", order)
        elif what == "clear":
            pair.ask("ClearChargingProfile", {"chargingProfileId": 2})
        pair.run(5)
        balance_kwh = evse.import_wh / 1000 * 0.92 - evse.export_wh / 1000 / 0.92
        assert car.energy_kwh - start_kwh == pytest.approx(balance_kwh, abs=1e-9)
        assert 12.0 - 1e-9 <= car.energy_kwh <= 60.0 + 1e-9
        assert abs(pair.power_kw) <= 11.0


def test_the_battery_is_never_emptied_below_what_the_car_keeps() -> None:
    pair = Pair(Version.V21).connect()
    car = pair.plug()
    install(pair, under(0))
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -11_000}
    forever = profile_2(2, "TxProfile", [period], transactionId=transaction_id(pair),
                        schedule={"startSchedule": BEFORE})  # fmt: skip
    assert install(pair, forever).status == "Accepted"
    pair.run(4 * 3600, step_s=600.0)
    assert car.energy_kwh == pytest.approx(12.0)
    assert pair.power_kw == 0.0
    assert pair.station.evses[1].export_wh == pytest.approx(12_000 * 0.92)


@pytest.mark.proves("Q02.FR.06", "Q02.FR.07")
def test_what_the_backend_does_not_allow_is_not_discharged() -> None:
    pair = Pair(Version.V21)
    pair.backend.v2x = False
    pair.connect()
    pair.plug()
    need = pair.backend.payloads("NotifyEVChargingNeeds")[0]["chargingNeeds"]
    assert need["requestedEnergyTransfer"] == "AC_three_phase"
    assert "v2xChargingParameters" not in need
    install(pair, under(0))
    install(pair, central(pair, -5_000))
    pair.run(60)
    assert pair.station.evses[1].export_wh == 0.0
    allow = {"transactionId": transaction_id(pair), "allowedEnergyTransfer": ["AC_BPT"]}
    assert pair.ask("NotifyAllowedEnergyTransfer", allow).status == "Accepted"
    pair.run(5)
    again = pair.backend.payloads("NotifyEVChargingNeeds")[-1]["chargingNeeds"]
    assert again["requestedEnergyTransfer"] == "AC_BPT"
    assert pair.power_kw == -5.0


@pytest.mark.proves("K28.FR.08", "K28.FR.10")
def test_dynamic_updates_are_pulled_when_due() -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    install(pair, central(pair, 1_000, dynUpdateInterval=60))
    pair.backend.updates[2] = {"setpoint": -2_000}
    pair.run(59)
    assert pair.power_kw == 1.0
    pair.run(11)
    assert pair.power_kw == -2.0
    pair.run(240)
    assert 4 <= len(pair.backend.payloads("PullDynamicScheduleUpdate")) <= 6
    assert pair.power_kw == -2.0  # pulling keeps the watchdog quiet
    del pair.backend.updates[2]
    pair.run(180)
    assert pair.power_kw == 11.0


def test_afrr_signals_follow_the_curve() -> None:
    pair = Pair(Version.V21).connect()
    assert pair.ask("AFRRSignal", {"timestamp": BEFORE, "signal": 1}).status == "Rejected"
    pair.plug()
    curve = [{"signal": -100, "power": -10_000}, {"signal": 100, "power": 10_000}]
    period = {"startPeriod": 0, "operationMode": "CentralFrequency", "v2xSignalWattCurve": curve,
              "v2xBaseline": 500}  # fmt: skip
    profile = profile_2(3, "TxProfile", [period], transactionId=transaction_id(pair),
                        schedule={"startSchedule": BEFORE})  # fmt: skip
    assert install(pair, profile).status == "Accepted"
    assert pair.ask("AFRRSignal", {"timestamp": BEFORE, "signal": -50}).status == "Accepted"
    pair.run(10)
    assert pair.power_kw == pytest.approx(-4.5)
    later = "2023-11-14T22:14:20Z"  # 60 s after the start
    assert pair.ask("AFRRSignal", {"timestamp": later, "signal": 50}).status == "Accepted"
    pair.run(40)
    assert pair.power_kw == pytest.approx(-4.5)
    pair.run(15)
    assert pair.power_kw == pytest.approx(5.5)


@pytest.mark.proves("Q08.FR.06")
@pytest.mark.parametrize(
    ("hertz", "kilowatts"), [(49.8, -5.0), (50.0, 0.0), (50.1, 2.5), (51.0, 5.0), (49.0, -5.0)]
)
def test_local_frequency(hertz: float, kilowatts: float) -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    curve = [{"frequency": 49.8, "power": -5_000}, {"frequency": 50.2, "power": 5_000}]
    period = {"startPeriod": 0, "operationMode": "LocalFrequency", "v2xFreqWattCurve": curve,
              "v2xBaseline": 0}  # fmt: skip
    profile = profile_2(3, "TxProfile", [period], transactionId=transaction_id(pair),
                        schedule={"startSchedule": BEFORE})  # fmt: skip
    assert install(pair, profile).status == "Accepted"
    pair.station.around.frequency_hz = hertz
    pair.run(10)
    assert pair.power_kw == pytest.approx(kilowatts)
    pair.station.around.grid_up = False
    pair.run(10)
    assert pair.power_kw == 0.0


@pytest.mark.proves("K21.FR.01", "K21.FR.03", "K21.FR.04", "K21.FR.05")
def test_priority_charging_needs_its_profile() -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    install(pair, under(2_000))
    order = {"transactionId": transaction_id(pair), "activate": True}
    assert pair.ask("UsePriorityCharging", order).status == "NoProfile"
    period = {"startPeriod": 0, "limit": 9_000}
    first = profile_2(7, "PriorityCharging", [period], schedule={"startSchedule": BEFORE})
    assert install(pair, first).status == "Accepted"
    pair.run(10)
    assert pair.power_kw == 2.0
    assert pair.ask("UsePriorityCharging", order).status == "Accepted"
    pair.run(10)
    assert pair.power_kw == 9.0
    assert pair.backend.payloads("NotifyPriorityCharging")[-1]["activated"] is True


@pytest.mark.proves("K09.FR.02", "K09.FR.06")
@pytest.mark.parametrize("version", [Version.V201, Version.V21])
def test_profiles_are_reported_as_they_were_set(version: Version) -> None:
    pair = Pair(version).connect()
    empty = pair.ask("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    assert empty.status == "NoProfiles"
    pair.plug()
    default = profile_2(1, "TxDefaultProfile", [{"startPeriod": 0, "limit": 6000.0}],
                        schedule={"startSchedule": BEFORE})  # fmt: skip
    top = profile_2(4, "ChargingStationMaxProfile", [{"startPeriod": 0, "limit": 9000.0}],
                    schedule={"startSchedule": BEFORE})  # fmt: skip
    install(pair, default)
    install(pair, top, 0)
    asked = pair.ask("GetChargingProfiles", {"requestId": 2, "chargingProfile": {}})
    assert asked.status == "Accepted"
    reports = pair.backend.payloads("ReportChargingProfiles")
    assert [r.get("tbc", False) for r in reports] == [True, False]
    found = {(r["evseId"], p["id"]): p for r in reports for p in r["chargingProfile"]}
    assert set(found) == {(1, 1), (0, 4)}
    for profile, key in ((default, (1, 1)), (top, (0, 4))):
        period = found[key]["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        assert (
            period["limit"] == profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"]
        )
    pair.ask("GetChargingProfiles", {"requestId": 3, "chargingProfile": {"chargingProfileId": [4]}})
    assert [p["id"] for p in pair.backend.payloads("ReportChargingProfiles")[-1]["chargingProfile"]
            ] == [4]  # fmt: skip


def test_an_updated_profile_is_reported_as_it_is_now() -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    install(pair, central(pair, 1_000))
    order = {"chargingProfileId": 2, "scheduleUpdate": {"setpoint": -3_000}}
    pair.ask("UpdateDynamicSchedule", order)
    pair.ask("GetChargingProfiles", {"requestId": 3, "chargingProfile": {"stackLevel": 0}})
    told = pair.backend.payloads("ReportChargingProfiles")[-1]["chargingProfile"][0]
    assert told["chargingSchedule"][0]["chargingSchedulePeriod"][0]["setpoint"] == -3_000
    assert "dynUpdateTime" in told


@pytest.mark.proves("K08.FR.02")
@pytest.mark.parametrize("unit", ["W", "A"])
def test_the_composite_schedule_is_what_the_station_does(unit: str) -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    periods = [{"startPeriod": 0, "limit": 6_900}, {"startPeriod": 600, "limit": 2_760}]
    install(pair, profile_2(1, "TxDefaultProfile", periods, chargingProfileKind="Relative"))
    order = {"evseId": 1, "duration": 1200, "chargingRateUnit": unit}
    told = pair.ask("GetCompositeSchedule", order).schedule
    watts = 1.0 if unit == "W" else 690.0
    for period in told.chargingSchedulePeriod:
        pair.run(START_S + period.startPeriod + 1 - pair.now_s)
        assert pair.power_kw == pytest.approx(period.limit * watts / 1000, rel=1e-3)
    assert [p.startPeriod for p in told.chargingSchedulePeriod] == [0, 600]


@pytest.mark.proves("Q10.FR.02")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"setpoint": 5_000, "limit": 1_000}, "InvalidSchedule"),
        ({"operationMode": "Idle", "setpoint": 0}, "InvalidSchedule"),
        ({"setpoint": -5_000, "dischargeLimit": -1_000}, "InvalidSchedule"),
    ],
)
def test_impossible_profiles_are_refused_with_a_reason(change: dict[str, Any], code: str) -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    profile = central(pair, 0)
    profile["chargingSchedule"][0]["chargingSchedulePeriod"][0].update(change)
    answer = install(pair, profile)
    assert (answer.status, answer.statusInfo.reasonCode) == ("Rejected", code)
    assert pair.station.profiles.by_id == {}


@pytest.mark.parametrize("version", [Version.V16, Version.V201])
def test_before_21_a_negative_limit_discharges_and_zero_does_not(version: Version) -> None:
    pair = Pair(version).connect()
    pair.plug()

    def limit(watts: float) -> str:
        period = {"startPeriod": 0, "limit": watts}
        if version is Version.V16:
            profile = {
                "chargingProfileId": 2, "transactionId": 1, "stackLevel": 0,
                "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
                "chargingSchedule": {"chargingRateUnit": "W", "startSchedule": BEFORE,
                                     "chargingSchedulePeriod": [period]},
            }  # fmt: skip
            order: dict[str, Any] = {"connectorId": 1, "csChargingProfiles": profile}
            return str(pair.ask("SetChargingProfile", order).status)
        wire = profile_2(2, "TxProfile", [period], transactionId=transaction_id(pair),
                         schedule={"startSchedule": BEFORE})  # fmt: skip
        return str(install(pair, wire).status)

    for watts, kilowatts in ((-4_000, -4.0), (0, 0.0), (5_000, 5.0)):
        assert limit(watts) == "Accepted"
        pair.run(60)
        assert pair.power_kw == kilowatts
    assert pair.station.evses[1].export_wh == pytest.approx(4_000 / 60)


@pytest.mark.proves("K01.FR.33")
def test_a_profile_of_another_transaction_is_refused() -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    profile = central(pair, 0) | {"transactionId": "another"}
    assert install(pair, profile).statusInfo.reasonCode == "TxNotFound"


def test_lasts_s_is_the_time_to_the_next_end() -> None:
    car: Car = a_car(energy_kwh=47.0)
    assert car.lasts_s(11.0) == pytest.approx(1.0 / (11.0 * 0.92) * 3600)
    assert car.lasts_s(-11.0) == pytest.approx(35.0 * 0.92 / 11.0 * 3600)
    assert car.lasts_s(0.0) == float("inf")
