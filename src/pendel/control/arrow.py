"""The planning problem in the arrow form of the structured interior point.

Units are sorted by site; a prefix of a window in which a unit must charge at full power to keep
its minimum or target is taken out beforehand and becomes load; so do units that cannot move.
Reserves and presence weights are outside this form (`applies` says so). Equations and the order
of rows and columns: `phase_kernels`, docs/concepts/planning.md.
"""

import math
from dataclasses import dataclass

import numpy as np

from pendel.control.arrow_columns import columns_of
from pendel.control.elastic import Give
from pendel.control.linear_model import terminal_worth
from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.control.schedule import promised_lo
from pendel.control.schedule_kernels import tighten_backward
from pendel.units import FloatArray, IntArray

FORCED_KWH = 1e-8
WIDTH_MIN = 1e-9
DENSE_SHARE = 0.3
ROUNDS_USUAL = 25
FLOP_S = 0.3e-9


@dataclass(frozen=True, slots=True)
class Arrow:
    """Structure and data. U units (sorted by site), W pairs, S sites, F nodes, T steps.

    pair [W] points into the pairs of Reach; unit_step [U] first step; site_begin [S + 1],
    offset [U + 1]; gain, loss [U]; parent [F] (children before parents, the top node last);
    cost, lo, hi [columns]; due [rows], block after block (`phase_kernels`); fixed_kw [all pairs
    of Reach] powers taken out; site_constant_eur [S] is what these cost, terminal offsets
    included, and constant_eur its sum; end
    [S, T] is the last step tied to a step through a unit (envelope of the site's matrix).
    has_demand [S]: 1 where there is a demand charge, and 2 more where the blocks are elastic
    (`elastic_kernels`), which they are where something gives way: then `give` says at what price.
    """

    steps: int
    pair: IntArray
    site_begin: IntArray
    offset: IntArray
    unit_step: IntArray
    gain: FloatArray
    loss: FloatArray
    has_demand: IntArray
    node_of: IntArray
    parent: IntArray
    has_market: bool
    cost: FloatArray
    lo: FloatArray
    hi: FloatArray
    due: FloatArray
    fixed_kw: FloatArray
    constant_eur: float
    site_constant_eur: FloatArray
    end: IntArray
    give: Give | None = None

    @property
    def pairs(self) -> int:
        """Number of free (unit, step) pairs."""
        return len(self.pair)

    @property
    def import_column(self) -> IntArray:
        """[S] column of the import m of the first step of each site."""
        first: IntArray = self.block_begin[:-1] + 3 * np.diff(self.offset[self.site_begin])
        return first

    @property
    def block_begin(self) -> IntArray:
        """[S + 1] first column of each site's block; the last is that of the nodes."""
        sites, pairs = np.arange(len(self.site_begin)), self.offset[self.site_begin]
        stiff = 3 * pairs + sites * (4 * self.steps + 1)
        return stiff if self.give is None else stiff + self.site_begin + sites * self.steps

    @property
    def beside(self) -> tuple[IntArray, IntArray]:
        """Columns of the excess [S, T] and of the shortfall [U] of an elastic arrow."""
        first = self.import_column + 4 * self.steps + 1
        own = np.diff(self.site_begin)
        place = np.arange(int(self.site_begin[-1])) - np.repeat(self.site_begin[:-1], own)
        return first[:, None] + np.arange(self.steps), np.repeat(first + self.steps, own) + place

    @property
    def charge_column(self) -> IntArray:
        """[W] column of the charge c of each pair; d and e follow at `stride` and twice that."""
        before = self.offset[self.site_begin]
        shift = self.block_begin[:-1] - before[:-1]
        return np.arange(self.pairs) + np.repeat(shift, np.diff(before))

    @property
    def stride(self) -> IntArray:
        """[W] number of pairs at the site of each pair."""
        own = np.diff(self.offset[self.site_begin])
        return np.repeat(own, own)


def applies(problem: PlanProblem) -> bool:
    """Whether the arrow form holds: no reserves, no weights, no export dearer than import."""
    if problem.presence is not None:
        return False
    if problem.reserves is not None and len(problem.reserves) > 0:
        return False
    row = problem.price_row
    dearer = problem.export_eur_kwh[row] > problem.import_eur_kwh[row]
    both = (problem.export_limit_kw > 0.0) & (problem.import_limit_kw > 0.0)
    return not bool((dearer & both).any())


