"""The contract's planning problem once more, from the files alone, for HiGHS.

Shares nothing with pendel: own CSV reading, own model, own verification. Written from the text of
the contract; judges `pendel plan` from outside. Where both directions of a pair would run at once,
a binary forbids it. Reserves are left to the planner's own tests.
"""

import csv
import math
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highspy
import numpy as np

Row = dict[str, str]
TINY = (1e-7, 1e-5)
"""Slack of a rank that is fixed [kWh]: the larger one where HiGHS calls its own optimum infeasible
once binaries are in (tolerances against a tight row)."""


def rows(folder: Path, name: str) -> list[Row]:
    path = folder / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def number(row: Row, key: str, default: float = 0.0) -> float:
    return float(row[key]) if row.get(key) not in (None, "") else default


@dataclass
class Store:
    """A session or a storage over its window [first, last)."""

    name: str
    site: int
    first: int
    last: int
    capacity: float
    start: float
    target: float
    floor: list[float]
    charge: float
    discharge: float
    eta_c: float
    eta_d: float
    wear: float
    terminal: float
    unreachable: float
    wish: float


@dataclass
class World:
    steps: int
    hours: float
    start: float
    sites: list[Row]
    load: np.ndarray[Any, Any]
    pv: np.ndarray[Any, Any]
    buy: np.ndarray[Any, Any]
    sell: np.ndarray[Any, Any]
    stores: list[Store]
    feeders: list[Row]
    market: np.ndarray[Any, Any] | None
    import_cap: float
    export_cap: float


def held(
    table: list[Row], column: str, world_start: float, steps: int, step_s: float
) -> list[float]:
    """Values per step; a row holds until the next."""
    marks = sorted((seconds(r["time_utc"]), number(r, column)) for r in table)
    out, at = [], 0
    for step in range(steps):
        now = world_start + step * step_s
        while at + 1 < len(marks) and marks[at + 1][0] <= now + 1e-6:
            at += 1
        out.append(marks[at][1])
    return out


def store_of(row: Row, name: str, site: int, first: int, last: int, hours: float) -> Store:
    session = "energy_arrive_kwh" in row
    start = number(row, "energy_arrive_kwh" if session else "energy_start_kwh")
    charge, eta_c = number(row, "charge_max_kw"), number(row, "charge_efficiency", 1.0)
    capacity, minimum = number(row, "capacity_kwh"), number(row, "energy_min_kwh")
    wish = number(row, "energy_target_kwh" if session else "energy_end_min_kwh")
    count = max(last - first, 0)
    reach = min(capacity, start + count * hours * eta_c * charge)
    # "A target (or minimum) that even charging at once cannot reach": the larger of the two lacks
    unreachable = max(0.0, wish - reach, minimum - reach if count else 0.0)
    floor = [min(minimum, start + (k + 1) * hours * eta_c * charge) for k in range(count)]
    return Store(
        name, site, first, last, capacity, start, min(wish, max(reach, start)), floor, charge,
        number(row, "discharge_max_kw"), eta_c, number(row, "discharge_efficiency", 1.0),
        number(row, "wear_eur_kwh"), number(row, "terminal_eur_kwh"), unreachable, wish,
    )  # fmt: skip


def read_world(folder: Path) -> World:
    head = tomllib.loads((folder / "scenario.toml").read_text("utf-8"))
    start = head["start"].astimezone(UTC).timestamp()
    steps, step_s = int(head["steps"]), 60.0 * head["step_minutes"]
    hours = step_s / 3600.0
    sites = rows(folder, "sites")
    index = {row["site_id"]: i for i, row in enumerate(sites)}
    load, pv = np.zeros((len(sites), steps)), np.zeros((len(sites), steps))
    by_site: dict[str, list[Row]] = defaultdict(list)
    for row in rows(folder, "series"):
        by_site[row["site_id"]].append(row)
    for name, table in by_site.items():
        load[index[name]] = held(table, "load_kw", start, steps, step_s)
        pv[index[name]] = held(table, "pv_kw", start, steps, step_s)
    prices: dict[str, list[Row]] = defaultdict(list)
    for row in rows(folder, "prices"):
        prices[row.get("site_id") or ""].append(row)
    buy, sell = np.zeros((len(sites), steps)), np.zeros((len(sites), steps))
    for name, i in index.items():
        table = prices.get(name) or prices[""]
        buy[i] = held(table, "import_eur_kwh", start, steps, step_s)
        sell[i] = held(table, "export_eur_kwh", start, steps, step_s)
    stores = []
    for row in rows(folder, "sessions"):
        arrive, depart = seconds(row["arrive_utc"]) - start, seconds(row["depart_utc"]) - start
        if depart <= 0 or arrive >= steps * step_s:
            continue  # outside; what touches the horizon counts, even if for no whole step
        first = max(0, math.ceil(arrive / step_s - 1e-9))
        last = min(steps, math.floor(depart / step_s + 1e-9))
        stores.append(store_of(row, row["session_id"], index[row["site_id"]], first, last, hours))
    stores += [
        store_of(row, row["storage_id"], index[row["site_id"]], 0, steps, hours)
        for row in rows(folder, "storages")
    ]
    market = None
    if table := rows(folder, "market"):
        columns = ("position_kw", "short_eur_kwh", "long_eur_kwh")
        market = np.array([held(table, c, start, steps, step_s) for c in columns])
    limits = head.get("portfolio", {})
    return World(
        steps, hours, start, sites, load, pv, buy, sell, stores, rows(folder, "feeders"), market,
        limits.get("import_limit_kw", math.inf), limits.get("export_limit_kw", math.inf),
    )  # fmt: skip


