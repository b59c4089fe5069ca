"""Costs and bounds of the columns of the arrow form (`arrow`)."""

import numpy as np

from pendel.control.elastic import Give, beside_columns, over_columns
from pendel.control.linear_model import terminal_worth
from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.control.schedule import promised_lo
from pendel.units import FloatArray, IntArray


def columns_of(
    problem: PlanProblem,
    reach: Reach,
    pair: IntArray,
    unit: IntArray,
    base: FloatArray,
    nodes: int,
    top: bool,
    give: Give | None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cost, lower and upper bound of every column; all bounds finite."""
    units, steps, sites, h = problem.units, problem.steps, problem.sites, problem.step_h
    who = reach.unit[pair]
    wear, terminal = units.wear_eur_kwh[who], terminal_worth(problem, reach)[who]
    is_last = np.isin(pair, reach.last_pair)
    zero_w, zero_s = np.zeros(len(pair)), np.zeros(sites * steps)
    most, least = np.maximum(base, 0.0), np.maximum(-base, 0.0)
    where = units.site[who], reach.step[pair]
    np.add.at(most, where, units.charge_max_kw[who])
    np.add.at(least, where, units.discharge_max_kw[who])
    most = most + problem.pv_kw
    imports = np.minimum(reach.import_kw, most + 1.0).ravel()
    exports = np.where(reach.export_kw > 0.0, np.minimum(reach.export_kw, least + 1.0), 0.0).ravel()
    charged = problem.demand_charge_eur_kw > 0.0
    beside = beside_columns(problem, reach, unit, most, imports, give)
    over = beside[2][: sites * steps] if give is not None else zero_s
    peak_lo, peak_hi = _peaks(problem, (imports + over).reshape(sites, steps))
    row = problem.price_row
    node_lo, node_hi, dev_cost, dev_hi = upper_columns(
        problem, most.sum(axis=0) + 1.0, least.sum(axis=0) + 1.0, top
    )
    energy_lo = promised_lo(reach)[pair]
    over_cost, over_hi = over_columns(problem, nodes, most.sum(axis=0) + 1.0, node_hi, give)
    cost = np.concatenate(
        [
            h * wear * units.charge_efficiency[who],
            h * wear / units.discharge_efficiency[who],
            np.where(is_last, -terminal, 0.0),
            h * problem.import_eur_kwh[row].ravel(),
            -h * problem.export_eur_kwh[row].ravel(),
            np.zeros(2 * sites * steps),
            np.where(charged, problem.demand_charge_eur_kw, 0.0),
            *(beside[0], np.zeros(nodes * steps), dev_cost, over_cost),
        ]
    )
    lo = np.concatenate(
        [
            *(zero_w, zero_w, energy_lo, zero_s, zero_s, zero_s, zero_s, peak_lo),
            *(beside[1], node_lo, 0.0 * dev_hi, 0.0 * over_hi),
        ]
    )
    hi = np.concatenate(
        [
            units.charge_max_kw[who],
            units.discharge_max_kw[who],
            reach.hi[pair],
            imports,
            exports,
            problem.pv_kw.ravel(),
            np.repeat(peak_hi, steps),
            peak_hi,
            *(beside[2], node_hi, dev_hi, over_hi),
        ]
    )
    return cost, lo, hi


def _peaks(problem: PlanProblem, most_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """[S] bounds of the highest import that is charged for (0 where none is); most_kw [S, T]."""
    charged = problem.demand_charge_eur_kw > 0.0
    low = np.where(charged, problem.peak_so_far_kw, 0.0)
    return low, np.where(charged, np.maximum(most_kw.max(axis=1), low) + 1.0, 0.0)


def upper_columns(
    problem: PlanProblem, total_in: FloatArray, total_out: FloatArray, top: bool
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Bounds of the node flows [F T], cost and upper bound of the deviations [2 T].

    total_in, total_out [T]: the most that all sites together could import and export.
    """
    node_hi = np.minimum(problem.feeders.import_limit_kw[:, None], total_in).ravel()
    node_lo = -np.minimum(problem.feeders.export_limit_kw[:, None], total_out).ravel()
    if top:
        node_hi = np.append(node_hi, np.minimum(problem.portfolio_import_limit_kw, total_in))
        node_lo = np.append(node_lo, -np.minimum(problem.portfolio_export_limit_kw, total_out))
    if problem.market is None:
        return node_lo, node_hi, np.zeros(0), np.zeros(0)
    market = problem.market
    cost = problem.step_h * np.concatenate([market.short_eur_kwh, market.long_eur_kwh])
    far = total_in + total_out + np.abs(market.position_kw)
    return node_lo, node_hi, cost, np.concatenate([far, far])
