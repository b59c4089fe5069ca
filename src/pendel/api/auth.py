"""Who is asking, and what he may do.

A caller shows `Authorization: Bearer TOKEN` (only its sha256 is known here) or the cookie of a
session. `pendel demo` on loopback gives its visitors such a session; a Host other than loopback is
refused there, so that no other site in the browser can borrow it.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

COOKIE = "pendel_session"
SESSIONS_MAX = 1_000
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Role(StrEnum):
    """Roles of the contract."""

    DRIVER = "driver"
    OWNER = "owner"
    OPERATOR = "operator"
    AGGREGATOR = "aggregator"
    GRID_OPERATOR = "grid_operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Right(StrEnum):
    """What a caller may do beyond looking."""

    PROMISE = "promise"
    LIMIT = "limit"
    SETPOINT = "setpoint"
    COMMAND = "command"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.DRIVER: frozenset({Right.PROMISE}),
    Role.OWNER: frozenset(Right),
    Role.OPERATOR: frozenset(Right),
    Role.AGGREGATOR: frozenset({Right.SETPOINT}),
    Role.GRID_OPERATOR: frozenset({Right.LIMIT}),
    Role.AUDITOR: frozenset(),
    Role.ADMIN: frozenset(Right),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """name and role; sites None = all sites."""

    name: str
    role: Role
    sites: frozenset[str] | None = None

    def may(self, right: Right) -> bool:
        """Whether the role has the right."""
        return right in RIGHTS[self.role]

    def sees(self, site_id: str) -> bool:
        """Whether a site is the caller's to look at."""
        return self.sites is None or site_id in self.sites


@dataclass(frozen=True, slots=True)
class Token:
    """A configured token: sha256 is the hex digest of what the caller sends."""

    name: str
    role: Role
    sha256: str
    sites: frozenset[str] | None = None


@dataclass(slots=True)
class Gate:
    """Recognises callers. open_demo: visitors of the first page get a session (loopback only)."""

    tokens: Sequence[Token] = ()
    open_demo: bool = False
    _sessions: OrderedDict[str, Caller] = field(default_factory=OrderedDict)

    def caller(self, headers: Headers) -> Caller | None:
        """The caller of a request, or None."""
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._by_token(secret.strip())
        if scheme:
            return None
        return self._sessions.get(self._cookie(headers))

    def admits(self, headers: Headers) -> bool:
        """Whether the Host named is one that this server answers to."""
        if not self.open_demo:
            return True
        host = headers.get("host", "")
        name = host[: host.rindex("]") + 1] if host.startswith("[") else host.partition(":")[0]
        return name in LOOPBACK_HOSTS

    def new_session(self) -> tuple[str, Caller]:
        """The cookie value of a new visitor of the demo, and who that is."""
        visitor = Caller("visitor", Role.ADMIN)
        return self._remember(visitor), visitor

    def login(self, token: str) -> str | None:
        """The cookie value for somebody who knows a token, or None."""
        caller = self._by_token(token.strip())
        return None if caller is None else self._remember(caller)

    def _remember(self, caller: Caller) -> str:
        secret = secrets.token_urlsafe(32)
        self._sessions[secret] = caller
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return secret

    def _by_token(self, secret: str) -> Caller | None:
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for token in self.tokens:  # all are compared, so that the time tells nothing
            if hmac.compare_digest(token.sha256.lower(), digest):
                found = Caller(token.name, token.role, token.sites)
        return found

    def _cookie(self, headers: Headers) -> str:
        try:
            jar = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return jar[COOKIE].value if COOKIE in jar else ""
