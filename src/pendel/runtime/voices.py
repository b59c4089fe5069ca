"""Wishes of one voice put together: the driver's freely, those of others only stricter."""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from pendel.records import Needs

DRIVER = "driver"
OWN_VOICES = frozenset({DRIVER, "car"})
"""Who speaks for the driver: what the car asks for was typed into the car."""


def voice_of(source: str) -> str:
    """Under which name a wish counts: driver and car are one, everybody else is himself."""
    return DRIVER if source in OWN_VOICES else source


def merged(before: Needs, after: Needs) -> Needs:
    """One Needs that holds every field stated so far, the later one winning."""

    def newer(name: str) -> Any:
        value = getattr(after, name)
        return getattr(before, name) if value is None else value

    return structs.replace(
        after,
        causes=(*after.causes, before.id),
        target_kwh=newer("target_kwh"),
        energy_min_kwh=newer("energy_min_kwh"),
        ready_by_utc=newer("ready_by_utc"),
    )


def hardened(before: Needs, after: Needs) -> Needs:
    """Like `merged`, the stricter one winning: what was promised to a driver is not taken back."""

    def most(name: str, pick: Callable[[list[Any]], Any]) -> Any:
        stated = [v for v in (getattr(before, name), getattr(after, name)) if v is not None]
        return pick(stated) if stated else None

    return structs.replace(
        after,
        causes=(*after.causes, before.id),
        target_kwh=most("target_kwh", max),
        energy_min_kwh=most("energy_min_kwh", max),
        ready_by_utc=most("ready_by_utc", min),
    )
