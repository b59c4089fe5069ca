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
from pendel.comms.ocpp.profile import UNLIMITED, OperationMode, Period, Profile, Purpose

INF = math.inf
T0 = 1_760_000_000.0
"""An ordinary day; the others lie just before a change of the clocks in Berlin."""
SUMMER_ENDS, SUMMER_BEGINS = 1_761_440_300.0, 1_774_745_900.0
ZONE = "Europe/Berlin"
SPAN = 200


def random_period(rng: random.Random, at: int, purpose: str) -> dict[str, Any]:
    mode = "ChargingOnly"
    if purpose == "ChargingStationExternalConstraints":
        mode = rng.choice(("ChargingOnly", "ExternalLimits", "ExternalSetpoint"))
    if purpose in ("TxProfile", "TxDefaultProfile"):
        mode = rng.choice(("ChargingOnly", "CentralSetpoint", "ExternalLimits", "Idle"))
    limit = rng.choice((0.0, 1500.0, 7000.0, 11000.0, INF))
    low = rng.choice((0.0, -3000.0, -11000.0, -INF))
    if mode == "ChargingOnly":
        limit, low = rng.choice((0.0, 2000.0, 9000.0, -4000.0)), -INF
    setpoint = None
    if mode in ("CentralSetpoint", "ExternalSetpoint"):
        setpoint = rng.choice((-9000.0, -100.0, 0.0, 5000.0))
    if mode == "Idle":
        limit, low = INF, -INF
    phases = rng.choice((None, None, None, 3, 2, 1))
    reactive = rng.choice((-500.0, 0.0, 800.0)) if setpoint is not None else None
    return {
        "at": at, "mode": mode, "limit": limit, "low": low, "setpoint": setpoint,
        "reactive": reactive, "n": phases,
    }  # fmt: skip


def random_profile(rng: random.Random, number: int, t0: float) -> dict[str, Any]:
    purpose = rng.choice([p.value for p in Purpose])
    kind = rng.choice(("Absolute", "Recurring", "Relative", "Dynamic"))
    count = 1 if kind == "Dynamic" else rng.randint(1, 3)
    starts = [0, *sorted(rng.sample(range(1, SPAN), count - 1))]
    maybe = lambda value: value if rng.random() < 0.4 else None  # noqa: E731
    start, local = None, kind in ("Absolute", "Recurring") and rng.random() < 0.3
    if kind == "Recurring" or (kind == "Absolute" and rng.random() < 0.8):
        start = t0 + rng.randint(-3, 1) * oracle.DAY + rng.randint(-SPAN, SPAN)
        if kind == "Absolute":
            start = t0 + rng.choice((0, 0, -3600)) + rng.randint(-SPAN, SPAN)
    outside = purpose in ("ChargingStationExternalConstraints", "LocalGeneration")
    return {
        "id": number, "evse": rng.choice((1, 1, 2)) if number % 2 else 0, "level": number // 2,
        "purpose": purpose,
        "kind": kind, "start": start, "every": oracle.DAY, "duration": maybe(rng.randint(1, SPAN)),
        "from": maybe(t0 + rng.randint(-50, SPAN)), "to": maybe(t0 + rng.randint(0, SPAN)),
        "tx": "tx" if purpose == "TxProfile" else None,
        "max_offline": maybe(rng.choice((0, 30, 120))), "received": t0 - rng.randint(0, 60),
        "updated": maybe(t0 - rng.randint(0, 30)), "local": local and start is not None,
        "source": rng.choice(("EMS", "SO")) if outside else "CSO",
        "soc": (0.6, 1200.0) if rng.random() < 0.2 else None,
        "periods": [random_period(rng, at, purpose) for at in starts],
    }  # fmt: skip


