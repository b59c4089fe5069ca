"""OCPP-J frames: text to typed frame, typed frame to text, and the right error code otherwise.

    [2, id, action, payload]                          CALL
    [3, id, payload]                                  CALLRESULT
    [4, id, code, description, details]               CALLERROR
    [5, id, code, description, details]               CALLRESULTERROR   (2.1)
    [6, id, action, payload]                          SEND              (2.1)

Sources: OCPP-J 1.6 section 4; OCPP 2.1 part 4 sections 4.1-4.3 (table of error codes).
"""

from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec

from pendel.comms.ocpp.release import Version, messages_of

FRAME_BYTES_MAX = 128 * 1024
MESSAGE_ID_CHARS_MAX = 36
DESCRIPTION_CHARS_MAX = 255
UNREADABLE_ID = "-1"
CUSTOM_DATA = b'"customData"'

MessageId: TypeAlias = Any
"""A string by the standard; whatever JSON value a broken peer sent, so that it can be echoed."""


class ErrorCode(StrEnum):
    """Error codes of 2.x; `wire_code` gives the spelling of 1.6."""

    FORMAT_VIOLATION = "FormatViolation"
    GENERIC_ERROR = "GenericError"
    INTERNAL_ERROR = "InternalError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurrenceConstraintViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    PROTOCOL_ERROR = "ProtocolError"
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"
    SECURITY_ERROR = "SecurityError"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"


_CODES_16 = {
    ErrorCode.FORMAT_VIOLATION: "FormationViolation",
    ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION: "OccurenceConstraintViolation",
    ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED: "ProtocolError",
    ErrorCode.RPC_FRAMEWORK_ERROR: "ProtocolError",
}


class Call(msgspec.Struct, frozen=True, gc=False):
    """A request; payload is the typed message of the version, text the one of a request that
    came, as it came."""

    message_id: MessageId
    action: str
    payload: Any
    text: str = ""


class CallResult(msgspec.Struct, frozen=True, gc=False):
    """An answer whose payload is still raw: only the pending call knows its type."""

    message_id: MessageId
    payload: msgspec.Raw


class CallError(msgspec.Struct, frozen=True, gc=False):
    """An error answer to a CALL; result_error marks a CALLRESULTERROR (2.1)."""

    message_id: MessageId
    code: str
    description: str
    details: Any
    result_error: bool = False


