"""Kernels that move the units of a site one after the other, each to its best schedule beside all
others as they are (a Gauss-Seidel sweep with the exact programme of one unit).

With g = load - pv + sum of p the net of a site before anything is curtailed, the least cost of a
step is the infimal convolution of what a net in [low, high] costs and of curtailing up to pv for
nothing: convex and piecewise linear on [low - pv, high], with up to three pieces (export, import,
curtailment at its place). In stored energy a unit's part of them is cut at power 0; then dynamic
programming on the slopes of the cost-to-go is exact (`unit_kernels`, `sweep_kernels`).

Energies [W] are at the end of a step, unit after unit; rows of unit i are offset[i] to
offset[i + 1]. Twins: tests/control/test_moves.py.
"""

import numpy as np

from pendel.control.unit_kernels import cut_list
from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

SEGMENTS = 6
CHARGING = 3
RISE_KWH_EUR = 0.6
"""First rise of a level: this share of what is above it, per EUR/kWh of the reason."""
LEFT_KWH = 1e-9
SETTLED_EUR = 1e-9


@kernel
def curtailed(g: float, low: float, high: float, buy: float, sell: float, pv: float) -> float:
    """Curtailment [kW] at least cost for a net of g before it, within low <= net <= high."""
    if sell >= 0.0:
        until = low
    elif buy >= 0.0:
        until = min(max(0.0, low), high)
    else:
        until = high
    return min(max(until - g, 0.0), pv)


@kernel
def step_segments(
    rest: float, low: float, high: float, buy: float, sell: float, pv: float, charge_max: float,
    discharge_max: float, eta_c: float, eta_d: float, wear: float, step_h: float,
    slopes: FloatArray, lengths: FloatArray,
) -> tuple[int, int, float]:  # fmt: skip
    """Segments [SEGMENTS] of one step for a unit beside a net of `rest`: slopes [EUR per stored
    kWh] of discharging, rising, end at column CHARGING - 1, those of charging begin at CHARGING.

    Returns the first and the end of the columns that are used, and the lowest change of stored
    energy [kWh], from which the segments go up.
    """
    x = low - pv - rest
    p_lo, p_hi = max(-discharge_max, x), min(charge_max, high - rest)
    if p_hi < p_lo:
        p_hi = p_lo
    lowest = p_lo * step_h * eta_c if p_lo > 0.0 else p_lo * step_h / eta_d
    export, bought = max(min(high, 0.0) - low, 0.0), max(high - max(low, 0.0), 0.0)
    down, up = step_h / eta_d, step_h * eta_c
    first, end = CHARGING, CHARGING
    # Ascending: export, import, and curtailment for nothing at its place among them.
    place = 0 if sell >= 0.0 else 1 if buy >= 0.0 else 2
    for k in range(3):
        if k == place:
            slope, width = 0.0, pv
        elif k < place or place == 2:
            slope, width = (sell, export) if k == 0 else (buy, bought)
        else:
            slope, width = (sell, export) if k == 1 and place == 0 else (buy, bought)
        a, b = max(x, p_lo), min(x + width, p_hi)
        x += width
        if b <= a:
            continue
        if a < 0.0:
            # Kept in order from the left; moved to the right end below.
            slopes[CHARGING - first], lengths[CHARGING - first] = slope, (min(b, 0.0) - a) * down
            first -= 1
        if b > 0.0:
            slopes[end], lengths[end] = slope / eta_c + wear, (b - max(a, 0.0)) * up
            end += 1
    count = CHARGING - first
    for k in range(count - 1, -1, -1):
        to = CHARGING - count + k
        gain = slopes[k] * eta_d - wear
        # Where burning energy would pay the unit rests: no gain above the next cost.
        slopes[to] = min(gain, slopes[to + 1]) if to + 1 < end else gain
        lengths[to] = lengths[k]
    return first, end, lowest


