"""Fleet states made in memory for tests of promise and policy."""

import numpy as np

from pendel.control.state import FleetState
from pendel.scenario.columns import UNKNOWN_S

NOON_S = 1_741_000_500 // 900 * 900


def fleet(count: int = 1, **columns: object) -> FleetState:
    """A state of `count` cars; columns override the defaults (scalars are repeated)."""
    defaults: dict[str, object] = {
        "unit_id": np.array([f"x{i}" for i in range(count)]),
        "vehicle_id": "",
        "site": 0,
        "is_session": True,
        "arrive_s": NOON_S,
        "stated_depart_s": UNKNOWN_S,
        "capacity_kwh": 60.0,
        "energy_arrive_kwh": 10.0,
        "energy_kwh": 10.0,
        "target_kwh": 30.0,
        "energy_min_kwh": 0.0,
        "charge_max_kw": 11.0,
        "discharge_max_kw": 11.0,
        "charge_efficiency": 0.95,
        "discharge_efficiency": 0.95,
        "wear_eur_kwh": 0.0,
        "terminal_eur_kwh": 0.0,
        "power_kw": 0.0,
        "reading_age_s": 0.0,
        "charge_now": False,
        "paused": False,
        "charge_least_kw": 0.0,
        "discharge_least_kw": 0.0,
    }
    whole = {"site", "arrive_s", "stated_depart_s"}
    full = {}
    for name, value in (defaults | columns).items():
        array = np.asarray(value)
        if array.ndim == 0:
            array = np.repeat(array, count)
        full[name] = array.astype(np.int64) if name in whole else array
    return FleetState(**full)