class Send(msgspec.Struct, frozen=True, gc=False):
    """A message that is never answered (2.1)."""

    message_id: MessageId
    action: str
    payload: Any


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A frame that is none of the above. answer: the CALLERROR to send back, if one is due."""

    reason: str
    answer: CallError | None


Frame: TypeAlias = Call | CallResult | CallError | Send | Malformed

_json = msgspec.json.Encoder()
_calls = msgspec.json.Decoder(tuple[Literal[2], str, str, msgspec.Raw])
_results = msgspec.json.Decoder(tuple[Literal[3], str, msgspec.Raw])
_parts = msgspec.json.Decoder(list[msgspec.Raw])
_answer_decoders: dict[tuple[Version, str], msgspec.json.Decoder[Any]] = {}
_decoders: dict[tuple[Version, str, bool], msgspec.json.Decoder[Any]] = {}


def wire_code(code: ErrorCode, version: Version) -> str:
    """The spelling of an error code in a version (1.6 differs in two, and lacks two)."""
    if version is not Version.V16:
        return code.value
    return _CODES_16.get(code, code.value)


def parse(data: bytes | str, version: Version) -> Frame:
    """One text frame to a typed frame. Never raises: whatever comes is named."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > FRAME_BYTES_MAX:
        return Malformed("frame too large", None)
    try:
        # what is right is read in one go; only what is not is looked at piece by piece
        if raw[:2] == b"[3":
            _, message_id, payload = _results.decode(raw)
            return CallResult(message_id, payload)
        _, message_id, action, payload = _calls.decode(raw)
        decoder = _decoder(version, action, is_send=False)
        if decoder is not None and 0 < len(message_id) <= MESSAGE_ID_CHARS_MAX:
            typed = decoder.decode(payload)
            if CUSTOM_DATA in raw:
                check_custom_data(payload)
            return Call(message_id, action, typed, str(payload, "utf-8"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return _parse_pieces(raw, version)


def _parse_pieces(raw: bytes, version: Version) -> Frame:
    try:
        parts = _parts.decode(raw)
        kind = msgspec.json.decode(parts[0]) if parts else None
        message_id = msgspec.json.decode(parts[1]) if len(parts) > 1 else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(f"no JSON array: {error}", _unreadable(version, str(error)))
    if type(kind) is not int or not 2 <= kind <= 6 or (kind > 4 and version is not Version.V21):
        return _unsupported(version, kind, message_id)
    if kind == 2 or kind == 6:
        return _parse_call(parts, message_id, version, is_send=kind == 6)
    return _parse_answer(parts, kind, message_id)


def _unreadable(version: Version, reason: str) -> CallError | None:
    if version is Version.V16:
        return None
    return error_frame(UNREADABLE_ID, ErrorCode.RPC_FRAMEWORK_ERROR, reason, version)


def _unsupported(version: Version, kind: Any, message_id: Any) -> Malformed:
    reason = f"message type {kind!r} is not supported"[:DESCRIPTION_CHARS_MAX]
    if version is Version.V16:  # 1.6: such a message is ignored
        return Malformed(reason, None)
    answer_id = message_id if isinstance(message_id, str) else UNREADABLE_ID
    code = ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED
    if not isinstance(kind, int) or isinstance(kind, bool):
        code = ErrorCode.RPC_FRAMEWORK_ERROR
    return Malformed(reason, error_frame(answer_id, code, reason, version))


def _parse_call(
    parts: list[msgspec.Raw], message_id: MessageId, version: Version, is_send: bool
) -> Frame:
    def refuse(code: ErrorCode, reason: str) -> Malformed:
        answer = None if is_send else error_frame(message_id, code, reason, version)
        return Malformed(reason, answer)

    shape = ErrorCode.PROTOCOL_ERROR if version is Version.V16 else ErrorCode.FORMAT_VIOLATION
    if len(parts) < 2:
        return Malformed("a CALL without id", _unreadable(version, "a CALL without id"))
    if not isinstance(message_id, str):
        return refuse(shape, "the message id is not a string")
    if not 0 < len(message_id) <= MESSAGE_ID_CHARS_MAX:
        return refuse(shape, "the message id has no or over 36 characters")
    if len(parts) != 4:
        return refuse(shape, f"{len(parts)} elements instead of 4")
    try:
        action = msgspec.json.decode(parts[2], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return refuse(shape, "the action is not a string")
    decoder = _decoder(version, action, is_send)
    if decoder is None:
        return refuse(ErrorCode.NOT_IMPLEMENTED, f"unknown action {action[:60]}")
    try:
        payload = decoder.decode(parts[3])
        check_custom_data(parts[3])
        text = str(parts[3], "utf-8")
    except msgspec.ValidationError as error:
        return refuse(violation_code(str(error)), str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return refuse(ErrorCode.FORMAT_VIOLATION, str(error))
    if is_send:
        return Send(message_id, action, payload)
    return Call(message_id, action, payload, text)


def _decoder(version: Version, action: str, is_send: bool) -> msgspec.json.Decoder[Any] | None:
    """The decoder of a request (is_send: of a message that is never answered), or None."""
    key = (version, action, is_send)
    decoder = _decoders.get(key)
    if decoder is None:
        messages = messages_of(version)
        kind = messages.REQUESTS.get(action)
        if kind is None or (action in messages.RESPONSES) is is_send:
            return None
        decoder = _decoders[key] = msgspec.json.Decoder(kind)
    return decoder


def _parse_answer(parts: list[msgspec.Raw], kind: int, message_id: MessageId) -> Frame:
    if kind == 3:
        if len(parts) != 3:
            return Malformed(f"a CALLRESULT of {len(parts)} elements", None)
        return CallResult(message_id, parts[2])
    try:
        # code and description are mandatory, details may be missing in the field
        code = msgspec.json.decode(parts[2], type=str)
        description = msgspec.json.decode(parts[3], type=str) if len(parts) > 3 else ""
        details = msgspec.json.decode(parts[4]) if len(parts) > 4 else {}
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(f"a broken CALLERROR: {error}", None)
    return CallError(message_id, code, description, details, result_error=kind == 5)


def decode_response(payload: bytes | msgspec.Raw, action: str, version: Version) -> Any:
    """The typed response of an action. Raises msgspec.ValidationError with its place."""
    decoder = _answer_decoders.get((version, action))
    if decoder is None:
        kind = messages_of(version).RESPONSES[action]
        decoder = _answer_decoders[version, action] = msgspec.json.Decoder(kind)
    response = decoder.decode(payload)
    check_custom_data(payload)
    return response


def check_custom_data(payload: bytes | msgspec.Raw) -> None:
    """customData needs a vendorId of at most 255 characters (CustomDataType of the schemas).

    Looked for only where the text names it. Raises msgspec.ValidationError.
    """
    if CUSTOM_DATA not in bytes(payload):
        return
    todo: list[Any] = [msgspec.json.decode(payload)]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            custom = node.get("customData")
            if isinstance(custom, dict):
                vendor = custom.get("vendorId")
                if vendor is None:
                    raise msgspec.ValidationError("Object missing required field `vendorId`")
                if not isinstance(vendor, str):
                    raise msgspec.ValidationError("Expected `str`, got another - at `vendorId`")
                if len(vendor) > 255:
                    raise msgspec.ValidationError("Expected `str` of length <= 255 - `vendorId`")
            todo += [value for key, value in node.items() if key != "customData"]


def violation_code(reason: str) -> ErrorCode:
    """The error code for what msgspec found wrong (OCPP 2.1 part 4, table of error codes)."""
    if "missing required field" in reason:
        return ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
    if "unknown field" in reason:
        return ErrorCode.FORMAT_VIOLATION
    if "enum" in reason or "of length" in reason or "<=" in reason or ">=" in reason:
        return ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    if "Invalid RFC3339" in reason or "matching regex" in reason:
        return ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    if reason.startswith("Expected"):
        return ErrorCode.TYPE_CONSTRAINT_VIOLATION
    return ErrorCode.FORMAT_VIOLATION


def error_frame(
    message_id: MessageId, code: ErrorCode, description: str, version: Version
) -> CallError:
    """A CALLERROR in the spelling of the version, its text cut to what the standard allows."""
    return CallError(message_id, wire_code(code, version), description[:DESCRIPTION_CHARS_MAX], {})


def encode(frame: Call | CallResult | CallError | Send) -> bytes:
    """A frame to the bytes of its text message."""
    parts: list[Any]
    match frame:
        case Call(message_id, action, payload, _):
            parts = [2, message_id, action, payload]
        case CallResult(message_id, payload):
            parts = [3, message_id, payload]
        case CallError(message_id, code, description, details, result_error):
            parts = [5 if result_error else 4, message_id, code, description, details]
        case Send(message_id, action, payload):
            parts = [6, message_id, action, payload]
    return _json.encode(parts)


def encode_call(message_id: str, action: str, payload: Any) -> bytes:
    """A CALL to the bytes of its text message; payload is typed, plain, or its JSON in bytes."""
    if type(payload) is not bytes:
        payload = _json.encode(payload)
    head = b"[2,", _json.encode(message_id), b',"', action.encode(), b'",'
    return b"".join((*head, payload, b"]"))


def encode_result(message_id: MessageId, response: Any) -> bytes:
    """A CALLRESULT with a typed response to the bytes of its text message."""
    return b"".join((b"[3,", _json.encode(message_id), b",", _json.encode(response), b"]"))
