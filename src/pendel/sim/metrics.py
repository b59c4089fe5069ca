"""What a run cost and kept: the contract's `summary.json` of `pendel simulate`, and its checks."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pendel.errors import require
from pendel.records import Mode
from pendel.scenario.columns import Scenario
from pendel.sim.fleet import Fleet
from pendel.sim.physics import Physics
from pendel.units import PROMISE_TOLERANCE_KWH, BoolArray, FloatArray, IntArray

BALANCE_TOLERANCE_KWH = 1e-9
REACHED_TOLERANCE_KWH = 1e-9


@dataclass(frozen=True, slots=True)
class Trace:
    """What happened. Shapes: U units, S sites, T steps.

    power_kw, energy_kwh [U, T]: AC power in each step, stored energy at its end (NaN while not
    connected); net_kw, curtailed_kw [S, T].
    """

    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray


def check_balance(scenario: Scenario, fleet: Fleet, trace: Trace) -> float:
    """Largest gap of the energy balance of any unit [kWh]; raises InvariantError above 1e-9.

    Recomputed from the written powers alone: start + h (sum charged - sum drawn) = end, and per
    site and step net = load - pv + curtailed + sum of powers.
    """
    step_h = scenario.horizon.step_h
    charged = np.maximum(trace.power_kw, 0.0).sum(axis=1)
    drawn = np.maximum(-trace.power_kw, 0.0).sum(axis=1)
    change = step_h * (charged * fleet.charge_efficiency - drawn / fleet.discharge_efficiency)
    gap = np.abs(fleet.energy_arrive_kwh + change - fleet.energy_kwh)
    worst = float(gap.max(initial=0.0))
    require(worst <= BALANCE_TOLERANCE_KWH, f"energy balance is open by {worst} kWh")
    net = scenario.series.load_kw - scenario.series.pv_kw + trace.curtailed_kw
    site_kw = site_sums(trace.power_kw, fleet.site, len(scenario.sites))
    open_kw = float(np.abs(net + site_kw - trace.net_kw).max(initial=0.0))
    scale = max(1.0, float(np.abs(trace.net_kw).max(initial=0.0)))
    require(open_kw <= BALANCE_TOLERANCE_KWH * scale, f"site balance is open by {open_kw} kW")
    return worst


def promises_of(
    scenario: Scenario, fleet: Fleet, highest_kwh: FloatArray
) -> tuple[BoolArray, BoolArray, FloatArray]:
    """(promised, kept, energy at leaving [kWh]), each [N sessions].

    highest_kwh [N]: what charging at once, site limits ignored, would have reached by the real
    departure. Kept within 0.1 kWh (contract).
    """
    count = len(scenario.sessions)
    target, leave = fleet.target_kwh[:count], fleet.energy_kwh[:count]
    promised = highest_kwh >= target - REACHED_TOLERANCE_KWH
    return promised, promised & (leave >= target - PROMISE_TOLERANCE_KWH), leave.copy()


def summary_of(
    scenario: Scenario,
    physics: Physics,
    trace: Trace,
    mode: Mode,
    seconds: float,
    cpu_seconds: float,
) -> tuple[dict[str, Any], BoolArray, BoolArray, FloatArray]:
    """(summary, promised, kept, energy at leaving): summary has the keys of the contract.

    cost_eur = energy + wear + demand charge + deviations, without terminal value; energies of
    cars and stationary batteries together; peak_import_kw is the highest import of all sites
    together; shortfall_kwh counts every session's lack of its target; vehicle_steps_per_second
    counts steps in which a session was connected, per CPU second.
    """
    step_h, fleet = scenario.horizon.step_h, physics.fleet
    money = costs_of(scenario, fleet, trace)
    imports, exports = np.maximum(trace.net_kw, 0.0), np.maximum(-trace.net_kw, 0.0)
    promised, kept, leave = promises_of(
        scenario, fleet, physics.highest_kwh(len(scenario.sessions))
    )
    sessions = scenario.sessions
    connected = int((sessions.depart_step - sessions.arrive_step).clip(0).sum())
    summary: dict[str, Any] = {
        "strategy": str(mode),
        **money,
        "import_kwh": float(imports.sum() * step_h),
        "export_kwh": float(exports.sum() * step_h),
        "charged_kwh": float(np.maximum(trace.power_kw, 0.0).sum() * step_h),
        "discharged_kwh": float(np.maximum(-trace.power_kw, 0.0).sum() * step_h),
        "peak_import_kw": float(imports.sum(axis=0).max(initial=0.0)),
        "promises_total": int(promised.sum()),
        "promises_kept": int(kept.sum()),
        "shortfall_kwh": float(np.maximum(fleet.target_kwh - fleet.energy_kwh, 0.0).sum()),
        "self_consumption": self_consumption(scenario, fleet, trace),
        "vehicle_steps": connected,
        "vehicle_steps_per_second": connected / max(cpu_seconds, 1e-9),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }
    if scenario.co2_g_kwh is not None:
        net_kwh = trace.net_kw.sum(axis=0) * step_h
        summary["co2_kg"] = float((net_kwh * scenario.co2_g_kwh).sum() / 1000.0)
    return summary, promised, kept, leave


def costs_of(scenario: Scenario, fleet: Fleet, trace: Trace) -> dict[str, float]:
    """cost_eur and its parts: energy, wear, demand charge, deviations (all EUR)."""
    step_h, prices, sites = scenario.horizon.step_h, scenario.prices, scenario.sites
    imports, exports = np.maximum(trace.net_kw, 0.0), np.maximum(-trace.net_kw, 0.0)
    energy = step_h * (
        (prices.import_eur_kwh[prices.row] * imports).sum()
        - (prices.export_eur_kwh[prices.row] * exports).sum()
    )
    charged = np.maximum(trace.power_kw, 0.0).sum(axis=1)
    drawn = np.maximum(-trace.power_kw, 0.0).sum(axis=1)
    stored = charged * fleet.charge_efficiency + drawn / fleet.discharge_efficiency
    wear = step_h * (stored * fleet.wear_eur_kwh).sum()
    demand = (sites.demand_charge_eur_kw * imports.max(axis=1, initial=0.0)).sum()
    deviation = 0.0
    if scenario.market is not None:
        market = scenario.market
        off_kw = trace.net_kw.sum(axis=0) - market.position_kw
        short = market.short_eur_kwh * np.maximum(off_kw, 0.0)
        deviation = step_h * (short + market.long_eur_kwh * np.maximum(-off_kw, 0.0)).sum()
    return {
        "cost_eur": float(energy + wear + demand + deviation),
        "energy_cost_eur": float(energy),
        "wear_eur": float(wear),
        "demand_charge_eur": float(demand),
        "deviation_eur": float(deviation),
    }


def self_consumption(scenario: Scenario, fleet: Fleet, trace: Trace) -> float | None:
    """Share of the PV that could be made which load and batteries of the same site took up in the
    same step; None without PV."""
    pv, load = scenario.series.pv_kw, scenario.series.load_kw
    total = float(pv.sum())
    if total <= 0.0:
        return None
    charging = site_sums(np.maximum(trace.power_kw, 0.0), fleet.site, len(scenario.sites))
    taken = np.minimum(pv - trace.curtailed_kw, load + charging)
    return float(taken.sum() / total)


def site_sums(power_kw: FloatArray, site: IntArray, count_s: int) -> FloatArray:
    """Sum [S, T] over the units [U, T] of each site."""
    sums = np.zeros((count_s, power_kw.shape[1]))
    np.add.at(sums, site, power_kw)
    return sums
