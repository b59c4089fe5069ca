"""What a block does in a pass: a feeder with its sites, solved together at the price above it.

First each site by itself at the feeder's price, in cache (`site_kernels`); then a few steps of the
structured interior point on the block, whose flow upwards pays the fixed price of the node above.
A pass ends on the central path at the wanted complementarity. There the flow is a smooth function
of that price; its derivative is what the block's nodes pass on in any step of the interior point
(`answer_node`), sites and feeders eliminated.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pendel.control.arrow import Arrow
from pendel.control.block_kernels import answer_node
from pendel.control.blur import add_to_prices
from pendel.control.bound_kernels import bound_sites
from pendel.control.crew import ROUNDS_COLD, ROUNDS_WARM, Found, SectionWork, given_eur
from pendel.control.interior import Interior
from pendel.control.sections import Section
from pendel.control.site_kernels import (
    CENTRED,
    COLD,
    WARM,
    pack_state,
    solve_sites,
    unpack_state,
)
from pendel.units import FloatArray, IntArray

COST, LO, HI, V, ZL, ZU, WEIGHT = range(7)
DUE, PRICE = 0, 1
NODE_MARGIN = 2e-5
INNER = 1e-4
"""Share of its width that a feeder's flow keeps from its limits at first."""
LOOSE, LOOSE_PRICE = 0.02, 1e-4
"""A feeder is loose that keeps such a share from its limits, if the barrier is worth less there."""


class BlockInterior(Interior):
    """The interior point of one block at a fixed price above it, on the arrays of its section."""

    def __init__(self, section: Section, scale: float, above: FloatArray) -> None:
        """above [T]: price of the node above the block [scaled]."""
        super().__init__(section.arrow)
        self.scale, self.above, self.loose = scale, above, True
        self.answers = np.zeros((section.arrow.steps, section.arrow.steps))
        self.X, self.Y = section.X, section.Y
        self.shape = (*self.shape[:8], self.X, self.Y, *self.shape[10:])
        self.pieces = [(0, len(section.sites))]
        self.root = int(np.flatnonzero(section.arrow.parent < 0)[0])
        top = self.nodes
        self.tail = int(section.arrow.block_begin[-1])
        top.x = self.X[:, self.tail :]
        self.tail_row = self.Y.shape[1] - top.count * top.steps
        top.x[LO : HI + 1, : top.split] *= 1.0 - NODE_MARGIN
        for at in self._flows():
            top.x[COST, at : at + top.steps] += above

    def _flows(self) -> list[int]:
        """First columns [of the nodes] of what flows to the node above: within and over limits."""
        top = self.nodes
        own = self.root * top.steps
        return [own] if top.over == top.x.shape[1] else [own, top.over + own]

    def give(self) -> None:
        """Prices of the nodes into the section's rows."""
        self.Y[PRICE, self.tail_row :] = self.nodes.price[: self.nodes.count].ravel()

    def settle_sites(self, section: Section, aim: float, warm: int) -> bool:
        """Bring each site by itself to complementarity aim at the feeders' prices, in cache, and
        the feeders' flows to what comes of that; whether all sites settled.

        `loose` tells whether that is all: no feeder is near a limit, none has an own price.
        """
        top, steps, sites = self.nodes, self.nodes.steps, len(section.sites)
        x, n, status = top.x, top.split, np.zeros(sites, dtype=np.int64)
        flow, answers = np.zeros((top.count, steps)), np.zeros((top.count, steps, steps))
        rounds = ROUNDS_COLD if warm == COLD else ROUNDS_WARM
        args: list[Any] = [0, sites, *section.shape(self.arrow.node_of), top.price[: top.count]]
        args += [aim, warm, rounds, flow, answers, status]
        solve_sites(*args)
        if not status.all():
            return False
        self.answers = answers.sum(axis=0)
        for node in top.order[top.order < top.count]:
            own = slice(node * steps, (node + 1) * steps)
            width = x[HI, own] - x[LO, own]
            slack = np.minimum(flow[node] - x[LO, own], x[HI, own] - flow[node])
            self.loose &= bool((slack >= np.maximum(LOOSE * width, aim / LOOSE_PRICE)).all())
            inner = INNER * width
            x[V, own] = np.clip(flow[node], x[LO, own] + inner, x[HI, own] - inner)
            if top.parent[node] < top.count:
                flow[top.parent[node]] += x[V, own]
        self.loose &= bool((top.price[: top.count] == self.above).all())
        x[V, n:] = np.minimum(aim / np.maximum(x[COST, n:], 1e-12), 0.5 * x[HI, n:])
        if self.loose:
            x[V, n:] = 0.0
        x[ZL] = aim / np.maximum(x[V] - x[LO], 1e-12)
        x[ZU] = aim / np.maximum(x[HI] - x[V], 1e-12)
        fixed = x[HI] <= x[LO]
        x[ZL, fixed] = x[ZU, fixed] = 0.0
        x[V, fixed] = x[LO, fixed]
        return True

    def flow(self) -> FloatArray:
        """[T] what flows to the node above."""
        x, steps = self.nodes.x, self.nodes.steps
        return np.asarray(np.sum([x[V, at : at + steps] for at in self._flows()], axis=0))

    def answer(self) -> FloatArray:
        """[T, T] (upper) how that answers to the price above; zeros where algebra breaks down."""
        top, steps = self.nodes, self.nodes.steps
        if self.loose:
            return self.answers
        out = np.zeros((steps, steps))
        if top.factor():
            answer_node(
                top.S[self.root], np.full(steps, steps - 1), top.weight[self.root],
                np.zeros(steps), 0.0, np.zeros((steps, steps)), out,
            )  # fmt: skip
        return out

    def money(self) -> float:
        """Cost of the point without what its flow pays above [scaled]."""
        x, top, n = self.X, self.nodes, self.tail
        own = self.arrow.cost[n:] / self.scale
        return float(x[COST, :n] @ x[V, :n]) + float(own @ top.x[V])


