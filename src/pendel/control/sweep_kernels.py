"""Fast schedules for many units: one exact single-unit programme after the other, against what the
rest of the site already does (a Gauss-Seidel sweep).

The cost of a unit's power p in a step, with r the net of its site without it, is convex piecewise
linear: up to four charging segments (PV that would be lost, PV surplus at the export price, import,
import above the peak so far) and two discharging segments (replacing import, exporting). The
programme on the value function V_t(e), kept as a sorted list of (slope, length), is then exact:

    V_t = (V_{t+1} convolved with the segments), cut to the reachable [lo_t, hi_t]
    forward: charge in a segment of marginal cost a while V'(e) < -a,
             discharge in one of gain b while V'(e) > -b

What a sale brings is weighted by the probability that the unit is still there; what charging costs
is not, or leaving it for later would look cheap. Where burning energy would pay (gain above cost)
the gain is lowered to the cost: a unit then rests. Oracle: tests/control/test_sweep_schedules.py.
Source: dynamic programming on convex piecewise-linear functions; cf. Cruise et al. arXiv 1412.0829.
"""

import numpy as np

from pendel.kernel import kernel
from pendel.units import BoolArray, FloatArray, IntArray

SEGMENTS = 6
CHARGING = 4
ROOM_KWH = 1e-9
PRESENCE_LEAST = 1e-3


@kernel
def merge_segments(
    slope: FloatArray,
    length: FloatArray,
    count: int,
    add_slope: FloatArray,
    add_length: FloatArray,
    out_slope: FloatArray,
    out_length: FloatArray,
    cut_low: float,
    keep: float,
) -> int:
    """Merge SEGMENTS additions (slopes rising) into a rising list, cutting both ends.

    cut_low [kWh] is dropped from the low end, then at most keep [kWh] remains. Returns the count
    of entries written. Empty additions (length 0) vanish.
    """
    i, j, n = 0, 0, 0
    drop, left = cut_low, keep
    while left > 0.0 and (i < count or j < SEGMENTS):
        if j >= SEGMENTS or (i < count and slope[i] <= add_slope[j]):
            s, x = slope[i], length[i]
            i += 1
        else:
            s, x = add_slope[j], add_length[j]
            j += 1
        if drop > 0.0:
            d = min(drop, x)
            drop -= d
            x -= d
        x = min(x, left)
        if x > 0.0:
            left -= x
            if n > 0 and out_slope[n - 1] == s:
                out_length[n - 1] += x
            else:
                out_slope[n] = s
                out_length[n] = x
                n += 1
    return n


@kernel
def levels_of(
    slope: FloatArray, length: FloatArray, count: int, low: float, at: FloatArray, out: FloatArray
) -> None:
    """Stored energy [kWh] up to which each segment acts: low plus the length of the list with
    slopes below the segment's (charging) or at and below it (discharging). at [SEGMENTS] rises."""
    total, i = low, 0
    for j in range(SEGMENTS):
        while i < count and (slope[i] < at[j] or (j >= CHARGING and slope[i] == at[j])):
            total += length[i]
            i += 1
        out[j] = total


