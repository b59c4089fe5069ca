"""One question over HTTP to a server that may be hostile: bounded in time and size, no redirects.

Which servers may be asked is decided before (`Allowed`): those an operator named may stand
anywhere, those only a certificate names must have a public address, and the connection goes to the
very address that was looked at (no rebinding). HTTP/1.0, so that no answer comes in chunks.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

PORTS = {"http": 80, "https": 443}
HEAD_BYTES_MAX = 16_384
VOUCHED_MAX = 1_000


class HttpFault(Exception):  # noqa: N818 - what came of a question, told in words
    """No good answer, and why."""


@dataclass(slots=True)
class Allowed:
    """Servers as (host, port). named: by an operator; vouched: only by certificates that lead to
    a configured root."""

    named: set[tuple[str, int]] = field(default_factory=set)
    vouched: dict[tuple[str, int], None] = field(default_factory=dict)

    def name(self, servers: Iterable[str]) -> None:
        """Allow `host`, `host:port` or addresses. Raises ValueError."""
        for text in servers:
            whole = text if "://" in text else f"http://{text}"
            parts = urlsplit(whole)
            if not parts.hostname or parts.username is not None:
                raise ValueError(f"{text} names no server")
            if "://" not in text and parts.port is None:
                self.named |= {(parts.hostname, port) for port in PORTS.values()}
            else:
                self.named.add((parts.hostname, parts.port or PORTS.get(parts.scheme, 80)))

    def vouch(self, urls: Iterable[str]) -> None:
        """A certificate that leads to a configured root names these addresses."""
        for url in urls:
            try:
                parts = split(url)
            except HttpFault:
                continue
            if len(self.vouched) >= VOUCHED_MAX:
                self.vouched.pop(next(iter(self.vouched)))
            self.vouched[_server(parts)] = None

    def refusal(self, url: str) -> str:
        """Why an address may not be asked, or ""."""
        try:
            server = _server(split(url))
        except HttpFault as error:
            return str(error)
        if server in self.named or server in self.vouched:
            return ""
        return f"{server[0]}:{server[1]} is neither configured nor named by a trusted certificate"


def split(url: str) -> SplitResult:
    """The parts of an http or https address. Raises HttpFault."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise HttpFault(f"not an address: {error}"[:200]) from error
    if parts.scheme not in PORTS:
        raise HttpFault("only http and https are asked")
    clean = url.isascii() and url.isprintable() and " " not in url
    if not parts.hostname or parts.username is not None or port == 0 or not clean:
        raise HttpFault("not a plain address")
    return parts


def _server(parts: SplitResult) -> tuple[str, int]:
    return str(parts.hostname), parts.port or PORTS[parts.scheme]


async def ask(
    url: str,
    allowed: Allowed,
    bytes_max: int,
    timeout_s: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The body of a 200 answer; body given = POST. Raises HttpFault."""
    refusal = allowed.refusal(url)
    if refusal:
        raise HttpFault(refusal)
    parts = split(url)
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(parts, allowed, bytes_max, body, headers or {})
    except TimeoutError as error:
        raise HttpFault(f"{parts.hostname} did not answer within {timeout_s:g} s") from error
    except (OSError, ssl.SSLError, asyncio.IncompleteReadError) as error:
        raise HttpFault(f"{parts.hostname}: {error}"[:300]) from error


async def _ask(
    parts: SplitResult,
    allowed: Allowed,
    bytes_max: int,
    body: bytes | None,
    headers: Mapping[str, str],
) -> bytes:
    host, port = _server(parts)
    address = await _address(host, port, public=(host, port) not in allowed.named)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(
        address,
        port,
        ssl=tls,
        limit=HEAD_BYTES_MAX,
        server_hostname=None if tls is None else host,
    )
    try:
        writer.write(_head(parts, body, headers) + (body or b""))
        await writer.drain()
        return await _answer(reader, bytes_max)
    finally:
        writer.transport.abort()


async def _address(host: str, port: int, public: bool) -> str:
    """The address of a host; public: one of the open network, else it is refused."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for entry in found:
        address = str(entry[4][0])
        if not public or ipaddress.ip_address(address.partition("%")[0]).is_global:
            return address
    raise HttpFault(f"{host} is not on the open network")


def _head(parts: SplitResult, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    method = "GET" if body is None else "POST"
    lines = [f"{method} {target} HTTP/1.0", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _answer(reader: asyncio.StreamReader, bytes_max: int) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise HttpFault("a head of too many bytes") from error
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or words[1] != "200":
        raise HttpFault(f"answered {' '.join(words[1:])[:100] or 'not in HTTP'}")
    told = {line.partition(":")[0].strip().lower(): line.partition(":")[2].strip() for line in rest}
    if "transfer-encoding" in told:
        raise HttpFault("answered in chunks, which HTTP/1.0 does not know")
    length = told.get("content-length", "")
    if length.isdecimal() and length.isascii():
        if len(length) > 12 or int(length) > bytes_max:
            raise HttpFault(f"an answer of more than {bytes_max} bytes")
        return await reader.readexactly(int(length))
    body = b""
    while True:
        more = await reader.read(65_536)
        if not more:
            return body
        body += more
        if len(body) > bytes_max:
            raise HttpFault(f"an answer of more than {bytes_max} bytes")
