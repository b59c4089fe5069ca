"""The controller: the same code live and simulated, pure given what it is shown.

`decide` is one tick: plan anew where that is due, then dispatch. A simulation calls the two halves
apart: it plans on the readings from before a step and dispatches on those within it, as the live
loop does, which ticks every few seconds while a plan lasts a quarter hour.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pendel.control.dispatch import (
    COMFORT,
    PLAN,
    PROMISE,
    Dispatched,
    Network,
    dispatch,
    is_stale,
    ranks,
    smoothed,
)
from pendel.control.fallback import charge_at_once, fallback_power
from pendel.control.least_power import LeastPowers
from pendel.control.planning import Ended, Planning
from pendel.control.state import Decision, FleetState, Knowledge
from pendel.records import Mode, Needs
from pendel.scenario.columns import History
from pendel.units import SECONDS_PER_HOUR, BoolArray, FloatArray, IntArray

__all__ = ["Controller", "Ended"]


LEFT_LEAST_S = 60
"""Energy bounds are kept over what is left of the planning step, at least this long [s]."""


class Controller:
    """Decides the power of every connected unit.

    mode: how much of the cars' flexibility may be used; confidence: share of promises to keep
    (0.5..0.999); step_s: planning step [s]; timezone: IANA name, for calendars and prices;
    network: limits above the sites; end_s: end of the run [epoch s], by which every target is due
    (None = runs on); deadband_kw, ramp_kw: calm of setpoints between ticks; clock_s: seconds that
    pass while planning, to bound it (None in simulations, which give the same result every time).
    """

    def __init__(
        self,
        mode: Mode,
        confidence: float,
        step_s: int,
        timezone: str,
        network: Network,
        end_s: int | None = None,
        deadband_kw: float = 0.0,
        ramp_kw: float = float("inf"),
        clock_s: Callable[[], float] | None = None,
    ) -> None:
        self.mode = mode
        self.step_s = step_s
        self.network = network
        self.deadband_kw = deadband_kw
        self.ramp_kw = ramp_kw
        self.last: Dispatched | None = None
        self.planning = Planning(mode, confidence, step_s, timezone, network, end_s, clock_s)
        self._wish_kw: FloatArray = np.zeros(0)
        self._floor_kwh: FloatArray = np.zeros(0)
        self._base: IntArray = np.zeros(0, dtype=np.int64)
        self._least = LeastPowers()
        self._held: BoolArray = np.zeros(0, dtype=np.bool_)

    def decide(self, state: FleetState, knowledge: Knowledge) -> Decision:
        """One tick: plan where due, then setpoints inside every limit, each with its rank."""
        self.refresh(state, knowledge)
        return self.dispatch(state, knowledge)

    def refresh(self, state: FleetState, knowledge: Knowledge) -> None:
        """Bring wishes and floors of the connected units up to date; plans where that is due."""
        count = len(state)
        self._held = np.zeros(count, dtype=np.bool_)
        if self.mode == Mode.UNCONTROLLED:
            self._wish_kw = charge_at_once(state, self.step_s)
            self._floor_kwh = np.full(count, np.nan)
            self._base = np.full(count, COMFORT, dtype=np.int64)
            self._wish_storages(state, knowledge)
            return
        self._wish_kw, self._floor_kwh, planned = self.planning.refresh(state, knowledge)
        self._base = np.full(count, PLAN, dtype=np.int64)
        blind = ~planned | is_stale(state.reading_age_s, self.step_s)
        if blind.any():
            modest = fallback_power(state, knowledge.now_s, self.step_s)
            self._wish_kw = np.where(blind, modest, self._wish_kw)
            self._base[blind] = COMFORT

    def dispatch(self, state: FleetState, knowledge: Knowledge) -> Decision:
        """Setpoints from the wishes of the last refresh (same units) and the readings of now.

        The state's charge_max_kw may be lower than at the refresh: what a car says it takes now.
        """
        count_s = len(knowledge.load_kw)
        home = self.mode in (Mode.V2H, Mode.V2B)
        wanted, base = self._wish_kw, self._base
        if self.deadband_kw > 0.0 or np.isfinite(self.ramp_kw):
            wanted = smoothed(wanted, state.power_kw, self.deadband_kw, self.ramp_kw)
        if state.charge_now.any():
            wanted = np.where(state.charge_now, state.charge_max_kw, wanted)
            base = np.where(state.charge_now, PROMISE, base)
        left_s = max(self.step_s - knowledge.now_s % self.step_s, min(LEFT_LEAST_S, self.step_s))
        result = dispatch(
            wanted, self._floor_kwh, state, knowledge, self.network, left_s / SECONDS_PER_HOUR,
            np.full(count_s, home), self.may_discharge,
        )  # fmt: skip
        rank = ranks(result, wanted, state, base)
        in_pulses = None
        if state.charge_least_kw.any() or state.discharge_least_kw.any():
            in_pulses = self._least.apply(result, state, knowledge, self.network, self._held)
        self.last = result
        self.planning.ordered(result.power_kw, wanted, state)
        return Decision(
            power_kw=result.power_kw,
            requested_kw=self._wish_kw,
            rank=rank,
            curtail_kw=result.curtail_kw,
            in_pulses=in_pulses,
        )

    def restate(self, wishes: Mapping[str, Sequence[Needs]]) -> None:
        """All that is asked of each session by session_id; changed ones are planned anew."""
        self.planning.restate(wishes)

    def ended(self, sessions: Ended) -> None:
        """Sessions have ended: departures and kept promises are learned from."""
        if self.mode != Mode.UNCONTROLLED:
            self.planning.learn(sessions)

    def remember(self, history: History | None) -> None:
        """Sessions from before the first step: their departures are learned from, their promises
        (made by nobody, or by somebody else) are not counted."""
        if history is not None and self.mode != Mode.UNCONTROLLED:
            self.planning.departures.learn(
                history.site,
                history.vehicle_id,
                history.arrive_s,
                history.stated_depart_s,
                history.depart_s,
            )

    @property
    def floors_kwh(self) -> FloatArray:
        """Energy [N] the promises need at the end of this step, from the last refresh."""
        return self._floor_kwh

    def hold(self, unit: int, power_kw: float, rank: int, floor_kwh: float | None = None) -> None:
        """Somebody's hand between refresh and dispatch: the wish of a unit is power_kw [kW], of a
        rank (index into RANKS); limits and promises act on it as on any wish.

        floor_kwh: the energy that what was promised needs at the end of this step; where the
        plan's own, more careful floor is higher, it takes its place. None = that of the plan."""
        self._wish_kw[unit] = power_kw
        self._base[unit] = rank
        self._held[unit] = True
        if floor_kwh is not None and floor_kwh < self._floor_kwh[unit]:  # NaN: there is none
            self._floor_kwh[unit] = floor_kwh

    @property
    def may_discharge(self) -> bool:
        """Whether the mode lets cars discharge at all."""
        return self.mode in (Mode.V2H, Mode.V2B, Mode.V2G)

    def _wish_storages(self, state: FleetState, knowledge: Knowledge) -> None:
        """Uncontrolled home batteries do what they do anyway: take up PV, serve the load."""
        for unit in np.flatnonzero(~state.is_session):
            site = state.site[unit]
            cars = self._wish_kw[(state.site == site) & state.is_session].sum()
            surplus_kw = knowledge.pv_kw[site] - knowledge.load_kw[site] - cars
            self._wish_kw[unit] = np.clip(
                surplus_kw, -state.discharge_max_kw[unit], state.charge_max_kw[unit]
            )
