"""The chain of causes of a record: a tree whose leaves are what came from outside.

A setpoint points at its tick, plan, promise and limits; these point at signals, wishes and cars.
Each record is opened once; where it is met again the tree says so instead of repeating it.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from pendel.clock import format_utc
from pendel.errors import NotFoundError
from pendel.ports import RecordFinder
from pendel.records import AnyRecord
from pendel.runtime.words import clock_text, words

DEPTH_MAX = 32
NODES_MAX = 500
LIST_SHOWN_MAX = 8


@dataclass(slots=True)
class Node:
    """One record of the tree; record is None where the log does not hold it.

    note: "" or why nothing stands below ("as above", "not in this log", "too much to show").
    """

    record_id: str
    record: AnyRecord | None
    note: str = ""
    causes: list["Node"] = field(default_factory=list)


def chain(finder: RecordFinder, record_id: str) -> Node:
    """The tree of causes of record_id, at most NODES_MAX nodes and DEPTH_MAX deep.

    Raises NotFoundError naming ids that look alike, StoreError.
    """
    record = finder.find(record_id)
    if record is None:
        near = finder.near_ids(record_id)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise NotFoundError(f"nothing in the log has the id {record_id!r}{hint}")
    root = Node(record_id, record)
    _open(finder, root, {record_id}, 0)
    return root


def _open(finder: RecordFinder, node: Node, seen: set[str], depth: int) -> None:
    """Put the causes of a node below it, each opened where it is met first."""
    for cause in node.record.causes if node.record is not None else ():
        if len(seen) >= NODES_MAX or depth >= DEPTH_MAX:
            node.note = "too much to show"
            return
        if cause in seen:
            node.causes.append(Node(cause, None, note="as above"))
            continue
        seen.add(cause)
        record = finder.find(cause)
        child = Node(cause, record, note="" if record is not None else "not in this log")
        node.causes.append(child)
        _open(finder, child, seen, depth + 1)


def kind_of(record: AnyRecord) -> str:
    """The kind of a record as stored, e.g. "setpoint"."""
    return str(record.__struct_config__.tag)


def as_data(node: Node) -> dict[str, Any]:
    """The tree for machines: id, kind, at_utc, text, record, causes."""
    data: dict[str, Any] = {"id": node.record_id}
    if node.record is not None:
        data["kind"] = kind_of(node.record)
        data["at_utc"] = format_utc(node.record.at_utc)
        data["text"] = words(node.record)
        data["record"] = _short(msgspec.to_builtins(node.record))
    if node.note:
        data["note"] = node.note
    data["causes"] = [as_data(child) for child in node.causes]
    return data


def as_text(node: Node) -> str:
    """The tree for people: indented, each line with time, words and id."""
    return "\n".join(_lines(node, "", ""))


def _lines(node: Node, first: str, rest: str) -> list[str]:
    if node.record is None:
        lines = [f"{first}{node.record_id} ({node.note})"]
    else:
        note = f" ({node.note})" if node.note else ""
        lines = [
            f"{first}{kind_of(node.record).upper()} {node.record_id}{note}",
            f"{rest}{'│  ' if node.causes else '   '}{clock_text(node.record.at_utc)}: "
            f"{words(node.record)}",
        ]
    for index, child in enumerate(node.causes):
        last = index == len(node.causes) - 1
        lines += _lines(
            child, f"{rest}{'└─ ' if last else '├─ '}", f"{rest}{'   ' if last else '│  '}"
        )
    return lines


def _short(value: Any) -> Any:
    """Long lists (the steps of a plan) cut to their first values, their length told."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list) and len(value) > LIST_SHOWN_MAX:
        return [*map(_short, value[:LIST_SHOWN_MAX]), f"... {len(value)} values"]
    if isinstance(value, list):
        return [_short(item) for item in value]
    return value
