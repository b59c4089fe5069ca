"""Times as they stand on the wire."""

from datetime import UTC, datetime


def stamp(at_s: float) -> str:
    """Epoch seconds as RFC 3339 in UTC with milliseconds."""
    when = datetime.fromtimestamp(round(at_s, 3), UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