@kernel
def step_segments(
    rest_kw: float,
    low_kw: float,
    high_kw: float,
    peak_kw: float,
    charge_max_kw: float,
    discharge_max_kw: float,
    import_eur: float,
    export_eur: float,
    peak_eur: float,
    charge_efficiency: float,
    discharge_efficiency: float,
    wear_eur: float,
    weight: float,
    step_h: float,
    slopes: FloatArray,
    lengths: FloatArray,
) -> None:
    """Segments of one step in stored kWh, in the order [charge x4 dearest first, discharge x2].

    That order has rising slopes (-cost, -gain). rest_kw: net of the site without the unit;
    low, high: bounds of net; above peak_kw importing costs peak_eur more per kWh.
    """
    charge = min(charge_max_kw, max(high_kw - rest_kw, 0.0))
    discharge = min(discharge_max_kw, max(rest_kw - low_kw, 0.0))
    lost = min(charge, max(low_kw - rest_kw, 0.0))
    surplus = min(charge, max(-rest_kw, 0.0))
    upto_peak = min(charge, max(peak_kw - rest_kw, surplus))
    up, down = charge_efficiency * step_h, step_h / discharge_efficiency
    sold = min(export_eur, import_eur)
    kept = max(sold, 0.0)  # PV may be held back instead of paying to export it
    cost_surplus = kept / charge_efficiency + wear_eur
    cost = import_eur / charge_efficiency + wear_eur
    cost = max(cost, cost_surplus) if surplus > 0.0 else cost
    replaced = min(discharge, max(rest_kw, 0.0))
    gain = import_eur * discharge_efficiency - wear_eur
    gain_sold = sold * discharge_efficiency - wear_eur
    least = cost if surplus <= 0.0 else (cost_surplus if lost <= 0.0 else wear_eur)
    gain = min(gain, least)
    slopes[0] = -(cost + peak_eur / charge_efficiency)
    slopes[1] = -cost
    slopes[2] = -cost_surplus if surplus > 0.0 else -cost
    slopes[3] = -wear_eur if lost > 0.0 else slopes[2]
    gain = min(weight * gain, gain)  # a loss is as sure as ever
    slopes[4] = -gain
    slopes[5] = -min(min(weight * gain_sold, gain_sold), gain)
    lengths[0] = (charge - upto_peak) * up
    lengths[1] = (upto_peak - surplus) * up
    lengths[2] = (surplus - lost) * up
    lengths[3] = lost * up
    lengths[4] = replaced * down
    lengths[5] = (discharge - replaced) * down


@kernel
def charge_room(lengths: FloatArray) -> float:
    """Most that can be charged in a step of these segments [kWh]."""
    return float(lengths[0] + lengths[1] + lengths[2] + lengths[3])


@kernel
def one_unit(
    energy_kwh: float,
    capacity_kwh: float,
    energy_min_kwh: float,
    floor_kwh: FloatArray,
    slopes: FloatArray,
    lengths: FloatArray,
    end_value_eur: float,
    steps: int,
    low: FloatArray,
    level: FloatArray,
    buffer: FloatArray,
    change_kwh: FloatArray,
) -> None:
    """Cheapest change of stored energy per step [K] for the segments [K, SEGMENTS].

    floor_kwh [K] due at the end of each step (NaN = none), lowered to what is reachable.
    end_value_eur: value of a stored kWh at the end. Scratch: low [K], level [K, SEGMENTS],
    buffer [4, 5 K + 8].
    """
    reach = energy_kwh
    for k in range(steps):
        reach = min(reach + charge_room(lengths[k]), capacity_kwh)
        reach = max(reach, energy_kwh)
        floor = floor_kwh[k] if floor_kwh[k] > energy_min_kwh else energy_min_kwh
        low[k] = min(floor, reach)
    # A floor must stay reachable from the one before it, given what can be charged in between.
    for k in range(steps - 2, -1, -1):
        low[k] = max(low[k], low[k + 1] - charge_room(lengths[k + 1]))
    slope, length = buffer[0], buffer[1]
    next_slope, next_length = buffer[2], buffer[3]
    top = max(capacity_kwh, energy_kwh)
    slope[0], length[0] = -end_value_eur, max(top - low[steps - 1], 0.0)
    count = 1
    for k in range(steps - 1, -1, -1):
        levels_of(slope, length, count, low[k], slopes[k], level[k])
        if k == 0:
            break
        begin = low[k] - charge_room(lengths[k])
        count = merge_segments(
            slope, length, count, slopes[k], lengths[k], next_slope, next_length,
            max(low[k - 1] - begin, 0.0), max(top - low[k - 1], 0.0),
        )  # fmt: skip
        slope, next_slope = next_slope, slope
        length, next_length = next_length, length
    energy = energy_kwh
    for k in range(steps):
        change = 0.0
        for j in range(CHARGING - 1, -1, -1):
            if energy + change < level[k, j]:
                change += min(level[k, j] - energy - change, lengths[k, j])
        if change <= ROOM_KWH:
            change = max(change, 0.0)
            for j in range(CHARGING, SEGMENTS):
                if change <= 0.0 and energy + change > level[k, j]:
                    change -= min(energy + change - level[k, j], lengths[k, j])
        change_kwh[k] = change
        energy += change


