"""Orders to stations: from plain data to a typed request, and the record of what came of it."""

import logging
from datetime import datetime
from typing import Any

import msgspec

from pendel.comms.ocpp.peer import Answered, Event, Failed
from pendel.comms.ocpp.release import Version, messages_of
from pendel.errors import PendelError, StoreError
from pendel.records import StationMessage

LOG = logging.getLogger("pendel.ocpp")


class OfflineError(PendelError):
    """The station has no connection."""


class InvalidOrderError(PendelError):
    """An order that the schema of the station's version does not allow."""


def typed_order(version: Version, action: str, payload: Any) -> Any:
    """Plain data as the typed request of a version. Raises InvalidOrderError with the place."""
    kind = messages_of(version).REQUESTS.get(action)
    if kind is None:
        raise InvalidOrderError(f"OCPP {version.value} has no request {action!r}")
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        raise InvalidOrderError(f"{action}: {error}") from error


def order_record(
    record_id: str,
    at_utc: datetime,
    causes: tuple[str, ...],
    station_id: str,
    version: Version,
    text: bytes,
    event: Event,
) -> StationMessage:
    """The record of an order; text: its payload, event: its Answered or Failed."""
    response, status = "", ""
    if type(event) is Answered:
        response, status = event.text, str(getattr(event.response, "status", "Answered"))
    elif isinstance(event, Failed):
        status = f"{event.code}: {event.description}"[:500]
    return StationMessage(
        id=record_id,
        at_utc=at_utc,
        causes=causes,
        station_id=station_id,
        ocpp_version=version.label,
        action=getattr(event, "action", ""),
        message_id=getattr(event, "message_id", ""),
        payload=text.decode(),
        outgoing=True,
        response=response,
        status=status,
    )


def kept_record(
    record_id: str,
    at_utc: datetime,
    station_id: str,
    version: Version,
    action: str,
    payload: str,
    refused: tuple[str, ...],
) -> StationMessage:
    """The record of what came without a question: a stream, or a frame that was put aside."""
    return StationMessage(
        id=record_id,
        at_utc=at_utc,
        station_id=station_id,
        ocpp_version=version.value,
        action=action,
        message_id="",
        payload=payload,
        refused=refused,
    )


def log_failure(error: StoreError | None) -> None:
    """Say that a record was not kept, where that is so."""
    if error is not None:
        LOG.error("a record could not be stored: %s", error)
