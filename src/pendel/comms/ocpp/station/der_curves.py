"""Curves of DER controls: a line through points, its hysteresis and its response time. Pure.

line       linear between the points, constant beyond them
hysteresis from the first x outside [low, high] on, the worst x since then counts, until x has
           been back inside for `delay`; the way back takes at most `gradient` percent a second
response   after a step the answer has covered 90 % of it after `responseTime` T:
           y(t + dt) = goal + (y(t) - goal) exp(-dt ln(10) / T)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Points = Sequence[tuple[float, float]]
PERCENT = 100.0
SETTLED = 1e-3
"""A response this near to its goal has arrived [percent]."""


def points_of(curve: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(x, y) of a DERCurveType; equal x stay in their order (a step)."""
    return sorted(((float(p["x"]), float(p["y"])) for p in curve["curveData"]), key=lambda p: p[0])


def line(points: Points, x: float) -> float:
    """y at x. At a step (two points of the same x) the first one holds at x itself."""
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y1 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]


@dataclass(frozen=True, slots=True)
class Held:
    """State of a hysteresis. extreme: the worst x of the event that runs (None: none does);
    inside_s: since when x is back in the band; easing: the event is over, its end still ramps."""

    extreme: float | None = None
    inside_s: float | None = None
    easing: bool = False


def held(
    hysteresis: Mapping[str, Any], state: Held, x: float, nominal: float, now_s: float
) -> tuple[float, Held]:
    """(x that counts now, state after it)."""
    low, high = hysteresis.get("hysteresisLow"), hysteresis.get("hysteresisHigh")
    if low is None or high is None:
        return x, Held()
    if low <= x <= high:
        if state.extreme is None:
            return x, state
        since_s = now_s if state.inside_s is None else state.inside_s
        if now_s - since_s >= float(hysteresis.get("hysteresisDelay", 0.0)):
            return x, Held(easing=True)
        return state.extreme, Held(state.extreme, since_s)
    worst = x if state.extreme is None else state.extreme
    if (worst - nominal) * (x - nominal) < 0.0 or abs(x - nominal) > abs(worst - nominal):
        worst = x
    return worst, Held(worst)


def approached(before: float, goal: float, response_s: float, passed_s: float) -> float:
    """Where an answer is passed_s after it was at `before` and aimed at `goal`."""
    if response_s <= 0.0 or abs(goal - before) <= SETTLED:
        return goal
    return goal + (before - goal) * math.exp(-passed_s * math.log(10.0) / response_s)


def eased(before: float, goal: float, gradient: float, passed_s: float) -> float:
    """The way back after an event: at most `gradient` percent a second (0: no bound)."""
    if gradient <= 0.0:
        return goal
    step = gradient * passed_s
    return min(max(goal, before - step), before + step)


@dataclass(slots=True)
class Answer:
    """One curve at work: its percent as of at_s, with hysteresis and response time."""

    percent: float
    at_s: float
    held: Held = Held()
    moving: bool = False

    def move(
        self, curve: Mapping[str, Any], x: float, nominal: float, points: Points, now_s: float
    ) -> float:
        """The percent of the curve now; x: what is measured."""
        hysteresis = curve.get("hysteresis", {})
        effective, self.held = held(hysteresis, self.held, x, nominal, now_s)
        goal, passed_s = line(points, effective), max(now_s - self.at_s, 0.0)
        percent = approached(self.percent, goal, float(curve.get("responseTime", 0.0)), passed_s)
        if self.held.easing:
            percent = eased(
                self.percent, percent, float(hysteresis.get("hysteresisGradient", 0.0)), passed_s
            )
            if percent == goal:
                self.held = Held()
        waiting = self.held.extreme is not None and self.held.inside_s is not None
        self.moving = percent != goal or waiting
        self.percent, self.at_s = percent, now_s
        return percent


def answer_of(curve: Mapping[str, Any], nominal: float, now_s: float) -> Answer:
    """A curve that begins to work: from its value at nominal on."""
    return Answer(line(points_of(curve), nominal), now_s)
