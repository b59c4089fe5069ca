"""Fetches a firmware file for a virtual station, from http or https addresses only."""

import time
import urllib.request

BYTES_MAX = 64 << 20
TIMEOUT_S = 20.0
WHOLE_S = 120.0
PIECE = 1 << 16


class _SameKind(urllib.request.HTTPRedirectHandler):
    """Redirects must not lead to files of this machine."""

    def redirect_request(self, *args, **named):  # type: ignore[no-untyped-def]
        """Follow to http and https only."""
        request = super().redirect_request(*args, **named)
        if request is not None and not is_fetchable(request.full_url):
            raise ValueError("redirected to another kind of address")
        return request


def is_fetchable(location: str) -> bool:
    """Whether an address is one of http or https."""
    return location.startswith(("http://", "https://"))


def fetched(location: str) -> bytes:
    """The file of an address. Raises OSError, ValueError."""
    if not is_fetchable(location):
        raise ValueError("only http:// and https:// are fetched")
    opener = urllib.request.build_opener(_SameKind)
    end_s = time.monotonic() + WHOLE_S
    data = bytearray()
    with opener.open(location, timeout=TIMEOUT_S) as answer:
        while piece := answer.read(PIECE):
            data += piece
            if len(data) > BYTES_MAX:
                raise ValueError(f"more than {BYTES_MAX >> 20} MiB")
            if time.monotonic() > end_s:
                raise ValueError(f"not within {WHOLE_S:g} s")
    return bytes(data)