def arrow_of(problem: PlanProblem, reach: Reach, give: Give | None = None) -> Arrow:
    """Arrow form of a problem (vectorised); with `give` limits and targets give way."""
    units, steps, sites, h = problem.units, problem.steps, problem.sites, problem.step_h
    fixed_kw, free, start = _forced(problem, reach, give is not None)
    order = np.argsort(units.site[reach.unit[free]], kind="stable")
    pair = free[order]
    who = reach.unit[pair]
    begins = np.flatnonzero(np.concatenate([[True], who[1:] != who[:-1]])) if len(who) else who
    offset = np.concatenate([begins, [len(who)]]).astype(np.int64)
    unit = who[begins]
    site_begin = np.searchsorted(units.site[unit], np.arange(sites + 1)).astype(np.int64)

    base = problem.load_kw - problem.pv_kw
    np.add.at(base, (units.site[reach.unit], reach.step), fixed_kw)
    node_of, parent, top = nodes_above(problem)
    market = problem.market
    place, rows = _places(offset[site_begin], len(pair), site_begin, steps, give is not None)
    kinds = columns_of(problem, reach, pair, unit, base, len(parent), top, give)
    cost, lo, hi = (_placed(values, place) for values in kinds)
    # A width of rounding size (the last ray of sun) is none: nothing could move inside it.
    hi = np.where(hi - lo < WIDTH_MIN, lo, hi)
    due_energy = np.zeros(len(pair))
    due_energy[begins] = start[unit]
    position = np.zeros(0) if market is None else -market.position_kw
    terminal = terminal_worth(problem, reach)
    stored = np.maximum(fixed_kw, 0.0) * units.charge_efficiency[reach.unit]
    moving = np.zeros(len(units), dtype=np.bool_)
    moving[unit] = True
    constant = terminal * (units.target_kwh - np.where(moving, 0.0, start))
    constant += h * units.wear_eur_kwh * np.bincount(reach.unit, stored, len(units))
    return Arrow(
        steps=steps,
        pair=pair,
        site_begin=site_begin,
        offset=offset,
        unit_step=reach.step[pair[begins]],
        gain=h * units.charge_efficiency[unit],
        loss=h / units.discharge_efficiency[unit],
        has_demand=(problem.demand_charge_eur_kw > 0.0) + (0 if give is None else 2),
        node_of=node_of,
        parent=parent,
        has_market=market is not None,
        cost=cost,
        lo=lo,
        hi=hi,
        due=_placed(
            np.concatenate(
                [due_energy, base.ravel(), np.zeros((sites + len(parent)) * steps), position]
            ),
            rows,
        ),
        fixed_kw=fixed_kw,
        constant_eur=float(constant.sum()),
        site_constant_eur=np.bincount(units.site, constant, sites).astype(np.float64),
        end=_envelope(problem, units.site[unit], reach.step[pair[begins]], np.diff(offset)),
        give=give,
    )


def effort_s(arrow: Arrow) -> float:
    """Rough CPU seconds of the interior method (measured on one core of 2023)."""
    width = (arrow.end - np.arange(arrow.steps)).astype(np.float64) + 1.0
    work = (width**2).sum(axis=1) + np.where(
        arrow.node_of >= 0, 2.0 * arrow.steps * width.sum(axis=1), 0.0
    )
    units = float((np.diff(arrow.offset).astype(np.float64) ** 2).sum())
    return 0.015 + ROUNDS_USUAL * FLOP_S * (float(work.sum()) + units)


def general_effort_s(arrow: Arrow) -> float:
    """Rough CPU seconds of the general solver on the same problem (fitted to 150-20,000 pairs)."""
    return 0.008 + 0.13 * math.pow(arrow.pairs / 1900.0, 1.5)


def _envelope(problem: PlanProblem, site: IntArray, first: IntArray, length: IntArray) -> IntArray:
    """[S, T] last step coupled with each step; dense (T - 1) where little would be saved, and
    where a demand charge couples all steps."""
    sites, steps = problem.sites, problem.steps
    end = np.tile(np.arange(steps, dtype=np.int64), (sites, 1))
    np.maximum.at(end, (site, first), first + length - 1)
    end = np.maximum.accumulate(end, axis=1)
    dense = (end - np.arange(steps)).mean(axis=1) > DENSE_SHARE * steps
    dense |= problem.demand_charge_eur_kw > 0.0
    end[dense] = steps - 1
    return end


