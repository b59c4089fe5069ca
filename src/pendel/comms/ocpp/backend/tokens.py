"""Who may charge: tokens with their state, group and end, and what stations are told about them.

Sources: OCPP 2.0.1 part 2, C01 (authorization), C09 (groups), C16 (master pass), IdTokenInfoType;
OCPP 1.6 section 7.8 (AuthorizationStatus), 7.26 (IdTagInfo). Tokens do not tell upper from lower
case (identifierString, CiString).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from pendel.comms.ocpp.release import Version, messages_of

TAG_16_CHARS_MAX = 20
UNGUARDED = ("NoAuthorization", "Central")
"""Types of tokens that somebody else has let in: a station's button, a backend's own start."""

EMAID = re.compile(r"[a-z]{2}-?[0-9a-z]{3}-?[0-9a-z]{9}(-?[0-9a-z])?\Z")
"""An eMAID in lower case, with or without separators (ISO 15118-1, annex H)."""

TokenStatus = Literal["Accepted", "Blocked", "Invalid"]


def token_key(token: str) -> str:
    """A token as it is compared: in lower case; the separators of an eMAID say nothing."""
    plain = token.casefold()
    return plain.replace("-", "") if EMAID.match(plain) else plain


class IdToken(msgspec.Struct, frozen=True):
    """A token as it was configured. group: those of one group may end each other's transactions;
    valid_until: Expired from then on (None: never); concurrent: may run several at once."""

    token: str
    type: str = "ISO14443"
    group: str = ""
    status: TokenStatus = "Accepted"
    valid_until: datetime | None = None
    concurrent: bool = True

    @property
    def ends_utc(self) -> datetime | None:
        """`valid_until` in UTC, which is what a time without offset is in."""
        end = self.valid_until
        if end is None:
            return None
        return end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)

    def status_at(self, now_utc: datetime) -> str:
        """Accepted, Blocked, Invalid or Expired."""
        end = self.ends_utc
        expired = self.status == "Accepted" and end is not None and now_utc >= end
        return "Expired" if expired else self.status


class TokenInfo(msgspec.Struct, frozen=True):
    """What is said about a token at a moment. master: it may end transactions, never begin one."""

    status: str
    group: str = ""
    group_type: str = "Central"
    ends_utc: datetime | None = None
    concurrent: bool = True
    master: bool = False


@dataclass(slots=True)
class TokenBook:
    """All tokens of a network, by their names in lower case. cars: those that vehicles name,
    Accepted unless said otherwise; told: what was decided since (None = deleted), before
    everything else. master_group: the group whose tokens are master passes, "" = none;
    revision: counts decisions."""

    configured: Mapping[str, IdToken] = field(default_factory=dict)
    cars: Mapping[str, str] = field(default_factory=dict)
    master_group: str = ""
    told: dict[str, IdToken | None] = field(default_factory=dict)
    revision: int = 0

    @staticmethod
    def of(
        tokens: Iterable[IdToken], cars: Iterable[str] = (), master_group: str = ""
    ) -> "TokenBook":
        """A book of configured tokens and those of cars."""
        by_name = {token_key(token.token): token for token in tokens}
        return TokenBook(by_name, {token_key(car): car for car in cars}, master_group)

    @property
    def is_open(self) -> bool:
        """Whether nobody ever named a token: then everybody may charge. A list whose last token
        was deleted stays closed."""
        return not (self.configured or self.cars or self.told)

    def get(self, token: str) -> IdToken | None:
        """The entry of a token, or None."""
        name = token_key(token)
        if name in self.told:
            return self.told[name]
        found = self.configured.get(name)
        if found is None and name in self.cars:
            found = IdToken(self.cars[name])
        return found

    def listed(self) -> list[IdToken]:
        """Every token, in order of its name."""
        names = self.configured.keys() | self.cars.keys() | self.told.keys()
        found = [self.get(name) for name in sorted(names)]
        return [each for each in found if each is not None]

    def decide(self, token: str, entry: IdToken | None) -> None:
        """An operator's word about a token; None deletes it."""
        self.told[token_key(token)] = entry
        self.revision += 1

    def info(self, token: str, now_utc: datetime) -> TokenInfo:
        """What is said about a token now."""
        entry = self.get(token)
        if entry is None:
            return TokenInfo("Accepted" if self.is_open else "Invalid")
        return TokenInfo(
            entry.status_at(now_utc),
            entry.group,
            ends_utc=entry.ends_utc,
            concurrent=entry.concurrent,
            master=bool(self.master_group) and entry.group == self.master_group,
        )


def info_2(version: Version, info: TokenInfo) -> Any:
    """IdTokenInfoType of 2.x."""
    messages: Any = messages_of(version)
    found = messages.IdTokenInfoType(status=info.status)
    if info.ends_utc is not None:
        found.cacheExpiryDateTime = info.ends_utc
    if info.group:
        found.groupIdToken = messages.IdTokenType(idToken=info.group, type=info.group_type)
    return found


def fields_16(info: TokenInfo) -> dict[str, Any]:
    """The fields of an IdTagInfo of 1.6; a parentIdTag has at most 20 characters."""
    fields: dict[str, Any] = {"status": info.status}
    if info.ends_utc is not None:
        fields["expiryDate"] = info.ends_utc
    if info.group and len(info.group) <= TAG_16_CHARS_MAX:
        fields["parentIdTag"] = info.group
    return fields


def asked_of_2(payload: Any) -> bool:
    """Whether a TransactionEvent lets a token begin something (else it ends or only names it)."""
    if payload.idToken is UNSET or payload.eventType == "Ended":
        return False
    return bool(payload.triggerReason != "StopAuthorized")
