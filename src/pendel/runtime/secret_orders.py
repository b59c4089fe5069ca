"""Orders that carry a password: which they are, what is written down of them.

OCPP 2.x: SetVariables of SecurityCtrlr.BasicAuthPassword (A01); OCPP 1.6 with the security
extension: ChangeConfiguration of AuthorizationKey, plain or in hexadecimal digits.
"""

from typing import Any

import msgspec

from pendel.comms.ocpp.peer import Answered, Event, Failed
from pendel.comms.ocpp.release import Version, messages_of

HIDDEN = "(hidden)"
COMPONENT, VARIABLE, KEY_16 = "SecurityCtrlr", "BasicAuthPassword", "AuthorizationKey"


def password_order(version: Version, password: str) -> tuple[str, Any]:
    """Action and typed request that give a station a new password."""
    messages: Any = messages_of(version)
    if version is Version.V16:
        request = messages.ChangeConfigurationRequest(key=KEY_16, value=password.encode().hex())
        return "ChangeConfiguration", request
    data = messages.SetVariableDataType(
        attributeValue=password,
        component=messages.ComponentType(name=COMPONENT),
        variable=messages.VariableType(name=VARIABLE),
    )
    return "SetVariables", messages.SetVariablesRequest(setVariableData=[data])


def is_secret(action: str, request: Any) -> bool:
    """Whether a typed request carries a password."""
    return bool(passwords_in(action, request))


def passwords_in(action: str, request: Any) -> list[bytes]:
    """The passwords by which a station may come after it took a typed request; [] = it carries
    none. 1.6: the bytes of the digits, or, as some stations do, the digits themselves."""
    if action == "ChangeConfiguration" and request.key == KEY_16:
        digits = str(request.value)
        try:
            return [bytes.fromhex(digits), digits.encode()]
        except ValueError:
            return [digits.encode()]
    if action == "SetVariables":
        data = request.setVariableData
        return [e.attributeValue.encode() for e in data if e.variable.name == VARIABLE][-1:]
    return []


def status_of(action: str, event: Event) -> str:
    """What a station said about its new password: Accepted, RebootRequired, a refusal, or ""
    where nobody can know whether it took it (no answer, or one that cannot be read)."""
    if isinstance(event, Failed):
        return event.code if event.code in ("NotImplemented", "NotSupported") else ""
    if not isinstance(event, Answered):
        return ""
    if action == "ChangeConfiguration":
        return str(event.response.status)
    entries = [e for e in event.response.setVariableResult if e.variable.name == VARIABLE]
    return str(entries[0].attributeStatus) if entries else ""


def without_secrets(action: str, request: Any) -> bytes:
    """The JSON text of a typed request with its password hidden."""
    if action == "ChangeConfiguration":
        return msgspec.json.encode(msgspec.structs.replace(request, value=HIDDEN))
    data = [
        msgspec.structs.replace(entry, attributeValue=HIDDEN)
        if entry.variable.name == VARIABLE
        else entry
        for entry in request.setVariableData
    ]
    return msgspec.json.encode(msgspec.structs.replace(request, setVariableData=data))
