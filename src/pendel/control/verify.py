"""The independent verifier: recomputes everything from the plan alone.

Shares nothing with the planner (no model, no bounds, no flattening): it walks unit by unit and
step by step through the contract's text. Used before a plan is returned, and by `pendel plan` on
the files it has written.

    e[t+1] = e[t] + h (eta_c max(p,0) - max(-p,0)/eta_d)
    net = load - (pv - curtailed) + sum of p
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.plan_result import Violations
from pendel.control.problem import PlanProblem
from pendel.control.verify_kernels import follow_energy
from pendel.units import FloatArray

PART_UNITS = 32_768


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a plan really is. Shapes: N units, S sites, T steps.

    objective_eur is its cost by the contract; shortfall_kwh [N] lacks of the wanted energy at the
    end of the window; over_limit_kwh energy over site, feeder and portfolio limits.
    """

    violations: Violations
    objective_eur: float
    shortfall_kwh: FloatArray
    over_limit_kwh: float
    curtailed_kwh: float


def verify(
    problem: PlanProblem,
    power_kw: FloatArray,
    energy_kwh: FloatArray,
    net_kw: FloatArray,
    curtailed_kw: FloatArray,
    reserve_kw: FloatArray,
    stated_shortfall_kwh: float,
) -> Verdict:
    """Verdict on a plan given as arrays [N, T], [N, T] (NaN where idle), [S, T], [S, T], [K].

    energy_kwh violations: energy outside [minimum, capacity] or not following from the power;
    site_kw: also a net that does not follow; target_kwh: shortfall beyond the stated one.
    """
    walked = _walk(problem, power_kw, energy_kwh)
    stored, fastest = walked.stored_kwh, walked.fastest_kwh
    net = problem.load_kw - (problem.pv_kw - curtailed_kw)
    np.add.at(net, problem.units.site, power_kw)
    site_off, site_over = _site_violation(problem, net, net_kw, curtailed_kw)
    feeder_off, feeder_over = _feeder_violation(problem, net)
    total = net.sum(axis=0)
    beyond = np.maximum(
        total - problem.portfolio_import_limit_kw, -total - problem.portfolio_export_limit_kw
    )
    portfolio_over = np.maximum(beyond, 0.0)
    shortfall = _shortfall(problem, fastest, stored)
    reserve_off = _reserve_violation(problem, power_kw, walked.energy_kwh, reserve_kw)
    violations = Violations(
        energy_kwh=float(walked.energy_off_kwh),
        power_kw=float(max(walked.power_off_kw, reserve_off)),
        site_kw=float(site_off),
        feeder_kw=float(feeder_off),
        portfolio_kw=float(portfolio_over.max(initial=0.0)),
        target_kwh=float(max(shortfall.sum() - stated_shortfall_kwh, 0.0)),
    )
    return Verdict(
        violations=violations,
        objective_eur=money(problem, power_kw, net, stored, fastest, reserve_kw),
        shortfall_kwh=shortfall,
        over_limit_kwh=problem.step_h * (site_over + feeder_over + float(portfolio_over.sum())),
        curtailed_kwh=float(problem.step_h * curtailed_kw.sum()),
    )


def _parts(count: int) -> list[slice]:
    """Units a few at a time: a million of them must not need arrays of a million rows at once."""
    return [slice(begin, begin + PART_UNITS) for begin in range(0, count, PART_UNITS)]


@dataclass(frozen=True, slots=True)
class _Walked:
    """Every unit followed through time: energy at the end and what charging at once would have
    reached [N], the worst violations, and the energy before each step [N, T + 1] where reserves
    ask for it (else no rows)."""

    stored_kwh: FloatArray
    fastest_kwh: FloatArray
    energy_off_kwh: float
    power_off_kw: float
    energy_kwh: FloatArray


