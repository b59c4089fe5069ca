"""The composite schedule by brute force: each second on its own, from the rules in words.

Written apart from the engine and without looking for change times. Works on plain dicts.
"""

import math
from typing import Any

Wire = dict[str, Any]
INF = math.inf
DAY = 86_400


def begin_of(p: Wire, tx_start: float | None, t: float) -> float | None:
    kind = p["kind"]
    if kind == "Dynamic":
        return p["updated"] if p["updated"] is not None else p["received"]
    if kind == "Relative" or (kind == "Absolute" and p["start"] is None):
        return tx_start if tx_start is not None else p["received"]
    if kind == "Absolute":
        return p["start"]
    begin = p["start"]
    if t < begin:
        return None
    while begin + p["every"] <= t:
        begin += p["every"]
    return begin


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
    begin = begin_of(p, s["tx_start"], t)
    if begin is None or t < begin:
        return None
    if p["duration"] is not None and t - begin >= p["duration"]:
        return None
    current = None
    for period in p["periods"]:
        if period["at"] + p["delay"] <= t - begin:
            current = period
    return current


def strongest(profiles: list[Wire], purpose: str, s: Wire, t: float) -> Wire | None:
    valid = [(p["level"], p, period_at(p, s, t)) for p in profiles if p["purpose"] == purpose]
    valid = [v for v in valid if v[2] is not None]
    if not valid:
        return None
    top = max(level for level, _, _ in valid)
    return next({**period, "id": p["id"]} for level, p, period in valid if level == top)


def point(profiles: list[Wire], s: Wire, t: float) -> tuple[str, float, float, float | None]:
    """(mode, low, high, setpoint) in W at second t."""
    lead = None
    for purpose in ("PriorityCharging", "TxProfile", "TxDefaultProfile"):
        lead = lead or strongest(profiles, purpose, s, t)
    high, low, mode, wish = INF, -INF, "ChargingOnly", None
    if lead is not None:
        mode, wish = lead["mode"], lead["setpoint"]
        high, low = lead["limit"], lead["low"]
        if high == 0:
            low = 0.0
        if high < 0 and mode == "ChargingOnly":
            low = max(low, high)
    for purpose in ("ChargingStationExternalConstraints", "ChargingStationMaxProfile"):
        cap = strongest(profiles, purpose, s, t)
        if cap is not None:
            high = min(high, max(cap["limit"], 0.0))
            bottom = cap["low"]
            if cap["limit"] <= 0:
                bottom = 0.0
            low = max(low, bottom)
    more = strongest(profiles, "LocalGeneration", s, t)
    if more is not None and more["limit"] < INF:
        high += max(more["limit"], 0.0)
    if mode == "Idle":
        high = low = 0.0
    elif (mode == "ChargingOnly" and high >= 0) or high == 0:
        low = 0.0
    if wish is not None:
        wish = min(max(wish, low), max(high, low))
    return mode, low, high, wish
