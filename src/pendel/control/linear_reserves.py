"""Reserve blocks in the linear model: one amount per block, held by all units together.

    up:   p - r >= -discharge_max,  e - keep >= hold r / eta_d,  net - sum r >= -export_limit
    down: p + r <= charge_max,      capacity - e >= hold r eta_c, net + sum r <= import_limit

e at the begin and at the end of every step; keep is the least energy from which the promise (the
target, floors and minimum included) can still be kept by charging at once, so that a call of the
reserve never touches a promise. Blocks that overlap share the headroom.
"""

import numpy as np

from pendel.control.linear_model import INF, Model
from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.control.schedule_kernels import tighten_backward
from pendel.scenario.columns import Reserves
from pendel.units import BoolArray, FloatArray, IntArray


def add_reserves(model: Model, problem: PlanProblem, reach: Reach) -> None:
    """Add columns `reserve` [K] and the share of each unit, with all their headroom rows."""
    reserves = problem.reserves
    if reserves is None or len(reserves) == 0:
        return
    hours = (reserves.until_step - reserves.from_step) * problem.step_h
    amount = model.add_columns(
        "reserve",
        len(reserves),
        0.0,
        np.maximum(reserves.max_kw, 0.0),
        -reserves.price_eur_mw_h * hours / 1000.0,
    )
    keep = keep_energy(problem, reach)
    for sign, name in ((1, "up"), (-1, "down")):
        chosen = np.flatnonzero((reserves.direction == 0) | (reserves.direction == sign))
        if len(chosen):
            _add_direction(model, problem, reach, chosen, sign, name, amount, keep)


def keep_energy(problem: PlanProblem, reach: Reach) -> FloatArray:
    """[W] least energy at the end of the step from which the promise can still be kept."""
    units, u = problem.units, reach.unit
    rate = problem.step_h * units.charge_efficiency * units.charge_max_kw
    left = reach.offset[1:][u] - 1 - np.arange(reach.pairs)
    keep = np.maximum(reach.lo, reach.target[u] - left * rate[u])
    own = np.maximum(np.maximum(reach.minimum, reach.floor), reach.lo)
    # Floors ahead need energy now as far as charging at once cannot supply it later.
    tighten_backward(reach.offset, rate, rate, own, reach.hi.copy())
    return np.maximum(keep, own)


def _add_direction(
    model: Model,
    problem: PlanProblem,
    reach: Reach,
    chosen: IntArray,
    sign: int,
    name: str,
    amount: IntArray,
    keep: FloatArray,
) -> None:
    """Rows of one direction: power, energy at both ends of the step, sum, grid limits."""
    reserves, units, u = problem.reserves, problem.units, reach.unit
    if reserves is None:
        return
    share_pair, share_block = _shares(reserves, reach, chosen)
    if sign > 0:  # below its minimum a car owes energy and offers none
        fit = reach.start[u[share_pair]] >= units.energy_min_kwh[u[share_pair]]
        share_pair, share_block = share_pair[fit], share_block[fit]
    share = model.add_columns(f"share_{name}", len(share_pair), 0.0, INF)
    pairs = np.unique(share_pair)
    place = np.searchsorted(pairs, share_pair)
    who = u[pairs]
    bound = units.discharge_max_kw[who] if sign > 0 else units.charge_max_kw[who]
    rows = model.add_rows(len(pairs), -INF, bound)
    model.put(rows[place], share, 1.0)
    model.put(rows, model.blocks["charge"][pairs], float(-sign))
    model.put(rows, model.blocks["discharge"][pairs], float(sign))

    factor = 1.0 / units.discharge_efficiency if sign > 0 else units.charge_efficiency
    use = reserves.hold_h[share_block] * factor[u[share_pair]]
    rows = model.add_rows(len(pairs), -INF, -keep[pairs] if sign > 0 else reach.hi[pairs])
    model.put(rows[place], share, use)
    model.put(rows, model.blocks["energy"][pairs], float(-sign))
    # The begin of the step is the end of the one before, or the energy of arrival.
    is_first = reach.first[pairs]
    rate = problem.step_h * units.charge_efficiency * units.charge_max_kw
    keep_first = np.maximum(keep[pairs] - rate[who], reach.lo[pairs])
    edge = reach.hi[pairs] - np.where(is_first, reach.start[who], 0.0)
    if sign > 0:
        before = -keep[np.maximum(pairs - 1, 0)]
        edge = np.where(is_first, np.maximum(reach.start[who] - keep_first, 0.0), before)
    begin_rows = model.add_rows(len(pairs), -INF, edge)
    model.put(begin_rows[place], share, use)
    later = np.flatnonzero(~is_first)
    model.put(begin_rows[later], model.blocks["energy"][pairs[later] - 1], float(-sign))
    if sign > 0:
        _relax(model, (rows, begin_rows[later]), (who, who[later]))
    _add_sums(model, reserves, reach, chosen, amount, share, share_pair, share_block)
    _add_grid(model, problem, reach, sign, share, share_pair)


