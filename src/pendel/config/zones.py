"""Time zone names."""

from zoneinfo import ZoneInfo


def zone_exists(name: str) -> bool:
    """Whether the time zone data knows this IANA name.

    >>> zone_exists("Europe/Berlin"), zone_exists("Europe/Atlantis"), zone_exists("")
    (True, False, False)
    """
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return False
    return bool(name)
