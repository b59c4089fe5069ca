"""Orders that carry a password: which they are, what is written down of them.

OCPP 2.x: SetVariables of SecurityCtrlr.BasicAuthPassword (A01); OCPP 1.6 with the security
extension: ChangeConfiguration of AuthorizationKey, plain or in hexadecimal digits.
"""

from typing import Any

import msgspec

from pendel.comms.ocpp.peer import Answered, Event, Failed
from pendel.comms.ocpp.release import Version, messages_of

HIDDEN = "(hidden)"
SECRET_ACTIONS = ("ChangeConfiguration", "SetVariables", "SetNetworkProfile")
COMPONENT, VARIABLE, KEY_16 = "SecurityCtrlr", "BasicAuthPassword", "AuthorizationKey"
COMPONENTS = (COMPONENT, "SecurityCtrl")
"""As the standard calls it, and as part 6 of it does."""


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


def changes_password(action: str, request: Any) -> bool:
    """Whether a typed request gives a station another password for this server's door."""
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
        data = [e for e in request.setVariableData if _is_door(e)]
        return [entry.attributeValue.encode() for entry in data][-1:]
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
    entries = [e for e in event.response.setVariableResult if _is_door(e)]
    return str(entries[0].attributeStatus) if entries else ""


def without_secrets(action: str, request: Any) -> bytes:
    """The JSON text of one of SECRET_ACTIONS, its passwords hidden (those of networks too)."""
    data = msgspec.to_builtins(request)
    if action == "ChangeConfiguration":
        if data["key"] == KEY_16:
            data["value"] = HIDDEN
    elif action == "SetVariables":
        for entry in data["setVariableData"]:
            if entry["variable"]["name"] == VARIABLE:
                entry["attributeValue"] = HIDDEN
    else:
        _hide(data)
    return msgspec.json.encode(data)


def _hide(data: dict[str, Any]) -> None:
    """Hide whatever is called a password, and the shared key of a VPN, at any depth."""
    for name, value in data.items():
        if isinstance(value, dict):
            _hide(value)
        elif name.lower().endswith("password") or name == "key":
            data[name] = HIDDEN


def _is_door(entry: Any) -> bool:
    """Whether a variable is the password of the line in use; those of other network profiles
    (2.1, NetworkConfiguration) are not."""
    return entry.variable.name == VARIABLE and entry.component.name in COMPONENTS
