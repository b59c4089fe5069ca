"""Orders to stations: from plain data to a typed request, in parts where it is long, and the record
of what came of it."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pendel.comms.ocpp.backend.answered import take_answer
from pendel.comms.ocpp.backend.splitting import joined, parts_of
from pendel.comms.ocpp.peer import Answered, Event, Failed
from pendel.comms.ocpp.release import Version, messages_of
from pendel.errors import PendelError, StoreError
from pendel.records import StationMessage
from pendel.runtime.secret_orders import SECRET_ACTIONS, changes_password, without_secrets

if TYPE_CHECKING:
    from pendel.adapters.ocpp_server import OcppDoor
    from pendel.comms.ocpp.backend.csms import Csms
    from pendel.records import AnyRecord
    from pendel.runtime.network_presence import Duties
    from pendel.runtime.network_security import SecurityWatch
    from pendel.runtime.network_settings import NetworkSettings

ORDER_TIMEOUT_S = 30.0
COMMAND_EXTRA_S = 5.0

Result = TypeVar("Result")

LOG = logging.getLogger("pendel.ocpp")


class OfflineError(PendelError):
    """The station has no connection, or may not be sent anything."""


class InvalidOrderError(PendelError):
    """An order that the schema of the station's version does not allow."""


def accepted(event: Event) -> bool:
    """Whether a station answered with Accepted."""
    return isinstance(event, Answered) and getattr(event.response, "status", "") == "Accepted"


class StationOrders(ABC):
    """The part of a charging network that gives orders. Everything but `command` lives on its
    loop."""

    csms: "Csms"
    settings: "NetworkSettings"
    watch: "SecurityWatch"
    duties: "Duties | None"
    now_utc: Callable[[], datetime]
    _door: "OcppDoor | None"
    _loop: asyncio.AbstractEventLoop | None

    @abstractmethod
    def keep(self, record: "AnyRecord") -> None:
        """Store a record nobody waits for."""

    def version_of(self, station_id: str) -> Version:
        """What a station speaks. Raises OfflineError."""
        link = None if self._door is None else self._door.links.get(station_id)
        if link is None:
            raise OfflineError(f"station {station_id!r} is offline")
        return link.version

    async def order(
        self,
        station_id: str,
        action: str,
        payload: Any,
        timeout_s: float = ORDER_TIMEOUT_S,
        causes: Iterable[str] = (),
    ) -> Event:
        """Send a typed request to a station and keep what came of it; its Answered or Failed.

        Raises OfflineError, OverflowError."""
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def done(event: Event) -> None:
            if not future.done():
                future.set_result(event)

        self.post(station_id, action, payload, done, timeout_s, causes)
        return await future

    async def order_in_parts(
        self, station_id: str, action: str, payload: Any, timeout_s: float = ORDER_TIMEOUT_S
    ) -> Event:
        """`order`, in as many messages as the station's limits ask for; the answers as one. The
        first part that fails, or whose status is not Accepted, is the last.

        Raises OfflineError, OverflowError."""
        version = self.version_of(station_id)
        station = self.csms.network.station(station_id)
        answers: list[Answered] = []
        for part in parts_of(station, version, action, payload):
            event = await self.order(station_id, action, part, timeout_s)
            if not isinstance(event, Answered):
                return event
            answers.append(event)
            if str(getattr(event.response, "status", "Accepted")) != "Accepted":
                break
        if len(answers) == 1:
            return answers[0]
        response = joined([each.response for each in answers])
        text = msgspec.json.encode(response).decode()
        return Answered(answers[0].message_id, action, response, text)

    def post(
        self,
        station_id: str,
        action: str,
        payload: Any,
        done: Callable[[Event], None],
        timeout_s: float = ORDER_TIMEOUT_S,
        causes: Iterable[str] = (),
    ) -> None:
        """`order` for many stations at once: done is called with the Answered or Failed.

        Raises OfflineError, OverflowError."""
        link = None if self._door is None else self._door.links.get(station_id)
        if link is None:
            raise OfflineError(f"station {station_id!r} is offline")
        if self.csms.network.station(station_id).boot == "Rejected":
            reason = f"station {station_id!r} was rejected: nothing is sent to it (B03.FR.03)"
            raise OfflineError(reason)
        text = msgspec.json.encode(payload)
        told = tuple(causes)

        def keep(event: Event) -> None:
            now_utc, version = self.now_utc(), link.version
            record_id = self.csms.new_id()
            said = without_secrets(action, payload) if action in SECRET_ACTIONS else text
            self.keep(order_record(record_id, now_utc, told, station_id, version, said, event))
            self.watch.answered(station_id, event, record_id)
            if isinstance(event, Answered):
                self._answered(station_id, version, payload, event)
            done(event)

        self.watch.ordered(station_id, action, payload)
        link.ask(action, text, timeout_s, keep)

    def command(self, station_id: str, action: str, payload: Any, timeout_s: float) -> Event:
        """`order` for other threads; payload is plain data, checked against the schema.

        Raises OfflineError, InvalidOrderError, OverflowError."""
        version = self.version_of(station_id)
        typed = typed_order(version, action, payload)
        station = self.csms.network.station(station_id)
        if changes_password(action, typed):
            work = self.settings.change_password(station_id, action, typed, timeout_s)
        else:
            work = self.order_in_parts(station_id, action, typed, timeout_s)
        parts = len(parts_of(station, version, action, typed))
        return self.wait_for(work, timeout_s * parts)

    def wait_for(self, work: Coroutine[Any, Any, Result], timeout_s: float) -> Result:
        """Run work on the network's loop, from another thread, and return its result.

        Raises OfflineError where the network does not run, and what the work raises."""
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise OfflineError("the charging network does not run")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout_s + COMMAND_EXTRA_S)

    def _answered(self, station_id: str, version: Version, payload: Any, event: Answered) -> None:
        """Learn from an answer; what a Pending station was asked for it may say."""
        station = self.csms.network.station(station_id)
        take_answer(station, version, event.action, payload, event.response)
        if accepted(event):
            now_utc = self.now_utc()
            self.csms.permit(station_id, version, event.action, payload, now_utc)
            self.csms.ordered(station_id, version, event.action, payload, now_utc)
        if self.duties is not None:
            self.duties.answered(station_id, event.action)


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
