"""A station's life under simulated time, in the three versions: who may charge, what is told."""

from datetime import UTC, datetime
from typing import Any

import pytest
from scripted_backend import START_S, Pair, a_car

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings

ALL = list(Version)
V2 = [Version.V201, Version.V21]


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START_S + seconds, UTC).isoformat()


def events(pair: Pair) -> list[dict[str, Any]]:
    return pair.backend.payloads("TransactionEvent")


def register_wh(event: dict[str, Any], measurand: str) -> float:
    values = [s["value"] for s in event["meterValue"][0]["sampledValue"]
              if s["measurand"] == measurand]  # fmt: skip
    return float(values[0])


@pytest.mark.parametrize("version", ALL)
def test_boot_comes_first_and_status_after(version: Version) -> None:
    pair = Pair(version).connect()
    assert pair.backend.actions()[0] == "BootNotification"
    assert "StatusNotification" in pair.backend.actions()
    assert pair.station.accepted


@pytest.mark.parametrize("version", ALL)
def test_a_pending_station_stays_silent_and_asks_again(version: Version) -> None:
    pair = Pair(version)
    pair.backend.boot_status = "Pending"
    pair.connect()
    pair.plug()
    pair.run(299)
    assert set(pair.backend.actions()) == {"BootNotification"}
    pair.backend.boot_status = "Accepted"
    pair.run(10)
    assert pair.station.accepted
    assert "StatusNotification" in pair.backend.actions()


@pytest.mark.parametrize("version", ALL)
def test_a_refused_card_gets_no_energy(version: Version) -> None:
    pair = Pair(version).connect()
    pair.backend.blocked.add("TAG1")
    pair.plug()
    pair.run(600)
    assert pair.power_kw == 0.0
    assert pair.station.evses[1].import_wh == 0.0
    pair.station.show_card(1, "TAG2", pair.now_s)
    pair.pump()
    pair.run(60)
    assert pair.power_kw == 11.0


@pytest.mark.parametrize("version", ALL)
def test_the_same_card_stops_what_it_started(version: Version) -> None:
    pair = Pair(version).connect()
    pair.plug()
    pair.run(120)
    pair.station.show_card(1, "OTHER", pair.now_s)
    pair.run(60)
    assert pair.power_kw == 11.0
    pair.station.show_card(1, "TAG1", pair.now_s)
    pair.run(60)
    assert pair.power_kw == 0.0
    if version is Version.V16:
        assert pair.backend.payloads("StopTransaction")[0]["reason"] == "Local"
    else:
        assert events(pair)[-1]["transactionInfo"]["stoppedReason"] == "Local"


@pytest.mark.parametrize("version", ALL)
def test_car_energy_and_registers_agree(version: Version) -> None:
    pair = Pair(version).connect()
    car = pair.plug(a_car(charge_efficiency=0.9))
    pair.run(6 * 3600, step_s=333.0)
    evse = pair.station.evses[1]
    assert car.energy_kwh == pytest.approx(48.0, abs=1e-6)  # the car stops at its target
    assert evse.import_wh / 1000 * 0.9 == pytest.approx(24.0, abs=1e-6)
    assert evse.export_wh == 0.0
    pair.unplug()
    if version is Version.V16:
        stop = pair.backend.payloads("StopTransaction")[0]
        start = pair.backend.payloads("StartTransaction")[0]
        assert stop["meterStop"] - start["meterStart"] == round(evse.import_wh)
    else:
        last = events(pair)[-1]
        assert register_wh(last, "Energy.Active.Import.Register") == pytest.approx(evse.import_wh)


@pytest.mark.parametrize("version", ALL)
def test_one_long_step_tells_the_same_as_many_short_ones(version: Version) -> None:
    def lived(step_s: float) -> tuple[float, list[str]]:
        pair = Pair(version).connect()
        pair.plug()
        pair.cut()
        pair.run(5 * 3600, step_s)
        pair.connect()
        pair.run(10)
        kinds = ("TransactionEvent", "MeterValues")
        times = [str(p.get("timestamp", p.get("meterValue")))
                 for a, p in pair.backend.told if a in kinds]  # fmt: skip
        return pair.station.evses[1].import_wh, times

    long, short = lived(5 * 3600.0), lived(7.0)
    assert long[0] == pytest.approx(short[0], abs=1e-6)
    assert [t[:80] for t in long[1]] == [t[:80] for t in short[1]]


