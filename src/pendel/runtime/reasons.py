"""Why a device does what it does: one sentence for people and the records behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np

from pendel.control.limits import SiteLimit
from pendel.control.state import Knowledge
from pendel.records import Rank, Signal
from pendel.runtime.area import STORAGE
from pendel.runtime.state import SessionView
from pendel.runtime.warranting import Allowance
from pendel.runtime.words import IDLE_KW
from pendel.units import SECONDS_PER_HOUR, FloatArray

FULL_KWH = 0.05
PRESSING_KWH = 0.01
CHEAPEST_SHARE = 0.02
AT_LIMIT_SHARE = 0.002
HORIZON_STEPS = 96
ELSEWHERE = frozenset({Rank.GRID_LIMIT, Rank.PROMISE})
"""Ranks that say themselves why a car waits."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the reasons of one tick have in common.

    price_id, plan_id: per site the id of the publication and of the plan followed ("" = none);
    net_kw: per site what was decided for its grid connection (import positive); budgets: per
    session with a warranty budget what that allows.
    """

    known: Knowledge
    limits: Sequence[SiteLimit]
    price_id: Sequence[str]
    plan_id: Sequence[str]
    timezone: str
    net_kw: Sequence[float]
    budgets: Mapping[str, Allowance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order:
    """One unit's part of a decision; powers in kW, energy from the reading in kWh.

    floor_kwh: what the promise needs at the end of this step (NaN = nothing); in_pulses: it gets
    less than its least power, in pulses."""

    site: int
    power_kw: float
    requested_kw: float
    rank: Rank
    energy_kwh: float
    age_s: float
    floor_kwh: float = float("nan")
    in_pulses: bool = False

    @property
    def promise_presses(self) -> bool:
        """Whether the promise needs more energy by the end of this step than there is."""
        return self.floor_kwh > self.energy_kwh + PRESSING_KWH


def reason(order: Order, view: SessionView, moment: Moment, hand: Signal | None) -> str:
    """Why, in one sentence without a full stop."""
    budget = moment.budgets.get(view.event.session_id)
    waits = abs(order.power_kw) <= IDLE_KW and not view.paused
    if budget is not None and budget.spent and waits and order.rank not in ELSEWHERE:
        return budget.words
    if order.in_pulses:
        return _pulse(order, view)
    match order.rank:
        case Rank.SAFETY:
            return _safety(order, view, moment)
        case Rank.GRID_LIMIT:
            return _limit(order, moment)
        case Rank.PROMISE:
            return _promise(view, moment)
        case Rank.SERVICE:
            return "an operator asked for it" if hand is not None else "sold as a service"
        case Rank.PLAN:
            return _plan(order, view, moment)
        case Rank.COMFORT:
            if view.event.phase == STORAGE:
                return "takes up the sun and serves the house, nothing is planned"
            return "charges at once, nothing is planned"


def causes(
    order: Order, view: SessionView, moment: Moment, tick_id: str, hand: Signal | None
) -> tuple[str, ...]:
    """Ids behind the setpoint: what decided first, then what it was decided within."""
    site = order.site
    limit_ids = moment.limits[site].causes
    promise_id = "" if view.promise is None else view.promise.id
    hand_id = "" if hand is None else hand.id
    plan_id, price_id = moment.plan_id[site], moment.price_id[site]
    first: tuple[str, ...] = {
        Rank.GRID_LIMIT: limit_ids,
        Rank.PROMISE: (promise_id,),
        Rank.SERVICE: (hand_id,),
    }.get(order.rank, ())
    budget = moment.budgets.get(view.event.session_id)
    budget_id = "" if budget is None else budget.signal_id
    rest = (tick_id, hand_id, budget_id, plan_id, promise_id, *limit_ids, price_id)
    return tuple(dict.fromkeys(name for name in (*first, *rest) if name))


def _safety(order: Order, view: SessionView, moment: Moment) -> str:
    if view.paused:
        return "the driver paused it"
    if not moment.known.grid_up[order.site]:
        return "the grid is down"
    if order.age_s > 2.0 * moment.known.step_s:
        return "its reading is stale, so it charges with care and does not discharge"
    budget = moment.budgets.get(view.event.session_id)
    if budget is not None and order.requested_kw < order.power_kw < 0.0:
        return budget.words
    if order.energy_kwh >= view.event.capacity_kwh - FULL_KWH:
        return "the battery is full"
    return "the battery and the charger allow no more"


def _pulse(order: Order, view: SessionView) -> str:
    least_kw = view.event.charge_least_kw
    if order.power_kw > 0.0:
        return f"charges in pulses, less than {least_kw:.1f} kW is not possible"
    if order.power_kw < 0.0:
        return "discharges at its least power to keep the import limit"
    return "rests between pulses, less than its least power is not possible"


def _limit(order: Order, moment: Moment) -> str:
    """The limit that binds: the site's own where its net power stands at it, else one above."""
    limit, net_kw = moment.limits[order.site], moment.net_kw[order.site]
    if net_kw >= limit.import_limit_kw * (1.0 - AT_LIMIT_SHARE) - IDLE_KW:
        return f"import limit of {limit.import_limit_kw:.0f} kW by {limit.import_source}"
    if -net_kw >= limit.export_limit_kw * (1.0 - AT_LIMIT_SHARE) - IDLE_KW:
        return f"export limit of {limit.export_limit_kw:.0f} kW by {limit.export_source}"
    return "a limit above the site, shared with others"


def _promise(view: SessionView, moment: Moment) -> str:
    if view.charge_now:
        return "the driver wants to charge now" if _own(view) else "somebody wants it to charge now"
    if view.promise is None:
        return "to be ready in time"
    ready = view.promise.ready_by_utc.astimezone(ZoneInfo(moment.timezone))
    return f"to be ready by {ready:%a %H:%M} with {view.promise.asked_kwh:.0f} kWh"


def _own(view: SessionView) -> bool:
    return view.needs is not None and view.needs.charge_now


def _plan(order: Order, view: SessionView, moment: Moment) -> str:
    row = moment.known.price_row[order.site]
    imports = moment.known.import_eur_kwh[row, :HORIZON_STEPS]
    exports = moment.known.export_eur_kwh[row, :HORIZON_STEPS]
    if len(imports) == 0:
        return "no prices are published, it charges evenly"
    surplus = moment.known.pv_kw[order.site] - moment.known.load_kw[order.site]
    if order.power_kw > IDLE_KW:
        if order.promise_presses:
            return f"{_promise(view, moment)}, no later hour is sure enough"
        if surplus > IDLE_KW:
            return f"takes up {surplus:.1f} kW of the sun"
        return f"energy costs {imports[0]:.3f} EUR/kWh now, {_place(imports, moment.known.step_s)}"
    if order.power_kw < -IDLE_KW:
        if surplus < order.power_kw:
            return f"serves the house, which would pay {imports[0]:.3f} EUR/kWh"
        return f"selling brings {exports[0]:.3f} EUR/kWh now, buying back is cheaper later"
    return f"waits: {imports[0]:.3f} EUR/kWh now, {_place(imports, moment.known.step_s)}"


def _place(prices: FloatArray, step_s: int) -> str:
    """Where the first price stands among all known ones."""
    cheaper = float(np.mean(prices < prices[0] - 1e-9))
    hours = len(prices) * step_s / SECONDS_PER_HOUR
    if cheaper < CHEAPEST_SHARE:
        return f"the cheapest of the next {hours:.0f} h"
    return f"{cheaper:.0%} of the next {hours:.0f} h are cheaper"
