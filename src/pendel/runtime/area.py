"""An area: the sites one controller decides for, and what it is shown of them.

`fleet_state` and `knowledge` fill the controller's two structures from the state and the meters,
exactly as the simulation fills them from a scenario; nothing in them comes from the future.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pendel.control.limits import FUSE, SiteLimit, in_force, limit_of_site
from pendel.control.state import FleetState, Knowledge
from pendel.control.warranty import WarrantyBudget
from pendel.records import Mode, Reading, SessionEvent
from pendel.runtime.state import HISTORY_S, LOAD_SUFFIX, PV_SUFFIX, SessionView, State
from pendel.scenario.columns import UNKNOWN_S
from pendel.units import FloatArray

STORAGE = "storage"
"""Phase of what stands in for a stationary battery."""
ALWAYS_UTC = datetime(1970, 1, 1, tzinfo=UTC)
UNSEEN_S = 1e9
"""Age of a reading that never came [s]."""
DEFAULT_TARGET_SOC, DEFAULT_MINIMUM_SOC = 0.8, 0.2
"""What is promised to a driver who says nothing (contract, server)."""


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """A stationary battery of a site: energies kWh, powers kW (amounts); its device is named
    storage_id. energy_kwh: what it is taken to hold before its first reading."""

    storage_id: str
    site_id: str
    capacity_kwh: float
    energy_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    wear_eur_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class AreaSpec:
    """Sites with their connection; equal lengths. Limits in kW, amounts (what the fuse bears).

    mode, confidence, step_s, timezone: as of the controller. export_permitted: False = nothing is
    fed into the grid (V2H stays possible). shared_import_limit_kw: of what is above all sites;
    limits_above: there are feeders or a portfolio with limits; budgets: what makers allow to be
    discharged, per vehicle_id; storages: stationary batteries.
    """

    name: str
    site_id: tuple[str, ...]
    import_limit_kw: tuple[float, ...]
    export_limit_kw: tuple[float, ...]
    demand_charge_eur_kw: tuple[float, ...]
    export_permitted: tuple[bool, ...]
    timezone: str
    mode: Mode = Mode.V2G
    confidence: float = 0.99
    step_s: int = 900
    simulated: bool = False
    shared_import_limit_kw: float = float("inf")
    limits_above: bool = False
    budgets: Mapping[str, WarrantyBudget] = field(default_factory=dict)
    storages: tuple[StorageSpec, ...] = ()

    @property
    def import_limit_total_kw(self) -> float:
        """What all sites together may import [kW]: their fuses, or the feeder above them."""
        return min(sum(self.import_limit_kw), self.shared_import_limit_kw)

    @property
    def title(self) -> str:
        """How people are shown the area."""
        return self.name.replace("-", " ")


@dataclass(slots=True)
class Meters:
    """Newest readings of one moment by device id."""

    now_utc: datetime
    by_device: dict[str, Reading] = field(default_factory=dict)

    def age_s(self, device_id: str) -> float:
        """How old the reading of a device is [s]; UNSEEN_S where there is none."""
        reading = self.by_device.get(device_id)
        if reading is None:
            return UNSEEN_S
        return max((self.now_utc - reading.at_utc).total_seconds(), 0.0)

    def kw(self, device_id: str) -> float:
        """Power of a device [kW], 0 where unseen."""
        reading = self.by_device.get(device_id)
        return 0.0 if reading is None else reading.power_kw


def open_sessions(spec: AreaSpec, state: State) -> list[SessionView]:
    """Sessions of the area's sites, in order of plugging in."""
    sites = set(spec.site_id)
    return [view for view in state.sessions.values() if view.event.site_id in sites]


def storage_views(spec: AreaSpec) -> list[SessionView]:
    """The stationary batteries, in the form the loop knows cars in: always there, nothing
    promised. They stand in no log; what they hold is read."""
    return [
        SessionView(
            SessionEvent(
                id="",
                at_utc=ALWAYS_UTC,
                session_id=storage.storage_id,
                site_id=storage.site_id,
                phase=STORAGE,
                capacity_kwh=storage.capacity_kwh,
                energy_kwh=storage.energy_kwh,
                charge_max_kw=storage.charge_max_kw,
                discharge_max_kw=storage.discharge_max_kw,
                charge_efficiency=storage.charge_efficiency,
                discharge_efficiency=storage.discharge_efficiency,
                wear_eur_kwh=storage.wear_eur_kwh,
                simulated=spec.simulated,
            )
        )
        for storage in spec.storages
    ]