@pytest.mark.parametrize("version", V2)
def test_seq_no_counts_from_zero_without_gaps(version: Version) -> None:
    pair = Pair(version).connect()
    pair.plug()
    pair.run(1800)
    pair.unplug()
    told = events(pair)
    assert [e["seqNo"] for e in told] == list(range(len(told)))
    assert [e["eventType"] for e in (told[0], told[-1])] == ["Started", "Ended"]
    assert {e["transactionInfo"]["transactionId"] for e in told} == {
        told[0]["transactionInfo"]["transactionId"]
    }


@pytest.mark.parametrize("version", V2)
def test_remote_start_waits_for_the_cable(version: Version) -> None:
    pair = Pair(version).connect()
    token = {"idToken": "APP", "type": "Central"}
    answer = pair.ask("RequestStartTransaction", {"remoteStartId": 7, "idToken": token})
    assert answer.status == "Accepted"
    pair.run(60)
    pair.plug(a_car(id_token=""))
    pair.run(30)
    assert pair.power_kw == 11.0
    assert any(e["transactionInfo"].get("remoteStartId") == 7 for e in events(pair))
    again = pair.ask("RequestStartTransaction", {"remoteStartId": 8, "idToken": token})
    assert again.status == "Rejected"


@pytest.mark.parametrize("version", V2)
def test_a_remote_start_that_nobody_follows_runs_out(version: Version) -> None:
    pair = Pair(version).connect()
    token = {"idToken": "APP", "type": "Central"}
    pair.ask("RequestStartTransaction", {"remoteStartId": 7, "idToken": token})
    pair.run(121)
    pair.plug(a_car(id_token=""))
    pair.run(30)
    assert pair.power_kw == 0.0


@pytest.mark.parametrize("version", V2)
def test_remote_stop_ends_the_transaction(version: Version) -> None:
    pair = Pair(version).connect()
    pair.plug()
    pair.run(60)
    tx = events(pair)[0]["transactionInfo"]["transactionId"]
    assert pair.ask("RequestStopTransaction", {"transactionId": tx}).status == "Accepted"
    assert events(pair)[-1]["triggerReason"] == "RemoteStop"
    assert pair.ask("RequestStopTransaction", {"transactionId": tx}).status == "Rejected"
    pair.run(60)
    assert pair.power_kw == 0.0


def test_remote_start_and_stop_in_16() -> None:
    pair = Pair(Version.V16).connect()
    pair.plug(a_car(id_token=""))
    pair.run(20)
    assert pair.power_kw == 0.0
    assert pair.ask("RemoteStartTransaction", {"idTag": "APP"}).status == "Accepted"
    pair.run(20)
    assert pair.power_kw == 11.0
    assert pair.ask("RemoteStopTransaction", {"transactionId": 99}).status == "Rejected"
    assert pair.ask("RemoteStopTransaction", {"transactionId": 1}).status == "Accepted"
    pair.run(20)
    assert pair.backend.payloads("StopTransaction")[0]["reason"] == "Remote"


@pytest.mark.parametrize("version", ALL)
def test_a_fault_stops_the_power_and_is_told(version: Version) -> None:
    pair = Pair(version).connect()
    pair.plug()
    pair.run(60)
    pair.station.fault(1, "overheated", pair.now_s)
    pair.run(60)
    assert pair.power_kw == 0.0
    key = "status" if version is Version.V16 else "connectorStatus"
    assert pair.backend.payloads("StatusNotification")[-1][key] == "Faulted"
    if version is not Version.V16:
        event = pair.backend.payloads("NotifyEvent")[-1]["eventData"][0]
        assert (event["actualValue"], event["techInfo"]) == ("true", "overheated")
    pair.station.fault(1, None, pair.now_s)
    pair.run(60)
    assert pair.power_kw == 11.0
    assert pair.backend.payloads("StatusNotification")[-1][key] != "Faulted"


