"""TOML to typed structures: every problem at once, with line, key and allowed range.

Types are msgspec structures; ranges are declared with `msgspec.Meta` (ge, le, pattern, tz, ...),
and a `Meta(description=...)` is what people are told is allowed. Unknown keys are refused by name.
"""

import difflib
import enum
import math
import re
import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pendel.config.lines import KeyPath, key_lines
from pendel.errors import InputError, Problem

TOML_BYTES_MAX = 4 << 20

SECRET = {"secret": True}
"""As `Meta(extra=SECRET)`: the value never appears in a message."""

Structure = TypeVar("Structure", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class TomlDocument:
    """A parsed TOML text. data: plain values; lines: line of each key path (1-based)."""

    file: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]

    def line_of(self, path: KeyPath) -> int:
        """Line of a key, or of the nearest table above a key that is absent."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: KeyPath, problem: str, allowed: str = "") -> Problem:
        """A problem at a key path."""
        return Problem(self.file, self.line_of(path), path_text(path), problem, allowed)


def path_text(path: KeyPath) -> str:
    """A key path for people: `site[0].import_limit_kw` (entries counted from 0).

    >>> path_text(("site", 0, "export_permit", "reference"))
    'site[0].export_permit.reference'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def load_toml(path: Path) -> TomlDocument:
    """Read a TOML file. Raises InputError: missing, not UTF-8, too large or not TOML."""
    name = path.name
    if path.exists() and not path.is_file():
        raise InputError([Problem(name, 0, "", "is not a file")])
    try:
        with path.open("rb") as file:
            raw = file.read(TOML_BYTES_MAX + 1)
    except FileNotFoundError:
        raise InputError([Problem(name, 0, "", "file is missing")]) from None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise InputError([Problem(name, 0, "", reason)]) from None
    if len(raw) > TOML_BYTES_MAX:
        raise InputError([Problem(name, 0, "", "file is too large", f"{TOML_BYTES_MAX} bytes")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError([Problem(name, line, "", "not valid UTF-8", "UTF-8")]) from None
    return parse_toml(text, name)


def parse_toml(text: str, file: str) -> TomlDocument:
    """Parse TOML text; `file` names it in problems. Raises InputError with the line."""
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message = str(error)
        found = re.search(r"\(at line (\d+), column \d+\)", message)
        line = int(found[1]) if found else max(1, text.count("\n") + (not text.endswith("\n")))
        message = message.removesuffix(" (at end of document)")
        if found:
            message = message[: found.start()].rstrip()
        reason = f"not valid TOML: {message[:1].lower() + message[1:]}"
        raise InputError([Problem(file, line, "", reason)]) from None
    return TomlDocument(file, data, key_lines(text))


def decode(
    document: TomlDocument, structure: type[Structure]
) -> tuple[Structure | None, list[Problem]]:
    """The document as a `structure`, or None and every problem, ordered by line."""
    problems: list[Problem] = []
    value = _struct(document, (), document.data, structure, problems)
    problems.sort(key=lambda problem: problem.line)
    return (None, problems) if problems else (typing.cast(Structure, value), [])


def _struct(
    document: TomlDocument,
    path: KeyPath,
    data: Any,
    structure: type[msgspec.Struct],
    problems: list[Problem],
) -> Any:
    if not isinstance(data, dict):
        problems.append(document.problem(path, f"is {_kind(data)}", "a table"))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(structure)}
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]}?" if near else "one of " + ", ".join(fields)
            problems.append(document.problem((*path, key), "unknown key", hint))
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key in data:
            values[field.name] = _value(document, (*path, key), data[key], field.type, problems)
        elif field.required:
            allowed = _allowed(field.type)
            problems.append(
                Problem(
                    document.file,
                    document.line_of(path),
                    path_text((*path, key)),
                    "required key is missing",
                    allowed,
                )
            )
    return None if problems else structure(**values)


def _value(
    document: TomlDocument, path: KeyPath, data: Any, kind: Any, problems: list[Problem]
) -> Any:
    kind = _without_none(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    inner, length_max = kind, None
    if origin is typing.Annotated:
        inner = arguments[0]
        length_max = next((m.max_length for m in arguments[1:] if m.max_length), None)
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        return _struct(document, path, data, inner, problems)
    if typing.get_origin(inner) in (list, tuple):
        if not isinstance(data, list):
            problems.append(document.problem(path, f"is {_kind(data)}", "an array"))
            return None
        if length_max is not None and len(data) > length_max:
            reason = f"has {len(data)} entries"
            problems.append(document.problem(path, reason, f"at most {length_max}"))
            return None
        entry = typing.get_args(inner)[0]
        made = [_value(document, (*path, i), v, entry, problems) for i, v in enumerate(data)]
        return made if typing.get_origin(inner) is list else tuple(made)
    if isinstance(data, float) and not math.isfinite(data):
        problems.append(document.problem(path, f"{data} is not finite", _allowed(kind)))
        return None
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        problems.append(document.problem(path, _reason(data, kind, error), _allowed(kind)))
        return None


def _metas(kind: Any) -> list[msgspec.Meta]:
    if typing.get_origin(kind) is not typing.Annotated:
        return []
    return [meta for meta in typing.get_args(kind)[1:] if isinstance(meta, msgspec.Meta)]


def _reason(data: Any, kind: Any, error: msgspec.ValidationError) -> str:
    message = str(error)
    if any(meta.extra == SECRET for meta in _metas(kind)):
        return "has a wrong form"
    if "timezone" in message:
        return f"time without offset: {data}"
    if message.startswith("Expected") and "got" in message:
        return f"is {_kind(data)}: {_shown(data)}"
    if isinstance(data, str | int | float):
        return f"{_shown(data)} is not allowed"
    return message[:1].lower() + message[1:]


def _shown(data: Any) -> str:
    text = f'"{data}"' if isinstance(data, str) else str(data)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(data: Any) -> str:
    names = {
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        str: "a text",
        list: "an array",
        dict: "a table",
    }
    return names.get(type(data), "a date or time")


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [argument for argument in typing.get_args(kind) if argument is not types.NoneType]
        if len(rest) == 1:
            return rest[0]
    return kind


_PLAIN = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "datetime": "a time with offset, such as 2025-03-03T11:00:00Z",
    "date": "a date, such as 2026-01-01",
}


def _allowed(kind: Any) -> str:
    """What a type allows, in words: its description, or its range from the Meta."""
    kind = _without_none(kind)
    metas = _metas(kind)
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    for meta in metas:
        if meta.description:
            return meta.description
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(str(value) for value in typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    if typing.get_origin(kind) in (list, tuple):
        return "an array"
    words = [_PLAIN.get(getattr(kind, "__name__", ""), "a table")]
    for meta in metas:
        words += [f"from {meta.ge:g}"] if meta.ge is not None else []
        words += [f"above {meta.gt:g}"] if meta.gt is not None else []
        words += [f"to {meta.le:g}"] if meta.le is not None else []
        words += [f"below {meta.lt:g}"] if meta.lt is not None else []
        words += ["not empty"] if meta.min_length else []
        words += [f"matching {meta.pattern}"] if meta.pattern else []
    return " ".join(words)
