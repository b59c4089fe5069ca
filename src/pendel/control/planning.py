"""When and how to plan: rolling horizon, replans on events, bounded work per tick.

A unit is planned when it arrives, when prices are published, when its battery is not where the
plan expected it, when it does not follow orders, and when its plan has aged. Small coupled sites
are solved exactly; many units are planned one after the other against their site's rest (`sweep`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pendel.control.coupled import (
    EXACT_UNITS_EACH_STEP,
    FEW_SITES_MAX,
    coupled_groups,
    plan_exactly,
)
from pendel.control.departures import DepartureModel
from pendel.control.dispatch import Network
from pendel.control.lone import lone_sites, plan_lone, room_of
from pendel.control.outlook import Expectations, Outlook
from pendel.control.peak import calm_room
from pendel.control.plan_result import PlanCost
from pendel.control.policy import Paths, Room
from pendel.control.promise import PromiseKeeper
from pendel.control.slots import NEVER, Slots
from pendel.control.state import FleetState, Knowledge, select
from pendel.control.sweep_check import faulty_schedules
from pendel.records import Mode, Needs
from pendel.scenario.columns import StrArray
from pendel.units import (
    PROMISE_TOLERANCE_KWH,
    SECONDS_PER_HOUR,
    BoolArray,
    FloatArray,
    IntArray,
)

HORIZON_STEPS_MAX = 96
SWEEP_UNITS_MAX = 400
"""Units planned per tick by the sweep at most, the longest waiting first: a tick stays short. Up to
this many are all planned anew each step."""
DEVIATION_MANY_KWH = 2.0
"""Off its plan by this much one of many units is planned anew (its promise is kept by its floors,
not by the plan)."""
AGE_STEPS_MAX = 96
LONE_UNITS_MAX = 160
"""Cars that the stochastic policy steers at most; more are planned by the sweep."""
LONE_DEVIATION_KWH = 0.01
POLICY, SWEEP = "policy", "sweep"
"""Names of the ways to plan that know no cost of the whole plan."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Sessions that ended [M]: who, when, and how the promise went.

    lacked_kwh: target minus energy at leaving; counted: charging at once would have reached the
    target by the departure (contract).
    """

    site: IntArray
    vehicle_id: StrArray
    unit_id: StrArray
    arrive_s: IntArray
    stated_depart_s: IntArray
    depart_s: IntArray
    lacked_kwh: FloatArray
    counted: BoolArray


class Planning:
    """Keeps the plans of all connected units fresh (arguments as of Controller)."""

    def __init__(
        self,
        mode: Mode,
        confidence: float,
        step_s: int,
        timezone: str,
        network: Network,
        end_s: int | None,
        clock_s: Callable[[], float] | None = None,
    ) -> None:
        self.clock_s = clock_s
        self.mode = mode
        self.keeper = PromiseKeeper(confidence)
        self.departures = DepartureModel.prior(timezone)
        self.step_s = step_s
        self.network = network
        self.end_s = end_s
        self.slots = Slots(HORIZON_STEPS_MAX, len(network.feeder))
        self.costs: dict[int, PlanCost] = {}
        self._expectations = Expectations()
        self._known_until_s = 0
        self._news_at = 0
        self._seen_step: int | None = None
        self._renewed = False

    def refresh(
        self, state: FleetState, knowledge: Knowledge
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        """(wish [kW], floor [kWh], whether there is a plan), each [N], for the step that begins."""
        step = knowledge.now_s // self.step_s
        fresh_step = step != self._seen_step
        self._pass_time(step)
        new = self.slots.match(state)
        off = self.slots.watch(state) if fresh_step else new[:0]
        if fresh_step or len(new) or len(off) or self._renewed:
            self._renewed = False
            state = self._as_it_follows(state)
            if len(self.network.feeder) > FEW_SITES_MAX:
                self._plan_fleet(state, knowledge, step)
            else:
                self._plan_sites(state, knowledge, step)
        left_s = max(self.step_s - knowledge.now_s % self.step_s, 1)
        wish, floor = self.slots.follow(state, step, left_s / SECONDS_PER_HOUR)
        return wish, floor, ~self.slots.aged(step, AGE_STEPS_MAX - 1)

    def restate(self, wishes: Mapping[str, Sequence[Needs]]) -> None:
        """All that is asked of each session by session_id; where that has changed, the next
        refresh plans anew, also within a step."""
        changed = self.keeper.restate(wishes)
        self._renewed = self.slots.forget_plans(changed) > 0 or self._renewed

    def ordered(self, power_kw: FloatArray, wish_kw: FloatArray, state: FleetState) -> None:
        """Remember what was ordered [N], to compare the next reading with, and what cars said
        they take where that was less than wished."""
        slots = self.slots
        if len(slots.row) != len(power_kw):
            return
        slots.ordered_kw[slots.row] = power_kw
        tapering = np.flatnonzero(wish_kw > state.charge_max_kw)
        if len(tapering):
            slots.accepted_kw[slots.row[tapering]] = state.charge_max_kw[tapering]

    def _as_it_follows(self, state: FleetState) -> FleetState:
        """The state with the power that each car really takes."""
        accepted = self.slots.accepted_kw[self.slots.row]
        if not (accepted < state.charge_max_kw).any():
            return state
        return replace(state, charge_max_kw=np.minimum(state.charge_max_kw, accepted))

    def _pass_time(self, step: int) -> None:
        if self._seen_step is not None:
            for passed in range(max(self._seen_step, step - HORIZON_STEPS_MAX), step):
                self.slots.clear_column(passed)
        self._seen_step = step

    def _steps_ahead(self, now_s: int) -> int:
        if self.end_s is None:
            return HORIZON_STEPS_MAX
        return max(min(HORIZON_STEPS_MAX, (self.end_s - now_s) // self.step_s), 1)

    def _note_news(self, knowledge: Knowledge, step: int) -> None:
        until_s = knowledge.now_s + knowledge.import_eur_kwh.shape[1] * self.step_s
        if until_s > self._known_until_s:
            self._known_until_s = until_s
            self._news_at = step

    def _outlook(self, knowledge: Knowledge) -> Outlook | None:
        return self._expectations.outlook(knowledge, self._steps_ahead(knowledge.now_s))

    def _plan_fleet(self, state: FleetState, knowledge: Knowledge, step: int) -> None:
        """Many sites: whoever is due is swept; without anybody nothing need be expected."""
        self._note_news(knowledge, step)
        todo = self._due(state, np.ones(len(state), dtype=np.bool_), step)
        outlook = self._outlook(knowledge) if len(todo) else None
        if outlook is not None:
            self._sweep(state, todo, knowledge, outlook, step)

    def _plan_sites(self, state: FleetState, knowledge: Knowledge, step: int) -> None:
        """Each unit by the method its site asks for."""
        outlook = self._outlook(knowledge)
        if outlook is None:
            return
        self._note_news(knowledge, step)
        lone = lone_sites(state, knowledge, outlook, self.network, self.mode)[state.site]
        lone &= state.is_session
        groups, swept = coupled_groups(state, ~lone, self.network)
        if lone.sum() > LONE_UNITS_MAX:
            swept |= lone
        elif lone.any():
            self._plan_lone(state, self._due_lone(state, lone, step), knowledge, outlook, step)
        for group in groups:
            if self._group_is_due(group, step):
                self._plan_group(state, group, knowledge, outlook, step)
            else:
                swept[group] = self.slots.planned_at[self.slots.row[group]] < 0
        todo = self._due(state, swept, step)
        if len(todo):
            self._sweep(state, todo, knowledge, outlook, step)

    def _group_is_due(self, group: IntArray, step: int) -> bool:
        """A small group is planned each step, a larger one every few, and on news."""
        planned_at = self.slots.planned_at[self.slots.row[group]]
        every = -(-len(group) // EXACT_UNITS_EACH_STEP)
        known = planned_at[planned_at >= 0]
        return len(known) == 0 or bool(known.min() < max(self._news_at, step - every + 1))

    def _plan_group(
        self, state: FleetState, group: IntArray, knowledge: Knowledge, outlook: Outlook, step: int
    ) -> None:
        presence, floor = self._promises(state, group, knowledge, outlook, careful=True)
        valued = replace(state, terminal_eur_kwh=self._end_values(state, knowledge, outlook))
        columns = (step + np.arange(outlook.steps)) % self.slots.ring
        last_kw = self.slots.schedule_kw[self.slots.row[group]][:, columns]
        plan = plan_exactly(
            valued, group, knowledge, outlook, self.network, self.mode, presence, floor,
            last_kw, self.clock_s,
        )  # fmt: skip
        self.slots.put(group, plan.power_kw, step)
        sites = np.unique(state.site[group]).tolist()
        lacking = float(plan.shortfall_kwh.sum())
        cost = PlanCost(plan.method, plan.objective_eur, plan.bound_eur, lacking, len(sites))
        self.costs.update(dict.fromkeys(sites, cost))
        self.slots.put_floors(group, floor, step)

    def _due_lone(self, state: FleetState, lone: BoolArray, step: int) -> IntArray:
        """Positions [M] of lone units to plan now: a plan under uncertain departure stays optimal
        as time passes (the programme is time-consistent), so it is renewed on news and hourly."""
        slots = self.slots
        planned_at = slots.planned_at[slots.row]
        expected = slots.energy_kwh[slots.row, (step - 1) % slots.ring]
        off = ~(np.abs(state.energy_kwh - expected) <= LONE_DEVIATION_KWH)  # also if not known
        age = max(SECONDS_PER_HOUR // self.step_s, 1)
        due = np.flatnonzero(lone & (off | (planned_at < max(self._news_at, step - age + 1))))
        if len(due) <= SWEEP_UNITS_MAX:
            return due
        never = int((planned_at[due] < 0).sum())
        order = np.argsort(planned_at[due], kind="stable")
        return due[order[: max(SWEEP_UNITS_MAX, never)]]

    def _plan_lone(
        self,
        state: FleetState,
        units: IntArray,
        knowledge: Knowledge,
        outlook: Outlook,
        step: int,
    ) -> None:
        if len(units) == 0:
            return
        few = select(state, units)
        self.costs.update(dict.fromkeys(few.site.tolist(), PlanCost(POLICY)))
        presence = self.departures.presence(few, knowledge.now_s, self.step_s, outlook.steps)
        columns = (step + np.arange(outlook.steps)) % self.slots.ring
        others = self.slots.cars_kw[:, columns]
        mine = self.slots.schedule_kw[self.slots.row[units]][:, columns]
        np.subtract.at(others, few.site, mine)
        room = room_of(knowledge, outlook, others)
        power, floor, energy = plan_lone(
            few, presence, knowledge, outlook, self.keeper, self.mode, room
        )
        self.slots.put(units, power, step)
        self.slots.put_energies(units, energy, step)
        self.slots.put_floors(units, floor, step)

    def _due(self, state: FleetState, swept: BoolArray, step: int) -> IntArray:
        """Positions [M] the sweep plans now, longest waiting first, at most SWEEP_UNITS_MAX."""
        slots = self.slots
        due = swept
        if int(swept.sum()) > SWEEP_UNITS_MAX:
            since = max(self._news_at, step - AGE_STEPS_MAX + 1)
            due = swept & slots.due(state.energy_kwh, DEVIATION_MANY_KWH, since, step)
        units = np.flatnonzero(due)
        if len(units) <= SWEEP_UNITS_MAX:
            return units
        # New units first (never planned), then the oldest plans.
        planned_at = slots.planned_at[slots.row[units]]
        order = np.argsort(planned_at, kind="stable")
        never = int((planned_at < 0).sum())
        return units[order[: max(SWEEP_UNITS_MAX, never)]]

    def _sweep(
        self,
        state: FleetState,
        todo: IntArray,
        knowledge: Knowledge,
        outlook: Outlook,
        step: int,
    ) -> None:
        from pendel.control.sweep_kernels import sweep

        slots, steps = self.slots, outlook.steps
        self.costs.update(dict.fromkeys(state.site[todo].tolist(), PlanCost(SWEEP)))
        presence, floor = self._promises(state, todo, knowledge, outlook, careful=False)
        base = outlook.load_kw - outlook.pv_kw
        low = np.repeat(-knowledge.export_limit_kw[:, None], steps, axis=1)
        if self.mode in (Mode.V2H, Mode.V2B):
            low = np.maximum(low, np.minimum(base, 0.0))
        high = np.repeat(knowledge.import_limit_kw[:, None], steps, axis=1)
        peak = np.where(knowledge.demand_charge_eur_kw > 0.0, knowledge.peak_so_far_kw, np.inf)
        discharge_max = state.discharge_max_kw
        if self.mode == Mode.V1G:
            discharge_max = np.where(state.is_session, 0.0, discharge_max)
        step_h = self.step_s / SECONDS_PER_HOUR
        sweep(
            todo, slots.row, state.site, knowledge.price_row, state.energy_kwh,
            state.capacity_kwh, state.energy_min_kwh, state.charge_max_kw, discharge_max,
            state.charge_efficiency, state.discharge_efficiency, state.wear_eur_kwh,
            self._end_values(state, knowledge, outlook), presence, floor,
            outlook.import_eur_kwh, outlook.export_eur_kwh,
            base, low, high, peak, knowledge.demand_charge_eur_kw / step_h,
            step_h, step, slots.schedule_kw, slots.energy_kwh, slots.cars_kw,
        )  # fmt: skip
        slots.planned_at[slots.row[todo]] = step
        slots.put_floors(todo, floor, step)
        rows = slots.row[todo]
        wrong = faulty_schedules(
            state, todo, rows, slots.schedule_kw, step, steps, discharge_max, step_h
        )
        if wrong.any():  # never followed: such a unit is blind and charges modestly
            slots.put(todo[wrong], np.zeros((int(wrong.sum()), steps)), step)
            slots.planned_at[slots.row[todo[wrong]]] = NEVER

    def _end_values(self, state: FleetState, knowledge: Knowledge, outlook: Outlook) -> FloatArray:
        """EUR per stored kWh left at the end of the horizon [N].

        The horizon is cut where life goes on: what a stationary battery then holds is worth the
        middle between saving an import and an export. At the true end of a run nothing is.
        """
        if self._ends_with(outlook):
            return state.terminal_eur_kwh
        row = knowledge.price_row[state.site]
        middle = 0.5 * (outlook.import_eur_kwh.mean(axis=1) + outlook.export_eur_kwh.mean(axis=1))
        worth = middle[row] * state.discharge_efficiency - state.wear_eur_kwh
        return np.where(state.is_session, state.terminal_eur_kwh, np.maximum(worth, 0.0))

    def learn(self, sessions: Ended) -> None:
        """Departures and outcomes of ended sessions; cut ones (by the end of a run) teach too."""
        before = self.departures.shares_at(sessions.site)
        self.departures.learn(
            sessions.site,
            sessions.vehicle_id,
            sessions.arrive_s,
            sessions.stated_depart_s,
            sessions.depart_s,
        )
        moved = 0.5 * np.abs(self.departures.shares_at(sessions.site) - before).sum(axis=1)
        self.keeper.doubt(float(moved.mean()) if len(moved) else 0.0)
        kept = sessions.counted & (sessions.lacked_kwh <= PROMISE_TOLERANCE_KWH)
        self.keeper.observe(int(sessions.counted.sum()), int(kept.sum()))
        self.keeper.forget(sessions.unit_id.tolist())

    def _promises(
        self,
        state: FleetState,
        units: IntArray,
        knowledge: Knowledge,
        outlook: Outlook,
        careful: bool,
    ) -> tuple[FloatArray, FloatArray]:
        """(presence, floor) [M, K] of some units: what the promises leave free.

        careful: floors as the lone policy would hold at the price of risk; otherwise (many units)
        the ramp to the target at the quantile of departure.
        """
        few = select(state, units)
        if self.mode == Mode.V1G:
            few.discharge_max_kw = np.where(few.is_session, 0.0, few.discharge_max_kw)
        steps, now_s, step_s = outlook.steps, knowledge.now_s, self.step_s
        presence = self.departures.presence(few, now_s, step_s, steps)
        ends = self._ends_with(outlook)
        if not careful:
            return presence, self.keeper.ramp_floors(few, presence, now_s, step_s, ends)
        row = knowledge.price_row[few.site]
        buy, sell = outlook.import_eur_kwh, outlook.export_eur_kwh

        def room_below(paths: Paths, risk_eur: float) -> Room | None:
            return calm_room(few, presence, knowledge, outlook, risk_eur, paths)

        floor = self.keeper.floors(few, presence, now_s, step_s, buy, sell, row, room_below)
        if ends:
            gain = few.charge_max_kw * few.charge_efficiency * (step_s / SECONDS_PER_HOUR)
            before = gain[:, None] * np.arange(steps - 1, -1, -1)
            at_once = few.energy_kwh[:, None] + gain[:, None] * np.arange(1, steps + 1)
            due = np.minimum(few.target_kwh[:, None] - before, at_once)
            floor = np.fmax(floor, np.where(due > 0.0, due, np.nan))
        return presence, floor

    def _ends_with(self, outlook: Outlook) -> bool:
        """Whether the run ends with the horizon: then every target is due at its end."""
        return self.end_s is not None and outlook.steps < HORIZON_STEPS_MAX
