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
from pendel.control.verify_kernels import follow_energy, sum_powers
from pendel.scenario.unit_rows import UnitRows, whole_windows
from pendel.units import FloatArray


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
    """Verdict on a plan given as arrays [N, T], [N, T] (NaN where idle), [S, T], [S, T], [K]."""
    rows = UnitRows(
        whole_windows(len(problem.units), problem.steps),
        np.ascontiguousarray(power_kw).reshape(-1),
        np.ascontiguousarray(energy_kwh).reshape(-1),
    )
    return verify_rows(problem, rows, net_kw, curtailed_kw, reserve_kw, stated_shortfall_kwh)


def verify_rows(
    problem: PlanProblem,
    rows: UnitRows,
    net_kw: FloatArray,
    curtailed_kw: FloatArray,
    reserve_kw: FloatArray,
    stated_shortfall_kwh: float,
) -> Verdict:
    """Verdict on the units' rows, net and curtailment [S, T] and reserves [K].

    energy_kwh violations: energy outside [minimum, capacity] or not following from the power;
    site_kw: also a net that does not follow; target_kwh: shortfall beyond the stated one.
    """
    energy, stored, energy_off, fastest = _energies(problem, rows)
    net = problem.load_kw - (problem.pv_kw - curtailed_kw)
    power_off, wear_eur = _powers(problem, rows, net)
    site_off, site_over = _site_violation(problem, net, net_kw, curtailed_kw)
    feeder_off, feeder_over = _feeder_violation(problem, net)
    total = net.sum(axis=0)
    beyond = np.maximum(
        total - problem.portfolio_import_limit_kw, -total - problem.portfolio_export_limit_kw
    )
    portfolio_over = np.maximum(beyond, 0.0)
    shortfall = _shortfall(problem, fastest, stored)
    reserve_off = _reserve_violation(problem, rows, energy, reserve_kw)
    violations = Violations(
        energy_kwh=float(energy_off),
        power_kw=float(max(power_off, reserve_off)),
        site_kw=float(site_off),
        feeder_kw=float(feeder_off),
        portfolio_kw=float(portfolio_over.max(initial=0.0)),
        target_kwh=float(max(shortfall.sum() - stated_shortfall_kwh, 0.0)),
    )
    return Verdict(
        violations=violations,
        objective_eur=money(problem, rows, net, stored, fastest, reserve_kw, wear_eur),
        shortfall_kwh=shortfall,
        over_limit_kwh=problem.step_h * (site_over + feeder_over + float(portfolio_over.sum())),
        curtailed_kwh=float(problem.step_h * curtailed_kw.sum()),
    )


def _energies(
    problem: PlanProblem, rows: UnitRows
) -> tuple[FloatArray, FloatArray, float, FloatArray]:
    """Stored energy at the end of each step [W] (nothing where nobody asks: reserves do), at the
    end [N], the worst violation, and what charging at once would have reached at the end [N]."""
    units = problem.units
    is_asked = problem.reserves is not None and len(problem.reserves) > 0
    energy = np.empty(rows.windows.pairs if is_asked else 0)
    stored, fastest = np.empty(len(units)), np.empty(len(units))
    worst = follow_energy(
        problem.step_h,
        problem.steps,
        rows.windows.first,
        rows.windows.offset,
        units.first,
        units.last,
        units.energy_start_kwh,
        units.capacity_kwh,
        units.energy_min_kwh,
        units.charge_max_kw,
        units.charge_efficiency,
        units.discharge_efficiency,
        rows.power_kw,
        rows.energy_kwh,
        energy,
        stored,
        fastest,
    )
    return energy, stored, worst, fastest


def _shortfall(problem: PlanProblem, fastest: FloatArray, stored: FloatArray) -> FloatArray:
    """[N] lack of the reachable target, and what of target or minimum was never in reach."""
    units = problem.units
    minimum = np.where(units.last > units.first, units.energy_min_kwh, 0.0)
    never = np.maximum(np.maximum(units.target_kwh, minimum) - fastest, 0.0)
    return never + np.maximum(np.minimum(units.target_kwh, fastest) - stored, 0.0)


