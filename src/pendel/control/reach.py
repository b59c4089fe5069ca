"""What each unit can reach on its own: windows, energy bounds, floors and targets that are due.

Flattened windows: all (unit, step) pairs in which a unit is connected, unit after unit, W in all;
unit i owns rows offset[i] : offset[i + 1]. Everything here follows the contract, "Decisions in
detail": a target or minimum that even charging at once cannot reach becomes the highest reachable
energy; below the minimum the floor is what charging at once would have reached.
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.problem import PlanProblem
from pendel.units import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Reach:
    """Bounds of every unit. Shapes: N units, W connected (unit, step) pairs, S sites, T steps.

    unit, step [W]; offset [N + 1]. energy at the end of a step: lo <= e <= hi always [W];
    minimum [W] is energy_min (rank of limits; above lo only where a unit arrived below it);
    floor [W] is the reachable part of floor_kwh (rank of targets; -inf where none);
    target [N] is the reachable target, wanted [N] what was asked for (target or minimum);
    export_kw, import_kw [S, T]: limits in force, V2H/V2B included.
    """

    unit: IntArray
    step: IntArray
    offset: IntArray
    start: FloatArray
    lo: FloatArray
    hi: FloatArray
    minimum: FloatArray
    floor: FloatArray
    target: FloatArray
    wanted: FloatArray
    reachable: FloatArray
    import_kw: FloatArray
    export_kw: FloatArray

    @property
    def pairs(self) -> int:
        """Number of connected (unit, step) pairs."""
        return len(self.unit)

    @property
    def first(self) -> BoolArray:
        """[W] whether the pair is the first of its unit."""
        mask = np.zeros(self.pairs, dtype=np.bool_)
        begins = self.offset[:-1][np.diff(self.offset) > 0]
        mask[begins] = True
        return mask

    @property
    def last_pair(self) -> IntArray:
        """[N] row of the last connected step of each unit, -1 for an empty window."""
        return np.where(np.diff(self.offset) > 0, self.offset[1:] - 1, -1)


def goals_of(problem: PlanProblem) -> tuple[FloatArray, FloatArray]:
    """What is due at the end of each unit's window [N], and the most it could hold there [N]."""
    units = problem.units
    first = np.clip(units.first, 0, problem.steps)
    length = np.maximum(np.clip(units.last, 0, problem.steps) - first, 0)
    start = units.energy_start_kwh
    rate = problem.step_h * units.charge_efficiency * units.charge_max_kw
    reachable = np.minimum(start + length * rate, np.maximum(units.capacity_kwh, start))
    return np.minimum(units.target_kwh, reachable), reachable


def reach_of(problem: PlanProblem) -> Reach:
    """Bounds of all units and sites of a problem (vectorised, O(W + S T))."""
    units = problem.units
    first = np.clip(units.first, 0, problem.steps)
    length = np.maximum(np.clip(units.last, 0, problem.steps) - first, 0)
    offset = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    unit = np.repeat(np.arange(len(units), dtype=np.int64), length)
    step = np.arange(len(unit), dtype=np.int64) - offset[unit] + first[unit]

    # A reading may lie outside [0, capacity]: standing still is always allowed.
    start = units.energy_start_kwh
    highest = np.maximum(units.capacity_kwh, start)
    rate = problem.step_h * units.charge_efficiency * units.charge_max_kw
    at_once = np.minimum(start[unit] + (step - first[unit] + 1) * rate[unit], highest[unit])
    target, reachable = goals_of(problem)

    least = np.minimum(units.energy_min_kwh, highest)
    lo = np.minimum(least, start)[unit]
    minimum = np.minimum(least[unit], np.where(start[unit] < least[unit], at_once, np.inf))
    floor = np.full(len(unit), -np.inf)
    if problem.floor_kwh is not None:
        asked = problem.floor_kwh[unit, step]
        floor = np.where(np.isnan(asked), -np.inf, np.minimum(asked, at_once))
    return Reach(
        unit=unit,
        step=step,
        offset=offset,
        start=start,
        lo=lo,
        hi=highest[unit],
        minimum=minimum,
        floor=floor,
        target=target,
        wanted=np.maximum(units.target_kwh, np.where(length > 0, units.energy_min_kwh, 0.0)),
        reachable=reachable,
        import_kw=problem.import_limit_kw,
        export_kw=export_limits(problem),
    )


def export_limits(problem: PlanProblem) -> FloatArray:
    """[S, T] export limit in force: at home-only sites nothing beyond the surplus of PV."""
    if problem.home_only is None:
        return problem.export_limit_kw
    surplus = np.maximum(problem.pv_kw - problem.load_kw, 0.0)
    limited = np.minimum(problem.export_limit_kw, surplus)
    return np.where(problem.home_only[:, None], limited, problem.export_limit_kw)
