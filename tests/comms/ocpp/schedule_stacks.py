"""Random stacks of charging profiles, and the engine beside the oracle on each of them.

Shared by the tests and `benchmarks/composite_schedule.py`.
"""

import math
import random
import time
from dataclasses import dataclass
from typing import Any

import schedule_oracle as oracle

from pendel.comms.ocpp import composite as engine
from pendel.comms.ocpp.profile import OperationMode, Period, Profile, Purpose

INF = math.inf
T0 = 1_760_000_000.0
SPAN = 200


def random_period(rng: random.Random, at: int, purpose: str) -> dict[str, Any]:
    mode = "ChargingOnly"
    if purpose in ("TxProfile", "TxDefaultProfile"):
        mode = rng.choice(("ChargingOnly", "CentralSetpoint", "ExternalLimits", "Idle"))
    limit = rng.choice((0.0, 1500.0, 7000.0, 11000.0, INF))
    low = rng.choice((0.0, -3000.0, -11000.0, -INF))
    if mode == "ChargingOnly":
        limit, low = rng.choice((0.0, 2000.0, 9000.0, -4000.0)), -INF
    setpoint = None
    if mode == "CentralSetpoint":
        setpoint = rng.choice((-9000.0, -100.0, 0.0, 5000.0))
    if mode == "Idle":
        limit, low = INF, -INF
    return {"at": at, "mode": mode, "limit": limit, "low": low, "setpoint": setpoint}


def random_profile(rng: random.Random, number: int) -> dict[str, Any]:
    purpose = rng.choice([p.value for p in Purpose])
    kind = rng.choice(("Absolute", "Recurring", "Relative", "Dynamic"))
    count = 1 if kind == "Dynamic" else rng.randint(1, 3)
    starts = [0, *sorted(rng.sample(range(1, SPAN), count - 1))]
    maybe = lambda value: value if rng.random() < 0.4 else None  # noqa: E731
    start = None
    if kind == "Recurring" or (kind == "Absolute" and rng.random() < 0.8):
        start = T0 + rng.randint(-3, 1) * oracle.DAY + rng.randint(-SPAN, SPAN)
        if kind == "Absolute":
            start = T0 + rng.randint(-SPAN, SPAN)
    return {
        "id": number, "evse": rng.choice((0, 1, 2)), "level": number, "purpose": purpose,
        "kind": kind, "start": start, "every": oracle.DAY, "duration": maybe(rng.randint(1, SPAN)),
        "from": maybe(T0 + rng.randint(-50, SPAN)), "to": maybe(T0 + rng.randint(0, SPAN)),
        "tx": "tx" if purpose == "TxProfile" else None,
        "max_offline": maybe(rng.choice((0, 30, 120))), "received": T0 - rng.randint(0, 60),
        "updated": maybe(T0 - rng.randint(0, 30)), "delay": rng.choice((0, 0, 17)),
        "periods": [random_period(rng, at, purpose) for at in starts],
    }  # fmt: skip


def engine_profile(p: dict[str, Any]) -> Profile:
    def quad(value: float, free: float) -> tuple[float, float, float, float]:
        return (value, free, free, free)

    periods = tuple(
        Period(
            start_s=q["at"],
            mode=OperationMode(q["mode"]),
            limit_w=quad(q["limit"], INF),
            discharge_w=quad(q["low"], -INF),
            setpoint_w=None if q["setpoint"] is None else quad(q["setpoint"], math.nan),
            baseline_w=0.0,
            phases=3,
            frequency_curve=(),
            signal_curve=(),
        )
        for q in p["periods"]
    )
    return Profile(
        id=p["id"], evse_id=p["evse"], stack_level=p["level"], purpose=Purpose(p["purpose"]),
        kind=p["kind"], unit="W", periods=periods,
        recurrence_s=p["every"] if p["kind"] == "Recurring" else None, start_s=p["start"],
        duration_s=p["duration"], valid_from_s=p["from"], valid_to_s=p["to"],
        transaction_id=p["tx"], max_offline_s=p["max_offline"], received_s=p["received"],
        updated_s=p["updated"], delay_s=p["delay"],
    )  # fmt: skip


@dataclass(slots=True)
class Agreement:
    """stacks compared, seconds compared in them, the first disagreements, CPU of the engine [s]."""

    stacks: int
    points: int
    differing: list[Any]
    engine_cpu_s: float


def compare(count: int, seed: int) -> Agreement:
    """Engine and oracle on count random stacks, at seconds of a span of 200 s."""
    rng = random.Random(seed)
    found = Agreement(count, 0, [], 0.0)
    for _ in range(count):
        stack = [random_profile(rng, n) for n in range(rng.randint(0, 7))]
        in_tx = rng.random() < 0.7
        s = {
            "evse": 1, "tx": "tx" if in_tx else None, "tx_start": T0 - 20 if in_tx else None,
            "offline": T0 + rng.randint(-50, 100) if rng.random() < 0.4 else None,
            "priority": rng.random() < 0.3,
        }  # fmt: skip
        where = engine.Situation(1, s["tx"], s["tx_start"], s["offline"], s["priority"])
        profiles = [engine_profile(p) for p in stack]
        begin = time.process_time()
        stretches = engine.composite(profiles, where, T0, SPAN)
        found.engine_cpu_s += time.process_time() - begin
        at = 0
        for second in range(0, SPAN, rng.choice((1, 7, 13))):
            while at + 1 < len(stretches) and stretches[at + 1].start_s <= second:
                at += 1
            point = stretches[at].point
            setpoint = None if point.setpoint_w is None else point.setpoint_w[0]
            got = (point.mode.value, point.low_w[0], point.high_w[0], setpoint)
            found.points += 1
            if got != oracle.point(stack, s, T0 + second) and len(found.differing) < 10:
                found.differing.append((stack, s, second))
    return found
