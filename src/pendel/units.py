"""Units and the one sign rule.

Power is positive from the grid side into the vehicle or site (charging, import) and negative
when discharging or exporting, everywhere inside; conversion happens only at the wire.
Names end with their unit: `_kw` (fleet, site), `_w` (wire), `_kwh`, `_s`, `_eur_kwh`, `_utc`.
Energy that was metered has a direction (`import_`, `export_`), never a sign.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

W_PER_KW = 1_000.0
SECONDS_PER_HOUR = 3_600
SECONDS_PER_DAY = 86_400
QUARTER_HOUR_S = 900
MWH_PER_KWH = 1e-3

# Limits of plausibility for inputs (contract: unit slips are refused).
PRICE_MAX_EUR_KWH = 10.0
CAPACITY_MAX_KWH = 5_000.0
POWER_MAX_KW = 5_000.0

# Tolerances of the contract: a limit is kept within 1e-5 kW or kWh per device and site;
# a promise is kept when the target is in the battery within 0.1 kWh.
LIMIT_TOLERANCE = 1e-5
PROMISE_TOLERANCE_KWH = 0.1


def kw_from_w(power_w: float) -> float:
    """Wire watts to inside kilowatts, sign kept."""
    return power_w / W_PER_KW


def w_from_kw(power_kw: float) -> float:
    """Inside kilowatts to wire watts, sign kept."""
    return power_kw * W_PER_KW


def stored_change_kwh(
    power_kw: float, hours: float, charge_efficiency: float, discharge_efficiency: float
) -> float:
    """Change of stored energy [kWh] for AC power [kW, positive = charging] held for hours [h].

    dE = h * (charge_efficiency * max(p, 0) - max(-p, 0) / discharge_efficiency)   (contract)

    >>> stored_change_kwh(10.0, 1.0, 0.9, 0.9)
    9.0
    >>> round(stored_change_kwh(-8.1, 1.0, 0.9, 0.9), 9)
    -9.0
    """
    if power_kw >= 0.0:
        return hours * power_kw * charge_efficiency
    return hours * power_kw / discharge_efficiency