def _places(
    before: IntArray, pairs: int, units_before: IntArray, steps: int, elastic: bool
) -> tuple[IntArray, IntArray]:
    """Where columns and rows kept kind by kind belong in the blocks of the sites.

    before, units_before [S + 1]: pairs and units ahead of each site. What comes after these
    (nodes, market) stays.
    """
    own = np.diff(before)
    site = np.arange(len(own))
    column, row = 3 * before[:-1] + site * (4 * steps + 1), before[:-1] + 2 * site * steps
    if elastic:
        column = column + units_before[:-1] + site * steps
    pair, stride = np.arange(pairs) - np.repeat(before[:-1], own), np.repeat(own, own)
    charge = np.repeat(column, own) + pair
    grid = (column + 3 * own)[:, None] + np.arange(steps)
    balance = (row + own)[:, None] + np.arange(steps)
    columns = [charge, charge + stride, charge + 2 * stride]
    columns += [(grid + k * steps).ravel() for k in range(4)]
    columns.append(grid[:, 0] + 4 * steps)
    if elastic:
        units = np.diff(units_before)
        unit = np.arange(int(units_before[-1])) - np.repeat(units_before[:-1], units)
        columns.append((grid + 4 * steps + 1).ravel())
        columns.append(np.repeat(grid[:, 0] + 5 * steps + 1, units) + unit)
    rows = [np.repeat(row, own) + pair, balance.ravel(), (balance + steps).ravel()]
    return np.concatenate(columns), np.concatenate(rows)


def _placed(values: FloatArray, place: IntArray) -> FloatArray:
    """values with their first len(place) entries moved to `place`."""
    out = values.copy()
    out[place] = values[: len(place)]
    return out


def _forced(
    problem: PlanProblem, reach: Reach, elastic: bool
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Powers of forced pairs [all pairs], the free pairs, and each unit's energy at their begin.

    A pair is forced where even the fastest charging only just meets what is due later.
    """
    units, u, h = problem.units, reach.unit, problem.step_h
    rate = h * units.charge_efficiency * units.charge_max_kw
    since = np.arange(reach.pairs) - reach.offset[u] + 1
    at_once = np.minimum(reach.start[u] + since * rate[u], reach.hi)
    least = promised_lo(reach, not elastic)
    tighten_backward(reach.offset, rate, rate, least, reach.hi.copy())
    forced = at_once - least <= FORCED_KWH
    still = (units.discharge_max_kw <= 0.0) & (
        (units.charge_max_kw <= 0.0) | (reach.start >= units.capacity_kwh - FORCED_KWH)
    )
    forced |= still[u]
    # Only a prefix of the window: a later pair may be tight without binding the way to it.
    open_before = np.concatenate([[0], np.cumsum(~forced)])
    forced = open_before[1:] == open_before[reach.offset[:-1]][u]
    before = np.concatenate([[0.0], at_once[:-1]])
    before = np.where(reach.first, reach.start[u], before)
    gain = np.maximum(h * units.charge_efficiency[u], 1e-12)
    power = np.where(forced & ~still[u], (at_once - before) / gain, 0.0)
    start = reach.start.copy()
    at = np.flatnonzero(forced & ~still[u])
    start[u[at]] = at_once[at]  # pairs ascend in time: the last forced one stays
    return power, np.flatnonzero(~forced), start


def nodes_above(problem: PlanProblem) -> tuple[IntArray, IntArray, bool]:
    """Node above each site, parent of each node, and whether there is a top node (the last)."""
    feeders = problem.feeders
    top = problem.market is not None or bool(
        np.isfinite(problem.portfolio_import_limit_kw).any()
        or np.isfinite(problem.portfolio_export_limit_kw).any()
    )
    count = len(feeders)
    above = count if top else -1
    node_of = np.where(problem.feeder >= 0, problem.feeder, above).astype(np.int64)
    parent = np.where(feeders.parent >= 0, feeders.parent, above).astype(np.int64)
    return node_of, np.concatenate([parent, [-1]]).astype(np.int64) if top else parent, top