@kernel
def best_path(
    n: int, used: IntArray, lowest: FloatArray, slopes: FloatArray, lengths: FloatArray,
    lo: FloatArray, top: float, start: float, end_slope: float, level: FloatArray,
    slope: FloatArray, length: FloatArray, energy: FloatArray,
) -> bool:  # fmt: skip
    """Cheapest energies [n] at the end of each step within lo [n] and top; False if there is none.

    slopes, lengths, level [n, SEGMENTS], used [n, 2], lowest [n]: segments of the changes; a kWh
    at the end costs end_slope. slope, length [SEGMENTS n + 2]: room for the cost-to-go, into which
    charging goes from its low end and discharging from its high end.
    """
    begin = CHARGING * n
    end = begin + 1
    low, high = lo[n - 1], top
    slope[begin], length[begin] = end_slope, max(high - low, 0.0)
    for j in range(n - 1, -1, -1):
        first, last, width = used[j, 0], used[j, 1], 0.0
        total, read = high, end - 1
        end += CHARGING - first
        write = end - 1
        for k in range(first, CHARGING):
            wanted = -slopes[j, k]
            while read >= begin and slope[read] >= wanted:
                slope[write], length[write] = slope[read], length[read]
                total -= length[read]
                read -= 1
                write -= 1
            level[j, k] = total
            slope[write], length[write] = wanted, lengths[j, k]
            width += lengths[j, k]
            write -= 1
        total, read = low, begin
        begin -= last - CHARGING
        write = begin
        for k in range(last - 1, CHARGING - 1, -1):
            wanted = -slopes[j, k]
            while read < end and slope[read] < wanted:
                slope[write], length[write] = slope[read], length[read]
                total += length[read]
                read += 1
                write += 1
            level[j, k] = total
            slope[write], length[write] = wanted, lengths[j, k]
            width += lengths[j, k]
            write += 1
        low -= lowest[j] + width
        high -= lowest[j]
        floor, roof = (lo[j - 1], top) if j > 0 else (start, start)
        if floor > high + LEFT_KWH or roof < low - LEFT_KWH:
            return False
        begin, end, low, high = cut_list(slope, length, begin, end, low, high, floor, roof)
    now = start
    for j in range(n):
        after = now + lowest[j]
        for k in range(used[j, 0], used[j, 1]):
            after += min(lengths[j, k], max(level[j, k] - after, 0.0))
        now = min(max(after, lo[j]), top)
        energy[j] = now
    return True


@kernel
def power_of(change: float, step_h: float, eta_c: float, eta_d: float) -> float:
    """AC power [kW] of a change of stored energy [kWh] in a step."""
    return change / (step_h * eta_c) if change > 0.0 else change * eta_d / step_h


@kernel
def stands(
    units: IntArray, step_h: float, first: IntArray, offset: IntArray, start: FloatArray,
    eta_c: FloatArray, eta_d: FloatArray, wear: FloatArray, worth: FloatArray,
    energy: FloatArray, base: FloatArray, low: FloatArray, high: FloatArray, buy: FloatArray,
    sell: FloatArray, pv: FloatArray, demand_eur: float, peak_kw: float, g: FloatArray,
) -> float:  # fmt: skip
    """Cost [EUR] of a site with the best curtailment, less what its units' energy at the end is
    worth; g [T] receives the net before curtailment, base [T] is that without units."""
    g[:] = base
    eur, peak = 0.0, peak_kw
    for i in units:
        now = start[i]
        for row in range(offset[i], offset[i + 1]):
            change = energy[row] - now
            now = energy[row]
            eur += wear[i] * abs(change)
            g[first[i] + row - offset[i]] += power_of(change, step_h, eta_c[i], eta_d[i])
        eur -= worth[i] * now
    for t in range(len(g)):
        net = g[t] + curtailed(g[t], low[t], high[t], buy[t], sell[t], pv[t])
        eur += step_h * net * (buy[t] if net > 0.0 else sell[t])
        peak = max(peak, net)
    return eur + demand_eur * peak


