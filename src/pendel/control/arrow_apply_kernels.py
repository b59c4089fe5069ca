"""Kernels that multiply with the arrow matrix A and its transpose (layout: `arrow_kernels`)."""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def apply_transpose(
    steps: int,
    site_begin: IntArray,
    offset: IntArray,
    unit_step: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    node_of: IntArray,
    parent: IntArray,
    has_market: bool,
    y: FloatArray,
    out: FloatArray,
) -> None:
    """out [columns] = A' y [rows]."""
    sites, nodes = node_of.shape[0], parent.shape[0]
    pairs = offset[offset.shape[0] - 1]
    cells = sites * steps
    at_m = 3 * pairs
    at_p = at_m + 4 * cells
    at_g = at_p + sites
    at_dev = at_g + nodes * steps
    row_s, row_pi = pairs, pairs + cells
    row_n = pairs + 2 * cells
    row_dev = row_n + nodes * steps
    for s in range(sites):
        base = s * steps
        for u in range(site_begin[s], site_begin[s + 1]):
            a, b = offset[u], offset[u + 1]
            price = row_s + base + unit_step[u] - a
            for j in range(a, b):
                out[j] = -gain[u] * y[j] - y[price + j]
                out[pairs + j] = loss[u] * y[j] + y[price + j]
                out[2 * pairs + j] = y[j] - (y[j + 1] if j + 1 < b else 0.0)
        total = 0.0
        for t in range(steps):
            i = base + t
            above = y[row_n + node_of[s] * steps + t] if node_of[s] >= 0 else 0.0
            out[at_m + i] = y[row_s + i] - y[row_pi + i] - above
            out[at_m + cells + i] = above - y[row_s + i]
            out[at_m + 2 * cells + i] = -y[row_s + i]
            out[at_m + 3 * cells + i] = -y[row_pi + i]
            total += y[row_pi + i]
        out[at_p + s] = total
    for f in range(nodes):
        for t in range(steps):
            above = 0.0
            if parent[f] >= 0:
                above = y[row_n + parent[f] * steps + t]
            elif has_market and f == nodes - 1:
                above = y[row_dev + t]
            out[at_g + f * steps + t] = y[row_n + f * steps + t] - above
    if has_market:
        for t in range(steps):
            out[at_dev + t] = y[row_dev + t]
            out[at_dev + steps + t] = -y[row_dev + t]


@kernel
def apply_rows(
    steps: int,
    site_begin: IntArray,
    offset: IntArray,
    unit_step: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    has_demand: IntArray,
    node_of: IntArray,
    parent: IntArray,
    has_market: bool,
    v: FloatArray,
    out: FloatArray,
) -> None:
    """out [rows] = A v [columns]."""
    sites, nodes = node_of.shape[0], parent.shape[0]
    pairs = offset[offset.shape[0] - 1]
    cells = sites * steps
    at_m = 3 * pairs
    at_p = at_m + 4 * cells
    at_g = at_p + sites
    at_dev = at_g + nodes * steps
    row_s, row_pi = pairs, pairs + cells
    row_n = pairs + 2 * cells
    row_dev = row_n + nodes * steps
    for f in range(nodes):
        for t in range(steps):
            out[row_n + f * steps + t] = v[at_g + f * steps + t]
    for f in range(nodes):
        if parent[f] >= 0:
            for t in range(steps):
                out[row_n + parent[f] * steps + t] -= v[at_g + f * steps + t]
    for s in range(sites):
        base = s * steps
        for t in range(steps):
            i = base + t
            flow = v[at_m + i] - v[at_m + cells + i]
            out[row_s + i] = flow - v[at_m + 2 * cells + i]
            out[row_pi + i] = 0.0
            if has_demand[s]:
                out[row_pi + i] = v[at_p + s] - v[at_m + i] - v[at_m + 3 * cells + i]
            if node_of[s] >= 0:
                out[row_n + node_of[s] * steps + t] -= flow
        for u in range(site_begin[s], site_begin[s + 1]):
            a, b = offset[u], offset[u + 1]
            at = row_s + base + unit_step[u] - a
            for j in range(a, b):
                before = v[2 * pairs + j - 1] if j > a else 0.0
                out[j] = v[2 * pairs + j] - before - gain[u] * v[j] + loss[u] * v[pairs + j]
                out[at + j] -= v[j] - v[pairs + j]
    if has_market:
        top = at_g + (nodes - 1) * steps
        for t in range(steps):
            out[row_dev + t] = v[at_dev + t] - v[at_dev + steps + t] - v[top + t]
