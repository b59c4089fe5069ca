"""The backend side of OCPP without I/O: a typed request in; the answer, and what must be durable
before it is given, out.

    request -> repeat? -> learn (state) -> record -> answer
                 |                            |
                 +-- answered again, not counted    durable first (the caller's duty)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from pendel.comms.ocpp.backend.answered import recall
from pendel.comms.ocpp.backend.answers import Asked, Policy, answer
from pendel.comms.ocpp.backend.certificates import (
    CertificateDesk,
    Finding,
    Question,
    inquiry_of,
    signed_request,
    signing_wish,
)
from pendel.comms.ocpp.backend.event_key import Key, event_key
from pendel.comms.ocpp.backend.external_limits import question
from pendel.comms.ocpp.backend.heard import Heard
from pendel.comms.ocpp.backend.learning import learn
from pendel.comms.ocpp.backend.occasions import asked_for, der_causes
from pendel.comms.ocpp.backend.stations import Network, Station
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.release import Version, messages_of
from pendel.records import StationAlarm, StationMessage, StationRoot, StationSecurity

UNRECORDED = frozenset({"Heartbeat", "PullDynamicScheduleUpdate", "GetCertificateStatus"})
INQUIRED = frozenset(
    {"Authorize", "GetCertificateStatus", "GetCertificateChainStatus", "Get15118EVCertificate"}
)
ASK_AGAIN_S = 60.0
PERMITTED_S = 300.0
"""How long a Pending station may say what it was asked for."""
_JSON = msgspec.json.Encoder()
_V16 = Version.V16  # looked up once: members of an Enum are slow to reach
_VERSIONS = {version.value: version for version in Version}


class Order(msgspec.Struct, frozen=True, gc=False):
    """A request that the backend wants to make in consequence of one that came."""

    action: str
    payload: Any


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What to do with a request. Either response or code is given. record must be durable before
    the response goes out; key names the event; repeat: it came before, wait for its commit."""

    response: Any = None
    code: ErrorCode | None = None
    reason: str = ""
    record: StationMessage | None = None
    key: Key | None = None
    repeat: bool = False
    orders: tuple[Order, ...] = ()


class Costs(Protocol):
    """Whoever knows what transactions cost."""

    def heard(self, record: StationMessage, transaction_id: str) -> None:
        """A message of a transaction came."""
        ...

    def over(self, station_id: str, transaction_id: str) -> None:
        """By the log a transaction ended."""
        ...

    def told(
        self, station_id: str, transaction_id: str, ended: bool, now_utc: datetime
    ) -> float | None:
        """The running or final cost to tell, None = nothing."""
        ...


