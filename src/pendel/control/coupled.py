"""Coupled sites: build the planning problem of the contract from the live state and solve it."""

from collections.abc import Callable

import numpy as np

from pendel.control.dispatch import Network
from pendel.control.outlook import Outlook
from pendel.control.plan import PlanOptions, plan
from pendel.control.plan_result import Plan
from pendel.control.problem import PlanProblem, Units
from pendel.control.state import FleetState, Knowledge
from pendel.records import Mode
from pendel.scenario.columns import Feeders
from pendel.units import SECONDS_PER_HOUR, BoolArray, FloatArray, IntArray

EXACT_UNITS_MAX = 96
"""Units that are planned exactly together at most; more are planned by the sweep."""
FEW_SITES_MAX = 128
"""More sites than this are a fleet: its units are planned by the sweep, however few are there."""
LIVE_LIMIT_S = 2.0
"""Seconds that one replan of a group may take where there is a clock."""
EXACT_UNITS_EACH_STEP = 6
"""A group of up to this many units is planned anew each step, one of n times as many every n."""


def coupled_groups(
    state: FleetState, coupled: BoolArray, network: Network
) -> tuple[list[IntArray], BoolArray]:
    """(groups of positions to solve exactly together, which other units [N] the sweep plans).

    coupled [N]: units of sites where something couples them. Sites are solved one by one unless
    limits above them bind them together; too many units are left to the sweep.
    """
    units = np.flatnonzero(coupled)
    swept = np.zeros(len(state), dtype=np.bool_)
    if len(units) == 0:
        return [], swept
    if len(units) > EXACT_UNITS_MAX or len(network.feeder) > FEW_SITES_MAX:
        swept[units] = True
        return [], swept
    if network.is_limited:
        groups = [units]
    else:
        groups = [units[state.site[units] == site] for site in np.unique(state.site[units])]
    return groups, swept


def plan_exactly(
    state: FleetState,
    group: IntArray,
    knowledge: Knowledge,
    outlook: Outlook,
    network: Network,
    mode: Mode,
    presence: FloatArray,
    floor_kwh: FloatArray,
    last_kw: FloatArray,
    clock_s: Callable[[], float] | None,
) -> Plan:
    """The plan of the units [M] of a group, made together with their sites.

    last_kw [M, K]: the plan until now, followed on where the limit of LIVE_LIMIT_S seconds on
    clock_s (None: no limit in time) ends the search and nothing better was found.
    """
    sites, local = np.unique(state.site[group], return_inverse=True)
    problem = problem_of_group(
        state, group, sites, local, knowledge, outlook, network, mode, presence, floor_kwh
    )
    if clock_s is None:
        return plan(problem, PlanOptions(binary_rounds=0, warm_kw=last_kw))
    begin_s, clock = clock_s(), clock_s
    options = PlanOptions(
        time_limit_s=LIVE_LIMIT_S,
        elapsed_s=lambda: clock() - begin_s,
        warm_kw=last_kw,
        binary_rounds=0,
    )
    return plan(problem, options)


def problem_of_group(
    state: FleetState,
    group: IntArray,
    sites: IntArray,
    local: IntArray,
    knowledge: Knowledge,
    outlook: Outlook,
    network: Network,
    mode: Mode,
    presence: FloatArray,
    floor_kwh: FloatArray,
) -> PlanProblem:
    """The PlanProblem of some units and their sites for the coming steps."""
    steps, count = outlook.steps, len(group)
    cars = state.is_session[group]
    discharge_max = state.discharge_max_kw[group]
    if mode == Mode.V1G:
        discharge_max = np.where(cars, 0.0, discharge_max)
    units = Units(
        site=local.astype(np.int64),
        first=np.zeros(count, dtype=np.int64),
        last=np.full(count, steps, dtype=np.int64),
        capacity_kwh=state.capacity_kwh[group],
        energy_start_kwh=state.energy_kwh[group],
        target_kwh=np.where(cars, state.target_kwh[group], 0.0),
        energy_min_kwh=state.energy_min_kwh[group],
        charge_max_kw=state.charge_max_kw[group],
        discharge_max_kw=discharge_max,
        charge_efficiency=state.charge_efficiency[group],
        discharge_efficiency=state.discharge_efficiency[group],
        wear_eur_kwh=state.wear_eur_kwh[group],
        terminal_eur_kwh=state.terminal_eur_kwh[group],
        is_session=cars,
    )
    whole = len(sites) == len(network.feeder)
    return PlanProblem(
        step_h=knowledge.step_s / SECONDS_PER_HOUR,
        steps=steps,
        units=units,
        import_limit_kw=np.repeat(knowledge.import_limit_kw[sites][:, None], steps, axis=1),
        export_limit_kw=np.repeat(knowledge.export_limit_kw[sites][:, None], steps, axis=1),
        load_kw=outlook.load_kw[sites],
        pv_kw=outlook.pv_kw[sites],
        price_row=knowledge.price_row[sites],
        import_eur_kwh=outlook.import_eur_kwh,
        export_eur_kwh=outlook.export_eur_kwh,
        demand_charge_eur_kw=knowledge.demand_charge_eur_kw[sites],
        peak_so_far_kw=knowledge.peak_so_far_kw[sites],
        feeder=network.feeder[sites] if whole else np.full(len(sites), -1, dtype=np.int64),
        feeders=Feeders(
            np.array([f"f{i}" for i in range(len(network.parent))]),
            network.parent,
            network.import_limit_kw,
            network.export_limit_kw,
        ),
        portfolio_import_limit_kw=np.full(steps, network.portfolio_import_kw),
        portfolio_export_limit_kw=np.full(steps, network.portfolio_export_kw),
        home_only=np.full(len(sites), mode in (Mode.V2H, Mode.V2B)),
        floor_kwh=floor_kwh,
        presence=presence,
    )
