"""What the controller sees at one moment: columns of connected units and the knowledge of now.

Simulation and live runtime fill the same two structures; nothing here comes from the future.
"""

from dataclasses import dataclass

from pendel.records import Rank
from pendel.scenario.columns import StrArray
from pendel.units import BoolArray, FloatArray, IntArray


@dataclass(slots=True)
class FleetState:
    """One entry per connected unit [N]: sessions and stationary batteries.

    unit_id names the session or storage; vehicle_id "" where unknown; arrive_s, stated_depart_s:
    epoch seconds (UNKNOWN_S where not stated). energy_* [kWh]: energy_kwh is the last reading.
    power_kw is the last reading too, reading_age_s how old both are. paused: the driver stopped
    charging; charge_now: the driver wants full power at once. charge_least_kw, discharge_least_kw:
    least power other than zero (0: any).
    """

    unit_id: StrArray
    vehicle_id: StrArray
    site: IntArray
    is_session: BoolArray
    arrive_s: IntArray
    stated_depart_s: IntArray
    capacity_kwh: FloatArray
    energy_arrive_kwh: FloatArray
    energy_kwh: FloatArray
    target_kwh: FloatArray
    energy_min_kwh: FloatArray
    charge_max_kw: FloatArray
    discharge_max_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    wear_eur_kwh: FloatArray
    terminal_eur_kwh: FloatArray
    power_kw: FloatArray
    reading_age_s: FloatArray
    charge_now: BoolArray
    paused: BoolArray
    charge_least_kw: FloatArray
    discharge_least_kw: FloatArray

    def __len__(self) -> int:
        return len(self.capacity_kwh)


def select(state: FleetState, rows: IntArray) -> FleetState:
    """The given rows of all columns of a state."""
    return FleetState(**{name: getattr(state, name)[rows] for name in FleetState.__slots__})


@dataclass(slots=True)
class Knowledge:
    """What is knowable at now_s about the sites [S] and the coming steps.

    import_eur_kwh, export_eur_kwh [R, H]: prices from the current step on, only as far as they are
    published (H = known steps); import_past_eur_kwh, export_past_eur_kwh [R, P]: those of the past
    steps of this run, oldest first; price_row [S]. load_kw, pv_kw [S]: last readings (kW);
    load_past_kw, pv_past_kw [S, P]: readings of all past steps of this run, oldest first.
    Limits [S] are those in force now (kW amounts). grid_up [S]: voltage is valid and fresh.
    """

    now_s: int
    step_s: int
    timezone: str
    price_row: IntArray
    import_eur_kwh: FloatArray
    export_eur_kwh: FloatArray
    import_past_eur_kwh: FloatArray
    export_past_eur_kwh: FloatArray
    load_kw: FloatArray
    pv_kw: FloatArray
    load_past_kw: FloatArray
    pv_past_kw: FloatArray
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    demand_charge_eur_kw: FloatArray
    peak_so_far_kw: FloatArray
    grid_up: BoolArray
    reading_age_s: FloatArray


@dataclass(slots=True)
class Decision:
    """Setpoints of one tick [N] and why.

    power_kw: AC power ordered; requested_kw: what the plan alone would have said; rank: index
    into RANKS of the rule that decided; curtail_kw [S]: PV to hold back; in_pulses [N]: runs at its
    least power or rests because less is not possible (None: nobody).
    """

    power_kw: FloatArray
    requested_kw: FloatArray
    rank: IntArray
    curtail_kw: FloatArray
    in_pulses: BoolArray | None = None


RANKS: tuple[Rank, ...] = tuple(Rank)
"""Rank by index, strongest first; `Decision.rank` points here."""
