"""Kernels of what gives way: columns of a site's block for limits and targets not to be kept.

A block is stiff or elastic (bit 1 of its kind; bit 0: it has a demand charge). An elastic one has,
after its other columns, the excess u [T] over the import limit and the shortfall s [units]:

    site row     m + u - x - k - sum (c - d) = load - pv          demand row   P - m - u - sigma = 0
    last energy row of a unit   e_n - s - e_(n-1) - h eta_c c + h d / eta_d = ...,   e_n >= target

So u stands beside the import m and s beside the last energy e_n, with the same coefficients but
for a sign: in the normal equations their weights are those of m and e_n, added.
"""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def block_begin(pairs: int, units: int, site: int, steps: int, kind: int) -> int:
    """First column of a site's block; pairs, units: how many there are at the sites before."""
    return 3 * pairs + site * (4 * steps + 1) + (kind >> 1) * (units + site * steps)


@kernel
def block_columns(pairs: int, units: int, steps: int, kind: int) -> int:
    """Columns of a block with so many pairs and units."""
    return 3 * pairs + 4 * steps + 1 + (kind >> 1) * (units + steps)


@kernel
def joined_weights(steps: int, offset: IntArray, w: FloatArray, out: FloatArray) -> None:
    """out [3 n + 4 T + 1]: weights of an elastic block's stiff columns, those beside them added."""
    begin = offset[0]
    units = offset.shape[0] - 1
    n = offset[units] - begin
    grid, beside = 3 * n, 3 * n + 4 * steps + 1
    for i in range(beside):
        out[i] = w[i]
    for t in range(steps):
        out[grid + t] += w[beside + t]
    for u in range(units):
        out[2 * n + offset[u + 1] - begin - 1] += w[beside + steps + u]


@kernel
def multiply_beside(
    steps: int, offset: IntArray, has_demand: int, v: FloatArray, out: FloatArray
) -> None:
    """Add A v of an elastic block's columns u, s to its rows out [n + 2 T]."""
    begin = offset[0]
    units = offset.shape[0] - 1
    n = offset[units] - begin
    beside = v[3 * n + 4 * steps + 1 :]
    for t in range(steps):
        out[n + t] += beside[t]
        if has_demand:
            out[n + steps + t] -= beside[t]
    for u in range(units):
        out[offset[u + 1] - begin - 1] -= beside[steps + u]


@kernel
def transpose_beside(steps: int, offset: IntArray, y: FloatArray, out: FloatArray) -> None:
    """A'y of the columns u, s, after that of the others: u answers like m."""
    begin = offset[0]
    units = offset.shape[0] - 1
    n = offset[units] - begin
    beside = out[3 * n + 4 * steps + 1 :]
    for t in range(steps):
        beside[t] = out[3 * n + t]
    for u in range(units):
        beside[steps + u] = -y[offset[u + 1] - begin - 1]