@dataclass
class Model:
    """A HiGHS model with named cost vectors, so that ranks can be solved one after another."""

    highs: Any = field(default_factory=highspy.Highs)
    over: dict[int, float] = field(default_factory=dict)
    below: dict[int, float] = field(default_factory=dict)
    lack: dict[int, float] = field(default_factory=dict)
    cost: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    count: int = 0
    constant: float = 0.0

    def column(self, low: float, high: float) -> int:
        self.highs.addVar(low, high)
        self.count += 1
        return self.count - 1

    def row(self, low: float, high: float, terms: dict[int, float]) -> None:
        keys = np.array(list(terms), dtype=np.int32)
        values = np.array(list(terms.values()), dtype=np.float64)
        self.highs.addRow(low, high, len(keys), keys, values)

    def minimise(self, costs: dict[int, float]) -> float:
        indices = np.arange(self.count, dtype=np.int32)
        vector = np.array([costs.get(i, 0.0) for i in range(self.count)])
        self.highs.changeColsCost(self.count, indices, vector)
        self.highs.run()
        status = self.highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"oracle: {status}")
        return float(self.highs.getInfo().objective_function_value)


def solve(folder: Path) -> dict[str, float]:
    """Best plan of a scenario folder, rank by rank: energy over limits, lack of the minimum (summed
    over steps), shortfall, cost."""
    try:
        return solve_ranks(folder, TINY[0])
    except RuntimeError:
        return solve_ranks(folder, TINY[1])


def solve_ranks(folder: Path, tiny: float) -> dict[str, float]:
    """`solve` with ranks fixed within tiny [kWh]. Raises RuntimeError where HiGHS gives up."""
    world, model = read_world(folder), Model()
    model.highs.setOptionValue("output_flag", False)
    model.highs.setOptionValue("mip_rel_gap", 1e-9)
    model.highs.setOptionValue("mip_abs_gap", 1e-9)
    pairs = add_stores(model, world)
    nets, flows = add_sites(model, world, pairs)
    add_tree(model, world, nets)
    unreachable = sum(s.unreachable for s in world.stores)
    over = solve_exclusive(model, model.over, pairs, flows)
    model.row(-math.inf, over + tiny, dict(model.over) or {0: 0.0})
    below = solve_exclusive(model, model.below, pairs, flows)
    model.row(-math.inf, below + tiny, dict(model.below) or {0: 0.0})
    lack = solve_exclusive(model, model.lack, pairs, flows)
    model.row(-math.inf, lack + tiny, dict(model.lack) or {0: 0.0})
    cost = solve_exclusive(model, dict(model.cost), pairs, flows) + model.constant
    return {
        "over_kwh": over, "below_kwh": below,
        "shortfall_kwh": lack + unreachable, "objective_eur": cost,
    }  # fmt: skip


Pairs = dict[tuple[int, int], tuple[int, int, float, float]]


def solve_exclusive(model: Model, costs: dict[int, float], pairs: Pairs, flows: Pairs) -> float:
    """Minimise; where both of a pair run at once, forbid that with a binary and go on."""
    while True:
        value = model.minimise(costs)
        solution = model.highs.getSolution().col_value
        both = [
            (book, key)
            for book in (pairs, flows)
            for key, (a, b, _, _) in book.items()
            if solution[a] > 1e-6 and solution[b] > 1e-6
        ]
        if not both:
            return value
        for book, key in both:
            a, b, top_a, top_b = book.pop(key)
            switch = model.column(0.0, 1.0)
            model.highs.changeColIntegrality(switch, highspy.HighsVarType.kInteger)
            model.row(-math.inf, 0.0, {a: 1.0, switch: -top_a})
            model.row(-math.inf, top_b, {b: 1.0, switch: top_b})


