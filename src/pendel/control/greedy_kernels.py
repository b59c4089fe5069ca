"""Kernels of the safe path: flows through a tree of limits, and charging into the room it leaves.

Nodes are the sites, then the feeders, then the portfolio; above [nodes] is the next one up, -1 at
the top.
"""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def add_flows(above: IntArray, flow_kw: FloatArray, node_kw: FloatArray) -> None:
    """Add the flows of the sites [S] to all nodes that they go through."""
    for site in range(flow_kw.shape[0]):
        node = site
        while node >= 0:
            node_kw[node] += flow_kw[site]
            node = above[node]


@kernel
def charge_in_order(
    order: IntArray,
    site: IntArray,
    above: IntArray,
    most_kw: FloatArray,
    room_kw: FloatArray,
    power_kw: FloatArray,
) -> None:
    """Give each unit of an order what it may take (most_kw [N]) as far as all nodes above it have
    room (room_kw [nodes], which shrinks); power_kw [N]."""
    for at in range(order.shape[0]):
        unit = order[at]
        most = most_kw[unit]
        node = site[unit]
        while node >= 0:
            most = min(most, room_kw[node])
            node = above[node]
        if most > 0.0:
            power_kw[unit] = most
            node = site[unit]
            while node >= 0:
                room_kw[node] -= most
                node = above[node]
