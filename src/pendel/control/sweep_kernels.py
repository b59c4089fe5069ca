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
from pendel.units import FloatArray, IntArray

SEGMENTS = 6
CHARGING = 4
ROOM_KWH = 1e-9
PRESENCE_LEAST = 1e-3


@kernel
def segments_ahead(
    presence: FloatArray, m: int, base_kw: FloatArray, low_kw: FloatArray, high_kw: FloatArray,
    cars_kw: FloatArray, site: int, column: int, peak_kw: float, peak_eur: float,
    charge_max_kw: float, discharge_max_kw: float, import_eur: FloatArray, export_eur: FloatArray,
    row: int, charge_efficiency: float, discharge_efficiency: float, wear_eur: float,
    step_h: float, slopes: FloatArray, lengths: FloatArray, ends: IntArray,
) -> int:  # fmt: skip
    """Segments of the steps ahead in stored kWh, none empty: rising slopes (-cost, -gain).

    Returns the number of steps K in which the unit will be there with at least PRESENCE_LEAST
    (row m of presence). slopes, lengths [K, SEGMENTS]: charging ends at column CHARGING - 1, the
    dearest first, and begins at ends[k, 0]; discharging begins at column CHARGING and ends before
    ends[k, 1]. The net of the site without the unit is base_kw + cars_kw (a ring, the first step in
    `column`), its bounds low, high; above peak_kw importing costs peak_eur more per kWh.
    """
    steps, ring = int(presence.shape[1]), cars_kw.shape[1]
    per_charge = 1.0 / charge_efficiency
    up, down = charge_efficiency * step_h, step_h / discharge_efficiency
    for k in range(steps):
        weight = presence[m, k]
        if k > 0 and weight < PRESENCE_LEAST:
            return k
        rest = base_kw[site, k] + cars_kw[site, column]
        column = column + 1 if column + 1 < ring else 0
        low = low_kw[site, k]
        buy = import_eur[row, k]
        charge = min(charge_max_kw, max(high_kw[site, k] - rest, 0.0))
        discharge = min(discharge_max_kw, max(rest - low, 0.0))
        sold = min(export_eur[row, k], buy)
        cost = buy * per_charge + wear_eur
        least, surplus = cost, 0.0
        begin = CHARGING
        if rest < 0.0 or low > rest:
            lost = min(charge, max(low - rest, 0.0))
            surplus = max(min(charge, max(-rest, 0.0)), lost)
            cost_surplus = max(sold, 0.0) * per_charge + wear_eur  # PV may be held back
            if surplus > 0.0:
                cost = max(cost, cost_surplus)
                least = cost_surplus if lost <= 0.0 else wear_eur
            slopes[k, begin - 1] = -wear_eur
            lengths[k, begin - 1] = lost * up
            begin -= 1 if lost > 0.0 else 0
            slopes[k, begin - 1] = -cost_surplus
            lengths[k, begin - 1] = (surplus - lost) * up
            begin -= 1 if surplus > lost else 0
        upto_peak = min(charge, max(peak_kw - rest, surplus))
        slopes[k, begin - 1] = -cost
        lengths[k, begin - 1] = (upto_peak - surplus) * up
        begin -= 1 if upto_peak > surplus else 0
        if charge > upto_peak:
            begin -= 1
            slopes[k, begin] = -(cost + peak_eur * per_charge)
            lengths[k, begin] = (charge - upto_peak) * up
        ends[k, 0] = begin
        replaced = min(discharge, max(rest, 0.0))
        gain = min(buy * discharge_efficiency - wear_eur, least)
        gain = min(weight * gain, gain)  # a loss is as sure as ever
        gain_sold = sold * discharge_efficiency - wear_eur
        slopes[k, CHARGING] = -gain
        lengths[k, CHARGING] = replaced * down
        end = CHARGING + 1 if replaced > 0.0 else CHARGING
        slopes[k, end] = -min(min(weight * gain_sold, gain_sold), gain)
        lengths[k, end] = (discharge - replaced) * down
        ends[k, 1] = end + 1 if discharge > replaced else end
    return steps


