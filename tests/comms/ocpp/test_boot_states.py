"""What a station that is not accepted may say, and how it is told of a change: all versions."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_csms_rules import NOW, OpenPolicy, ask, csms, typed

from pendel.comms.ocpp.backend.csms import Csms
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.release import Version

AT = NOW.isoformat()
BOOT_2 = {"chargingStation": {"vendorName": "v", "model": "m"}, "reason": "PowerUp"}
BOOT = {
    Version.V16: {"chargePointVendor": "v", "chargePointModel": "m"},
    Version.V201: BOOT_2,
    Version.V21: BOOT_2,
}
STATUS_2 = {"timestamp": AT, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
STATUS = {
    Version.V16: {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    Version.V201: STATUS_2,
    Version.V21: STATUS_2,
}
ALL = pytest.mark.parametrize("version", list(Version))


class Told(OpenPolicy):
    """A policy whose answer to a boot is set by the test."""

    def __init__(self, boot: str) -> None:
        self.boot = boot

    def boot_status(self, station_id: str) -> str:
        return self.boot


def backend(boot: str) -> tuple[Csms, Told]:
    found, policy = csms(), Told(boot)
    found.policy = policy
    return found, policy


@ALL
@pytest.mark.parametrize("boot", ["Pending", "Rejected"])
def test_a_station_that_is_not_accepted_is_told_when_to_ask_again(
    version: Version, boot: str
) -> None:
    found, _ = backend(boot)
    answer = ask(found, version, "BootNotification", BOOT[version]).response
    assert answer.status == boot and 0 < answer.interval <= 300
    reply = ask(found, version, "StatusNotification", STATUS[version])
    assert reply.code is ErrorCode.SECURITY_ERROR and reply.record is None
    assert not found.network.station("S").evses, "what is refused is not learned"


@ALL
def test_a_pending_station_may_say_what_it_was_asked_for(version: Version) -> None:
    found, _ = backend("Pending")
    ask(found, version, "BootNotification", BOOT[version])
    order = typed(version, "TriggerMessage", {"requestedMessage": "StatusNotification"})
    found.permit("S", version, "TriggerMessage", order, NOW)
    assert ask(found, version, "StatusNotification", STATUS[version]).code is None
    assert ask(found, version, "Heartbeat", {}).code is ErrorCode.SECURITY_ERROR
    later = NOW + timedelta(hours=1)
    reply = ask(found, version, "StatusNotification", STATUS[version], now=later)
    assert reply.code is ErrorCode.SECURITY_ERROR


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
@pytest.mark.parametrize("action", ["GetBaseReport", "GetReport"])
def test_a_pending_station_may_send_the_report_it_was_asked_for(
    version: Version, action: str
) -> None:
    found, _ = backend("Pending")
    ask(found, version, "BootNotification", BOOT[version])
    report = {"requestId": 1, "generatedAt": AT, "seqNo": 0}
    assert ask(found, version, "NotifyReport", report).code is ErrorCode.SECURITY_ERROR
    more = {"reportBase": "FullInventory"} if action == "GetBaseReport" else {}
    found.permit("S", version, action, typed(version, action, {"requestId": 1, **more}), NOW)
    assert ask(found, version, "NotifyReport", report).code is None


@ALL
def test_an_accepted_station_is_taken_at_its_word_again(version: Version) -> None:
    found, policy = backend("Pending")
    ask(found, version, "BootNotification", BOOT[version])
    policy.boot = "Accepted"
    order = found.boots_anew("S", version, NOW)
    assert order is not None and order.action == "TriggerMessage"
    assert order.payload.requestedMessage == "BootNotification"
    assert ask(found, version, "Heartbeat", {}).code is ErrorCode.SECURITY_ERROR, "not yet"
    assert ask(found, version, "BootNotification", BOOT[version]).response.status == "Accepted"
    assert ask(found, version, "StatusNotification", STATUS[version]).code is None
    assert found.boots_anew("S", version, NOW) is None


@ALL
def test_a_rejected_station_is_sent_nothing(version: Version) -> None:
    found, policy = backend("Rejected")
    ask(found, version, "BootNotification", BOOT[version])
    policy.boot = "Accepted"
    assert found.boots_anew("S", version, NOW) is None, "B03.FR.03: it asks by itself"
    assert not ask(found, version, "Heartbeat", {}).orders
    assert ask(found, version, "BootNotification", BOOT[version]).response.status == "Accepted"


@ALL
def test_a_restart_knows_what_a_station_was_told(version: Version) -> None:
    found, policy = backend("Pending")
    records = [ask(found, version, "BootNotification", BOOT[version]).record]
    again, _ = backend("Accepted")
    again.replay(records)
    assert ask(again, version, "Heartbeat", {}).code is ErrorCode.SECURITY_ERROR
    policy.boot = "Accepted"
    records.append(ask(found, version, "BootNotification", BOOT[version]).record)
    again, _ = backend("Accepted")
    again.replay(records)
    assert ask(again, version, "Heartbeat", {}).code is None


def test_a_1_6_station_that_never_booted_is_served_where_it_would_be_accepted() -> None:
    found, policy = backend("Accepted")
    assert ask(found, Version.V16, "Heartbeat", {}).code is None
    policy.boot = "Pending"
    reply = ask(found, Version.V16, "Heartbeat", {}, "OTHER")
    assert reply.code is ErrorCode.SECURITY_ERROR
    assert [order.action for order in reply.orders] == ["TriggerMessage"]
