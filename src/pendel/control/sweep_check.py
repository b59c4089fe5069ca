"""The independent check of swept schedules: recomputed from the powers alone, before use."""

import numpy as np

from pendel.control.state import FleetState
from pendel.units import LIMIT_TOLERANCE, BoolArray, FloatArray, IntArray


def faulty_schedules(
    state: FleetState,
    units: IntArray,
    rows: IntArray,
    schedule_kw: FloatArray,
    begin: int,
    steps: int,
    discharge_max_kw: FloatArray,
    step_h: float,
) -> BoolArray:
    """Which units (positions [M] in the state) have a schedule that breaks a power limit or an
    energy bound: rows [M] of the ring schedule_kw, `steps` steps from absolute step `begin` on.

    Shares nothing with the sweep: walks the contract's balance forward from the stored energy.
    Being below the minimum already is no fault as long as it does not discharge further.
    """
    from pendel.control.check_kernels import follow_schedules

    wrong = np.zeros(len(units), dtype=np.bool_)
    follow_schedules(
        units, rows, state.energy_kwh, state.capacity_kwh, state.energy_min_kwh,
        state.charge_max_kw, discharge_max_kw, state.charge_efficiency,
        state.discharge_efficiency, step_h, LIMIT_TOLERANCE, begin, steps, schedule_kw, wrong,
    )  # fmt: skip
    return wrong
