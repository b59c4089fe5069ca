"""Renegotiation from either side, dynamic control and the choice of service (K16-K20, Q01, Q02)."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ev_line import (
    BEFORE,
    DYNAMIC,
    ISO_2,
    LIMIT_W,
    SCHEDULED,
    SIDES,
    car_of,
    default,
    install,
    needs_of,
    pair_of,
    stamp,
    steps,
    told_schedules,
    tx,
    tx_id,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import START_S, Pair, profile_2
from smart_charging_world import outside

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.ev_side import EvSide
from pendel.comms.ocpp.station.external_system import Order

NOTHING = {"exponent": 0, "value": 0}

# renegotiation


@pytest.mark.proves("K16.FR.01", "K16.FR.02", "K16.FR.03", "K16.FR.09", "K16.FR.11")
@pytest.mark.parametrize("name", list(SIDES))
def test_a_new_profile_is_offered_and_a_lower_limit_holds_at_once(name: str) -> None:
    pair = pair_of()
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(SIDES[name]))
    install(pair, tx(pair, (0, 9_000.0)))
    pair.run(30)
    assert pair.power_kw == 9.0
    session = pair.station.dialect.session(pair.station.evses[1])
    assert session is not None
    assert install(pair, tx(pair, (0, 2_000.0))).status == "Accepted"
    assert pair.power_kw == 2.0  # before anything else happens
    if name != "-20 dynamic":
        assert [s.high_w for s in session.given[0].steps] == [2_000.0]
        assert len(told_schedules(pair)) == 2
    assert pair.ask("ClearChargingProfile", {"chargingProfileId": 7}).status == "Accepted"
    if name != "-20 dynamic":
        assert [s.high_w for s in session.given[0].steps] == [11_000.0]
    assert len(needs_of(pair)) == 1


@pytest.mark.proves("K16.FR.02", "K16.FR.03")
@pytest.mark.parametrize("side", [ISO_2, SCHEDULED], ids=["-2", "-20"])
@pytest.mark.parametrize(
    "purpose", ["ChargingStationMaxProfile", "ChargingStationExternalConstraints"]
)
def test_whatever_changes_the_composite_is_offered(side: EvSide, purpose: str) -> None:
    """Errata 2025-09, 2.29: not only a TxProfile."""
    pair = pair_of()
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(side))
    install(pair, tx(pair, (0, 9_000.0)))
    if "External" in purpose:
        assert outside(pair).set("EMS", Order(limit_kw=1.5), pair.now_s) == ""
        pair.run(1)
    else:
        more = {"schedule": {"startSchedule": BEFORE}}
        cap = profile_2(3, purpose, steps((0, 1_500.0)), **more)
        order = {"evseId": 0, "chargingProfile": cap}
        assert pair.ask("SetChargingProfile", order).status == "Accepted"
    assert pair.power_kw == 1.5
    session = pair.station.dialect.session(pair.station.evses[1])
    assert session is not None
    assert [s.high_w for s in session.given[0].steps] == [1_500.0]
    assert len(told_schedules(pair)) == 2 and len(needs_of(pair)) == 1


@pytest.mark.proves("K17.FR.01", "K20.FR.01", "K20.FR.02", "K20.FR.04")
@pytest.mark.parametrize("name", list(SIDES))
def test_new_wishes_of_the_car_are_told_and_the_new_profile_followed(name: str) -> None:
    pair = pair_of()
    pair.backend.needs_status = "Accepted"
    car = pair.plug(car_of(SIDES[name]))
    install(pair, tx(pair, (0, 9_000.0)))
    pair.run(30)
    leaves_s = START_S + 3 * 3600.0
    pair.station.dialect.renegotiate(1, pair.now_s, target_kwh=54.0, depart_s=leaves_s)
    pair.run(1, step_s=1.0)
    first, second = needs_of(pair)
    assert second["departureTime"] == stamp(leaves_s) != first["departureTime"]
    lacking = round((54.0 - car.energy_kwh) * 1000.0)
    if name == "-2":
        assert second["acChargingParameters"]["energyAmount"] == pytest.approx(lacking, abs=1)
    else:
        v2x = second["v2xChargingParameters"]
        assert v2x["evTargetEnergyRequest"] == pytest.approx(lacking, abs=4)
    assert pair.power_kw == 9.0  # the old schedule goes on until the new one is there
    install(pair, tx(pair, (0, 6_000.0)))
    pair.run(1)
    assert pair.power_kw == 6.0
    assert len(told_schedules(pair)) == (1 if name == "-20 dynamic" else 2)


def test_who_may_tell_the_drivers_wishes() -> None:
    pair = pair_of()
    pair.plug(car_of(DYNAMIC))
    pair.station.dialect.driver_wishes(1, pair.now_s, depart_s=START_S + 7200.0)
    pair.run(1)
    assert needs_of(pair)[-1]["departureTime"] == stamp(START_S + 7200.0)
    for side in (SCHEDULED, ISO_2, replace(DYNAMIC, mobility="EVCC")):
        other = pair_of()
        other.plug(car_of(side))
        with pytest.raises(ValueError, match="alone"):
            other.station.dialect.driver_wishes(1, other.now_s, depart_s=START_S + 7200.0)


@pytest.mark.parametrize("name", list(SIDES))
def test_a_pause_rests_and_going_on_tells_needs_anew(name: str) -> None:
    pair = pair_of()
    default(pair)
    pair.plug(car_of(SIDES[name]))
    pair.run(10)
    assert pair.power_kw == LIMIT_W / 1000
    pair.station.dialect.pause(1, pair.now_s)
    pair.run(100)
    state = pair.backend.payloads("TransactionEvent")[-1]["transactionInfo"]["chargingState"]
    assert (pair.power_kw, state) == (0.0, "SuspendedEV")
    default(pair, 3_000.0)
    assert pair.power_kw == 0.0
    pair.station.dialect.pause(1, pair.now_s, resume=True)
    pair.run(10)
    assert pair.power_kw == 3.0
    assert len(needs_of(pair)) == 2
    with pytest.raises(ValueError, match="no paused"):
        pair.station.dialect.pause(1, pair.now_s, resume=True)


# dynamic control


@pytest.mark.proves("K19.FR.09", "K19.FR.10")
def test_in_dynamic_control_the_backends_own_schedule_is_told_with_its_prices() -> None:
    pair = pair_of()
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(replace(DYNAMIC, overdraw_w=3_000.0)))
    anchor = datetime.fromtimestamp(pair.now_s, UTC).isoformat()
    fee = {"energyFee": {"exponent": -2, "value": 31}}
    stack = {"duration": 1800, "priceRule": [fee | {"powerRangeStart": NOTHING}]}
    prices = {
        "timeAnchor": anchor, "priceScheduleID": 3, "currency": "EUR", "language": "en",
        "priceAlgorithm": "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power",
        "priceRuleStacks": [stack, stack],
    }  # fmt: skip
    profile = tx(pair, (0, 5_000.0), (1800, 4_000.0),
                 schedule={"id": 44, "absolutePriceSchedule": prices, "signatureId": 2,
                           "digestValue": "abc"},
                 priceScheduleSignature="c2ln")  # fmt: skip
    assert install(pair, profile).status == "Accepted"
    (told,) = told_schedules(pair)
    assert told["selectedChargingScheduleId"] == 44
    schedule = told["chargingSchedule"]
    assert [p["limit"] for p in schedule["chargingSchedulePeriod"]] == [5_000.0, 4_000.0]
    assert (schedule["signatureId"], schedule["digestValue"]) == (2, "abc")
    session = pair.station.dialect.session(pair.station.evses[1])
    assert session is not None
    assert session.prices == ((0.0, 0.31), (1800.0, 0.31))
    pair.ask("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    report = pair.backend.payloads("ReportChargingProfiles")[-1]["chargingProfile"][0]
    assert report["priceScheduleSignature"] == "c2ln"
    pair.run(60)
    assert pair.power_kw == 5.0


# which energy transfer


@pytest.mark.proves("K18.FR.23", "K19.FR.16", "Q01.FR.05", "Q01.FR.06")
@pytest.mark.parametrize("renegotiates", [True, False])
@pytest.mark.parametrize("side", [SCHEDULED, DYNAMIC], ids=["scheduled", "dynamic"])
def test_a_refused_transfer_is_renegotiated_or_ends_the_transaction(
    side: EvSide, renegotiates: bool
) -> None:
    pair = pair_of(renegotiates_service=renegotiates)
    default(pair)
    pair.backend.needs_status = "Rejected"
    pair.plug(car_of(side))
    pair.run(5)
    asked = [need["requestedEnergyTransfer"] for need in needs_of(pair)]
    assert asked == (["AC_BPT", "AC_three_phase"] if renegotiates else ["AC_BPT"])
    last = pair.backend.payloads("TransactionEvent")[-1]
    assert (last["eventType"], last["triggerReason"]) == ("Ended", "AbnormalCondition")
    assert last["transactionInfo"]["stoppedReason"] == "ReqEnergyTransferRejected"
    assert pair.power_kw == 0.0


@pytest.mark.proves("Q01.FR.05")
def test_another_transfer_that_is_accepted_charges_and_never_gives() -> None:
    pair = pair_of()
    default(pair)
    answers = iter(["Rejected", "NoChargingProfile"])
    original = pair.backend.answer

    def answer(action: str, data: dict[str, Any], now_s: float) -> dict[str, Any]:
        if action == "NotifyEVChargingNeeds":
            return {"status": next(answers)}
        return original(action, data, now_s)

    pair.backend.answer = answer  # type: ignore[method-assign]
    pair.plug(car_of(DYNAMIC))
    pair.run(5)
    assert pair.power_kw == LIMIT_W / 1000
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -5_000.0}
    install(pair, profile_2(9, "TxProfile", [period], transactionId=tx_id(pair),
                            chargingProfileKind="Dynamic"))  # fmt: skip
    pair.run(60)
    assert pair.station.evses[1].export_wh == 0.0


def test_a_session_of_15118_2_never_gives_back() -> None:
    pair = pair_of()
    default(pair)
    pair.plug(car_of(ISO_2))
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -5_000.0}
    dynamic = {"chargingProfileKind": "Dynamic", "transactionId": tx_id(pair)}
    install(pair, profile_2(9, "TxProfile", [period], **dynamic))
    pair.run(60)
    assert pair.station.evses[1].export_wh == 0.0


@pytest.mark.proves("Q01.FR.09", "Q02.FR.04", "Q02.FR.06", "Q02.FR.07")
def test_without_a_list_charging_only_is_asked_and_v2x_when_it_is_allowed_later() -> None:
    pair = Pair(Version.V21)
    pair.backend.v2x = False
    pair.connect()
    pair.plug(car_of(DYNAMIC))
    (need,) = needs_of(pair)
    assert need["requestedEnergyTransfer"] == "AC_three_phase"
    assert need["availableEnergyTransfer"] == ["AC_BPT", "AC_three_phase"]
    pair.backend.needs_status = "Accepted"
    allow = {"transactionId": tx_id(pair), "allowedEnergyTransfer": ["AC_BPT", "AC_three_phase"]}
    assert pair.ask("NotifyAllowedEnergyTransfer", allow).status == "Accepted"
    pair.run(5)
    told = pair.backend.payloads("NotifyEVChargingNeeds")[-1]
    need = told["chargingNeeds"]
    assert told["evseId"] == 1 and need["requestedEnergyTransfer"] == "AC_BPT"
    assert need["v2xChargingParameters"]["maxDischargePower"] == 11_000
    assert pair.power_kw == 0.0  # services change at rest
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -5_000.0}
    dynamic = {"chargingProfileKind": "Dynamic", "transactionId": tx_id(pair)}
    install(pair, profile_2(9, "TxProfile", [period], **dynamic))
    pair.run(30)
    assert pair.power_kw == -5.0
    back = {"transactionId": tx_id(pair), "allowedEnergyTransfer": ["AC_three_phase"]}
    assert pair.ask("NotifyAllowedEnergyTransfer", back).status == "Accepted"
    exported = pair.station.evses[1].export_wh
    pair.run(120)
    assert needs_of(pair)[-1]["requestedEnergyTransfer"] == "AC_three_phase"
    assert pair.station.evses[1].export_wh == exported


# the device model


@pytest.mark.proves("Q01.FR.30", "Q01.FR.31", "Q01.FR.32", "Q01.FR.36")
def test_the_device_model_tells_modes_transfers_and_the_car() -> None:
    pair = pair_of()
    pair.plug(car_of(DYNAMIC))
    pair.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    rows = [row for part in pair.backend.payloads("NotifyReport") for row in part["reportData"]]
    found = {
        (r["component"]["name"], r["variable"]["name"], r["variable"].get("instance", "")):
        r["variableAttribute"][0]["value"] for r in rows
    }  # fmt: skip
    modes = found["V2XChargingCtrlr", "SupportedOperationModes", ""].split(",")
    assert {"ChargingOnly", "CentralSetpoint", "CentralFrequency"} <= set(modes)
    assert "AC_BPT" in found["V2XChargingCtrlr", "SupportedEnergyTransferModes", ""]
    assert found["ISO15118Ctrlr", "ServiceRenegotiationSupport", ""] == "true"
    about = {key[1:]: value for key, value in found.items() if key[0] == "ConnectedEV"}
    assert about["Available", ""] == "true" and about["VehicleId", ""] == "WMI0001"
    assert about["ProtocolAgreed", ""] == "urn:iso:std:iso:15118:-20:AC,1,0"
    assert about["ProtocolSupportedByEV", "1"] == about["ProtocolAgreed", ""]
    assert about["VehicleCertificate", "Leaf"] == ""
    pair.unplug()
    ask = {"component": {"name": "ConnectedEV", "evse": {"id": 1}}}
    names = [{"name": "Available"}, {"name": "VehicleId"},
             {"name": "ProtocolSupportedByEV", "instance": "1"}]  # fmt: skip
    data = [{**ask, "variable": name} for name in names]
    answer = pair.ask("GetVariables", {"getVariableData": data})
    assert [r.attributeValue for r in answer.getVariableResult] == ["false", "", ""]


@pytest.mark.proves("Q01.FR.33", "Q01.FR.34", "Q01.FR.35")
def test_a_modes_own_measurands_are_added() -> None:
    pair = pair_of()
    names = {
        "TxStartedMeasurands": "EnergyRequest.Minimum",
        "TxEndedMeasurands": "Display.TargetSOC",
        "TxUpdatedMeasurands": "EnergyRequest.Target,EnergyRequest.Maximum.V2X,SoC",
    }

    def order(name: str, value: str, mode: str = "ChargingOnly") -> str:
        place = {"name": "V2XChargingCtrlr", "evse": {"id": 1}}
        data = {"component": place, "variable": {"name": name, "instance": mode},
                "attributeValue": value}  # fmt: skip
        answer = pair.ask("SetVariables", {"setVariableData": [data]})
        return str(answer.setVariableResult[0].attributeStatus)

    assert order("TxUpdatedMeasurands", names["TxUpdatedMeasurands"]) == "Rejected"
    names["TxUpdatedMeasurands"] = names["TxUpdatedMeasurands"].removesuffix(",SoC")
    for name, value in names.items():
        assert order(name, value) == "Accepted"
    car = pair.plug(car_of(DYNAMIC))
    begun_kwh = car.energy_kwh
    pair.run(70)
    pair.unplug()
    events = pair.backend.payloads("TransactionEvent")

    def of(kind: str, trigger: str = "") -> dict[str, float]:
        event = [e for e in events if e["eventType"] == kind and trigger in e["triggerReason"]][-1]
        return {s["measurand"]: s["value"] for s in event["meterValue"][0]["sampledValue"]}

    assert of("Started")["EnergyRequest.Minimum"] == pytest.approx((12.0 - begun_kwh) * 1000)
    assert "Display.TargetSOC" not in of("Started")
    updated = of("Updated", "MeterValuePeriodic")
    assert updated["EnergyRequest.Target"] > 0 and "EnergyRequest.Maximum.V2X" in updated
    assert of("Ended")["Display.TargetSOC"] == 80.0


# whatever the backend does


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["Accepted", "Processing", "Rejected", "NoChargingProfile"]),
    st.sampled_from(list(SIDES)),
    st.lists(
        st.tuples(
            st.sampled_from(["tx", "default", "clear", "wishes", "pause", "resume", "cut",
                             "connect", "allow", "forbid", "wait"]),
            st.integers(-9_000, 9_000),
            st.integers(0, 90),
        ),
        max_size=12,
    ),
)  # fmt: skip
def test_never_above_the_default_nor_out_of_a_service_that_only_charges(
    status: str, name: str, work: list[tuple[str, int, int]]
) -> None:
    """A default of 4 kW lies below; TxProfiles here ask for at most 4 kW, too."""
    pair = pair_of()
    default(pair)
    pair.backend.needs_status = status
    pair.plug(car_of(SIDES[name]))
    evse, dialect = pair.station.evses[1], pair.station.dialect
    allowed = True
    for what, watts, seconds in work:
        if evse.transaction is None:
            break
        try:
            if what == "tx" and pair.online:
                install(pair, tx(pair, (0, min(max(watts, 0), LIMIT_W)), (40, LIMIT_W / 2)))
            elif what == "default" and pair.online:
                default(pair)
            elif what == "clear" and pair.online:
                pair.ask("ClearChargingProfile", {"chargingProfileId": 7})
            elif what == "wishes":
                dialect.renegotiate(1, pair.now_s, target_kwh=30.0 + abs(watts) / 500.0)
            elif what in ("pause", "resume"):
                dialect.pause(1, pair.now_s, resume=what == "resume")
            elif what == "cut" and pair.online:
                pair.cut()
            elif what == "connect" and not pair.online:
                pair.connect()
            elif what in ("allow", "forbid") and pair.online:
                allowed = what == "allow"
                modes = ["AC_three_phase", *(["AC_BPT"] if allowed else [])]
                order = {"transactionId": tx_id(pair), "allowedEnergyTransfer": modes}
                pair.ask("NotifyAllowedEnergyTransfer", order)
        except ValueError:
            pass
        pair.run(seconds + 1, step_s=13.0)
        assert 0.0 <= pair.power_kw <= LIMIT_W / 1000 + 1e-9
        assert evse.export_wh == 0.0
        if evse.ev_hold:
            assert pair.power_kw == 0.0