@kernel
def write_schedule(
    change_kwh: FloatArray, steps: int, begin: int, energy_kwh: float, charge_efficiency: float,
    discharge_efficiency: float, step_h: float, schedule_kw: FloatArray, planned_kwh: FloatArray,
    cars_kw: FloatArray,
) -> None:  # fmt: skip
    """Changes of stored energy [K] as powers and energies into the rings [H] of a unit, and onto
    the sum of its site; step t in column t % H."""
    energy = energy_kwh
    for k in range(steps):
        column = (begin + k) % len(schedule_kw)
        energy += change_kwh[k]
        if change_kwh[k] >= 0.0:
            schedule_kw[column] = change_kwh[k] / (charge_efficiency * step_h)
        else:
            schedule_kw[column] = change_kwh[k] * discharge_efficiency / step_h
        cars_kw[column] += schedule_kw[column]
        planned_kwh[column] = energy


@kernel
def sweep(
    todo: IntArray,
    slot: IntArray,
    site: IntArray,
    price_row: IntArray,
    energy_kwh: FloatArray,
    capacity_kwh: FloatArray,
    energy_min_kwh: FloatArray,
    charge_max_kw: FloatArray,
    discharge_max_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    wear_eur_kwh: FloatArray,
    end_value_eur: FloatArray,
    presence: FloatArray,
    floor_kwh: FloatArray,
    import_eur: FloatArray,
    export_eur: FloatArray,
    base_kw: FloatArray,
    low_kw: FloatArray,
    high_kw: FloatArray,
    peak_kw: FloatArray,
    peak_eur: FloatArray,
    alone: BoolArray,
    step_h: float,
    begin: int,
    schedule_kw: FloatArray,
    planned_kwh: FloatArray,
    cars_kw: FloatArray,
) -> None:
    """Plan the units of `todo` [M] one after the other; columns are rings over absolute steps.

    Unit columns [N]; presence, floor_kwh [M, K]; prices [R, K]; site forecasts base, bounds of net
    low, high [S, K]; peak_kw, peak_eur [S]. alone [S]: nothing couples, so net is not looked at.
    schedule_kw, planned_kwh [slots, H] and cars_kw [S, H] hold step t in column t % H; begin is
    the current absolute step. Writes up to K steps of them, as far as the unit will be there with
    at least PRESENCE_LEAST, and clears the rest of its ring.
    """
    steps, ring = presence.shape[1], schedule_kw.shape[1]
    slopes, lengths = np.zeros((steps, SEGMENTS)), np.zeros((steps, SEGMENTS))
    low, level = np.zeros(steps), np.zeros((steps, SEGMENTS))
    buffer, change = np.zeros((4, SEGMENTS * steps + 8)), np.zeros(steps)
    for m in range(len(todo)):
        i = todo[m]
        s, row, mine = site[i], price_row[site[i]], schedule_kw[slot[i]]
        for c in range(ring):
            cars_kw[s, c] -= mine[c]
            mine[c] = 0.0
        ahead = 1
        while ahead < steps and presence[m, ahead] >= PRESENCE_LEAST:
            ahead += 1
        for k in range(ahead):
            column = (begin + k) % ring
            rest = 0.0 if alone[s] else base_kw[s, k] + cars_kw[s, column]
            step_segments(
                rest, -np.inf if alone[s] else low_kw[s, k],
                np.inf if alone[s] else high_kw[s, k], np.inf if alone[s] else peak_kw[s],
                charge_max_kw[i], discharge_max_kw[i], import_eur[row, k], export_eur[row, k],
                peak_eur[s], charge_efficiency[i], discharge_efficiency[i], wear_eur_kwh[i],
                presence[m, k], step_h, slopes[k], lengths[k],
            )  # fmt: skip
        one_unit(
            energy_kwh[i], capacity_kwh[i], energy_min_kwh[i], floor_kwh[m], slopes, lengths,
            end_value_eur[i], ahead, low, level, buffer, change,
        )  # fmt: skip
        write_schedule(
            change, ahead, begin, energy_kwh[i], charge_efficiency[i], discharge_efficiency[i],
            step_h, mine, planned_kwh[slot[i]], cars_kw[s],
        )  # fmt: skip
