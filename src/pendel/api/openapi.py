"""OpenAPI 3.1 of what the server answers, from the same types that decode the bodies."""

from typing import Any

import msgspec

from pendel import __version__
from pendel.api.bodies import LimitBody, PromiseBody, SetpointBody
from pendel.api.der_controls import DerControlBody
from pendel.api.network_commands import CommandBody
from pendel.api.operation_modes import OperationModeBody
from pendel.api.station_settings import (
    BootBody,
    IdTokenBody,
    LocalListBody,
    PasswordBody,
    SecurityProfileBody,
)

BASE = "/api/v1"
BODIES = (
    PromiseBody,
    LimitBody,
    SetpointBody,
    OperationModeBody,
    CommandBody,
    BootBody,
    PasswordBody,
    SecurityProfileBody,
    LocalListBody,
    IdTokenBody,
    DerControlBody,
)

STATION_SETTINGS: tuple[tuple[str, str, str, type], ...] = (
    ("boot", "put", "What a station is told when it boots.", BootBody),
    ("password", "post", "A new password for a station.", PasswordBody),
    ("security_profile", "post", "A higher security profile.", SecurityProfileBody),
    ("local_list", "post", "Bring the station's list of tokens up to date.", LocalListBody),
)
STATION = [{"name": "station_id", "in": "query", "schema": {"type": "string"}}]


def openapi_document() -> dict[str, Any]:
    """The document served at /openapi.json."""
    _, components = msgspec.json.schema_components(
        BODIES, ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "pendel", "version": __version__},
        "paths": _paths(),
        "components": {
            "schemas": {**components, "Problem": _problem_schema()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


_LISTING = [
    {"name": "cursor", "in": "query", "schema": {"type": "string"}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
]


def _of(names: str) -> list[dict[str, Any]]:
    """Parameters of the path."""
    return [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
        for part in names.split()
    ]


def _paths() -> dict[str, Any]:
    return {
        "/healthz": {"get": _call("The process answers.", open_to_all=True)},
        "/readyz": {"get": _call("Every part works.", open_to_all=True)},
        "/metrics": {"get": _call("Metrics in the text format of Prometheus.")},
        "/events": {"get": _call("Live events (server-sent events).")},
        f"{BASE}/stations": {"get": _call("All stations.", _LISTING)},
        f"{BASE}/sessions": {"get": _call("Open sessions with promise and state.", _LISTING)},
        f"{BASE}/sessions/{{session_id}}": {"get": _call("One session.", _of("session_id"))},
        f"{BASE}/sessions/{{session_id}}/promise": {
            "put": _call("What the driver wants.", _of("session_id"), PromiseBody)
        },
        f"{BASE}/sites/{{site_id}}/limits": {
            "get": _call("Limits that stand.", _of("site_id") + _LISTING),
            "post": _call("An order that may not be broken.", _of("site_id"), LimitBody, "201"),
        },
        f"{BASE}/sites/{{site_id}}/limits/{{limit_id}}": {
            "delete": _call("Take an order back.", _of("site_id limit_id"), status="204")
        },
        f"{BASE}/evses/{{station_id}}/{{evse_id}}/setpoint": {
            "post": _call(
                "An operator's hand, inside limits and promise.",
                _of("station_id evse_id"),
                SetpointBody,
                "202",
            )
        },
        f"{BASE}/evses/{{station_id}}/{{evse_id}}/operation_mode": {
            "put": _call(
                "What a bidirectional EVSE does.",
                _of("station_id evse_id"),
                OperationModeBody,
                "202",
            )
        },
        f"{BASE}/stations/{{station_id}}/commands": {
            "post": _call("Any OCPP request to a station.", _of("station_id"), CommandBody)
        },
        **_station_paths(),
        f"{BASE}/transactions": {"get": _call("Metered transactions.", [*STATION, *_LISTING])},
        f"{BASE}/explain/{{record_id}}": {"get": _call("The chain of causes.", _of("record_id"))},
    }


def _station_paths() -> dict[str, Any]:
    """What operators set at stations."""
    return {
        **{
            f"{BASE}/stations/{{station_id}}/{name}": {
                method: _call(summary, _of("station_id"), body)
            }
            for name, method, summary, body in STATION_SETTINGS
        },
        f"{BASE}/stations/{{station_id}}/streams": {
            "get": _call("Event streams and their newest values.", _of("station_id") + _LISTING)
        },
        f"{BASE}/id_tokens": {"get": _call("Tokens of drivers.", _LISTING)},
        f"{BASE}/id_tokens/{{token}}": {
            "put": _call("Set a token.", _of("token"), IdTokenBody),
            "delete": _call("Delete a token.", _of("token"), status="204"),
        },
        f"{BASE}/stations/{{station_id}}/der_controls": {
            "get": _call("DER controls of a station and its alarm.", _of("station_id"))
        },
        **{
            f"{BASE}/{place}/der_controls/{{control_id}}": {
                "put": _call(
                    "A DER control, by schema and prose.", _of(names), DerControlBody, "202"
                ),
                "delete": _call("Take a DER control back.", _of(names), status="202"),
            }
            for place, names in (
                ("stations/{station_id}", "station_id control_id"),
                ("sites/{site_id}", "site_id control_id"),
            )
        },
        f"{BASE}/stations/{{station_id}}/roots": {
            "get": _call("Roots of a station as last found.", _of("station_id")),
            "post": _call("Look at the roots of a station now.", _of("station_id")),
        },
    }


def _call(
    summary: str,
    parameters: list[dict[str, Any]] | None = None,
    body: type | None = None,
    status: str = "200",
    open_to_all: bool = False,
) -> dict[str, Any]:
    problem = {
        "description": "What went wrong.",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    call: dict[str, Any] = {
        "summary": summary,
        "responses": {status: {"description": summary}, "default": problem},
    }
    if parameters:
        call["parameters"] = parameters
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body.__name__}"}
        call["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    if open_to_all:
        call["security"] = []
    return call


def _problem_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "problems": {"type": "array", "items": {"type": "object"}},
        },
    }
