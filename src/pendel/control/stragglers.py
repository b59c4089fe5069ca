"""Sites of a large fleet that cannot keep all limits and targets: planned apart, then held.

A site whose ranks prices of two kinds do not tell (`giving`), or without a point inside all its
bounds even where limits and targets give way, has no central path. It is planned alone with all
ranks; for the fleet it is then a fixed load. The proven bound does not hold it fixed: there it may
do whatever it could do at the prices of giving way. At the prices of the nodes that come of this
it is planned again, so that the fleet pays what it should (decision 0163).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pendel.control.elastic import Give
from pendel.control.fleet import FleetResult, Start
from pendel.control.fleet_unmet import joint_limits
from pendel.control.giving import below_minimum, given_of
from pendel.control.linear_model import INF, build_model
from pendel.control.linear_plan import LIMIT_SLACKS
from pendel.control.linear_solve import Engine
from pendel.control.plan_result import Plan
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.schedule import Schedule, verify_schedule
from pendel.control.sections import Sections
from pendel.units import BoolArray, FloatArray, IntArray

ROUNDS, HELD_MAX = 3, 50
LOSS_SHARE = 0.1
"""Part of the wanted gap that held sites may be dearer than they need be."""
RANK_KWH = 1e-6


@dataclass(frozen=True, slots=True)
class Ways:
    """How what gives way is planned: solve(problem, elastic, start, blocks) a fleet;
    verified(problem, found, missed_kwh) as a plan, or None; one site alone with all ranks; all
    together in one (None: too large for that). gap is the wanted one; blocks as of
    `solve_fleet`."""

    solve: Callable[..., FleetResult | list[int]]
    verified: Callable[[PlanProblem, FleetResult, float], Plan | None]
    alone: Callable[[PlanProblem], Plan]
    together: Callable[[], Plan | None] | None
    gap: float
    remaining_s: Callable[[], float]
    blocks: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Sites held at plans of their own, their units' positions, and powers [M, T], energies
    [M, T], net and curtailment [H, T] of these plans; [H]: off_kwh how far a minimum that cannot
    be kept is missed at worst, over_kwh energy over the site's limits, lack_kwh (see there)."""

    sites: IntArray
    units: IntArray
    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    off_kwh: FloatArray
    over_kwh: FloatArray
    lack_kwh: FloatArray


def give_way(problem: PlanProblem, found: FleetResult | list[int], ways: Ways) -> Plan | None:
    """Plan a fleet in which limits and targets cannot all be kept, after a first solve that found
    so: they give way at the sites that did not settle; sites whose ranks prices do not tell are
    planned apart and held. None where that does not end verified."""
    elastic, held, sites = np.zeros(problem.sites, dtype=np.bool_), None, problem.sites
    for _ in range(ROUNDS):
        failed = np.arange(sites) if isinstance(found, FleetResult) else np.array(found)
        if len(failed) == 0:
            return None
        if len(failed) == sites and ways.together is not None:
            return ways.together()
        apart = failed[elastic[failed] | to_hold(problem)[failed]]
        if len(failed) < sites and 0 < len(apart) <= HELD_MAX:
            apart = apart if held is None else np.union1d(held.sites, apart)
            held = hold(problem, apart.tolist(), ways.alone)
        elastic[failed] = True
        if held is not None:
            elastic[held.sites] = False
        rest = problem if held is None else without(problem, held)
        # What a held site pays above must be known: then no feeder is a block.
        found = ways.solve(rest, elastic, None, ways.blocks and held is None)
        if isinstance(found, FleetResult) and (
            found.stopped or elastic.all() or not joint_limits(rest, found)
        ):
            break
    if not isinstance(found, FleetResult):
        return None
    if held is None:
        return ways.verified(problem, found, 0.0)
    return plan_with(problem, found, held, elastic, ways)


