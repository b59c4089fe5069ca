"""What operators decide about stations and tokens while the network runs, kept in the log.

A decision holds until the configuration says something else about the same thing than it said
when the decision was made: so the newer of the two wins, and no file is ever edited.

    boot       accepted, pending or rejected: what a station is told when it boots
    password   hashes of the passwords by which a station may come
    id_token   a token with its state, or that it is deleted
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from pendel.adapters.passwords import hash_password
from pendel.comms.ocpp.backend.tokens import IdToken
from pendel.comms.ocpp.peer import Event
from pendel.comms.ocpp.release import Version
from pendel.records import NetworkSetting
from pendel.runtime.secret_orders import password_order, passwords_in, status_of

if TYPE_CHECKING:
    from pendel.adapters.ocpp_link import Link
    from pendel.runtime.network import ChargingNetwork

BOOT, PASSWORD, ID_TOKEN = "boot", "password", "id_token"
ASKED, TAKEN = "asked", "taken"


class NetworkSettings:
    """Lives on the network's loop; changes its policy."""

    def __init__(self, network: "ChargingNetwork") -> None:
        self._network = network
        self._policy = network.policy
        self._configured_admissions = dict(network.policy.admissions)
        self._asked: dict[str, tuple[str, ...]] = {}
        self._changing: dict[str, asyncio.Lock] = {}

    def recalled(self, records: Iterable[Any]) -> Iterator[Any]:
        """Take in the decisions among the records of a log; gives the others on."""
        newest: dict[tuple[str, str], NetworkSetting] = {}
        for record in records:
            if isinstance(record, NetworkSetting):
                if record.topic == PASSWORD and json.loads(record.detail)["value"] is None:
                    newest.pop((record.topic, record.name), None)
                else:
                    newest[record.topic, record.name] = record
            else:
                yield record
        for record in newest.values():
            detail = json.loads(record.detail)
            if detail["configured"] == self._configured(record.topic, record.name):
                self._apply(record.topic, record.name, detail["value"])

    async def set_boot(self, station_id: str, boot: str) -> None:
        """What a station is told at its next BootNotification, for which it is asked where it may
        be. Raises StoreError."""
        await self._decide(BOOT, station_id, boot)
        self._network.boot_anew(station_id)

    async def set_token(self, token: str, entry: IdToken | None) -> None:
        """A token with its state, None = deleted; lists of stations follow. Raises StoreError."""
        await self._decide(ID_TOKEN, token, None if entry is None else msgspec.to_builtins(entry))
        name = token.casefold()
        for station in list(self._network.csms.network.stations.values()):
            if entry is not None:
                station.local_list.cleared.discard(name)
        if self._network.duties is not None:
            self._network.duties.tokens_changed()

    def made_password(self, version: Version) -> tuple[str, Any]:
        """The order that gives a station a password nobody knows: 1.6 carries at most 20 bytes;
        2.x wants 16 to 40 characters (A00.FR.205)."""
        return password_order(version, secrets.token_urlsafe(15 if version is Version.V16 else 24))

    async def change_password(
        self, station_id: str, action: str, request: Any, timeout_s: float
    ) -> Event:
        """Send an order that carries a password; once it is Accepted only the new one opens the
        door (A01.FR.11), while nobody knows both do. Raises OfflineError, OverflowError,
        StoreError."""
        self._network.version_of(station_id)
        async with self._changing.setdefault(station_id, asyncio.Lock()):
            return await self._change_password(station_id, action, request, timeout_s)

    async def _change_password(
        self, station_id: str, action: str, request: Any, timeout_s: float
    ) -> Event:
        before = self._policy.admissions[station_id]
        known = [] if before.password_hash is None else [before.password_hash, *before.also]
        hashes = await asyncio.gather(
            *(asyncio.to_thread(hash_password, each) for each in passwords_in(action, request))
        )
        asked = {"state": ASKED, "hashes": hashes, "before": known}
        await self._decide(PASSWORD, station_id, asked)
        event = await self._network.order(station_id, action, request, timeout_s)
        status = status_of(action, event)
        if status == "Accepted":
            await self._decide(PASSWORD, station_id, {"state": TAKEN, "hashes": hashes})
        elif status not in ("", "RebootRequired"):
            unchanged = known in ([], [self._configured_admissions[station_id].password_hash])
            value = None if unchanged else {"state": TAKEN, "hashes": known}
            await self._decide(PASSWORD, station_id, value)
        return event

    def proven(self, link: "Link") -> None:
        """A station came: the password it came by tells what became of an open change."""
        asked = self._asked.get(link.station_id)
        door = self._network.door
        if asked is None or door is None or link.security_profile not in (1, 2):
            return
        if door.keeper.proved.get(link.station_id) in asked:
            value = {"state": TAKEN, "hashes": list(asked)}
            self._network.soon(self._decide(PASSWORD, link.station_id, value))

    async def _decide(self, topic: str, name: str, value: Any) -> None:
        """Make a decision durable, then let it hold."""
        network = self._network
        detail = {"configured": self._configured(topic, name), "value": value}
        await network.kept(
            NetworkSetting(
                id=network.csms.new_id(),
                at_utc=network.now_utc(),
                topic=topic,
                name=name,
                detail=json.dumps(detail),
            )
        )
        self._apply(topic, name, value)

    def _apply(self, topic: str, name: str, value: Any) -> None:
        if topic == BOOT and name in self._policy.stations:
            self._policy.boots[name] = value
        elif topic == ID_TOKEN:
            entry = None if value is None else msgspec.convert(value, IdToken)
            self._policy.tokens.decide(name, entry)
        elif topic == PASSWORD and name in self._configured_admissions:
            self._admit(name, value)

    def _admit(self, station_id: str, value: Any) -> None:
        """Which passwords open the door to a station."""
        admissions, own = self._policy.admissions, self._configured_admissions[station_id]
        self._asked.pop(station_id, None)
        if value is None:
            admissions[station_id] = own
            return
        hashes = tuple(value["hashes"])
        if value["state"] == TAKEN:
            admissions[station_id] = replace(own, password_hash=hashes[0], also=hashes[1:])
            return
        self._asked[station_id] = hashes
        before = value["before"]
        if before:  # one that comes by a certificate, or to the lab, needs none yet
            also = (*before[1:], *hashes)
            admissions[station_id] = replace(own, password_hash=before[0], also=also)

    def _configured(self, topic: str, name: str) -> str:
        """What the configuration says about the same thing, as a text to compare."""
        if topic == BOOT:
            station = self._policy.stations.get(name)
            return "" if station is None else station.boot
        if topic == PASSWORD:
            admission = self._configured_admissions.get(name)
            known = "" if admission is None else admission.password_hash or ""
            return hashlib.sha256(known.encode()).hexdigest()
        book, key = self._policy.tokens, name.casefold()
        entry = book.configured.get(key)
        return book.cars.get(key, "") if entry is None else msgspec.json.encode(entry).decode()
