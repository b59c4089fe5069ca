"""The planning problem, as columns: what `pendel plan` and every replan of the live loop solve.

A *unit* is anything that stores: a car session or a stationary battery. The same problem is
built from a scenario folder (`problem_of`) and from the live state (`control.controller`), so one
planner serves all. Equations: docs/concepts/planning.md; contract: "What `pendel plan` solves".

    e[t+1] = e[t] + h (eta_c max(p,0) - max(-p,0)/eta_d),   -discharge_max <= p <= charge_max
    floor[t] <= e[t+1] <= capacity,  e(end of window) >= target
    net[s,t] = load - (pv - curtailed) + sum of p,  -export_limit <= net <= import_limit

Live replans add, per unit and step, an energy floor (the promise) and a weight on money (the
probability that the car is still there): see `floor_kwh` and `presence`.
"""

from dataclasses import dataclass, fields

import numpy as np

from pendel.records import Mode
from pendel.scenario.columns import Feeders, Market, Reserves, Scenario
from pendel.units import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Units:
    """One entry per unit [N]; window: connected in steps first <= t < last.

    energy_start_kwh at the begin of the window; target_kwh due at its end; energy_min_kwh holds
    throughout; powers kW amounts; wear EUR per stored kWh each way; terminal EUR per stored kWh
    above the target at the end. `is_session` tells cars from stationary batteries.
    """

    site: IntArray
    first: IntArray
    last: IntArray
    capacity_kwh: FloatArray
    energy_start_kwh: FloatArray
    target_kwh: FloatArray
    energy_min_kwh: FloatArray
    charge_max_kw: FloatArray
    discharge_max_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    wear_eur_kwh: FloatArray
    terminal_eur_kwh: FloatArray
    is_session: BoolArray

    def __len__(self) -> int:
        return len(self.capacity_kwh)


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """Everything a plan depends on. Shapes: S sites, T steps, N units, R price rows.

    import_limit_kw, export_limit_kw, load_kw, pv_kw: [S, T]; prices [R, T], price_row [S];
    demand_charge_eur_kw [S] on max(peak_so_far_kw, highest import of the horizon);
    home_only [S]: exports of the site stay at or above min(0, load - pv) (V2H/V2B);
    floor_kwh [N, T] or None: stored energy at the *end* of step t must reach it (NaN = no floor);
    presence [N, T] or None: weight in 0..1 on the money of the unit's power in step t.
    """

    step_h: float
    steps: int
    units: Units
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    load_kw: FloatArray
    pv_kw: FloatArray
    price_row: IntArray
    import_eur_kwh: FloatArray
    export_eur_kwh: FloatArray
    demand_charge_eur_kw: FloatArray
    peak_so_far_kw: FloatArray
    feeder: IntArray
    feeders: Feeders
    portfolio_import_limit_kw: FloatArray
    portfolio_export_limit_kw: FloatArray
    market: Market | None = None
    reserves: Reserves | None = None
    home_only: BoolArray | None = None
    floor_kwh: FloatArray | None = None
    presence: FloatArray | None = None

    @property
    def sites(self) -> int:
        """Number of sites."""
        return int(self.load_kw.shape[0])


def no_numbers(problem: PlanProblem) -> list[str]:
    """What in a problem is not a number and should be one: column, unit, site or row, and step.

    Solvers do not say so: they run on for ever, or call everything optimal. floor_kwh may have NaN.
    """
    parts = (problem.units, problem.feeders, problem.market, problem.reserves, problem)
    columns = [
        (f.name, getattr(part, f.name)) for part in parts if part is not None for f in fields(part)
    ]
    found = []
    for name, values in columns:
        if name == "floor_kwh" or not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            continue
        wrong = np.isnan(values)
        if name.endswith("eur_kwh") or name in ("load_kw", "pv_kw"):
            wrong |= np.isinf(values)
        if wrong.any():
            place = ", ".join(str(at) for at in np.argwhere(wrong)[0].tolist())
            found.append(f"{name}[{place}]: not a number ({int(wrong.sum())} in all)")
    return found


def problem_of(scenario: Scenario, mode: Mode = Mode.V2G) -> PlanProblem:
    """The problem of a scenario folder; sessions first, then storages, in file order.

    Sessions with an empty window stay in (first == last): they can do nothing and their
    shortfall is 0 against the highest reachable energy, as the contract says.
    """
    sessions, storages, horizon = scenario.sessions, scenario.storages, scenario.horizon
    count_b = len(storages)
    zeros_b = np.zeros(count_b)
    discharge_max = sessions.discharge_max_kw
    if mode in (Mode.V1G, Mode.UNCONTROLLED):
        discharge_max = np.zeros_like(discharge_max)
    units = Units(
        site=np.concatenate([sessions.site, storages.site]),
        first=np.concatenate([sessions.arrive_step, np.zeros(count_b, dtype=np.int64)]),
        last=np.concatenate(
            [sessions.depart_step, np.full(count_b, horizon.steps, dtype=np.int64)]
        ),
        capacity_kwh=np.concatenate([sessions.capacity_kwh, storages.capacity_kwh]),
        energy_start_kwh=np.concatenate([sessions.energy_arrive_kwh, storages.energy_start_kwh]),
        target_kwh=np.concatenate([sessions.energy_target_kwh, storages.energy_end_min_kwh]),
        energy_min_kwh=np.concatenate([sessions.energy_min_kwh, zeros_b]),
        charge_max_kw=np.concatenate([sessions.charge_max_kw, storages.charge_max_kw]),
        discharge_max_kw=np.concatenate([discharge_max, storages.discharge_max_kw]),
        charge_efficiency=np.concatenate([sessions.charge_efficiency, storages.charge_efficiency]),
        discharge_efficiency=np.concatenate(
            [sessions.discharge_efficiency, storages.discharge_efficiency]
        ),
        wear_eur_kwh=np.concatenate([sessions.wear_eur_kwh, storages.wear_eur_kwh]),
        terminal_eur_kwh=np.concatenate([sessions.terminal_eur_kwh, zeros_b]),
        is_session=np.concatenate(
            [np.ones(len(sessions), dtype=np.bool_), np.zeros(count_b, dtype=np.bool_)]
        ),
    )
    steps, count_s = horizon.steps, len(scenario.sites)
    home_only = np.full(count_s, mode in (Mode.V2H, Mode.V2B)) if mode != Mode.V2G else None
    return PlanProblem(
        step_h=horizon.step_h,
        steps=steps,
        units=units,
        import_limit_kw=np.repeat(scenario.sites.import_limit_kw[:, None], steps, axis=1),
        export_limit_kw=np.repeat(scenario.sites.export_limit_kw[:, None], steps, axis=1),
        load_kw=scenario.series.load_kw,
        pv_kw=scenario.series.pv_kw,
        price_row=scenario.prices.row,
        import_eur_kwh=scenario.prices.import_eur_kwh,
        export_eur_kwh=scenario.prices.export_eur_kwh,
        demand_charge_eur_kw=scenario.sites.demand_charge_eur_kw,
        peak_so_far_kw=np.zeros(count_s),
        feeder=scenario.sites.feeder,
        feeders=scenario.feeders,
        portfolio_import_limit_kw=np.full(steps, scenario.portfolio_import_limit_kw),
        portfolio_export_limit_kw=np.full(steps, scenario.portfolio_export_limit_kw),
        market=scenario.market,
        reserves=scenario.reserves,
        home_only=home_only,
    )
