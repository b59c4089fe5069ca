"""One round of control of one area: what came in becomes records, records become orders.

    plugs and prices -> records | readings -> columns -> controller -> setpoints -> records | orders

Everything is durable before it takes effect. A part that fails is replaced by the safe fallback
for this round, and the tick says so in its `health`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from pendel.control.limits import FUSE
from pendel.control.plan_result import PlanCost
from pendel.control.state import RANKS, Decision, FleetState, Knowledge
from pendel.ports import ChargerPort, MeterPort, PlugPort, PriceSource
from pendel.records import Limit, Needs, Promise, Rank, SessionEvent, Setpoint, Tick
from pendel.runtime.area import (
    AreaSpec,
    Meters,
    fleet_state,
    knowledge,
    open_sessions,
    site_limits,
    storage_views,
)
from pendel.runtime.checks import deviations
from pendel.runtime.delivering import DeliveryBook
from pendel.runtime.fallback_decision import fallback_decision
from pendel.runtime.hands import charge_only, standing_hand
from pendel.runtime.journal import Batch, Journal
from pendel.runtime.learning import Learner, learn_again, learn_now
from pendel.runtime.metering import StepMeters
from pendel.runtime.plan_records import record_plans
from pendel.runtime.pricing import PriceBook
from pendel.runtime.promising import needed_kwh, terms, tightened, wishes_of
from pendel.runtime.reasons import Moment, Order, causes, reason
from pendel.runtime.sending import CHANGED_KW, to_send
from pendel.runtime.state import PV_SUFFIX, PriceTable, SessionView, State, others_wishes
from pendel.runtime.warranting import allowances, limited, tell
from pendel.units import POWER_MAX_KW, FloatArray

HEALTHY = "ok"
FALLBACK = "safe fallback"


class Decider(Learner, Protocol):
    """What the loop needs of `control.controller.Controller`."""

    def told(self, wishes: Mapping[str, Sequence[Needs]]) -> None:
        """What is asked of each session, by session_id; a changed one is planned anew."""
        ...

    def refresh(self, state: FleetState, knowledge: Knowledge) -> None:
        """Bring wishes up to date; plans where that is due."""
        ...

    def hold(self, unit: int, power_kw: float, floor_kwh: float | None = None) -> None:
        """An operator's hand: this unit's wish is power_kw until the next refresh."""
        ...

    def dispatch(self, state: FleetState, knowledge: Knowledge) -> Decision:
        """Setpoints inside every limit."""
        ...

    def floors_kwh(self) -> FloatArray:
        """Energy [N] the promises need at the end of this step (NaN = nothing)."""
        ...

    def plan_costs(self) -> Mapping[int, PlanCost]:
        """By index of the site what its last plan costs, as far as it is known."""
        ...

    def schedules(self, state: FleetState, now_s: int) -> FloatArray | None:
        """Planned powers [N, K] from the current step on; None where nothing is planned."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside of an area."""

    charger: ChargerPort
    meter: MeterPort
    plug: PlugPort
    prices: PriceSource


@dataclass(frozen=True, slots=True)
class Station:
    """A station of an area and its EVSEs; virtual ones are always connected."""

    station_id: str
    site_id: str
    evse_ids: tuple[int, ...] = (1,)
    simulated: bool = False