def plan_with(
    problem: PlanProblem, found: FleetResult, held: Held, elastic: BoolArray, ways: Ways
) -> Plan | None:
    """The plan with the held sites: these are held again at the prices of the nodes, and the fleet
    is solved again from there, until what that could bring is a small part of the gap."""
    best: Plan | None = None
    for number in range(ROUNDS):
        bound, loss_eur = held_bound_eur(problem, held, found, ways.remaining_s)
        whole = merged(found, held, bound)
        best = better(best, ways.verified(problem, whole, float(held.off_kwh.max())))
        wanted_eur = ways.gap * max(1.0, abs(0.0 if best is None else best.objective_eur))
        small = best is not None and (best.gap <= ways.gap or loss_eur <= LOSS_SHARE * wanted_eur)
        if small or found.stopped or number == ROUNDS - 1 or ways.remaining_s() <= 0.0:
            break
        start, prices = Start(found.node_eur_kw, found.bound_eur), found.node_eur_kw
        held = hold(problem, held.sites.tolist(), ways.alone, prices)
        again = ways.solve(without(problem, held), elastic, start, False)
        if not isinstance(again, FleetResult):
            break
        found = again
    return best


def to_hold(problem: PlanProblem) -> BoolArray:
    """[S] which sites are held where they cannot keep all: those with a car that arrives below its
    minimum (`giving.keeps_ranks`), and those where nobody is connected, with nothing to price."""
    length = np.maximum(problem.units.last - problem.units.first, 0)
    pairs = np.bincount(problem.units.site, weights=length, minlength=problem.sites)
    return np.asarray(below_minimum(problem) | (pairs == 0.0))


def better(first: Plan | None, second: Plan | None) -> Plan | None:
    """Of two plans that are equal in rank the cheaper one, with the better of both bounds."""
    if first is None or second is None:
        return first or second
    cheaper = min(first, second, key=lambda one: one.objective_eur)
    bound_eur = max(first.bound_eur, second.bound_eur)
    return replace(cheaper, bound_eur=min(bound_eur, cheaper.objective_eur))


def hold(
    problem: PlanProblem,
    sites: list[int],
    plan_one: Callable[[PlanProblem], Plan],
    node_eur_kw: FloatArray | None = None,
) -> Held:
    """Plan each of the sites alone; node_eur_kw [F + 2, T]: prices of the nodes that its net
    import pays besides (None: none)."""
    sections = Sections(problem)
    parts = [sections.part(np.array([site])) for site in sites]
    plans = []
    for (part, _), site in zip(parts, sites, strict=True):
        above = 0.0 if node_eur_kw is None else node_eur_kw[sections.node_of[site]]
        plans.append(plan_one(dearer(part, above / problem.step_h)))
    found = [
        (verify_schedule(part, schedule_in(one)), lack_kwh(part, one.energy_kwh))
        for (part, _), one in zip(parts, plans, strict=True)
    ]
    return Held(
        np.array(sites, dtype=np.int64),
        np.concatenate([units for _, units in parts]),
        np.concatenate([one.power_kw for one in plans]),
        np.concatenate([one.energy_kwh for one in plans]),
        np.concatenate([one.net_kw for one in plans]),
        np.concatenate([one.curtailed_kw for one in plans]),
        np.array([verdict.violations.energy_kwh for verdict, _ in found]),
        np.array([verdict.over_limit_kwh for verdict, _ in found]),
        np.array([lack for _, lack in found]),
    )


def lack_kwh(part: PlanProblem, energy_kwh: FloatArray) -> float:
    """Lack of minima that could be reached, summed over units and steps."""
    reach = reach_of(part)
    least = np.where(np.isfinite(reach.minimum), reach.minimum, 0.0)
    return float(np.maximum(least - energy_kwh[reach.unit, reach.step], 0.0).sum())


def dearer(part: PlanProblem, eur_kwh: FloatArray | float) -> PlanProblem:
    """The problem of one site with every kWh of its net import dearer by so much [T]."""
    row = part.price_row[:1]
    return replace(
        part,
        price_row=np.zeros(1, dtype=np.int64),
        import_eur_kwh=part.import_eur_kwh[row] + eur_kwh,
        export_eur_kwh=part.export_eur_kwh[row] + eur_kwh,
    )


