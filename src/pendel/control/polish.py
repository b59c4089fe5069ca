"""The last step of the price method where many cars are alike: units move towards the market.

At the best prices such cars do not care in which of many steps they charge, so prices alone do not
bring a fleet to its position. Here site after site moves its units beside all others as they are,
first those that lose nothing by it, then, as prices go on towards what a deviation really costs,
those that lose less than it saves. Everything stays feasible at any time.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pendel.control.moves import Moves, Standing, rows_of, standing_of
from pendel.control.problem import PlanProblem
from pendel.kernel.threads import in_threads
from pendel.units import FloatArray

if TYPE_CHECKING:
    from pendel.control.fleet import FleetResult

PARTS = 8
"""Parts of a fleet that are worked on at once, each with its part of all room: always so many, so
that the plan does not depend on the cores."""
TOWARDS = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
SWEEPS = 1


def polished(problem: PlanProblem, found: "FleetResult") -> "FleetResult":
    """The plan with its units moved towards the market position; without one as it is."""
    if problem.market is None:
        return found
    moves, units = Moves(problem), problem.units
    at = moves.windows
    length = np.diff(at.offset)
    unit = np.repeat(np.arange(len(units)), length)
    step = np.arange(len(unit)) - np.repeat(at.offset[:-1] - at.first, length)
    energy = found.energy_kwh[unit, step]
    now = standing_of(problem, at, energy, found.curtailed_kw)
    # A node's price without the one above is what its limit is worth.
    node_eur = found.node_eur_kw[: len(problem.feeders) + 1] / problem.step_h
    for towards in TOWARDS:
        now = _moved(moves, now, node_eur, towards)
    rows = rows_of(problem, at, now.energy_kwh)
    power, stored = np.zeros_like(found.power_kw), np.full_like(found.energy_kwh, np.nan)
    power[unit, step], stored[unit, step] = rows.power_kw, rows.energy_kwh
    return replace(
        found, power_kw=power, energy_kwh=stored, net_kw=now.net_kw,
        curtailed_kw=now.curtailed_kw, memory=None,
    )  # fmt: skip


def _moved(moves: Moves, begin: Standing, node_eur: FloatArray, towards: float) -> Standing:
    """All sites moved once at prices that are so far on the way to what deviations cost."""
    from pendel.control.polish_kernels import polish_sites

    problem, units, windows = moves.problem, moves.problem.units, moves.windows
    market, last = problem.market, len(problem.feeders)
    if market is None:
        return begin
    flow = moves.at_nodes(begin.net_kw)
    off = flow[-1] - market.position_kw
    up, down = np.maximum(moves.high_kw - flow, 0.0), np.maximum(flow - moves.low_kw, 0.0)
    parent = np.append(np.where(problem.feeders.parent < 0, last, problem.feeders.parent), -1)
    node = np.where(problem.feeder < 0, last, problem.feeder)
    out = Standing(begin.energy_kwh.copy(), begin.net_kw.copy(), begin.curtailed_kw.copy())
    low = np.minimum(moves.site_low_kw, begin.net_kw)
    high = np.maximum(moves.site_high_kw, begin.net_kw)
    top = np.maximum(units.capacity_kwh, units.energy_start_kwh)
    base = problem.load_kw - problem.pv_kw

    def work(part: int) -> None:
        polish_sites(
            np.arange(part, problem.sites, PARTS), problem.step_h, moves.order, moves.site_begin,
            windows.first, windows.offset, units.energy_start_kwh, top, units.energy_min_kwh,
            units.target_kwh, units.charge_max_kw, units.discharge_max_kw,
            units.charge_efficiency, units.discharge_efficiency, units.wear_eur_kwh, moves.worth,
            base, problem.pv_kw, problem.demand_charge_eur_kw, problem.peak_so_far_kw,
            problem.price_row, low, high, problem.import_eur_kwh, problem.export_eur_kwh, node,
            parent, node_eur, market.short_eur_kwh, market.long_eur_kwh, towards, SWEEPS,
            up / PARTS, down / PARTS, off / PARTS, out.energy_kwh, out.net_kw, out.curtailed_kw,
        )  # fmt: skip

    in_threads(work, range(PARTS))
    return out
