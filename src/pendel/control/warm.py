"""What a solved fleet leaves for the next cycle, and how the next problem takes it up.

Nothing of it is believed: what a site has is kept only where all that the site depends on is the
same to the last digit; everything else is a place to begin.
"""

from dataclasses import dataclass, fields

import numpy as np

from pendel.control.arrow import nodes_above
from pendel.control.problem import PlanProblem, Units
from pendel.units import BoolArray, FloatArray, IntArray

SITE_FIELDS = (
    "import_limit_kw", "export_limit_kw", "load_kw", "pv_kw", "demand_charge_eur_kw",
    "peak_so_far_kw", "feeder", "home_only",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FleetMemory:
    """A solved fleet: its problem; node_eur_kw [F + 2, T] prices of the nodes; its plan (power_kw,
    energy_kwh [N, T], net_kw, curtailed_kw [S, T]); cost_eur and proven bound_eur [S] of each site
    at these prices (-inf: none is known)."""

    problem: PlanProblem
    node_eur_kw: FloatArray
    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    cost_eur: FloatArray
    bound_eur: FloatArray


@dataclass(frozen=True, slots=True)
class Warm:
    """memory of the last solve; same [N]: which unit each unit was then, -1 for a new one (None:
    the same units in the same order); rolled: by how many steps the horizon has moved on."""

    memory: FleetMemory
    same: IntArray | None = None
    rolled: int = 0


def same_units(warm: Warm, problem: PlanProblem) -> IntArray:
    """[N] old unit of each unit, -1 where none is known. Anything out of range is unknown."""
    count, old = len(problem.units), len(warm.memory.problem.units)
    if warm.same is None:
        return np.arange(count) if count == old else np.full(count, -1)
    if warm.same.shape != (count,):
        return np.full(count, -1)
    same = warm.same.astype(np.int64)
    return np.where((same >= 0) & (same < old), same, -1)


def fits(warm: Warm, problem: PlanProblem) -> bool:
    """Whether the memory is of such a fleet at all: sites, nodes and steps as many as before."""
    memory, old = warm.memory, warm.memory.problem
    parent, before = nodes_above(problem)[1], nodes_above(old)[1]
    units = len(old.units)
    return (
        np.array_equal(parent, before)
        and problem.sites == old.sites
        and problem.steps == old.steps
        and problem.step_h == old.step_h
        and (problem.market is None) == (old.market is None)
        and 0 <= warm.rolled < problem.steps
        and memory.node_eur_kw.shape == (len(parent) + 2, old.steps)
        and memory.power_kw.shape == memory.energy_kwh.shape == (units, old.steps)
        and memory.net_kw.shape == memory.curtailed_kw.shape == (old.sites, old.steps)
        and memory.cost_eur.shape == memory.bound_eur.shape == (old.sites,)
        and bool(np.isfinite(memory.node_eur_kw).all() and np.isfinite(memory.cost_eur).all())
    )


def touched_sites(warm: Warm, problem: PlanProblem, same: IntArray) -> BoolArray:
    """[S] sites for which anything differs from the problem that was solved."""
    old, sites = warm.memory.problem, problem.sites
    if warm.rolled != 0:
        return np.ones(sites, dtype=np.bool_)
    out = ~np.isfinite(warm.memory.bound_eur)
    for name in SITE_FIELDS:
        ours, theirs = getattr(problem, name), getattr(old, name)
        if ours is None and theirs is None:
            continue
        if ours is None or theirs is None:
            return np.ones(sites, dtype=np.bool_)
        different = ours != theirs
        out |= different if different.ndim == 1 else different.any(axis=1)
    out |= rows_differ(problem, old)
    units, known = problem.units, same >= 0
    off = ~known
    at = same[known]
    for field in fields(Units):
        off[known] |= getattr(units, field.name)[known] != getattr(old.units, field.name)[at]
    if (problem.floor_kwh is None) != (old.floor_kwh is None):
        return np.ones(sites, dtype=np.bool_)
    if problem.floor_kwh is not None and old.floor_kwh is not None:
        ours, theirs = problem.floor_kwh[known], old.floor_kwh[at]
        off[known] |= ((ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))).any(axis=1)
    out[units.site[off]] = True
    # Who has gone, or stands for two: the numbers of units differ.
    stayed = np.bincount(old.units.site[np.unique(at)], minlength=sites)
    before = np.bincount(old.units.site, minlength=sites)
    now = np.bincount(units.site, minlength=sites)
    return np.asarray(out | (stayed != before) | (now != before), dtype=np.bool_)


def rows_differ(problem: PlanProblem, old: PlanProblem) -> BoolArray:
    """[S] sites whose prices differ."""
    pairs, index = np.unique(
        np.stack([problem.price_row, old.price_row]), axis=1, return_inverse=True
    )
    different = np.array(
        [
            not np.array_equal(ours[a], theirs[b])
            for ours, theirs in ((problem.import_eur_kwh, old.import_eur_kwh),)
            for a, b in pairs.T.tolist()
        ]
    )
    different |= np.array(
        [
            not np.array_equal(problem.export_eur_kwh[a], old.export_eur_kwh[b])
            for a, b in pairs.T.tolist()
        ]
    )
    return np.asarray(different[index.ravel()], dtype=np.bool_)


def came_from(steps: int, rolled: int) -> IntArray:
    """[T] old step of each step after a roll: the last one for those that came anew."""
    return np.minimum(np.arange(steps) + rolled, steps - 1)


def take_price(warm: Warm, problem: PlanProblem) -> FloatArray:
    """Old prices of the nodes [F + 2, T], moved on by the roll."""
    if warm.rolled == 0:
        return warm.memory.node_eur_kw.copy()
    return warm.memory.node_eur_kw[:, came_from(problem.steps, warm.rolled)]


def reference_kw(memory: FleetMemory, problem: PlanProblem) -> FloatArray:
    """[S, T] what the net imports would be if nothing but load and sun had changed."""
    old = memory.problem
    moved = memory.net_kw - (old.load_kw - old.pv_kw)
    return np.asarray(problem.load_kw - problem.pv_kw + moved)