@kernel
def sweep_site(
    units: IntArray, step_h: float, first: IntArray, offset: IntArray, start: FloatArray,
    top: FloatArray, least: FloatArray, target: FloatArray, charge_max: FloatArray,
    discharge_max: FloatArray, eta_c: FloatArray, eta_d: FloatArray, wear: FloatArray,
    worth: FloatArray, g: FloatArray, low: FloatArray, high: FloatArray, level_kw: float,
    buy: FloatArray, sell: FloatArray, pv: FloatArray, t0: int, t1: int, energy: FloatArray,
) -> None:  # fmt: skip
    """Move each unit of a site that is there in steps t0..t1-1 once, beside the others: energy [W]
    and g [T] are changed in place.

    low, high, buy, sell, pv [T] of the site, whose net stays below level_kw, too. A unit that
    stands below its least energy or ends below its target stays at least where it is.
    """
    steps = g.shape[0]
    slopes, lengths = np.empty((steps, SEGMENTS)), np.empty((steps, SEGMENTS))
    level, lowest = np.empty((steps, SEGMENTS)), np.empty(steps)
    used, lo, path = np.empty((steps, 2), dtype=np.int64), np.empty(steps), np.empty(steps)
    slope, length = np.empty(SEGMENTS * steps + 2), np.empty(SEGMENTS * steps + 2)
    for i in units:
        a, n = offset[i], offset[i + 1] - offset[i]
        away = first[i] >= t1 or first[i] + n <= t0
        if n == 0 or away or (charge_max[i] <= 0.0 and discharge_max[i] <= 0.0):
            continue
        now = start[i]
        for j in range(n):
            t = first[i] + j
            rest = g[t] - power_of(energy[a + j] - now, step_h, eta_c[i], eta_d[i])
            now = energy[a + j]
            lo[j] = min(least[i], now)
            used[j, 0], used[j, 1], lowest[j] = step_segments(
                rest, low[t], min(high[t], level_kw), buy[t], sell[t], pv[t], charge_max[i],
                discharge_max[i], eta_c[i], eta_d[i], wear[i], step_h, slopes[j], lengths[j],
            )  # fmt: skip
        lo[n - 1] = min(max(least[i], target[i]), now)
        if not best_path(
            n, used, lowest, slopes, lengths, lo, top[i], start[i], -worth[i], level, slope,
            length, path,
        ):  # fmt: skip
            continue
        now = before = start[i]
        for j in range(n):
            t = first[i] + j
            g[t] += power_of(path[j] - before, step_h, eta_c[i], eta_d[i])
            g[t] -= power_of(energy[a + j] - now, step_h, eta_c[i], eta_d[i])
            before, now = path[j], energy[a + j]
            energy[a + j] = path[j]


@kernel
def copy_units(
    units: IntArray, offset: IntArray, energy: FloatArray, kept: FloatArray, back: bool
) -> None:
    """Copy the rows of some units out of energy [W] into kept, or back."""
    at = 0
    for i in units:
        for row in range(offset[i], offset[i + 1]):
            if back:
                energy[row] = kept[at]
            else:
                kept[at] = energy[row]
            at += 1


@kernel
def dearer(price: FloatArray, less: float, t0: int, t1: int, out: FloatArray) -> None:
    """Prices [T] into out, raised by `less` in steps t0..t1-1."""
    for t in range(len(price)):
        out[t] = price[t] + (less if t0 <= t < t1 else 0.0)


