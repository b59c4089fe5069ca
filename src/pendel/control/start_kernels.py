"""Kernel that finds a first point of the interior method: every row nearly kept, inside all bounds.

Each unit moves evenly from its start towards a middle energy at its end; sites, nodes and the
market follow from that. Layout of columns: `arrow_kernels`.
"""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

INNER = 0.05


@kernel
def inside(value: float, lo: float, hi: float, share: float) -> float:
    """The value kept at least `share` of the width away from both bounds."""
    margin = share * (hi - lo)
    return min(max(value, lo + margin), hi - margin)


@kernel
def even_schedule(
    steps: int,
    site_begin: IntArray,
    offset: IntArray,
    unit_step: IntArray,
    gain: FloatArray,
    loss: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    due: FloatArray,
    v: FloatArray,
) -> None:
    """Fill charge, discharge and energy of all units and the site columns m, x, k."""
    sites = site_begin.shape[0] - 1
    pairs = offset[offset.shape[0] - 1]
    cells = sites * steps
    at_m = 3 * pairs
    for s in range(sites):
        base = s * steps
        for t in range(steps):
            i = at_m + base + t
            k = inside(0.0, lo[i + 2 * cells], hi[i + 2 * cells], 0.02)
            v[i + 2 * cells] = k
            v[i] = due[pairs + base + t] + k
        for u in range(site_begin[s], site_begin[s + 1]):
            a, b = offset[u], offset[u + 1]
            most, least = gain[u] * hi[a], loss[u] * hi[pairs + a]
            end = b - 1 + 2 * pairs
            goal = lo[end] + 0.3 * (hi[end] - lo[end])
            step = (goal - due[a]) / (b - a)
            energy = due[a]
            for j in range(a, b):
                d = inside(0.0, 0.0, hi[pairs + j], INNER)
                c = inside(0.0, 0.0, hi[j], INNER)
                if step >= 0.0 and most > 0.0:
                    c = inside((step + loss[u] * d) / gain[u], 0.0, hi[j], INNER)
                elif step < 0.0 and least > 0.0:
                    d = inside((gain[u] * c - step) / loss[u], 0.0, hi[pairs + j], INNER)
                energy += gain[u] * c - loss[u] * d
                v[j] = c
                v[pairs + j] = d
                v[2 * pairs + j] = inside(energy, lo[2 * pairs + j], hi[2 * pairs + j], INNER)
                energy = v[2 * pairs + j]
                v[at_m + base + unit_step[u] + j - a] += c - d
        for t in range(steps):
            i = at_m + base + t
            net = v[i]
            extra = 0.05 * abs(net) + 0.1
            v[i] = inside(max(net, 0.0) + extra, lo[i], hi[i], INNER)
            v[i + cells] = inside(v[i] - net, lo[i + cells], hi[i + cells], INNER)


@kernel
def even_grid(
    steps: int,
    sites: int,
    pairs: int,
    node_of: IntArray,
    parent: IntArray,
    bottom_up: IntArray,
    has_market: bool,
    lo: FloatArray,
    hi: FloatArray,
    due: FloatArray,
    v: FloatArray,
) -> None:
    """Fill peaks, node flows and deviations from the site columns."""
    cells = sites * steps
    at_m = 3 * pairs
    at_s = at_m + 3 * cells
    at_p = at_s + cells
    at_g = at_p + sites
    nodes = parent.shape[0]
    for f in range(nodes * steps):
        v[at_g + f] = 0.0
    for s in range(sites):
        peak = 0.0
        for t in range(steps):
            peak = max(peak, v[at_m + s * steps + t])
        v[at_p + s] = inside(1.1 * peak + 0.5, lo[at_p + s], hi[at_p + s], INNER)
        for t in range(steps):
            i = s * steps + t
            v[at_s + i] = inside(v[at_p + s] - v[at_m + i], lo[at_s + i], hi[at_s + i], 0.005)
            if node_of[s] >= 0:
                v[at_g + node_of[s] * steps + t] += v[at_m + i] - v[at_m + cells + i]
    for n in range(nodes):
        f = bottom_up[n]
        for t in range(steps):
            i = at_g + f * steps + t
            v[i] = inside(v[i], lo[i], hi[i], INNER)
            if parent[f] >= 0:
                v[at_g + parent[f] * steps + t] += v[i]
    if has_market:
        at_dev = at_g + nodes * steps
        for t in range(steps):
            off = v[at_g + (nodes - 1) * steps + t] + due[due.shape[0] - steps + t]
            extra = 0.05 * abs(off) + 0.5
            v[at_dev + t] = max(off, 0.0) + extra
            v[at_dev + steps + t] = max(-off, 0.0) + extra
