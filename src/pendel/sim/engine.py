"""Closed loop over a scenario: reveal, decide, let the truth happen, record.

At the begin of each step the controller plans with what was knowable: stated departures, published
prices, load and PV of the steps before. Within the step the real load and PV show in the readings,
and the same dispatch that ticks every few seconds in a live system trims the setpoints to the
limits (docs/concepts/simulation.md). Then the batteries move, and at the real departure the car
is gone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pendel.control.controller import Controller, Ended
from pendel.control.dispatch import network_of
from pendel.control.state import FleetState, Knowledge
from pendel.records import Mode
from pendel.scenario.columns import Scenario
from pendel.scenario.publication import published_until_s
from pendel.sim.fleet import Fleet, fleet_of, state_of
from pendel.sim.metrics import Trace, check_balance, summary_of
from pendel.sim.physics import Physics, physics_of
from pendel.sim.result import Run
from pendel.units import SECONDS_PER_HOUR, FloatArray, IntArray

TRIALS_MAX = 4
FOLLOWS_KW = 1e-9
Progress = Callable[[int, int], None]
"""Called with (steps done, steps of all)."""


@dataclass(slots=True)
class _Truth:
    """What really happens, revealed step by step."""

    scenario: Scenario
    peak_kw: FloatArray
    known_until: list[int]


def simulate(
    scenario: Scenario,
    mode: Mode,
    confidence: float = 0.99,
    seed: int = 0,
    progress: Progress | None = None,
) -> Run:
    """Run one strategy over a scenario. Raises InvariantError if energy does not balance.

    seed: for controllers that draw samples; the same seed gives the same run, bit for bit.
    """
    begin_wall, begin_cpu = time.perf_counter(), time.process_time()
    horizon = scenario.horizon
    fleet = fleet_of(scenario)
    controller = Controller(
        mode,
        confidence,
        horizon.step_s,
        horizon.timezone,
        network_of(
            scenario.sites.feeder,
            scenario.feeders,
            scenario.portfolio_import_limit_kw,
            scenario.portfolio_export_limit_kw,
        ),
        end_s=horizon.start_s + horizon.steps * horizon.step_s,
    )
    controller.remember(scenario.history)
    physics = physics_of(scenario, fleet)
    trace = _run_steps(scenario, physics, controller, progress)
    gap_kwh = check_balance(scenario, fleet, trace)
    seconds = time.perf_counter() - begin_wall
    cpu_seconds = time.process_time() - begin_cpu
    summary, promised, kept, leave_kwh = summary_of(
        scenario, physics, trace, mode, seconds, cpu_seconds
    )
    summary["balance_gap_kwh"] = gap_kwh
    return Run(
        strategy=str(mode),
        scenario=scenario,
        summary=summary,
        power_kw=trace.power_kw,
        energy_kwh=trace.energy_kwh,
        net_kw=trace.net_kw,
        curtailed_kw=trace.curtailed_kw,
        promised=promised,
        kept=kept,
        energy_leave_kwh=leave_kwh,
    )


def _run_steps(
    scenario: Scenario, physics: Physics, controller: Controller, progress: Progress | None
) -> Trace:
    fleet = physics.fleet
    horizon, sites = scenario.horizon, scenario.sites
    count, count_s, steps = len(fleet), len(sites), horizon.steps
    # Step-major while running (a step is one contiguous row), transposed views afterwards.
    power = np.zeros((steps, count))
    energy = np.full((steps, count), np.nan)
    net, curtailed = np.zeros((steps, count_s)), np.zeros((steps, count_s))
    truth = _Truth(scenario, np.zeros(count_s), _known_until(scenario))
    state: FleetState | None = None
    for step in range(steps):
        left, changed = fleet.advance_to(step)
        _teach(controller, fleet, left)
        state = state_of(fleet, None if changed else state)
        knowledge = _knowledge_of(truth, step)
        controller.refresh(state, knowledge)
        _read_meters(truth, knowledge, step)
        power_kw, held_kw = _happen(physics, controller, state, knowledge)
        power[step, fleet.active] = power_kw
        energy[step, fleet.active] = fleet.energy_kwh[fleet.active]
        site_kw = np.bincount(state.site, power_kw, minlength=count_s)
        net[step] = knowledge.load_kw - knowledge.pv_kw + held_kw + site_kw
        curtailed[step] = held_kw
        np.maximum(truth.peak_kw, net[step], out=truth.peak_kw)
        if progress is not None:
            progress(step + 1, steps)
    return Trace(power.T, energy.T, net.T, curtailed.T)


def _known_until(scenario: Scenario) -> list[int]:
    """Per step, how many steps of prices of the horizon are published at its begin."""
    horizon = scenario.horizon
    known = []
    for step in range(horizon.steps):
        now_s = horizon.start_s + step * horizon.step_s
        until_s = published_until_s(now_s, horizon.timezone)
        known.append(min((until_s - horizon.start_s) // horizon.step_s, horizon.steps))
    return known


def _knowledge_of(truth: _Truth, step: int) -> Knowledge:
    """What is knowable at the begin of a step; arrays are views that end where the past does."""
    scenario = truth.scenario
    horizon, prices, series = scenario.horizon, scenario.prices, scenario.series
    until, before, count_s = truth.known_until[step], max(step - 1, 0), len(scenario.sites)
    return Knowledge(
        now_s=horizon.start_s + step * horizon.step_s,
        step_s=horizon.step_s,
        timezone=horizon.timezone,
        price_row=prices.row,
        import_eur_kwh=prices.import_eur_kwh[:, step:until],
        export_eur_kwh=prices.export_eur_kwh[:, step:until],
        import_past_eur_kwh=prices.import_eur_kwh[:, :step],
        export_past_eur_kwh=prices.export_eur_kwh[:, :step],
        load_kw=series.load_kw[:, before] if step else np.zeros(count_s),
        pv_kw=series.pv_kw[:, before] if step else np.zeros(count_s),
        load_past_kw=series.load_kw[:, :step],
        pv_past_kw=series.pv_kw[:, :step],
        import_limit_kw=scenario.sites.import_limit_kw,
        export_limit_kw=scenario.sites.export_limit_kw,
        demand_charge_eur_kw=scenario.sites.demand_charge_eur_kw,
        peak_so_far_kw=truth.peak_kw.copy(),
        grid_up=np.ones(count_s, dtype=np.bool_),
        reading_age_s=np.zeros(count_s),
    )


def _read_meters(truth: _Truth, knowledge: Knowledge, step: int) -> None:
    """The readings within the step: real load and PV now flow, and the meters say so."""
    series = truth.scenario.series
    knowledge.load_kw = np.ascontiguousarray(series.load_kw[:, step])
    knowledge.pv_kw = np.ascontiguousarray(series.pv_kw[:, step])


def _happen(
    physics: Physics, controller: Controller, state: FleetState, knowledge: Knowledge
) -> tuple[FloatArray, FloatArray]:
    """One step of truth: (power [N], PV held back [S]) with the readings within the step.

    A battery near full takes less than ordered; the station sees that at once, and the limits are
    shared out again with what it takes, so that others may follow (at most TRIALS_MAX times).
    """
    if physics.is_constant:
        decision = controller.dispatch(state, knowledge)
        physics.commit(*physics.trial(decision.power_kw))
        return physics.fleet.power_kw[physics.fleet.active], decision.curtail_kw
    charge_max, discharge_max = physics.bounds_kw()
    for _ in range(TRIALS_MAX):
        seen = replace(state, charge_max_kw=charge_max, discharge_max_kw=discharge_max)
        decision = controller.dispatch(seen, knowledge)
        power_kw, energy_kwh = physics.trial(decision.power_kw)
        short = np.abs(power_kw - decision.power_kw) > FOLLOWS_KW
        if not short.any():
            break
        charge_max = np.where(short & (power_kw >= 0.0), power_kw, charge_max)
        discharge_max = np.where(short & (power_kw < 0.0), -power_kw, discharge_max)
    physics.commit(power_kw, energy_kwh)
    site_kw = np.bincount(state.site, power_kw, minlength=len(knowledge.load_kw))
    net = knowledge.load_kw - knowledge.pv_kw + decision.curtail_kw + site_kw
    more = np.maximum(-knowledge.export_limit_kw - net, 0.0)
    return power_kw, np.minimum(decision.curtail_kw + more, knowledge.pv_kw)


def _teach(controller: Controller, fleet: Fleet, left: IntArray) -> None:
    """Tell the controller which sessions have ended, so that departures are learned."""
    gone = left[fleet.is_session[left]]
    if len(gone):
        hours = (fleet.last[gone] - fleet.first[gone]) * (controller.step_s / SECONDS_PER_HOUR)
        at_once = hours * fleet.charge_max_kw[gone] * fleet.charge_efficiency[gone]
        controller.ended(
            Ended(
                site=fleet.site[gone],
                vehicle_id=fleet.vehicle_id[gone],
                unit_id=fleet.unit_id[gone],
                arrive_s=fleet.arrive_s[gone],
                stated_depart_s=fleet.stated_depart_s[gone],
                depart_s=fleet.depart_s[gone],
                lacked_kwh=fleet.target_kwh[gone] - fleet.energy_kwh[gone],
                counted=fleet.energy_arrive_kwh[gone] + at_once >= fleet.target_kwh[gone],
            )
        )
