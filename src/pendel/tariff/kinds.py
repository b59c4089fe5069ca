"""Which parameters each kind of component has.

`{cur}` in a name stands for the currency of the tariff in lower case: `eur_h`, `gbp_h`. All
numbers are decimal strings in TOML, so that no binary fraction comes between paper and bill.
"""

from dataclasses import dataclass

from pendel.tariff.model import Direction, Kind

IMPORT = (Direction.IMPORT,)
EXPORT = (Direction.EXPORT,)
NONE = (Direction.NONE, Direction.IMPORT, Direction.EXPORT)
METERED = (Direction.IMPORT, Direction.EXPORT)


@dataclass(frozen=True, slots=True)
class Shape:
    """required, optional: names of numbers; one_of: exactly one of these must be there;
    directions allowed (the first is the default); windows: none | priced | plain;
    group: names other components in `of`; columns: of the usage it reads."""

    directions: tuple[Direction, ...]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    windows: str = "none"
    group: bool = False
    negative_price_rule: bool = False
    columns: tuple[str, ...] = ()


_SPOT = ("adder_ct_kwh", "floor_ct_kwh", "ceiling_ct_kwh", "resolution_min")

SHAPES: dict[Kind, Shape] = {
    Kind.FIXED_FEE: Shape(NONE, one_of=("{cur}_day", "{cur}_month", "{cur}_year")),
    Kind.FLAT_ENERGY: Shape(METERED, ("ct_kwh",), columns=("energy",)),
    Kind.TOU_ENERGY: Shape(METERED, ("ct_kwh",), windows="priced", columns=("energy",)),
    Kind.DYNAMIC_ENERGY: Shape(METERED, ("factor",), _SPOT, columns=("energy", "spot_eur_mwh")),
    Kind.EXPORT_ENERGY: Shape(
        EXPORT,
        optional=_SPOT,
        one_of=("ct_kwh", "factor", "aw_ct_kwh"),
        negative_price_rule=True,
        columns=("energy",),
    ),
    Kind.NET_METERING: Shape(
        EXPORT,
        ("ct_kwh",),
        ("true_up_ct_kwh", "period_months", "first_month", "credit_share"),
        columns=("import_kwh", "export_kwh"),
    ),
    Kind.DEMAND_CHARGE: Shape(
        METERED,
        optional=("minimum_kw", "ratchet", "ratchet_months"),
        one_of=("{cur}_kw_month", "{cur}_kw_year"),
        windows="plain",
        columns=("energy",),
    ),
    Kind.CAPACITY_PAYMENT: Shape(
        NONE, ("{cur}_mw_h", "kw"), ("score",), windows="plain", columns=("plugged_min",)
    ),
    Kind.PLUG_IN_BONUS: Shape(
        NONE,
        ("{cur}_h",),
        ("cap_{cur}_month", "cap_{cur}_year"),
        windows="plain",
        columns=("plugged_min",),
    ),
    Kind.SESSION_BONUS: Shape(
        NONE,
        ("{cur}_month", "sessions_min", "session_h_min"),
        windows="plain",
        columns=("plugged_min",),
    ),
    Kind.FREE_ALLOWANCE: Shape(
        IMPORT,
        ("kwh_month", "ct_kwh"),
        ("plugged_h_month",),
        columns=("import_kwh", "plugged_min"),
    ),
    Kind.LEVY: Shape(METERED, ("ct_kwh",), columns=("energy",)),
    Kind.TAX: Shape(
        (*METERED, Direction.NONE), one_of=("ct_kwh", "percent"), group=True, columns=("tax",)
    ),
    Kind.LEVY_RELIEF: Shape(NONE, ("ct_kwh",), columns=("quantity",)),
    Kind.PENALTY: Shape(NONE, one_of=("{cur}_event", "ct_kwh"), columns=("quantity",)),
    Kind.CAP: Shape(NONE, ("{cur}_month",), group=True),
    Kind.FLOOR: Shape(NONE, ("{cur}_month",), group=True),
}

SIGNED = frozenset({"adder_ct_kwh", "floor_ct_kwh", "ceiling_ct_kwh", "ct_kwh"})
"""Numbers that may be below 0, besides fees of fixed_fee and amounts of cap and floor."""


def columns_of(kind: Kind, direction: Direction, numbers: frozenset[str]) -> set[str]:
    """The usage columns a component reads: import_kwh, export_kwh, spot_eur_mwh, plugged_min."""
    columns: set[str] = set()
    for column in SHAPES[kind].columns:
        if column == "energy" or (column == "tax" and "ct_kwh" in numbers):
            columns.add(f"{direction.value}_kwh")
        elif column not in ("tax", "quantity"):
            columns.add(column)
    return columns