@dataclass(slots=True)
class Csms:
    """State and rules of a backend. new_id: makes ids of records; desk: signs certificates;
    costs: knows what transactions cost, None = nothing is told."""

    policy: Policy
    new_id: Callable[[], str]
    network: Network = field(default_factory=Network)
    desk: CertificateDesk | None = None
    costs: Costs | None = None
    _asked: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _questions: int = 0

    def replay(self, records: Iterable[Any]) -> None:
        """Rebuild the state from the records of a log; those of others are skipped."""
        for record in records:
            if isinstance(record, StationSecurity):
                station = self.network.station(record.station_id)
                station.security_profile = record.security_profile
            if isinstance(record, StationRoot):
                self.learn_root(record)
            if isinstance(record, StationAlarm):
                self.network.station(record.station_id).note("alarms", record)
            if isinstance(record, StationMessage) and record.action:
                version = _VERSIONS.get(record.ocpp_version)
                if record.outgoing and version is not None:
                    recall(self.network.station(record.station_id), version, record)
                if record.outgoing:
                    continue
                kind = None
                if version is not None:
                    kind = messages_of(version).REQUESTS.get(record.action)
                if kind is None or version is None:
                    continue
                try:
                    payload = msgspec.json.decode(record.payload, type=kind)
                except msgspec.MsgspecError:  # kept as it came, but not a message of the schema
                    continue
                station = self.network.station(record.station_id)
                heard = Heard(
                    self.network,
                    station,
                    version.value,
                    record.action,
                    payload,
                    record.id,
                    record.at_utc,
                    record.transaction_id,
                    record.status,
                )
                learn(heard)
                if self.costs is not None and record.action == "TransactionEvent":
                    self._recall_cost(self.costs, record, payload)

    def handle(
        self,
        station_id: str,
        version: Version,
        message_id: str,
        action: str,
        payload: Any,
        now_utc: datetime,
        text: str = "",
        findings: Sequence[Finding] = (),
    ) -> Reply:
        """Answer one request; text: the payload as it came, to be kept; findings: what others
        said to the questions of `inquiry`. Never raises for what a station may send."""
        station = self.network.station(station_id)
        if not station.booted and action != "BootNotification":
            refusal = self._not_accepted(station, version, action, now_utc)
            if refusal is not None:
                return refusal
        key = event_key(version, action, payload)
        transaction_id, repeat = self._placed(station, key, version, action, payload)
        asked = Asked(
            station,
            version,
            action,
            payload,
            now_utc,
            self.policy,
            transaction_id,
            self.desk,
            self.network,
            None,
            findings,
        )
        if repeat:
            return Reply(answer(self._with_cost(asked, None)), key=key, repeat=True)
        if action in UNRECORDED:
            return self._answered(asked, None, None)
        record_id = self.new_id()
        status = self.policy.boot_status(station_id) if action == "BootNotification" else ""
        heard = Heard(
            self.network,
            station,
            version.label,
            action,
            payload,
            record_id,
            now_utc,
            transaction_id,
            status,
        )
        refused = learn(heard)
        record = StationMessage(
            id=record_id,
            at_utc=now_utc,
            causes=der_causes(station, action, payload)
            or self._causes(station, transaction_id, record_id),
            station_id=station_id,
            ocpp_version=version.label,
            action=action,
            message_id=str(message_id),
            payload=text or _JSON.encode(payload).decode(),
            transaction_id=transaction_id,
            refused=tuple(refused),
            status=status,
        )
        return self._answered(asked, record, key)

    def streamed(
        self, station_id: str, version: Version, payload: Any, record_id: str, now_utc: datetime
    ) -> list[str]:
        """Take in what a station sent without asking for an answer (SEND, 2.1); what was put
        aside of it."""
        station = self.network.station(station_id)
        if not station.booted:
            return ["not before an accepted BootNotification"]
        action = "NotifyPeriodicEventStream"
        heard = Heard(self.network, station, version.label, action, payload, record_id, now_utc)
        return learn(heard)

    def ordered(
        self, station_id: str, version: Version, action: str, payload: Any, now_utc: datetime
    ) -> None:
        """A station accepted a request (typed): what it was offered."""
        if version is not _V16:
            self.network.station(station_id).offered.ordered(action, payload, now_utc.timestamp())

    def learn_root(self, record: StationRoot) -> None:
        """A root was installed at a station or deleted there."""
        given = self.network.station(record.station_id).roots_given
        if record.installed:
            given[record.certificate] = record.root_type
        else:
            given.pop(record.certificate, None)

    def inquiry(self, station_id: str, action: str, payload: Any) -> tuple[Question, ...]:
        """What others must be asked before this request can be answered."""
        if action not in INQUIRED:
            return ()
        station = self.network.stations.get(station_id)
        if station is None or not station.booted:
            return ()
        return inquiry_of(self.desk, station_id, action, payload)

    def forget(self, station_id: str, key: Key) -> None:
        """An event could not be made durable: it may come again and must then count."""
        station = self.network.station(station_id)
        transaction_id, mark = key
        transaction = station.transactions.get(transaction_id)
        if isinstance(mark, int) and transaction is not None:
            transaction.sequence.discard(mark)
            if not transaction.events:
                del station.transactions[transaction_id]
        elif isinstance(mark, bytes):
            started = station.starts_16.pop(mark, None)
            if started is not None:
                station.transactions.pop(started, None)
            for each in station.transactions.values():
                each.digests.discard(mark)

    def _recall_cost(self, costs: Costs, record: StationMessage, event: Any) -> None:
        transaction_id = event.transactionInfo.transactionId
        costs.heard(record, transaction_id)
        if event.eventType == "Ended":
            costs.over(record.station_id, transaction_id)

    def _with_cost(self, asked: Asked, record: StationMessage | None) -> Asked:
        """What a TransactionEvent is told of its cost (I02, I03); 1.6 has no place for it."""
        if self.costs is None or asked.action != "TransactionEvent":
            return asked
        if record is not None:
            self.costs.heard(record, asked.transaction_id)
        station_id, ended = asked.station.station_id, asked.payload.eventType == "Ended"
        cost = self.costs.told(station_id, asked.transaction_id, ended, asked.now_utc)
        return msgspec.structs.replace(asked, cost=cost)

    def _answered(self, asked: Asked, record: StationMessage | None, key: Key | None) -> Reply:
        asked = self._with_cost(asked, record)
        response = answer(asked)
        if response is None:
            return Reply(
                code=ErrorCode.NOT_SUPPORTED, reason=f"{asked.action} is not for a backend"
            )
        return Reply(response, record=record, key=key, orders=self._orders(asked, response))

    def permit(
        self, station_id: str, version: Version, action: str, payload: Any, now_utc: datetime
    ) -> None:
        """A station took an order by which it may say something although it is Pending."""
        station = self.network.station(station_id)
        if not station.booted:
            until_utc = now_utc + timedelta(seconds=PERMITTED_S)
            for name in asked_for(action, payload):
                station.permitted[name] = until_utc

    def boots_anew(self, station_id: str, version: Version, now_utc: datetime) -> Order | None:
        """The order that makes a station send a BootNotification where the answer would be
        another one now. One that was Rejected is sent nothing (B03.FR.03): it asks by itself."""
        station = self.network.station(station_id)
        told, wanted = station.boot, self.policy.boot_status(station_id)
        if told in ("", "Rejected", wanted):
            return None
        return self._boot_order(station, version, now_utc)

    def _boot_order(self, station: Station, version: Version, now_utc: datetime) -> Order:
        self._ask_now(station.station_id, "boot", now_utc)
        kind = messages_of(version).REQUESTS["TriggerMessage"]
        return Order("TriggerMessage", kind(requestedMessage="BootNotification"))

    def _not_accepted(
        self, station: Station, version: Version, action: str, now_utc: datetime
    ) -> Reply | None:
        """B01.FR.10, B02.FR.09, B03.FR.07 (1.6: 4.2): nothing before an accepted BootNotification
        but what a Pending station was asked for. 1.6 does not say so of one that never booted."""
        wanted = self.policy.boot_status(station.station_id)
        if not station.boot and version is _V16 and wanted == "Accepted":
            return None
        until_utc = station.permitted.get(action)
        if station.boot == "Pending" and until_utc is not None and now_utc <= until_utc:
            return None
        orders: tuple[Order, ...] = ()
        unknown = not station.boot and wanted != "Rejected"
        changed = station.boot == "Pending" and wanted != "Pending"
        if (unknown or changed) and self._ask_now(station.station_id, "boot", now_utc):
            orders = (self._boot_order(station, version, now_utc),)
        reason = "not before an accepted BootNotification"
        return Reply(code=ErrorCode.SECURITY_ERROR, reason=reason, orders=orders)

    def _placed(
        self, station: Station, key: Key | None, version: Version, action: str, payload: Any
    ) -> tuple[str, bool]:
        """The transaction a message belongs to, and whether it came before."""
        if key is None:
            return "", False
        transaction_id, mark = key
        if isinstance(mark, int):
            transaction = station.transactions.get(transaction_id)
            return transaction_id, transaction is not None and mark in transaction.sequence
        if action == "StartTransaction" and isinstance(mark, bytes):
            known = station.starts_16.get(mark)
            if known is not None:
                return known, True
            return str(self.network.transaction_number + 1), False
        transaction = station.transactions.get(transaction_id)
        return transaction_id, transaction is not None and mark in transaction.digests

    def _orders(self, asked: Asked, response: Any) -> tuple[Order, ...]:
        """What a request brings about: a signed certificate; the question for missing events."""
        if asked.action == "SignCertificate":
            return self._signed(asked) if response.status == "Accepted" else ()
        if asked.action == "NotifyChargingLimit":
            self._questions += 1
            asks = question(asked.payload, asked.version, self._questions)
            return () if asks is None else (Order("GetChargingProfiles", asks),)
        return self._missing(asked) if asked.action == "TransactionEvent" else ()

    def _signed(self, asked: Asked) -> tuple[Order, ...]:
        if self.desk is None:
            return ()
        station_id = asked.station.station_id
        wish = signing_wish(self.network, asked.station, asked.payload, asked.version)
        payload = signed_request(self.desk, station_id, wish, asked.payload, asked.version)
        return (Order("CertificateSigned", payload),)

    def _missing(self, asked: Asked) -> tuple[Order, ...]:
        """Ask for missing events: GetTransactionStatus makes a station send what it holds."""
        station, transaction_id = asked.station, asked.payload.transactionInfo.transactionId
        transaction = station.transactions.get(transaction_id)
        if transaction is None or (len(transaction.sequence.lows) < 2 and not transaction.gaps()):
            return ()
        if not self._ask_now(station.station_id, transaction_id, asked.now_utc):
            return ()
        kind = messages_of(asked.version).REQUESTS["GetTransactionStatus"]
        return (Order("GetTransactionStatus", kind(transactionId=transaction_id)),)

    def _ask_now(self, station_id: str, topic: str, now_utc: datetime) -> bool:
        """Whether a question was not asked within the last minute; then it counts as asked."""
        before = self._asked.get((station_id, topic))
        if before is not None and now_utc < before + timedelta(seconds=ASK_AGAIN_S):
            return False
        if len(self._asked) >= 10_000:
            self._asked.clear()
        self._asked[station_id, topic] = now_utc
        return True

    def _causes(self, station: Station, transaction_id: str, record_id: str) -> tuple[str, ...]:
        transaction = station.transactions.get(transaction_id)
        if transaction is None or transaction.record_id == record_id:
            return ()
        return (transaction.record_id,)
