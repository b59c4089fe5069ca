"""Kernel of the independent check of swept schedules; shares nothing with the sweep."""

from pendel.kernel import kernel
from pendel.units import BoolArray, FloatArray, IntArray


@kernel
def follow_schedules(
    units: IntArray,
    rows: IntArray,
    energy_kwh: FloatArray,
    capacity_kwh: FloatArray,
    energy_min_kwh: FloatArray,
    charge_max_kw: FloatArray,
    discharge_max_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    step_h: float,
    tolerance: float,
    begin: int,
    steps: int,
    schedule_kw: FloatArray,
    wrong: BoolArray,
) -> None:
    """Walk the contract's balance of `units` [M] (indices into columns [N]) along their rows [M]
    of the ring schedule_kw, `steps` steps from absolute step `begin` on.

    wrong [M]: the power leaves its limits or the energy its bounds by more than the tolerance, or
    is no number. Being below the minimum already is no fault without discharging further.
    """
    for m in range(len(units)):
        i, column = units[m], begin % schedule_kw.shape[1]
        energy = energy_kwh[i]
        least = min(energy_min_kwh[i], energy) - tolerance
        most = max(capacity_kwh[i], energy) + tolerance
        up, down = step_h * charge_efficiency[i], step_h / discharge_efficiency[i]
        keeps = True
        for _ in range(steps):
            power = schedule_kw[rows[m], column]
            energy += power * (up if power > 0.0 else down)
            keeps = keeps and least <= energy <= most
            keeps = keeps and power <= charge_max_kw[i] + tolerance
            keeps = keeps and power >= -discharge_max_kw[i] - tolerance
            column = column + 1 if column + 1 < schedule_kw.shape[1] else 0
        wrong[m] = not keeps
