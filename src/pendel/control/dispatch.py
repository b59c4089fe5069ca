"""Dispatch: each tick turns wishes, readings and limits into setpoints, and says which rule won.

Order of precedence: safety > grid limits > promise > sold services > plan > comfort. The wish is
the plan's power (or a service's); it is held between what the promise needs and what the battery
can do, then the tree of limits shares out what the grid leaves (docs/concepts/dispatch.md).
"""

from dataclasses import dataclass, replace

import numpy as np

from pendel.control.state import RANKS, FleetState, Knowledge
from pendel.records import Rank
from pendel.scenario.columns import Feeders
from pendel.units import BoolArray, FloatArray, IntArray

SAFETY = RANKS.index(Rank.SAFETY)
GRID_LIMIT = RANKS.index(Rank.GRID_LIMIT)
PROMISE = RANKS.index(Rank.PROMISE)
SERVICE = RANKS.index(Rank.SERVICE)
PLAN = RANKS.index(Rank.PLAN)
COMFORT = RANKS.index(Rank.COMFORT)

_WITHIN_KW = 1e-9


@dataclass(frozen=True, slots=True)
class Network:
    """The limits above the sites, fixed for a run. S sites, F feeders; kW amounts.

    feeder [S]: index or -1 (directly under the portfolio); order: feeders, children first.
    """

    feeder: IntArray
    parent: IntArray
    order: IntArray
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    portfolio_import_kw: float = float("inf")
    portfolio_export_kw: float = float("inf")

    @property
    def is_limited(self) -> bool:
        """Whether anything above the sites can bind at all."""
        limits = (*self.import_limit_kw, *self.export_limit_kw)
        portfolio = (self.portfolio_import_kw, self.portfolio_export_kw)
        return bool(np.isfinite((*limits, *portfolio)).any())


def network_of(
    feeder: IntArray,
    feeders: Feeders,
    portfolio_import_kw: float = float("inf"),
    portfolio_export_kw: float = float("inf"),
) -> Network:
    """The tree above the sites with its feeders ordered children first (parents are a tree)."""
    depth = np.zeros(len(feeders), dtype=np.int64)
    for index in range(len(feeders)):
        above = int(feeders.parent[index])
        while above >= 0:
            depth[index] += 1
            above = int(feeders.parent[above])
    return Network(
        feeder=np.asarray(feeder, dtype=np.int64),
        parent=np.asarray(feeders.parent, dtype=np.int64),
        order=np.argsort(-depth, kind="stable").astype(np.int64),
        import_limit_kw=feeders.import_limit_kw,
        export_limit_kw=feeders.export_limit_kw,
        portfolio_import_kw=portfolio_import_kw,
        portfolio_export_kw=portfolio_export_kw,
    )


def tracking(network: Network, target_kw: float) -> Network:
    """The same tree with a target for the net of all sites [kW, import positive].

    Where the target lies between what all could do at the least and at the most it is met to the
    last digit, limits of feeders and sites kept; otherwise the nearest is (`missed_kw`).
    """
    return replace(network, portfolio_import_kw=target_kw, portfolio_export_kw=-target_kw)


@dataclass(slots=True)
class Dispatched:
    """What the tree gave. N units, S sites, F feeders.

    power_kw [N], curtail_kw [S]; stress [S]: 3 = every wish granted, below = import had to give
    way, above = export had to; over_kw [S + F + 1]: import over a limit that nothing could keep;
    levels [N, 7]: what each unit offered.
    """

    power_kw: FloatArray
    curtail_kw: FloatArray
    stress: FloatArray
    over_kw: FloatArray
    levels: FloatArray

    @property
    def lowest_kw(self) -> FloatArray:
        """The least each unit could do [N], kW: what it may discharge at the most, negative."""
        return self.levels[:, 0]

    @property
    def promise_kw(self) -> FloatArray:
        """The least power that keeps each promise [N], kW."""
        return self.levels[:, 2]

    @property
    def lacking_kw(self) -> FloatArray:
        """Power missing to each promise [N], kW."""
        return np.maximum(self.promise_kw - self.power_kw, 0.0)


def missed_kw(result: Dispatched, knowledge: Knowledge, target_kw: float) -> float:
    """Target less what all sites together draw [kW]: 0 where it is met."""
    base = knowledge.load_kw - knowledge.pv_kw + result.curtail_kw
    return float(target_kw - (base.sum() + result.power_kw.sum()))


