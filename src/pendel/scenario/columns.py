"""A scenario in memory: columns, not objects.

Everything is a struct of arrays with one entry (or row) per site, session, storage or step.
Times are steps of the horizon (int) and, where the truth matters, seconds since the epoch.
`scenario.read` builds these from a folder; planners and simulators never see a file.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pendel.units import SECONDS_PER_HOUR, FloatArray, IntArray

StrArray: TypeAlias = npt.NDArray[np.str_]
"""Ids: numpy arrays of dtype StringDType (compact) or fixed-width str; never used in kernels."""

UNKNOWN_S = -(2**62)
"""Epoch seconds of a time nobody stated."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Steps of equal length from start_utc on.

    start_utc: aware UTC, on the step grid; steps: count >= 1; step_s: seconds per step;
    timezone: IANA name, for calendars and price publication only.
    """

    start_utc: datetime
    steps: int
    step_s: int
    timezone: str

    @property
    def step_h(self) -> float:
        """Length of a step [h]."""
        return self.step_s / SECONDS_PER_HOUR

    @property
    def start_s(self) -> int:
        """Begin of the horizon [seconds since the epoch]."""
        return int(self.start_utc.timestamp())

    def utc_of(self, step: int) -> datetime:
        """Begin of a step; `steps` itself gives the end of the horizon."""
        return self.start_utc + timedelta(seconds=step * self.step_s)


@dataclass(frozen=True, slots=True)
class Sites:
    """One entry per site [S]; limits are amounts in kW, demand charge in EUR per kW of highest
    import of the horizon; feeder is the index into Feeders or -1 (directly under the portfolio)."""

    site_id: StrArray
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    demand_charge_eur_kw: FloatArray
    feeder: IntArray

    def __len__(self) -> int:
        return len(self.import_limit_kw)


@dataclass(frozen=True, slots=True)
class Series:
    """Base load and PV per site and step [S, T], kW, both >= 0 (pv is an amount)."""

    load_kw: FloatArray
    pv_kw: FloatArray


@dataclass(frozen=True, slots=True)
class Prices:
    """Energy prices [R, T] in EUR/kWh; row[s] is the row that site s pays and is paid."""

    import_eur_kwh: FloatArray
    export_eur_kwh: FloatArray
    row: IntArray


@dataclass(frozen=True, slots=True)
class Sessions:
    """One entry per session [N], ordered as in the file.

    arrive_step (rounded up) and depart_step (rounded down), both cut to the horizon: connected in
    steps arrive_step <= t < depart_step (may be empty). arrive_s, depart_s: as given, epoch
    seconds; stated_depart_s: UNKNOWN_S where not stated. Energies kWh, powers kW (amounts),
    efficiencies 0..1, wear and terminal in EUR/kWh. vehicle_id "" where not given.
    """

    session_id: StrArray
    site: IntArray
    arrive_step: IntArray
    depart_step: IntArray
    arrive_s: IntArray
    depart_s: IntArray
    stated_depart_s: IntArray
    capacity_kwh: FloatArray
    energy_arrive_kwh: FloatArray
    energy_target_kwh: FloatArray
    energy_min_kwh: FloatArray
    charge_max_kw: FloatArray
    discharge_max_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    wear_eur_kwh: FloatArray
    terminal_eur_kwh: FloatArray
    vehicle_id: StrArray
    battery_model: StrArray

    def __len__(self) -> int:
        return len(self.capacity_kwh)


@dataclass(frozen=True, slots=True)
class History:
    """Sessions that ended before the horizon, oldest departure first [M]: what departures are
    learned from before the first step. Times in epoch seconds, UNKNOWN_S where not stated."""

    site: IntArray
    vehicle_id: StrArray
    arrive_s: IntArray
    depart_s: IntArray
    stated_depart_s: IntArray

    def __len__(self) -> int:
        return len(self.depart_s)


@dataclass(frozen=True, slots=True)
class Storages:
    """One entry per stationary battery [B], connected over the whole horizon."""

    storage_id: StrArray
    site: IntArray
    capacity_kwh: FloatArray
    energy_start_kwh: FloatArray
    energy_end_min_kwh: FloatArray
    charge_max_kw: FloatArray
    discharge_max_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    wear_eur_kwh: FloatArray

    def __len__(self) -> int:
        return len(self.capacity_kwh)


@dataclass(frozen=True, slots=True)
class Feeders:
    """A tree of limits above the sites [F]; parent -1 = portfolio; limits in kW, amounts."""

    feeder_id: StrArray
    parent: IntArray
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray

    def __len__(self) -> int:
        return len(self.import_limit_kw)


@dataclass(frozen=True, slots=True)
class Market:
    """Energy already bought for the portfolio [T] in kW (import positive) and the cost of
    deviating from it, short and long, both >= 0 EUR/kWh."""

    position_kw: FloatArray
    short_eur_kwh: FloatArray
    long_eur_kwh: FloatArray


@dataclass(frozen=True, slots=True)
class Reserves:
    """Blocks of reserve that could be sold [K]: steps from_step <= t < until_step.

    direction: +1 up (less import, more export), -1 down, 0 symmetric; hold_h [h] energy must last;
    max_kw inf where not limited; price in EUR per MW and hour.
    """

    product: StrArray
    from_step: IntArray
    until_step: IntArray
    direction: IntArray
    price_eur_mw_h: FloatArray
    hold_h: FloatArray
    max_kw: FloatArray

    def __len__(self) -> int:
        return len(self.hold_h)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A checked scenario folder. Optional parts are None where their file is absent.

    portfolio limits: kW amounts, inf where not limited. ignored_sessions: outside the horizon.
    co2_g_kwh: grid intensity per step [T] or None (simulate reports co2_kg only then).
    """

    name: str
    horizon: Horizon
    sites: Sites
    prices: Prices
    series: Series
    sessions: Sessions
    storages: Storages
    feeders: Feeders
    market: Market | None = None
    reserves: Reserves | None = None
    portfolio_import_limit_kw: float = float("inf")
    portfolio_export_limit_kw: float = float("inf")
    co2_g_kwh: FloatArray | None = None
    ignored_sessions: int = 0
    history: History | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