@dataclass(slots=True)
class BlockWork(SectionWork):
    """A block and its state between passes (see `SectionWork`); the feeders' flows and prices are
    part of its point."""

    loose: bool = True
    above: FloatArray = field(default_factory=lambda: np.zeros(0))

    def run(self, price: FloatArray, aim: float, blur: float = 0.0) -> Found:
        """One pass over the block (`Crew.run`)."""
        found = None if self.point is None else self._settled(price, aim, blur, True)
        found = found or self._settled(price, aim, blur, False)
        if found is not None:
            return found
        section = self.sections.build(self.index)
        none, steps = np.zeros(1), section.arrow.steps
        return self._found(
            section,
            np.zeros(steps),
            np.zeros((steps, steps)),
            none,
            none,
            0.0,
            section.sites.tolist(),
        )

    def _found(
        self,
        section: Section,
        flow: FloatArray,
        answer: FloatArray,
        cost_eur: FloatArray,
        given_eur: FloatArray,
        bound: float,
        failed: list[int],
    ) -> Found:
        """A block is one group below one node."""
        node, group = section.node_of[:1], np.zeros(1, dtype=np.int64)
        return Found(
            node, answer[None], node, group, flow[None], cost_eur, given_eur, bound, failed
        )

    def _settled(self, price: FloatArray, aim: float, blur: float, warm: bool) -> Found | None:
        """A pass from the point of the last one, or from nowhere; None where it does not end."""
        section = self.sections.build(self.index)
        X, Y, arrow = section.X, section.Y, section.arrow
        node = section.node_of[:1]
        solver = BlockInterior(section, self.sections.scale, price[node[0]])
        top, begin = solver.nodes, COLD
        top.price[: top.count] = solver.above
        if warm and self.point is not None:
            unpack_state(X, Y, *self.point, self.aim)
            begin = WARM if aim < self.aim else CENTRED
            # What a feeder's limit is worth stays; what is above it has moved.
            worth = node_prices(arrow, Y[PRICE])[:-1] - self.above
            top.price[: top.count] += np.where(self.loose, 0.0, worth)
        change = self.blurred(section, blur)
        apart = solver.settle_sites(section, aim, begin)
        if not (apart and (solver.loose or solver.centre(aim, True, ROUNDS_WARM))):
            solver.loose = False
            if warm or not solver.centre(aim, False, ROUNDS_COLD):
                return None
        add_to_prices(X[COST], arrow, -change)
        solver.give()
        point: Any = tuple(np.empty(a.shape[1], dtype=np.float32) for a in (X, Y))
        pack_state(X, Y, *point)
        flow, answer, cost = solver.flow(), solver.answer(), solver.money()
        given = float(given_eur(section).sum()) + self._over_eur(section, solver)
        self.point, self.aim, self.above = point, aim, solver.above.copy()
        self.loose, self.fresh = solver.loose, section.powers()
        Y[PRICE] = point[1]
        bound = float(self.proven(section, price).sum())
        cost_eur = self.sections.scale * cost + arrow.constant_eur
        # What a block costs is not that of its sites alone: `Placed.cost_eur` stays empty.
        self.fresh_eur = np.zeros(len(section.sites))
        self.free = np.diff(arrow.offset[arrow.site_begin])
        return self._found(
            section, flow, answer, np.array([cost_eur]), np.array([given]), bound, []
        )

    def _over_eur(self, section: Section, solver: BlockInterior) -> float:
        """Price of the import beyond limits of the block's feeders."""
        top, give = solver.nodes, section.arrow.give
        kwh = section.problem.step_h * float(top.x[V, top.over :].sum())
        return 0.0 if give is None else give.over_eur_kwh * kwh

    def proven(self, section: Section, price: FloatArray) -> FloatArray:
        """[S] proven bound [scaled] of sites and feeders at their multipliers, at the true limits;
        all of it with the first site."""
        self.sections.widen(section)
        arrow, X, Y = section.arrow, section.X, section.Y
        own = node_prices(arrow, Y[PRICE])
        each = np.empty(len(section.sites))
        bound_sites(
            0, len(section.sites), arrow.steps, arrow.site_begin, arrow.offset, arrow.unit_step,
            section.rates, arrow.has_demand, arrow.node_of, X[COST], X[LO], X[HI], Y[DUE],
            Y[PRICE], own, each,
        )  # fmt: skip
        tail = int(arrow.block_begin[-1])
        paid = own[arrow.parent]  # -1: the last row, which is what is above the block
        paid[arrow.parent < 0] = price[section.node_of[0]]
        rate = np.tile((paid - own[: len(arrow.parent)]).ravel(), 1 + (arrow.give is not None))
        rate += arrow.cost[tail:] / self.sections.scale
        lo, hi = arrow.lo[tail:], arrow.hi[tail:]
        box = float((rate * np.where(rate > 0.0, lo, hi)).sum())
        total = float(each.sum()) + box + arrow.constant_eur / self.sections.scale
        out = np.zeros(len(section.sites))
        out[0] = total if np.isfinite(total) else -np.inf
        return out

    def feeders(self, section: Section) -> tuple[IntArray, FloatArray]:
        """See `SectionWork.feeders`."""
        blocks = self.sections.blocks
        own = np.flatnonzero(blocks.root == blocks.of_site[section.sites[0]])
        return own, node_prices(section.arrow, section.Y[PRICE])[:-1]


def node_prices(arrow: Arrow, rows: FloatArray) -> FloatArray:
    """[F + 1, T] prices of a block's nodes from those of its rows, and none."""
    nodes, steps = len(arrow.parent), arrow.steps
    out = np.zeros((nodes + 1, steps))
    out[:nodes] = rows[len(rows) - nodes * steps :].reshape(nodes, steps)
    return out
