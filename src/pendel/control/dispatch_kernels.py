"""Kernels of live dispatch: what a unit could do, and a tree that shares limits out exactly.

Every leaf offers seven powers, rising from the least to the most (`LEVELS`); between two levels it
gives way linearly. Sums of such offers are again of that shape, so each node of the tree solves for
its own *stress* in closed form: no iteration, exact feasibility, exact tracking.

Levels of a leaf [kW], each at least the one before (equations: docs/concepts/dispatch.md):

    0  least    discharge down to the least energy allowed: rescues the fuse, breaks the promise
    1  idle     no charging beyond the least energy
    2  promise  least power that keeps the promise (negative: what may be discharged)
    3  wish     what the plan asks for, inside [promise, most]
    4  still    no discharging
    5  soak     charging what is needed anyway, from PV that would be lost
    6  curtail  as soak; the site holds PV back too

Source: the tree of limits with one up and one down pass is common practice; the levels and the
closed-form solution by stress are this project's own.
"""

import numpy as np

from pendel.kernel import kernel
from pendel.units import BoolArray, FloatArray, IntArray

LEVELS = 7
IDLE, PROMISE, WISH, STILL, SOAK, CURTAIL = 1, 2, 3, 4, 5, 6


@kernel
def leaf_limits(
    site: IntArray,
    is_session: BoolArray,
    paused: BoolArray,
    reading_age_s: FloatArray,
    target_kwh: FloatArray,
    capacity_kwh: FloatArray,
    charge_max_kw: FloatArray,
    discharge_max_kw: FloatArray,
    grid_up: BoolArray,
    stale_after_s: float,
    may_discharge: bool,
    charge_kw: FloatArray,
    discharge_kw: FloatArray,
    soak_to_kwh: FloatArray,
) -> None:
    """What rank safety leaves to each unit [N]: charge_kw, discharge_kw (amounts), and up to
    which energy it takes up PV that would be lost (a car its target, a battery all).

    Paused units and those behind a dead grid (grid_up [S]) rest; a stale reading never leads to
    discharge, nor does a mode without it (batteries may). All else as in `FleetState`.
    """
    for i in range(len(site)):
        alive = grid_up[site[i]] and not paused[i]
        charge_kw[i] = charge_max_kw[i] if alive else 0.0
        allowed = alive and reading_age_s[i] <= stale_after_s
        allowed = allowed and (may_discharge or not is_session[i])
        discharge_kw[i] = discharge_max_kw[i] if allowed else 0.0
        soak_to_kwh[i] = target_kwh[i] if is_session[i] else capacity_kwh[i]


@kernel
def unit_levels(
    wish_kw: FloatArray,
    energy_kwh: FloatArray,
    floor_kwh: FloatArray,
    energy_min_kwh: FloatArray,
    capacity_kwh: FloatArray,
    target_kwh: FloatArray,
    charge_max_kw: FloatArray,
    discharge_max_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    step_h: float,
    levels: FloatArray,
) -> None:
    """Fill levels [N, 7] from wishes [kW], energies [kWh] and limits (all [N]) for a step [h].

    floor_kwh is the energy the promise needs at the end of the step (NaN = none). All of the
    result lies inside the power limits and keeps the energy inside [energy_min, capacity].
    """
    for i in range(len(wish_kw)):
        up = charge_efficiency[i] * step_h
        down = discharge_efficiency[i] / step_h
        energy = energy_kwh[i]
        most = max(min(charge_max_kw[i], (capacity_kwh[i] - energy) / up), 0.0)
        least_energy = energy_min_kwh[i]
        if energy >= least_energy:
            least = -min(discharge_max_kw[i], (energy - least_energy) * down)
            idle = 0.0
        else:
            least = 0.0
            idle = min(most, (least_energy - energy) / up)
        floor = floor_kwh[i]
        if not floor >= least_energy:
            floor = least_energy
        if energy >= floor:
            promise = -min(discharge_max_kw[i], (energy - floor) * down)
        else:
            promise = min(most, (floor - energy) / up)
        wish = min(max(wish_kw[i], promise), most)
        still = max(wish, 0.0)
        soak = max(still, min(most, (target_kwh[i] - energy) / up))
        levels[i, 0] = least
        levels[i, 1] = max(min(idle, promise), least)
        levels[i, 2] = promise
        levels[i, 3] = wish
        levels[i, 4] = still
        levels[i, 5] = soak
        levels[i, 6] = soak


@kernel
def stress_of(levels: FloatArray, target_kw: float) -> float:
    """Where on the levels [7] (rising) the target is met: 3 where the wish itself does.

    A target below the first or above the last level gives 0 or 6. Of a plateau the end nearest
    the wish is taken, so nothing gives way without need.
    """
    if target_kw < levels[3]:
        for k in range(2, -1, -1):
            if target_kw >= levels[k]:
                width = levels[k + 1] - levels[k]
                return k + (target_kw - levels[k]) / width if width > 0.0 else k + 1.0
        return 0.0
    if target_kw > levels[3]:
        for k in range(3, 6):
            if target_kw <= levels[k + 1]:
                width = levels[k + 1] - levels[k]
                return k + (target_kw - levels[k]) / width if width > 0.0 else float(k)
        return 6.0
    return 3.0


@kernel
def at_stress(levels: FloatArray, stress: float) -> float:
    """Power on the levels [7] at a stress 0..6, linear between levels."""
    k = min(int(stress), 5)
    share = stress - k
    if share <= 0.0:
        return float(levels[k])
    if share >= 1.0:
        return float(levels[k + 1])
    return float(levels[k] + share * (levels[k + 1] - levels[k]))


