"""Every wish that a plan cannot meet, named with its reason in words for people."""

from dataclasses import replace

import numpy as np

from pendel.control.plan_result import Unmet
from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach, reach_of
from pendel.control.schedule import Schedule, with_units
from pendel.units import LIMIT_TOLERANCE, FloatArray

TOLERANCE_KWH = 1e-6
AT_LIMIT_KW = 1e-4
LISTED_UNITS_MAX = 1_000


def unmet_wishes(
    problem: PlanProblem, reach: Reach, schedule: Schedule, shortfall_kwh: FloatArray
) -> tuple[Unmet, ...]:
    """Units that end below what was wanted, in order, then limits that could not be kept."""
    flows = _flows(problem, schedule)
    wishes = [
        Unmet(
            unit=int(unit),
            site=int(problem.units.site[unit]),
            lacking_kwh=float(shortfall_kwh[unit]),
            reason=_why_short(problem, reach, schedule, flows, int(unit), shortfall_kwh[unit]),
        )
        for unit in np.flatnonzero(shortfall_kwh > TOLERANCE_KWH)
    ]
    wishes += _below_floor(problem, reach, schedule, flows, shortfall_kwh)
    return tuple(wishes + _over_limits(problem, reach, schedule, flows))


def unmet_in_large(
    problem: PlanProblem, schedule: Schedule, shortfall_kwh: FloatArray
) -> tuple[tuple[Unmet, ...], int]:
    """As `unmet_wishes`, but looks closely only at the sites of the first LISTED_UNITS_MAX units
    that lack something; the second number counts the units left out."""
    lacking = np.flatnonzero(shortfall_kwh > TOLERANCE_KWH)
    told = lacking[:LISTED_UNITS_MAX]
    rows = np.flatnonzero(np.isin(problem.units.site, problem.units.site[told]))
    part = with_units(problem, rows)
    own = replace(schedule, power_kw=schedule.power_kw[rows], energy_kwh=schedule.energy_kwh[rows])
    lack = np.where(np.isin(rows, told), shortfall_kwh[rows], 0.0)
    found = unmet_wishes(part, reach_of(part), own, lack)
    wishes = (
        replace(wish, unit=int(rows[wish.unit])) if wish.unit >= 0 else wish for wish in found
    )
    return tuple(wishes), len(lacking) - len(told)


def _flows(problem: PlanProblem, schedule: Schedule) -> FloatArray:
    """[F, T] net through each feeder."""
    flows = np.zeros((len(problem.feeders), problem.steps))
    at = problem.feeder
    for _ in range(len(problem.feeders)):  # one level of the tree after the other
        inside = at >= 0
        if not inside.any():
            break
        np.add.at(flows, at[inside], schedule.net_kw[inside])
        at = np.where(inside, problem.feeders.parent[np.maximum(at, 0)], -1)
    return flows


def _why_short(
    problem: PlanProblem,
    reach: Reach,
    schedule: Schedule,
    flows: FloatArray,
    unit: int,
    lacking: float,
) -> str:
    """Too late, too slow, or the limit that holds it back."""
    units = problem.units
    wanted, reachable = float(reach.wanted[unit]), float(reach.reachable[unit])
    reasons = []
    if wanted - reachable > TOLERANCE_KWH:
        steps = int(reach.offset[unit + 1] - reach.offset[unit])
        if steps == 0:
            reasons.append(f"not connected for a whole step, {wanted:.6g} kWh asked for")
        else:
            reasons.append(
                f"{steps * problem.step_h:.4g} h are too short to reach {wanted:.6g} kWh at "
                f"{units.charge_max_kw[unit]:.4g} kW ({reachable:.6g} kWh at most)"
            )
    if lacking - max(wanted - reachable, 0.0) > TOLERANCE_KWH:
        reasons.append(_which_limit(problem, reach, schedule, flows, unit))
    return "; ".join(reasons)


