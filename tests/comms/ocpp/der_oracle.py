"""DER controls by brute force, from the words of block R; nothing is shared with the station.

Timeline: which control of one type runs in each second. Slow on purpose: lists and loops.
"""

import math
from typing import Any


class Timeline:
    """Controls of one type: put in, then asked second by second."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.running: str | None = None

    def put(self, name: str, priority: int, start: int | None, lasts: int) -> list[str]:
        """A control arrives now; the ids that are superseded by that."""
        if self.running == name:
            self.running = None
        self.rows = [row for row in self.rows if row["name"] != name]
        new = {"name": name, "priority": priority, "start": start, "dead": False,
               "end": math.inf if start is None else start + lasts}  # fmt: skip
        gone = []
        for row in self.rows:
            if row["dead"] or (row["start"] is None) != (start is None):
                continue
            if row["priority"] > priority and row["name"] != self.running:
                row["dead"] = True
                gone.append(row["name"])
        if start is None:
            rivals = [r for r in self.rows if r["start"] is None and not r["dead"]]
        else:
            rivals = [r for r in self.rows if r["name"] == self.running]
        if any(r["priority"] < priority for r in rivals):
            new["dead"] = True
            gone.append(name)
        self.rows.append(new)
        return gone

    def second(self, now: int) -> str | None:
        """Who runs from the second `now` on: scheduled first, else the default."""
        self.rows = [row for row in self.rows if now < row["end"]]
        names = {row["name"] for row in self.rows}
        if self.running not in names:
            self.running = None
        due = [r for r in self.rows if r["start"] is not None and r["start"] <= now]
        due = sorted((r for r in due if not r["dead"]), key=lambda r: (r["priority"], r["start"]))
        for row in due:
            holder = next((r for r in self.rows if r["name"] == self.running), None)
            if holder is None:
                self.running = row["name"]
            elif row["priority"] < holder["priority"]:
                holder["dead"] = True
                self.running = row["name"]
        if self.running is not None:
            return self.running
        defaults = [r for r in self.rows if r["start"] is None and not r["dead"]]
        best = min((r["priority"] for r in defaults), default=None)
        return next((r["name"] for r in defaults if r["priority"] == best), None)


def tripping(points: list[tuple[float, float]], values: list[float], over: bool) -> int | None:
    """First second at which a must-trip curve fires; values: one measurement each second.

    Every level between the points is looked at: has the value been beyond it for longer than the
    curve says there?"""
    levels = sorted({x for x, _ in points} | set(values))
    for now in range(len(values)):
        for level in levels:
            begun = now
            while begun > 0 and (
                values[begun - 1] >= level if over else values[begun - 1] <= level
            ):
                begun -= 1
            beyond = values[now] >= level if over else values[now] <= level
            mild = min(x for x, _ in points) if over else max(x for x, _ in points)
            counts = level > mild if over else level < mild
            if beyond and counts and now - begun >= seconds_at(points, level):
                return now
    return None


def seconds_at(points: list[tuple[float, float]], x: float) -> float:
    """Piecewise linear, written out."""
    ordered = sorted(points)
    if x <= ordered[0][0]:
        return ordered[0][1]
    if x >= ordered[-1][0]:
        return ordered[-1][1]
    for index in range(len(ordered) - 1):
        left, right = ordered[index], ordered[index + 1]
        if left[0] <= x <= right[0]:
            share = (x - left[0]) / (right[0] - left[0])
            return left[1] * (1 - share) + right[1] * share
    raise AssertionError("unreachable")


def reactive(
    kind: str, control: dict[str, Any], kw: float, volts: float, rated_kw: float
) -> tuple[float, float]:
    """(kW, kvar with absorbing positive) of one reactive control at a voltage [percent].

    Rated apparent power is rated_kw, power factor 0.9 at most reactive power. By search: the
    largest amount of active power, in the direction asked, that fits the circle."""
    most_kvar = rated_kw * math.sin(math.acos(0.9))
    production = -100.0 * kw / rated_kw
    unit = control.get("unit", control.get("yUnit"))
    points = [(p["x"], p["y"]) for p in control.get("curveData", [])]

    def injected(power: float) -> float:
        """Wanted kvar at an active power, injecting positive."""
        if kind in ("FixedPFAbsorb", "FixedPFInject", "WattPF"):
            factor = control.get("displacement")
            absorbs = control.get("excitation")
            if kind == "WattPF":
                y = seconds_at(points, production)
                factor, absorbs = abs(y), y > 0
            wanted = abs(power) * math.tan(math.acos(factor))
            return -wanted if absorbs else wanted
        percent = control.get("setpoint")
        if kind == "VoltVar":
            percent = seconds_at(points, volts)
        if kind == "WattVar":
            percent = seconds_at(points, production)
        room = math.sqrt(max(rated_kw**2 - power**2, 0.0))
        base = {"PctMaxW": rated_kw, "PctMaxVar": most_kvar, "PctVarAvail": min(room, most_kvar)}
        return base[unit] * percent / 100.0

    steps = 200_000
    for step in range(steps, -1, -1):
        power = kw * step / steps
        var = max(-most_kvar, min(most_kvar, injected(power if "PF" in kind else kw)))
        if power**2 + var**2 <= rated_kw**2 * (1 + 1e-9):
            return power, -var
    raise AssertionError("unreachable")
