"""Where limits and targets cannot all be kept: what gives way, and what a plan then proves.

The contract ranks limits before targets before cost. In one linear programme that is a price for
each kWh over a limit and a lower one for each kWh below a target, both far above what money
could buy (Mangasarian, Meyer, SIAM J. Control Optim. 17 (1979): such prices are exact from some
height on). Least cost at these prices is then least excess, least shortfall, least cost, in that
order, and a bound at these prices is a bound of the cost of every plan that is as good in both.
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.elastic import Give
from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.control.schedule import Schedule
from pendel.control.verify import Verdict
from pendel.units import LIMIT_TOLERANCE, BoolArray

FINE_UNITS = 2_000
FINE_FACTOR, SHORT_FACTOR, OVER_FACTOR = 1_000.0, 100.0, 30.0
"""How much dearer a kWh below a target is than one bought (the finer one for small problems solved
as a whole), and one over a limit than one below a target. Lossy detours through other batteries
make a target dearer than a price tells; higher factors cost the interior point iterations, and
digits: sites keep their multipliers in float32 between the passes of the price method."""


@dataclass(frozen=True, slots=True)
class Given:
    """What gave way in a plan [kWh]: over limits, and below targets that were in reach."""

    over_kwh: float
    short_kwh: float

    def eur(self, give: Give) -> float:
        """What that costs at the prices of giving way."""
        return give.over_eur_kwh * self.over_kwh + give.short_eur_kwh * self.short_kwh


def give_of(problem: PlanProblem, fine: bool = True) -> Give:
    """Prices above anything that a kWh of target, or one below a limit, could save or cost; fine:
    higher ones for small problems."""
    units, market = problem.units, problem.market
    rate = float(np.abs(problem.import_eur_kwh).max(initial=0.0))
    rate = max(rate, float(np.abs(problem.export_eur_kwh).max(initial=0.0)))
    if market is not None:
        deviation = np.concatenate([market.short_eur_kwh, market.long_eur_kwh])
        rate += float(np.abs(deviation).max(initial=0.0))
    rate += float(units.wear_eur_kwh.max(initial=0.0))
    rate += float(units.terminal_eur_kwh.max(initial=0.0))
    rate += float(problem.demand_charge_eur_kw.max(initial=0.0)) / problem.step_h
    factor = FINE_FACTOR if fine and len(units) <= FINE_UNITS else SHORT_FACTOR
    short = factor * max(rate, 0.01)
    return Give(OVER_FACTOR * short, short)


def dearest_eur(problem: PlanProblem) -> float:
    """More than any schedule costs that keeps all limits [EUR]: a higher bound tells that there is
    none."""
    units, market = problem.units, problem.market
    hours = np.maximum(units.last - units.first, 0) * problem.step_h
    powers = units.charge_max_kw + units.discharge_max_kw
    flows = problem.step_h * float((problem.load_kw + problem.pv_kw).sum())
    flows += float((hours * powers).sum())
    rate = float(np.abs(problem.import_eur_kwh).max(initial=0.0))
    rate = max(rate, float(np.abs(problem.export_eur_kwh).max(initial=0.0)))
    rate += 2.0 * float(units.wear_eur_kwh.max(initial=0.0))
    cost = 2.0 * rate * flows
    if market is not None:
        off = flows + problem.step_h * float(np.abs(market.position_kw).sum())
        cost += off * float(np.maximum(market.short_eur_kwh, market.long_eur_kwh).max(initial=0.0))
    here = np.bincount(units.site, powers, problem.sites)
    peak = (problem.load_kw + problem.pv_kw).max(axis=1, initial=0.0) + here
    cost += float((problem.demand_charge_eur_kw * (peak + problem.peak_so_far_kw)).sum())
    return cost + float((units.terminal_eur_kwh * units.capacity_kwh).sum())


def given_of(problem: PlanProblem, verdict: Verdict) -> Given:
    """What gave way in a verified plan; targets that charging at once could not reach did not."""
    units = problem.units
    hours = np.maximum(units.last - units.first, 0) * problem.step_h
    rate = units.charge_efficiency * units.charge_max_kw
    highest = np.maximum(units.capacity_kwh, units.energy_start_kwh)
    reachable = np.minimum(units.energy_start_kwh + hours * rate, highest)
    wanted = np.maximum(
        units.target_kwh, np.where(units.last > units.first, units.energy_min_kwh, 0.0)
    )
    never = np.maximum(wanted - reachable, 0.0)
    short = np.maximum(verdict.shortfall_kwh - never, 0.0)
    return Given(verdict.over_limit_kwh, float(short.sum()))


def keeps_ranks(problem: PlanProblem, reach: Reach, schedule: Schedule, verdict: Verdict) -> bool:
    """Whether only limits and targets gave way in a schedule, and no limit for a car below its
    minimum: that stands between both, which prices of two kinds do not tell apart."""
    off = verdict.violations
    if max(off.energy_kwh, off.power_kw) > LIMIT_TOLERANCE:
        return False
    below = below_minimum(problem)
    if not below.any():
        return True
    over = (schedule.net_kw - reach.import_kw > LIMIT_TOLERANCE).any(axis=1)
    joint = max(off.feeder_kw, off.portfolio_kw) > LIMIT_TOLERANCE
    return not (joint or bool((over & below).any()))


def below_minimum(problem: PlanProblem) -> BoolArray:
    """[S] whether a car arrives below its minimum at a site."""
    units, out = problem.units, np.zeros(problem.sites, dtype=np.bool_)
    least = np.minimum(units.energy_min_kwh, units.capacity_kwh)
    out[units.site[(units.energy_start_kwh < least) & (units.last > units.first)]] = True
    return out