def _walk(problem: PlanProblem, power_kw: FloatArray, stated_kwh: FloatArray) -> _Walked:
    units, count = problem.units, len(problem.units)
    stored, fastest = np.empty(count), np.empty(count)
    with_reserves = problem.reserves is not None and len(problem.reserves) > 0
    kept = np.empty((count if with_reserves else 0, problem.steps + 1))
    energy_off = power_off = 0.0
    for part in _parts(count):
        power = np.ascontiguousarray(power_kw[part])
        energy = kept[part] if with_reserves else np.empty((len(power), problem.steps + 1))
        off = follow_energy(
            problem.step_h, units.first[part], units.last[part], units.energy_start_kwh[part],
            units.capacity_kwh[part], units.energy_min_kwh[part], units.charge_max_kw[part],
            units.charge_efficiency[part], units.discharge_efficiency[part], power,
            np.ascontiguousarray(stated_kwh[part]), energy, fastest[part],
        )  # fmt: skip
        stored[part] = energy[:, -1]
        energy_off = max(energy_off, off)
        power_off = max(power_off, _power_violation(problem, part, power))
    return _Walked(stored, fastest, energy_off, power_off, kept)


def _shortfall(problem: PlanProblem, fastest: FloatArray, stored: FloatArray) -> FloatArray:
    """[N] lack of the reachable target, and what of target or minimum was never in reach."""
    units = problem.units
    minimum = np.where(units.last > units.first, units.energy_min_kwh, 0.0)
    never = np.maximum(np.maximum(units.target_kwh, minimum) - fastest, 0.0)
    return never + np.maximum(np.minimum(units.target_kwh, fastest) - stored, 0.0)


def _power_violation(problem: PlanProblem, part: slice, power_kw: FloatArray) -> float:
    """Worst power of some units [n, T] beyond their limits, or any while not connected [kW]."""
    units = problem.units
    steps = np.arange(problem.steps)[None, :]
    here = (units.first[part, None] <= steps) & (steps < units.last[part, None])
    most = np.where(here, units.charge_max_kw[part, None], 0.0)
    least = np.where(here, -units.discharge_max_kw[part, None], 0.0)
    off = np.maximum(power_kw - most, least - power_kw)
    if not np.isfinite(power_kw).all():
        return float("inf")
    return float(off.max(initial=0.0))


def _site_violation(
    problem: PlanProblem, net: FloatArray, stated_net: FloatArray, curtailed_kw: FloatArray
) -> tuple[float, float]:
    """Worst violation of a site limit, of curtailment or of a stated net [kW]; sum over [kW]."""
    export_limit = problem.export_limit_kw
    if problem.home_only is not None:
        surplus = np.maximum(problem.pv_kw - problem.load_kw, 0.0)
        home = np.minimum(export_limit, surplus)
        export_limit = np.where(problem.home_only[:, None], home, export_limit)
    over = np.maximum(np.maximum(net - problem.import_limit_kw, -net - export_limit), 0.0)
    worst = max(
        over.max(initial=0.0),
        np.abs(net - stated_net).max(initial=0.0),
        (-curtailed_kw).max(initial=0.0),
        (curtailed_kw - problem.pv_kw).max(initial=0.0),
    )
    return float(worst), float(over.sum())


def _feeder_violation(problem: PlanProblem, net: FloatArray) -> tuple[float, float]:
    """Worst violation of a feeder limit [kW] and the sum over all feeders and steps [kW]."""
    feeders = problem.feeders
    if len(feeders) == 0:
        return 0.0, 0.0
    flow = np.zeros((len(feeders), problem.steps))
    for site in range(problem.sites):
        above = int(problem.feeder[site])
        while above >= 0:
            flow[above] += net[site]
            above = int(feeders.parent[above])
    over = np.maximum(
        flow - feeders.import_limit_kw[:, None], -flow - feeders.export_limit_kw[:, None]
    )
    over = np.maximum(over, 0.0)
    return float(over.max(initial=0.0)), float(over.sum())