def schedule_in(found: Plan | FleetResult) -> Schedule:
    """The schedule of a plan without reserves."""
    return Schedule(found.power_kw, found.energy_kwh, found.net_kw, found.curtailed_kw, np.zeros(0))


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


def held_bound_eur(
    problem: PlanProblem, held: Held, found: FleetResult, remaining_s: Callable[[], float]
) -> tuple[float, float]:
    """The proven bound at the prices of giving way, with the held sites free to do whatever is as
    good in the ranks above targets (-inf where that is not found), and how much dearer than that
    they are held [EUR]. found: the fleet's result with them fixed."""
    sections = Sections(problem)
    free, dear, begin = 0.0, 0.0, 0
    if found.give is None or joint_limits(without(problem, held), found):
        return -INF, 0.0
    for i, site in enumerate(held.sites.tolist()):
        part, units = sections.part(held.sites[i : i + 1])
        part = dearer(part, found.node_eur_kw[sections.node_of[site]] / problem.step_h)
        over, lack = float(held.over_kwh[i]), float(held.lack_kwh[i])
        least = least_eur(part, found.give, over, lack, remaining_s)
        own = slice(begin, begin + len(units))
        verdict = verify_schedule(
            part,
            Schedule(
                held.power_kw[own], held.energy_kwh[own], held.net_kw[i : i + 1],
                held.curtailed_kw[i : i + 1], np.zeros(0),
            ),
        )  # fmt: skip
        begin, free = own.stop, free + least
        dear += verdict.objective_eur + given_of(part, verdict).eur(found.give) - least
    return found.bound_eur - held_eur(problem, held, sections, found) + free, dear


def least_eur(
    part: PlanProblem, give: Give, over: float, lack: float, remaining_s: Callable[[], float]
) -> float:
    """Least cost at the prices of giving way of what a site alone can do with no more than the
    least energy over its limits [kWh] and, at that, the least lack of minima [kWh, summed over
    steps]; -inf where these are not over, lack.

    In every plan of the fleet that is best in these two ranks each held site is, as the plan at
    hand is best at all of them at once.
    """
    model = build_model(part, reach_of(part))
    engine = Engine(model, remaining_s)
    limits = np.concatenate([model.blocks[name] for name in LIMIT_SLACKS])
    short = np.concatenate([model.blocks["shortfall"], model.blocks["floor_lack"]])
    stages = (limits, part.step_h, over), (model.blocks["minimum_lack"], 1.0, lack)
    for columns in (limits, model.blocks["minimum_lack"], short):
        engine.open_columns(columns)
    for columns, weight, known in stages:
        engine.set_cost(columns, np.full(len(columns), weight))
        if engine.run() != "optimal":
            return -INF
        if abs(engine.objective() - model.offset_eur - known) > RANK_KWH * max(1.0, known):
            return -INF
        engine.keep_optimum()
    engine.cost = engine.cost.copy()
    engine.cost[limits] += part.step_h * give.over_eur_kwh
    engine.cost[short] += give.short_eur_kwh
    engine.restore_cost()
    return engine.bound(engine.run() == "optimal")


def held_eur(problem: PlanProblem, held: Held, sections: Sections, found: FleetResult) -> float:
    """What the held sites cost as fixed loads, prices of the nodes above included."""
    net, row = held.net_kw, problem.price_row[held.sites]
    paid = problem.import_eur_kwh[row] * np.maximum(net, 0.0)
    paid -= problem.export_eur_kwh[row] * np.maximum(-net, 0.0)
    peak = np.maximum(net.max(axis=1, initial=0.0), problem.peak_so_far_kw[held.sites])
    above = found.node_eur_kw[sections.node_of[held.sites]] * net
    charge = float((problem.demand_charge_eur_kw[held.sites] * peak).sum())
    return float(problem.step_h * paid.sum()) + charge + float(above.sum())
