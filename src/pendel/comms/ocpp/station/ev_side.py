"""The car as a partner of ISO 15118, without its wire: what it asks for, which of the offered
schedules it takes, and what it says it will draw. Pure.

    offers (composite schedules, with prices where there are any) -> choice -> its own power profile

Sources: OCPP 2.1 part 2, K15-K20 and Q01/Q02; ISO 15118-2 and -20 as far as OCPP tells of them.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pendel.units import SECONDS_PER_HOUR

SCHEDULED, DYNAMIC = "ScheduledControl", "DynamicControl"
BIDIRECTIONAL = frozenset(("AC_BPT", "DC_BPT", "AC_BPT_DER", "DC_ACDP_BPT"))
OFFERS_MAX = 3
WATT_EPSILON = 0.5
"""Rounding that is no breach of an offer [W]."""
SPARE = 1.1
"""A car that picks cheap times plans for a tenth more than it needs: batteries taper."""


@dataclass(frozen=True, slots=True)
class EvSide:
    """How a car speaks. protocol: "-2", "-20", "none" (no words at all), or "" = -20 where the car
    can discharge, else -2. services: energy transfers it offers, the best first (() = by car and
    station). points_max: most entries of a schedule it takes. takes: "cheapest" or "first" of the
    offers. tells_profile: returns its own power profile. overdraw_w: a fault, its profile lies
    this much above the offer [W]. offers_energy: tells what giving back costs (evEnergyOffer)."""

    protocol: str = ""
    control: str = DYNAMIC
    mobility: str = "EVCC_SECC"
    services: tuple[str, ...] = ()
    points_max: int = 96
    takes: str = "cheapest"
    tells_profile: bool = True
    overdraw_w: float = 0.0
    tolerates: bool = True
    offers_energy: bool = False

    def speaks(self, can_discharge: bool, is_21: bool) -> str:
        """The protocol agreed on: -20 needs a station of 2.1."""
        wanted = self.protocol or ("-20" if can_discharge else "-2")
        return "-2" if wanted == "-20" and not is_21 else wanted


DEFAULT_SIDE = EvSide()


@dataclass(frozen=True, slots=True)
class Step:
    """From start_s (after the time base) on: power between low_w and high_w, a setpoint where the
    mode has one, a price (any unit, the lower the better) where one was told."""

    start_s: float
    low_w: float
    high_w: float
    setpoint_w: float | None = None
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One schedule offered to the car over duration_s; steps begin at 0."""

    schedule_id: int
    steps: tuple[Step, ...]
    duration_s: float

    def length_s(self, index: int) -> float:
        """How long a step lasts [s]."""
        after = self.steps[index + 1 :]
        return (after[0].start_s if after else self.duration_s) - self.steps[index].start_s


@dataclass(frozen=True, slots=True)
class Appetite:
    """What the car can and wants: energy [Wh, AC], powers [W, amounts], by when [s from now]."""

    energy_wh: float
    charge_max_w: float
    discharge_max_w: float = 0.0
    depart_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Choice:
    """The offer a car takes, and its own profile: (start_s, W signed) inside of it."""

    offer: Offer
    profile: tuple[tuple[float, float], ...]


def choose(side: EvSide, offers: list[Offer], appetite: Appetite) -> Choice:
    """The car's choice. Among offers that bring its energy in time the cheapest, without prices
    the first of those that bring most. Raises IndexError without any offer."""
    plans = [(offer, _plan_w(offer, appetite)) for offer in offers[:OFFERS_MAX]]
    if side.takes == "first":
        best = plans[0]
    else:
        best = min(plans, key=lambda plan: _rank(plan[0], plan[1], appetite))
    offer, plan = best
    profile = [
        (step.start_s, watts + side.overdraw_w)
        for step, watts in zip(offer.steps, plan, strict=True)
    ]
    return Choice(offer, tuple(_merged(profile)))


def _rank(offer: Offer, plan: list[float], appetite: Appetite) -> tuple[float, float]:
    """Shortfall first [Wh, in steps of 10 Wh], then cost. In the order of time, until the car has
    what it wants."""
    lacking, cost = appetite.energy_wh, 0.0
    for index, watts in enumerate(plan):
        step = offer.steps[index]
        in_time_s = max(min(appetite.depart_s - step.start_s, offer.length_s(index)), 0.0)
        taken = min(watts * in_time_s / SECONDS_PER_HOUR, lacking)
        lacking -= taken
        cost += (step.price or 0.0) * taken
    return round(lacking / 10.0), cost