def _reserve_violation(
    problem: PlanProblem, power_kw: FloatArray, energy: FloatArray, reserve_kw: FloatArray
) -> float:
    """Reserve sold beyond the power and energy headroom of all units, block by block [kW].

    Units hold what they can alone; blocks that overlap share power and energy in order.
    """
    reserves, units = problem.reserves, problem.units
    if reserves is None or len(reserves) == 0:
        return 0.0
    worst = float(np.max(reserve_kw - reserves.max_kw, initial=0.0))
    worst = max(worst, float(np.max(-reserve_kw, initial=0.0)))
    for t in range(problem.steps):
        active = [
            k for k in range(len(reserves)) if reserves.from_step[k] <= t < reserves.until_step[k]
        ]
        if not active:
            continue
        here = (units.first <= t) & (t < units.last)
        lowest = np.minimum(energy[:, t], energy[:, t + 1])
        highest = np.maximum(energy[:, t], energy[:, t + 1])
        spare_up = (lowest - units.energy_min_kwh) * units.discharge_efficiency
        spare_down = (units.capacity_kwh - highest) / units.charge_efficiency
        for sign, spare, power in (
            (1, spare_up, power_kw[:, t] + units.discharge_max_kw),
            (-1, spare_down, units.charge_max_kw - power_kw[:, t]),
        ):
            asked = [k for k in active if reserves.direction[k] in (0, sign)]
            power_sum = float(np.sum(np.maximum(power, 0.0), where=here, initial=0.0))
            energy_sum = float(np.sum(np.maximum(spare, 0.0), where=here, initial=0.0))
            kw = float(sum(reserve_kw[k] for k in asked))
            kwh = float(sum(reserve_kw[k] * reserves.hold_h[k] for k in asked))
            worst = max(worst, kw - power_sum, kwh - energy_sum)
            if len(asked) == 1 and reserves.hold_h[asked[0]] > 0.0:
                both = np.minimum(power, spare / reserves.hold_h[asked[0]])
                worst = max(worst, kw - float(np.sum(np.maximum(both, 0.0), where=here)))
    return worst


def money(
    problem: PlanProblem,
    power_kw: FloatArray,
    net_kw: FloatArray,
    stored_kwh: FloatArray,
    fastest_kwh: FloatArray,
    reserve_kw: FloatArray,
) -> float:
    """Cost of a plan [EUR] as the contract sums it; stored_kwh [N] is the energy at the end and
    fastest_kwh [N] what charging at once would have reached.

    With presence weights money counts the unit's power by the weight of the step, and so the
    energy that it stores: only what is stored while the car is still there leaves with it.
    """
    units, h = problem.units, problem.step_h
    weighted = power_kw if problem.presence is None else power_kw * problem.presence
    net = net_kw
    if problem.presence is not None:
        net = net_kw.copy()
        np.add.at(net, units.site, weighted - power_kw)
    imported, exported = np.maximum(net, 0.0), np.maximum(-net, 0.0)
    row = problem.price_row
    cost = h * float(
        (problem.import_eur_kwh[row] * imported - problem.export_eur_kwh[row] * exported).sum()
    )
    for part in _parts(len(units)):
        into = np.maximum(weighted[part], 0.0) * units.charge_efficiency[part, None]
        into += np.maximum(-weighted[part], 0.0) / units.discharge_efficiency[part, None]
        cost += h * float(units.wear_eur_kwh[part] @ into.sum(axis=1))
    peak = np.maximum(imported.max(axis=1, initial=0.0), problem.peak_so_far_kw)
    cost += float((problem.demand_charge_eur_kw * peak).sum())
    if problem.market is not None:
        deviation = net.sum(axis=0) - problem.market.position_kw
        cost += h * float((problem.market.short_eur_kwh * np.maximum(deviation, 0.0)).sum())
        cost += h * float((problem.market.long_eur_kwh * np.maximum(-deviation, 0.0)).sum())
    if problem.reserves is not None:
        blocks = problem.reserves
        hours = (blocks.until_step - blocks.from_step) * h
        cost -= float((blocks.price_eur_mw_h * reserve_kw * hours).sum()) / 1000.0
    above = np.maximum(stored_kwh - units.target_kwh, 0.0)
    if problem.presence is not None:
        lost = h * ((power_gain(problem, power_kw) - power_gain(problem, weighted)).sum(axis=1))
        above = np.where(units.target_kwh <= fastest_kwh, above - lost, 0.0)
    return cost - float((units.terminal_eur_kwh * above).sum())


def power_gain(problem: PlanProblem, power_kw: FloatArray) -> FloatArray:
    """Rate of change of stored energy [kW] for AC power [N, T]."""
    units = problem.units
    return np.where(
        power_kw > 0.0,
        power_kw * units.charge_efficiency[:, None],
        power_kw / units.discharge_efficiency[:, None],
    )