def _powers(problem: PlanProblem, rows: UnitRows, net: FloatArray) -> tuple[float, float]:
    """Add the units to the net of sites; worst power beyond a unit's limits or while it is not
    connected [kW], and the wear [EUR]."""
    units = problem.units
    worst, wear = sum_powers(
        rows.windows.first,
        rows.windows.offset,
        units.first,
        units.last,
        units.site,
        units.charge_max_kw,
        units.discharge_max_kw,
        units.charge_efficiency,
        units.discharge_efficiency,
        units.wear_eur_kwh,
        rows.power_kw,
        net,
    )
    return max(worst, rows.outside_kw), problem.step_h * wear


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
    problem: PlanProblem, rows: UnitRows, energy: FloatArray, reserve_kw: FloatArray
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
        here = np.flatnonzero((units.first <= t) & (t < units.last))
        at = rows.windows.places(here, np.full(len(here), t))
        here, at = here[at >= 0], at[at >= 0]
        power_kw, after = rows.power_kw[at], energy[at]
        is_first = (np.maximum(units.first[here], 0) == t) | (at == rows.windows.offset[here])
        before = np.where(is_first, units.energy_start_kwh[here], energy[at - ~is_first])
        lowest, highest = np.minimum(before, after), np.maximum(before, after)
        spare_up = (lowest - units.energy_min_kwh[here]) * units.discharge_efficiency[here]
        spare_down = (units.capacity_kwh[here] - highest) / units.charge_efficiency[here]
        for sign, spare, power in (
            (1, spare_up, power_kw + units.discharge_max_kw[here]),
            (-1, spare_down, units.charge_max_kw[here] - power_kw),
        ):
            asked = [k for k in active if reserves.direction[k] in (0, sign)]
            power_sum = float(np.maximum(power, 0.0).sum())
            energy_sum = float(np.maximum(spare, 0.0).sum())
            kw = float(sum(reserve_kw[k] for k in asked))
            kwh = float(sum(reserve_kw[k] * reserves.hold_h[k] for k in asked))
            worst = max(worst, kw - power_sum, kwh - energy_sum)
            if len(asked) == 1 and reserves.hold_h[asked[0]] > 0.0:
                both = np.minimum(power, spare / reserves.hold_h[asked[0]])
                worst = max(worst, kw - float(np.maximum(both, 0.0).sum()))
    return worst


def money(
    problem: PlanProblem,
    rows: UnitRows,
    net_kw: FloatArray,
    stored_kwh: FloatArray,
    fastest_kwh: FloatArray,
    reserve_kw: FloatArray,
    wear_eur: float,
) -> float:
    """Cost of a plan [EUR] as the contract sums it; stored_kwh [N] is the energy at the end and
    fastest_kwh [N] what charging at once would have reached; wear_eur without weights.

    With presence weights money counts the unit's power by the weight of the step, and so the
    energy that it stores: only what is stored while the car is still there leaves with it.
    """
    units, h = problem.units, problem.step_h
    net = net_kw
    if problem.presence is not None:
        power_kw = rows.windows.dense(rows.power_kw, problem.steps, 0.0)
        weighted = power_kw * problem.presence
        net = net_kw.copy()
        np.add.at(net, units.site, weighted - power_kw)
        into = np.maximum(weighted, 0.0) * units.charge_efficiency[:, None]
        out = np.maximum(-weighted, 0.0) / units.discharge_efficiency[:, None]
        wear_eur = h * float((units.wear_eur_kwh[:, None] * (into + out)).sum())
    imported, exported = np.maximum(net, 0.0), np.maximum(-net, 0.0)
    row = problem.price_row
    cost = h * float(
        (problem.import_eur_kwh[row] * imported - problem.export_eur_kwh[row] * exported).sum()
    )
    cost += wear_eur
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