def _plan_w(offer: Offer, appetite: Appetite) -> list[float]:
    """Power per step [W]: what the setpoint says; as fast as offered where nothing has a price;
    else the energy in the cheapest steps before departure."""
    most = [min(step.high_w, appetite.charge_max_w) for step in offer.steps]
    plan = []
    for step, high in zip(offer.steps, most, strict=True):
        if step.setpoint_w is not None:
            plan.append(min(max(step.setpoint_w, -appetite.discharge_max_w), high))
        else:  # a negative limit is how stations before 2.1 are told to discharge
            plan.append(max(high, -appetite.discharge_max_w))
    priced = [i for i, step in enumerate(offer.steps) if step.price is not None]
    if not priced:
        return plan
    left_wh = appetite.energy_wh * SPARE
    for index in sorted(priced, key=lambda i: (offer.steps[i].price, i)):
        step = offer.steps[index]
        if step.setpoint_w is not None:
            continue
        usable_s = min(offer.length_s(index), max(appetite.depart_s - step.start_s, 0.0))
        hours = usable_s / SECONDS_PER_HOUR
        plan[index] = max(plan[index], 0.0) if left_wh > 0.0 and hours > 0.0 else 0.0
        left_wh -= plan[index] * hours
    return plan


def _merged(profile: list[tuple[float, float]]) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    for start_s, watts in profile:
        if not kept or kept[-1][1] != watts:
            kept.append((start_s, watts))
    return kept


def power_at(profile: tuple[tuple[float, float], ...], at_s: float) -> float:
    """Power of a car's profile at a time [W]; free (inf) before its begin or where it is empty."""
    found = math.inf
    for start_s, watts in profile:
        if start_s > at_s:
            break
        found = watts
    return found


def held(profile: tuple[tuple[float, float], ...], at_s: float, wanted: float) -> float:
    """A power [W] drawn towards what the car's own profile says: never further from 0."""
    own = power_at(profile, at_s)
    if math.isinf(own):
        return wanted
    return min(wanted, max(own, 0.0)) if wanted >= 0.0 else max(wanted, min(own, 0.0))


def beyond(choice: Choice) -> bool:
    """Whether the car's profile leaves the offer that it took (K15.FR.09, K18.FR.09)."""
    edges = sorted({s.start_s for s in choice.offer.steps} | {s for s, _ in choice.profile})
    for at_s in edges:
        step = next(s for s in reversed(choice.offer.steps) if s.start_s <= at_s)
        watts = power_at(choice.profile, at_s)
        if not min(step.low_w, 0.0) - WATT_EPSILON <= watts <= step.high_w + WATT_EPSILON:
            return True
    return False


def prices_of(schedule: dict[str, Any], base_s: float) -> list[tuple[float, float]]:
    """(start_s after base_s, price) of a wire chargingSchedule: its absolutePriceSchedule (fee per
    kWh), priceLevelSchedule or salesTariff (level, else the relative cost); [] = none.

    base_s: epoch seconds; a salesTariff counts from there."""
    absolute, levels = schedule.get("absolutePriceSchedule"), schedule.get("priceLevelSchedule")
    if absolute is not None:
        fees = [_rational(stack["priceRule"][0]["energyFee"]) for stack in
                absolute["priceRuleStacks"]]  # fmt: skip
        spans = [stack["duration"] for stack in absolute["priceRuleStacks"]]
        return _in_a_row(_epoch_s(absolute["timeAnchor"]) - base_s, spans, fees)
    if levels is not None:
        entries = levels["priceLevelScheduleEntries"]
        return _in_a_row(
            _epoch_s(levels["timeAnchor"]) - base_s,
            [entry["duration"] for entry in entries],
            [float(entry["priceLevel"]) for entry in entries],
        )
    tariff = schedule.get("salesTariff")
    if tariff is None:
        return []
    return [
        (float(entry["relativeTimeInterval"]["start"]), _relative(entry))
        for entry in tariff["salesTariffEntry"]
    ]


def _in_a_row(start_s: float, spans: list[int], values: list[float]) -> list[tuple[float, float]]:
    found = []
    for span, value in zip(spans, values, strict=True):
        found.append((start_s, value))
        start_s += span
    return found


def _epoch_s(told: str) -> float:
    return datetime.fromisoformat(told).timestamp()


def _rational(number: dict[str, int]) -> float:
    return float(number["value"] * 10.0 ** number["exponent"])


def _relative(entry: dict[str, Any]) -> float:
    if "ePriceLevel" in entry:
        return float(entry["ePriceLevel"])
    costs = [cost for block in entry.get("consumptionCost", ()) for cost in block["cost"]]
    if not costs:
        return 0.0
    return float(costs[0]["amount"] * 10.0 ** costs[0].get("amountMultiplier", 0))
