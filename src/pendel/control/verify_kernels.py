"""The verifier's own walk through time; shares nothing with the kernels of the planner."""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def follow_energy(
    step_h: float,
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
    fastest_kwh: FloatArray,
) -> float:
    """Energy before each step [N, T + 1] and what charging at once reaches at the end [N].

    Returns the worst distance from the bounds of the contract or from a stated energy [N, T].
    """
    worst = 0.0
    for unit in range(start_kwh.shape[0]):
        now = start_kwh[unit]
        at_once = now
        top = max(capacity_kwh[unit], now)
        arrived_below = now < minimum_kwh[unit]
        energy_kwh[unit, 0] = now
        for step in range(power_kw.shape[1]):
            if first[unit] <= step < last[unit]:
                p = power_kw[unit, step]
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
                if stated_kwh[unit, step] == stated_kwh[unit, step]:
                    worst = max(worst, abs(stated_kwh[unit, step] - now))
            energy_kwh[unit, step + 1] = now
        fastest_kwh[unit] = at_once
    return worst
