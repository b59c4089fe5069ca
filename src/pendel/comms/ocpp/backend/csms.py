"""The backend side of OCPP without I/O: a typed request in; the answer, and what must be durable
before it is given, out.

    request -> repeat? -> learn (state) -> record -> answer
                 |                            |
                 +-- answered again, not counted    durable first (the caller's duty)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pendel.comms.ocpp.backend.answers import Asked, Policy, answer
from pendel.comms.ocpp.backend.certificates import CertificateDesk, signed_request
from pendel.comms.ocpp.backend.external_limits import question
from pendel.comms.ocpp.backend.learning import Heard, digest, learn
from pendel.comms.ocpp.backend.stations import Network, Station
from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.release import Version, messages_of
from pendel.records import StationMessage, StationSecurity

UNRECORDED = frozenset({"Heartbeat", "PullDynamicScheduleUpdate", "GetCertificateStatus"})
ASK_AGAIN_S = 60.0
_JSON = msgspec.json.Encoder()
_V16 = Version.V16  # looked up once: members of an Enum are slow to reach
_VERSIONS = {version.value: version for version in Version}

Key = tuple[str, object]
"""What makes an event one and the same: (transaction id, seqNo), or in 1.6 ("", digest)."""


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


@dataclass(slots=True)
class Csms:
    """State and rules of a backend. new_id: makes ids of records; desk: signs certificates."""

    policy: Policy
    new_id: Callable[[], str]
    network: Network = field(default_factory=Network)
    desk: CertificateDesk | None = None
    _asked: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _questions: int = 0

    def replay(self, records: Iterable[Any]) -> None:
        """Rebuild the state from the records of a log; those of others are skipped."""
        for record in records:
            if isinstance(record, StationSecurity):
                station = self.network.station(record.station_id)
                station.security_profile = record.security_profile
            if isinstance(record, StationMessage) and not record.outgoing and record.action:
                version = _VERSIONS.get(record.ocpp_version)
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
                )
                learn(heard)

    def handle(
        self,
        station_id: str,
        version: Version,
        message_id: str,
        action: str,
        payload: Any,
        now_utc: datetime,
        text: str = "",
    ) -> Reply:
        """Answer one request; text: the payload as it came, to be kept. Never raises for what a
        station may send."""
        station = self.network.station(station_id)
        if not station.booted and action != "BootNotification" and version is not _V16:
            return self._not_booted(station, version, now_utc)
        key = event_key(version, action, payload)
        transaction_id, repeat = self._placed(station, key, version, action, payload)
        asked = Asked(
            station, version, action, payload, now_utc, self.policy, transaction_id, self.desk
        )
        if repeat:
            return Reply(answer(asked), key=key, repeat=True)
        if action in UNRECORDED:
            return self._answered(asked, None, None)
        record_id = self.new_id()
        heard = Heard(
            self.network,
            station,
            version.label,
            action,
            payload,
            record_id,
            now_utc,
            transaction_id,
        )
        refused = learn(heard)
        record = StationMessage(
            id=record_id,
            at_utc=now_utc,
            causes=_der_causes(station, action, payload)
            or self._causes(station, transaction_id, record_id),
            station_id=station_id,
            ocpp_version=version.label,
            action=action,
            message_id=str(message_id),
            payload=text or _JSON.encode(payload).decode(),
            transaction_id=transaction_id,
            refused=tuple(refused),
        )
        return self._answered(asked, record, key)

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

    def _answered(self, asked: Asked, record: StationMessage | None, key: Key | None) -> Reply:
        response = answer(asked)
        if response is None:
            return Reply(
                code=ErrorCode.NOT_SUPPORTED, reason=f"{asked.action} is not for a backend"
            )
        return Reply(response, record=record, key=key, orders=self._orders(asked, response))

    def _not_booted(self, station: Station, version: Version, now_utc: datetime) -> Reply:
        """B01.FR.10: nothing before an accepted BootNotification; ask for one."""
        orders: tuple[Order, ...] = ()
        if self._ask_now(station.station_id, "boot", now_utc):
            kind = messages_of(version).REQUESTS["TriggerMessage"]
            orders = (Order("TriggerMessage", kind(requestedMessage="BootNotification")),)
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
        payload = signed_request(self.desk, station_id, asked.payload, asked.version)
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


def _der_causes(station: Station, action: str, payload: Any) -> tuple[str, ...]:
    """Why a station speaks of a DER control: somebody wanted it there."""
    if action not in ("NotifyDERAlarm", "NotifyDERStartStop"):
        return ()
    name = payload.controlType if action == "NotifyDERAlarm" else payload.controlId
    cause = station.der_causes.get(name)
    return () if cause is None else (cause,)


def event_key(version: Version, action: str, payload: Any) -> Key | None:
    """What makes a transaction event one and the same whatever its message id; else None."""
    if version is not _V16:
        if action != "TransactionEvent":
            return None
        return payload.transactionInfo.transactionId, payload.seqNo
    if action == "StartTransaction":
        return "", digest(action, payload)
    if action == "StopTransaction":
        return str(payload.transactionId), digest(action, payload)
    if action == "MeterValues" and payload.transactionId is not msgspec.UNSET:
        return str(payload.transactionId), digest(action, payload)
    return None