@kernel
def clip_levels(levels: FloatArray, low_kw: float, high_kw: float) -> float:
    """Bring rising levels [7] into [low, high] in place, as far as they can reach.

    Returns by how much the high limit stays broken at the least level (0 if it holds): then
    that least level is what is asked for.
    """
    over = max(levels[0] - high_kw, 0.0)
    high = max(high_kw, levels[0])
    low = min(low_kw, levels[6], high)
    for k in range(7):
        levels[k] = min(max(levels[k], low), high)
    return float(over)


@kernel
def site_offers(
    levels: FloatArray,
    site: IntArray,
    load_kw: FloatArray,
    pv_kw: FloatArray,
    curtail_export: BoolArray,
    raw: FloatArray,
    hold: FloatArray,
) -> None:
    """Net of each site at each level, before any limit, into raw [S, 7], and the PV held back
    there into hold [S, 7] (both given as zeros). Where export costs money the wish holds back."""
    for i in range(len(site)):
        for k in range(7):
            raw[site[i], k] += levels[i, k]
    for s in range(len(load_kw)):
        base = load_kw[s] - pv_kw[s]
        if curtail_export[s]:
            wish = min(pv_kw[s], max(0.0, -(raw[s, 3] + base)))
            for k in range(3, 6):
                hold[s, k] = min(wish, max(0.0, -(raw[s, k] + base)))
        hold[s, 6] = pv_kw[s]
        for k in range(7):
            raw[s, k] += base + hold[s, k]


@kernel
def share_out(
    levels: FloatArray,
    site: IntArray,
    load_kw: FloatArray,
    pv_kw: FloatArray,
    import_limit_kw: FloatArray,
    export_limit_kw: FloatArray,
    home_only: BoolArray,
    curtail_export: BoolArray,
    feeder: IntArray,
    feeder_parent: IntArray,
    feeder_order: IntArray,
    feeder_import_kw: FloatArray,
    feeder_export_kw: FloatArray,
    portfolio_import_kw: float,
    portfolio_export_kw: float,
    power_kw: FloatArray,
    curtail_kw: FloatArray,
    stress: FloatArray,
    over_kw: FloatArray,
) -> None:
    """One up and one down pass over unit -> site -> feeder -> portfolio.

    levels [N, 7] and site [N] of the units; load, pv, limits, flags [S] of the sites; feeder [S]
    with -1 = directly under the portfolio; feeder_order lists feeders children first. Writes the
    powers [N], PV held back [S], stress [S] and what stays over an import limit [S + F + 1]
    (sites, feeders, portfolio), all kW. curtail_export: exporting costs money, so hold PV back.
    """
    count_s, count_f = len(load_kw), len(feeder_parent)
    raw, hold = np.zeros((count_s, 7)), np.zeros((count_s, 7))
    site_offers(levels, site, load_kw, pv_kw, curtail_export, raw, hold)
    sites = raw.copy()
    upper = np.zeros((count_f + 1, 7))  # the last row is the portfolio
    for s in range(count_s):
        low = -export_limit_kw[s]
        if home_only[s]:
            low = max(low, min(0.0, load_kw[s] - pv_kw[s]))
        over_kw[s] = clip_levels(sites[s], low, import_limit_kw[s])
        for k in range(7):
            upper[feeder[s], k] += sites[s, k]
    sums = np.zeros((count_f + 1, 7))
    for f in feeder_order:
        for k in range(7):
            sums[f, k] = upper[f, k]
        over_kw[count_s + f] = clip_levels(upper[f], -feeder_export_kw[f], feeder_import_kw[f])
        for k in range(7):
            upper[feeder_parent[f], k] += upper[f, k]
    for k in range(7):
        sums[count_f, k] = upper[count_f, k]
    over_kw[count_s + count_f] = clip_levels(
        upper[count_f], -portfolio_export_kw, portfolio_import_kw
    )
    node = np.zeros(count_f + 1)
    node[count_f] = stress_of(sums[count_f], upper[count_f, 3])
    for j in range(count_f - 1, -1, -1):
        f = feeder_order[j]
        node[f] = stress_of(sums[f], at_stress(upper[f], node[feeder_parent[f]]))
    for s in range(count_s):
        stress[s] = stress_of(raw[s], at_stress(sites[s], node[feeder[s]]))
        curtail_kw[s] = min(max(at_stress(hold[s], stress[s]), 0.0), pv_kw[s])
    for i in range(len(site)):
        power_kw[i] = at_stress(levels[i], stress[site[i]])


@kernel
def rank_units(
    levels: FloatArray, power_kw: FloatArray, wanted_kw: FloatArray, paused: BoolArray,
    within_kw: float, safety: int, grid_limit: int, promise: int, rank: IntArray,
) -> None:  # fmt: skip
    """Which rule decided each unit [N], into rank [N], given with the rank of the wish: a promise
    (or safety) that lifts the wish outranks it, a limit of the grid outranks both, and what the
    battery cannot do is safety. Differences up to within_kw do not count."""
    for i in range(len(rank)):
        wish = levels[i, WISH]
        if wish > wanted_kw[i] + within_kw:
            promised = levels[i, PROMISE] > levels[i, 0] + within_kw
            rank[i] = promise if promised else safety
        elif wish < wanted_kw[i] - within_kw:
            rank[i] = safety
        if abs(power_kw[i] - wish) > within_kw:
            rank[i] = grid_limit
        if paused[i]:
            rank[i] = safety
