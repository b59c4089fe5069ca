"""What stands above the sites in the interior method: feeders, the portfolio and the market.

Indices: F nodes, then the market row, then "none" (whose price is always 0). Columns: net import
g [F T] of each node, deviations dev+, dev- [T each], and, where limits give way, the import
u [F T] beyond each node's limit, which stands beside g; rows: node [F T], market [T].
"""

import numpy as np

from pendel.control import barrier_kernels as barrier
from pendel.control.arrow import Arrow
from pendel.control.node_kernels import factor_nodes, solve_nodes
from pendel.units import FloatArray, IntArray

COST, LO, HI, V, ZL, ZU, WEIGHT, REDUCED, AFFINE, CHANGE = range(10)
INNER = 0.05


class Nodes:
    """State of the nodes: columns x [10, F T (+ 2 T) (+ F T)], prices [F + 2, T] of their rows."""

    def __init__(self, parent: IntArray, has_market: bool, steps: int, columns: FloatArray) -> None:
        """parent [F], -1 on top; columns [3, as x]: cost, lower and upper bound."""
        self.count, self.steps, self.has_market = len(parent), steps, has_market
        self.parent = np.where(parent < 0, self.count + 1, parent)
        if has_market:
            self.parent[self.count - 1] = self.count
        self._above = np.append(self.parent, self.count + 1)  # the market row has nothing above
        self.order = bottom_up(parent)
        if has_market:
            self.order = np.append(self.order, self.count)
        self.x = np.zeros((10, columns.shape[1]))
        self.x[: HI + 1] = columns
        self.due = np.zeros((self.count + 1, steps))
        self.price = np.zeros((self.count + 2, steps))
        self.answer = np.zeros((self.count + 2, steps))
        self.S = np.zeros((self.count + 1, steps, steps))
        self.miss = np.zeros((self.count + 1, steps))
        self.weight = np.zeros((self.count + 1, steps))

    @property
    def split(self) -> int:
        """Number of flow columns."""
        return self.count * self.steps

    @property
    def over(self) -> int:
        """First column of the excess (the end where there is none)."""
        return self.split + (2 * self.steps if self.has_market else 0)

    def rows(self, columns: FloatArray) -> FloatArray:
        """[F + 1, T] node and market rows of A times the columns, without the sites' flows."""
        flows = columns[: self.split].reshape(self.count, self.steps)
        if self.over < len(columns):
            flows = flows + columns[self.over :].reshape(self.count, self.steps)
        out = np.zeros((self.count + 2, self.steps))
        out[: self.count] = flows
        np.subtract.at(out, self.parent, flows)
        if self.has_market:
            at = self.split
            out[self.count] += columns[at : at + self.steps] - columns[at + self.steps : self.over]
        return out[: self.count + 1]

    def transpose(self, price: FloatArray) -> FloatArray:
        """A'y of the columns at prices [F + 2, T]."""
        own = (price[: self.count] - price[self.parent]).ravel()
        parts = [own]
        if self.has_market:
            parts += [price[self.count], -price[self.count]]
        if self.over < self.x.shape[1]:
            parts.append(own)
        return np.concatenate(parts)

    def factor(self) -> bool:
        """Factor S [F + 1, T, T], the sites' answers, at the weights of the columns, in place."""
        w, at = self.x[WEIGHT], self.split
        self.weight[: self.count] = w[:at].reshape(self.count, self.steps)
        if self.over < len(w):
            self.weight[: self.count] += w[self.over :].reshape(self.count, self.steps)
        if self.has_market:
            self.weight[self.count] = w[at : at + self.steps] + w[at + self.steps : self.over]
        return bool(factor_nodes(self.order, self._above, self.weight, self.S))

    def solve(self, rhs: FloatArray) -> FloatArray:
        """[F + 2, T] change of prices for a right-hand side [F + 1, T]."""
        out = np.zeros((self.count + 2, self.steps))
        out[: self.count + 1] = rhs
        if not self.has_market:
            out[self.count] = 0.0
        solve_nodes(self.order, self._above, self.weight, self.S, out)
        out[self.count + 1] = 0.0
        return out

    def place(self, flow: FloatArray) -> None:
        """First flows and deviations from the sites' net imports [F + 2, T] at each node."""
        x, at = self.x, self.split
        flow = flow.copy()
        for node in self.order[self.order < self.count]:
            own = slice(node * self.steps, (node + 1) * self.steps)
            margin = INNER * (x[HI, own] - x[LO, own])
            x[V, own] = np.clip(flow[node], x[LO, own] + margin, x[HI, own] - margin)
            total = x[V, own]
            if self.over < x.shape[1]:
                u = slice(self.over + own.start, self.over + own.stop)
                inner = INNER * x[HI, u]
                x[V, u] = np.clip(flow[node] - total, np.minimum(inner, 0.5), x[HI, u] - inner)
                total = total + x[V, u]
            flow[self.parent[node]] += total
        if self.has_market:
            off = flow[self.count] + self.due[self.count]
            extra = 0.05 * np.abs(off) + 0.5
            x[V, at : at + self.steps] = np.maximum(off, 0.0) + extra
            x[V, at + self.steps : self.over] = np.maximum(-off, 0.0) + extra
        barrier.start_weights(x[LO], x[HI], x[V], x[WEIGHT])

    def start(self, central: float) -> None:
        """Multipliers of the columns at the prices."""
        x, aty = self.x, self.transpose(self.price)
        barrier.start_multipliers(x[COST], aty, x[LO], x[HI], central, x[V], x[ZL], x[ZU])

    def advance(self, aim: float, primal: float, dual: float) -> None:
        """Take the last step."""
        x = self.x
        barrier.advance_columns(
            x[LO], x[HI], x[V], x[ZL], x[ZU], x[AFFINE], x[CHANGE], aim, primal, dual
        )
        self.price += dual * self.answer

    def open(self, flow: FloatArray) -> tuple[float, float, float, float]:
        """Measure at the sites' net imports [F + 2, T]: parts of bound, objective and
        complementarity, worst row."""
        x = self.x
        bound, objective, total = barrier.open_columns(
            x[COST], self.transpose(self.price), x[LO], x[HI], x[V], x[ZL], x[ZU],
            x[REDUCED], x[WEIGHT],
        )  # fmt: skip
        self.miss = self.due + flow[: self.count + 1] - self.rows(x[V])
        if not self.has_market:
            self.miss[self.count] = 0.0
        bound += float((self.due * self.price[: self.count + 1]).sum())
        return bound, objective, total, float(np.abs(self.miss).max(initial=0.0))

    def change(self, pull: FloatArray) -> FloatArray:
        """Change of prices; pull [F + 1, T]: what the sites leave of the right-hand side."""
        return self.solve(pull + self.miss + self.rows(self.x[WEIGHT] * self.x[REDUCED]))

    def affine(self, change: FloatArray) -> tuple[float, float, float, float, float]:
        """Complete the affine step (results: `affine_columns`)."""
        x = self.x
        found: tuple[float, float, float, float, float] = barrier.affine_columns(
            x[LO], x[HI], x[V], x[ZL], x[ZU], x[WEIGHT], x[REDUCED], self.transpose(change),
            x[AFFINE],
        )  # fmt: skip
        return found

    def centre(self, aim: float) -> None:
        """rho of the step that aims at complementarity `aim`."""
        x = self.x
        barrier.centre_columns(x[LO], x[HI], x[V], x[ZL], x[ZU], x[AFFINE], aim, x[REDUCED])

    def step(self, answer: FloatArray, aim: float) -> tuple[float, float]:
        """Complete the step (results: `step_columns`)."""
        x, self.answer = self.x, answer
        found: tuple[float, float] = barrier.step_columns(
            x[LO], x[HI], x[V], x[ZL], x[ZU], x[WEIGHT], x[REDUCED], self.transpose(answer),
            x[AFFINE], aim, x[CHANGE],
        )  # fmt: skip
        return found


def bottom_up(parent: IntArray) -> IntArray:
    """Nodes ordered so that children come before their parents."""
    depth = np.zeros(len(parent), dtype=np.int64)
    for node in range(len(parent)):
        above = int(parent[node])
        while above >= 0:
            depth[node] += 1
            above = int(parent[above])
    return np.argsort(-depth, kind="stable")


def nodes_of(arrow: Arrow, scale: float) -> Nodes:
    """The nodes of an arrow, costs divided by scale."""
    tail = int(arrow.block_begin[-1])
    columns = np.stack([arrow.cost[tail:] / scale, arrow.lo[tail:], arrow.hi[tail:]])
    nodes = Nodes(arrow.parent, arrow.has_market, arrow.steps, columns)
    if arrow.has_market:
        nodes.due[-1] = arrow.due[-arrow.steps :]
    return nodes
