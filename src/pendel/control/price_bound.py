"""The dual bound at given prices: every unit's exact programme plus the best of everything else.

Tighter than the box bound of the interior method, and the one that still holds when charging and
discharging exclude each other: the units answer with their true convex cost (a chord where
burning energy would pay).
"""

import numpy as np

from pendel.control.arrow import Arrow
from pendel.control.bound_kernels import bound_sites
from pendel.control.nodes import COST, HI, LO, nodes_of
from pendel.units import FloatArray


def price_bound_eur(arrow: Arrow, y: FloatArray, node_price: FloatArray, scale: float) -> float:
    """Proven lower bound [EUR] for any multipliers y [rows] and node_price [F + 2, T] (market row
    and none last), scaled by 1/scale.

    Returns -inf where a unit has no schedule of its own (the problem is then infeasible).
    """
    nodes, steps, sites = len(arrow.parent), arrow.steps, len(arrow.node_of)
    cost = arrow.cost / scale
    node_of = np.where(arrow.node_of < 0, nodes + 1, arrow.node_of)
    rates = np.stack([arrow.gain, arrow.loss])
    total = bound_sites(
        0, sites, steps, arrow.site_begin, arrow.offset, arrow.unit_step, rates,
        arrow.has_demand, node_of, cost, arrow.lo, arrow.hi, arrow.due, y, node_price,
        np.empty(sites),
    )  # fmt: skip
    if not np.isfinite(total):
        return -np.inf
    top = nodes_of(arrow, scale)
    if arrow.has_market:
        total += float(arrow.due[-steps:] @ node_price[nodes])
    reduced = top.x[COST] - top.transpose(node_price)
    total += float((reduced * np.where(reduced > 0.0, top.x[LO], top.x[HI])).sum())
    return scale * total + arrow.constant_eur
