"""The tables of a scenario folder: columns, units, ranges, defaults (contract, "Scenario folder").

docs/concepts/scenario.md shows the same to people; a test keeps the two equal.
"""

from dataclasses import dataclass
from typing import Literal

from pendel.units import CAPACITY_MAX_KWH, POWER_MAX_KW, PRICE_MAX_EUR_KWH

INFINITE = float("inf")
TIME_ALLOWED = "ISO 8601 with offset or Z, such as 2025-03-03T11:00:00Z"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ge, le: allowed range; positive: 0 itself is refused; default for empty cells."""

    name: str
    kind: Literal["text", "number", "time"]
    required: bool = False
    default: float = 0.0
    ge: float = -INFINITE
    le: float = INFINITE
    positive: bool = False
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.kind == "time":
            return TIME_ALLOWED
        if self.kind == "text":
            return "one of " + ", ".join(self.choices) if self.choices else "a text"
        if self.positive:
            return f"above 0, at most {self.le:g}"
        if self.ge == -INFINITE:
            return "a finite number"
        return f"{self.ge:g} or more" if self.le == INFINITE else f"{self.ge:g} to {self.le:g}"


@dataclass(frozen=True, slots=True)
class Table:
    """One file of the folder: stem (file name without its ending) and columns."""

    stem: str
    columns: tuple[Column, ...]
    required: bool = False

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


def _text(name: str, required: bool = False, choices: tuple[str, ...] = ()) -> Column:
    return Column(name, "text", required, choices=choices)


def _time(name: str, required: bool = True) -> Column:
    return Column(name, "time", required)


def _amount(
    name: str, le: float = INFINITE, required: bool = False, default: float = 0.0
) -> Column:
    return Column(name, "number", required, default=default, ge=0.0, le=le)


def _power(name: str, required: bool = False) -> Column:
    return _amount(name, POWER_MAX_KW, required)


def _energy(name: str, required: bool = False) -> Column:
    return _amount(name, CAPACITY_MAX_KWH, required)


def _price(name: str, required: bool = True) -> Column:
    return Column(name, "number", required, ge=-PRICE_MAX_EUR_KWH, le=PRICE_MAX_EUR_KWH)


def _efficiency(name: str) -> Column:
    return Column(name, "number", default=1.0, ge=0.0, le=1.0, positive=True)


def _capacity() -> Column:
    return Column("capacity_kwh", "number", True, ge=0.0, le=CAPACITY_MAX_KWH, positive=True)


SITES = Table(
    "sites",
    (
        _text("site_id", required=True),
        _power("import_limit_kw", required=True),
        _power("export_limit_kw", required=True),
        _amount("demand_charge_eur_kw"),
        _text("feeder_id"),
    ),
    required=True,
)
PRICES = Table(
    "prices",
    (
        _time("time_utc"),
        _price("import_eur_kwh"),
        _price("export_eur_kwh"),
        _text("site_id"),
    ),
    required=True,
)
SERIES = Table(
    "series",
    (
        _time("time_utc"),
        _text("site_id", required=True),
        _power("load_kw"),
        _power("pv_kw"),
    ),
)
SESSIONS = Table(
    "sessions",
    (
        _text("session_id", required=True),
        _text("site_id", required=True),
        _time("arrive_utc"),
        _time("depart_utc"),
        _capacity(),
        _energy("energy_arrive_kwh", required=True),
        _energy("energy_target_kwh", required=True),
        _power("charge_max_kw", required=True),
        _power("discharge_max_kw"),
        _energy("energy_min_kwh"),
        _efficiency("charge_efficiency"),
        _efficiency("discharge_efficiency"),
        _amount("wear_eur_kwh", PRICE_MAX_EUR_KWH),
        _amount("terminal_eur_kwh", PRICE_MAX_EUR_KWH),
        _text("vehicle_id"),
        _time("stated_depart_utc", required=False),
        _text("battery_model"),
    ),
)
STORAGES = Table(
    "storages",
    (
        _text("storage_id", required=True),
        _text("site_id", required=True),
        _capacity(),
        _energy("energy_start_kwh", required=True),
        _power("charge_max_kw", required=True),
        _power("discharge_max_kw", required=True),
        _efficiency("charge_efficiency"),
        _efficiency("discharge_efficiency"),
        _amount("wear_eur_kwh", PRICE_MAX_EUR_KWH),
        _energy("energy_end_min_kwh"),
    ),
)
MARKET = Table(
    "market",
    (
        _time("time_utc"),
        Column("position_kw", "number"),
        _amount("short_eur_kwh", PRICE_MAX_EUR_KWH),
        _amount("long_eur_kwh", PRICE_MAX_EUR_KWH),
    ),
)
FEEDERS = Table(
    "feeders",
    (
        _text("feeder_id", required=True),
        _text("parent_id"),
        _amount("import_limit_kw", required=True),
        _amount("export_limit_kw", required=True),
    ),
)
RESERVES = Table(
    "reserves",
    (
        _time("from_utc"),
        _time("until_utc"),
        _text("product", required=True),
        _text("direction", required=True, choices=("symmetric", "up", "down")),
        _amount("price_eur_mw_h", 100_000.0, required=True),
        _amount("hold_min", 10_080.0, required=True),
        _amount("max_kw", default=INFINITE),
    ),
)
HISTORY = Table(
    "history",
    (
        _text("site_id", required=True),
        _time("arrive_utc"),
        _time("depart_utc"),
        _time("stated_depart_utc", required=False),
        _text("vehicle_id"),
    ),
)
CO2 = Table("co2", (_time("time_utc"), _amount("intensity_g_kwh", required=True)))

TABLES = (SITES, PRICES, SERIES, SESSIONS, STORAGES, MARKET, FEEDERS, RESERVES, CO2, HISTORY)