@dataclass(slots=True)
class Area:
    """One area with its controller and ports; begin_s: begin of the run on the step grid."""

    spec: AreaSpec
    decider: Decider
    ports: Ports
    begin_s: int
    stations: tuple[Station, ...] = ()
    book: PriceBook = field(default_factory=PriceBook)
    meters: StepMeters = field(default_factory=StepMeters)
    deliveries: DeliveryBook = field(default_factory=DeliveryBook)
    health: str = HEALTHY
    curtail_kw: dict[str, float] = field(default_factory=dict)
    meters_now: Meters | None = None
    _known: Knowledge | None = None
    _told_health: str = HEALTHY

    def start(self, journal: Journal, now_utc: datetime) -> None:
        """Write down what the fuses bear, and teach the controller what the log remembers."""
        batch, spec = journal.batch(now_utc), self.spec
        fuses = {
            (e.site_id, e.import_limit_kw, e.export_limit_kw): e.id
            for e in journal.state.limits.values()
            if e.source == FUSE
        }
        for site, most_in, most_out in zip(
            spec.site_id, spec.import_limit_kw, spec.export_limit_kw, strict=True
        ):
            if (site, most_in, most_out) not in fuses:
                batch.add(
                    Limit,
                    site_id=site,
                    source=FUSE,
                    import_limit_kw=most_in,
                    export_limit_kw=most_out,
                )
        journal.commit(batch)
        self._learn(lambda: learn_again(self.decider, spec, journal.state))

    def intake(self, journal: Journal, now_utc: datetime) -> None:
        """Plugs, wishes, promises and prices of now become part of the state."""
        batch = journal.batch(now_utc)
        events = self.ports.plug.plug_events(now_utc)
        ended: list[tuple[SessionView, SessionEvent]] = []
        for event in events:
            if isinstance(event, SessionEvent) and event.phase == "plugged":
                self._plug(batch, event, events, journal.state.sessions.get(event.session_id))
            elif isinstance(event, SessionEvent):
                plugged = journal.state.sessions.get(event.session_id)
                left = batch.adopt(event, () if plugged is None else (plugged.event.id,))
                ended += [] if plugged is None else [(plugged, left)]
        self._learn(lambda: learn_now(self.decider, self.spec, batch, ended))
        self.book.publish(batch, self.spec, self.ports.prices, journal.state, now_utc)
        journal.commit(batch)

    def round(self, journal: Journal, now_utc: datetime) -> list[Setpoint]:
        """Decide and store; returns the setpoints to be sent, all of them durable."""
        state = journal.state
        notes: list[str] = []
        meters = Meters(now_utc, {r.device_id: r for r in self.ports.meter.readings(now_utc)})
        self.meters_now = meters
        cars = open_sessions(self.spec, state)
        wishes = {view.event.session_id: wishes_of(view, self.spec, now_utc) for view in cars}
        views = [*cars, *storage_views(self.spec)]
        columns = tightened(fleet_state(self.spec, views, meters), wishes)
        allowed = allowances(self.spec, state, views, meters)
        columns = limited(columns, allowed, self.spec)
        limits = site_limits(self.spec, state, now_utc)
        rows = self.book.rows(self.spec)
        known = knowledge(
            self.spec, state, meters, limits, rows, self.begin_s, state.peaks(now_utc), self._known
        )
        self._known = known
        charge_only(columns, views, self.spec, rows, state, now_utc)
        decision = self._decide(views, wishes, columns, known, state, now_utc, notes)
        stale = int((columns.reading_age_s > 2.0 * self.spec.step_s).sum())
        notes += [f"{stale} stale readings"] if stale else []
        notes += [self.book.trouble] if self.book.trouble else []
        self.health = "; ".join(notes) or HEALTHY
        batch = journal.batch(now_utc)
        price_id = self._price_ids(state)
        cars_kw = np.bincount(columns.site, decision.power_kw, minlength=len(known.load_kw))
        net_kw = known.load_kw - known.pv_kw + decision.curtail_kw + cars_kw
        told = tell(batch, state, views, allowed)
        plans, zone = self._plans(state), self.spec.timezone
        moment = Moment(known, limits, price_id, plans, zone, net_kw.tolist(), told)
        self._store(batch, state, views, columns, decision, moment, meters)
        journal.commit(batch)
        return [record for record in batch.records if isinstance(record, Setpoint)]

    def close_books(self, journal: Journal, now_utc: datetime) -> None:
        """Meters and deliveries of the boundary at which a run ends; decides nothing."""
        meters = Meters(now_utc, {r.device_id: r for r in self.ports.meter.readings(now_utc)})
        self.meters_now, batch = meters, journal.batch(now_utc)
        limits = site_limits(self.spec, journal.state, now_utc)
        self.meters.record(batch, self.spec, journal.state, meters, limits)
        self.deliveries.record(batch, self.spec, meters, self._price_ids(journal.state))
        journal.commit(batch)

    def _price_ids(self, state: State) -> list[str]:
        """Per site the signal with its prices, "" before the first one."""
        rows = self.book.rows(self.spec)
        return [state.prices.get(rows.names[row], PriceTable()).signal_id for row in rows.row]

    def _plans(self, state: State) -> list[str]:
        plans = [state.plans.get(site) for site in self.spec.site_id]
        return ["" if plan is None else plan.id for plan in plans]

    def _plug(
        self,
        batch: Batch,
        event: SessionEvent,
        events: Sequence[SessionEvent | Needs],
        before: SessionView | None,
    ) -> None:
        stored = batch.adopt(event)
        view, causes = SessionView(stored, others_wishes(before)), [stored.id]
        for wish in events:
            if isinstance(wish, Needs) and wish.session_id == event.session_id:
                view.wish(batch.adopt(wish, (stored.id,)))
        causes += [wish.id for wish in view.wishes.values()]
        told = terms(view, self.spec, stored.energy_kwh, event.at_utc)
        batch.add(Promise, causes=tuple(causes), session_id=stored.session_id, **told.fields)

    def _learn(self, lesson: Callable[[], None]) -> None:
        """A fault in learning must not keep a departure out of the log."""
        try:
            lesson()
        except Exception as error:  # what is learned is a help, never a condition
            self.health = f"learning failed ({type(error).__name__}: {error})"

    def _decide(
        self,
        views: Sequence[SessionView],
        wishes: Mapping[str, Sequence[Needs]],
        columns: FleetState,
        known: Knowledge,
        state: State,
        now_utc: datetime,
        notes: list[str],
    ) -> Decision:
        """The controller's decision, or the safe fallback where it fails."""
        try:
            self.decider.told(wishes)
            self.decider.refresh(columns, known)
            for unit, view in enumerate(views):
                hand = standing_hand(state, view.device_id, now_utc)
                if hand is not None:
                    power = hand.detail.get("power_kw")
                    floor_kwh = needed_kwh(view, now_utc, self.spec.step_s)
                    self.decider.hold(unit, power if isinstance(power, float) else 0.0, floor_kwh)
            return self.decider.dispatch(columns, known)
        except Exception as error:  # the loop must go on: whatever it is, fall back and say so
            notes.append(f"{FALLBACK}: the controller failed ({type(error).__name__}: {error})")
            return fallback_decision(columns, known)

    def _store(
        self,
        batch: Batch,
        state: State,
        views: Sequence[SessionView],
        columns: FleetState,
        decision: Decision,
        moment: Moment,
        meters: Meters,
    ) -> None:
        """Readings, deviations, the tick and every setpoint that changes or runs out."""
        self.meters.record(batch, self.spec, state, meters, moment.limits)
        self.deliveries.record(batch, self.spec, meters, moment.price_id)
        deviations(batch, state, views, meters)
        planned_kw = self._schedules(columns, moment.known.now_s)
        if planned_kw is not None:
            plans = record_plans(
                batch, self.spec, state, views, planned_kw, moment, self.decider.plan_costs()
            )
            moment = replace(moment, plan_id=plans)
        changed = np.flatnonzero(
            to_send(
                [state.setpoints.get(view.device_id) for view in views],
                decision,
                columns.site,
                moment.known,
                batch.now_utc,
                self.spec.step_s,
                self.spec.limits_above,
            )
        ).tolist()
        held_back = bool((decision.curtail_kw > 0.0).any()) or bool(self.curtail_kw)
        news = self.health != self._told_health
        if not changed and not batch.records and not held_back and not news:
            return
        self._told_health = self.health
        sources = dict.fromkeys(name for name in (*moment.plan_id, *moment.price_id) if name)
        plan_id = next((name for name in moment.plan_id if name), "")
        tick = batch.add(Tick, causes=tuple(sources), plan_id=plan_id, health=self.health)
        until = batch.now_utc + timedelta(seconds=2 * self.spec.step_s)
        self._curtail(batch, state, decision, moment, tick.id, until)
        floors = self._floors(len(columns))
        for unit in changed:
            view = views[unit]
            hand = standing_hand(state, view.device_id, batch.now_utc)
            order = _order(columns, decision, floors, unit)
            batch.add(
                Setpoint,
                causes=causes(order, view, moment, tick.id, hand),
                device_id=view.device_id,
                site_id=view.event.site_id,
                power_kw=order.power_kw,
                requested_kw=order.requested_kw,
                rank=order.rank,
                reason=reason(order, view, moment, hand),
                until_utc=until,
                simulated=view.event.simulated,
            )

    def _curtail(
        self,
        batch: Batch,
        state: State,
        decision: Decision,
        moment: Moment,
        tick_id: str,
        until_utc: datetime,
    ) -> None:
        """Orders to hold sun back, and to let it go again."""
        for index, site in enumerate(self.spec.site_id):
            held_kw = round(float(decision.curtail_kw[index]), 6)
            if held_kw <= 0.0 and site not in self.curtail_kw:
                continue
            device, sun_kw = site + PV_SUFFIX, float(moment.known.pv_kw[index])
            # A sun that is held back shows less than it could: what it could is not known, so
            # the order is the power that may flow, and letting go is an order without a bound.
            allowed_kw = sun_kw - held_kw if held_kw > 0.0 else POWER_MAX_KW
            before = state.setpoints.get(device)
            stands = before is not None and before.until_utc > batch.now_utc
            if stands and before is not None and abs(before.power_kw + allowed_kw) < CHANGED_KW:
                continue
            limit = moment.limits[index]
            batch.add(
                Setpoint,
                causes=(tick_id, *limit.causes),
                device_id=device,
                site_id=site,
                power_kw=-allowed_kw,
                requested_kw=-sun_kw,
                rank=Rank.GRID_LIMIT,
                reason=f"export limit of {limit.export_limit_kw:.0f} kW by {limit.export_source}"
                if held_kw > 0.0
                else "the limits leave room for all of the sun again",
                until_utc=until_utc,
                simulated=self.spec.simulated,
            )
            if held_kw > 0.0:
                self.curtail_kw[site] = held_kw
            else:
                del self.curtail_kw[site]

    def _schedules(self, columns: FleetState, now_s: int) -> FloatArray | None:
        if self.health.startswith(FALLBACK):
            return None
        return self.decider.schedules(columns, now_s)

    def _floors(self, count: int) -> FloatArray:
        floors = self.decider.floors_kwh()
        good = len(floors) == count and not self.health.startswith(FALLBACK)
        return floors if good else np.full(count, np.nan)


def _order(columns: FleetState, decision: Decision, floors: FloatArray, unit: int) -> Order:
    def at(values: FloatArray) -> float:
        return round(float(values[unit]), 9) + 0.0

    return Order(
        site=int(columns.site[unit]),
        power_kw=at(decision.power_kw),
        requested_kw=at(decision.requested_kw),
        rank=RANKS[int(decision.rank[unit])],
        energy_kwh=float(columns.energy_kwh[unit]),
        age_s=float(columns.reading_age_s[unit]),
        floor_kwh=float(floors[unit]),
        in_pulses=decision.in_pulses is not None and bool(decision.in_pulses[unit]),
    )
