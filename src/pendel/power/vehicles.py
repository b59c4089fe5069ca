"""A small list of common cars: capacity, AC and DC power, phases, charging curve.

Catalogue figures (open-ev-data, MIT; see data/vehicles/SOURCE.md). No open list states whether a
car can discharge: `bidirectional` is "unknown" unless a source stands beside it.
"""

from enum import StrEnum
from functools import lru_cache
from importlib import resources
from itertools import pairwise

import msgspec

from pendel.errors import NotFoundError, Problem


class Bidirectional(StrEnum):
    """What is known about discharging to the AC or DC side."""

    UNKNOWN = "unknown"
    NO = "no"
    AC = "ac"
    DC = "dc"
    AC_DC = "ac_dc"


class Vehicle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the list.

    capacity_kwh: usable; ac_kw, dc_kw: highest charging powers; ac_phases 1..3; voltage_v: class
    of the battery (400 or 800 V); curve_soc [K] 0..1 and curve_kw [K]: DC charging curve at the
    battery, from empty to full; consumption_kwh_100km; source_id: id in the source.
    """

    vehicle: str
    year: int
    source_id: str
    capacity_kwh: float
    ac_kw: float
    ac_phases: int
    dc_kw: float
    voltage_v: float
    consumption_kwh_100km: float
    curve_soc: tuple[float, ...]
    curve_kw: tuple[float, ...]
    dc_ports: tuple[str, ...]
    bidirectional: Bidirectional = Bidirectional.UNKNOWN
    bidirectional_source: str = ""


@lru_cache(maxsize=1)
def vehicles() -> dict[str, Vehicle]:
    """All cars of the packaged list by name, in its order."""
    text = resources.files("pendel").joinpath("data", "vehicles", "vehicles.json").read_bytes()
    return {entry.vehicle: entry for entry in msgspec.json.decode(text, type=list[Vehicle])}


def vehicle_named(name: str) -> Vehicle:
    """The car of that name. Raises NotFoundError with the nearest names."""
    found = vehicles().get(name)
    if found is None:
        near = [known for known in vehicles() if known.lower().startswith(name.lower()[:4])]
        raise NotFoundError(f"no vehicle {name!r} in the list; near: {', '.join(near) or 'none'}")
    return found


def vehicle_problems(vehicle: Vehicle, file: str = "vehicles.json") -> list[Problem]:
    """What is wrong with an entry (own lists can be checked the same way)."""

    def problem(field: str, text: str, allowed: str) -> Problem:
        return Problem(file, 0, f"{vehicle.vehicle}.{field}", text, allowed)

    found = [
        problem(field, "not a positive number", "> 0")
        for field in ("capacity_kwh", "ac_kw", "dc_kw", "voltage_v", "consumption_kwh_100km")
        if not 0.0 < getattr(vehicle, field) < float("inf")
    ]
    if vehicle.ac_phases not in (1, 2, 3):
        found.append(problem("ac_phases", f"{vehicle.ac_phases}", "1, 2 or 3"))
    soc, power = vehicle.curve_soc, vehicle.curve_kw
    rises = all(b > a for a, b in pairwise(soc))
    if len(soc) != len(power) or len(soc) < 2 or not rises or (soc[0], soc[-1]) != (0.0, 1.0):
        found.append(problem("curve_soc", "not rising from 0 to 1", "as many as curve_kw, 2+"))
    elif min(power) <= 0.0:
        found.append(problem("curve_kw", "not positive", "> 0"))
    if vehicle.bidirectional is not Bidirectional.UNKNOWN and not vehicle.bidirectional_source:
        found.append(problem("bidirectional", "stated without a source", "bidirectional_source"))
    return found