@kernel
def least_energies(
    energy_kwh: float,
    capacity_kwh: float,
    energy_min_kwh: float,
    floor_kwh: FloatArray,
    m: int,
    lengths: FloatArray,
    ends: IntArray,
    steps: int,
    room: FloatArray,
    low: FloatArray,
) -> None:
    """Least energy due at the end of each step into low [K]: floor_kwh[m] [K] (NaN = none), lowered
    to what is reachable, and from which the later ones stay reachable. room [K]: what can be
    charged in each step [kWh]."""
    reach = energy_kwh
    for k in range(steps):
        most = 0.0
        for j in range(ends[k, 0], CHARGING):
            most += lengths[k, j]
        room[k] = most
        reach = max(min(reach + most, capacity_kwh), energy_kwh)
        floor = floor_kwh[m, k] if floor_kwh[m, k] > energy_min_kwh else energy_min_kwh
        low[k] = min(floor, reach)
    for k in range(steps - 2, -1, -1):
        low[k] = max(low[k], low[k + 1] - room[k + 1])


@kernel
def levels_back(
    top_kwh: float,
    end_value_eur: float,
    slopes: FloatArray,
    lengths: FloatArray,
    ends: IntArray,
    steps: int,
    room: FloatArray,
    low: FloatArray,
    slope: FloatArray,
    length: FloatArray,
    level: FloatArray,
) -> None:
    """Stored energy [kWh] up to which each segment acts, into level [K, SEGMENTS]: low plus the
    length of the value function with slopes below the segment's (charging) or at and below it
    (discharging).

    The value function is the list slope, length [6 K + 2] from `begin` to before `end`. Charging
    goes in from its low end and discharging from its high end, each moving only the entries it
    passes, one pass for all segments of a step; then as much is cut off at both ends.
    """
    begin = CHARGING * steps
    end = begin + 1
    slope[begin], length[begin] = -end_value_eur, max(top_kwh - low[steps - 1], 0.0)
    for k in range(steps - 1, -1, -1):
        total, read = low[k], begin
        begin -= CHARGING - ends[k, 0]
        write = begin
        for j in range(ends[k, 0], CHARGING):
            at = slopes[k, j]
            while read < end and slope[read] < at:
                x = length[read]
                slope[write], length[write] = slope[read], x
                total += x
                read += 1
                write += 1
            level[k, j] = total
            slope[write], length[write] = at, lengths[k, j]
            write += 1
        total, read, drawn = top_kwh, end - 1, 0.0
        end += ends[k, 1] - CHARGING
        write = end - 1
        for j in range(ends[k, 1] - 1, CHARGING - 1, -1):
            at = slopes[k, j]
            while read >= begin and slope[read] > at:
                x = length[read]
                slope[write], length[write] = slope[read], x
                total -= x
                read -= 1
                write -= 1
            level[k, j] = total
            slope[write], length[write] = at, lengths[k, j]
            drawn += lengths[k, j]
            write -= 1
        if k == 0:
            break
        cut = low[k - 1] - low[k] + room[k]
        while begin < end and cut >= length[begin]:
            cut -= length[begin]
            begin += 1
        while begin < end and drawn >= length[end - 1]:
            drawn -= length[end - 1]
            end -= 1
        if begin < end:
            length[begin] -= max(cut, 0.0)
            length[end - 1] -= drawn


