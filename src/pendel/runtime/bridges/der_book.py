"""The DER controls that an operator wants at stations, and what became of them (block R).

    wanted (written down first) -> SetDERControl -> Accepted | Rejected | NotSupported
    station came back, or booted -> GetDERControl -> ReportDERControl: what is missing or differs
                                    is set again, what nobody here wanted is shown as foreign

What is wanted stands in the log as one signal per station (`der_controls:STATION`); messages of the
station name it as their cause. Orders run on the network's loop, one station at a time.
"""

import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pendel.comms.ocpp.der_rules import field_of, problems_of
from pendel.comms.ocpp.peer import Answered
from pendel.comms.ocpp.release import Version
from pendel.errors import InputError, Problem
from pendel.records import Signal
from pendel.runtime.engine import Runtime
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_orders import InvalidOrderError, OfflineError, typed_order
from pendel.runtime.state import State

LOG = logging.getLogger("pendel.ocpp")
TOPIC = "der_controls:"
WANTED_MAX = 50
"""Controls wanted at one station."""
FOREIGN_MAX = 200
ORDER_TIMEOUT_S = 20.0
PENDING = "Pending"
Payload = dict[str, Any]


@dataclass(slots=True)
class Wanted:
    """One control. status: Pending, then the station's answer; cause: id of the signal that asked
    for it; superseded, running: as the station told."""

    payload: Payload
    cause: str
    status: str = PENDING
    reason: str = ""
    superseded: bool = False
    running: bool = False

    @property
    def control_id(self) -> str:
        """Its id."""
        return str(self.payload["controlId"])

    @property
    def control_type(self) -> str:
        """Its type."""
        return str(self.payload["controlType"])

    @property
    def body(self) -> Payload:
        """The setting itself."""
        found: Payload = self.payload[field_of(self.control_type)]
        return found

    @property
    def until_utc(self) -> datetime | None:
        """When a scheduled control is over."""
        if "startTime" not in self.body:
            return None
        begin = datetime.fromisoformat(str(self.body["startTime"]))
        return begin + timedelta(seconds=float(self.body["duration"]))


@dataclass(slots=True)
class StationBook:
    """What is wanted at one station; clearing: ids whose end was not confirmed yet; foreign: ids
    the station holds that nobody here wanted."""

    wanted: dict[str, Wanted] = field(default_factory=dict)
    clearing: dict[str, tuple[bool, str]] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    reports: dict[int, dict[str, Any]] = field(default_factory=dict)
    busy: bool = False


def control_payload(
    control_id: str, control_type: str, is_default: bool, setting: Payload
) -> Payload:
    """A SetDERControl that keeps schema and prose (R04.FR.12 to FR.16).

    Raises InputError with every problem."""
    payload = {
        "controlId": control_id,
        "controlType": control_type,
        "isDefault": is_default,
        field_of(control_type): setting,
    }
    try:
        typed = typed_order(Version.V21, "SetDERControl", payload)
    except InvalidOrderError as error:
        raise InputError([Problem("control", 0, "", str(error))]) from error
    plain: Payload = msgspec.to_builtins(typed)
    problems = [Problem("control", 0, "", text) for text in problems_of(plain)]
    if problems:
        raise InputError(problems)
    return plain


