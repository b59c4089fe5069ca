"""What block K forbids a backend to send is refused also when a person asks for it."""

from typing import Any

import msgspec
import pytest

from pendel.comms.ocpp.release import Version
from pendel.runtime.bridges.order_guard import Band, guarded
from pendel.runtime.bridges.order_rules import refusal_of
from pendel.runtime.network_orders import typed_order

START = "2026-03-01T00:00:00Z"
Wire = dict[str, Any]


def profile(purpose: str = "TxDefaultProfile", **more: Any) -> Wire:
    period = {"startPeriod": 0, "limit": 6000.0, **more.pop("period", {})}
    schedule = {"id": 1, "chargingRateUnit": "W", "startSchedule": START,
                "chargingSchedulePeriod": [period], **more.pop("schedule", {})}  # fmt: skip
    kind = {"chargingProfilePurpose": purpose, "chargingProfileKind": "Absolute"}
    own = {"transactionId": "T"} if purpose == "TxProfile" else {}
    return {"id": 7, "stackLevel": 0, **kind, "chargingSchedule": [schedule], **own, **more}


def sets(evse_id: int = 1, **wire: Any) -> tuple[str, Wire]:
    return "SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile(**wire)}


def clears(**payload: Any) -> tuple[str, Wire]:
    return "ClearChargingProfile", payload


def gets(**criterion: Any) -> tuple[str, Wire]:
    return "GetChargingProfiles", {"requestId": 1, "chargingProfile": criterion}


def starts(**wire: Any) -> tuple[str, Wire]:
    token = {"idToken": "TAG1", "type": "ISO14443"}
    return "RequestStartTransaction", {
        "idToken": token, "remoteStartId": 3, "evseId": 1, "chargingProfile": profile(**wire),
    }  # fmt: skip


LATE = [{"startPeriod": 5, "limit": 1.0}]
MIXED = [{"startPeriod": 0, "limit": 1.0}, {"startPeriod": 0, "limit": 2.0}]

REFUSED = [
    ("K01.FR.03", ("SetChargingProfile", {"evseId": 1, "chargingProfile": {
        k: v for k, v in profile("TxProfile").items() if k != "transactionId"}})),
    ("K01.FR.16", sets(0, purpose="TxProfile")),
    ("K01.FR.19", sets(period={"phaseToUse": 2})),
    ("K01.FR.19", sets(period={"phaseToUse": 2, "numberPhases": 3})),
    ("K01.FR.22", sets(purpose="ChargingStationExternalConstraints")),
    ("K01.FR.31", sets(schedule={"chargingSchedulePeriod": LATE})),
    ("K01.FR.35", sets(schedule={"chargingSchedulePeriod": MIXED})),
    ("K01.FR.40", ("SetChargingProfile", {"evseId": 1, "chargingProfile": profile(
        chargingSchedule=[{"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": MIXED[:1]}]
    )})),
    ("K01.FR.41", sets(chargingProfileKind="Relative")),
    ("K01.FR.73", sets(purpose="PriorityCharging", schedule={"duration": 60})),
    ("K01.FR.143", sets(period={"limit_L2": 1.0})),
    ("K01.FR.145", sets(purpose="TxProfile", schedule={
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit_L2": 1.0}]})),
    ("K05.FR.02", starts()),
    ("K09.FR.03", gets()),
    ("K09.FR.03", gets(chargingProfileId=[1], stackLevel=0)),
    ("K10.FR.02", clears()),
    ("K10.FR.02", clears(chargingProfileCriteria={})),
    ("K10.FR.06", clears(chargingProfileCriteria={"chargingProfilePurpose": "LocalGeneration"})),
    ("K10.FR.06", clears(chargingProfileCriteria={
        "chargingProfilePurpose": "ChargingStationExternalConstraints"})),
]  # fmt: skip


@pytest.mark.proves(
    "K01.FR.03", "K01.FR.16", "K01.FR.19", "K01.FR.22", "K01.FR.31", "K01.FR.35", "K01.FR.40",
    "K01.FR.41", "K01.FR.73", "K01.FR.143", "K01.FR.145", "K02.FR.07", "K05.FR.02", "K09.FR.03",
    "K10.FR.02", "K10.FR.06",
)  # fmt: skip
@pytest.mark.parametrize(("rule", "order"), REFUSED)
def test_refused_by_its_rule(rule: str, order: tuple[str, Wire]) -> None:
    for version in ("2.0.1", "2.1"):
        assert f"({rule})" in refusal_of(version, *order)
    assert refusal_of("1.6", *order) == ""


SENT = [
    sets(),
    sets(purpose="TxProfile"),
    sets(0, purpose="ChargingStationMaxProfile"),
    sets(purpose="PriorityCharging"),
    sets(purpose="LocalGeneration"),
    sets(schedule={"useLocalTime": True, "randomizedDelay": 60}),
    sets(maxOfflineDuration=60, invalidAfterOfflineDuration=True),
    sets(maxOfflineDuration=60, invalidAfterOfflineDuration=False),
    sets(schedule={"limitAtSoC": {"soc": 80, "limit": 1000.0}}),
    sets(purpose="TxProfile", period={"limit_L2": 1.0, "limit_L3": 2.0}),
    sets(period={"numberPhases": 1, "phaseToUse": 2}),
    starts(purpose="TxProfile"),
    ("GetCompositeSchedule", {"evseId": 0, "duration": 600}),
    ("UsePriorityCharging", {"transactionId": "T", "activate": True}),
    gets(chargingProfileId=[1, 2]),
    gets(stackLevel=0, chargingLimitSource=["CSO"]),
    clears(chargingProfileId=3),
    clears(chargingProfileCriteria={"evseId": 0}),
]


@pytest.mark.proves(
    "K01.FR.01", "K01.FR.02", "K01.FR.08", "K01.FR.72", "K01.FR.96", "K01.FR.104", "K01.FR.105",
    "K05.FR.01", "K08.FR.01", "K21.FR.10",
)  # fmt: skip
@pytest.mark.parametrize("order", SENT)
def test_everything_else_goes_out_as_it_was_asked_for(order: tuple[str, Wire]) -> None:
    action, payload = order
    assert refusal_of("2.1", action, payload) == ""
    inside = guarded(action, payload, Band(20.0, 20.0))
    assert (inside.refusal, inside.payload) == ("", payload)
    sent = msgspec.json.decode(msgspec.json.encode(typed_order(Version.V21, action, payload)))
    assert sent == payload