@kernel
def changes_ahead(
    energy_kwh: float,
    lengths: FloatArray,
    ends: IntArray,
    level: FloatArray,
    steps: int,
    change_kwh: FloatArray,
) -> None:
    """Cheapest change of stored energy per step [K], from the levels of its segments."""
    energy = energy_kwh
    for k in range(steps):
        change = 0.0
        for j in range(CHARGING - 1, ends[k, 0] - 1, -1):
            if energy + change < level[k, j]:
                change += min(level[k, j] - energy - change, lengths[k, j])
        if change <= ROOM_KWH:
            for j in range(CHARGING, ends[k, 1]):
                if change <= 0.0 and energy + change > level[k, j]:
                    change -= min(energy + change - level[k, j], lengths[k, j])
        change_kwh[k] = change
        energy += change


@kernel
def write_schedule(
    change_kwh: FloatArray, steps: int, column: int, energy_kwh: float, charge_efficiency: float,
    discharge_efficiency: float, step_h: float, row: int, site: int, schedule_kw: FloatArray,
    planned_kwh: FloatArray, cars_kw: FloatArray,
) -> None:  # fmt: skip
    """Changes of stored energy [K] as powers and energies into row `row` of the rings [slots, H],
    from a column on, and onto the sum of the site."""
    energy, ring = energy_kwh, schedule_kw.shape[1]
    charging, discharging = 1.0 / (charge_efficiency * step_h), discharge_efficiency / step_h
    for k in range(steps):
        change = change_kwh[k]
        energy += change
        power = change * (charging if change >= 0.0 else discharging)
        schedule_kw[row, column] = power
        cars_kw[site, column] += power
        planned_kwh[row, column] = energy
        column += 1
        if column == ring:
            column = 0


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
    step_h: float,
    begin: int,
    schedule_kw: FloatArray,
    planned_kwh: FloatArray,
    cars_kw: FloatArray,
) -> None:
    """Plan the units of `todo` [M] one after the other; columns are rings over absolute steps.

    Unit columns [N]; presence, floor_kwh [M, K]; prices [R, K]; site forecasts base, bounds of net
    low, high [S, K]; peak_kw, peak_eur [S].
    schedule_kw, planned_kwh [slots, H] and cars_kw [S, H] hold step t in column t % H; begin is
    the current absolute step. Writes up to K steps of them, as far as the unit will be there with
    at least PRESENCE_LEAST, and clears the rest of its ring.
    """
    steps, ring = presence.shape[1], schedule_kw.shape[1]
    slopes, lengths = np.zeros((steps, SEGMENTS)), np.zeros((steps, SEGMENTS))
    level, ends = np.zeros((steps, SEGMENTS)), np.zeros((steps, 2), dtype=np.int64)
    slope, length = np.zeros(SEGMENTS * steps + 2), np.zeros(SEGMENTS * steps + 2)
    room, low, change = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    first = begin % ring
    for m in range(len(todo)):
        i = todo[m]
        s, own = site[i], slot[i]
        for c in range(ring):
            cars_kw[s, c] -= schedule_kw[own, c]
            schedule_kw[own, c] = 0.0
        ahead = segments_ahead(
            presence, m, base_kw, low_kw, high_kw, cars_kw, s, first, peak_kw[s], peak_eur[s],
            charge_max_kw[i], discharge_max_kw[i], import_eur, export_eur, price_row[s],
            charge_efficiency[i], discharge_efficiency[i], wear_eur_kwh[i], step_h, slopes,
            lengths, ends,
        )  # fmt: skip
        least_energies(
            energy_kwh[i], capacity_kwh[i], energy_min_kwh[i], floor_kwh, m, lengths, ends, ahead,
            room, low,
        )  # fmt: skip
        levels_back(
            max(capacity_kwh[i], energy_kwh[i]), end_value_eur[i], slopes, lengths, ends, ahead,
            room, low, slope, length, level,
        )  # fmt: skip
        changes_ahead(energy_kwh[i], lengths, ends, level, ahead, change)
        write_schedule(
            change, ahead, first, energy_kwh[i], charge_efficiency[i], discharge_efficiency[i],
            step_h, own, s, schedule_kw, planned_kwh, cars_kw,
        )  # fmt: skip
