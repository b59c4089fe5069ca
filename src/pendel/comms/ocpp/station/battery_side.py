"""The battery behind a virtual EVSE: what it takes and gives at its state of charge (`power`)."""

from functools import lru_cache

import numpy as np

from pendel.power.battery import Batteries, BatteryLimits, instant_limits_kw, limits_of

CONSTANT = "constant"
"""The model without a taper: the physics of the scenario's columns."""
Key = tuple[str, float, float, float, float, float]


@lru_cache(maxsize=1024)
def _battery(key: Key) -> tuple[Batteries, BatteryLimits]:
    battery = Batteries(*(np.array([value]) for value in key[1:]))
    return battery, limits_of([key[0]], battery)


def instant_kw(key: Key, energy_kwh: float) -> tuple[float, float]:
    """Highest AC power for charging and discharging now [kW, amounts].

    key: battery model, capacity [kWh], charging and discharging power [kW], efficiency of each.
    Raises KeyError for a model that is not known."""
    battery, limits = _battery(key)
    charge, discharge = instant_limits_kw(np.array([energy_kwh]), battery, limits)
    return float(charge[0]), float(discharge[0])
