"""The last step of the price method where many cars are alike: units move towards the market.

At the best prices such cars do not care in which of many steps they charge, so prices alone do not
bring a fleet to its position. Here site after site moves its units beside all others as they are,
first those that lose nothing by it, then, as prices go on towards what a deviation really costs,
those that lose less than it saves. Everything stays feasible at any time.
"""

from collections.abc import Callable
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


def polished(
    problem: PlanProblem, found: "FleetResult", remaining_s: Callable[[], float] = lambda: np.inf
) -> "FleetResult":
    """The plan with its units moved towards the market position; without one, or where units
    have floors or may not feed in (moves know neither), as it is.

    The arrays of `found` are changed in place (at a million cars they are a large part of memory).
    """
    from pendel.control.polish_kernels import put_rows, take_rows

    home = problem.home_only is not None and bool(problem.home_only.any())
    if problem.market is None or problem.floor_kwh is not None or home:
        return found
    moves = Moves(problem)
    at = moves.windows
    energy = np.empty(int(at.offset[-1]))
    take_rows(at.first, at.offset, found.energy_kwh, energy)
    now = standing_of(problem, at, energy, found.curtailed_kw)
    before = None if found.memory is None else _costs(moves, now)
    node_eur = found.node_eur_kw[: len(problem.feeders) + 1] / problem.step_h
    for towards in TOWARDS:
        if remaining_s() <= 0.0:
            break  # what there is is a plan at any time
        now = _moved(moves, now, node_eur, towards)
    rows = rows_of(problem, at, now.energy_kwh)
    put_rows(at.first, at.offset, rows.power_kw, found.power_kw)
    put_rows(at.first, at.offset, rows.energy_kwh, found.energy_kwh)
    memory = found.memory
    if memory is not None and before is not None:
        cost = memory.cost_eur + _costs(moves, now) - before
        memory = replace(memory, net_kw=now.net_kw, curtailed_kw=now.curtailed_kw, cost_eur=cost)
    return replace(found, net_kw=now.net_kw, curtailed_kw=now.curtailed_kw, memory=memory)


def _costs(moves: Moves, at: Standing) -> FloatArray:
    """[S] cost of each site but for a constant."""
    from pendel.control.polish_kernels import site_costs

    problem, units, out = moves.problem, moves.problem.units, np.empty(moves.problem.sites)
    site_costs(
        problem.step_h, moves.order, moves.site_begin, moves.windows.offset,
        units.energy_start_kwh, units.wear_eur_kwh, moves.worth, problem.demand_charge_eur_kw,
        problem.peak_so_far_kw, problem.price_row, problem.import_eur_kwh, problem.export_eur_kwh,
        at.energy_kwh, at.net_kw, out,
    )  # fmt: skip
    return out


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
