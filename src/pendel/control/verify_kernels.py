"""The verifier's own walk through time; shares nothing with the kernels of the planner."""

import numpy as np

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def follow_energy(
    step_h: float,
    steps: int,
    row_first: IntArray,
    offset: IntArray,
    first: IntArray,
    last: IntArray,
    start_kwh: FloatArray,
    capacity_kwh: FloatArray,
    minimum_kwh: FloatArray,
    charge_max_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    power_kw: FloatArray,
    stated_kwh: FloatArray,
    energy_kwh: FloatArray,
    stored_kwh: FloatArray,
    fastest_kwh: FloatArray,
) -> float:
    """Energy at the end [N] and what charging at once reaches there [N]; where energy_kwh has
    entries, also the energy at the end of each step [W].

    Powers and stated energies [W] of unit i begin with step row_first[i] at offset[i]; outside
    them the power is 0. Returns the worst distance from the bounds of the contract or from a
    stated energy.
    """
    worst = 0.0
    is_asked = energy_kwh.shape[0] > 0
    for unit in range(start_kwh.shape[0]):
        now = start_kwh[unit]
        at_once = now
        top = max(capacity_kwh[unit], now)
        arrived_below = now < minimum_kwh[unit]
        row_last = row_first[unit] + offset[unit + 1] - offset[unit]
        for step in range(max(first[unit], 0), min(last[unit], steps)):
            inside = row_first[unit] <= step < row_last
            at = offset[unit] + step - row_first[unit] if inside else 0
            p = power_kw[at] if inside else 0.0
            if p > 0.0:
                now += step_h * charge_efficiency[unit] * p
            else:
                now += step_h * p / discharge_efficiency[unit]
            at_once += step_h * charge_efficiency[unit] * charge_max_kw[unit]
            at_once = min(at_once, top)
            bottom = minimum_kwh[unit]
            if arrived_below:
                bottom = min(bottom, at_once)
            worst = max(worst, now - top, bottom - now)
            if inside and stated_kwh[at] == stated_kwh[at]:
                worst = max(worst, abs(stated_kwh[at] - now))
            if is_asked and inside:
                energy_kwh[at] = now
        stored_kwh[unit] = now
        fastest_kwh[unit] = at_once
    return worst


@kernel
def sum_powers(
    row_first: IntArray,
    offset: IntArray,
    first: IntArray,
    last: IntArray,
    site: IntArray,
    charge_max_kw: FloatArray,
    discharge_max_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    wear_eur_kwh: FloatArray,
    power_kw: FloatArray,
    net_kw: FloatArray,
) -> tuple[float, float]:
    """Add the powers [W], laid out as in `follow_energy`, to the net of their sites [S, T].

    Returns the worst power beyond a unit's limits or outside its window [kW] (inf where one is
    not finite) and the wear of all [EUR per hour of a step].
    """
    worst, wear = 0.0, 0.0
    for unit in range(first.shape[0]):
        stored = 0.0
        for at in range(offset[unit], offset[unit + 1]):
            step = row_first[unit] + at - offset[unit]
            p = power_kw[at]
            if not abs(p) < 1e300:
                return np.inf, 0.0
            here = first[unit] <= step < last[unit]
            most = charge_max_kw[unit] if here else 0.0
            least = -discharge_max_kw[unit] if here else 0.0
            worst = max(worst, p - most, least - p)
            stored += p * charge_efficiency[unit] if p > 0.0 else -p / discharge_efficiency[unit]
            net_kw[site[unit], step] += p
        wear += wear_eur_kwh[unit] * stored
    return worst, wear
