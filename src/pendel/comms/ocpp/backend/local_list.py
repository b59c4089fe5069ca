"""The list of tokens a station holds for when it is offline, and what brings it up to date.

What a station holds is the fold of the lists it accepted, so it is known after a restart. A list
is sent whole once and then by differences; each message has a number of its own, above the last
(OCPP 2.0.1 D01, OCPP 1.6 5.15).
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from pendel.comms.ocpp.backend.tokens import (
    TAG_16_CHARS_MAX,
    UNGUARDED,
    IdToken,
    TokenBook,
    TokenInfo,
    fields_16,
    info_2,
)
from pendel.comms.ocpp.release import Version, messages_of

NUMBER_MAX = 2**31 - 100_000
"""A list is numbered from 1 again before its number leaves 32 bits."""
TOKEN_CHARS_MAX = {Version.V16: TAG_16_CHARS_MAX, Version.V201: 36, Version.V21: 255}


class Held(msgspec.Struct, frozen=True):
    """One entry of a list: its token as it was told, and a mark of the whole."""

    token: str
    type: str
    mark: bytes


@dataclass(slots=True)
class LocalList:
    """version: number of the list the station accepted last, 0 = none of ours; entries: what it
    was told, by token in lower case; cleared: customers whose data it was told to delete:
    they are not sent to it again until an operator sets them anew."""

    version: int = 0
    entries: dict[str, Held] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)

    def take(self, version: Version, request: Any) -> None:
        """Take in a SendLocalListRequest that the station accepted."""
        if request.updateType == "Full":
            self.entries.clear()
        given = request.localAuthorizationList
        for entry in [] if given is UNSET else given:
            if version is Version.V16:
                token, kind, info = entry.idTag, "", entry.idTagInfo
            else:
                token, kind, info = entry.idToken.idToken, entry.idToken.type, entry.idTokenInfo
            if info is UNSET:
                self.entries.pop(token.casefold(), None)
            else:
                self.entries[token.casefold()] = Held(token, kind, mark(entry))
        self.version = request.listVersion if version is Version.V16 else request.versionNumber


def mark(entry: Any) -> bytes:
    """Eight bytes that tell one entry from another."""
    return hashlib.blake2b(msgspec.json.encode(entry), digest_size=8).digest()


Listing = dict[str, tuple[bytes, Any]]
"""Mark and typed entry of each token a list may hold, by token in lower case."""


def listing(book: TokenBook, version: Version, now_utc: datetime) -> Listing:
    """What stations of a version shall hold. Each version has its longest token."""
    found: Listing = {}
    for token in book.listed():
        if token.type not in UNGUARDED and len(token.token) <= TOKEN_CHARS_MAX[version]:
            entry = _entry(token, book.info(token.token, now_utc), version)
            found[token.token.casefold()] = (mark(entry), entry)
    return found


def list_order(
    held: LocalList, wanted: Listing, version: Version, full: bool = False
) -> Any | None:
    """The SendLocalListRequest that makes held what it shall be, None where it is.

    full: the whole list, whatever is held."""
    again = held.version >= NUMBER_MAX  # a whole list may have any number: begin anew
    number = 1 if again else held.version + 1
    if full or again or not held.version:
        entries = [entry for name, (_, entry) in wanted.items() if name not in held.cleared]
        return _request(version, number, "Full", entries)
    marks = {name: each.mark for name, each in held.entries.items()}
    changed = [
        entry
        for name, (own, entry) in wanted.items()
        if marks.get(name) != own and name not in held.cleared
    ]
    gone = [
        _removal(each, version)
        for name, each in held.entries.items()
        if name not in wanted or name in held.cleared
    ]
    if not changed and not gone:
        return None
    return _request(version, number, "Differential", changed + gone)


def numbered(version: Version, request: Any, number: int, kind: str) -> Any:
    """The same request with another number and kind of update."""
    name = "listVersion" if version is Version.V16 else "versionNumber"
    return msgspec.structs.replace(request, updateType=kind, **{name: number})


def _request(version: Version, number: int, kind: str, entries: list[Any]) -> Any:
    name = "listVersion" if version is Version.V16 else "versionNumber"
    fields: dict[str, Any] = {"updateType": kind, name: number}
    if entries:
        fields["localAuthorizationList"] = entries
    return messages_of(version).REQUESTS["SendLocalList"](**fields)


def _entry(token: IdToken, info: TokenInfo, version: Version) -> Any:
    messages: Any = messages_of(version)
    if version is Version.V16:
        told = messages.SendLocalListLocalAuthorizationListIdTagInfo(**fields_16(info))
        return messages.SendLocalListLocalAuthorizationList(idTag=token.token, idTagInfo=told)
    return messages.AuthorizationData(
        idToken=messages.IdTokenType(idToken=token.token, type=token.type),
        idTokenInfo=info_2(version, info),
    )


def _removal(held: Held, version: Version) -> Any:
    """An entry without info is taken off the list (D01.FR.17)."""
    messages: Any = messages_of(version)
    if version is Version.V16:
        return messages.SendLocalListLocalAuthorizationList(idTag=held.token)
    token = messages.IdTokenType(idToken=held.token, type=held.type)
    return messages.AuthorizationData(idToken=token)