@pytest.mark.parametrize("version", ALL)
def test_reset_ends_the_transaction_and_begins_a_new_one(version: Version) -> None:
    pair = Pair(version).connect()
    pair.plug()
    pair.run(60)
    before_wh = pair.station.evses[1].import_wh
    kind = "Hard" if version is Version.V16 else "Immediate"
    assert pair.ask("Reset", {"type": kind}).status == "Accepted"
    pair.run(60)
    assert pair.backend.actions().count("BootNotification") == 2
    assert pair.station.evses[1].import_wh > before_wh
    if version is Version.V16:
        assert pair.backend.payloads("StopTransaction")[0]["reason"] == "HardReset"
        assert len(pair.backend.payloads("StartTransaction")) == 2
    else:
        ended = [e for e in events(pair) if e["eventType"] == "Ended"]
        assert ended[0]["transactionInfo"]["stoppedReason"] == "ImmediateReset"
        assert len({e["transactionInfo"]["transactionId"] for e in events(pair)}) == 2
        assert pair.backend.payloads("BootNotification")[1]["reason"] == "LocalReset"


def test_reset_on_idle_waits_for_the_car_to_leave() -> None:
    pair = Pair(Version.V21).connect()
    pair.plug()
    assert pair.ask("Reset", {"type": "OnIdle"}).status == "Scheduled"
    pair.run(600)
    assert pair.backend.actions().count("BootNotification") == 1
    pair.unplug()
    pair.run(20)
    assert pair.backend.actions().count("BootNotification") == 2


@pytest.mark.parametrize("version", ALL)
def test_the_clock_is_set_by_the_backend(version: Version) -> None:
    pair = Pair(version).connect()
    pair.station.clock_error_s = 30.0
    pair.plug()
    assert pair.station.dialect.stamp(START_S).endswith("13:50.000Z")  # type: ignore[attr-defined]
    pair.run(301)
    assert pair.station.clock_error_s == 0.0
    free = Pair(version, StationSettings("CS1", follows_clock=False)).connect()
    free.station.clock_error_s = 30.0
    free.run(601)
    assert free.station.clock_error_s == 30.0


@pytest.mark.parametrize("version", ALL)
def test_reserved_for_one_token(version: Version) -> None:
    pair = Pair(version).connect()
    if version is Version.V16:
        order: dict[str, Any] = {"connectorId": 1, "expiryDate": at(3600), "idTag": "VIP",
                                 "reservationId": 5}  # fmt: skip
    else:
        order = {
            "id": 5,
            "expiryDateTime": at(3600),
            "idToken": {"idToken": "VIP", "type": "Local"},
        }
    assert pair.ask("ReserveNow", order).status == "Accepted"
    key = "status" if version is Version.V16 else "connectorStatus"
    assert pair.backend.payloads("StatusNotification")[-1][key] == "Reserved"
    pair.plug()
    pair.run(60)
    assert pair.power_kw == 0.0
    pair.station.show_card(1, "VIP", pair.now_s)
    pair.run(60)
    assert pair.power_kw == 11.0
    source = "StartTransaction" if version is Version.V16 else "TransactionEvent"
    assert [p["reservationId"] for p in pair.backend.payloads(source) if "reservationId" in p] == [
        5
    ]


@pytest.mark.parametrize("version", ALL)
def test_reservations_are_cancelled_and_run_out(version: Version) -> None:
    pair = Pair(version).connect()
    for number in (1, 2):
        if version is Version.V16:
            order: dict[str, Any] = {"connectorId": 1, "expiryDate": at(60), "idTag": "VIP",
                                     "reservationId": number}  # fmt: skip
        else:
            token = {"idToken": "VIP", "type": "Local"}
            order = {"id": number, "expiryDateTime": at(60), "idToken": token}
        assert pair.ask("ReserveNow", order).status == "Accepted"
        if number == 1:
            gone = pair.ask("CancelReservation", {"reservationId": 1})
            assert gone.status == "Accepted"
    pair.run(70)
    assert pair.station.evses[1].reservation is None
    if version is not Version.V16:
        update = pair.backend.payloads("ReservationStatusUpdate")
        assert update == [{"reservationId": 2, "reservationUpdateStatus": "Expired"}]


@pytest.mark.parametrize("version", ALL)
def test_firmware_and_logs_tell_their_stages(version: Version) -> None:
    pair = Pair(version).connect()
    if version is Version.V16:
        when = {"location": "https://x/y", "retrieveDate": at(0)}
        pair.ask("UpdateFirmware", when)
        pair.ask("GetDiagnostics", {"location": "https://x/y"})
        log = "DiagnosticsStatusNotification"
    else:
        firmware = {"location": "https://x/y", "retrieveDateTime": at(0)}
        pair.ask("UpdateFirmware", {"requestId": 3, "firmware": firmware})
        where = {"remoteLocation": "https://x/y"}
        pair.ask("GetLog", {"requestId": 4, "logType": "DiagnosticsLog", "log": where})
        log = "LogStatusNotification"
    pair.run(60)
    stages = [p["status"] for p in pair.backend.payloads("FirmwareStatusNotification")]
    assert stages == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert len(pair.backend.payloads(log)) == 2


