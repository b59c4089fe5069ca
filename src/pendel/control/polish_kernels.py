"""Kernel that moves the units of one site after the other to where the market wants the fleet.

Units move by their exact programmes (`move_kernels`), within what the joint limits and the market
position leave: towards the position, never past it. So every move that pays at prices between the
fleet's own and the market's makes the whole cheaper.
"""

import numpy as np

from pendel.control.move_kernels import move_sites
from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

AT_BOUND_EUR_KWH = 1e-6
"""So near to what a deviation costs a price is that price."""


@kernel
def polish_sites(
    sites: IntArray, step_h: float, order: IntArray, site_begin: IntArray, first: IntArray,
    offset: IntArray, start: FloatArray, top: FloatArray, least: FloatArray, target: FloatArray,
    charge_max: FloatArray, discharge_max: FloatArray, eta_c: FloatArray, eta_d: FloatArray,
    wear: FloatArray, worth: FloatArray, base_kw: FloatArray, pv_kw: FloatArray,
    demand_eur: FloatArray, peak_kw: FloatArray, price_row: IntArray, low_kw: FloatArray,
    high_kw: FloatArray, import_eur: FloatArray, export_eur: FloatArray, node_of: IntArray,
    parent: IntArray, node_eur: FloatArray, short_eur: FloatArray, long_eur: FloatArray,
    towards: float, sweeps: int, up: FloatArray, down: FloatArray, off: FloatArray,
    energy: FloatArray, net_kw: FloatArray, cut_kw: FloatArray,
) -> None:  # fmt: skip
    """Move the units of some sites, one site after the other.

    Arguments as of `move_sites`; node_of [S] the node above each site and parent [F + 1] above each
    node, the top last (-1 above it); node_eur [F + 1, T] their prices [EUR/kWh]; towards: how far
    prices go from these to what a deviation really costs (0..1). up, down [F + 1, T] room at each
    node [kW] and off [T] deviation from the position [kW] that these sites may use; both, energy,
    net_kw and cut_kw are changed in place.
    """
    steps, rows = base_kw.shape[1], np.zeros(base_kw.shape[0], dtype=np.int64)
    low, high = np.empty_like(net_kw[:1]), np.empty_like(net_kw[:1])
    buy, sell, before = np.empty((1, steps)), np.empty((1, steps)), np.empty(steps)
    last = parent.shape[0] - 1
    for s in sites:
        for t in range(steps):
            most, least_kw = np.inf, np.inf
            f = node_of[s]
            while f >= 0:
                most, least_kw = min(most, up[f, t]), min(least_kw, down[f, t])
                f = parent[f]
            price = node_eur[last, t]
            if off[t] >= 0.0:
                real = short_eur[t]
                least_kw = min(least_kw, off[t])
                if price < real - AT_BOUND_EUR_KWH:
                    most = 0.0
            else:
                real = -long_eur[t]
                most = min(most, -off[t])
                if price > real + AT_BOUND_EUR_KWH:
                    least_kw = 0.0
            own = node_eur[node_of[s], t] + towards * (real - price)
            now = net_kw[s, t]
            buy[0, t], sell[0, t] = (
                import_eur[price_row[s], t] + own,
                export_eur[price_row[s], t] + own,
            )
            high[0, t] = max(min(high_kw[s, t], now + max(most, 0.0)), now)
            low[0, t] = min(max(low_kw[s, t], now - max(least_kw, 0.0)), now)
            before[t] = now
        keep_high, keep_low = high_kw[s].copy(), low_kw[s].copy()
        high_kw[s], low_kw[s] = high[0], low[0]
        move_sites(
            s, s + 1, step_h, order, site_begin, first, offset, start, top, least, target,
            charge_max, discharge_max, eta_c, eta_d, wear, worth, base_kw, pv_kw, demand_eur,
            peak_kw, rows, low_kw, high_kw, buy, sell, 0, steps, 0, 0.0, sweeps, energy, net_kw,
            cut_kw,
        )  # fmt: skip
        high_kw[s], low_kw[s] = keep_high, keep_low
        for t in range(steps):
            change = net_kw[s, t] - before[t]
            off[t] += change
            f = node_of[s]
            while f >= 0:
                up[f, t] -= change
                down[f, t] += change
                f = parent[f]


@kernel
def site_costs(
    step_h: float, order: IntArray, site_begin: IntArray, offset: IntArray, start: FloatArray,
    wear: FloatArray, worth: FloatArray, demand_eur: FloatArray, peak_kw: FloatArray,
    price_row: IntArray, import_eur: FloatArray, export_eur: FloatArray, energy: FloatArray,
    net_kw: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Cost [EUR] of each site into out [S], less what its units' energy at the end is worth."""
    for s in range(net_kw.shape[0]):
        row, eur, peak = price_row[s], 0.0, peak_kw[s]
        for t in range(net_kw.shape[1]):
            net = net_kw[s, t]
            eur += step_h * net * (import_eur[row, t] if net > 0.0 else export_eur[row, t])
            peak = max(peak, net)
        eur += demand_eur[s] * peak
        for i in order[site_begin[s] : site_begin[s + 1]]:
            now = start[i]
            for r in range(offset[i], offset[i + 1]):
                eur += wear[i] * abs(energy[r] - now)
                now = energy[r]
            eur -= worth[i] * now
        out[s] = eur


@kernel
def take_rows(first: IntArray, offset: IntArray, table: FloatArray, out: FloatArray) -> None:
    """Values of table [N, T] in the windows of units into out [W]."""
    for i in range(len(first)):
        for row in range(offset[i], offset[i + 1]):
            out[row] = table[i, first[i] + row - offset[i]]


@kernel
def put_rows(first: IntArray, offset: IntArray, values: FloatArray, table: FloatArray) -> None:
    """Values [W] into the windows of units in table [N, T]."""
    for i in range(len(first)):
        for row in range(offset[i], offset[i + 1]):
            table[i, first[i] + row - offset[i]] = values[row]