def dispatch(
    wish_kw: FloatArray,
    floor_kwh: FloatArray,
    state: FleetState,
    knowledge: Knowledge,
    network: Network,
    step_h: float,
    home_only: BoolArray,
    may_discharge: bool = True,
) -> Dispatched:
    """Setpoints [N] from wishes [N] for the coming step [h], inside every limit of now.

    floor_kwh [N]: stored energy the promise needs at the end of the step (NaN = none);
    home_only [S]: discharge at most what keeps net at or above min(0, load - pv). Cars of a site
    without grid rest; without may_discharge cars never discharge (stationary batteries may).
    """
    from pendel.control import dispatch_kernels as kernels

    count, count_s = len(state), len(knowledge.load_kw)
    count_f = len(network.parent)
    # Rank safety: paused cars and units behind a dead grid rest, a blind reading or a mode
    # without discharging never leads to discharge.
    charge_max, discharge_max, soak_to = np.empty(count), np.empty(count), np.empty(count)
    kernels.leaf_limits(
        state.site, state.is_session, state.paused, state.reading_age_s, state.target_kwh,
        state.capacity_kwh, state.charge_max_kw, state.discharge_max_kw, knowledge.grid_up,
        stale_after_s(knowledge.step_s), may_discharge, charge_max, discharge_max, soak_to,
    )  # fmt: skip
    result = Dispatched(
        np.empty(count), np.zeros(count_s), np.zeros(count_s), np.zeros(count_s + count_f + 1),
        np.empty((count, kernels.LEVELS)),
    )  # fmt: skip
    kernels.unit_levels(
        wish_kw, state.energy_kwh, floor_kwh, state.energy_min_kwh, state.capacity_kwh, soak_to,
        charge_max, discharge_max, state.charge_efficiency, state.discharge_efficiency,
        step_h, result.levels,
    )  # fmt: skip
    export_eur_kwh = knowledge.export_eur_kwh
    if export_eur_kwh.shape[1]:
        costs_to_export = export_eur_kwh[knowledge.price_row, 0] < 0.0
    else:
        costs_to_export = np.zeros(count_s, dtype=np.bool_)
    kernels.share_out(
        result.levels, state.site, knowledge.load_kw, knowledge.pv_kw,
        knowledge.import_limit_kw, knowledge.export_limit_kw, home_only, costs_to_export,
        network.feeder, network.parent, network.order,
        network.import_limit_kw, network.export_limit_kw,
        network.portfolio_import_kw, network.portfolio_export_kw,
        result.power_kw, result.curtail_kw, result.stress, result.over_kw,
    )  # fmt: skip
    return result


STALE_S = 120.0
"""A reading older than this (and than two steps) is stale: charge toward the promise, no export."""


def is_stale(reading_age_s: FloatArray, step_s: int) -> BoolArray:
    """Which readings [N] are too old to act on: older than two steps and than STALE_S."""
    return reading_age_s > stale_after_s(step_s)


def stale_after_s(step_s: int) -> float:
    """Age [s] beyond which a reading is not acted on."""
    return max(2.0 * step_s, STALE_S)


def ranks(result: Dispatched, wanted_kw: FloatArray, state: FleetState, base: IntArray) -> IntArray:
    """Which rule decided each unit [N], as index into RANKS.

    wanted_kw [N]: the wish before anything touched it; base [N]: its rank (plan, service,
    comfort). A promise that lifts the wish outranks it, a limit of the grid outranks both, and
    what the battery or a dead grid cannot do is safety.
    """
    from pendel.control.dispatch_kernels import rank_units

    rank = base.copy()
    rank_units(
        result.levels, result.power_kw, wanted_kw, state.paused, _WITHIN_KW, SAFETY, GRID_LIMIT,
        PROMISE, rank,
    )  # fmt: skip
    return rank


def smoothed(
    wish_kw: FloatArray,
    previous_kw: FloatArray,
    deadband_kw: float,
    ramp_kw: float,
) -> FloatArray:
    """Wishes [N] that neither chatter nor jump: kW, against the last setpoints [N].

    Inside the dead band the last setpoint stays; a change of direction must leave the band on the
    other side of zero; at most ramp_kw change per tick. Applied to wishes only: limits and
    promises act at once (they come later in the same tick).
    """
    turning = (wish_kw * previous_kw < 0.0) & (np.abs(wish_kw) <= 2.0 * deadband_kw)
    wish = np.where(turning, 0.0, wish_kw)
    wish = np.where(np.abs(wish - previous_kw) <= deadband_kw, previous_kw, wish)
    return np.clip(wish, previous_kw - ramp_kw, previous_kw + ramp_kw)
