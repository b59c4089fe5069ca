"""What to do when blind: no plan, a dead forecast, a stale reading.

Charge modestly toward the promise, inside the limits, and never discharge. Modestly: evenly over
half of the time the driver stated (people leave early), at once where nobody stated anything.
"""

import numpy as np

from pendel.control.state import FleetState
from pendel.scenario.columns import UNKNOWN_S
from pendel.units import SECONDS_PER_HOUR, FloatArray

TRUSTED_SHARE = 0.5
"""Share of the stated time that is counted on; 22-37 % of drivers leave early."""


def fallback_power(state: FleetState, now_s: int, step_s: int) -> FloatArray:
    """Power [N] in kW, >= 0: reaches the target within the trusted share of the stated stay.

    What was missed is caught up: the deadline counts from arrival, the energy from now.
    Stationary batteries rest.
    """
    step_h = step_s / SECONDS_PER_HOUR
    lacking_kwh = np.maximum(state.target_kwh - state.energy_kwh, 0.0) / state.charge_efficiency
    stated = state.stated_depart_s != UNKNOWN_S
    stay_s = np.where(stated, state.stated_depart_s - state.arrive_s, 0)
    due_s = state.arrive_s + TRUSTED_SHARE * stay_s
    left_h = np.maximum((due_s - now_s) / SECONDS_PER_HOUR, step_h)
    power = np.minimum(lacking_kwh / left_h, state.charge_max_kw)
    return np.where(state.is_session, power, 0.0)


def charge_at_once(state: FleetState, step_s: int) -> FloatArray:
    """Power [N] in kW: full power until the target is in the battery (strategy `uncontrolled`)."""
    step_h = step_s / SECONDS_PER_HOUR
    lacking_kwh = np.maximum(state.target_kwh - state.energy_kwh, 0.0)
    power = np.minimum(lacking_kwh / (state.charge_efficiency * step_h), state.charge_max_kw)
    return np.where(state.is_session, power, 0.0)
