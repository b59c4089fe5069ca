"""What a generated fleet is made from: numbers a user may turn, each with a stated source."""

from dataclasses import dataclass, field
from datetime import date, timedelta

from pendel.errors import Problem
from pendel.sim.generator.tables import days_covered

KINDS = ("home", "workplace", "public", "depot")
VEHICLES_MAX = 5_000_000
DAYS_MAX = 14
CELLS_MAX = 100_000_000
STEP_MINUTES = (5, 10, 15, 20, 30, 60)
TIMEZONE = "Europe/Berlin"


def default_mix() -> dict[str, float]:
    """Where the cars of a fleet charge (an assumption)."""
    return {"home": 0.70, "workplace": 0.15, "public": 0.10, "depot": 0.05}


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """vehicles: cars in the fleet (not all of them plug in on a given day); first_day: local day;
    the horizon runs from start_hour of it for days * 24 h. v2g_share: cars and chargers that can
    discharge; plug_in_share: of returns home, those after which the car is plugged in (None =
    measured); mix: share of cars per kind, sum 1; cars_per_home_site: mean size of a home's
    connection (20 = apartment garage, 1.5 = single houses); fees_eur_kwh: on top of the market
    price for what is bought."""

    vehicles: int = 1_000
    seed: int = 1
    first_day: date = date(2025, 6, 18)
    start_hour: int = 12
    days: int = 1
    step_minutes: int = 15
    v2g_share: float = 0.8
    plug_in_share: float | None = None
    mix: dict[str, float] = field(default_factory=default_mix)
    cars_per_home_site: float = 20.0
    fees_eur_kwh: float = 0.12

    @property
    def steps(self) -> int:
        """Steps of the horizon."""
        return self.days * 24 * 60 // self.step_minutes


def problems_of(settings: FleetSettings, file: str = "command line") -> list[Problem]:
    """Everything that is wrong with settings."""
    first, last = days_covered()
    latest = last - timedelta(days=min(max(settings.days, 1), DAYS_MAX) + 1)
    ranges = (
        ("--vehicles", settings.vehicles, 1, VEHICLES_MAX),
        ("--seed", settings.seed, 0, 2**63 - 1),
        ("--days", settings.days, 1, DAYS_MAX),
        ("--start-hour", settings.start_hour, 0, 23),
        ("--v2g-share", settings.v2g_share, 0.0, 1.0),
        ("--cars-per-home-site", settings.cars_per_home_site, 1.0, 500.0),
        ("--fees-eur-kwh", settings.fees_eur_kwh, 0.0, 1.0),
    )
    found = [
        Problem(file, 0, option, f"{value} is out of range", f"{low} to {high}")
        for option, value, low, high in ranges
        if not low <= value <= high
    ]
    share = settings.plug_in_share
    if share is not None and not 0.0 <= share <= 1.0:
        found.append(Problem(file, 0, "--plug-in-share", f"{share} is out of range", "0 to 1"))
    if settings.step_minutes not in STEP_MINUTES:
        allowed = ", ".join(str(minutes) for minutes in STEP_MINUTES)
        found.append(Problem(file, 0, "--step-minutes", f"{settings.step_minutes}", allowed))
    if not first <= settings.first_day <= latest:
        text = f"{settings.first_day} is outside the packaged prices"
        found.append(Problem(file, 0, "--date", text, f"{first} to {latest}"))
    unknown = [name for name in settings.mix if name not in KINDS]
    total = sum(settings.mix.values())
    low = min(settings.mix.values(), default=0.0)
    if unknown or not (low >= 0.0 and abs(total - 1.0) <= 1e-6):
        text = f"{', '.join(unknown)} is not known" if unknown else f"shares sum to {total:g}"
        allowed = f"shares of {', '.join(KINDS)}, 0 or more, sum 1"
        found.append(Problem(file, 0, "--mix", text, allowed))
    return found
