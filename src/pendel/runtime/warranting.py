"""Warranty budgets in the live loop: what is left is a limit on discharging, and is told.

Used is what the log says (`State.use`), and what the registers say since the last kept reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from pendel.control.state import FleetState
from pendel.control.warranty import BudgetLeft, WarrantyBook, WarrantyBudget
from pendel.records import Signal
from pendel.runtime.area import AreaSpec, Meters
from pendel.runtime.journal import Batch
from pendel.runtime.state import WARRANTY, SessionView, State, given_back
from pendel.units import SECONDS_PER_HOUR

SPENT_KWH = 0.02
"""With less than this left a budget counts as used up [kWh]: no meter sees it."""
AGAIN_KWH = 0.1
"""And it opens again with this much, as at the begin of a month [kWh]."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the budget of a car allows now; signal_id: the record that says it is used up ("")."""

    left: BudgetLeft
    spent: bool
    words: str
    signal_id: str = ""


def budget_left(
    spec: AreaSpec, state: State, view: SessionView, meters: Meters
) -> BudgetLeft | None:
    """What is left for a car now; None where its maker sets no budget."""
    event = view.event
    if event.vehicle_id not in spec.budgets:
        return None
    book = WarrantyBook(spec.budgets, spec.timezone, state.use)
    left = book.left(event.vehicle_id, int(meters.now_utc.timestamp()))
    kept, now = state.readings.get(view.device_id), meters.by_device.get(view.device_id)
    if kept is None or now is None or kept.at_utc < event.at_utc:
        return left
    return left.after(*given_back(kept, now))


def allowances(
    spec: AreaSpec, state: State, views: Sequence[SessionView], meters: Meters
) -> dict[str, Allowance]:
    """Per session_id of cars with a budget, what it allows for the time of a step."""
    step_h = spec.step_s / SECONDS_PER_HOUR
    found = {}
    for view in views:
        left = budget_left(spec, state, view, meters)
        if left is None:
            continue
        vehicle = view.event.vehicle_id
        kwh, hours = min(left.month_kwh, left.year_kwh), min(left.month_h, left.year_h)
        least_kwh = AGAIN_KWH if vehicle in state.spent else SPENT_KWH
        spent = kwh < least_kwh or hours < step_h - 1e-9
        words = _words(spec.budgets[vehicle], left, spent)
        found[view.event.session_id] = Allowance(left, spent, words, state.spent.get(vehicle, ""))
    return found


def limited(columns: FleetState, allowed: Mapping[str, Allowance], spec: AreaSpec) -> FleetState:
    """The state with the discharging power that the budgets bear for a whole step: never
    overdrawn where a round comes at least once a step, whenever it comes."""
    if not allowed:
        return columns
    step_h = spec.step_s / SECONDS_PER_HOUR
    most = np.array([_most_kw(allowed.get(str(unit)), step_h) for unit in columns.unit_id])
    return replace(columns, discharge_max_kw=np.minimum(columns.discharge_max_kw, most))


def tell(
    batch: Batch, state: State, views: Sequence[SessionView], allowed: Mapping[str, Allowance]
) -> dict[str, Allowance]:
    """Add a signal where a budget is used up or opens again; the allowances with the signals."""
    told = dict(allowed)
    for view in views:
        session_id, vehicle = view.event.session_id, view.event.vehicle_id
        one = allowed.get(session_id)
        if one is None or one.spent == (vehicle in state.spent):
            continue
        signal = batch.add(
            Signal,
            causes=(view.event.id,),
            topic=WARRANTY,
            published_utc=batch.now_utc,
            detail={
                "vehicle_id": vehicle,
                "spent": "yes" if one.spent else "no",
                **{
                    f"{name}_left": value
                    for name, value in left_of(one.left).items()
                    if value is not None
                },
            },
        )
        told[session_id] = replace(one, signal_id=signal.id if one.spent else "")
    return told


def left_of(left: BudgetLeft) -> dict[str, float | None]:
    """By name what is left, None = no cap: month_kwh, year_kwh, month_h, year_h."""
    return {
        name: None if value == inf else round(value, 3)
        for name, value in (
            ("month_kwh", left.month_kwh),
            ("year_kwh", left.year_kwh),
            ("month_h", left.month_h),
            ("year_h", left.year_h),
        )
    }


def left_words(left: BudgetLeft) -> str:
    """For the driver: what the maker still allows, "" without a cap."""
    texts = {"month_kwh": "kWh this month", "year_kwh": "kWh this year"}
    texts |= {"month_h": "hours this month", "year_h": "hours this year"}
    parts = [
        f"{value:.1f} {texts[name]}" for name, value in left_of(left).items() if value is not None
    ]
    return ", ".join(parts)


def _most_kw(allowed: Allowance | None, step_h: float) -> float:
    if allowed is None:
        return inf
    if allowed.spent:
        return 0.0
    return min(allowed.left.month_kwh, allowed.left.year_kwh) / step_h


def _words(budget: WarrantyBudget, left: BudgetLeft, spent: bool) -> str:
    """Which cap is nearest to its end, in words."""
    caps = (
        (left.month_kwh, budget.month_kwh, "kWh a month"),
        (left.year_kwh, budget.year_kwh, "kWh a year"),
        (left.month_h, budget.month_h, "hours a month"),
        (left.year_h, budget.year_h, "hours a year"),
    )
    _, cap, unit = min(caps, key=lambda one: one[0] / one[1] if 0.0 < one[1] < inf else one[0])
    if spent:
        return f"its warranty budget of {cap:g} {unit} is used up, so it does not discharge"
    return f"its warranty budget of {cap:g} {unit} leaves {left_words(left)}"
