"""A station with a car and a backend, and the words the smart charging tests share."""

from dataclasses import replace
from typing import Any

from scripted_backend import Pair, a_car, profile_2

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings
from pendel.comms.ocpp.station.external_system import ExternalSystem
from pendel.comms.ocpp.station.smart_charging import SmartCharging
from pendel.comms.ocpp.station.v2_charging import Charging2

BEFORE = "2023-11-14T00:00:00Z"
Wire = dict[str, Any]


def world(
    version: Version = Version.V21, cars: int = 1, smart: SmartCharging | None = None, **more: Any
) -> Pair:
    """A connected station with so many EVSEs with a hungry car each."""
    fields: dict[str, Any] = {"evses": max(cars, 1), **more}
    settings = StationSettings("CS1", smart=smart or SmartCharging(), **fields)
    pair = Pair(version, settings).connect()
    for number in range(1, cars + 1):
        pair.plug(a_car(id_token=f"TAG{number}"), number)
    return pair


def tx_id(pair: Pair, evse_id: int = 1) -> str:
    transaction = pair.station.evses[evse_id].transaction
    assert transaction is not None
    return transaction.id


def put(pair: Pair, profile: Wire, evse_id: int = 1) -> Any:
    return pair.ask("SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile})


def refusal(answer: Any) -> str:
    """The reason code of a refusal; "" = accepted."""
    if answer.status == "Accepted":
        return ""
    return str(answer.statusInfo.reasonCode)


def default(number: int, watts: float, level: int = 0, **more: Any) -> Wire:
    return absolute(number, "TxDefaultProfile", watts, stackLevel=level, **more)


def absolute(number: int, purpose: str, watts: float, **more: Any) -> Wire:
    """One limit since yesterday."""
    schedule = {"startSchedule": BEFORE, **more.pop("schedule", {})}
    period = {"startPeriod": 0, "limit": watts, **more.pop("period", {})}
    return profile_2(number, purpose, [period], schedule=schedule, **more)


def for_tx(pair: Pair, number: int, watts: float, evse_id: int = 1, **more: Any) -> Wire:
    return absolute(number, "TxProfile", watts, transactionId=tx_id(pair, evse_id), **more)


def powers(pair: Pair) -> list[float]:
    """Power of every EVSE after a moment [kW]."""
    pair.run(1)
    return [round(evse.power_kw, 6) for evse in pair.station.evses.values()]


def charging(pair: Pair) -> Charging2:
    assert isinstance(pair.station.dialect, Charging2)
    return pair.station.dialect


def outside(pair: Pair) -> ExternalSystem:
    """The way into the station that is not OCPP."""
    return charging(pair).external


def set_variable(pair: Pair, name: str, value: str, component: str = "SmartChargingCtrlr") -> str:
    data = {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value}
    answer = pair.ask("SetVariables", {"setVariableData": [data]})
    return str(answer.setVariableResult[0].attributeStatus)


def get_variable(pair: Pair, name: str, instance: str = "") -> str | None:
    variable = {"name": name, **({"instance": instance} if instance else {})}
    data = {"component": {"name": "SmartChargingCtrlr"}, "variable": variable}
    result = pair.ask("GetVariables", {"getVariableData": [data]}).getVariableResult[0]
    return result.attributeValue if result.attributeStatus == "Accepted" else None


def triggers(pair: Pair) -> list[str]:
    return [event["triggerReason"] for event in pair.backend.payloads("TransactionEvent")]


def without(smart: SmartCharging, feature: str) -> SmartCharging:
    return replace(smart, features=smart.features - {feature})
