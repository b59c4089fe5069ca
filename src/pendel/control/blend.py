"""Convex combinations of whole schedules: sections of a fleet move from one plan towards another.

Any mixture of two schedules of a site keeps all that couples its units, because what a site may do
is convex. How far each section goes is a small linear programme over all sections: it makes up
for steps where one plan takes too much and the other too little (Dantzig and Wolfe, Oper. Res. 8
(1960), with two columns for each section).
"""

from dataclasses import dataclass, replace

import numpy as np

from pendel.control.linear_model import INF, Model
from pendel.control.linear_solve import Engine
from pendel.control.problem import PlanProblem
from pendel.units import FloatArray, IntArray

OVER_EUR_KW = 1_000.0
"""Price of a kW over a limit of feeders or portfolio: more than anything else costs."""


@dataclass(frozen=True, slots=True)
class Flows:
    """Net imports of G sections at the nodes they touch: node, section [E], kw [E, T] for E pairs
    of both; cost_eur [G] of each section."""

    node: IntArray
    section: IntArray
    kw: FloatArray
    cost_eur: FloatArray

    def towards(self, other: "Flows", share: FloatArray) -> "Flows":
        """These flows moved by share [G] towards other ones."""
        part = share[self.section, None]
        kw = self.kw + part * (other.kw - self.kw)
        cost = self.cost_eur + share * (other.cost_eur - self.cost_eur)
        return Flows(self.node, self.section, kw, cost)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits [F, T] of the nodes (feeders, then the portfolio) and what is above each: lists of
    the node itself and all above it that have limits."""

    low_kw: FloatArray
    high_kw: FloatArray
    chain: tuple[tuple[int, ...], ...]

    def total_kw(self, flows: Flows) -> FloatArray:
        """[F, T] net import of each node."""
        out = np.zeros_like(self.low_kw)
        for node, kw in zip(flows.node.tolist(), flows.kw, strict=True):
            for above in self.chain[node]:
                out[above] += kw
        return out

    def excess_kw(self, flows: Flows) -> float:
        """Sum of all excesses over limits."""
        total = self.total_kw(flows)
        over = np.maximum(total - self.high_kw, self.low_kw - total)
        return float(np.maximum(over, 0.0).sum())

    def over_kw(self, flows: Flows) -> float:
        """Worst excess over a limit."""
        total = self.total_kw(flows)
        over = np.maximum(total - self.high_kw, self.low_kw - total)
        return max(float(over.max(initial=0.0)), 0.0)


def limits_of(problem: PlanProblem, margin_share: float) -> Limits:
    """Limits of feeders and portfolio, narrower by a share."""
    feeders, steps = problem.feeders, problem.steps
    count = len(feeders)
    high = np.repeat(feeders.import_limit_kw[:, None], steps, axis=1)
    low = -np.repeat(feeders.export_limit_kw[:, None], steps, axis=1)
    high = np.concatenate([high, problem.portfolio_import_limit_kw[None, :]])
    low = np.concatenate([low, -problem.portfolio_export_limit_kw[None, :]])
    chain: list[tuple[int, ...]] = []
    for node in range(count):
        above, found = node, []
        while above >= 0:
            found.append(above)
            above = int(feeders.parent[above])
        chain.append((*found, count))
    chain += [(count,)] * 3
    return Limits((1.0 - margin_share) * low, (1.0 - margin_share) * high, tuple(chain))


def deviation_eur(problem: PlanProblem, net_kw: FloatArray) -> float:
    """Cost of deviating from the market position at a portfolio's net import [T]."""
    market = problem.market
    if market is None:
        return 0.0
    off = net_kw - market.position_kw
    cost = market.short_eur_kwh * np.maximum(off, 0.0)
    cost = cost + market.long_eur_kwh * np.maximum(-off, 0.0)
    return float(problem.step_h * cost.sum())


def best_shares(
    problem: PlanProblem,
    limits: Limits,
    kept: Flows,
    fresh: Flows,
    sections: int,
    over_eur_kw: float = OVER_EUR_KW,
) -> FloatArray:
    """[G] how far each section goes from its kept plan to the fresh one, at least cost; a kW over
    a limit costs over_eur_kw."""
    model, steps = Model(), problem.steps
    share = model.add_columns("share", sections, 0.0, 1.0, fresh.cost_eur - kept.cost_eur)
    now = limits.total_kw(kept)
    # A node matters where a mixture could be over its limit.
    high, low = (
        limits.total_kw(_extreme(kept, fresh, np.maximum)),
        limits.total_kw(_extreme(kept, fresh, np.minimum)),
    )
    tight = (high > limits.high_kw) | (low < limits.low_kw)
    node, step = np.nonzero(tight)
    row = np.full(tight.shape, -1, dtype=np.int64)
    row[node, step] = model.add_rows(
        len(node), limits.low_kw[tight] - now[tight], limits.high_kw[tight] - now[tight]
    )
    for sign in (1.0, -1.0):
        over = model.add_columns(f"over {sign}", len(node), 0.0, INF, over_eur_kw)
        model.put(row[node, step], over, -sign)
    market = problem.market
    top = len(limits.high_kw) - 1
    dev_row = np.full(steps, -1, dtype=np.int64)
    if market is not None:
        off = now[top] - market.position_kw
        dev_row = model.add_rows(steps, -off, -off)
        h = problem.step_h
        for name, sign, price in (
            ("short", -1.0, market.short_eur_kwh),
            ("long", 1.0, market.long_eur_kwh),
        ):
            dev = model.add_columns(name, steps, 0.0, INF, h * price)
            model.put(dev_row, dev, sign)
    for at, section, change in zip(
        kept.node.tolist(), kept.section.tolist(), fresh.kw - kept.kw, strict=True
    ):
        for above in limits.chain[at]:
            some = row[above] >= 0
            model.put(row[above][some], share[[section]], change[some])
        if market is not None:
            model.put(dev_row, share[[section]], change)
    engine = Engine(model, lambda: INF)
    values = engine.values() if engine.run() == "optimal" else None
    if values is None:
        return np.zeros(sections)
    return np.clip(values[share], 0.0, 1.0)


def no_flows(steps: int) -> Flows:
    """Those of no section at all."""
    none = np.zeros(0, dtype=np.int64)
    return Flows(none, none, np.zeros((0, steps)), np.zeros(0))


def beside(
    problem: PlanProblem, limits: Limits, others_kw: FloatArray
) -> tuple[PlanProblem, Limits]:
    """Problem and limits for some sites beside net imports others_kw [F + 2, T] of all others,
    directly below each node."""
    rest_kw = np.zeros_like(limits.low_kw)
    for node, chain in enumerate(limits.chain[: len(others_kw)]):
        for above in chain:
            rest_kw[above] += others_kw[node]
    limits = replace(limits, low_kw=limits.low_kw - rest_kw, high_kw=limits.high_kw - rest_kw)
    market = problem.market
    if market is None:
        return problem, limits
    position = market.position_kw - rest_kw[-1]
    return replace(problem, market=replace(market, position_kw=position)), limits


def _extreme(kept: Flows, fresh: Flows, which: np.ufunc) -> Flows:
    """The larger or smaller of both at each place."""
    return Flows(kept.node, kept.section, which(kept.kw, fresh.kw), kept.cost_eur)