def add_stores(model: Model, world: World) -> Pairs:
    pairs: Pairs = {}
    hours = world.hours
    for i, s in enumerate(world.stores):
        before: int | None = None
        for t in range(s.first, s.last):
            c, d = model.column(0, s.charge), model.column(0, s.discharge)
            # energy_min is a bound, not a price: nobody is drained below it, or below where he came
            e = model.column(min(s.floor[-1], s.start), s.capacity)
            pairs[i, t] = (c, d, s.charge, s.discharge)
            terms = {e: 1.0, c: -hours * s.eta_c, d: hours / s.eta_d}
            if before is not None:
                terms[before] = -1.0
            fixed = s.start if before is None else 0.0
            model.row(fixed, fixed, terms)
            if (floor := s.floor[t - s.first]) > 0:
                missing = model.column(0, math.inf)
                model.below[missing] = 1.0
                model.row(floor, math.inf, {e: 1.0, missing: 1.0})
            model.cost[c] += s.wear * hours * s.eta_c
            model.cost[d] += s.wear * hours / s.eta_d
            before = e
        if before is None:  # never connected: what it brought is what it leaves with
            model.constant -= s.terminal * max(0.0, s.start - s.wish)
            continue
        short = model.column(0, math.inf)
        model.lack[short] = 1.0
        model.row(s.target, math.inf, {before: 1.0, short: 1.0})
        if s.terminal > 0:
            # counted above the wished target: nothing where that cannot be reached
            above = model.column(0, 0.0 if s.wish > s.target else s.capacity - s.target)
            model.row(-math.inf, -s.target, {above: 1.0, before: -1.0, short: -1.0})
            model.cost[above] -= s.terminal
    return pairs


def add_sites(model: Model, world: World, pairs: Pairs) -> tuple[list[list[int]], Pairs]:
    hours, flows = world.hours, {}
    at_site: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for (i, t), (c, d, _, _) in pairs.items():
        at_site[world.stores[i].site, t].append((c, d))
    nets = []
    for s, row in enumerate(world.sites):
        limit_in, limit_out = number(row, "import_limit_kw"), number(row, "export_limit_kw")
        peak = model.column(0, math.inf)
        model.cost[peak] += number(row, "demand_charge_eur_kw")
        power = [x for x in world.stores if x.site == s]
        most = sum(x.charge + x.discharge for x in power) + world.load[s].max() + world.pv[s].max()
        nets.append([])
        for t in range(world.steps):
            bought, sold = model.column(0, math.inf), model.column(0, math.inf)
            cut = model.column(0, world.pv[s, t])
            high, low = model.column(0, math.inf), model.column(0, math.inf)
            net = model.column(-math.inf, math.inf)
            terms = {net: 1.0, cut: -1.0}
            for c, d in at_site[s, t]:
                terms |= {c: -1.0, d: 1.0}
            base = world.load[s, t] - world.pv[s, t]
            model.row(base, base, terms)
            model.row(0, 0, {net: 1.0, bought: -1.0, sold: 1.0})
            model.row(-math.inf, limit_in, {bought: 1.0, high: -1.0})
            model.row(-math.inf, limit_out, {sold: 1.0, low: -1.0})
            model.row(-math.inf, 0, {bought: 1.0, peak: -1.0})
            model.over[high] = model.over[low] = hours
            model.cost[bought] += hours * world.buy[s, t]
            model.cost[sold] -= hours * world.sell[s, t]
            flows[s, t] = (bought, sold, most + 1.0, most + 1.0)
            nets[s].append(net)
    return nets, flows


def add_tree(model: Model, world: World, nets: list[list[int]]) -> None:
    """Feeders, portfolio limits and the market position."""
    names = [f["feeder_id"] for f in world.feeders]
    inside: dict[str, list[int]] = {name: [] for name in names}
    parents = {f["feeder_id"]: f.get("parent_id") or "" for f in world.feeders}
    for s, row in enumerate(world.sites):
        name = row.get("feeder_id") or ""
        while name:
            inside[name].append(s)
            name = parents[name]
    groups = [
        (inside[f["feeder_id"]], number(f, "import_limit_kw"), number(f, "export_limit_kw"))
        for f in world.feeders
    ]
    groups.append((list(range(len(nets))), world.import_cap, world.export_cap))
    for members, limit_in, limit_out in groups:
        if not members or (math.isinf(limit_in) and math.isinf(limit_out)):
            continue
        for t in range(world.steps):
            high, low = model.column(0, math.inf), model.column(0, math.inf)
            model.over[high] = model.over[low] = world.hours
            terms = {nets[s][t]: 1.0 for s in members}
            model.row(-limit_out, limit_in, terms | {high: -1.0, low: 1.0})
    if world.market is None:
        return
    for t in range(world.steps):
        position, short, long = world.market[:, t]
        more, less = model.column(0, math.inf), model.column(0, math.inf)
        terms = {nets[s][t]: 1.0 for s in range(len(nets))}
        model.row(position, position, terms | {more: -1.0, less: 1.0})
        model.cost[more] += world.hours * short
        model.cost[less] += world.hours * long
