"""How a model of station wants to be told what to do: a table, kept as data."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import msgspec


class Dialect(StrEnum):
    """What a station understands."""

    NATIVE = "native"  # OCPP 2.1 V2X profiles
    HYBRID = "hybrid"  # 2.0.1 with the V2X messages of 2.1
    NEGATIVE_LIMIT = "negative_limit"  # a negative limit discharges
    LIMIT = "limit"  # charging limits only
    METER = "meter"  # is metered, never steered

    @property
    def discharges(self) -> bool:
        """Whether a station of this dialect can be ordered to discharge."""
        return self in (Dialect.NATIVE, Dialect.HYBRID, Dialect.NEGATIVE_LIMIT)


class DialectRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row: shell patterns of vendor and model, version ("*" = any), dialect and unit."""

    vendor: str
    model: str
    version: str
    dialect: Dialect
    unit: str = "W"


@dataclass(frozen=True, slots=True)
class Manner:
    """The dialect of a station and the unit of its limits (W or A)."""

    dialect: Dialect
    unit: str


@cache
def rows() -> tuple[DialectRow, ...]:
    """The table that ships with the package."""
    text = files("pendel").joinpath("data/ocpp/dialects.json").read_bytes()
    return tuple(msgspec.json.decode(text, type=list[DialectRow]))


def manner_of(
    vendor: str, model: str, version: str, table: tuple[DialectRow, ...] | None = None
) -> Manner:
    """The manner of a model: the first row that fits; a station nobody knows is only metered."""
    vendor, model = vendor.casefold(), model.casefold()
    for row in rows() if table is None else table:
        # A hybrid is listed under 2.0.1 and speaks 2.1 from its boot on.
        spoken = ("2.0.1", "2.1") if row.dialect is Dialect.HYBRID else (row.version,)
        if row.version != "*" and version not in spoken:
            continue
        if fnmatchcase(vendor, row.vendor.casefold()) and fnmatchcase(model, row.model.casefold()):
            return Manner(row.dialect, row.unit)
    return Manner(Dialect.METER, "W")
