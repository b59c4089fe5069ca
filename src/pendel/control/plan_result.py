"""What a planner hands over: schedules, their cost, the proven bound, and every unmet wish."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pendel.units import FloatArray

if TYPE_CHECKING:
    from pendel.control.warm import FleetMemory


@dataclass(frozen=True, slots=True)
class Unmet:
    """A wish that cannot be met: unit index (-1 = a site limit), how much, and why in words."""

    unit: int
    site: int
    lacking_kwh: float
    reason: str


@dataclass(frozen=True, slots=True)
class Violations:
    """Largest violation of each kind, recomputed from the written plan alone (0 = none)."""

    energy_kwh: float
    power_kw: float
    site_kw: float
    feeder_kw: float
    portfolio_kw: float
    target_kwh: float

    def within(self, tolerance: float) -> bool:
        """Whether every violation is at most the tolerance."""
        return (
            max(
                self.energy_kwh,
                self.power_kw,
                self.site_kw,
                self.feeder_kw,
                self.portfolio_kw,
                self.target_kwh,
            )
            <= tolerance
        )


@dataclass(frozen=True, slots=True)
class PlanCost:
    """What the last plan of a site costs over its horizon, as far as it is known [EUR].

    None where the plan was not made by solving the problem of the contract: the sweep and the
    policy know neither. sites: how many sites the amounts are for, planned together.
    """

    method: str
    objective_eur: float | None = None
    bound_eur: float | None = None
    shortfall_kwh: float = 0.0
    sites: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of a PlanProblem. Shapes: N units, S sites, T steps, K reserve blocks.

    power_kw [N, T] AC, signed; energy_kwh [N, T] at the end of the step (NaN outside the window);
    net_kw, curtailed_kw [S, T]; reserve_kw [K]. bound_eur is a proven lower bound of the cost;
    shortfall_kwh [N] what each unit lacks of its (highest reachable) target plus what was never
    reachable; over_limit_kwh: energy over limits that nothing could keep (0 if feasible).
    unmet: wishes with their reasons; of very many, unmet_more are only counted. memory: of a large
    fleet in which nothing gave way, what the next cycle can begin with (`control.warm`).
    """

    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    reserve_kw: FloatArray
    objective_eur: float
    bound_eur: float
    shortfall_kwh: FloatArray
    over_limit_kwh: float
    feasible: bool
    unmet: tuple[Unmet, ...]
    method: str
    unmet_more: int = 0
    memory: "FleetMemory | None" = None

    @property
    def gap(self) -> float:
        """(objective - bound) / max(1, |bound|), as the contract defines it."""
        return (self.objective_eur - self.bound_eur) / max(1.0, abs(self.bound_eur))
