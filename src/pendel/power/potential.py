"""Quick figures: what a fleet of parked cars could hold and give, as one multiplication.

    energy = vehicles * plugged * energy * usable          power = vehicles * plugged * power

Exact fractions in, exact fractions out. Orders of magnitude for a talk, not a forecast: nothing
here knows when cars are away, what grids allow or what drivers want (for that: `flexibility`).
"""

from dataclasses import dataclass, replace
from fractions import Fraction

KW_PER_GW = 1_000_000


@dataclass(frozen=True, slots=True)
class Assumption:
    """One number of a quick figure: its unit, what it means, and where it is from."""

    name: str
    value: Fraction
    unit: str
    meaning: str
    source: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A named quick figure. plugged_share: of all vehicles, those connected and taking part;
    usable_share: of the battery's energy, what may be moved; note: what it is to be read as."""

    name: str
    assumptions: tuple[Assumption, ...]
    note: str = ""

    def __getitem__(self, name: str) -> Fraction:
        """The value of an assumption. Raises KeyError for a name that is not one."""
        for assumption in self.assumptions:
            if assumption.name == name:
                return assumption.value
        raise KeyError(name)

    @property
    def energy_gwh(self) -> Fraction:
        """Energy that could be moved once [GWh], exact."""
        share = self["plugged_share"] * self["usable_share"]
        return self["vehicles"] * share * self["energy_kwh"] / KW_PER_GW

    @property
    def power_gw(self) -> Fraction:
        """Power that could be taken or given [GW], exact."""
        return self["vehicles"] * self["plugged_share"] * self["power_kw"] / KW_PER_GW

    def with_values(self, given: dict[str, Fraction], source: str) -> "Figure":
        """The same figure with other values, each from the same source."""
        changed = tuple(
            replace(a, value=given[a.name], source=source) if a.name in given else a
            for a in self.assumptions
        )
        return replace(self, assumptions=changed)


MEANINGS = {
    "vehicles": ("", "cars in all"),
    "plugged_share": ("", "of the cars, those plugged in and taking part"),
    "energy_kwh": ("kWh", "usable battery of a car"),
    "usable_share": ("", "of the battery, what may be moved"),
    "power_kw": ("kW", "of one charging point, each way"),
}

ENCYCLOPEDIA = "German Wikipedia, 'Vehicle to Grid'"
SOCKET = f"{ENCYCLOPEDIA}: one phase of a household socket"
GERMANY = "the number of cars that the article's 277 GWh and 83 GW imply"
SHARES = "an industry article on the German rules of 2026: plug-in rate of 20-30 %"
IMPLIED = "implied by its 1.0-1.5 GW: 5 GW of charging points, here as 1,000,000 of 5 kW"
BATTERY_TODAY = "by this program: a small car of 2025"


def _figure(name: str, note: str, **given: tuple[str, str]) -> Figure:
    assumptions = tuple(
        Assumption(key, Fraction(value), *MEANINGS[key], source)
        for key, (value, source) in given.items()
    )
    return Figure(name, assumptions, note)


MILLION = _figure(
    "a million cars",
    "the article reads the 70 % as cars that have such a battery, charged to 50 %",
    vehicles=("1000000", "a round number"),
    plugged_share=("0.7", ENCYCLOPEDIA),
    energy_kwh=("20", ENCYCLOPEDIA),
    usable_share=("0.5", ENCYCLOPEDIA),
    power_kw=("3", SOCKET),
)

REFERENCE: tuple[Figure, ...] = (
    MILLION,
    _figure(
        "90 % of the German fleet",
        "more power than the highest load of Germany",
        vehicles=("44000000", GERMANY),
        plugged_share=("0.63", f"0.9 electric x 0.7 plugged in, {ENCYCLOPEDIA}"),
        energy_kwh=("20", ENCYCLOPEDIA),
        usable_share=("0.5", ENCYCLOPEDIA),
        power_kw=("3", SOCKET),
    ),
    *(
        _figure(
            f"{int(Fraction(share) * 100)} % plugged in",
            "the article does not say of how many cars",
            vehicles=("1000000", IMPLIED),
            plugged_share=(share, SHARES),
            energy_kwh=("40", BATTERY_TODAY),
            usable_share=("0.5", BATTERY_TODAY),
            power_kw=("5", IMPLIED),
        )
        for share in ("0.2", "0.3")
    ),
)
"""The figures that are quoted everywhere, each with what it takes for granted."""