def engine_profile(p: dict[str, Any]) -> Profile:
    def quad(value: float, free: float) -> tuple[float, float, float, float]:
        return (value, free, free, free)

    def limit(value: float, phases: int | None) -> tuple[float, float, float, float]:
        return quad(value, value / (phases or 3))

    periods = tuple(
        Period(
            start_s=q["at"],
            mode=OperationMode(q["mode"]),
            limit_w=limit(q["limit"], q["n"]),
            discharge_w=quad(q["low"], -INF),
            setpoint_w=None if q["setpoint"] is None else quad(q["setpoint"], math.nan),
            baseline_w=0.0,
            phases=q["n"] or 3,
            frequency_curve=(),
            signal_curve=(),
            reactive_var=q["reactive"],
            beyond_w=UNLIMITED if p["soc"] is None else limit(p["soc"][1], q["n"]),
        )
        for q in p["periods"]
    )
    return Profile(
        id=p["id"], evse_id=p["evse"], stack_level=p["level"], purpose=Purpose(p["purpose"]),
        kind=p["kind"], unit="W", periods=periods,
        recurrence_s=p["every"] if p["kind"] == "Recurring" else None, start_s=p["start"],
        duration_s=p["duration"], valid_from_s=p["from"], valid_to_s=p["to"],
        transaction_id=p["tx"], max_offline_s=p["max_offline"], received_s=p["received"],
        updated_s=p["updated"], use_local_time=p["local"], source=p["source"],
        beyond_soc=None if p["soc"] is None else p["soc"][0],
    )  # fmt: skip


@dataclass(slots=True)
class Agreement:
    """stacks compared, seconds compared in them, the first disagreements, CPU of the engine [s]."""

    stacks: int
    points: int
    differing: list[Any]
    engine_cpu_s: float


def random_situation(rng: random.Random, stack: list[Any], t0: float) -> dict[str, Any]:
    in_tx = rng.random() < 0.7
    delays = {
        p["id"]: [rng.randint(0, 90) for _ in p["periods"]] for p in stack if rng.random() < 0.3
    }
    return {
        "evse": 1, "tx": "tx" if in_tx else None, "tx_start": t0 - 20 if in_tx else None,
        "offline": t0 + rng.randint(-50, 100) if rng.random() < 0.4 else None,
        "priority": rng.random() < 0.3, "soc": rng.choice((None, 0.5, 0.7)), "zone": ZONE,
        "supply": rng.choice((3, 3, 3, 1, 0)), "delays": delays, "csms_first": rng.random() < 0.3,
    }  # fmt: skip


def same(got: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    """Equal up to rounding: thirds of watts are not exact."""
    return got[0] == expected[0] and all(
        a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9))
        for a, b in zip(got[1:], expected[1:], strict=True)
    )


def compare(count: int, seed: int) -> Agreement:
    """Engine and oracle on count random stacks, at seconds of a span of 200 s."""
    rng = random.Random(seed)
    found = Agreement(count, 0, [], 0.0)
    for _ in range(count):
        t0 = rng.choice((T0, T0, SUMMER_ENDS, SUMMER_BEGINS))
        stack = [random_profile(rng, n, t0) for n in range(rng.randint(0, 7))]
        s = random_situation(rng, stack, t0)
        where = engine.Situation(
            1, s["tx"], s["tx_start"], s["offline"], s["priority"], s["soc"], s["zone"],
            s["supply"], s["delays"], s["csms_first"],
        )  # fmt: skip
        profiles = [engine_profile(p) for p in stack]
        begin = time.process_time()
        stretches = engine.composite(profiles, where, t0, SPAN)
        found.engine_cpu_s += time.process_time() - begin
        at = 0
        for second in range(0, SPAN, rng.choice((1, 7, 13))):
            while at + 1 < len(stretches) and stretches[at + 1].start_s <= second:
                at += 1
            point = stretches[at].point
            setpoint = None if point.setpoint_w is None else point.setpoint_w[0]
            got = (
                point.mode.value, point.low_w[0], point.high_w[0], setpoint, point.reactive_var
            )  # fmt: skip
            found.points += 1
            if not same(got, oracle.point(stack, s, t0 + second)) and len(found.differing) < 10:
                found.differing.append((stack, s, second))
    return found
