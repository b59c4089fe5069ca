"""A large problem in sections of whole sites, each built when it is needed."""

from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from pendel.control.arrow import Arrow, arrow_of, nodes_above
from pendel.control.arrow_columns import upper_columns
from pendel.control.elastic import Give, over_columns
from pendel.control.feeder_blocks import Blocks, no_blocks, some_feeders
from pendel.control.nodes import Nodes
from pendel.control.problem import PlanProblem, Units
from pendel.control.reach import Reach, reach_of
from pendel.scenario.columns import Feeders
from pendel.units import BoolArray, FloatArray, IntArray

PAIRS_PER_SECTION = 100_000
CUBES_PER_SECTION = 2e9
"""Sites times cubed steps: what a section works on between two looks at the clock, in seconds."""
SECTIONS_MIN = 48
MARGIN_KW, ELASTIC_MARGIN_KW = 1e-3, 1e-7
MARGIN_SHARE = 1e-4
GROUPS = 480
"""Groups of sites that a mixture moves independently, about: five for each step of a day."""
HUGE_KW = np.inf


@dataclass(frozen=True, slots=True)
class Section:
    """Some whole sites as a problem of their own, in arrow form with work arrays.

    sites, units: positions in the whole problem; node_of [sites] the node above each there;
    X [10, columns], Y [4, rows] as of `phase_kernels`, costs scaled.
    """

    sites: IntArray
    units: IntArray
    problem: PlanProblem
    reach: Reach
    arrow: Arrow
    node_of: IntArray
    rates: FloatArray
    X: FloatArray
    Y: FloatArray

    def powers(self) -> FloatArray:
        """Charge, discharge of all pairs and curtailment of all sites now, one float32 vector."""
        v, arrow = self.X[3], self.arrow
        cut = arrow.import_column[:, None] + 2 * arrow.steps + np.arange(arrow.steps)
        c = arrow.charge_column
        return np.concatenate([v[c], v[c + arrow.stride], v[cut].ravel()]).astype(np.float32)

    def split(self, plan: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Charge, discharge [W] and curtailment [S, T] of such a vector."""
        pairs, v = self.arrow.pairs, plan.astype(np.float64)
        cut = v[2 * pairs :].reshape(len(self.sites), self.arrow.steps)
        return v[:pairs], v[pairs : 2 * pairs], cut

    def net_kw(self) -> FloatArray:
        """[S, T] net import of each site now."""
        at = self.arrow.import_column[:, None] + np.arange(self.arrow.steps)
        over = 0.0 if self.arrow.give is None else self.X[3][self.arrow.beside[0]]
        return np.asarray(self.X[3][at] - self.X[3][at + self.arrow.steps] + over)

    def cost_eur(self, scale: float) -> FloatArray:
        """[S] cost of each site now; scale: that of the costs in X."""
        before = np.concatenate([[0.0], np.cumsum(self.X[0] * self.X[3])])
        begin = self.arrow.block_begin
        own = scale * (before[begin[1:]] - before[begin[:-1]])
        return np.asarray(own + self.arrow.site_constant_eur)

    def shape(self, node: IntArray) -> tuple[Any, ...]:
        """Arguments of `site_kernels.solve_sites` between the range and the prices."""
        arrow, steps, sites = self.arrow, self.arrow.steps, len(self.sites)
        return (
            steps, arrow.site_begin, arrow.offset, arrow.unit_step, self.rates, arrow.has_demand,
            node, arrow.end, self.X, self.Y, np.empty((2, arrow.pairs)),
            np.empty((1, steps, steps)), np.empty((sites, 2, steps)), np.empty(sites),
        )  # fmt: skip


class Sections:
    """Sections of a problem, sites of one feeder together; a block is a section of its own.

    blocks: feeders with few sites as blocks (None: none); upper is the problem above them, whose
    nodes have prices. give: what a kWh over a limit or below a target costs, where something gives
    way: then nodes are elastic, and the sections in which there is a site of `elastic` [S]. chosen:
    only these sites (positions, ascending) are in the sections; nodes are still those of all.
    """

    def __init__(
        self,
        problem: PlanProblem,
        give: Give | None = None,
        elastic: BoolArray | None = None,
        blocks: Blocks | None = None,
        chosen: IntArray | None = None,
    ) -> None:
        self.problem, self.give = problem, give
        self.blocks = no_blocks(problem) if blocks is None else blocks
        self.upper = self.blocks.upper
        self.elastic = np.zeros(problem.sites, dtype=np.bool_) if elastic is None else elastic
        node, self.parent, self.has_top = nodes_above(self.upper)
        self.node_of = np.where(node < 0, len(self.parent) + 1, node)
        length = np.maximum(problem.units.last - problem.units.first, 0)
        pairs = np.bincount(problem.units.site, weights=length, minlength=problem.sites)
        sites, block = np.arange(problem.sites) if chosen is None else chosen, self.blocks.of_site
        self.order = sites[np.lexsort((node[sites], block[sites]))]
        free = int((block[sites] < 0).sum())
        begun = np.concatenate([[0.0], np.cumsum(pairs[self.order[:free]] + problem.steps)])
        least = max(SECTIONS_MIN, int(free * float(problem.steps) ** 3 / CUBES_PER_SECTION))
        count = min(max(int(begun[-1] // PAIRS_PER_SECTION), least), free)
        cut = np.searchsorted(begun, begun[-1] * np.arange(1, count) / max(count, 1))
        borders = free + 1 + np.flatnonzero(np.diff(block[self.order[free:]]))
        cuts = np.concatenate([[0], cut, [free], borders, [len(sites)]])
        self.cuts = np.unique(cuts).astype(np.int64)
        self.groups_each = -(-GROUPS // max(len(self.cuts) - 1, 1))
        self.by_site = np.argsort(problem.units.site, kind="stable")
        self.unit_begin = np.searchsorted(
            problem.units.site[self.by_site], np.arange(problem.sites + 1)
        )
        self.pairs = int(pairs[sites].sum())
        self.number = np.arange(problem.sites)
        prices = np.abs(problem.import_eur_kwh)
        self.scale = problem.step_h * max(float(prices.mean()), 1e-3)

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def share(self, begin: int, end: int) -> tuple["Sections", IntArray, IntArray]:
        """The sections begin..end-1 as those of a problem of their own, which builds them to the
        same last digit, and the positions of its sites and units here."""
        sites = self.order[self.cuts[begin] : self.cuts[end]]
        problem, units = self.part(sites)
        out = copy(self)
        out.problem, out.node_of = problem, self.node_of[sites]
        out.upper, out.blocks = problem, no_blocks(problem)
        out.elastic, out.number = self.elastic[sites], self.number[sites]
        out.order = np.arange(len(sites))
        out.cuts = self.cuts[begin : end + 1] - self.cuts[begin]
        out.by_site = np.arange(len(units))
        out.unit_begin = np.searchsorted(problem.units.site, np.arange(len(sites) + 1))
        out.pairs = int(np.maximum(problem.units.last - problem.units.first, 0).sum())
        return out, sites, units

    def groups(self, index: int) -> int:
        """In how many groups of its sites a section is mixed; a block moves as one."""
        if self.is_block(index):
            return 1
        sites = int(self.cuts[index + 1] - self.cuts[index])
        return min(self.groups_each, sites)

    def group_of(self, index: int) -> IntArray:
        """[S] group of each site of a section."""
        sites = int(self.cuts[index + 1] - self.cuts[index])
        return np.arange(sites) * self.groups(index) // max(sites, 1)

    def nodes(self, margin_share: float) -> Nodes:
        """What stands above the sites; limits narrower by a share."""
        problem, units = self.problem, self.problem.units
        steps = problem.steps
        surplus = problem.load_kw - problem.pv_kw
        total_in = (np.maximum(surplus, 0.0) + problem.pv_kw).sum(axis=0)
        total_out = np.maximum(-surplus, 0.0).sum(axis=0)
        for total, power in (
            (total_in, units.charge_max_kw),
            (total_out, units.discharge_max_kw),
        ):
            first = np.clip(units.first, 0, steps)
            last = np.maximum(np.clip(units.last, 0, steps), first)
            come = np.bincount(first, weights=power, minlength=steps + 1)
            gone = np.bincount(last, weights=power, minlength=steps + 1)
            total += np.cumsum(come - gone)[:steps] + problem.sites
        lo, hi, cost, most = upper_columns(self.upper, total_in, total_out, self.has_top)
        over_cost, over = over_columns(problem, len(self.parent), total_in, hi, self.give)
        columns = np.stack(
            [
                np.concatenate([np.zeros_like(lo), cost, over_cost]) / self.scale,
                np.concatenate([lo, np.zeros_like(most), np.zeros_like(over)]),
                np.concatenate([hi, most, over]),
            ]
        )
        columns[1:, : len(lo)] *= 1.0 - margin_share
        nodes = Nodes(self.parent, problem.market is not None, steps, columns)
        if problem.market is not None:
            nodes.due[-1] = -problem.market.position_kw
        return nodes

    def widen(self, section: Section) -> None:
        """Take the margin off the limits of import and export again, for the proven bound."""
        arrow, steps = section.arrow, section.arrow.steps
        at = arrow.import_column[:, None] + np.arange(2 * steps)
        section.X[2][at] += MARGIN_KW if arrow.give is None else ELASTIC_MARGIN_KW

    def part(self, sites: IntArray, margin_kw: float = 0.0) -> tuple[PlanProblem, IntArray]:
        """The problem of some sites without what couples them, and the positions of its units.

        margin_kw: limits a hair narrower, so that rounding stays inside the true ones.
        """
        whole = self.problem
        counts = self.unit_begin[sites + 1] - self.unit_begin[sites]
        ends = np.cumsum(counts)
        inner = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
        units = self.by_site[np.repeat(self.unit_begin[sites], counts) + inner]
        columns = {f.name: getattr(whole.units, f.name)[units] for f in fields(Units)}
        columns["site"] = np.repeat(np.arange(len(sites)), counts)
        imports, exports = whole.import_limit_kw[sites], whole.export_limit_kw[sites]
        if margin_kw > 0.0:
            imports = imports - np.minimum(margin_kw, MARGIN_SHARE * np.maximum(imports, 0.0))
            exports = exports - np.minimum(margin_kw, MARGIN_SHARE * np.maximum(exports, 0.0))
        free = np.full(whole.steps, HUGE_KW)
        return replace(
            whole,
            units=Units(**columns),
            import_limit_kw=imports,
            export_limit_kw=exports,
            load_kw=whole.load_kw[sites],
            pv_kw=whole.pv_kw[sites],
            price_row=whole.price_row[sites],
            demand_charge_eur_kw=whole.demand_charge_eur_kw[sites],
            peak_so_far_kw=whole.peak_so_far_kw[sites],
            feeder=np.full(len(sites), -1, dtype=np.int64),
            feeders=no_feeders(),
            portfolio_import_limit_kw=free,
            portfolio_export_limit_kw=free,
            market=None,
            home_only=None if whole.home_only is None else whole.home_only[sites],
            floor_kwh=None if whole.floor_kwh is None else whole.floor_kwh[units],
        ), units

    @property
    def has_blocks(self) -> bool:
        """Whether any section is a block."""
        return bool((self.blocks.root >= 0).any())

    def is_block(self, index: int) -> bool:
        """Whether a section is a feeder with its sites."""
        return bool(self.blocks.of_site[self.order[self.cuts[index]]] >= 0)

    def build(self, index: int) -> Section:
        """One section, ready for the kernels; a block with its feeders, all of it elastic where
        anything is."""
        sites = self.order[self.cuts[index] : self.cuts[index + 1]]
        block = int(self.blocks.of_site[sites[0]])
        give = self.give if block >= 0 or self.elastic[sites].any() else None
        problem, units = self.part(sites, MARGIN_KW if give is None else ELASTIC_MARGIN_KW)
        if block >= 0:
            own, place = some_feeders(self.problem.feeders, self.blocks.root == block)
            problem = replace(problem, feeder=place[self.problem.feeder[sites]], feeders=own)
        reach = reach_of(problem)
        arrow = arrow_of(problem, reach, give)
        X, Y = np.zeros((10, len(arrow.cost))), np.zeros((4, len(arrow.due)))
        X[0], X[1], X[2] = arrow.cost / self.scale, arrow.lo, arrow.hi
        Y[0] = arrow.due
        rates = np.stack([arrow.gain, arrow.loss])
        return Section(sites, units, problem, reach, arrow, self.node_of[sites], rates, X, Y)


def no_feeders() -> Feeders:
    """An empty tree."""
    return Feeders(np.array([], dtype=str), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))
