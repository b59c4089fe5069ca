"""What is learned from the answers of stations: variables, configuration keys, lists they hold.

Like `learning`, run live and over the log, so that a restart knows what was known.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from pendel.comms.ocpp.backend.stations import Station, variable_name
from pendel.comms.ocpp.release import Version, messages_of
from pendel.records import StationMessage

SECRETS = ("BasicAuthPassword", "AuthorizationKey")
"""Never remembered."""
MONITORS_MAX = 10_000

Take = Callable[[Station, Version, Any, Any], None]


def take_answer(
    station: Station, version: Version, action: str, request: Any, response: Any
) -> None:
    """A station answered a typed request with a typed response."""
    taker = _TAKERS.get(action)
    if taker is not None:
        taker(station, version, request, response)


def recall(station: Station, version: Version, record: StationMessage) -> None:
    """`take_answer` from the log; what cannot be read says nothing."""
    if record.action not in _TAKERS or not record.response:
        return
    messages = messages_of(version)
    try:
        request = msgspec.json.decode(record.payload, type=messages.REQUESTS[record.action])
        response = msgspec.json.decode(record.response, type=messages.RESPONSES[record.action])
    except (KeyError, msgspec.MsgspecError):
        return
    take_answer(station, version, record.action, request, response)


def _got(station: Station, version: Version, request: Any, response: Any) -> None:
    for entry in response.getVariableResult:
        actual = entry.attributeType is UNSET or entry.attributeType == "Actual"
        if actual and entry.attributeStatus == "Accepted" and entry.attributeValue is not UNSET:
            _know(station, entry, entry.attributeValue)


def _set(station: Station, version: Version, request: Any, response: Any) -> None:
    for entry in response.setVariableResult:
        if entry.attributeStatus not in ("Accepted", "RebootRequired"):
            continue
        for given in request.setVariableData:
            actual = given.attributeType is UNSET or given.attributeType == "Actual"
            same = (given.component, given.variable) == (entry.component, entry.variable)
            if actual and same and given.variable.name not in SECRETS:
                _know(station, entry, given.attributeValue)


def _know(station: Station, entry: Any, value: str) -> None:
    place = entry.component.evse
    name = variable_name(entry.variable)
    station.know(entry.component.name, 0 if place is UNSET else place.id, name, value)


def _configured(station: Station, version: Version, request: Any, response: Any) -> None:
    for entry in [] if response.configurationKey is UNSET else response.configurationKey:
        if entry.value is not UNSET:
            station.know("", 0, entry.key, entry.value)


def _changed(station: Station, version: Version, request: Any, response: Any) -> None:
    if response.status in ("Accepted", "RebootRequired") and request.key not in SECRETS:
        station.know("", 0, request.key, request.value)


def _listed(station: Station, version: Version, request: Any, response: Any) -> None:
    if response.status == "Accepted":
        station.local_list.take(version, request)


def _cleared(station: Station, version: Version, request: Any, response: Any) -> None:
    if response.status == "Accepted" and request.clear and request.idToken is not UNSET:
        station.local_list.cleared.add(request.idToken.idToken.casefold())


def _monitored(station: Station, version: Version, request: Any, response: Any) -> None:
    for entry in response.setMonitoringResult:
        if entry.status == "Accepted" and entry.id is not UNSET:
            place = entry.component.evse
            evse_id = 0 if place is UNSET else place.id
            if entry.id in station.monitors or len(station.monitors) < MONITORS_MAX:
                name = variable_name(entry.variable)
                station.monitors[entry.id] = (entry.component.name, evse_id, name)


def _unmonitored(station: Station, version: Version, request: Any, response: Any) -> None:
    for entry in response.clearMonitoringResult:
        if entry.status != "Rejected":
            station.monitors.pop(entry.id, None)


def _streams(station: Station, version: Version, request: Any, response: Any) -> None:
    told = [] if response.constantStreamData is UNSET else response.constantStreamData
    named = {each.id: each for each in told}
    for gone in station.streams.keys() - named.keys():
        del station.streams[gone]
    for number, each in named.items():
        if number in station.streams:
            station.streams[number].adjust(each.params)


def _adjusted(station: Station, version: Version, request: Any, response: Any) -> None:
    stream = station.streams.get(request.id)
    if response.status == "Accepted" and stream is not None:
        stream.adjust(request.params)


_TAKERS: dict[str, Take] = {
    "GetVariables": _got,
    "SetVariables": _set,
    "GetConfiguration": _configured,
    "ChangeConfiguration": _changed,
    "SendLocalList": _listed,
    "CustomerInformation": _cleared,
    "SetVariableMonitoring": _monitored,
    "ClearVariableMonitoring": _unmonitored,
    "GetPeriodicEventStream": _streams,
    "AdjustPeriodicEventStream": _adjusted,
}
