"""Lenient mode: messages that break the schema, mended where their meaning is beyond doubt.

Only looked at when the strict reading failed, and only for stations that the operator named. What
was done is told, change by change; what would have to be guessed (a mandatory property that is
missing or senseless) stays refused.

    a property nobody knows        dropped          a number as text, or text as a number  converted
    a text that is too long        cut              an optional property without sense      dropped
    a list that is too long        cut              a time like 20260301T120000Z            read
    no payload, or null            {}               a message id that is a number           echoed
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from pendel.comms.ocpp.release import Version, messages_of

MENDS_MAX = 100
TOLD_CHARS_MAX = 120
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_LENGTH = re.compile(r"of length <= (\d+)$")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`$")
_GOT = re.compile(r"^Expected `([a-z |]+)`, got `([a-z]+)`$")


@dataclass(frozen=True, slots=True)
class Mended:
    """A message as it was understood. changes: what had to be done to it."""

    message_id: Any
    action: str
    payload: Any
    changes: tuple[str, ...]


def mended_call(data: bytes | str, version: Version) -> Mended | None:
    """A CALL that the schema refuses, or None where it cannot be mended."""
    try:
        parts = msgspec.json.decode(data, type=list)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not 3 <= len(parts) <= 5 or parts[0] != 2 or not isinstance(parts[2], str):
        return None
    message_id, action = parts[1], parts[2]
    if isinstance(message_id, bool) or not isinstance(message_id, str | int):
        return None
    if isinstance(message_id, str) and not 0 < len(message_id) <= 255:
        return None
    kind = messages_of(version).REQUESTS.get(action)
    if kind is None or action not in messages_of(version).RESPONSES:
        return None
    changes = [] if isinstance(message_id, str) else ["the message id is a number"]
    if len(parts) != 4:
        changes.append(f"{len(parts)} elements instead of 4")
    payload = parts[3] if len(parts) > 3 else None
    if payload is None:
        payload = {}
        changes.append("no payload")
    typed = _mended(payload, kind, changes)
    return None if typed is None else Mended(message_id, action, typed, tuple(changes))


def mended_response(
    payload: bytes | msgspec.Raw, action: str, version: Version
) -> tuple[Any, tuple[str, ...]] | None:
    """An answer that the schema refuses, and what was done to it; None where nothing helps."""
    changes: list[str] = []
    try:
        data = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    typed = _mended(data, messages_of(version).RESPONSES[action], changes)
    return None if typed is None else (typed, tuple(changes))


def _mended(data: Any, kind: type, changes: list[str]) -> Any | None:
    _drop_anonymous_data(data, changes)
    for _ in range(MENDS_MAX):
        try:
            return msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            if not _mend(data, str(error), changes):
                return None
    return None


def _mend(data: Any, error: str, changes: list[str]) -> bool:
    """Change one thing in place; False where that would be guessing."""
    found = _PLACE.match(error)
    if found is None:
        return False
    what, path = found["what"], _steps(found["path"] or "")
    if path is None:
        return False
    unknown = _UNKNOWN.search(what)
    if unknown is not None:
        holder = _at(data, path)
        if not isinstance(holder, dict) or unknown[1] not in holder:
            return False
        changes.append(f"{_told([*path, unknown[1]])} is not known: {_show(holder[unknown[1]])}")
        del holder[unknown[1]]
        return True
    if not path:
        return False
    holder, last = _at(data, path[:-1]), path[-1]
    value = _at(data, path)
    better = _better(what, value)
    changes.append(f"{_told(path)}: {what}: {_show(value)}")
    if better is not None:
        holder[last] = better
        return True
    # dropped: where the property is mandatory the next reading says so, and that is the end
    if not isinstance(holder, dict | list):
        return False
    _drop(holder, last)
    return True


def _drop(holder: Any, step: str | int) -> None:
    del holder[step]


def _better(what: str, value: Any) -> Any | None:
    """The value that was surely meant, or None."""
    length = _LENGTH.search(what)
    if length is not None and isinstance(value, str | list):
        return value[: int(length[1])]
    if "RFC3339" in what or ("datetime" in what and isinstance(value, str)):
        return _time(value)
    got = _GOT.match(what)
    if got is None:
        return None
    wanted = got[1].split(" | ")
    if "str" in wanted and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if "bool" in wanted and value in ("true", "false"):
        return value == "true"
    return _number(wanted, value)


def _number(wanted: list[str], value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, str | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if "int" in wanted and number.is_integer():
        return int(number)
    return number if "float" in wanted and isinstance(value, str) else None


def _time(value: Any) -> str | None:
    try:
        read = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).isoformat()


def _drop_anonymous_data(data: Any, changes: list[str]) -> None:
    """customData without its vendorId is nobody's (CustomDataType)."""
    todo: list[Any] = [data]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            custom = node.get("customData")
            vendor = custom.get("vendorId") if isinstance(custom, dict) else None
            if "customData" in node and not (isinstance(vendor, str) and len(vendor) <= 255):
                changes.append(f"customData without a vendorId: {_show(custom)}")
                del node["customData"]
            todo += [value for key, value in node.items() if key != "customData"]


def _steps(path: str) -> list[str | int] | None:
    """`.meterValue[0].value` to its steps; None where it cannot be followed."""
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            return None
        steps.append(found[1] if found[1] is not None else int(found[2]))
        at = found.end()
    return steps


def _at(data: Any, path: list[str | int]) -> Any:
    for step in path:
        data = data[step]
    return data


def _told(path: list[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".") or "the payload"


def _show(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:TOLD_CHARS_MAX]