def _relax(model: Model, rows: tuple[IntArray, ...], who: tuple[IntArray, ...]) -> None:
    """A promise that cannot be kept anyway counts as the promise that is left."""
    for name in ("shortfall", "floor_lack"):
        owner, columns = model.owners[name], model.blocks[name]
        if len(owner) == 0:
            continue
        for row, unit in zip(rows, who, strict=True):
            at = np.minimum(np.searchsorted(owner, unit), len(owner) - 1)
            has = owner[at] == unit
            model.put(row[has], columns[at[has]], -1.0)


def _shares(reserves: Reserves, reach: Reach, chosen: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of (connected pair, block) active together."""
    pairs, blocks = [], []
    for block in chosen:
        active = np.flatnonzero(
            (reach.step >= reserves.from_step[block]) & (reach.step < reserves.until_step[block])
        )
        pairs.append(active)
        blocks.append(np.full(len(active), block, dtype=np.int64))
    return np.concatenate(pairs), np.concatenate(blocks)


def _add_sums(
    model: Model,
    reserves: Reserves,
    reach: Reach,
    chosen: IntArray,
    amount: IntArray,
    share: IntArray,
    share_pair: IntArray,
    share_block: IntArray,
) -> None:
    """In every step of a block the shares of all units hold at least its amount."""
    for block in chosen:
        first, last = int(reserves.from_step[block]), int(reserves.until_step[block])
        rows = model.add_rows(last - first, 0.0, INF)
        mine = np.flatnonzero(share_block == block)
        model.put(rows[reach.step[share_pair[mine]] - first], share[mine], 1.0)
        model.put(rows, amount[block : block + 1], -1.0)


def _add_grid(
    model: Model,
    problem: PlanProblem,
    reach: Reach,
    sign: int,
    share: IntArray,
    share_pair: IntArray,
) -> None:
    """A call of the whole reserve keeps the limits of sites, feeders and portfolio."""
    steps, sites = problem.steps, problem.sites
    site = problem.units.site[reach.unit[share_pair]]
    step = reach.step[share_pair]
    limit = reach.export_kw if sign > 0 else reach.import_kw
    cell = site * steps + step
    cells = np.unique(cell)
    rows = model.add_rows(len(cells), -INF, np.maximum(limit.ravel()[cells], 0.0))
    model.put(rows[np.searchsorted(cells, cell)], share, 1.0)
    model.put(rows, model.blocks["net"][cells], float(-sign))

    feeders = problem.feeders
    for node in range(len(feeders)):
        below = _sites_below(problem, node)
        mine = np.flatnonzero(below[site])
        bound = feeders.export_limit_kw[node] if sign > 0 else feeders.import_limit_kw[node]
        if len(mine) == 0 or not np.isfinite(bound):
            continue
        rows = model.add_rows(steps, -INF, bound)
        model.put(rows[step[mine]], share[mine], 1.0)
        flow = model.blocks["feeder"].reshape(len(feeders), steps)[node]
        model.put(rows, flow, float(-sign))
    total = model.blocks["portfolio"]
    if len(total) == 0 or sites == 0:
        return
    bounds = problem.portfolio_export_limit_kw if sign > 0 else problem.portfolio_import_limit_kw
    rows = model.add_rows(steps, -INF, bounds)
    model.put(rows[step], share, 1.0)
    model.put(rows, total, float(-sign))


def _sites_below(problem: PlanProblem, node: int) -> BoolArray:
    """[S] whether the site lies somewhere below the feeder."""
    at = problem.feeder.copy()
    found = at == node
    for _ in range(len(problem.feeders)):
        at = np.where(at >= 0, problem.feeders.parent[np.maximum(at, 0)], -1)
        found |= at == node
    return np.asarray(found, dtype=np.bool_)
