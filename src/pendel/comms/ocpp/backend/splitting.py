"""Long orders in parts that a station can take, and their answers in one.

A station says how many items and bytes a message may have (OCPP 2.0.1: ItemsPerMessage and
BytesPerMessage, B05.FR.11, B06.FR.05, D01.FR.11, N04.FR.09, N06.FR.04; OCPP 1.6:
GetConfigurationMaxKeys, SendLocalListMaxLength). What it did not say is no limit.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from pendel.comms.ocpp.backend.local_list import numbered
from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.release import Version

FRAME_BYTES = 48
"""Of the array around a payload, without the action: type, an id of 36 characters, brackets."""

_LISTS_2 = {
    "GetVariables": ("DeviceDataCtrlr", "GetVariables", "getVariableData"),
    "SetVariables": ("DeviceDataCtrlr", "SetVariables", "setVariableData"),
    "SetVariableMonitoring": ("MonitoringCtrlr", "SetVariableMonitoring", "setMonitoringData"),
    "ClearVariableMonitoring": ("MonitoringCtrlr", "ClearVariableMonitoring", "id"),
    "SendLocalList": ("LocalAuthListCtrlr", "", "localAuthorizationList"),
}
_LISTS_16 = {
    "GetConfiguration": ("GetConfigurationMaxKeys", "key"),
    "SendLocalList": ("SendLocalListMaxLength", "localAuthorizationList"),
}


def parts_of(station: Station, version: Version, action: str, request: Any) -> list[Any]:
    """A typed request in parts the station can take, in order; mostly the request itself."""
    field, items_max, bytes_max = _bounds(station, version, action)
    items = getattr(request, field, UNSET) if field else UNSET
    if items is UNSET or (items_max is None and bytes_max is None):
        return [request]
    frame = FRAME_BYTES + len(action)
    room = None if bytes_max is None else bytes_max - frame
    pieces = _pieces(request, field, items, items_max or len(items), room)
    parts = [msgspec.structs.replace(request, **{field: piece}) for piece in pieces]
    if action != "SendLocalList" or len(parts) < 2:
        return parts or [request]
    first = request.listVersion if version is Version.V16 else request.versionNumber
    kinds = [request.updateType] + ["Differential"] * (len(parts) - 1)
    listed = enumerate(zip(parts, kinds, strict=True))
    return [numbered(version, part, first + index, kind) for index, (part, kind) in listed]


def joined(responses: list[Any]) -> Any:
    """The answers to the parts of one request as one: lists in order, the rest as the last says."""
    lists: dict[str, list[Any]] = {}
    for response in responses:
        for name in response.__struct_fields__:
            value = getattr(response, name)
            if isinstance(value, list):
                lists.setdefault(name, []).extend(value)
    return msgspec.structs.replace(responses[-1], **lists)


def _bounds(station: Station, version: Version, action: str) -> tuple[str, int | None, int | None]:
    """The list in a request that may be parted ("" = none), most items and bytes of a message."""
    if version is Version.V16:
        key, field = _LISTS_16.get(action, ("", ""))
        return field, _number(station.variable("", key)), None
    component, instance, field = _LISTS_2.get(action, ("", "", ""))
    place = f"[{instance}]" if instance else ""
    items_max = _number(station.variable(component, f"ItemsPerMessage{place}"))
    return field, items_max, _number(station.variable(component, f"BytesPerMessage{place}"))


def _number(text: str | None) -> int | None:
    """A limit as told; what is none, or below 1, limits nothing."""
    return (
        int(text) if text is not None and text.isascii() and text.isdigit() and int(text) else None
    )


def _pieces(
    request: Any, field: str, items: list[Any], items_max: int, bytes_max: int | None
) -> list[list[Any]]:
    """items in runs within both bounds; one that is too long by itself goes alone."""
    empty = msgspec.structs.replace(request, **{field: []})
    base = len(msgspec.json.encode(empty))
    pieces: list[list[Any]] = []
    size = 0
    for item in items:
        more = len(msgspec.json.encode(item)) + 1
        full = not pieces or len(pieces[-1]) >= items_max
        if full or (bytes_max is not None and size + more > bytes_max):
            pieces.append([])
            size = base
        pieces[-1].append(item)
        size += more
    return pieces
