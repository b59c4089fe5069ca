"""Kernel of the floors that many units get: what is due when, without a policy for each.

Equations: docs/concepts/promise.md, section 4. Twin: tests/control/test_ramp_floors.py.
"""

import numpy as np

from pendel.kernel import kernel
from pendel.units import BoolArray, FloatArray, IntArray

NO_TIME = -1
"""Steps until ready-by where there is none."""


@kernel
def due_step(presence: FloatArray, n: int, counts_in: int, risk_share: float) -> int:
    """Steps until the probability of having left unit n (row of presence [N, K]) with a promise
    that counts exceeds risk_share, at most K; leaving before counts_in steps never counts."""
    steps, risk = int(presence.shape[1]), 0.0
    for k in range(steps):
        if k + 1 >= counts_in:
            risk += presence[n, k] - (presence[n, k + 1] if k + 1 < steps else 0.0)
        if risk > risk_share:
            return k
    return steps


@kernel
def ramp_floors(
    energy_kwh: FloatArray,
    target_kwh: FloatArray,
    energy_min_kwh: FloatArray,
    gain_kwh: FloatArray,
    counts_in: IntArray,
    ready_steps: IntArray,
    charge_now: BoolArray,
    promised: BoolArray,
    presence: FloatArray,
    risk_share: float,
    ends: bool,
    out: FloatArray,
) -> None:
    """Energy due at the end of each step into out [N, K], NaN = nothing.

    All [N]: gain_kwh is what a step of charging at once stores; counts_in, ready_steps: steps until
    a promise counts and until a ready-by time (NO_TIME = none); promised: sessions that are not
    paused, the others have no floors but at the end. presence [N, K]; ends: the last step is the
    end of the run, by which every target is due. Three ramps, the highest counts, none above what
    charging at once reaches: to the target at the quantile of departure that risk_share leaves (if
    above the minimum), to the target at the ready-by time or at once, and to the target at the end.
    """
    units, steps = out.shape
    for n in range(units):
        energy, target, gain = energy_kwh[n], target_kwh[n], gain_kwh[n]
        least, ready = energy_min_kwh[n], ready_steps[n]
        due = due_step(presence, n, counts_in[n], risk_share) + 1 if promised[n] else 0
        for k in range(steps):
            end = k + 1
            reach = energy + gain * end
            floor = -np.inf
            if promised[n]:
                ramp = target - gain * max(due - end, 0)
                if ramp > least:
                    floor = min(ramp, reach)
                certain = least
                if charge_now[n]:
                    certain = max(certain, target)
                elif ready != NO_TIME:
                    certain = max(certain, target - gain * max(ready - end, 0))
                certain = min(certain, reach)
                if certain > 0.0:
                    floor = max(floor, certain)
            if ends:
                last = min(target - gain * (steps - end), reach)
                if last > 0.0:
                    floor = max(floor, last)
            out[n, k] = floor if floor > -np.inf else np.nan