def fleet_state(spec: AreaSpec, views: Sequence[SessionView], meters: Meters) -> FleetState:
    """Columns of the connected cars and batteries [N], energies and powers from the newest
    readings. Targets and minimums are those of a driver who says nothing: wishes come on top
    (`promising.tightened`)."""
    index = {site: i for i, site in enumerate(spec.site_id)}
    events = [view.event for view in views]

    def floats(values: Sequence[float]) -> FloatArray:
        return np.array(values, dtype=np.float64)

    return FleetState(
        unit_id=np.array([e.session_id for e in events], dtype=np.str_),
        vehicle_id=np.array([e.vehicle_id for e in events], dtype=np.str_),
        site=np.array([index[e.site_id] for e in events], dtype=np.int64),
        is_session=np.array([e.phase != STORAGE for e in events], dtype=np.bool_),
        arrive_s=np.array([int(e.at_utc.timestamp()) for e in events], dtype=np.int64),
        stated_depart_s=np.array([_stated_s(view) for view in views], dtype=np.int64),
        capacity_kwh=floats([e.capacity_kwh for e in events]),
        energy_arrive_kwh=floats([e.energy_kwh for e in events]),
        energy_kwh=floats([_energy_kwh(view, meters) for view in views]),
        target_kwh=floats([_target_kwh(view) for view in views]),
        energy_min_kwh=floats([_minimum_kwh(view) for view in views]),
        charge_max_kw=floats([e.charge_max_kw for e in events]),
        discharge_max_kw=floats([e.discharge_max_kw for e in events]),
        charge_efficiency=floats([e.charge_efficiency for e in events]),
        discharge_efficiency=floats([e.discharge_efficiency for e in events]),
        wear_eur_kwh=floats([e.wear_eur_kwh for e in events]),
        terminal_eur_kwh=floats([e.terminal_eur_kwh for e in events]),
        power_kw=floats([meters.kw(view.device_id) for view in views]),
        reading_age_s=floats([meters.age_s(view.device_id) for view in views]),
        charge_now=np.zeros(len(views), dtype=np.bool_),
        paused=np.zeros(len(views), dtype=np.bool_),
        charge_least_kw=floats([e.charge_least_kw for e in events]),
        discharge_least_kw=floats([e.discharge_least_kw for e in events]),
    )


def site_limits(spec: AreaSpec, state: State, now_utc: datetime) -> list[SiteLimit]:
    """The limits in force per site, each with the records that bind. Nothing is fed into a grid
    that is down."""
    orders = [limit for limit in state.limits.values() if in_force(limit, now_utc)]
    fuse_id = {limit.site_id: limit.id for limit in orders if limit.source == FUSE}
    found = []
    for index, site in enumerate(spec.site_id):
        limit = limit_of_site(
            site,
            spec.import_limit_kw[index],
            spec.export_limit_kw[index],
            orders,
            now_utc,
            export_permitted=spec.export_permitted[index],
        )
        if site in state.outages:
            outage_id = state.outages[site]
            limit = replace(
                limit,
                export_limit_kw=0.0,
                export_source="the outage",
                causes=(outage_id, *limit.causes),
            )
        if FUSE in (limit.import_source, limit.export_source) and site in fuse_id:
            limit = replace(limit, causes=(*limit.causes, fuse_id[site]))
        found.append(limit)
    return found


@dataclass(frozen=True, slots=True)
class PriceRows:
    """Distinct rows of published prices: row[s] is that of site s; per row the table's name."""

    row: tuple[int, ...]
    names: tuple[str, ...]