class DerBook:
    """All stations' books."""

    def __init__(self, network: ChargingNetwork) -> None:
        self.stations: dict[str, StationBook] = {}
        self._network = network
        self._lock = threading.Lock()
        self._request_id = 0

    def book(self, station_id: str) -> StationBook:
        """The book of a station."""
        return self.stations.setdefault(station_id, StationBook())

    def recall(self, state: State) -> None:
        """What was wanted, as the log has it; whether stations still have it is asked of them."""
        for topic, signal in state.signals.items():
            station_id = topic.removeprefix(TOPIC)
            if station_id == topic or station_id not in self._network.policy.stations:
                continue
            listed = msgspec.json.decode(str(signal.detail["controls"]))
            book = self.book(station_id)
            book.wanted = {w["controlId"]: Wanted(w, signal.id) for w in listed}
            self._name_causes(station_id)

    def put(self, runtime: Runtime, station_id: str, payload: Payload, who: str) -> Signal:
        """Want a control at a station: written down, then sent. Raises InputError, StoreError."""
        with self._lock:
            wanted = self._kept(station_id)
            control_id = str(payload["controlId"])
            if len(wanted) >= WANTED_MAX and control_id not in wanted:
                text = f"at most {WANTED_MAX} controls are wanted at {station_id}"
                raise InputError([Problem("control", 0, "", text)])
            wanted[control_id] = Wanted(payload, "")
            doing = f"set {payload['controlType']} {control_id}"
            note = self._note(runtime, station_id, wanted, who, doing)
            wanted[control_id].cause = note.id
            book = self.book(station_id)
            book.wanted = wanted
            book.clearing.pop(control_id, None)
            self._name_causes(station_id)
        self._network.soon(self.drive(station_id))
        return note

    def drop(self, runtime: Runtime, station_id: str, control_id: str, who: str) -> Signal | None:
        """Want a control no more; None where it was not wanted. Raises StoreError."""
        with self._lock:
            wanted, book = self._kept(station_id), self.book(station_id)
            gone = wanted.pop(control_id, None)
            if gone is None:
                return None
            doing = f"clear {gone.control_type} {control_id}"
            note = self._note(runtime, station_id, wanted, who, doing)
            book.wanted = wanted
            book.clearing[control_id] = (bool(gone.payload["isDefault"]), note.id)
        self._network.soon(self.drive(station_id))
        return note

    def _kept(self, station_id: str) -> dict[str, Wanted]:
        """What is wanted and not over."""
        now_utc = self._network.now_utc()
        kept = {}
        for control_id, wanted in self.book(station_id).wanted.items():
            until_utc = wanted.until_utc
            if until_utc is None or until_utc > now_utc:
                kept[control_id] = wanted
        return kept

    def _note(
        self, runtime: Runtime, station_id: str, wanted: dict[str, Wanted], who: str, doing: str
    ) -> Signal:
        listed = msgspec.json.encode([w.payload for w in wanted.values()]).decode()
        detail: dict[str, float | str | list[float]] = {
            "who": who,
            "doing": doing,
            "controls": listed,
        }
        return runtime.note(TOPIC + station_id, detail)

    def _name_causes(self, station_id: str) -> None:
        """Tell the network because of what a station speaks of a control, by id and by type."""
        station = self._network.csms.network.station(station_id)
        causes: dict[str, str] = {}
        for wanted in self.book(station_id).wanted.values():
            causes[wanted.control_type] = causes[wanted.control_id] = wanted.cause
        station.der_causes = causes

    # on the network's loop

    def came(self, station_id: str) -> None:
        """A station connected, or booted: what does it still have?"""
        book = self.stations.get(station_id)
        if book is None or not (book.wanted or book.clearing):
            return
        self._network.soon(self.check(station_id))

    def heard(self, station_id: str, action: str, payload: Any) -> None:
        """A message about controls came in."""
        if action == "BootNotification":
            self.came(station_id)
        book = self.stations.get(station_id)
        if book is None:
            return
        if action == "NotifyDERStartStop":
            wanted = book.wanted.get(payload.controlId)
            if wanted is not None:
                wanted.running = payload.started
            self._superseded(book, payload.supersededIds)
        elif action == "ReportDERControl":
            self._reported(station_id, book, payload)

    async def check(self, station_id: str) -> None:
        """Ask a station for all its controls; the reports are compared when they are complete."""
        book = self.book(station_id)
        if not self._speaks(station_id):
            return
        self._request_id += 1
        book.reports = {self._request_id: {}}
        payload = {"requestId": self._request_id}
        event = await self._order(station_id, "GetDERControl", payload, ())
        status = event.response.status if isinstance(event, Answered) else ""
        if status == "NotFound":
            await self._compared(station_id, {})
        elif status != "Accepted":
            LOG.info("station %s tells no DER controls: %s", station_id, status or event)
            await self.drive(station_id)

    def _reported(self, station_id: str, book: StationBook, payload: Any) -> None:
        found = book.reports.get(payload.requestId)
        if found is None:
            return
        for name, entries in msgspec.to_builtins(payload).items():
            for entry in entries if isinstance(entries, list) else ():
                body = entry.get("fixedPF" if name.startswith("fixedPF") else name)
                found[entry["id"]] = (body, bool(entry.get("isSuperseded", False)))
        if payload.tbc is not True:
            book.reports = {}
            self._network.soon(self._compared(station_id, found))

    async def _compared(self, station_id: str, found: dict[str, Any]) -> None:
        """Set again what a station lost or has otherwise."""
        book = self.book(station_id)
        book.wanted = self._kept(station_id)
        book.foreign = set(list(set(found) - set(book.wanted) - set(book.clearing))[:FOREIGN_MAX])
        for control_id, wanted in book.wanted.items():
            body, superseded = found.get(control_id, (None, False))
            if body is None or _plain(body) != _plain(wanted.body):
                wanted.status, wanted.running = PENDING, False
            else:
                wanted.status, wanted.superseded = "Accepted", superseded
        await self.drive(station_id)

    async def drive(self, station_id: str) -> None:
        """Send what was not sent, as far as the station is there. One at a time per station."""
        book = self.book(station_id)
        if book.busy or not self._speaks(station_id):
            return
        book.busy = True
        try:
            while await self._step(station_id, book):
                pass
        except (OfflineError, OverflowError) as error:
            LOG.info("station %s, DER controls: %s", station_id, error)
        finally:
            book.busy = False

    async def _step(self, station_id: str, book: StationBook) -> bool:
        """One order; False when none is due."""
        for control_id, (is_default, cause) in list(book.clearing.items()):
            payload = {"isDefault": is_default, "controlId": control_id}
            event = await self._order(station_id, "ClearDERControl", payload, (cause,))
            if not isinstance(event, Answered):
                return False
            book.clearing.pop(control_id, None)
            return True
        for wanted in list(book.wanted.values()):
            if wanted.status != PENDING:
                continue
            event = await self._order(station_id, "SetDERControl", wanted.payload, (wanted.cause,))
            if not isinstance(event, Answered):
                return False
            told = event.response
            wanted.status, wanted.superseded = str(told.status), False
            info = told.statusInfo
            if info is not msgspec.UNSET:
                more = "" if info.additionalInfo is msgspec.UNSET else f": {info.additionalInfo}"
                wanted.reason = f"{info.reasonCode}{more}"
            self._superseded(book, told.supersededIds)
            return True
        return False

    async def _order(
        self, station_id: str, action: str, payload: Payload, causes: tuple[str, ...]
    ) -> Any:
        typed = typed_order(Version.V21, action, payload)
        return await self._network.order(station_id, action, typed, ORDER_TIMEOUT_S, causes)

    def _speaks(self, station_id: str) -> bool:
        """Whether a station is there and knows DER controls at all."""
        if not self._network.online(station_id):
            return False
        return self._network.csms.network.station(station_id).ocpp_version == Version.V21.value

    def _superseded(self, book: StationBook, ids: Any) -> None:
        for control_id in () if ids is msgspec.UNSET else ids:
            wanted = book.wanted.get(control_id)
            if wanted is not None:
                wanted.superseded, wanted.running = True, False


def _plain(body: Payload) -> Payload:
    """A setting for comparison: numbers as numbers, times as moments."""
    found: Payload = {}
    for name, value in body.items():
        if name == "startTime":
            found[name] = datetime.fromisoformat(str(value)).astimezone(UTC)
        else:
            found[name] = _plain(value) if isinstance(value, dict) else value
    return found
