"""Random examples of the official schemas, valid ones and ones with a single fault."""

import copy
import random
from typing import Any

Schema = dict[str, Any]


def example(rng: random.Random, schema: Schema, root: Schema, full: bool, depth: int = 0) -> Any:
    """A valid value; full = every optional property present (down to a sane depth)."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return example(rng, root["definitions"][name], root, full, depth)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        out = {}
        required = set(schema.get("required", ()))
        for key, node in schema.get("properties", {}).items():
            if key in required or (depth < 9 and (full or rng.random() < 0.3)):
                out[key] = example(rng, node, root, full, depth + 1)
        if "vendorId" in out and schema.get("additionalProperties") is not False:
            out["anything"] = {"goes": [1, "two", None]}
        return out
    if kind == "array":
        low = schema.get("minItems", 0)
        high = min(schema.get("maxItems", low + 2), max(low, 2))
        count = rng.randint(low, high)
        return [example(rng, schema["items"], root, full, depth + 1) for _ in range(count)]
    if kind == "string":
        if schema.get("format") == "date-time":
            return "2026-03-29T01:30:00Z"
        if schema.get("format") == "uri":
            return "https://station.example/log"
        length = min(schema.get("maxLength", 12), 12)
        return "".join(rng.choice("abcXYZ09äß") for _ in range(max(length, 1)))
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("maximum", 100) - 100)
        high = schema.get("maximum", max(low, 0) + 100)
        whole = rng.randint(int(low), int(high))
        return whole if kind == "integer" else float(whole)
    if kind == "boolean":
        return rng.random() < 0.5
    return {"free": "form"}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all members, customData excepted (its inside is free)."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "customData":
                found += places(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            found += places(item, (*path, i))
    return found


def with_fault(rng: random.Random, value: Any) -> Any:
    """A copy with one member dropped, retyped, lengthened, or one too many."""
    broken = copy.deepcopy(value)
    paths = places(broken)
    if not paths or rng.random() < 0.15:
        if isinstance(broken, dict):
            broken["unknownProperty"] = 1
        return broken
    path = rng.choice(paths)
    parent = broken
    for key in path[:-1]:
        parent = parent[key]
    choice = rng.random()
    if choice < 0.3:
        del parent[path[-1]]
    elif choice < 0.6:
        parent[path[-1]] = rng.choice([None, [], {}, "?", -1, 1.5, True, "x" * 6000])
    elif isinstance(parent[path[-1]], dict):
        parent[path[-1]]["unknownProperty"] = "x"
    elif isinstance(parent[path[-1]], list):
        parent[path[-1]] *= 600
    else:
        parent[path[-1]] = [parent[path[-1]]]
    return broken
