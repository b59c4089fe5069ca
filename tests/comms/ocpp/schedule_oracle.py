"""The composite schedule by brute force: each second on its own, from the rules in words.

Written apart from the engine and without looking for change times. Works on plain dicts.
"""

import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Wire = dict[str, Any]
INF = math.inf
DAY = 86_400


def wall(t: float, zone: str) -> datetime:
    """What a clock on the wall shows."""
    return datetime.fromtimestamp(t, ZoneInfo(zone)).replace(tzinfo=None)


def age(p: Wire, s: Wire, t: float) -> float:
    """Seconds into the schedule, by its own clock; negative: it has not begun."""
    kind = p["kind"]
    if kind == "Dynamic":
        return t - (p["updated"] if p["updated"] is not None else p["received"])
    if kind == "Relative" or (kind == "Absolute" and p["start"] is None):
        return t - (s["tx_start"] if s["tx_start"] is not None else p["received"])
    if p["local"]:
        since = (wall(t, s["zone"]) - wall(p["start"], s["zone"])).total_seconds()
    else:
        since = t - p["start"]
    if kind == "Recurring":
        while since >= p["every"]:
            since -= p["every"]
    return since


def begins(p: Wire, s: Wire) -> list[float | None]:
    """When each period begins, its random delay included; None = it is passed over."""
    delays = s["delays"].get(p["id"])
    at = [float(period["at"]) for period in p["periods"]]
    if delays is None:
        return list(at)
    late = [start + (0 if i == 0 else delays[i]) for i, start in enumerate(at)]
    found: list[float | None] = []
    for i, start in enumerate(late):
        overtaken = any(start >= other for other in late[i + 1 :])
        ended = p["duration"] is not None and start >= p["duration"]
        found.append(None if overtaken or ended else start)
    return found


def period_at(p: Wire, s: Wire, t: float) -> Wire | None:
    if p["evse"] not in (0, s["evse"]):
        return None
    if p["from"] is not None and t < p["from"]:
        return None
    if p["to"] is not None and not t < p["to"]:
        return None
    if p["purpose"] == "TxProfile" and (s["tx"] is None or s["tx"] != p["tx"]):
        return None
    if p["purpose"] == "PriorityCharging" and not s["priority"]:
        return None
    gone = s["offline"]
    if gone is not None and p["max_offline"] is not None and t - gone >= p["max_offline"]:
        return None
    since = age(p, s, t)
    if since < 0 or (p["duration"] is not None and since >= p["duration"]):
        return None
    current, newest = None, -1.0
    for period, begin in zip(p["periods"], begins(p, s), strict=True):
        if begin is not None and newest < begin <= since:
            current, newest = period, begin
    return current


def strongest(profiles: list[Wire], purpose: str, s: Wire, t: float) -> list[Wire]:
    """The leading period of each source."""
    found = []
    for source in ("CSO", "EMS", "SO"):
        own = [p for p in profiles if p["purpose"] == purpose and p["source"] == source]
        valid = [(p["level"], p, period_at(p, s, t)) for p in own]
        valid = [v for v in valid if v[2] is not None]
        if valid:
            top = max(level for level, _, _ in valid)
            best = [(p, q) for level, p, q in valid if q and level == top]
            best = [(p, q) for p, q in best if p["evse"] != 0] or best
            found.append({**best[0][1], "soc": best[0][0]["soc"]})
    return found


def reach(period: Wire, s: Wire) -> float:
    """The limit of a period for a car as full as this one."""
    limit = period["limit"]
    if period["soc"] is not None and s["soc"] is not None and s["soc"] >= period["soc"][0]:
        limit = min(limit, period["soc"][1])
    return float(limit)


def held(limits: list[tuple[float, int | None]], s: Wire) -> tuple[float, int]:
    """(lowest limit, phases): on AC a limit is a current per phase, and the fewest phases count."""
    if s["supply"] == 0:
        return min([limit for limit, _ in limits], default=INF), 0
    phases = min([n or 3 for _, n in limits] + [s["supply"]])
    if any(limit < 0 for limit, _ in limits):
        return min(limit for limit, _ in limits), phases
    return min([limit / (n or 3) * phases for limit, n in limits], default=INF), phases


def point(
    profiles: list[Wire], s: Wire, t: float
) -> tuple[str, float, float, float | None, float | None]:
    """(mode, low, high, setpoint) in W, reactive setpoint in var, at second t."""
    lead = None
    for purpose in ("PriorityCharging", "TxProfile", "TxDefaultProfile"):
        lead = lead or next(iter(strongest(profiles, purpose, s, t)), None)
    low, mode, wish = -INF, "ChargingOnly", None
    limits = []
    if lead is not None:
        mode, wish, low = lead["mode"], lead["setpoint"], lead["low"]
        limit = reach(lead, s)
        limits.append((limit, lead["n"]))
        if limit == 0:
            low = 0.0
        if limit < 0 and mode == "ChargingOnly":
            low = max(low, limit)
    caps = strongest(profiles, "ChargingStationExternalConstraints", s, t)
    outside = [c for c in caps if c["mode"] == "ExternalSetpoint" and c["setpoint"] is not None]
    caps += strongest(profiles, "ChargingStationMaxProfile", s, t)
    for cap in caps:
        limit = max(reach(cap, s), 0.0)
        limits.append((limit, cap["n"]))
        low = max(low, 0.0 if limit == 0 else cap["low"])
    high, phases = held(limits, s)
    for more in strongest(profiles, "LocalGeneration", s, t):
        if more["limit"] < INF:
            extra = max(more["limit"], 0.0)
            if phases:
                extra = min(extra, extra / (more["n"] or 3) * phases)
            high += extra
    rule, reactive = mode, None if lead is None else lead["reactive"]
    if outside and mode != "Idle" and not (s["csms_first"] and wish is not None):
        chosen = min(outside, key=lambda c: (abs(c["setpoint"]), abs(c["reactive"])))
        wish, reactive, mode = chosen["setpoint"], chosen["reactive"], "ExternalSetpoint"
        rule = rule if lead is not None else mode
    if rule == "Idle":
        high = low = 0.0
    elif (rule == "ChargingOnly" and high >= 0) or high == 0:
        low = 0.0
    if wish is not None:
        wish = min(max(wish, low), max(high, low))
    return mode, low, high, wish, reactive
