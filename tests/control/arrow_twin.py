"""Readable twin of the arrow matrix: every row written out from the equations of the kernels."""

import numpy as np

from pendel.control.arrow import Arrow


def dense_matrix(arrow: Arrow) -> np.ndarray:
    """A [rows, columns] of an arrow in the order of the kernels."""
    steps, sites, nodes = arrow.steps, len(arrow.node_of), len(arrow.parent)
    A = np.zeros((len(arrow.due), len(arrow.cost)))
    node_row = arrow.pairs + 2 * sites * steps
    elastic = arrow.give is not None
    node_column = 3 * arrow.pairs + sites * (4 * steps + 1)
    if elastic:
        node_column += sites * steps + len(arrow.gain)
    for s in range(sites):
        before = int(arrow.offset[arrow.site_begin[s]])
        n = int(arrow.offset[arrow.site_begin[s + 1]]) - before
        row, column = before + 2 * s * steps, 3 * before + s * (4 * steps + 1)
        units = int(arrow.site_begin[s])
        if elastic:
            column += s * steps + units
        m = column + 3 * n
        for u in range(int(arrow.site_begin[s]), int(arrow.site_begin[s + 1])):
            for j in range(int(arrow.offset[u]) - before, int(arrow.offset[u + 1]) - before):
                t = int(arrow.unit_step[u]) + j - (int(arrow.offset[u]) - before)
                c, d, e = column + j, column + n + j, column + 2 * n + j
                A[row + j, e] = 1.0
                A[row + j, c] = -arrow.gain[u]
                A[row + j, d] = arrow.loss[u]
                if j > int(arrow.offset[u]) - before:
                    A[row + j, e - 1] = -1.0
                A[row + n + t, c] = -1.0
                A[row + n + t, d] = 1.0
            if elastic:
                short = m + 5 * steps + 1 + u - units
                A[row + int(arrow.offset[u + 1]) - before - 1, short] = -1.0
        for t in range(steps):
            A[row + n + t, m + steps + t] = -1.0
            A[row + n + t, m + 2 * steps + t] = -1.0
            imports = (m + t, m + 4 * steps + 1 + t) if elastic else (m + t,)
            A[row + n + t, imports] = 1.0
            if arrow.has_demand[s] % 2 == 1:
                A[row + n + steps + t, m + 4 * steps] = 1.0
                A[row + n + steps + t, imports] = -1.0
                A[row + n + steps + t, m + 3 * steps + t] = -1.0
            if arrow.node_of[s] >= 0:
                A[node_row + int(arrow.node_of[s]) * steps + t, imports] = -1.0
                A[node_row + int(arrow.node_of[s]) * steps + t, m + steps + t] = 1.0
    over = node_column + (nodes + 2 * arrow.has_market) * steps
    for f in range(nodes):
        for t in range(steps):
            flows = [node_column + f * steps + t] + [over + f * steps + t] * elastic
            A[node_row + f * steps + t, flows] = 1.0
            if arrow.parent[f] >= 0:
                at = node_row + int(arrow.parent[f]) * steps + t
                A[at, flows] = -1.0
    if arrow.has_market:
        dev_row, dev = node_row + nodes * steps, node_column + nodes * steps
        for t in range(steps):
            A[dev_row + t, dev + t] = 1.0
            A[dev_row + t, dev + steps + t] = -1.0
            flows = [node_column + (nodes - 1) * steps + t]
            A[dev_row + t, flows + [over + (nodes - 1) * steps + t] * elastic] = -1.0
    return A
