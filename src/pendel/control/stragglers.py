"""Sites of a large fleet that cannot keep all limits and targets: planned apart, then held.

A site without a point inside all its bounds has no central path. It is planned alone with all ranks
(least shortfall before cost); for the fleet it is then a fixed load. The proven bound does not
hold it fixed: there the site may do whatever its units could do with no target and no minimum.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pendel.control.fleet import Fleet, FleetResult
from pendel.control.plan_result import Plan
from pendel.control.problem import PlanProblem
from pendel.control.sections import Sections
from pendel.units import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Held:
    """Sites held at plans of their own, their units' positions, and powers [M, T], energies
    [M, T], net and curtailment [H, T] of these plans."""

    sites: IntArray
    units: IntArray
    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray


def hold(problem: PlanProblem, sites: list[int], plan_one: Callable[[PlanProblem], Plan]) -> Held:
    """Plan each of the sites alone."""
    sections = Sections(problem)
    parts = [(sections.part(np.array([site])), site) for site in sites]
    plans = [plan_one(part) for (part, _), _ in parts]
    return Held(
        np.array(sites, dtype=np.int64),
        np.concatenate([units for (_, units), _ in parts]),
        np.concatenate([one.power_kw for one in plans]),
        np.concatenate([one.energy_kwh for one in plans]),
        np.concatenate([one.net_kw for one in plans]),
        np.concatenate([one.curtailed_kw for one in plans]),
    )


def without(problem: PlanProblem, held: Held) -> PlanProblem:
    """The problem with the held sites as fixed loads."""
    units = problem.units
    last, terminal = units.last.copy(), units.terminal_eur_kwh.copy()
    last[held.units] = units.first[held.units]
    terminal[held.units] = 0.0
    load, pv = problem.load_kw.copy(), problem.pv_kw.copy()
    load[held.sites], pv[held.sites] = held.net_kw, 0.0
    imports, exports = problem.import_limit_kw.copy(), problem.export_limit_kw.copy()
    imports[held.sites] = np.maximum(imports[held.sites], held.net_kw + 1.0)
    exports[held.sites] = np.maximum(exports[held.sites], 1.0 - held.net_kw)
    return replace(
        problem,
        units=replace(units, last=last, terminal_eur_kwh=terminal),
        load_kw=load,
        pv_kw=pv,
        import_limit_kw=imports,
        export_limit_kw=exports,
        home_only=None
        if problem.home_only is None
        else problem.home_only & ~np.isin(np.arange(problem.sites), held.sites),
    )


def merged(found: FleetResult, held: Held, bound_eur: float) -> FleetResult:
    """The fleet's plan with the held sites' own."""
    for whole, part, rows in (
        (found.power_kw, held.power_kw, held.units),
        (found.energy_kwh, held.energy_kwh, held.units),
        (found.net_kw, held.net_kw, held.sites),
        (found.curtailed_kw, held.curtailed_kw, held.sites),
    ):
        whole[rows] = part
    return replace(found, bound_eur=bound_eur)


def released_bound_eur(
    problem: PlanProblem, held: Held, found: FleetResult, aim: float = 1e-4
) -> float:
    """The proven bound with the held sites free to do more than they could; -inf where even that
    does not settle. found: the fleet's result with them fixed."""
    sections = Sections(problem)
    part, units = sections.part(held.sites)
    nothing = np.zeros(len(units))
    easy = replace(
        part,
        units=replace(part.units, target_kwh=nothing, energy_min_kwh=nothing),
        feeder=problem.feeder[held.sites],
        feeders=problem.feeders,
        portfolio_import_limit_kw=problem.portfolio_import_limit_kw,
        portfolio_export_limit_kw=problem.portfolio_export_limit_kw,
        market=problem.market,
        floor_kwh=None,
    )
    fleet = Fleet(easy)
    fleet.aim = aim
    freed = fleet.one_pass(found.node_eur_kw / fleet.scale, lambda: float("inf"))
    if freed.failed:
        return -float("inf")
    return found.bound_eur - held_eur(problem, held, sections, found) + fleet.scale * freed.bound


def held_eur(problem: PlanProblem, held: Held, sections: Sections, found: FleetResult) -> float:
    """What the held sites cost as fixed loads, prices of the nodes above included."""
    net, row = held.net_kw, problem.price_row[held.sites]
    paid = problem.import_eur_kwh[row] * np.maximum(net, 0.0)
    paid -= problem.export_eur_kwh[row] * np.maximum(-net, 0.0)
    peak = np.maximum(net.max(axis=1, initial=0.0), problem.peak_so_far_kw[held.sites])
    above = found.node_eur_kw[sections.node_of[held.sites]] * net
    charge = float((problem.demand_charge_eur_kw[held.sites] * peak).sum())
    return float(problem.step_h * paid.sum()) + charge + float(above.sum())