def _which_limit(
    problem: PlanProblem, reach: Reach, schedule: Schedule, flows: FloatArray, unit: int
) -> str:
    """The limit that is reached in most steps in which the unit could have charged more."""
    units, site = problem.units, int(problem.units.site[unit])
    window = np.arange(max(int(units.first[unit]), 0), min(int(units.last[unit]), problem.steps))
    power = schedule.power_kw[unit, window]
    window = window[power < units.charge_max_kw[unit] - AT_LIMIT_KW]
    if len(window) == 0:
        return "stored energy is needed elsewhere"
    found: list[tuple[int, str]] = []
    limit = reach.import_kw[site, window]
    full = schedule.net_kw[site, window] >= limit - AT_LIMIT_KW
    share = int(_cars_in(problem, site, window))
    found.append(
        (
            int(full.sum()),
            f"site limit {limit.min():.4g} kW shared by {share} car{'s' if share != 1 else ''}",
        )
    )
    at = int(problem.feeder[site])
    while at >= 0:
        flow = flows[at, window]
        bound = float(problem.feeders.import_limit_kw[at])
        name = str(problem.feeders.feeder_id[at])
        count = int((flow >= bound - AT_LIMIT_KW).sum())
        found.append((count, f"feeder {name} is at its limit of {bound:.4g} kW"))
        at = int(problem.feeders.parent[at])
    total = schedule.net_kw.sum(axis=0)[window]
    bounds = problem.portfolio_import_limit_kw[window]
    count = int((total >= bounds - AT_LIMIT_KW).sum())
    found.append((count, f"portfolio limit {bounds.min():.4g} kW"))
    steps, reason = max(found, key=lambda entry: entry[0])
    return reason if steps else "limits of the site, feeders and portfolio together"


def _cars_in(problem: PlanProblem, site: int, window: FloatArray) -> int:
    """Cars connected at the site at any time of the window."""
    units = problem.units
    overlap = (units.first <= window[-1]) & (units.last > window[0])
    return int((overlap & (units.site == site) & units.is_session).sum())


def _below_floor(
    problem: PlanProblem,
    reach: Reach,
    schedule: Schedule,
    flows: FloatArray,
    shortfall_kwh: FloatArray,
) -> list[Unmet]:
    """Units that stay below their minimum or floor for a while although the end is met."""
    energy = schedule.energy_kwh[reach.unit, reach.step]
    lack = np.maximum(np.maximum(reach.minimum, reach.floor) - energy, 0.0)
    worst = np.zeros(len(problem.units))
    np.maximum.at(worst, reach.unit, lack)
    return [
        Unmet(
            unit=int(unit),
            site=int(problem.units.site[unit]),
            lacking_kwh=float(worst[unit]),
            reason=f"stays up to {worst[unit]:.4g} kWh below its least energy for a while: "
            + _which_limit(problem, reach, schedule, flows, int(unit)),
        )
        for unit in np.flatnonzero((worst > LIMIT_TOLERANCE) & (shortfall_kwh <= TOLERANCE_KWH))
    ]


def _over_limits(
    problem: PlanProblem, reach: Reach, schedule: Schedule, flows: FloatArray
) -> list[Unmet]:
    """Sites, feeders and the portfolio over their limits, with how much and when it is worst."""
    net = schedule.net_kw
    over_site = np.maximum(net - reach.import_kw, -net - reach.export_kw).max(axis=1, initial=0.0)
    nodes: list[tuple[int, str, FloatArray, FloatArray, FloatArray]] = [
        (site, "site", net[site], reach.import_kw[site], reach.export_kw[site])
        for site in np.flatnonzero(over_site > LIMIT_TOLERANCE).tolist()
    ]
    ones = np.ones(problem.steps)
    for node in range(len(problem.feeders)):
        feeders = problem.feeders
        flow = flows[node]
        bounds = feeders.import_limit_kw[node] * ones, feeders.export_limit_kw[node] * ones
        nodes.append((-1, f"feeder {feeders.feeder_id[node]}", flow, *bounds))
    bounds = problem.portfolio_import_limit_kw, problem.portfolio_export_limit_kw
    nodes.append((-1, "portfolio", schedule.net_kw.sum(axis=0), *bounds))
    return [wish for node in nodes for wish in over_limits(*node, problem.step_h)]


def over_limits(
    site: int, name: str, flow: FloatArray, imports: FloatArray, exports: FloatArray, step_h: float
) -> list[Unmet]:
    """What a net import [T] of a node is over its limits, with how much and when it is worst."""
    found = []
    for over, word, limit in (
        (np.maximum(flow - imports, 0.0), "import", imports),
        (np.maximum(-flow - exports, 0.0), "export", exports),
    ):
        if over.max(initial=0.0) <= LIMIT_TOLERANCE:
            continue
        worst = int(over.argmax())
        reason = (
            f"{name}: {word} of {abs(flow[worst]):.6g} kW cannot be brought down to the "
            f"limit of {limit[worst]:.6g} kW (worst in step {worst}, "
            f"{int((over > LIMIT_TOLERANCE).sum())} steps in all)"
        )
        found.append(Unmet(-1, site, lacking_kwh=step_h * float(over.sum()), reason=reason))
    return found
