"""Kernels of fleet flexibility: what single units could do, summed up over sites and steps.

Energies are at the end of a step; f turns a change of stored energy x [kWh] into AC energy [kWh]:
f(x) = x / eta_c for x > 0 and x * eta_d for x < 0 (eta_c = gain / h, eta_d = h / loss).
"""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def ac_energy(change_kwh: float, gain: float, loss: float, step_h: float) -> float:
    """AC energy [kWh] of a change of stored energy; gain, loss [h]: stored kWh per AC kW."""
    if change_kwh > 0.0:
        return change_kwh * step_h / gain
    return change_kwh * step_h / loss


@kernel
def unit_envelopes(
    step_h: float,
    site: IntArray,
    first: IntArray,
    offset: IntArray,
    start_kwh: FloatArray,
    up_kwh: FloatArray,
    down_kwh: FloatArray,
    gain: FloatArray,
    loss: FloatArray,
    lo_kwh: FloatArray,
    hi_kwh: FloatArray,
    least_kw: FloatArray,
    most_kw: FloatArray,
    drawn_least_kwh: FloatArray,
    drawn_most_kwh: FloatArray,
) -> None:
    """Add what each unit [N] could draw to its site's envelopes [S, T], given as zeros.

    lo, hi [W]: energies from which the rest of the window can be kept (backward reachable); they
    are narrowed here to what is reachable from the start too, in place. Then every energy in
    [lo, hi] is met by some schedule, so power envelopes [kW] are exact for each unit. Energy drawn
    since the begin of the horizon [kWh AC]: the least is that of going straight to lo; the most
    lets the unit waste energy by cycling with all steps that are left over (an upper bound).
    """
    steps = least_kw.shape[1]
    for i in range(len(start_kwh)):
        before_lo = before_hi = start_kwh[i]
        s = site[i]
        last_least = last_most = 0.0
        for row in range(offset[i], offset[i + 1]):
            t = first[i] + row - offset[i]
            lo = max(lo_kwh[row], before_lo - down_kwh[i])
            hi = min(hi_kwh[row], before_hi + up_kwh[i])
            lo = min(lo, before_hi + up_kwh[i])
            hi = max(hi, lo)
            lo_kwh[row], hi_kwh[row] = lo, hi
            most = min(up_kwh[i], hi - before_lo)
            least = max(-down_kwh[i], lo - before_hi)
            most_kw[s, t] += ac_energy(most, gain[i], loss[i], step_h) / step_h
            least_kw[s, t] += ac_energy(least, gain[i], loss[i], step_h) / step_h
            last_least = ac_energy(lo - start_kwh[i], gain[i], loss[i], step_h)
            rise = max(hi - start_kwh[i], 0.0)
            last_most = ac_energy(rise, gain[i], loss[i], step_h)
            if up_kwh[i] > 0.0 and down_kwh[i] > 0.0:
                spare_steps = max(row - offset[i] + 1.0 - rise / up_kwh[i], 0.0)
                cycled = spare_steps / (1.0 / up_kwh[i] + 1.0 / down_kwh[i])
                last_most += cycled * (step_h / gain[i] - step_h / loss[i])
            drawn_least_kwh[s, t] += last_least
            drawn_most_kwh[s, t] += last_most
            before_lo, before_hi = lo, hi
        for t in range(first[i] + offset[i + 1] - offset[i], steps):
            drawn_least_kwh[s, t] += last_least
            drawn_most_kwh[s, t] += last_most
