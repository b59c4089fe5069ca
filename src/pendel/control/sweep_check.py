"""The independent check of swept schedules: recomputed from the powers alone, before use."""

import numpy as np

from pendel.control.state import FleetState
from pendel.units import LIMIT_TOLERANCE, BoolArray, FloatArray


def faulty_schedules(
    state: FleetState, power_kw: FloatArray, discharge_max_kw: FloatArray, step_h: float
) -> BoolArray:
    """Which units [M] have a schedule [M, K] that breaks a power limit or an energy bound.

    Shares nothing with the sweep: walks the contract's balance forward from the stored energy.
    Being below the minimum already is no fault as long as it does not discharge further.
    """
    change = np.where(
        power_kw > 0.0,
        power_kw * state.charge_efficiency[:, None],
        power_kw / state.discharge_efficiency[:, None],
    )
    energy = state.energy_kwh[:, None] + step_h * np.cumsum(change, axis=1)
    least = np.minimum(state.energy_min_kwh, state.energy_kwh)
    most = np.maximum(state.capacity_kwh, state.energy_kwh)
    wrong = (power_kw > state.charge_max_kw[:, None] + LIMIT_TOLERANCE).any(axis=1)
    wrong |= (power_kw < -discharge_max_kw[:, None] - LIMIT_TOLERANCE).any(axis=1)
    wrong |= energy.min(axis=1) < least - LIMIT_TOLERANCE
    wrong |= energy.max(axis=1) > most + LIMIT_TOLERANCE
    return np.asarray(wrong | ~np.isfinite(energy).all(axis=1))