def test_the_device_model_is_read_written_and_reported() -> None:
    pair = Pair(Version.V21).connect()
    component, variable = {"name": "OCPPCommCtrlr"}, {"name": "HeartbeatInterval"}
    ask = {"component": component, "variable": variable}
    got = pair.ask("GetVariables", {"getVariableData": [ask]}).getVariableResult[0]
    assert (got.attributeStatus, got.attributeValue) == ("Accepted", "300")
    for value, status in (("abc", "Rejected"), ("60", "Accepted")):
        answer = pair.ask("SetVariables", {"setVariableData": [ask | {"attributeValue": value}]})
        assert answer.setVariableResult[0].attributeStatus == status
    assert pair.station.heartbeat_s == 60.0
    unknown = {"component": {"name": "Nothing"}, "variable": variable}
    got = pair.ask("GetVariables", {"getVariableData": [unknown]}).getVariableResult[0]
    assert got.attributeStatus == "UnknownComponent"
    pair.ask("GetBaseReport", {"requestId": 9, "reportBase": "FullInventory"})
    names = {row["component"]["name"] for report in pair.backend.payloads("NotifyReport")
             for row in report["reportData"]}  # fmt: skip
    assert {"V2XChargingCtrlr", "SmartChargingCtrlr", "EVSE"} <= names


@pytest.mark.parametrize("version", ALL)
def test_the_answer_goes_out_before_what_it_brings_about(version: Version) -> None:
    pair = Pair(version).connect()
    request = pair.backend.messages.REQUESTS["TriggerMessage"](requestedMessage="Heartbeat")
    pair.backend.peer.call("TriggerMessage", request, pair.now_s)
    for frame in list(pair.backend.peer.outbox):
        pair.station.feed(frame, pair.now_s)
    assert [frame[:2] for frame in pair.station.outgoing()] == [b"[3", b"[2"]


@pytest.mark.parametrize("version", ALL)
def test_what_the_station_does_not_know_is_not_supported(version: Version) -> None:
    pair = Pair(version).connect()
    if version is Version.V16:
        code = pair.ask("Heartbeat", {})  # what only a station asks
    else:
        where = {"location": "https://x/y", "checksum": "0" * 32, "requestId": 1}
        code = pair.ask("PublishFirmware", where)
    assert code == "NotSupported"


@pytest.mark.parametrize("version", ALL)
def test_availability_changes_after_the_transaction(version: Version) -> None:
    pair = Pair(version).connect()
    pair.plug()
    pair.run(30)
    if version is Version.V16:
        order: dict[str, Any] = {"connectorId": 1, "type": "Inoperative"}
    else:
        order = {"operationalStatus": "Inoperative"}
    assert pair.ask("ChangeAvailability", order).status == "Scheduled"
    pair.run(60)
    assert pair.power_kw == 11.0
    pair.unplug()
    key = "status" if version is Version.V16 else "connectorStatus"
    assert pair.backend.payloads("StatusNotification")[-1][key] == "Unavailable"


@pytest.mark.parametrize("version", ALL)
def test_local_list_decides_offline(version: Version) -> None:
    pair = Pair(version).connect()
    if version is Version.V16:
        entry: dict[str, Any] = {"idTag": "BAD", "idTagInfo": {"status": "Blocked"}}
        order = {"listVersion": 3, "updateType": "Full", "localAuthorizationList": [entry]}
        version_of = "listVersion"
    else:
        token = {"idToken": "BAD", "type": "Local"}
        entry = {"idToken": token, "idTokenInfo": {"status": "Blocked"}}
        order = {"versionNumber": 3, "updateType": "Full", "localAuthorizationList": [entry]}
        version_of = "versionNumber"
    assert pair.ask("SendLocalList", order).status == "Accepted"
    assert getattr(pair.ask("GetLocalListVersion", {}), version_of) == 3
    pair.cut()
    pair.plug(a_car(id_token="BAD"))
    pair.run(60)
    assert pair.power_kw == 0.0
