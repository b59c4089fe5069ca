"""A small backend for tests: both sides sans I/O, simulated time, every message typed and checked.

It answers by the schemas of the version, keeps all it was told, and can be made to refuse. What
the station sends that the schemas do not allow turns up in `deviations` and fails the test.
"""

import random
from datetime import UTC, datetime
from typing import Any

import msgspec

from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.peer import Answered, Deviation, Event, Failed, Peer, Request
from pendel.comms.ocpp.release import Version, messages_of
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import Car, StationSettings

START_S = 1_700_000_000.0
V2X_MODES = ["AC_three_phase", "DC", "AC_BPT", "AC_BPT_DER", "DC_BPT"]


class Backend:
    """One station's backend. told: (action, payload as plain data), in order; needs_status: its
    answer to needs ("" = no profile will come, so that a car draws at once)."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.messages = messages_of(version)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.answered: list[Answered | Failed] = []
        self.deviations: list[str] = []
        self.blocked: set[str] = set()
        self.v2x = True
        self.boot_status = "Accepted"
        self.updates: dict[int, dict[str, Any]] = {}
        self.refuse: dict[str, int] = {}
        self.silent: set[str] = set()
        self.needs_status = ""
        self.schedule_status = "Accepted"
        self.transactions = 0
        self.count = 0
        self.peer = self.new_peer()

    def new_peer(self) -> Peer:
        def new_id() -> str:
            self.count += 1
            return f"b{self.count}"

        return Peer(self.version, new_id)

    def actions(self) -> list[str]:
        return [action for action, _ in self.told]

    def payloads(self, action: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.told if name == action]

    def take(self, frame: bytes, now_s: float) -> None:
        for event in self.peer.feed(frame, now_s):
            self._on(event, now_s)

    def _on(self, event: Event, now_s: float) -> None:
        if isinstance(event, Request):
            self._request(event, now_s)
        elif isinstance(event, Answered | Failed):
            self.answered.append(event)
        elif isinstance(event, Deviation):
            self.deviations.append(event.reason)

    def _request(self, event: Request, now_s: float) -> None:
        if event.action in self.silent:
            return
        if self.refuse.get(event.action, 0) > 0:
            self.refuse[event.action] -= 1
            self.peer.refuse(event.message_id, ErrorCode.INTERNAL_ERROR, "not now")
            return
        data = msgspec.to_builtins(event.payload)
        self.told.append((event.action, data))
        answer = self.answer(event.action, data, now_s)
        self.peer.respond(
            event.message_id, msgspec.convert(answer, self.messages.RESPONSES[event.action])
        )

    def answer(self, action: str, data: dict[str, Any], now_s: float) -> dict[str, Any]:
        now = datetime.fromtimestamp(now_s, UTC).isoformat()
        match action:
            case "BootNotification":
                return {"status": self.boot_status, "currentTime": now, "interval": 300}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize" if self.version is Version.V16:
                return {"idTagInfo": {"status": self.status_of(data["idTag"])}}
            case "Authorize":
                status = self.status_of(data["idToken"]["idToken"])
                answer: dict[str, Any] = {"idTokenInfo": {"status": status}}
                if self.version is Version.V21 and self.v2x:
                    answer["allowedEnergyTransfer"] = V2X_MODES
                return answer
            case "StartTransaction":
                self.transactions += 1
                status = self.status_of(data["idTag"])
                return {"transactionId": self.transactions, "idTagInfo": {"status": status}}
            case "TransactionEvent" if "idToken" in data:
                return {"idTokenInfo": {"status": self.status_of(data["idToken"]["idToken"])}}
            case "NotifyEVChargingNeeds":
                free = "NoChargingProfile" if self.version is Version.V21 else "Rejected"
                return {"status": self.needs_status or free}
            case "NotifyEVChargingSchedule":
                return {"status": self.schedule_status}
            case "SignCertificate":
                return {"status": "Accepted"}
            case "GetCertificateStatus":
                return {"status": "Failed"}
            case "PullDynamicScheduleUpdate":
                update = self.updates.get(data["chargingProfileId"])
                if update is None:
                    return {"status": "Rejected"}
                return {"status": "Accepted", "scheduleUpdate": update}
        return {}

    def status_of(self, token: str) -> str:
        return "Blocked" if token in self.blocked else "Accepted"


class Pair:
    """A station and its backend with a line between them that can be cut."""

    def __init__(self, version: Version, settings: StationSettings | None = None) -> None:
        self.now_s = START_S
        self.settings = settings or StationSettings("CS1")
        self.station = VirtualStation(self.settings, version, random.Random(1), self.now_s)
        self.backend = Backend(version)
        self.online = False
        self.version = version

    def connect(self) -> "Pair":
        self.backend.peer = self.backend.new_peer()
        self.online = True
        self.station.connected(self.now_s)
        self.pump()
        return self

    def cut(self) -> None:
        self.online = False
        self.station.disconnected(self.now_s)

    def pump(self) -> None:
        """Exchange frames until both are silent."""
        for _ in range(1_000_000):
            if not self.online:
                return
            frames = self.station.outgoing()
            for frame in frames:
                self.backend.take(frame, self.now_s)
            back = list(self.backend.peer.outbox)
            self.backend.peer.outbox.clear()
            for frame in back:
                self.station.feed(frame, self.now_s)
            if not frames and not back:
                break
        assert self.backend.deviations == []

    def run(self, seconds: float, step_s: float = 10.0) -> None:
        """Let time pass, in steps, with messages exchanged after each."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(self.now_s + step_s, end_s)
            self.station.tick(self.now_s)
            self.pump()
            if self.station.reset_for is not None:
                self.online = False
                self.station.reboot(self.now_s)
                self.connect()

    def ask(self, action: str, payload: dict[str, Any]) -> Any:
        """The typed response of the station to a request (or the error code)."""
        request = msgspec.convert(payload, self.backend.messages.REQUESTS[action])
        message_id = self.backend.peer.call(action, request, self.now_s)
        self.pump()
        event = next(e for e in self.backend.answered if e.message_id == message_id)
        return event.response if isinstance(event, Answered) else event.code

    def plug(self, car: Car | None = None, evse_id: int = 1) -> Car:
        chosen = car or a_car()
        self.station.plug(evse_id, chosen, self.now_s)
        self.pump()
        return chosen

    def unplug(self, evse_id: int = 1) -> None:
        self.station.unplug(evse_id, self.now_s)
        self.pump()

    @property
    def power_kw(self) -> float:
        return self.station.evses[1].power_kw


def a_car(**changes: Any) -> Car:
    """60 kWh, 40 % full, wants 80 %, may discharge down to 20 %."""
    fields: dict[str, Any] = {
        "capacity_kwh": 60.0,
        "energy_kwh": 24.0,
        "target_kwh": 48.0,
        "energy_min_kwh": 12.0,
        "charge_max_kw": 11.0,
        "discharge_max_kw": 11.0,
        "depart_s": START_S + 8 * 3600.0,
    }
    return Car(**(fields | changes))


def profile_2(
    number: int, purpose: str, periods: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """A ChargingProfileType; schedule fields under `schedule`."""
    schedule = {"id": number, "chargingRateUnit": "W", "chargingSchedulePeriod": periods}
    schedule |= more.pop("schedule", {})
    return {
        "id": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
        **more,
    }
