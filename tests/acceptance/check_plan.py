"""Judges a result folder of `pendel plan` by the contract's text alone."""

import csv
import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
from contract_oracle import World, number, read_world, seconds

TOLERANCE = 1e-5


def check_plan(folder: Path, out: Path) -> dict[str, float]:
    """{objective_eur, shortfall_kwh, over_kwh} recomputed from the files; AssertionError if the
    plan breaks physics or says something untrue of itself."""
    world = read_world(folder)
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    step_s = world.hours * 3600.0
    power: dict[tuple[str, int], float] = defaultdict(float)
    energy: dict[tuple[str, int], float] = {}
    known = {s.name: s for s in world.stores}
    with (out / "plan.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = round((seconds(row["time_utc"]) - world.start) / step_s)
            store = known[row["id"]]
            assert store.first <= step < store.last or float(row["power_kw"]) == 0.0, row
            power[row["id"], step] = float(row["power_kw"])
            energy[row["id"], step] = float(row["energy_kwh"])
    cost, lack, below = check_stores(world, power, energy)
    site_cost, over = check_sites(world, out, power)
    cost += site_cost
    unreachable = sum(s.unreachable for s in world.stores)
    assert math.isclose(summary["objective_eur"], cost, rel_tol=1e-6, abs_tol=1e-5), (
        summary["objective_eur"], cost)  # fmt: skip
    assert math.isclose(summary["shortfall_kwh"], lack + unreachable, rel_tol=1e-6, abs_tol=1e-3)
    assert summary["bound_eur"] <= cost + 1e-5 + 1e-6 * abs(cost)
    assert summary["feasible"] == (over <= 1e-3) or below > 1e-3
    return {
        "objective_eur": cost,
        "shortfall_kwh": lack + unreachable,
        "over_kwh": over,
        "below_kwh": below,
    }


def check_stores(
    world: World,
    power: dict[tuple[str, int], float],
    energy: dict[tuple[str, int], float],
) -> tuple[float, float, float]:
    cost = lack = below = 0.0
    for s in world.stores:
        now = s.start
        for t in range(s.first, s.last):
            p = power[s.name, t]
            assert -s.discharge - TOLERANCE <= p <= s.charge + TOLERANCE, (s.name, t, p)
            moved = p * s.eta_c if p > 0 else p / s.eta_d
            now += world.hours * moved
            assert -TOLERANCE <= now <= s.capacity + TOLERANCE, (s.name, t, now)
            if (s.name, t) in energy:
                assert abs(energy[s.name, t] - now) <= 1e-4, (s.name, t, energy[s.name, t], now)
            below += max(0.0, s.floor[t - s.first] - now - TOLERANCE)
            cost += s.wear * world.hours * abs(moved)
        if s.last > s.first:
            lack += max(0.0, s.target - now)
        cost -= s.terminal * max(0.0, now - s.wish)
    return cost, lack, below


def check_sites(
    world: World, out: Path, power: dict[tuple[str, int], float]
) -> tuple[float, float]:
    step_s = world.hours * 3600.0
    cost = over = 0.0
    index = {row["site_id"]: i for i, row in enumerate(world.sites)}
    written: dict[tuple[int, int], tuple[float, float]] = {}
    with (out / "sites.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = round((seconds(row["time_utc"]) - world.start) / step_s)
            pair = float(row["net_kw"]), float(row["curtailed_kw"])
            written[index[row["site_id"]], step] = pair
    nets = world.load * 0.0
    for s, row in enumerate(world.sites):
        peak = 0.0
        for t in range(world.steps):
            stated, cut = written[s, t]
            assert -TOLERANCE <= cut <= world.pv[s, t] + TOLERANCE
            cars = sum(power[x.name, t] for x in world.stores if x.site == s)
            net = world.load[s, t] - world.pv[s, t] + cut + cars
            assert abs(net - stated) <= TOLERANCE * (1 + len(world.stores)), (s, t, net, stated)
            nets[s, t] = net
            over += world.hours * max(0.0, net - number(row, "import_limit_kw") - TOLERANCE)
            over += world.hours * max(0.0, -net - number(row, "export_limit_kw") - TOLERANCE)
            price = world.buy[s, t] if net > 0 else world.sell[s, t]
            cost += world.hours * net * price
            peak = max(peak, net)
        cost += number(row, "demand_charge_eur_kw") * peak
    total = nets.sum(axis=0)
    parents = {f["feeder_id"]: f.get("parent_id") or "" for f in world.feeders}
    sums = {name: np.zeros(world.steps) for name in parents}
    for s, row in enumerate(world.sites):
        name = row.get("feeder_id") or ""
        while name:
            sums[name] += nets[s]
            name = parents[name]
    caps = [
        (sums[f["feeder_id"]], number(f, "import_limit_kw"), number(f, "export_limit_kw"))
        for f in world.feeders
    ]
    for flow, limit_in, limit_out in [*caps, (total, world.import_cap, world.export_cap)]:
        slack = TOLERANCE * max(1, len(world.sites))
        over += world.hours * float((flow - limit_in - slack).clip(min=0).sum())
        over += world.hours * float((-flow - limit_out - slack).clip(min=0).sum())
    if world.market is not None:
        position, short, long = world.market
        off = total - position
        cost += world.hours * float((short * off.clip(min=0) + long * (-off).clip(min=0)).sum())
    return cost, over