def knowledge(
    spec: AreaSpec,
    state: State,
    meters: Meters,
    limits: Sequence[SiteLimit],
    rows: PriceRows,
    begin_s: int,
    peak_kw: Mapping[str, float],
    previous: Knowledge | None = None,
) -> Knowledge:
    """What is knowable now. begin_s: begin of the run [epoch s, on the step grid]: past columns
    reach back to it, at most as far as the state remembers. previous: the knowledge of the last
    tick; within one step its long columns are used again."""
    now_s = int(meters.now_utc.timestamp())
    step_now_s = now_s - now_s % spec.step_s
    current = _current(spec, state, meters, limits, peak_kw)
    if previous is not None and previous.now_s // spec.step_s == now_s // spec.step_s:
        return replace(previous, now_s=now_s, **current)
    past_steps = range(max(begin_s, step_now_s - HISTORY_S), step_now_s, spec.step_s)
    tables = [state.prices[name].eur_kwh if name in state.prices else {} for name in rows.names]
    priced = past_steps if any(tables) else range(0)
    ahead = min((_steps_ahead(table, step_now_s, spec.step_s) for table in tables), default=0)
    coming = range(step_now_s, step_now_s + ahead * spec.step_s, spec.step_s)
    loads = [site + LOAD_SUFFIX for site in spec.site_id]
    pvs = [site + PV_SUFFIX for site in spec.site_id]
    return Knowledge(
        now_s=now_s,
        step_s=spec.step_s,
        timezone=spec.timezone,
        price_row=np.array(rows.row, dtype=np.int64),
        import_eur_kwh=_prices(tables, coming, 0),
        export_eur_kwh=_prices(tables, coming, 1),
        import_past_eur_kwh=_prices(tables, priced, 0),
        export_past_eur_kwh=_prices(tables, priced, 1),
        load_past_kw=_past(state, loads, past_steps),
        pv_past_kw=_past(state, pvs, past_steps),
        demand_charge_eur_kw=np.array(spec.demand_charge_eur_kw, dtype=np.float64),
        **current,
    )


def _current(
    spec: AreaSpec,
    state: State,
    meters: Meters,
    limits: Sequence[SiteLimit],
    peak_kw: Mapping[str, float],
) -> dict[str, Any]:
    """The part of the knowledge that may change with every tick [S]."""
    loads = [site + LOAD_SUFFIX for site in spec.site_id]
    return {
        "load_kw": np.array([max(meters.kw(device), 0.0) for device in loads]),
        "pv_kw": np.array([max(-meters.kw(site + PV_SUFFIX), 0.0) for site in spec.site_id]),
        "import_limit_kw": np.array([limit.import_limit_kw for limit in limits]),
        "export_limit_kw": np.array([limit.export_limit_kw for limit in limits]),
        "peak_so_far_kw": np.array([peak_kw.get(site, 0.0) for site in spec.site_id]),
        "grid_up": np.array([site not in state.outages for site in spec.site_id]),
        "reading_age_s": np.array([meters.age_s(device) for device in loads]),
    }


def _steps_ahead(table: Mapping[int, tuple[float, float]], begin_s: int, step_s: int) -> int:
    """How many steps from begin_s on have a published price, without a gap."""
    count = 0
    while begin_s + count * step_s in table:
        count += 1
    return count


def _prices(
    tables: Sequence[Mapping[int, tuple[float, float]]], steps: range, side: int
) -> FloatArray:
    """Prices [R, len(steps)]; a hole in the past is filled with the value before it."""
    out = np.zeros((len(tables), len(steps)))
    for row, table in enumerate(tables):
        value = next(iter(table.values()))[side] if table else 0.0
        for column, begin_s in enumerate(steps):
            value = table[begin_s][side] if begin_s in table else value
            out[row, column] = value
    return out


def _past(state: State, devices: Sequence[str], steps: range) -> FloatArray:
    """Mean powers of past steps [S, len(steps)] as amounts; holes repeat the value before."""
    out = np.zeros((len(devices), len(steps)))
    for row, device in enumerate(devices):
        past = state.past_kw.get(device, {})
        value = 0.0
        for column, begin_s in enumerate(steps):
            value = past.get(begin_s, value)
            out[row, column] = value
    return out


def _stated_s(view: SessionView) -> int:
    stated = view.event.stated_depart_utc
    if view.needs is not None and view.needs.ready_by_utc is not None:
        stated = view.needs.ready_by_utc
    return UNKNOWN_S if stated is None else int(stated.timestamp())


def _energy_kwh(view: SessionView, meters: Meters) -> float:
    reading = meters.by_device.get(view.device_id)
    if reading is None or reading.energy_kwh is None or reading.at_utc < view.event.at_utc:
        return view.event.energy_kwh
    return reading.energy_kwh


def _target_kwh(view: SessionView) -> float:
    share = 0.0 if view.event.phase == STORAGE else DEFAULT_TARGET_SOC
    return share * view.event.capacity_kwh


def _minimum_kwh(view: SessionView) -> float:
    """The usual minimum, but not more than the driver's own target."""
    if view.event.phase == STORAGE:
        return 0.0
    own = None if view.needs is None else view.needs.target_kwh
    usual = DEFAULT_MINIMUM_SOC * view.event.capacity_kwh
    return usual if own is None else min(usual, own)