@kernel
def move_sites(
    s0: int, s1: int, step_h: float, order: IntArray, site_begin: IntArray, first: IntArray,
    offset: IntArray, start: FloatArray, top: FloatArray, least: FloatArray, target: FloatArray,
    charge_max: FloatArray, discharge_max: FloatArray, eta_c: FloatArray, eta_d: FloatArray,
    wear: FloatArray, worth: FloatArray, base_kw: FloatArray, pv_kw: FloatArray,
    demand_eur: FloatArray, peak_kw: FloatArray, price_row: IntArray, low_kw: FloatArray,
    high_kw: FloatArray, buy_eur: FloatArray, sell_eur: FloatArray, t0: int, t1: int, takes: int,
    eur_kwh: float, sweeps: int, energy: FloatArray, net_kw: FloatArray, cut_kw: FloatArray,
) -> None:  # fmt: skip
    """Move the units of sites s0..s1-1 for a reason worth eur_kwh in steps t0..t1-1, up to `sweeps`
    times each, where their site gets cheaper by it.

    Units of site s: order[site_begin[s]] to order[site_begin[s + 1]]. base_kw, pv_kw, low_kw,
    high_kw [S, T]; buy_eur, sell_eur [R, T] with the reason in them; takes: 1 where it is one to
    draw more. energy [W], net_kw and cut_kw [S, T] are changed in place.

    Under a demand charge the highest import is a level that rises from sweep to sweep, while
    that pays; who takes more then sees a reason that is weaker by what the room above costs when
    all of the block uses it, so that room goes to whom it is worth that. Then the level stays.
    """
    steps = base_kw.shape[1]
    g, before, bought, sold = np.empty(steps), np.empty(steps), np.empty(steps), np.empty(steps)
    for s in range(s0, s1):
        units, row, demand = order[site_begin[s] : site_begin[s + 1]], price_row[s], demand_eur[s]
        base, low, high, pv = base_kw[s], low_kw[s], high_kw[s], pv_kw[s]
        buy, sell, rows = buy_eur[row], sell_eur[row], 0
        for i in units:
            rows += offset[i + 1] - offset[i]
        best = np.empty(rows)
        least_eur = stands(
            units, step_h, first, offset, start, eta_c, eta_d, wear, worth, energy, base, low, high,
            buy, sell, pv, demand, peak_kw[s], g,
        )  # fmt: skip
        copy_units(units, offset, energy, best, False)
        climbs, misses = demand > 0.0, 0
        level = max(peak_kw[s], np.max(g)) if climbs else np.inf
        rise = max(np.max(high) - level, 0.0) * min(RISE_KWH_EUR * eur_kwh, 1.0)
        less = min(demand / (step_h * max(t1 - t0, 1)), eur_kwh) if takes == 1 else 0.0
        for sweep in range(sweeps):
            dearer(buy, less if climbs else 0.0, t0, t1, bought)
            dearer(sell, less if climbs else 0.0, t0, t1, sold)
            before[:] = g
            sweep_site(
                units, step_h, first, offset, start, top, least, target, charge_max,
                discharge_max, eta_c, eta_d, wear, worth, g, low, high, level, bought, sold, pv,
                t0, t1, energy,
            )  # fmt: skip
            eur = stands(
                units, step_h, first, offset, start, eta_c, eta_d, wear, worth, energy, base, low,
                high, buy, sell, pv, demand, peak_kw[s], g,
            )  # fmt: skip
            misses = 0 if eur < least_eur - SETTLED_EUR else misses + 1
            copy_units(units, offset, energy, best, misses > 0)
            if misses == 0:
                least_eur = eur
            else:
                g[:] = before
            if not climbs and misses > 0:
                break
            if climbs:
                climbs = misses < 2 and rise > 0.0 and less < eur_kwh and sweep < sweeps - 2
                level = level + rise if climbs else max(peak_kw[s], np.max(g))
                rise *= 2.0
        for t in range(steps):
            cut_kw[s, t] = curtailed(g[t], low[t], high[t], buy[t], sell[t], pv[t])
            net_kw[s, t] = g[t] + cut_kw[s, t]


@kernel
def follow_powers(
    step_h: float, offset: IntArray, start: FloatArray, eta_c: FloatArray, eta_d: FloatArray,
    energy: FloatArray, power: FloatArray,
) -> None:  # fmt: skip
    """Powers [W] that make the energies [W] of units which begin at start [N]."""
    for i in range(len(start)):
        now = start[i]
        for row in range(offset[i], offset[i + 1]):
            power[row] = power_of(energy[row] - now, step_h, eta_c[i], eta_d[i])
            now = energy[row]


@kernel
def sum_by_site(
    site: IntArray, first: IntArray, offset: IntArray, power: FloatArray, out: FloatArray
) -> None:
    """Add the powers [W] of units at sites [N] to out [S, T]."""
    for i in range(len(site)):
        for row in range(offset[i], offset[i + 1]):
            out[site[i], first[i] + row - offset[i]] += power[row]
